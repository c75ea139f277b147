//! The merged state: deltas are added to the current slot, and a slot that leaves is subtracted.
//!
//! Per live slot there is one item for each pair that was active in it; a host's sums are the sums over its
//! pairs' live items. A row lives as long as an item names it, so memory follows the traffic of the window.
//! One thread owns a window; it never reads a clock.

mod answers;
mod evidence;
mod exchanges;

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::packet::Endpoints;
use crate::time::Moment;

use super::contacted::PortMix;
use super::delta::{Delta, PairDelta};
use super::groups::Groups;
use super::hash::Seed;
use super::hosts::{Host, HostId, Hosts};
use super::interfaces::{ELSEWHERE, InterfaceCounts};
use super::loss::LossWindow;
use super::pairs::Pairs;
use super::ports::PortWindow;
use super::rates::RateClock;
use super::received::ReceivedWindow;
use super::roles::Roles;
use super::services::{Service, Services};
use super::signs::Signs;
use super::slots::Slots;
use super::snapshot::{Accounting, HostRow, KernelCounts, PeerBytes};
use super::stamp::Stamp;
use super::waiting::Waiting;
use super::{DESTINATIONS_MAX, Limits, Options, PORTS_MAX};

use answers::{WaitingPort, WaitingProbe};

/// What a pair did in one slot: 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Item {
    pair: u32,
    /// Packets, and in the highest bit whether there was a contact.
    packets_and_contact: u32,
    ip_bytes: u64,
}

const CONTACT: u32 = 1 << 31;

/// Interfaces that are told apart; what is seen on further ones is counted together.
const INTERFACES_MAX: usize = 4096;

/// Sums over one host, for the detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCounts {
    /// Its address.
    pub addr: IpAddr,
    /// Packets sent in the traffic window.
    pub packets: u64,
    /// Bytes sent in the traffic window.
    pub ip_bytes: u64,
    /// Bytes received in the traffic window, as far as they are counted.
    pub received_bytes: u64,
    /// Hosts contacted in the traffic window.
    pub contacted_hosts: u32,
    /// Ports contacted in the port window.
    pub contacted_ports: u32,
    /// Packets sent in the last second.
    pub packets_per_s: u32,
    /// Hosts contacted in the last second that had not been contacted in the traffic window.
    pub contacts_per_s: u32,
}

impl HostCounts {
    /// Those of a host that did nothing.
    pub fn nothing(addr: IpAddr) -> Self {
        Self {
            addr,
            packets: 0,
            ip_bytes: 0,
            received_bytes: 0,
            contacted_hosts: 0,
            contacted_ports: 0,
            packets_per_s: 0,
            contacts_per_s: 0,
        }
    }

    fn of(host: &Host, clock: &RateClock) -> Self {
        let (packets_per_s, contacts_per_s) = host.recent.per_second(clock);
        Self {
            addr: host.addr,
            packets: host.packets,
            ip_bytes: host.ip_bytes,
            received_bytes: host.received_bytes,
            packets_per_s,
            contacts_per_s,
            contacted_hosts: host.contacted_hosts,
            contacted_ports: host.contacted_ports,
        }
    }
}

/// The traffic window and the port window, merged over all workers.
#[derive(Debug)]
pub struct Window {
    hosts: Hosts,
    pairs: Pairs,
    slots: Slots<Item>,
    ports: Option<PortWindow>,
    roles: Roles,
    /// Ports of exchanges that are not yet decided, and answers whose contact was not yet folded.
    waiting_ports: Waiting<WaitingPort>,
    waiting_answers: Waiting<WaitingPort>,
    waiting_probes: Waiting<WaitingProbe>,
    services: Services,
    /// Known from the next decision on, so that the order of folding does not matter.
    new_services: Vec<(Service, Moment)>,
    accounting: Accounting,
    interfaces: BTreeMap<u32, InterfaceCounts>,
    /// Something was seen on interfaces that there was no row for.
    interfaces_without_row: bool,
    loss: LossWindow,
    mix: PortMix,
    rates: RateClock,
    received: ReceivedWindow,
    groups: Groups,
    seed: Seed,
}

impl Window {
    /// An empty window. `seed` must be the one that the deltas were made with.
    pub fn new(options: &Options, limits: &Limits, seed: Seed) -> Self {
        Self::with_intervals(options, limits, seed, false)
    }

    /// A window that never forgets: the totals of a whole capture.
    pub fn unbounded(options: &Options, limits: &Limits, seed: Seed) -> Self {
        Self::with_intervals(options, limits, seed, true)
    }

    fn with_intervals(options: &Options, limits: &Limits, seed: Seed, forever: bool) -> Self {
        let ports = options
            .port_interval
            .map(|interval| PortWindow::new((!forever).then_some(interval), limits.ports_max, seed.clone()));
        Self {
            hosts: Hosts::new(limits.hosts_max, options.chart_bytes_min, seed.clone()),
            pairs: Pairs::new(limits.pairs_max),
            slots: Slots::new((!forever).then_some(options.traffic_interval)),
            ports,
            roles: Roles::new(limits.pending_max),
            waiting_ports: Waiting::new(limits.pending_max),
            waiting_answers: Waiting::new(limits.pending_max),
            waiting_probes: Waiting::new(limits.pending_max),
            services: Services::new(limits.services_max, seed.clone()),
            new_services: Vec::new(),
            accounting: Accounting::default(),
            interfaces: BTreeMap::new(),
            interfaces_without_row: false,
            loss: LossWindow::new((!forever).then_some(options.traffic_interval)),
            mix: PortMix::new(&seed),
            rates: RateClock::default(),
            received: ReceivedWindow::new((!forever).then_some(options.traffic_interval), limits.hosts_max),
            groups: Groups::new(options.group_ipv6),
            seed,
        }
    }

    /// Changes from which bytes on a host is in snapshots.
    pub fn chart_from(&mut self, chart_bytes_min: u64) {
        self.hosts.chart_from(chart_bytes_min);
    }

    /// Says when counting began: for a while, exchanges are met in the middle.
    pub fn begin(&mut self, now: Moment) {
        self.roll(now);
        self.roles.be_uncertain(now);
    }

    /// Adds what a worker counted to the slot of its hand-over, or to the current one if that is later.
    pub fn fold(&mut self, delta: &Delta) {
        let at = delta.handed_over_at;
        self.roll(at);
        self.rates.note(delta.began_at, at);
        self.fold_sums(delta);
        if delta.is_disturbed {
            self.roles.be_uncertain(at);
        }
        for row in delta.pairs.rows() {
            self.fold_pair(row.hash, &row.key, &row.value, at);
        }
        for row in delta.ports.rows() {
            let hash = self.seed.pair(&row.key.endpoints);
            self.fold_port(hash, &row.key, row.value.signs, at);
        }
    }

    /// Turns the windows to `now`: what is older than they are leaves.
    pub fn roll(&mut self, now: Moment) {
        let number = self.slots.number(now);
        while let Some(leaving) = self.slots.roll_towards(number) {
            for item in leaving {
                self.subtract(item);
            }
        }
        if let Some(ports) = &mut self.ports {
            ports.roll(now, &mut self.hosts);
        }
        self.received.roll(now, &mut self.hosts);
        self.loss.roll(now);
        self.rates.roll(now);
    }

    /// Decides who began the exchanges that were born before `settled`, and what was answered by then; every worker
    /// has handed over what it saw until that moment.
    pub fn decide(&mut self, settled: Moment) {
        let mut exchanges = Vec::new();
        exchanges.extend(std::iter::from_fn(|| self.roles.next_settled(settled)));
        // In the order of their first words, whichever worker was folded first: one exchange makes a service known, and
        // that decides the next one.
        exchanges.sort_by_key(|(_, exchange)| exchange.began_at());
        for (number, exchange) in exchanges {
            self.decide_exchange(number, &exchange);
        }
        while let Some(probe) = self.waiting_probes.next_settled(settled) {
            self.decide_probe(&probe);
        }
        self.decide_ports(settled);
    }

    /// Whether something waits to be decided.
    pub fn is_waiting(&self) -> bool {
        self.roles.is_waiting()
            || !self.waiting_ports.is_empty()
            || !self.waiting_answers.is_empty()
            || !self.waiting_probes.is_empty()
    }

    /// Has every host be among the next touched ones, since other limits are in force.
    pub fn touch_all(&mut self) {
        self.hosts.touch_all();
    }

    /// Gives the counts of each host whose sums grew since the last call.
    pub fn take_touched(&mut self, out: &mut Vec<HostCounts>) {
        let rates = &self.rates;
        self.hosts.take_touched(|host| out.push(HostCounts::of(host, rates)));
    }

    /// The counts of a host, if it is in the window.
    pub fn counts(&self, addr: &IpAddr) -> Option<HostCounts> {
        self.hosts.find(addr).map(|id| HostCounts::of(self.hosts.get(id), &self.rates))
    }

    /// What a host did, if it is in the window.
    pub fn host(&self, addr: &IpAddr) -> Option<HostRow> {
        self.hosts.find(addr).map(|id| self.host_row(id))
    }

    /// The lowest ports that a host contacted, ascending.
    pub fn ports_of(&self, addr: &IpAddr) -> Vec<u16> {
        match (&self.ports, self.hosts.find(addr)) {
            (Some(ports), Some(id)) => ports.of(id, &self.hosts, PORTS_MAX),
            _ => Vec::new(),
        }
    }

    /// The hosts with at least `chart_bytes_min`, most bytes first, at most `hosts_max`; and how many more
    /// there are.
    pub fn charted(&self, hosts_max: usize) -> (Vec<HostRow>, usize) {
        let by_bytes = |&a: &HostId, &b: &HostId| {
            let (a, b) = (self.hosts.get(a), self.hosts.get(b));
            b.ip_bytes.cmp(&a.ip_bytes).then(a.addr.cmp(&b.addr))
        };
        let mut ids: Vec<HostId> = self.hosts.charted().collect();
        let omitted = ids.len().saturating_sub(hosts_max);
        if omitted > 0 {
            ids.select_nth_unstable_by(hosts_max, by_bytes);
            ids.truncate(hosts_max);
        }
        ids.sort_unstable_by(by_bytes);
        (ids.into_iter().map(|id| self.host_row(id)).collect(), omitted)
    }

    /// Every host that is in the window, as a source or a destination. In no order.
    pub fn hosts(&self) -> impl Iterator<Item = HostCounts> {
        self.hosts.iter().map(|host| HostCounts::of(host, &self.rates))
    }

    /// Every pair that is in the window: source, destination, packets, bytes. In no order.
    pub fn pairs(&self) -> impl Iterator<Item = (IpAddr, IpAddr, u64, u64)> {
        self.pairs.iter().map(|pair| {
            let (src, dst) = (self.hosts.get(pair.src).addr, self.hosts.get(pair.dst).addr);
            (src, dst, pair.packets, pair.ip_bytes)
        })
    }

    /// What was counted since the start.
    pub fn accounting(&self) -> &Accounting {
        &self.accounting
    }

    /// What was seen on each interface since the start, ascending by number.
    pub fn interfaces(&self) -> &BTreeMap<u32, InterfaceCounts> {
        &self.interfaces
    }

    /// Whether everything that was seen since the start is in the row of its interface, or was before that was retired.
    pub fn every_interface_has_a_row(&self) -> bool {
        !self.interfaces_without_row
    }

    /// Moves what was seen on an interface to [`ELSEWHERE`], because its number means nothing any more.
    pub fn retire_interface(&mut self, ifindex: u32) {
        if let Some(counts) = self.interfaces.remove(&ifindex) {
            self.interfaces.entry(ELSEWHERE).or_default().add(&counts);
        }
    }

    /// What the kernel offered and lost in the traffic window.
    pub fn loss(&self) -> KernelCounts {
        self.loss.sum()
    }

    /// Received bytes since the start that no table had room for: limits on them are not judged for these.
    pub fn received_bytes_lost(&self) -> u64 {
        self.received.lost_bytes()
    }

    /// Hosts and pairs that are in the window.
    pub fn sizes(&self) -> (usize, usize) {
        (self.hosts.len(), self.pairs.len())
    }

    fn fold_sums(&mut self, delta: &Delta) {
        self.accounting.add(&delta.accounting());
        if *delta.kernel() != KernelCounts::default() {
            self.loss.add(delta.kernel());
        }
        for (ifindex, counts) in delta.interfaces() {
            let has_row = self.interfaces.len() < INTERFACES_MAX || self.interfaces.contains_key(&ifindex);
            let ifindex = if has_row { ifindex } else { ELSEWHERE };
            self.interfaces_without_row |= ifindex == ELSEWHERE && *counts != InterfaceCounts::default();
            self.interfaces.entry(ifindex).or_default().add(counts);
        }
    }

    fn fold_pair(&mut self, hash: u64, endpoints: &Endpoints, delta: &PairDelta, at: Moment) {
        let owner = self.groups.owner(endpoints.src());
        let Some(pair) = self.pairs.find_or_insert(hash, endpoints, &mut self.hosts, owner) else {
            self.accounting.spilled_packets += delta.packets;
            self.accounting.spilled_bytes += delta.ip_bytes;
            self.accounting.undecided_exchanges += u64::from(delta.first_word.is_some());
            return;
        };
        self.add(pair, delta.packets, delta.ip_bytes);
        if delta.received_bytes > 0 {
            self.receive(pair, delta.received_bytes);
        }
        let had_begun = self.has_begun(pair);
        let row = self.pairs.get_mut(pair);
        row.signs |= delta.signs;
        row.contacted.merge(&delta.contacted);
        if delta.signs.has(Signs::OPENED) {
            self.contact(pair, self.slots.current(), at);
        }
        if delta.signs.has_any(Signs::PROBED | Signs::BARE_RESET) {
            self.note_probe(pair, delta.signs, at);
        }
        if let Some(word) = delta.first_word {
            self.hear(pair, word, at);
        }
        if !had_begun && self.has_begun(pair) {
            self.contact(pair, self.slots.current(), at);
        }
    }

    /// Adds to the pair's item of the current slot. A pair of which there is only evidence gets an empty one.
    fn add(&mut self, at: u32, mut packets: u64, mut ip_bytes: u64) {
        let current = self.slots.current();
        let pair = self.pairs.get_mut(at);
        pair.packets += packets;
        pair.ip_bytes += ip_bytes;
        self.hosts.add_sent(pair.owner, packets, ip_bytes);
        self.hosts.get_mut(pair.owner).recent.add(&self.rates, packets, 0);

        let items = self.slots.items(current);
        if pair.item_slot == current {
            let item = &mut items[pair.item_at as usize];
            let room = u64::from(!CONTACT - (item.packets_and_contact & !CONTACT));
            if packets <= room {
                item.packets_and_contact += packets as u32;
                item.ip_bytes += ip_bytes;
                return;
            }
        }
        // More than 2^31 packets of one pair in one slot take a further item.
        loop {
            let part = packets.min(u64::from(!CONTACT));
            pair.item_slot = current;
            // Fits: a slot has fewer items than 2^32, since each is of another pair or holds 2^31 packets.
            pair.item_at = items.len() as u32;
            pair.items_live += 1;
            items.push(Item { pair: at, packets_and_contact: part as u32, ip_bytes });
            packets -= part;
            ip_bytes = 0;
            if packets == 0 {
                return;
            }
        }
    }

    /// Counts a contact of the pair's source in a live slot, once per slot.
    fn contact(&mut self, at: u32, slot: u64, contacted_at: Moment) {
        let pair = self.pairs.get_mut(at);
        let contacted_at = Stamp::of(contacted_at);
        if pair.contacts_live == 0 || contacted_at.is_before(pair.contacted_at) {
            pair.contacted_at = contacted_at;
        }
        let slot = slot.max(self.slots.oldest());
        let items = self.slots.items(slot);
        if pair.item_slot == slot {
            let item = &mut items[pair.item_at as usize];
            if item.packets_and_contact & CONTACT != 0 {
                return;
            }
            item.packets_and_contact |= CONTACT;
        } else {
            pair.items_live += 1;
            items.push(Item { pair: at, packets_and_contact: CONTACT, ip_bytes: 0 });
        }
        pair.contacts_live += 1;
        if pair.contacts_live == 1 {
            let (owner, dst) = (pair.owner, pair.dst);
            let is_group = self.groups.is_group(self.hosts.get(owner).addr);
            if !is_group || self.groups.add_contact(owner, dst) {
                let host = self.hosts.get_mut(owner);
                host.contacted_hosts += 1;
                host.recent.add(&self.rates, 0, 1);
                self.hosts.touch(owner);
            }
        }
    }

    /// Counts bytes that the pair's destination received.
    fn receive(&mut self, at: u32, ip_bytes: u64) {
        let dst = self.pairs.get(at).dst;
        let addr = self.hosts.get(dst).addr;
        let owner = self.groups.owner(addr);
        if let Some(receiver) = self.hosts.refer_owner(dst, owner) {
            self.received.add(receiver, ip_bytes, &mut self.hosts);
        }
    }

    fn subtract(&mut self, item: Item) {
        let packets = u64::from(item.packets_and_contact & !CONTACT);
        let pair = self.pairs.get_mut(item.pair);
        pair.packets -= packets;
        pair.ip_bytes -= item.ip_bytes;
        self.hosts.subtract_sent(pair.owner, packets, item.ip_bytes);
        if item.packets_and_contact & CONTACT != 0 {
            pair.contacts_live -= 1;
            if pair.contacts_live == 0 {
                let is_group = self.groups.is_group(self.hosts.get(pair.owner).addr);
                if !is_group || self.groups.remove_contact(pair.owner, pair.dst) {
                    self.hosts.get_mut(pair.owner).contacted_hosts -= 1;
                }
            }
        }
        pair.items_live -= 1;
        if pair.items_live == 0 {
            self.pairs.remove(item.pair, &mut self.hosts);
        }
    }

    fn host_row(&self, id: HostId) -> HostRow {
        let host = self.hosts.get(id);
        let mut destinations: Vec<PeerBytes> = self
            .pairs
            .of(id, &self.hosts)
            .filter(|pair| pair.packets > 0)
            .map(|pair| PeerBytes { addr: self.hosts.get(pair.dst).addr, ip_bytes: pair.ip_bytes })
            .collect();
        if self.groups.is_group(host.addr) {
            destinations.sort_unstable_by_key(|peer| peer.addr);
            destinations.dedup_by(|next, peer| {
                let is_same = next.addr == peer.addr;
                if is_same {
                    peer.ip_bytes += next.ip_bytes;
                }
                is_same
            });
        }
        let by_bytes = |a: &PeerBytes, b: &PeerBytes| b.ip_bytes.cmp(&a.ip_bytes).then(a.addr.cmp(&b.addr));
        if destinations.len() > DESTINATIONS_MAX {
            destinations.select_nth_unstable_by(DESTINATIONS_MAX, by_bytes);
            destinations.truncate(DESTINATIONS_MAX);
        }
        destinations.sort_unstable_by(by_bytes);
        HostRow {
            addr: host.addr,
            packets: host.packets,
            ip_bytes: host.ip_bytes,
            contacted_hosts: host.contacted_hosts,
            contacted_ports: host.contacted_ports,
            destinations,
        }
    }
}

#[cfg(test)]
mod tests;
