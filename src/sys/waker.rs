//! A bell that ends another thread's wait: an eventfd behind a handle that can be cloned.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Ends one thread's wait from any other. Ringing it twice before the wait is ringing it once.
///
/// Each waiting thread needs its own: the first that hears the bell stops it.
#[derive(Clone, Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Makes a silent bell.
    ///
    /// # Errors
    /// `eventfd(2)` was refused, for want of descriptors.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    /// Rings. One `write(2)`, so a signal handler may do it.
    pub fn wake(&self) {
        // The one way to fail is a counter at its maximum, and then the bell is ringing already.
        let _ = self.0.write(1);
    }

    /// Stops the bell; says nothing of whether it rang.
    pub fn clear(&self) {
        // It fails where the bell is silent, which is what was asked for.
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
