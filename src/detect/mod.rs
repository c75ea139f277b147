//! Pure judgement: what the hosts did and what was lost, and what may be, in; findings out.
//!
//! A detector has no memory and no clock: the same rows give the same findings, every tick again. Whether a
//! finding has been said is the ledger's business. A value at the limit is within it; one more is a finding.
#![forbid(unsafe_code)]

mod finding;
mod host_scan;
mod loss;
mod port_scan;
mod scan;
mod unexplained;
mod volume;
mod why;

pub use finding::{Finding, FindingKind};
pub use loss::Share;
pub use scan::{Confidence, PORTS_SHOWN, ScanClass, ScanEvidence, ScanRole, judge_hosts, judge_ports};
pub use unexplained::Sight;

use crate::flow::{HostCounts, KernelCounts};

/// What a host may do before it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes sent in the traffic window.
    pub ip_bytes_max: u64,
    /// Hosts contacted in the traffic window; `None` turns the detector off.
    pub contacted_hosts_max: Option<u32>,
    /// Ports contacted in the port window; `None` turns the detector off.
    pub contacted_ports_max: Option<u32>,
    /// Frames of a million that may be lost in the traffic window; `None` turns the detector off.
    pub loss_ppm_max: Option<u32>,
    /// What makes a scanner of a host over one of these two.
    pub scan_rule: ScanRule,
}

/// What makes a host a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScanRule {
    /// The number of its contacts.
    #[default]
    Contacts,
    /// Their number, and that they look like a scan ([`judge_hosts`], [`judge_ports`]).
    Suspicious,
}

/// Judges what was lost and each host, and appends what exceeds a limit to `findings`.
pub fn run(loss: &KernelCounts, hosts: &[HostCounts], limits: &Limits, findings: &mut Vec<Finding>) {
    loss::judge(loss, limits, findings);
    volume::judge(hosts, limits, findings);
    host_scan::judge(hosts, limits, findings);
    port_scan::judge(hosts, limits, findings);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the limit nothing is said, one beyond it everything that is turned on.
    #[test]
    fn a_limit_is_exceeded_by_one_more() {
        let limits = Limits {
            ip_bytes_max: 1000,
            contacted_hosts_max: Some(15),
            contacted_ports_max: Some(100),
            loss_ppm_max: None,
            scan_rule: ScanRule::Contacts,
        };
        let off = Limits { contacted_hosts_max: None, contacted_ports_max: None, ..limits.clone() };
        let at = |ip_bytes, contacted_hosts, contacted_ports| HostCounts {
            addr: [10, 0, 0, 1].into(),
            packets: 1,
            ip_bytes,
            contacted_hosts,
            contacted_ports,
        };
        let kinds = |host: HostCounts, limits: &Limits| {
            let mut findings = Vec::new();
            run(&KernelCounts::default(), &[host], limits, &mut findings);
            findings.iter().map(|finding| (finding.kind, finding.measured, finding.limit)).collect::<Vec<_>>()
        };
        assert_eq!(kinds(at(1000, 15, 100), &limits), []);
        assert_eq!(kinds(at(1001, 15, 100), &limits), [(FindingKind::Traffic, 1001, 1000)]);
        assert_eq!(kinds(at(0, 16, 100), &limits), [(FindingKind::Scanning, 16, 15)]);
        assert_eq!(kinds(at(0, 15, 101), &limits), [(FindingKind::ScanningPort, 101, 100)]);
        assert_eq!(kinds(at(1001, 16, 101), &limits).len(), 3);
        assert_eq!(kinds(at(1000, u32::MAX, u32::MAX), &off), []);
        assert_eq!(kinds(at(u64::MAX, 0, 0), &off), [(FindingKind::Traffic, u64::MAX, 1000)]);
    }

    #[test]
    fn a_loss_is_a_share_of_what_was_offered() {
        let limits = |loss_ppm_max| Limits {
            ip_bytes_max: u64::MAX,
            contacted_hosts_max: None,
            contacted_ports_max: None,
            loss_ppm_max,
            scan_rule: ScanRule::Contacts,
        };
        for (tp_drops, tp_packets, limit, expected) in [
            (0, 0, Some(1), None),
            (0, 1_000_000, Some(1), None),
            (1_000, 1_000_000, Some(1_000), None),
            (1_001, 1_000_000, Some(1_000), Some(1_001)),
            // Rounded up: one frame of ten million is not nothing.
            (11, 10_000_000, Some(1), Some(2)),
            (u64::MAX, u64::MAX, Some(1_000_000), None),
            (7, 7, Some(999_999), Some(1_000_000)),
            (7, 7, None, None),
        ] {
            let mut findings = Vec::new();
            run(&KernelCounts { tp_packets, tp_drops, tp_freezes: 0 }, &[], &limits(limit), &mut findings);
            let found = findings.first().map(|finding| (finding.kind, finding.source, finding.measured));
            assert_eq!(
                found,
                expected.map(|ppm| (FindingKind::Loss, None, ppm)),
                "{tp_drops} of {tp_packets}"
            );
        }
    }
}
