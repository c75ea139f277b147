//! Changes that wait for the disk: the newest value of each key, so that they need no more memory than the tables.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{AlertRow, Changes, MuteRow, NoticeRow, Numbers};

/// Changes that were submitted and are not in the database yet. `None` stands for a row to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) alerts: BTreeMap<String, Option<String>>,
    pub(super) mutes: BTreeMap<u64, Option<String>>,
    pub(super) numbers: Numbers,
    /// Notices with the sinks that have yet to deliver them.
    pub(super) notices: BTreeMap<u64, (NoticeRow, BTreeSet<String>)>,
    /// Rows to be removed from the outbox: notice and sink.
    pub(super) settled: BTreeSet<(u64, String)>,
    pub(super) counters: BTreeMap<String, String>,
}

impl Pending {
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
        self.alerts.extend(later.alerts);
        self.mutes.extend(later.mutes);
        self.numbers = self.numbers.max(later.numbers);
        later.notices.into_values().for_each(|(notice, sinks)| self.keep(notice, sinks));
        later.settled.into_iter().for_each(|(notice, sink)| self.settle(notice, sink));
        self.counters.extend(later.counters);
    }

    /// Adds sinks that have yet to deliver a notice, to those that are known.
    fn keep(&mut self, notice: NoticeRow, sinks: impl IntoIterator<Item = String>) {
        let (_, known) = self.notices.entry(notice.number).or_insert_with(|| (notice, BTreeSet::new()));
        known.extend(sinks);
    }

    /// Notes that a sink is done with a notice. If the notice waits here, it is not in the database yet, so that
    /// nothing has to be removed there.
    fn settle(&mut self, notice: u64, sink: String) {
        let Some((_, sinks)) = self.notices.get_mut(&notice) else {
            self.settled.insert((notice, sink));
            return;
        };
        sinks.remove(&sink);
        if sinks.is_empty() {
            self.notices.remove(&notice);
        }
    }

    /// Returns the number of rows that are to be written or removed.
    pub(super) fn rows(&self) -> usize {
        let Self { alerts, mutes, numbers: _, notices, settled, counters } = self;
        alerts.len() + mutes.len() + notices.len() + settled.len() + counters.len()
    }
}
