//! Counting, merging, windows and snapshots.
#![forbid(unsafe_code)]

mod snapshot;

use std::time::Duration;

pub use snapshot::{Accounting, HostRow, KernelCounts, PeerBytes, Published, Snapshot};

/// What is counted, over which spans, and how much memory it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Span of the traffic window; at least a second.
    pub traffic_interval: Duration,
    /// Span of the port window; `None` where ports are not analysed.
    pub port_interval: Option<Duration>,
    /// Hosts with at least this many bytes in the window are in the snapshot.
    pub chart_bytes_min: u64,
    /// Bytes that all tables together may take, rings excepted.
    pub memory_bytes_max: u64,
}

/// Destinations listed of one host, the largest first.
pub const DESTINATIONS_MAX: usize = 100;
