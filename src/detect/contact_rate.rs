//! New contacts per host over a second.

use crate::flow::HostCounts;

use super::{Finding, FindingKind, HostLimits};

/// Finds that a host contacted more than `contacts_per_s_max` others anew.
pub(super) fn judge(host: &HostCounts, limits: &HostLimits, findings: &mut Vec<Finding>) {
    let Some(limit) = limits.contacts_per_s_max else { return };
    findings.extend(Finding::of_count(FindingKind::ContactRate, host.addr, host.contacts_per_s, limit));
}
