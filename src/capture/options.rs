//! What live capture is configured with. The configuration floor fills it in; nothing here reads a file or checks
//! values; [`open`](super::open()) does.

use ipnet::IpNet;

/// The settings of live capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Number of rings, each read by a worker of its own; from 1 to 256.
    pub workers: usize,
    /// Bytes of kernel memory for all rings together.
    pub ring_memory_bytes: u64,
    /// Names of interfaces that are not monitored.
    pub excluded_interfaces: Vec<String>,
    /// Names of interfaces to be put into promiscuous mode, such as mirror ports.
    pub promiscuous: Vec<String>,
    /// Where the list of local networks comes from.
    pub local_networks: LocalNetworks,
    /// Which packets count by the direction in which they cross an interface.
    pub direction: DirectionPolicy,
    /// Whether received bytes are counted per host. Every egress frame is captured then.
    pub counts_received: bool,
    /// The system interface that a worker waits on.
    pub event_loop: EventLoop,
    /// Whether frames that GRO has joined count as the packets of the wire.
    pub wire_exact: WireExact,
}

/// Which packets count by the direction in which they cross an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DirectionPolicy {
    /// Ingress on a host that forwards packets, both directions on any other host.
    #[default]
    Auto,
    /// Ingress.
    In,
    /// Ingress, and egress packets whose source is an address of this host.
    InAndOwn,
    /// Both directions.
    Both,
}

/// Whether the kernel is made to report into how many packets a frame is cut on the wire (`PACKET_VNET_HDR`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WireExact {
    /// Where the kernel can report it for every kind of frame, from Linux 6.2 on.
    #[default]
    Auto,
    /// Never: each frame counts as one packet.
    Off,
}

/// The system interface that a worker waits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EventLoop {
    /// io_uring, or epoll where the system refuses io_uring.
    #[default]
    Auto,
    /// io_uring, or an error.
    IoUring,
    /// epoll.
    Epoll,
}

/// Where the list of local networks comes from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum LocalNetworks {
    /// From the addresses and routes of this host.
    #[default]
    Auto,
    /// From the configuration.
    List(Vec<IpNet>),
}
