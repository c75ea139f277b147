//! A sliding window as a ring of slots: items added in a slot are returned when the slot expires.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::time::Moment;

use super::chunked_vec::ChunkedVec;
use super::slab::TOGETHER;

/// Number of live slots: the current one, which is not complete, and the nine before it. A slot is a tenth of
/// the window, so a reported sum covers between 0.9 and 1.0 of the window.
pub(in crate::flow) const SLOTS_LIVE: usize = 10;
const RING: u64 = SLOTS_LIVE as u64;

/// The live slots of one window. The number of a slot is a moment divided by the span of a slot.
#[derive(Debug)]
pub(in crate::flow) struct SlotRing<T> {
    ring: [ChunkedVec<T>; SLOTS_LIVE],
    /// Expired slots whose items were not yet taken, with their numbers.
    expired: Vec<(u64, ChunkedVec<T>)>,
    /// Number of the current slot.
    current: u64,
    /// Nanoseconds of a slot; `None` if no slot ever expires.
    span_nanos: Option<NonZeroU64>,
}

/// Returns the span of one slot of a window of `interval`. Slots begin at multiples of it.
#[allow(clippy::cast_possible_truncation, reason = "the constant is ten")]
pub fn slot_span(interval: Duration) -> Duration {
    interval / SLOTS_LIVE as u32
}

impl<T> SlotRing<T> {
    /// Makes the ring of a window of `interval`; without one there is a single slot that never expires.
    pub(in crate::flow) fn new(interval: Option<Duration>) -> Self {
        let span_nanos = interval.map(|interval| {
            let span = u64::try_from(slot_span(interval).as_nanos()).unwrap_or(u64::MAX);
            // The span is a divisor, so it is at least 1.
            NonZeroU64::new(span).unwrap_or(NonZeroU64::MIN)
        });
        Self {
            ring: std::array::from_fn(|_| ChunkedVec::default()),
            expired: Vec::new(),
            current: 0,
            span_nanos,
        }
    }

    /// Returns the number of the slot that `moment` belongs to.
    pub(in crate::flow) fn number(&self, moment: Moment) -> u64 {
        self.span_nanos.map_or(0, |span| moment.0 / span)
    }

    /// Returns the number of the current slot.
    pub(in crate::flow) fn current(&self) -> u64 {
        self.current
    }

    /// Returns the number of the oldest live slot.
    pub(in crate::flow) fn oldest(&self) -> u64 {
        self.current.saturating_sub(RING - 1)
    }

    /// Returns the items of a live slot.
    pub(in crate::flow) fn items(&mut self, number: u64) -> &mut ChunkedVec<T> {
        debug_assert!((self.oldest()..=self.current).contains(&number), "slot {number} is not live");
        &mut self.ring[(number % RING) as usize]
    }

    /// Prefetches an item of a live slot.
    #[inline]
    pub(in crate::flow) fn prefetch(&self, number: u64, at: u32) {
        self.ring[(number % RING) as usize].prefetch(at);
    }

    /// Makes `number` the current slot. Slots that are then ten or more slots old expire. An earlier number changes
    /// nothing. At most ten slots are visited, however long the gap is.
    pub(in crate::flow) fn advance(&mut self, number: u64) {
        let was = self.current;
        while self.current < number {
            // Slots of the gap that are already too old are left out: they never had items.
            self.current = (self.current + 1).max(number.saturating_sub(RING - 1)).min(number);
            let slot = &mut self.ring[(self.current % RING) as usize];
            if !slot.is_empty() {
                let ago = (was % RING + RING - self.current % RING) % RING;
                self.expired.push((was - ago, std::mem::take(slot)));
            }
        }
    }

    /// Removes and returns the next expired item, and frees its memory. Returns `None` if there is none.
    #[inline]
    pub(in crate::flow) fn take_expired(&mut self) -> Option<T> {
        let (_, slot) = self.expired.last_mut()?;
        let item = slot.pop();
        if slot.is_empty() {
            self.expired.pop();
        }
        item
    }

    /// Moves up to [`TOGETHER`] expired items, but at most `left`, into `taken`, and subtracts their number from
    /// `left`. Returns true if there were any.
    pub(in crate::flow) fn take_together(&mut self, left: &mut usize, taken: &mut Vec<T>) -> bool {
        taken.clear();
        taken.extend(std::iter::from_fn(|| self.take_expired()).take(TOGETHER.min(*left)));
        *left -= taken.len();
        !taken.is_empty()
    }

    /// Returns the age, in slots, of the first expired slot that still has items; 0 if there is none. It is the oldest
    /// one, unless slots expired after a gap longer than the window; then the oldest is up to nine slots older.
    pub(in crate::flow) fn expired_age(&self) -> u64 {
        self.expired.first().map_or(0, |(number, _)| self.current - number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> SlotRing<u64> {
        SlotRing::new(Some(Duration::from_nanos(100)))
    }

    /// Advances to a moment and returns the items that expire.
    fn roll(slots: &mut SlotRing<u64>, moment: u64) -> Vec<u64> {
        slots.advance(slots.number(Moment(moment)));
        let expired = std::iter::from_fn(|| slots.take_expired()).collect();
        assert_eq!(slots.take_expired(), None);
        expired
    }

    #[test]
    fn an_item_expires_when_its_slot_is_ten_slots_old() {
        let mut slots = slots();
        roll(&mut slots, 1_005);
        slots.items(100).push(7);
        assert_eq!(roll(&mut slots, 1_099), [0u64; 0]);
        assert_eq!((slots.oldest(), slots.current()), (100, 109));
        assert_eq!(roll(&mut slots, 1_100), [7]);
    }

    #[test]
    fn all_items_expire_after_a_gap_of_any_length() {
        for gap in [100, 101, 150, 1_000_000_000, u64::MAX / 2] {
            let mut slots = slots();
            for number in 0..RING {
                roll(&mut slots, number * 10);
                slots.items(number).push(number);
            }
            let mut expired = roll(&mut slots, 95 + gap);
            expired.sort_unstable();
            assert_eq!(expired, (0..10).collect::<Vec<_>>(), "gap {gap}");
            assert_eq!(slots.current(), (95 + gap) / 10);
        }
    }

    #[test]
    fn an_earlier_time_changes_nothing() {
        let mut slots = slots();
        roll(&mut slots, 500);
        slots.items(50).push(1);
        assert_eq!(roll(&mut slots, 300), [0u64; 0]);
        assert_eq!(slots.current(), 50);
    }

    #[test]
    fn without_an_interval_nothing_expires() {
        let mut slots: SlotRing<u64> = SlotRing::new(None);
        slots.items(0).push(1);
        assert_eq!(roll(&mut slots, u64::MAX), [0u64; 0]);
    }
}
