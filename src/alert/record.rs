//! An alert and its states.

use std::net::IpAddr;

pub use crate::detect::FindingKind as AlertKind;
use crate::detect::ScanEvidence;
use crate::flow::{KernelCounts, PeerBytes};
use crate::time::UnixNanos;

/// Largest number of alerts that may be open at once; findings beyond it are counted. Each needs a host that exceeds a
/// limit, so this many mean that the limits are too low. As many closed alerts are kept for the cooldown.
pub const OPEN_ALERTS_MAX: usize = 10_000;

/// A finding with a life in the ledger: it opens, may grow, and closes.
///
/// An alert is *possible* while only the error bound of the measured value reaches beyond the limit, and certain from
/// the first finding on whose measured value exceeds the limit by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Stable id, unique among all alerts of this gateway.
    pub id: String,
    /// Which limit it is about.
    pub kind: AlertKind,
    /// The host that it is about; `None` if it is about the capture itself.
    pub source: Option<IpAddr>,
    /// When it opened first; an alert that opens again keeps this.
    pub opened_at: UnixNanos,
    /// When it closed; `None` while it is open.
    pub closed_at: Option<UnixNanos>,
    /// The largest value measured so far, in the unit of its kind: bytes, hosts, ports, packets or contacts per second,
    /// or lost frames per million.
    pub measured: u64,
    /// The limit that `measured` exceeded, or may exceed.
    pub limit: u64,
    /// IP bytes that the host sent in the window when the evidence was gathered.
    pub ip_bytes: u64,
    /// Destinations of those bytes, most bytes first; bounded in number.
    pub destinations: Vec<PeerBytes>,
    /// Ports contacted, ascending; bounded in number and empty unless the alert is about ports.
    pub ports: Vec<u16>,
    /// Frames that the kernel offered and dropped in that window: with drops, the true values are larger than the
    /// measured ones.
    pub loss: KernelCounts,
    /// Evidence for a scan; `None` for other kinds.
    pub scan: Option<ScanEvidence>,
    /// The part that changes while it is open.
    pub life: AlertProgress,
}

/// The part of an alert that changes while it is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertProgress {
    /// The value of the latest finding.
    pub last: u64,
    /// When that finding was made.
    pub exceeded_at: UnixNanos,
    /// How often it has closed and opened again within the cooldown.
    pub reopened: u32,
    /// True if the operator muted it: it leads to no notices.
    pub is_muted: bool,
    /// True if every finding since it opened was only possible.
    pub is_possible: bool,
    /// How much larger than `measured` the largest true value may be, because the table had no room to count all of it.
    pub error: u64,
}

impl Alert {
    /// Returns the upper bound of the largest true value.
    pub fn up_to(&self) -> u64 {
        self.measured.saturating_add(self.life.error)
    }
}

/// The state of an alert, as JSON and programs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// A limit was certainly exceeded within the last window.
    Open,
    /// A limit may have been exceeded: the table had no room to count all of it.
    Possible,
    /// The host has been within its limit for a whole window.
    Closed,
    /// A sample that the operator asked for.
    Test,
}

impl AlertState {
    /// Returns the state of an alert by its fields alone; a sample counts as open.
    pub fn of(alert: &Alert) -> Self {
        match alert.closed_at {
            Some(_) => Self::Closed,
            None if alert.life.is_possible => Self::Possible,
            None => Self::Open,
        }
    }

    /// Returns the word for the state in JSON and in the environment of programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Possible => "possible",
            Self::Closed => "closed",
            Self::Test => "test",
        }
    }
}
