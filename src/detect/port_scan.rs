//! Distinct (protocol, port) that a host contacted over the port window, at whichever hosts.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, Limits};

/// Finds hosts that contacted more than `contacted_ports_max` ports.
pub(super) fn judge(hosts: &[HostCounts], limits: &Limits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.contacted_ports_max else { return };
    findings.extend(hosts.iter().filter(|host| host.contacted_ports > limit).map(|host| Finding {
        kind: FindingKind::ScanningPort,
        source: Some(host.addr),
        measured: u64::from(host.contacted_ports),
        limit: u64::from(limit),
    }));
}
