//! Distinct hosts that a host contacted over the traffic window.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, Limits};

/// Finds hosts that contacted more than `contacted_hosts_max` others.
pub(super) fn judge(hosts: &[HostCounts], limits: &Limits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.contacted_hosts_max else { return };
    findings.extend(hosts.iter().filter(|host| host.contacted_hosts > limit).map(|host| Finding {
        kind: FindingKind::Scanning,
        source: Some(host.addr),
        measured: u64::from(host.contacted_hosts),
        limit: u64::from(limit),
    }));
}
