//! What the contacts of a host look like: a scan, or what else it may be.
//!
//! A count says that a host contacts many; it does not say that it looks for something. These rules do, from what
//! became of the contacts. Each names its source.
//!
//! | rule | holds where | source |
//! | --- | --- | --- |
//! | failures | at least 25 hosts at one port (fewer if the limit is lower) came to nothing, and a third of all at it; at a port that clients use at many hosts, also in one network or faster than one in a second | Zeek `scan.zeek`: 25 failures at one port; TRW: one in five contacts of a benign host fails; a client that gets no answers waits a second and longer (RFC 6298, 2.1) |
//! | pings | at least 25 hosts by ICMP requests (fewer if the limit is lower) | Zeek's count; that a host is there is what a sweep asks, so answers excuse nothing, and no service makes clients ask it |
//! | ports in vain | at least 15 ports at one host, by small packets, and failures outweigh answers | Zeek: 15 ports at one victim; TRW; floods fill their packets |
//! | fan-out | more than 20 times the limit at one port that is no web, name or time service, and that it does not offer itself | bro-simple-scan counts any contact, from 25 hosts on |
//! | unseen | no answer to the host passes here, and most of its contacts are at one port: of one network, or fast, or at a port that one uses few hosts of | Snort counts what it sees without answers; Gates et al. 2006 tell scans by consecutive addresses |
//!
//! TRW is the sequential test of Jung et al. 2004 with their parameters: of a benign host's contacts 0.8 succeed, of a
//! scanner's 0.2; at P_D 0.99 and P_F 0.01 four more failures than answers accuse. Peers of P2P networks fail as often
//! (Karagiannis et al. 2004), at ports of their own each; hence failures count at one port together, and at known P2P
//! ports only within one network. On an asymmetric path, and until contacts had the time to be answered, nothing is
//! known of failures.

use crate::flow::{ContactSample, ContactTarget, Outcomes, Pace, PortHosts, PortSample};

use super::why;

/// What makes a host a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScanRule {
    /// The number of its contacts.
    #[default]
    Contacts,
    /// Their number, and that they look like a scan ([`judge_hosts`], [`judge_ports`]).
    Suspicious,
}

/// What a host with many contacts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanRole {
    /// It looks for something.
    Scanner,
    /// It uses services, which answer.
    Client,
    /// It talks to its like at many ports (P2P).
    Peer,
    /// It answers a flood.
    Victim,
    /// It answers hosts that were not seen to ask: somebody uses their addresses.
    Backscatter,
}

impl ScanRole {
    /// The word of JSON.
    pub fn name(self) -> &'static str {
        match self {
            ScanRole::Scanner => "scanner",
            ScanRole::Client => "client",
            ScanRole::Peer => "peer",
            ScanRole::Victim => "victim",
            ScanRole::Backscatter => "backscatter",
        }
    }
}

/// How a scanner goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanClass {
    /// One port, or few, at many hosts.
    Sweep,
    /// Many ports at one host.
    Vertical,
    /// Many ports at many hosts.
    Mixed,
}

impl ScanClass {
    /// The word of JSON.
    pub fn name(self) -> &'static str {
        match self {
            ScanClass::Sweep => "sweep",
            ScanClass::Vertical => "vertical",
            ScanClass::Mixed => "mixed",
        }
    }
}

/// How sure it is that a host scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// It has more contacts than the limit, and that is all.
    Low,
    /// One rule holds.
    Medium,
    /// By the counts of Zeek and by the test of TRW.
    High,
}

impl Confidence {
    /// The word of JSON.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// The evidence of an alert about scanning, as of when it was gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanEvidence {
    /// What the host is.
    pub role: ScanRole,
    /// How it scans; `None` unless it is a scanner.
    pub class: Option<ScanClass>,
    /// How sure it is that it scans.
    pub confidence: Confidence,
    /// Hosts, or of an alert about ports those, that it contacted in the window.
    pub contacted: u32,
    /// What became of them; of very many, of the latest.
    pub outcomes: Outcomes,
    /// Whether answers to the host pass here; if not, nothing is known of what became of its contacts.
    pub answers_visible: bool,
    /// The busiest ports, most hosts first; at most [`PORTS_SHOWN`].
    pub ports: Vec<PortHosts>,
    /// About how many ports it contacted at one host, at most.
    pub ports_at_one_host: u32,
    /// Examples of whom it contacted.
    pub targets: Vec<ContactTarget>,
    /// How fast it contacted them.
    pub pace: Pace,
    /// All of it in one sentence, which names no address.
    pub why: String,
}

/// Ports listed of one host.
pub const PORTS_SHOWN: usize = 10;

/// What speaks for a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Failures(PortHosts),
    Pings(PortHosts),
    FanOut(PortHosts),
    Unseen(PortHosts),
    PortsInVain(Outcomes),
    PortsUnseen,
}

/// Zeek's `addr_scan_threshold`.
const FAILED_HOSTS: u32 = 25;

/// Zeek's `port_scan_threshold`.
const PORTS_AT_ONE_HOST: u32 = 15;

/// Two standard errors of an estimate of 15 ports.
const PORTS_ERROR: u32 = 3;

/// By how much failures outweigh answers where TRW accuses: the smallest n with (0.8 / 0.2)^n >= 0.99 / 0.01.
const TRW_FAILURES_AHEAD: u32 = 4;

/// One in three contacts fails: clearly more than the one in five of TRW's benign host, and less than the half where
/// its test tips, since half of a network may well answer a sweep.
const FAILURES_ONE_IN: u32 = 3;

/// So many times the limit is extreme, even where everybody answers.
pub(super) const EXTREME: u32 = 20;

/// Faster than people and their browsers, over more hosts than a page has.
const FAST_HOSTS: u32 = 100;
const FAST_PER_SECOND: f64 = 50.0;

/// Faster than a client that waits for answers.
const HASTY_PER_SECOND: f64 = 1.0;

/// Probes carry little or nothing, the answers to them excepted.
const PROBE_BYTES: u64 = 200;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

/// A relay sends mail to many, and takes it from many.
const SMTP: u16 = 25;

/// Judges a host that contacted more hosts than `limit`.
pub fn judge_hosts(sample: &ContactSample, limit: u32) -> ScanEvidence {
    let reason = sweep(sample, limit);
    let is_vertical = sample.ports_at_one_host + PORTS_ERROR >= PORTS_AT_ONE_HOST;
    let class = if is_vertical { ScanClass::Mixed } else { ScanClass::Sweep };
    let reason = reason.map(|reason| (reason, class));
    evidence(sample, None, reason, limit)
}

/// Judges a host that contacted more ports than `limit`. `sample` may be of a shorter window than `ports`.
pub fn judge_ports(sample: &ContactSample, ports: &PortSample, limit: u32) -> ScanEvidence {
    // Asking the way takes a port for each hop.
    let is_traceroute = ports.contacted.saturating_sub(ports.traceroute) <= limit;
    let reason = if is_traceroute { None } else { vertical(sample, ports) };
    let reason = match (reason, sweep(sample, limit)) {
        (Some(reason), None) => Some((reason, ScanClass::Vertical)),
        (Some(reason), Some(_)) => Some((reason, ScanClass::Mixed)),
        (None, Some(reason @ Reason::Failures(_))) if !is_traceroute => Some((reason, ScanClass::Sweep)),
        (None, _) => None,
    };
    evidence(sample, Some(ports), reason, limit)
}

fn sweep(sample: &ContactSample, limit: u32) -> Option<Reason> {
    let many = FAILED_HOSTS.min(limit.saturating_add(1));
    let looked_at = sample.outcomes.total();
    let is_hasty = sample.pace.per_second() >= HASTY_PER_SECOND;
    let at_many = || sample.ports.iter().filter(|port| port.outcomes.total() >= many).copied();
    let in_vain = at_many().find(|port| {
        let Outcomes { answered, .. } = port.outcomes;
        let failed = port.outcomes.failed();
        failed >= many
            && failed * FAILURES_ONE_IN >= answered + failed
            && (port.neighbours >= many || !is_of_peers(port) && (is_hasty || !is_used_at_many(port)))
    });
    if let Some(port) = in_vain {
        return Some(Reason::Failures(port));
    }
    if let Some(pings) = at_many().find(|port| matches!(port.protocol, ICMP | ICMPV6)) {
        return Some(Reason::Pings(pings));
    }
    if !sample.answers_visible {
        let unseen = at_many().find(|port| {
            let (hosts, unseen) = (port.outcomes.total(), port.outcomes.unseen);
            let is_fast = hosts >= FAST_HOSTS && sample.pace.per_second() >= FAST_PER_SECOND;
            let is_irregular = !is_used_at_many(port) && !is_of_peers(port);
            unseen >= many && hosts * 2 >= looked_at && (port.neighbours >= many || is_fast || is_irregular)
        });
        if let Some(port) = unseen {
            return Some(Reason::Unseen(port));
        }
    }
    // The sample stands for all.
    let scaled = |hosts: u32| u64::from(hosts) * u64::from(sample.contacted) / u64::from(looked_at.max(1));
    let is_extreme = |port: &PortHosts| {
        let hosts = port.outcomes.total();
        let offers_it = port.served * EXTREME >= hosts;
        scaled(hosts) > u64::from(limit) * u64::from(EXTREME)
            && !offers_it
            && (!is_used_at_many(port) || port.port == SMTP)
            && !is_of_peers(port)
    };
    at_many().find(is_extreme).map(Reason::FanOut)
}

fn vertical(sample: &ContactSample, ports: &PortSample) -> Option<Reason> {
    let at_one_host = sample.ports_at_one_host + PORTS_ERROR;
    if at_one_host < PORTS_AT_ONE_HOST || sample.packet_bytes > PROBE_BYTES {
        return None;
    }
    if sample.answers_visible {
        let failed = ports.outcomes.failed();
        let is_in_vain =
            failed >= PORTS_AT_ONE_HOST && failed >= ports.outcomes.answered + TRW_FAILURES_AHEAD;
        return is_in_vain.then_some(Reason::PortsInVain(ports.outcomes));
    }
    if ports.outcomes.unseen < PORTS_AT_ONE_HOST {
        return None;
    }
    let is_most = u64::from(at_one_host) * 2 >= u64::from(ports.contacted.min(2 * PORTS_AT_ONE_HOST));
    is_most.then_some(Reason::PortsUnseen)
}

/// Services that one host uses at very many others: mail and names between servers, time, the web.
fn is_used_at_many(port: &PortHosts) -> bool {
    matches!((port.protocol, port.port), (TCP, SMTP | 53 | 80 | 443) | (UDP, 53 | 123 | 443))
}

/// Ports of P2P networks: eDonkey, Fasttrack, BitTorrent, Gnutella, MP2P, Direct Connect (Karagiannis et al. 2004), and
/// the defaults of Bitcoin, Ethereum and IPFS. Most of the peers that somebody knows of are gone.
fn is_of_peers(port: &PortHosts) -> bool {
    matches!(port.protocol, TCP | UDP)
        && matches!(port.port, 4661..=4665 | 4672 | 1214 | 6881..=6889 | 6346..=6347 | 41170 | 411..=412 | 8333 | 30303 | 4001)
}

fn evidence(
    sample: &ContactSample,
    ports: Option<&PortSample>,
    reason: Option<(Reason, ScanClass)>,
    limit: u32,
) -> ScanEvidence {
    let (contacted, outcomes, pace) = match ports {
        Some(ports) => (ports.contacted, ports.outcomes, ports.pace),
        None => (sample.contacted, sample.outcomes, sample.pace),
    };
    let (role, class, confidence, why) = match reason {
        Some((reason, class)) => {
            (ScanRole::Scanner, Some(class), confidence(reason), why::accused(sample, reason, limit))
        }
        None => {
            let role = role(sample);
            (role, None, Confidence::Low, why::excused(sample, ports, role))
        }
    };
    ScanEvidence {
        role,
        class,
        confidence,
        contacted,
        outcomes,
        answers_visible: sample.answers_visible,
        ports: sample.ports.iter().copied().take(PORTS_SHOWN).collect(),
        ports_at_one_host: sample.ports_at_one_host,
        targets: sample.targets.clone(),
        pace,
        why,
    }
}

fn confidence(reason: Reason) -> Confidence {
    let is_certain = |outcomes: Outcomes, failures: u32| {
        let failed = outcomes.failed();
        failed >= failures && failed >= outcomes.answered + TRW_FAILURES_AHEAD
    };
    match reason {
        Reason::Failures(port) if is_certain(port.outcomes, FAILED_HOSTS) => Confidence::High,
        Reason::PortsInVain(outcomes) if is_certain(outcomes, PORTS_AT_ONE_HOST) => Confidence::High,
        _ => Confidence::Medium,
    }
}

/// What a host is that does not look like a scanner.
fn role(sample: &ContactSample) -> ScanRole {
    let looked_at = sample.outcomes.total();
    if sample.unasked_answers > looked_at {
        return ScanRole::Backscatter;
    }
    if sample.half_open > looked_at && sample.half_open * 2 > sample.asked_by {
        return ScanRole::Victim;
    }
    let busiest = sample.ports.first();
    // Most hosts are contacted at ports of their own.
    let is_scattered = busiest.is_some_and(|port| {
        port.outcomes.total() * 2 < looked_at && sample.ports.len() as u64 * 4 >= u64::from(looked_at)
    });
    let is_peer = is_scattered || busiest.is_some_and(is_of_peers);
    if is_peer { ScanRole::Peer } else { ScanRole::Client }
}

/// How a port is named in a sentence.
pub(super) fn port_name(port: &PortHosts) -> String {
    match (port.protocol, port.port) {
        (ICMP, _) => "by ICMP".to_owned(),
        (ICMPV6, _) => "by ICMPv6".to_owned(),
        (TCP, port) => format!("at TCP port {port}"),
        (UDP, port) => format!("at UDP port {port}"),
        (SCTP, port) => format!("at SCTP port {port}"),
        (protocol, 0) => format!("by IP protocol {protocol}"),
        (protocol, port) => format!("at port {port} of IP protocol {protocol}"),
    }
}

#[cfg(test)]
mod tests;
