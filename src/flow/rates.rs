//! Rates: packets and new contacts of each host within a second.
//!
//! The second slides by a quarter, which is one tick. The row of each host has four sums. A read ignores sums that are
//! too old, so nothing has to be subtracted. A worker that is late may hand over the counts of more than a second; such
//! counts are divided by the time that they cover.

use std::time::Duration;

use crate::time::Moment;

use super::container::packed::Packed;

const SLOTS: usize = 4;
const SLOT: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);

/// Longest time that a frame waits until its block is retired; a frame may be this much older than the beginning of the
/// delta that contains it.
const BLOCK: Duration = Duration::from_millis(20);

/// The sums of one host in half a cache line. Both arrays are indexed by slot number modulo [`SLOTS`].
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Recent {
    /// The lower 32 bits of the number of the slot of the last addition.
    slot: u32,
    packets: [u32; SLOTS],
    /// Contacts saturate at 2^24 - 1 per slot, far above what an analyst can fold in a quarter of a second.
    contacts: [Packed<3>; SLOTS],
}

const _: () = assert!(size_of::<Recent>() == 32);

/// The packets of one host that only answer, in the same four slots. Few hosts send many, so they have a list of their
/// own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecentAnswers {
    /// The lower 32 bits of the number of the slot of the last addition.
    slot: u32,
    packets: [u32; SLOTS],
}

/// The current slot, and the time that the counts of the last four slots cover.
#[derive(Debug, Default)]
pub(super) struct RateClock {
    slot: u64,
    /// The time at which the oldest delta of each slot began, indexed by slot number modulo [`SLOTS`].
    began_at: [Option<Moment>; SLOTS],
    /// The time of the latest hand-over.
    handed_over_at: Moment,
}

impl Recent {
    /// Adds packets and contacts to the current slot. Returns those of the last four slots, which are at least those of
    /// the last second.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "`ago` is less than four")]
    pub(super) fn add(&mut self, clock: &RateClock, packets: u64, contacts: u32) -> (u64, u64) {
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        // Only the lower bits are wanted: the clock never goes back, and 2^32 slots are 34 years.
        #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
        let slot = clock.slot as u32;
        let (now, passed) =
            (ring_index(clock.slot), slot.wrapping_sub(std::mem::replace(&mut self.slot, slot)));
        // Each element is read once and then written once, so no load waits for a store.
        let mut sums = (0, 0);
        for at in 0..SLOTS {
            let ago = (now + SLOTS - at) % SLOTS;
            let (before, contacts_before) = match ago as u32 >= passed {
                true => (self.packets[at], self.contacts[at].get()),
                false => (0, 0),
            };
            let (more, contacts_more) = if ago == 0 { (packets, u64::from(contacts)) } else { (0, 0) };
            let sum = before.saturating_add(more);
            let contacts_sum = (contacts_before + contacts_more).min(Packed::<3>::MAX.get());
            (self.packets[at], self.contacts[at]) = (sum, Packed::of(contacts_sum));
            sums = (sums.0 + u64::from(sum), sums.1 + contacts_sum);
        }
        sums
    }

    /// Returns the packets and contacts of the last second.
    pub(super) fn per_second(mut self, clock: &RateClock) -> (u32, u32) {
        let (packets, contacts) = self.add(clock, 0, 0);
        (clock.per_second(packets), clock.per_second(contacts))
    }
}

impl RecentAnswers {
    /// Adds packets to the current slot.
    pub(super) fn add(&mut self, clock: &RateClock, packets: u64) {
        self.forget(clock);
        let sum = &mut self.packets[ring_index(clock.slot)];
        *sum = sum.saturating_add(u32::try_from(packets).unwrap_or(u32::MAX));
    }

    /// Returns the packets of the last second.
    pub(super) fn per_second(mut self, clock: &RateClock) -> u32 {
        self.forget(clock);
        clock.per_second(self.packets.iter().copied().map(u64::from).sum())
    }

    /// Sets the sums of the slots since the last addition to zero.
    #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
    fn forget(&mut self, clock: &RateClock) {
        let slot = clock.slot as u32;
        let passed = slot.wrapping_sub(std::mem::replace(&mut self.slot, slot));
        for ago in 0..passed.min(SLOTS as u32) {
            self.packets[ring_index(clock.slot.wrapping_sub(u64::from(ago)))] = 0;
        }
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self { slot: 0, packets: [0; SLOTS], contacts: [Packed::ZERO; SLOTS] }
    }
}

impl RateClock {
    /// Advances to `now`. An earlier time changes nothing.
    pub(super) fn roll(&mut self, now: Moment) {
        #[allow(clippy::cast_possible_truncation, reason = "a slot has fewer than 2^64 ns")]
        let slot = now.0 / SLOT.as_nanos() as u64;
        let passed = slot.saturating_sub(self.slot).min(SLOTS as u64);
        for left in 0..passed {
            self.began_at[ring_index(slot - left)] = None;
        }
        self.slot = self.slot.max(slot);
    }

    /// Adds the time span of a delta that is folded in the current slot.
    pub(super) fn note(&mut self, began_at: Option<Moment>, handed_over_at: Moment) {
        let began_at = began_at.unwrap_or(handed_over_at);
        let oldest = &mut self.began_at[ring_index(self.slot)];
        *oldest = Some(oldest.map_or(began_at, |oldest| oldest.min(began_at)));
        self.handed_over_at = self.handed_over_at.max(handed_over_at);
    }

    fn per_second(&self, count: u64) -> u32 {
        let began_at = self.began_at.iter().flatten().min();
        let covered = began_at.map_or(SECOND, |began_at| self.handed_over_at.since(*began_at) + BLOCK);
        let rate = u128::from(count) * SECOND.as_nanos() / covered.max(SECOND).as_nanos();
        u32::try_from(rate).unwrap_or(u32::MAX)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the number is less than four")]
fn ring_index(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Hands over, at these milliseconds, what was counted since the previous time. Returns the largest rate.
    fn largest_rate(hand_overs: impl IntoIterator<Item = (u64, u64)>, began_ms: u64) -> u32 {
        let (mut clock, mut recent) = (RateClock::default(), Recent::default());
        let mut began = Moment(began_ms * MS);
        let mut largest = 0;
        for (at_ms, packets) in hand_overs {
            let at = Moment(at_ms * MS);
            clock.roll(at);
            clock.note(Some(began), at);
            recent.add(&clock, packets, 0);
            largest = largest.max(recent.per_second(&clock).0);
            began = at;
        }
        largest
    }

    #[test]
    fn a_steady_stream_is_never_above_its_rate() {
        for first in [0, 1, 100, 249] {
            // A thousand packets per second, handed over every quarter; then by a worker that is sometimes late.
            let steady = (1..40).map(|n| (10_000 + first + n * 250, 250));
            let rate = largest_rate(steady, 10_000 + first);
            assert!((970..=1000).contains(&rate), "{rate}");
            let mut at = 10_000 + first;
            let gaps = [250, 90, 250, 700, 250, 1500, 30, 250, 250];
            let late: Vec<_> = gaps
                .iter()
                .cycle()
                .take(60)
                .map(|gap| {
                    at += gap;
                    (at, *gap)
                })
                .collect();
            let rate = largest_rate(late, 10_000 + first);
            assert!((900..=1000).contains(&rate), "{rate}");
        }
    }

    #[test]
    fn a_burst_is_counted_whole_at_any_phase() {
        for first in 0..250 {
            let burst = [(5_000 + first, 400), (5_250 + first, 200), (5_500 + first, 401)];
            assert_eq!(largest_rate(burst, 4_990 + first), 1001, "{first}");
        }
    }

    #[test]
    fn packets_older_than_a_second_expire() {
        let (mut clock, mut recent) = (RateClock::default(), Recent::default());
        clock.roll(Moment(100 * MS));
        recent.add(&clock, 7, 3);
        clock.roll(Moment(999 * MS));
        assert_eq!(recent.per_second(&clock), (7, 3));
        clock.roll(Moment(1000 * MS));
        assert_eq!(recent.per_second(&clock), (0, 0));
        recent.add(&clock, 1, 0);
        clock.roll(Moment(u64::MAX));
        assert_eq!(recent.per_second(&clock), (0, 0));
        recent.add(&clock, u64::MAX, 1);
        recent.add(&clock, 1, 1);
        assert_eq!(recent.per_second(&clock), (u32::MAX, 2));
        assert_eq!(recent.add(&clock, 0, u32::MAX), (u64::from(u32::MAX), (1 << 24) - 1));
    }

    #[test]
    fn answers_are_those_of_the_last_second() {
        let (mut clock, mut answers) = (RateClock::default(), RecentAnswers::default());
        for (ms, packets, sum) in
            [(100, 7, 7), (300, 1, 8), (1000, 0, 1), (1250, 0, 0), (9_000, 5, 5), (9_999, 2, 7)]
        {
            clock.roll(Moment(ms * MS));
            answers.add(&clock, packets);
            assert_eq!(answers.per_second(&clock), sum, "{ms}");
        }
        answers.add(&clock, u64::MAX);
        assert_eq!(answers.per_second(&clock), u32::MAX);
    }
}
