//! What can go wrong between the kernel and a frame, each with the call that failed and the likely remedy.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use thiserror::Error;

/// Why live capture could not begin.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The process may not open packet sockets.
    #[error(
        "cannot open a packet socket: the capability CAP_NET_RAW is missing. Grant it once with \
         `setcap cap_net_raw+ep {program}`, or with AmbientCapabilities=CAP_NET_RAW in the service unit",
        program = program.display()
    )]
    NoCapability {
        /// The binary that needs it.
        program: PathBuf,
    },
    /// The share of each worker is too small for a ring.
    #[error(
        "{ring_memory_bytes} bytes of ring memory are too few for {workers} workers: each needs at least \
         {needed_bytes}. Raise RingMemory to {total_bytes}, or lower Workers"
    )]
    RingMemoryTooSmall {
        /// What was configured for all rings.
        ring_memory_bytes: u64,
        /// Among how many it is divided.
        workers: usize,
        /// What one ring needs.
        needed_bytes: u64,
        /// What all of them need.
        total_bytes: u64,
    },
    /// The number of workers is not one that a fanout group can have.
    #[error("{workers} workers cannot share the traffic: set Workers to a number from 1 to {workers_max}")]
    Workers {
        /// What was configured.
        workers: usize,
        /// What the kernel allows.
        workers_max: usize,
    },
    /// A call on a packet socket failed.
    #[error("{call} failed for the ring of worker {worker}: {remedy}")]
    Socket {
        /// The call and its option.
        call: &'static str,
        /// Which ring, from 0.
        worker: usize,
        /// What may help.
        remedy: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// The interfaces could not be listed.
    #[error(transparent)]
    Interfaces(#[from] NetlinkError),
}

/// Why the kernel's list of interfaces could not be read.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// A call on the netlink socket failed.
    #[error(
        "{call} failed on a netlink socket. A service unit with RestrictAddressFamilies needs AF_NETLINK in it"
    )]
    Call {
        /// The call.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel answered a request with an error.
    #[error("the kernel refused to list {what}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The answer was no list of messages.
    #[error("the kernel's list of {what} is malformed: {reason}")]
    Malformed {
        /// What was asked for.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The list changed while it was read, every time.
    #[error(
        "the list of {what} changed during each of {attempts} readings; it is tried again at the next change"
    )]
    Unstable {
        /// What was asked for.
        what: &'static str,
        /// How often it was tried.
        attempts: u32,
    },
}

impl NetlinkError {
    /// Whether the kernel lacks a family of addresses, such as one started with `ipv6.disable=1`.
    pub(super) fn is_missing_family(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if matches!(
            source.raw_os_error(),
            Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPFNOSUPPORT)
        ))
    }
}

/// Why live capture cannot go on.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The wait could not be set up.
    #[error("cannot wait on the packet ring with {wanted}: set EventLoop to auto or epoll")]
    WaitSetUp {
        /// What was to be used.
        wanted: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The wait itself failed.
    #[error("waiting on the packet ring with {mechanism} failed")]
    Wait {
        /// What was used.
        mechanism: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// An option of the socket could not be read.
    #[error("reading {option} of the packet socket failed")]
    Option {
        /// The option.
        option: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// Interfaces cannot be watched any more.
    #[error(transparent)]
    Interfaces(#[from] NetlinkError),
}
