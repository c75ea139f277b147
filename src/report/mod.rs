//! The state of the program after one tick for its readers, and the comparison of two replays.
//!
//! * **Owns** the [`Report`] that the analyst publishes and the API serves, and [`ReplayComparison`].
//! * **Does not contain** threads, HTTP or JSON.
//!
//! A report is plain data, which its readers share through an `Arc`. It contains alerts and the counters of sinks, so
//! this room imports [`alert`](crate::alert), which does not import this one.
#![forbid(unsafe_code)]

mod comparison;
mod interface;
mod lag;

use std::sync::Arc;

use crate::alert::{Alert, AlertKind, ClosedList, Counts, SinkHealth, SinkName};
use crate::capture::KernelStats;
use crate::flow::{HostRow, Snapshot};

pub use comparison::ReplayComparison;
pub use interface::InterfaceReport;
pub use lag::{AnalystLag, AnalystStep, LongestTime};

/// The state of the program after one tick, for its readers.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Hosts and totals of the windows.
    pub snapshot: Snapshot,
    /// Open alerts, the oldest first.
    pub alerts: Vec<Alert>,
    /// Number of findings that opened no alert because the table of open alerts was full. A host that stays over its
    /// limit is counted each time that hosts are judged.
    pub discarded_findings: u64,
    /// Number of alerts that ended because one of more weight took their place.
    pub displaced_alerts: u64,
    /// Number of closed alerts that were forgotten before their cooldown was over, because too many are kept.
    pub forgotten_alerts: u64,
    /// Alerts that closed within the last day, the newest first.
    pub closed: ClosedList,
    /// Hosts with at least one open alert that is certain, ordered by address.
    pub active: Vec<ActiveHost>,
    /// True if packets that the kernel joined (GRO) are counted as the packets on the wire.
    pub is_wire_exact: bool,
    /// Counters that the kernel keeps for the whole machine.
    pub kernel: Arc<KernelStats>,
    /// Every interface, by ascending `ifindex`.
    pub interfaces: Vec<InterfaceReport>,
    /// The counters of each sink.
    pub sinks: Vec<(SinkName, Counts)>,
    /// Whether the sinks deliver; one that is not listed has made no attempt.
    pub sink_health: Vec<(SinkName, SinkHealth)>,
    /// How long deltas wait for the analyst, and the durations of its steps.
    pub lag: AnalystLag,
}

/// A host with at least one open alert that is certain, and its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveHost {
    /// Kinds of the certain open alerts, in the order of [`AlertKind`].
    pub kinds: Vec<AlertKind>,
    /// Counts of the host in the window.
    pub row: HostRow,
}
