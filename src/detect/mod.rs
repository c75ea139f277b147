//! Detectors: they compare the counts of hosts and the loss of frames with the limits, and return findings.
//!
//! * **Owns** the detectors, the limits and the networks that have other limits ([`Limits`]), and the classification of
//!   hosts with many contacts or packets ([`evaluate_hosts`], [`evaluate_ports`], [`evaluate_rate`]).
//! * **Does not contain** memory or clocks: the same counts give the same findings in each tick. The ledger of
//!   [`alert`](crate::alert) decides which of them are notified.
//! * **Fails** never: a detector is a pure function.
//!
//! A value that equals its limit is within it. If the table had no room to count all traffic of a host, its bytes sent
//! have an error bound. A finding is certain if the count exceeds the limit. It is possible if only the sum of the
//! count and its error bound does, and at least half of the limit was counted. The other counts may then be too small
//! as well; they have no bound, and only what was counted is compared.
//!
//! One detector is one file in `detectors/` and one line in `detectors.rs`. It compares a
//! [`Metric`](crate::flow::Metric) of [`flow`](crate::flow); two detectors may compare the same one.
#![forbid(unsafe_code)]

mod detector;
mod detectors;
mod finding;
mod limits;
mod parts_per_million;
mod prefix_map;
mod reconciliation;
mod scan;

pub use detector::{ContactKind, Detector, HostLimit, LogDetails, Words};
pub use detectors::FindingKind;
pub use finding::Finding;
pub use limits::{HostLimits, ImpreciseLimit, LimitException, Limits};
pub use parts_per_million::PartsPerMillion;
pub use prefix_map::PrefixMap;
pub use reconciliation::InterfaceReconciliation;
pub(crate) use scan::port_name;
pub use scan::{
    Confidence, PORTS_SHOWN, ScanClass, ScanEvidence, ScanRole, ScanRule, evaluate_hosts, evaluate_ports,
    evaluate_rate,
};

use crate::flow::{HostCounts, KernelCounts};

/// Compares the loss of frames and the counts of each host with the limits, and appends a finding to `findings` for
/// each limit that is exceeded or may be.
pub fn run(loss: &KernelCounts, hosts: &[HostCounts], limits: &Limits, findings: &mut Vec<Finding>) {
    findings.extend(limits.loss_ppm_max.and_then(|limit| Finding::of_loss(loss, limit)));
    for host in hosts {
        let Some(limits) = limits.of(&host.addr) else { continue };
        findings.extend(
            limits
                .configured()
                .filter_map(|(kind, metric, limit)| Finding::of_host(kind, metric, host, limit)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Metric, PerMetric, Sums};

    /// A value at the limit gives no finding; one more gives a finding of each kind that is turned on.
    #[test]
    fn a_limit_is_exceeded_by_one_more() {
        let host = HostCounts::nothing([10, 0, 0, 1].into());
        let kinds = [
            (FindingKind::Traffic, Metric::IpBytes),
            (FindingKind::Scanning, Metric::ContactedHosts),
            (FindingKind::ScanningPort, Metric::ContactedPorts),
            (FindingKind::PacketRate, Metric::PacketsPerS),
            (FindingKind::ContactRate, Metric::ContactsPerS),
            (FindingKind::Received, Metric::ReceivedBytes),
        ];
        let doing = |amount: u64| HostCounts { packets: 1, counts: PerMetric::from_fn(|_| amount), ..host };
        let find = |host: HostCounts, limits: HostLimits| {
            let mut findings = Vec::new();
            let limits = Limits { hosts: limits, ..Limits::default() };
            run(&KernelCounts::default(), &[host], &limits, &mut findings);
            findings.iter().map(|finding| (finding.kind, finding.measured, finding.limit)).collect::<Vec<_>>()
        };
        let all = kinds.iter().fold(HostLimits::default(), |limits, &(kind, _)| limits.with(kind, Some(10)));
        for (kind, metric) in kinds {
            let limits = HostLimits::default().with(kind, Some(10));
            assert_eq!(find(doing(10), limits), []);
            assert_eq!(find(doing(11), limits), [(kind, 11, 10)]);
            let alone = HostCounts { counts: PerMetric::default().with(metric, 11), ..host };
            assert_eq!(find(alone, all), [(kind, 11, 10)]);
        }
        assert_eq!(find(doing(11), all).len(), kinds.len());
        assert_eq!(find(doing(u32::MAX.into()), HostLimits::default()), []);
    }

    /// Each detector that is about hosts finds a value of one more than the limit.
    #[test]
    fn every_detector_of_hosts_compares_its_own_metric() {
        for kind in FindingKind::ALL {
            let Some(metric) = kind.metric() else { continue };
            let counts = |count| HostCounts {
                counts: PerMetric::default().with(metric, count),
                ..HostCounts::nothing([10, 0, 0, 1].into())
            };
            let hosts = HostLimits::default().with(kind, Some(10));
            let limits = Limits { hosts, ..Limits::default() };
            let mut findings = Vec::new();
            run(&KernelCounts::default(), &[counts(10), counts(11)], &limits, &mut findings);
            let source = Some([10, 0, 0, 1].into());
            assert_eq!(findings, [Finding { kind, source, measured: 11, error_bound: 0, limit: 10 }]);
            // The window compares the metric with this limit, so that the host is judged at all.
            assert_eq!(limits.lowest(), PerMetric::default().with(metric, Some(10)));
        }
    }

    /// A finding is possible if the error bound reaches beyond the limit and half of the limit was counted.
    #[test]
    fn a_sum_with_an_error_bound_may_exceed_its_limit() {
        let limits = |max| {
            HostLimits::default()
                .with(FindingKind::Traffic, Some(max))
                .with(FindingKind::Received, Some(max))
                .with(FindingKind::Scanning, Some(1))
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
            // Half of an odd limit is rounded up.
            (5, 1000, 11, none),
            (6, 1000, 11, possible),
            (6, u64::MAX, 11, possible),
            (0, 1000, 0, none),
            (0, 1000, 1, none),
            (1, 1000, 1, possible),
        ] {
            let nothing = HostCounts::nothing([10, 0, 0, 1].into());
            let sent = (Metric::IpBytes, Sums { ip_bytes: error, received_bytes: 0 });
            let received = (Metric::ReceivedBytes, Sums { ip_bytes: 0, received_bytes: error });
            for ((metric, errors), kind) in [(sent, FindingKind::Traffic), (received, FindingKind::Received)]
            {
                let counts = PerMetric::default().with(metric, measured);
                let host = HostCounts { counts, errors, ..nothing };
                let limits = Limits { hosts: limits(limit), ..Limits::default() };
                let mut findings = Vec::new();
                run(&KernelCounts::default(), &[host], &limits, &mut findings);
                let case = format!("{kind:?} {measured}+{error} of {limit}");
                assert_eq!(findings.first().map(Finding::is_certain), expected, "{case}");
                for finding in findings {
                    assert_eq!((finding.kind, finding.measured), (kind, measured), "{case}");
                    assert_eq!(finding.upper_bound(), measured.saturating_add(error), "{case}");
                }
            }
        }
    }

    #[test]
    fn an_ignored_host_gives_no_findings() {
        let ignored = PrefixMap::new([("10.0.0.0/24".parse().expect("a network"), ())]);
        let hosts = HostLimits::default().with(FindingKind::Traffic, Some(1));
        let limits = Limits { hosts, ignored, ..Limits::default() };
        let counts = PerMetric::default().with(Metric::IpBytes, 2);
        let sent = |addr: [u8; 4]| HostCounts { counts, ..HostCounts::nothing(addr.into()) };
        let mut findings = Vec::new();
        run(&KernelCounts::default(), &[sent([10, 0, 0, 9]), sent([10, 0, 1, 9])], &limits, &mut findings);
        let sources: Vec<_> = findings.iter().map(|finding| finding.source).collect();
        assert_eq!(sources, [Some([10, 0, 1, 9].into())]);
    }

    #[test]
    fn a_loss_is_a_share_of_the_offered_frames() {
        let limits = |loss_ppm_max| Limits { loss_ppm_max, ..Limits::default() };
        for (tp_drops, tp_packets, limit, expected) in [
            (0, 0, Some(1), None),
            (0, 1_000_000, Some(1), None),
            (1_000, 1_000_000, Some(1_000), None),
            (1_001, 1_000_000, Some(1_000), Some(1_001)),
            // The share is rounded up, so that 1.1 frames per million exceed a limit of 1.
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
