//! Frames from the kernel or from capture files, and what each is for.
//!
//! ```text
//!   open() --> LiveSeed --start()--> Live --next_batch()--> LiveBatch --frames()--> Frame
//!     |         (ring, Send)          |        (a block)        |--standing()--> Standing
//!     |                               '--wait()                 '--drop--> the kernel has its block back
//!     '------> Watcher --run()--> new table into each mailbox, new filter on each socket; KernelView for readers
//! ```
//!
//! It owns the packet sockets, the list of interfaces, and the rule by which a packet counts once ([`Verdict`]). It
//! does not know what is in a frame, what is counted, or which thread runs what. Lengths are bytes, times are
//! nanoseconds since 1970-01-01 UTC as the kernel stamped them.
//!
//! **What counts as a drop.** A frame that passed the filter and found no room in its ring; the kernel counts it
//! (`tp_drops`), and it is in `tp_packets` too. A frame that the filter turned away was never offered: it is in
//! neither. What the kernel lost before any socket saw it is in neither too; the [`KernelStats`] shows it
//! ([`SoftnetStats`]).
//!
//! Opening fails with a named remedy ([`OpenError`]). Once open, interfaces may come, go and fail without any error.
#![forbid(unsafe_code)]

mod bpf;
mod counters;
mod device_hierarchy;
mod error;
mod filter;
mod interfaces;
mod kernel_stats;
mod link_history;
mod link_monitor;
mod live;
mod local_prefixes;
mod mailbox;
mod monitor_handle;
mod netlink;
mod open;
mod options;
mod policy;
mod prefixes;
mod promiscuous;
mod read_schedule;
mod replay;
mod routes;
mod softnet;
mod source;
mod verdict_table;

pub use counters::LinkCounters;
pub use error::{CaptureError, NetlinkError, OpenError};
pub use interfaces::InterfaceName;
pub use kernel_stats::{ChangeLatency, KernelStats, LinkStats};
pub use link_monitor::LinkMonitor;
pub use live::{Live, LiveBatch, LiveFrames, SocketStatistics};
pub use monitor_handle::MonitorHandle;
pub use open::{LiveSeed, OpenedCapture, RING_BYTES_MIN, open, open_on};
pub use options::{DirectionPolicy, EventLoop, LocalNetworks, Options, WireExact};
pub use replay::{BLOCK_BYTES_MAX, Chunk, Replay, ReplayBatch, ReplayError, ReplayFrames};
pub use softnet::SoftnetStats;
pub use source::{Batch, FrameSource, Verdict};
pub use verdict_table::{InterfaceVerdicts, VerdictTable};

// What a worker needs of the floor below to be woken and to say what it waits on.
pub use crate::sys::poller::{Mechanism, WaitPoint};
pub use crate::sys::waker::Waker;
