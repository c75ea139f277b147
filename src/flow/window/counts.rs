//! What a window counted of each host and pair, and of all of them together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::flow::error_bounds::Sums;
use crate::flow::evidence::SAMPLE_MAX;
use crate::flow::hosts::HostId;
use crate::flow::interfaces::{InterfaceCounts, OVERFLOW_IFINDEX};
use crate::flow::metric::{Metric, PerMetric};
use crate::flow::observations::Observations;
use crate::flow::pairs::Pair;
use crate::flow::snapshot::{Accounting, KernelCounts};

use super::Window;

/// What was counted of one host, for the detectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostCounts {
    /// Its address.
    pub addr: IpAddr,
    /// Packets sent in the traffic window.
    pub packets: u64,
    /// The count of each metric. Answers that somebody asked for are not packets of a rate that may exceed a limit.
    pub counts: PerMetric<u64>,
    /// What may be missing from the counts, because what the host did before was evicted.
    pub errors: Sums,
}

impl HostCounts {
    /// Those of a host that did nothing.
    pub fn nothing(addr: IpAddr) -> Self {
        Self { addr, packets: 0, counts: PerMetric::default(), errors: Sums::default() }
    }

    /// The most that the true value of a metric can be.
    pub fn up_to(&self, metric: Metric) -> u64 {
        self.counts[metric].saturating_add(self.errors.of(metric))
    }

    /// Returns true if the true value of a metric may exceed its limit.
    pub fn may_exceed(&self, limits: &PerMetric<Option<u64>>) -> bool {
        Metric::ALL.into_iter().any(|metric| limits[metric].is_some_and(|limit| self.up_to(metric) > limit))
    }
}

/// Packets of pairs that answer, and how many of them were requested.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    packets: u64,
    requested: u64,
}

impl Shares {
    fn add(&mut self, packets: u64, requests: u64) {
        self.packets += packets;
        self.requested += packets.min(requests.saturating_mul(ANSWERS_PER_REQUEST));
    }
}

/// Number of answers to one packet: a SYN is answered once and up to five times more, over half a minute, if nothing
/// follows (tcp(7), `tcp_synack_retries`).
const ANSWERS_PER_REQUEST: u64 = 6;

/// What a packet that answers shows.
const ANSWERS: Observations =
    Observations(Observations::ACCEPTED.0 | Observations::RESET.0 | Observations::REPORTED.0);

impl Window {
    /// Marks every host dirty, since other limits are in force.
    pub fn mark_all_dirty(&mut self) {
        self.hosts.mark_all_dirty();
    }

    /// Appends the counts of the dirty hosts as far as they are wanted, and takes the mark from them. A host is dirty
    /// if its counts have grown since the last call and may exceed a limit of [`watch`](Self::watch); before that was
    /// called, if they have grown.
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
        let packets_per_s = packets_per_s - self.requested_answers(id, packets_per_s);
        let counts = PerMetric::from_fn(|metric| match metric {
            Metric::IpBytes => host.ip_bytes,
            Metric::ReceivedBytes => self.received.of(id),
            Metric::ContactedHosts => host.contacted_hosts.into(),
            Metric::ContactedPorts => self.ports_count(id).into(),
            Metric::PacketsPerS => packets_per_s.into(),
            Metric::ContactsPerS => contacts_per_s.into(),
        });
        let errors = self.eviction.bounds.error(self.hosts.entered(id));
        HostCounts { addr: host.addr(), packets: host.packets, counts, errors }
    }

    /// Returns how many of the packets that a host sent in the last second answer hosts that asked, if their number
    /// matters: the victim of a flood must not exceed the limit of its attacker. A pair's answers are requested up to
    /// [`ANSWERS_PER_REQUEST`] times the packets of the other direction in the traffic window, which therefore is the
    /// memory for answers that are repeated; the shares of the latest pairs stand for those of all pairs. So an
    /// attacker that sends answers to hosts that asked for none, or for few, cannot hide, whatever others ask it.
    fn requested_answers(&self, id: HostId, packets_per_s: u32) -> u32 {
        let answers = self.hosts.answers_per_second(id, &self.rates, packets_per_s);
        if answers == 0 {
            return 0;
        }
        // Of pairs that also sent other packets it is unknown how many are answers. Only what is too much to be
        // requested counts then, or all of them if there are no other pairs.
        let (mut only, mut mixed) = (Shares::default(), Shares::default());
        for at in self.pairs.rows_of(id, &self.hosts).take(SAMPLE_MAX) {
            let pair = self.pairs.get(at);
            let observations = pair.observations();
            if observations.has_any(ANSWERS) {
                let reverse = self.pairs.reverse(at, &self.hosts).map(|at| self.pairs.get(at));
                let shares = if observations.only_answer() { &mut only } else { &mut mixed };
                let requests = reverse.map_or_else(|| self.requests_elsewhere(pair.dst), Pair::packets);
                shares.add(pair.packets(), requests);
            }
        }
        only.packets += mixed.packets - mixed.requested;
        let shares = if only.packets > 0 { only } else { mixed };
        let requested =
            u128::from(answers) * u128::from(shares.requested) / u128::from(shares.packets.max(1));
        // Fits: it is at most `answers`.
        u32::try_from(requested).unwrap_or(answers).min(packets_per_s)
    }

    /// Returns how many packets a host that was answered by one to which it sent none has sent instead. Where this
    /// gateway forwards a port (DNAT), it sent them to another address of the host that answers; and an ICMP error is
    /// sent by a router on the way. A host that sent to several has not asked here, so the answers may be a flood.
    fn requests_elsewhere(&self, id: HostId) -> u64 {
        let host = self.hosts.get(id);
        if host.pairs_about() == 1 { host.packets } else { 0 }
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

    /// Moves what was seen on an interface to [`OVERFLOW_IFINDEX`], because its number means nothing any more.
    pub fn retire_interface(&mut self, ifindex: u32) {
        if let Some(counts) = self.interfaces.remove(&ifindex) {
            self.interfaces.entry(OVERFLOW_IFINDEX).or_default().add(&counts);
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
