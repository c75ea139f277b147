//! Wakes a thread that waits in poll(2), epoll or io_uring, with an eventfd in a handle that can be cloned.
//!
//! A waker does not state why the thread is woken; the caller keeps that in a flag or a cell. Source: eventfd(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Wakes one waiting thread from any other. Several notifications before the wait count as one.
///
/// Each waiting thread needs a waker of its own, since a thread that wakes clears it.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Creates a waker that is not notified.
    ///
    /// # Errors
    /// `eventfd(2)` failed because the process has no free descriptor.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    /// Notifies the eventfd. It is one `write(2)`, which is async-signal-safe.
    pub fn wake(&self) {
        // It fails only if the counter is at its maximum, and then the eventfd is readable already.
        let _ = self.0.write(1);
    }

    /// Clears the eventfd. This has no effect if it was not notified.
    pub fn clear(&self) {
        // It fails with EAGAIN if nothing was notified, and then there is nothing to clear.
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
