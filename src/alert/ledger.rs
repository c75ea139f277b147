//! The open and recently closed alerts, and the notices that findings lead to.
//!
//! | state | event | notice | next state |
//! | --- | --- | --- | --- |
//! | none | a finding | `Opened` | open |
//! | open | a certain finding, and all before it were only possible | `Confirmed` | open |
//! | open | the first finding that reaches 2, 5 or 10 times the limit | `Grown` | open |
//! | open | any other finding | none | open |
//! | open | no finding for a whole window | `Closed` | closed |
//! | closed | a finding within the cooldown | `Opened`, with the same id | open |
//! | closed | the cooldown is over | none | none |
//!
//! A finding that is only possible opens an alert as well. Once a finding is certain, the alert is confirmed and stays
//! certain until it closes.
//!
//! A muted alert changes its state in the same way, but its opening, confirmation and growth are not notified. Its end
//! is notified if its opening was, before it was muted. If it is still open when its mute ends, it is notified then.
//!
//! Methods take the time twice: `now` on the monotonic clock, by which timeouts run, and `wall_clock`, which
//! alerts show.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tracing::warn;

use crate::detect::Finding;
use crate::flow::Metric;
use crate::time::{Moment, UnixNanos};

use super::closed::{ClosedAlerts, ClosedList};
use super::evidence::{Evidence, EvidenceNeeded};
use super::mute::{Mute, Mutes, NewMute, TooManyMutes};
use super::notice::Notice;
use super::open_alert::{OpenAlert, without_evidence};
use super::persisted_ledger::PersistedLedger;
use super::record::{Alert, AlertKind, AlertProgress, OPEN_ALERTS_MAX};
use super::wall_clock::{ClockStep, WallClock, limit_to_present};

/// How long a host must have been within its limit before its alert closes: the window of that limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CloseTimeouts {
    /// For all kinds except [`AlertKind::ScanningPort`]: bytes, contacted hosts, rates, losses.
    pub(crate) traffic: Duration,
    /// For [`AlertKind::ScanningPort`].
    pub(crate) ports: Duration,
}

impl CloseTimeouts {
    fn of(self, kind: AlertKind) -> Duration {
        match kind.metric() {
            Some(Metric::ContactedPorts) => self.ports,
            _ => self.traffic,
        }
    }

    /// Returns the window that the limit of this kind applies to.
    fn window_of(self, kind: AlertKind) -> Duration {
        match kind.metric() {
            Some(Metric::PacketsPerS | Metric::ContactsPerS) => Duration::from_secs(1),
            _ => self.of(kind),
        }
    }
}

/// Number of changes of the content of a [`PersistedLedger`], by urgency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangeCount {
    /// Number of changes that must be saved at once: notices, changes of mutes, and alerts that opened, closed or were
    /// forgotten.
    pub(crate) transitions: u64,
    /// Number of changes that may be saved later: rises of a peak or of its error bound.
    pub(crate) peaks: u64,
}

/// The host that an alert is about, and the kind of the alert. The host is [`Alert::source`]: the receiver for
/// [`AlertKind::Received`], `None` if the alert is about the capture itself.
type AlertKey = (Option<IpAddr>, AlertKind);

/// The open alerts, one for each host and kind, and those that closed within the cooldown.
#[derive(Debug)]
pub(crate) struct Ledger {
    open: BTreeMap<AlertKey, OpenAlert>,
    closed: BTreeMap<AlertKey, ClosedAlert>,
    /// The alerts that closed within the last day, for readers.
    closed_lately: ClosedAlerts,
    mutes: Mutes,
    wall_clock: WallClock,
    /// True if the times of mutes were corrected since [`expire_mutes`](Self::expire_mutes) last ran.
    are_mutes_corrected: bool,
    timeouts: CloseTimeouts,
    cooldown: Duration,
    /// Number of alerts that ever opened under a new id.
    opened: u64,
    /// Number of findings that opened no alert because [`OPEN_ALERTS_MAX`] were open.
    discarded_findings: u64,
    changes: ChangeCount,
}

/// An alert that may open again under its id.
#[derive(Debug)]
struct ClosedAlert {
    alert: Alert,
    /// When it closed, or when it was restored after a restart.
    since: Moment,
    /// For how long it had been closed at that time. The monotonic clock starts with the machine, so it may have no
    /// time at which a restored alert closed.
    already: Duration,
}

impl ClosedAlert {
    /// Returns for how long it has been closed.
    fn closed_for(&self, now: Moment) -> Duration {
        self.already + now.since(self.since)
    }
}

impl Ledger {
    /// Creates an empty ledger. An alert whose limit is exceeded again within `cooldown` of its end opens again under
    /// the same id.
    pub(crate) fn new(timeouts: CloseTimeouts, cooldown: Duration) -> Self {
        let (open, closed) = (BTreeMap::new(), BTreeMap::new());
        Self {
            open,
            closed,
            closed_lately: ClosedAlerts::default(),
            mutes: Mutes::default(),
            wall_clock: WallClock::default(),
            are_mutes_corrected: false,
            timeouts,
            cooldown,
            opened: 0,
            discarded_findings: 0,
            changes: ChangeCount::default(),
        }
    }

    /// Changes the cooldown, also for alerts that have closed already.
    pub(crate) fn set_cooldown(&mut self, cooldown: Duration) {
        self.cooldown = cooldown;
    }

    /// Applies a finding to the alert of its host and kind. Returns the notice that it leads to, or `None` if it leads
    /// to none.
    ///
    /// The first finding of a host and kind opens an alert. Further ones keep it open and raise its peak, and lead to a
    /// notice when they confirm it or reach 2, 5 or 10 times the limit. `evidence` returns the evidence of the host as
    /// of now; it is called at most once, when the alert needs evidence.
    pub(crate) fn apply(
        &mut self,
        finding: &Finding,
        now: Moment,
        wall_clock: UnixNanos,
        evidence: impl FnOnce(EvidenceNeeded) -> Evidence,
    ) -> Option<Notice> {
        let key = (finding.source, finding.kind);
        if let Some(open) = self.open.get_mut(&key) {
            let before = (open.alert.measured, open.alert.progress.error_bound);
            let notified = open.notified();
            let is_confirmed = open.is_confirmed_by(finding);
            open.update_evidence(finding, now, evidence);
            let notice = open.exceed(finding, now, wall_clock);
            self.changes.peaks += u64::from((open.alert.measured, open.alert.progress.error_bound) != before);
            self.changes.transitions += u64::from(is_confirmed || open.notified() != notified);
            return notice;
        }
        // An alert about lost frames has no source. It opens however many hosts have alerts.
        if self.open.len() >= OPEN_ALERTS_MAX && finding.source.is_some() {
            self.discarded_findings += 1;
            return None;
        }
        let alert = self.open_alert(finding, now, wall_clock, evidence(EvidenceNeeded::Everything));
        self.open.insert(key, OpenAlert::new(alert.clone(), finding, now));
        self.changes.transitions += 1;
        (!alert.progress.is_muted).then_some(Notice::Opened(alert))
    }

    /// Returns the alert that a first finding opens: a new one, or the one that closed within the cooldown.
    fn open_alert(
        &mut self,
        finding: &Finding,
        now: Moment,
        wall_clock: UnixNanos,
        evidence: Evidence,
    ) -> Alert {
        let key = (finding.source, finding.kind);
        let known = self.closed.remove(&key).filter(|closed| closed.closed_for(now) < self.cooldown);
        let (id, opened_at, peak, upper_bound, reopened) = match known {
            Some(ClosedAlert { alert, .. }) => {
                self.closed_lately.remove(&alert.id);
                let (peak, upper_bound) = (alert.measured, alert.upper_bound());
                (alert.id, alert.opened_at, peak, upper_bound, alert.progress.reopened.saturating_add(1))
            }
            None => (self.next_id(wall_clock), wall_clock, 0, 0, 0),
        };
        let measured = peak.max(finding.measured);
        let Evidence { ip_bytes, destinations, ports, loss, scan } = evidence;
        Alert {
            id,
            kind: finding.kind,
            source: finding.source,
            opened_at,
            closed_at: None,
            measured,
            limit: finding.limit,
            window: self.timeouts.window_of(finding.kind),
            ip_bytes,
            destinations,
            ports,
            loss,
            scan,
            progress: AlertProgress {
                last: finding.measured,
                exceeded_at: wall_clock,
                reopened,
                is_muted: self.mutes.cover(finding.source, finding.kind),
                is_possible: !finding.is_certain(),
                error_bound: upper_bound.max(finding.upper_bound()) - measured,
            },
        }
    }

    fn next_id(&mut self, wall_clock: UnixNanos) -> String {
        self.opened = self.opened.saturating_add(1);
        format!("{}-{}", wall_clock.0 / 1_000_000_000, self.opened)
    }

    /// Mutes alerts from `now` on. The end of an alert whose opening was notified before is notified all the same.
    ///
    /// # Errors
    /// [`MUTES_MAX`](super::MUTES_MAX) mutes are in force already.
    pub(crate) fn mute(
        &mut self,
        new: NewMute,
        now: Moment,
        wall_clock: UnixNanos,
    ) -> Result<Mute, TooManyMutes> {
        let mute = self.mutes.add(new, now, wall_clock)?;
        // A new mute unmutes no alert, and the notices of alerts without a mute have been returned already.
        self.apply_mutes(&mut Vec::new());
        Ok(mute)
    }

    /// Removes a mute and appends to `notices` one notice for each open alert that is no longer muted and whose present
    /// state was not notified. Returns true if the mute was in force.
    pub(crate) fn unmute(&mut self, id: u64, notices: &mut Vec<Notice>) -> bool {
        let was_there = self.mutes.remove(id);
        if was_there {
            self.apply_mutes(notices);
        }
        was_there
    }

    /// Removes the mutes whose time is over and appends notices as [`unmute`](Self::unmute) does. Returns true if a
    /// mute was removed, or shows other times since the wall clock has stepped.
    pub(crate) fn expire_mutes(&mut self, now: Moment, notices: &mut Vec<Notice>) -> bool {
        let any = self.mutes.expire(now);
        if any {
            self.apply_mutes(notices);
        }
        any | std::mem::take(&mut self.are_mutes_corrected)
    }

    /// Returns the mutes in force, the oldest first.
    pub(crate) fn mutes(&self) -> impl Iterator<Item = &Mute> {
        self.mutes.list()
    }

    /// Mutes and unmutes the open alerts according to the mutes in force, and appends the notices of those that are no
    /// longer muted.
    fn apply_mutes(&mut self, notices: &mut Vec<Notice>) {
        self.changes.transitions += 1;
        for (&(source, kind), open) in &mut self.open {
            notices.extend(open.set_muted(self.mutes.cover(source, kind)));
        }
    }

    /// Closes the alerts whose host has been within its limit for a whole window, appends the notices of that, and
    /// forgets the alerts that have been closed for at least the cooldown.
    pub(crate) fn close_inactive(&mut self, now: Moment, wall_clock: UnixNanos, notices: &mut Vec<Notice>) {
        if let Some(step) = self.wall_clock.read(now, wall_clock) {
            self.correct_times(step);
        }
        let (timeouts, cooldown) = (self.timeouts, self.cooldown);
        self.closed_lately.expire(now);
        let before = self.closed.len();
        self.closed.retain(|_, closed| closed.closed_for(now) < cooldown);
        self.changes.transitions += u64::from(self.closed.len() < before);
        let closing =
            self.open.extract_if(.., |(_, kind), open| now.since(open.exceeded_at) >= timeouts.of(*kind));
        for (key, open) in closing {
            self.changes.transitions += 1;
            // The alert closes at the end of the window. In replay the next tick may be much later.
            let at = open.exceeded_at.plus(timeouts.of(key.1));
            let late = now.since(at);
            let closed_at = wall_clock.minus(late).max(open.alert.opened_at);
            let alert = Alert { closed_at: Some(closed_at), ..open.alert };
            self.closed_lately.add(alert.clone(), at);
            if late < cooldown && self.closed.len() < OPEN_ALERTS_MAX {
                let closed = ClosedAlert { alert: alert.clone(), since: at, already: Duration::ZERO };
                self.closed.insert(key, closed);
            }
            if open.is_notified {
                notices.push(Notice::Closed(alert));
            }
        }
    }

    /// Returns the alerts that closed within the last day, the newest first.
    pub(crate) fn closed_lately(&mut self) -> ClosedList {
        self.closed_lately.list()
    }

    /// Removes the addresses of peers from all alerts, after destinations were hidden.
    pub(crate) fn hide_destinations(&mut self) {
        self.open.values_mut().for_each(|open| open.alert.hide_destinations());
        self.closed.values_mut().for_each(|closed| closed.alert.hide_destinations());
        self.closed_lately.hide_destinations();
    }

    /// Corrects the times that alerts and mutes show, and that are saved, after a step of the wall clock.
    fn correct_times(&mut self, step: ClockStep) {
        self.open.values_mut().for_each(|open| step.correct_alert(&mut open.alert));
        self.closed.values_mut().for_each(|closed| step.correct_alert(&mut closed.alert));
        self.closed_lately.correct(step);
        self.mutes.correct(step);
        self.are_mutes_corrected = true;
        self.changes.transitions += 1;
    }

    /// Returns the part of the ledger that is saved for a restart.
    pub(crate) fn to_persisted(&self) -> PersistedLedger {
        PersistedLedger {
            opened: self.opened,
            last_mute: self.mutes.last_id(),
            open: self.open.values().map(OpenAlert::to_persisted).collect(),
            closed: self.closed.values().map(|closed| without_evidence(&closed.alert)).collect(),
            mutes: self.mutes.list().cloned().collect(),
        }
    }

    /// Continues from the saved state of an earlier process. The notices of that process are not repeated. An alert
    /// without a further finding closes a whole window after `now`. Appends the notices of alerts whose mute has ended
    /// meanwhile.
    ///
    /// The clock may have been wrong when the state was saved. Times in the future become the present, and mutes last
    /// their own length from `now` on. That is logged once.
    pub(crate) fn restore(
        &mut self,
        persisted: PersistedLedger,
        now: Moment,
        wall_clock: UnixNanos,
        notices: &mut Vec<Notice>,
    ) {
        let PersistedLedger { opened, last_mute, mut open, mut closed, mutes } = persisted;
        self.opened = opened;
        let alerts = open.iter_mut().map(|known| &mut known.alert).chain(&mut closed);
        let corrected_alerts =
            alerts.filter_map(|alert| limit_to_present(alert, wall_clock).then_some(())).count();
        let corrected_mutes = self.mutes.restore(mutes, last_mute, now, wall_clock);
        self.wall_clock.read(now, wall_clock);
        if corrected_alerts > 0 || corrected_mutes > 0 {
            warn!(
                "the state file has times that cannot be true, of {corrected_alerts} alerts and {corrected_mutes} \
                 mutes: the clock was or is wrong; these mutes last their own length from now on, at most 30 days"
            );
        }
        let timeouts = self.timeouts;
        // A kind that is no longer counted has a window of zero. No finding could keep its alert open, so the alert is
        // dropped without a notice.
        let is_counted = |alert: &Alert| timeouts.of(alert.kind) > Duration::ZERO;
        self.open = open
            .into_iter()
            .filter(|known| is_counted(&known.alert))
            .map(|known| ((known.alert.source, known.alert.kind), OpenAlert::restore(known, now)))
            .collect();
        self.closed = closed
            .into_iter()
            .map(|alert| {
                let already = wall_clock.since(alert.closed_at.unwrap_or(wall_clock));
                ((alert.source, alert.kind), ClosedAlert { alert, since: now, already })
            })
            .collect();
        self.apply_mutes(notices);
    }

    /// Returns the number of changes of the result of [`to_persisted`](Self::to_persisted).
    pub(crate) fn changes(&self) -> ChangeCount {
        self.changes
    }

    /// Returns the open alerts, ordered by host and kind.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values().map(|open| &open.alert)
    }

    /// Returns the open alert of a kind about a host, or about the capture itself if `source` is `None`.
    pub(crate) fn find(&self, source: Option<IpAddr>, kind: AlertKind) -> Option<&Alert> {
        self.open.get(&(source, kind)).map(|open| &open.alert)
    }

    /// Returns true if [`find`](Self::find) returns an alert.
    pub(crate) fn is_open(&self, source: Option<IpAddr>, kind: AlertKind) -> bool {
        self.open.contains_key(&(source, kind))
    }

    /// Returns true if an open alert waits for contacts that were too recent when its scan evidence was gathered.
    pub(crate) fn is_evidence_pending(&self) -> bool {
        self.open.values().any(OpenAlert::is_evidence_pending)
    }

    /// Returns the hosts with open alerts, in ascending order, each once.
    pub(crate) fn open_sources(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let mut last = None;
        self.open
            .keys()
            .filter_map(|&(source, _)| source)
            .filter(move |&source| last.replace(source) != Some(source))
    }

    /// Returns the number of findings that opened no alert because [`OPEN_ALERTS_MAX`] were open. A host that stays
    /// over its limit leads to a finding each time that hosts are judged, and each of them is counted.
    pub(crate) fn discarded_findings(&self) -> u64 {
        self.discarded_findings
    }
}

#[cfg(test)]
mod tests;
