//! Bytes per host over the traffic window.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, Limits};

/// Finds hosts that sent more than `ip_bytes_max`.
pub(super) fn judge(hosts: &[HostCounts], limits: &Limits, findings: &mut Vec<Finding>) {
    let limit = limits.ip_bytes_max;
    findings.extend(hosts.iter().filter(|host| host.ip_bytes > limit).map(|host| Finding {
        kind: FindingKind::Traffic,
        source: Some(host.addr),
        measured: host.ip_bytes,
        limit,
    }));
}
