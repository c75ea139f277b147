//! `AlertCommand`: a program that is run for each notice, one at a time, and killed after a time limit.
//!
//! No shell is involved: the words of the configuration are the arguments. The program reads the alert from its
//! standard input as JSON and from its environment (`TA_ID`, `TA_KIND`, ...). Its standard output is discarded, and its
//! standard error is that of this program. It leads a process group of its own, so that its children are killed with
//! it. It has no capability and cannot gain one, not even by a setuid program, so an attacker who controls it has only
//! the rights of its user.
//!
//! It is started with `posix_spawn(3)`, not `fork(2)`: after a copy of the page tables of this process, the workers
//! would have a fault at each page that they write next. `std::process::Command` uses `posix_spawn(3)` as well, but its
//! child inherits the signal mask of this thread, which blocks SIGTERM. The mask could be reset in `pre_exec`, which is
//! unsafe and makes the library call `fork(2)`.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{AccessFlags, Pid, access};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::alert::json;
use crate::alert::sentence::Sentence;

use super::counters::SinkName;
use super::retry::Retry;
use super::shutdown::{Shutdown, Waited, is_readable};
use super::worker::{Failure, QueuedNotice, Sink};

/// The program that is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOptions {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Maximum time that it may run.
    pub time_limit: Duration,
}

pub(super) struct AlertCommand {
    options: CommandOptions,
    retry: Retry,
}

impl AlertCommand {
    pub(super) fn new(options: CommandOptions, retry: Retry) -> Self {
        Self { options, retry }
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::lasting(format!("{} {what}", self.options.program.display()))
    }

    /// Returns the failure to start the program, with the remedy.
    fn not_started(&self, error: Errno) -> Failure {
        let remedy = match error {
            Errno::ENOENT => "check the path, and the interpreter in the first line of a script",
            Errno::EACCES => "make it executable for the user that runs TrafficAlerted",
            Errno::ENOEXEC => "begin a script with a line such as #!/bin/sh",
            Errno::EAGAIN | Errno::ENOMEM => {
                let why = format!("{} cannot be started now: {error}", self.options.program.display());
                return Failure::passing(why);
            }
            _ => "see whether a sandbox forbids it",
        };
        self.failure(&format!("cannot be started: {error}: {remedy}"))
    }

    fn spawn(&self, queued: &QueuedNotice) -> Result<Child, Failure> {
        let exhausted = |error| Failure::passing(format!("no descriptor or memory for a program: {error}"));
        let input = standard_input(queued).map_err(exhausted)?;
        let output = File::options().write(true).open("/dev/null").map_err(exhausted)?;
        let program = path_of(&self.options.program);
        let words = self.options.arguments.iter().map(|word| word.clone().into_bytes());
        let arguments: Vec<CString> = [program.clone()].into_iter().chain(words.map(c_string)).collect();
        let spawned = actions(&input, &output).and_then(|actions| {
            posix_spawn(program.as_c_str(), &actions, &attributes()?, &arguments, &environment(queued))
        });
        let id = spawned.map_err(|error| self.not_started(error))?;
        Child::of(id).map_err(|error| self.failure(&format!("cannot be waited for: {error}")))
    }
}

impl Sink for AlertCommand {
    fn name(&self) -> SinkName {
        SinkName::Command
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn wants_growth(&self) -> bool {
        true
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let forbidden = nix::sys::prctl::set_no_new_privs().map_err(|error| error.to_string());
        forbidden.map_err(|error| self.failure(&error))?;
        access(&self.options.program, AccessFlags::X_OK).map_err(|error| self.not_started(error))
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], shutdown: &Shutdown) -> Result<usize, Failure> {
        let limit = self.options.time_limit;
        let child = self.spawn(&batch[0])?;
        match shutdown.wait_for(child.ended.as_fd(), limit) {
            Waited::Ready => match child.reap() {
                Some(WaitStatus::Exited(_, 0)) => Ok(1),
                Some(WaitStatus::Exited(_, code)) => Err(self.failure(&format!("exited with {code}"))),
                Some(WaitStatus::Signaled(_, signal, _)) => {
                    Err(self.failure(&format!("was ended by {signal}")))
                }
                status => Err(self.failure(&format!("ended in an unknown way: {status:?}"))),
            },
            Waited::TooLong => {
                child.end_group(GRACE);
                let seconds = limit.as_secs_f32();
                Err(self.failure(&format!(
                    "was ended after {seconds} seconds: make it faster, or raise AlertCommandTimeout"
                )))
            }
            Waited::End => {
                child.end_group(SHUTDOWN_GRACE);
                Err(self.failure("was ended, since the program ends"))
            }
        }
    }
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

/// Returns the alert as a file in memory (memfd_create(2)). A write to a pipe would block if the program does not read.
fn standard_input(queued: &QueuedNotice) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(c"alert", MFdFlags::MFD_CLOEXEC)?);
    writeln!(file, "{}", json::text(&queued.notice, queued.source()))?;
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
/// this thread blocks some signals, and the Rust runtime ignores SIGPIPE.
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

/// Returns the environment of this program and the variables of the alert, without the variables that systemd sets for
/// this process only.
fn environment(queued: &QueuedNotice) -> Vec<CString> {
    let QueuedNotice { notice, .. } = queued;
    let source = queued.source();
    let alert = notice.alert();
    let mut all = vec![
        ("TA_ID", alert.id.clone()),
        ("TA_KIND", alert.kind.name().to_owned()),
        ("TA_STATE", notice.state().word().to_owned()),
        ("TA_MEASURED", alert.measured.to_string()),
        ("TA_LIMIT", alert.limit.to_string()),
        ("TA_IP_BYTES", alert.ip_bytes.to_string()),
        ("TA_OPENED_AT", json::rfc3339(alert.opened_at)),
        ("TA_TEXT", Sentence::about(notice, source).to_string()),
    ];
    all.extend(alert.source.map(|source| ("TA_SOURCE", source.to_string())));
    all.extend((alert.progress.error_bound > 0).then(|| ("TA_UP_TO", alert.upper_bound().to_string())));
    all.extend(source.name.map(|name| ("TA_SOURCE_NAME", name.to_owned())));
    all.extend(source.country.map(|country| ("TA_SOURCE_COUNTRY", country.to_owned())));
    all.extend(source.asn.map(|number| ("TA_SOURCE_ASN", number.to_string())));
    all.extend(alert.closed_at.map(|at| ("TA_CLOSED_AT", json::rfc3339(at))));
    let own = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        !["NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "TA_"].iter().any(|start| name.starts_with(start))
    });
    let own = own.map(|(name, value)| {
        let mut variable = name;
        variable.push("=");
        variable.push(value);
        c_string(variable.into_vec())
    });
    own.chain(all.into_iter().map(|(name, value)| c_string(format!("{name}={value}").into_bytes()))).collect()
}

fn path_of(path: &std::path::Path) -> CString {
    c_string(OsString::from(path).into_vec())
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Instant;

    use serde_json::Value;

    use crate::alert::notice::Notice;
    use crate::alert::record::{Alert, AlertProgress};
    use crate::alert::sample;
    use crate::time::UnixNanos;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn command(script: &str, words: &[&str], time_limit: Duration) -> AlertCommand {
        let arguments = ["-c", script, "sh"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        let options = CommandOptions { program: "/bin/sh".into(), arguments, time_limit };
        AlertCommand::new(options, Retry::default())
    }

    fn deliver(mut command: AlertCommand) -> Result<usize, Failure> {
        let notice = Notice::Test(sample::traffic());
        let queued = QueuedNotice::new(1, UnixNanos(0), notice);
        command.deliver(&[Arc::new(queued)], &Shutdown::new().expect("descriptors"))
    }

    #[test]
    fn a_program_has_the_alert_on_its_input_and_in_its_environment() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = |name: &str| folder.path().join(name);
        let script = "cd \"$1\" && cat > input && env > environment && printf %s \"$2\" > word \
                      && grep -E 'SigBlk|SigIgn' /proc/self/status > signals && ls -l /proc/self/fd > descriptors";
        let words = [folder.path().to_str().expect("text"), "a \"b\" $(c) #d"];
        let _open = File::create(path("kept-here")).expect("it is ours");
        // The threads of the sinks block SIGTERM, so this thread does too.
        SigSet::from(Signal::SIGTERM).thread_block().expect("a thread may");
        deliver(command(script, &words, HOUR)).unwrap_or_else(|failure| panic!("{}", failure.why));

        let read = |name: &str| fs::read_to_string(path(name)).expect("it was written");
        let alert: Value = serde_json::from_str(&read("input")).expect("JSON");
        assert_eq!((&alert["state"], &alert["source"]), (&"test".into(), &"192.0.2.1".into()));
        let environment = read("environment");
        for line in [
            "TA_ID=test-1790000000",
            "TA_KIND=TRAFFIC",
            "TA_STATE=test",
            "TA_SOURCE=192.0.2.1",
            "TA_MEASURED=1200000000",
            "TA_LIMIT=1000000000",
            "TA_OPENED_AT=2026-09-21T14:13:20Z",
        ] {
            assert!(environment.lines().any(|there| there == line), "{line} in {environment}");
        }
        assert!(environment.contains("\nPATH=") || environment.starts_with("PATH="), "{environment}");
        assert!(!environment.contains("TA_CLOSED_AT"), "{environment}");
        assert_eq!(read("word"), "a \"b\" $(c) #d", "no shell may interpret the word");
        // This thread blocks SIGTERM, and Rust ignores SIGPIPE. The mask leaves out two signals of glibc, which ignores
        // them.
        let signals = read("signals");
        let set = |name: &str| {
            let line = signals.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).expect("a set of signals")
        };
        assert_eq!((set("SigBlk:"), set("SigIgn:") & 0x7fff_ffff), (0, 0), "{signals}");
        let descriptors = read("descriptors");
        assert_eq!(descriptors.matches("memfd:alert").count(), 1, "{descriptors}");
        assert!(!descriptors.contains("kept-here"), "{descriptors}");
    }

    #[test]
    fn a_failure_names_what_the_program_did() {
        let cases = [
            ("exit 3", "exited with 3"),
            ("kill -9 $$", "was ended by SIGKILL"),
            ("exec /nowhere 2>/dev/null", "exited with 127"),
        ];
        for (script, want) in cases {
            let failure = deliver(command(script, &[], HOUR)).expect_err("it fails");
            assert!(failure.why.contains(want) && !failure.is_passing, "{}", failure.why);
        }
        let folder = tempfile::tempdir().expect("a folder for the test");
        let plain = folder.path().join("plain");
        fs::write(&plain, "text").expect("it is ours");
        let cases = [
            (Path::new("/nowhere/at/all"), "check the path"),
            (&plain, "make it executable"),
            (folder.path(), "make it executable"),
        ];
        for (program, want) in cases {
            let program = program.to_owned();
            let options = CommandOptions { program, arguments: vec![], time_limit: HOUR };
            let failure =
                deliver(AlertCommand::new(options, Retry::default())).expect_err("it is not a program");
            assert!(failure.why.contains(want) && !failure.is_passing, "{}", failure.why);
        }
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let ids = folder.path().join("ids");
        // One child hangs as well, and one ignores SIGTERM.
        let script = "(trap '' TERM; echo ready > \"$2\"; sleep 3600) & sleep 3600 & \
                      until [ -e \"$2\" ]; do :; done; echo $$ $! > \"$1\"; wait";
        let words = [ids.to_str().expect("text"), &format!("{}.ready", ids.display())];
        let began = Instant::now();
        let failure =
            deliver(command(script, &words, Duration::from_secs(3))).expect_err("it takes too long");
        assert!(failure.why.contains("was ended after 3 seconds"), "{}", failure.why);
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
        let text = fs::read_to_string(&ids).expect("it was written");
        let group: i32 = text.split(' ').next().and_then(|id| id.parse().ok()).expect("a number");
        // Its children are killed, and the process that adopts orphans here reaps them.
        let deadline = Instant::now() + Duration::from_secs(30);
        while killpg(Pid::from_raw(group), None) != Err(Errno::ESRCH) {
            let is_alive = |id: &str| {
                fs::read_to_string(format!("/proc/{}/stat", id.trim()))
                    .is_ok_and(|stat| !stat.contains(") Z "))
            };
            if !text.split(' ').any(is_alive) {
                break;
            }
            assert!(Instant::now() < deadline, "{group} has members");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_possible_alert_shows_its_upper_bound() {
        let progress = AlertProgress { is_possible: true, error_bound: 7, ..AlertProgress::default() };
        let possible = Alert { progress, ..sample::traffic() };
        let of = |alert: Alert| environment(&QueuedNotice::new(1, UnixNanos(0), Notice::Opened(alert)));
        for line in [c"TA_STATE=possible", c"TA_UP_TO=1200000007"] {
            assert!(of(possible.clone()).iter().any(|there| there.as_c_str() == line), "{line:?}");
        }
        let has_error = |there: &CString| there.as_bytes().starts_with(b"TA_UP_TO=");
        assert!(!of(sample::traffic()).iter().any(has_error));
    }

    #[test]
    fn the_end_of_this_program_ends_the_command() {
        let mut command = command("trap '' TERM; sleep 3600", &[], HOUR);
        let shutdown = Shutdown::new().expect("descriptors");
        let queued = QueuedNotice::new(1, UnixNanos(0), Notice::Opened(sample::traffic()));
        shutdown.now();
        let failure = command.deliver(&[Arc::new(queued)], &shutdown).expect_err("it does not end by itself");
        assert!(failure.why.contains("since the program ends"), "{}", failure.why);
    }
}
