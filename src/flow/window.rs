//! The merged state: a delta is added to the current slot, and an expired slot is subtracted.
//!
//! Each live slot has one item for each pair that was active in it, and the sums of a host are the sums of its pairs'
//! live items. A row lives as long as it has items, so memory follows the traffic of the window. A window belongs to
//! one thread and never reads a clock.

mod answers;
mod counts;
mod eviction;
mod evidence;
mod exchanges;
mod expiry;
mod listing;

use std::collections::BTreeMap;

use crate::time::Moment;

use super::coarse_instant::CoarseInstant;
use super::container::delay_queue::DelayQueue;
use super::container::slab::{NONE, TOGETHER};
use super::container::slot_ring::SlotRing;
use super::delta::Delta;
use super::hash::Seed;
use super::hosts::Hosts;
use super::interfaces::{InterfaceCounts, OVERFLOW_IFINDEX};
use super::known_services::{KnownService, KnownServices};
use super::loss::LossWindow;
use super::observations::Observations;
use super::pair_delta::{PairDelta, PortDelta};
use super::pair_key::{PairKey, PortOf};
use super::pairs::{Pairs, Sought};
use super::port_sketch::PortHasher;
use super::ports::PortWindow;
use super::prefix_groups::PrefixGroups;
use super::rates::RateClock;
use super::received::ReceivedWindow;
use super::roles::{Pending, Roles};
use super::slot_records::{SlotRecord, SlotRecords};
use super::snapshot::{Accounting, KernelCounts};
use super::table::Row;
use super::{Capacity, Options};

pub use counts::HostCounts;
pub use listing::{HostListing, LIST_PART_ROWS, Listing, ListingRoom};

use answers::{WaitingPort, WaitingProbe};
use eviction::Eviction;

pub use eviction::Other;

/// Maximum number of interfaces with counts of their own; further ones share a row.
const INTERFACES_MAX: usize = 4096;

/// The traffic window and the port window, merged over all workers.
#[derive(Debug)]
pub struct Window {
    hosts: Hosts,
    pairs: Pairs,
    items: SlotRecords,
    ports: Option<PortWindow>,
    roles: Roles,
    /// Ports of undecided exchanges, and answers whose contact was not yet folded.
    waiting_ports: DelayQueue<WaitingPort>,
    waiting_answers: DelayQueue<WaitingPort>,
    waiting_probes: DelayQueue<WaitingProbe>,
    /// Answers without a contact so far; they are kept until all contacts are decided.
    unmatched: Vec<WaitingPort>,
    /// The exchanges and the ports of the batch in work.
    deciding: Vec<(u32, Pending)>,
    taking_ports: Vec<WaitingPort>,
    /// The rows that the pairs of a delta were folded into, or [`NONE`] if the row may have been freed since.
    folded: Vec<u32>,
    services: KnownServices,
    /// Services that become known with the next decision, so that the order of folding does not matter.
    new_services: Vec<(KnownService, Moment)>,
    accounting: Accounting,
    interfaces: BTreeMap<u32, InterfaceCounts>,
    /// True if frames crossed an interface without a row of its own.
    interfaces_without_row: bool,
    loss: LossWindow,
    port_hasher: PortHasher,
    rates: RateClock,
    received: ReceivedWindow,
    groups: PrefixGroups,
    eviction: Eviction,
    seed: Seed,
}

impl Window {
    /// Makes an empty window. The deltas must have been made with the same `seed`.
    pub fn new(options: &Options, limits: &Capacity, seed: Seed) -> Self {
        Self::with_intervals(options, limits, seed, false)
    }

    /// Makes a window in which nothing expires, for the totals of a whole capture.
    pub fn unbounded(options: &Options, limits: &Capacity, seed: Seed) -> Self {
        Self::with_intervals(options, limits, seed, true)
    }

    fn with_intervals(options: &Options, limits: &Capacity, seed: Seed, forever: bool) -> Self {
        let ports = options
            .port_interval
            .map(|interval| PortWindow::new((!forever).then_some(interval), limits.ports_max, seed.clone()));
        Self {
            hosts: Hosts::new(limits.hosts_max, options.chart_bytes_min, seed.clone()),
            pairs: Pairs::new(limits.pairs_max, seed.clone()),
            items: SlotRecords::new(SlotRing::new((!forever).then_some(options.traffic_interval))),
            ports,
            roles: Roles::new(limits.pending_max),
            waiting_ports: DelayQueue::new(limits.pending_max),
            waiting_answers: DelayQueue::new(limits.pending_max),
            waiting_probes: DelayQueue::new(limits.pending_max),
            unmatched: Vec::new(),
            deciding: Vec::new(),
            taking_ports: Vec::new(),
            folded: Vec::new(),
            services: KnownServices::new(limits.services_max, seed.clone()),
            new_services: Vec::new(),
            accounting: Accounting::default(),
            interfaces: BTreeMap::new(),
            interfaces_without_row: false,
            loss: LossWindow::new((!forever).then_some(options.traffic_interval)),
            port_hasher: PortHasher::new(&seed),
            rates: RateClock::default(),
            received: ReceivedWindow::new((!forever).then_some(options.traffic_interval), limits.hosts_max),
            groups: PrefixGroups::new(options.group_ipv6),
            eviction: Eviction::new(SlotRing::new((!forever).then_some(options.traffic_interval)), limits),
            seed,
        }
    }

    /// Changes the minimum number of bytes that a host must have sent to be in snapshots.
    pub fn chart_from(&mut self, chart_bytes_min: u64) {
        self.hosts.chart_from(chart_bytes_min);
    }

    /// Sets the time at which counting began. For a while, exchanges may have begun before their first packet here.
    pub fn begin(&mut self, now: Moment) {
        self.roll(now);
        self.roles.be_uncertain(now);
    }

    /// Adds a worker's delta to the slot of its hand-over, or to the current slot if that is later.
    ///
    /// # Panics
    /// Panics if the delta is not closed.
    pub fn fold(&mut self, delta: &Delta) {
        assert!(delta.is_closed(), "the delta is not closed");
        let at = delta.handed_over_at;
        self.advance(at);
        self.rates.note(delta.began_at, at);
        self.fold_sums(delta);
        if delta.is_disturbed {
            self.roles.be_uncertain(at);
        }
        self.fold_family(delta.pairs_v4(), delta.ports_v4(), at);
        self.fold_family(delta.pairs_v6(), delta.ports_v6(), at);
    }

    /// Decides who initiated the exchanges that began before `settled`, and what was answered by then. Every worker
    /// must have handed over past `settled`.
    pub fn decide(&mut self, settled: Moment) {
        while !self.decide_part(settled, usize::MAX) {}
    }

    /// Makes at most `items_max` of these decisions. Returns true if those were all.
    pub fn decide_part(&mut self, settled: Moment, items_max: usize) -> bool {
        let mut left = items_max;
        self.roles.order(settled);
        let mut exchanges = std::mem::take(&mut self.deciding);
        while left > 0 {
            self.roles.next_in_order(TOGETHER.min(left), &mut exchanges);
            if exchanges.is_empty() {
                break;
            }
            left -= exchanges.len();
            self.prefetch_exchanges(&exchanges);
            for (number, exchange) in &exchanges {
                self.decide_exchange(*number, exchange);
            }
        }
        self.deciding = exchanges;
        while left > 0
            && let Some(probe) = self.waiting_probes.next_settled(settled)
        {
            left -= 1;
            self.decide_probe(&probe);
        }
        self.decide_ports(settled, left)
    }

    /// Returns true if a decision is pending.
    pub fn is_waiting(&self) -> bool {
        self.roles.is_waiting()
            || !self.waiting_ports.is_empty()
            || !self.waiting_answers.is_empty()
            || !self.waiting_probes.is_empty()
    }

    fn fold_sums(&mut self, delta: &Delta) {
        self.accounting.add(&delta.accounting());
        if *delta.kernel() != KernelCounts::default() {
            self.loss.add(delta.kernel());
        }
        for (ifindex, counts) in delta.interfaces() {
            let has_row = self.interfaces.len() < INTERFACES_MAX || self.interfaces.contains_key(&ifindex);
            let ifindex = if has_row { ifindex } else { OVERFLOW_IFINDEX };
            self.interfaces_without_row |=
                ifindex == OVERFLOW_IFINDEX && *counts != InterfaceCounts::default();
            self.interfaces.entry(ifindex).or_default().add(counts);
        }
    }

    /// Folds pairs, and each port soon after its pair, while the memory that both need is in the caches.
    fn fold_family<P: PairKey>(
        &mut self,
        pairs: &[Row<P, PairDelta>],
        ports: &[Row<PortOf<P>, PortDelta>],
        at: Moment,
    ) {
        let mut ports = if self.ports.is_some() { ports } else { &[] };
        let mut folded = std::mem::take(&mut self.folded);
        folded.clear();
        for rows in pairs.chunks(TOGETHER) {
            // Before the lookups, since it may free rows that would be found.
            if self.have_room() {
                folded.fill(NONE);
            }
            let candidates = self.fetch(rows);
            for (row, candidate) in rows.iter().zip(candidates) {
                let sought = Sought::new(row.hash, &row.key.endpoints());
                folded.push(self.fold_pair(&sought, candidate, &row.value, at).unwrap_or(NONE));
            }
            let are_folded = ports.iter().take_while(|port| (port.value.pair_at as usize) < folded.len());
            let (ready, later) = ports.split_at(are_folded.count());
            self.fold_ports(ready, pairs, &folded, at);
            ports = later;
        }
        self.fold_ports(ports, pairs, &folded, at);
        self.folded = folded;
    }

    /// Prefetches everything that rows are folded into, in steps, since each step leads to the next. Returns the row
    /// that each pair may have: it is not compared yet, and a pair without one is new.
    fn fetch<P: PairKey>(&self, rows: &[Row<P, PairDelta>]) -> [Option<u32>; TOGETHER] {
        let mut candidates = [None; TOGETHER];
        for row in rows {
            self.pairs.prefetch_place(&Sought::new(row.hash, &row.key.endpoints()));
        }
        for (row, candidate) in rows.iter().zip(&mut candidates) {
            let endpoints = row.key.endpoints();
            *candidate = self.pairs.candidate(&Sought::new(row.hash, &endpoints));
            match candidate {
                Some(pair) => self.pairs.prefetch(*pair),
                None => endpoints.hosts().iter().for_each(|host| self.hosts.prefetch_place(host)),
            }
        }
        let current = self.items.current();
        for (row, candidate) in rows.iter().zip(&candidates) {
            let Some(pair) = candidate else {
                row.key.endpoints().hosts().iter().for_each(|host| self.hosts.prefetch_candidate(host));
                continue;
            };
            let pair = self.pairs.get(*pair);
            self.hosts.prefetch_active(pair.src);
            if row.value.received_bytes > 0 {
                self.hosts.prefetch(pair.dst);
                self.received.prefetch(pair.dst);
            }
            if let Some(item) = pair.latest(&self.items)
                && item.slot == current
            {
                self.items.prefetch(item);
            }
        }
        candidates
    }

    /// Folds a pair and returns its row; `None` if there is no room for one.
    fn fold_pair(
        &mut self,
        sought: &Sought,
        candidate: Option<u32>,
        delta: &PairDelta,
        at: Moment,
    ) -> Option<u32> {
        let found = candidate.and_then(|at| self.pairs.find_from(at, sought, &self.hosts)).or_else(|| {
            let owner = self.groups.owner(sought.endpoints.src());
            self.pairs.insert(sought, &mut self.hosts, owner)
        });
        let Some(pair) = found else {
            self.spill(delta.packets(), delta.ip_bytes);
            self.accounting.undecided_exchanges += u64::from(delta.first_packet().is_some());
            return None;
        };
        self.add(pair, delta.packets(), delta.ip_bytes);
        if delta.observations.only_answer() {
            let owner = self.hosts.get(self.pairs.get(pair).src).owner;
            self.hosts.add_answers(owner, &self.rates, delta.packets());
        }
        if delta.received_bytes > 0 {
            self.receive(pair, delta.received_bytes);
        }
        let had_begun = self.has_begun(pair);
        let row = self.pairs.get_mut(pair);
        row.observe(delta.observations);
        row.contacted.merge(&delta.contacted);
        if delta.observations.has(Observations::INITIATED) {
            self.contact(pair, self.items.current(), at);
        }
        if delta.observations.has_any(Observations::PROBED | Observations::BARE_RESET) {
            self.note_probe(pair, sought, delta.observations, at);
        }
        if let Some(packet) = delta.first_packet() {
            self.observe(pair, sought, packet, at);
        }
        if !had_begun && self.has_begun(pair) {
            self.contact(pair, self.items.current(), at);
        }
        Some(pair)
    }

    /// Folds ports of these pairs; `folded` has the rows of the first of the pairs.
    fn fold_ports<P: PairKey>(
        &mut self,
        rows: &[Row<PortOf<P>, PortDelta>],
        pairs: &[Row<P, PairDelta>],
        folded: &[u32],
        at: Moment,
    ) {
        let mut ports = std::mem::take(&mut self.taking_ports);
        for rows in rows.chunks(TOGETHER) {
            ports.clear();
            let mut candidates = [None; TOGETHER];
            for (row, candidate) in rows.iter().zip(&mut candidates) {
                let pair = row.pair_among(pairs);
                let folded = pair.and_then(|_| folded.get(row.value.pair_at as usize).copied());
                *candidate = folded.filter(|&pair| pair != NONE);
                let key = row.key.key();
                let pair_hash = pair.map_or_else(|| self.seed.pair(&key.endpoints), |pair| pair.hash);
                ports.push(WaitingPort::new(key, pair_hash, row.value.observations, at));
            }
            self.fetch_ports(&ports, &mut candidates);
            for (port, candidate) in ports.iter().zip(candidates) {
                self.fold_port(port, candidate);
            }
        }
        self.taking_ports = ports;
    }

    /// Adds to the pair's item of the current slot. A pair with evidence only gets an empty item.
    fn add(&mut self, at: u32, mut packets: u64, mut ip_bytes: u64) {
        let current = self.items.current();
        let pair = self.pairs.get_mut(at);
        pair.add(packets, ip_bytes);
        let owner = self.hosts.get(pair.src).owner;
        self.hosts.add_sent(owner, packets, ip_bytes);
        self.hosts.add_recent(owner, &self.rates, packets, 0);

        let latest = pair.latest(&self.items);
        if let Some(item) = latest
            && item.slot == current
            && self.items.get(item).add(packets, ip_bytes)
        {
            return;
        }
        loop {
            let item = SlotRecord::of(at, &mut packets, &mut ip_bytes);
            let before = self.pairs.get(at).latest(&self.items);
            self.chain(at, current, item, before, None);
            if packets == 0 && ip_bytes == 0 {
                return;
            }
        }
    }

    /// Counts a contact of the pair's source in a live slot, once per slot.
    fn contact(&mut self, at: u32, slot: u64, contacted_at: Moment) {
        let pair = self.pairs.get_mut(at);
        let contacted_at = CoarseInstant::of(contacted_at);
        if pair.contacts_live() == 0 || contacted_at.is_before(pair.contacted_at) {
            pair.contacted_at = contacted_at;
        }
        if self.contact_in(at, slot) {
            let pair = self.pairs.get(at);
            let (src, dst) = (pair.src, pair.dst);
            let owner = self.hosts.get(src).owner;
            self.credit(owner, src, dst);
        }
    }

    /// Counts a contact in a slot without its time. Returns true if it is the only live contact of the pair.
    fn contact_in(&mut self, at: u32, slot: u64) -> bool {
        let slot = slot.max(self.items.oldest());
        let (before, after) = self.around(at, slot);
        match before {
            Some(item) if item.slot == slot => {
                if !self.items.get(item).make_contact() {
                    return false;
                }
            }
            before => self.chain(at, slot, SlotRecord::contact(at), before, after),
        }
        let pair = self.pairs.get_mut(at);
        pair.add_contact();
        if pair.contacts_live() > 1 {
            return false;
        }
        let (src, dst) = (pair.src, pair.dst);
        let owner = self.hosts.get(src).owner;
        let is_group = self.groups.is_group(self.hosts.get(owner).addr());
        if !is_group || self.groups.add_contact(owner, dst) {
            self.hosts.add_recent(owner, &self.rates, 0, 1);
            self.hosts.add_contact(owner);
        }
        true
    }

    /// Counts bytes that the pair's destination received.
    fn receive(&mut self, at: u32, ip_bytes: u64) {
        let dst = self.pairs.get(at).dst;
        let addr = self.hosts.get(dst).addr();
        let owner = self.groups.owner(addr);
        if let Some(receiver) = self.hosts.refer_owner(dst, owner) {
            self.received.add(receiver, ip_bytes, &mut self.hosts);
        }
    }
}

#[cfg(test)]
mod tests;
