//! Scan candidates: hosts that exceed a limit of contacts but were not found to be scanners. Decides when to evaluate
//! them, and whom first.
//!
//! An evaluation walks over the rows of the host's latest pairs. A judgement walks over about
//! [`ROWS_PER_JUDGEMENT_MAX`] rows; hosts for which none are left are put off until the next judgement. So the order
//! matters:
//!
//! 1. **New candidates** have three quarters of the rows: hosts that were not evaluated yet, those whose contacts had
//!    no time to be answered at their first evaluation and have had it now, and those whose contacts have doubled
//!    since.
//!    Each of these comes once, so hosts that are busy for long do not delay a new one.
//! 2. **All others** have what is left, at least a quarter: they are evaluated again when the contacts have grown by an
//!    eighth, every 100 ms while answers may still come, and after 5 seconds.
//!
//! In both, local hosts come first, and remote ones have at least a third of the rows, whoever forges local addresses.
//! Then come those furthest above their limit; each second of waiting counts as much as four times the contacts, so
//! every host has its turn.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
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

/// The rows that each queue has at least: new local candidates, new remote ones, other local ones, other remote ones.
/// What a queue leaves is for those after it.
const ROWS_KEPT: [usize; 4] = [
    ROWS_PER_JUDGEMENT_MAX / 2,
    ROWS_PER_JUDGEMENT_MAX / 4,
    ROWS_PER_JUDGEMENT_MAX / 6,
    ROWS_PER_JUDGEMENT_MAX / 12,
];

/// An evaluation costs at least as much as a walk over so many rows.
const ROWS_PER_EVALUATION_MIN: usize = 16;

/// Maximum number of candidates. One judgement may add as many again, and the next one removes the weakest.
const CANDIDATES_MAX: usize = 1 << 16;

/// Time until a host is evaluated again while answers to its contacts may still come.
const EVALUATE_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Time after which the contacts of the first evaluation have an outcome: the time that an answer may take.
const RIPE_AFTER: Duration = Duration::from_millis(500);

/// Time after which a candidate is evaluated again in any case, and is forgotten if it had no finding since.
const FORGET_AFTER: Duration = Duration::from_secs(5);

/// What the limit of a candidate is about, by its host and kind.
type CandidateKey = (IpAddr, FindingKind);

/// The candidates, by host and by the kind of the limit that the host exceeds.
#[derive(Debug)]
pub(super) struct ScanCandidates {
    rule: ScanRule,
    seen: HashMap<CandidateKey, ScanCandidate>,
}

#[derive(Clone, Copy, Debug)]
struct ScanCandidate {
    /// When it last had a finding.
    seen_at: Moment,
    /// When it was last evaluated, or first seen.
    considered_at: Moment,
    /// Since when an evaluation is due; `None` if none is.
    waits_since: Option<Moment>,
    /// The number of contacts or ports at the last evaluation; `None` before the first.
    evaluated: Option<u64>,
    /// Since when it was to be evaluated as a new candidate, and its number of contacts or ports then.
    new_at: Moment,
    new_measured: u64,
    /// True if the contacts of that time have been evaluated once they had an outcome.
    is_ripe: bool,
    /// True if no more answers to the contacts of the last evaluation are expected.
    is_settled: bool,
    /// The multiple of the limit that it had last, as a binary logarithm.
    volume: u32,
    is_local: bool,
}

/// An evaluation that is due. The order is that of their importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct DueEvaluation {
    /// The binary logarithm of the multiple of the limit, and two for each second of waiting.
    urgency: u64,
    /// The position of its finding; the order of equals is that of the findings.
    position: Reverse<usize>,
}

impl ScanCandidates {
    pub(super) fn new(rule: ScanRule) -> Self {
        Self { rule, seen: HashMap::new() }
    }

    /// Begins a judgement: removes the candidates without a finding lately, and the weakest if there are too many.
    pub(super) fn begin_judgement(&mut self, now: Moment) {
        self.seen.retain(|_, candidate| now.since(candidate.seen_at) < FORGET_AFTER);
        if self.seen.len() >= CANDIDATES_MAX {
            let mut weakest: Vec<_> = self
                .seen
                .iter()
                .map(|(key, one)| (one.is_local, !one.is_settled, one.volume, *key))
                .collect();
            let removed = weakest.len() - CANDIDATES_MAX / 4 * 3;
            // Only which of them are removed matters, so they are not sorted.
            weakest.select_nth_unstable(removed - 1);
            for (.., key) in &weakest[..removed] {
                self.seen.remove(key);
            }
        }
    }

    /// Returns the hosts whose time to be evaluated has come, even if they did nothing since.
    pub(super) fn due(&self, now: Moment) -> impl Iterator<Item = IpAddr> + '_ {
        self.seen.iter().filter(move |(_, candidate)| candidate.is_due(now)).map(|(&(host, _), _)| host)
    }

    /// Returns true if a host must be evaluated again because answers may still come or because it was put off.
    pub(super) fn is_waiting(&self) -> bool {
        self.seen.values().any(|candidate| !candidate.is_settled)
    }

    /// Evaluates hosts with these findings, none of which has an open alert, as far as the rule requires that. Returns
    /// the findings that may not open an alert.
    pub(super) fn refuse(
        &mut self,
        findings: &[Finding],
        is_local: impl Fn(IpAddr) -> bool,
        window: &Window,
        now: Moment,
    ) -> HashSet<CandidateKey> {
        let mut refused = HashSet::new();
        if self.rule != ScanRule::Suspicious {
            return refused;
        }
        let mut queues = [const { Vec::new() }; ROWS_KEPT.len()];
        for (position, finding) in findings.iter().enumerate() {
            let (Some(source), Some(ContactKind::Hosts | ContactKind::Ports)) =
                (finding.source, finding.kind.detector().contacts)
            else {
                continue;
            };
            let key = (source, finding.kind);
            refused.insert(key);
            let volume = (finding.measured / finding.limit.max(1)).checked_ilog2().unwrap_or_default();
            let mut not_kept = ScanCandidate::new(now, is_local(source));
            let candidate = match self.seen.len() < 2 * CANDIDATES_MAX {
                true => self.seen.entry(key).or_insert(not_kept),
                false => self.seen.get_mut(&key).unwrap_or(&mut not_kept),
            };
            // The local networks may have changed since the last finding.
            (candidate.seen_at, candidate.volume, candidate.is_local) = (now, volume, is_local(source));
            let is_new = candidate.is_new(finding, now);
            let is_due = candidate.is_due(now) || candidate.has_grown(finding) || candidate.is_stale(now);
            if !is_new && !is_due {
                continue;
            }
            let queue = &mut queues[2 * usize::from(!is_new) + usize::from(!candidate.is_local)];
            let waited = now.since(*candidate.waits_since.get_or_insert(now)).as_millis() / 500;
            queue.push(DueEvaluation {
                urgency: u64::from(volume) + u64::try_from(waited).unwrap_or(u64::MAX / 2),
                position: Reverse(position),
            });
        }
        self.evaluate(queues, findings, window, now, &mut refused);
        refused
    }

    /// Evaluates the most important hosts of each queue, as far as the rows suffice. Removes the scanners from
    /// `refused`.
    fn evaluate(
        &mut self,
        queues: [Vec<DueEvaluation>; ROWS_KEPT.len()],
        findings: &[Finding],
        window: &Window,
        now: Moment,
        refused: &mut HashSet<CandidateKey>,
    ) {
        let of_others = queues.iter().zip(ROWS_KEPT).filter(|(queue, _)| !queue.is_empty());
        let mut kept: usize = of_others.map(|(_, rows)| rows).sum();
        let mut rows_left = ROWS_PER_JUDGEMENT_MAX;
        for (n, queue) in queues.into_iter().enumerate().filter(|(_, queue)| !queue.is_empty()) {
            kept -= ROWS_KEPT[n];
            // A heap costs less than a sort, because the rows suffice for few of many.
            let mut queue = BinaryHeap::from(queue);
            while rows_left > kept
                && let Some(due) = queue.pop()
            {
                let finding = &findings[due.position.0];
                let Some(source) = finding.source else { continue };
                let key = (source, finding.kind);
                let Some((evidence, rows)) = scan_evidence(window, finding, now) else {
                    self.seen.remove(&key);
                    continue;
                };
                rows_left = rows_left.saturating_sub(rows.max(ROWS_PER_EVALUATION_MIN));
                if evidence.role == ScanRole::Scanner {
                    self.seen.remove(&key);
                    refused.remove(&key);
                } else if let Some(candidate) = self.seen.get_mut(&key) {
                    candidate.note(finding.measured, evidence.outcomes.early == 0, n < 2, now);
                }
            }
        }
    }
}

impl ScanCandidate {
    fn new(now: Moment, is_local: bool) -> Self {
        Self {
            seen_at: now,
            considered_at: now,
            waits_since: None,
            evaluated: None,
            new_at: now,
            new_measured: 0,
            is_ripe: false,
            is_settled: false,
            volume: 0,
            is_local,
        }
    }

    /// Stores that it was evaluated, and is no scanner so far.
    fn note(&mut self, measured: u64, is_settled: bool, is_new: bool, now: Moment) {
        if self.evaluated.is_some() && !self.has_doubled(measured) {
            self.is_ripe |= is_new || is_settled;
        } else {
            // The contacts are as old as the wait for this evaluation.
            self.new_at = self.waits_since.unwrap_or(now);
            (self.new_measured, self.is_ripe) = (measured, is_settled);
        }
        (self.evaluated, self.is_settled) = (Some(measured), is_settled);
        (self.considered_at, self.waits_since) = (now, None);
    }

    /// Returns true if it was not evaluated yet, or not since its contacts have doubled or have had the time to be
    /// answered.
    fn is_new(&self, finding: &Finding, now: Moment) -> bool {
        self.evaluated.is_none() || self.has_doubled(finding.measured) || self.ripens(now)
    }

    fn has_doubled(&self, measured: u64) -> bool {
        measured >= self.new_measured.saturating_mul(2)
    }

    fn ripens(&self, now: Moment) -> bool {
        !self.is_ripe && now.since(self.new_at) >= RIPE_AFTER
    }

    fn is_due(&self, now: Moment) -> bool {
        self.evaluated.is_none()
            || (!self.is_settled
                && (self.ripens(now) || now.since(self.considered_at) >= EVALUATE_AGAIN_AFTER))
    }

    fn has_grown(&self, finding: &Finding) -> bool {
        self.evaluated.is_none_or(|measured| finding.measured > measured + measured / 8)
    }

    fn is_stale(&self, now: Moment) -> bool {
        now.since(self.considered_at) >= FORGET_AFTER
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

    /// Somebody forges many local addresses, which come before remote hosts: in each judgement more new ones than there
    /// are rows for.
    #[test]
    fn forged_local_hosts_leave_rows_for_remote_ones() {
        let mut scenario = Scenario::new(ScanRule::Suspicious);
        scenario.analyst.know_local(&["10.0.0.0/16".parse().expect("a network")]);
        scenario.turn(100_000);
        let sweeper = 0x00ff_0000;
        for n in 0..60 {
            scenario.tcp([sweeper, 0x0100_0000 + n], [40_000, 23], SYN);
        }
        scenario.tcp([0x0100_0000, sweeper], [23, 40_000], SYN_ACK);
        let forge = |scenario: &mut Scenario, hosts: std::ops::Range<u32>| {
            for source in hosts {
                for target in 0x0100_0000..0x0100_0000 + 1030 {
                    scenario.tcp([source, target], [40_000, 443], SYN);
                }
            }
        };
        forge(&mut scenario, 0..70);
        assert_eq!(scenario.turn(100_250), [], "answers may still come");
        forge(&mut scenario, 70..140);
        assert!(scenario.turn(100_900).contains(&(host(sweeper), FindingKind::Scanning)));
    }

    #[test]
    fn of_too_many_candidates_the_weakest_are_forgotten_and_local_ones_last() {
        let now = Moment(MS);
        let mut candidates = ScanCandidates::new(ScanRule::Suspicious);
        let mut add = |n: usize, volume: u32, is_local: bool| {
            let key = (host(u32::try_from(n).expect("it is small")), FindingKind::Scanning);
            candidates.seen.insert(key, ScanCandidate { volume, ..ScanCandidate::new(now, is_local) });
            key
        };
        let (local, heavy) = (add(0, 0, true), add(1, 5, false));
        (2..CANDIDATES_MAX + 1000).for_each(|n| {
            add(n, 1, false);
        });
        candidates.begin_judgement(now);
        assert_eq!(candidates.seen.len(), CANDIDATES_MAX / 4 * 3);
        assert!(candidates.seen.contains_key(&local) && candidates.seen.contains_key(&heavy));
        candidates.begin_judgement(now);
        assert_eq!(candidates.seen.len(), CANDIDATES_MAX / 4 * 3);
    }

    /// Each of many busy hosts has more contacts than an evaluation walks over, new ones all the time, so that answers
    /// may always still come. A host with a higher address begins to sweep.
    #[test]
    fn a_sweep_is_found_within_a_second_however_many_hosts_are_busy() {
        for (busy, contacts) in [(100, 1100), (2000, 40)] {
            let mut scenario = Scenario::new(ScanRule::Suspicious);
            scenario.turn(100_000);
            let mut opened = Vec::new();
            let mut n = 0;
            let mut be_busy = |scenario: &mut Scenario, contacts: u32| {
                for source in 0..busy {
                    for n in n..n + contacts {
                        let target = 0x0100_0000 + n;
                        scenario.tcp([source, target], [40_000, 443], SYN);
                        scenario.tcp([target, source], [443, 40_000], SYN_ACK);
                    }
                }
                n += contacts;
            };
            for at in 0..8 {
                be_busy(&mut scenario, contacts / 8);
                opened.extend(scenario.turn(100_250 + 250 * at));
            }
            let sweeper = 0x00ff_0000;
            for n in 0..60 {
                scenario.tcp([sweeper, 0x00f0_0000 + n], [40_000, 23], SYN);
            }
            scenario.tcp([0x00f0_0000, sweeper], [23, 40_000], SYN_ACK);
            let mut found_after = None;
            for at in 0..20 {
                be_busy(&mut scenario, 1);
                opened.extend(scenario.turn(102_500 + 50 * at));
                if opened.contains(&(host(sweeper), FindingKind::Scanning)) {
                    found_after = Some(50 * at);
                    break;
                }
            }
            assert!(
                found_after.is_some_and(|ms| ms <= 850),
                "{busy} busy hosts: {found_after:?}, {opened:?}"
            );
        }
    }
}
