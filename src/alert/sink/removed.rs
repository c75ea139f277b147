//! Sinks that are no longer in use and make their last attempts.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use super::closing::{Closing, WaitOver};
use super::counters::{Counts, SinkName};
use super::worker::{SinkSetup, SinkWorker};

/// What a sink has counted until its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkResult {
    /// The sink.
    pub sink: SinkName,
    /// Its counters since the start of the program.
    pub counts: Counts,
    /// True if every notice in its queue was delivered, given up or left for the next start before the timeout.
    pub in_time: bool,
    /// True if what waits is in the outbox and is delivered after the next start; otherwise it is lost.
    pub is_kept: bool,
}

/// How long the end of sinks is waited for, from the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownTimeouts {
    /// For the log, which writes a line at once or hangs.
    pub log: Duration,
    /// For sinks that wait for a disk, a program or a network.
    pub others: Duration,
}

/// Sinks that make a last attempt for each notice that waits. If a reload has removed them, what they cannot deliver
/// then is given up.
#[derive(Debug)]
pub struct RemovedSinks {
    closing: Vec<Closing<SinkSetup>>,
}

impl RemovedSinks {
    /// Closes the queues of these sinks.
    pub(super) fn close(workers: Vec<SinkWorker>, is_removed: bool) -> Self {
        Self { closing: workers.into_iter().map(|worker| worker.close(is_removed)).collect() }
    }

    /// Returns true if there is none.
    pub fn is_empty(&self) -> bool {
        self.closing.is_empty()
    }

    /// Returns what ends [`wait`](Self::wait) early.
    pub fn hurry(&self) -> Hurry {
        Hurry(self.closing.iter().map(Closing::hurry).collect())
    }

    /// Waits for the sinks until the timeouts, counted from now, then aborts their attempts. Returns what became of
    /// each.
    pub fn wait(self, timeouts: ShutdownTimeouts) -> Vec<SinkResult> {
        let began = Instant::now();
        let finished = self.closing.into_iter().map(|closing| {
            let (sink, is_kept) = (closing.name, closing.is_kept);
            let longest = if sink == SinkName::Log { timeouts.log } else { timeouts.others };
            let (counts, in_time) = closing.wait(began, longest);
            SinkResult { sink, counts, in_time, is_kept }
        });
        finished.collect()
    }
}

/// Ends a wait for sinks early.
#[derive(Debug)]
pub struct Hurry(Vec<Sender<WaitOver>>);

impl Hurry {
    /// Lets [`RemovedSinks::wait`] abort the present attempts and return.
    pub fn now(&self) {
        for sender in &self.0 {
            // Nobody waits any more.
            let _ = sender.send(WaitOver::Hurry);
        }
    }
}
