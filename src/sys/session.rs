//! Starts a process in a session of its own. The standard library can do so by an unstable function alone
//! (`CommandExt::setsid`).
//!
//! Sources: setsid(2), signal-safety(7).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes the process of `command` the leader of a new session, without a controlling terminal, before it executes.
pub(crate) fn begin_session(command: &mut Command) {
    // SAFETY: between fork and execve the closure makes one system call, which takes no argument. It allocates nothing
    // and takes no lock; the error is a number.
    unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(io::Error::from)) };
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn the_process_leads_a_session_without_a_terminal() {
        let mut command = Command::new("cat");
        command.arg("/proc/self/stat").stdout(Stdio::piped());
        begin_session(&mut command);
        let child = command.spawn().expect("every system has it");
        let id = child.id().to_string();
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        // Group, session and terminal (proc_pid_stat(5)).
        let fields: Vec<&str> = text.split_whitespace().skip(4).take(3).collect();
        assert_eq!(fields, [id.as_str(), id.as_str(), "0"], "{text}");
    }
}
