//! What a detector finds.

use std::net::IpAddr;

use crate::flow::{HostCounts, KernelCounts, Metric};

use super::detectors::FindingKind;

/// A limit is exceeded, now, or may be. Pure data; it may repeat every tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which limit.
    pub kind: FindingKind,
    /// The host that exceeds it, or receives too much; `None` where it is about the capture itself.
    pub source: Option<IpAddr>,
    /// What was measured: bytes, hosts, ports, packets or contacts of a second, or lost frames of a million.
    pub measured: u64,
    /// How much more it may be, because the table had no room for all that the host did.
    pub error: u64,
    /// The limit, in the same unit.
    pub limit: u64,
}

impl Finding {
    /// A host's count of a metric against a limit: a finding if it exceeds the limit, or if it may.
    ///
    /// It may where the limit lies within the error of the count, and at least half of the limit was counted. Under a
    /// flood every host that has just entered has the same large error, which alone is no reason to suspect it.
    pub(super) fn of_host(kind: FindingKind, metric: Metric, host: &HostCounts, limit: u64) -> Option<Self> {
        let (measured, error) = (host.counts[metric], host.errors.of(metric));
        let finding = Self { kind, source: Some(host.addr), measured, error, limit };
        let is_possible = finding.up_to() > limit && measured > 0 && measured >= limit.div_ceil(2);
        (finding.is_certain() || is_possible).then_some(finding)
    }

    /// The dropped frames of a million against a limit: a finding if they exceed it.
    pub(super) fn of_loss(loss: &KernelCounts, limit: u32) -> Option<Self> {
        let (measured, limit) = (loss.dropped_ppm(), u64::from(limit));
        let finding = Self { kind: FindingKind::Loss, source: None, measured, error: 0, limit };
        finding.is_certain().then_some(finding)
    }

    /// Returns true if what was counted alone exceeds the limit.
    pub fn is_certain(&self) -> bool {
        self.measured > self.limit
    }

    /// The most that the true value can be.
    pub fn up_to(&self) -> u64 {
        self.measured.saturating_add(self.error)
    }
}
