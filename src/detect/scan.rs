//! Decides whether the contacts of a host are a scan, and classifies the host otherwise.
//!
//! A host that contacts many others need not be a scanner. Six patterns identify scanners, most of them by the outcomes
//! of their contacts. TRW is the Threshold Random Walk of Jung et al. 2004, a sequential test with these parameters:
//! 0.8 of the contacts of a benign host succeed, and 0.2 of those of a scanner. With their P_D of 0.99 and P_F of 0.01
//! a host is a scanner once four more of its contacts failed than were answered.
//!
//! A sweep contacts many hosts at one port. "25 hosts" means the limit plus one if the limit is lower.
//!
//! Contacts that expired on the way are taken out: the path answered them, not the target, so they are a traceroute.
//!
//! * **Failures**: the host contacted at least 25 hosts at one port without success, and at least a third of the
//!   contacts there that had an outcome failed. At a port that clients use at many hosts (mail, names, time, the web),
//!   25 of the contacted hosts must also be in one /24 or /64, or the rate must be at least one contact per second. At
//!   a known P2P port, 25 of them must be in one /24 or /64. Zeek's `scan.zeek` counts 25 failures at one port. By TRW
//!   one in five contacts of a benign host fails. A client that gets no answer waits for at least a second (RFC 6298,
//!   2.1).
//! * **Pings**: the host sent ICMP requests to at least 25 hosts, which is Zeek's count, and at least a third of those
//!   that had an outcome failed. A sweep finds out which hosts exist; a monitor knows that, so most of its targets
//!   answer.
//!
//! Both leave out fewer than 64 hosts that are scattered over the Internet, at most a quarter of them in one /24 or
//! /64, unless the port is that of a guarded service: so does a speed meter that looks for the nearest of its servers
//! (some 10 to 60, most of which may be gone), and a client with a list of mirrors. A scanner of random addresses goes
//! on.
//!
//! * **Unseen**: no answers to the host pass here. It contacted at least 25 hosts at one port, which are at least half
//!   of the examined contacts. Further, 25 of them are in one /24 or /64, or it contacted at least 100 hosts there at
//!   50 or more contacts per second, or the port is neither a known P2P port nor one that clients use at many hosts.
//!   Snort counts contacts without answers; Gates et al. 2006 find scans by consecutive addresses.
//! * **Fan-out**: the host contacted more than 20 times as many hosts at one port as the limit allows in all, whatever
//!   their answers. It does not offer the service of that port itself, and the port is that of a guarded service, which
//!   clients do not use at many hosts: SSH, Telnet, RDP, SMB, databases and others (`service_port.rs`). Mail (port 25)
//!   is one of them: relays send and take it, so a host that only sends to hundreds is a spam bot. At any other port a
//!   host whose contacts are answered is a client, however many they are: a poller of exporters, game servers or SNMP.
//!
//! A vertical scan contacts many ports at one host. In both patterns, the estimate of the ports contacted at one host
//! is at least 12, which is Zeek's count of 15 less the error of the estimate, and the packets to that host have at
//! most 200 bytes on average, since the packets of a flood are larger.
//!
//! * **Failed ports**: at least 15 contacted ports failed, at any hosts, and at least 4 more failed than were answered
//!   (TRW).
//! * **Unseen ports**: no answers to the host pass here, and it contacted at least 15 ports whose outcome is therefore
//!   unknown.
//!
//! Contacts to P2P peers fail as often as those of a scanner (Karagiannis et al. 2004), but the peers listen at
//! different ports. So a sweep is found by failures at one port only. No contact counts as failed if answers to the
//! host do not pass here, or before its time for an answer has passed.

mod evidence;
mod reason;
mod service_port;
mod why;

pub use evidence::{Confidence, PORTS_SHOWN, ScanClass, ScanEvidence, ScanRole};
pub(crate) use service_port::port_name;

use crate::flow::{ContactSample, Outcomes, PortHosts, PortSample};

use reason::{FAN_OUT_MULTIPLE, Reason};
use service_port::{SMTP, is_guarded, is_p2p, is_ping, is_used_at_many_hosts};

/// When a host that exceeds its limit of contacts is reported as a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScanRule {
    /// In any case: the number of its contacts suffices.
    #[default]
    Contacts,
    /// If its contacts also match a pattern of scans ([`evaluate_hosts`], [`evaluate_ports`]).
    Suspicious,
}

/// Number of hosts at one port from which contacts are a sweep: Zeek's `addr_scan_threshold`.
const SWEPT_HOSTS_MIN: u32 = 25;

/// Number of ports at one host from which contacts are a vertical scan: Zeek's `port_scan_threshold`.
const SCANNED_PORTS_MIN: u32 = 15;

/// Two standard errors of an estimate of 15 ports.
const PORTS_ERROR: u32 = 3;

/// How many more failures than answers TRW needs to find a scanner: the smallest n with (0.8 / 0.2)^n >= 0.99 / 0.01.
const TRW_FAILURES_AHEAD: u32 = 4;

/// At least one in three contacts of a sweep fails. That is clearly more than the one in five of TRW's benign host, and
/// less than the half at which TRW leans towards a scanner, because half of the hosts of a network may answer a sweep.
const FAILURES_ONE_IN: u32 = 3;

/// Fewer scattered hosts than this are no sweep; a speed meter has at most some 60 servers to choose from.
const SCATTERED_HOSTS_MIN: u32 = 64;
/// Hosts are scattered if at most one in this many is in one network.
const SCATTERED_ONE_IN: u32 = 4;

/// More hosts than one web page needs.
const ABOVE_BROWSER_HOSTS: u32 = 100;
/// Contacts per second that no browser makes to that many hosts.
const ABOVE_BROWSER_PER_SECOND: f64 = 50.0;

/// Contacts per second of a host that does not wait for answers: the first timeout of a client is at least one second.
const NOT_WAITING_PER_SECOND: f64 = 1.0;

/// Maximum average size of the packets of a scan in IP bytes: probes carry little or no data.
const PROBE_BYTES_MAX: u64 = 200;

/// A host offers a service itself if one host contacts it at the port for every 20 hosts that it contacts there.
const SERVED_ONE_IN: u32 = 20;

/// Evaluates a host that contacted more hosts than `limit`.
pub fn evaluate_hosts(sample: &ContactSample, limit: u32) -> ScanEvidence {
    let reason = sweep(sample, limit);
    let is_vertical = sample.ports_at_one_host + PORTS_ERROR >= SCANNED_PORTS_MIN;
    let class = if is_vertical { ScanClass::Mixed } else { ScanClass::Sweep };
    let reason = reason.map(|reason| (reason, class));
    evidence(sample, None, reason, limit)
}

/// Evaluates a host that contacted more ports than `limit`. The window of `sample` may be shorter than that of `ports`.
pub fn evaluate_ports(sample: &ContactSample, ports: &PortSample, limit: u32) -> ScanEvidence {
    // Traceroute sends each probe to another port. Without those ports the host is within the limit, so it is not a
    // scanner of ports.
    let is_traceroute = ports.contacted.saturating_sub(ports.traceroute + ports.outcomes.expired) <= limit;
    let reason = if is_traceroute { None } else { vertical(sample, ports) };
    let reason = match (reason, sweep(sample, limit)) {
        (Some(reason), None) => Some((reason, ScanClass::Vertical)),
        (Some(reason), Some(_)) => Some((reason, ScanClass::Mixed)),
        // Of the patterns of a sweep, only failures are evidence here: the others rest on the number of hosts, for
        // which there is a limit of its own.
        (None, Some(reason @ Reason::Failures(_))) if !is_traceroute => Some((reason, ScanClass::Sweep)),
        (None, _) => None,
    };
    evidence(sample, Some(ports), reason, limit)
}

/// Evaluates a host whose rate exceeds a limit: what it does, whatever the number of its contacts. `ports` is `None` if
/// ports are not analysed.
pub fn evaluate_rate(sample: &ContactSample, ports: Option<&PortSample>) -> ScanEvidence {
    // The limit is one of packets or contacts per second, and says nothing about the number of hosts.
    const LIMIT: u32 = u32::MAX;
    let vertical = ports.and_then(|ports| vertical(sample, ports));
    let reason = match (vertical, sweep(sample, LIMIT)) {
        (Some(reason), None) => Some((reason, ScanClass::Vertical)),
        (Some(reason), Some(_)) => Some((reason, ScanClass::Mixed)),
        (None, sweep) => sweep.map(|reason| (reason, ScanClass::Sweep)),
    };
    evidence(sample, None, reason, LIMIT)
}

/// Returns the first pattern of a sweep that the contacts match; `None` if they match none.
fn sweep(sample: &ContactSample, limit: u32) -> Option<Reason> {
    let hosts_min = SWEPT_HOSTS_MIN.min(limit.saturating_add(1));
    let examined = sample.outcomes.total();
    let rate = sample.pace.per_second();
    let swept_ports = || sample.ports.iter().filter(|port| port.hosts() >= hosts_min).copied();
    let are_many_failures = |port: &PortHosts| {
        let failed = port.outcomes.failed();
        failed * FAILURES_ONE_IN >= port.outcomes.answered + failed && !are_few_scattered(port)
    };
    let with_failures = swept_ports().find(|port| {
        let is_not_waiting = rate >= NOT_WAITING_PER_SECOND;
        port.outcomes.failed() >= hosts_min
            && are_many_failures(port)
            && (port.hosts_in_one_network >= hosts_min
                || !is_p2p(port) && (is_not_waiting || !is_used_at_many_hosts(port)))
    });
    if let Some(port) = with_failures {
        return Some(Reason::Failures(port));
    }
    let is_sweep_of_pings =
        |port: &PortHosts| is_ping(port) && port.outcomes.failed() > 0 && are_many_failures(port);
    if let Some(pings) = swept_ports().find(is_sweep_of_pings) {
        return Some(Reason::Pings(pings));
    }
    if !sample.answers_visible {
        let unseen = swept_ports().find(|port| {
            let (hosts, unseen) = (port.hosts(), port.outcomes.unseen);
            let is_above_browser = hosts >= ABOVE_BROWSER_HOSTS && rate >= ABOVE_BROWSER_PER_SECOND;
            let is_rarely_used = !is_used_at_many_hosts(port) && !is_p2p(port);
            unseen >= hosts_min
                && hosts * 2 >= examined
                && (port.hosts_in_one_network >= hosts_min || is_above_browser || is_rarely_used)
        });
        if let Some(port) = unseen {
            return Some(Reason::Unseen(port));
        }
    }
    // The examined contacts represent all contacts.
    let scaled = |hosts: u32| u64::from(hosts) * u64::from(sample.contacted) / u64::from(examined.max(1));
    let is_fan_out = |port: &PortHosts| {
        let hosts = port.hosts();
        let offers_it = port.served * SERVED_ONE_IN >= hosts;
        scaled(hosts) > u64::from(limit) * u64::from(FAN_OUT_MULTIPLE)
            && !offers_it
            && (is_guarded(port) || (port.protocol, port.port) == SMTP)
    };
    swept_ports().find(is_fan_out).map(Reason::FanOut)
}

/// Returns true if so few hosts that are so far from each other were contacted at a port that a client may have done
/// it.
fn are_few_scattered(port: &PortHosts) -> bool {
    port.hosts() < SCATTERED_HOSTS_MIN
        && port.hosts_in_one_network * SCATTERED_ONE_IN <= port.hosts()
        && !is_guarded(port)
}

/// Returns the pattern of a vertical scan that the contacts match; `None` if they match none.
fn vertical(sample: &ContactSample, ports: &PortSample) -> Option<Reason> {
    let is_narrow = sample.ports_at_one_host + PORTS_ERROR < SCANNED_PORTS_MIN;
    if is_narrow || sample.packet_bytes > PROBE_BYTES_MAX {
        return None;
    }
    if sample.are_answers_visible(Some(ports)) {
        let are_failed = failures_prevail(ports.outcomes, SCANNED_PORTS_MIN);
        return are_failed.then_some(Reason::FailedPorts(ports.outcomes));
    }
    (ports.outcomes.unseen >= SCANNED_PORTS_MIN).then_some(Reason::UnseenPorts)
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
        Some((reason, class)) => (
            ScanRole::Scanner,
            Some(class),
            confidence(reason),
            why::of_scanner(sample, ports, reason, limit),
        ),
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
        answers_visible: sample.are_answers_visible(ports),
        ports: sample.ports.iter().copied().take(PORTS_SHOWN).collect(),
        ports_at_one_host: sample.ports_at_one_host,
        targets: sample.targets.clone(),
        pace,
        why,
    }
}

/// Returns true if at least `failed_min` contacts failed, and so many more than were answered that TRW decides.
fn failures_prevail(outcomes: Outcomes, failed_min: u32) -> bool {
    let failed = outcomes.failed();
    failed >= failed_min && failed >= outcomes.answered + TRW_FAILURES_AHEAD
}

fn confidence(reason: Reason) -> Confidence {
    match reason {
        Reason::Failures(port) if failures_prevail(port.outcomes, SWEPT_HOSTS_MIN) => Confidence::High,
        // `vertical` gives this reason only if the failures prevail.
        Reason::FailedPorts(_) => Confidence::High,
        _ => Confidence::Medium,
    }
}

/// Classifies a host that is not a scanner.
fn role(sample: &ContactSample) -> ScanRole {
    let examined = sample.outcomes.total();
    if sample.unmatched_replies > examined {
        return ScanRole::Backscatter;
    }
    if sample.half_open > examined && sample.half_open * 2 > sample.contacted_by {
        return ScanRole::Victim;
    }
    let busiest = sample.ports.first();
    // No port has half of the examined contacts, and there are at least a quarter as many ports as contacts.
    let is_scattered = busiest.is_some_and(|port| {
        port.outcomes.total() * 2 < examined && sample.ports.len() as u64 * 4 >= u64::from(examined)
    });
    let is_peer = is_scattered || busiest.is_some_and(is_p2p);
    if is_peer { ScanRole::Peer } else { ScanRole::Client }
}

#[cfg(test)]
mod tests;
