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
//! is notified if its opening was, before it was muted. If it is still open when its mute ends, it is notified with the
//! next judgement, with the values of then if its host still exceeds the limit, and with the evidence of then if that
//! rests on about as much as the evidence that it has.
//!
//! The openings of a judgement may belong to a storm, which is notified in their place ([`Ledger::finish_judgement`]).
//! Neither the growth nor the end of an alert of a storm is notified.
//!
//! If the table is full, an alert of more weight takes the place of a lesser one, which ends as displaced.
//!
//! Methods take the time twice: `now` on the monotonic clock, by which timeouts run, and `wall_clock`, which
//! alerts show.

mod mutes;
mod restore;
mod room;
mod save;
mod storms;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::detect::{Finding, PrefixMap};
use crate::flow::Metric;
use crate::time::{Moment, UnixNanos};

use super::closed::{ClosedAlerts, ClosedList};
use super::cooldowns::{ClosedAlert, Cooldowns};
use super::evidence::{Evidence, EvidenceNeeded};
use super::mute::Mutes;
use super::notice::Notice;
use super::open_alert::OpenAlert;
use super::record::{Alert, AlertKey, AlertKind, AlertProgress};
use super::room::{Room, Weight};
use super::storms::{Storms, excess};
use super::wall_clock::WallClock;
use room::FullTable;
pub(crate) use save::PeakSave;
use save::UnsavedChanges;

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

/// The open alerts, one for each host and kind, and those that closed within the cooldown.
#[derive(Debug)]
pub(crate) struct Ledger {
    open: BTreeMap<AlertKey, OpenAlert>,
    closed: Cooldowns,
    /// The alerts that closed within the last day, for readers.
    recently_closed: ClosedAlerts,
    mutes: Mutes,
    wall_clock: WallClock,
    /// True if the times of mutes were corrected since [`expire_mutes`](Self::expire_mutes) last ran.
    are_mutes_corrected: bool,
    timeouts: CloseTimeouts,
    cooldown: Duration,
    /// Number of alerts and storms that ever opened under a new id.
    opened: u64,
    /// The places of the open alerts, and what it costs if there are none left.
    room: Room,
    full_table: FullTable,
    storms: Storms,
    /// True if an alert may owe a notice, since it is no longer muted.
    owes_notices: bool,
    /// The networks whose hosts are local, also as a list to be compared with.
    local: PrefixMap<()>,
    local_networks: Vec<IpNet>,
    unsaved: UnsavedChanges,
}

impl Ledger {
    /// Creates an empty ledger. An alert whose limit is exceeded again within `cooldown` of its end opens again under
    /// the same id.
    pub(crate) fn new(timeouts: CloseTimeouts, cooldown: Duration) -> Self {
        Self {
            open: BTreeMap::new(),
            closed: Cooldowns::default(),
            recently_closed: ClosedAlerts::default(),
            mutes: Mutes::default(),
            wall_clock: WallClock::default(),
            are_mutes_corrected: false,
            timeouts,
            cooldown,
            opened: 0,
            room: Room::default(),
            full_table: FullTable::default(),
            storms: Storms::default(),
            owes_notices: false,
            local: PrefixMap::default(),
            local_networks: Vec::new(),
            unsaved: UnsavedChanges::default(),
        }
    }

    /// Changes the cooldown, also for alerts that have closed already.
    pub(crate) fn set_cooldown(&mut self, cooldown: Duration) {
        self.cooldown = cooldown;
    }

    /// Applies a finding to the alert of its host and kind. Returns the notice that it leads to, or `None` if it leads
    /// to none.
    ///
    /// The first finding of a host and kind opens an alert. Further ones keep it open and raise its peak, and lead to
    /// a notice when they confirm it or reach 2, 5 or 10 times the limit, or when the alert is no longer muted.
    /// `evidence` returns the evidence of the host as of now; it is called when the alert needs evidence.
    pub(crate) fn apply(
        &mut self,
        finding: &Finding,
        now: Moment,
        wall_clock: UnixNanos,
        evidence: impl Fn(EvidenceNeeded) -> Evidence,
    ) -> Option<Notice> {
        let key = (finding.source, finding.kind);
        if let Some(open) = self.open.get_mut(&key) {
            let before = (open.alert.measured, open.alert.progress.error_bound);
            let notified = open.notified();
            let is_confirmed = open.is_confirmed_by(finding);
            let excess_before = excess(&open.alert);
            open.update_evidence(finding, now, &evidence);
            let mut notice = open.exceed(finding, now, wall_clock);
            let mut left_storm = false;
            let weight = Weight::of(&open.alert);
            if weight != open.weight {
                self.room.remove(key, open.is_local, open.weight);
                self.room.add(key, open.is_local, weight);
                open.weight = weight;
            }
            if let (Some(id), Some(source)) = (open.alert.progress.storm_id.clone(), finding.source)
                && self.storms.raise(&id, excess_before, storms::opening(&open.alert, source), now)
            {
                notice = open.leave_storm(now, &evidence);
                left_storm = true;
            }
            open.has_unsaved_peak |= (open.alert.measured, open.alert.progress.error_bound) != before;
            if is_confirmed || open.notified() != notified || left_storm {
                self.unsaved.note(&open.alert.id, key);
            }
            return notice;
        }
        if !self.make_room(finding, now, wall_clock) {
            return None;
        }
        let alert = self.open_alert(finding, now, wall_clock, evidence(EvidenceNeeded::Everything));
        let open = OpenAlert::new(alert.clone(), finding, now, self.is_local(finding.source));
        self.room.add(key, open.is_local, open.weight);
        self.open.insert(key, open);
        self.unsaved.note(&alert.id, key);
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
        let known = self.closed.take(key);
        if let Some(closed) = &known {
            self.unsaved.note(&closed.alert.id, key);
        }
        let known = known.filter(|closed| closed.closed_for(now) < self.cooldown);
        let (id, opened_at, peak, upper_bound, reopened) = match known {
            Some(ClosedAlert { alert, .. }) => {
                self.recently_closed.remove(&alert.id);
                let (peak, upper_bound) = (alert.measured, alert.upper_bound());
                (alert.id, alert.opened_at, peak, upper_bound, alert.progress.reopened.saturating_add(1))
            }
            None => (next_id(&mut self.opened, wall_clock), wall_clock, 0, 0, 0),
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
                ..AlertProgress::default()
            },
        }
    }

    /// Closes the alerts whose host has been within its limit for a whole window, appends the notices of that, and
    /// forgets the alerts that have been closed for at least the cooldown.
    pub(crate) fn close_inactive(&mut self, now: Moment, wall_clock: UnixNanos, notices: &mut Vec<Notice>) {
        let (timeouts, cooldown) = (self.timeouts, self.cooldown);
        self.recently_closed.expire(now);
        for (key, over) in self.closed.expire(now, cooldown) {
            self.unsaved.note(&over.alert.id, key);
        }
        let closing =
            self.open.extract_if(.., |(_, kind), open| now.since(open.exceeded_at) >= timeouts.of(*kind));
        for (key, open) in closing {
            self.unsaved.note(&open.alert.id, key);
            // The alert closes at the end of the window. In replay the next tick may be much later.
            let at = open.exceeded_at.plus(timeouts.of(key.1));
            let late = now.since(at);
            let closed_at = wall_clock.minus(late).max(open.alert.opened_at);
            self.room.remove(key, open.is_local, open.weight);
            let alert = Alert { closed_at: Some(closed_at), ..open.alert };
            if let Some(id) = &alert.progress.storm_id {
                self.storms.leave(id, excess(&alert), closed_at);
            }
            self.recently_closed.add(alert.clone(), at);
            if late < cooldown
                && let Some(forgotten) = self.closed.keep(key, alert.clone(), at, open.is_local)
            {
                self.unsaved.note(&forgotten.alert.id, (forgotten.alert.source, forgotten.alert.kind));
            }
            if open.is_notified {
                notices.push(Notice::Closed(alert));
            }
        }
        self.close_storms(now, notices);
    }

    /// Returns the alerts that closed within the last day, the newest first.
    pub(crate) fn recently_closed(&mut self) -> ClosedList {
        self.recently_closed.list()
    }

    /// Removes the addresses of peers from all alerts, after destinations were hidden.
    pub(crate) fn hide_destinations(&mut self) {
        self.open.values_mut().for_each(|open| open.alert.hide_destinations());
        self.closed.change_each(Alert::hide_destinations);
        self.recently_closed.hide_destinations();
        self.storms.hide_destinations();
        self.note_all();
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
}

/// Returns the id of a new alert or storm, and counts it.
fn next_id(opened: &mut u64, wall_clock: UnixNanos) -> String {
    *opened = opened.saturating_add(1);
    format!("{}-{opened}", wall_clock.0 / 1_000_000_000)
}

#[cfg(test)]
mod tests;
