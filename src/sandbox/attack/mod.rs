//! The hook for attacks: in builds with the feature `attack-tests` each thread of the running program, and the helper
//! process, is taken over once, after the start, and tries what an attacker would try.
//!
//! 1. [`prepare`] reads the plan that the environment variable [`VARIABLE`] names and opens the report, while all is
//!    still allowed. Without the variable nothing happens here.
//! 2. Each thread calls [`take_over`] where it has just been confined. It waits until the main thread is confined,
//!    since the start is over then, and until the threads before it are done, since what one has open others can see.
//! 3. Each attempt is a line of JSON in the report: the thread, its kind, what was tried, and `done` or an `errno`. A
//!    call that is refused fails with `EPERM`, `EACCES` or `ENOSYS`; where it could succeed only with what the attacker
//!    lacks (a file that is a program, an address of another process), another error means that it was allowed.
//!
//! Nothing here judges: `tests/lab/attack.rs` does.

mod execution;
mod files;
mod network;
mod outcome;
mod privileges;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use nix::errno::Errno;
use nix::unistd::{getpid, getppid};
use serde::Deserialize;
use serde_json::json;

use super::kind::ThreadKind;
use crate::sys::attack::RingLayout;

/// The environment variable with the path of the plan.
pub const VARIABLE: &str = "TRAFFIC_ALERTED_ATTACK";

/// What a test prepares for the attacker, as JSON.
#[derive(Debug, Deserialize)]
struct Plan {
    /// The file that the report is appended to.
    report: PathBuf,
    /// A file that root alone may read.
    secret: PathBuf,
    /// A folder in which every user may make files.
    outside: PathBuf,
    /// The folder that the configuration lets the program write to.
    own_folder: PathBuf,
    /// A process of the same user, which can be traced.
    decoy: i32,
    /// The index of an interface.
    interface: i32,
    /// A TCP port of loopback that somebody listens on, and that the configuration does not name.
    port: u16,
    /// True if the attacker may try what would end or replace the program if it succeeded.
    may_end: bool,
}

/// What an attacker works with.
struct Attacker {
    plan: Plan,
    report: File,
    rings: Option<RingLayout>,
    /// The process that has started this one. A confined thread cannot ask for it.
    parent: i32,
    /// The processes that this one has started: the helper.
    children: Vec<i32>,
}

static ATTACKER: OnceLock<Attacker> = OnceLock::new();
/// True once the main thread is confined. Whoever holds the lock attacks.
static IS_STARTED: Mutex<bool> = Mutex::new(false);
static STARTED: Condvar = Condvar::new();

/// Reads the plan, if there is one, and opens the report.
///
/// # Errors
/// The plan or the report cannot be used.
pub fn prepare() -> io::Result<()> {
    let Some(path) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let plan: Plan = serde_json::from_slice(&fs::read(path)?)?;
    let report = File::options().append(true).open(&plan.report)?;
    let children = fs::read_to_string(format!("/proc/self/task/{}/children", getpid()))?;
    let children = children.split_whitespace().filter_map(|id| id.parse().ok()).collect();
    // A second call would prepare the same.
    let (rings, parent) = (RingLayout::learn(), getppid().as_raw());
    let _ = ATTACKER.set(Attacker { plan, report, rings, parent, children });
    Ok(())
}

/// Returns the descriptor of the report, which threads with a table of descriptors of their own keep.
pub(super) fn report_descriptor() -> Option<RawFd> {
    ATTACKER.get().map(|attacker| attacker.report.as_raw_fd())
}

/// Attacks in this thread, once the main thread has come here.
pub(super) fn take_over(kind: ThreadKind) {
    let Some(attacker) = ATTACKER.get() else { return };
    let mut is_started = IS_STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if kind == ThreadKind::Main {
        *is_started = true;
        STARTED.notify_all();
    }
    let turn = STARTED.wait_while(is_started, |is_started| !*is_started);
    attacker.attack(&format!("{kind:?}"));
    drop(turn);
}

/// Attacks in the helper process.
pub fn take_over_helper() {
    if let Some(attacker) = ATTACKER.get() {
        attacker.attack(HELPER);
    }
}

impl Attacker {
    fn attack(&self, kind: &str) {
        let current = std::thread::current();
        let thread = current.name().unwrap_or("without a name");
        let mut lines = Vec::new();
        let mut note = |attempt: &str, result: Result<(), Errno>| {
            let outcome = result.map_or_else(|error| format!("{error:?}"), |()| "done".to_owned());
            let line = json!({ "thread": thread, "kind": kind, "attempt": attempt, "outcome": outcome });
            lines.extend(format!("{line}\n").into_bytes());
        };
        execution::all(self, kind, &mut note);
        files::all(self, &format!("removable-{kind}-{thread}"), &mut note);
        network::all(self, &mut note);
        privileges::all(self, kind, &mut note);
        note(END, Ok(()));
        // Without a report the test fails, so there is nothing else to do about an error.
        let _ = (&self.report).write_all(&lines);
    }
}

/// The kind of the helper process in the report.
const HELPER: &str = "Helper";
/// The last line of a thread.
const END: &str = "end";
