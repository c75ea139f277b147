//! Counting, merging, windows and snapshots. Pure: no I/O, no clock, no thread of its own.
//!
//! Everything that is counted is a sum, so adding up is the only operation: workers add packets to a
//! [`Delta`], the analyst adds deltas to a [`Window`], and the window subtracts what has become too old.
//!
//! ```text
//!   Summary -> Delta (one worker, one tick) -> handover -> Window (all workers, sliding) -> Snapshot
//! ```
//!
//! * **pair**: (source, destination), directed. **host**: an address seen as a source or destination.
//! * **contact**: an initiation by a host, not an answer ([`opening`], and `roles` for protocols that do not
//!   say it themselves). What became of it is in the [`Observations`] of the other direction.
//! * **slot, window**: a step of, and the whole of, the span that a limit applies to.
//!
//! Bytes are IP header and payload (IPFIX octetDeltaCount, RFC 5102 5.10.1). Counters are `u64`. Every table
//! has a limit; what it refuses is in the totals all the same, and counted as spilled.
#![forbid(unsafe_code)]

mod capacity;
mod coarse_instant;
mod container;
mod decoded;
mod delta;
mod error_bounds;
mod eviction_priority;
mod evidence;
mod exact_match;
mod family;
mod ghosts;
mod handover;
mod hash;
mod host_list;
mod hosts;
mod initiation;
mod interfaces;
mod known_services;
mod loss;
mod metric;
mod observations;
mod pair_delta;
mod pair_key;
mod pairs;
mod port_sketch;
mod ports;
mod prefix_groups;
mod rates;
mod received;
mod return_paths;
mod roles;
mod slot_records;
mod snapshot;
mod table;
mod table_index;
mod window;

use std::time::Duration;

pub use capacity::Capacity;
pub use container::slot_ring::slot_span;
pub use decoded::{Arrival, CountMode, Decoded};
pub use delta::{Delta, DeltaLimits};
pub use error_bounds::{ErrorBounds, Sums};
pub use evidence::{
    ContactSample, ContactTarget, Outcome, Outcomes, Pace, PortHosts, PortSample, SAMPLE_MAX, TARGETS_MAX,
};
pub use ghosts::{Ghost, GhostEntries};
pub use handover::{AnalystEnd, HandedOver, WorkerEnd, handover};
pub use hash::Seed;
pub use host_list::HostList;
pub use initiation::{Initiation, opening};
pub use interfaces::{DirectionCounts, ELSEWHERE, InterfaceCounts, InterfaceDirection};
pub use metric::{Metric, PerMetric};
pub use observations::{Observations, signs};
pub use pair_delta::{FirstPacket, PairDelta, PortDelta};
pub use pair_key::{PairKey, PortKey, PortOf, V4Pair, V6Pair};
pub use port_sketch::PortSketch;
pub use snapshot::{Accounting, HostRow, KernelCounts, PeerBytes, Snapshot, WorkerCounts};
pub use table::{Key, Row, Table};
pub use window::{HostCounts, HostListing, LIST_PART_ROWS, Listing, ListingRoom, Other, Window};

// Snapshots travel in it.
pub use crate::published::Published;

/// Destinations listed of one host, the largest first.
pub const DESTINATIONS_MAX: usize = 100;

/// Hosts in a snapshot, the largest first; fewer where `MemoryLimit` is small.
pub const SNAPSHOT_HOSTS_MAX: usize = 50_000;

/// Ports listed of one host, the lowest first.
pub const PORTS_MAX: usize = 1000;

/// What is counted, over which spans, and how much memory it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Span of the traffic window; at least a second.
    pub traffic_interval: Duration,
    /// Span of the port window; `None` where ports are not analysed.
    pub port_interval: Option<Duration>,
    /// Hosts with at least this many bytes in the window are in the snapshot.
    pub chart_bytes_min: u64,
    /// Length of the prefix by which IPv6 hosts are taken for one; `None` where each is for itself.
    pub group_ipv6: Option<u8>,
    /// Bytes that all tables together may take, rings excepted.
    pub memory_bytes_max: u64,
}
