//! Bytes that hosts received in the traffic window.
//!
//! There is one item for each host and slot. The sum of a host is the sum of its live items, and each item holds a
//! reference to the host. Bytes for which there is no room are counted in `lost_bytes`.

use std::time::Duration;

use crate::time::Moment;

use super::container::chunked_vec::ChunkedVec;
use super::container::slot_ring::SlotRing;
use super::hosts::{HostId, Hosts};

/// The bytes that one host received in one slot.
#[derive(Clone, Copy, Debug)]
struct ReceivedRecord {
    host: HostId,
    ip_bytes: u64,
}

/// The bytes that one host received in the window, and the position of its latest item if the sum is not zero.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    ip_bytes: u64,
    /// The lower 32 bits of the number of the slot of the item. While the sum is not zero, that slot is live, or it has
    /// expired and its items are not subtracted yet.
    item_slot: u32,
    item_at: u32,
}

const _: () = assert!(size_of::<ReceivedRecord>() + size_of::<Received>() == 32);

/// The traffic window of received bytes.
#[derive(Debug)]
pub(super) struct ReceivedWindow {
    slots: SlotRing<ReceivedRecord>,
    /// Indexed by the number of the host. The last expired item makes the sum zero again; only then is the host freed.
    sums: ChunkedVec<Received>,
    items: usize,
    items_max: usize,
    lost_bytes: u64,
}

impl ReceivedWindow {
    /// Makes an empty window of `interval`; with `None`, nothing expires.
    pub(super) fn new(interval: Option<Duration>, items_max: usize) -> Self {
        Self {
            slots: SlotRing::new(interval),
            sums: ChunkedVec::default(),
            items: 0,
            items_max,
            lost_bytes: 0,
        }
    }

    /// Prefetches the sum of a host.
    #[inline]
    pub(super) fn prefetch(&self, host: HostId) {
        self.sums.prefetch(host.0);
    }

    /// Adds bytes to the current slot. The caller passes on its reference to `host`; a new item keeps it, otherwise it
    /// is released.
    #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
    pub(super) fn add(&mut self, host: HostId, ip_bytes: u64, hosts: &mut Hosts) {
        let current = self.slots.current();
        let slot = self.slots.items(current);
        let received = self.sums.reach(host.0);
        if received.ip_bytes > 0 && received.item_slot == current as u32 {
            slot[received.item_at].ip_bytes += ip_bytes;
            hosts.release(host);
        } else if self.items < self.items_max {
            (received.item_slot, received.item_at) =
                (current as u32, slot.push(ReceivedRecord { host, ip_bytes }));
            self.items += 1;
        } else {
            self.lost_bytes += ip_bytes;
            return hosts.release(host);
        }
        received.ip_bytes += ip_bytes;
        hosts.note_received(host, received.ip_bytes);
    }

    /// Returns the bytes that a host received in the window.
    pub(super) fn of(&self, host: HostId) -> u64 {
        self.sums.get(host.0).map_or(0, |received| received.ip_bytes)
    }

    /// Makes the slot of `now` the current one.
    pub(super) fn advance(&mut self, now: Moment) {
        self.slots.advance(self.slots.number(now));
    }

    /// Subtracts expired items, at most `items_max`, and returns how many more could have been subtracted.
    pub(super) fn drain(&mut self, items_max: usize, hosts: &mut Hosts) -> usize {
        let (mut left, mut items) = (items_max, Vec::new());
        while self.slots.take_together(&mut left, &mut items) {
            for item in &items {
                self.sums.prefetch(item.host.0);
                hosts.prefetch(item.host);
            }
            for &ReceivedRecord { host, ip_bytes } in &items {
                self.sums[host.0].ip_bytes -= ip_bytes;
                hosts.release(host);
            }
            self.items -= items.len();
        }
        left
    }

    /// Returns the bytes for which there was no room, since the start.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }
}
