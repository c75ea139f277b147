//! Reads SIGTERM, SIGINT and SIGHUP from a descriptor (signalfd(2)), so that one wait ends for a signal, for the
//! failure of a thread and for the end of a task.
//!
//! Other signals that would end the program without a reason are blocked. Those that are left to their default action
//! are meant to end it or to stop it: SIGQUIT and SIGABRT (a core dump), SIGXCPU (a limit of the operator on CPU time),
//! SIGTSTP, SIGTTIN and SIGTTOU (job control of a shell), and the faults of a program. Rust ignores SIGPIPE.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

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
    /// The descriptor of a task is readable.
    TaskEnded,
    /// The helper process has ended: its descriptor is readable.
    HelperEnded,
    /// The deadline is over.
    DeadlineOver,
}

/// What [`Signals::wait`] waits for besides signals; what is `None` never comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitFor<'a> {
    /// Becomes readable when a thread has failed, as that of [`RunningEngine`](super::RunningEngine) does.
    pub failure: Option<BorrowedFd<'a>>,
    /// Becomes readable when a task has ended.
    pub task: Option<BorrowedFd<'a>>,
    /// Becomes readable when the helper process has ended.
    pub helper: Option<BorrowedFd<'a>>,
    /// The time at which the wait ends.
    pub deadline: Option<Instant>,
}

/// Blocks the signals that would end the program although nobody wants that: SIGXFSZ, which a write beyond RLIMIT_FSIZE
/// raises beside its error EFBIG, and those that programs send to each other by habit, as rules for the rotation of
/// logs send SIGUSR1. Threads that start later inherit this; programs of `AlertCommand` do not.
///
/// # Errors
/// `pthread_sigmask` fails.
pub fn block_stray_signals() -> nix::Result<()> {
    STRAY.iter().copied().collect::<SigSet>().thread_block()
}

/// The signals that are blocked and never read.
const STRAY: [Signal; 7] = [
    Signal::SIGXFSZ,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGVTALRM,
    Signal::SIGIO,
    Signal::SIGPWR,
];

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

    /// Waits until a signal comes, a descriptor becomes readable or the deadline is over; a signal comes first.
    ///
    /// # Errors
    /// `poll` or the read of a signal fails.
    pub fn wait(&self, other: WaitFor<'_>) -> nix::Result<WakeReason> {
        // A descriptor that is not there is that of the signals a second time.
        let signals = self.0.as_fd();
        loop {
            let others = [other.failure, other.task, other.helper].map(|fd| fd.unwrap_or(signals));
            let [failure, task, helper] = others;
            let mut all = [signals, failure, task, helper].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            let left = other.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match poll(&mut all, left.map_or(PollTimeout::NONE, timeout)) {
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
            let is_readable = |index: usize| all[index].any() == Some(true);
            if other.failure.is_some() && is_readable(1) {
                return Ok(WakeReason::ThreadFailed);
            }
            if other.task.is_some() && is_readable(2) {
                return Ok(WakeReason::TaskEnded);
            }
            if other.helper.is_some() && is_readable(3) {
                return Ok(WakeReason::HelperEnded);
            }
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(WakeReason::DeadlineOver);
            }
        }
    }
}

/// Returns a timeout of poll(2), which is in milliseconds: at least one, unless the time is over, and at most a day.
fn timeout(left: Duration) -> PollTimeout {
    let ms = left.as_nanos().div_ceil(1_000_000).min(86_400_000);
    i32::try_from(ms).ok().and_then(|ms| PollTimeout::try_from(ms).ok()).unwrap_or(PollTimeout::ZERO)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use nix::sys::signal::raise;

    use super::*;
    use crate::sys::waker::Waker;

    /// Signals of one thread only, so that they reach no other test.
    #[test]
    fn a_signal_ends_a_wait_for_a_task_that_hangs_and_stray_signals_end_nothing() {
        let test = thread::spawn(|| {
            block_stray_signals().expect("they may be blocked");
            STRAY.iter().for_each(|signal| raise(*signal).expect("it is this thread"));
            let signals = Signals::block().expect("they may be blocked");
            let [failure, task, helper] = [(); 3].map(|()| Waker::new().expect("a descriptor"));
            let other = WaitFor {
                failure: Some(failure.as_fd()),
                task: Some(task.as_fd()),
                helper: Some(helper.as_fd()),
                deadline: Some(Instant::now()),
            };
            let mut seen = vec![signals.wait(other).expect("it waits")];
            for signal in [Signal::SIGHUP, Signal::SIGTERM] {
                raise(signal).expect("it is this thread");
                seen.push(signals.wait(WaitFor { deadline: None, ..other }).expect("it waits"));
            }
            helper.wake();
            seen.push(signals.wait(WaitFor { deadline: None, ..other }).expect("it waits"));
            task.wake();
            seen.push(signals.wait(WaitFor { deadline: None, ..other }).expect("it waits"));
            failure.wake();
            seen.push(signals.wait(other).expect("it waits"));
            seen
        });
        let seen = test.join().expect("it returns");
        let stop = WakeReason::Stop("SIGTERM");
        assert_eq!(
            seen,
            [
                WakeReason::DeadlineOver,
                WakeReason::Reload,
                stop,
                WakeReason::HelperEnded,
                WakeReason::TaskEnded,
                WakeReason::ThreadFailed
            ]
        );
    }
}
