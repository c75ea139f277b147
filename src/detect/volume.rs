//! Bytes per host over the traffic window.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host sent more than `ip_bytes_max`, or may have.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.ip_bytes_max else { return };
    findings.extend(Finding::of_sum(
        FindingKind::Traffic,
        host.addr,
        host.ip_bytes,
        host.ip_bytes_error,
        limit,
    ));
}
