//! `/api/v1/sinks`: how many notices each sink got, and what became of them.

use serde::Serialize;

use crate::alert::{Counts, SinkName};

/// The counts of a sink: `queued = delivered + failed + summarised + waiting`; dropped notices are in none of these.
#[derive(Debug, Serialize)]
pub(super) struct SinkView {
    name: &'static str,
    queued: u64,
    delivered: u64,
    /// Number of attempts that failed and were followed by another attempt.
    retried: u64,
    /// Number of notices whose delivery was given up.
    failed: u64,
    /// Number of notices that were not queued, because the queue was full.
    dropped: u64,
    /// Number of dropped notices that said that an alert opened.
    dropped_openings: u64,
    /// Number of notices that were more than `AlertRate`, so that a summary took their place.
    summarised: u64,
    waiting: u64,
}

impl SinkView {
    pub(super) fn of((name, counts): &(SinkName, Counts)) -> Self {
        let &Counts { queued, delivered, retried, failed, dropped, dropped_openings, summarised } = counts;
        let (name, waiting) = (name.name(), counts.waiting());
        Self { name, queued, delivered, retried, failed, dropped, dropped_openings, summarised, waiting }
    }
}
