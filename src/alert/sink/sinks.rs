//! All sinks of the running program: it starts their threads, queues each notice for all of them, and ends them.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::alert::notice::Notice;
use crate::enrich::{GeoIp, ReverseDns, ReverseDnsOptions};
use crate::logging::LinePrefix;
use crate::store::{Changes, Numbers};
use crate::time::UnixNanos;

use super::counters::{Counts, SinkName};
use super::health::SinkHealth;
use super::options::SinkOptions;
use super::outbox::{Outbox, RestoredOutbox, SinkState};
use super::removed::{RemovedSinks, ShutdownTimeouts, SinkResult};
use super::summary_maker::LastNotice;
use super::worker::{QueuedNotice, Sink, SinkSetup, SinkWorker};

/// The running sinks. Clones share them. The notices that wait are lost, unless an outbox keeps them, if the last clone
/// is dropped without [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Sinks {
    shared: Arc<SharedSinks>,
}

#[derive(Debug)]
struct SharedSinks {
    /// Locked for as long as it takes to queue notices or to exchange sinks, never during a delivery.
    table: Mutex<SinkTable>,
    outbox: Outbox,
}

#[derive(Debug)]
struct SinkTable {
    /// In the order of their names.
    workers: Vec<SinkWorker>,
    geoip: GeoIp,
    last_notice: LastNotice,
}

/// The number of a queued notice, and whether `AlertFile` will contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReceipt {
    /// The number of the notice, counted from 1.
    pub number: u64,
    /// True if the queue of `AlertFile` took it. Once [`Sinks::filed`] returns its number or a larger one, it is in the
    /// file as a whole line.
    pub is_for_file: bool,
}

/// Sinks with other options, before they are in force.
pub struct SinkUpdate {
    pub(super) sinks: Vec<Box<dyn Sink>>,
    pub(super) names: Option<ReverseDnsOptions>,
    pub(super) geoip: GeoIp,
}

impl SinkUpdate {
    /// Reads the databases and creates the sinks of these options, without a thread. It may wait for a disk.
    pub fn read(options: &SinkOptions) -> Self {
        let geoip = GeoIp::read_knowing(options.geoip.clone(), &options.faults_logged);
        Self { sinks: options.configurable(), names: options.names.clone(), geoip }
    }
}

impl fmt::Debug for SinkUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkUpdate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Sinks {
    /// Starts a thread for each sink. The log writes to `out`, with `prefix` before each line. With `state`, each sink
    /// first delivers what an earlier process left for it, and continues its counters.
    ///
    /// # Errors
    /// The system cannot create a thread or descriptor. Threads that were started already end by themselves.
    pub fn start(
        out: impl Write + Send + 'static,
        prefix: LinePrefix,
        options: &SinkOptions,
        state: Option<SinkState>,
    ) -> io::Result<Self> {
        Self::start_sinks(
            options.sinks(out, prefix),
            options.names.clone(),
            GeoIp::read_knowing(options.geoip.clone(), &options.faults_logged),
            state,
        )
    }

    pub(super) fn start_sinks(
        sinks: Vec<Box<dyn Sink>>,
        names: Option<ReverseDnsOptions>,
        geoip: GeoIp,
        state: Option<SinkState>,
    ) -> io::Result<Self> {
        let configured: Vec<SinkName> = sinks.iter().map(|sink| sink.name()).collect();
        let (outbox, mut restored) = Outbox::open(state, &configured);
        let names = names.map(|options| Arc::new(ReverseDns::new(options)));
        let mut workers = Vec::new();
        let mut waiting = Vec::new();
        let last_notice = LastNotice::after(restored.last_notice);
        for sink in sinks {
            let left = restored.take(sink.name());
            let setup = SinkSetup::new(sink, names.clone(), geoip.clone());
            workers.push(SinkWorker::start(setup, left.counts, outbox.clone(), last_notice.clone())?);
            waiting.push(left.waiting);
        }
        queue_again(&mut workers, &waiting, restored);
        let table = Mutex::new(SinkTable { workers, geoip, last_notice });
        Ok(Self { shared: Arc::new(SharedSinks { table, outbox }) })
    }

    /// Applies other options, while notices come and are delivered. A sink that stays keeps its queue, its order and
    /// its counters, and has the new options from its next attempt on. A new one starts empty. Never waits for a sink:
    /// returns those that were removed, which end by themselves. New threads are started by the thread that calls this.
    ///
    /// # Errors
    /// The system cannot create a thread or descriptor. Nothing has changed then.
    pub fn reconfigure(&self, update: SinkUpdate) -> io::Result<RemovedSinks> {
        let SinkUpdate { sinks, names, geoip } = update;
        let names = names.map(|options| Arc::new(ReverseDns::new(options)));
        let (running, last_notice): (Vec<SinkName>, LastNotice) = {
            let table = self.table();
            (table.workers.iter().map(|worker| worker.name).collect(), table.last_notice.clone())
        };
        let mut setups = Vec::new();
        let mut started = Vec::new();
        for sink in sinks {
            let is_new = !running.contains(&sink.name());
            let setup = SinkSetup::new(sink, names.clone(), geoip.clone());
            if is_new {
                let outbox = self.shared.outbox.clone();
                started.push(SinkWorker::start(setup, Counts::default(), outbox, last_notice.clone())?);
            } else {
                setups.push(setup);
            }
        }
        let mut table = self.table();
        table.geoip = geoip;
        let mut removed = Vec::new();
        for worker in std::mem::take(&mut table.workers) {
            match setups.iter().position(|setup| setup.sink.name() == worker.name) {
                Some(at) => worker.replace(setups.swap_remove(at)),
                None if worker.name == SinkName::Log => {}
                None => {
                    removed.push(worker);
                    continue;
                }
            }
            table.workers.push(worker);
        }
        table.workers.extend(started);
        table.workers.sort_by_key(|worker| worker.name);
        drop(table);
        Ok(RemovedSinks::close(removed, true))
    }

    /// Removes the destinations from the notices that wait, also from those in the state. An attempt that is under way
    /// still has them.
    pub fn hide_destinations(&self) {
        self.table().workers.iter().for_each(SinkWorker::hide_destinations);
    }

    /// Queues a notice for every sink. Never waits for a sink.
    pub fn notify(&self, at: UnixNanos, notice: Notice) -> QueueReceipt {
        let receipts = self.notify_all(at, [notice], Changes::default());
        receipts.last().copied().unwrap_or(QueueReceipt { number: 0, is_for_file: false })
    }

    /// Queues notices for every sink. They are written to the state together with `changes`, which may be empty. Never
    /// waits for a sink or a disk.
    pub fn notify_all(
        &self,
        at: UnixNanos,
        notices: impl IntoIterator<Item = Notice>,
        mut changes: Changes,
    ) -> Vec<QueueReceipt> {
        let mut table = self.table();
        let mut numbered = Vec::new();
        for notice in notices {
            let wanting = table.workers.iter().filter(|worker| worker.wants(&notice));
            let sinks = wanting.map(|worker| worker.name.name().to_owned()).collect();
            let queued = QueuedNotice::new(table.last_notice.next(), at, notice);
            self.shared.outbox.add(&mut changes, &queued, sinks);
            numbered.push(queued);
        }
        let ticket = if changes.is_empty() { None } else { self.shared.outbox.submit(changes) };
        let queue = |mut queued: QueuedNotice| {
            queued.ticket = ticket;
            let queued = Arc::new(queued);
            let mut is_for_file = false;
            for worker in &mut table.workers {
                let is_taken = worker.queue(Arc::clone(&queued));
                is_for_file |= is_taken && worker.name == SinkName::File;
            }
            QueueReceipt { number: queued.number, is_for_file }
        };
        numbered.into_iter().map(queue).collect()
    }

    /// Submits again everything that is to be kept of the sinks. Call it if [`StateWriter::take_lost`] returned true:
    /// the database is a new one then.
    ///
    /// [`StateWriter::take_lost`]: crate::store::StateWriter::take_lost
    pub fn keep_everything(&self) {
        let table = self.table();
        table.workers.iter().for_each(SinkWorker::keep_everything);
        let numbers = Numbers { last_notice: table.last_notice.get(), ..Numbers::default() };
        self.shared.outbox.submit(Changes { numbers, ..Changes::default() });
    }

    /// Returns the number of the last notice in `AlertFile` that is on the disk together with all earlier ones that its
    /// queue took; 0 before the first, and without an `AlertFile`.
    pub fn filed(&self) -> u64 {
        let table = self.table();
        let file = table.workers.iter().find(|worker| worker.name == SinkName::File);
        file.map_or(0, |file| file.acknowledged.load(Ordering::Acquire))
    }

    /// Returns each sink with its counters, the log first.
    pub fn counts(&self) -> Vec<(SinkName, Counts)> {
        self.table().workers.iter().map(|worker| (worker.name, worker.counters.read())).collect()
    }

    /// Returns whether each sink delivers, in the order of [`counts`](Self::counts).
    pub fn health(&self) -> Vec<(SinkName, SinkHealth)> {
        let of = |worker: &SinkWorker| {
            (worker.name, worker.counters.health.read(worker.counters.read().waiting()))
        };
        self.table().workers.iter().map(of).collect()
    }

    /// Returns a handle to the GeoIP databases, by which they can be read again.
    pub fn geoip(&self) -> GeoIp {
        self.table().geoip.clone()
    }

    /// Makes one attempt to deliver each notice that waits, in all sinks at the same time, and waits for the sinks
    /// until the timeouts. With an outbox, a sink that fails leaves the rest for the next start. Returns the result of
    /// each sink. Notices that come later are not delivered.
    pub fn finish(&self, timeouts: ShutdownTimeouts) -> Vec<SinkResult> {
        let workers = std::mem::take(&mut self.table().workers);
        RemovedSinks::close(workers, false).wait(timeouts)
    }

    fn table(&self) -> MutexGuard<'_, SinkTable> {
        // A panic of another thread ends the process.
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Queues what an earlier process left, in order. The numbers in `waiting` ascend, those of one sink each.
fn queue_again(workers: &mut [SinkWorker], waiting: &[Vec<u64>], restored: RestoredOutbox) {
    let restored = restored.notices.into_iter();
    let all: Vec<_> =
        restored.map(|(number, at, content)| Arc::new(QueuedNotice::new(number, at, content))).collect();
    for (worker, waiting) in workers.iter_mut().zip(waiting) {
        let is_waiting = |queued: &&Arc<QueuedNotice>| waiting.binary_search(&queued.number).is_ok();
        worker.queue_again(all.iter().filter(is_waiting).cloned().collect());
    }
}
