//! What the window says of hosts and pairs, and of everything together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::flow::hosts::HostId;
use crate::flow::interfaces::{ELSEWHERE, InterfaceCounts};
use crate::flow::snapshot::{Accounting, KernelCounts};

use super::Window;

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
    /// Bytes sent that may be missing from `ip_bytes`, because what the host did before was evicted.
    pub ip_bytes_error: u64,
    /// The same of `received_bytes`.
    pub received_bytes_error: u64,
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
            ip_bytes_error: 0,
            received_bytes_error: 0,
        }
    }
}

impl Window {
    /// Has every host be among the next touched ones, since other limits are in force.
    pub fn mark_all_dirty(&mut self) {
        self.hosts.mark_all_dirty();
    }

    /// Gives the counts of the hosts whose sums grew since the last call, as far as they are wanted: those that may be over
    /// a limit of [`go_by`](Self::go_by), or all of them before it was called.
    pub fn take_dirty(&mut self, out: &mut Vec<HostCounts>, is_wanted: impl Fn(&HostCounts) -> bool) {
        while let Some(id) = self.hosts.take_dirty() {
            let counts = self.counts_of(id);
            if is_wanted(&counts) {
                out.push(counts);
            }
        }
    }

    /// The counts of a host, if it is in the window.
    pub fn counts(&self, addr: &IpAddr) -> Option<HostCounts> {
        self.hosts.find(addr).map(|id| self.counts_of(id))
    }

    pub(super) fn ports_count(&self, id: HostId) -> u32 {
        self.ports.as_ref().map_or(0, |ports| ports.count(id))
    }

    pub(super) fn counts_of(&self, id: HostId) -> HostCounts {
        let host = self.hosts.get(id);
        let (packets_per_s, contacts_per_s) = self.hosts.per_second(id, &self.rates);
        let error = self.eviction.bounds.error(self.hosts.entered(id));
        HostCounts {
            addr: host.addr(),
            packets: host.packets,
            ip_bytes: host.ip_bytes,
            received_bytes: self.received.of(id),
            contacted_hosts: host.contacted_hosts,
            contacted_ports: self.ports_count(id),
            packets_per_s,
            contacts_per_s,
            ip_bytes_error: error.ip_bytes,
            received_bytes_error: error.received_bytes,
        }
    }

    /// Every host that is in the window, as a source or a destination. In no order.
    pub fn hosts(&self) -> impl Iterator<Item = HostCounts> {
        self.hosts.iter().map(|id| self.counts_of(id))
    }

    /// Every pair that is in the window: source, destination, packets, bytes. In no order.
    pub fn pairs(&self) -> impl Iterator<Item = (IpAddr, IpAddr, u64, u64)> {
        self.pairs.iter().map(|pair| {
            let (src, dst) = (self.hosts.get(pair.src).addr(), self.hosts.get(pair.dst).addr());
            (src, dst, pair.packets(), pair.ip_bytes)
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
}
