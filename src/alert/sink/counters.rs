//! How many notices each sink was given, and what became of them. Written by the sinks' threads, read by
//! anyone, without a lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The places that alerts go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// The configuration key that it comes from; the log, which is always there, has none.
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

/// What one sink has done since the start. Every notice that it was given is in exactly one of `delivered`,
/// `failed`, `dropped`, or it waits: `queued = delivered + failed + waiting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Notices that its queue took.
    pub queued: u64,
    /// Of those, notices that arrived.
    pub delivered: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// Notices that were given up.
    pub failed: u64,
    /// Notices that its queue had no room for.
    pub dropped: u64,
}

impl Counts {
    /// Notices that did not arrive and never will.
    pub fn lost(self) -> u64 {
        self.failed + self.dropped
    }

    /// Notices that are still in its hands.
    pub fn waiting(self) -> u64 {
        self.queued.saturating_sub(self.delivered + self.failed)
    }
}

/// The counters of all sinks that are configured. Clones show the same numbers.
#[derive(Clone, Debug)]
pub struct SinkCounters(Arc<[(SinkName, AtomicCounts)]>);

impl SinkCounters {
    pub(super) fn new(sinks: impl Iterator<Item = SinkName>) -> Self {
        Self(sinks.map(|sink| (sink, AtomicCounts::default())).collect())
    }

    /// Each sink with its numbers of now.
    pub fn each(&self) -> impl Iterator<Item = (SinkName, Counts)> + '_ {
        self.0.iter().map(|(sink, cells)| (*sink, cells.read()))
    }

    pub(super) fn of(&self, place: usize) -> SinkCell {
        SinkCell { all: self.clone(), place }
    }
}

/// The counters of one sink among all.
#[derive(Clone, Debug)]
pub(super) struct SinkCell {
    all: SinkCounters,
    place: usize,
}

impl SinkCell {
    pub(super) fn cells(&self) -> &AtomicCounts {
        let (_, cells) = &self.all.0[self.place];
        cells
    }

    pub(super) fn read(&self) -> Counts {
        self.cells().read()
    }
}

#[derive(Debug, Default)]
pub(super) struct AtomicCounts {
    queued: AtomicU64,
    delivered: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

impl AtomicCounts {
    pub(super) fn count_queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back what was counted as queued and was not.
    pub(super) fn count_dropped(&self) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_delivered(&self, notices: usize) {
        self.delivered.fetch_add(notices as u64, Ordering::Relaxed);
    }

    pub(super) fn count_retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failed(&self, notices: usize) {
        self.failed.fetch_add(notices as u64, Ordering::Relaxed);
    }

    fn read(&self) -> Counts {
        // First the ends, then the beginning: what moves on meanwhile is seen as waiting, not as too many.
        let delivered = self.delivered.load(Ordering::Acquire);
        let failed = self.failed.load(Ordering::Acquire);
        Counts {
            delivered,
            failed,
            retried: self.retried.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            queued: self.queued.load(Ordering::Relaxed),
        }
    }
}
