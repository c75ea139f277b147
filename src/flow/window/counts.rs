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
struct Answers {
    packets: u64,
    requested: u64,
}

impl Answers {
    /// Adds the packets of a pair, of which as many as `asked_for` were requested.
    fn add(&mut self, packets: u64, asked_for: u64) {
        self.packets += packets;
        self.requested += packets.min(asked_for);
    }
}

/// Number of answers to a contact after which nothing follows: a SYN is answered once and up to five times more, over
/// half a minute (tcp(7), `tcp_synack_retries`).
const ANSWERS_PER_CONTACT: u64 = 6;

/// Number of packets that may follow from any other packet: one answer, and one packet that a pair sends besides its
/// answers.
const ANSWERS_PER_PACKET: u64 = 2;

/// What a packet shows that begins or continues a contact of TCP, SCTP or ICMP.
const CONTACTS: Observations =
    Observations(Observations::INITIATED.0 | Observations::PROBED.0 | Observations::ESTABLISHED.0);

/// Number of pairs with answers whose requests are looked up in one call of [`Window::take_dirty`], before only
/// [`PAIRS_MIN`] of each further host are: some 5 ms.
const PAIRS_PER_CALL: usize = 32 * SAMPLE_MAX;

/// Number of pairs of a host that are looked at whatever others cost.
const PAIRS_MIN: usize = 64;

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
        let mut pairs_left = PAIRS_PER_CALL;
        while let Some(id) = self.hosts.take_dirty() {
            let counts = self.counts_within(id, &mut pairs_left);
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
        let mut pairs_left = SAMPLE_MAX;
        self.counts_within(id, &mut pairs_left)
    }

    /// Returns the counts of a host, and subtracts the pairs that were looked at from `pairs_left`.
    pub(super) fn counts_within(&self, id: HostId, pairs_left: &mut usize) -> HostCounts {
        let host = self.hosts.get(id);
        let (packets_per_s, contacts_per_s) = self.hosts.per_second(id, &self.rates);
        let packets_per_s = packets_per_s - self.requested_answers(id, packets_per_s, pairs_left);
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
    /// matters: the victim of a flood must not exceed the limit of its attacker. How many answers of a pair are
    /// requested depends on the packets of the other direction in the traffic window ([`asked_for`]), which therefore
    /// is the memory for answers that are repeated; the shares of the latest pairs stand for those of all pairs. So an
    /// attacker that sends answers to hosts that asked for none, or for few, cannot hide, whatever others ask it.
    fn requested_answers(&self, id: HostId, packets_per_s: u32, pairs_left: &mut usize) -> u32 {
        let answers = self.hosts.answers_per_second(id, &self.rates, packets_per_s);
        if answers == 0 {
            return 0;
        }
        // Of pairs that also sent other packets it is unknown how many are answers. Only what is too much to be
        // requested counts then, or all of them if there are no other pairs.
        let (mut only, mut mixed) = (Answers::default(), Answers::default());
        for at in self.pairs.rows_of(id, &self.hosts).take((*pairs_left).clamp(PAIRS_MIN, SAMPLE_MAX)) {
            *pairs_left = pairs_left.saturating_sub(1);
            let pair = self.pairs.get(at);
            let observations = pair.observations();
            if observations.has_any(ANSWERS) {
                let reverse = self.pairs.reverse(at, &self.hosts).map(|at| self.pairs.get(at));
                let answers = if observations.only_answer() { &mut only } else { &mut mixed };
                let asked_for = reverse.map_or_else(|| self.asked_for_elsewhere(pair), asked_for);
                answers.add(pair.packets(), asked_for);
            }
        }
        only.packets += mixed.packets - mixed.requested;
        let sample = if only.packets > 0 { only } else { mixed };
        let requested =
            u128::from(answers) * u128::from(sample.requested) / u128::from(sample.packets.max(1));
        // Fits: it is at most `answers`.
        u32::try_from(requested).unwrap_or(answers).min(packets_per_s)
    }

    /// Returns how many packets of a pair were asked for although its destination sent none to its source. Where this
    /// gateway forwards a port (DNAT), the destination sent to another address of the host that answers; and an ICMP
    /// error is sent by a router on the way. A host that sent to several has not asked here, so the answers may be a
    /// flood; nor has one that was answered where it sent to, or one that sent only what no TCP segment answers.
    fn asked_for_elsewhere(&self, answering: &Pair) -> u64 {
        if self.hosts.get(answering.dst).pairs_about() != 1 {
            return 0;
        }
        let Some(at) = self.pairs.rows_of(answering.dst, &self.hosts).next() else { return 0 };
        let pair = self.pairs.get(at);
        let has_packets = |at| self.pairs.get(at).packets() > 0;
        let is_answered = self.pairs.reverse(at, &self.hosts).is_some_and(has_packets);
        let may_be_answered =
            answering.observations().has(Observations::REPORTED) || pair.observations().has_any(CONTACTS);
        if is_answered || !may_be_answered { 0 } else { asked_for(pair) }
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

/// Returns the number of packets of the other direction that the packets of a pair may lead to.
fn asked_for(pair: &Pair) -> u64 {
    const OTHERS: Observations =
        Observations(Observations::PROBED.0 | Observations::ESTABLISHED.0 | Observations::SENT.0);
    let observations = pair.observations();
    let only_contacts = observations.has(Observations::INITIATED) && !observations.has_any(OTHERS);
    pair.packets().saturating_mul(if only_contacts { ANSWERS_PER_CONTACT } else { ANSWERS_PER_PACKET })
}
