//! How a sink's thread learns that the program ends: first that it must not pause any more, then that it must
//! let go of what it holds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys::waker::Waker;

/// Two bells that are rung once and never silenced, so that whoever waits later hears them too.
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    last_attempts: Waker,
    now: Waker,
}

impl Shutdown {
    /// # Errors
    /// There is no descriptor left for an eventfd.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { last_attempts: Waker::new()?, now: Waker::new()? })
    }

    /// From here on each notice that waits has one attempt.
    pub(super) fn last_attempts(&self) {
        self.last_attempts.wake();
    }

    /// From here on nobody waits for any attempt.
    pub(super) fn now(&self) {
        self.last_attempts.wake();
        self.now.wake();
    }

    /// Whether attempts that fail are given up.
    pub(super) fn is_near(&self) -> bool {
        wait(&[self.last_attempts.as_fd()], Duration::ZERO)[0]
    }

    /// Pauses, but not beyond the point where every pause ends.
    pub(super) fn pause(&self, pause: Duration) {
        wait(&[self.last_attempts.as_fd()], pause);
    }

    /// Waits for a descriptor, for at most so long and not beyond the end. Whether the descriptor is readable.
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
    /// Time was up.
    TooLong,
    /// The program ends.
    End,
}

/// Waits for a descriptor, whatever the program does. Whether it is readable.
pub(super) fn is_readable(descriptor: BorrowedFd<'_>, longest: Duration) -> bool {
    wait(&[descriptor], longest)[0]
}

/// Which of the descriptors are readable, after at most `longest`; none where poll itself fails, which it has
/// no reason to do. All signals are blocked in the threads that wait here.
fn wait(descriptors: &[BorrowedFd<'_>], longest: Duration) -> Vec<bool> {
    let mut polled: Vec<_> = descriptors.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    // Rounded up, so that no pause is shorter than asked for.
    let ms = longest.as_nanos().div_ceil(1_000_000);
    let timeout = i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok());
    let _ = poll(&mut polled, timeout.unwrap_or(PollTimeout::MAX));
    polled.iter().map(|fd| fd.any() == Some(true)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_rang_is_heard_by_who_comes_later() {
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
