//! What readers are shown of one tick, and of two replays compared.
//!
//! * **Owns** the [`Report`] that the analyst publishes and the API serves, and [`ReplayComparison`].
//! * **Refuses to know** who makes it and who reads it: no thread, no HTTP, no JSON.
//!
//! A report is plain data that its readers share behind an `Arc`. It shows alerts and what became of them, so it
//! imports the records of [`alert`](crate::alert), which imports nothing from here.
#![forbid(unsafe_code)]

mod comparison;
mod interface;
mod lag;

use std::sync::Arc;

use crate::alert::{Alert, AlertKind, Counts, SinkName};
use crate::capture::KernelStats;
use crate::flow::{HostRow, Snapshot};

pub use comparison::ReplayComparison;
pub use interface::InterfaceReport;
pub use lag::{AnalystLag, AnalystStep, LongestTime};

/// Everything that readers are shown of one tick.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Hosts and totals of the windows.
    pub snapshot: Snapshot,
    /// Open alerts, the oldest first.
    pub alerts: Vec<Alert>,
    /// Hosts with a certain open alert, ordered by address.
    pub active: Vec<ActiveHost>,
    /// True if packets that the kernel joined (GRO) are counted as the packets on the wire.
    pub is_wire_exact: bool,
    /// Counters that the kernel keeps for the whole machine.
    pub kernel: Arc<KernelStats>,
    /// Every interface, by ascending `ifindex`.
    pub interfaces: Vec<InterfaceReport>,
    /// The counters of each sink.
    pub sinks: Vec<(SinkName, Counts)>,
    /// How far behind the analyst is.
    pub lag: AnalystLag,
}

/// A host with at least one open alert that is certain, and its present counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHost {
    /// Kinds of those alerts, in order.
    pub kinds: Vec<AlertKind>,
    /// Counts of the host in the window.
    pub row: HostRow,
}
