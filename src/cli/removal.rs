//! Sinks that a reload has removed. They are waited for on a thread of its own, since one of them may hang.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};

use traffic_alerted::alert::{Hurry, RemovedSinks, SinkResult};
use traffic_alerted::engine::SINK_SHUTDOWN_TIMEOUTS;
use traffic_alerted::sandbox::{self, ThreadKind};

use super::background::Background;

/// Sinks that make their last attempts. The descriptor becomes readable when they have ended.
pub(super) struct Removal {
    task: Background<Vec<SinkResult>>,
    hurry: Hurry,
}

impl Removal {
    /// Begins to wait for the sinks; `None` if there is none.
    ///
    /// # Errors
    /// The system refuses a thread, so the sinks had no time: what became of them.
    pub(super) fn begin(removed: RemovedSinks) -> Result<Option<Self>, Vec<SinkResult>> {
        if removed.is_empty() {
            return Ok(None);
        }
        let hurry = removed.hurry();
        // The thread takes them if it starts.
        let removed = Arc::new(Mutex::new(Some(removed)));
        let taken = Arc::clone(&removed);
        let wait = move || {
            sandbox::enter(ThreadKind::Records);
            wait_for(&taken)
        };
        match Background::start("removed-sinks", SINK_SHUTDOWN_TIMEOUTS.others, wait) {
            Ok(task) => Ok(Some(Self { task, hurry })),
            Err(_) => {
                hurry.now();
                Err(wait_for(&removed))
            }
        }
    }

    /// Returns what became of the sinks, which have ended if the descriptor is readable.
    pub(super) fn finish(self) -> Vec<SinkResult> {
        self.task.finish()
    }

    /// Aborts what the sinks do, and returns what became of them.
    pub(super) fn hurry(self) -> Vec<SinkResult> {
        self.hurry.now();
        self.task.finish()
    }
}

impl AsFd for Removal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.task.as_fd()
    }
}

fn wait_for(removed: &Mutex<Option<RemovedSinks>>) -> Vec<SinkResult> {
    // A panic of another thread ends the process.
    let removed = removed.lock().unwrap_or_else(PoisonError::into_inner).take();
    removed.map_or_else(Vec::new, |removed| removed.wait(SINK_SHUTDOWN_TIMEOUTS))
}
