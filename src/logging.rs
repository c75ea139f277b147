//! How the program writes its log: one line per record on stderr.
//!
//! A line begins the way the original's lines do (Go's `log` package), so that existing log watchers keep
//! working:
//!
//! ```text
//! 2006/01/02 15:04:05 listening on 127.0.0.1:8698
//! 2006/01/02 15:04:05 warning: io_uring is refused here, using epoll
//! ```
//!
//! The time is local. Where stderr is the journal, which has a time of its own, the line begins with the
//! level that `sd-daemon(3)` describes: `<4>warning: ...`. Alert lines are not log records, they are written
//! by their own floor with the same [`LinePrefix`].
//!
//! With [`LogFormat::Json`] each line is a JSON object instead, behind the level where stderr is the journal:
//!
//! ```text
//! {"level":"warning","message":"io_uring is refused here, using epoll","time":"2006-01-02T15:04:05Z"}
//! ```
//!
//! Control characters of a record are written as escapes: a record is one line, and nothing that a stranger
//! sent can forge another. A stderr that is gone fails in silence; there is nobody left to tell.
//!
//! A thread of its own writes the records: a stderr that nobody reads any more must not stop a worker, the
//! watcher of the interfaces or the end of the program. What finds no room in its queue is counted, and said
//! once the log takes lines again. The order of start and end: [`init`], then records, then [`finish`].
#![forbid(unsafe_code)]

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::{Event as Record, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent as FormatRecord, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::privileges;
use crate::time::{UnixNanos, unix_now};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text for people, and for watchers of the original's log.
    #[default]
    Text,
    /// A JSON object for programs.
    Json,
}

/// What a line begins with, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinePrefix {
    /// Date and time in this zone, then text: `2006/01/02 15:04:05 `.
    Clock(TimeZone),
    /// The level for the journal, then text: `<6>`.
    Journal,
    /// A JSON object, behind the level if the journal gets it.
    Json {
        /// Whether it does.
        for_journal: bool,
    },
}

impl LinePrefix {
    /// The prefix that suits this process: where its stderr leads, and its local time.
    pub fn detect(format: LogFormat) -> Self {
        match (format, stderr_is_journal()) {
            (LogFormat::Json, for_journal) => Self::Json { for_journal },
            (LogFormat::Text, true) => Self::Journal,
            (LogFormat::Text, false) => Self::Clock(TimeZone::system()),
        }
    }

    /// Whether what follows the prefix is a JSON object.
    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json { .. })
    }

    /// A record as a whole line. Its control characters become escapes.
    pub fn line(&self, at: UnixNanos, level: Level, text: &str) -> String {
        let prefix = self.at(at, level);
        if self.is_json() {
            let record = serde_json::json!({
                "time": timestamp(at).to_string(),
                "level": word(level),
                "message": text,
            });
            return format!("{prefix}{record}\n");
        }
        let said = if level <= Level::WARN { format!("{}: ", word(level)) } else { String::new() };
        let mut line = format!("{prefix}{said}");
        for c in text.chars() {
            if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
        }
        line.push('\n');
        line
    }

    /// The prefix of a line that was written at `at`; it formats into anything.
    ///
    /// ```
    /// use jiff::tz::TimeZone;
    /// use traffic_alerted::logging::LinePrefix;
    /// use traffic_alerted::time::UnixNanos;
    ///
    /// let prefix = LinePrefix::Clock(TimeZone::UTC);
    /// let line = format!("{}EVENT=TRAFFIC", prefix.at(UnixNanos(1_136_214_245_000_000_000), tracing::Level::WARN));
    /// assert_eq!(line, "2006/01/02 15:04:05 EVENT=TRAFFIC");
    /// ```
    pub fn at(&self, at: UnixNanos, level: Level) -> impl fmt::Display + '_ {
        DisplayedPrefix { prefix: self, at, level }
    }
}

/// Begins to write the records of `tracing`, from INFO up, to stderr. The thread that does it inherits the
/// signal mask, so block signals first.
///
/// # Errors
/// Records are already written elsewhere: this may be called once. Or the system gives no thread.
pub fn init(prefix: LinePrefix) -> Result<(), InitError> {
    let queue = Queue::start(io::stderr(), prefix.clone()).map_err(InitError::Thread)?;
    let lines = queue.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_writer(move || lines.clone())
        // Its own complaints would go to stderr with a macro that panics when stderr is gone.
        .log_internal_errors(false)
        .event_format(LineFormat { prefix })
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::AlreadyInUse)?;
    QUEUE.set(queue).map_err(|_| InitError::AlreadyInUse)
}

/// Writes what waits, for at most `patience`. Whether all of it was written.
pub fn finish(patience: Duration) -> bool {
    QUEUE.get().is_none_or(|queue| queue.finish(patience))
}

/// How the records of this process begin, if they are written.
pub fn prefix() -> Option<LinePrefix> {
    QUEUE.get().map(|queue| queue.prefix.clone())
}

/// Stderr for whole lines that are no records: behind the records that wait, or at once where [`init`] was not
/// called.
pub fn stderr() -> Box<dyn Write> {
    match QUEUE.get() {
        Some(queue) => Box::new(queue.clone()),
        None => Box::new(io::stderr()),
    }
}

/// The records of this process cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Somebody else takes them.
    #[error("the log is already set up")]
    AlreadyInUse,
    /// The system gives no thread.
    #[error("cannot start the thread of the log: raise the limit on tasks (TasksMax)")]
    Thread(#[source] io::Error),
}

/// The queue of this process' records.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Lines that may wait for a slow stderr.
const LINES_MAX: usize = 1024;

/// Lines on their way to a thread that writes them. Each write is one line or more.
#[derive(Clone, Debug)]
struct Queue {
    waiting: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    prefix: LinePrefix,
}

enum Message {
    Lines(Vec<u8>),
    /// Says that everything before it is written.
    End(Sender<()>),
}

impl Queue {
    fn start(out: impl Write + Send + 'static, prefix: LinePrefix) -> io::Result<Self> {
        let (waiting, messages) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let queue = Self { waiting, lost: Arc::clone(&lost), prefix: prefix.clone() };
        let write = move || {
            // It starts before the rings are open and needs none; whoever opens them says why it failed.
            let _ = privileges::drop_all();
            write_messages(&messages, out, &lost, &prefix);
        };
        thread::Builder::new().name("records".to_owned()).spawn(write)?;
        Ok(queue)
    }

    fn finish(&self, patience: Duration) -> bool {
        let (done, written) = channel();
        // A queue without room for this is one that nobody empties.
        self.waiting.try_send(Message::End(done)).is_ok() && written.recv_timeout(patience).is_ok()
    }
}

impl Write for Queue {
    /// Never waits and never fails: without room the line is counted as lost.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.waiting.try_send(Message::Lines(lines.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_messages(messages: &Receiver<Message>, mut out: impl Write, lost: &AtomicU64, prefix: &LinePrefix) {
    for message in messages {
        let _ = match message {
            // If stderr is gone there is nobody left to tell.
            Message::Lines(lines) => out.write_all(&lines),
            // Nobody waits for this any more when the deadline has passed.
            Message::End(done) => done.send(()).or(Ok(())),
        };
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} lines found no room in the log");
            let _ = out.write_all(prefix.line(unix_now(), Level::WARN, &text).as_bytes());
        }
    }
}

struct DisplayedPrefix<'a> {
    prefix: &'a LinePrefix,
    at: UnixNanos,
    level: Level,
}

impl fmt::Display for DisplayedPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            LinePrefix::Json { for_journal: false } => Ok(()),
            LinePrefix::Journal | LinePrefix::Json { for_journal: true } => {
                write!(f, "<{}>", syslog_level(self.level))
            }
            LinePrefix::Clock(zone) => {
                let at = timestamp(self.at);
                let at = zone.to_datetime(at);
                write!(f, "{:04}/{:02}/{:02} ", at.year(), at.month(), at.day())?;
                write!(f, "{:02}:{:02}:{:02} ", at.hour(), at.minute(), at.second())
            }
        }
    }
}

fn timestamp(at: UnixNanos) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at.0))
        .expect("64 bits of nanoseconds end in 2554, and this holds years up to 9999")
}

/// How a level is called in a line.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// `LOG_ERR` to `LOG_DEBUG` of syslog(3).
fn syslog_level(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Whether stderr is the stream that `JOURNAL_STREAM` names as device and inode. The variable alone says
/// nothing: it is inherited by what a service starts with its stderr redirected (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(variable) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    stderr.is_ok_and(|stderr| names_stream(&variable, stderr.dev(), stderr.ino()))
}

fn names_stream(variable: &str, device: u64, inode: u64) -> bool {
    variable.split_once(':').is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

struct LineFormat {
    prefix: LinePrefix,
}

impl<S, N> FormatRecord<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        record: &Record<'_>,
    ) -> fmt::Result {
        let level = *record.metadata().level();
        let mut text = String::new();
        ctx.field_format().format_fields(Writer::new(&mut text), record)?;
        out.write_str(&self.prefix.line(unix_now(), level, &text))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The moment after which Go's layout is named, in UTC.
    const GO_LAYOUT: UnixNanos = UnixNanos(1_136_214_245_999_999_999);

    #[test]
    fn the_clock_is_go_s_in_local_time() {
        let posix = |zone: &str| LinePrefix::Clock(TimeZone::posix(zone).expect("a POSIX time zone"));
        let cases = [
            (LinePrefix::Clock(TimeZone::UTC), GO_LAYOUT, "2006/01/02 15:04:05 "),
            (posix("CET-1CEST,M3.5.0,M10.5.0/3"), GO_LAYOUT, "2006/01/02 16:04:05 "),
            // An hour before and at the change to summer time.
            (
                posix("CET-1CEST,M3.5.0,M10.5.0/3"),
                UnixNanos(1_143_334_800_000_000_000),
                "2006/03/26 03:00:00 ",
            ),
            (
                posix("CET-1CEST,M3.5.0,M10.5.0/3"),
                UnixNanos(1_143_334_799_000_000_000),
                "2006/03/26 01:59:59 ",
            ),
            (posix("NST3:30"), UnixNanos(0), "1969/12/31 20:30:00 "),
            (LinePrefix::Clock(TimeZone::UTC), UnixNanos(u64::MAX), "2554/07/21 23:34:33 "),
        ];
        for (prefix, at, expected) in cases {
            assert_eq!(prefix.at(at, Level::ERROR).to_string(), expected, "{prefix:?}");
        }
    }

    #[test]
    fn the_journal_gets_a_level_and_no_time() {
        let cases =
            [(Level::ERROR, "<3>"), (Level::WARN, "<4>"), (Level::INFO, "<6>"), (Level::TRACE, "<7>")];
        for (level, expected) in cases {
            assert_eq!(LinePrefix::Journal.at(GO_LAYOUT, level).to_string(), expected);
        }
    }

    #[test]
    fn a_stream_is_the_journal_only_if_device_and_inode_agree() {
        assert!(names_stream("9:4711", 9, 4711));
        for variable in ["9:4712", "8:4711", "9:", ":4711", "", "9", "9:4711:1", "a:b"] {
            assert!(!names_stream(variable, 9, 4711), "{variable:?}");
        }
    }

    #[test]
    fn a_record_is_one_line_whatever_is_in_it() {
        let lines = record(LinePrefix::Journal, || {
            tracing::info!("listening");
            tracing::warn!(interface = "a\nb", drops = 3, "over\u{1b}[31mrun\r\n<0>forged");
            tracing::error!("gone");
            tracing::debug!("nobody asked");
        });
        let expected = "<6>listening\n\
                        <4>warning: over\\x1b[31mrun\\r\\n<0>forged interface=\"a\\nb\" drops=3\n\
                        <3>error: gone\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_record_is_one_object_if_a_program_reads_it() {
        let lines = record(LinePrefix::Json { for_journal: false }, || {
            tracing::warn!(drops = 3, "over\u{1b}run \"a\"\n");
            tracing::info!("listening");
        });
        let records: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(records.len(), 2, "{lines}");
        assert_eq!(records[0]["level"], "warning");
        assert_eq!(records[0]["message"], "over\\x1brun \"a\"\n drops=3");
        assert!(records[1]["time"].as_str().is_some_and(|time| time.parse::<Timestamp>().is_ok()), "{lines}");
        let line = LinePrefix::Json { for_journal: true }.line(GO_LAYOUT, Level::ERROR, "gone");
        assert_eq!(
            line,
            "<3>{\"level\":\"error\",\"message\":\"gone\",\"time\":\"2006-01-02T15:04:05.999999999Z\"}\n"
        );
    }

    /// A stderr that takes nothing while its lock is held.
    #[derive(Clone, Default)]
    struct Blocked(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stderr_that_nobody_reads_stops_nobody() {
        let stderr = Blocked::default();
        let mut queue = Queue::start(stderr.clone(), LinePrefix::Journal).expect("a thread");
        let held = stderr.0.lock().expect("no writer panicked");
        // One line may be in the writer's hands; the queue holds the rest.
        for n in 0..LINES_MAX + 10 {
            queue.write_all(format!("line {n}\n").as_bytes()).expect("it never fails");
        }
        assert!(!queue.finish(Duration::from_millis(1)));
        let lost = queue.lost.load(Ordering::Relaxed);
        assert!(lost >= 9, "{lost}");
        drop(held);
        // It finds room as soon as the first line is written.
        while !queue.finish(Duration::from_secs(60)) {
            thread::yield_now();
        }
        let text = String::from_utf8(stderr.0.lock().expect("no writer panicked").clone()).expect("text");
        assert!(text.starts_with("line 0\n"));
        assert!(text.contains(&format!("<4>warning: {lost} lines found no room in the log\n")), "{lost}");
    }

    /// What is written while `say` runs.
    fn record(prefix: LinePrefix, say: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_writer({
                let written = Arc::clone(&written);
                move || SharedLog(Arc::clone(&written))
            })
            .event_format(LineFormat { prefix })
            .finish();
        tracing::subscriber::with_default(subscriber, say);
        let bytes = written.lock().expect("no writer panicked").clone();
        String::from_utf8(bytes).expect("lines are UTF-8")
    }

    struct SharedLog(Arc<Mutex<Vec<u8>>>);

    impl io::Write for SharedLog {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
