//! The system calls that each kind of thread may make, and with which arguments.
//!
//! An entry is a name of libc without `SYS_`. `when` limits arguments: each of the conditions must hold. A call that is
//! listed several times is allowed if one of its entries holds. Pointers cannot be examined, so addresses of `connect`
//! and paths of `openat` are not limited here but by Landlock.
//!
//! Nobody may execute (`execve`, `execveat`, memory that is made executable), make namespaces or io_urings, trace or
//! signal other processes, load BPF programs, mount, or use keys: these calls are in no list.
//!
//! The lists contain what strace(1) shows of each kind of thread after its start (`Sandbox: off`; traffic, alerts to
//! every sink with their names, a reload, an interface that comes and goes, requests at both sockets, the end), and
//! what other paths through the standard library, glibc, SQLite and mimalloc call. Three calls of such a trace are left
//! out: `clone3` (see `START_THREADS`), the count of processors in /sys that glibc looks for, which it then asks of
//! `sched_getaffinity`, and `F_GETFD`, by which debug builds check a descriptor that is dropped.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "flags and numbers of the kernel's interface have 32 bits; libc gives them several types"
)]

use super::kind::ThreadKind;
use super::system_call::{Condition, Expected, SystemCall, bits, calls, is, is_null};

/// Returns the lists of a kind of thread.
pub(super) fn lists(kind: ThreadKind) -> &'static [&'static [SystemCall]] {
    match kind {
        ThreadKind::Worker => &[EVERY_THREAD, WAIT, OLD_WAIT, RECEIVE, SOCKET_STATISTICS, ASK_RTNETLINK],
        ThreadKind::LinkMonitor => &[
            EVERY_THREAD,
            WAIT,
            OLD_WAIT,
            RECEIVE,
            SOCKET_STATISTICS,
            ASK_RTNETLINK,
            CHANGE_SOCKETS,
            READ_COUNTERS,
        ],
        ThreadKind::Analyst | ThreadKind::LogSink | ThreadKind::Records => &[EVERY_THREAD],
        ThreadKind::Api => &[EVERY_THREAD, WAIT, OLD_WAIT, SERVE],
        ThreadKind::FileSink => &[
            EVERY_THREAD,
            WAIT,
            OLD_WAIT,
            READ_FILES,
            OLD_READ_FILES,
            NAME_SERVERS,
            WRITE_FILES,
            OLD_WRITE_FILES,
        ],
        ThreadKind::CommandSink => {
            &[EVERY_THREAD, WAIT, OLD_WAIT, READ_FILES, OLD_READ_FILES, NAME_SERVERS, TALK_TO_HELPER]
        }
        ThreadKind::WebhookSink => {
            &[EVERY_THREAD, WAIT, OLD_WAIT, READ_FILES, OLD_READ_FILES, NAME_SERVERS, INTERNET, START_THREADS]
        }
        ThreadKind::SyslogSink => &[
            EVERY_THREAD,
            WAIT,
            OLD_WAIT,
            READ_FILES,
            OLD_READ_FILES,
            NAME_SERVERS,
            INTERNET,
            LOCAL_SOCKETS,
            START_THREADS,
        ],
        ThreadKind::Store => {
            &[EVERY_THREAD, WAIT, OLD_WAIT, READ_FILES, OLD_READ_FILES, WRITE_FILES, OLD_WRITE_FILES]
        }
        ThreadKind::Lookup => {
            &[EVERY_THREAD, WAIT, OLD_WAIT, READ_FILES, OLD_READ_FILES, NAME_SERVERS, INTERNET]
        }
        // The users of the configuration may be in a database that a daemon keeps behind a local socket (nscd(8)).
        ThreadKind::ConfigReader => {
            &[EVERY_THREAD, WAIT, OLD_WAIT, READ_FILES, OLD_READ_FILES, NAME_SERVERS, LOCAL_SOCKETS]
        }
        ThreadKind::Main => &[
            EVERY_THREAD,
            WAIT,
            OLD_WAIT,
            READ_FILES,
            OLD_READ_FILES,
            NAME_SERVERS,
            WRITE_FILES,
            OLD_WRITE_FILES,
            INTERNET,
            LOCAL_SOCKETS,
            TALK_TO_HELPER,
            START_THREADS,
            START_AND_STOP,
        ],
    }
}

/// Memory, locks, time, the end, and reading and writing what is open. On a packet socket a write fails, since the
/// socket is bound to no interface (`ENXIO` of `packet_snd` in `net/packet/af_packet.c`), and nobody who has one can
/// bind it.
const EVERY_THREAD: &[SystemCall] = calls![
    SYS_read,
    SYS_readv,
    SYS_write,
    SYS_writev,
    SYS_close,
    SYS_futex,
    SYS_brk,
    SYS_mmap when [NOT_EXECUTABLE],
    SYS_mprotect when [NOT_EXECUTABLE],
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_membarrier,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_getpid,
    SYS_gettid,
    SYS_getcpu,
    SYS_getrusage,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_sigaltstack,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
    SYS_tgkill when [OWN_PROCESS],
    SYS_set_robust_list,
    SYS_rseq,
    // The names of threads and of mappings; whether this process may gain privileges is only asked, or denied again.
    SYS_prctl when [is(0, libc::PR_SET_NAME)],
    SYS_prctl when [is(0, libc::PR_GET_NAME)],
    SYS_prctl when [is(0, libc::PR_SET_VMA)],
    SYS_prctl when [is(0, libc::PR_SET_NO_NEW_PRIVS)],
    SYS_prctl when [is(0, libc::PR_GET_NO_NEW_PRIVS)],
    // Limits of this process are read, not set.
    SYS_prlimit64 when [is(0, 0), is_null(2)],
    SYS_exit,
    SYS_exit_group,
];

/// Waiting for descriptors.
const WAIT: &[SystemCall] = calls![
    SYS_ppoll,
    SYS_epoll_pwait,
    SYS_epoll_pwait2,
    SYS_epoll_ctl,
    // A ring that was made before takes only the requests that it was restricted to.
    SYS_io_uring_enter,
];

/// The same by the names of before, which other architectures lack.
#[cfg(target_arch = "x86_64")]
const OLD_WAIT: &[SystemCall] = calls![SYS_poll, SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const OLD_WAIT: &[SystemCall] = &[];

/// Receiving from a socket that is open, a packet socket or a connected one.
const RECEIVE: &[SystemCall] = calls![SYS_recvfrom, SYS_recvmsg];

/// The counters and the pending error of a packet socket.
const SOCKET_STATISTICS: &[SystemCall] = calls![
    SYS_getsockopt when [is(1, libc::SOL_PACKET), is(2, libc::PACKET_STATISTICS)],
    SYS_getsockopt when [is(1, libc::SOL_SOCKET), is(2, libc::SO_ERROR)],
];

/// Sockets of rtnetlink. Without a capability it answers and changes nothing. A request is written to it, so nothing
/// here sends; packet sockets cannot be connected (`sock_no_connect`).
const ASK_RTNETLINK: &[SystemCall] = calls![
    SYS_socket when [is(0, libc::AF_NETLINK), is(2, libc::NETLINK_ROUTE)],
    SYS_connect,
    SYS_setsockopt when [is(1, libc::SOL_NETLINK)],
    // The name of an interface that was added.
    SYS_ioctl when [is(1, libc::SIOCGIFNAME as i32)],
];

/// Filters and promiscuous mode of packet sockets, and the size of a queue of notices.
const CHANGE_SOCKETS: &[SystemCall] = calls![
    SYS_setsockopt when [is(1, libc::SOL_SOCKET), is(2, libc::SO_ATTACH_FILTER)],
    SYS_setsockopt when [is(1, libc::SOL_SOCKET), is(2, libc::SO_RCVBUF)],
    SYS_setsockopt when [is(1, libc::SOL_PACKET), is(2, libc::PACKET_ADD_MEMBERSHIP)],
    SYS_setsockopt when [is(1, libc::SOL_PACKET), is(2, libc::PACKET_DROP_MEMBERSHIP)],
];

/// The counters of the kernel, in a file that is open.
const READ_COUNTERS: &[SystemCall] = calls![SYS_pread64];

/// Reading files. Landlock says which.
const READ_FILES: &[SystemCall] = calls![
    SYS_openat when [bits(2, libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC, libc::O_RDONLY)],
    SYS_fstat,
    SYS_newfstatat,
    SYS_statx,
    SYS_fstatfs,
    SYS_statfs,
    SYS_lseek,
    SYS_pread64,
    SYS_preadv,
    SYS_getdents64,
    SYS_readlinkat,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_fadvise64,
    SYS_flock,
    SYS_getcwd,
    SYS_uname,
    SYS_sysinfo,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_fcntl when [is(1, libc::F_DUPFD_CLOEXEC)],
    SYS_fcntl when [is(1, libc::F_GETFD)],
    SYS_fcntl when [is(1, libc::F_SETFD)],
    SYS_fcntl when [is(1, libc::F_GETFL)],
    SYS_fcntl when [is(1, libc::F_SETFL)],
    SYS_dup,
];

/// The same by the names of before, which other architectures lack.
#[cfg(target_arch = "x86_64")]
const OLD_READ_FILES: &[SystemCall] = calls![
    SYS_open when [bits(1, libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC, libc::O_RDONLY)],
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_READ_FILES: &[SystemCall] = &[];

/// Making, changing, renaming and removing files. Landlock says where.
const WRITE_FILES: &[SystemCall] = calls![
    SYS_openat when [no_setuid(3)],
    SYS_pwrite64,
    SYS_pwritev,
    SYS_fsync,
    SYS_fdatasync,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_renameat,
    SYS_renameat2,
    SYS_unlinkat,
    SYS_mkdirat when [no_setuid(2)],
    SYS_fchmod when [no_setuid(1)],
    SYS_fchown,
    SYS_utimensat,
    SYS_fcntl when [is(1, libc::F_GETLK)],
    SYS_fcntl when [is(1, libc::F_SETLK)],
    SYS_fcntl when [is(1, libc::F_SETLKW)],
    SYS_fcntl when [is(1, libc::F_OFD_SETLK)],
    SYS_fcntl when [is(1, libc::F_OFD_GETLK)],
];

/// The same by the names of before, which other architectures lack.
#[cfg(target_arch = "x86_64")]
const OLD_WRITE_FILES: &[SystemCall] = calls![
    SYS_open when [no_setuid(2)],
    SYS_rename,
    SYS_unlink,
    SYS_mkdir when [no_setuid(1)],
    SYS_rmdir,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_WRITE_FILES: &[SystemCall] = &[];

/// Serving connections of a socket that listens already. Nothing here makes a socket or names an address: the fourth
/// argument of `sendto` is the address, and it is null.
const SERVE: &[SystemCall] = calls![
    SYS_accept4,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_sendto when [is_null(4)],
    SYS_shutdown,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    // Who connects over the Unix socket is compared with the program's own user.
    SYS_geteuid,
    SYS_fcntl when [is(1, libc::F_GETFL)],
    SYS_fcntl when [is(1, libc::F_SETFL)],
    SYS_ioctl when [is(1, libc::FIONBIO as i32)],
];

/// Asking name servers over UDP. No other protocol than that of the type is asked for (0): echo requests are datagrams
/// as well.
const NAME_SERVERS: &[SystemCall] = calls![
    SYS_socket when [is(0, libc::AF_INET), bits(1, SOCKET_TYPE, libc::SOCK_DGRAM), is(2, 0)],
    SYS_socket when [is(0, libc::AF_INET6), bits(1, SOCKET_TYPE, libc::SOCK_DGRAM), is(2, 0)],
    SYS_bind,
    SYS_connect,
    SYS_sendto when [NO_CONNECTION_BY_DATA_OF_SENDTO],
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_ioctl when [is(1, libc::FIONBIO as i32)],
    SYS_ioctl when [is(1, libc::FIONREAD as i32)],
];

/// TCP, and name servers as glibc asks them. Landlock restricts the ports of TCP alone, so no MPTCP or SCTP.
const INTERNET: &[SystemCall] = calls![
    SYS_socket when [is(0, libc::AF_INET), bits(1, SOCKET_TYPE, libc::SOCK_STREAM), is(2, 0)],
    SYS_socket when [is(0, libc::AF_INET6), bits(1, SOCKET_TYPE, libc::SOCK_STREAM), is(2, 0)],
    SYS_sendmmsg when [bits(3, libc::MSG_FASTOPEN, 0)],
    SYS_sendmsg when [bits(2, libc::MSG_FASTOPEN, 0)],
    SYS_shutdown,
    SYS_getpeername,
];

/// The socket of a local collector, or of a daemon.
const LOCAL_SOCKETS: &[SystemCall] = calls![
    SYS_socket when [is(0, libc::AF_UNIX)],
];

/// The socket pair of the helper process, and its end.
const TALK_TO_HELPER: &[SystemCall] = calls![
    // A sink that a reload makes again is prepared by the thread itself.
    SYS_eventfd2,
    SYS_wait4,
    SYS_waitid,
    SYS_sendto when [is_null(4)],
    SYS_sendmsg when [bits(2, libc::MSG_FASTOPEN, 0)],
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_shutdown,
];

/// Starting a thread, which narrows itself. `clone3` is reported as unknown, since its flags are behind a pointer;
/// glibc then uses `clone`.
const START_THREADS: &[SystemCall] = calls![
    SYS_clone when [bits(0, THREAD_FLAGS | NAMESPACE_FLAGS, THREAD_FLAGS)],
    SYS_set_tid_address,
    SYS_seccomp when [is(0, libc::SECCOMP_SET_MODE_FILTER as i32)],
    SYS_eventfd2,
];

/// What the main thread makes at a reload, and ends.
const START_AND_STOP: &[SystemCall] = calls![SYS_epoll_create1, SYS_pipe2, SYS_signalfd4];

/// Data with the first segment connects a socket (TCP Fast Open), and Landlock looks at connect(2) alone.
const NO_CONNECTION_BY_DATA_OF_SENDTO: Condition = bits(3, libc::MSG_FASTOPEN, 0);
/// The bits of the type of a socket that are no flags (`SOCK_TYPE_MASK` of the kernel).
const SOCKET_TYPE: i32 = 0xf;
/// What distinguishes a thread from a process.
const THREAD_FLAGS: i32 = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
const NAMESPACE_FLAGS: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;
/// Memory that is not executable.
const NOT_EXECUTABLE: Condition = bits(2, libc::PROT_EXEC, 0);
/// A mode without setuid, setgid and sticky bit, such that nobody leaves a program that runs as the user of this one.
const fn no_setuid(argument: u8) -> Condition {
    bits(argument, 0o7000, 0)
}
const OWN_PROCESS: Condition =
    Condition { argument: 0, mask: u32::MAX as u64, expected: Expected::OwnProcess };
