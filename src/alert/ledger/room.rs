//! Which findings open an alert when the table of open alerts is full, and which alerts end for them.

use std::net::IpAddr;

use ipnet::IpNet;
use tracing::warn;

use crate::alert::notice::Notice;
use crate::alert::rate_limited_warning::RateLimitedWarning;
use crate::alert::record::{Alert, AlertKey, AlertKind, OPEN_ALERTS_MAX};
use crate::alert::room::{Admission, Room, Weight};
use crate::alert::storms::excess;
use crate::detect::{Finding, PrefixMap};
use crate::time::{Moment, UnixNanos};

use super::Ledger;

/// What the full table has cost: findings without a place, and alerts that lost theirs.
#[derive(Debug, Default)]
pub(super) struct FullTable {
    /// Findings that opened no alert, by kind, since the last warning.
    refused: [u64; AlertKind::ALL.len()],
    /// Alerts that were displaced since the last warning.
    displaced: u64,
    /// The same since the start.
    pub(super) discarded_findings: u64,
    pub(super) displaced_alerts: u64,
    warning: RateLimitedWarning,
    /// The ends of displaced alerts whose opening was notified.
    pub(super) ends: Vec<Notice>,
}

impl FullTable {
    fn refuse(&mut self, kind: AlertKind) {
        self.refused[kind as usize] += 1;
        self.discarded_findings += 1;
    }

    /// Logs a warning with the numbers since the last one, at most one a minute.
    pub(super) fn warn_if_due(&mut self, now: Moment) {
        let has_cost = self.displaced > 0 || self.refused.iter().sum::<u64>() > 0;
        if !has_cost || !self.warning.take_due(now) {
            return;
        }
        let refused: Vec<String> = AlertKind::ALL
            .into_iter()
            .zip(self.refused)
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| format!("{} {count}", kind.name()))
            .collect();
        let refused = if refused.is_empty() { "none".to_owned() } else { refused.join(", ") };
        warn!(
            "the table of {OPEN_ALERTS_MAX} open alerts is full: findings without a place: {refused}; alerts that ended \
             for others of more weight: {}; raise the limits, or mute the network that floods",
            self.displaced
        );
        self.refused = Default::default();
        self.displaced = 0;
    }
}

impl Ledger {
    /// Sets the networks whose hosts are local. Their alerts weigh more than others, and have storms of their own.
    pub(crate) fn know_local(&mut self, networks: &[IpNet]) {
        if self.local_networks == networks {
            return;
        }
        self.local_networks = networks.to_vec();
        self.local = PrefixMap::new(networks.iter().map(|network| (*network, ())));
        self.index_room();
    }

    /// Returns true if the host is in one of the local networks.
    pub(crate) fn is_local(&self, source: Option<IpAddr>) -> bool {
        source.is_some_and(|source| self.local.of(&source).is_some())
    }

    /// Gives all open alerts, and those that may open again, their places anew.
    pub(super) fn index_room(&mut self) {
        self.room = Room::default();
        for (key, open) in &mut self.open {
            open.is_local = key.0.is_some_and(|source| self.local.of(&source).is_some());
            open.weight = Weight::of(&open.alert);
            self.room.add(*key, open.is_local, open.weight);
        }
        let local = &self.local;
        self.closed.index(|key| key.0.is_some_and(|source| local.of(&source).is_some()));
    }

    /// Returns the number of alerts that can still open without taking the place of another.
    pub(crate) fn room_left(&self) -> usize {
        self.room.left()
    }

    /// Returns the weight of a finding without an open alert: by it the heaviest come first if there is no room
    /// for all.
    pub(crate) fn weight_of(&self, finding: &Finding) -> impl Ord + use<> {
        (self.is_local(finding.source), Weight::of_finding(finding))
    }

    /// Makes room for the alert that a finding would open. Returns false if there is none.
    pub(super) fn make_room(&mut self, finding: &Finding, now: Moment, wall_clock: UnixNanos) -> bool {
        // An alert about lost frames has no source. It opens however many hosts have alerts.
        if finding.source.is_none() {
            return true;
        }
        let is_local = self.is_local(finding.source);
        match self.room.admit(finding.kind, is_local, Weight::of_finding(finding)) {
            Admission::Free => true,
            Admission::InPlaceOf(victim) => {
                self.displace(victim, now, wall_clock);
                true
            }
            Admission::Refused => {
                self.full_table.refuse(finding.kind);
                false
            }
        }
    }

    /// Ends an alert to make room for another.
    fn displace(&mut self, key: AlertKey, now: Moment, wall_clock: UnixNanos) {
        let Some(mut open) = self.open.remove(&key) else { return };
        self.room.remove(key, open.is_local, open.weight);
        self.unsaved.note(&open.alert.id, key);
        self.full_table.displaced += 1;
        self.full_table.displaced_alerts += 1;
        open.alert.progress.is_displaced = true;
        let closed_at = wall_clock.max(open.alert.opened_at);
        let alert = Alert { closed_at: Some(closed_at), ..open.alert };
        if let Some(id) = &alert.progress.storm_id {
            self.storms.leave(id, excess(&alert), closed_at);
        }
        self.recently_closed.add(alert.clone(), now);
        if !self.cooldown.is_zero()
            && let Some(forgotten) = self.closed.keep(key, alert.clone(), now, open.is_local)
        {
            self.unsaved.note(&forgotten.alert.id, (forgotten.alert.source, forgotten.alert.kind));
        }
        if open.is_notified {
            self.full_table.ends.push(Notice::Closed(alert));
        }
    }

    /// Returns the number of alerts that ended because one of more weight took their place.
    pub(crate) fn displaced_alerts(&self) -> u64 {
        self.full_table.displaced_alerts
    }

    /// Returns the number of closed alerts that were forgotten before their cooldown was over, since too many are kept.
    pub(crate) fn forgotten_alerts(&self) -> u64 {
        self.closed.forgotten()
    }

    /// Returns the number of findings that opened no alert because the table was full. A host that stays over its limit
    /// leads to a finding each time that hosts are judged, and each of them is counted.
    pub(crate) fn discarded_findings(&self) -> u64 {
        self.full_table.discarded_findings
    }
}
