//! What is counted and when it is an alert: the settings that live capture and replay share.

use thiserror::Error;

use crate::{alert, detect, flow};

/// Bytes that the process takes besides its tables and reports: code, threads, the server, what the allocator keeps.
const PROCESS_BYTES: u64 = 16_000_000;

/// What is counted and when it is an alert, live and in replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Windows and memory.
    pub flow: flow::Options,
    /// Limits.
    pub detect: detect::Limits,
    /// Wording and cooldown of alerts.
    pub alert: alert::Options,
}

impl Rules {
    /// Returns the room of each table, out of the memory that the process itself and its reports leave.
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
    /// The memory that is configured.
    pub memory_bytes: u64,
    /// Workers that share it.
    pub workers: usize,
}
