//! Scan candidates: hosts that exceed a limit of contacts but were not found to be scanners. Decides when to evaluate
//! them again.
//!
//! An evaluation walks over the rows of the host's latest pairs, so it is repeated only when the contacts have grown by
//! an eighth, every 100 ms while answers may still come, or after the candidate was removed. A judgement walks over
//! about [`ROWS_PER_JUDGEMENT_MAX`] rows; hosts for which none are left are put off until the next judgement.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::{
    ContactKind, Finding, FindingKind, ScanEvidence, ScanRole, ScanRule, evaluate_hosts, evaluate_ports,
    evaluate_rate,
};
use crate::flow::{SAMPLE_MAX, Window};
use crate::time::Moment;

/// Number of rows after which one judgement begins no further evaluation: some 5 ms.
const ROWS_PER_JUDGEMENT_MAX: usize = 32 * SAMPLE_MAX;

/// Maximum number of candidates. Further hosts are evaluated at each judgement.
const CANDIDATES_MAX: usize = 10_000;

/// Time until a host is evaluated again while answers to its contacts may still come.
const EVALUATE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Time after which a candidate that was not considered again is removed.
const FORGET_AFTER: Duration = Duration::from_secs(5);

/// The candidates, by host and by the kind of the limit that the host exceeds.
#[derive(Debug)]
pub(super) struct ScanCandidates {
    rule: ScanRule,
    seen: HashMap<(IpAddr, FindingKind), ScanCandidate>,
    /// Number of rows of pairs that this judgement may still walk over.
    rows_left: usize,
}

#[derive(Clone, Copy, Debug)]
struct ScanCandidate {
    /// The number of contacts or ports at the last evaluation; 0 if it was put off.
    measured: u64,
    /// When it was last evaluated or put off.
    considered_at: Moment,
    /// True if no more answers to the contacts of that time are expected.
    is_settled: bool,
}

impl ScanCandidates {
    pub(super) fn new(rule: ScanRule) -> Self {
        Self { rule, seen: HashMap::new(), rows_left: 0 }
    }

    /// Begins a judgement: removes the candidates that were not considered lately.
    pub(super) fn begin_judgement(&mut self, now: Moment) {
        self.rows_left = ROWS_PER_JUDGEMENT_MAX;
        self.seen.retain(|_, candidate| now.since(candidate.considered_at) < FORGET_AFTER);
    }

    /// Returns the hosts whose time to be evaluated again has come, even if they did nothing since.
    pub(super) fn due(&self, now: Moment) -> impl Iterator<Item = IpAddr> + '_ {
        self.seen.iter().filter(move |(_, candidate)| candidate.is_due(now)).map(|(&(host, _), _)| host)
    }

    /// Returns true if a host must be evaluated again because answers may still come or because it was put off.
    pub(super) fn is_waiting(&self) -> bool {
        self.seen.values().any(|candidate| !candidate.is_settled)
    }

    /// Returns true if a finding without an open alert may open one. Evaluates the host if the finding is about
    /// contacts and the rule requires that.
    pub(super) fn may_open(&mut self, finding: &Finding, window: &Window, now: Moment) -> bool {
        let (Some(source), Some(ContactKind::Hosts | ContactKind::Ports), ScanRule::Suspicious) =
            (finding.source, finding.kind.detector().contacts, self.rule)
        else {
            return true;
        };
        let key = (source, finding.kind);
        if self
            .seen
            .get(&key)
            .is_some_and(|candidate| !candidate.is_due(now) && !candidate.has_grown(finding))
        {
            return false;
        }
        if self.rows_left == 0 {
            // With `measured` 0 it has grown at the next judgement, which then evaluates it.
            self.remember(key, ScanCandidate { measured: 0, considered_at: now, is_settled: false });
            return false;
        }
        let Some((evidence, rows)) = scan_evidence(window, finding, now) else { return false };
        self.rows_left = self.rows_left.saturating_sub(rows);
        if evidence.role == ScanRole::Scanner {
            self.seen.remove(&key);
            return true;
        }
        let is_settled = evidence.outcomes.early == 0;
        self.remember(key, ScanCandidate { measured: finding.measured, considered_at: now, is_settled });
        false
    }

    fn remember(&mut self, key: (IpAddr, FindingKind), candidate: ScanCandidate) {
        if self.seen.len() < CANDIDATES_MAX || self.seen.contains_key(&key) {
            self.seen.insert(key, candidate);
        }
    }
}

impl ScanCandidate {
    fn is_due(&self, now: Moment) -> bool {
        !self.is_settled && now.since(self.considered_at) >= EVALUATE_AGAIN_AFTER
    }

    fn has_grown(&self, finding: &Finding) -> bool {
        finding.measured > self.measured + self.measured / 8
    }
}

/// Returns the evidence of a finding about contacts or a rate, and the number of rows that it walked over; `None` for a
/// finding about something else, or if the host is not in the window.
pub(super) fn scan_evidence(
    window: &Window,
    finding: &Finding,
    now: Moment,
) -> Option<(ScanEvidence, usize)> {
    let source = finding.source?;
    // Most findings are not about contacts, and then the long walk over these is avoided.
    let contacts = finding.kind.detector().contacts?;
    let limit = u32::try_from(finding.limit).unwrap_or(u32::MAX);
    let sample = window.contacts_of(&source, now)?;
    let evidence = match contacts {
        ContactKind::Hosts => evaluate_hosts(&sample, limit),
        ContactKind::Ports => {
            let ports = window.contacted_ports_of(&source, now)?;
            evaluate_ports(&sample, &ports, limit)
        }
        ContactKind::Context => evaluate_rate(&sample, window.contacted_ports_of(&source, now).as_ref()),
    };
    Some((evidence, sample.rows))
}

#[cfg(test)]
mod tests {
    use crate::alert::{self, Notice};
    use crate::detect;
    use crate::engine::Rules;
    use crate::engine::analyst::Analyst;
    use crate::flow::{self, Delta, InterfaceDirection, Seed};
    use crate::packet::{Endpoints, Summary, TcpFlags, Transport};
    use crate::time::UnixNanos;

    use super::*;

    const MS: u64 = 1_000_000;
    const MEMORY_BYTES: u64 = 1 << 30;
    const SYN: u8 = TcpFlags::SYN;
    const SYN_ACK: u8 = TcpFlags::SYN | TcpFlags::ACK;

    /// An analyst with one worker. The limits are 15 hosts and 15 ports in 10 s.
    struct Scenario {
        analyst: Analyst,
        delta: Delta,
    }

    impl Scenario {
        fn new(scan_rule: ScanRule) -> Self {
            let rules = Rules {
                flow: flow::Options {
                    traffic_interval: Duration::from_secs(10),
                    port_interval: Some(Duration::from_secs(10)),
                    chart_bytes_min: 0,
                    memory_bytes_max: MEMORY_BYTES,
                    group_ipv6: None,
                },
                detect: detect::Limits {
                    hosts: detect::HostLimits::default()
                        .with(FindingKind::Scanning, Some(15))
                        .with(FindingKind::ScanningPort, Some(15)),
                    scan_rule,
                    ..detect::Limits::default()
                },
                alert: alert::Options::default(),
                direction: crate::capture::DirectionPolicy::Auto,
            };
            let limits = flow::Capacity::from_memory(MEMORY_BYTES, 1, true).expect("enough memory");
            let seed = Seed::default();
            let analyst = Analyst::new(&rules, &limits, seed.clone());
            Self { analyst, delta: Delta::new(limits.delta, seed) }
        }

        fn tcp(&mut self, ends: [u32; 2], ports: [u16; 2], flags: u8) {
            let [src, dst] = ends.map(|host| (0x0a00_0000 + host).into());
            let [src_port, dst_port] = ports;
            let transport = Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) };
            let endpoints = Endpoints::V4 { src, dst };
            let summary = Summary::plain(endpoints, 40, 6, transport);
            self.delta.count(InterfaceDirection::default(), &summary, UnixNanos(1));
        }

        /// Folds and judges. Returns the hosts and kinds of the alerts that opened.
        fn turn(&mut self, ms: u64) -> Vec<(IpAddr, FindingKind)> {
            let now = Moment(ms * MS);
            self.delta.handed_over_at = now;
            self.analyst.fold(&self.delta);
            self.delta.clear();
            let mut notices = Vec::new();
            self.analyst.judge(now, UnixNanos(now.0), now, &mut notices);
            let opened = notices.into_iter().filter_map(|notice| match notice {
                Notice::Opened(alert) => Some((alert.source?, alert.kind)),
                _ => None,
            });
            opened.collect()
        }
    }

    fn host(host: u32) -> IpAddr {
        IpAddr::V4((0x0a00_0000 + host).into())
    }

    #[test]
    fn a_sweep_raises_an_alert_once_its_answers_are_overdue_and_a_client_does_not() {
        let mut scenario = Scenario::new(ScanRule::Suspicious);
        scenario.turn(100_000);
        for n in 0..40 {
            scenario.tcp([1, 0x1000 + n], [40_000, 23], SYN);
            scenario.tcp([2, 0x2000 + n], [40_000, 443], SYN);
        }
        scenario.tcp([0x1000, 1], [23, 40_000], SYN_ACK);
        assert_eq!(scenario.turn(100_250), [], "answers may still come");
        assert!(scenario.analyst.is_waiting());
        for n in 0..40 {
            scenario.tcp([0x2000 + n, 2], [443, 40_000], SYN_ACK);
        }
        assert_eq!(scenario.turn(100_500), []);
        // The host is evaluated again although nothing further happens.
        assert_eq!(scenario.turn(100_800), [(host(1), FindingKind::Scanning)]);
        assert!(!scenario.analyst.is_waiting(), "no other host must be evaluated again");
        assert_eq!(scenario.turn(101_000), [], "the alert opens only once");
    }

    #[test]
    fn with_the_contacts_rule_the_count_decides_and_the_alert_shows_the_role() {
        let mut scenario = Scenario::new(ScanRule::Contacts);
        scenario.turn(100_000);
        for n in 0..16 {
            scenario.tcp([2, 0x2000 + n], [40_000, 443], SYN);
            scenario.tcp([0x2000 + n, 2], [443, 40_000], SYN_ACK);
        }
        assert_eq!(scenario.turn(100_250), [(host(2), FindingKind::Scanning)]);
        let evidence = |scenario: &Scenario| {
            let alert = scenario.analyst.ledger().open().next().expect("it is open");
            alert.scan.clone().expect("it is about scanning")
        };
        let client = evidence(&scenario);
        assert_eq!((client.role, client.outcomes.answered), (ScanRole::Client, 16));
        // It begins to scan: when the number has doubled, the evidence is collected again, and later once more.
        for n in 0..30 {
            scenario.tcp([2, 0x3000 + n], [40_000, 23], SYN);
        }
        scenario.turn(100_500);
        assert_eq!(evidence(&scenario).role, ScanRole::Client, "answers may still come");
        scenario.turn(101_750);
        let scanner = evidence(&scenario);
        assert_eq!((scanner.role, scanner.outcomes.silent), (ScanRole::Scanner, 30));
    }

    #[test]
    fn a_judgement_evaluates_some_hosts_and_the_next_ones_the_others() {
        let mut scenario = Scenario::new(ScanRule::Suspicious);
        scenario.turn(100_000);
        // Each of fifty hosts has more contacts than an evaluation walks over.
        for source in 0..50 {
            for n in 0..1100 {
                scenario.tcp([source, 0x10_0000 + (source << 12) + n], [40_000, 23], SYN);
            }
            scenario.tcp([0x10_0000 + (source << 12), source], [23, 40_000], SYN_ACK);
        }
        let opened: Vec<usize> = (0..5).map(|n| scenario.turn(100_250 + n * 150).len()).collect();
        assert_eq!(opened.iter().sum::<usize>(), 50, "{opened:?}");
        assert!(opened[0] < 40, "{opened:?}");
    }
}
