//! Distinct (protocol, port) that a host contacted over the port window, at whichever hosts.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host contacted more than `contacted_ports_max` ports.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.contacted_ports_max else { return };
    findings.extend(Finding::of_count(FindingKind::ScanningPort, host.addr, host.contacted_ports, limit));
}
