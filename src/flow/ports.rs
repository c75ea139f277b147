//! The port window: which ports each host contacted, over a span of its own.

use std::time::Duration;

use hashbrown::HashTable;

use crate::time::Moment;

use super::hash::Seed;
use super::hosts::{HostId, Hosts};
use super::rows::{NONE, Rows};
use super::signs::Signs;
use super::slots::Slots;
use super::stamp::Stamp;

/// One (host, protocol, port) that was contacted in a live slot.
#[derive(Debug)]
pub(super) struct PortRow {
    host: HostId,
    pub(super) port: u16,
    pub(super) protocol: u8,
    /// How it was answered, at whichever hosts.
    pub(super) signs: Signs,
    /// When it was first contacted.
    pub(super) contacted_at: Stamp,
    slots_live: u16,
    /// The slot that its latest item is in.
    item_slot: u64,
    previous: u32,
    next: u32,
}

const _: () = assert!(size_of::<PortRow>() <= 32);

/// What is said of a host and a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortContact {
    pub(super) host: HostId,
    pub(super) protocol: u8,
    pub(super) port: u16,
    pub(super) signs: Signs,
    pub(super) at: Stamp,
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

    /// Notes that a host contacted a port in the current slot, and how that was answered so far. False when there is
    /// no room.
    pub(super) fn add(&mut self, contact: &PortContact, hosts: &mut Hosts) -> bool {
        let hash = self.hash(contact);
        let at = match self.find(hash, contact) {
            Some(at) => at,
            None if !self.rows.has_room() => return false,
            None => self.insert(hash, contact, hosts),
        };
        self.rows[at].signs |= contact.signs;
        let current = self.slots.current();
        let row = &mut self.rows[at];
        if row.item_slot != current || row.slots_live == 0 {
            row.item_slot = current;
            row.slots_live += 1;
            self.slots.items(current).push(at);
        }
        true
    }

    /// Notes how a contact was answered. False where there is none.
    pub(super) fn answer(&mut self, contact: &PortContact) -> bool {
        let found = self.find(self.hash(contact), contact);
        if let Some(at) = found {
            self.rows[at].signs |= contact.signs;
        }
        found.is_some()
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
        let mut ports: Vec<u16> = self.rows_of(host, hosts).map(|row| row.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(ports_max);
        ports
    }

    /// The ports that a host contacted, the latest first.
    pub(super) fn rows_of(&self, host: HostId, hosts: &Hosts) -> impl Iterator<Item = &PortRow> {
        let mut at = hosts.get(host).first_port;
        std::iter::from_fn(move || {
            (at != NONE).then(|| {
                let row = &self.rows[at];
                at = row.next;
                row
            })
        })
    }

    fn find(&self, hash: u64, &PortContact { host, protocol, port, .. }: &PortContact) -> Option<u32> {
        self.index.find(hash, |&at| self.rows[at].is(host, protocol, port)).copied()
    }

    fn hash(&self, &PortContact { host, protocol, port, .. }: &PortContact) -> u64 {
        self.seed.of((host, protocol, port))
    }

    fn insert(&mut self, hash: u64, contact: &PortContact, hosts: &mut Hosts) -> u32 {
        let PortContact { host: id, protocol, port, at: contacted_at, .. } = *contact;
        let host = hosts.get_mut(id);
        host.references += 1;
        host.contacted_ports += 1;
        let next = host.first_port;
        let row = PortRow {
            host: id,
            port,
            protocol,
            signs: Signs::default(),
            contacted_at,
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
        let hash = self.seed.of((host, protocol, port));
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
