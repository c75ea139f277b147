//! Bytes that a host received over the traffic window: the victim's side.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host received more than `received_bytes_max`, or may have.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.received_bytes_max else { return };
    findings.extend(Finding::of_sum(
        FindingKind::Received,
        host.addr,
        host.received_bytes,
        host.received_bytes_error,
        limit,
    ));
}
