//! Changes that wait for the disk: the newest value of each key, and a limited number of removals. So they need
//! little more memory than the tables.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{AlertRow, Changes, MuteRow, NoticeRow, Numbers};

/// Maximum number of alerts and mutes to be removed. Ids are never used twice, so without it each alert of a flood
/// would leave one while the disk is full.
pub(super) const REMOVALS_MAX: usize = 20_000;

/// Changes that were submitted and are not in the database yet. `None` stands for a row to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    /// True if all rows of `alerts` and `mutes` are to be removed before those here are written.
    pub(super) is_cleared: bool,
    pub(super) alerts: BTreeMap<String, Option<String>>,
    pub(super) mutes: BTreeMap<u64, Option<String>>,
    pub(super) numbers: Numbers,
    /// Notices with the sinks that have yet to deliver them.
    pub(super) notices: BTreeMap<u64, (NoticeRow, BTreeSet<String>)>,
    /// Rows to be removed from the outbox: notice and sink.
    pub(super) settled: BTreeSet<(u64, String)>,
    pub(super) counters: BTreeMap<String, String>,
    /// Notices with this number or a larger one are not in the database; `None` if any may be there.
    pub(super) unwritten_from: Option<u64>,
}

impl Pending {
    /// Returns what waits after these changes were taken out to be written: nothing, and their notices may be in the
    /// database.
    pub(super) fn after(&self) -> Self {
        let last = self.numbers.last_notice;
        let unwritten_from = match self.unwritten_from {
            None if last == 0 => None,
            from => Some(from.unwrap_or(0).max(last.saturating_add(1))),
        };
        Self { unwritten_from, ..Self::default() }
    }

    /// Adds later changes.
    pub(super) fn add(&mut self, changes: Changes) {
        let Changes { alerts, alerts_removed, mutes, mutes_removed, numbers, notices, settled, counters } =
            changes;
        self.alerts.extend(alerts.into_iter().map(|AlertRow { id, body }| (id, Some(body))));
        self.alerts.extend(alerts_removed.into_iter().map(|id| (id, None)));
        self.mutes.extend(mutes.into_iter().map(|MuteRow { id, body }| (id, Some(body))));
        self.mutes.extend(mutes_removed.into_iter().map(|id| (id, None)));
        self.numbers = self.numbers.max(numbers);
        for (notice, sinks) in notices {
            if !sinks.is_empty() {
                self.keep(notice, sinks);
            }
        }
        settled.into_iter().for_each(|(sink, notice)| self.settle(notice, sink));
        self.counters.extend(counters);
    }

    /// Adds changes that were submitted after these.
    pub(super) fn append(&mut self, later: Pending) {
        if later.is_cleared {
            self.is_cleared = true;
            self.alerts.clear();
            self.mutes.clear();
        }
        self.alerts.extend(later.alerts);
        self.mutes.extend(later.mutes);
        self.numbers = self.numbers.max(later.numbers);
        later.notices.into_values().for_each(|(notice, sinks)| self.keep(notice, sinks));
        later.settled.into_iter().for_each(|(notice, sink)| self.settle(notice, sink));
        self.counters.extend(later.counters);
    }

    /// Replaces the removals by one of all rows if they are too many. Returns true if it does that for the first time:
    /// all alerts and mutes that are to be kept have to be submitted again.
    pub(super) fn limit_removals(&mut self) -> bool {
        let removed = self.alerts.values().filter(|body| body.is_none()).count()
            + self.mutes.values().filter(|body| body.is_none()).count();
        if removed <= REMOVALS_MAX && !self.is_cleared {
            return false;
        }
        self.alerts.retain(|_, body| body.is_some());
        self.mutes.retain(|_, body| body.is_some());
        !std::mem::replace(&mut self.is_cleared, true)
    }

    /// Adds sinks that have yet to deliver a notice, to those that are known.
    fn keep(&mut self, notice: NoticeRow, sinks: impl IntoIterator<Item = String>) {
        let (_, known) = self.notices.entry(notice.number).or_insert_with(|| (notice, BTreeSet::new()));
        known.extend(sinks);
    }

    /// Notes that a sink is done with a notice. If the notice waits here, it may be in the database all the same: what
    /// is kept was submitted again. For a notice that cannot be there nothing has to be removed, so that a flood
    /// leaves no removals while the disk is full.
    fn settle(&mut self, notice: u64, sink: String) {
        if let Some((_, sinks)) = self.notices.get_mut(&notice) {
            sinks.remove(&sink);
            if sinks.is_empty() {
                self.notices.remove(&notice);
            }
            if self.unwritten_from.is_some_and(|from| notice >= from) {
                return;
            }
        }
        self.settled.insert((notice, sink));
    }

    /// Returns the number of rows that are to be written or removed.
    pub(super) fn rows(&self) -> usize {
        let Self { is_cleared: _, alerts, mutes, numbers: _, notices, settled, counters, unwritten_from: _ } =
            self;
        alerts.len() + mutes.len() + notices.len() + settled.len() + counters.len()
    }
}
