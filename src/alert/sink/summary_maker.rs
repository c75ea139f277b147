//! Makes the summaries of one sink, and has them take the place of the notices in the state.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::info;

use crate::store::Changes;
use crate::time::unix_now;

use super::counters::{AtomicCounts, SinkName};
use super::outbox::Outbox;
use super::queued_notice::{QueuedContent, QueuedNotice};
use super::summary::NoticeSummary;

/// The number of the last notice, which all sinks share. A summary gets the next one, as a notice does.
#[derive(Clone, Debug, Default)]
pub(super) struct LastNotice(Arc<AtomicU64>);

impl LastNotice {
    /// Continues after a number that was given out.
    pub(super) fn after(number: u64) -> Self {
        Self(Arc::new(AtomicU64::new(number)))
    }

    /// Returns the number of the last notice.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Gives out the next number.
    pub(super) fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Makes the summaries of one sink.
#[derive(Clone, Debug)]
pub(super) struct SummaryMaker {
    pub(super) sink: SinkName,
    pub(super) outbox: Outbox,
    pub(super) counters: Arc<AtomicCounts>,
    pub(super) last_notice: LastNotice,
}

impl SummaryMaker {
    /// Makes a summary that takes the place of an earlier draft and of notices. In the state it does so in one
    /// transaction, so that after a crash either it or all of them are there. Counts the notices as summarised, and a
    /// complete summary as queued.
    pub(super) fn replace(
        &self,
        draft: Option<Arc<QueuedNotice>>,
        notices: Vec<Arc<QueuedNotice>>,
        is_complete: bool,
    ) -> Arc<QueuedNotice> {
        let gone = draft.iter().chain(&notices).map(|queued| queued.number);
        let settled = gone.map(|number| (self.sink.name().to_owned(), number)).collect();
        let earlier = draft.as_deref().map(|draft| &draft.content);
        let mut summary = match earlier {
            Some(QueuedContent::Summary(summary)) => summary.clone(),
            Some(QueuedContent::Notice(_)) | None => NoticeSummary::default(),
        };
        summary.take_in(notices.iter().filter_map(|queued| match &queued.content {
            QueuedContent::Notice(notice) => Some((queued.number, queued.at, notice)),
            QueuedContent::Summary(_) => None,
        }));
        summary.is_complete = is_complete;
        self.counters.count_summarised(notices.len());
        if is_complete {
            self.counters.count_queued();
            info!(
                "{}: {} notices are more than AlertRate and are delivered as one summary",
                self.sink,
                summary.notices()
            );
        }
        let mut queued = QueuedNotice::new(self.last_notice.next(), unix_now(), summary);
        let counters = vec![(self.sink.name().to_owned(), self.counters.read().to_json())];
        let mut changes = Changes { settled, counters, ..Changes::default() };
        self.outbox.add(&mut changes, &queued, vec![self.sink.name().to_owned()]);
        queued.ticket = self.outbox.submit(changes);
        Arc::new(queued)
    }
}
