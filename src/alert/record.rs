//! The alert and the report: what readers are shown.

use std::net::IpAddr;
use std::sync::Arc;

use crate::capture::{InterfaceName, KernelStats, LinkCounters};
pub use crate::detect::FindingKind as AlertKind;
use crate::detect::{InterfaceReconciliation, PartsPerMillion, ScanEvidence};
use crate::flow::{HostRow, InterfaceCounts, KernelCounts, PeerBytes, Snapshot};
use crate::packet::Skip;
use crate::time::UnixNanos;

use super::lag::AnalystLag;
use super::sink::{Counts, SinkName};

/// A finding that was said: when it opened, when it grew, when it closes.
///
/// It is *possible* where only the error of what was measured reaches beyond the limit, and certain from the first
/// finding on that exceeds the limit by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Stable name of this alert.
    pub id: String,
    /// What it is about.
    pub kind: AlertKind,
    /// The host it is about; `None` where it is about the capture itself.
    pub source: Option<IpAddr>,
    /// When it opened.
    pub opened_at: UnixNanos,
    /// When it closed; `None` while it is open.
    pub closed_at: Option<UnixNanos>,
    /// The largest value measured so far: bytes, hosts, ports, or lost frames of a million.
    pub measured: u64,
    /// The limit that `measured` exceeded, or may exceed.
    pub limit: u64,
    /// Bytes that the host sent in the window when the alert opened.
    pub ip_bytes: u64,
    /// Where they went, or whom it contacted: most bytes first, bounded.
    pub destinations: Vec<PeerBytes>,
    /// Ports contacted, ascending and bounded; empty unless the alert is about ports.
    pub ports: Vec<u16>,
    /// What the kernel offered and lost in the window when the alert opened: with losses, the true values are larger
    /// than the measured ones.
    pub loss: KernelCounts,
    /// Of an alert about scanning, what speaks for it.
    pub scan: Option<ScanEvidence>,
    /// How it has gone since it opened.
    pub life: AlertProgress,
}

/// What changes of an alert while it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertProgress {
    /// The latest value that exceeded the limit, or may have.
    pub last: u64,
    /// When that was.
    pub exceeded_at: UnixNanos,
    /// How many times it has closed and opened again within the cooldown.
    pub reopened: u32,
    /// Nothing is said of it, by wish of the operator.
    pub is_muted: bool,
    /// Since it opened, nothing has shown for certain that the limit is exceeded.
    pub is_possible: bool,
    /// How much larger than `measured` the largest true value may be, since the table had no room for all of it.
    pub error: u64,
}

impl Alert {
    /// The most that the largest true value can be.
    pub fn up_to(&self) -> u64 {
        self.measured.saturating_add(self.life.error)
    }
}

/// A host with at least one open alert that is certain, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHost {
    /// Kinds of those alerts, in order.
    pub kinds: Vec<AlertKind>,
    /// What it did in the window.
    pub row: HostRow,
}

/// Everything that readers are shown of one tick.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The windows.
    pub snapshot: Snapshot,
    /// Open alerts, the oldest first.
    pub alerts: Vec<Alert>,
    /// Their hosts, ordered by address.
    pub active: Vec<ActiveHost>,
    /// Packets that the kernel has joined are told apart.
    pub is_wire_exact: bool,
    /// What the kernel says of the whole machine.
    pub kernel: Arc<KernelStats>,
    /// Every interface, by ascending number.
    pub interfaces: Vec<InterfaceReport>,
    /// What each place that alerts go to was given, and what became of it.
    pub sinks: Vec<(SinkName, Counts)>,
    /// How far behind the analyst is.
    pub lag: AnalystLag,
}

/// What was seen of one interface since the start, beside what the kernel counted on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReport {
    /// Its number; 0 for what was seen on interfaces that are gone and forgotten.
    pub ifindex: u32,
    /// Its name; `None` where nobody could say.
    pub name: Option<InterfaceName>,
    /// It is not there any more.
    pub is_gone: bool,
    /// Why nothing of it is looked at, or `None` if it is monitored.
    pub skipped: Option<Skip>,
    /// What was seen.
    pub counted: InterfaceCounts,
    /// What the kernel counted.
    pub kernel: LinkCounters,
    /// Both beside each other; `None` where not everything that comes in is looked at.
    pub ingress: Option<InterfaceReconciliation>,
    /// As `ingress`, of what goes out.
    pub egress: Option<InterfaceReconciliation>,
    /// The share of what came in lately that was seen, where it is so small that packets must pass us by.
    pub suspicion: Option<PartsPerMillion>,
}

/// What is to be said of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It opened, for the first time or again.
    Opened(Alert),
    /// It was possible and is certain now.
    Confirmed(Alert),
    /// It has reached this many times its limit.
    Grown(Alert, u64),
    /// It closed.
    Closed(Alert),
    /// It is about nobody: the operator asked whether alerts arrive.
    Test(Alert),
}

impl Notice {
    /// The alert, as it is at this point of its life.
    pub fn alert(&self) -> &Alert {
        match self {
            Self::Opened(alert)
            | Self::Confirmed(alert)
            | Self::Grown(alert, _)
            | Self::Closed(alert)
            | Self::Test(alert) => alert,
        }
    }

    /// The alert alone.
    pub fn into_alert(self) -> Alert {
        match self {
            Self::Opened(alert)
            | Self::Confirmed(alert)
            | Self::Grown(alert, _)
            | Self::Closed(alert)
            | Self::Test(alert) => alert,
        }
    }

    /// Where in its life it is.
    pub fn state(&self) -> AlertState {
        match self {
            Self::Opened(alert) | Self::Confirmed(alert) | Self::Grown(alert, _) => AlertState::of(alert),
            Self::Closed(_) => AlertState::Closed,
            Self::Test(_) => AlertState::Test,
        }
    }
}

/// Where in its life an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// The host is over its limit, or was within the last window.
    Open,
    /// It may be, as far as the table had room to count it.
    Possible,
    /// It is over.
    Closed,
    /// It never was: a sample.
    Test,
}

impl AlertState {
    /// How an alert is, seen without the notice that tells.
    pub fn of(alert: &Alert) -> Self {
        match alert.closed_at {
            Some(_) => Self::Closed,
            None if alert.life.is_possible => Self::Possible,
            None => Self::Open,
        }
    }

    /// The word for it in JSON and in the environment of programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Possible => "possible",
            Self::Closed => "closed",
            Self::Test => "test",
        }
    }
}
