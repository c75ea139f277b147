//! `/api/v1/sinks`: what each place that alerts go to was given since it was started, and what became of it.

use serde::Serialize;

use crate::alert::{Counts, SinkName};

/// `queued = delivered + failed + waiting`; what found no room is in none of them.
#[derive(Debug, Serialize)]
pub(super) struct SinkView {
    name: &'static str,
    queued: u64,
    delivered: u64,
    /// Attempts that were followed by another.
    retried: u64,
    /// Given up.
    failed: u64,
    /// Not taken, because its queue was full.
    dropped: u64,
    waiting: u64,
}

impl SinkView {
    pub(super) fn of((name, counts): &(SinkName, Counts)) -> Self {
        let &Counts { queued, delivered, retried, failed, dropped } = counts;
        Self { name: name.name(), queued, delivered, retried, failed, dropped, waiting: counts.waiting() }
    }
}
