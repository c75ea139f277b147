//! Signals to the thread of a sink that the program ends: the first ends its pauses and retries, the second aborts the
//! attempt that it waits for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys::waker::Waker;

/// Two eventfds that are signalled once and never reset, so that they are readable for threads that wait later.
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    last_attempts: Waker,
    now: Waker,
}

impl Shutdown {
    /// Creates both eventfds.
    ///
    /// # Errors
    /// The system cannot create a descriptor.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { last_attempts: Waker::new()?, now: Waker::new()? })
    }

    /// Allows only one more attempt for each notice that waits.
    pub(super) fn last_attempts(&self) {
        self.last_attempts.wake();
    }

    /// Aborts the attempts that can be aborted.
    pub(super) fn now(&self) {
        self.last_attempts.wake();
        self.now.wake();
    }

    /// Returns true after [`last_attempts`](Self::last_attempts): a failed attempt is the last one of its notice.
    pub(super) fn is_near(&self) -> bool {
        wait(&[self.last_attempts.as_fd()], Duration::ZERO)[0]
    }

    /// Waits for `pause`, or until [`last_attempts`](Self::last_attempts).
    pub(super) fn pause(&self, pause: Duration) {
        wait(&[self.last_attempts.as_fd()], pause);
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
        assert!(!shutdown.is_near());
        assert_eq!(shutdown.wait_for(other.as_fd(), Duration::ZERO), Waited::TooLong);
        shutdown.clone().last_attempts();
        assert!(shutdown.is_near());
        shutdown.pause(Duration::MAX);
        assert_eq!(shutdown.wait_for(other.as_fd(), Duration::from_millis(1)), Waited::TooLong);
        shutdown.now();
        assert_eq!(shutdown.wait_for(other.as_fd(), Duration::MAX), Waited::End);
        other.wake();
        assert_eq!(shutdown.wait_for(other.as_fd(), Duration::MAX), Waited::Ready);
    }
}
