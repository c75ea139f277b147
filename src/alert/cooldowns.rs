//! The alerts that closed and may open again under their id, and which of them are forgotten when there are too many.
//!
//! Their places are shared as those of [open alerts](super::room) are, so that a flood that closes makes no alert of a
//! local host or of another kind a new one. An alert that was notified by itself counts for more than one of a storm,
//! which leads to no notice of its own when it opens again.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::warn;

use crate::time::Moment;

use super::rate_limited_warning::RateLimitedWarning;
use super::record::{Alert, AlertKey, OPEN_ALERTS_MAX};
use super::room::{Admission, Room, Weight};

/// An alert that may open again under its id.
#[derive(Debug)]
pub(super) struct ClosedAlert {
    pub(super) alert: Alert,
    /// When it closed, or when it was restored after a restart.
    pub(super) since: Moment,
    /// For how long it had been closed at that time. The monotonic clock starts with the machine, so it may have no
    /// time at which a restored alert closed.
    pub(super) closed_before: Duration,
    /// True if its host is local.
    is_local: bool,
}

/// True if the alert was in no storm, and its weight among such.
type ClosedWeight = (bool, Weight);

impl ClosedAlert {
    /// Creates one whose place is not known yet; [`Cooldowns::index`] finds it.
    pub(super) fn restored(alert: Alert, since: Moment, closed_before: Duration) -> Self {
        Self { alert, since, closed_before, is_local: false }
    }

    /// Returns for how long it has been closed.
    pub(super) fn closed_for(&self, now: Moment) -> Duration {
        self.closed_before + now.since(self.since)
    }

    fn weight(&self) -> ClosedWeight {
        (self.alert.progress.storm_id.is_none(), Weight::of(&self.alert))
    }
}

/// The closed alerts within their cooldown, one for each host and kind.
#[derive(Debug, Default)]
pub(super) struct Cooldowns {
    closed: BTreeMap<AlertKey, ClosedAlert>,
    room: Room<ClosedWeight>,
    /// Number of alerts that were forgotten before their cooldown was over: since the start and since the last warning.
    forgotten: u64,
    unwarned: u64,
    warning: RateLimitedWarning,
}

impl Cooldowns {
    /// Keeps an alert that closed at `since`. Returns the one that is forgotten for it, if that is another.
    pub(super) fn keep(
        &mut self,
        key: AlertKey,
        alert: Alert,
        since: Moment,
        is_local: bool,
    ) -> Option<ClosedAlert> {
        let closed = ClosedAlert { alert, since, closed_before: Duration::ZERO, is_local };
        // An alert about the capture has no source and takes no place.
        let admission = match key.0 {
            Some(_) => self.room.admit(key.1, is_local, closed.weight()),
            None => Admission::Free,
        };
        let forgotten = match admission {
            Admission::Free => None,
            Admission::InPlaceOf(victim) => self.take(victim),
            Admission::Refused => {
                self.note_forgotten();
                return None;
            }
        };
        if forgotten.is_some() {
            self.note_forgotten();
        }
        self.room.add(key, is_local, closed.weight());
        self.closed.insert(key, closed);
        forgotten
    }

    /// Takes the alert of a host and kind.
    pub(super) fn take(&mut self, key: AlertKey) -> Option<ClosedAlert> {
        let closed = self.closed.remove(&key)?;
        self.room.remove(key, closed.is_local, closed.weight());
        Some(closed)
    }

    /// Takes those that have been closed for at least the cooldown.
    pub(super) fn expire(&mut self, now: Moment, cooldown: Duration) -> Vec<(AlertKey, ClosedAlert)> {
        let over: Vec<_> =
            self.closed.extract_if(.., |_, closed| closed.closed_for(now) >= cooldown).collect();
        for (key, closed) in &over {
            self.room.remove(*key, closed.is_local, closed.weight());
        }
        over
    }

    /// Restores the alerts of an earlier process.
    pub(super) fn restore(&mut self, closed: impl Iterator<Item = ClosedAlert>) {
        self.closed = closed.map(|closed| ((closed.alert.source, closed.alert.kind), closed)).collect();
    }

    /// Gives all alerts their places anew.
    pub(super) fn index(&mut self, is_local: impl Fn(&AlertKey) -> bool) {
        self.room = Room::default();
        for (key, closed) in &mut self.closed {
            closed.is_local = is_local(key);
            self.room.add(*key, closed.is_local, closed.weight());
        }
    }

    /// Returns the alert of a host and kind.
    pub(super) fn get(&self, key: &AlertKey) -> Option<&Alert> {
        self.closed.get(key).map(|closed| &closed.alert)
    }

    /// Returns all alerts, ordered by host and kind.
    pub(super) fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.closed.values().map(|closed| &closed.alert)
    }

    /// Changes all alerts: corrects their times, or removes addresses that are hidden now.
    pub(super) fn change_each(&mut self, change: impl Fn(&mut Alert)) {
        self.closed.values_mut().for_each(|closed| change(&mut closed.alert));
    }

    /// Returns the number of alerts that were forgotten before their cooldown was over.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Logs how many were forgotten since the last warning, at most once a minute.
    pub(super) fn warn_if_due(&mut self, now: Moment) {
        if self.unwarned == 0 || !self.warning.take_due(now) {
            return;
        }
        warn!(
            "{} alerts that ended are not kept for AlertCooldown, since {OPEN_ALERTS_MAX} others are: if their hosts \
             exceed their limits again, that is said as a new alert; raise the limits, or shorten AlertCooldown",
            self.unwarned
        );
        self.unwarned = 0;
    }

    fn note_forgotten(&mut self) {
        self.forgotten += 1;
        self.unwarned += 1;
    }
}
