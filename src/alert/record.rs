//! An alert and its states.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use crate::detect::FindingKind as AlertKind;
use crate::detect::ScanEvidence;
use crate::flow::{KernelCounts, PeerBytes};
use crate::time::UnixNanos;

use super::storm::Storm;

/// Maximum number of alerts that are open at once. Beyond it an alert of more weight takes the place of a lesser one,
/// and a finding that finds no place is counted and discarded. Each alert has a host that exceeds a limit, so this many
/// alerts mean a flood, or limits that are too low. The same number of closed alerts is kept for the cooldown.
pub const OPEN_ALERTS_MAX: usize = 10_000;

/// The host that an alert is about, and the kind of the alert. The host is [`Alert::source`]: the receiver for
/// [`AlertKind::Received`], `None` if the alert is about the capture itself.
pub(super) type AlertKey = (Option<IpAddr>, AlertKind);

/// A limit that a host exceeds, from the first finding until the host has been within the limit for a whole window.
///
/// An alert is *possible* as long as only the sum of the measured value and its error bound exceeds the limit. It is
/// *certain* from the first finding whose measured value exceeds the limit without its error bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Stable id, unique among all alerts of this gateway.
    pub id: String,
    /// The limit that it is about.
    pub kind: AlertKind,
    /// The host that it is about: the sender of the traffic, or the receiver for [`AlertKind::Received`]. `None` if it
    /// is about the capture itself.
    pub source: Option<IpAddr>,
    /// When it opened for the first time; an alert that opens again keeps this time.
    pub opened_at: UnixNanos,
    /// When it closed; `None` while it is open.
    pub closed_at: Option<UnixNanos>,
    /// The largest value measured so far, in the unit of its kind: bytes, hosts, ports, packets or contacts per second,
    /// or lost frames per million.
    pub measured: u64,
    /// The limit that `measured` exceeded, or may exceed.
    pub limit: u64,
    /// The window that both apply to; a second for rates.
    pub window: Duration,
    /// IP bytes that the host sent in the window when the evidence was gathered.
    pub ip_bytes: u64,
    /// Destinations of those bytes, most bytes first; bounded in number.
    pub destinations: Vec<PeerBytes>,
    /// Ports contacted, ascending; bounded in number and empty unless the alert is about ports.
    pub ports: Vec<u16>,
    /// Frames that the kernel offered and dropped in that window. If frames were dropped, the true values are larger
    /// than the measured ones.
    pub loss: KernelCounts,
    /// Evidence for a scan; `None` for other kinds.
    pub scan: Option<ScanEvidence>,
    /// The part that changes while it is open.
    pub progress: AlertProgress,
}

/// The part of an alert that changes while it is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertProgress {
    /// The value of the latest finding.
    pub last: u64,
    /// When that finding was made.
    pub exceeded_at: UnixNanos,
    /// Number of times that it closed and opened again within the cooldown.
    pub reopened: u32,
    /// True if a mute of the operator covers it.
    pub is_muted: bool,
    /// True if every finding since it opened was only possible.
    pub is_possible: bool,
    /// How much larger than `measured` the peak may be, because the table had no room to count all traffic.
    pub error_bound: u64,
    /// True if it ended early because an alert of more weight took its place. Its host may still exceed the limit.
    pub is_displaced: bool,
    /// The id of the storm that it is part of; `None` if it is in none. It is then not notified by itself.
    pub storm_id: Option<Arc<str>>,
    /// What a storm consists of; `None` if this is the alert of one host. A storm has no source, its `measured` is the
    /// number of its hosts so far, and its `limit` is the number of openings that are notified singly.
    pub storm: Option<Arc<Storm>>,
}

impl Alert {
    /// Returns the upper bound of the peak: `measured` plus its error bound.
    pub fn upper_bound(&self) -> u64 {
        self.measured.saturating_add(self.progress.error_bound)
    }

    /// Returns the time from its first opening to its end; zero while it is open.
    pub fn lasted(&self) -> Duration {
        self.closed_at.map_or(Duration::ZERO, |closed_at| closed_at.since(self.opened_at))
    }

    /// Removes the addresses of its peers, of a storm that of its target.
    pub(super) fn hide_destinations(&mut self) {
        self.destinations.clear();
        if let Some(scan) = &mut self.scan {
            scan.targets.clear();
        }
        if let Some(storm) = &mut self.progress.storm {
            Arc::make_mut(storm).target = None;
        }
    }
}

/// The state of an alert in JSON and in the environment of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// The limit was certainly exceeded at least once since the alert opened.
    Open,
    /// The limit may have been exceeded: the table had no room to count all traffic.
    Possible,
    /// The host has been within its limit for a whole window.
    Closed,
    /// A sample that the operator requested.
    Test,
}

impl AlertState {
    /// Returns the state of an alert by its fields; a sample, which has no field for that, counts as open.
    pub fn of(alert: &Alert) -> Self {
        match alert.closed_at {
            Some(_) => Self::Closed,
            None if alert.progress.is_possible => Self::Possible,
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
