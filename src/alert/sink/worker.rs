//! The thread of one sink: its queue, and its attempts to deliver.
//!
//! ```text
//!   push --> [bounded queue] --> deliver --ok--> counted, settled in the outbox
//!      \ full: shed, counted       ^   \ passing failure: pause, try again
//!                                  \___/  lasting or too old: counted, logged, settled
//! ```
//!
//! A reload replaces the sink between two attempts; queue, order and counters stay. At the end of the program each
//! notice that waits gets one last attempt; with `AlertRate` several become one summary, which gets one. With a state
//! directory the first attempt that fails ends them, and what waits is delivered after the next start.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use tracing::warn;

use crate::alert::notice::Notice;
use crate::enrich::{GeoIp, ReverseDns};
use crate::sandbox;
use crate::time::monotonic_now;

use super::closing::{Closing, EndChannel, WaitOver};
use super::counters::{AtomicCounts, Counts, SinkName};
pub(super) use super::failure::Failure;
use super::outbox::Outbox;
use super::queue::{NextStep, NoticeQueue, QueueLimits};
use super::queued_notice::QueuedContent;
pub(super) use super::queued_notice::QueuedNotice;
use super::rate::AlertRate;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::sink_log::{LOSS_LOG_INTERVAL, SinkLog};
use super::summary_maker::{LastNotice, SummaryMaker};
use super::waiting::REMOTE_QUEUE_MAX;

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

    /// Returns how many notices the sink takes one by one; `None` if all.
    fn rate(&self) -> Option<AlertRate> {
        None
    }

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

/// A sink and what its thread looks up for it.
pub(super) struct SinkSetup {
    pub(super) sink: Box<dyn Sink>,
    names: Option<Arc<ReverseDns>>,
    geoip: Option<GeoIp>,
}

impl std::fmt::Debug for SinkSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkSetup").field("sink", &self.sink.name()).finish_non_exhaustive()
    }
}

impl SinkSetup {
    pub(super) fn new(sink: Box<dyn Sink>, names: Option<Arc<ReverseDns>>, geoip: GeoIp) -> Self {
        // The log must not wait for a lookup.
        let is_log = sink.name() == SinkName::Log;
        Self { sink, names: names.filter(|_| !is_log), geoip: Some(geoip).filter(|_| !is_log) }
    }

    /// Returns what the sink takes.
    fn limits(&self) -> QueueLimits {
        let sink = &self.sink;
        QueueLimits { max: sink.queue_max(), wants_growth: sink.wants_growth(), rate: sink.rate() }
    }
}

/// The handle of the analyst to a sink.
#[derive(Debug)]
pub(super) struct SinkWorker {
    pub(super) name: SinkName,
    queue: Arc<NoticeQueue<SinkSetup>>,
    pub(super) counters: Arc<AtomicCounts>,
    /// The counters when this process began.
    before: Counts,
    outbox: Outbox,
    /// The number of the last notice that was delivered together with all notices that were queued before it.
    pub(super) acknowledged: Arc<AtomicU64>,
    is_removed: Arc<AtomicBool>,
    shutdown: Shutdown,
    end: EndChannel,
    /// When the log last had that the queue is full.
    shed_logged: Option<Instant>,
}

impl SinkWorker {
    /// Starts the thread. Its counters continue `before`.
    ///
    /// # Errors
    /// The system cannot create a thread or descriptor.
    pub(super) fn start(
        setup: SinkSetup,
        before: Counts,
        outbox: Outbox,
        last_notice: LastNotice,
    ) -> io::Result<Self> {
        let name = setup.sink.name();
        let counters = Arc::new(AtomicCounts::continue_from(before));
        let summary_maker =
            SummaryMaker { sink: name, outbox: outbox.clone(), counters: Arc::clone(&counters), last_notice };
        let queue = Arc::new(NoticeQueue::new(setup.limits(), summary_maker));
        let (acknowledged, is_removed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let end = EndChannel::new();
        let done = end.sender.clone();
        let shutdown = Shutdown::new()?;
        let thread = SinkThread {
            retry: setup.sink.retry(),
            setup,
            queue: Arc::clone(&queue),
            log: SinkLog::new(name, Arc::clone(&counters)),
            counters: Arc::clone(&counters),
            outbox: outbox.clone(),
            shutdown: shutdown.clone(),
            acknowledged: Arc::clone(&acknowledged),
            is_removed: Arc::clone(&is_removed),
            has_gap: false,
            leaves_rest: false,
        };
        thread::Builder::new().name(name.name().to_owned()).spawn(move || thread.run(&done))?;
        let shed_logged = None;
        Ok(Self {
            name,
            queue,
            counters,
            before,
            outbox,
            acknowledged,
            is_removed,
            shutdown,
            end,
            shed_logged,
        })
    }

    /// Returns true if the sink takes notices like this one.
    pub(super) fn wants(&self, notice: &Notice) -> bool {
        self.queue.wants(notice)
    }

    /// Queues a notice. Returns false, and counts it as dropped, if the queue is full of more important ones. Returns
    /// false, and counts nothing, if the sink does not take such notices. Never waits for the sink.
    pub(super) fn queue(&mut self, queued: Arc<QueuedNotice>) -> bool {
        if !self.takes(&queued) {
            return false;
        }
        // The notice is counted before it is queued, so that `delivered` never exceeds `queued`.
        self.counters.count_queued();
        let pushed = self.queue.push(queued);
        if let Some(shed) = pushed.shed {
            let is_opening = matches!(shed.content, QueuedContent::Notice(Notice::Opened(_)));
            self.counters.count_dropped(is_opening);
            self.outbox.settle(self.name, [shed.number].into_iter(), self.counters.read());
            self.log_shed();
        }
        pushed.is_taken
    }

    /// Queues what an earlier process left for the sink, in order. A notice that the sink does not take any more,
    /// because its options have changed, is settled, so that it does not wait in the outbox for ever.
    pub(super) fn queue_again(&mut self, restored: Vec<Arc<QueuedNotice>>) {
        let (taken, refused): (Vec<_>, Vec<_>) = restored.into_iter().partition(|queued| self.takes(queued));
        if !refused.is_empty() {
            let refused = refused.iter().map(|queued| queued.number);
            self.outbox.settle(self.name, refused, self.counters.read());
        }
        for queued in self.queue.push_restored(taken) {
            self.queue(queued);
        }
    }

    fn takes(&self, queued: &QueuedNotice) -> bool {
        match &queued.content {
            QueuedContent::Notice(notice) => self.queue.wants(notice),
            QueuedContent::Summary(_) => true,
        }
    }

    fn log_shed(&mut self) {
        if self.shed_logged.is_some_and(|at| at.elapsed() < LOSS_LOG_INTERVAL) {
            return;
        }
        self.shed_logged = Some(Instant::now());
        let Counts { dropped, dropped_openings, .. } = self.counters.read().since(self.before);
        warn!(
            "{}: its queue is full: {dropped} notices were dropped so far, {dropped_openings} of them of alerts that \
             opened; ends and growths go first",
            self.name
        );
    }

    /// Submits again what waits, and the counters.
    pub(super) fn keep_everything(&self) {
        self.queue.with_undone(|waiting| self.outbox.keep(self.name, waiting, self.counters.read()));
    }

    /// Removes the destinations from what waits, also in the state.
    pub(super) fn hide_destinations(&self) {
        self.queue.hide_destinations();
        self.keep_everything();
    }

    /// Replaces the sink before its next attempt. Queue, order and counters stay.
    pub(super) fn replace(&self, setup: SinkSetup) {
        let limits = setup.limits();
        self.queue.replace(setup, limits);
    }

    /// Closes the queue. The thread makes one attempt to deliver each notice that waits. If the sink is removed, what
    /// it cannot deliver then is given up, otherwise the outbox keeps it if there is one.
    pub(super) fn close(self, is_removed: bool) -> Closing<SinkSetup> {
        let Self { name, queue, counters, before, outbox, shutdown, end, .. } = self;
        // Release: pairs with the load of the thread after it has found the queue closed.
        self.is_removed.store(is_removed, Ordering::Release);
        queue.close();
        let is_kept = outbox.is_kept() && !is_removed;
        Closing { name, queue, counters, before, is_kept, shutdown, end }
    }
}

struct SinkThread {
    setup: SinkSetup,
    retry: Retry,
    queue: Arc<NoticeQueue<SinkSetup>>,
    log: SinkLog,
    counters: Arc<AtomicCounts>,
    outbox: Outbox,
    shutdown: Shutdown,
    acknowledged: Arc<AtomicU64>,
    is_removed: Arc<AtomicBool>,
    /// True once a notice was given up. No later notice is acknowledged, since that would acknowledge this one too.
    has_gap: bool,
    /// True once the program ends and the sink fails: what waits stays in the outbox.
    leaves_rest: bool,
}

impl SinkThread {
    fn run(mut self, done: &Sender<WaitOver>) {
        self.begin();
        // What the sink keeps open is open now.
        sandbox::enter(self.name().thread_kind());
        while !self.leaves_rest {
            match self.queue.next(self.setup.sink.batch_max()) {
                NextStep::Deliver(batch) => {
                    self.counters.health.set_delivering(true);
                    self.deliver(batch);
                    self.counters.health.set_delivering(false);
                }
                NextStep::Replace(setup) => self.replace(setup),
                NextStep::End => break,
            }
        }
        // After the deadline the receiver no longer exists.
        let _ = done.send(WaitOver::Finished);
    }

    fn begin(&mut self) {
        self.counters.health.set_rated(self.setup.sink.rate().is_some());
        if let Err(failure) = self.setup.sink.begin() {
            self.log.attempt_failed(&failure);
        }
    }

    fn replace(&mut self, setup: SinkSetup) {
        self.retry = setup.sink.retry();
        self.setup = setup;
        self.begin();
    }

    fn deliver(&mut self, batch: Vec<Arc<QueuedNotice>>) {
        self.look_up_origins(&batch);
        self.look_up_names(&batch);
        // The last was submitted after the others.
        if let Some(last) = batch.last() {
            self.outbox.wait_for_commit(last);
        }
        let mut left = batch.len();
        while left > 0 && !self.leaves_rest {
            left -= self.settle();
        }
    }

    fn look_up_origins(&self, batch: &[Arc<QueuedNotice>]) {
        let Some(geoip) = &self.setup.geoip else { return };
        batch.iter().for_each(|queued| queued.look_up_origin(geoip));
    }

    /// Looks up the names of the sources. Starts no further lookup after the timeout of one, so that the last notice of
    /// a batch does not wait for the timeouts of all lookups before it.
    fn look_up_names(&self, batch: &[Arc<QueuedNotice>]) {
        let Some(names) = &self.setup.names else { return };
        let began = Instant::now();
        batch
            .iter()
            .take_while(|_| began.elapsed() < names.timeout())
            .for_each(|queued| queued.look_up_name(names));
    }

    /// Attempts to deliver the first notices that were given out until an attempt succeeds, the first notice is given
    /// up, or it is left for the next start. Returns the number of notices that were delivered or given up.
    fn settle(&mut self) -> usize {
        let mut failures = 0;
        loop {
            if let Some(setup) = self.queue.replacement() {
                self.replace(setup);
                failures = 0;
            }
            // A reload may have hidden their destinations.
            let batch = self.queue.given_out();
            let attempted = &batch[..batch.len().min(self.setup.sink.batch_max())];
            let failure = match self.setup.sink.deliver(attempted, &self.shutdown) {
                Ok(taken) => {
                    self.note_delivered(&attempted[..taken]);
                    return taken;
                }
                Err(failure) => failure,
            };
            failures += 1;
            let is_closed = self.queue.is_closed();
            if is_closed && self.is_kept() && (failure.is_passing || self.shutdown.is_now()) {
                self.log.attempt_failed(&failure);
                self.leaves_rest = true;
                return 0;
            }
            let pause = self.retry.pause(failures, failure.retry_after);
            let age = monotonic_now().since(batch[0].since);
            if !failure.is_passing || is_closed || !self.retry.is_worth(age, pause) {
                self.counters.count_failed(1);
                self.has_gap = true;
                self.note_done(&batch[..1]);
                self.log.gave_up(&failure);
                return 1;
            }
            self.counters.count_retried();
            // The row of the counters alone, so that a restart before the next delivery continues them.
            self.outbox.settle(self.name(), std::iter::empty(), self.counters.read());
            self.log.attempt_failed(&failure);
            self.queue.pause(pause);
        }
    }

    fn note_delivered(&mut self, delivered: &[Arc<QueuedNotice>]) {
        self.counters.count_delivered(delivered.len());
        if let Some(last) = delivered.last().filter(|_| !self.has_gap) {
            self.acknowledged.store(last.number, Ordering::Release);
        }
        self.note_done(delivered);
        self.log.delivered();
    }

    /// Has the rows of notices removed that were delivered or given up.
    fn note_done(&self, done: &[Arc<QueuedNotice>]) {
        // In this order, what is submitted again because the database was lost is submitted before it is settled.
        self.queue.note_done(done.len());
        self.outbox.settle(self.name(), done.iter().map(|queued| queued.number), self.counters.read());
    }

    fn name(&self) -> SinkName {
        self.setup.sink.name()
    }

    /// Returns true if what waits at the end is delivered after the next start.
    fn is_kept(&self) -> bool {
        self.outbox.is_kept() && !self.is_removed.load(Ordering::Acquire)
    }
}
