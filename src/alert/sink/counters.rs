//! The counters of the notices of each sink. The threads of the sinks write them and any thread reads them, without a
//! lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::sandbox::ThreadKind;

/// The kinds of sinks.
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

/// The counters of one sink since the start. Every notice either was dropped or is queued, and a queued notice was
/// delivered, has failed or waits: `queued = delivered + failed + waiting`.
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
}

impl Counts {
    /// Returns the number of notices that were given up or dropped.
    pub fn lost(self) -> u64 {
        self.failed + self.dropped
    }

    /// Returns the number of notices that wait or are being delivered.
    pub fn waiting(self) -> u64 {
        self.queued.saturating_sub(self.delivered + self.failed)
    }
}

/// The counters of all configured sinks. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct SinkCounters(Arc<[(SinkName, AtomicCounts)]>);

impl SinkCounters {
    pub(super) fn new(sinks: impl Iterator<Item = SinkName>) -> Self {
        Self(sinks.map(|sink| (sink, AtomicCounts::default())).collect())
    }

    /// Returns each sink with the present values of its counters.
    pub(crate) fn each(&self) -> impl Iterator<Item = (SinkName, Counts)> + '_ {
        self.0.iter().map(|(sink, cells)| (*sink, cells.read()))
    }

    pub(super) fn of(&self, index: usize) -> SinkCell {
        SinkCell { all: self.clone(), index }
    }
}

/// A handle to the counters of one sink.
#[derive(Clone, Debug)]
pub(super) struct SinkCell {
    all: SinkCounters,
    index: usize,
}

impl SinkCell {
    pub(super) fn cells(&self) -> &AtomicCounts {
        let (_, cells) = &self.all.0[self.index];
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

    /// Counts a notice as dropped that was counted as queued before the queue turned out to be full.
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
        // The outcomes are loaded before `queued`: a notice that is delivered meanwhile counts as waiting, and the sum
        // of the outcomes never exceeds `queued`.
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
