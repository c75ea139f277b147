//! The program under test: its start and end, its log and its HTTP responses.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fmt::Debug;
use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
pub(crate) use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::Deserialize;
use tempfile::TempDir;

use crate::support::host::{Host, Sum};
use crate::support::tool::{LOOK, end_within};

/// The beginning of most configurations of the lab: `/all` lists every host.
pub(crate) const EVERY_HOST: &str = "ChartMinBytes: 1\n";

/// A line that sets a token of the API.
pub(crate) const TOKEN_LINE: &str = "ApiToken: lab-token-0123456789-abcdefghijk\n";

/// The header with that token.
pub(crate) const WITH_TOKEN: &str = "Authorization: Bearer lab-token-0123456789-abcdefghijk\r\n";

/// Timeout of what must happen, far longer than it takes, since the machine may be busy.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A running TrafficAlerted.
pub(crate) struct Program {
    host: Host,
    child: Child,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
    unread_log: Option<PipeReader>,
    /// The time at which it listened.
    pub(crate) listening_since: Instant,
    folder: TempDir,
}

/// The end of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// From the signal to the end of the process.
    pub(crate) took: Duration,
    pub(crate) lines: Vec<Line>,
}

/// A line of its log, and the time at which it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) at: Instant,
}

/// `/api/v1/accounting`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Accounting {
    pub(crate) frames: u64,
    pub(crate) counted_frames: u64,
    pub(crate) ip_packets: u64,
    pub(crate) ip_bytes: u64,
    pub(crate) wire_exact: bool,
    pub(crate) super_frames: u64,
    pub(crate) super_frames_as_one: u64,
    pub(crate) skipped: BTreeMap<String, u64>,
    pub(crate) kernel: Kernel,
    pub(crate) loss: Loss,
    pub(crate) interfaces: Vec<Interface>,
}

/// Drops in the window.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) tp_packets: u64,
    pub(crate) tp_drops: u64,
    pub(crate) alert_since: Option<String>,
}

/// One interface of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: Option<String>,
    pub(crate) gone: bool,
    pub(crate) monitored: bool,
    pub(crate) reason: Option<String>,
    pub(crate) entering: Way,
    pub(crate) kernel: Link,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) frames: u64,
    pub(crate) counted_frames: u64,
    pub(crate) ip_bytes: u64,
    pub(crate) skipped: BTreeMap<String, u64>,
    pub(crate) unexplained: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) rx_packets: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Kernel {
    pub(crate) tp_packets: u64,
    pub(crate) tp_drops: u64,
}

impl Accounting {
    pub(crate) fn counted(&self) -> Sum {
        Sum { packets: self.ip_packets, bytes: self.ip_bytes }
    }

    /// Returns the interface of a name.
    pub(crate) fn interface(&self, name: &str) -> &Interface {
        let named = |interface: &&Interface| interface.name.as_deref() == Some(name) && !interface.gone;
        self.interfaces.iter().find(named).unwrap_or_else(|| panic!("there is no {name} in {self:?}"))
    }

    /// Returns true if every frame is counted, skipped or dropped, which holds when no frame is in a ring or in a
    /// delta.
    pub(crate) fn adds_up(&self) -> bool {
        self.frames == self.counted_frames + self.skipped.values().sum::<u64>()
            && self.kernel.tp_packets == self.frames + self.kernel.tp_drops
    }
}

/// An element of `/all` or `/active`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Listed {
    pub(crate) event_type: String,
    #[serde(rename = "SourceIP")]
    pub(crate) source: IpAddr,
    #[serde(rename = "DestinationIP")]
    pub(crate) destinations: Vec<Destination>,
    pub(crate) total_bytes: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Destination {
    #[serde(rename = "IP")]
    pub(crate) addr: IpAddr,
    #[serde(rename = "Bytes")]
    pub(crate) bytes: u64,
}

/// Returns a configuration without the Unix socket of the API, unless it names one: all tests share the folder of the
/// default.
fn whole(config: &str) -> String {
    match config.contains("ApiSocket:") {
        true => config.to_owned(),
        false => format!("{}\nApiSocket: off\n", config.trim_end_matches('\n')),
    }
}

impl Program {
    /// Starts it on a host and waits until it listens, from when on it counts.
    pub(crate) fn start(host: &Host, config: &str) -> Self {
        Self::start_as(Command::new(binary()), host, config)
    }

    /// The same through a command that takes the program and its arguments as further arguments.
    pub(crate) fn start_as(command: Command, host: &Host, config: &str) -> Self {
        let mut program = Self::launch(command, host, config, Stdio::piped());
        match program.line("listening on http://") {
            Some(line) => program.listening_since = line.at,
            None => panic!("it does not listen:\n{}", program.log.text()),
        }
        program
    }

    /// Starts it with a log that hangs: a full pipe that is not read before the program ends.
    pub(crate) fn start_with_hanging_log(host: &Host, config: &str) -> Self {
        let (log, mut stderr) = io::pipe().expect("a pipe");
        let has_room = |pipe: &PipeWriter| {
            let mut pipe = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
            poll(&mut pipe, PollTimeout::ZERO).expect("it is a pipe") > 0
        };
        while has_room(&stderr) {
            stderr.write_all(&[b'.'; libc::PIPE_BUF]).expect("its other end is here");
        }
        let mut program = Self::launch(Command::new(binary()), host, config, stderr.into());
        program.unread_log = Some(log);
        let listens = |_: &Self| host.on(|| TcpStream::connect(("127.0.0.1", PORT)).is_ok());
        program.wait_for("it listens", listens, |&listens| listens);
        // It listens before it counts, and it counts before it responds.
        assert_eq!(program.get("/healthz"), "ok");
        program
    }

    /// Starts it where it must fail, and waits for its end.
    pub(crate) fn fail(command: Command, host: &Host, config: &str) -> Ended {
        Self::launch(command, host, config, Stdio::piped()).ended(Instant::now())
    }

    fn launch(mut command: Command, host: &Host, config: &str, stderr: Stdio) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        // It may run as a user that owns no files.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::write(folder.path().join("lab.conf"), whole(config)).expect("it is ours");
        command
            .arg("lab.conf")
            .current_dir(folder.path())
            .env_remove("JOURNAL_STREAM")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        let mut child = host.on(|| command.spawn().expect("the binary starts"));
        let log = Arc::new(Log::default());
        let reader = child.stderr.take().map(|stderr| {
            let log = Arc::clone(&log);
            let lines = BufReader::new(stderr).lines().map_while(Result::ok);
            thread::spawn(move || lines.for_each(|text| log.add(text)))
        });
        Self {
            host: host.clone(),
            child,
            log,
            reader,
            unread_log: None,
            listening_since: Instant::now(),
            folder,
        }
    }

    /// Replaces the configuration and sends SIGHUP. Waits until the log has the result of this reload.
    pub(crate) fn reload(&self, config: &str) {
        let answers = |program: &Self| {
            let is_answer = |line: &Line| {
                line.text.ends_with("lab.conf is in force")
                    || line.text.contains("lab.conf is wrong, so nothing changes")
            };
            program.log.lines().iter().filter(|line| is_answer(line)).count()
        };
        let before = answers(self);
        fs::write(self.folder.path().join("lab.conf"), whole(config)).expect("it is ours");
        self.signal(Signal::SIGHUP);
        self.wait_for("it has read its configuration again", answers, |&now| now == before + 1);
    }

    /// Removes the configuration and lets `make` put something else in its place.
    pub(crate) fn replace_config(&self, make: impl FnOnce(&Path)) {
        let path = self.folder.path().join("lab.conf");
        fs::remove_file(&path).expect("it is ours");
        make(&path);
    }

    /// Waits until its log contains `needle`. Later lines may still be missing then.
    pub(crate) fn wait_for_log(&self, needle: &str) {
        self.wait_for(&format!("its log contains {needle:?}"), Self::log_text, |text| text.contains(needle));
    }

    /// Returns its log so far.
    pub(crate) fn log_text(&self) -> String {
        self.log.text()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the folder in proc(5) of one of its threads, by the thread's name.
    pub(crate) fn thread(&self, name: &str) -> String {
        let is_named =
            |task: &String| fs::read_to_string(format!("{task}/comm")).is_ok_and(|comm| comm.trim() == name);
        let find = |program: &Self| {
            let tasks = fs::read_dir(format!("/proc/{}/task", program.id())).expect("it runs");
            let mut tasks = tasks.filter_map(|task| task.ok()?.path().into_os_string().into_string().ok());
            tasks.find(is_named)
        };
        self.wait_for(&format!("there is a thread {name}"), find, Option::is_some).expect("it was waited for")
    }

    /// Waits for a line that contains `needle`; `None` after the timeout or the end of the program.
    pub(crate) fn line(&mut self, needle: &str) -> Option<Line> {
        let deadline = Instant::now() + TIMEOUT;
        while Instant::now() < deadline {
            // This comes before the lines are read, so that no line before the end is missed.
            let is_over = self.child.try_wait().expect("it is our child").is_some();
            if let Some(line) = self.log.find(needle, if is_over { TIMEOUT / 10 } else { LOOK * 10 }) {
                return Some(line);
            }
            if is_over {
                return None;
            }
        }
        None
    }

    /// Waits for the line that opens an alert.
    pub(crate) fn alert(&mut self, kind: &str, source: impl std::fmt::Display) -> Line {
        let role = if kind == "RECEIVED" { "DST" } else { "SRC" };
        let needle = format!("EVENT={kind} {role}={source} ");
        self.line(&needle).unwrap_or_else(|| panic!("no {needle:?} in\n{}", self.log.text()))
    }

    /// Repeats a query until its answer satisfies a condition.
    pub(crate) fn wait_for<T: Debug>(
        &self,
        what: &str,
        query: impl Fn(&Self) -> T,
        is_wanted: impl Fn(&T) -> bool,
    ) -> T {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let answer = query(self);
            if is_wanted(&answer) {
                return answer;
            }
            assert!(
                Instant::now() < deadline,
                "not in time: {what}; the last answer was {answer:?}, and its log is\n{}",
                self.log.text()
            );
            thread::sleep(LOOK * 5);
        }
    }

    /// Waits until exactly this much was counted.
    pub(crate) fn wait_for_counted(&self, expected: Sum) -> Accounting {
        self.wait_for(&format!("{expected:?} counted"), Self::accounting, |accounting| {
            accounting.counted() == expected && accounting.adds_up()
        })
    }

    /// Waits until a host has sent exactly this much in the window.
    pub(crate) fn wait_for_bytes(&self, source: impl Into<IpAddr>, bytes: u64) {
        let source = source.into();
        let query = |program: &Self| program.bytes_of(source);
        self.wait_for(&format!("{bytes} bytes of {source}"), query, |&counted| counted == bytes);
    }

    pub(crate) fn accounting(&self) -> Accounting {
        self.get_json("/api/v1/accounting")
    }

    /// `/all`.
    pub(crate) fn all(&self) -> Vec<Listed> {
        self.get_json("/all")
    }

    /// `/active`.
    pub(crate) fn active(&self) -> Vec<Listed> {
        self.get_json("/active")
    }

    /// Bytes of a host in `/all`; 0 if it is not listed.
    pub(crate) fn bytes_of(&self, source: IpAddr) -> u64 {
        self.all().iter().filter(|listed| listed.source == source).map(|listed| listed.total_bytes).sum()
    }

    /// Returns the JSON of a response.
    pub(crate) fn get_json<T: for<'a> Deserialize<'a> + Send>(&self, path: &str) -> T {
        let body = self.get(path);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error} in {body:?}"))
    }

    /// Returns the body of a response.
    pub(crate) fn get(&self, path: &str) -> String {
        let (status, body) = self.request(&format!("GET {path} HTTP/1.1\r\n"), "");
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Sends a request and returns status and body of the response. `head` is its first line and headers, without Host
    /// and Content-Length.
    pub(crate) fn request(&self, head: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let answer = self.host.on(|| {
            let mut stream = TcpStream::connect(("127.0.0.1", PORT)).expect("it listens");
            stream.set_read_timeout(Some(TIMEOUT)).expect("not zero");
            let length = if length > 0 { format!("Content-Length: {length}\r\n") } else { String::new() };
            write!(stream, "{head}Host: localhost:{PORT}\r\n{length}Connection: close\r\n\r\n{body}")
                .expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            answer
        });
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {head}")), body.to_owned())
    }

    /// Runs `work` while no thread of the program runs.
    pub(crate) fn while_stopped(&self, work: impl FnOnce()) {
        self.signal(Signal::SIGSTOP);
        // The kernel stops its threads one by one.
        let is_stopped = |state: &Vec<char>| state.iter().all(|&state| state == 'T');
        self.wait_for("it stands still", |program| program.thread_states(), is_stopped);
        work();
        self.signal(Signal::SIGCONT);
    }

    /// Returns the state of each of its threads, as in proc(5).
    fn thread_states(&self) -> Vec<char> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).expect("it runs");
        let state = |stat: String| stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        threads
            .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok())
            .filter_map(state)
            .collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("the kernel's process ids are positive");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn stop(self, signal: Signal) -> Ended {
        let asked = Instant::now();
        self.signal(signal);
        self.ended(asked)
    }

    fn ended(mut self, asked: Instant) -> Ended {
        let status = end_within(&mut self.child, TIMEOUT);
        let took = asked.elapsed();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
        let status = status.unwrap_or_else(|| panic!("it does not end:\n{}", self.log.text()));
        Ended { code: status.code(), took, lines: self.log.lines() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Returns the lines of the alerts that it opened, without date and time.
    pub(crate) fn alerts(&self) -> Vec<&str> {
        let alerts = self.lines.iter().filter_map(|line| line.text.find("EVENT=").map(|at| &line.text[at..]));
        alerts.collect()
    }

    /// Returns its whole log.
    pub(crate) fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// Checks that it ended with exit code 0, and returns the counts of its last line.
    pub(crate) fn final_counts(&self) -> Sum {
        assert_eq!(self.code, Some(0), "{}", self.text());
        let last = self.lines.iter().rev().find(|line| line.text.contains(" packets, "));
        let last = last.unwrap_or_else(|| panic!("no final counts in\n{}", self.text()));
        let mut words = last.text.split(' ').filter_map(|word| word.parse().ok());
        match (words.next(), words.next()) {
            (Some(packets), Some(bytes)) => Sum { packets, bytes },
            _ => panic!("no numbers in {}", last.text),
        }
    }
}

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_TrafficAlerted");

/// Returns the path of the program that most tests start: `LAB_PROGRAM` of the environment, as `scripts/load` sets it
/// to the optimised one, else [`BINARY`].
pub(crate) fn binary() -> OsString {
    env::var_os("LAB_PROGRAM").unwrap_or_else(|| BINARY.into())
}

/// Returns true if that program is optimised; the one of `cargo test` takes several times as long for everything.
pub(crate) fn is_optimised() -> bool {
    !cfg!(debug_assertions) || env::var_os("LAB_PROGRAM").is_some()
}

/// The default port of the program.
pub(crate) const PORT: u16 = 8698;

/// The lines of a program's log so far.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<Line>>,
    grown: Condvar,
}

impl Log {
    fn add(&self, text: String) {
        let at = Instant::now();
        self.lines.lock().expect("no thread panics while it holds the lock").push(Line { text, at });
        self.grown.notify_all();
    }

    fn lines(&self) -> Vec<Line> {
        self.lines.lock().expect("no thread panics while it holds the lock").clone()
    }

    fn text(&self) -> String {
        self.lines().into_iter().map(|line| line.text + "\n").collect()
    }

    /// Returns the first line that contains `needle`, which may arrive within `timeout`.
    fn find(&self, needle: &str, timeout: Duration) -> Option<Line> {
        let find = |lines: &[Line]| lines.iter().find(|line| line.text.contains(needle)).cloned();
        let lines = self.lines.lock().expect("no thread panics while it holds the lock");
        let (lines, _) = self
            .grown
            .wait_timeout_while(lines, timeout, |lines| find(lines).is_none())
            .expect("no thread panics while it holds the lock");
        find(&lines)
    }
}
