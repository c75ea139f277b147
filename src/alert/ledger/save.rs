//! What of the ledger has changed since it was last saved, as rows of the state database.
//!
//! The changes of a judgement and its notices go into one transaction: an alert whose opening counts as said has its
//! notice in the outbox. What may be a little older in the database is saved in parts, so that no step takes long:
//! peaks and evidence, the whole ledger after a restart, a step of the clock or the loss of the database, and the
//! alerts of a storm beyond the first ones, which have no notices.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::mute::Mute;
use crate::alert::stored_ledger::{alert_row, mute_row, storm_row};
use crate::store::{AlertRow, Changes, Numbers};

use super::{AlertKey, AlertKind, Ledger};

/// How many numbers are saved as given out beyond the last one, so that none is given out twice although the disk took
/// nothing for a while before the process was killed.
const RESERVED_ALERTS: u64 = 1 << 16;
const RESERVED_MUTES: u64 = 1000;

/// Maximum number of rows of the backlog that one call of [`Ledger::take_changes`] returns, unless all are wanted. The
/// largest rows have some 10 KB, and each takes less than 40 us.
const BACKLOG_PART: usize = 250;

/// Which peaks and which evidence [`Ledger::take_changes`] returns. They change often and are saved rarely, as a part
/// of the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeakSave {
    /// A part of the backlog.
    Continue,
    /// All that have changed are in the backlog from now on, a part of which is returned.
    Begin,
    /// All that have changed, and the whole backlog.
    All,
}

/// The keys of what has changed.
#[derive(Debug, Default)]
pub(super) struct UnsavedChanges {
    /// False if nothing is saved; no change is noted then.
    is_kept: bool,
    /// Alerts that opened, closed or were forgotten, or whose notices have changed: id and key.
    alerts: BTreeMap<String, AlertKey>,
    /// Alerts whose rows are written a few at a time, because they may be a little older.
    backlog: BTreeSet<AlertKey>,
    /// Ids of the storms that have a row.
    pub(super) saved_storms: BTreeSet<String>,
    /// True if a mute was made, removed or corrected.
    pub(super) mutes: bool,
    /// Mutes as they were saved; `None` if the row has to be written again.
    saved_mutes: BTreeMap<u64, Option<Mute>>,
    /// The numbers that were saved as given out.
    reserved: Numbers,
}

impl UnsavedChanges {
    /// Notes that an alert opened, closed or was forgotten, or that its notices have changed.
    pub(super) fn note(&mut self, id: &str, key: AlertKey) {
        if self.is_kept {
            self.alerts.insert(id.to_owned(), key);
        }
    }
}

impl Ledger {
    /// Saves what changes from now on: [`take_changes`](Self::take_changes) has to be called after each judgement.
    pub(crate) fn keep_changes(&mut self) {
        self.unsaved.is_kept = true;
    }

    /// Has the rows of these alerts removed, and the rows of these mutes written again, or removed if they are not in
    /// force.
    pub(super) fn rewrite_rows(&mut self, alerts_refused: &[String], mutes_saved: Vec<u64>) {
        // No alert has this key and one of these ids, so each of them counts as forgotten.
        let nobody = (None, AlertKind::Loss);
        alerts_refused.iter().for_each(|id| self.unsaved.note(id, nobody));
        self.unsaved.mutes = true;
        self.unsaved.saved_mutes = mutes_saved.into_iter().map(|id| (id, None)).collect();
    }

    /// Notes that nothing is saved any more.
    pub(crate) fn note_everything(&mut self) {
        self.unsaved.saved_mutes.clear();
        self.unsaved.saved_storms.clear();
        self.unsaved.reserved = Numbers::default();
        self.note_all();
    }

    /// Notes that every alert and mute has changed. The alerts are saved in parts.
    pub(super) fn note_all(&mut self) {
        if self.unsaved.is_kept {
            let closed = self.closed.alerts().map(|alert| (alert.source, alert.kind));
            self.unsaved.backlog.extend(self.open.keys().copied().chain(closed));
        }
        self.storms.note_all();
        self.unsaved.mutes = true;
    }

    /// Returns true if [`take_changes`](Self::take_changes) has further parts to return.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.unsaved.backlog.is_empty()
    }

    /// Returns what has changed since the last call, and forgets it; of the backlog a part, and of peaks and evidence
    /// only what `peaks` says, so that no call takes long in a flood. Returns nothing before
    /// [`keep_changes`](Self::keep_changes).
    pub(crate) fn take_changes(&mut self, peaks: PeakSave) -> Changes {
        let mut changes = Changes::default();
        if !self.unsaved.is_kept {
            return changes;
        }
        if peaks != PeakSave::Continue {
            let changed = self.open.iter().filter(|(_, open)| open.has_unsaved_peak).map(|(key, _)| *key);
            self.unsaved.backlog.extend(changed);
        }
        let part = if peaks == PeakSave::All { usize::MAX } else { BACKLOG_PART };
        for (id, key) in std::mem::take(&mut self.unsaved.alerts) {
            let known = self.open.get(&key).map(|open| &open.alert).or_else(|| self.closed.get(&key));
            match known.filter(|alert| alert.id == id) {
                Some(alert) if alert.progress.storm_id.is_some() && changes.alerts.len() >= part => {
                    self.unsaved.backlog.insert(key);
                }
                Some(_) => {
                    self.unsaved.backlog.remove(&key);
                    changes.alerts.extend(self.row_of(key));
                }
                None => changes.alerts_removed.push(id),
            }
        }
        for _ in changes.alerts.len()..part {
            let Some(key) = self.unsaved.backlog.pop_first() else { break };
            // The row of one that was forgotten meanwhile is removed already.
            changes.alerts.extend(self.row_of(key));
        }
        for (alert, progress) in self.storms.take_saves() {
            changes.alerts.push(storm_row(alert, progress));
        }
        let storms: BTreeSet<String> = self.storms.said().map(str::to_owned).collect();
        changes.alerts_removed.extend(self.unsaved.saved_storms.difference(&storms).cloned());
        self.unsaved.saved_storms = storms;
        if std::mem::take(&mut self.unsaved.mutes) {
            let now: BTreeMap<u64, Mute> = self.mutes.list().map(|mute| (mute.id, mute.clone())).collect();
            let saved = std::mem::take(&mut self.unsaved.saved_mutes);
            changes.mutes_removed = saved.keys().filter(|&id| !now.contains_key(id)).copied().collect();
            let changed =
                now.values().filter(|&mute| saved.get(&mute.id).and_then(Option::as_ref) != Some(mute));
            changes.mutes = changed.map(mute_row).collect();
            self.unsaved.saved_mutes = now.into_iter().map(|(id, mute)| (id, Some(mute))).collect();
        }
        self.reserve(&mut changes);
        changes
    }

    /// Returns the row of the alert of a host and kind, which is open or may open again.
    fn row_of(&mut self, key: AlertKey) -> Option<AlertRow> {
        let Some(open) = self.open.get_mut(&key) else {
            return self.closed.get(&key).map(|alert| alert_row(alert, 1, true, false));
        };
        open.has_unsaved_peak = false;
        Some(open.row())
    }

    /// Has more numbers saved as given out before those that were saved so far are used up.
    fn reserve(&mut self, changes: &mut Changes) {
        let reserved = &mut self.unsaved.reserved;
        let (opened, last_mute) = (self.opened, self.mutes.last_id());
        if opened.saturating_add(RESERVED_ALERTS / 2) > reserved.opened {
            reserved.opened = opened.saturating_add(RESERVED_ALERTS);
            changes.numbers.opened = reserved.opened;
        }
        if last_mute.saturating_add(RESERVED_MUTES / 2) > reserved.last_mute {
            reserved.last_mute = last_mute.saturating_add(RESERVED_MUTES);
            changes.numbers.last_mute = reserved.last_mute;
        }
    }
}
