//! Frames that the kernel offered and dropped in the traffic window. Counts expire with their slots.

use std::time::Duration;

use crate::time::Moment;

use super::container::slot_ring::SlotRing;
use super::snapshot::KernelCounts;

/// Statistics of the packet sockets in the window.
#[derive(Debug)]
pub(super) struct LossWindow {
    /// One item for each slot with a reading.
    slots: SlotRing<KernelCounts>,
    sum: KernelCounts,
}

impl LossWindow {
    /// Makes an empty window of `interval`; with `None`, nothing expires.
    pub(super) fn new(interval: Option<Duration>) -> Self {
        Self { slots: SlotRing::new(interval), sum: KernelCounts::default() }
    }

    /// Adds counts to the current slot.
    pub(super) fn add(&mut self, counts: &KernelCounts) {
        self.sum.add(counts);
        let items = self.slots.items(self.slots.current());
        match items.last_mut() {
            Some(item) => item.add(counts),
            None => {
                items.push(*counts);
            }
        }
    }

    /// Advances to `now` and subtracts expired slots.
    pub(super) fn roll(&mut self, now: Moment) {
        self.slots.advance(self.slots.number(now));
        while let Some(item) = self.slots.take_expired() {
            self.sum.subtract(&item);
        }
    }

    /// Returns the number of frames that were offered and dropped in the window.
    pub(super) fn sum(&self) -> KernelCounts {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_expire_with_their_slot() {
        const SECOND: u64 = 1_000_000_000;
        let mut window = LossWindow::new(Some(Duration::from_secs(10)));
        let counts = |tp_packets, tp_drops| KernelCounts { tp_packets, tp_drops, tp_freezes: 1 };
        window.roll(Moment(100 * SECOND));
        window.add(&counts(100, 10));
        window.add(&counts(50, 0));
        window.roll(Moment(105 * SECOND));
        window.add(&counts(7, 0));
        assert_eq!(window.sum(), KernelCounts { tp_packets: 157, tp_drops: 10, tp_freezes: 3 });
        window.roll(Moment(110 * SECOND));
        assert_eq!(window.sum(), counts(7, 0));
        window.roll(Moment(1_000 * SECOND));
        assert_eq!(window.sum(), KernelCounts::default());
    }
}
