//! What a detector says.

use std::net::IpAddr;

/// A limit is exceeded, now. Pure data; it may repeat every tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which limit.
    pub kind: FindingKind,
    /// The host that exceeds it, or receives too much; `None` where it is about the capture itself.
    pub source: Option<IpAddr>,
    /// What was measured: bytes, hosts, ports, packets or contacts of a second, or lost frames of a million.
    pub measured: u64,
    /// The limit that it exceeds, in the same unit.
    pub limit: u64,
}

/// Which limit a finding is about. The order is the one in which several are named together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FindingKind {
    /// Bytes sent in the traffic window.
    Traffic,
    /// Hosts contacted in the traffic window.
    Scanning,
    /// Ports contacted in the port window.
    ScanningPort,
    /// Packets sent in a second.
    PacketRate,
    /// Hosts newly contacted in a second.
    ContactRate,
    /// Bytes received in the traffic window.
    Received,
    /// Frames that the kernel dropped in the traffic window, because a ring was full.
    Loss,
}

impl FindingKind {
    /// Every kind, in order.
    pub const ALL: [Self; 7] = [
        Self::Traffic,
        Self::Scanning,
        Self::ScanningPort,
        Self::PacketRate,
        Self::ContactRate,
        Self::Received,
        Self::Loss,
    ];

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word of the log line and of JSON.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Traffic => "TRAFFIC",
            FindingKind::Scanning => "SCANNING",
            FindingKind::ScanningPort => "SCANNING_PORT",
            FindingKind::PacketRate => "PACKET_RATE",
            FindingKind::ContactRate => "CONTACT_RATE",
            FindingKind::Received => "RECEIVED",
            FindingKind::Loss => "LOSS",
        }
    }
}
