//! What became of a host's contacts, from its rows and those of the other direction.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::flow::coarse_instant::CoarseInstant;
use crate::flow::evidence::{
    ContactSample, ContactTarget, Outcome, Outcomes, Pace, PortHosts, PortSample, SAMPLE_MAX, TARGETS_MAX,
};
use crate::flow::hosts::HostId;
use crate::flow::observations::Observations;
use crate::flow::pairs::{EXPIRED_ONE_IN, Pair};
use crate::time::Moment;

use super::Window;

/// Rows of one host that are examined, including those without a contact.
const ROWS_MAX: usize = 4 * SAMPLE_MAX;

/// A contact is unanswered if no answer came within this time after it was folded. Most of the internet answers within
/// 300 ms, and an alert must be raised within a second.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// Contacts of one delta were made within a tick before it was folded.
const TICK: Duration = Duration::from_millis(250);

/// UDP ports of traceroute: from 33434 on, one for each of 30 hops and 3 probes (traceroute(8)).
const TRACEROUTE_PORTS: std::ops::RangeInclusive<u16> = 33_434..=33_534;

/// UDP ports of mtr: from 33000 on, one for each probe (`MIN_PORT` of mtr's packet/probe.h), as many as it sends. No
/// service has one of them, so many other programs trace paths there too.
const MTR_PORTS_MIN: u16 = 33_000;

/// Maximum number of ports below [`MTR_PORTS_MIN`] that are excused because packets to them expired: 30 hops with 3
/// probes each, if a traceroute begins at another port (`traceroute -p`).
const TRACED_PORTS_MAX: u32 = 90;

const UDP: u8 = 17;

/// Sums over one port.
#[derive(Default)]
struct Tally {
    outcomes: Outcomes,
    served: u32,
    traced: u32,
    networks: HashMap<u64, u32>,
}

impl Window {
    /// Returns the outcomes of the latest contacts of a host at `now`; `None` if it is not in the window.
    pub fn contacts_of(&self, addr: &IpAddr, now: Moment) -> Option<ContactSample> {
        let id = self.hosts.find(addr)?;
        let contacted = self.hosts.get(id).contacted_hosts;
        let mut sample = ContactSample {
            contacted,
            answers_visible: self.hosts.has_return_path(id) || self.is_answered(id),
            ..ContactSample::default()
        };
        let now = CoarseInstant::of(now);
        let mut ports: HashMap<Option<(u8, u16)>, Tally> = HashMap::new();
        let mut ages = Vec::new();
        for at in self.pairs.rows_of(id, &self.hosts).take(ROWS_MAX) {
            sample.rows += 1;
            let pair = self.pairs.get(at);
            let reverse = self.pairs.reverse(at, &self.hosts).map(|at| self.pairs.get(at));
            let request = reverse.filter(|reverse| reverse.contacts_live() > 0);
            if let Some(request) = request {
                ports.entry(request.contacted.lowest()).or_default().served += 1;
            }
            if pair.contacts_live() == 0 {
                let is_answer = !pair.observations().answers().is_empty();
                sample.contacted_by += u32::from(request.is_some());
                sample.half_open += u32::from(is_answer && request.is_some_and(is_half_open));
                sample.unmatched_replies += u32::from(reverse.is_none() && is_answer);
                continue;
            }
            if sample.outcomes.total() as usize == SAMPLE_MAX {
                continue;
            }
            let outcome = outcome(pair, reverse, sample.answers_visible, now);
            let target = self.hosts.get(pair.dst).addr();
            let port = pair.contacted.lowest();
            let tally = ports.entry(port).or_default();
            tally.outcomes.add(outcome);
            if outcome == Outcome::Expired || pair.is_traceroute() {
                tally.traced += 1;
            } else {
                *tally.networks.entry(neighbourhood(&target)).or_default() += 1;
            }
            sample.outcomes.add(outcome);
            if sample.targets.len() < TARGETS_MAX {
                sample.targets.push(ContactTarget { addr: target, port, outcome });
            }
            let width = pair.contacted.ports();
            if (width, Some(target)) > (sample.ports_at_one_host, sample.widest) {
                (sample.ports_at_one_host, sample.widest) = (width, Some(target));
                sample.packet_bytes = pair.ip_bytes / pair.packets().max(1);
            }
            ages.push(now.since(pair.contacted_at));
        }
        sample.span = span(&ages);
        sample.pace = fastest_run(ages);
        sample.ports = by_hosts(ports);
        Some(sample)
    }

    /// Returns the outcomes of the contacted ports of a host at `now`; `None` if it is not in the window.
    pub fn contacted_ports_of(&self, addr: &IpAddr, now: Moment) -> Option<PortSample> {
        let (ports, id) = (self.ports.as_ref()?, self.hosts.find(addr)?);
        // The answers that were seen may have left the traffic window, which is that of these two.
        let mut answers_visible = self.hosts.has_return_path(id) || self.is_answered(id);
        let answers =
            Observations::ACCEPTED | Observations::RESET | Observations::UNREACHABLE | Observations::EXPIRED;
        let mut sample = PortSample { contacted: ports.count(id), ..PortSample::default() };
        let now = CoarseInstant::of(now);
        let mut ages = Vec::new();
        // The ports that may be those of a traceroute, but need not.
        let mut high = Outcomes::default();
        // What the other ports to which packets expired would be if nothing had expired.
        let mut expired = Outcomes::default();
        for row in ports.rows_of(id).take(ROWS_MAX) {
            if row.protocol == UDP && TRACEROUTE_PORTS.contains(&row.port) {
                sample.traceroute += 1;
                continue;
            }
            ages.push(now.since(row.contacted_at));
            answers_visible |= row.observations.has_any(answers);
            let is_high = row.protocol == UDP && row.port >= MTR_PORTS_MIN;
            let outcomes = if is_high { &mut high } else { &mut sample.outcomes };
            let unanswered = unanswered(row.contacted_at, answers_visible, now);
            outcomes.add(if row.observations.has(Observations::ACCEPTED) {
                Outcome::Answered
            } else if row.observations.has_any(Observations::RESET | Observations::UNREACHABLE) {
                // An answer of the target counts, even if other probes of that port expired on the way.
                Outcome::Refused
            } else if !row.observations.has(Observations::EXPIRED) {
                unanswered
            } else if is_high {
                Outcome::Expired
            } else {
                expired.add(unanswered);
                continue;
            });
        }
        sample.answers_visible = answers_visible;
        if answers_visible {
            [&mut sample.outcomes, &mut high, &mut expired].into_iter().for_each(Outcomes::see_answers);
        }
        if expired.total() > TRACED_PORTS_MAX {
            sample.outcomes.merge(expired);
        } else {
            sample.outcomes.expired += expired.total();
        }
        if high.expired > 0 && high.expired * EXPIRED_ONE_IN >= high.total() {
            sample.traceroute += high.total() - high.expired;
            sample.outcomes.expired += high.expired;
        } else {
            sample.outcomes.merge(high);
        }
        sample.span = span(&ages);
        sample.pace = fastest_run(ages);
        Some(sample)
    }

    /// Returns true if one of its latest peers sent anything to it, also one of its own network.
    fn is_answered(&self, id: HostId) -> bool {
        const PEERS_MAX: usize = 64;
        let mut rows = self.pairs.rows_of(id, &self.hosts).take(PEERS_MAX);
        rows.any(|at| self.pairs.reverse(at, &self.hosts).is_some())
    }
}

fn outcome(pair: &Pair, reverse: Option<&Pair>, answers_visible: bool, now: CoarseInstant) -> Outcome {
    // In a protocol in which the host that sends first is the initiator, a packet of the other host is an answer.
    let is_accepted = |reverse: &Pair| {
        reverse.observations().has(Observations::ACCEPTED) || (pair.has_sent() && reverse.has_sent())
    };
    if reverse.is_some_and(is_accepted) {
        return Outcome::Answered;
    }
    if pair.is_traceroute() {
        return Outcome::Expired;
    }
    let is_reset = reverse.is_some_and(|reverse| reverse.observations().has(Observations::RESET));
    if is_reset || pair.observations().has(Observations::UNREACHABLE) {
        return Outcome::Refused;
    }
    unanswered(pair.contacted_at, answers_visible, now)
}

fn unanswered(contacted_at: CoarseInstant, answers_visible: bool, now: CoarseInstant) -> Outcome {
    match (now.since(contacted_at) >= ANSWERS_WITHIN, answers_visible) {
        (false, _) => Outcome::Early,
        (true, true) => Outcome::Silent,
        (true, false) => Outcome::Unseen,
    }
}

/// Returns the time from the first to the last of contacts of these ages.
fn span(ages: &[Duration]) -> Duration {
    let (first, last) = (ages.iter().max(), ages.iter().min());
    first.zip(last).map_or(Duration::ZERO, |(first, last)| first.saturating_sub(*last) + TICK)
}

/// Returns the run of contacts that took the least time, from the ages of all contacts.
#[allow(clippy::cast_possible_truncation, reason = "a run has at most 100 contacts")]
fn fastest_run(mut ages: Vec<Duration>) -> Pace {
    ages.sort_unstable();
    let run = ages.len().min(Pace::RUN_MAX);
    let spans = ages.windows(run.max(1)).map(|run| run[run.len() - 1] - run[0]);
    // Fits: it is at most the length of a run.
    spans.min().map_or_else(Pace::default, |span| Pace { contacts: run as u32, over: span + TICK })
}

/// Returns true if nothing followed the SYN: its source address is spoofed, or it never meant to connect.
fn is_half_open(request: &Pair) -> bool {
    request.observations().has(Observations::INITIATED)
        && !request.observations().has_any(Observations::ESTABLISHED | Observations::PROBED)
}

/// Returns the network whose hosts a sweep contacts one by one.
fn neighbourhood(addr: &IpAddr) -> u64 {
    match addr {
        // No IPv6 network in use has this prefix.
        IpAddr::V4(addr) => u64::from(addr.to_bits() >> 8),
        // Fits: half of the bits remain.
        IpAddr::V6(addr) => (addr.to_bits() >> 64) as u64,
    }
}

fn by_hosts(ports: HashMap<Option<(u8, u16)>, Tally>) -> Vec<PortHosts> {
    let mut ports: Vec<PortHosts> = ports
        .into_iter()
        .filter_map(|(port, tally)| {
            let (protocol, port) = port?;
            let Tally { outcomes, served, traced, networks } = tally;
            let hosts_in_one_network = networks.values().copied().max().unwrap_or(0);
            (outcomes.total() > 0).then_some(PortHosts {
                protocol,
                port,
                outcomes,
                served,
                traced,
                hosts_in_one_network,
            })
        })
        .collect();
    ports.sort_unstable_by_key(|port| (std::cmp::Reverse(port.outcomes.total()), port.protocol, port.port));
    ports
}
