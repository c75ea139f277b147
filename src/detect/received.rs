//! Bytes that a host received over the traffic window: the victim's side.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host received more than `received_bytes_max`.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.received_bytes_max else { return };
    if host.received_bytes > limit {
        findings.push(Finding {
            kind: FindingKind::Received,
            source: Some(host.addr),
            measured: host.received_bytes,
            limit,
        });
    }
}
