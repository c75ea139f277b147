//! Reads SIGTERM, SIGINT and SIGHUP from a descriptor (signalfd(2)), so that one wait ends for a signal and for the
//! failure of a thread.

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
pub enum WakeReason {
    /// The signal of this name, which stops the program.
    Stop(&'static str),
    /// SIGHUP, which makes the program read its configuration again.
    Reload,
    /// A thread has failed: the descriptor of failures is readable.
    ThreadFailed,
}

impl Signals {
    /// Blocks the signals for this thread and for those that it starts later. It must be called before the first thread
    /// starts.
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

    /// Waits until a signal comes or `failure` becomes readable, as that of [`RunningEngine`](super::RunningEngine)
    /// does.
    ///
    /// # Errors
    /// `poll` or the read of a signal fails.
    pub fn wait(&self, failure: &impl AsFd) -> nix::Result<WakeReason> {
        loop {
            let mut both = [
                PollFd::new(self.0.as_fd(), PollFlags::POLLIN),
                PollFd::new(failure.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut both, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result?,
            };
            if let Some(signal) = self.0.read_signal()? {
                let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
                return Ok(match Signal::try_from(number) {
                    Ok(Signal::SIGHUP) => WakeReason::Reload,
                    signal => WakeReason::Stop(signal.map_or("signal", Signal::as_str)),
                });
            }
            if both[1].any() == Some(true) {
                return Ok(WakeReason::ThreadFailed);
            }
        }
    }
}
