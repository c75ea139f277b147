//! What an attacker tries in order to run code of his own.

use std::ffi::CStr;
use std::process::Command;

#[cfg(target_arch = "x86_64")]
use super::outcome::wait_for;
use super::outcome::{Note, closed, done, errno, path};
use super::{Attacker, HELPER};
use crate::sys::attack::{self, X32, call};

/// Tries everything of this kind.
pub(super) fn all(attacker: &Attacker, kind: &str, note: Note<'_>) {
    let own_name = |name: &str| attacker.plan.outside.join(name);
    // The kernel finds out that it is no program after it has decided that it may be executed.
    let text = path(&own_name("no-program"));
    let nothing = [0_u8; 8];
    let execute = |program: &CStr| {
        call(libc::SYS_execve, [program.into(), nothing.as_slice().into(), nothing.as_slice().into()])
    };
    note("execve of a text", done(execute(&text)));
    let at = [
        libc::AT_FDCWD.into(),
        text.as_c_str().into(),
        nothing.as_slice().into(),
        nothing.as_slice().into(),
        0.into(),
    ];
    note("execveat of a text", done(call(libc::SYS_execveat, at)));
    if attacker.plan.may_end {
        // The helper may execute: its command is not the only one that its user can run.
        if kind != HELPER {
            note("execve", done(execute(c"/bin/true")));
        }
        note("execve by the number of x32", done(call(libc::SYS_execve | X32, [0.into()])));
    }
    note("spawn a program", Command::new("/bin/true").status().map(drop).map_err(errno));
    #[cfg(target_arch = "x86_64")]
    for (name, number, flags) in [
        ("fork and execve", libc::SYS_fork, 0),
        ("vfork and execve", libc::SYS_vfork, 0),
        ("clone and execve", libc::SYS_clone, i64::from(libc::SIGCHLD)),
    ] {
        note(name, attack::start_process(number, flags).and_then(wait_for));
    }
    note("mmap executable memory", attack::executable_memory(false).map_err(errno));
    note("mprotect memory to be executable", attack::executable_memory(true).map_err(errno));
    const READ_IMPLIES_EXEC: i64 = 0x040_0000;
    note("personality", done(call(libc::SYS_personality, [READ_IMPLIES_EXEC.into()])));
    let _ = call(libc::SYS_personality, [0.into()]);
    let made = call(libc::SYS_memfd_create, [c"attack".into(), 0.into()]);
    note("memfd_create", closed(made));
}
