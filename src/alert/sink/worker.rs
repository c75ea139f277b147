//! One sink at work: its queue, its thread, its attempts.
//!
//! ```text
//!   say --try_send--> [bounded queue] --> deliver --ok--> counted, acknowledged
//!         \ full: counted                  ^   \ passing failure: pause, try again
//!                                          \___/  lasting, too old, or the end: counted, said
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
use crate::time::{Moment, UnixNanos, monotonic_now};

use super::counters::{Counts, SinkCell, SinkName};
use super::retry::Retry;
use super::shutdown::Shutdown;

/// A notice on its way to every sink.
#[derive(Debug)]
pub(super) struct QueuedNotice {
    /// Counted from 1 in the order in which they are said.
    pub(super) number: u64,
    /// When it was said.
    pub(super) at: UnixNanos,
    /// The same, on the clock that its age is measured with.
    pub(super) since: Moment,
    pub(super) notice: Notice,
    /// The name of the source, once a sink has asked for it.
    name: OnceLock<Option<String>>,
    /// Where the source comes from, once a sink has looked.
    origin: OnceLock<GeoIpRecord>,
}

impl QueuedNotice {
    pub(super) fn new(number: u64, at: UnixNanos, notice: Notice) -> Self {
        Self { number, at, since: monotonic_now(), notice, name: OnceLock::new(), origin: OnceLock::new() }
    }

    /// Asks for the name of the source, unless another sink has done it or does it just now.
    pub(super) fn ask_for_name(&self, names: &ReverseDns) {
        self.name.get_or_init(|| names.of(self.notice.alert().source?));
    }

    /// Looks up where the source comes from, unless another sink has done it.
    pub(super) fn look_up_origin(&self, geoip: &GeoIp) {
        self.origin.get_or_init(|| {
            self.notice.alert().source.map_or_else(GeoIpRecord::default, |source| geoip.of(source))
        });
    }

    /// What is known of the source.
    pub(super) fn source(&self) -> HostDetails<'_> {
        let name = self.name.get().and_then(Option::as_deref);
        self.origin
            .get()
            .map_or(HostDetails { name, ..HostDetails::default() }, |origin| origin.details(name))
    }
}

/// A place that notices are taken to, by a thread of its own.
pub(super) trait Sink: Send {
    fn name(&self) -> SinkName;

    /// How failures are met.
    fn retry(&self) -> Retry;

    /// Notices that may wait.
    fn queue_max(&self) -> usize {
        REMOTE_QUEUE_MAX
    }

    /// Notices that one attempt may take.
    fn batch_max(&self) -> usize {
        1
    }

    /// What a delivery does not say.
    fn caveat(&self) -> Option<&'static str> {
        None
    }

    /// Makes ready what needs no notice, on the thread that delivers; what fails here is said and tried again
    /// with the first notice.
    ///
    /// # Errors
    /// Why it is not ready.
    fn begin(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Takes the first notices of a batch, at least one, and gives their number. May take as long as its own
    /// deadlines allow.
    ///
    /// # Errors
    /// Why none of them arrived.
    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], shutdown: &Shutdown) -> Result<usize, Failure>;
}

/// Notices that may wait for a place that is reached through a network or a program: an outage of so many.
pub(super) const REMOTE_QUEUE_MAX: usize = 1000;

/// Why a notice did not arrive.
#[derive(Debug)]
pub(super) struct Failure {
    /// What, where and the remedy; without secrets.
    pub(super) why: String,
    /// Whether another attempt can do better.
    pub(super) is_passing: bool,
    /// How long the other side wants to be left alone.
    pub(super) asked_for: Option<Duration>,
}

impl Failure {
    /// One that may be over at the next attempt.
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: true, asked_for: None }
    }

    /// One that another attempt with the same notice cannot cure.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: false, asked_for: None }
    }
}

/// The analyst's end of a sink.
#[derive(Debug)]
pub(super) struct SinkWorker {
    pub(super) name: SinkName,
    queue: SyncSender<Arc<QueuedNotice>>,
    counters: SinkCell,
    shutdown: Shutdown,
    finished: Receiver<()>,
}

impl SinkWorker {
    /// Starts the thread. `acknowledged` is the number of the last notice that has arrived with all
    /// that were queued before it.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor.
    pub(super) fn start(
        mut sink: Box<dyn Sink>,
        counters: SinkCell,
        acknowledged: Arc<AtomicU64>,
        names: Option<Arc<ReverseDns>>,
        geoip: GeoIp,
    ) -> io::Result<Self> {
        let name = sink.name();
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
            // The log is there at once, whoever hangs.
            names: names.filter(|_| name != SinkName::Log),
            geoip: Some(geoip).filter(|_| name != SinkName::Log),
        };
        let run = move || thread.run(sink.as_mut(), &waiting, &done);
        thread::Builder::new().name(name.name().to_owned()).spawn(run)?;
        Ok(Self { name, queue, counters, shutdown, finished })
    }

    /// Queues a notice. Never waits: without room it is counted as dropped. Whether it was taken.
    pub(super) fn say(&self, said: Arc<QueuedNotice>) -> bool {
        // Counted first, so that nothing is ever delivered that was not queued.
        self.counters.cells().count_queued();
        let is_taken = self.queue.try_send(said).is_ok();
        if !is_taken {
            self.counters.cells().count_dropped();
        }
        is_taken
    }

    /// Takes nothing more, and gives each notice that waits one attempt.
    pub(super) fn close(self) -> Closing {
        let Self { name, queue, counters, shutdown, finished } = self;
        drop(queue);
        shutdown.last_attempts();
        Closing { name, counters, shutdown, finished }
    }
}

/// A sink whose last attempts are under way.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) name: SinkName,
    counters: SinkCell,
    shutdown: Shutdown,
    finished: Receiver<()>,
}

impl Closing {
    /// Waits until it has finished, or until the deadline and then for as long as letting go takes. What it has
    /// done, and whether that is all.
    pub(super) fn wait(self, deadline: Instant) -> (Counts, bool) {
        let is_done = |deadline: Instant| {
            let patience = deadline.saturating_duration_since(Instant::now());
            !matches!(self.finished.recv_timeout(patience), Err(RecvTimeoutError::Timeout))
        };
        let in_time = is_done(deadline);
        if !in_time {
            self.shutdown.now();
            is_done(Instant::now() + LETTING_GO);
        }
        (self.counters.read(), in_time)
    }
}

/// What a command's processes have to end in when the program does.
const LETTING_GO: Duration = Duration::from_millis(200);

struct SinkThread {
    retry: Retry,
    log: SinkLog,
    counters: SinkCell,
    shutdown: Shutdown,
    acknowledged: Arc<AtomicU64>,
    /// A notice was given up, so that nothing after it is acknowledged: that would speak for it too.
    has_gap: bool,
    names: Option<Arc<ReverseDns>>,
    geoip: Option<GeoIp>,
}

impl SinkThread {
    fn run(&mut self, sink: &mut dyn Sink, waiting: &Receiver<Arc<QueuedNotice>>, done: &Sender<()>) {
        if let Err(failure) = sink.begin() {
            self.log.fails(&failure);
        }
        let mut batch = Vec::new();
        while let Ok(first) = waiting.recv() {
            batch.push(first);
            batch.extend(waiting.try_iter().take(sink.batch_max() - 1));
            self.look_up_origins(&batch);
            self.ask_for_names(&batch);
            while !batch.is_empty() {
                let settled = self.settle(sink, &batch);
                batch.drain(..settled);
            }
        }
        // Nobody waits for this any more when the deadline has passed.
        let _ = done.send(());
    }

    fn look_up_origins(&self, batch: &[Arc<QueuedNotice>]) {
        let Some(geoip) = &self.geoip else { return };
        batch.iter().for_each(|said| said.look_up_origin(geoip));
    }

    /// Asks for names, but not for so long that the last of a batch waits for those of all before it.
    fn ask_for_names(&self, batch: &[Arc<QueuedNotice>]) {
        let Some(names) = &self.names else { return };
        let began = Instant::now();
        batch
            .iter()
            .take_while(|_| began.elapsed() < names.within())
            .for_each(|said| said.ask_for_name(names));
    }

    /// Delivers the first notices of a batch or gives them up, after as many attempts as it takes. Gives their
    /// number.
    fn settle(&mut self, sink: &mut dyn Sink, batch: &[Arc<QueuedNotice>]) -> usize {
        let mut failures = 0;
        loop {
            let failure = match sink.deliver(batch, &self.shutdown) {
                Ok(taken) => {
                    self.counters.cells().count_delivered(taken);
                    if let Some(last) = batch[..taken].last().filter(|_| !self.has_gap) {
                        self.acknowledged.store(last.number, Ordering::Release);
                    }
                    self.log.succeeds();
                    return taken;
                }
                Err(failure) => failure,
            };
            failures += 1;
            let pause = self.retry.pause(failures, failure.asked_for);
            let age = monotonic_now().since(batch[0].since);
            if !failure.is_passing || self.shutdown.is_near() || !self.retry.is_worth(age, pause) {
                self.counters.cells().count_failed(1);
                self.has_gap = true;
                self.log.gives_up(&failure);
                return 1;
            }
            self.counters.cells().count_retried();
            self.log.fails(&failure);
            self.shutdown.pause(pause);
        }
    }
}

/// What a sink says of itself in the log: that it fails, that it works again, what was lost; each once.
struct SinkLog {
    name: SinkName,
    counters: SinkCell,
    /// Attempts that failed since the last that did not.
    failures: u64,
    /// When a loss was last said, and how many were lost by then.
    said_lost: Option<(Instant, u64)>,
}

/// A loss is said at most this often.
const SAYS_LOST_EVERY: Duration = Duration::from_secs(60);

impl SinkLog {
    fn new(name: SinkName, counters: SinkCell) -> Self {
        Self { name, counters, failures: 0, said_lost: None }
    }

    fn fails(&mut self, failure: &Failure) {
        self.failures += 1;
        let consequence = if failure.is_passing { "; alerts wait until it works" } else { "" };
        if self.failures == 1 {
            warn!("{}: {}{consequence}", self.name, failure.why);
        }
    }

    fn gives_up(&mut self, failure: &Failure) {
        let now = Instant::now();
        let lost = self.counters.read().lost();
        match self.said_lost {
            Some((at, _)) if now.duration_since(at) < SAYS_LOST_EVERY => {}
            _ => {
                warn!("{}: {}; alerts lost so far: {lost}", self.name, failure.why);
                self.said_lost = Some((now, lost));
            }
        }
    }

    fn succeeds(&mut self) {
        if self.failures > 0 {
            info!("{}: delivers again, after {} failed attempts", self.name, self.failures);
            self.failures = 0;
        }
        let lost = self.counters.read().lost();
        let said = self.said_lost.map_or(0, |(_, lost)| lost);
        let is_due = self.said_lost.is_none_or(|(at, _)| at.elapsed() >= SAYS_LOST_EVERY);
        if lost > said && is_due {
            warn!("{}: alerts lost so far: {lost}", self.name);
            self.said_lost = Some((Instant::now(), lost));
        }
    }
}
