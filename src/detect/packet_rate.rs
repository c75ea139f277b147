//! Packets per host over a second.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host sent more than `packets_per_s_max`.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.packets_per_s_max else { return };
    findings.extend(Finding::of_count(FindingKind::PacketRate, host.addr, host.packets_per_s, limit));
}
