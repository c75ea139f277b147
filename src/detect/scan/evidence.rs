//! The evidence of a scan: the class of the host, the shape of the scan, and the confidence in both.

use crate::flow::{ContactTarget, Outcomes, Pace, PortHosts};

/// The class of a host with many contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanRole {
    /// Its contacts match a pattern of scans.
    Scanner,
    /// Its contacts match none, and it is none of the others.
    Client,
    /// It exchanges data with peers (P2P): at many ports, or at a known P2P port.
    Peer,
    /// It answers a flood: most hosts that contacted it sent a SYN and nothing after the answer.
    Victim,
    /// It answers hosts that were not seen to contact it: another host forges their addresses.
    Backscatter,
}

impl ScanRole {
    /// Returns the word for it in JSON.
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

/// The shape of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanClass {
    /// One port, or a few, at many hosts.
    Sweep,
    /// Many ports at one host.
    Vertical,
    /// Many ports at many hosts.
    Mixed,
}

impl ScanClass {
    /// Returns the word for it in JSON.
    pub fn name(self) -> &'static str {
        match self {
            ScanClass::Sweep => "sweep",
            ScanClass::Vertical => "vertical",
            ScanClass::Mixed => "mixed",
        }
    }
}

/// The confidence that a host scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// The number of its contacts exceeds a limit, and they match no pattern of scans.
    Low,
    /// Its contacts match a pattern of scans.
    Medium,
    /// Its contacts match a pattern of failures, and they are a scan by the counts of Zeek and by the test of TRW.
    High,
}

impl Confidence {
    /// Returns the word for it in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        }
    }
}

/// The evidence of an alert about scanning, at the time when it was gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanEvidence {
    /// The class of the host.
    pub role: ScanRole,
    /// The shape of the scan; `None` if the host is not a scanner.
    pub class: Option<ScanClass>,
    /// The confidence that it scans.
    pub confidence: Confidence,
    /// Number of hosts that it contacted in the traffic window; in an alert about ports, number of ports in the port
    /// window.
    pub contacted: u32,
    /// Outcomes of these contacts; only of the latest if there are more than are examined.
    pub outcomes: Outcomes,
    /// True if answers to the host pass here. Otherwise the outcomes of its contacts are unknown.
    pub answers_visible: bool,
    /// The ports at which it contacted the most hosts, in descending order; at most [`PORTS_SHOWN`].
    pub ports: Vec<PortHosts>,
    /// Estimate of the largest number of ports that it contacted at one host.
    pub ports_at_one_host: u32,
    /// Examples of the hosts that it contacted.
    pub targets: Vec<ContactTarget>,
    /// Rate of the contacts.
    pub pace: Pace,
    /// One sentence that explains the class; it contains no address.
    pub why: String,
}

/// Maximum number of ports that are listed of one host.
pub const PORTS_SHOWN: usize = 10;
