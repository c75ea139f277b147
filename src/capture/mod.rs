//! Frames from the kernel or from capture files.
#![forbid(unsafe_code)]

mod source;

pub use source::{Batch, FrameSource};

/// What live capture needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of rings, each read by a worker of its own; at least 1.
    pub workers: usize,
    /// Bytes of kernel memory for all rings together.
    pub ring_memory_bytes: u64,
    /// Names of interfaces that are not monitored.
    pub excluded_interfaces: Vec<String>,
    /// Which way a packet must cross an interface to count.
    pub direction: DirectionPolicy,
    /// What a worker waits on.
    pub event_loop: EventLoop,
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
