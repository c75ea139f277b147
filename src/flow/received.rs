//! Bytes that hosts received in the traffic window.
//!
//! An item for each host and slot; the host's sum is the sum over its live items, and each of them keeps it in
//! the table. What finds no room is counted, so that somebody can say it.

use std::time::Duration;

use crate::time::Moment;

use super::container::chunked_vec::ChunkedVec;
use super::container::slot_ring::SlotRing;
use super::hosts::{HostId, Hosts};

/// What one host received in one slot.
#[derive(Clone, Copy, Debug)]
struct ReceivedRecord {
    host: HostId,
    ip_bytes: u64,
}

/// What one host received in the window, and where its latest item is if that is anything.
#[derive(Clone, Copy, Debug, Default)]
struct Received {
    ip_bytes: u64,
    /// Cut to 32 bits: while it has a sum, this is a slot of the window, or one that just left it.
    item_slot: u32,
    item_at: u32,
}

const _: () = assert!(size_of::<ReceivedRecord>() + size_of::<Received>() == 32);

/// The traffic window of what was received.
#[derive(Debug)]
pub(super) struct ReceivedWindow {
    slots: SlotRing<ReceivedRecord>,
    /// By the number of the host. The last item that leaves makes a sum zero again, and only then the host may go.
    sums: ChunkedVec<Received>,
    items: usize,
    items_max: usize,
    lost_bytes: u64,
}

impl ReceivedWindow {
    /// An empty window of `interval`; without one, nothing ever leaves.
    pub(super) fn new(interval: Option<Duration>, items_max: usize) -> Self {
        Self {
            slots: SlotRing::new(interval),
            sums: ChunkedVec::default(),
            items: 0,
            items_max,
            lost_bytes: 0,
        }
    }

    /// Has what a host received fetched, which is added to soon.
    #[inline]
    pub(super) fn prefetch(&self, host: HostId) {
        self.sums.prefetch(host.0);
    }

    /// Adds to the current slot. `host` brings a reference along, which the item keeps.
    pub(super) fn add(&mut self, host: HostId, ip_bytes: u64, hosts: &mut Hosts) {
        let current = self.slots.current();
        let slot = self.slots.items(current);
        let received = self.sums.reach(host.0);
        // Cut on purpose.
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

    /// What a host received in the window.
    pub(super) fn of(&self, host: HostId) -> u64 {
        self.sums.get(host.0).map_or(0, |received| received.ip_bytes)
    }

    /// Makes the slot of `now` the current one.
    pub(super) fn advance(&mut self, now: Moment) {
        self.slots.advance(self.slots.number(now));
    }

    /// Takes back what has left the window, at most `items_max` items of it; gives how many more it could be.
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

    /// Bytes that found no room since the start.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }
}
