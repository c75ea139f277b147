//! The port window: which ports each host contacted, over a span of its own.

use std::time::Duration;

use hashbrown::HashTable;

use crate::time::Moment;

use super::hash::Seed;
use super::hosts::{HostId, Hosts};
use super::rows::{NONE, Rows};
use super::slots::Slots;

/// One (host, protocol, port) that was contacted in a live slot.
#[derive(Debug)]
struct PortRow {
    host: HostId,
    port: u16,
    protocol: u8,
    slots_live: u16,
    /// The slot that its latest item is in.
    item_slot: u64,
    previous: u32,
    next: u32,
}

/// Contacted ports, counted once per slot.
#[derive(Debug)]
pub(super) struct PortWindow {
    rows: Rows<PortRow>,
    index: HashTable<u32>,
    slots: Slots<u32>,
    seed: Seed,
}

impl PortWindow {
    pub(super) fn new(interval: Option<Duration>, ports_max: usize, seed: Seed) -> Self {
        Self { rows: Rows::new(ports_max), index: HashTable::new(), slots: Slots::new(interval), seed }
    }

    /// Notes that a host contacted a port in the current slot. False when there is no room.
    pub(super) fn add(&mut self, host: HostId, protocol: u8, port: u16, hosts: &mut Hosts) -> bool {
        let hash = self.hash(host, protocol, port);
        let rows = &self.rows;
        let found = self.index.find(hash, |&at| rows[at].is(host, protocol, port)).copied();
        let at = match found {
            Some(at) => at,
            None if !self.rows.has_room() => return false,
            None => self.insert(hash, host, protocol, port, hosts),
        };
        let current = self.slots.current();
        let row = &mut self.rows[at];
        if row.item_slot != current || row.slots_live == 0 {
            row.item_slot = current;
            row.slots_live += 1;
            self.slots.items(current).push(at);
        }
        true
    }

    /// Turns the window to `moment`.
    pub(super) fn roll(&mut self, moment: Moment, hosts: &mut Hosts) {
        let number = self.slots.number(moment);
        while let Some(leaving) = self.slots.roll_towards(number) {
            for at in leaving {
                let row = &mut self.rows[at];
                row.slots_live -= 1;
                if row.slots_live == 0 {
                    self.remove(at, hosts);
                }
            }
        }
    }

    /// The lowest ports that a host contacted, ascending, each once, at most `ports_max`.
    pub(super) fn of(&self, host: HostId, hosts: &Hosts, ports_max: usize) -> Vec<u16> {
        let mut ports = Vec::new();
        let mut at = hosts.get(host).first_port;
        while at != NONE {
            ports.push(self.rows[at].port);
            at = self.rows[at].next;
        }
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(ports_max);
        ports
    }

    fn hash(&self, host: HostId, protocol: u8, port: u16) -> u64 {
        self.seed.of((host, protocol, port))
    }

    fn insert(&mut self, hash: u64, id: HostId, protocol: u8, port: u16, hosts: &mut Hosts) -> u32 {
        let host = hosts.get_mut(id);
        host.references += 1;
        host.contacted_ports += 1;
        let next = host.first_port;
        let row = PortRow {
            host: id,
            port,
            protocol,
            slots_live: 0,
            item_slot: self.slots.current(),
            previous: NONE,
            next,
        };
        let at = self.rows.insert(row);
        host.first_port = at;
        if next != NONE {
            self.rows[next].previous = at;
        }
        let (rows, seed) = (&self.rows, &self.seed);
        self.index.insert_unique(hash, at, |&at| {
            let row = &rows[at];
            seed.of((row.host, row.protocol, row.port))
        });
        hosts.touch(id);
        at
    }

    fn remove(&mut self, at: u32, hosts: &mut Hosts) {
        let PortRow { host, port, protocol, previous, next, .. } = self.rows[at];
        let hash = self.hash(host, protocol, port);
        let entry = self.index.find_entry(hash, |&other| other == at).expect("every port is indexed");
        entry.remove();
        match previous {
            NONE => hosts.get_mut(host).first_port = next,
            previous => self.rows[previous].next = next,
        }
        if next != NONE {
            self.rows[next].previous = previous;
        }
        self.rows.free(at);
        hosts.get_mut(host).contacted_ports -= 1;
        hosts.release(host);
    }
}

impl PortRow {
    fn is(&self, host: HostId, protocol: u8, port: u16) -> bool {
        self.host == host && self.protocol == protocol && self.port == port
    }
}
