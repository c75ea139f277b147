//! Where a worker waits: until its ring has a block, its bell rings, or time is up.
//!
//! On io_uring it is one system call per wake-up: a multishot poll on the packet socket and on the waker's
//! eventfd stays armed in the kernel, and waiting, with its timeout, is one `io_uring_enter`. Frames do not go
//! through it; the mapped ring has made receive calls unnecessary already. Where io_uring is refused (seccomp in
//! containers, `kernel.io_uring_disabled`), the same wait runs on epoll, and [`WaitPoint`] says why.
//!
//! **Contract: drain until `None` before waiting.** The kernel signals when it closes a block, not while one is
//! left over, so whoever waits with a block unread may sleep through it until the next one closes.
//!
//! Build a [`Poller`] on the thread that waits: the leanest mode of io_uring binds itself to its first user.
//!
//! Sources: io_uring_setup(2), io_uring_enter(2), `packet_poll` in `net/packet/af_packet.c`.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, types};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::packet_socket::PacketSocket;
use super::waker::Waker;

/// What to wait on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollerChoice {
    /// io_uring, and epoll where that is refused.
    Auto,
    /// io_uring or an error.
    IoUring,
    /// epoll.
    Epoll,
}

/// What a [`Poller`] waits on, and why it is not io_uring if that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitPoint {
    /// What it is.
    pub mechanism: Mechanism,
    /// Why io_uring was refused, in words; `None` where it was not, or not tried.
    pub refusal: Option<String>,
}

/// The two ways to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// io_uring with multishot polls.
    IoUring,
    /// epoll.
    Epoll,
}

impl Mechanism {
    /// The name used in the log and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

impl fmt::Display for WaitPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mechanism.name())?;
        match &self.refusal {
            Some(refusal) => write!(f, " (io_uring was refused: {refusal})"),
            None => Ok(()),
        }
    }
}

/// What ended a wait; nothing set means that time was up, or a signal came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The ring may have a closed block.
    pub ring: bool,
    /// The socket has an error pending.
    pub socket_error: bool,
    /// The bell rang; it is silent again.
    pub woken: bool,
}

/// Waits on one packet socket and one waker.
pub struct Poller {
    backend: Backend,
    // Both are kept for as long as their descriptors are polled.
    socket: Arc<PacketSocket>,
    waker: Waker,
    wait_point: WaitPoint,
}

impl Poller {
    /// Sets up the wait, on the thread that is going to wait.
    ///
    /// # Errors
    /// What the chosen mechanism's set-up said; with [`PollerChoice::Auto`] what epoll said.
    pub fn new(socket: Arc<PacketSocket>, waker: Waker, choice: PollerChoice) -> io::Result<Self> {
        let mut refusal = None;
        let backend = match choice {
            PollerChoice::IoUring => Backend::IoUring(Box::new(uring_wait(&socket, &waker)?)),
            PollerChoice::Epoll => Backend::Epoll(EpollWait::new(&socket, &waker)?),
            PollerChoice::Auto => match uring_wait(&socket, &waker) {
                Ok(uring) => Backend::IoUring(Box::new(uring)),
                Err(error) => {
                    refusal = Some(explain(&error));
                    Backend::Epoll(EpollWait::new(&socket, &waker)?)
                }
            },
        };
        let mechanism = match backend {
            Backend::IoUring(_) => Mechanism::IoUring,
            Backend::Epoll(_) => Mechanism::Epoll,
        };
        Ok(Self { backend, socket, waker, wait_point: WaitPoint { mechanism, refusal } })
    }

    /// What was chosen, and why.
    pub fn wait_point(&self) -> &WaitPoint {
        &self.wait_point
    }

    /// Waits until the ring has a block, the waker rings, `timeout` has passed or a signal comes. `None` waits
    /// without end. It may return early with nothing to do.
    ///
    /// Take blocks until there is none before waiting.
    ///
    /// # Errors
    /// What io_uring or epoll said; another wait will not do better.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Ready> {
        let ready = match &mut self.backend {
            Backend::IoUring(uring) => {
                uring.wait(self.socket.as_fd().as_raw_fd(), self.waker.as_fd().as_raw_fd(), timeout)?
            }
            Backend::Epoll(epoll) => epoll.wait(timeout)?,
        };
        if ready.woken {
            self.waker.clear();
        }
        Ok(ready)
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("wait_point", &self.wait_point).finish_non_exhaustive()
    }
}

enum Backend {
    // Boxed: it is ten times the size of the other.
    IoUring(Box<UringWait>),
    Epoll(EpollWait),
}

/// Marks a completion or an epoll entry as the packet socket's.
const RING: u64 = 0;
/// Marks it as the waker's.
const WAKER: u64 = 1;
/// Added to a mark: the completion belongs to a poll that was to stay armed.
const MULTISHOT: u64 = 2;

/// The leanest that this kernel has.
fn uring_wait(socket: &PacketSocket, waker: &Waker) -> io::Result<UringWait> {
    UringWait::new(setup_leanest()?, socket.as_fd().as_raw_fd(), waker.as_fd().as_raw_fd())
}

struct UringWait {
    ring: IoUring,
    /// Whether the poll of the socket and of the waker is in the kernel, by mark.
    armed: [bool; 2],
    /// Linux before 5.13 knows one-shot polls only; they are armed again for each wait.
    multishot: bool,
}

impl UringWait {
    fn new(ring: IoUring, socket: RawFd, waker: RawFd) -> io::Result<Self> {
        if !ring.params().is_feature_ext_arg() {
            // Without it the timeout would be a request of its own, to be cancelled: epoll is simpler.
            return Err(io::Error::other("Linux before 5.11 has no timeout in io_uring_enter"));
        }
        let mut uring = Self { ring, armed: [false; 2], multishot: true };
        // Sent now and not at the first wait: a sandbox may allow the set-up and refuse the entry.
        uring.arm([socket, waker])?;
        uring.ring.submit()?;
        Ok(uring)
    }

    fn wait(&mut self, socket: RawFd, waker: RawFd, timeout: Option<Duration>) -> io::Result<Ready> {
        self.arm([socket, waker])?;
        let timespec = timeout.map(types::Timespec::from);
        let mut limits = types::SubmitArgs::new();
        if let Some(timespec) = &timespec {
            limits = limits.timespec(timespec);
        }
        match self.ring.submitter().submit_with_args(1, &limits) {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // Time was up, a signal came, or completions must be taken before more is submitted.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY) => {}
                _ => return Err(error),
            },
        }
        self.take_completions()
    }

    fn take_completions(&mut self) -> io::Result<Ready> {
        let mut ready = Ready::default();
        for completion in self.ring.completion() {
            let mark = completion.user_data() & !MULTISHOT;
            if !cqueue::more(completion.flags()) {
                self.armed[usize::from(mark == WAKER)] = false;
            }
            let Ok(bits) = u32::try_from(completion.result()) else {
                let error = -completion.result();
                if error == libc::EINVAL && completion.user_data() & MULTISHOT != 0 {
                    // The kernel does not know multishot polls; the next wait arms a one-shot poll.
                    self.multishot = false;
                    continue;
                }
                return Err(io::Error::from_raw_os_error(error));
            };
            match mark {
                WAKER => ready.woken = true,
                _ => {
                    ready.ring = true;
                    ready.socket_error |= bits & libc::POLLERR as u32 != 0;
                }
            }
        }
        Ok(ready)
    }

    /// Puts the polls that are not in the kernel into the submission queue.
    fn arm(&mut self, descriptors: [RawFd; 2]) -> io::Result<()> {
        for (mark, fd) in [RING, WAKER].into_iter().zip(descriptors) {
            let armed = &mut self.armed[usize::from(mark == WAKER)];
            if *armed {
                continue;
            }
            let poll = opcode::PollAdd::new(types::Fd(fd), (libc::POLLIN | libc::POLLERR) as u32)
                .multi(self.multishot)
                .build()
                .user_data(if self.multishot { mark | MULTISHOT } else { mark });
            // SAFETY: `push` wants everything that the entry points to to stay valid until it completes. A poll
            // points to nothing; its descriptor is a number that the kernel resolves when it is submitted.
            let pushed = unsafe { self.ring.submission().push(&poll) };
            pushed.map_err(|_| io::Error::other("the submission queue is full with two requests in it"))?;
            *armed = true;
        }
        Ok(())
    }
}

/// Room for both polls of a waker and a socket, twice.
const SUBMISSION_ENTRIES: u32 = 8;
/// Completions wait here while the worker walks blocks; one per closed block.
const COMPLETION_ENTRIES: u32 = 64;

/// How completions come about: the modes of io_uring from the leanest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UringMode {
    /// When they are asked for, and by one thread alone (Linux 6.1).
    Deferred,
    /// Without an interrupt (5.19).
    Cooperative,
    /// As they come.
    Plain,
}

impl UringMode {
    const LADDER: [Self; 3] = [Self::Deferred, Self::Cooperative, Self::Plain];

    fn set_up(self) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(COMPLETION_ENTRIES);
        match self {
            Self::Deferred => builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all(),
            Self::Cooperative => builder.setup_coop_taskrun().setup_submit_all(),
            Self::Plain => &mut builder,
        };
        builder.build(SUBMISSION_ENTRIES)
    }
}

/// The leanest mode that this kernel has.
pub(super) fn setup_leanest() -> io::Result<IoUring> {
    climb_down(UringMode::set_up)
}

/// The first mode of which `set_up` does not say that a flag is unknown (`EINVAL`). Anything else would be said of
/// every mode.
fn climb_down<T>(set_up: impl Fn(UringMode) -> io::Result<T>) -> io::Result<T> {
    let is_unknown = |error: &io::Error| error.raw_os_error() == Some(libc::EINVAL);
    let [leaner @ .., plain] = UringMode::LADDER;
    for mode in leaner {
        match set_up(mode) {
            Err(error) if is_unknown(&error) => {}
            settled => return settled,
        }
    }
    set_up(plain)
}

/// An io_uring failure with its likely cause.
pub(super) fn explain(error: &io::Error) -> String {
    let cause = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "a sandbox, or kernel.io_uring_disabled, forbids it",
        Some(libc::ENOSYS) => "this kernel was built without it",
        Some(libc::ENOMEM) => "the memory limit RLIMIT_MEMLOCK is too small for it",
        _ => return error.to_string(),
    };
    format!("{error}: {cause}")
}

struct EpollWait(Epoll);

impl EpollWait {
    fn new(socket: &PacketSocket, waker: &Waker) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, RING))?;
        epoll.add(waker, EpollEvent::new(EpollFlags::EPOLLIN, WAKER))?;
        Ok(Self(epoll))
    }

    fn wait(&self, timeout: Option<Duration>) -> io::Result<Ready> {
        let mut entries = [EpollEvent::empty(); 2];
        let count = match self.0.wait(&mut entries, epoll_timeout(timeout)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut ready = Ready::default();
        for entry in &entries[..count] {
            match entry.data() {
                WAKER => ready.woken = true,
                _ => {
                    ready.ring = true;
                    ready.socket_error |= entry.events().contains(EpollFlags::EPOLLERR);
                }
            }
        }
        Ok(ready)
    }
}

/// Milliseconds, rounded up: rounded down, the last part of a millisecond would be spent spinning.
fn epoll_timeout(timeout: Option<Duration>) -> EpollTimeout {
    let Some(timeout) = timeout else { return EpollTimeout::NONE };
    let ms = timeout.as_nanos().div_ceil(1_000_000);
    i32::try_from(ms).ok().and_then(|ms| EpollTimeout::try_from(ms).ok()).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_climbed_down_while_flags_are_unknown() {
        let unknown = || io::Error::from_raw_os_error(libc::EINVAL);
        for (known, expected) in UringMode::LADDER.iter().enumerate() {
            let set_up = |mode| if mode == UringMode::LADDER[known] { Ok(mode) } else { Err(unknown()) };
            assert_eq!(climb_down(set_up).unwrap(), *expected);
        }
        assert_eq!(
            climb_down(|_| Err::<UringMode, _>(unknown())).unwrap_err().raw_os_error(),
            Some(libc::EINVAL)
        );
        // What forbids one forbids all.
        let tried = std::cell::Cell::new(0);
        let forbidden = climb_down(|_| {
            tried.set(tried.get() + 1);
            Err::<UringMode, _>(io::Error::from_raw_os_error(libc::EPERM))
        });
        assert_eq!((forbidden.unwrap_err().raw_os_error(), tried.get()), (Some(libc::EPERM), 1));
    }

    /// Every step of the ladder, and polls that must be armed again each time, as before Linux 5.13. A second bell
    /// stands for the packet socket.
    #[test]
    fn every_mode_waits_the_same() {
        const LONG: Option<Duration> = Some(Duration::from_secs(20));
        const SHORT: Option<Duration> = Some(Duration::from_millis(1));
        for (mode, multishot) in UringMode::LADDER.into_iter().flat_map(|mode| [(mode, true), (mode, false)])
        {
            let (socket, waker) = (Waker::new().unwrap(), Waker::new().unwrap());
            let fds = [socket.as_fd().as_raw_fd(), waker.as_fd().as_raw_fd()];
            let mut uring = match mode.set_up() {
                Ok(ring) => UringWait::new(ring, fds[0], fds[1]).unwrap(),
                // The ladder would go on from here.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) && mode != UringMode::Plain => {
                    continue;
                }
                Err(error) => panic!("{mode:?}: {}", explain(&error)),
            };
            uring.multishot = multishot;
            for turn in 0..3 {
                let about = format!("{mode:?} {multishot} {turn}");
                assert_eq!(
                    uring.wait(fds[0], fds[1], SHORT).unwrap(),
                    Ready::default(),
                    "{about}: time is up"
                );
                socket.wake();
                let ready = uring.wait(fds[0], fds[1], LONG).unwrap();
                assert_eq!(ready, Ready { ring: true, ..Ready::default() }, "{about}: the ring");
                socket.clear();
                let other = waker.clone();
                let rings = std::thread::spawn(move || other.wake());
                let mut ready = Ready::default();
                while !ready.woken {
                    ready = uring.wait(fds[0], fds[1], LONG).unwrap();
                }
                rings.join().unwrap();
                waker.clear();
                // A poll that is not multishot sees the bell once more if it was armed while it rang.
                while uring.wait(fds[0], fds[1], SHORT).unwrap() != Ready::default() {}
            }
        }
    }

    #[test]
    fn epoll_waits_at_least_as_long_as_asked() {
        assert_eq!(epoll_timeout(None), EpollTimeout::NONE);
        assert_eq!(epoll_timeout(Some(Duration::ZERO)), EpollTimeout::ZERO);
        assert_eq!(epoll_timeout(Some(Duration::from_micros(1))), EpollTimeout::from(1u8));
        assert_eq!(epoll_timeout(Some(Duration::from_millis(250))), EpollTimeout::from(250u8));
        assert_eq!(epoll_timeout(Some(Duration::from_secs(u64::MAX))), EpollTimeout::MAX);
    }

    #[test]
    fn a_refusal_names_its_cause() {
        let refused = explain(&io::Error::from_raw_os_error(libc::EPERM));
        assert!(refused.contains("io_uring_disabled"), "{refused}");
    }
}
