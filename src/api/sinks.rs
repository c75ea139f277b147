//! `/api/v1/sinks`: how many notices each sink got, what became of them, and whether the sink delivers.

use serde::Serialize;

use crate::alert::{Counts, SinkHealth, SinkName, rfc3339};

/// The counts of a sink: `queued = delivered + failed + summarised + waiting`; dropped notices are in none of these.
#[derive(Debug, Serialize)]
pub(super) struct SinkView<'a> {
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
    /// `ok`, `failing`, or `waiting` for the end of its minute of `AlertRate`.
    state: &'static str,
    /// Since when its attempts fail; `null` unless they do.
    failing_since: Option<String>,
    /// The last error since the start; `null` if there was none. It stays after the sink delivers again.
    error: Option<ErrorView<'a>>,
}

#[derive(Debug, Serialize)]
struct ErrorView<'a> {
    at: String,
    text: &'a str,
}

impl<'a> SinkView<'a> {
    /// `health` is that of all sinks; a sink that is not in it has made no attempt.
    pub(super) fn of((sink, counts): &(SinkName, Counts), health: &'a [(SinkName, SinkHealth)]) -> Self {
        let &Counts { queued, delivered, retried, failed, dropped, dropped_openings, summarised } = counts;
        let (name, waiting) = (sink.name(), counts.waiting());
        let health = health.iter().find(|(named, _)| named == sink).map(|(_, health)| health);
        let failing_since = health.and_then(|health| health.failing_since);
        let state = match failing_since {
            Some(_) => "failing",
            None if health.is_some_and(|health| health.is_holding) => "waiting",
            None => "ok",
        };
        let error = health.and_then(|health| health.last_error.as_ref());
        Self {
            name,
            queued,
            delivered,
            retried,
            failed,
            dropped,
            dropped_openings,
            summarised,
            waiting,
            state,
            failing_since: failing_since.map(rfc3339),
            error: error.map(|(at, text)| ErrorView { at: rfc3339(*at), text }),
        }
    }
}
