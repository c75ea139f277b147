//! A finding: a limit that a host, or the loss of frames, exceeds or may exceed.

use std::net::IpAddr;

use crate::flow::{HostCounts, KernelCounts, Metric};

use super::detectors::FindingKind;

/// A limit that is exceeded in this tick, or may be. The same finding may repeat every tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The limit.
    pub kind: FindingKind,
    /// The host that exceeds it: the sender, or the receiver for [`FindingKind::Received`]. `None` if the finding is
    /// about the capture itself.
    pub source: Option<IpAddr>,
    /// The measured value: bytes, hosts, ports, packets or contacts per second, or lost frames per million.
    pub measured: u64,
    /// How much larger the true value may be, because the table had no room to count all traffic of the host.
    pub error_bound: u64,
    /// The limit, in the same unit.
    pub limit: u64,
}

impl Finding {
    /// Compares the count of a metric of a host with a limit. Returns a finding if the count exceeds the limit or may
    /// exceed it, and `None` otherwise.
    ///
    /// The count may exceed the limit if the limit lies within its error bound and at least half of the limit was
    /// counted. During a flood every host that has just entered the table has the same large error bound, so the error
    /// bound is not evidence by itself.
    pub(super) fn of_host(kind: FindingKind, metric: Metric, host: &HostCounts, limit: u64) -> Option<Self> {
        let (measured, error_bound) = (host.counts[metric], host.errors.of(metric));
        let finding = Self { kind, source: Some(host.addr), measured, error_bound, limit };
        let is_possible = finding.upper_bound() > limit && measured > 0 && measured >= limit.div_ceil(2);
        (finding.is_certain() || is_possible).then_some(finding)
    }

    /// Compares the share of dropped frames with a limit, in frames per million. Returns a finding if the share exceeds
    /// the limit, and `None` otherwise.
    pub(super) fn of_loss(loss: &KernelCounts, limit: u32) -> Option<Self> {
        let (measured, limit) = (loss.dropped_ppm(), u64::from(limit));
        let finding = Self { kind: FindingKind::Loss, source: None, measured, error_bound: 0, limit };
        finding.is_certain().then_some(finding)
    }

    /// Returns true if the measured value exceeds the limit without its error bound.
    pub fn is_certain(&self) -> bool {
        self.measured > self.limit
    }

    /// Returns the upper bound of the true value.
    pub fn upper_bound(&self) -> u64 {
        self.measured.saturating_add(self.error_bound)
    }
}
