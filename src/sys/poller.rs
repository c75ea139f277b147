//! The wait of a worker, which ends when its ring has a block, its waker is notified, or a timeout has passed.
//!
//! With io_uring it takes one system call per wake-up: a multishot poll on the packet socket and on the waker's eventfd
//! stays armed in the kernel, and waiting with a timeout is one `io_uring_enter`. Frames do not pass through io_uring,
//! since they are read from the mapped ring. If the system refuses io_uring (seccomp in containers,
//! `kernel.io_uring_disabled`), the same wait runs on epoll, and [`WaitPoint`] has the reason.
//!
//! **Contract: take blocks until there is none before waiting.** A packet socket is readable while the block that was
//! closed last is not returned (`packet_poll`). epoll and a one-shot poll test this at each wait and return at once. A
//! multishot poll tests it only when it is armed and when the kernel signals the socket, which it does when it closes a
//! block or drops a frame: a thread that waits with a block unread may sleep until then.
//!
//! Create a [`Poller`] on the thread that waits: an io_uring with `IORING_SETUP_SINGLE_ISSUER` accepts requests only
//! from the thread that created it. The caller decides why a waker is notified.
//!
//! Sources: io_uring_setup(2), io_uring_enter(2), `packet_poll` in `net/packet/af_packet.c`.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::register::Restriction;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::packet_socket::PacketSocket;
use super::waker::Waker;

/// The mechanism that a [`Poller`] is to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollerChoice {
    /// io_uring, or epoll if the system refuses io_uring.
    Auto,
    /// io_uring; if the system refuses it, that is an error.
    IoUring,
    /// epoll.
    Epoll,
}

/// The mechanism that a [`Poller`] uses, and the reason if io_uring was tried and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitPoint {
    /// The mechanism in use.
    pub mechanism: Mechanism,
    /// The reason why io_uring was refused, as text; `None` if io_uring is in use or was not tried.
    pub refusal: Option<String>,
    /// The reason why the io_uring takes requests of every kind, as text; `None` if it takes polls only, or if io_uring
    /// is not in use.
    pub unrestricted: Option<String>,
}

/// A mechanism to wait with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// io_uring with multishot polls.
    IoUring,
    /// epoll.
    Epoll,
}

impl Mechanism {
    /// Returns the name used in the log and the API.
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

/// The reasons why a wait ended. None is set if the timeout has passed or a signal arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The packet ring may have a closed block.
    pub ring: bool,
    /// The socket has an error pending.
    pub socket_error: bool,
    /// The waker was notified. The wait has cleared it.
    pub woken: bool,
}

/// Waits for one packet socket and one waker.
pub struct Poller {
    backend: Backend,
    // The socket and the waker are kept open for as long as their descriptors are polled.
    socket: Arc<PacketSocket>,
    waker: Waker,
    wait_point: WaitPoint,
}

impl Poller {
    /// Sets up the wait. Call it on the thread that waits.
    ///
    /// # Errors
    /// The chosen mechanism cannot be set up. With [`PollerChoice::Auto`] neither mechanism can be set up, and the
    /// error is that of epoll.
    pub fn new(socket: Arc<PacketSocket>, waker: Waker, choice: PollerChoice) -> io::Result<Self> {
        let (mut refusal, mut unrestricted) = (None, None);
        let backend = match choice {
            PollerChoice::IoUring => {
                Backend::IoUring(Box::new(uring_wait(&socket, &waker, &mut unrestricted)?))
            }
            PollerChoice::Epoll => Backend::Epoll(EpollWait::new(&socket, &waker)?),
            PollerChoice::Auto => match uring_wait(&socket, &waker, &mut unrestricted) {
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
        Ok(Self { backend, socket, waker, wait_point: WaitPoint { mechanism, refusal, unrestricted } })
    }

    /// Returns the mechanism in use, and the reason if io_uring was tried and refused.
    pub fn wait_point(&self) -> &WaitPoint {
        &self.wait_point
    }

    /// Waits until the ring has a block, the waker is notified, `timeout` has passed or a signal arrives. Without a
    /// timeout it waits without limit. It may return early with nothing set.
    ///
    /// Take blocks until there is none before waiting.
    ///
    /// # Errors
    /// The error of io_uring or epoll, which is permanent.
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
    // Boxed, since it is ten times the size of the other variant.
    IoUring(Box<UringWait>),
    Epoll(EpollWait),
}

/// The `user_data` of completions and epoll entries of the packet socket.
const RING: u64 = 0;
/// The `user_data` of completions and epoll entries of the waker.
const WAKER: u64 = 1;
/// Bit that is set in the `user_data` of a multishot poll.
const MULTISHOT: u64 = 2;

/// Sets up the wait with the first mode of [`UringMode::BY_PREFERENCE`] that this kernel has. If the ring cannot be
/// restricted to polls, it writes the reason to `unrestricted`.
fn uring_wait(
    socket: &PacketSocket,
    waker: &Waker,
    unrestricted: &mut Option<String>,
) -> io::Result<UringWait> {
    let RestrictedRing { ring, unrestricted: reason } = set_up_preferred(&POLLS)?;
    *unrestricted = reason;
    UringWait::new(ring, socket.as_fd().as_raw_fd(), waker.as_fd().as_raw_fd())
}

/// The requests of a worker. A frame could be sent neither by a write nor by a send.
const POLLS: Requests = Requests { opcodes: &[opcode::PollAdd::CODE], flags: squeue::Flags::empty() };

struct UringWait {
    ring: IoUring,
    /// True if the poll of the socket is armed in the kernel, and the same for the poll of the waker.
    armed: [bool; 2],
    /// False on Linux before 5.13, which only has one-shot polls. They are armed again for each wait.
    multishot: bool,
}

impl UringWait {
    fn new(ring: IoUring, socket: RawFd, waker: RawFd) -> io::Result<Self> {
        if !ring.params().is_feature_ext_arg() {
            // On older kernels the timeout would be a separate request that must be cancelled. epoll is simpler there.
            return Err(io::Error::other("Linux before 5.11 has no timeout in io_uring_enter"));
        }
        let mut uring = Self { ring, armed: [false; 2], multishot: true };
        // The polls are submitted now and not at the first wait, so that a sandbox that allows io_uring_setup but
        // refuses io_uring_enter is detected here.
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
                // The timeout has passed, a signal arrived, or the completion queue must be drained first.
                Some(libc::ETIME | libc::EINTR | libc::EBUSY) => {}
                _ => return Err(error),
            },
        }
        self.take_completions()
    }

    fn take_completions(&mut self) -> io::Result<Ready> {
        let mut ready = Ready::default();
        for completion in self.ring.completion() {
            let source = completion.user_data() & !MULTISHOT;
            if !cqueue::more(completion.flags()) {
                self.armed[usize::from(source == WAKER)] = false;
            }
            let Ok(bits) = u32::try_from(completion.result()) else {
                let error = -completion.result();
                if error == libc::EINVAL && completion.user_data() & MULTISHOT != 0 {
                    // The kernel lacks multishot polls; the next wait arms a one-shot poll.
                    self.multishot = false;
                    continue;
                }
                return Err(io::Error::from_raw_os_error(error));
            };
            match source {
                WAKER => ready.woken = true,
                _ => {
                    ready.ring = true;
                    ready.socket_error |= bits & libc::POLLERR as u32 != 0;
                }
            }
        }
        Ok(ready)
    }

    /// Queues the polls that are not armed.
    fn arm(&mut self, descriptors: [RawFd; 2]) -> io::Result<()> {
        for (source, fd) in [RING, WAKER].into_iter().zip(descriptors) {
            let armed = &mut self.armed[usize::from(source == WAKER)];
            if *armed {
                continue;
            }
            let poll = opcode::PollAdd::new(types::Fd(fd), (libc::POLLIN | libc::POLLERR) as u32)
                .multi(self.multishot)
                .build()
                .user_data(if self.multishot { source | MULTISHOT } else { source });
            // SAFETY: `push` requires everything that the entry points to to stay valid until it completes. A poll
            // points to nothing; its descriptor is a number that the kernel resolves when it is submitted.
            let pushed = unsafe { self.ring.submission().push(&poll) };
            pushed.map_err(|_| io::Error::other("the submission queue is full with two requests in it"))?;
            *armed = true;
        }
        Ok(())
    }
}

/// Number of entries of the submission queue. At most two requests are queued at once.
const SUBMISSION_ENTRIES: u32 = 8;
/// Number of entries of the completion queue. While the worker reads blocks, each block that closes adds a completion.
const COMPLETION_ENTRIES: u32 = 64;

/// Modes of io_uring, which differ in how the kernel delivers completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UringMode {
    /// The kernel delivers them in `io_uring_enter`, to one thread only (`IORING_SETUP_DEFER_TASKRUN`, Linux 6.1).
    Deferred,
    /// The kernel delivers them at the next system call or interrupt of the thread, without an inter-processor
    /// interrupt (`IORING_SETUP_COOP_TASKRUN`, Linux 5.19).
    Cooperative,
    /// The kernel interrupts the thread to deliver them at once.
    Plain,
}

impl UringMode {
    /// The modes in order of preference: those that interrupt the thread less come first.
    const BY_PREFERENCE: [Self; 3] = [Self::Deferred, Self::Cooperative, Self::Plain];

    fn set_up(self) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        // A ring can be restricted only before it is enabled.
        builder.setup_cqsize(COMPLETION_ENTRIES).setup_r_disabled();
        match self {
            Self::Deferred => builder.setup_single_issuer().setup_defer_taskrun().setup_submit_all(),
            Self::Cooperative => builder.setup_coop_taskrun().setup_submit_all(),
            Self::Plain => &mut builder,
        };
        builder.build(SUBMISSION_ENTRIES)
    }
}

/// The requests that a ring takes: all others fail with `EACCES`, also if a thread was taken over that may enter the
/// ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requests {
    /// The opcodes (`IORING_OP_*`).
    pub(super) opcodes: &'static [u8],
    /// The flags that a request may have.
    pub(super) flags: squeue::Flags,
}

/// A ring that is enabled.
pub(super) struct RestrictedRing {
    pub(super) ring: IoUring,
    /// The reason why the ring takes requests of every kind, as text; `None` if it is restricted.
    pub(super) unrestricted: Option<String>,
}

/// Sets up a ring in the first mode of [`UringMode::BY_PREFERENCE`] that this kernel has, restricts it to `requests`
/// (`IORING_REGISTER_RESTRICTIONS`, Linux 5.10) and enables it. Nothing else can be registered with it later. If the
/// system refuses the restriction, the ring is enabled without it.
pub(super) fn set_up_preferred(requests: &Requests) -> io::Result<RestrictedRing> {
    restrict(first_supported(UringMode::set_up)?, requests)
}

fn restrict(ring: IoUring, requests: &Requests) -> io::Result<RestrictedRing> {
    let mut restrictions: Vec<_> = requests.opcodes.iter().map(|&code| Restriction::sqe_op(code)).collect();
    restrictions.push(Restriction::sqe_flags_allowed(requests.flags.bits()));
    let refused = ring.submitter().register_restrictions(&mut restrictions).err();
    ring.submitter().register_enable_rings()?;
    Ok(RestrictedRing { ring, unrestricted: refused.as_ref().map(explain) })
}

/// Returns the result of the first mode whose flags the kernel supports. For other flags `set_up` fails with `EINVAL`;
/// any other error would be the same for every mode.
fn first_supported<T>(set_up: impl Fn(UringMode) -> io::Result<T>) -> io::Result<T> {
    let is_unsupported = |error: &io::Error| error.raw_os_error() == Some(libc::EINVAL);
    let [preferred @ .., plain] = UringMode::BY_PREFERENCE;
    for mode in preferred {
        match set_up(mode) {
            Err(error) if is_unsupported(&error) => {}
            result => return result,
        }
    }
    set_up(plain)
}

/// Describes a failure of io_uring with its likely cause.
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

/// Converts a timeout to milliseconds, rounded up. If it were rounded down, the wait would spin for the last part of a
/// millisecond.
fn epoll_timeout(timeout: Option<Duration>) -> EpollTimeout {
    let Some(timeout) = timeout else { return EpollTimeout::NONE };
    let ms = timeout.as_nanos().div_ceil(1_000_000);
    i32::try_from(ms).ok().and_then(|ms| EpollTimeout::try_from(ms).ok()).unwrap_or(EpollTimeout::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_mode_is_tried_if_flags_are_unsupported() {
        let unknown = || io::Error::from_raw_os_error(libc::EINVAL);
        for (known, expected) in UringMode::BY_PREFERENCE.iter().enumerate() {
            let set_up =
                |mode| if mode == UringMode::BY_PREFERENCE[known] { Ok(mode) } else { Err(unknown()) };
            assert_eq!(first_supported(set_up).unwrap(), *expected);
        }
        assert_eq!(
            first_supported(|_| Err::<UringMode, _>(unknown())).unwrap_err().raw_os_error(),
            Some(libc::EINVAL)
        );
        // If one mode is forbidden, all modes are, so no other one is tried.
        let tried = std::cell::Cell::new(0);
        let forbidden = first_supported(|_| {
            tried.set(tried.get() + 1);
            Err::<UringMode, _>(io::Error::from_raw_os_error(libc::EPERM))
        });
        assert_eq!((forbidden.unwrap_err().raw_os_error(), tried.get()), (Some(libc::EPERM), 1));
    }

    /// Tests every mode, with multishot polls and with polls that must be armed again each time, as before Linux 5.13.
    /// A second waker takes the place of the packet socket.
    #[test]
    fn every_mode_waits_the_same() {
        const LONG: Option<Duration> = Some(Duration::from_secs(20));
        const SHORT: Option<Duration> = Some(Duration::from_millis(1));
        for (mode, multishot) in
            UringMode::BY_PREFERENCE.into_iter().flat_map(|mode| [(mode, true), (mode, false)])
        {
            let (socket, waker) = (Waker::new().unwrap(), Waker::new().unwrap());
            let fds = [socket.as_fd().as_raw_fd(), waker.as_fd().as_raw_fd()];
            let mut uring = match mode.set_up() {
                Ok(ring) => {
                    let RestrictedRing { ring, unrestricted } = restrict(ring, &POLLS).unwrap();
                    assert_eq!(unrestricted, None, "{mode:?}: Linux has it from 5.10 on");
                    UringWait::new(ring, fds[0], fds[1]).unwrap()
                }
                // This kernel lacks the mode.
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) && mode != UringMode::Plain => {
                    continue;
                }
                Err(error) => panic!("{mode:?}: {}", explain(&error)),
            };
            uring.multishot = multishot;
            for turn in 0..3 {
                let about = format!("{mode:?} {multishot} {turn}");
                assert_eq!(uring.wait(fds[0], fds[1], SHORT).unwrap(), Ready::default(), "{about}: timeout");
                socket.wake();
                let ready = uring.wait(fds[0], fds[1], LONG).unwrap();
                assert_eq!(ready, Ready { ring: true, ..Ready::default() }, "{about}: the ring");
                socket.clear();
                let other = waker.clone();
                let notifier = std::thread::spawn(move || other.wake());
                let mut ready = Ready::default();
                while !ready.woken {
                    ready = uring.wait(fds[0], fds[1], LONG).unwrap();
                }
                notifier.join().unwrap();
                waker.clear();
                // A one-shot poll completes once more if it was armed while the waker was notified.
                while uring.wait(fds[0], fds[1], SHORT).unwrap() != Ready::default() {}
            }
        }
    }

    #[test]
    fn a_ring_of_polls_takes_no_other_request() {
        let RestrictedRing { mut ring, unrestricted } = set_up_preferred(&POLLS).unwrap();
        assert_eq!(unrestricted, None, "Linux has it from 5.10 on");
        let (reader, writer) = std::io::pipe().unwrap();
        let fd = types::Fd(writer.as_raw_fd());
        let bytes = b"frame";
        let write = opcode::Write::new(fd, bytes.as_ptr(), 5).build();
        let send = opcode::Send::new(fd, bytes.as_ptr(), 5).build();
        let linked = opcode::PollAdd::new(fd, libc::POLLOUT as u32).build().flags(squeue::Flags::IO_LINK);
        for request in [write, send, linked] {
            // SAFETY: `push` requires the bytes to stay valid until the request completes; they are constant.
            unsafe { ring.submission().push(&request) }.unwrap();
            ring.submit_and_wait(1).unwrap();
            let result = ring.completion().next().map(|completion| completion.result());
            assert_eq!(result, Some(-libc::EACCES));
        }
        let again = ring.submitter().register_restrictions(&mut [Restriction::sqe_op(opcode::Send::CODE)]);
        assert!(again.is_err(), "a restriction is registered once");
        drop(writer);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "");
    }

    #[test]
    fn the_timeout_of_epoll_is_not_shorter_than_the_given_one() {
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
