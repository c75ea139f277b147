//! A sliding window as a ring of slots: what was added in a slot is given back when the slot leaves.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::time::Moment;

use super::chunked_vec::ChunkedVec;
use super::slab::TOGETHER;

/// Slots that are live at once: the current one, not yet complete, and the nine before it. A slot is a
/// tenth of the window, so what is reported spans between 0.9 and 1.0 of it and never more.
pub(super) const SLOTS_LIVE: usize = 10;
const RING: u64 = SLOTS_LIVE as u64;

/// The live slots of one window. Slot numbers grow with time; they are moments divided by the slot's span.
#[derive(Debug)]
pub(super) struct Slots<T> {
    ring: [ChunkedVec<T>; SLOTS_LIVE],
    /// What has left the window and was not yet taken back, by the number of its slot: the oldest first.
    leaving: Vec<(u64, ChunkedVec<T>)>,
    current: u64,
    /// `None` where nothing ever leaves.
    span_nanos: Option<NonZeroU64>,
}

/// The span of one slot of a window of `interval`. Slots begin at multiples of it.
pub fn slot_span(interval: Duration) -> Duration {
    interval / SLOTS_LIVE as u32
}

impl<T> Slots<T> {
    /// Slots for a window of `interval`; without one there is a single slot that never leaves.
    pub(super) fn new(interval: Option<Duration>) -> Self {
        let span_nanos = interval.map(|interval| {
            let span = u64::try_from(slot_span(interval).as_nanos()).unwrap_or(u64::MAX);
            // At least one: a window of zero would divide by it.
            NonZeroU64::new(span).unwrap_or(NonZeroU64::MIN)
        });
        Self {
            ring: std::array::from_fn(|_| ChunkedVec::default()),
            leaving: Vec::new(),
            current: 0,
            span_nanos,
        }
    }

    /// The number of the slot that `moment` belongs to.
    pub(super) fn number(&self, moment: Moment) -> u64 {
        self.span_nanos.map_or(0, |span| moment.0 / span)
    }

    /// The number of the current slot.
    pub(super) fn current(&self) -> u64 {
        self.current
    }

    /// The number of the oldest slot that is live.
    pub(super) fn oldest(&self) -> u64 {
        self.current.saturating_sub(RING - 1)
    }

    /// The items of a live slot.
    pub(super) fn items(&mut self, number: u64) -> &mut ChunkedVec<T> {
        debug_assert!((self.oldest()..=self.current).contains(&number), "slot {number} is not live");
        &mut self.ring[(number % RING) as usize]
    }

    /// Has an item of a live slot fetched that is read soon.
    #[inline]
    pub(super) fn prefetch(&self, number: u64, at: u32) {
        self.ring[(number % RING) as usize].prefetch(at);
    }

    /// Makes `number` the current slot; those that are too old then are leaving. Never goes back. A gap of more than a
    /// whole window passes in one turn of the ring.
    pub(super) fn advance(&mut self, number: u64) {
        let was = self.current;
        while self.current < number {
            // Slots that the gap skips entirely hold nothing once each of the ring has left.
            self.current = (self.current + 1).max(number.saturating_sub(RING - 1)).min(number);
            let slot = &mut self.ring[(self.current % RING) as usize];
            if !slot.is_empty() {
                let ago = (was % RING + RING - self.current % RING) % RING;
                self.leaving.push((was - ago, std::mem::take(slot)));
            }
        }
    }

    /// Takes the next item that has left the window; its memory goes with it.
    #[inline]
    pub(super) fn take_left(&mut self) -> Option<T> {
        let (_, slot) = self.leaving.last_mut()?;
        let item = slot.pop();
        if slot.is_empty() {
            self.leaving.pop();
        }
        item
    }

    /// Takes as many of them as are looked up together, unless more than are `left` to be taken, which it counts down.
    /// Whether there were any.
    pub(super) fn take_together(&mut self, left: &mut usize, taken: &mut Vec<T>) -> bool {
        taken.clear();
        taken.extend(std::iter::from_fn(|| self.take_left()).take(TOGETHER.min(*left)));
        *left -= taken.len();
        !taken.is_empty()
    }

    /// How many slots ago the oldest one began of which something is still to be taken back.
    pub(super) fn behind(&self) -> u64 {
        self.leaving.first().map_or(0, |(number, _)| self.current - number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Slots<u64> {
        Slots::new(Some(Duration::from_nanos(100)))
    }

    fn roll(slots: &mut Slots<u64>, moment: u64) -> Vec<u64> {
        slots.advance(slots.number(Moment(moment)));
        let left = std::iter::from_fn(|| slots.take_left()).collect();
        assert_eq!(slots.take_left(), None);
        left
    }

    #[test]
    fn an_item_leaves_when_its_slot_is_ten_slots_old() {
        let mut slots = slots();
        roll(&mut slots, 1_005);
        slots.items(100).push(7);
        assert_eq!(roll(&mut slots, 1_099), [0u64; 0]);
        assert_eq!((slots.oldest(), slots.current()), (100, 109));
        assert_eq!(roll(&mut slots, 1_100), [7]);
    }

    #[test]
    fn any_gap_empties_the_ring_in_one_turn() {
        for gap in [100, 101, 150, 1_000_000_000, u64::MAX / 2] {
            let mut slots = slots();
            for number in 0..RING {
                roll(&mut slots, number * 10);
                slots.items(number).push(number);
            }
            let mut left = roll(&mut slots, 95 + gap);
            left.sort_unstable();
            assert_eq!(left, (0..10).collect::<Vec<_>>(), "gap {gap}");
            assert_eq!(slots.current(), (95 + gap) / 10);
        }
    }

    #[test]
    fn time_that_goes_back_changes_nothing() {
        let mut slots = slots();
        roll(&mut slots, 500);
        slots.items(50).push(1);
        assert_eq!(roll(&mut slots, 300), [0u64; 0]);
        assert_eq!(slots.current(), 50);
    }

    #[test]
    fn without_an_interval_nothing_ever_leaves() {
        let mut slots: Slots<u64> = Slots::new(None);
        slots.items(0).push(1);
        assert_eq!(roll(&mut slots, u64::MAX), [0u64; 0]);
    }
}
