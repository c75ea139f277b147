//! What a detector says.

use std::net::IpAddr;

/// A host exceeds a limit, now. Pure data; it may repeat every tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which limit.
    pub kind: FindingKind,
    /// The host.
    pub source: IpAddr,
    /// What was measured: bytes, hosts or ports.
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
}

impl FindingKind {
    /// The word of the log line and of JSON.
    pub fn name(self) -> &'static str {
        match self {
            FindingKind::Traffic => "TRAFFIC",
            FindingKind::Scanning => "SCANNING",
            FindingKind::ScanningPort => "SCANNING_PORT",
        }
    }
}
