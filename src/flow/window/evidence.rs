//! What a host's contacts came to, read off its rows and those of the other direction.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::flow::coarse_instant::CoarseInstant;
use crate::flow::evidence::{
    ContactSample, ContactTarget, Outcome, Outcomes, Pace, PortHosts, PortSample, SAMPLE_MAX, TARGETS_MAX,
};
use crate::flow::hosts::HostId;
use crate::flow::observations::Observations;
use crate::flow::pairs::Pair;
use crate::time::Moment;

use super::Window;

/// Rows of one host that are looked at, those without a contact included.
const ROWS_MAX: usize = 4 * SAMPLE_MAX;

/// A contact is silent when nothing came back for so long after it was folded. Most of the internet answers within
/// 300 ms; an alert is to be raised within a second.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// Contacts of one fold were made in the tick before it.
const TICK: Duration = Duration::from_millis(250);

/// Where traceroute sends UDP to: from 33434 on, one port for each of 30 hops and 3 probes (traceroute(8)).
const TRACEROUTE_PORTS: std::ops::RangeInclusive<u16> = 33_434..=33_534;
const UDP: u8 = 17;

/// Sums over one port.
#[derive(Default)]
struct Tally {
    outcomes: Outcomes,
    served: u32,
    networks: HashMap<u64, u32>,
}

impl Window {
    /// What the latest contacts of a host came to, at `now`; `None` if it is not in the window.
    pub fn contacts_of(&self, addr: &IpAddr, now: Moment) -> Option<ContactSample> {
        let id = self.hosts.find(addr)?;
        let contacted = self.hosts.get(id).contacted_hosts;
        let mut sample = ContactSample {
            contacted,
            answers_visible: self.hosts.is_answered_here(id) || self.is_answered(id),
            ..ContactSample::default()
        };
        let now = CoarseInstant::of(now);
        let mut ports: HashMap<Option<(u8, u16)>, Tally> = HashMap::new();
        let mut ages = Vec::new();
        for at in self.pairs.rows_of(id, &self.hosts).take(ROWS_MAX) {
            sample.rows += 1;
            let pair = self.pairs.get(at);
            let reverse = self.pairs.reverse(at, &self.hosts).map(|at| self.pairs.get(at));
            let asked = reverse.filter(|reverse| reverse.contacts_live > 0);
            if let Some(asked) = asked {
                ports.entry(asked.contacted.lowest()).or_default().served += 1;
            }
            if pair.contacts_live == 0 {
                let is_answer = !pair.signs.answers().is_empty();
                sample.asked_by += u32::from(asked.is_some());
                sample.half_open += u32::from(is_answer && asked.is_some_and(is_half_open));
                sample.unasked_answers += u32::from(reverse.is_none() && is_answer);
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
            *tally.networks.entry(neighbourhood(&target)).or_default() += 1;
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
        sample.pace = fastest_run(ages);
        sample.ports = by_hosts(ports);
        Some(sample)
    }

    /// What the contacted ports of a host came to, at `now`; `None` if it is not in the window.
    pub fn contacted_ports_of(&self, addr: &IpAddr, now: Moment) -> Option<PortSample> {
        let (ports, id) = (self.ports.as_ref()?, self.hosts.find(addr)?);
        let answers_visible = self.hosts.is_answered_here(id) || self.is_answered(id);
        let mut sample = PortSample { contacted: ports.count(id), ..PortSample::default() };
        let now = CoarseInstant::of(now);
        let mut ages = Vec::new();
        for row in ports.rows_of(id).take(ROWS_MAX) {
            if row.protocol == UDP && TRACEROUTE_PORTS.contains(&row.port) {
                sample.traceroute += 1;
                continue;
            }
            ages.push(now.since(row.contacted_at));
            sample.outcomes.add(if row.signs.has(Observations::ACCEPTED) {
                Outcome::Answered
            } else if row.signs.has_any(Observations::RESET | Observations::UNREACHABLE) {
                Outcome::Refused
            } else {
                unanswered(row.contacted_at, answers_visible, now)
            });
        }
        sample.pace = fastest_run(ages);
        Some(sample)
    }

    /// Whether one of its latest peers sent anything to it, be it of its own network.
    fn is_answered(&self, id: HostId) -> bool {
        const PEERS_MAX: usize = 64;
        let mut rows = self.pairs.rows_of(id, &self.hosts).take(PEERS_MAX);
        rows.any(|at| self.pairs.reverse(at, &self.hosts).is_some())
    }
}

fn outcome(pair: &Pair, reverse: Option<&Pair>, answers_visible: bool, now: CoarseInstant) -> Outcome {
    // A word of a protocol in which only the first says who began is an answer to the one who did.
    let is_accepted =
        |reverse: &Pair| reverse.signs.has(Observations::ACCEPTED) || (pair.spoke() && reverse.spoke());
    if reverse.is_some_and(is_accepted) {
        return Outcome::Answered;
    }
    let is_reset = reverse.is_some_and(|reverse| reverse.signs.has(Observations::RESET));
    if is_reset || pair.signs.has(Observations::UNREACHABLE) {
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

/// The run of contacts that took the least time, of how long ago they were.
fn fastest_run(mut ages: Vec<Duration>) -> Pace {
    ages.sort_unstable();
    let run = ages.len().min(Pace::RUN_MAX);
    let spans = ages.windows(run.max(1)).map(|run| run[run.len() - 1] - run[0]);
    // Fits: it is at most the length of a run.
    spans.min().map_or_else(Pace::default, |span| Pace { contacts: run as u32, over: span + TICK })
}

/// Nothing followed the SYN: whoever sent it is not there, or did not mean it.
fn is_half_open(asked: &Pair) -> bool {
    asked.signs.has(Observations::OPENED) && !asked.signs.has_any(Observations::TALKED | Observations::PROBED)
}

/// The network that a sweep goes through host by host.
fn neighbourhood(addr: &IpAddr) -> u64 {
    match addr {
        // Not the prefix of any IPv6 network in use.
        IpAddr::V4(addr) => u64::from(addr.to_bits() >> 8),
        // Fits: half of the bits are left.
        IpAddr::V6(addr) => (addr.to_bits() >> 64) as u64,
    }
}

fn by_hosts(ports: HashMap<Option<(u8, u16)>, Tally>) -> Vec<PortHosts> {
    let mut ports: Vec<PortHosts> = ports
        .into_iter()
        .filter_map(|(port, tally)| {
            let (protocol, port) = port?;
            let Tally { outcomes, served, networks } = tally;
            let neighbours = networks.values().copied().max().unwrap_or(0);
            (outcomes.total() > 0).then_some(PortHosts { protocol, port, outcomes, served, neighbours })
        })
        .collect();
    ports.sort_unstable_by_key(|port| (std::cmp::Reverse(port.outcomes.total()), port.protocol, port.port));
    ports
}
