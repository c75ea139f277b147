//! Divides one number of bytes into a limit for each table.

use super::delta::DeltaLimits;
use super::exact_match::FLOW_BYTES_PER_PAIR;
use super::family::LATEST_PORT_BYTES;
use super::slot_records::PLACES_MAX;

/// The limits of all tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Maximum number of addresses in the window.
    pub hosts_max: usize,
    /// Maximum number of directed pairs in the window.
    pub pairs_max: usize,
    /// Maximum number of (host, protocol, port) in the port window.
    pub ports_max: usize,
    /// Maximum number of undecided exchanges, and of each of the queues of ports, answers and probes.
    pub pending_max: usize,
    /// Maximum number of known services in each of two generations.
    pub services_max: usize,
    /// Bytes for ghost entries of evicted hosts.
    pub ghost_bytes: usize,
    /// Limits of each delta.
    pub delta: DeltaLimits,
}

/// Bytes of a pair that is active in every slot: its row, its items, its index entry, one host (a flood brings a new
/// one with each pair), and its share of the queues and of the services.
const PAIR_BYTES: u64 =
    64 + 10 * 16 + 13 + HOST_BYTES + PENDING_BYTES / PAIRS_PER_PENDING + 2 * 32 / PAIRS_PER_SERVICE;
/// Bytes of a host: its row and its index entry, two entries in the list of dirty hosts, a network of its own, one item
/// of received bytes and its sum, and its rates.
const HOST_BYTES: u64 = 64 + 13 + 8 + 48 + 32 + 32;
/// Bytes of an undecided exchange, two waiting ports and a waiting probe.
const PENDING_BYTES: u64 = 72 + 2 * 80 + 32;
/// Bytes of a contact of a group.
const GROUP_BYTES: u64 = 24;
const PAIRS_PER_PENDING: u64 = 8;
const PAIRS_PER_SERVICE: u64 = 4;
/// Bytes of a port that is active in every slot, and of its host, which may have nothing else in the window.
const PORT_BYTES: u64 = 28 + 10 * 4 + 13 + 8 + HOST_BYTES;
/// Bytes of a row of a delta and its index entry, of half a row of IPv6 hosts, and of their flows. If ports are
/// analysed, each row of a pair also has the key of its latest port.
const DELTA_PAIR_BYTES: u64 = 64 + 16 + (88 + 16) / 2 + FLOW_BYTES_PER_PAIR;
const DELTA_PORT_BYTES: u64 = 32 + 16 + (56 + 16) / 2 + LATEST_PORT_BYTES * 3 / 2;

/// Ghost entries get this fraction of the memory: a quarter.
const GHOSTS_OF: u64 = 4;

/// Maximum number of rows of a delta. More rows would only cause more cache misses. A worker hands over when half of
/// them are used, which at 1.5 M packets/s takes 20 ms or longer. Folding a delta is one step of the analyst, so a
/// delta must stay small.
const DELTA_PAIRS_MAX: u64 = 1 << 16;
const DELTA_PAIRS_MIN: u64 = 1 << 10;

/// Maximum number of interfaces of a delta, and bytes of each: its row and its index entry.
const DELTA_INTERFACES_MAX: usize = 256;
const DELTA_INTERFACE_BYTES: u64 = 352 + 16;

/// Minimum number of pairs of a useful window.
const PAIRS_MIN: u64 = 1 << 10;

impl Capacity {
    /// Divides `memory_bytes` among the deltas of `workers` (two each), the ghost entries and the window.
    ///
    /// A quarter is for ghost entries, an eighth of the rest for deltas, and an eighth of what then remains for ports
    /// if they are analysed. Returns `None` if too little remains for a useful window.
    pub fn from_memory(memory_bytes: u64, workers: usize, counts_ports: bool) -> Option<Self> {
        let ghost_bytes = memory_bytes / GHOSTS_OF;
        let table_bytes = memory_bytes - ghost_bytes;
        let deltas = 2 * workers.max(1) as u64;
        let row_bytes = DELTA_PAIR_BYTES + if counts_ports { DELTA_PORT_BYTES } else { 0 };
        let rows = (table_bytes / 8 / deltas / row_bytes).clamp(DELTA_PAIRS_MIN, DELTA_PAIRS_MAX);
        let interfaces_bytes = DELTA_INTERFACES_MAX as u64 * DELTA_INTERFACE_BYTES;
        let window_bytes = table_bytes.saturating_sub(deltas * (rows * row_bytes + interfaces_bytes));
        let ports_bytes = if counts_ports { window_bytes / 8 } else { 0 };
        let ports = ports_bytes / PORT_BYTES;
        let pairs = ((window_bytes - ports_bytes) / PAIR_BYTES).min(PLACES_MAX as u64);
        (pairs >= PAIRS_MIN).then(|| Self {
            hosts_max: rows_of(pairs + ports),
            pairs_max: rows_of(pairs),
            ports_max: rows_of(ports),
            pending_max: rows_of(pairs / PAIRS_PER_PENDING),
            services_max: rows_of(pairs / PAIRS_PER_SERVICE),
            ghost_bytes: usize::try_from(ghost_bytes).unwrap_or(usize::MAX),
            delta: DeltaLimits::new(rows, counts_ports),
        })
    }

    /// Divides `memory_bytes` as [`from_memory`](Self::from_memory) does, with room for the contacts of groups.
    pub fn from_memory_with_groups(memory_bytes: u64, workers: usize, counts_ports: bool) -> Option<Self> {
        let groups_bytes = memory_bytes / (PAIR_BYTES + GROUP_BYTES) * GROUP_BYTES;
        Self::from_memory(memory_bytes - groups_bytes, workers, counts_ports)
    }

    /// Returns the largest limits that row numbers allow, for the totals of a capture file.
    pub fn none(counts_ports: bool) -> Self {
        let all = rows_of(u64::MAX);
        let delta = DeltaLimits::new(DELTA_PAIRS_MAX, counts_ports);
        Self {
            hosts_max: all,
            pairs_max: PLACES_MAX,
            ports_max: all,
            pending_max: all,
            services_max: all,
            ghost_bytes: 0,
            delta,
        }
    }
}

impl DeltaLimits {
    fn new(rows: u64, counts_ports: bool) -> Self {
        let ports_max = if counts_ports { rows_of(rows) } else { 0 };
        Self { pairs_max: rows_of(rows), ports_max, interfaces_max: DELTA_INTERFACES_MAX }
    }
}

/// Limits a number of rows to the number of 32-bit row numbers; one value means no row.
#[allow(clippy::cast_possible_truncation, reason = "the number is below 2^32")]
fn rows_of(rows: u64) -> usize {
    rows.min(u64::from(u32::MAX - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tables_together_fit_the_memory() {
        for memory in [16 << 20, 64 << 20, 256 << 20, 4 << 30u64] {
            for (workers, counts_ports) in [(1, false), (1, true), (4, true), (16, true)] {
                let limits = Capacity::from_memory(memory, workers, counts_ports).expect("enough memory");
                let delta = limits.delta.pairs_max as u64 * DELTA_PAIR_BYTES
                    + limits.delta.ports_max as u64 * DELTA_PORT_BYTES
                    + limits.delta.interfaces_max as u64 * DELTA_INTERFACE_BYTES;
                let window = limits.pairs_max as u64 * PAIR_BYTES + limits.ports_max as u64 * PORT_BYTES;
                let tables = 2 * workers as u64 * delta + window + limits.ghost_bytes as u64;
                assert!(tables <= memory, "{memory} {workers} {limits:?}");
                assert_eq!(limits.ports_max > 0, counts_ports);
            }
        }
    }

    #[test]
    fn a_row_takes_no_more_than_its_share() {
        use crate::flow::{InterfaceCounts, PairDelta, PortDelta, PortOf, Row, V4Pair, V6Pair};
        // With each row comes its index entry: two to four slots of 8 bytes, since the index size is rounded up.
        let row = |bytes: usize| bytes as u64 + 16;
        assert!(row(size_of::<Row<u32, InterfaceCounts>>()) <= DELTA_INTERFACE_BYTES);
        // There are half as many rows of IPv6 hosts.
        let both = |v4: usize, v6: usize| row(v4) + row(v6) / 2;
        let pairs = both(size_of::<Row<V4Pair, PairDelta>>(), size_of::<Row<V6Pair, PairDelta>>());
        assert!(pairs + FLOW_BYTES_PER_PAIR <= DELTA_PAIR_BYTES, "{pairs}");
        let ports =
            both(size_of::<Row<PortOf<V4Pair>, PortDelta>>(), size_of::<Row<PortOf<V6Pair>, PortDelta>>());
        assert!(ports + LATEST_PORT_BYTES * 3 / 2 <= DELTA_PORT_BYTES, "{ports}");
    }

    #[test]
    fn too_little_memory_is_refused() {
        assert_eq!(Capacity::from_memory(16 << 20, 64, true), None);
        assert_eq!(Capacity::from_memory(0, 1, false), None);
    }
}
