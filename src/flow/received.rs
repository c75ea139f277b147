//! Bytes that hosts received in the traffic window.
//!
//! An item for each host and slot; the host's sum is the sum over its live items, and each of them keeps it in
//! the table. What finds no room is counted, so that somebody can say it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use crate::time::Moment;

use super::hosts::{HostId, Hosts};
use super::slots::Slots;

#[derive(Clone, Copy, Debug)]
struct Item {
    host: HostId,
    ip_bytes: u64,
}

/// The traffic window of what was received.
#[derive(Debug)]
pub(super) struct ReceivedWindow {
    slots: Slots<Item>,
    /// Where in the current slot the item of a host is.
    here: HashMap<HostId, u32, foldhash::fast::FixedState>,
    /// What each host received in the window.
    sums: HashMap<HostId, u64, foldhash::fast::FixedState>,
    items: usize,
    items_max: usize,
    lost_bytes: u64,
}

impl ReceivedWindow {
    /// An empty window of `interval`; without one, nothing ever leaves.
    pub(super) fn new(interval: Option<Duration>, items_max: usize) -> Self {
        Self {
            slots: Slots::new(interval),
            here: HashMap::default(),
            sums: HashMap::default(),
            items: 0,
            items_max,
            lost_bytes: 0,
        }
    }

    /// Adds to the current slot. `host` brings a reference along, which the item keeps.
    pub(super) fn add(&mut self, host: HostId, ip_bytes: u64, hosts: &mut Hosts) {
        let items = self.slots.items(self.slots.current());
        match self.here.get(&host) {
            Some(&at) => {
                items[at].ip_bytes += ip_bytes;
                hosts.release(host);
            }
            None if self.items >= self.items_max => {
                self.lost_bytes += ip_bytes;
                return hosts.release(host);
            }
            None => {
                self.here.insert(host, items.push(Item { host, ip_bytes }));
                self.items += 1;
            }
        }
        let sum = self.sums.entry(host).or_default();
        *sum += ip_bytes;
        hosts.note_received(host, *sum);
    }

    /// What a host received in the window.
    pub(super) fn of(&self, host: HostId) -> u64 {
        self.sums.get(&host).copied().unwrap_or(0)
    }

    /// Makes the slot of `now` the current one.
    pub(super) fn advance(&mut self, now: Moment) {
        let number = self.slots.number(now);
        if number > self.slots.current() {
            self.here = HashMap::default();
        }
        self.slots.advance(number);
    }

    /// Takes back what has left the window, at most `items_max` items of it; gives how many more it could be.
    pub(super) fn drain(&mut self, items_max: usize, hosts: &mut Hosts) -> usize {
        for left in (0..items_max).rev() {
            let Some(Item { host, ip_bytes }) = self.slots.take_left() else { return left + 1 };
            self.items -= 1;
            if let Entry::Occupied(mut sum) = self.sums.entry(host) {
                *sum.get_mut() -= ip_bytes;
                if *sum.get() == 0 {
                    sum.remove();
                }
            }
            hosts.release(host);
        }
        0
    }

    /// Bytes that found no room since the start.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }
}
