//! The alert and the report: what readers are shown.

use std::net::IpAddr;

pub use crate::detect::FindingKind as AlertKind;
use crate::detect::ScanEvidence;
use crate::flow::{HostRow, PeerBytes, Snapshot};
use crate::time::UnixNanos;

/// A finding that was said: once when it opened, once when it closes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Stable name of this alert.
    pub id: String,
    /// What it is about.
    pub kind: AlertKind,
    /// The host it is about.
    pub source: IpAddr,
    /// When it opened.
    pub opened_at: UnixNanos,
    /// When it closed; `None` while it is open.
    pub closed_at: Option<UnixNanos>,
    /// The largest value measured so far: bytes, hosts or ports.
    pub measured: u64,
    /// The limit that `measured` exceeded.
    pub limit: u64,
    /// Bytes that the host sent in the window when the alert opened.
    pub ip_bytes: u64,
    /// Where they went, or whom it contacted: most bytes first, bounded.
    pub destinations: Vec<PeerBytes>,
    /// Ports contacted, ascending and bounded; empty unless the alert is about ports.
    pub ports: Vec<u16>,
    /// Of an alert about scanning, what speaks for it.
    pub scan: Option<ScanEvidence>,
}

/// A host with at least one open alert, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHost {
    /// Kinds of its open alerts, in order.
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
}

/// What the ledger wants said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An alert opened.
    Opened(Alert),
    /// It closed.
    Closed(Alert),
}
