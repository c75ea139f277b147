//! The thread of one sink: its queue, and its attempts to deliver.
//!
//! ```text
//!   queue --try_send--> [bounded queue] --> deliver --ok--> counted, acknowledged
//!           \ full: counted                  ^   \ passing failure: pause, try again
//!                                            \___/  lasting, too old, or shutdown: counted, logged
//! ```

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::alert::notice::Notice;
use crate::enrich::{GeoIp, GeoIpRecord, HostDetails, ReverseDns};
use crate::sandbox;
use crate::time::{Moment, UnixNanos, monotonic_now};

use super::counters::{Counts, SinkCell, SinkName};
use super::retry::Retry;
use super::shutdown::Shutdown;

/// A notice on its way to every sink.
#[derive(Debug)]
pub(super) struct QueuedNotice {
    /// Counted from 1 in the order in which notices are queued.
    pub(super) number: u64,
    /// When it was queued, by the wall clock.
    pub(super) at: UnixNanos,
    /// The same time on the monotonic clock, by which its age is measured.
    pub(super) since: Moment,
    pub(super) notice: Notice,
    /// The name of the source; empty until a sink looks it up.
    name: OnceLock<Option<String>>,
    /// The GeoIP record of the source; empty until a sink looks it up.
    origin: OnceLock<GeoIpRecord>,
}

impl QueuedNotice {
    pub(super) fn new(number: u64, at: UnixNanos, notice: Notice) -> Self {
        Self { number, at, since: monotonic_now(), notice, name: OnceLock::new(), origin: OnceLock::new() }
    }

    /// Looks up the name of the source unless another sink did. Blocks during the lookup, also if another sink makes
    /// it.
    pub(super) fn look_up_name(&self, names: &ReverseDns) {
        self.name.get_or_init(|| names.name_of(self.notice.alert().source?));
    }

    /// Looks up the GeoIP record of the source unless another sink did.
    pub(super) fn look_up_origin(&self, geoip: &GeoIp) {
        self.origin.get_or_init(|| {
            self.notice.alert().source.map_or_else(GeoIpRecord::default, |source| geoip.of(source))
        });
    }

    /// Returns the name and origin of the source as far as they have been looked up.
    pub(super) fn source(&self) -> HostDetails<'_> {
        let name = self.name.get().and_then(Option::as_deref);
        self.origin
            .get()
            .map_or(HostDetails { name, ..HostDetails::default() }, |origin| origin.details(name))
    }
}

/// A receiver of notices, served by a thread of its own.
pub(super) trait Sink: Send {
    /// Returns the kind of this sink.
    fn name(&self) -> SinkName;

    /// Returns the pauses between attempts.
    fn retry(&self) -> Retry;

    /// Returns the maximum number of notices that wait in the queue.
    fn queue_max(&self) -> usize {
        REMOTE_QUEUE_MAX
    }

    /// Returns the maximum number of notices that one attempt delivers.
    fn batch_max(&self) -> usize {
        1
    }

    /// Returns true if the sink takes notices that an alert grows.
    fn wants_growth(&self) -> bool;

    /// Returns the sentence about what a successful delivery does not prove; `None` if it proves that the notice
    /// arrived.
    fn caveat(&self) -> Option<&'static str> {
        None
    }

    /// Makes the preparations that do not need a notice, on the thread that delivers. A failure is logged, and the
    /// preparations are repeated with the first notice.
    ///
    /// # Errors
    /// The sink is not ready.
    fn begin(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Delivers at least the first notice of a batch. Returns the number of notices that were delivered, counted from
    /// the first. Blocks until the timeouts of the sink at most.
    ///
    /// # Errors
    /// No notice of the batch was delivered.
    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], shutdown: &Shutdown) -> Result<usize, Failure>;
}

/// Maximum number of notices that wait for a sink that is reached through a network or a program.
pub(super) const REMOTE_QUEUE_MAX: usize = 1000;

/// Why a notice was not delivered.
#[derive(Debug)]
pub(super) struct Failure {
    /// The sentence that names the failure, its place and the remedy, without secrets.
    pub(super) why: String,
    /// True if another attempt may succeed.
    pub(super) is_passing: bool,
    /// The pause that the receiver requests; `None` if it requests none.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// Creates a failure that may be over at the next attempt.
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: true, retry_after: None }
    }

    /// Creates a failure that repeats with every attempt to deliver the same notice.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: false, retry_after: None }
    }
}

/// The handle of the analyst to a sink.
#[derive(Debug)]
pub(super) struct SinkWorker {
    pub(super) name: SinkName,
    wants_growth: bool,
    queue: SyncSender<Arc<QueuedNotice>>,
    counters: SinkCell,
    shutdown: Shutdown,
    finished: Receiver<()>,
}

impl SinkWorker {
    /// Starts the thread. It stores in `acknowledged` the number of the last notice that was delivered together with
    /// all notices that were queued before it.
    ///
    /// # Errors
    /// The system cannot create a thread or descriptor.
    pub(super) fn start(
        mut sink: Box<dyn Sink>,
        counters: SinkCell,
        acknowledged: Arc<AtomicU64>,
        names: Option<Arc<ReverseDns>>,
        geoip: GeoIp,
    ) -> io::Result<Self> {
        let (name, wants_growth) = (sink.name(), sink.wants_growth());
        let (queue, waiting) = sync_channel(sink.queue_max());
        let (done, finished) = channel();
        let shutdown = Shutdown::new()?;
        let mut thread = SinkThread {
            retry: sink.retry(),
            log: SinkLog::new(name, counters.clone()),
            counters: counters.clone(),
            shutdown: shutdown.clone(),
            acknowledged,
            has_gap: false,
            // The log must not wait for a lookup.
            names: names.filter(|_| name != SinkName::Log),
            geoip: Some(geoip).filter(|_| name != SinkName::Log),
        };
        let run = move || thread.run(sink.as_mut(), &waiting, &done);
        thread::Builder::new().name(name.name().to_owned()).spawn(run)?;
        Ok(Self { name, wants_growth, queue, counters, shutdown, finished })
    }

    /// Queues a notice. Returns false, and counts the notice as dropped, if the queue is full. Returns false, and
    /// counts nothing, if the sink does not take such notices. Never blocks.
    pub(super) fn queue(&self, notice: Arc<QueuedNotice>) -> bool {
        if !self.wants_growth && matches!(notice.notice, Notice::Grown(..)) {
            return false;
        }
        // The notice is counted before it is queued, so that `delivered` never exceeds `queued`.
        self.counters.cells().count_queued();
        let is_taken = self.queue.try_send(notice).is_ok();
        if !is_taken {
            self.counters.cells().count_dropped();
        }
        is_taken
    }

    /// Closes the queue. The thread makes one attempt to deliver each notice that waits.
    pub(super) fn close(self) -> Closing {
        let Self { name, queue, counters, shutdown, finished, .. } = self;
        drop(queue);
        shutdown.last_attempts();
        Closing { name, counters, shutdown, finished }
    }
}

/// A sink whose queue is closed and whose last attempts are under way.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) name: SinkName,
    counters: SinkCell,
    shutdown: Shutdown,
    finished: Receiver<()>,
}

impl Closing {
    /// Waits for the thread until the deadline, then aborts the present attempt and waits for at most
    /// [`ABORT_TIMEOUT`]. Returns the counters, and true if the thread finished before the deadline.
    pub(super) fn wait(self, deadline: Instant) -> (Counts, bool) {
        let is_done = |deadline: Instant| {
            let left = deadline.saturating_duration_since(Instant::now());
            !matches!(self.finished.recv_timeout(left), Err(RecvTimeoutError::Timeout))
        };
        let in_time = is_done(deadline);
        if !in_time {
            self.shutdown.now();
            is_done(Instant::now() + ABORT_TIMEOUT);
        }
        (self.counters.read(), in_time)
    }
}

/// How long the end of the program waits for an attempt that was aborted, such as a command whose processes are killed.
const ABORT_TIMEOUT: Duration = Duration::from_millis(200);

struct SinkThread {
    retry: Retry,
    log: SinkLog,
    counters: SinkCell,
    shutdown: Shutdown,
    acknowledged: Arc<AtomicU64>,
    /// True once a notice was given up. No later notice is acknowledged, since that would acknowledge this one too.
    has_gap: bool,
    names: Option<Arc<ReverseDns>>,
    geoip: Option<GeoIp>,
}

impl SinkThread {
    fn run(&mut self, sink: &mut dyn Sink, waiting: &Receiver<Arc<QueuedNotice>>, done: &Sender<()>) {
        if let Err(failure) = sink.begin() {
            self.log.attempt_failed(&failure);
        }
        // What the sink keeps open is open now.
        sandbox::enter(sink.name().thread_kind());
        let mut batch = Vec::new();
        while let Ok(first) = waiting.recv() {
            batch.push(first);
            batch.extend(waiting.try_iter().take(sink.batch_max() - 1));
            self.look_up_origins(&batch);
            self.look_up_names(&batch);
            while !batch.is_empty() {
                let settled = self.settle(sink, &batch);
                batch.drain(..settled);
            }
        }
        // After the deadline the receiver no longer exists.
        let _ = done.send(());
    }

    fn look_up_origins(&self, batch: &[Arc<QueuedNotice>]) {
        let Some(geoip) = &self.geoip else { return };
        batch.iter().for_each(|queued| queued.look_up_origin(geoip));
    }

    /// Looks up the names of the sources. Starts no further lookup after the timeout of one, so that the last notice of
    /// a batch does not wait for the timeouts of all lookups before it.
    fn look_up_names(&self, batch: &[Arc<QueuedNotice>]) {
        let Some(names) = &self.names else { return };
        let began = Instant::now();
        batch
            .iter()
            .take_while(|_| began.elapsed() < names.timeout())
            .for_each(|queued| queued.look_up_name(names));
    }

    /// Attempts to deliver the first notices of a batch until an attempt succeeds or the first notice is given up.
    /// Returns the number of notices that were delivered or given up.
    fn settle(&mut self, sink: &mut dyn Sink, batch: &[Arc<QueuedNotice>]) -> usize {
        let mut failures = 0;
        loop {
            let failure = match sink.deliver(batch, &self.shutdown) {
                Ok(taken) => {
                    self.counters.cells().count_delivered(taken);
                    if let Some(last) = batch[..taken].last().filter(|_| !self.has_gap) {
                        self.acknowledged.store(last.number, Ordering::Release);
                    }
                    self.log.delivered();
                    return taken;
                }
                Err(failure) => failure,
            };
            failures += 1;
            let pause = self.retry.pause(failures, failure.retry_after);
            let age = monotonic_now().since(batch[0].since);
            if !failure.is_passing || self.shutdown.is_near() || !self.retry.is_worth(age, pause) {
                self.counters.cells().count_failed(1);
                self.has_gap = true;
                self.log.gave_up(&failure);
                return 1;
            }
            self.counters.cells().count_retried();
            self.log.attempt_failed(&failure);
            self.shutdown.pause(pause);
        }
    }
}

/// Logs the first failure of a sink, its next delivery, and at intervals how many notices were lost.
struct SinkLog {
    name: SinkName,
    counters: SinkCell,
    /// Number of attempts that failed since the last delivery.
    failures: u64,
    /// When a loss was last logged, and how many notices were lost by then.
    loss_logged: Option<(Instant, u64)>,
}

/// Minimum time between two log lines about losses.
const LOSS_LOG_INTERVAL: Duration = Duration::from_secs(60);

impl SinkLog {
    fn new(name: SinkName, counters: SinkCell) -> Self {
        Self { name, counters, failures: 0, loss_logged: None }
    }

    fn attempt_failed(&mut self, failure: &Failure) {
        self.failures += 1;
        let consequence = if failure.is_passing { "; alerts wait until it works" } else { "" };
        if self.failures == 1 {
            warn!("{}: {}{consequence}", self.name, failure.why);
        }
    }

    fn gave_up(&mut self, failure: &Failure) {
        let now = Instant::now();
        let lost = self.counters.read().lost();
        match self.loss_logged {
            Some((at, _)) if now.duration_since(at) < LOSS_LOG_INTERVAL => {}
            _ => {
                warn!("{}: {}; alerts lost so far: {lost}", self.name, failure.why);
                self.loss_logged = Some((now, lost));
            }
        }
    }

    fn delivered(&mut self) {
        if self.failures > 0 {
            info!("{}: delivers again, after {} failed attempts", self.name, self.failures);
            self.failures = 0;
        }
        let lost = self.counters.read().lost();
        let logged = self.loss_logged.map_or(0, |(_, lost)| lost);
        let is_due = self.loss_logged.is_none_or(|(at, _)| at.elapsed() >= LOSS_LOG_INTERVAL);
        if lost > logged && is_due {
            warn!("{}: alerts lost so far: {lost}", self.name);
            self.loss_logged = Some((Instant::now(), lost));
        }
    }
}
