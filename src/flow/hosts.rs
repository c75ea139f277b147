//! Addresses, each kept once, with the sums of what they did.

mod attention;
mod eviction;

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::container::chunked_vec::ChunkedVec;
use super::container::index::{Index, Place};
use super::container::slab::{Chained, NONE, Slab};
use super::hash::Seed;
use super::metric::{Metric, PerMetric};
use super::rates::Recent;
use super::return_paths::{ReturnPaths, are_neighbours};

use attention::DIRTY_MIN;

/// The number of a host while anything in a window speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostId(pub(super) u32);

/// One address: a cache line.
#[derive(Debug)]
pub(super) struct Host {
    /// Its bits; those of IPv4 in the lowest 32.
    addr: u128,
    pub(super) packets: u64,
    pub(super) ip_bytes: u64,
    /// Pairs of this source with a contact in a live slot.
    pub(super) contacted_hosts: u32,
    /// Pairs to it from other networks.
    heard_from: u32,
    /// Rows that name this host; it is freed with the last.
    references: u32,
    /// The chain through the rows of this source.
    pub(super) first_pair: u32,
    /// Whose sums its pairs are in: its own, or its group's.
    pub(super) owner: HostId,
    /// Its place in the list of charted hosts.
    chart_at: u32,
    /// The traffic slot in which it entered as a source, cut to 32 bits, and the pass of eviction.
    entered: u32,
    entered_in_pass: u8,
    flags: u8,
}

/// Its address is one of IPv4.
const IPV4: u8 = 1;
/// It is in the list of hosts whose sums grew since the last judgement.
const DIRTY: u8 = 2;
/// It is evicted last of all: somebody asked for it, or for its network.
const PROTECTED: u8 = 4;
const LOCAL: u8 = 8;

const _: () = assert!(size_of::<Host>() == 64);

impl Host {
    fn new(addr: u128, flags: u8) -> Self {
        Self {
            addr,
            packets: 0,
            ip_bytes: 0,
            contacted_hosts: 0,
            heard_from: 0,
            references: 0,
            first_pair: NONE,
            owner: HostId(NONE),
            chart_at: NONE,
            entered: 0,
            entered_in_pass: 0,
            flags,
        }
    }

    /// Its address.
    #[inline]
    pub(super) fn addr(&self) -> IpAddr {
        if self.has(IPV4) {
            // Fits: it was put in from 32 bits.
            IpAddr::V4((self.addr as u32).into())
        } else {
            IpAddr::V6(self.addr.into())
        }
    }

    /// Whether it is evicted last of all.
    pub(super) fn is_protected(&self) -> bool {
        self.has(PROTECTED | LOCAL)
    }

    /// Whether it has enough bytes to be shown.
    pub(super) fn is_charted(&self) -> bool {
        self.chart_at != NONE
    }

    /// Whether its number is still its own.
    pub(super) fn is_there(&self) -> bool {
        self.references > 0
    }

    /// Whether anything is to be had by evicting it: it is there, and has sent something.
    pub(super) fn is_source(&self) -> bool {
        self.references > 0 && self.first_pair != NONE
    }

    /// About how many pairs it has as a source: each takes a reference for its source and one for its owner.
    pub(super) fn pairs_about(&self) -> u32 {
        self.references.saturating_sub(self.heard_from) / 2
    }

    #[inline]
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    #[inline]
    fn is(&self, addr: &IpAddr) -> bool {
        match addr {
            IpAddr::V4(addr) => self.has(IPV4) && self.addr == u128::from(addr.to_bits()),
            IpAddr::V6(addr) => !self.has(IPV4) && self.addr == addr.to_bits(),
        }
    }
}

impl Chained for Host {
    fn link(&mut self) -> &mut u32 {
        &mut self.first_pair
    }
}

/// All hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    rows: Slab<Host>,
    index: Index,
    seed: Seed,
    networks: ReturnPaths,
    chart_bytes_min: u64,
    charted: Vec<u32>,
    dirty: ChunkedVec<HostId>,
    /// What each did within the last second, where a limit asks for it.
    recent: Option<ChunkedVec<Recent>>,
    /// The slot that hosts enter in, and the pass of eviction.
    slot: u64,
    pass: u8,
    other: Option<HostId>,
    protected: HashSet<IpAddr>,
    local: Vec<IpNet>,
    dirty_max: usize,
    /// From these counts on, a host is marked dirty.
    thresholds: PerMetric<u64>,
}

impl Hosts {
    pub(super) fn new(hosts_max: usize, chart_bytes_min: u64, seed: Seed) -> Self {
        Self {
            rows: Slab::new(hosts_max),
            index: Index::new(),
            networks: ReturnPaths::new(seed.clone()),
            seed,
            // A host that sent nothing is on no chart.
            chart_bytes_min: chart_bytes_min.max(1),
            charted: Vec::new(),
            dirty: ChunkedVec::default(),
            recent: None,
            slot: 0,
            pass: 0,
            other: None,
            protected: HashSet::new(),
            local: Vec::new(),
            thresholds: PerMetric::default(),
            dirty_max: hosts_max.saturating_mul(2).max(DIRTY_MIN),
        }
    }

    /// Says which traffic slot is current.
    pub(super) fn enter_in(&mut self, slot: u64) {
        self.slot = slot;
    }

    /// Changes from which bytes on a host is on the chart.
    pub(super) fn chart_from(&mut self, chart_bytes_min: u64) {
        self.chart_bytes_min = chart_bytes_min.max(1);
        for at in self.charted.drain(..) {
            self.rows[at].chart_at = NONE;
        }
        for at in self.index.iter() {
            let host = &mut self.rows[at];
            if host.ip_bytes >= self.chart_bytes_min {
                // Fits: there are fewer charted hosts than rows.
                host.chart_at = self.charted.len() as u32;
                self.charted.push(at);
            }
        }
    }

    /// Has the place fetched where an address is looked for.
    #[inline]
    pub(super) fn prefetch_place(&self, addr: &IpAddr) {
        self.index.prefetch(self.place(addr));
    }

    /// Has the host fetched that an address has if it has any, once its place was.
    #[inline]
    pub(super) fn prefetch_candidate(&self, addr: &IpAddr) {
        if let Some(at) = self.index.first(self.place(addr)) {
            self.prefetch_active(HostId(at));
        }
    }

    /// Has a host fetched that is read soon.
    #[inline]
    pub(super) fn prefetch(&self, id: HostId) {
        self.rows.prefetch(id.0);
    }

    /// The same with what it did within the last moments.
    #[inline]
    pub(super) fn prefetch_active(&self, id: HostId) {
        self.rows.prefetch(id.0);
        if let Some(recent) = &self.recent {
            recent.prefetch(id.0);
        }
    }

    /// The host of an address, with one more reference; `None` when it is new and there is no room.
    pub(super) fn refer(&mut self, addr: IpAddr) -> Option<HostId> {
        let place = self.place(&addr);
        let rows = &self.rows;
        let at = match self.index.find(place, |at| rows[at].is(&addr)) {
            Some(at) => at,
            None if !self.rows.has_room() => return None,
            None => self.insert(place, addr),
        };
        self.rows[at].references += 1;
        Some(HostId(at))
    }

    fn insert(&mut self, place: Place, addr: IpAddr) -> u32 {
        let (bits, flags) = match addr {
            IpAddr::V4(addr) => (u128::from(addr.to_bits()), IPV4),
            IpAddr::V6(addr) => (addr.to_bits(), 0),
        };
        let flags = flags | self.protection_of(&addr);
        let at = self.rows.insert(Host::new(bits, flags));
        self.index.insert(place, at);
        if let Some(recent) = &mut self.recent
            && (at as usize) < recent.len()
        {
            recent[at] = Recent::default();
        }
        at
    }

    #[inline]
    fn place(&self, addr: &IpAddr) -> Place {
        Place::of(self.seed.addr(addr), false)
    }

    /// Takes a reference to the host that `owner` is, which is the one of `id` unless addresses are grouped.
    pub(super) fn refer_owner(&mut self, id: HostId, owner: IpAddr) -> Option<HostId> {
        let host = &mut self.rows[id.0];
        if !host.is(&owner) {
            return self.refer(owner);
        }
        host.references += 1;
        Some(id)
    }

    /// Takes a further reference.
    pub(super) fn hold(&mut self, id: HostId) {
        self.rows[id.0].references += 1;
    }

    /// Takes one reference back.
    pub(super) fn release(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        host.references -= 1;
        if host.references == 0 {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: HostId) {
        let host = &self.rows[id.0];
        debug_assert!(host.ip_bytes == 0 && host.chart_at == NONE, "a host left with bytes in the window");
        let place = self.place(&host.addr());
        self.index.remove(place, id.0);
        // Where it is in the list of dirty hosts, it is passed over there.
        self.rows[id.0].flags = 0;
        self.rows.free(id.0);
    }

    /// Notes that a pair leads from one host to another.
    pub(super) fn join(&mut self, src: HostId, dst: HostId) {
        let (from, to) = (self.rows[src.0].addr(), &mut self.rows[dst.0]);
        if !are_neighbours(&from, &to.addr()) {
            to.heard_from += 1;
            if to.heard_from == 1 {
                self.networks.add(&to.addr());
            }
        }
    }

    /// Notes that the pair is gone.
    pub(super) fn part(&mut self, src: HostId, dst: HostId) {
        let (from, to) = (self.rows[src.0].addr(), &mut self.rows[dst.0]);
        if !are_neighbours(&from, &to.addr()) {
            to.heard_from -= 1;
            if to.heard_from == 0 {
                self.networks.subtract(&to.addr());
            }
        }
    }

    /// Whether anything came from elsewhere for a host's network: then its answers pass here, if there are any.
    pub(super) fn is_answered_here(&self, id: HostId) -> bool {
        self.networks.hears(&self.rows[id.0].addr())
    }

    /// The host of an address.
    pub(super) fn find(&self, addr: &IpAddr) -> Option<HostId> {
        self.index.find(self.place(addr), |at| self.rows[at].is(addr)).map(HostId)
    }

    pub(super) fn get(&self, id: HostId) -> &Host {
        &self.rows[id.0]
    }

    pub(super) fn get_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.rows[id.0]
    }

    /// Adds what a source sent.
    pub(super) fn add_sent(&mut self, id: HostId, packets: u64, ip_bytes: u64) {
        let host = &mut self.rows[id.0];
        host.packets += packets;
        host.ip_bytes += ip_bytes;
        if host.chart_at == NONE && host.ip_bytes >= self.chart_bytes_min {
            // Fits: there are fewer charted hosts than rows.
            host.chart_at = self.charted.len() as u32;
            self.charted.push(id.0);
        }
        if host.ip_bytes >= self.thresholds[Metric::IpBytes] {
            self.mark_dirty(id);
        }
    }

    /// One more host is contacted.
    pub(super) fn add_contact(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        host.contacted_hosts += 1;
        if u64::from(host.contacted_hosts) >= self.thresholds[Metric::ContactedHosts] {
            self.mark_dirty(id);
        }
    }

    /// Subtracts what left the window.
    pub(super) fn subtract_sent(&mut self, id: HostId, packets: u64, ip_bytes: u64) {
        let host = &mut self.rows[id.0];
        host.packets -= packets;
        host.ip_bytes -= ip_bytes;
        if host.chart_at != NONE && host.ip_bytes < self.chart_bytes_min {
            let hole = std::mem::replace(&mut host.chart_at, NONE);
            self.charted.swap_remove(hole as usize);
            if let Some(&moved) = self.charted.get(hole as usize) {
                self.rows[moved].chart_at = hole;
            }
        }
    }

    /// The hosts with enough bytes to be shown, in no order.
    pub(super) fn charted(&self) -> impl Iterator<Item = HostId> + '_ {
        self.charted.iter().map(|&at| HostId(at))
    }

    /// All hosts, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = HostId> + '_ {
        self.index.iter().map(HostId)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() - usize::from(self.other.is_some())
    }
}
