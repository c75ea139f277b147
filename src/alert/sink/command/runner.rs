//! The part of `AlertCommand` that runs its program, once at a time. It serves one socket, in a process of its own.
//! What comes through the socket after the start chooses neither the program nor its arguments, its time limit or
//! variables other than those of alerts.
//!
//! Programs are started with `posix_spawn(3)`, not with `std::process::Command`, whose child inherits the signal mask:
//! this process blocks SIGTERM. The mask could be reset in `pre_exec`, which is unsafe.

use std::env;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::alert::sink::shutdown::{is_readable, wait};

use super::protocol::{Call, HelperReply, HelperRequest, Outcome, Program, is_of_alert, receive, send};

/// Serves requests to run `program` until the other end of the socket is closed, which also ends the program.
///
/// # Errors
/// The socket fails, or delivers something else than requests. Nothing is run for such a message.
pub(super) fn serve(program: &Program, socket: &UnixStream) -> io::Result<()> {
    loop {
        let request = match receive(socket) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        };
        let (number, outcome) = match request {
            HelperRequest::Check { number } => {
                let executable = access(program.path.as_str(), AccessFlags::X_OK);
                (
                    number,
                    executable.map_or_else(|error| Outcome::NotStarted(error as i32), |()| Outcome::Ready),
                )
            }
            HelperRequest::Run { number, call } => (number, run(program, &call, socket)?),
            // The program has ended while this was on its way.
            HelperRequest::Abort => continue,
        };
        send(socket, &HelperReply { number, outcome })?;
    }
}

/// Runs the program until it ends, its time is over, or the socket says that it is to end.
fn run(program: &Program, call: &Call, socket: &UnixStream) -> io::Result<Outcome> {
    if let Some((name, _)) = call.variables.iter().find(|(name, _)| !is_of_alert(name)) {
        let why = format!("a request with the variable {name:?}, which is none of an alert");
        return Err(io::Error::new(ErrorKind::InvalidData, why));
    }
    let child = match spawn(program, call) {
        Ok(child) => child,
        Err(outcome) => return Ok(outcome),
    };
    let deadline = Instant::now() + Duration::from_millis(program.time_limit_ms);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let [has_ended, has_request] = wait(&[child.ended.as_fd(), socket.as_fd()], left)[..] else {
            unreachable!("there is one for each descriptor")
        };
        if has_ended {
            return Ok(match child.reap() {
                Some(WaitStatus::Exited(_, code)) => Outcome::Exited(code),
                Some(WaitStatus::Signaled(_, signal, _)) => Outcome::Signaled(signal.to_string()),
                status => Outcome::Unknown(format!("{status:?}")),
            });
        }
        if has_request {
            // Whatever it is, nobody waits for this program any more.
            child.end_group(SHUTDOWN_GRACE);
            let request = receive(socket)?;
            return match request {
                HelperRequest::Abort => Ok(Outcome::Aborted),
                _ => Err(io::Error::new(ErrorKind::InvalidData, "a request while a program runs")),
            };
        }
        if Instant::now() >= deadline {
            child.end_group(GRACE);
            return Ok(Outcome::TooLong);
        }
    }
}

fn spawn(program: &Program, call: &Call) -> Result<Child, Outcome> {
    let exhausted = |error: io::Error| Outcome::Exhausted(error.to_string());
    let input = standard_input(&call.input).map_err(exhausted)?;
    let output = File::options().write(true).open("/dev/null").map_err(exhausted)?;
    let path = c_string(program.path.clone().into_bytes());
    let words = program.arguments.iter().map(|word| c_string(word.clone().into_bytes()));
    let arguments: Vec<CString> = [path.clone()].into_iter().chain(words).collect();
    let spawned = actions(&input, &output).and_then(|actions| {
        posix_spawn(path.as_c_str(), &actions, &attributes()?, &arguments, &environment(&call.variables))
    });
    let id = spawned.map_err(|error| Outcome::NotStarted(error as i32))?;
    Child::of(id).map_err(|error| Outcome::NotWaitable(error.to_string()))
}

/// Time from SIGTERM to SIGKILL after the time limit.
const GRACE: Duration = Duration::from_secs(1);
/// Time from SIGTERM to SIGKILL while the end of this program waits for the command.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(50);

/// A running program, which is the leader of its process group. Its process id is not reused before it is reaped.
struct Child {
    id: Pid,
    /// A pidfd: readable once the program has ended.
    ended: OwnedFd,
}

impl Child {
    fn of(id: Pid) -> io::Result<Self> {
        let number = rustix::process::Pid::from_raw(id.as_raw()).expect("spawned processes are not number 0");
        match pidfd_open(number, PidfdFlags::empty()) {
            Ok(ended) => Ok(Self { id, ended }),
            Err(error) => {
                // Without a pidfd it would have no time limit, so it must not run.
                let _ = killpg(id, Signal::SIGKILL);
                let _ = waitpid(id, None);
                Err(error.into())
            }
        }
    }

    /// Reaps the program if it has ended. Returns its status, `StillAlive` if it has not ended, and `None` if
    /// waitpid(2) fails.
    fn reap(self) -> Option<WaitStatus> {
        waitpid(self.id, Some(WaitPidFlag::WNOHANG)).ok()
    }

    /// Sends SIGTERM to its process group and, after `grace`, SIGKILL.
    fn end_group(self, grace: Duration) {
        // An error means that the group no longer exists.
        let _ = killpg(self.id, Signal::SIGTERM);
        is_readable(self.ended.as_fd(), grace);
        // SIGKILL is sent also if the leader has ended: it is not reaped yet, so the id of its group is not reused.
        let _ = killpg(self.id, Signal::SIGKILL);
        // A process that hangs in a system call takes longer; it stays a zombie until this program ends.
        is_readable(self.ended.as_fd(), grace);
        self.reap();
    }
}

/// Returns the text as a file in memory (memfd_create(2)). A write to a pipe would block if the program does not read.
fn standard_input(text: &str) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"alert", MFdFlags::MFD_CLOEXEC)?);
    writeln!(file, "{text}")?;
    file.rewind()?;
    Ok(file.into())
}

fn actions(input: &OwnedFd, output: &File) -> nix::Result<PosixSpawnFileActions> {
    let mut actions = PosixSpawnFileActions::init()?;
    actions.add_dup2(input.as_raw_fd(), 0)?;
    actions.add_dup2(output.as_raw_fd(), 1)?;
    Ok(actions)
}

/// Returns attributes that request a process group of its own, no blocked signals and the default action of SIGPIPE:
/// this process blocks some signals, and the Rust runtime ignores SIGPIPE.
fn attributes() -> nix::Result<PosixSpawnAttr> {
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_pgroup(Pid::from_raw(0))?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&Signal::SIGPIPE.into())?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    Ok(attributes)
}

/// Returns the environment of this process and the further variables, without variables of this process that could be
/// taken for those.
fn environment(further: &[(String, String)]) -> Vec<CString> {
    let own = env::vars_os().filter(|(name, _)| !is_internal(&name.to_string_lossy()));
    let own = own.map(|(name, value)| {
        let mut variable = name;
        variable.push("=");
        variable.push(value);
        c_string(variable.into_vec())
    });
    let further = further.iter().map(|(name, value)| c_string(format!("{name}={value}").into_bytes()));
    own.chain(further).collect()
}

/// Returns true for a variable that systemd sets for the program itself, or whose name is that of one of an alert.
pub(super) fn is_internal(name: &str) -> bool {
    ["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "TA_"].iter().any(|start| name.starts_with(start))
}

/// Converts the bytes before the first NUL. Neither the configuration nor text of the system contains a NUL.
fn c_string(bytes: Vec<u8>) -> CString {
    CString::new(bytes).unwrap_or_else(|error| {
        let end = error.nul_position();
        let mut bytes = error.into_vec();
        bytes.truncate(end);
        CString::new(bytes).expect("it ends before its first NUL")
    })
}
