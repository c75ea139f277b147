//! Addresses, each kept once, with the sums of what they did.

use std::net::IpAddr;

use hashbrown::HashTable;

use super::hash::Seed;
use super::networks::{Networks, are_neighbours};
use super::rates::Recent;
use super::rows::{NONE, Rows};

/// The number of a host while anything in a window speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostId(pub(super) u32);

/// One address.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) addr: IpAddr,
    pub(super) packets: u64,
    pub(super) ip_bytes: u64,
    /// Bytes received, as far as they are counted.
    pub(super) received_bytes: u64,
    pub(super) recent: Recent,
    /// Pairs of this source with a contact in a live slot.
    pub(super) contacted_hosts: u32,
    /// Ports of this source in the port window.
    pub(super) contacted_ports: u32,
    /// Pairs to it from other networks.
    heard_from: u32,
    /// Rows that name this host; it is freed with the last.
    pub(super) references: u32,
    /// Chains through the rows of this source.
    pub(super) first_pair: u32,
    pub(super) first_port: u32,
    /// Its place in the list of charted hosts.
    pub(super) chart_at: u32,
    /// It is in the list of hosts whose sums grew since the last judgement.
    pub(super) is_touched: bool,
}

/// All hosts.
#[derive(Debug)]
pub(super) struct Hosts {
    rows: Rows<Host>,
    index: HashTable<u32>,
    seed: Seed,
    networks: Networks,
    chart_bytes_min: u64,
    charted: Vec<u32>,
    touched: Vec<HostId>,
}

impl Hosts {
    pub(super) fn new(hosts_max: usize, chart_bytes_min: u64, seed: Seed) -> Self {
        Self {
            rows: Rows::new(hosts_max),
            index: HashTable::new(),
            networks: Networks::new(seed.clone()),
            seed,
            // A host that sent nothing is on no chart.
            chart_bytes_min: chart_bytes_min.max(1),
            charted: Vec::new(),
            touched: Vec::new(),
        }
    }

    /// Changes from which bytes on a host is on the chart.
    pub(super) fn chart_from(&mut self, chart_bytes_min: u64) {
        self.chart_bytes_min = chart_bytes_min.max(1);
        for at in self.charted.drain(..) {
            self.rows[at].chart_at = NONE;
        }
        for &at in &self.index {
            let host = &mut self.rows[at];
            if host.ip_bytes >= self.chart_bytes_min {
                // Fits: there are fewer charted hosts than rows.
                host.chart_at = self.charted.len() as u32;
                self.charted.push(at);
            }
        }
    }

    /// The host of an address, with one more reference; `None` when it is new and there is no room.
    pub(super) fn refer(&mut self, addr: IpAddr) -> Option<HostId> {
        let hash = self.seed.addr(&addr);
        let rows = &self.rows;
        let at = match self.index.find(hash, |&at| rows[at].addr == addr) {
            Some(&at) => at,
            None => {
                if !self.rows.has_room() {
                    return None;
                }
                let at = self.rows.insert(Host {
                    addr,
                    packets: 0,
                    ip_bytes: 0,
                    received_bytes: 0,
                    recent: Recent::default(),
                    contacted_hosts: 0,
                    contacted_ports: 0,
                    heard_from: 0,
                    references: 0,
                    first_pair: NONE,
                    first_port: NONE,
                    chart_at: NONE,
                    is_touched: false,
                });
                let (rows, seed) = (&self.rows, &self.seed);
                self.index.insert_unique(hash, at, |&at| seed.addr(&rows[at].addr));
                at
            }
        };
        self.rows[at].references += 1;
        Some(HostId(at))
    }

    /// Takes a reference to the host that `owner` is, which is the one of `id` unless addresses are grouped.
    pub(super) fn refer_owner(&mut self, id: HostId, owner: IpAddr) -> Option<HostId> {
        let host = &mut self.rows[id.0];
        if host.addr != owner {
            return self.refer(owner);
        }
        host.references += 1;
        Some(id)
    }

    /// Takes one reference back.
    pub(super) fn release(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        host.references -= 1;
        if host.references > 0 || host.is_touched {
            return;
        }
        self.remove(id);
    }

    fn remove(&mut self, id: HostId) {
        let host = &self.rows[id.0];
        debug_assert!(host.ip_bytes == 0 && host.chart_at == NONE, "a host left with bytes in the window");
        let hash = self.seed.addr(&host.addr);
        let entry = self.index.find_entry(hash, |&at| at == id.0).expect("every host is indexed");
        entry.remove();
        self.rows.free(id.0);
    }

    /// Notes that a pair leads from one host to another.
    pub(super) fn join(&mut self, src: HostId, dst: HostId) {
        let (from, to) = (self.rows[src.0].addr, &mut self.rows[dst.0]);
        if !are_neighbours(&from, &to.addr) {
            to.heard_from += 1;
            if to.heard_from == 1 {
                self.networks.add(&to.addr);
            }
        }
    }

    /// Notes that the pair is gone.
    pub(super) fn part(&mut self, src: HostId, dst: HostId) {
        let (from, to) = (self.rows[src.0].addr, &mut self.rows[dst.0]);
        if !are_neighbours(&from, &to.addr) {
            to.heard_from -= 1;
            if to.heard_from == 0 {
                self.networks.subtract(&to.addr);
            }
        }
    }

    /// Whether anything came from elsewhere for a host's network: then its answers pass here, if there are any.
    pub(super) fn is_answered_here(&self, id: HostId) -> bool {
        self.networks.hears(&self.rows[id.0].addr)
    }

    /// The host of an address.
    pub(super) fn find(&self, addr: &IpAddr) -> Option<HostId> {
        self.index.find(self.seed.addr(addr), |&at| self.rows[at].addr == *addr).map(|&at| HostId(at))
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
        self.touch(id);
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

    /// Notes that a host did something that a limit may speak of.
    pub(super) fn touch(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        if !host.is_touched {
            host.is_touched = true;
            self.touched.push(id);
        }
    }

    /// Notes that every host is to be judged anew.
    pub(super) fn touch_all(&mut self) {
        for &at in &self.index {
            let host = &mut self.rows[at];
            if !host.is_touched {
                host.is_touched = true;
                self.touched.push(HostId(at));
            }
        }
    }

    /// Calls `see` for each host touched since the last call.
    pub(super) fn take_touched(&mut self, mut see: impl FnMut(&Host)) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            let host = &mut self.rows[id.0];
            host.is_touched = false;
            if host.references == 0 {
                self.remove(id);
            } else {
                see(host);
            }
        }
        // Keep the memory.
        self.touched = touched;
    }

    /// The hosts with enough bytes to be shown, in no order.
    pub(super) fn charted(&self) -> impl Iterator<Item = HostId> + '_ {
        self.charted.iter().map(|&at| HostId(at))
    }

    /// All hosts, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Host> {
        self.index.iter().map(|&at| &self.rows[at])
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
