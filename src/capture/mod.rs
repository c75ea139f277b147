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
mod netlink;
mod open;
mod promiscuous;
mod read_schedule;
mod replay;
mod routes;
mod softnet;
mod source;
mod topology;

pub use counters::LinkCounters;
pub use error::{CaptureError, NetlinkError, OpenError};
pub use interfaces::InterfaceName;
pub use kernel_stats::{ChangeLatency, KernelStats, LinkStats};
pub use link_monitor::{LinkMonitor, MonitorHandle};
pub use live::{Live, LiveBatch, LiveFrames, SocketStatistics};
pub use local_prefixes::LocalNetworks;
pub use open::{LiveSeed, OpenedCapture, RING_BYTES_MIN, open, open_on};
pub use replay::{BLOCK_BYTES_MAX, Chunk, Replay, ReplayBatch, ReplayError, ReplayFrames};
pub use softnet::SoftnetStats;
pub use source::{Batch, FrameSource, Verdict};
pub use topology::{InterfaceVerdicts, VerdictTable};

// What a worker needs of the floor below to be woken and to say what it waits on.
pub use crate::sys::poller::{Mechanism, WaitPoint};
pub use crate::sys::waker::Waker;

/// What live capture needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of rings, each read by a worker of its own; at least 1.
    pub workers: usize,
    /// Bytes of kernel memory for all rings together.
    pub ring_memory_bytes: u64,
    /// Names of interfaces that are not monitored.
    pub excluded_interfaces: Vec<String>,
    /// Names of interfaces that are to receive what is for other stations too, such as mirror ports.
    pub promiscuous: Vec<String>,
    /// How the local networks are known.
    pub local_networks: LocalNetworks,
    /// Which way a packet must cross an interface to count.
    pub direction: DirectionPolicy,
    /// Whether received bytes are counted: then every frame that leaves is looked at.
    pub counts_received: bool,
    /// What a worker waits on.
    pub event_loop: EventLoop,
    /// Whether frames that stand for several packets are told apart.
    pub wire_exact: WireExact,
}

/// Which way a packet must cross an interface to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DirectionPolicy {
    /// A host that forwards counts what enters, another one counts both ways.
    #[default]
    Auto,
    /// What enters.
    In,
    /// What enters, and what leaves with an address of this host as its source.
    InAndOwn,
    /// Both ways.
    Both,
}

/// Whether the kernel is asked into how many packets the wire cuts a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WireExact {
    /// Where the kernel can say it of every kind of frame, from Linux 6.2 on.
    #[default]
    Auto,
    /// Never: such a frame counts as one packet.
    Off,
}

/// What a worker waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EventLoop {
    /// io_uring, and epoll where the machine refuses it.
    #[default]
    Auto,
    /// io_uring or an error.
    IoUring,
    /// epoll.
    Epoll,
}
