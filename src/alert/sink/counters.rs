//! The counters of the notices of each sink. The threads of the sinks write them and any thread reads them, without a
//! lock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::sandbox::ThreadKind;

use super::health::SharedHealth;

/// The kinds of sinks, in the order in which they are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SinkName {
    /// Lines on stderr.
    Log,
    /// `AlertFile`.
    File,
    /// `AlertCommand`.
    Command,
    /// `WebhookURL`.
    Webhook,
    /// `Syslog`.
    Syslog,
}

impl SinkName {
    /// Returns the kind of the thread that delivers, which says what it may do.
    pub(super) fn thread_kind(self) -> ThreadKind {
        match self {
            Self::Log => ThreadKind::LogSink,
            Self::File => ThreadKind::FileSink,
            Self::Command => ThreadKind::CommandSink,
            Self::Webhook => ThreadKind::WebhookSink,
            Self::Syslog => ThreadKind::SyslogSink,
        }
    }

    /// Returns the configuration key of the sink; `log` for the log, which is always on and has no key.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::File => "AlertFile",
            Self::Command => "AlertCommand",
            Self::Webhook => "WebhookURL",
            Self::Syslog => "Syslog",
        }
    }
}

impl fmt::Display for SinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The counters of one sink. With a state directory they continue those of the process before. Every notice either was
/// dropped or is queued, and a queued notice was delivered, has failed, is in a summary or waits: `queued = delivered +
/// failed + summarised + waiting`. A summary is a notice as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of notices that its queue took.
    pub queued: u64,
    /// Number of notices in `queued` that were delivered.
    pub delivered: u64,
    /// Number of failed attempts that were followed by another.
    pub retried: u64,
    /// Number of notices in `queued` that were given up.
    pub failed: u64,
    /// Number of notices that were dropped because the queue was full.
    pub dropped: u64,
    /// Number of notices in `dropped` that said that an alert opened.
    pub dropped_openings: u64,
    /// Number of notices in `queued` that were more than `AlertRate`: a summary has taken their place.
    pub summarised: u64,
}

impl Counts {
    /// Returns the number of notices that were given up or dropped.
    pub fn lost(self) -> u64 {
        self.failed + self.dropped
    }

    /// Returns the number of notices that wait or are being delivered.
    pub fn waiting(self) -> u64 {
        self.queued.saturating_sub(self.delivered + self.failed + self.summarised)
    }

    /// Returns what was counted since `before`. What waited then counts as queued since.
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            queued: self.queued.saturating_sub(before.delivered + before.failed + before.summarised),
            delivered: self.delivered.saturating_sub(before.delivered),
            retried: self.retried.saturating_sub(before.retried),
            failed: self.failed.saturating_sub(before.failed),
            dropped: self.dropped.saturating_sub(before.dropped),
            dropped_openings: self.dropped_openings.saturating_sub(before.dropped_openings),
            summarised: self.summarised.saturating_sub(before.summarised),
        }
    }

    /// Returns the form in which the state keeps the counters. What waits is in the outbox.
    pub(super) fn to_json(self) -> String {
        let Self { queued: _, delivered, retried, failed, dropped, dropped_openings, summarised } = self;
        let stored = StoredCounts { delivered, retried, failed, dropped, dropped_openings, summarised };
        serde_json::to_string(&stored).expect("numbers with string keys are JSON")
    }

    /// Parses the form in which the state keeps the counters; `None` if it has another form or an impossible value.
    /// Nothing waits.
    pub(super) fn from_json(json: &str) -> Option<Self> {
        let StoredCounts { delivered, retried, failed, dropped, dropped_openings, summarised } =
            serde_json::from_str(json).ok()?;
        let are_possible =
            [delivered, retried, failed, dropped, summarised].into_iter().all(|count| count <= COUNT_MAX);
        let is_possible = are_possible && dropped_openings <= dropped;
        is_possible.then(|| Self {
            queued: delivered + failed + summarised,
            delivered,
            retried,
            failed,
            dropped,
            dropped_openings,
            summarised,
        })
    }
}

/// The largest counter that is believed. The numbers after it suffice for all further notices and for sums.
const COUNT_MAX: u64 = u64::MAX / 8;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCounts {
    delivered: u64,
    retried: u64,
    failed: u64,
    dropped: u64,
    dropped_openings: u64,
    /// Earlier versions had none.
    #[serde(default, skip_serializing_if = "is_zero")]
    summarised: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The counters of one sink, which its thread and the analyst write.
#[derive(Debug, Default)]
pub(super) struct AtomicCounts {
    queued: AtomicU64,
    delivered: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
    dropped_openings: AtomicU64,
    summarised: AtomicU64,
    /// Whether the sink delivers.
    pub(super) health: SharedHealth,
}

impl AtomicCounts {
    /// Creates counters that continue others.
    pub(super) fn continue_from(counts: Counts) -> Self {
        let Counts { queued, delivered, retried, failed, dropped, dropped_openings, summarised } = counts;
        Self {
            queued: queued.into(),
            delivered: delivered.into(),
            retried: retried.into(),
            failed: failed.into(),
            dropped: dropped.into(),
            dropped_openings: dropped_openings.into(),
            summarised: summarised.into(),
            health: SharedHealth::default(),
        }
    }

    pub(super) fn count_queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a notice as dropped that was counted as queued before, because the queue is full.
    pub(super) fn count_dropped(&self, is_opening: bool) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_openings.fetch_add(is_opening.into(), Ordering::Relaxed);
    }

    pub(super) fn count_delivered(&self, notices: usize) {
        self.delivered.fetch_add(notices as u64, Ordering::Relaxed);
    }

    /// Counts notices whose place a summary has taken.
    pub(super) fn count_summarised(&self, notices: usize) {
        self.summarised.fetch_add(notices as u64, Ordering::Release);
    }

    pub(super) fn count_retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failed(&self, notices: usize) {
        self.failed.fetch_add(notices as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        // The outcomes are loaded before `queued`: a notice that is delivered meanwhile counts as waiting, and the sum
        // of the outcomes never exceeds `queued`.
        let delivered = self.delivered.load(Ordering::Acquire);
        let failed = self.failed.load(Ordering::Acquire);
        let summarised = self.summarised.load(Ordering::Acquire);
        Counts {
            delivered,
            failed,
            summarised,
            retried: self.retried.load(Ordering::Relaxed),
            dropped_openings: self.dropped_openings.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            queued: self.queued.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_kept_without_what_waits() {
        let counts = Counts {
            queued: 9,
            delivered: 3,
            retried: 4,
            failed: 2,
            dropped: 5,
            dropped_openings: 1,
            summarised: 0,
        };
        let json = counts.to_json();
        assert_eq!(json, r#"{"delivered":3,"retried":4,"failed":2,"dropped":5,"dropped_openings":1}"#);
        assert_eq!(Counts::from_json(&json), Some(Counts { queued: 5, ..counts }));
        for (from, to) in [("3", "-3"), (":1", ":6"), (":2", ":18446744073709551615"), ("{", "{\"more\":1,")]
        {
            assert_eq!(Counts::from_json(&json.replacen(from, to, 1)), None, "{to}");
        }
        let summarised = Counts { queued: 18, summarised: 6, ..counts };
        let json = summarised.to_json();
        assert!(json.ends_with(r#","dropped_openings":1,"summarised":6}"#), "{json}");
        assert_eq!(Counts::from_json(&json), Some(Counts { queued: 11, ..summarised }));
        assert_eq!(summarised.waiting(), 7);
        let later = Counts { queued: 20, delivered: 10, ..counts };
        assert_eq!(later.since(counts), Counts { queued: 15, delivered: 7, ..Counts::default() });
    }
}
