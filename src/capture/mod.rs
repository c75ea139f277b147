//! Frames from the kernel or from capture files, and the verdict on each: count, observe or skip.
//!
//! ```text
//!   open() --> LiveSeed --start()--> Live --next_batch()--> LiveBatch --frames()--> Frame
//!     |         (ring, Send)          |        (a block)        |--verdict()--> Verdict
//!     |                               '--wait()                 '--drop--> the block returns to the kernel
//!     '---> LinkMonitor --run()--> new table for each mailbox, new filter for each socket; KernelStats for readers
//! ```
//!
//! This room owns the packet sockets, the list of interfaces, and the rules by which a packet counts once
//! ([`Verdict`]). It does not contain decoding, accounting or threads. Lengths are bytes. Times of frames are
//! nanoseconds since 1970-01-01 UTC as the kernel or the capture file has them.
//!
//! **A drop** is a frame that passed the filter while its ring was full. The kernel counts it in `tp_drops` and also in
//! `tp_packets`. A frame that the filter rejects is in neither counter. Frames that the kernel loses before the packet
//! sockets are in neither counter; [`KernelStats`] has them ([`SoftnetStats`]).
//!
//! Opening fails with an error that names a remedy ([`OpenError`]). Once capture is open, interfaces may be added,
//! removed and fail without an error.
//!
//! Sources: packet(7), `net/packet/af_packet.c`, rtnetlink(7); each file names its own.
#![forbid(unsafe_code)]

mod bpf;
mod copies;
mod copy_warnings;
mod counters;
mod device_hierarchy;
mod error;
mod filter;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod interfaces;
mod kernel_stats;
mod link_history;
mod link_monitor;
mod live;
mod local_prefixes;
mod mailbox;
mod mirred;
mod monitor_handle;
mod name_pattern;
mod netlink;
mod open;
mod options;
mod packet_sockets;
mod policy;
mod prefixes;
mod promiscuous;
mod read_schedule;
mod replay;
mod routes;
mod softnet;
mod source;
mod stations;
mod survey;
mod tc_filter;
mod verdict_table;

pub use counters::LinkCounters;
pub use error::{CaptureError, NetlinkError, OpenError};
pub use interfaces::InterfaceName;
pub use kernel_stats::{ChangeLatency, KernelStats, LinkStats};
pub use link_monitor::LinkMonitor;
pub use live::{Live, LiveBatch, LiveFrames, SocketStatistics};
pub use monitor_handle::MonitorHandle;
pub(crate) use name_pattern::NamePattern;
pub use open::{LiveSeed, OpenedCapture, open};
pub(crate) use open::{RING_BYTES_MIN, open_on};
pub use options::{DirectionPolicy, EventLoop, LocalNetworks, Options, WireExact};
pub use packet_sockets::{AdoptError, PacketSockets};
pub use replay::{
    CaptureReport, CaptureWarning, CaptureWarningKind, CountedDirection, DirectionReason, DirectionVerdicts,
    Replay, ReplayBatch, ReplayError, ReplayFrames, UndecodedLink, UndirectedBatch, UndirectedFrames,
    capture_name, first_frame_time,
};
pub use softnet::SoftnetStats;
pub use source::{Batch, FrameSource, Verdict};
pub use survey::{Survey, survey};
pub use verdict_table::{InterfaceVerdicts, VerdictTable};

// A worker needs these types of the floor below: to be woken, and to report the mechanism that it waits with.
pub use crate::sys::poller::{Mechanism, WaitPoint};
pub use crate::sys::waker::Waker;
