//! What has been said, when it may be said again, when it ended.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::{Finding, ScanEvidence};
use crate::flow::{KernelCounts, PeerBytes};
use crate::time::{Moment, UnixNanos};

use super::record::{Alert, AlertKind, Notice};

/// Alerts that may be open at once. A host must exceed a limit to get here, so this many at once mean that
/// the limits are wrong; what comes beyond is counted.
pub const OPEN_ALERTS_MAX: usize = 10_000;

/// How long a host must have been within its limit before its alert closes: the window of that limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietTimes {
    /// For bytes, hosts contacted and losses.
    pub traffic: Duration,
    /// For ports contacted.
    pub ports: Duration,
}

impl QuietTimes {
    fn of(self, kind: AlertKind) -> Duration {
        match kind {
            AlertKind::Traffic | AlertKind::Scanning | AlertKind::Loss => self.traffic,
            AlertKind::ScanningPort => self.ports,
        }
    }
}

/// What an alert tells about its host besides the number, gathered when it opens. What speaks for a scan is gathered
/// again each time that the number has doubled, and then once more when all contacts had the time to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Bytes sent in the traffic window.
    pub ip_bytes: u64,
    /// Where they went, most first.
    pub destinations: Vec<PeerBytes>,
    /// Ports contacted, ascending.
    pub ports: Vec<u16>,
    /// What the kernel offered and lost in the traffic window.
    pub loss: KernelCounts,
    /// What speaks for a scan.
    pub scan: Option<ScanEvidence>,
}

/// The alerts that are open, one for each host and kind.
#[derive(Debug)]
pub struct Ledger {
    open: BTreeMap<(Option<IpAddr>, AlertKind), OpenAlert>,
    quiet: QuietTimes,
    opened: u64,
    refused_findings: u64,
}

#[derive(Debug)]
struct OpenAlert {
    alert: Alert,
    exceeded_at: Moment,
    /// The value at which its evidence is gathered again.
    grows_at: u64,
    /// When it is, since it was too early to tell.
    ripe_at: Option<Moment>,
}

impl OpenAlert {
    /// Gathers what speaks for a scan again. What is less certain than before, since too much of it is too young to
    /// tell, is left alone.
    fn gather(&mut self, measured: u64, now: Moment, evidence: impl FnOnce() -> Evidence) {
        let has_grown = measured >= self.grows_at;
        self.grows_at = self.grows_at.max(measured.saturating_mul(2));
        self.ripe_at = None;
        let Some(before) = &mut self.alert.scan else { return };
        let Some(scan) = evidence().scan else { return };
        self.ripe_at = if has_grown { ripe_at(&scan, now) } else { None };
        if scan.confidence >= before.confidence {
            *before = scan;
        }
    }
}

/// When more is known of contacts that were too young.
fn ripe_at(scan: &ScanEvidence, now: Moment) -> Option<Moment> {
    const ANSWERED_BY_THEN: Duration = Duration::from_secs(1);
    (scan.outcomes.early > 0).then(|| now.plus(ANSWERED_BY_THEN))
}

impl Ledger {
    /// Nothing has been said.
    pub fn new(quiet: QuietTimes) -> Self {
        Self { open: BTreeMap::new(), quiet, opened: 0, refused_findings: 0 }
    }

    /// Takes a finding. The first of its host and kind opens an alert and asks for evidence; further ones
    /// keep it open and raise its peak.
    pub fn note(
        &mut self,
        finding: &Finding,
        now: Moment,
        civil: UnixNanos,
        evidence: impl FnOnce() -> Evidence,
    ) -> Option<Notice> {
        let key = (finding.source, finding.kind);
        if let Some(open) = self.open.get_mut(&key) {
            open.exceeded_at = now;
            open.alert.measured = open.alert.measured.max(finding.measured);
            if finding.measured >= open.grows_at || open.ripe_at.is_some_and(|at| now >= at) {
                open.gather(finding.measured, now, evidence);
            }
            return None;
        }
        if self.open.len() >= OPEN_ALERTS_MAX {
            self.refused_findings += 1;
            return None;
        }
        self.opened += 1;
        let Evidence { ip_bytes, destinations, ports, loss, scan } = evidence();
        let alert = Alert {
            id: format!("{}-{}", civil.0 / 1_000_000_000, self.opened),
            kind: finding.kind,
            source: finding.source,
            opened_at: civil,
            closed_at: None,
            measured: finding.measured,
            limit: finding.limit,
            ip_bytes,
            destinations,
            ports,
            loss,
            scan,
        };
        let grows_at = finding.measured.saturating_mul(2);
        let ripe_at = alert.scan.as_ref().and_then(|scan| ripe_at(scan, now));
        self.open.insert(key, OpenAlert { alert: alert.clone(), exceeded_at: now, grows_at, ripe_at });
        Some(Notice::Opened(alert))
    }

    /// Closes the alerts whose host has been within its limit for a whole window.
    pub fn close_quiet(&mut self, now: Moment, civil: UnixNanos, notices: &mut Vec<Notice>) {
        let quiet = self.quiet;
        let closing =
            self.open.extract_if(.., |(_, kind), open| now.since(open.exceeded_at) >= quiet.of(*kind));
        notices.extend(closing.map(|((_, kind), open)| {
            // In replay the next look may come long after the window has passed.
            let late = now.since(open.exceeded_at) - quiet.of(kind);
            let closed_at = civil.minus(late).max(open.alert.opened_at);
            Notice::Closed(Alert { closed_at: Some(closed_at), ..open.alert })
        }));
    }

    /// The open alerts, ordered by host and kind.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values().map(|open| &open.alert)
    }

    /// Whether an alert of a kind is open about a host, or about the capture itself.
    pub fn is_open(&self, source: Option<IpAddr>, kind: AlertKind) -> bool {
        self.open.contains_key(&(source, kind))
    }

    /// Whether the evidence of an open alert is to be gathered again soon.
    pub fn is_ripening(&self) -> bool {
        self.open.values().any(|open| open.ripe_at.is_some())
    }

    /// The hosts with open alerts, in order, each once.
    pub fn open_sources(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let mut last = None;
        self.open
            .keys()
            .filter_map(|&(source, _)| source)
            .filter(move |&source| last.replace(source) != Some(source))
    }

    /// Findings that could not open an alert because [`OPEN_ALERTS_MAX`] were open. A host that stays over its
    /// limit is found again at each judgement.
    pub fn refused_findings(&self) -> u64 {
        self.refused_findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn finding(host: u8, kind: AlertKind, measured: u64) -> Finding {
        Finding { kind, source: Some([10, 0, 0, host].into()), measured, limit: 100 }
    }

    fn ledger() -> Ledger {
        Ledger::new(QuietTimes { traffic: Duration::from_secs(10), ports: Duration::from_secs(60) })
    }

    fn note(ledger: &mut Ledger, finding: &Finding, seconds: u64) -> Option<Notice> {
        ledger.note(finding, Moment(seconds * SECOND), UnixNanos(seconds * SECOND), Evidence::default)
    }

    fn close(ledger: &mut Ledger, seconds: u64) -> Vec<Notice> {
        let mut notices = Vec::new();
        ledger.close_quiet(Moment(seconds * SECOND), UnixNanos(seconds * SECOND), &mut notices);
        notices
    }

    #[test]
    fn an_alert_is_said_once_and_closes_after_a_quiet_window() {
        let mut ledger = ledger();
        let Some(Notice::Opened(opened)) = note(&mut ledger, &finding(1, AlertKind::Traffic, 101), 1000)
        else {
            panic!("the first finding opens")
        };
        assert_eq!((opened.id.as_str(), opened.measured, opened.closed_at), ("1000-1", 101, None));
        for (second, measured) in [(1001, 150), (1009, 120)] {
            assert_eq!(note(&mut ledger, &finding(1, AlertKind::Traffic, measured), second), None);
            assert_eq!(close(&mut ledger, second), []);
        }
        assert_eq!(close(&mut ledger, 1018), []);
        // Looked at late, and still it ended when its window had passed.
        let closed = close(&mut ledger, 1500);
        let want = Alert { measured: 150, closed_at: Some(UnixNanos(1019 * SECOND)), ..opened };
        assert_eq!(closed, [Notice::Closed(want)]);
        assert_eq!(close(&mut ledger, 2000), []);
        let again = note(&mut ledger, &finding(1, AlertKind::Traffic, 101), 3000);
        assert!(matches!(again, Some(Notice::Opened(alert)) if alert.id == "3000-2"));
    }

    #[test]
    fn hosts_and_kinds_are_apart_and_ports_have_their_own_quiet_time() {
        let mut ledger = ledger();
        for kind in [AlertKind::ScanningPort, AlertKind::Traffic] {
            assert!(note(&mut ledger, &finding(2, kind, 200), 1000).is_some());
        }
        assert!(note(&mut ledger, &finding(1, AlertKind::Traffic, 200), 1000).is_some());
        let open: Vec<_> =
            ledger.open().filter_map(|alert| Some((alert.source?.to_string(), alert.kind.name()))).collect();
        let of = |host: &str, kind| (format!("10.0.0.{host}"), kind);
        assert_eq!(open, [of("1", "TRAFFIC"), of("2", "TRAFFIC"), of("2", "SCANNING_PORT")]);
        assert_eq!(ledger.open_sources().count(), 2);
        let loss = Finding { kind: AlertKind::Loss, source: None, measured: 7, limit: 1 };
        assert!(note(&mut ledger, &loss, 1000).is_some());
        assert_eq!(ledger.open_sources().count(), 2, "a loss is of no host");
        assert_eq!(close(&mut ledger, 1010).len(), 3, "two about traffic, one about losses");
        assert_eq!(close(&mut ledger, 1059).len(), 0);
        assert_eq!(close(&mut ledger, 1060).len(), 1);
    }

    #[test]
    fn more_alerts_than_anyone_reads_are_counted() {
        let mut ledger = ledger();
        for n in 0..OPEN_ALERTS_MAX as u32 + 5 {
            let source = Some(n.to_be_bytes().into());
            note(&mut ledger, &Finding { source, ..finding(1, AlertKind::Traffic, 200) }, 1000);
        }
        assert_eq!((ledger.open().count(), ledger.refused_findings()), (OPEN_ALERTS_MAX, 5));
    }
}
