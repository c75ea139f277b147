//! What of the ledger has changed since it was last saved, as rows of the state database.
//!
//! The changes of a judgement and its notices go into one transaction: an alert whose opening counts as said has its
//! notice in the outbox.

use std::collections::{BTreeMap, BTreeSet};

use crate::alert::mute::Mute;
use crate::alert::stored_ledger::{alert_row, mute_row};
use crate::store::{Changes, Numbers};

use super::{AlertKey, AlertKind, Ledger};

/// How many numbers are saved as given out beyond the last one, so that none is given out twice although the disk took
/// nothing for a while before the process was killed.
const RESERVED_ALERTS: u64 = 1 << 16;
const RESERVED_MUTES: u64 = 1000;

/// Maximum number of alerts whose peaks and evidence one call of [`Ledger::take_changes`] returns, unless all are
/// wanted.
const PEAKS_MAX: usize = 250;

/// Which peaks and which evidence [`Ledger::take_changes`] returns. They change often and are saved rarely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeakSave {
    /// A part of those that wait since the last [`Begin`](Self::Begin), if any do.
    Continue,
    /// All that have changed wait from now on, and a part of them is returned.
    Begin,
    /// All that have changed.
    All,
}

/// The keys of what has changed.
#[derive(Debug, Default)]
pub(super) struct UnsavedChanges {
    /// False if nothing is saved; no change is noted then.
    is_kept: bool,
    /// Alerts that opened, closed or were forgotten, or whose notices have changed: id and key.
    alerts: BTreeMap<String, AlertKey>,
    /// Alerts whose peaks and evidence wait to be saved; the next is the last.
    peaks: Vec<AlertKey>,
    /// True if a storm was notified, has grown or closed.
    pub(super) storms: bool,
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

    /// Notes that every alert and mute has changed.
    pub(super) fn note_all(&mut self) {
        for (key, open) in &self.open {
            self.unsaved.note(&open.alert.id, *key);
        }
        for (key, closed) in &self.closed {
            self.unsaved.note(&closed.alert.id, *key);
        }
        self.unsaved.storms = true;
        self.unsaved.mutes = true;
    }

    /// Returns what has changed since the last call, and forgets it; of peaks and evidence only what `peaks` says, so
    /// that no call takes long in a flood. Returns nothing before [`keep_changes`](Self::keep_changes).
    pub(crate) fn take_changes(&mut self, peaks: PeakSave) -> Changes {
        let mut changes = Changes::default();
        if !self.unsaved.is_kept {
            return changes;
        }
        self.note_peaks(peaks);
        for (id, key) in std::mem::take(&mut self.unsaved.alerts) {
            let open = self.open.get(&key).filter(|open| open.alert.id == id);
            let closed = self.closed.get(&key).filter(|closed| closed.alert.id == id);
            match (open, closed) {
                (Some(open), _) => changes.alerts.push(open.row()),
                (None, Some(closed)) => changes.alerts.push(alert_row(&closed.alert, 1, true, false)),
                (None, None) => changes.alerts_removed.push(id),
            }
        }
        if std::mem::take(&mut self.unsaved.storms) {
            // The alerts of a storm that was not notified yet are notified after a restart.
            let rows: Vec<_> = self.storms.said().map(|storm| alert_row(storm, 1, true, false)).collect();
            let ids = rows.iter().map(|row| row.id.clone()).collect();
            let saved = std::mem::replace(&mut self.unsaved.saved_storms, ids);
            changes.alerts_removed.extend(saved.difference(&self.unsaved.saved_storms).cloned());
            changes.alerts.extend(rows);
        }
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

    /// Notes the alerts whose peaks and evidence are returned now.
    fn note_peaks(&mut self, peaks: PeakSave) {
        if peaks != PeakSave::Continue {
            let changed = self.open.iter().filter(|(_, open)| open.has_unsaved_peak).map(|(key, _)| *key);
            self.unsaved.peaks = changed.rev().collect();
        }
        let most = if peaks == PeakSave::All { usize::MAX } else { PEAKS_MAX };
        let from = self.unsaved.peaks.len().saturating_sub(most);
        for key in self.unsaved.peaks.split_off(from) {
            // One that has closed meanwhile was noted then.
            if let Some(open) = self.open.get_mut(&key)
                && std::mem::take(&mut open.has_unsaved_peak)
            {
                self.unsaved.note(&open.alert.id, key);
            }
        }
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
