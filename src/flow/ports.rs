//! The port window: the ports that each host contacted, over an interval of its own.

use std::time::Duration;

use crate::time::Moment;

use super::coarse_instant::CoarseInstant;
use super::container::chunked_vec::ChunkedVec;
use super::container::index::{Index, IndexKey};
use super::container::slab::{Chained, NONE, Slab};
use super::container::slot_ring::SlotRing;
use super::hash::Seed;
use super::hosts::{HostId, Hosts};
use super::observations::Observations;

/// One (host, protocol, port) that was contacted in a live slot.
#[derive(Debug)]
pub(super) struct PortRow {
    host: HostId,
    pub(super) port: u16,
    pub(super) protocol: u8,
    /// Observations of the answers to the contacts, from any destination.
    pub(super) observations: Observations,
    /// Time of the first contact.
    pub(super) contacted_at: CoarseInstant,
    /// The lower 32 bits of the number of the slot of its latest item. The row is freed when that slot expires.
    item_slot: u32,
    /// Number of its items, at most one per slot. The row is freed with the last.
    slots_live: u16,
    /// The rows before and after it in the chain of its host; [`NONE`] at the ends.
    previous: u32,
    next: u32,
}

const _: () = assert!(size_of::<PortRow>() <= 28);

impl Chained for PortRow {
    fn link(&mut self) -> &mut u32 {
        &mut self.next
    }
}

/// The rows of one host.
#[derive(Clone, Copy, Debug)]
struct HostPorts {
    count: u32,
    /// The first row in the chain of the host, which is the latest; [`NONE`] if there is none.
    first: u32,
}

/// A contact of a host at a port, and the observations of its answers so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct PortContact {
    pub(super) host: HostId,
    pub(super) protocol: u8,
    pub(super) port: u16,
    pub(super) observations: Observations,
    pub(super) at: CoarseInstant,
}

/// Contacted ports, counted once per slot.
#[derive(Debug)]
pub(super) struct PortWindow {
    rows: Slab<PortRow>,
    /// Indexed by the number of the host.
    hosts: ChunkedVec<HostPorts>,
    index: Index,
    slots: SlotRing<u32>,
    seed: Seed,
}

impl PortWindow {
    pub(super) fn new(interval: Option<Duration>, ports_max: usize, seed: Seed) -> Self {
        Self {
            rows: Slab::new(ports_max),
            hosts: ChunkedVec::default(),
            index: Index::new(),
            slots: SlotRing::new(interval),
            seed,
        }
    }

    /// Prefetches the index entries for a port of a host.
    #[inline]
    pub(super) fn prefetch(&self, host: HostId, protocol: u8, port: u16) {
        self.index.prefetch(self.index_key(host, protocol, port));
    }

    /// Prefetches the row that a port of a host may have; [`prefetch`](Self::prefetch) must have been called before.
    #[inline]
    pub(super) fn prefetch_candidate(&self, host: HostId, protocol: u8, port: u16) {
        if let Some(at) = self.index.first(self.index_key(host, protocol, port)) {
            self.rows.prefetch(at);
        }
    }

    /// Adds a contact and the observations of its answers to the current slot. Returns false if there is no room.
    pub(super) fn add(&mut self, contact: &PortContact, hosts: &mut Hosts) -> bool {
        let at = match self.find(contact) {
            Some(at) => at,
            None if !self.rows.has_room() => return false,
            None => self.insert(contact, hosts),
        };
        #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
        let current = self.slots.current() as u32;
        let row = &mut self.rows[at];
        row.observations |= contact.observations;
        if row.item_slot != current || row.slots_live == 0 {
            row.item_slot = current;
            row.slots_live += 1;
            self.slots.items(self.slots.current()).push(at);
        }
        true
    }

    /// Adds the observations of answers to a contact. Returns false if the window does not contain the contact.
    pub(super) fn answer(&mut self, contact: &PortContact) -> bool {
        let found = self.find(contact);
        if let Some(at) = found {
            self.rows[at].observations |= contact.observations;
        }
        found.is_some()
    }

    /// Makes the slot of `now` the current one.
    pub(super) fn advance(&mut self, now: Moment) {
        self.slots.advance(self.slots.number(now));
    }

    /// Subtracts expired items, at most `items_max`, and returns how many more could have been subtracted.
    pub(super) fn drain(&mut self, items_max: usize, hosts: &mut Hosts) -> usize {
        let (mut left, mut items) = (items_max, Vec::new());
        while self.slots.take_together(&mut left, &mut items) {
            items.iter().for_each(|&at| self.rows.prefetch(at));
            for row in items.iter().map(|&at| &self.rows[at]).filter(|row| row.slots_live == 1) {
                self.prefetch(row.host, row.protocol, row.port);
                self.hosts.prefetch(row.host.0);
                hosts.prefetch(row.host);
            }
            for &at in &items {
                let row = &mut self.rows[at];
                row.slots_live -= 1;
                if row.slots_live == 0 {
                    self.remove(at, hosts);
                }
            }
        }
        left
    }

    /// Returns the number of (protocol, port) that a host contacted.
    pub(super) fn count(&self, host: HostId) -> u32 {
        self.ports_of(host).count
    }

    /// Returns the lowest ports that a host contacted, ascending and without duplicates, at most `ports_max`.
    pub(super) fn of(&self, host: HostId, ports_max: usize) -> Vec<u16> {
        let mut ports: Vec<u16> = self.rows_of(host).map(|row| row.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(ports_max);
        ports
    }

    /// Returns the ports that a host contacted, the latest first.
    pub(super) fn rows_of(&self, host: HostId) -> impl Iterator<Item = &PortRow> {
        let mut at = self.ports_of(host).first;
        std::iter::from_fn(move || {
            (at != NONE).then(|| {
                let row = &self.rows[at];
                at = row.next;
                row
            })
        })
    }

    fn find(&self, &PortContact { host, protocol, port, .. }: &PortContact) -> Option<u32> {
        self.index.find(self.index_key(host, protocol, port), |at| self.rows[at].is(host, protocol, port))
    }

    #[inline]
    fn index_key(&self, host: HostId, protocol: u8, port: u16) -> IndexKey {
        let key = u64::from(host.0) << 24 | u64::from(protocol) << 16 | u64::from(port);
        IndexKey::of(self.seed.scramble(key), false)
    }

    fn ports_of(&self, host: HostId) -> HostPorts {
        self.hosts.get(host.0).copied().unwrap_or_default()
    }

    fn insert(&mut self, contact: &PortContact, hosts: &mut Hosts) -> u32 {
        let PortContact { host, protocol, port, at: contacted_at, .. } = *contact;
        let next = self.ports_of(host).first;
        let row = PortRow {
            host,
            port,
            protocol,
            observations: Observations::default(),
            contacted_at,
            slots_live: 0,
            item_slot: 0,
            previous: NONE,
            next,
        };
        let at = self.rows.insert(row);
        let ports = self.hosts.reach(host.0);
        ports.first = at;
        ports.count += 1;
        let count = ports.count;
        if next != NONE {
            self.rows[next].previous = at;
        }
        self.index.insert(self.index_key(host, protocol, port), at);
        hosts.hold(host);
        hosts.note_ports(host, count);
        at
    }

    fn remove(&mut self, at: u32, hosts: &mut Hosts) {
        let PortRow { host, port, protocol, previous, next, .. } = self.rows[at];
        self.index.remove(self.index_key(host, protocol, port), at);
        match previous {
            NONE => self.hosts[host.0].first = next,
            previous => self.rows[previous].next = next,
        }
        if next != NONE {
            self.rows[next].previous = previous;
        }
        self.rows.free(at);
        self.hosts[host.0].count -= 1;
        hosts.release(host);
    }
}

impl Default for HostPorts {
    fn default() -> Self {
        Self { count: 0, first: NONE }
    }
}

impl PortRow {
    fn is(&self, host: HostId, protocol: u8, port: u16) -> bool {
        self.host == host && self.protocol == protocol && self.port == port
    }
}
