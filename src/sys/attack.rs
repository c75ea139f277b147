//! System calls as an attacker makes them: by number, on descriptors that the thread happens to see, through rings that
//! it has not made. Only builds with the feature `attack-tests` have them.
//!
//! [`call`] passes numbers and slices, so the kernel reads and writes nothing but what is lent to it. Calls that change
//! the memory of this process, or close what others own, are refused by an assertion.
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

/// Makes a system call with up to six arguments. The lengths among the numbers are those of the slices, at most.
///
/// # Panics
/// The call is one of those that take memory or descriptors away from this process.
pub(crate) fn call<const N: usize>(number: i64, mut arguments: [Argument<'_>; N]) -> Result<i64, Errno> {
    assert!(!TAKES_AWAY.contains(&number) && N <= 6, "the attacker must not break its own process");
    let mut words = [0; 6];
    for (word, argument) in words.iter_mut().zip(&mut arguments) {
        *word = argument.word();
    }
    let [a, b, c, d, e, f] = words;
    // SAFETY: syscall(2) reads six words. Those that are addresses are of slices that `arguments` borrows until the
    // call has returned, and the kernel writes only to those that are borrowed mutably. The calls that change mappings
    // are excluded above.
    Errno::result(unsafe { libc::syscall(number, a, b, c, d, e, f) })
}

/// Calls that take memory, descriptors or the end of the process.
const TAKES_AWAY: &[i64] = &[
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup3,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Their children would return here on the same stack; see `start_process`.
    libc::SYS_clone,
    libc::SYS_clone3,
];

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
