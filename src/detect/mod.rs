//! Pure judgement: what the hosts did and what was lost, and what may be, in; findings out.
//!
//! A detector has no memory and no clock: the same rows give the same findings, every tick again. Whether a
//! finding has been said is the ledger's business. A value at the limit is within it; one more is a finding.
//!
//! Where the table had no room for all that a host did, a sum has an error. The finding is certain where what was counted
//! exceeds the limit, and possible where it may with the error. Contacts, ports and rates are judged by what was counted.
#![forbid(unsafe_code)]

mod contact_rate;
mod finding;
mod host_scan;
mod limits;
mod loss;
mod packet_rate;
mod port_scan;
mod prefix_map;
mod received;
mod reconciliation;
mod scan;
mod volume;
mod why;

pub use finding::{Finding, FindingKind};
pub use limits::{HostLimits, ImpreciseLimit, LimitException, Limits};
pub use loss::PartsPerMillion;
pub use prefix_map::PrefixMap;
pub use reconciliation::InterfaceReconciliation;
pub use scan::{Confidence, PORTS_SHOWN, ScanClass, ScanEvidence, ScanRole, judge_hosts, judge_ports};

use crate::flow::{HostCounts, KernelCounts};

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
    for host in hosts {
        let Some(limits) = limits.of(&host.addr) else { continue };
        volume::judge(host, limits, findings);
        host_scan::judge(host, limits, findings);
        port_scan::judge(host, limits, findings);
        packet_rate::judge(host, limits, findings);
        contact_rate::judge(host, limits, findings);
        received::judge(host, limits, findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the limit nothing is said, one beyond it what is turned on.
    #[test]
    fn a_limit_is_exceeded_by_one_more() {
        let host = HostCounts::nothing([10, 0, 0, 1].into());
        let exceptions = [
            (LimitException::IpBytes(Some(10)), FindingKind::Traffic),
            (LimitException::ContactedHosts(Some(10)), FindingKind::Scanning),
            (LimitException::ContactedPorts(Some(10)), FindingKind::ScanningPort),
            (LimitException::PacketsPerS(Some(10)), FindingKind::PacketRate),
            (LimitException::ContactsPerS(Some(10)), FindingKind::ContactRate),
            (LimitException::ReceivedBytes(Some(10)), FindingKind::Received),
        ];
        let doing = |amount: u32| HostCounts {
            packets: 1,
            ip_bytes: u64::from(amount),
            received_bytes: u64::from(amount),
            contacted_hosts: amount,
            contacted_ports: amount,
            packets_per_s: amount,
            contacts_per_s: amount,
            ..host
        };
        let judge = |host: HostCounts, limits: HostLimits| {
            let mut findings = Vec::new();
            let limits = Limits { hosts: limits, ..Limits::default() };
            run(&KernelCounts::default(), &[host], &limits, &mut findings);
            findings.iter().map(|finding| (finding.kind, finding.measured, finding.limit)).collect::<Vec<_>>()
        };
        for (exception, kind) in exceptions {
            let limits = HostLimits::default().with(exception);
            assert_eq!(judge(doing(10), limits), []);
            assert_eq!(judge(doing(11), limits), [(kind, 11, 10)]);
        }
        let all =
            exceptions.iter().fold(HostLimits::default(), |limits, (exception, _)| limits.with(*exception));
        assert_eq!(judge(doing(11), all).len(), exceptions.len());
        assert_eq!(judge(doing(u32::MAX), HostLimits::default()), []);
    }

    /// Where something may be missing, a limit may be exceeded: if half of it was counted.
    #[test]
    fn a_sum_with_an_error_may_exceed_its_limit() {
        let limits = |max| HostLimits {
            ip_bytes_max: Some(max),
            received_bytes_max: Some(max),
            contacted_hosts_max: Some(1),
            ..HostLimits::default()
        };
        let (none, possible, certain) = (None, Some(false), Some(true));
        for (measured, error, limit, expected) in [
            (10, 0, 10, none),
            (10, 1, 10, possible),
            (11, 0, 10, certain),
            (11, 5, 10, certain),
            (6, 4, 10, none),
            (6, 5, 10, possible),
            (5, 5, 10, none),
            (5, 6, 10, possible),
            (4, 1000, 10, none),
            // Of an odd limit, half is rounded up.
            (5, 1000, 11, none),
            (6, 1000, 11, possible),
            (6, u64::MAX, 11, possible),
            (0, 1000, 0, none),
            (0, 1000, 1, none),
            (1, 1000, 1, possible),
        ] {
            let nothing = HostCounts::nothing([10, 0, 0, 1].into());
            let sent = HostCounts { ip_bytes: measured, ip_bytes_error: error, ..nothing };
            let received = HostCounts { received_bytes: measured, received_bytes_error: error, ..nothing };
            for (host, kind) in [(sent, FindingKind::Traffic), (received, FindingKind::Received)] {
                let limits = Limits { hosts: limits(limit), ..Limits::default() };
                let mut findings = Vec::new();
                run(&KernelCounts::default(), &[host], &limits, &mut findings);
                let case = format!("{kind:?} {measured}+{error} of {limit}");
                assert_eq!(findings.first().map(Finding::is_certain), expected, "{case}");
                for finding in findings {
                    assert_eq!((finding.kind, finding.measured), (kind, measured), "{case}");
                    assert_eq!(finding.up_to(), measured.saturating_add(error), "{case}");
                }
            }
        }
    }

    #[test]
    fn an_ignored_host_is_never_found() {
        let ignored = PrefixMap::new([("10.0.0.0/24".parse().expect("a network"), ())]);
        let hosts = HostLimits::default().with(LimitException::IpBytes(Some(1)));
        let limits = Limits { hosts, ignored, ..Limits::default() };
        let sent = |addr: [u8; 4]| HostCounts { ip_bytes: 2, ..HostCounts::nothing(addr.into()) };
        let mut findings = Vec::new();
        run(&KernelCounts::default(), &[sent([10, 0, 0, 9]), sent([10, 0, 1, 9])], &limits, &mut findings);
        let sources: Vec<_> = findings.iter().map(|finding| finding.source).collect();
        assert_eq!(sources, [Some([10, 0, 1, 9].into())]);
    }

    #[test]
    fn a_loss_is_a_share_of_what_was_offered() {
        let limits = |loss_ppm_max| Limits { loss_ppm_max, ..Limits::default() };
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
