//! The outcomes of the contacts of a host. Detectors decide by these outcomes whether the host scans.

use std::net::IpAddr;
use std::time::Duration;

/// Maximum number of pairs of one host that are examined, the latest first; their counts stand for those of all pairs.
/// Without a limit, the analyst would spend too long on one busy host.
pub const SAMPLE_MAX: usize = 1024;

/// Maximum number of contacts that are shown as examples.
pub const TARGETS_MAX: usize = 10;

/// The outcome of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered.
    Answered,
    /// The target, or a router on the way, refused it: TCP RST, SCTP ABORT, ICMP unreachable.
    Refused,
    /// Expired on the way: ICMP time exceeded answered its packets, so the path answered and not the target. That is a
    /// traceroute.
    Expired,
    /// Unanswered: no answer came in time, although answers to this host pass here.
    Silent,
    /// Not visible: answers to this host do not pass here, or none has been seen yet.
    Unseen,
    /// The time for an answer has not passed.
    Early,
}

/// Number of contacts by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Contacts that were answered.
    pub answered: u32,
    /// Contacts that were refused.
    pub refused: u32,
    /// Contacts whose packets expired on the way.
    pub expired: u32,
    /// Contacts that were unanswered.
    pub silent: u32,
    /// Contacts whose answers, if any, do not pass here.
    pub unseen: u32,
    /// Contacts whose time for an answer has not passed.
    pub early: u32,
}

impl Outcomes {
    /// Adds one contact.
    pub fn add(&mut self, outcome: Outcome) {
        let sum = match outcome {
            Outcome::Answered => &mut self.answered,
            Outcome::Refused => &mut self.refused,
            Outcome::Expired => &mut self.expired,
            Outcome::Silent => &mut self.silent,
            Outcome::Unseen => &mut self.unseen,
            Outcome::Early => &mut self.early,
        };
        *sum += 1;
    }

    /// Adds the contacts of another sum.
    pub fn merge(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.expired += other.expired;
        self.silent += other.silent;
        self.unseen += other.unseen;
        self.early += other.early;
    }

    /// Counts as unanswered what is not visible, once it is known that answers pass here.
    pub fn see_answers(&mut self) {
        self.silent += std::mem::take(&mut self.unseen);
    }

    /// Returns the number of contacts that were refused or unanswered.
    pub fn failed(&self) -> u32 {
        self.refused + self.silent
    }

    /// Returns the number of contacts.
    pub fn total(&self) -> u32 {
        self.answered + self.failed() + self.expired + self.unseen + self.early
    }
}

/// A contact, as an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactTarget {
    /// Address of the target.
    pub addr: IpAddr,
    /// The lowest protocol with its lowest port; the port is 0 if the protocol has none.
    pub port: Option<(u8, u16)>,
    /// The outcome of the contact.
    pub outcome: Outcome,
}

/// Number of hosts that were contacted at a port. Each host counts at the lowest of its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortHosts {
    /// The protocol that the port belongs to.
    pub protocol: u8,
    /// The port; 0 for protocols without ports.
    pub port: u16,
    /// Outcomes of the contacts.
    pub outcomes: Outcomes,
    /// Number of hosts that contacted this host at the same port. If there are any, this host is a server of that
    /// service.
    pub served: u32,
    /// Number of the contacts that were traceroutes: those that expired on the way, and those of which many packets did
    /// although the target was reached in the end.
    pub traced: u32,
    /// Largest number of the other contacted hosts in one network: /24 of IPv4, /64 of IPv6.
    pub hosts_in_one_network: u32,
}

impl PortHosts {
    /// Returns the number of contacts that were no traceroutes.
    pub fn hosts(&self) -> u32 {
        self.outcomes.total() - self.traced
    }
}

/// Rate of the fastest run of contacts. Contacts before or after that run do not lower the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// Contacts in the run; at most [`RUN_MAX`](Self::RUN_MAX).
    pub contacts: u32,
    /// Time from the first contact to the last, plus one tick.
    pub over: Duration,
}

impl Pace {
    /// Maximum number of contacts in a run. A web page needs fewer.
    pub const RUN_MAX: usize = 100;

    /// Returns the contacts per second; 0 if there are none.
    pub fn per_second(&self) -> f64 {
        if self.over.is_zero() { 0.0 } else { f64::from(self.contacts) / self.over.as_secs_f64() }
    }
}

/// Outcomes of the latest contacts of a host in the traffic window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactSample {
    /// Exact number of hosts contacted in the window.
    pub contacted: u32,
    /// Outcomes of the contacts that were examined.
    pub outcomes: Outcomes,
    /// True if answers to this host pass here.
    pub answers_visible: bool,
    /// Contacts by port, most hosts first.
    pub ports: Vec<PortHosts>,
    /// Estimate of the largest number of ports contacted at one host.
    pub ports_at_one_host: u32,
    /// The host at which the most ports were contacted.
    pub widest: Option<IpAddr>,
    /// Average bytes of the packets sent to that host.
    pub packet_bytes: u64,
    /// Rate of the contacts.
    pub pace: Pace,
    /// Time from the first to the last of the contacts that were examined, plus one tick.
    pub span: Duration,
    /// Number of hosts that contacted this host and that it did not contact.
    pub contacted_by: u32,
    /// Number of these hosts that sent a SYN and nothing after it was answered.
    pub half_open: u32,
    /// Number of hosts to which it sent answers without a visible request.
    pub unmatched_replies: u32,
    /// Examples, the latest first.
    pub targets: Vec<ContactTarget>,
    /// Number of rows examined, the cost of this sample.
    pub rows: usize,
}

impl ContactSample {
    /// Returns true if answers to the host pass here, or passed in the window of its ports, which may be longer.
    pub fn are_answers_visible(&self, ports: Option<&PortSample>) -> bool {
        self.answers_visible || ports.is_some_and(|ports| ports.answers_visible)
    }
}

/// Outcomes of the contacted ports of a host in the port window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortSample {
    /// Exact number of ports contacted in the window.
    pub contacted: u32,
    /// Outcomes of the ports that were examined, at any destination.
    pub outcomes: Outcomes,
    /// True if answers to this host pass here, or passed in the port window.
    pub answers_visible: bool,
    /// Rate of the contacts.
    pub pace: Pace,
    /// Time from the first to the last of these contacts, plus one tick.
    pub span: Duration,
    /// Number of traceroute's ports, which are not included in `outcomes`.
    pub traceroute: u32,
}
