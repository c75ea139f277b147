//! System calls as an attacker makes them: by number, on descriptors that the thread happens to see, through rings that
//! it has not made. Only builds with the feature `attack-tests` have them.
//!
//! [`call`] takes only the calls of a table, in which none changes mappings or closes what others own, and only numbers
//! that cannot be addresses and slices that are as long as the call takes them to be. So the kernel reads and writes
//! nothing of this process but what is lent to it.
//!
//! Sources: syscall(2), clone(2), vfork(2), packet(7), io_uring(7), `include/uapi/linux/io_uring.h`.

use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;

/// An argument of a system call.
pub(crate) enum Argument<'a> {
    Number(i64),
    Text(&'a CStr),
    Bytes(&'a [u8]),
    Room(&'a mut [u8]),
}

impl Argument<'_> {
    fn word(&mut self) -> libc::c_long {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => text.as_ptr() as libc::c_long,
            Self::Bytes(bytes) => bytes.as_ptr() as libc::c_long,
            Self::Room(room) => room.as_mut_ptr() as libc::c_long,
        }
    }
}

impl From<i64> for Argument<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Argument<'_> {
    fn from(number: i32) -> Self {
        Self::Number(number.into())
    }
}

impl<'a> From<&'a CStr> for Argument<'a> {
    fn from(text: &'a CStr) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Argument<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a mut [u8]> for Argument<'a> {
    fn from(room: &'a mut [u8]) -> Self {
        Self::Room(room)
    }
}

/// Makes a system call with up to six arguments.
///
/// # Panics
/// The call is not in the table, or its arguments are not as the table requires them. The attacker would break its own
/// process then.
pub(crate) fn call<const N: usize>(number: i64, mut arguments: [Argument<'_>; N]) -> Result<i64, Errno> {
    let is_allowed = ALLOWED.iter().any(|(allowed, rules)| *allowed == number && are_lent(&arguments, rules));
    assert!(
        N <= 6 && is_allowed,
        "call {number} is not in the table, or would reach beyond what is lent to it"
    );
    let mut words = [0; 6];
    for (word, argument) in words.iter_mut().zip(&mut arguments) {
        *word = argument.word();
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: syscall(2) reads six words. `are_lent` holds: those that are addresses of this process are of slices,
    // which `arguments` borrows until the call has returned, where the call expects a buffer of at most that length,
    // and mutably where it writes. No call in `ALLOWED` changes mappings, closes descriptors or returns twice.
    Errno::result(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// Returns true if each argument is a number that is no address of this process, or a slice that a rule expects there,
/// and if all rules hold.
fn are_lent(arguments: &[Argument<'_>], rules: &[Rule]) -> bool {
    // This process has no memory below 4 GiB: it is position-independent, and maps nothing at addresses of its choice.
    // Negative numbers of 32 bits are addresses of the kernel, which it does not take from a process.
    let is_no_address = |number: i64| u32::try_from(number).is_ok() || i32::try_from(number).is_ok();
    let marker = 0_u8;
    assert!(
        ptr::from_ref(&marker).addr() > u32::MAX as usize
            && (are_lent as *const ()).addr() > u32::MAX as usize
    );
    let is_expected = |at: usize| rules.iter().any(|rule| rule.buffer() == Some(at));
    let is_lent = |(at, argument): (usize, &Argument<'_>)| match argument {
        Argument::Number(number) => is_no_address(*number),
        _ => is_expected(at),
    };
    arguments.iter().enumerate().all(is_lent) && rules.iter().all(|rule| rule.holds(arguments))
}

/// What an argument of a call must be. A buffer may be a number instead, which is no address.
#[derive(Clone, Copy)]
enum Rule {
    Text(usize),
    /// The call reads a buffer of this length.
    Reads(usize, Length),
    /// The call may write to a buffer of this length.
    Writes(usize, Length),
    /// The call reads an array of addresses up to the first null, which is the first of them.
    NoAddresses(usize),
    Is(usize, i64),
}

/// The length of a buffer.
#[derive(Clone, Copy)]
enum Length {
    /// The call reads or writes at most so many bytes.
    Max(usize),
    /// It is another argument.
    Of(usize),
}

impl Rule {
    /// Returns the index of the buffer.
    fn buffer(self) -> Option<usize> {
        match self {
            Self::Text(at) | Self::Reads(at, _) | Self::Writes(at, _) | Self::NoAddresses(at) => Some(at),
            Self::Is(..) => None,
        }
    }

    fn holds(self, arguments: &[Argument<'_>]) -> bool {
        let number = |at: usize| match arguments.get(at) {
            Some(Argument::Number(number)) => Some(*number),
            _ => None,
        };
        let takes = |length: Length| match length {
            Length::Max(bytes) => Some(bytes),
            Length::Of(at) => number(at).and_then(|bytes| usize::try_from(bytes).ok()),
        };
        let argument = self.buffer().and_then(|at| arguments.get(at));
        match (self, argument) {
            (Self::Is(at, value), _) => number(at) == Some(value),
            // An argument that is left out is zero.
            (_, None | Some(Argument::Number(_))) | (Self::Text(_), Some(Argument::Text(_))) => true,
            (Self::Reads(_, length), Some(Argument::Bytes(bytes))) => {
                takes(length).is_some_and(|taken| taken <= bytes.len())
            }
            (Self::Writes(_, length), Some(Argument::Room(room))) => {
                takes(length).is_some_and(|taken| taken <= room.len())
            }
            (Self::NoAddresses(_), Some(Argument::Bytes(bytes))) => {
                bytes.starts_with(&[0; size_of::<usize>()])
            }
            _ => false,
        }
    }
}

/// The calls that may be made. Those that are not here would take memory, descriptors or the end of the process, or
/// return twice. The lengths are those that their man pages, and the kernel for what they leave open, have.
const ALLOWED: &[(i64, &[Rule])] = {
    use Length::{Max, Of};
    use Rule::{Is, NoAddresses, Reads, Text, Writes};
    &[
        // Files and descriptors.
        (libc::SYS_read, &[Writes(1, Of(2))]),
        (libc::SYS_write, &[Reads(1, Of(2))]),
        (libc::SYS_openat, &[Text(1)]),
        (libc::SYS_openat2, &[Text(1), Reads(2, Of(3))]),
        (libc::SYS_mknodat, &[Text(1)]),
        (libc::SYS_truncate, &[Text(0)]),
        (libc::SYS_fchmod, &[]),
        (libc::SYS_fchmodat, &[Text(1)]),
        (libc::SYS_chdir, &[Text(0)]),
        (libc::SYS_chroot, &[Text(0)]),
        // `MAX_HANDLE_SZ` behind two numbers of 32 bits.
        (libc::SYS_open_by_handle_at, &[Reads(1, Max(8 + 128))]),
        (libc::SYS_memfd_create, &[Text(0)]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, &[Text(0)]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_creat, &[Text(0)]),
        (libc::SYS_splice, &[]),
        (libc::SYS_sendfile, &[]),
        // Sockets.
        (libc::SYS_socket, &[]),
        (libc::SYS_socketpair, &[Writes(3, Max(8))]),
        (libc::SYS_connect, &[Reads(1, Of(2))]),
        (libc::SYS_bind, &[Reads(1, Of(2))]),
        (libc::SYS_sendto, &[Reads(1, Of(2)), Reads(4, Of(5))]),
        (libc::SYS_setsockopt, &[Reads(3, Of(4))]),
        // `struct ifreq`.
        (libc::SYS_ioctl, &[Is(1, libc::SIOCSIFFLAGS.cast_signed()), Reads(2, Max(40))]),
        // One character, or the number of a request and what it asks for.
        (libc::SYS_ioctl, &[Is(1, libc::TIOCSTI.cast_signed()), Text(2)]),
        (libc::SYS_ioctl, &[Is(1, libc::TIOCLINUX.cast_signed()), Text(2)]),
        // A number that is taken as it is.
        (libc::SYS_ioctl, &[Is(1, libc::TIOCSCTTY.cast_signed()), Text(2)]),
        // Rings of io_uring; `struct io_uring_params`.
        (libc::SYS_io_uring_setup, &[Writes(1, Max(120))]),
        (libc::SYS_io_uring_enter, &[]),
        (libc::SYS_io_uring_register, &[]),
        // Programs and processes.
        (libc::SYS_execve, &[Text(0), NoAddresses(1), NoAddresses(2)]),
        (libc::SYS_execve | X32, &[]),
        (libc::SYS_execveat, &[Text(1), NoAddresses(2), NoAddresses(3)]),
        (libc::SYS_personality, &[]),
        (libc::SYS_wait4, &[Writes(1, Max(4))]),
        // `PTRACE_SEIZE`, which stops nobody.
        (libc::SYS_ptrace, &[Is(0, 0x4206)]),
        (libc::SYS_kill, &[]),
        (libc::SYS_tkill, &[]),
        (libc::SYS_tgkill, &[]),
        (libc::SYS_pidfd_open, &[]),
        (libc::SYS_pidfd_getfd, &[]),
        (libc::SYS_pidfd_send_signal, &[]),
        (libc::SYS_prlimit64, &[]),
        // Privileges and namespaces. The kernel may write the version into the header of capset(2).
        (libc::SYS_setuid, &[]),
        (libc::SYS_setgid, &[]),
        (libc::SYS_setresuid, &[]),
        (libc::SYS_setresgid, &[]),
        (libc::SYS_setgroups, &[Is(0, 1), Reads(1, Max(4))]),
        (libc::SYS_setfsuid, &[]),
        (libc::SYS_capset, &[Writes(0, Max(8)), Reads(1, Max(24))]),
        (libc::SYS_prctl, &[]),
        (libc::SYS_unshare, &[]),
        (libc::SYS_setns, &[]),
        // The kernel. The size in a `struct perf_event_attr` is at most a page, and the kernel may write it.
        (libc::SYS_mount, &[Text(0), Text(1), Text(2)]),
        (libc::SYS_umount2, &[Text(0)]),
        (libc::SYS_pivot_root, &[Text(0), Text(1)]),
        (libc::SYS_open_tree, &[Text(1)]),
        (libc::SYS_fsopen, &[Text(0)]),
        // `BPF_MAP_CREATE`, whose attributes have no address.
        (libc::SYS_bpf, &[Is(0, 0), Reads(1, Of(2))]),
        (libc::SYS_perf_event_open, &[Writes(0, Max(PAGE))]),
        (libc::SYS_userfaultfd, &[]),
        (libc::SYS_keyctl, &[]),
        (libc::SYS_add_key, &[Text(0), Text(1), Reads(2, Of(3))]),
        (libc::SYS_request_key, &[Text(0), Text(1)]),
        (libc::SYS_init_module, &[Reads(0, Of(1)), Text(2)]),
        (libc::SYS_finit_module, &[Text(1)]),
        (libc::SYS_delete_module, &[Text(0)]),
        (libc::SYS_kexec_load, &[]),
        (libc::SYS_sethostname, &[]),
        (libc::SYS_clock_settime, &[Reads(1, Max(16))]),
        (libc::SYS_syslog, &[Writes(1, Of(2))]),
        (libc::SYS_fanotify_init, &[]),
        (libc::SYS_quotactl, &[]),
        (libc::SYS_acct, &[]),
        (libc::SYS_swapoff, &[Text(0)]),
        (libc::SYS_reboot, &[]),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_iopl, &[]),
    ]
};

/// The bit of calls by their numbers of the x32 ABI.
pub(crate) const X32: i64 = 0x4000_0000;

/// Calls `clone3` with arguments of a size that no kernel takes: where the call is allowed, it fails with `EINVAL`.
pub(crate) fn clone3_of_no_size() -> Result<i64, Errno> {
    let arguments = [0_u64; 1];
    // SAFETY: clone3(2) reads no more than the size that it is given, and fails for less than 64 bytes, so it makes
    // no child.
    Errno::result(unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) })
}

/// Sends a frame to a link address, by `sendmmsg` if `by_many` is true, or else by `sendmsg`.
pub(crate) fn send_message(fd: RawFd, frame: &[u8], address: &[u8], by_many: bool) -> Result<i64, Errno> {
    let mut part = libc::iovec { iov_base: frame.as_ptr().cast_mut().cast(), iov_len: frame.len() };
    // SAFETY: zeroes are a valid value of this struct, which has only numbers and pointers.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
    message.msg_hdr.msg_namelen = libc::socklen_t::try_from(address.len()).unwrap_or_default();
    message.msg_hdr.msg_iov = &raw mut part;
    message.msg_hdr.msg_iovlen = 1;
    if by_many {
        // SAFETY: sendmmsg(2) reads one message, which points to the frame and the address; all of them live until it
        // has returned. It writes the length in the message.
        return Errno::result(unsafe { libc::syscall(libc::SYS_sendmmsg, fd, &raw mut message, 1, 0) });
    }
    // SAFETY: as above, and sendmsg(2) writes nothing.
    Errno::result(unsafe { libc::syscall(libc::SYS_sendmsg, fd, &raw const message.msg_hdr, 0) })
}

/// Reads or writes the memory of a process at an address where it has none, so that the call itself is the question.
pub(crate) fn touch_memory_of(process: i32, call: i64) -> Result<i64, Errno> {
    let mut byte = 0_u8;
    let own = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let other = libc::iovec { iov_base: ptr::without_provenance_mut(4096), iov_len: 1 };
    // SAFETY: process_vm_readv(2) and process_vm_writev(2) read both vectors and read or write the byte, which live
    // until the call has returned; the other address is one of another process.
    Errno::result(unsafe { libc::syscall(call, process, &raw const own, 1, &raw const other, 1, 0) })
}

/// Starts a process by `fork`, `vfork` or `clone`, whose child executes `/bin/true`. Returns the id of the child.
#[cfg(target_arch = "x86_64")]
pub(crate) fn start_process(number: i64, flags: i64) -> Result<i64, Errno> {
    let program = c"/bin/true".as_ptr();
    let arguments = [program, ptr::null()];
    let result: i64;
    // SAFETY: the child runs the instructions of this block only: it touches no stack and no memory, and ends as
    // another program or by exit_group. So it may share the memory of the parent, as after vfork(2). The registers that
    // both change are listed.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, r12",
            "mov rsi, r13",
            "xor edx, edx",
            "mov eax, {execve}",
            "syscall",
            "mov edi, 127",
            "mov eax, {exit_group}",
            "syscall",
            "2:",
            execve = const libc::SYS_execve,
            exit_group = const libc::SYS_exit_group,
            inlateout("rax") number => result,
            inlateout("rdi") flags => _,
            inlateout("rsi") 0_i64 => _,
            inlateout("rdx") 0_i64 => _,
            inlateout("r10") 0_i64 => _,
            inlateout("r8") 0_i64 => _,
            in("r12") program,
            in("r13") arguments.as_ptr(),
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result < 0 { Err(Errno::from_raw(i32::try_from(-result).unwrap_or(libc::EINVAL))) } else { Ok(result) }
}

/// Where the kernel has put the fields of a ring of the size that this program makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingLayout {
    sq_tail: usize,
    sq_mask: usize,
    sq_array: usize,
    cq_head: usize,
    cq_tail: usize,
    cq_mask: usize,
    cqes: usize,
}

impl RingLayout {
    /// Makes a ring as [`poller`](super::poller) does, and returns its layout; `None` where there is no io_uring.
    pub(crate) fn learn() -> Option<Self> {
        const SUBMISSIONS: i64 = 8;
        const COMPLETIONS: u32 = 64;
        const CQSIZE: u32 = 1 << 3;
        let mut parameters = [0; 120];
        parameters[4..8].copy_from_slice(&COMPLETIONS.to_ne_bytes());
        parameters[8..12].copy_from_slice(&CQSIZE.to_ne_bytes());
        let arguments = [SUBMISSIONS.into(), parameters.as_mut_slice().into()];
        let fd = call(libc::SYS_io_uring_setup, arguments).ok()?;
        let _ = nix::unistd::close(i32::try_from(fd).ok()?);
        // `struct io_sqring_offsets` begins at 40 and `struct io_cqring_offsets` at 80.
        let field = |at: usize| {
            let bytes = parameters.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_ne_bytes(bytes)).ok()
        };
        Some(Self {
            sq_tail: field(44)?,
            sq_mask: field(48)?,
            sq_array: field(64)?,
            cq_head: field(80)?,
            cq_tail: field(84)?,
            cq_mask: field(88)?,
            cqes: field(100)?,
        })
    }
}

/// A request of io_uring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingRequest<'a> {
    pub(crate) opcode: u8,
    pub(crate) fd: RawFd,
    pub(crate) bytes: &'a [u8],
    /// `len` of the entry, at most that of the bytes unless the request has another meaning for it.
    pub(crate) length: u32,
    /// `op_flags` of the entry.
    pub(crate) flags: u32,
}

/// A ring that another part of the program has made, mapped once more.
pub(crate) struct FoundRing {
    fd: RawFd,
    rings: MmapRaw,
    entries: MmapRaw,
    layout: RingLayout,
}

impl FoundRing {
    /// Returns the ring of a descriptor; `None` if it is none.
    pub(crate) fn find(fd: RawFd, layout: RingLayout) -> Option<Self> {
        /// `IORING_OFF_SQES`.
        const ENTRIES: u64 = 0x1000_0000;
        // Nothing is submitted. What is no ring fails with EOPNOTSUPP.
        enter(fd, 0, 0).ok()?;
        let map = |offset| MmapOptions::new().len(PAGE).offset(offset).map_raw(fd).ok();
        Some(Self { fd, rings: map(0)?, entries: map(ENTRIES)?, layout })
    }

    /// Submits a request and returns its result.
    pub(crate) fn request(&self, request: RingRequest<'_>) -> Result<i64, Errno> {
        let tail = self.word(self.layout.sq_tail).load(Ordering::Acquire);
        let index = tail & self.word(self.layout.sq_mask).load(Ordering::Relaxed);
        self.word(self.layout.sq_array + 4 * index as usize).store(index, Ordering::Relaxed);
        self.write_entry(index as usize, request);
        self.word(self.layout.sq_tail).store(tail.wrapping_add(1), Ordering::Release);
        if let Err(error) = enter(self.fd, 1, 0) {
            self.word(self.layout.sq_tail).store(tail, Ordering::Release);
            return Err(error);
        }
        loop {
            if let Some(result) = self.take_result() {
                return if result < 0 { Err(Errno::from_raw(-result)) } else { Ok(result.into()) };
            }
            enter(self.fd, 0, self.ready() + 1)?;
        }
    }

    fn write_entry(&self, index: usize, request: RingRequest<'_>) {
        let mut entry = [0_u8; 64];
        entry[0] = request.opcode;
        entry[4..8].copy_from_slice(&request.fd.to_ne_bytes());
        let address = if request.bytes.is_empty() { ptr::null() } else { request.bytes.as_ptr() };
        entry[16..24].copy_from_slice(&(address as u64).to_ne_bytes());
        entry[24..28].copy_from_slice(&request.length.to_ne_bytes());
        entry[28..32].copy_from_slice(&request.flags.to_ne_bytes());
        entry[32..40].copy_from_slice(&MARK.to_le_bytes());
        assert!((index + 1) * entry.len() <= PAGE, "the queue has eight entries");
        let to = self.entries.as_mut_ptr().wrapping_add(index * entry.len());
        // SAFETY: the entry is inside the mapping (asserted), which is writable, and nobody else fills the queue: its
        // owner is this thread, or the kernel refuses to submit.
        unsafe { ptr::copy_nonoverlapping(entry.as_ptr(), to, entry.len()) };
    }

    fn ready(&self) -> u32 {
        let [head, tail] = [self.layout.cq_head, self.layout.cq_tail].map(|at| self.word(at));
        tail.load(Ordering::Acquire).wrapping_sub(head.load(Ordering::Relaxed))
    }

    /// Takes the result of the request out of the queue. Completions of others stay, in their order.
    fn take_result(&self) -> Option<i32> {
        let head = self.word(self.layout.cq_head).load(Ordering::Relaxed);
        let is_ours = |&at: &u32| self.user_data(head.wrapping_add(at)) == MARK;
        let found = (0..self.ready()).find(is_ours)?;
        let result = self.completion_word(head.wrapping_add(found), 2).load(Ordering::Relaxed);
        for at in (1..=found).rev() {
            for part in 0..4 {
                let before = self.completion_word(head.wrapping_add(at - 1), part).load(Ordering::Relaxed);
                self.completion_word(head.wrapping_add(at), part).store(before, Ordering::Relaxed);
            }
        }
        self.word(self.layout.cq_head).store(head.wrapping_add(1), Ordering::Release);
        Some(result.cast_signed())
    }

    fn user_data(&self, number: u32) -> u64 {
        let [low, high] = [0, 1].map(|part| self.completion_word(number, part).load(Ordering::Relaxed));
        u64::from(high) << 32 | u64::from(low)
    }

    fn completion_word(&self, number: u32, part: usize) -> &AtomicU32 {
        let index = number & self.word(self.layout.cq_mask).load(Ordering::Relaxed);
        self.word(self.layout.cqes + 16 * index as usize + 4 * part)
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at + 4 <= PAGE && at.is_multiple_of(4), "the ring fits a page");
        let address = self.rings.as_mut_ptr().wrapping_add(at).cast();
        // SAFETY: the word is aligned and inside the mapping (asserted), which lives as long as `self`. The kernel and
        // the owner of the ring access it atomically or do not run meanwhile.
        unsafe { AtomicU32::from_ptr(address) }
    }
}

fn enter(fd: RawFd, submitted: u32, completed: u32) -> Result<i64, Errno> {
    const GETEVENTS: i64 = 1;
    call(
        libc::SYS_io_uring_enter,
        [
            fd.into(),
            i64::from(submitted).into(),
            i64::from(completed).into(),
            GETEVENTS.into(),
            0.into(),
            0.into(),
        ],
    )
}

/// The `user_data` of requests of the attacker.
const MARK: u64 = 0x6174_7461_636b_2121;
/// Both mappings of the rings that this program makes are smaller.
const PAGE: usize = 4096;

/// Tries to make memory executable, in both ways.
pub(crate) fn executable_memory(is_changed: bool) -> io::Result<()> {
    if is_changed {
        return MmapOptions::new().len(PAGE).map_anon()?.make_exec().map(drop);
    }
    // SAFETY: mmap(2) chooses an address where nothing is, and the mapping is not used. It is a page that is not given
    // back, once per thread.
    let made = unsafe {
        libc::mmap(
            ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if made == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_takes_no_more_than_is_lent_to_it() {
        let mut room = [0_u8; 8];
        let address = room.as_ptr().addr().cast_signed() as i64;
        let mut is_taken = |number: i64, length: i64, make: fn(&mut [u8], i64) -> Vec<Argument<'_>>| {
            let rules = ALLOWED.iter().find(|(allowed, _)| *allowed == number).map(|(_, rules)| *rules);
            are_lent(&make(&mut room, length), rules.unwrap_or_else(|| panic!("{number}")))
        };
        let read: fn(&mut [u8], i64) -> Vec<Argument<'_>> =
            |room, length| vec![0.into(), room.into(), length.into()];
        assert!(is_taken(libc::SYS_read, 8, read) && !is_taken(libc::SYS_read, 9, read));
        assert!(
            !is_taken(libc::SYS_read, -1, read) && !is_taken(libc::SYS_write, 8, read),
            "it would be written to"
        );
        assert!(!is_taken(libc::SYS_kill, 8, read), "it takes no buffer");
        assert!(!is_taken(libc::SYS_read, address, |_, address| vec![0.into(), address.into(), 8.into()]));
        let run: fn(&mut [u8], i64) -> Vec<Argument<'_>> = |room, first| {
            room[0] = u8::try_from(first).unwrap_or_default();
            vec![c"/bin/true".into(), (&*room).into(), 0.into()]
        };
        assert!(is_taken(libc::SYS_execve, 0, run) && !is_taken(libc::SYS_execve, 1, run));
        for number in [libc::SYS_mmap, libc::SYS_munmap, libc::SYS_shmat, libc::SYS_close, libc::SYS_clone] {
            assert!(ALLOWED.iter().all(|(allowed, _)| *allowed != number), "{number}");
        }
    }
}
