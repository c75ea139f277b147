//! Threads and lifecycle: connects capture to flow, and flow to detection and alerts.
//!
//! To **fold** a delta is to add its counts to the windows. To **judge** is to compare the counts of hosts with their
//! limits, and to open, update and close alerts accordingly.
//!
//! Live capture starts in this order and stops in the reverse:
//!
//! 1. [`Engine::open`]: every ring is bound and its fanout group complete; nothing is read yet.
//! 2. [`drop_to`](crate::privileges::drop_to): the process becomes an unprivileged user and drops its capabilities,
//!    since nothing after this needs one.
//! 3. [`Engine::start`] takes the sinks, which the command has started, and starts the analyst, the workers and the
//!    link monitor.
//! 4. [`RunningEngine::stop`]: link monitor and workers end, the last delta of each worker is folded, the alerts that
//!    follow from it go to the sinks, the sinks finish.
//!
//! ```text
//!   worker 0 (ring 0) --delta--> \
//!   worker 1 (ring 1) --delta-->  analyst --Report--> readers
//!   ...                          /       \--Notice--> sinks
//!   link monitor (rtnetlink) --new table, new filter--> workers, sockets
//! ```
//!
//! | thread | file | what ends its wait |
//! | --- | --- | --- |
//! | `worker-N` | `worker.rs` | a block, the end of its tick, the waker |
//! | `analyst` | `analyst_thread.rs` | the time of the next expected hand-over, `unpark` |
//! | `interfaces` | [`capture::LinkMonitor`](crate::capture::LinkMonitor) | a message of rtnetlink, its handle |
//!
//! While the engine runs, [`RunningEngine::apply`] sends other rules to the analyst and another policy to the link
//! monitor. Each applies them in the next iteration of its loop.
//!
//! A worker that fails ends the process, because a dead worker must not look like a quiet network.
#![forbid(unsafe_code)]

mod analyst;
mod analyst_thread;
mod interfaces;
mod live;
mod load_shedding;
mod options;
mod pipeline;
mod replay;
mod reporter;
mod rules;
mod scan_candidates;
mod signals;
mod threads;
mod tick;
mod worker;

pub use live::{Engine, RunSummary, RunningEngine, SINK_SHUTDOWN_TIMEOUTS, StartError};
pub use options::{Options, PinCores};
pub use replay::{
    CaptureRead, FramePlace, Interrupt, Occurrences, ReplayJob, ReplayObserver, ReplayOutcome, Replayed,
    TimingReport, Understanding, replay,
};
pub use rules::{MemoryError, Rules};
pub use signals::{Signals, WaitFor, WakeReason, block_stray_signals};
pub use tick::TICK;
