//! What the kernel has put in force, for readers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::prctl::get_no_new_privs;
use nix::unistd::geteuid;

/// What confines the program.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SandboxStatus {
    /// The user id of the process.
    pub user: u32,
    /// True if programs that it would start gain no privileges.
    pub no_new_privileges: bool,
    /// `abi N`, or why folders and ports are not restricted.
    pub landlock: String,
    /// `on`, or why system calls are not restricted.
    pub seccomp: String,
    /// `restricted`, `not used`, or why it takes requests of every kind.
    pub io_uring: String,
    /// `separate`, or why every thread can reach the packet sockets.
    pub packet_sockets: String,
}

/// How an io_uring is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IoUringUse {
    /// The thread does without it.
    None,
    /// It takes only the requests of its thread.
    Restricted,
    /// It takes every request, for this reason.
    Unrestricted(String),
}

impl SandboxStatus {
    /// Returns the status of a process that is not confined.
    pub(super) fn off() -> Self {
        let off = || "off".to_owned();
        let (user, no_new_privileges) = identity();
        Self {
            user,
            no_new_privileges,
            landlock: off(),
            seccomp: off(),
            io_uring: off(),
            packet_sockets: off(),
        }
    }
}

/// Returns the user id, and whether this thread has no-new-privileges.
fn identity() -> (u32, bool) {
    (geteuid().as_raw(), get_no_new_privs().unwrap_or(false))
}

struct Known {
    identity: (u32, bool),
    landlock: Option<Result<i32, String>>,
    seccomp: Option<Result<(), String>>,
    io_uring: IoUringUse,
    /// The reason why a table is shared; the outer `None` before the start.
    shared: Option<Option<String>>,
}

static KNOWN: Mutex<Known> = Mutex::new(Known {
    identity: (0, false),
    landlock: None,
    seccomp: None,
    io_uring: IoUringUse::None,
    shared: None,
});

fn known() -> MutexGuard<'static, Known> {
    // A panic ends the program, so the lock is never poisoned.
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn set_landlock(result: &Result<i32, String>) {
    let mut known = known();
    known.landlock = Some(result.clone());
    // Threads may not ask for it later.
    known.identity = identity();
}

/// Notes the result of a thread. Returns true if it is the first failure.
pub(super) fn note_seccomp(result: &Result<(), String>) -> bool {
    let seccomp = &mut known().seccomp;
    let is_first_failure = result.is_err() && !matches!(seccomp, Some(Err(_)));
    if is_first_failure || seccomp.is_none() {
        *seccomp = Some(result.clone());
    }
    is_first_failure
}

pub(super) fn note_io_uring(used: IoUringUse) {
    let io_uring = &mut known().io_uring;
    if !matches!((&*io_uring, &used), (IoUringUse::Unrestricted(_), _) | (_, IoUringUse::None)) {
        *io_uring = used;
    }
}

pub(super) fn set_descriptors(shared: Option<String>) {
    known().shared = Some(shared);
}

pub(super) fn read() -> SandboxStatus {
    let known = known();
    let (user, no_new_privileges) = known.identity;
    SandboxStatus {
        user,
        no_new_privileges,
        landlock: match &known.landlock {
            Some(Ok(abi)) => format!("abi {abi}"),
            Some(Err(why)) => why.clone(),
            None => "off".to_owned(),
        },
        seccomp: match &known.seccomp {
            Some(Ok(())) => "on".to_owned(),
            Some(Err(why)) => why.clone(),
            None => "off".to_owned(),
        },
        io_uring: match &known.io_uring {
            IoUringUse::None => "not used".to_owned(),
            IoUringUse::Restricted => "restricted".to_owned(),
            IoUringUse::Unrestricted(why) => format!("unrestricted: {why}"),
        },
        packet_sockets: match &known.shared {
            Some(None) => "separate".to_owned(),
            Some(Some(why)) => format!("shared: {why}"),
            None => "off".to_owned(),
        },
    }
}
