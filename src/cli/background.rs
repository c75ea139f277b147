//! Work on a thread of its own, beside the thread that takes signals: what may hang must not keep a signal waiting.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use traffic_alerted::sys::waker::Waker;

/// Work that runs. Its descriptor becomes readable when it has ended.
#[derive(Debug)]
pub(super) struct Background<T> {
    thread: JoinHandle<T>,
    ended: Waker,
    /// The time from which the work takes longer than it should; `None` once that was said.
    deadline: Option<Instant>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts `work` on a thread of this name.
    ///
    /// # Errors
    /// The system refuses a thread or a descriptor.
    pub(super) fn start(
        name: &str,
        usual: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Self> {
        let ended = Waker::new()?;
        let waker = ended.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = work();
            waker.wake();
            result
        })?;
        Ok(Self { thread, ended, deadline: Some(Instant::now() + usual) })
    }

    /// Returns the result. Waits for the end of the work, which has come if the descriptor is readable.
    pub(super) fn finish(self) -> T {
        self.thread
            .join()
            .expect("a panic ends the whole process, so a thread that can be joined has returned")
    }
}

impl<T> Background<T> {
    /// Returns the time from which the work takes longer than it should.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Lets the work take as long as it wants.
    pub(super) fn go_on(&mut self) {
        self.deadline = None;
    }
}

impl<T> AsFd for Background<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}
