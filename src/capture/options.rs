//! The settings of live capture. The configuration floor fills them in, and [`open`](super::open()) checks them. This
//! file does not read a configuration file.

use ipnet::IpNet;

/// The settings of live capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of rings, each read by a worker of its own; from 1 to 256.
    pub workers: usize,
    /// Bytes of kernel memory for all rings together.
    pub ring_memory_bytes: u64,
    /// Names of interfaces that are not monitored; `*` and `?` stand for characters as in a shell.
    pub excluded_interfaces: Vec<String>,
    /// Names of interfaces to be put into promiscuous mode, such as mirror ports; `*` and `?` as above.
    pub promiscuous: Vec<String>,
    /// The source of the list of local networks.
    pub local_networks: LocalNetworks,
    /// Which packets count by the direction in which they cross an interface.
    pub direction: DirectionPolicy,
    /// True if received bytes are counted per host. Every egress frame is captured then.
    pub counts_received: bool,
    /// The system interface that a worker waits on.
    pub event_loop: EventLoop,
    /// The choice whether frames that GRO has joined count as the packets on the wire.
    pub wire_exact: WireExact,
}

/// Which packets count by the direction in which they cross an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DirectionPolicy {
    /// Ingress counts on a machine that forwards packets, both directions count on any other machine.
    #[default]
    Auto,
    /// Ingress counts.
    In,
    /// Ingress counts, and egress packets whose source is an address of this machine.
    InAndOwn,
    /// Both directions count.
    Both,
}

/// The choice whether the kernel is made to report how frames are cut into packets on the wire (`PACKET_VNET_HDR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WireExact {
    /// The kernel reports it if it can do so for every kind of frame, which is the case from Linux 6.2 on.
    #[default]
    Auto,
    /// The kernel does not report it: each frame counts as one packet.
    Off,
}

/// The system interface that a worker waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EventLoop {
    /// io_uring, or epoll if the system refuses io_uring.
    #[default]
    Auto,
    /// io_uring; if the system refuses it, that is an error.
    IoUring,
    /// epoll.
    Epoll,
}

/// The source of the list of local networks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum LocalNetworks {
    /// The list is derived from the addresses and routes of this machine.
    #[default]
    Auto,
    /// The list is in the configuration.
    List(Vec<IpNet>),
}
