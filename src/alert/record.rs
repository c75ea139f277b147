//! An alert and its states.

use std::net::IpAddr;

pub use crate::detect::FindingKind as AlertKind;
use crate::detect::ScanEvidence;
use crate::flow::{KernelCounts, PeerBytes};
use crate::time::UnixNanos;

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
