//! Distinct hosts that a host contacted over the traffic window.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host contacted more than `contacted_hosts_max` others.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.contacted_hosts_max else { return };
    findings.extend(Finding::of_count(FindingKind::Scanning, host.addr, host.contacted_hosts, limit));
}
