//! What has been said, when it may be said again, when it ended.
//!
//! ```text
//!            finding                     quiet for a whole window            cooldown over
//!   (none) ----------> open, same id <--------------------------> closed -------------------> (none)
//!            Opened      | possible, then certain: Confirmed       Closed
//!                        | 2, 5, 10 times the limit: Grown
//!                                       finding: Opened again
//! ```
//!
//! A finding that is only possible opens an alert as well. It grows into a certain one, which is Confirmed and stays
//! certain until it closes.
//!
//! What is muted lives the same life, without a word: when its mute ends and it is still open, it is said then.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::{Finding, ScanEvidence};
use crate::flow::{KernelCounts, PeerBytes};
use crate::time::{Moment, UnixNanos};

use super::mute::{Mute, Mutes, NewMute, TooManyMutes};
use super::notice::Notice;
use super::persisted_ledger::{PersistedAlert, PersistedLedger};
use super::record::{Alert, AlertKind, AlertProgress};

/// Alerts that may be open at once. A host must exceed a limit to get here, so this many at once mean that
/// the limits are wrong; what comes beyond is counted. As many closed ones are remembered.
pub const OPEN_ALERTS_MAX: usize = 10_000;

/// Growth is said when it reaches one of these multiples of the limit.
const GROWTH: [u64; 3] = [2, 5, 10];

/// How long a host must have been within its limit before its alert closes: the window of that limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseTimeouts {
    /// For everything else: bytes, hosts contacted, rates, losses.
    pub traffic: Duration,
    /// For ports contacted.
    pub ports: Duration,
}

impl CloseTimeouts {
    fn of(self, kind: AlertKind) -> Duration {
        match kind {
            AlertKind::ScanningPort => self.ports,
            _ => self.traffic,
        }
    }
}

/// What an alert tells about its host besides the number, gathered when it opens and when it is confirmed. What speaks
/// for a scan is gathered again each time that the number has doubled, and then once more when all contacts had the
/// time to be answered.
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

/// What of an [`Evidence`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceNeeded {
    /// All of it.
    Everything,
    /// What speaks for a scan: the rest may be left out.
    Scan,
}

/// A host, or none where it is about the capture itself, and a limit.
type AlertKey = (Option<IpAddr>, AlertKind);

/// The alerts that are open, one for each host and kind, and those that have closed a short while ago.
#[derive(Debug)]
pub struct Ledger {
    open: BTreeMap<AlertKey, OpenAlert>,
    closed: BTreeMap<AlertKey, ClosedAlert>,
    mutes: Mutes,
    quiet: CloseTimeouts,
    cooldown: Duration,
    opened: u64,
    refused_findings: u64,
    changes: ChangeCount,
}

/// How often what a [`PersistedLedger`] holds has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeCount {
    /// Something was said or muted, or an alert opened, closed or was forgotten.
    pub told: u64,
    /// A peak rose, or how much it may be.
    pub peaks: u64,
}

#[derive(Debug)]
struct OpenAlert {
    alert: Alert,
    exceeded_at: Moment,
    /// The value at which its evidence is gathered again.
    grows_at: u64,
    /// When it is, since it was too early to tell.
    ripe_at: Option<Moment>,
    /// The largest multiple of the limit that has been said.
    times_said: u64,
    /// That it is open has been said.
    is_said: bool,
    /// And no more than that it is possible.
    is_said_as_possible: bool,
    /// It was open before a restart, and its evidence is gone.
    lacks_evidence: bool,
}

#[derive(Debug)]
struct ClosedAlert {
    alert: Alert,
    closed_at: Moment,
}

impl Ledger {
    /// Nothing has been said. An alert that is exceeded again within `cooldown` of its end is the same one.
    pub fn new(quiet: CloseTimeouts, cooldown: Duration) -> Self {
        let (open, closed) = (BTreeMap::new(), BTreeMap::new());
        let (mutes, changes) = (Mutes::default(), ChangeCount::default());
        Self { open, closed, mutes, quiet, cooldown, opened: 0, refused_findings: 0, changes }
    }

    /// Changes the cooldown, also of what has closed already.
    pub fn set_cooldown(&mut self, cooldown: Duration) {
        self.cooldown = cooldown;
    }

    /// Takes a finding. The first of its host and kind opens an alert and asks for evidence; further ones
    /// keep it open, raise its peak, and say so at some multiples of the limit.
    pub fn note(
        &mut self,
        finding: &Finding,
        now: Moment,
        civil: UnixNanos,
        evidence: impl FnOnce(EvidenceNeeded) -> Evidence,
    ) -> Option<Notice> {
        let subject = (finding.source, finding.kind);
        if let Some(open) = self.open.get_mut(&subject) {
            let peak = (open.alert.measured, open.alert.life.error);
            let was_said = open.said();
            let is_confirmed = open.alert.life.is_possible && finding.is_certain();
            if std::mem::take(&mut open.lacks_evidence) || is_confirmed {
                open.take_evidence(evidence(EvidenceNeeded::Everything), now);
            } else if finding.measured >= open.grows_at || open.ripe_at.is_some_and(|at| now >= at) {
                open.gather(finding.measured, now, evidence);
            }
            let notice = open.exceed(finding, now, civil);
            self.changes.peaks += u64::from((open.alert.measured, open.alert.life.error) != peak);
            self.changes.told += u64::from(is_confirmed || open.said() != was_said);
            return notice;
        }
        // That frames are lost is said however many hosts are too loud.
        if self.open.len() >= OPEN_ALERTS_MAX && finding.source.is_some() {
            self.refused_findings += 1;
            return None;
        }
        let is_muted = self.mutes.cover(finding.source, finding.kind);
        let known = self.closed.remove(&subject).filter(|closed| now.since(closed.closed_at) < self.cooldown);
        let (id, opened_at, peak, up_to, reopened) = match known {
            Some(ClosedAlert { alert, .. }) => {
                let (peak, up_to) = (alert.measured, alert.up_to());
                (alert.id, alert.opened_at, peak, up_to, alert.life.reopened.saturating_add(1))
            }
            None => (self.next_id(civil), civil, 0, 0, 0),
        };
        let measured = peak.max(finding.measured);
        let is_possible = !finding.is_certain();
        let Evidence { ip_bytes, destinations, ports, loss, scan } = evidence(EvidenceNeeded::Everything);
        let alert = Alert {
            id,
            kind: finding.kind,
            source: finding.source,
            opened_at,
            closed_at: None,
            measured,
            limit: finding.limit,
            ip_bytes,
            destinations,
            ports,
            loss,
            scan,
            life: AlertProgress {
                last: finding.measured,
                exceeded_at: civil,
                reopened,
                is_muted,
                is_possible,
                error: up_to.max(finding.up_to()) - measured,
            },
        };
        let open = OpenAlert {
            exceeded_at: now,
            grows_at: finding.measured.saturating_mul(2),
            ripe_at: alert.scan.as_ref().and_then(|scan| ripe_at(scan, now)),
            times_said: times(finding),
            is_said: !is_muted,
            is_said_as_possible: !is_muted && is_possible,
            lacks_evidence: false,
            alert: alert.clone(),
        };
        self.open.insert(subject, open);
        self.changes.told += 1;
        (!is_muted).then_some(Notice::Opened(alert))
    }

    /// Mutes alerts from here on. What has been said of them is closed aloud all the same.
    ///
    /// # Errors
    /// As many as there may be are in force.
    pub fn mute(&mut self, new: NewMute, now: Moment, civil: UnixNanos) -> Result<Mute, TooManyMutes> {
        let mute = self.mutes.add(new, now, civil)?;
        self.heed_mutes(&mut Vec::new());
        Ok(mute)
    }

    /// Takes a mute back, and says what it kept quiet and is still open. Whether it was in force.
    pub fn unmute(&mut self, id: u64, notices: &mut Vec<Notice>) -> bool {
        let was_there = self.mutes.remove(id);
        if was_there {
            self.heed_mutes(notices);
        }
        was_there
    }

    /// Forgets the mutes whose time has passed, and says what they kept quiet and is still open. Whether there were
    /// any.
    pub fn expire_mutes(&mut self, now: Moment, notices: &mut Vec<Notice>) -> bool {
        let any = self.mutes.expire(now);
        if any {
            self.heed_mutes(notices);
        }
        any
    }

    /// The mutes in force, the oldest first.
    pub fn mutes(&self) -> impl Iterator<Item = &Mute> {
        self.mutes.list()
    }

    fn heed_mutes(&mut self, notices: &mut Vec<Notice>) {
        self.changes.told += 1;
        for (&(source, kind), open) in &mut self.open {
            open.alert.life.is_muted = self.mutes.cover(source, kind);
            if open.alert.life.is_muted {
                continue;
            }
            if !open.is_said {
                open.is_said = true;
                open.is_said_as_possible = open.alert.life.is_possible;
                notices.push(Notice::Opened(open.alert.clone()));
            } else {
                notices.extend(open.confirm());
            }
        }
    }

    /// Closes the alerts whose host has been within its limit for a whole window, and forgets those that have
    /// been closed for the cooldown.
    pub fn close_quiet(&mut self, now: Moment, civil: UnixNanos, notices: &mut Vec<Notice>) {
        let (quiet, cooldown) = (self.quiet, self.cooldown);
        let before = self.closed.len();
        self.closed.retain(|_, closed| now.since(closed.closed_at) < cooldown);
        self.changes.told += u64::from(self.closed.len() < before);
        let closing =
            self.open.extract_if(.., |(_, kind), open| now.since(open.exceeded_at) >= quiet.of(*kind));
        for (subject, open) in closing {
            self.changes.told += 1;
            // In replay the next look may come long after the window has passed.
            let at = open.exceeded_at.plus(quiet.of(subject.1));
            let late = now.since(at);
            let closed_at = civil.minus(late).max(open.alert.opened_at);
            let alert = Alert { closed_at: Some(closed_at), ..open.alert };
            if late < cooldown && self.closed.len() < OPEN_ALERTS_MAX {
                self.closed.insert(subject, ClosedAlert { alert: alert.clone(), closed_at: at });
            }
            if open.is_said {
                notices.push(Notice::Closed(alert));
            }
        }
    }

    /// What must be known after a restart.
    pub fn memory(&self) -> PersistedLedger {
        let without_evidence = |alert: &Alert| Alert {
            id: alert.id.clone(),
            destinations: Vec::new(),
            ports: Vec::new(),
            scan: None,
            loss: KernelCounts::default(),
            // That follows from the mutes.
            life: AlertProgress { is_muted: false, ..alert.life.clone() },
            ..*alert
        };
        let open = self.open.values().map(|open| PersistedAlert {
            alert: without_evidence(&open.alert),
            times_said: open.times_said,
            is_said: open.is_said,
            is_said_as_possible: open.is_said_as_possible,
        });
        PersistedLedger {
            opened: self.opened,
            last_mute: self.mutes.last_id(),
            open: open.collect(),
            closed: self.closed.values().map(|closed| without_evidence(&closed.alert)).collect(),
            mutes: self.mutes.list().cloned().collect(),
        }
    }

    /// Goes on where a process before this one ended. What it has said is not said again; an alert whose host stays
    /// quiet closes after a whole window from now on.
    pub fn recall(
        &mut self,
        memory: PersistedLedger,
        now: Moment,
        civil: UnixNanos,
        notices: &mut Vec<Notice>,
    ) {
        let PersistedLedger { opened, last_mute, open, closed, mutes } = memory;
        self.opened = opened;
        self.mutes.recall(mutes, last_mute, now, civil);
        let quiet = self.quiet;
        // Of what is not counted any more nobody could say that it is over.
        let is_judged = |alert: &Alert| quiet.of(alert.kind) > Duration::ZERO;
        self.open = open
            .into_iter()
            .filter(|known| is_judged(&known.alert))
            .map(|PersistedAlert { alert, times_said, is_said, is_said_as_possible }| {
                let open = OpenAlert {
                    exceeded_at: now,
                    grows_at: alert.measured.saturating_mul(2),
                    ripe_at: None,
                    times_said,
                    is_said,
                    is_said_as_possible,
                    lacks_evidence: true,
                    alert,
                };
                ((open.alert.source, open.alert.kind), open)
            })
            .collect();
        self.closed = closed
            .into_iter()
            .map(|alert| {
                let ago = civil.0.saturating_sub(alert.closed_at.unwrap_or(civil).0);
                let closed_at = now.minus(Duration::from_nanos(ago));
                ((alert.source, alert.kind), ClosedAlert { alert, closed_at })
            })
            .collect();
        self.heed_mutes(notices);
    }

    /// How often what [`memory`](Self::memory) gives has changed.
    pub fn changes(&self) -> ChangeCount {
        self.changes
    }

    /// The open alerts, ordered by host and kind.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values().map(|open| &open.alert)
    }

    /// The open alert of a kind about a host, or about the capture itself.
    pub fn find(&self, source: Option<IpAddr>, kind: AlertKind) -> Option<&Alert> {
        self.open.get(&(source, kind)).map(|open| &open.alert)
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

    fn next_id(&mut self, civil: UnixNanos) -> String {
        self.opened = self.opened.saturating_add(1);
        format!("{}-{}", civil.0 / 1_000_000_000, self.opened)
    }
}

impl OpenAlert {
    /// Takes evidence in the place of what it had.
    fn take_evidence(&mut self, evidence: Evidence, now: Moment) {
        let Evidence { ip_bytes, destinations, ports, loss, scan } = evidence;
        self.ripe_at = scan.as_ref().and_then(|scan| ripe_at(scan, now));
        self.alert.scan = scan;
        self.alert.ip_bytes = ip_bytes;
        self.alert.destinations = destinations;
        self.alert.ports = ports;
        self.alert.loss = loss;
    }

    /// Takes a further finding of the same host and kind.
    fn exceed(&mut self, finding: &Finding, now: Moment, civil: UnixNanos) -> Option<Notice> {
        let alert = &mut self.alert;
        self.exceeded_at = now;
        let up_to = alert.up_to().max(finding.up_to());
        alert.measured = alert.measured.max(finding.measured);
        alert.life.error = up_to - alert.measured;
        alert.life.is_possible &= !finding.is_certain();
        alert.life.last = finding.measured;
        alert.life.exceeded_at = civil;
        let times = times(finding);
        if finding.limit != alert.limit {
            // Another limit is in force since: that is no growth of the host.
            alert.limit = finding.limit;
            self.times_said = times;
        }
        let has_grown = times > self.times_said;
        self.times_said = self.times_said.max(times);
        if alert.life.is_muted {
            return None;
        }
        // By how much it exceeds the limit is in what confirms it.
        self.confirm().or_else(|| has_grown.then(|| Notice::Grown(self.alert.clone(), times)))
    }

    /// Says that it is certain, if it is and was said to be possible.
    fn confirm(&mut self) -> Option<Notice> {
        if !self.is_said_as_possible || self.alert.life.is_possible {
            return None;
        }
        self.is_said_as_possible = false;
        Some(Notice::Confirmed(self.alert.clone()))
    }

    fn said(&self) -> (bool, bool, u64) {
        (self.is_said, self.is_said_as_possible, self.times_said)
    }

    /// Gathers what speaks for a scan again. What is less certain than before, since too much of it is too young to
    /// tell, is left alone.
    fn gather(&mut self, measured: u64, now: Moment, evidence: impl FnOnce(EvidenceNeeded) -> Evidence) {
        let has_grown = measured >= self.grows_at;
        self.grows_at = self.grows_at.max(measured.saturating_mul(2));
        self.ripe_at = None;
        let Some(before) = &mut self.alert.scan else { return };
        let Some(scan) = evidence(EvidenceNeeded::Scan).scan else { return };
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

/// The largest multiple that is said and that a finding has reached; 1 before the first.
fn times(finding: &Finding) -> u64 {
    let is_reached = |times: &u64| finding.measured >= finding.limit.saturating_mul(*times);
    GROWTH.into_iter().rev().find(is_reached).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn finding(host: u8, kind: AlertKind, measured: u64) -> Finding {
        Finding { kind, source: Some([10, 0, 0, host].into()), measured, error: 0, limit: 100 }
    }

    /// Ten seconds of quiet for traffic, sixty for ports, and twenty of cooldown.
    fn ledger() -> Ledger {
        let quiet = CloseTimeouts { traffic: Duration::from_secs(10), ports: Duration::from_secs(60) };
        Ledger::new(quiet, Duration::from_secs(20))
    }

    fn note(ledger: &mut Ledger, finding: &Finding, seconds: u64) -> Option<Notice> {
        ledger.note(finding, Moment(seconds * SECOND), UnixNanos(seconds * SECOND), |_| Evidence::default())
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
        let life =
            AlertProgress { last: 120, exceeded_at: UnixNanos(1009 * SECOND), ..AlertProgress::default() };
        let want = Alert { measured: 150, closed_at: Some(UnixNanos(1019 * SECOND)), life, ..opened };
        assert_eq!(closed, [Notice::Closed(want)]);
        assert_eq!(close(&mut ledger, 2000), []);
        let again = note(&mut ledger, &finding(1, AlertKind::Traffic, 101), 3000);
        assert!(matches!(again, Some(Notice::Opened(alert)) if alert.id == "3000-2"));
    }

    #[test]
    fn within_the_cooldown_an_alert_opens_again_and_keeps_its_name() {
        // When the host exceeds its limit again, and whether that is the same alert. It closes at 1010.
        for (second, is_same) in [(1010, true), (1029, true), (1030, false), (1500, false)] {
            let mut ledger = ledger();
            note(&mut ledger, &finding(1, AlertKind::Traffic, 300), 1000);
            assert_eq!(close(&mut ledger, 1010).len(), 1);
            close(&mut ledger, second);
            let Some(Notice::Opened(again)) = note(&mut ledger, &finding(1, AlertKind::Traffic, 120), second)
            else {
                panic!("it is over the limit again, so it is said again")
            };
            let (id, opened_at, peak, reopened) = match is_same {
                true => ("1000-1".to_owned(), 1000, 300, 1),
                false => (format!("{second}-2"), second, 120, 0),
            };
            assert_eq!((again.id, again.opened_at), (id, UnixNanos(opened_at * SECOND)), "{second}");
            assert_eq!((again.measured, again.life.last, again.closed_at), (peak, 120, None), "{second}");
            assert_eq!(again.life.reopened, reopened, "{second}");
        }
    }

    #[test]
    fn growth_is_said_at_two_five_and_ten_times_the_limit() {
        let mut ledger = ledger();
        let mut said = Vec::new();
        for (second, measured) in [101, 199, 200, 150, 200, 499, 500, 999, 1000, 100_000].iter().enumerate() {
            match note(&mut ledger, &finding(1, AlertKind::Traffic, *measured), 1000 + second as u64) {
                Some(Notice::Opened(alert)) => said.push((1, alert.life.last)),
                Some(Notice::Grown(alert, times)) => said.push((times, alert.life.last)),
                other => assert_eq!(other, None),
            }
        }
        assert_eq!(said, [(1, 101), (2, 200), (5, 500), (10, 1000)]);
        // What it has reached when it opens is in the line that opens it.
        note(&mut ledger, &finding(2, AlertKind::Traffic, 450), 1000);
        assert_eq!(note(&mut ledger, &finding(2, AlertKind::Traffic, 460), 1001), None);
        let grown = note(&mut ledger, &finding(2, AlertKind::Traffic, 510), 1002);
        assert!(matches!(grown, Some(Notice::Grown(_, 5))), "{grown:?}");
    }

    /// The host has sent so much, and this may be missing.
    fn imprecise(host: u8, measured: u64, error: u64) -> Finding {
        Finding { error, ..finding(host, AlertKind::Traffic, measured) }
    }

    #[test]
    fn what_is_possible_grows_into_what_is_certain_and_is_not_said_twice() {
        let mut ledger = ledger();
        let Some(Notice::Opened(possible)) = note(&mut ledger, &imprecise(1, 80, 50), 1000) else {
            panic!("what is possible is said")
        };
        assert!(possible.life.is_possible);
        assert_eq!((possible.measured, possible.up_to(), possible.limit), (80, 130, 100));
        assert_eq!(note(&mut ledger, &imprecise(1, 90, 45), 1001), None, "it is said once");
        let bytes = |ip_bytes| move |_| Evidence { ip_bytes, ..Evidence::default() };
        let at = |second: u64| (Moment(second * SECOND), UnixNanos(second * SECOND));
        let (now, civil) = at(1002);
        let Some(Notice::Confirmed(certain)) = ledger.note(&imprecise(1, 101, 5), now, civil, bytes(101))
        else {
            panic!("it is certain now")
        };
        assert_eq!((&certain.id, certain.opened_at), (&possible.id, possible.opened_at));
        assert_eq!((certain.measured, certain.up_to(), certain.ip_bytes), (101, 135, 101), "of now");
        assert!(!certain.life.is_possible);
        // It stays certain while nobody can say that it is over.
        for (second, measured) in [(1003, 102), (1009, 60)] {
            assert_eq!(note(&mut ledger, &imprecise(1, measured, 50), second), None);
            assert!(ledger.open().all(|alert| !alert.life.is_possible));
        }
        assert_eq!(close(&mut ledger, 1018), []);
        let closed = close(&mut ledger, 1019);
        assert!(
            matches!(&closed[..], [Notice::Closed(alert)] if (alert.measured, alert.up_to()) == (102, 152)),
            "{closed:?}"
        );
        // Opened again it is what it is then, and how much it was at most is kept.
        let again = note(&mut ledger, &imprecise(1, 70, 40), 1020);
        assert!(
            matches!(&again, Some(Notice::Opened(alert)) if alert.life.is_possible && alert.up_to() == 152),
            "{again:?}"
        );
    }

    #[test]
    fn what_is_certain_at_once_is_never_confirmed_and_what_stays_possible_closes() {
        let mut ledger = ledger();
        let opened = note(&mut ledger, &imprecise(1, 101, 50), 1000);
        assert!(matches!(opened, Some(Notice::Opened(alert)) if !alert.life.is_possible));
        assert_eq!(note(&mut ledger, &imprecise(1, 102, 50), 1001), None);
        assert!(note(&mut ledger, &imprecise(2, 60, 50), 1001).is_some());
        let closed = close(&mut ledger, 1011);
        let are_possible: Vec<_> = closed.iter().map(|notice| notice.alert().life.is_possible).collect();
        assert_eq!(are_possible, [false, true]);
    }

    #[test]
    fn what_becomes_certain_while_it_is_muted_or_after_a_restart_is_said() {
        // It is possible aloud, and certain while a mute or nobody heeds it.
        for restarts in [false, true] {
            let mut ledger = ledger();
            assert!(note(&mut ledger, &imprecise(1, 80, 50), 1000).is_some());
            mute(&mut ledger, "10.0.0.1/32", 5, 1001);
            assert_eq!(note(&mut ledger, &imprecise(1, 110, 5), 1002), None);
            if restarts {
                let memory =
                    PersistedLedger::from_json(&ledger.memory().to_json()).expect("it was just written");
                ledger = super::tests::ledger();
                let mut notices = Vec::new();
                ledger.recall(memory, Moment(1003 * SECOND), UnixNanos(1003 * SECOND), &mut notices);
                assert_eq!(notices, [], "it is muted still");
            }
            let mut notices = Vec::new();
            ledger.expire_mutes(Moment(1006 * SECOND), &mut notices);
            assert!(
                matches!(&notices[..], [Notice::Confirmed(alert)] if alert.measured == 110),
                "{notices:?}"
            );
            assert_eq!(note(&mut ledger, &imprecise(1, 120, 5), 1007), None, "that was said");
        }
        // What was never said is said as what it is.
        let mut ledger = ledger();
        mute(&mut ledger, "10.0.0.1/32", 5, 1000);
        for (second, measured) in [(1001, 80), (1002, 110)] {
            assert_eq!(note(&mut ledger, &imprecise(1, measured, 50), second), None);
        }
        let mut notices = Vec::new();
        ledger.expire_mutes(Moment(1005 * SECOND), &mut notices);
        assert!(matches!(&notices[..], [Notice::Opened(alert)] if !alert.life.is_possible), "{notices:?}");
    }

    fn mute(ledger: &mut Ledger, source: &str, seconds: u64, at: u64) -> u64 {
        let source = source.parse().expect("a network");
        let new = NewMute { source, kind: None, span: Duration::from_secs(seconds), reason: String::new() };
        ledger.mute(new, Moment(at * SECOND), UnixNanos(at * SECOND)).expect("room").id
    }

    #[test]
    fn what_is_muted_opens_without_a_word_and_is_said_when_the_mute_ends() {
        let said = |notices: &[Notice]| match notices {
            [Notice::Opened(alert)] => alert.life.last,
            other => panic!("one opening and not {other:?}"),
        };
        // By its time, or taken back before.
        for is_taken_back in [false, true] {
            let mut ledger = ledger();
            let id = mute(&mut ledger, "10.0.0.0/24", 8, 1000);
            for (second, measured) in [(1001, 110), (1002, 250), (1003, 120)] {
                assert_eq!(note(&mut ledger, &finding(1, AlertKind::Traffic, measured), second), None);
            }
            assert!(ledger.open().all(|alert| alert.life.is_muted));
            let mut notices = Vec::new();
            assert!(!ledger.expire_mutes(Moment(1007 * SECOND), &mut notices));
            assert_eq!(notices, []);
            match is_taken_back {
                true => assert!(ledger.unmute(id, &mut notices)),
                false => assert!(ledger.expire_mutes(Moment(1008 * SECOND), &mut notices)),
            }
            assert_eq!(said(&notices), 120);
            assert!(ledger.open().all(|alert| !alert.life.is_muted && alert.measured == 250));
            assert_eq!(note(&mut ledger, &finding(1, AlertKind::Traffic, 130), 1009), None, "it was said");
            assert_eq!(close(&mut ledger, 1019).len(), 1);
        }
    }

    #[test]
    fn what_was_said_is_closed_aloud_and_what_was_not_is_not() {
        let mut ledger = ledger();
        note(&mut ledger, &finding(1, AlertKind::Traffic, 110), 1000);
        mute(&mut ledger, "10.0.0.0/24", 1000, 1001);
        assert_eq!(note(&mut ledger, &finding(1, AlertKind::Traffic, 500), 1002), None, "it grows quietly");
        assert_eq!(note(&mut ledger, &finding(2, AlertKind::Traffic, 110), 1002), None);
        let closed = close(&mut ledger, 1100);
        let [Notice::Closed(alert)] = &closed[..] else { panic!("one was said: {closed:?}") };
        assert_eq!(alert.source, Some([10, 0, 0, 1].into()));
        assert_eq!(ledger.open().count(), 0);
    }

    #[test]
    fn after_a_restart_nothing_is_said_twice_and_what_is_over_closes() {
        let mut before = ledger();
        for (host, measured) in [(1, 210), (2, 110), (3, 110)] {
            note(&mut before, &finding(host, AlertKind::Traffic, measured), 1000);
        }
        // The third closes, the first two go on; a fourth is muted.
        for second in [1005, 1012] {
            note(&mut before, &finding(1, AlertKind::Traffic, 120), second);
            note(&mut before, &finding(2, AlertKind::Traffic, 120), second);
            close(&mut before, second);
        }
        mute(&mut before, "10.0.0.4/32", 30, 1012);
        note(&mut before, &finding(4, AlertKind::Traffic, 110), 1012);
        let memory = PersistedLedger::from_json(&before.memory().to_json()).expect("it was just written");
        assert_eq!(memory, before.memory());

        // Another process, on a clock that began anew: ten seconds later by the calendar.
        let mut after = ledger();
        let mut notices = Vec::new();
        after.recall(memory, Moment(50 * SECOND), UnixNanos(1022 * SECOND), &mut notices);
        assert_eq!(notices, []);
        let note = |ledger: &mut Ledger, host: u8, measured: u64, second: u64| {
            let finding = finding(host, AlertKind::Traffic, measured);
            let evidence = |_| Evidence { ip_bytes: measured, ..Evidence::default() };
            ledger.note(&finding, Moment(second * SECOND), UnixNanos((second + 972) * SECOND), evidence)
        };
        assert_eq!(note(&mut after, 1, 220, 51), None, "that and twice the limit were said");
        assert_eq!(after.open().next().map(|alert| alert.ip_bytes), Some(220), "evidence is gathered anew");
        assert!(
            matches!(note(&mut after, 1, 500, 52), Some(Notice::Grown(alert, 5)) if alert.id == "1000-1")
        );
        assert_eq!(note(&mut after, 4, 120, 53), None, "it is muted still");
        let reopened = note(&mut after, 3, 130, 53);
        assert!(matches!(&reopened, Some(Notice::Opened(alert)) if alert.id == "1000-3"), "{reopened:?}");
        let new = note(&mut after, 9, 130, 53);
        assert!(matches!(&new, Some(Notice::Opened(alert)) if alert.id == "1025-5"), "{new:?}");
        // The second one stays quiet for a whole window from the restart on.
        assert_eq!(close(&mut after, 59), []);
        let closed = close(&mut after, 60);
        assert!(matches!(&closed[..], [Notice::Closed(alert)] if alert.id == "1000-2"), "{closed:?}");
        // Thirty seconds after it was made by the calendar, the mute is over: twenty after the restart.
        assert!(!after.expire_mutes(Moment(69 * SECOND), &mut notices));
        assert!(after.expire_mutes(Moment(70 * SECOND), &mut notices));
    }

    #[test]
    fn another_limit_is_no_growth() {
        let mut ledger = ledger();
        note(&mut ledger, &finding(1, AlertKind::Traffic, 300), 1000);
        let lowered = |measured| Finding { limit: 10, ..finding(1, AlertKind::Traffic, measured) };
        assert_eq!(note(&mut ledger, &lowered(60), 1001), None);
        assert_eq!(ledger.open().next().map(|alert| alert.limit), Some(10));
        let grown = note(&mut ledger, &lowered(100), 1002);
        assert!(matches!(grown, Some(Notice::Grown(_, 10))), "{grown:?}");
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
        let loss = Finding { kind: AlertKind::Loss, source: None, measured: 7, error: 0, limit: 1 };
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
        let loss = Finding { kind: AlertKind::Loss, source: None, measured: 7, error: 0, limit: 1 };
        assert!(note(&mut ledger, &loss, 1000).is_some(), "a loss is said all the same");
    }

    proptest! {
        /// Whatever is found and however often it is looked: of one name, opening and closing take turns, growth
        /// lies between them and only rises, and no two hosts or kinds share a name.
        #[test]
        fn the_life_of_an_alert_has_an_order(
            turns in prop::collection::vec(
                (0u64..12, prop::collection::vec((0u8..3, any::<bool>(), 60u64..2000, 0u64..200), 0..4)),
                1..80,
            )
        ) {
            let mut ledger = ledger();
            let mut now = 1000;
            // For each name: whose it is, and the multiple that was said since it opened, 0 while it is closed, and a
            // half while it is no more than possible; so twice of each.
            let mut known: BTreeMap<String, (AlertKey, u64)> = BTreeMap::new();
            for (seconds, findings) in turns {
                now += seconds;
                let mut notices = close(&mut ledger, now);
                for (host, is_ports, measured, error) in findings {
                    let kind = if is_ports { AlertKind::ScanningPort } else { AlertKind::Traffic };
                    let found = Finding { error, ..finding(host, kind, measured) };
                    if found.up_to() > found.limit {
                        notices.extend(note(&mut ledger, &found, now));
                    }
                }
                for notice in notices {
                    let is_confirmed = matches!(notice, Notice::Confirmed(_));
                    let (alert, said) = match notice {
                        Notice::Opened(alert) if alert.life.is_possible => (alert, 1),
                        Notice::Opened(alert) | Notice::Confirmed(alert) => (alert, 2),
                        Notice::Grown(alert, times) => (alert, 2 * times),
                        Notice::Closed(alert) => (alert, 0),
                        Notice::Test(alert) => panic!("nobody asked for {alert:?}"),
                    };
                    let subject = (alert.source, alert.kind);
                    let (whose, before) = *known.entry(alert.id.clone()).or_insert((subject, 0));
                    prop_assert_eq!(whose, subject, "{} is of two", alert.id);
                    match said {
                        0 => prop_assert!(before > 0, "{} closed twice", alert.id),
                        2 if is_confirmed => prop_assert_eq!(before, 1, "{} was not possible", alert.id),
                        1 | 2 => prop_assert_eq!(before, 0, "{} opened twice", alert.id),
                        times => prop_assert!(before > 1 && before < times, "{} grew from {before}", alert.id),
                    }
                    prop_assert!(alert.up_to() > alert.limit);
                    prop_assert!(alert.measured >= alert.life.last && alert.opened_at <= alert.life.exceeded_at);
                    known.insert(alert.id, (whose, said));
                }
                let said_open: BTreeSet<_> = known.values().filter(|(_, said)| *said > 0).map(|(whose, _)| *whose).collect();
                let open: BTreeSet<_> = ledger.open().map(|alert| (alert.source, alert.kind)).collect();
                prop_assert_eq!(open, said_open);
            }
        }
    }
}
