//! The outbox of the state database: which sink has yet to deliver which notice, and the counters of the sinks.
//!
//! ```text
//!   notices ----rows----> state.db ----restored at the start----> queues
//!                            ^
//!   delivered, failed, shed -+ settled: the row of this sink goes, with its counters
//! ```
//!
//! Without a state directory nothing is kept, and the queues end with the process.

use std::time::Duration;

use tracing::warn;

use crate::alert::stored_alert::{notice_from_json, notice_to_json};
use crate::store::{Changes, NoticeRow, Numbers, OutboxRow, Restored, StateWriter};
use crate::time::{UnixNanos, monotonic_now, unix_now};

use super::counters::{Counts, SinkName};
use super::queued_notice::{QueuedContent, QueuedNotice};
use super::summary::{SUMMARY_STATE, summary_from_json, summary_id, summary_to_json};

/// How long a sink waits, from the time when a notice is queued, until the database has it. A line of the log comes
/// after that time in any case: an alert is not late because of a disk.
const COMMIT_TIMEOUT: Duration = Duration::from_millis(200);

/// What the sinks need of the state: the thread that writes, and what an earlier process left.
#[derive(Debug)]
pub struct SinkState {
    writer: StateWriter,
    notices: Vec<NoticeRow>,
    outbox: Vec<OutboxRow>,
    counters: Vec<(String, String)>,
    last_notice: u64,
    hides_destinations: bool,
}

impl SinkState {
    /// Takes what belongs to the sinks out of what was restored.
    pub fn take(restored: &mut Restored, writer: StateWriter) -> Self {
        Self {
            writer,
            notices: std::mem::take(&mut restored.notices),
            outbox: std::mem::take(&mut restored.outbox),
            counters: std::mem::take(&mut restored.counters),
            // A database that cannot be read now may be readable at the next start. So that no number of it is used
            // again, and what waits in it stays first, the numbers begin after all that it can have.
            last_notice: restored.numbers.map_or_else(|| unix_now().0, |numbers| numbers.last_notice),
            hides_destinations: false,
        }
    }

    /// Removes the destinations of the notices that wait if `hides` is true: the earlier process may have shown them.
    #[must_use]
    pub fn hiding_destinations(self, hides: bool) -> Self {
        Self { hides_destinations: hides, ..self }
    }
}

/// What an earlier process left for one sink.
#[derive(Debug, Default)]
pub(super) struct RestoredSink {
    pub(super) counts: Counts,
    /// Numbers of the notices that it has yet to deliver, in order.
    pub(super) waiting: Vec<u64>,
}

/// What an earlier process left, checked.
#[derive(Debug, Default)]
pub(super) struct RestoredOutbox {
    /// The number of the last notice.
    pub(super) last_notice: u64,
    /// The notices that wait, in order.
    pub(super) notices: Vec<(u64, UnixNanos, QueuedContent)>,
    sinks: Vec<(SinkName, RestoredSink)>,
}

impl RestoredOutbox {
    /// Takes what was left for a sink.
    pub(super) fn take(&mut self, sink: SinkName) -> RestoredSink {
        let found = self.sinks.iter_mut().find(|(name, _)| *name == sink);
        found.map(|(_, restored)| std::mem::take(restored)).unwrap_or_default()
    }
}

/// A handle to the outbox. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    writer: Option<StateWriter>,
}

impl Outbox {
    /// Opens the outbox for these sinks. What waits for a sink that is no longer configured, and rows that cannot be
    /// used, are removed and logged.
    pub(super) fn open(state: Option<SinkState>, configured: &[SinkName]) -> (Self, RestoredOutbox) {
        let Some(state) = state else { return (Self::default(), RestoredOutbox::default()) };
        let SinkState { writer, notices, outbox, counters, last_notice, hides_destinations } = state;
        let mut restored = RestoredOutbox { last_notice, ..RestoredOutbox::default() };
        let mut useless = Vec::new();
        for NoticeRow { number, queued_at, step, body, .. } in notices {
            let content = match step.as_str() {
                SUMMARY_STATE => summary_from_json(&body).map(QueuedContent::from),
                _ => notice_from_json(&body).map(QueuedContent::from),
            };
            match content {
                Ok(mut content) => {
                    if let QueuedContent::Notice(notice) = &mut content
                        && hides_destinations
                    {
                        notice.hide_destinations();
                    }
                    restored.notices.push((number, UnixNanos(queued_at), content));
                }
                Err(fault) => useless.push((number, fault)),
            }
        }
        restored.sinks = configured.iter().map(|&sink| (sink, RestoredSink::default())).collect();
        for (name, body) in counters {
            let sink = restored.sinks.iter_mut().find(|(sink, _)| sink.name() == name);
            match (sink, Counts::from_json(&body)) {
                (Some((_, restored)), Some(counts)) => restored.counts = counts,
                (Some(_), None) => warn!("{name}: its counters in the state are of no use and begin with 0"),
                (None, _) => {}
            }
        }
        let mut settled = Vec::new();
        let mut orphans = std::collections::BTreeMap::<String, u64>::new();
        for OutboxRow { sink, notice } in outbox {
            let found = restored.sinks.iter_mut().find(|(configured, _)| configured.name() == sink);
            match found {
                Some((_, restored)) if useless.iter().all(|(number, _)| *number != notice) => {
                    restored.waiting.push(notice);
                    continue;
                }
                Some(_) => {}
                None => *orphans.entry(sink.clone()).or_default() += 1,
            }
            settled.push((sink, notice));
        }
        if let Some((number, fault)) = useless.first() {
            let count = useless.len();
            warn!("{count} notices that waited are of no use and are dropped; number {number}: {fault}");
        }
        for (sink, count) in orphans {
            let sink: String = sink.chars().filter(|c| !c.is_control()).collect();
            warn!("{sink}: {count} alerts that waited for it are dropped, since it is no longer configured");
        }
        writer.submit(Changes { settled, ..Changes::default() });
        (Self { writer: Some(writer) }, restored)
    }

    /// Returns true if what waits outlives the process.
    pub(super) fn is_kept(&self) -> bool {
        self.writer.is_some()
    }

    /// Adds a notice to changes of the state, for these sinks.
    pub(super) fn add(&self, changes: &mut Changes, queued: &QueuedNotice, sinks: Vec<String>) {
        if self.writer.is_none() {
            return;
        }
        changes.numbers = changes.numbers.max(Numbers { last_notice: queued.number, ..Numbers::default() });
        let (alert_id, step, body) = match &queued.content {
            QueuedContent::Notice(notice) => {
                (notice.alert().id.clone(), notice.step(), notice_to_json(notice))
            }
            QueuedContent::Summary(summary) => {
                (summary_id(queued.number, queued.at), SUMMARY_STATE, summary_to_json(summary))
            }
        };
        let row = NoticeRow {
            number: queued.number,
            alert_id,
            step: step.to_owned(),
            queued_at: queued.at.0,
            body,
        };
        changes.notices.push((row, sinks));
    }

    /// Submits again what waits for a sink, and its counters.
    pub(super) fn keep(
        &self,
        sink: SinkName,
        waiting: &mut dyn Iterator<Item = &QueuedNotice>,
        counts: Counts,
    ) {
        let counters = vec![(sink.name().to_owned(), counts.to_json())];
        let mut changes = Changes { counters, ..Changes::default() };
        waiting.for_each(|queued| self.add(&mut changes, queued, vec![sink.name().to_owned()]));
        self.submit(changes);
    }

    /// Submits changes. Returns `None` if there is no state.
    pub(super) fn submit(&self, changes: Changes) -> Option<crate::store::Ticket> {
        self.writer.as_ref().map(|writer| writer.submit(changes))
    }

    /// Notes that a sink is done with these notices, and its counters.
    pub(super) fn settle(&self, sink: SinkName, numbers: impl Iterator<Item = u64>, counts: Counts) {
        let Some(writer) = &self.writer else { return };
        let settled = numbers.map(|number| (sink.name().to_owned(), number)).collect();
        let counters = vec![(sink.name().to_owned(), counts.to_json())];
        writer.submit(Changes { settled, counters, ..Changes::default() });
    }

    /// Waits until the database has the notice, for at most 200 ms from the time when it was queued.
    pub(super) fn wait_for_commit(&self, queued: &QueuedNotice) {
        if let (Some(writer), Some(ticket)) = (&self.writer, queued.ticket) {
            let age = monotonic_now().since(queued.since);
            // The notice is delivered either way; the outbox repeats it if the process dies before that.
            let _ = writer.wait_committed(ticket, COMMIT_TIMEOUT.saturating_sub(age));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::alert::{Notice, sample};
    use crate::store::StateDatabase;

    use super::*;

    /// The process before showed destinations, and this one may not.
    #[test]
    fn destinations_that_are_hidden_now_are_not_in_what_waited() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let (mut restored, writer) = StateDatabase::open(folder.path()).expect("the folder is ours");
        let notice = Notice::Opened(sample::traffic());
        restored.notices.push(NoticeRow {
            number: 1,
            alert_id: notice.alert().id.clone(),
            step: notice.step().to_owned(),
            queued_at: 7,
            body: notice_to_json(&notice),
        });
        restored.outbox.push(OutboxRow { sink: SinkName::File.name().to_owned(), notice: 1 });
        for hides in [false, true] {
            let state = SinkState::take(&mut restored.clone(), writer.clone()).hiding_destinations(hides);
            let (_, waiting) = Outbox::open(Some(state), &[SinkName::File]);
            let [(1, _, QueuedContent::Notice(notice))] = &waiting.notices[..] else { panic!("{waiting:?}") };
            assert_eq!(notice.alert().destinations.is_empty(), hides);
        }
        assert!(writer.finish(Duration::from_secs(60)));
    }
}
