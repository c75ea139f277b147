//! What became of a host's contacts: the material of the judgement whether it scans.

use std::net::IpAddr;
use std::time::Duration;

/// Pairs of one host that are looked at, the latest first; what is counted of them stands for all. An unbounded
/// look would let one busy host keep the analyst from all others.
pub const SAMPLE_MAX: usize = 1024;

/// Contacts that are shown as examples.
pub const TARGETS_MAX: usize = 10;

/// What became of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target took it up.
    Answered,
    /// The target, or a router before it, refused it: TCP RST, SCTP ABORT, ICMP unreachable.
    Refused,
    /// Nothing came back, although answers to this host pass here and had the time to.
    Silent,
    /// Answers to this host do not pass here, or not one did yet.
    Unseen,
    /// There was not yet time for an answer.
    Early,
}

/// How many contacts came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Those that were taken up.
    pub answered: u32,
    /// Those that were refused.
    pub refused: u32,
    /// Those that nothing came back for.
    pub silent: u32,
    /// Those whose answers, if there are any, do not pass here.
    pub unseen: u32,
    /// Those that are too young to tell.
    pub early: u32,
}

impl Outcomes {
    /// Counts one more.
    pub fn add(&mut self, outcome: Outcome) {
        let sum = match outcome {
            Outcome::Answered => &mut self.answered,
            Outcome::Refused => &mut self.refused,
            Outcome::Silent => &mut self.silent,
            Outcome::Unseen => &mut self.unseen,
            Outcome::Early => &mut self.early,
        };
        *sum += 1;
    }

    /// Contacts that came to nothing.
    pub fn failed(&self) -> u32 {
        self.refused + self.silent
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        self.answered + self.failed() + self.unseen + self.early
    }
}

/// A contact, as an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactTarget {
    /// Who was contacted.
    pub addr: IpAddr,
    /// The protocol, and the lowest port of it; port 0 where it has none.
    pub port: Option<(u8, u16)>,
    /// What became of it.
    pub outcome: Outcome,
}

/// How many hosts were contacted at a port, each host at the lowest of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortHosts {
    /// The protocol that the port belongs to.
    pub protocol: u8,
    /// The port; 0 for protocols without ports.
    pub port: u16,
    /// What became of the contacts.
    pub outcomes: Outcomes,
    /// Hosts that contacted this host at the same port: it offers what it asks others for.
    pub served: u32,
    /// The most of the contacted hosts that lie in one network: /24 of IPv4, /64 of IPv6.
    pub neighbours: u32,
}

/// How fast contacts were made: in the fastest run of them, so that what a host did before does not hide it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Contacts of the run; at most [`RUN_MAX`](Self::RUN_MAX).
    pub contacts: u32,
    /// From the first of them to the last, and a tick.
    pub over: Duration,
}

impl Pace {
    /// Contacts of a run. A web page has fewer.
    pub const RUN_MAX: usize = 100;

    /// Contacts per second.
    pub fn per_second(&self) -> f64 {
        if self.over.is_zero() { 0.0 } else { f64::from(self.contacts) / self.over.as_secs_f64() }
    }
}

/// What the latest contacts of a host over the traffic window came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactSample {
    /// Hosts contacted in the window, exactly.
    pub contacted: u32,
    /// What became of those that were looked at.
    pub outcomes: Outcomes,
    /// Whether answers to this host pass here.
    pub answers_visible: bool,
    /// By port, most hosts first.
    pub ports: Vec<PortHosts>,
    /// About the most ports that were contacted at one host, and its address.
    pub ports_at_one_host: u32,
    /// The host with the most ports.
    pub widest: Option<IpAddr>,
    /// Bytes of an average packet to it.
    pub packet_bytes: u64,
    /// How fast it went.
    pub pace: Pace,
    /// Hosts that this host only answered, and of whom a contact was seen.
    pub asked_by: u32,
    /// Those of them that went no further than the SYN, although it was answered.
    pub half_open: u32,
    /// Hosts that it answered without being seen to be asked.
    pub unasked_answers: u32,
    /// Examples, the latest first.
    pub targets: Vec<ContactTarget>,
    /// Rows that were looked at: the price of this sample.
    pub rows: usize,
}

/// What the contacted ports of a host over the port window came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSample {
    /// Ports contacted in the window, exactly.
    pub contacted: u32,
    /// What became of those that were looked at, at whichever hosts.
    pub outcomes: Outcomes,
    /// How fast it went.
    pub pace: Pace,
    /// Ports beside them that traceroute sends to.
    pub traceroute: u32,
}
