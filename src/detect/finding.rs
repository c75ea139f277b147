//! What a detector says.

use std::net::IpAddr;

/// A limit is exceeded, now, or may be. Pure data; it may repeat every tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which limit.
    pub kind: FindingKind,
    /// The host that exceeds it, or receives too much; `None` where it is about the capture itself.
    pub source: Option<IpAddr>,
    /// What was measured: bytes, hosts, ports, packets or contacts of a second, or lost frames of a million.
    pub measured: u64,
    /// How much more it may be, since the table had no room for all that the host did.
    pub error: u64,
    /// The limit, in the same unit.
    pub limit: u64,
}

impl Finding {
    /// What a sum of a host with this error says of its limit: that it exceeds it, that it may, or nothing.
    ///
    /// It may where the limit lies within the error, and at least half of it was counted: under a flood whoever has
    /// just come has the error of everybody, and is not suspected for that alone.
    pub(super) fn of_sum(
        kind: FindingKind,
        source: IpAddr,
        measured: u64,
        error: u64,
        limit: u64,
    ) -> Option<Self> {
        let finding = Self { kind, source: Some(source), measured, error, limit };
        let is_possible = finding.up_to() > limit && measured > 0 && measured >= limit.div_ceil(2);
        (finding.is_certain() || is_possible).then_some(finding)
    }

    /// Of what was counted alone: a value above its limit.
    pub(super) fn of_count(kind: FindingKind, source: IpAddr, measured: u32, limit: u32) -> Option<Self> {
        let (measured, limit) = (u64::from(measured), u64::from(limit));
        let source = Some(source);
        (measured > limit).then_some(Self { kind, source, measured, error: 0, limit })
    }

    /// Whether the limit is exceeded by what was counted alone.
    pub fn is_certain(&self) -> bool {
        self.measured > self.limit
    }

    /// The most that the true value can be.
    pub fn up_to(&self) -> u64 {
        self.measured.saturating_add(self.error)
    }
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
