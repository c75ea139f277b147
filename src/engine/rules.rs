//! Rules: the settings that live capture and replay share: what is counted, and which counts raise an alert.

use thiserror::Error;

use crate::capture::DirectionPolicy;
use crate::{alert, detect, flow};

/// Bytes that the process needs besides its tables and reports: code, threads, the server, unused memory of the
/// allocator.
const PROCESS_BYTES: u64 = 16_000_000;

/// What is counted and which counts raise an alert, live and in replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Windows and memory.
    pub flow: flow::Options,
    /// Limits.
    pub detect: detect::Limits,
    /// Wording and cooldown of alerts.
    pub alert: alert::Options,
    /// Which packets of a capture file count by their direction. Live capture has this in its own options.
    pub direction: DirectionPolicy,
}

impl Rules {
    /// Returns the limit of each table. The tables share the memory that the process itself and its reports do not
    /// need.
    ///
    /// # Errors
    /// The memory is too little for the tables of this many workers.
    pub(super) fn limits(&self, workers: usize) -> Result<flow::Capacity, MemoryError> {
        let memory_bytes = self.flow.memory_bytes_max;
        let reports_bytes = flow::ListingRoom::from_memory(memory_bytes).bytes_max;
        let tables_bytes = memory_bytes.saturating_sub(PROCESS_BYTES + reports_bytes);
        let counts_ports = self.flow.port_interval.is_some();
        let limits = match self.flow.group_ipv6 {
            Some(_) => flow::Capacity::from_memory_with_groups(tables_bytes, workers, counts_ports),
            None => flow::Capacity::from_memory(tables_bytes, workers, counts_ports),
        };
        limits.ok_or(MemoryError { memory_bytes, workers })
    }
}

/// The configuration allows less memory than any window needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{memory_bytes} bytes of memory are too few for the tables of {workers} workers: raise MemoryLimit, or lower \
     Workers"
)]
pub struct MemoryError {
    /// The configured memory, in bytes.
    pub memory_bytes: u64,
    /// Number of workers that share it.
    pub workers: usize,
}
