//! `AlertCommand`: a program that is run for each notice, one at a time, and killed after a time limit.
//!
//! No shell is involved: the words of the configuration are the arguments. The program reads the alert from its
//! standard input as JSON and from its environment (`TA_ID`, `TA_KIND`, ...). Its standard output is discarded, and
//! lines of its standard error become warnings in the log. It leads a process group of its own, so that its children
//! are killed with it. It has no capability and cannot gain one, not even by a setuid program, so an attacker who
//! controls it has only the rights of its user.
//!
//! ```text
//!   this process                              helper: its own user, no other descriptor
//!   sink --TA_* and the alert---> [socket] --> starts the program, waits, ends its group
//!        <--what became of it---- [socket] <--
//!   log  <-----------lines------- [pipe] <---- standard error of the program
//! ```

mod helper;
mod protocol;
mod runner;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;

use crate::alert::json;
use crate::alert::notice::Notice;

use super::counters::SinkName;
use super::queued_notice::QueuedContent;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::summary::{self, summary_id};
use super::worker::{Failure, QueuedNotice, Sink};

use helper::NoAnswer;
pub use helper::{CommandHelper, run_helper};
use protocol::{Call, HelperRequest, Outcome};

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
    /// `None` if the program was started without `AlertCommand`.
    helper: Option<CommandHelper>,
}

impl AlertCommand {
    pub(super) fn new(options: CommandOptions, retry: Retry, helper: Option<CommandHelper>) -> Self {
        Self { options, retry, helper }
    }

    fn failure(&self, what: &str) -> Failure {
        Failure::lasting(format!("{} {what}", self.options.program.display()))
    }

    /// Returns the failure to start the program, with the remedy. No program had the notice, so it waits.
    fn not_started(&self, error: Errno) -> Failure {
        let remedy = match error {
            Errno::ENOENT => "check the path, and the interpreter in the first line of a script",
            Errno::EACCES => "make it executable for the user that runs TrafficAlerted",
            Errno::ENOEXEC => "begin a script with a line such as #!/bin/sh",
            Errno::EAGAIN | Errno::ENOMEM => "the system has no memory or task for it now",
            _ => "see whether a sandbox forbids it",
        };
        Failure::passing(format!("{} cannot be started: {error}: {remedy}", self.options.program.display()))
    }

    /// Asks the helper. Notices wait while it cannot be asked, since a restart brings another.
    fn ask(
        &self,
        make: impl FnOnce(u64) -> HelperRequest,
        longest: Duration,
        shutdown: &Shutdown,
    ) -> Result<Outcome, Failure> {
        let program = self.options.program.display();
        let Some(helper) = &self.helper else {
            return Err(Failure::passing(format!(
                "{program} has no helper that runs it: restart TrafficAlerted"
            )));
        };
        helper.ask(make, longest, shutdown).map_err(|error| match error {
            NoAnswer::Gone(how) => {
                Failure::passing(format!("the helper that runs {program} {how}: restart TrafficAlerted"))
            }
            NoAnswer::End => self.failure("was ended, since the program ends"),
        })
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
        let shutdown =
            Shutdown::new().map_err(|error| Failure::passing(format!("no descriptor: {error}")))?;
        match self.ask(|number| HelperRequest::Check { number }, ANSWER_TIMEOUT, &shutdown)? {
            Outcome::NotStarted(error) => Err(self.not_started(Errno::from_raw(error))),
            _ => Ok(()),
        }
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], shutdown: &Shutdown) -> Result<usize, Failure> {
        let limit = self.options.time_limit;
        let queued = &batch[0];
        let call = Call { variables: variables(queued), input: queued.json(queued.source()) };
        let longest = limit.saturating_add(ANSWER_TIMEOUT);
        match self.ask(|number| HelperRequest::Run { number, call }, longest, shutdown)? {
            Outcome::Exited(0) => Ok(1),
            Outcome::Exited(code) => Err(self.failure(&format!("exited with {code}"))),
            Outcome::Signaled(signal) => Err(self.failure(&format!("was ended by {signal}"))),
            Outcome::TooLong => {
                let seconds = limit.as_secs_f32();
                Err(self.failure(&format!(
                    "was ended after {seconds} seconds: make it faster, or raise AlertCommandTimeout"
                )))
            }
            Outcome::NotStarted(error) => Err(self.not_started(Errno::from_raw(error))),
            Outcome::Exhausted(error) => {
                Err(Failure::passing(format!("no descriptor or memory for a program: {error}")))
            }
            Outcome::NotWaitable(error) => Err(self.failure(&format!("cannot be waited for: {error}"))),
            other => Err(self.failure(&format!("ended in an unknown way: {other:?}"))),
        }
    }
}

/// Maximum time for an answer of the helper besides the time limit of the program: it waits for processes that it ends.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the variables of the alert, or of the summary. `TA_SOURCE` and `TA_STORM` are always among them, since a
/// script with `set -u` ends at one that is not set.
fn variables(queued: &QueuedNotice) -> Vec<(String, String)> {
    let (variables, source, is_storm) = match &queued.content {
        QueuedContent::Notice(notice) => {
            let alert = notice.alert();
            (notice_variables(queued, notice), alert.source, alert.progress.storm.is_some())
        }
        QueuedContent::Summary(summary) => {
            (summary::variables(&summary_id(queued.number, queued.at), summary), None, false)
        }
    };
    let source = source.map(|source| source.to_string()).unwrap_or_default();
    let storm = if is_storm { "1" } else { "" };
    let always = [("TA_SOURCE", source), ("TA_STORM", storm.to_owned())];
    let variables = variables.into_iter().chain(always);
    variables.map(|(name, value)| (name.to_owned(), value)).collect()
}

fn notice_variables(queued: &QueuedNotice, notice: &Notice) -> Vec<(&'static str, String)> {
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
        ("TA_TEXT", queued.sentence()),
    ];
    all.extend((alert.progress.error_bound > 0).then(|| ("TA_UP_TO", alert.upper_bound().to_string())));
    all.extend(source.name.map(|name| ("TA_SOURCE_NAME", name.to_owned())));
    all.extend(source.country.map(|country| ("TA_SOURCE_COUNTRY", country.to_owned())));
    all.extend(source.asn.map(|number| ("TA_SOURCE_ASN", number.to_string())));
    all.extend(alert.closed_at.map(|at| ("TA_CLOSED_AT", json::rfc3339(at))));
    all
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::Instant;

    use nix::sys::signal::{SigSet, Signal, killpg};
    use nix::unistd::Pid;

    use serde_json::Value;

    use crate::alert::record::{Alert, AlertKind, AlertProgress};
    use crate::alert::sample;
    use crate::alert::storm::Storm;
    use crate::time::UnixNanos;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn command(script: &str, words: &[&str], time_limit: Duration) -> AlertCommand {
        let arguments = ["-c", script, "sh"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        let options = CommandOptions { program: "/bin/sh".into(), arguments, time_limit };
        with_helper(options)
    }

    fn with_helper(options: CommandOptions) -> AlertCommand {
        let helper = CommandHelper::in_thread(&options);
        AlertCommand::new(options, Retry::default(), Some(helper))
    }

    fn deliver(mut command: AlertCommand) -> Result<usize, Failure> {
        let notice = Notice::Test(sample::traffic());
        let queued = QueuedNotice::new(1, UnixNanos(0), notice);
        command.deliver(&[Arc::new(queued)], &Shutdown::new().expect("descriptors"))
    }

    /// Neither a storm nor lost frames have a source.
    #[test]
    fn a_script_that_refuses_unset_variables_runs_for_each_alert_and_knows_storms() {
        let storm = Some(Arc::new(Storm { hosts: 50, ..Storm::default() }));
        let storm = AlertProgress { storm, ..AlertProgress::default() };
        let storm = Alert { source: None, progress: storm, ..sample::traffic() };
        let loss = Alert { source: None, kind: AlertKind::Loss, ..sample::traffic() };
        for (alert, want) in [(sample::traffic(), "192.0.2.1,"), (storm, ",1"), (loss, ",")] {
            let script = format!("set -u; test \"$TA_SOURCE,$TA_STORM\" = '{want}'");
            let mut command = command(&script, &[], HOUR);
            let queued = QueuedNotice::new(1, UnixNanos(0), Notice::Opened(alert));
            let delivered = command.deliver(&[Arc::new(queued)], &Shutdown::new().expect("descriptors"));
            assert_eq!(delivered.map_err(|failure| failure.why), Ok(1), "{want}");
        }
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
            let failure = deliver(with_helper(options)).expect_err("it is not a program");
            assert!(failure.why.contains(want) && failure.is_passing, "{}", failure.why);
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
        let of = |alert: Alert| variables(&QueuedNotice::new(1, UnixNanos(0), Notice::Opened(alert)));
        for (name, value) in [("TA_STATE", "possible"), ("TA_UP_TO", "1200000007")] {
            assert!(of(possible.clone()).contains(&(name.to_owned(), value.to_owned())), "{name}");
        }
        assert!(of(possible).iter().all(|(name, _)| protocol::is_of_alert(name)));
        let has_error = |there: &(String, String)| there.0 == "TA_UP_TO";
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

    #[test]
    fn without_a_helper_notices_wait_for_a_restart() {
        let options = CommandOptions { program: "/bin/true".into(), arguments: vec![], time_limit: HOUR };
        let failure =
            deliver(AlertCommand::new(options, Retry::default(), None)).expect_err("nobody runs it");
        assert!(failure.is_passing && failure.why.contains("restart TrafficAlerted"), "{}", failure.why);
    }

    #[test]
    fn a_command_after_one_that_was_aborted_gets_its_own_answer() {
        let mut command = command("exit \"$1\"", &["5"], HOUR);
        let queued = Arc::new(QueuedNotice::new(1, UnixNanos(0), Notice::Test(sample::traffic())));
        let ending = Shutdown::new().expect("descriptors");
        ending.now();
        // It may have ended by itself before it is aborted.
        let _ = command.deliver(&[Arc::clone(&queued)], &ending);
        let failure =
            command.deliver(&[queued], &Shutdown::new().expect("descriptors")).expect_err("it fails");
        assert!(failure.why.contains("exited with 5"), "{}", failure.why);
    }
}
