//! Wakes a thread that waits in poll(2), epoll or io_uring: an eventfd behind a handle that can be cloned.
//!
//! It knows nothing of why the thread is woken; that is a flag or a cell of the caller. Source: eventfd(2).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Wakes one waiting thread from any other. Several notifications before the wait count as one.
///
/// Each waiting thread needs a waker of its own, since the first one that wakes clears it.
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

    /// Clears the eventfd, notified or not.
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
