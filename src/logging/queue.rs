//! The queue of log lines and the thread that writes them.
//!
//! `tracing_appender::non_blocking` cannot replace it: its guard waits for a fixed time and does not report whether
//! everything was written, it does not log the number of lost lines, and it starts its thread at once.
//! This thread starts after the process has given up its privileges, since those of a thread are its own.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::Level;

use crate::time::unix_now;

use super::prefix::LinePrefix;

/// Maximum number of writes that wait for a slow stderr. A record is one write.
const LINES_MAX: usize = 1024;

/// The sending end of the queue. Each write is one line or more.
#[derive(Clone, Debug)]
pub(super) struct LineQueue {
    waiting: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    /// What writes the lines; `None` once the thread has it.
    writer: Arc<Mutex<Option<LineWriter>>>,
    is_started: Arc<AtomicBool>,
}

enum Message {
    Lines(Vec<u8>),
    /// The thread replies to this message once everything before it is written.
    End(Sender<()>),
}

impl LineQueue {
    /// Creates the queue of the lines for `out`. Nothing is written before [`start`](Self::start) or
    /// [`finish`](Self::finish).
    pub(super) fn new(out: impl Write + Send + 'static, prefix: LinePrefix) -> Self {
        let (waiting, messages) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = LineWriter { messages, out: Box::new(out), lost: Arc::clone(&lost), prefix };
        let is_started = Arc::new(AtomicBool::new(false));
        Self { waiting, lost, writer: Arc::new(Mutex::new(Some(writer))), is_started }
    }

    /// Starts the thread that writes. It calls `prepare` first. If it is started already, nothing happens.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(&self, prepare: impl FnOnce() + Send + 'static) -> io::Result<()> {
        if self.is_started.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let cell = Arc::clone(&self.writer);
        let write = move || {
            prepare();
            // If no thread can be started, the writer stays where it is.
            let writer = cell.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(mut writer) = writer {
                writer.run();
            }
        };
        let started = thread::Builder::new().name("records".to_owned()).spawn(write);
        self.is_started.store(started.is_ok(), Ordering::Relaxed);
        started.map(drop)
    }

    /// Waits at most `timeout` until all queued lines are written. Returns true if they are. Without the thread, the
    /// caller writes them.
    pub(super) fn finish(&self, timeout: Duration) -> bool {
        if let Some(writer) = &mut *self.writer() {
            writer.write_queued();
            return true;
        }
        let (done, written) = channel();
        // If the queue is full, stderr is blocked, so waiting is useless.
        self.waiting.try_send(Message::End(done)).is_ok() && written.recv_timeout(timeout).is_ok()
    }

    fn writer(&self) -> MutexGuard<'_, Option<LineWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for LineQueue {
    /// Queues the lines. Never blocks and never fails: if the queue is full, the write is dropped and counted as lost.
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

/// Writes the lines of the queue.
struct LineWriter {
    messages: Receiver<Message>,
    out: Box<dyn Write + Send>,
    lost: Arc<AtomicU64>,
    prefix: LinePrefix,
}

impl LineWriter {
    /// Writes each message until no sender is left.
    fn run(&mut self) {
        while let Ok(message) = self.messages.recv() {
            self.write(message);
        }
    }

    /// Writes the messages that wait.
    fn write_queued(&mut self) {
        while let Ok(message) = self.messages.try_recv() {
            self.write(message);
        }
    }

    /// Writes a message, and after it the number of lost writes if there are any.
    fn write(&mut self, message: Message) {
        let _ = match message {
            // There is no other place to report an error of stderr.
            Message::Lines(lines) => self.out.write_all(&lines),
            // Sending fails if `finish` has timed out and dropped the receiver.
            Message::End(done) => done.send(()).or(Ok(())),
        };
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} lines found no room in the log");
            let _ = self.out.write_all(self.prefix.line(unix_now(), Level::WARN, &text).as_bytes());
        }
    }
}

impl fmt::Debug for LineWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineWriter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose writes block while its lock is held.
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
    fn a_stderr_that_is_not_read_does_not_block_callers() {
        let stderr = Blocked::default();
        let mut queue = LineQueue::new(stderr.clone(), LinePrefix::Journal);
        queue.start(|| ()).expect("a thread");
        // Until the thread has taken the writer, `finish` would write itself.
        while queue.writer().is_some() {
            thread::yield_now();
        }
        let held = stderr.0.lock().expect("no writer panicked");
        // The thread may hold one line, and the queue holds LINES_MAX.
        for n in 0..LINES_MAX + 10 {
            queue.write_all(format!("line {n}\n").as_bytes()).expect("it never fails");
        }
        assert!(!queue.finish(Duration::from_millis(1)));
        let lost = queue.lost.load(Ordering::Relaxed);
        assert!(lost >= 9, "all lines beyond these are lost: {lost}");
        drop(held);
        // The end message finds room once the first line is written.
        while !queue.finish(Duration::from_secs(60)) {
            thread::yield_now();
        }
        let text = String::from_utf8(stderr.0.lock().expect("no writer panicked").clone()).expect("text");
        assert!(text.starts_with("line 0\n"));
        assert!(text.contains(&format!("<4>warning: {lost} lines found no room in the log\n")), "{lost}");
    }
    #[test]
    fn lines_before_the_thread_are_written_by_it_or_at_the_end() {
        let stderr = Blocked::default();
        let text = || String::from_utf8(stderr.0.lock().expect("no writer panicked").clone()).expect("text");
        let mut queue = LineQueue::new(stderr.clone(), LinePrefix::Journal);
        queue.write_all(b"early\n").expect("it never fails");
        assert_eq!(text(), "");
        assert!(queue.finish(Duration::ZERO));
        assert_eq!(text(), "early\n");
        queue.write_all(b"late\n").expect("it never fails");
        queue.start(|| ()).expect("a thread");
        queue.start(|| panic!("there is one already")).expect("nothing happens");
        while !queue.finish(Duration::from_secs(60)) {}
        assert_eq!(text(), "early\nlate\n");
    }
}
