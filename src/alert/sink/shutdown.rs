//! The signal to the thread of a sink that its time is over: it aborts the attempt that the thread waits for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys::waker::Waker;

/// An eventfd that is signalled once and never reset, so that it is readable for threads that wait later.
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    now: Waker,
}

impl Shutdown {
    /// Creates the eventfd.
    ///
    /// # Errors
    /// The system cannot create a descriptor.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { now: Waker::new()? })
    }

    /// Aborts the attempts that can be aborted.
    pub(super) fn now(&self) {
        self.now.wake();
    }

    /// Returns true after [`now`](Self::now).
    pub(super) fn is_now(&self) -> bool {
        wait(&[self.now.as_fd()], Duration::ZERO)[0]
    }

    /// Waits until the descriptor is readable, until [`now`](Self::now), or for at most `longest`. Returns which of
    /// these ended the wait.
    pub(super) fn wait_for(&self, descriptor: BorrowedFd<'_>, longest: Duration) -> Waited {
        match wait(&[descriptor, self.now.as_fd()], longest)[..] {
            [true, _] => Waited::Ready,
            [_, true] => Waited::End,
            _ => Waited::TooLong,
        }
    }
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The descriptor is readable.
    Ready,
    /// The longest time has passed.
    TooLong,
    /// The attempt is to be aborted, because the program ends.
    End,
}

/// Waits until the descriptor is readable, for at most `longest`, also while the program ends. Returns true if it is
/// readable.
pub(super) fn is_readable(descriptor: BorrowedFd<'_>, longest: Duration) -> bool {
    wait(&[descriptor], longest)[0]
}

/// Waits until a descriptor is readable, for at most `longest`. Returns for each descriptor whether it is readable;
/// false for all if poll(2) fails, or is interrupted by a signal, which the threads of the sinks block.
pub(super) fn wait(descriptors: &[BorrowedFd<'_>], longest: Duration) -> Vec<bool> {
    let mut polled: Vec<_> = descriptors.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    // The time is rounded up, so that no pause is shorter than requested.
    let ms = longest.as_nanos().div_ceil(1_000_000);
    let timeout = i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok());
    let _ = poll(&mut polled, timeout.unwrap_or(PollTimeout::MAX));
    polled.iter().map(|fd| fd.any() == Some(true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_stays_readable_for_later_waits() {
        let shutdown = Shutdown::new().expect("descriptors");
        let other = Waker::new().expect("a descriptor");
        assert!(!shutdown.is_now());
        assert_eq!(shutdown.wait_for(other.as_fd(), Duration::from_millis(1)), Waited::TooLong);
        shutdown.clone().now();
        assert!(shutdown.is_now());
        assert_eq!(shutdown.wait_for(other.as_fd(), Duration::MAX), Waited::End);
        other.wake();
        assert_eq!(shutdown.wait_for(other.as_fd(), Duration::MAX), Waited::Ready);
    }
}
