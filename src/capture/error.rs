//! Errors of live capture. Each message names the system call that failed and the likely remedy.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;
use thiserror::Error;

/// The reason why live capture cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The process may not open packet sockets.
    #[error(
        "cannot open a packet socket: the capability CAP_NET_RAW is missing. Grant it once with \
         `setcap cap_net_raw+ep {program}`, or with AmbientCapabilities=CAP_NET_RAW in the service unit",
        program = program.display()
    )]
    NoCapability {
        /// The binary that needs the capability.
        program: PathBuf,
    },
    /// The share of each worker is too small for a ring.
    #[error(
        "{ring_memory_bytes} bytes of ring memory are too few for {workers} workers: each needs at least \
         {needed_bytes}. Raise RingMemory to {total_bytes}, or lower Workers"
    )]
    RingMemoryTooSmall {
        /// The bytes that are configured for all rings.
        ring_memory_bytes: u64,
        /// The number of workers that share them.
        workers: usize,
        /// The bytes that one ring needs.
        needed_bytes: u64,
        /// The bytes that all rings need.
        total_bytes: u64,
    },
    /// The number of workers is 0 or exceeds the maximum size of a fanout group.
    #[error("{workers} workers cannot share the traffic: set Workers to a number from 1 to {workers_max}")]
    Workers {
        /// The number that is configured.
        workers: usize,
        /// The maximum number of sockets in a fanout group.
        workers_max: usize,
    },
    /// The sockets were opened for another configuration.
    #[error(
        "{sockets} packet sockets were opened for {workers} workers: the configuration has changed during the start. \
         Start the program again"
    )]
    FewSockets {
        /// The number of sockets.
        sockets: usize,
        /// The number of workers that is configured now.
        workers: usize,
    },
    /// A call on a packet socket failed.
    #[error("{call} failed for the ring of worker {worker}: {remedy}")]
    Socket {
        /// The system call and its option.
        call: &'static str,
        /// The number of the ring, from 0.
        worker: usize,
        /// The likely remedy.
        remedy: &'static str,
        /// The error of the kernel.
        source: Errno,
    },
    /// The interfaces could not be listed.
    #[error(transparent)]
    Interfaces(#[from] NetlinkError),
}

/// The reason why a list of the kernel cannot be read over netlink.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// A call on the netlink socket failed.
    #[error(
        "{call} failed on a netlink socket. A service unit with RestrictAddressFamilies needs AF_NETLINK in it"
    )]
    Call {
        /// The system call.
        call: &'static str,
        /// The error of the kernel.
        source: io::Error,
    },
    /// The kernel replied to a request with an error.
    #[error("the kernel refused to list {what}")]
    Refused {
        /// The list that was requested.
        what: &'static str,
        /// The error in its reply.
        source: io::Error,
    },
    /// The reply is malformed.
    #[error("the kernel's list of {what} is malformed: {reason}")]
    Malformed {
        /// The list that was requested.
        what: &'static str,
        /// The error of the parser.
        reason: String,
    },
    /// The list changed during each reading.
    #[error(
        "the list of {what} changed during each of {attempts} readings; it is tried again at the next change"
    )]
    Unstable {
        /// The list that was requested.
        what: &'static str,
        /// The number of readings.
        attempts: u32,
    },
}

impl NetlinkError {
    /// Returns true if the kernel does not support an address family, such as IPv6 with `ipv6.disable=1`.
    pub(super) fn is_missing_family(&self) -> bool {
        matches!(self, Self::Refused { source, .. } if matches!(
            source.raw_os_error(),
            Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPFNOSUPPORT)
        ))
    }
}

/// The reason why live capture cannot continue.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The wait could not be set up.
    #[error("cannot wait on the packet ring with {wanted}: set EventLoop to auto or epoll")]
    WaitSetUp {
        /// The mechanism that was to be used.
        wanted: &'static str,
        /// The error of the kernel.
        source: io::Error,
    },
    /// The wait failed.
    #[error("waiting on the packet ring with {mechanism} failed")]
    Wait {
        /// The mechanism in use.
        mechanism: &'static str,
        /// The error of the kernel.
        source: io::Error,
    },
    /// An option of the socket could not be read.
    #[error("reading {option} of the packet socket failed")]
    Option {
        /// The option.
        option: &'static str,
        /// The error of the kernel.
        source: Errno,
    },
    /// The interfaces cannot be followed any more.
    #[error(transparent)]
    Interfaces(#[from] NetlinkError),
}

/// Returns a function that turns an error of a packet socket into an [`OpenError`] with a remedy.
pub(super) fn socket_error(worker: usize, call: &'static str) -> impl Fn(Errno) -> OpenError {
    move |source| {
        let remedy = match source {
            Errno::EPERM | Errno::EACCES => return OpenError::NoCapability { program: program() },
            Errno::ENOMEM => "there is not enough kernel memory; lower RingMemory or Workers",
            Errno::ENOBUFS => "there is not enough kernel memory; lower RingMemory",
            Errno::EMFILE | Errno::ENFILE => "too many files are open; raise LimitNOFILE in the service unit",
            Errno::EAFNOSUPPORT => {
                "the kernel has no packet sockets (CONFIG_PACKET), or RestrictAddressFamilies in the service unit \
                 lacks AF_PACKET"
            }
            Errno::EINVAL | Errno::ENOPROTOOPT => "the kernel is too old; Linux 5.10 or later is needed",
            _ => "the kernel gives no reason that could be acted upon",
        };
        OpenError::Socket { call, worker, remedy, source }
    }
}

/// Returns the path of this binary, for the command that grants it the capability.
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/local/bin/TrafficAlerted"))
}
