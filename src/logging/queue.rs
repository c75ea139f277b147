//! The queue of log lines and the thread that writes them.
//!
//! `tracing_appender::non_blocking` cannot replace it: its guard waits for a fixed time and does not report whether
//! everything was written, it does not log the number of lost lines, and it has no hook in which its thread could give
//! up privileges.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
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
}

enum Message {
    Lines(Vec<u8>),
    /// The thread replies to this message once everything before it is written.
    End(Sender<()>),
}

impl LineQueue {
    /// Starts the thread that writes to `out`. It calls `prepare` first.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        prefix: LinePrefix,
        prepare: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (waiting, messages) = sync_channel(LINES_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let queue = Self { waiting, lost: Arc::clone(&lost) };
        let write = move || {
            prepare();
            write_messages(&messages, out, &lost, &prefix);
        };
        thread::Builder::new().name("records".to_owned()).spawn(write)?;
        Ok(queue)
    }

    /// Waits at most `timeout` until all queued lines are written. Returns true if they are.
    pub(super) fn finish(&self, timeout: Duration) -> bool {
        let (done, written) = channel();
        // If the queue is full, stderr is blocked, so waiting is useless.
        self.waiting.try_send(Message::End(done)).is_ok() && written.recv_timeout(timeout).is_ok()
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

/// Writes each message, and after it the number of lost writes if there are any.
fn write_messages(messages: &Receiver<Message>, mut out: impl Write, lost: &AtomicU64, prefix: &LinePrefix) {
    for message in messages {
        let _ = match message {
            // There is no other place to report an error of stderr.
            Message::Lines(lines) => out.write_all(&lines),
            // Sending fails if `finish` has timed out and dropped the receiver.
            Message::End(done) => done.send(()).or(Ok(())),
        };
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!("{lost} lines found no room in the log");
            let _ = out.write_all(prefix.line(unix_now(), Level::WARN, &text).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

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
        let mut queue = LineQueue::start(stderr.clone(), LinePrefix::Journal, || ()).expect("a thread");
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
}
