//! All sinks of the running program: it starts their threads, queues each notice for all of them, and ends them.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::alert::notice::Notice;
use crate::enrich::{GeoIp, ReverseDns, ReverseDnsOptions};
use crate::logging::LinePrefix;
use crate::time::UnixNanos;

use super::counters::{Counts, SinkCounters, SinkName};
use super::options::SinkOptions;
use super::worker::{QueuedNotice, Sink, SinkWorker};

/// The running sinks. The notices that wait are lost if this is dropped without [`finish`](Self::finish).
#[derive(Debug)]
pub struct Sinks {
    workers: Vec<SinkWorker>,
    counters: SinkCounters,
    geoip: GeoIp,
    queued: u64,
    pub(super) filed: Option<Arc<AtomicU64>>,
}

/// The counters of a sink at the end of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkResult {
    /// The sink.
    pub sink: SinkName,
    /// Its counters.
    pub counts: Counts,
    /// True if every notice in its queue was delivered or given up before the timeout. If false, those that waited are
    /// lost.
    pub in_time: bool,
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

/// How long [`Sinks::finish`] waits for the sinks, from its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownTimeouts {
    /// For the log, which writes a line at once or hangs.
    pub log: Duration,
    /// For sinks that wait for a disk, a program or a network.
    pub others: Duration,
}

impl Sinks {
    /// Starts a thread for each sink. The log writes to `out`, with `prefix` before each line.
    ///
    /// # Errors
    /// The system cannot create a thread or descriptor. Threads that were started already end by themselves.
    pub fn start(
        out: impl Write + Send + 'static,
        prefix: LinePrefix,
        options: &SinkOptions,
    ) -> io::Result<Self> {
        Self::start_sinks(
            options.sinks(out, prefix),
            options.names.clone(),
            GeoIp::read_knowing(options.geoip.clone(), &options.faults_logged),
        )
    }

    pub(super) fn start_sinks(
        sinks: Vec<Box<dyn Sink>>,
        names: Option<ReverseDnsOptions>,
        geoip: GeoIp,
    ) -> io::Result<Self> {
        let names = names.map(|options| Arc::new(ReverseDns::new(options)));
        let counters = SinkCounters::new(sinks.iter().map(|sink| sink.name()));
        let mut filed = None;
        let mut workers = Vec::new();
        for (index, sink) in sinks.into_iter().enumerate() {
            let acknowledged = Arc::new(AtomicU64::new(0));
            if sink.name() == SinkName::File {
                filed = Some(Arc::clone(&acknowledged));
            }
            workers.push(SinkWorker::start(
                sink,
                counters.of(index),
                acknowledged,
                names.clone(),
                geoip.clone(),
            )?);
        }
        Ok(Self { workers, counters, geoip, queued: 0, filed })
    }

    /// Queues a notice for every sink. Never blocks: if a queue is full, the notice is counted as dropped there.
    pub fn notify(&mut self, at: UnixNanos, notice: Notice) -> QueueReceipt {
        self.queued += 1;
        let queued = Arc::new(QueuedNotice::new(self.queued, at, notice));
        let mut is_for_file = false;
        for worker in &self.workers {
            let is_taken = worker.queue(Arc::clone(&queued));
            is_for_file |= is_taken && worker.name == SinkName::File;
        }
        QueueReceipt { number: self.queued, is_for_file }
    }

    /// Returns the number of the last notice in `AlertFile` that is on the disk together with all earlier ones that its
    /// queue took; 0 before the first, and without an `AlertFile`.
    pub fn filed(&self) -> u64 {
        self.filed.as_ref().map_or(0, |filed| filed.load(Ordering::Acquire))
    }

    /// Returns a handle to the counters of all sinks.
    pub(crate) fn counters(&self) -> SinkCounters {
        self.counters.clone()
    }

    /// Returns a handle to the GeoIP databases, by which they can be read again.
    pub fn geoip(&self) -> GeoIp {
        self.geoip.clone()
    }

    /// Makes one attempt to deliver each notice that waits, in all sinks at the same time, and waits for the sinks
    /// until the timeouts. Returns the result of each sink.
    pub fn finish(self, timeouts: ShutdownTimeouts) -> Vec<SinkResult> {
        let began = Instant::now();
        let closing: Vec<_> = self.workers.into_iter().map(SinkWorker::close).collect();
        let finished = closing.into_iter().map(|closing| {
            let sink = closing.name;
            let longest = if sink == SinkName::Log { timeouts.log } else { timeouts.others };
            let (counts, in_time) = closing.wait(began + longest);
            SinkResult { sink, counts, in_time }
        });
        finished.collect()
    }
}
