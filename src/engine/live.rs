//! Live capture from its opening to its end: the threads and the order of their coming and going.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use tracing::{error, info, warn};

use crate::alert::{MuteDesk, PersistedLedger, ShutdownTimeouts, SinkResult, Sinks, StateFile};
use crate::capture::{self, CaptureError, LinkMonitor, LiveSeed, OpenError, OpenedCapture, Waker};
use crate::flow::{self, Accounting, AnalystEnd, Delta, Published, Seed, WorkerEnd, handover};
use crate::report::Report;

use super::analyst::Analyst;
use super::analyst_thread::{AnalystCommand, AnalystThread};
use super::options::Options;
use super::rules::{MemoryError, Rules};
use super::state_saver::StateSaver;
use super::threads;
use super::worker::Worker;

/// Patience with sinks that do not take the last alerts.
pub const LAST_ALERTS: ShutdownTimeouts =
    ShutdownTimeouts { log: Duration::from_millis(300), others: Duration::from_millis(2500) };

/// Orders that may wait for the analyst's next turn; whoever gives more waits with them.
const ORDERS_MAX: usize = 64;

/// The engine could not be opened or started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The kernel gave no ring.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A ring cannot be waited for.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The tables do not fit.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system gives no further thread or descriptor.
    #[error(
        "cannot start the thread or eventfd of {what}: raise the limits on tasks and open files (TasksMax, LimitNOFILE)"
    )]
    Resources {
        /// Whose it is.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Rings that are bound, and rules; nothing runs yet.
pub struct Engine {
    opened: OpenedCapture,
    /// Of each worker, as far as it has one.
    cores: Vec<Option<usize>>,
    rules: Rules,
    limits: flow::Capacity,
    report: Arc<Published<Report>>,
}

impl Engine {
    /// Opens a ring for each worker. Needs CAP_NET_RAW, and nothing after it does.
    ///
    /// # Errors
    /// The kernel refuses a ring, or the tables do not fit the memory that the rules allow.
    pub fn open(capture: &capture::Options, options: &Options, rules: Rules) -> Result<Self, StartError> {
        let limits = rules.limits(capture.workers)?;
        let cores = threads::cores(&options.pin_cores, capture.workers);
        let opened = capture::open_on(capture, &cores)?;
        let report = Arc::new(Published::new(Report::default()));
        Ok(Self { opened, cores, rules, limits, report })
    }

    /// The cell that reports are published in.
    pub fn report(&self) -> Arc<Published<Report>> {
        Arc::clone(&self.report)
    }

    /// Starts all threads; `sinks` takes the alerts. With a state file, alerts and mutes go on as it knows them, and
    /// what becomes of them is kept there.
    ///
    /// # Errors
    /// The system refuses a thread or a wait point. What was started ends with the process.
    pub fn start(
        self,
        sinks: Sinks,
        state: Option<(PersistedLedger, StateFile)>,
    ) -> Result<RunningEngine, StartError> {
        let OpenedCapture { rings, link_monitor, is_wire_exact, kernel_stats } = self.opened;
        info!("{}", link_monitor.table());
        let seed = Seed::default();
        let failure = waker("the end")?;
        let stop_merge = Arc::new(AtomicBool::new(false));
        let stop_workers = Arc::new(AtomicBool::new(false));
        let (last_deltas_in, last_deltas) = channel();
        let (commands_in, commands) = sync_channel(ORDERS_MAX);
        let (mutes_in, mute_requests) = sync_channel(ORDERS_MAX);
        let mutes = Arc::new(Published::new(Vec::new()));

        let (worker_ends, analyst_ends): (Vec<WorkerEnd>, Vec<AnalystEnd>) =
            rings.iter().map(|_| handover(Box::new(Delta::new(self.limits.delta, seed.clone())))).unzip();
        let (memory, state_saver) = match state {
            Some((memory, file)) => (memory, Some(StateSaver::new(file))),
            None => (PersistedLedger::default(), None),
        };
        let merge = AnalystThread {
            analyst: Analyst::new(&self.rules, &self.limits, seed.clone()),
            ends: analyst_ends,
            last_deltas,
            report: self.report,
            is_wire_exact,
            kernel_stats,
            sinks,
            memory,
            state_saver,
            commands,
            mute_requests,
            mutes: Arc::clone(&mutes),
            stop: Arc::clone(&stop_merge),
        };
        let merge = spawn("analyst", move || merge.run())?;
        let analyst = merge.thread().clone();
        let mute_desk = MuteDesk::new(mutes_in, move || analyst.unpark(), mutes);

        let mut workers = Vec::new();
        for (number, ((ring, end), core)) in rings.into_iter().zip(worker_ends).zip(self.cores).enumerate() {
            let start = WorkerStart {
                number,
                core,
                ring,
                end,
                delta: Box::new(Delta::new(self.limits.delta, seed.clone())),
                analyst: merge.thread().clone(),
                stop: Arc::clone(&stop_workers),
                waker: waker("a worker")?,
                failure: failure.clone(),
            };
            workers.push(start.spawn()?);
        }
        let (link_monitor, monitor_handle) = spawn_link_monitor(link_monitor, failure.clone())?;
        Ok(RunningEngine {
            workers,
            link_monitor,
            monitor_handle,
            merge,
            last_deltas_in,
            commands_in,
            mute_desk,
            stop_workers,
            stop_merge,
            failure,
        })
    }
}

/// What a worker's thread begins with.
struct WorkerStart {
    number: usize,
    core: Option<usize>,
    ring: LiveSeed,
    end: WorkerEnd,
    delta: Box<Delta>,
    analyst: thread::Thread,
    stop: Arc<AtomicBool>,
    waker: Waker,
    failure: Waker,
}

impl WorkerStart {
    fn spawn(self) -> Result<Handle<Result<Box<Delta>, CaptureError>>, StartError> {
        let waker = self.waker.clone();
        let failure = self.failure.clone();
        let thread = spawn(&format!("worker-{}", self.number), move || {
            let result = self.run();
            if result.is_err() {
                failure.wake();
            }
            result
        })?;
        Ok(Handle { thread, waker })
    }

    fn run(self) -> Result<Box<Delta>, CaptureError> {
        threads::pin(self.number, self.core);
        // On its own thread: an io_uring belongs to whoever submits.
        let live = self.ring.start(self.waker)?;
        if self.number == 0 {
            info!("workers wait on {}", live.wait_point());
        }
        let Self { end, delta, analyst, stop, .. } = self;
        Worker { live, end, delta, analyst, is_idle: true, stop }.run()
    }
}

/// A thread, and the bell that wakes it.
#[derive(Debug)]
struct Handle<T> {
    thread: JoinHandle<T>,
    waker: Waker,
}

/// The engine at work.
#[derive(Debug)]
pub struct RunningEngine {
    workers: Vec<Handle<Result<Box<Delta>, CaptureError>>>,
    link_monitor: MonitorThread,
    monitor_handle: capture::MonitorHandle,
    merge: JoinHandle<(Analyst, Sinks, Option<StateSaver>)>,
    last_deltas_in: Sender<Box<Delta>>,
    commands_in: SyncSender<AnalystCommand>,
    mute_desk: MuteDesk,
    stop_workers: Arc<AtomicBool>,
    stop_merge: Arc<AtomicBool>,
    failure: Waker,
}

/// How it went.
#[derive(Debug)]
pub struct RunSummary {
    /// Everything that was counted, skipped, dropped.
    pub accounting: Accounting,
    /// Findings that could not open an alert because too many were open.
    pub refused_findings: u64,
    /// What each sink has done.
    pub sinks: Vec<SinkResult>,
    /// Why a thread ended before it was asked to.
    pub failure: Option<CaptureError>,
}

impl RunningEngine {
    /// Goes by other rules, and by what the options say of interfaces, directions and networks, from the analyst's
    /// and the watcher's next turn on. Nothing that was counted is lost; windows, memory, workers and rings stay as
    /// they were opened.
    pub fn apply(&self, rules: Rules, capture: &capture::Options) {
        self.command(AnalystCommand::Rules(Box::new(rules)));
        self.monitor_handle.apply(capture);
    }

    /// Tells alerts to other sinks from the analyst's next turn on. Gives the ones before, with what waits in them;
    /// `None` where the analyst has ended.
    pub fn replace_sinks(&self, sinks: Sinks) -> Option<Sinks> {
        let (before_in, before) = channel();
        self.command(AnalystCommand::Sinks(Box::new(sinks), before_in));
        before.recv().ok()
    }

    /// Where mutes are ordered and listed.
    pub fn mute_desk(&self) -> MuteDesk {
        self.mute_desk.clone()
    }

    fn command(&self, command: AnalystCommand) {
        // The analyst ends before this only by a panic, which ends the process.
        let _ = self.commands_in.send(command);
        self.merge.thread().unpark();
    }

    /// Stops in the reverse order of the start. Nothing that was counted is lost, but by a worker that failed,
    /// and every alert that follows from it is said.
    pub fn stop(self) -> RunSummary {
        let mut failure = None;
        self.monitor_handle.stop();
        self.stop_workers.store(true, Ordering::Release);
        self.workers.iter().for_each(|worker| worker.waker.wake());
        failure = join(self.link_monitor).err().or(failure);
        for worker in self.workers {
            match join(worker.thread) {
                Ok(delta) => {
                    // The receiver lives as long as the analyst, which is joined below.
                    let _ = self.last_deltas_in.send(delta);
                }
                Err(error) => failure = Some(error),
            }
        }
        self.stop_merge.store(true, Ordering::Release);
        self.merge.thread().unpark();
        let (analyst, sinks, state_saver) = join(self.merge);
        if state_saver.is_some_and(|state_saver| !state_saver.finish(analyst.ledger())) {
            warn!("the last state was not written in time: some alerts may be said again after the restart");
        }
        RunSummary {
            accounting: analyst.accounting().clone(),
            refused_findings: analyst.ledger().refused_findings(),
            sinks: sinks.finish(LAST_ALERTS),
            failure,
        }
    }
}

impl AsFd for RunningEngine {
    /// Becomes readable when a thread has ended that should not have.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.failure.as_fd()
    }
}

type MonitorThread = JoinHandle<Result<(), CaptureError>>;

fn spawn_link_monitor(
    link_monitor: LinkMonitor,
    failure: Waker,
) -> Result<(MonitorThread, capture::MonitorHandle), StartError> {
    let what = "interfaces";
    let commands = capture::MonitorHandle::new()
        .map_err(|source| StartError::Resources { what: what.to_owned(), source })?;
    let given = commands.clone();
    let thread = spawn(what, move || {
        let result = link_monitor.run(&given);
        if let Err(error) = &result {
            error!("interfaces are no longer followed: {error}");
            failure.wake();
        }
        result
    })?;
    Ok((thread, commands))
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, StartError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|source| StartError::Resources { what: name.to_owned(), source })
}

fn waker(what: &str) -> Result<Waker, StartError> {
    Waker::new().map_err(|source| StartError::Resources { what: what.to_owned(), source })
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a panic ends the whole process, so a thread that can be joined has returned")
}
