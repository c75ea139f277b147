//! Threads and lifecycle: what joins capture to flow, and flow to detection and alerts.
//!
//! Starting, in this order, and stopping in the reverse:
//!
//! 1. [`Engine::open`]: every ring is bound and its group complete; nothing is read yet.
//! 2. [`drop_all`](crate::privileges::drop_all): from here on nothing needs a capability.
//! 3. [`Engine::start`] takes the sinks, which `main` has started, and starts the analyst, the workers, the watcher
//!    of interfaces.
//! 4. [`RunningEngine::stop`]: watcher and workers end, each worker's last delta is folded, the alerts that follow
//!    from it are said, the sinks finish.
//!
//! ```text
//!   worker 0 (ring 0) --delta--> \
//!   worker 1 (ring 1) --delta-->  merge (analyst) --Report--> readers
//!   ...                          /         \--Notice--> sinks
//!   interfaces (rtnetlink) --new table, new filter--> workers, sockets
//! ```
//!
//! While it runs, [`RunningEngine::apply`] gives the analyst other rules and the watcher another policy; each takes them at
//! its next turn.
//!
//! A worker that cannot go on ends the process: a dead worker must not look like a quiet network.
#![forbid(unsafe_code)]

mod analyst;
mod analyst_thread;
mod interfaces;
mod live;
mod load_shedding;
mod pipeline;
mod replay;
mod reporter;
mod scan_candidates;
mod signals;
mod state_saver;
mod threads;
mod worker;

use std::time::Duration;

use thiserror::Error;

pub use live::{Engine, LAST_ALERTS, RunSummary, RunningEngine, StartError};
pub use replay::{ReplayOptions, Replayed, replay, replay_by};
pub use signals::{Signals, Woken};

use crate::{alert, detect, flow};

/// How often a worker hands over what it counted, if it counted anything.
pub const TICK: Duration = Duration::from_millis(250);

/// What the process takes whatever it counts: code, threads, the server, what the allocator holds back.
const PROCESS_BYTES: u64 = 16_000_000;

/// How the threads are laid out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Which core each worker runs on.
    pub pin_cores: PinCores,
}

/// Which core each worker runs on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum PinCores {
    /// Wherever the scheduler likes.
    #[default]
    None,
    /// One core of the affinity mask each, in order.
    Auto,
    /// These cores, the first worker on the first; as many as there are workers.
    List(Vec<usize>),
}

/// What is counted and what is said of it: the same live and in replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Windows and memory.
    pub flow: flow::Options,
    /// Limits.
    pub detect: detect::Limits,
    /// Wording.
    pub alert: alert::Options,
}

impl Rules {
    /// Room for each table: in what the process itself and its reports leave.
    fn limits(&self, workers: usize) -> Result<flow::Capacity, MemoryError> {
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
    "{memory_bytes} bytes of memory are too few for the tables of {workers} workers: raise MemoryLimit, or lower Workers"
)]
pub struct MemoryError {
    /// What was configured.
    pub memory_bytes: u64,
    /// Workers that share it.
    pub workers: usize,
}
