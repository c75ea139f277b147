//! Hosts: one row for each address, with the sums of its traffic.
//!
//! The chart is the list of the hosts with at least `chart_bytes_min` bytes in the window; snapshots are made from it.

mod attention;
mod eviction;

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::container::chunked_vec::ChunkedVec;
use super::container::index::{Index, IndexKey};
use super::container::slab::{Chained, NONE, Slab};
use super::hash::Seed;
use super::metric::{Metric, PerMetric};
use super::rates::{Recent, RecentAnswers};
use super::return_paths::{ReturnPaths, are_neighbours};

use attention::DIRTY_MIN;

/// The number of a host. It is valid while a row or an item refers to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostId(pub(super) u32);

/// The row of one address, in one cache line.
#[derive(Debug)]
pub(super) struct Host {
    /// The bits of the address; those of IPv4 are the lowest 32.
    addr: u128,
    pub(super) packets: u64,
    pub(super) ip_bytes: u64,
    /// Number of pairs of this source with a contact in a live slot.
    pub(super) contacted_hosts: u32,
    /// Number of pairs to this host from other networks.
    inbound_pairs: u32,
    /// Number of references from rows and items; the host is freed with the last.
    references: u32,
    /// The first row in the chain of the pairs of this source.
    pub(super) first_pair: u32,
    /// The host that the sums of its pairs belong to: itself or its group.
    pub(super) owner: HostId,
    /// Its position in the chart; [`NONE`] if it is not in the chart.
    chart_at: u32,
    /// The lower 32 bits of the number of the traffic slot in which it entered as a source.
    entered: u32,
    /// The lower 8 bits of the number of the pass of eviction in which it entered.
    entered_in_pass: u8,
    flags: u8,
}

/// The address is an IPv4 address.
const IPV4: u8 = 1;
/// The host is in the list of hosts whose sums grew since they were last judged.
const DIRTY: u8 = 2;
/// The host is evicted last, because its address is protected.
const PROTECTED: u8 = 4;
/// The host is in a local network, so that it is evicted after the others.
const LOCAL: u8 = 8;

const _: () = assert!(size_of::<Host>() == 64);

impl Host {
    fn new(addr: u128, flags: u8) -> Self {
        Self {
            addr,
            packets: 0,
            ip_bytes: 0,
            contacted_hosts: 0,
            inbound_pairs: 0,
            references: 0,
            first_pair: NONE,
            owner: HostId(NONE),
            chart_at: NONE,
            entered: 0,
            entered_in_pass: 0,
            flags,
        }
    }

    /// Returns its address.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "`insert` stored 32 bits")]
    pub(super) fn addr(&self) -> IpAddr {
        if self.has(IPV4) { IpAddr::V4((self.addr as u32).into()) } else { IpAddr::V6(self.addr.into()) }
    }

    /// Returns true if it is evicted last of its class.
    pub(super) fn is_protected(&self) -> bool {
        self.has(PROTECTED)
    }

    /// Returns true if it is in a local network.
    pub(super) fn is_local(&self) -> bool {
        self.has(LOCAL)
    }

    /// Returns true if it is in the chart.
    pub(super) fn is_charted(&self) -> bool {
        self.chart_at != NONE
    }

    /// Returns true if the host has not been freed.
    pub(super) fn is_live(&self) -> bool {
        self.references > 0
    }

    /// Returns true if evicting it frees rows: it has not been freed and has sent something.
    pub(super) fn is_source(&self) -> bool {
        self.references > 0 && self.first_pair != NONE
    }

    /// Returns the approximate number of its pairs as a source: each takes one reference for its source and one for its
    /// owner.
    pub(super) fn pairs_about(&self) -> u32 {
        self.references.saturating_sub(self.inbound_pairs) / 2
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
    return_paths: ReturnPaths,
    chart_bytes_min: u64,
    charted: Vec<u32>,
    dirty: ChunkedVec<HostId>,
    /// Packets and contacts of each host within the last second; `None` if no limit needs them.
    recent: Option<ChunkedVec<Recent>>,
    /// Packets within the last second that only answer, if `recent` is kept; zeros beyond the end of the list.
    answers: ChunkedVec<RecentAnswers>,
    /// The current traffic slot and pass of eviction, which are stored in hosts that enter.
    slot: u64,
    pass: u8,
    other: Option<HostId>,
    protected: HashSet<IpAddr>,
    /// The local networks, without overlap and in ascending order.
    local: Vec<IpNet>,
    dirty_max: usize,
    /// A host is marked dirty if one of its counts reaches the value here.
    thresholds: PerMetric<u64>,
}

impl Hosts {
    pub(super) fn new(hosts_max: usize, chart_bytes_min: u64, seed: Seed) -> Self {
        Self {
            rows: Slab::new(hosts_max),
            index: Index::new(),
            return_paths: ReturnPaths::new(seed.clone()),
            seed,
            // A host that sent nothing is never in the chart.
            chart_bytes_min: chart_bytes_min.max(1),
            charted: Vec::new(),
            dirty: ChunkedVec::default(),
            recent: None,
            answers: ChunkedVec::default(),
            slot: 0,
            pass: 0,
            other: None,
            protected: HashSet::new(),
            local: Vec::new(),
            thresholds: PerMetric::default(),
            dirty_max: hosts_max.saturating_mul(2).max(DIRTY_MIN),
        }
    }

    /// Sets the current traffic slot.
    pub(super) fn set_current_slot(&mut self, slot: u64) {
        self.slot = slot;
    }

    /// Changes the minimum number of bytes for the chart.
    #[allow(clippy::cast_possible_truncation, reason = "the chart has no more entries than there are rows")]
    pub(super) fn chart_from(&mut self, chart_bytes_min: u64) {
        self.chart_bytes_min = chart_bytes_min.max(1);
        for at in self.charted.drain(..) {
            self.rows[at].chart_at = NONE;
        }
        for at in self.index.iter() {
            let host = &mut self.rows[at];
            if host.ip_bytes >= self.chart_bytes_min {
                host.chart_at = self.charted.len() as u32;
                self.charted.push(at);
            }
        }
    }

    /// Prefetches the index entries for an address.
    #[inline]
    pub(super) fn prefetch_place(&self, addr: &IpAddr) {
        self.index.prefetch(self.index_key(addr));
    }

    /// Prefetches the host that an address may have. [`prefetch_place`](Self::prefetch_place) must have been called
    /// before.
    #[inline]
    pub(super) fn prefetch_candidate(&self, addr: &IpAddr) {
        if let Some(at) = self.index.first(self.index_key(addr)) {
            self.prefetch_active(HostId(at));
        }
    }

    /// Prefetches a host.
    #[inline]
    pub(super) fn prefetch(&self, id: HostId) {
        self.rows.prefetch(id.0);
    }

    /// Prefetches a host and its rates.
    #[inline]
    pub(super) fn prefetch_active(&self, id: HostId) {
        self.rows.prefetch(id.0);
        if let Some(recent) = &self.recent {
            recent.prefetch(id.0);
        }
    }

    /// Returns the host of an address and adds a reference to it. Inserts it if it is new; `None` if there is no room.
    pub(super) fn refer(&mut self, addr: IpAddr) -> Option<HostId> {
        let key = self.index_key(&addr);
        let rows = &self.rows;
        let at = match self.index.find(key, |at| rows[at].is(&addr)) {
            Some(at) => at,
            None if !self.rows.has_room() => return None,
            None => self.insert(key, addr),
        };
        self.rows[at].references += 1;
        Some(HostId(at))
    }

    fn insert(&mut self, key: IndexKey, addr: IpAddr) -> u32 {
        let (bits, flags) = match addr {
            IpAddr::V4(addr) => (u128::from(addr.to_bits()), IPV4),
            IpAddr::V6(addr) => (addr.to_bits(), 0),
        };
        let flags = flags | self.protection_of(&addr);
        let at = self.rows.insert(Host::new(bits, flags));
        self.index.insert(key, at);
        if let Some(recent) = &mut self.recent
            && (at as usize) < recent.len()
        {
            recent[at] = Recent::default();
        }
        if (at as usize) < self.answers.len() {
            self.answers[at] = RecentAnswers::default();
        }
        at
    }

    #[inline]
    fn index_key(&self, addr: &IpAddr) -> IndexKey {
        IndexKey::of(self.seed.addr(addr), false)
    }

    /// Returns the host of `owner` and adds a reference to it; `None` if it is new and there is no room. It is `id`
    /// unless addresses are grouped.
    pub(super) fn refer_owner(&mut self, id: HostId, owner: IpAddr) -> Option<HostId> {
        let host = &mut self.rows[id.0];
        if !host.is(&owner) {
            return self.refer(owner);
        }
        host.references += 1;
        Some(id)
    }

    /// Adds a reference.
    pub(super) fn hold(&mut self, id: HostId) {
        self.rows[id.0].references += 1;
    }

    /// Removes a reference; frees the host if it was the last one.
    pub(super) fn release(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        host.references -= 1;
        if host.references == 0 {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: HostId) {
        let host = &self.rows[id.0];
        debug_assert!(host.ip_bytes == 0 && host.chart_at == NONE, "a freed host has bytes in the window");
        let key = self.index_key(&host.addr());
        self.index.remove(key, id.0);
        // The list of dirty hosts may still contain its number; `take_dirty` skips a host without flags.
        self.rows[id.0].flags = 0;
        self.rows.free(id.0);
    }

    /// Counts a new pair at its destination, if the source belongs to another network.
    pub(super) fn join(&mut self, src: HostId, dst: HostId) {
        let (from, to) = (self.rows[src.0].addr(), &mut self.rows[dst.0]);
        if !are_neighbours(&from, &to.addr()) {
            to.inbound_pairs += 1;
            if to.inbound_pairs == 1 {
                self.return_paths.add(&to.addr());
            }
        }
    }

    /// Subtracts a freed pair from the count at its destination.
    pub(super) fn part(&mut self, src: HostId, dst: HostId) {
        let (from, to) = (self.rows[src.0].addr(), &mut self.rows[dst.0]);
        if !are_neighbours(&from, &to.addr()) {
            to.inbound_pairs -= 1;
            if to.inbound_pairs == 0 {
                self.return_paths.subtract(&to.addr());
            }
        }
    }

    /// Returns true if traffic from other networks to the network of a host passes here, and so do the answers to the
    /// host.
    pub(super) fn has_return_path(&self, id: HostId) -> bool {
        self.return_paths.is_sent_to(&self.rows[id.0].addr())
    }

    /// Returns the host of an address; `None` if it is not in the window.
    pub(super) fn find(&self, addr: &IpAddr) -> Option<HostId> {
        self.index.find(self.index_key(addr), |at| self.rows[at].is(addr)).map(HostId)
    }

    pub(super) fn get(&self, id: HostId) -> &Host {
        &self.rows[id.0]
    }

    pub(super) fn get_mut(&mut self, id: HostId) -> &mut Host {
        &mut self.rows[id.0]
    }

    /// Adds what a source sent.
    #[allow(clippy::cast_possible_truncation, reason = "the chart has no more entries than there are rows")]
    pub(super) fn add_sent(&mut self, id: HostId, packets: u64, ip_bytes: u64) {
        let host = &mut self.rows[id.0];
        host.packets += packets;
        host.ip_bytes += ip_bytes;
        if host.chart_at == NONE && host.ip_bytes >= self.chart_bytes_min {
            host.chart_at = self.charted.len() as u32;
            self.charted.push(id.0);
        }
        if host.ip_bytes >= self.thresholds[Metric::IpBytes] {
            self.mark_dirty(id);
        }
    }

    /// Adds a contact with one more host.
    pub(super) fn add_contact(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        host.contacted_hosts += 1;
        if u64::from(host.contacted_hosts) >= self.thresholds[Metric::ContactedHosts] {
            self.mark_dirty(id);
        }
    }

    /// Subtracts what a source sent in an expired slot.
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

    /// Returns the hosts in the chart, in no particular order.
    pub(super) fn charted(&self) -> impl Iterator<Item = HostId> + '_ {
        self.charted.iter().map(|&at| HostId(at))
    }

    /// Returns all hosts, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = HostId> + '_ {
        self.index.iter().map(HostId)
    }

    /// Returns the number of hosts, without the row that stands for others.
    pub(super) fn len(&self) -> usize {
        self.rows.len() - usize::from(self.other.is_some())
    }
}
