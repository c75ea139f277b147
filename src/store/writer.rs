//! The thread that writes, and the handle through which others give it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::database::Database;
use super::error::{StoreError, StoreFault};
use super::folder::{self, FolderLock, explain};
use super::pending::Pending;
use super::rows::Changes;
use crate::sandbox::{self, ThreadKind};

/// Time between two attempts while writes fail.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Longest time until it is noticed that others removed, replaced or changed the database while nothing is written.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Changes that wait longer than this count as not durable.
const DURABLE_WITHIN: Duration = Duration::from_millis(200);

/// Names a submission: [`StateWriter::wait_committed`] tells when it is in the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Takes changes and has them written by a thread of its own. Clones share the thread.
#[derive(Clone, Debug)]
pub struct StateWriter {
    shared: Arc<Shared>,
}

/// What the API shows about the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateStatus {
    /// The state directory.
    pub directory: PathBuf,
    /// True if everything that is to be kept is in the database, or will be within a moment.
    pub is_durable: bool,
    /// Number of rows that wait to be written.
    pub waiting_changes: usize,
    /// Why the last write failed; `None` if it did not.
    pub error: Option<String>,
}

/// What was submitted and is not in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unwritten {
    /// Number of alerts.
    pub alerts: usize,
    /// Number of mutes.
    pub mutes: usize,
    /// Number of notices that wait for a sink.
    pub notices: usize,
    /// For each sink, the number of these notices that wait for it.
    pub of_sinks: BTreeMap<String, u64>,
    /// Number of alerts and mutes that are over, and of deliveries, which are in the database as if they were not.
    pub outdated: usize,
    /// Why the last write failed; `None` if it has not failed yet.
    pub cause: Option<String>,
}

impl Unwritten {
    /// Returns true if nothing is lost when the process ends.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { alerts, mutes, notices, of_sinks: _, outdated, cause: _ } = self;
        alerts + mutes + notices + outdated == 0
    }

    fn of(pending: &Pending) -> Self {
        let mut of_sinks = BTreeMap::<String, u64>::new();
        for sink in pending.notices.values().flat_map(|(_, sinks)| sinks) {
            *of_sinks.entry(sink.clone()).or_default() += 1;
        }
        let kept = |is_kept: &bool| *is_kept;
        let alerts = pending.alerts.values().map(Option::is_some);
        let mutes = pending.mutes.values().map(Option::is_some);
        let removed = alerts.clone().chain(mutes.clone()).filter(|is_kept| !is_kept).count();
        Self {
            alerts: alerts.filter(kept).count(),
            mutes: mutes.filter(kept).count(),
            notices: pending.notices.len(),
            of_sinks,
            outdated: removed + pending.settled.len(),
            cause: None,
        }
    }
}

#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    queue: Mutex<Queue>,
    /// Notified when changes or the end arrive.
    has_work: Condvar,
    /// Notified when changes were committed, and at the end of the thread.
    has_written: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    pending: Pending,
    /// Number of rows that the thread is writing.
    in_flight_rows: usize,
    /// What is lost if the process ends before the thread has written these rows.
    in_flight: Unwritten,
    /// When the oldest change that is not in the database was submitted; `None` if all are.
    waits_since: Option<Instant>,
    submitted: u64,
    committed: u64,
    error: Option<String>,
    /// True if everything that is to be kept has to be submitted again.
    is_lost: bool,
    /// True while that is being submitted again, in parts.
    is_resubmitting: bool,
    is_ending: bool,
    is_ended: bool,
}

impl StateWriter {
    /// Starts the thread. Notices with the number `unwritten_from` or a larger one are not in the database.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub(super) fn start(
        database: Database,
        lock: Option<FolderLock>,
        unwritten_from: u64,
    ) -> Result<Self, StoreError> {
        let directory = database.path().parent().map(Path::to_owned).unwrap_or_default();
        // What kept the database from being opened is logged already.
        let queue = Queue {
            error: database.fault().map(str::to_owned),
            pending: Pending { unwritten_from: Some(unwritten_from), ..Pending::default() },
            ..Queue::default()
        };
        let shared = Arc::new(Shared {
            directory,
            queue: Mutex::new(queue),
            has_work: Condvar::new(),
            has_written: Condvar::new(),
        });
        let given = Arc::clone(&shared);
        thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || Thread { shared: given, database, lock }.run())
            .map_err(StoreError::Thread)?;
        Ok(Self { shared })
    }

    /// Adds changes to those that are written next. They are in the database together or not at all. Never waits for
    /// the disk.
    pub fn submit(&self, changes: Changes) -> Ticket {
        let mut queue = self.shared.lock();
        if changes.is_empty() {
            return Ticket(queue.submitted);
        }
        queue.submitted += 1;
        queue.waits_since.get_or_insert_with(Instant::now);
        queue.pending.add(changes);
        queue.limit_removals();
        let ticket = Ticket(queue.submitted);
        drop(queue);
        self.shared.has_work.notify_one();
        ticket
    }

    /// Waits for at most `timeout` until the changes of a ticket are in the database. Returns true if they are.
    #[must_use]
    pub fn wait_committed(&self, ticket: Ticket, timeout: Duration) -> bool {
        let queue = self.shared.lock();
        let (queue, _) = self
            .shared
            .has_written
            .wait_timeout_while(queue, timeout, |queue| queue.committed < ticket.0 && !queue.is_ended)
            .unwrap_or_else(PoisonError::into_inner);
        queue.committed >= ticket.0
    }

    /// Returns a ticket for everything that was submitted so far.
    #[must_use]
    pub fn latest(&self) -> Ticket {
        Ticket(self.shared.lock().submitted)
    }

    /// Returns true if the changes of a ticket are in the database.
    #[must_use]
    pub fn is_committed(&self, ticket: Ticket) -> bool {
        self.shared.lock().committed >= ticket.0
    }

    /// Returns true if the last write succeeded, no change has waited for longer than 200 ms, and nothing of a lost
    /// database has still to be submitted again.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.shared.lock().is_durable()
    }

    /// Returns true, once, if the database was removed, replaced or damaged while it was in use, so that an empty one
    /// has taken its place, or if too many removals waited for the disk. Everything that is to be kept has to be
    /// submitted again, and then [`note_resubmitted`](Self::note_resubmitted) called: until then the state is not
    /// durable.
    #[must_use]
    pub fn take_lost(&self) -> bool {
        let mut queue = self.shared.lock();
        queue.is_resubmitting |= queue.is_lost;
        std::mem::take(&mut queue.is_lost)
    }

    /// Notes that everything was submitted again since [`take_lost`](Self::take_lost) returned true.
    pub fn note_resubmitted(&self) {
        self.shared.lock().is_resubmitting = false;
    }

    /// Writes what waits, and looks whether the database is still the one that was opened, even if nothing waits. Waits
    /// for that for at most `timeout`. Then [`take_lost`](Self::take_lost) tells what was found.
    pub fn check(&self, timeout: Duration) {
        let mut queue = self.shared.lock();
        queue.submitted += 1;
        queue.waits_since.get_or_insert_with(Instant::now);
        let ticket = Ticket(queue.submitted);
        drop(queue);
        self.shared.has_work.notify_one();
        // The disk may take nothing. The end of the thread makes another attempt and tells what was not written.
        let _ = self.wait_committed(ticket, timeout);
    }

    /// Returns what the API shows.
    #[must_use]
    pub fn status(&self) -> StateStatus {
        let queue = self.shared.lock();
        StateStatus {
            directory: self.shared.directory.clone(),
            is_durable: queue.is_durable(),
            waiting_changes: queue.pending.rows() + queue.in_flight_rows,
            error: queue.error.clone(),
        }
    }

    /// Waits for at most `timeout` until everything that was submitted so far is in the database. Returns true if it
    /// is.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> bool {
        self.wait_committed(self.latest(), timeout)
    }

    /// Writes what waits, closes the database, releases the lock and ends the thread; waits for that for at most
    /// `timeout`. If the disk takes nothing, one last attempt is made. Returns true if everything is in the database.
    #[must_use]
    pub fn finish(&self, timeout: Duration) -> bool {
        let mut queue = self.shared.lock();
        queue.is_ending = true;
        self.shared.has_work.notify_one();
        let (queue, _) = self
            .shared
            .has_written
            .wait_timeout_while(queue, timeout, |queue| !queue.is_ended)
            .unwrap_or_else(PoisonError::into_inner);
        queue.is_ended && queue.committed == queue.submitted
    }
}

impl StateWriter {
    /// Returns what was submitted and is not in the database.
    #[must_use]
    pub fn unwritten(&self) -> Unwritten {
        let queue = self.shared.lock();
        let (mut all, writing) = (Unwritten::of(&queue.pending), queue.in_flight.clone());
        all.alerts += writing.alerts;
        all.mutes += writing.mutes;
        all.notices += writing.notices;
        all.outdated += writing.outdated;
        for (sink, count) in writing.of_sinks {
            *all.of_sinks.entry(sink).or_default() += count;
        }
        all.cause.clone_from(&queue.error);
        all
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic of another thread ends the process.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_durable(&self) -> bool {
        self.error.is_none()
            && !self.is_lost
            && !self.is_resubmitting
            && self.waits_since.is_none_or(|since| since.elapsed() <= DURABLE_WITHIN)
    }

    /// Has everything submitted again if the removals that wait became too many to be kept one by one.
    fn limit_removals(&mut self) {
        self.is_lost |= self.pending.limit_removals();
    }

    fn has_waiting(&self) -> bool {
        self.committed < self.submitted
    }
}

/// What the thread does next.
enum Work {
    /// Write these changes, up to the ticket with this number.
    Write(Pending, u64),
    /// Look whether the database is still the one that was opened.
    Look,
    End,
}

struct Thread {
    shared: Arc<Shared>,
    database: Database,
    lock: Option<FolderLock>,
}

impl Thread {
    fn run(mut self) {
        sandbox::enter(ThreadKind::Store);
        loop {
            let (pending, ticket) = match self.next() {
                Work::Write(pending, ticket) => (pending, ticket),
                Work::Look => {
                    self.look();
                    continue;
                }
                Work::End => break,
            };
            let written = self.write(&pending);
            let explained = written.as_ref().err().cloned();
            let mut queue = self.shared.lock();
            queue.in_flight_rows = 0;
            queue.in_flight = Unwritten::default();
            queue.is_lost |= self.database.take_lost();
            let failed_before = std::mem::replace(&mut queue.error, explained).is_some();
            match &written {
                Ok(()) => {
                    queue.committed = ticket;
                    queue.waits_since = queue.has_waiting().then(Instant::now);
                }
                Err(_) => {
                    let later = std::mem::replace(&mut queue.pending, pending);
                    queue.pending.append(later);
                    queue.limit_removals();
                }
            }
            let is_last = queue.is_ending;
            drop(queue);
            self.shared.has_written.notify_all();
            self.report(&written, failed_before);
            if written.is_err() && is_last {
                break;
            }
        }
        self.database.close();
        // The lock is released before `finish` returns, so that a process that starts then finds the folder free.
        drop(self.lock.take());
        self.shared.lock().is_ended = true;
        self.shared.has_written.notify_all();
    }

    /// Waits for changes and takes them.
    fn next(&self) -> Work {
        let mut queue = self.shared.lock();
        if queue.error.is_some() && !queue.is_ending {
            (queue, _) = self
                .shared
                .has_work
                .wait_timeout_while(queue, RETRY_AFTER, |queue| !queue.is_ending)
                .unwrap_or_else(PoisonError::into_inner);
        }
        (queue, _) = self
            .shared
            .has_work
            .wait_timeout_while(queue, LOOK_EVERY, |queue| !queue.has_waiting() && !queue.is_ending)
            .unwrap_or_else(PoisonError::into_inner);
        if !queue.has_waiting() {
            return if queue.is_ending { Work::End } else { Work::Look };
        }
        queue.in_flight_rows = queue.pending.rows();
        queue.in_flight = Unwritten::of(&queue.pending);
        let after = queue.pending.after();
        Work::Write(std::mem::replace(&mut queue.pending, after), queue.submitted)
    }

    /// Has everything submitted again if others removed, replaced or changed the database.
    fn look(&mut self) {
        if self.lock.is_some() {
            self.database.look();
            self.shared.lock().is_lost |= self.database.take_lost();
        }
    }

    /// Writes the changes. Returns in words why that failed.
    fn write(&mut self, pending: &Pending) -> Result<(), String> {
        if self.lock.is_none() {
            // The lock file could not be opened at the start. Without it another process may write to the database.
            let locked = folder::lock(&self.shared.directory).map_err(|error| error.to_string())?;
            self.lock = Some(locked.map_err(|error| {
                let why = explain(&StoreFault::Io(error), &self.shared.directory);
                format!("its lock {} cannot be opened: {why}", folder::LOCK_FILE)
            })?);
        }
        let directory = self.shared.directory.clone();
        self.database.write(pending).map_err(|fault| explain(&fault, &directory))
    }

    /// Logs the first of several failures, and the next success.
    fn report(&self, written: &Result<(), String>, failed_before: bool) {
        let path = self.database.path().display();
        match written {
            Ok(()) if failed_before => info!("the state is kept again in {path}"),
            Err(error) if !failed_before => warn!(
                "the state cannot be kept in {path}: {error}. What is not written stays in memory and is written \
                 when that works again"
            ),
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rows::{AlertRow, MuteRow, NoticeRow, Numbers};

    #[test]
    fn what_is_not_written_is_counted_by_kind_and_sink() {
        let notice = |number| NoticeRow {
            number,
            alert_id: "a".to_owned(),
            step: "open".to_owned(),
            queued_at: 0,
            body: "{}".to_owned(),
        };
        let sinks = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let mut pending = Pending::default();
        pending
            .add(Changes { numbers: Numbers { last_notice: 9, ..Numbers::default() }, ..Changes::default() });
        assert!(Unwritten::of(&pending).is_empty(), "numbers alone are no loss");
        pending.add(Changes {
            alerts: vec![AlertRow { id: "a".to_owned(), body: "{}".to_owned() }],
            alerts_removed: vec!["b".to_owned()],
            mutes: vec![MuteRow { id: 1, body: "{}".to_owned() }],
            mutes_removed: vec![2, 3],
            notices: vec![
                (notice(1), sinks(&["AlertFile", "WebhookURL"])),
                (notice(2), sinks(&["AlertFile"])),
            ],
            settled: vec![("AlertFile".to_owned(), 7)],
            ..Changes::default()
        });
        let unwritten = Unwritten::of(&pending);
        let of_sinks = [("AlertFile", 2), ("WebhookURL", 1)].map(|(sink, count)| (sink.to_owned(), count));
        let want = Unwritten {
            alerts: 1,
            mutes: 1,
            notices: 2,
            of_sinks: of_sinks.into(),
            outdated: 4,
            cause: None,
        };
        assert_eq!(unwritten, want);
        assert!(!unwritten.is_empty());
    }
}
