//! Confines the threads of the running program to what their work needs: folders and ports (Landlock), system calls
//! (seccomp), descriptors.
//!
//! 1. [`begin`] restricts the calling thread to folders and ports, after privileges are given up and before other
//!    threads start, which inherit it.
//! 2. A thread that has the packet sockets calls [`own_descriptors`]: from then on no other thread sees them, and it
//!    sees no descriptor of others.
//! 3. Each thread calls [`enter`] with its [`ThreadKind`] once it has made what it needs. A call that its list lacks
//!    then fails with `EPERM`, so a mistake in a list costs a function and not the counting.
//! 4. The main thread enters last. Threads that it starts later (sinks after a reload, lookups) inherit its filter, and
//!    the kernel applies all filters of a thread: the list of `main` contains theirs.
//!
//! Without [`begin`] the other functions do nothing, so tests, replay and the library are not confined. What the kernel
//! lacks is logged once and shown by [`status()`]; the program continues without it. The user, capabilities and
//! no-new-privileges are in [`privileges`](crate::privileges).
//!
//! Sources: landlock(7), seccomp(2), unshare(2), close_range(2).
#![forbid(unsafe_code)]

#[cfg(feature = "attack-tests")]
pub mod attack;
mod calls;
mod filter;
mod folders;
mod helper;
mod kind;
mod refused_calls;
mod status;
mod system_call;

use std::io;
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::OnceLock;

use nix::sched::{CloneFlags, unshare};
use tracing::warn;

use crate::sys::descriptors;

pub use folders::Grants;
pub use helper::enter_helper;
pub use kind::ThreadKind;
pub use status::{IoUringUse, SandboxStatus};

/// Whether the program confines itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxMode {
    /// It does, as far as the kernel can.
    #[default]
    On,
    /// It does not, for a debugger.
    Off,
}

/// What [`begin`] was called with; empty if this process is not confined.
static BEGUN: OnceLock<Grants> = OnceLock::new();

/// Restricts this thread, and those that it starts later, to the folders and ports of `grants`, and makes [`enter`] and
/// [`own_descriptors`] effective. A part that the kernel lacks is logged and left out.
pub fn begin(mut grants: Grants) {
    grants.note_folders();
    let landlock = grants.restrict_this_thread();
    if let Err(why) = &landlock {
        warn!("folders and ports are not restricted: {why}");
    }
    status::set_landlock(&landlock);
    let in_force = match landlock {
        Ok(abi) => grants.in_force(abi),
        Err(_) => Grants::unlimited(),
    };
    // A second call would change nothing, since restrictions only add up.
    let _ = BEGUN.set(in_force);
}

/// Returns the folders and ports that this process is restricted to; `None` if it is not confined.
pub fn grants() -> Option<&'static Grants> {
    BEGUN.get()
}

/// Why a folder takes a restart, in words.
pub const MADE_LATER: &str = "the sandbox allows no folder that is made after the start";

/// Returns true if this process can use the folder after a restart only, although the configuration names it: it was
/// not there when the process was confined, or it was made anew since.
pub fn needs_restart_for(folder: &Path) -> bool {
    BEGUN.get().is_some_and(|grants| grants.need_restart_for(folder))
}

/// Returns what the kernel has put in force.
pub fn status() -> SandboxStatus {
    if BEGUN.get().is_some() { status::read() } else { SandboxStatus::off() }
}

/// Limits this thread to the system calls of its kind, for good. If the kernel refuses, that is logged once for all
/// threads.
pub fn enter(kind: ThreadKind) {
    if BEGUN.get().is_some() {
        let entered = filter::enter(kind);
        if status::note_seccomp(&entered)
            && let Err(why) = entered
        {
            warn!("system calls are not restricted: {why}");
        }
    }
    #[cfg(feature = "attack-tests")]
    attack::take_over(kind);
}

/// Records how an io_uring is restricted, for [`status()`].
pub fn note_io_uring(used: IoUringUse) {
    if BEGUN.get().is_some() {
        status::note_io_uring(used);
    }
}

/// Gives this thread a table of descriptors of its own, with the standard streams and copies of `kept` under their
/// numbers. The descriptors that others open or close later are not in it. Returns false if the process is not confined
/// and the table is still shared.
///
/// The thread must not use, nor be the last owner of, a descriptor that is not kept.
///
/// # Errors
/// The kernel refuses the copy of the table, which is still shared then.
pub fn own_descriptors(mut kept: Vec<RawFd>) -> io::Result<bool> {
    if BEGUN.get().is_none() {
        return Ok(false);
    }
    unshare(CloneFlags::CLONE_FILES)?;
    kept.extend([libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO]);
    #[cfg(feature = "attack-tests")]
    kept.extend(attack::report_descriptor());
    kept.sort_unstable();
    kept.dedup();
    descriptors::close_all_but(&kept);
    Ok(true)
}

/// Closes descriptors in the table of this thread that threads with a table of their own use under the same numbers.
/// `separated` has the results of [`own_descriptors`] of these threads: unless all of them have their own table,
/// nothing is closed, and that is logged.
pub fn close_handed_over(handed_over: &[RawFd], separated: &[io::Result<bool>]) {
    match separated.iter().find_map(|result| result.as_ref().err()) {
        Some(error) => {
            warn!("every thread can reach the packet sockets: unshare(CLONE_FILES): {error}");
            status::set_descriptors(Some(error.to_string()));
        }
        None if separated.iter().all(|result| matches!(result, Ok(true))) => {
            descriptors::close_copies(handed_over);
            status::set_descriptors(None);
        }
        None => {}
    }
}
