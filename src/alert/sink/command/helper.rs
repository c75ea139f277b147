//! The helper of `AlertCommand`: a process that runs its program, so that this process need not be able to.
//!
//! It is started before any socket is open, from the executable of this process (`/proc/self/exe`, which is this
//! version also after an update of the file). It shares no memory with this process, and has no descriptor but its end
//! of a socket, `/dev/null` and a pipe to the log. It has a user of its own, no capability,
//! no-new-privileges, and no terminal. It
//! ends when the socket is closed. It cannot be started again, since this process can no longer start programs. It
//! learns at its start which program it runs, and then runs no other, whatever comes through the socket.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{close, dup2_stdin};
use rustix::process::{PidfdFlags, pidfd_open};
use tracing::warn;

use crate::alert::sink::shutdown::{Shutdown, Waited, is_readable};
use crate::privileges::{Account, Identity, drop_to};
use crate::sandbox::{self, ThreadKind};
use crate::sys::session::begin_session;

use super::CommandOptions;
use super::protocol::{HelperReply, HelperRequest, Outcome, Program, receive, send};
use super::runner::{is_internal, serve};

/// A handle to the helper. Clones are the same helper, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct CommandHelper(Arc<Helper>);

#[derive(Debug)]
struct Helper {
    socket: Mutex<UnixStream>,
    /// The number of the last request.
    number: AtomicU64,
    /// The process; `None` in tests, which run the helper as a thread.
    process: Mutex<Option<Child>>,
    /// A pidfd, which is readable once the process has ended; `None` on a kernel without pidfds (before Linux 5.3).
    ended: Option<OwnedFd>,
    errors: Mutex<Errors>,
}

/// What reads the standard error of the programs.
#[derive(Debug)]
enum Errors {
    /// Nobody yet.
    Unread(Option<PipeReader>),
    /// A thread, which drops the sender at the end.
    Read(Receiver<()>),
}

impl PartialEq for CommandHelper {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CommandHelper {}

/// Why no answer came.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The helper is gone, for good.
    Gone(String),
    /// The program ends.
    End,
}

impl CommandHelper {
    /// Starts the helper of the program of `options` as the user of `identity`. `words` are the arguments by which this
    /// executable runs [`run_helper`]; the user follows them.
    ///
    /// # Errors
    /// The process cannot be started, or cannot become its user.
    pub fn start(options: &CommandOptions, identity: &Identity, words: &[&str]) -> io::Result<Self> {
        let (socket, other) = UnixStream::pair()?;
        let (errors, writer) = io::pipe()?;
        let mut command = Command::new("/proc/self/exe");
        // In a session of its own. Ctrl-C in a terminal is for the program, which lets the last commands run. Through
        // the terminal of root another user could type for the shell of root (`TIOCSTI`, tty_ioctl(4)).
        command.args(words).arg0("TrafficAlerted");
        begin_session(&mut command);
        for (name, _) in env::vars_os().filter(|(name, _)| is_internal(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        if let Some(Account { name, uid, gid, home }) = &identity.account {
            command.arg(format!("{uid}:{gid}"));
            command
                .env("HOME", home)
                .env("USER", name)
                .env("LOGNAME", name)
                .env_remove("MAIL")
                .current_dir("/");
        }
        command.stdin(OwnedFd::from(other)).stdout(Stdio::null()).stderr(writer);
        let child = command.spawn()?;
        // The command holds the other ends as well.
        drop(command);
        let helper = Self::new(socket, Some(child), Some(errors));
        helper.await_start(&Program::of(options))?;
        Ok(helper)
    }

    fn new(socket: UnixStream, process: Option<Child>, errors: Option<PipeReader>) -> Self {
        let id = process.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        let id = id.and_then(rustix::process::Pid::from_raw);
        let ended = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        Self(Arc::new(Helper {
            ended,
            socket: Mutex::new(socket),
            number: AtomicU64::new(0),
            process: Mutex::new(process),
            errors: Mutex::new(Errors::Unread(errors)),
        }))
    }

    /// Tells the helper its program, and waits until it has its user.
    fn await_start(&self, program: &Program) -> io::Result<()> {
        let socket = self.0.socket();
        socket.set_write_timeout(Some(TRANSFER_TIMEOUT))?;
        socket.set_read_timeout(Some(START_TIMEOUT))?;
        send(&*socket, program)?;
        let reply: HelperReply = receive(&*socket)?;
        socket.set_read_timeout(Some(TRANSFER_TIMEOUT))?;
        match reply.outcome {
            Outcome::Ready => Ok(()),
            Outcome::Unfit(why) => Err(io::Error::other(why)),
            other => Err(io::Error::other(format!("it answers {other:?}"))),
        }
    }

    /// Returns a descriptor that is readable once the process has ended, if the kernel has such descriptors.
    pub fn ended(&self) -> Option<BorrowedFd<'_>> {
        self.0.ended.as_ref().map(AsFd::as_fd)
    }

    /// Returns what has become of the process, as the rest of a sentence; `None` while it runs.
    pub fn how_it_ended(&self) -> Option<String> {
        let mut process = lock(&self.0.process);
        let status = process.as_mut()?.try_wait().ok().flatten()?;
        Some(format!("has ended ({status})"))
    }

    /// Starts the thread that logs what programs write to their standard error: lines as warnings, at most
    /// `LINES_MAX` in `LINES_INTERVAL`. Until then these lines wait. A second call has no effect.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start_log(&self) -> io::Result<()> {
        let mut errors = lock(&self.0.errors);
        let Errors::Unread(reader) = &mut *errors else { return Ok(()) };
        let Some(reader) = reader.take() else { return Ok(()) };
        let (done, ended) = channel();
        *errors = Errors::Read(ended);
        let log = move || {
            sandbox::enter(ThreadKind::Records);
            log_lines(BufReader::new(reader), |line| warn!("{line}"));
            drop(done);
        };
        thread::Builder::new().name("command-stderr".to_owned()).spawn(log).map(drop)
    }

    /// Sends a request, which `make` makes from its number, and waits for its outcome for at most `longest`. The end of
    /// the program aborts the wait and what the helper does. Requests of several threads follow each other.
    pub(super) fn ask(
        &self,
        make: impl FnOnce(u64) -> HelperRequest,
        longest: Duration,
        shutdown: &Shutdown,
    ) -> Result<Outcome, NoAnswer> {
        let socket = self.0.socket();
        let number = self.0.number.fetch_add(1, Ordering::Relaxed) + 1;
        let gone = |error: io::Error| NoAnswer::Gone(self.0.fate(&socket, &error));
        send(&*socket, &make(number)).map_err(gone)?;
        let is_ended = match shutdown.wait_for(socket.as_fd(), longest) {
            Waited::Ready => false,
            Waited::TooLong => return Err(gone(io::ErrorKind::TimedOut.into())),
            Waited::End => {
                send(&*socket, &HelperRequest::Abort).map_err(gone)?;
                if !is_readable(socket.as_fd(), ABORT_TIMEOUT) {
                    return Err(NoAnswer::End);
                }
                true
            }
        };
        loop {
            let reply: HelperReply = receive(&*socket).map_err(gone)?;
            // An earlier one belongs to a request whose end nobody awaited.
            match reply.outcome {
                _ if reply.number < number => {}
                Outcome::Aborted => return Err(NoAnswer::End),
                outcome if !is_ended || outcome == Outcome::Exited(0) => return Ok(outcome),
                _ => return Err(NoAnswer::End),
            }
        }
    }
}

impl Program {
    fn of(options: &CommandOptions) -> Self {
        Self {
            path: options.program.to_string_lossy().into_owned(),
            arguments: options.arguments.clone(),
            time_limit_ms: u64::try_from(options.time_limit.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl Helper {
    fn socket(&self) -> MutexGuard<'_, UnixStream> {
        lock(&self.socket)
    }

    /// Returns what has become of the process, as the rest of a sentence. Nothing more is sent to it, since its answers
    /// could be taken for those to other requests.
    fn fate(&self, socket: &UnixStream, error: &io::Error) -> String {
        let _ = socket.shutdown(std::net::Shutdown::Both);
        let mut process = lock(&self.process);
        let Some(child) = process.as_mut() else { return format!("has ended ({error})") };
        // It may take a moment from the end of its socket to the end of the process.
        let deadline = Instant::now() + TRANSFER_TIMEOUT / 10;
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return format!("has ended ({status})"),
                Ok(None) if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
                _ => return format!("does not answer ({error})"),
            }
        }
    }
}

impl Drop for Helper {
    /// Ends the helper, and waits a moment for what the last programs wrote to their standard error.
    fn drop(&mut self) {
        let _ = self.socket().shutdown(std::net::Shutdown::Both);
        if let Errors::Read(ended) = &*lock(&self.errors) {
            // A program that went into the background may still hold the pipe.
            let _: Result<(), RecvTimeoutError> = ended.recv_timeout(END_TIMEOUT);
        }
        if let Some(child) = lock(&self.process).as_mut() {
            let _ = child.try_wait();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Maximum time for a message to pass the socket.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time until the helper has become its user.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time from [`HelperRequest::Abort`] to its answer: longer than the helper takes to end a program, and shorter
/// than the end of this program waits for the sink.
const ABORT_TIMEOUT: Duration = Duration::from_millis(180);
/// Maximum time that the end of this program waits for the last lines.
const END_TIMEOUT: Duration = Duration::from_millis(100);

/// Maximum number of lines that are logged in [`LINES_INTERVAL`]; the others are counted.
const LINES_MAX: u64 = 20;
const LINES_INTERVAL: Duration = Duration::from_secs(10);
/// Maximum number of bytes of a line; the rest of a longer line is left out.
const LINE_BYTES_MAX: usize = 500;

/// Passes each line to `log`, with the name of the sink, until the end of the pipe.
fn log_lines(mut reader: impl BufRead, mut log: impl FnMut(String)) {
    let (mut began, mut logged, mut left_out) = (Instant::now(), 0, 0_u64);
    let mut line = Vec::new();
    while let Ok(true) = next_line(&mut reader, &mut line) {
        if began.elapsed() >= LINES_INTERVAL {
            (began, logged) = (Instant::now(), 0);
        }
        if logged == LINES_MAX {
            left_out += 1;
            continue;
        }
        if left_out > 0 {
            log(format!("AlertCommand: {left_out} lines of its standard error are left out"));
            left_out = 0;
        }
        logged += 1;
        log(format!("AlertCommand says: {}", String::from_utf8_lossy(&line)));
    }
    if left_out > 0 {
        log(format!("AlertCommand: {left_out} lines of its standard error are left out"));
    }
}

/// Reads the next line, without its end and at most [`LINE_BYTES_MAX`] of it. Returns false at the end of the pipe.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut has_any = false;
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if bytes.is_empty() {
            return Ok(has_any);
        }
        has_any = true;
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let text = &bytes[..end.unwrap_or(bytes.len())];
        let room = LINE_BYTES_MAX - line.len();
        line.extend_from_slice(&text[..text.len().min(room)]);
        let used = end.map_or(bytes.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Runs as the helper: becomes the user `user` (`UID:GID`, or the one that it is), receives the program from the socket
/// at standard input, and runs it for each request until the socket is closed. If `is_confined` is true, it and the
/// program may not make the calls of [`sandbox::enter_helper`].
///
/// # Errors
/// Standard input is no socket of [`CommandHelper::start`].
pub fn run_helper(user: Option<&str>, is_confined: bool) -> io::Result<()> {
    let identity = identity_of(user)?;
    // A service manager sends these to each process of a service; the socket says when it is time.
    let signals = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].into_iter().collect::<SigSet>();
    signals.thread_block()?;
    close_inherited()?;
    let _ = prctl::set_name(c"command-helper");
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // This also fails if standard input is no socket.
    socket.set_read_timeout(None)?;
    dup2_stdin(fs::File::open("/dev/null")?)?;
    let program: Program = receive(&socket)?;
    #[cfg(feature = "attack-tests")]
    sandbox::attack::prepare()?;
    let outcome = match drop_to(&identity) {
        Ok(_) => Outcome::Ready,
        Err(error) => Outcome::Unfit(error.to_string()),
    };
    if is_confined {
        // The threads of the program say what the kernel lacks.
        let _ = sandbox::enter_helper();
    }
    #[cfg(feature = "attack-tests")]
    sandbox::attack::take_over_helper();
    let is_ready = outcome == Outcome::Ready;
    send(&socket, &HelperReply { number: 0, outcome })?;
    match if is_ready { serve(&program, &socket) } else { Ok(()) } {
        // The program has ended while a command ran.
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        result => result,
    }
}

/// Returns the identity of an argument that [`CommandHelper::start`] has written.
fn identity_of(user: Option<&str>) -> io::Result<Identity> {
    let Some(user) = user else { return Ok(Identity::unchanged()) };
    let ids = user.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    let Some((uid, gid)) = ids else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a user is written as UID:GID"));
    };
    let account = Account { name: user.to_owned(), uid, gid, home: "/".into() };
    Ok(Identity { account: Some(account), ..Identity::unchanged() })
}

/// Closes every descriptor but standard input, output and error: whatever started the program may have left some open.
fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in open.into_iter().filter(|&number| number > 2) {
        // The descriptor of the folder itself is closed already.
        let _ = close(number);
    }
    Ok(())
}

#[cfg(test)]
impl CommandHelper {
    /// Starts the helper as a thread of this process.
    pub(in crate::alert::sink) fn in_thread(options: &CommandOptions) -> Self {
        let (socket, other) = UnixStream::pair().expect("descriptors");
        let program = Program::of(options);
        thread::spawn(move || serve(&program, &other));
        Self::new(socket, None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(text: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        log_lines(text, |line| lines.push(line));
        lines
    }

    #[test]
    fn lines_are_bounded_in_number_and_length() {
        assert_eq!(
            logged(b"one\n\xfftwo\n\nlast"),
            [
                "AlertCommand says: one",
                "AlertCommand says: \u{fffd}two",
                "AlertCommand says: ",
                "AlertCommand says: last"
            ]
        );
        let lines = logged(&[vec![b'x'; 100_000], b"\nnext\n".to_vec()].concat());
        assert_eq!(lines[0].len(), "AlertCommand says: ".len() + LINE_BYTES_MAX);
        assert_eq!(lines[1..], ["AlertCommand says: next"]);
        let lines = logged("line\n".repeat(1000).as_bytes());
        assert_eq!(lines.len() as u64, LINES_MAX + 1);
        assert_eq!(
            lines.last().expect("not empty"),
            "AlertCommand: 980 lines of its standard error are left out"
        );
    }

    #[test]
    fn a_helper_that_is_gone_is_said_with_each_request() {
        let (program, time_limit) = ("/bin/sh".into(), Duration::from_secs(60));
        let helper = CommandHelper::in_thread(&CommandOptions { program, arguments: vec![], time_limit });
        let _ = helper.0.socket().shutdown(std::net::Shutdown::Both);
        let shutdown = Shutdown::new().expect("descriptors");
        for _ in 0..2 {
            let answer =
                helper.ask(|number| HelperRequest::Check { number }, Duration::from_secs(60), &shutdown);
            assert!(
                matches!(&answer, Err(NoAnswer::Gone(how)) if how.starts_with("has ended")),
                "{answer:?}"
            );
        }
    }
}
