//! Counts flows: the deltas of the workers, the merged windows, and snapshots of them. Nothing here does I/O, reads a
//! clock or starts a thread.
//!
//! Everything that is counted is a sum, so addition is the only operation: workers add packets to a [`Delta`], the
//! analyst adds deltas to a [`Window`], and the window subtracts each slot when it expires.
//!
//! ```text
//!   Summary -> Delta (one worker, one tick) -> handover -> Window (all workers, sliding) -> Snapshot
//! ```
//!
//! * **pair**: source and destination, one direction. **conversation**: both directions between two hosts. **host**:
//!   one IP address.
//! * **contact**: a flow that its host initiated. TCP, SCTP and ICMP show that in the packet ([`initiation()`]); for
//!   other protocols `roles` decides who sent first. The [`Observations`] of the other direction show whether a contact
//!   was answered.
//! * **exchange**: a conversation in a protocol without a handshake; `roles` decides who initiated it, by who sent
//!   first.
//! * **slot, window**: a tenth of the span that a limit applies to, and the ten slots of that span.
//! * **ghost**: four bytes that record a contact of an evicted host ([`GhostEntries`]), as in ARC and 2Q.
//! * **fold**: to add the counts of a delta to the windows.
//!
//! Bytes are IP header and payload (IPFIX octetDeltaCount, RFC 5102 5.10.1). Counters are `u64`. Every table has a
//! limit; packets for which it has no room are in the totals and count as spilled.
#![forbid(unsafe_code)]

mod addressee;
mod capacity;
mod coarse_instant;
mod container;
mod decoded;
mod delta;
mod error_bounds;
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
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "priorities are estimates, for which the precision of f32 suffices"
)]
mod retention_priority;
mod return_paths;
mod roles;
mod slot_records;
mod snapshot;
mod table;
mod table_index;
mod window;

use std::time::Duration;

pub use addressee::is_no_host;
pub(crate) use addressee::why_no_host;
pub use capacity::Capacity;
pub use container::slot_ring::slot_span;
pub use decoded::{CountMode, Decoded, FrameContext};
pub use delta::{Delta, DeltaLimits};
pub use error_bounds::{ErrorBounds, Sums};
pub use evidence::{
    ContactSample, ContactTarget, Outcome, Outcomes, Pace, PortHosts, PortSample, SAMPLE_MAX, TARGETS_MAX,
};
pub use ghosts::{Ghost, GhostEntries};
pub use handover::{AnalystEnd, HandedOver, WorkerEnd, handover};
pub use hash::Seed;
pub use host_list::HostList;
pub use initiation::{Initiation, initiation};
pub use interfaces::{DirectionCounts, InterfaceCounts, InterfaceDirection, OVERFLOW_IFINDEX};
pub use metric::{Metric, PerMetric};
pub use observations::{Observations, observe};
pub use pair_delta::{FirstPacket, PairDelta, PortDelta};
pub use pair_key::{PairKey, PortKey, PortOf, V4Pair, V6Pair};
pub use port_sketch::PortSketch;
pub use snapshot::{Accounting, HostRow, KernelCounts, PeerBytes, Snapshot, WorkerCounts};
pub use table::{Key, Row, Table};
pub use window::{HostCounts, HostListing, LIST_PART_ROWS, Listing, ListingRoom, Other, Window};

// The engine publishes reports, which contain snapshots, in a `Published`.
pub use crate::published::Published;

/// Maximum number of destinations listed per host, most bytes first.
pub const DESTINATIONS_MAX: usize = 100;

/// Maximum number of hosts in a snapshot, most bytes first; a small `MemoryLimit` lowers it.
pub const SNAPSHOT_HOSTS_MAX: usize = 50_000;

/// Maximum number of ports listed per host, in ascending order.
pub const PORTS_MAX: usize = 1000;

/// Configures what is counted, over which spans, and in how much memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Span of the traffic window; at least one second.
    pub traffic_interval: Duration,
    /// Span of the port window; `None` if ports are not analysed.
    pub port_interval: Option<Duration>,
    /// Minimum number of bytes that a host must have sent in the window to be in snapshots.
    pub chart_bytes_min: u64,
    /// Prefix length by which IPv6 addresses are grouped into one host; `None` counts each address by itself.
    pub group_ipv6: Option<u8>,
    /// Maximum number of bytes of all tables together, without the packet rings.
    pub memory_bytes_max: u64,
}
