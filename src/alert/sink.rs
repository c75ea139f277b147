//! The log as a sink: a bounded queue and a thread that writes it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::Level;

use crate::logging::LinePrefix;
use crate::time::UnixNanos;

use super::ledger::OPEN_ALERTS_MAX;
use super::line::Line;
use super::record::Notice;

/// Lines that may wait for a slow log: as many as one turn of the analyst can open, since it queues them all
/// before the first is written.
pub const LINES_MAX: usize = OPEN_ALERTS_MAX;

/// Writes notices as lines. Dropping it without [`finish`](Self::finish) loses what waits.
#[derive(Debug)]
pub struct LogSink {
    queue: SyncSender<(UnixNanos, Notice)>,
    finished: Receiver<()>,
    undelivered: Arc<AtomicU64>,
}

impl LogSink {
    /// Starts the thread that writes to `out`, each line behind the prefix of the log.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(mut out: impl Write + Send + 'static, prefix: LinePrefix) -> io::Result<Self> {
        let (queue, waiting) = sync_channel::<(UnixNanos, Notice)>(LINES_MAX);
        let (done, finished) = channel();
        let undelivered = Arc::new(AtomicU64::new(0));
        let failed = Arc::clone(&undelivered);
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            // One write per line, so that two writers to one log never mix theirs.
            let mut line = Vec::new();
            for (at, notice) in waiting {
                line.clear();
                let is_written = writeln!(line, "{}{}", prefix.at(at, Level::WARN), Line(&notice))
                    .and_then(|()| out.write_all(&line));
                if is_written.is_err() {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            // Nobody waits for this any more when the deadline of `finish` has passed.
            let _ = done.send(());
        })?;
        Ok(Self { queue, finished, undelivered })
    }

    /// Queues a notice. Never waits: without room it is counted as undelivered.
    pub fn say(&self, at: UnixNanos, notice: Notice) {
        if self.queue.try_send((at, notice)).is_err() {
            self.undelivered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notices that found no room or could not be written.
    pub fn undelivered(&self) -> u64 {
        self.undelivered.load(Ordering::Relaxed)
    }

    /// Writes what waits, for at most `patience`. Gives the number of notices that were not written, as far
    /// as it is known; `None` when the log did not take them in time.
    pub fn finish(self, patience: Duration) -> Option<u64> {
        drop(self.queue);
        match self.finished.recv_timeout(patience) {
            Err(RecvTimeoutError::Timeout) => None,
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Some(self.undelivered.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::tz::TimeZone;

    use crate::alert::{Alert, AlertKind};

    use super::*;

    /// A log that takes nothing while its lock is held.
    #[derive(Clone, Default)]
    struct Slow(Arc<Mutex<Vec<u8>>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panicked").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn notice(n: u64) -> Notice {
        Notice::Opened(Alert {
            id: n.to_string(),
            kind: AlertKind::ScanningPort,
            source: Some([10, 0, 0, 1].into()),
            opened_at: UnixNanos(0),
            closed_at: None,
            measured: n,
            limit: 1,
            ip_bytes: 0,
            destinations: Vec::new(),
            ports: vec![n as u16],
            loss: Default::default(),
            life: Default::default(),
        })
    }

    #[test]
    fn a_log_that_hangs_delays_nobody_and_what_it_lost_is_known() {
        let log = Slow::default();
        let sink = LogSink::start(log.clone(), LinePrefix::Clock(TimeZone::UTC)).expect("a thread");
        let held = log.0.lock().expect("no writer panicked");
        // One line may be in the writer's hands; the queue holds the rest.
        for n in 0..LINES_MAX as u64 + 10 {
            sink.say(UnixNanos(1_136_214_245_000_000_000), notice(n));
        }
        let undelivered = sink.undelivered();
        assert!((9..=10).contains(&undelivered), "{undelivered}");
        drop(held);
        assert_eq!(sink.finish(Duration::from_secs(60)), Some(undelivered));
        let text = String::from_utf8(log.0.lock().expect("no writer panicked").clone()).expect("text");
        assert_eq!(text.lines().count() as u64, LINES_MAX as u64 + 10 - undelivered);
        assert_eq!(
            text.lines().next(),
            Some("2006/01/02 15:04:05 EVENT=SCANNING_PORT SRC=10.0.0.1 PORTS=[0]")
        );
    }

    #[test]
    fn the_end_waits_for_a_hanging_log_only_so_long() {
        let log = Slow::default();
        let sink = LogSink::start(log.clone(), LinePrefix::Journal).expect("a thread");
        let _held = log.0.lock().expect("no writer panicked");
        sink.say(UnixNanos(0), notice(1));
        assert_eq!(sink.finish(Duration::from_millis(1)), None);
    }
}
