//! The packets, bytes and contact of a pair in one slot. No other records are as numerous, so they are packed.
//!
//! The records, or items, of a pair are chained, the latest first, so that eviction finds them. A chain may end in a
//! slot that has expired; it is followed only as far as its slots are live.

use crate::time::Moment;

use super::container::slab::NONE;
use super::container::slot_ring::{SLOTS_LIVE, SlotRing};

/// Packets and bytes of one pair in one slot, and a flag for a contact: 16 bytes.
///
/// ```text
/// pair 32 | previous item: slot modulo ten 4, place 28 | contact 1 | packets 23 | bytes 40
/// ```
///
/// A pair with more than that in one slot gets several items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotRecord {
    /// The row of the pair; [`NONE`] if the item was evicted.
    pub(super) pair: u32,
    previous: u32,
    sums: u64,
}

const _: () = assert!(size_of::<SlotRecord>() == 16);

/// Where an item is: its slot, and its number in that slot. It is valid while the slot is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotRecordAt {
    pub(super) slot: u64,
    pub(super) at: u32,
}

/// Maximum number of items in a slot. A link to an item has the other four of its 32 bits for the slot.
pub(super) const PLACES_MAX: usize = 1 << PLACE_BITS;
const PLACE_BITS: u32 = 28;

const BYTES_BITS: u32 = 40;
const PACKETS_BITS: u32 = 23;
/// Maximum number of packets in one item.
const PACKETS_MAX: u64 = (1 << PACKETS_BITS) - 1;
/// Maximum number of bytes in one item.
const BYTES_MAX: u64 = (1 << BYTES_BITS) - 1;
const CONTACT: u64 = 1 << (BYTES_BITS + PACKETS_BITS);

impl SlotRecord {
    /// Makes an item from as much of `packets` and `ip_bytes` as fits, and leaves the rest in them.
    pub(super) fn of(pair: u32, packets: &mut u64, ip_bytes: &mut u64) -> Self {
        let (some, bytes) = ((*packets).min(PACKETS_MAX), (*ip_bytes).min(BYTES_MAX));
        (*packets, *ip_bytes) = (*packets - some, *ip_bytes - bytes);
        Self { pair, previous: NONE, sums: some << BYTES_BITS | bytes }
    }

    /// Makes an item for a contact without a packet.
    pub(super) fn contact(pair: u32) -> Self {
        Self { pair, previous: NONE, sums: CONTACT }
    }

    /// Returns the number of packets.
    pub(super) fn packets(self) -> u64 {
        self.sums >> BYTES_BITS & PACKETS_MAX
    }

    pub(super) fn ip_bytes(self) -> u64 {
        self.sums & BYTES_MAX
    }

    pub(super) fn is_contact(self) -> bool {
        self.sums & CONTACT != 0
    }

    /// Adds to the item if everything fits. Returns true if it did.
    #[inline]
    pub(super) fn add(&mut self, packets: u64, ip_bytes: u64) -> bool {
        let fits = self.packets().saturating_add(packets) <= PACKETS_MAX
            && self.ip_bytes().saturating_add(ip_bytes) <= BYTES_MAX;
        if fits {
            self.sums += packets << BYTES_BITS | ip_bytes;
        }
        fits
    }

    /// Sets the contact flag. Returns true if it was not set before.
    pub(super) fn make_contact(&mut self) -> bool {
        let is_new = !self.is_contact();
        self.sums |= CONTACT;
        is_new
    }

    /// Clears the contact flag. Returns true if it was set before.
    pub(super) fn take_contact(&mut self) -> bool {
        let was = self.is_contact();
        self.sums &= !CONTACT;
        was
    }
}

/// The items of all live slots.
#[derive(Debug)]
pub(super) struct SlotRecords {
    slots: SlotRing<SlotRecord>,
    /// The number of the evicted item of the current slot whose memory is used next; further ones are chained to it.
    hole: u32,
}

impl SlotRecords {
    pub(super) fn new(slots: SlotRing<SlotRecord>) -> Self {
        Self { slots, hole: NONE }
    }

    /// Returns the number of the current slot.
    #[inline]
    pub(super) fn current(&self) -> u64 {
        self.slots.current()
    }

    /// Returns the number of the oldest live slot.
    pub(super) fn oldest(&self) -> u64 {
        self.slots.oldest()
    }

    /// Makes the slot of `now` the current one.
    pub(super) fn advance(&mut self, now: Moment) {
        let number = self.slots.number(now);
        if number > self.slots.current() {
            self.hole = NONE;
        }
        self.slots.advance(number);
    }

    /// Prefetches an item.
    #[inline]
    pub(super) fn prefetch(&self, SlotRecordAt { slot, at }: SlotRecordAt) {
        self.slots.prefetch(slot, at);
    }

    #[inline]
    pub(super) fn get(&mut self, SlotRecordAt { slot, at }: SlotRecordAt) -> &mut SlotRecord {
        &mut self.slots.items(slot)[at]
    }

    /// Adds an item to a live slot. `before` is the previous item in the chain of its pair.
    pub(super) fn put(&mut self, slot: u64, item: SlotRecord, before: Option<SlotRecordAt>) -> SlotRecordAt {
        let item = SlotRecord { previous: before.map_or(NONE, link_to), ..item };
        if slot == self.current() && self.hole != NONE {
            let at = self.hole;
            let hole = &mut self.slots.items(slot)[at];
            self.hole = hole.previous;
            *hole = item;
            return SlotRecordAt { slot, at };
        }
        SlotRecordAt { slot, at: self.slots.items(slot).push(item) }
    }

    /// Makes `before` the previous item of `item`.
    pub(super) fn link(&mut self, item: SlotRecordAt, before: Option<SlotRecordAt>) {
        self.get(item).previous = before.map_or(NONE, link_to);
    }

    /// Returns the previous item in the chain of a pair; `None` if there is none or its slot is not live.
    #[allow(clippy::cast_possible_truncation, reason = "the constant is 2^28")]
    pub(super) fn before(&mut self, item: SlotRecordAt) -> Option<SlotRecordAt> {
        let previous = self.get(item).previous;
        if previous == NONE {
            return None;
        }
        let ring = u64::from(previous >> PLACE_BITS);
        // A link goes back by fewer than ten slots: a row is freed when none of its slots is live.
        let back = (item.slot % SLOTS + SLOTS - ring) % SLOTS;
        let slot = item.slot.checked_sub(back).filter(|&slot| slot >= self.oldest())?;
        Some(SlotRecordAt { slot, at: previous & (PLACES_MAX as u32 - 1) })
    }

    /// Removes an item whose pair is evicted, and returns it.
    pub(super) fn evict(&mut self, item: SlotRecordAt) -> SlotRecord {
        let (is_current, hole) = (item.slot == self.current(), self.hole);
        let place = self.get(item);
        let evicted = std::mem::replace(place, SlotRecord { pair: NONE, previous: hole, sums: 0 });
        if is_current {
            self.hole = item.at;
        }
        evicted
    }

    /// Moves the next expired items into `taken`; see [`SlotRing::take_together`].
    pub(super) fn take_together(&mut self, left: &mut usize, taken: &mut Vec<SlotRecord>) -> bool {
        self.slots.take_together(left, taken)
    }

    /// Returns the age, in slots, of the first expired slot that still has items; see [`SlotRing::expired_age`].
    pub(super) fn expired_age(&self) -> u64 {
        self.slots.expired_age()
    }
}

const SLOTS: u64 = SLOTS_LIVE as u64;

fn link_to(SlotRecordAt { slot, at }: SlotRecordAt) -> u32 {
    // Fits: it is less than ten.
    ((slot % SLOTS) as u32) << PLACE_BITS | at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_bytes_that_do_not_fit_are_left_for_another_item() {
        let (mut packets, mut ip_bytes) = (PACKETS_MAX + 5, 3 * BYTES_MAX);
        let mut first = SlotRecord::of(7, &mut packets, &mut ip_bytes);
        assert_eq!((first.packets(), first.ip_bytes(), first.is_contact()), (PACKETS_MAX, BYTES_MAX, false));
        assert_eq!((packets, ip_bytes), (5, 2 * BYTES_MAX));
        assert!(!first.add(1, 0) && !first.add(0, 1) && first.add(0, 0));
        assert!(first.make_contact() && !first.make_contact());
        assert_eq!((first.pair, first.packets(), first.ip_bytes()), (7, PACKETS_MAX, BYTES_MAX));

        let mut small = SlotRecord::contact(9);
        assert!(small.is_contact() && small.add(2, 3000) && small.add(1, 40));
        assert!(!small.add(u64::MAX, 0) && !small.add(0, u64::MAX));
        assert_eq!((small.packets(), small.ip_bytes(), small.is_contact()), (3, 3040, true));
    }
}
