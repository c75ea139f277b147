//! SIGTERM, SIGINT and SIGHUP as a descriptor (signalfd(2)), so that one wait covers them and a failure of a thread.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that stop or reload the program; their default actions are blocked.
#[derive(Debug)]
pub struct Signals(SignalFd);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The signal of this name asks to stop.
    Stop(&'static str),
    /// SIGHUP asks to read the configuration again.
    Reload,
    /// The other descriptor is readable.
    Other,
}

impl Signals {
    /// Blocks the signals for this thread and for those that it starts later. Call it before the first thread starts.
    ///
    /// # Errors
    /// `sigprocmask` or `signalfd4` fails.
    pub fn block() -> nix::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.add(Signal::SIGHUP);
        set.thread_block()?;
        Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// Waits for a signal, or for `other` to become readable.
    ///
    /// # Errors
    /// `poll` or the read of a signal fails.
    pub fn wait(&self, other: &impl AsFd) -> nix::Result<Woken> {
        loop {
            let mut both = [
                PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
                PollFd::new(other.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut both, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result?,
            };
            if let Some(signal) = self.0.read_signal()? {
                let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
                return Ok(match Signal::try_from(number) {
                    Ok(Signal::SIGHUP) => Woken::Reload,
                    signal => Woken::Stop(signal.map_or("signal", Signal::as_str)),
                });
            }
            if both[1].any() == Some(true) {
                return Ok(Woken::Other);
            }
        }
    }
}
