//! The end of a replay by SIGINT or SIGTERM: with the sums so far.
//!
//! Both signals are blocked, and a thread reads them from a descriptor (signalfd(2)). The first one sets a flag, which
//! is tested once per batch, and makes an eventfd readable, so that a wait for a pipe ends. The second one ends the
//! process, as it would without this.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys::waker::Waker;

/// Tells whether a replay is to end. Clones are the same interrupt.
#[derive(Clone, Debug)]
pub struct Interrupt {
    signal: Arc<OnceLock<&'static str>>,
    waker: Waker,
}

impl Interrupt {
    /// Blocks SIGINT and SIGTERM for this thread and for those that it starts later, and starts the thread that waits
    /// for them. It must be called before the first thread starts.
    ///
    /// # Errors
    /// `sigprocmask`, `signalfd4` or `eventfd2` fails, or the system refuses a thread.
    pub fn on_signals() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGTERM);
        set.add(Signal::SIGINT);
        set.thread_block()?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
        let interrupt = Self { signal: Arc::default(), waker: Waker::new()? };
        let ours = interrupt.clone();
        thread::Builder::new().name("signals".into()).spawn(move || ours.wait(&signals, &set))?;
        Ok(interrupt)
    }

    /// Returns the name of the signal that came; `None` if none came.
    #[inline]
    pub fn signal(&self) -> Option<&'static str> {
        self.signal.get().copied()
    }

    fn wait(&self, signals: &SignalFd, set: &SigSet) {
        loop {
            let number = match signals.read_signal() {
                Ok(Some(signal)) => i32::try_from(signal.ssi_signo).unwrap_or_default(),
                Ok(None) | Err(Errno::EINTR) => continue,
                // It does not fail otherwise (signalfd(2)). The signals are unblocked nowhere, so SIGKILL remains.
                Err(_) => return,
            };
            let signal = Signal::try_from(number).unwrap_or(Signal::SIGTERM);
            if self.signal.set(signal.as_str()).is_err() {
                // This is the second one. If its default action did not end the process, the next one would.
                let _ = set.thread_unblock().and_then(|()| raise(signal));
            }
            self.waker.wake();
        }
    }

    /// Opens what is not a regular file, so that waiting for it ends when a signal comes; `-` is standard input.
    /// Returns `None` for a regular file, which is read without waiting, and for one that cannot be opened.
    pub(super) fn open_pipe(&self, path: &Path) -> Option<InterruptibleReader> {
        let file: File = if path == Path::new("-") {
            io::stdin().as_fd().try_clone_to_owned().ok()?.into()
        } else if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            // Opening a named pipe would wait for its writer (fifo(7)).
            OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).ok()?
        } else {
            return None;
        };
        Some(InterruptibleReader { file, interrupt: self.clone() })
    }
}

/// A pipe or device that ends when a signal comes.
#[derive(Debug)]
pub(super) struct InterruptibleReader {
    file: File,
    interrupt: Interrupt,
}

impl Read for InterruptibleReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut both = [
                PollFd::new(self.file.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.interrupt.waker.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut both, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                result => result?,
            };
            if self.interrupt.signal().is_some() {
                return Ok(0);
            }
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}
