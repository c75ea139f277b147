//! Bytes per host over the traffic window.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host sent more than `ip_bytes_max`.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.ip_bytes_max else { return };
    if host.ip_bytes > limit {
        findings.push(Finding {
            kind: FindingKind::Traffic,
            source: Some(host.addr),
            measured: host.ip_bytes,
            limit,
        });
    }
}
