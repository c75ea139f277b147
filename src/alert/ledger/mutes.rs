//! Mutes of the alerts of the ledger, and steps of the wall clock, which mutes and alerts follow.

use crate::alert::mute::{Mute, NewMute, TooManyMutes};
use crate::alert::notice::Notice;
use crate::alert::wall_clock::{ClockChange, ClockStep};
use crate::time::{Clocks, Moment, UnixNanos};

use super::Ledger;

impl Ledger {
    /// Mutes alerts from `now` on. The end of an alert whose opening was notified before is notified all the same.
    ///
    /// # Errors
    /// [`MUTES_MAX`](crate::alert::MUTES_MAX) mutes are in force already.
    pub(crate) fn mute(
        &mut self,
        new: NewMute,
        now: Moment,
        wall_clock: UnixNanos,
    ) -> Result<Mute, TooManyMutes> {
        let mute = self.mutes.add(new, now, wall_clock)?;
        self.apply_mutes();
        Ok(mute)
    }

    /// Removes a mute. An open alert that is no longer muted and whose present state was not notified is notified in
    /// the next judgement. Returns true if the mute was in force.
    pub(crate) fn unmute(&mut self, id: u64) -> bool {
        let was_there = self.mutes.remove(id);
        if was_there {
            self.apply_mutes();
        }
        was_there
    }

    /// Removes the mutes whose time is over, as [`unmute`](Self::unmute) does; call it in a judgement before the
    /// findings. Returns true if a mute was removed, or shows other times since the wall clock has stepped.
    pub(crate) fn expire_mutes(&mut self, now: Moment) -> bool {
        let any = self.mutes.expire(now);
        if any {
            self.apply_mutes();
        }
        any | std::mem::take(&mut self.are_mutes_corrected)
    }

    /// Returns the mutes in force, the oldest first.
    pub(crate) fn mutes(&self) -> impl Iterator<Item = &Mute> {
        self.mutes.list()
    }

    /// Mutes and unmutes the open alerts according to the mutes in force.
    pub(super) fn apply_mutes(&mut self) {
        self.unsaved.mutes = true;
        for (&(source, kind), open) in &mut self.open {
            open.alert.progress.is_muted = self.mutes.cover(source, kind);
            self.owes_notices |= open.owes_notice();
        }
    }

    /// Appends the notices of alerts that are no longer muted and had no finding since. They show what was found with
    /// their evidence.
    pub(super) fn say_unmuted(&mut self, notices: &mut Vec<Notice>) {
        if !std::mem::take(&mut self.owes_notices) {
            return;
        }
        for (key, open) in &mut self.open {
            if let Some(notice) = open.take_owed_as_of_evidence() {
                self.unsaved.note(&open.alert.id, *key);
                notices.push(notice);
            }
        }
    }

    /// Takes a reading of the clocks. If the wall clock has stepped since the last one, corrects the times that alerts
    /// and mutes show, and that are saved. Time in which the machine was suspended counts for mutes. Call it before
    /// each judgement and each change of mutes, with the same wall clock; in replay no clock steps.
    pub(crate) fn follow(&mut self, clocks: Clocks) {
        let ClockChange { step, suspended } = self.wall_clock.read(clocks);
        self.mutes.shorten(suspended);
        if let Some(step) = step {
            self.correct_times(step);
        }
    }

    fn correct_times(&mut self, step: ClockStep) {
        self.open.values_mut().for_each(|open| step.correct_alert(&mut open.alert));
        self.closed.change_each(|alert| step.correct_alert(alert));
        self.recently_closed.correct(step);
        self.storms.correct(step);
        self.mutes.correct(step);
        self.are_mutes_corrected = true;
        self.note_all();
    }
}
