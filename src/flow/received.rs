//! Bytes that hosts received in the traffic window.
//!
//! An item for each host and slot; the host's sum is the sum over its live items, and each of them keeps it in
//! the table. What finds no room is counted, so that somebody can say it.

use std::collections::HashMap;
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
    items: usize,
    items_max: usize,
    lost_bytes: u64,
}

impl ReceivedWindow {
    /// An empty window of `interval`; without one, nothing ever leaves.
    pub(super) fn new(interval: Option<Duration>, items_max: usize) -> Self {
        Self { slots: Slots::new(interval), here: HashMap::default(), items: 0, items_max, lost_bytes: 0 }
    }

    /// Adds to the current slot. `host` brings a reference along, which the item keeps.
    pub(super) fn add(&mut self, host: HostId, ip_bytes: u64, hosts: &mut Hosts) {
        let items = self.slots.items(self.slots.current());
        match self.here.get(&host) {
            Some(&at) => {
                items[at as usize].ip_bytes += ip_bytes;
                hosts.release(host);
            }
            None if self.items >= self.items_max => {
                self.lost_bytes += ip_bytes;
                return hosts.release(host);
            }
            None => {
                // Fits: there are fewer items than rows, and row numbers have 32 bits.
                self.here.insert(host, items.len() as u32);
                items.push(Item { host, ip_bytes });
                self.items += 1;
            }
        }
        hosts.get_mut(host).received_bytes += ip_bytes;
        hosts.touch(host);
    }

    /// Turns the window to `now`.
    pub(super) fn roll(&mut self, now: Moment, hosts: &mut Hosts) {
        let number = self.slots.number(now);
        if number > self.slots.current() {
            self.here = HashMap::default();
        }
        while let Some(leaving) = self.slots.roll_towards(number) {
            self.items -= leaving.len();
            for Item { host, ip_bytes } in leaving {
                hosts.get_mut(host).received_bytes -= ip_bytes;
                hosts.release(host);
            }
        }
    }

    /// Bytes that found no room since the start.
    pub(super) fn lost_bytes(&self) -> u64 {
        self.lost_bytes
    }
}
