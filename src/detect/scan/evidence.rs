//! The evidence of a scan: what a host is, how it scans, and how sure that is.

use crate::flow::{ContactTarget, Outcomes, Pace, PortHosts};

/// What a host with many contacts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanRole {
    /// It looks for something.
    Scanner,
    /// It uses services, which answer.
    Client,
    /// It exchanges data with its peers at many ports (P2P).
    Peer,
    /// It answers a flood.
    Victim,
    /// It answers hosts that were not seen to contact it: another host forges their addresses.
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
    /// It is a scan by the counts of Zeek and by the test of TRW.
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
    /// Hosts that it contacted in the window; in an alert about ports, the ports.
    pub contacted: u32,
    /// What became of these contacts; of the latest of them where there are very many.
    pub outcomes: Outcomes,
    /// Answers to the host pass here. Otherwise nothing is known of what became of its contacts.
    pub answers_visible: bool,
    /// The busiest ports, most hosts first; at most [`PORTS_SHOWN`].
    pub ports: Vec<PortHosts>,
    /// An estimate of the most ports that it contacted at one host.
    pub ports_at_one_host: u32,
    /// Examples of the hosts that it contacted.
    pub targets: Vec<ContactTarget>,
    /// How fast it contacted them.
    pub pace: Pace,
    /// All of this in one sentence, which names no address.
    pub why: String,
}

/// Ports listed of one host.
pub const PORTS_SHOWN: usize = 10;
