//! A sink whose queue is closed, and the wait for its end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::counters::{AtomicCounts, Counts, SinkName};
use super::queue::NoticeQueue;
use super::shutdown::Shutdown;

/// A sink whose queue is closed and whose last attempts are under way; `T` is what may replace the sink.
#[derive(Debug)]
pub(super) struct Closing<T> {
    pub(super) name: SinkName,
    pub(super) queue: Arc<NoticeQueue<T>>,
    pub(super) counters: Arc<AtomicCounts>,
    pub(super) before: Counts,
    /// True if what waits is delivered after the next start.
    pub(super) is_kept: bool,
    pub(super) shutdown: Shutdown,
    pub(super) end: EndChannel,
}

/// Tells whoever waits for the end of a sink why the wait is over.
#[derive(Debug)]
pub(super) struct EndChannel {
    pub(super) sender: Sender<WaitOver>,
    receiver: Receiver<WaitOver>,
}

impl EndChannel {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver }
    }
}

/// Why a wait for the end of a sink is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitOver {
    /// The thread of the sink has finished.
    Finished,
    /// There is no time to wait any longer.
    Hurry,
}

impl<T> Closing<T> {
    /// Returns what ends [`wait`](Self::wait) early if [`WaitOver::Hurry`] is sent.
    pub(super) fn hurry(&self) -> Sender<WaitOver> {
        self.end.sender.clone()
    }

    /// Waits for the thread for `longest` from `began`, or until [`WaitOver::Hurry`], then aborts the present attempt
    /// and waits for at most [`ABORT_TIMEOUT`]. A thread without a notice, which may hang in its preparations, has no
    /// more than [`IDLE_TIMEOUT`]. Returns what was counted since the start of the sink, and true if the thread
    /// finished in time or no notice waits.
    pub(super) fn wait(self, began: Instant, longest: Duration) -> (Counts, bool) {
        let has_nothing = || !self.queue.has_undone();
        let deadline = began + if has_nothing() { longest.min(IDLE_TIMEOUT) } else { longest };
        let is_done = |deadline: Instant| {
            let left = deadline.saturating_duration_since(Instant::now());
            self.end.receiver.recv_timeout(left) == Ok(WaitOver::Finished)
        };
        let in_time = is_done(deadline) || has_nothing();
        if !in_time {
            self.shutdown.now();
            let aborted = Instant::now() + ABORT_TIMEOUT;
            // A request to hurry may come meanwhile.
            while !is_done(aborted) && Instant::now() < aborted {}
        }
        (self.counters.read().since(self.before), in_time)
    }
}

/// How long the end of the program waits for the thread of a sink that has no notice to deliver.
const IDLE_TIMEOUT: Duration = Duration::from_millis(200);

/// How long the end of the program waits for an attempt that was aborted, such as a command whose processes are killed.
const ABORT_TIMEOUT: Duration = Duration::from_millis(200);
