//! What the contacts of a host look like: a scan, or what else it may be.
//!
//! A host that contacts many others need not be a scanner. These rules tell scanners from what became of the
//! contacts; each rule names its source.
//!
//! * **Failures**: contacts of at least 25 hosts at one port (fewer if the limit is lower) failed, and a third of all
//!   contacts at it. At a port that clients use at many hosts, they must also be in one network, or faster than one in
//!   a second. Zeek's `scan.zeek` counts 25 failures at one port; by TRW one in five contacts of a benign host fails; a
//!   client that gets no answers waits a second or longer (RFC 6298, 2.1).
//! * **Pings**: ICMP requests to at least 25 hosts (fewer if the limit is lower), which is Zeek's count. Answers do not
//!   matter: a sweep asks which hosts exist, and no service makes clients ask that.
//! * **Ports in vain**: at least 15 ports at one host, by small packets, and more failures than answers. Zeek counts 15
//!   ports at one victim; TRW tells how many more failures; the packets of a flood are large.
//! * **Fan-out**: more than 20 times the limit at one port that is no web, name or time service, and that the host does
//!   not offer itself. bro-simple-scan counts any contact, from 25 hosts on.
//! * **Unseen**: no answer to the host passes here, and most of its contacts are at one port: in one network, or fast,
//!   or at a port that clients use few hosts of. Snort counts contacts without answers; Gates et al. 2006 find scans by
//!   consecutive addresses.
//!
//! TRW is the sequential test of Jung et al. 2004 with their parameters: of a benign host's contacts 0.8 succeed, of
//! a scanner's 0.2; at P_D 0.99 and P_F 0.01 four more failures than answers make a scanner. Contacts of P2P peers
//! fail as often (Karagiannis et al. 2004), but each peer has a port of its own. So failures count where they are at
//! one port, and at known P2P ports only within one network. Failures are not known where answers do not pass here,
//! nor until contacts have had the time to be answered.

mod evidence;
mod reason;
mod service_port;
mod why;

pub use evidence::{Confidence, PORTS_SHOWN, ScanClass, ScanEvidence, ScanRole};

use crate::flow::{ContactSample, Outcomes, PortHosts, PortSample};

use reason::{EXTREME, Reason};
use service_port::{ICMP, ICMPV6, SMTP, is_of_peers, is_used_at_many};

/// What makes a host a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScanRule {
    /// The number of its contacts.
    #[default]
    Contacts,
    /// Their number, and that they look like a scan ([`evaluate_hosts`], [`evaluate_ports`]).
    Suspicious,
}

/// Zeek's `addr_scan_threshold`.
const FAILED_HOSTS: u32 = 25;

/// Zeek's `port_scan_threshold`.
const PORTS_AT_ONE_HOST: u32 = 15;

/// Two standard errors of an estimate of 15 ports.
const PORTS_ERROR: u32 = 3;

/// How many more failures than answers TRW needs to find a scanner: the smallest n with (0.8 / 0.2)^n >= 0.99 / 0.01.
const TRW_FAILURES_AHEAD: u32 = 4;

/// One in three contacts fails: clearly more than the one in five of TRW's benign host. It is less than the half that
/// decides TRW's test, because half of a network may well answer a sweep.
const FAILURES_ONE_IN: u32 = 3;

/// Faster than browsers, over more hosts than a web page has.
const FAST_HOSTS: u32 = 100;
const FAST_PER_SECOND: f64 = 50.0;

/// Faster than a client that waits for answers.
const HASTY_PER_SECOND: f64 = 1.0;

/// Probes carry little or no data.
const PROBE_BYTES: u64 = 200;

/// Evaluates a host that contacted more hosts than `limit`.
pub fn evaluate_hosts(sample: &ContactSample, limit: u32) -> ScanEvidence {
    let reason = sweep(sample, limit);
    let is_vertical = sample.ports_at_one_host + PORTS_ERROR >= PORTS_AT_ONE_HOST;
    let class = if is_vertical { ScanClass::Mixed } else { ScanClass::Sweep };
    let reason = reason.map(|reason| (reason, class));
    evidence(sample, None, reason, limit)
}

/// Evaluates a host that contacted more ports than `limit`. `sample` may be of a shorter window than `ports`.
pub fn evaluate_ports(sample: &ContactSample, ports: &PortSample, limit: u32) -> ScanEvidence {
    // A traceroute takes a port for each hop.
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
    // The sample represents all contacts.
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
            (ScanRole::Scanner, Some(class), confidence(reason), why::of_scanner(sample, reason, limit))
        }
        None => {
            let role = role(sample);
            (role, None, Confidence::Low, why::of_other(sample, ports, role))
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

/// What a host is that is no scanner.
fn role(sample: &ContactSample) -> ScanRole {
    let looked_at = sample.outcomes.total();
    if sample.unmatched_replies > looked_at {
        return ScanRole::Backscatter;
    }
    if sample.half_open > looked_at && sample.half_open * 2 > sample.contacted_by {
        return ScanRole::Victim;
    }
    let busiest = sample.ports.first();
    // Most of the contacted hosts have a port of their own.
    let is_scattered = busiest.is_some_and(|port| {
        port.outcomes.total() * 2 < looked_at && sample.ports.len() as u64 * 4 >= u64::from(looked_at)
    });
    let is_peer = is_scattered || busiest.is_some_and(is_of_peers);
    if is_peer { ScanRole::Peer } else { ScanRole::Client }
}

#[cfg(test)]
mod tests;
