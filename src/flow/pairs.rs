//! Directed pairs of hosts while they are in the window.

use std::net::IpAddr;

use hashbrown::HashTable;

use crate::packet::Endpoints;

use super::contacted::Contacted;
use super::hash::Seed;
use super::hosts::{HostId, Hosts};
use super::roles::Role;
use super::rows::{NONE, Rows};
use super::signs::Signs;
use super::stamp::Stamp;

/// A slot number that no slot has.
pub(super) const NEVER: u64 = u64::MAX;

/// One direction between two hosts.
#[derive(Debug)]
pub(super) struct Pair {
    /// The hash that its deltas carry.
    hash: u64,
    pub(super) src: HostId,
    pub(super) dst: HostId,
    /// Whose sums it is in: its source, or the group of that.
    pub(super) owner: HostId,
    pub(super) packets: u64,
    pub(super) ip_bytes: u64,
    /// Items of live slots that name this row; it is freed with the last. Ten, and one more for each 2^31 packets.
    pub(super) items_live: u16,
    /// Those of them that are a contact.
    pub(super) contacts_live: u16,
    /// The slot that its latest item is in, and where.
    pub(super) item_slot: u64,
    pub(super) item_at: u32,
    /// What its source is in the exchange with its destination, and the last slot with a word of it.
    pub(super) role: Role,
    pub(super) heard_slot: u64,
    /// What it showed while the row lives, and which ports it contacted.
    pub(super) signs: Signs,
    pub(super) contacted: Contacted,
    /// When the first of its live contacts was counted.
    pub(super) contacted_at: Stamp,
    /// Whether its bare ACKs are probes.
    pub(super) probe: Probe,
    /// The row of the other direction, once both were there.
    reverse: u32,
    previous: u32,
    next: u32,
}

// Memory is bounded by the number of rows.
const _: () = assert!(size_of::<Pair>() <= 104);

/// What is known of the bare ACKs of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing; they may be part of a connection.
    Unknown,
    /// They were reset, and it is not yet decided.
    Waits,
    /// They were reset and belong to no connection.
    Is,
}

/// All pairs.
#[derive(Debug)]
pub(super) struct Pairs {
    rows: Rows<Pair>,
    index: HashTable<u32>,
}

impl Pairs {
    pub(super) fn new(pairs_max: usize) -> Self {
        Self { rows: Rows::new(pairs_max), index: HashTable::new() }
    }

    pub(super) fn get(&self, at: u32) -> &Pair {
        &self.rows[at]
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Pair {
        &mut self.rows[at]
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The row of a pair whose hash is known.
    pub(super) fn find(&self, hash: u64, endpoints: &Endpoints, hosts: &Hosts) -> Option<u32> {
        let is_it = |&at: &u32| {
            let pair = &self.rows[at];
            pair.hash == hash
                && hosts.get(pair.src).addr == endpoints.src()
                && hosts.get(pair.dst).addr == endpoints.dst()
        };
        self.index.find(hash, is_it).copied()
    }

    /// The row of a pair, a new one if it is new, with the sums of `owner`; `None` when there is no room for it or one of its hosts.
    pub(super) fn find_or_insert(
        &mut self,
        hash: u64,
        endpoints: &Endpoints,
        hosts: &mut Hosts,
        owner: IpAddr,
    ) -> Option<u32> {
        if let Some(at) = self.find(hash, endpoints, hosts) {
            return Some(at);
        }
        if !self.rows.has_room() {
            return None;
        }
        let src = hosts.refer(endpoints.src())?;
        let Some(dst) = hosts.refer(endpoints.dst()) else {
            hosts.release(src);
            return None;
        };
        let Some(owner) = hosts.refer_owner(src, owner) else {
            hosts.release(src);
            hosts.release(dst);
            return None;
        };
        hosts.join(src, dst);
        let next = hosts.get(owner).first_pair;
        let at = self.rows.insert(Pair {
            hash,
            src,
            dst,
            owner,
            packets: 0,
            ip_bytes: 0,
            items_live: 0,
            contacts_live: 0,
            item_slot: NEVER,
            item_at: 0,
            role: Role::None,
            heard_slot: NEVER,
            signs: Signs::default(),
            contacted: Contacted::default(),
            contacted_at: Stamp::default(),
            probe: Probe::Unknown,
            reverse: NONE,
            previous: NONE,
            next,
        });
        hosts.get_mut(owner).first_pair = at;
        if next != NONE {
            self.rows[next].previous = at;
        }
        let rows = &self.rows;
        self.index.insert_unique(hash, at, |&at| rows[at].hash);
        Some(at)
    }

    /// Frees a row and what it refers to.
    pub(super) fn remove(&mut self, at: u32, hosts: &mut Hosts) {
        let Pair { hash, src, dst, owner, reverse, previous, next, .. } = self.rows[at];
        let entry = self.index.find_entry(hash, |&other| other == at).expect("every pair is indexed");
        entry.remove();
        match previous {
            NONE => hosts.get_mut(owner).first_pair = next,
            previous => self.rows[previous].next = next,
        }
        if next != NONE {
            self.rows[next].previous = previous;
        }
        if reverse != NONE {
            self.rows[reverse].reverse = NONE;
        }
        // Whatever still waits for this row must not find its role in it.
        self.rows[at].role = Role::None;
        self.rows[at].probe = Probe::Unknown;
        self.rows.free(at);
        hosts.part(src, dst);
        hosts.release(src);
        hosts.release(dst);
        hosts.release(owner);
    }

    /// The row of the other direction.
    pub(super) fn reverse(&mut self, at: u32, hosts: &Hosts, seed: &Seed) -> Option<u32> {
        let reverse = self.peek_reverse(at, hosts, seed)?;
        self.rows[at].reverse = reverse;
        self.rows[reverse].reverse = at;
        Some(reverse)
    }

    /// The same without remembering it.
    pub(super) fn peek_reverse(&self, at: u32, hosts: &Hosts, seed: &Seed) -> Option<u32> {
        let pair = &self.rows[at];
        if pair.reverse != NONE {
            return Some(pair.reverse);
        }
        let there = endpoints(hosts, pair.dst, pair.src)?;
        self.find(seed.pair(&there), &there, hosts)
    }

    /// The pairs of one source or group, the latest first.
    pub(super) fn of(&self, host: HostId, hosts: &Hosts) -> impl Iterator<Item = &Pair> {
        self.rows_of(host, hosts).map(|at| &self.rows[at])
    }

    /// Their numbers.
    pub(super) fn rows_of(&self, host: HostId, hosts: &Hosts) -> impl Iterator<Item = u32> {
        let mut at = hosts.get(host).first_pair;
        std::iter::from_fn(move || {
            (at != NONE).then(|| {
                let this = at;
                at = self.rows[this].next;
                this
            })
        })
    }

    /// All pairs, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.index.iter().map(|&at| &self.rows[at])
    }
}

fn endpoints(hosts: &Hosts, src: HostId, dst: HostId) -> Option<Endpoints> {
    Endpoints::new(hosts.get(src).addr, hosts.get(dst).addr)
}
