//! Writes the log of the program: one line per record on stderr.
//!
//! A line begins like those of the original program (Go's `log` package), so that existing log watchers keep working:
//!
//! ```text
//! 2006/01/02 15:04:05 listening on 127.0.0.1:8698
//! 2006/01/02 15:04:05 warning: io_uring is refused here, using epoll
//! ```
//!
//! The time is local. If stderr is the journal, which adds the time itself, the line begins with the level that
//! `sd-daemon(3)` describes: `<4>warning: ...`. Alert lines are not log records: the module `alert` writes them, with
//! the same [`LinePrefix`].
//!
//! With [`LogFormat::Json`] each line is a JSON object instead, after the level if stderr is the journal:
//!
//! ```text
//! {"level":"warning","message":"io_uring is refused here, using epoll","time":"2006-01-02T15:04:05Z"}
//! ```
//!
//! Hidden characters of a record are escaped, so that a record is one line and text from packets or requests cannot
//! forge another line. An error of stderr is ignored, since there is no other place to report it.
//!
//! A separate thread writes the records, so that a stderr that is not read does not block workers, the link monitor or
//! the end of the program. Lines for which its queue has no room are counted, and their number is logged when lines are
//! written again. Call [`init`] first and [`start_thread`] once privileges are given up, then call [`finish`].
#![forbid(unsafe_code)]

mod prefix;
mod queue;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::Duration;
use std::{panic, thread};

use tracing::{Event as Record, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent as FormatRecord, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::time::unix_now;

pub use prefix::{LinePrefix, LogFormat};
use queue::LineQueue;

/// Takes the records of `tracing`, from INFO up, for stderr. They are written once [`start_thread`] is called, or by
/// [`finish`].
///
/// # Errors
/// The log is already set up.
pub fn init(prefix: LinePrefix) -> Result<(), InitError> {
    let queue = LineQueue::new(io::stderr(), prefix.clone());
    let lines = queue.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_writer(move || lines.clone())
        // `tracing_subscriber` writes its internal errors with a macro that panics if stderr is closed.
        .log_internal_errors(false)
        .event_format(LineFormat { prefix: prefix.clone() })
        .finish();
    tracing::subscriber::set_global_default(subscriber).map_err(|_| InitError::AlreadyInUse)?;
    if prefix.is_json() {
        let prefix = prefix.clone();
        // The report of the standard library has several lines.
        panic::set_hook(Box::new(move |panicked| write_panic(io::stderr(), &prefix, panicked)));
    }
    LOG.set(Log { queue, prefix }).map_err(|_| InitError::AlreadyInUse)
}

/// Starts the thread that writes the records. It inherits the signal mask, the user and the capabilities of the caller,
/// so block signals and give up privileges first. It calls `prepare` before it writes anything. Without [`init`], and
/// if the thread is started already, nothing happens.
///
/// # Errors
/// The system refuses a thread. Then [`finish`] writes what waits.
pub fn start_thread(prepare: impl FnOnce() + Send + 'static) -> Result<(), InitError> {
    LOG.get().map_or(Ok(()), |log| log.queue.start(prepare).map_err(InitError::Thread))
}

/// Waits at most `timeout` until all queued lines are written. Returns true if they are, or if [`init`] was not called.
pub fn finish(timeout: Duration) -> bool {
    LOG.get().is_none_or(|log| log.queue.finish(timeout))
}

/// Returns the prefix of the log of this process; `None` before [`init`].
pub fn prefix() -> Option<LinePrefix> {
    LOG.get().map(|log| log.prefix.clone())
}

/// Returns a writer for whole lines that are not records. It appends them to the queue of the records, or writes to
/// stderr itself before [`init`].
pub fn stderr() -> Box<dyn Write> {
    match LOG.get() {
        Some(log) => Box::new(log.queue.clone()),
        None => Box::new(io::stderr()),
    }
}

/// Writes the report of a panic as one line to `out`, since the process may end before the queue is written.
fn write_panic(mut out: impl Write, prefix: &LinePrefix, panicked: &dyn fmt::Display) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let mut text = format!("thread {name} {panicked}");
    // A backtrace is captured only if RUST_BACKTRACE asks for one.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        text += &format!("\n{backtrace}");
    }
    let _ = out.write_all(prefix.line(unix_now(), Level::ERROR, &text).as_bytes());
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A subscriber is installed already.
    #[error("the log is already set up")]
    AlreadyInUse,
    /// The system refuses a thread.
    #[error("cannot start the thread of the log: raise the limit on tasks (TasksMax)")]
    Thread(#[source] io::Error),
}

/// The log of this process.
static LOG: OnceLock<Log> = OnceLock::new();

#[derive(Debug)]
struct Log {
    queue: LineQueue,
    prefix: LinePrefix,
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

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_record_is_one_line_even_if_its_text_has_line_ends() {
        let lines = record(LinePrefix::Journal, || {
            tracing::info!("listening");
            tracing::warn!(interface = "a\nb", drops = 3, "over\u{1b}[31mrun\r\n<0>forged");
            tracing::error!("gone");
            tracing::debug!("below the level");
        });
        let expected = "<6>listening\n\
                        <4>warning: over\\x1b[31mrun\\r\\n<0>forged interface=\"a\\nb\" drops=3\n\
                        <3>error: gone\n";
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_record_is_one_json_object_in_the_json_format() {
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
    }

    #[test]
    fn a_panic_is_one_json_object_in_the_json_format() {
        let mut written = Vec::new();
        let report = "panicked at a.rs:1:2:\nnot \"so\"";
        write_panic(&mut written, &LinePrefix::Json { for_journal: false }, &report);
        let line = String::from_utf8(written).expect("lines are UTF-8");
        assert_eq!(line.lines().count(), 1, "{line}");
        let record: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(record["level"], "error");
        let message = record["message"].as_str().expect("text");
        assert!(message.starts_with("thread ") && message.contains(report), "{message}");
    }

    /// Returns the lines that are written while `log` runs.
    fn record(prefix: LinePrefix, log: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::INFO)
            .with_writer({
                let written = Arc::clone(&written);
                move || SharedLog(Arc::clone(&written))
            })
            .event_format(LineFormat { prefix })
            .finish();
        tracing::subscriber::with_default(subscriber, log);
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
