//! What happened within a second: packets and new contacts of each host.
//!
//! The second slides in quarters, as long as a worker keeps what it counted. Each host has its four sums in its row,
//! brought up to date when they are read, so nothing has to be taken back. A worker that was late hands over
//! more than a second's worth: the counts are then divided by the time that they cover.

use std::time::Duration;

use crate::time::Moment;

use super::container::packed::Packed;

const SLOTS: usize = 4;
const SLOT: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);

/// A frame waits at most this long for its block: it may be older than the delta that it is in.
const BLOCK: Duration = Duration::from_millis(20);

/// The sums of one host, by the number of their slot modulo [`SLOTS`]: half a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(super) struct Recent {
    /// The slot that was current last, cut to 32 bits.
    slot: u32,
    packets: [u32; SLOTS],
    /// They end at 2^24 in a quarter of a second, which is far beyond what an analyst can fold.
    contacts: [Packed<3>; SLOTS],
}

const _: () = assert!(size_of::<Recent>() == 32);

/// The slot that is current, and which time the counts of the last four cover.
#[derive(Debug, Default)]
pub(super) struct RateClock {
    slot: u64,
    /// When the oldest delta of each slot began.
    began_at: [Option<Moment>; SLOTS],
    handed_over_at: Moment,
}

impl Recent {
    /// Adds to the current slot. Gives the packets and contacts of the slots up to that one, which are no fewer than those
    /// of a second.
    #[inline]
    pub(super) fn add(&mut self, clock: &RateClock, packets: u64, contacts: u32) -> (u64, u64) {
        let packets = u32::try_from(packets).unwrap_or(u32::MAX);
        // Cut on purpose: a clock never goes back, and 2^32 slots are 34 years.
        let slot = clock.slot as u32;
        let (now, passed) = (place(clock.slot), slot.wrapping_sub(std::mem::replace(&mut self.slot, slot)));
        // Each at its own place, and none is read again that was written just now.
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

    /// Packets and contacts of the last second.
    pub(super) fn per_second(mut self, clock: &RateClock) -> (u32, u32) {
        let (packets, contacts) = self.add(clock, 0, 0);
        (clock.per_second(packets), clock.per_second(contacts))
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self { slot: 0, packets: [0; SLOTS], contacts: [Packed::ZERO; SLOTS] }
    }
}

impl RateClock {
    /// Turns to `now`. Never goes back.
    pub(super) fn roll(&mut self, now: Moment) {
        let slot = now.0 / SLOT.as_nanos() as u64;
        let passed = slot.saturating_sub(self.slot).min(SLOTS as u64);
        for left in 0..passed {
            self.began_at[place(slot - left)] = None;
        }
        self.slot = self.slot.max(slot);
    }

    /// Takes note of a delta that belongs to the current slot.
    pub(super) fn note(&mut self, began_at: Option<Moment>, handed_over_at: Moment) {
        let began_at = began_at.unwrap_or(handed_over_at);
        let oldest = &mut self.began_at[place(self.slot)];
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

fn place(slot: u64) -> usize {
    (slot % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Hands over at these milliseconds what was counted since the one before, and gives the largest rate seen.
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
    fn a_steady_stream_is_measured_and_never_above_its_rate() {
        for first in [0, 1, 100, 249] {
            // A thousand packets a second, handed over each quarter; then by a worker that is late at times.
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
    fn a_burst_is_seen_whole_wherever_it_falls() {
        for first in 0..250 {
            let burst = [(5_000 + first, 400), (5_250 + first, 200), (5_500 + first, 401)];
            assert_eq!(largest_rate(burst, 4_990 + first), 1001, "{first}");
        }
    }

    #[test]
    fn what_is_older_than_a_second_is_forgotten() {
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
}
