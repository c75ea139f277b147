//! Live capture from opening to stop: the threads, and the order in which they start and stop.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use thiserror::Error;
use tracing::{error, info, warn};

use crate::alert::{MuteHandle, Notice, PeakSave, PersistedLedger, ShutdownTimeouts, SinkResult, Sinks};
use crate::capture::{
    self, CaptureError, LinkMonitor, LiveSeed, Mechanism, OpenError, OpenedCapture, WaitPoint, Waker,
};
use crate::flow::{self, Accounting, AnalystEnd, Delta, Published, Seed, WorkerEnd, handover};
use crate::report::Report;
use crate::sandbox::{self, IoUringUse, ThreadKind};
use crate::store::{StateWriter, Unwritten};
use crate::time::{Clocks, unix_now};

use super::analyst::Analyst;
use super::analyst_thread::{AnalystCommand, AnalystThread, save_and_notify};
use super::options::Options;
use super::rules::{MemoryError, Rules};
use super::threads;
use super::worker::Worker;

/// How long [`RunningEngine::stop`] waits until the sinks have sent the last notices: the log, and each other sink.
pub const SINK_SHUTDOWN_TIMEOUTS: ShutdownTimeouts =
    ShutdownTimeouts { log: Duration::from_millis(300), others: Duration::from_millis(2500) };

/// Maximum number of commands in the channel to the analyst. If it is full, a sender blocks until the analyst reads.
const COMMANDS_MAX: usize = 64;

/// The engine could not be opened or started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The kernel refuses a ring.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A ring cannot be waited for.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The tables do not fit the memory that the rules allow.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The operating system refuses a thread or a descriptor.
    #[error(
        "cannot start the thread or eventfd of {what}: raise the limits on tasks and open files (TasksMax, LimitNOFILE)"
    )]
    Resources {
        /// The thread that needs it.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The engine before its start: the rings are bound, and no thread runs.
pub struct Engine {
    opened: OpenedCapture,
    /// The core of each worker; `None` if the scheduler chooses.
    cores: Vec<Option<usize>>,
    rules: Rules,
    limits: flow::Capacity,
    report: Arc<Published<Report>>,
}

impl Engine {
    /// Opens a ring for each worker. It needs CAP_NET_RAW unless `sockets` were opened before; no later call needs a
    /// capability.
    ///
    /// # Errors
    /// The kernel refuses a ring, or the tables do not fit the memory that the rules allow.
    pub fn open(
        capture: &capture::Options,
        options: &Options,
        rules: Rules,
        sockets: Option<capture::PacketSockets>,
    ) -> Result<Self, StartError> {
        let limits = rules.limits(capture.workers)?;
        let cores = threads::cores(&options.pin_cores, capture.workers);
        let opened = capture::open_on(capture, &cores, sockets)?;
        let report = Arc::new(Published::new(Report::default()));
        Ok(Self { opened, cores, rules, limits, report })
    }

    /// Returns the cell that reports are published in.
    pub fn report(&self) -> Arc<Published<Report>> {
        Arc::clone(&self.report)
    }

    /// Starts all threads. Notices go to `sinks`. The engine continues the alerts and mutes of `persisted`, and
    /// submits what changes to `store`, with which the sinks were started. The report that has them is published
    /// before this returns.
    ///
    /// # Errors
    /// The system refuses a thread or a wait point. Threads that were started end with the process.
    pub fn start(
        self,
        sinks: Sinks,
        persisted: PersistedLedger,
        store: Option<StateWriter>,
    ) -> Result<RunningEngine, StartError> {
        let OpenedCapture { rings, link_monitor, is_wire_exact, kernel_stats } = self.opened;
        info!("{}", link_monitor.table());
        let seed = Seed::default();
        let failure = waker("the end")?;
        let stop_analyst = Arc::new(AtomicBool::new(false));
        let stop_workers = Arc::new(AtomicBool::new(false));
        let (last_deltas_in, last_deltas) = channel();
        let (commands_in, commands) = sync_channel(COMMANDS_MAX);
        let (mutes_in, mute_requests) = sync_channel(COMMANDS_MAX);
        let mutes = Arc::new(Published::new(Vec::new()));

        let (worker_ends, analyst_ends): (Vec<WorkerEnd>, Vec<AnalystEnd>) =
            rings.iter().map(|_| handover(Box::new(Delta::new(self.limits.delta, seed.clone())))).unzip();
        let mut analyst = Analyst::new(&self.rules, &self.limits, seed.clone());
        if store.is_some() {
            analyst.keep_changes();
        }
        let mut notices = restore(&mut analyst, persisted);
        save_and_notify(&mut analyst, store.as_ref(), &sinks, &mut notices, PeakSave::Continue);
        if let Some(restored) = analyst.take_mutes() {
            mutes.publish(restored);
        }
        while !analyst.report_part(unix_now()) {}
        self.report.publish(analyst.report(unix_now(), kernel_stats.read(), is_wire_exact));
        let analyst_thread = AnalystThread {
            analyst,
            ends: analyst_ends,
            last_deltas,
            report: self.report,
            is_wire_exact,
            kernel_stats,
            sinks,
            store: store.clone(),
            commands,
            mute_requests,
            mutes: Arc::clone(&mutes),
            stop: Arc::clone(&stop_analyst),
        };
        let analyst_thread = spawn("analyst", move || {
            sandbox::enter(ThreadKind::Analyst);
            analyst_thread.run()
        })?;
        let analyst = analyst_thread.thread().clone();
        let mute_handle = MuteHandle::new(mutes_in, move || analyst.unpark(), mutes, store.clone());

        let mut packet_sockets = link_monitor.descriptors();
        packet_sockets.extend(rings.iter().flat_map(LiveSeed::descriptors));
        let (separated_in, separated) = channel();
        let mut workers = Vec::new();
        for (number, ((ring, end), core)) in rings.into_iter().zip(worker_ends).zip(self.cores).enumerate() {
            let start = WorkerStart {
                number,
                core,
                ring,
                end,
                delta: Box::new(Delta::new(self.limits.delta, seed.clone())),
                analyst: analyst_thread.thread().clone(),
                stop: Arc::clone(&stop_workers),
                waker: waker("a worker")?,
                failure: failure.clone(),
                separated: separated_in.clone(),
            };
            workers.push(start.spawn()?);
        }
        let (link_monitor, monitor_handle) = spawn_link_monitor(link_monitor, failure.clone(), separated_in)?;
        // The channel ends when each of these threads has its own table of descriptors, or could not get one.
        let separated: Vec<_> = separated.iter().collect();
        sandbox::close_handed_over(&packet_sockets, &separated);
        Ok(RunningEngine {
            workers,
            link_monitor,
            monitor_handle,
            analyst_thread,
            last_deltas_in,
            commands_in,
            mute_handle,
            store,
            stop_workers,
            stop_analyst,
            failure,
        })
    }
}

/// Everything that the thread of a worker starts with.
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
    separated: Sender<io::Result<bool>>,
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
        let kept = [self.waker.as_fd().as_raw_fd(), self.failure.as_fd().as_raw_fd()];
        let kept = self.ring.descriptors().into_iter().chain(kept).collect();
        // The receiver exists until all threads have sent.
        let _ = self.separated.send(sandbox::own_descriptors(kept));
        drop(self.separated);
        threads::pin(self.number, self.core);
        // This runs on the thread of the worker, because an io_uring belongs to the thread that submits to it.
        let live = self.ring.start(self.waker)?;
        sandbox::enter(ThreadKind::Worker);
        sandbox::note_io_uring(io_uring_use(live.wait_point()));
        if self.number == 0 {
            let wait_point = live.wait_point();
            info!("workers wait on {wait_point}");
            if let Some(reason) = &wait_point.unrestricted {
                warn!("the io_uring of the workers is not restricted to polls: {reason}");
            }
        }
        let Self { end, delta, analyst, stop, .. } = self;
        Worker { live, end, delta, analyst, is_idle: true, stop }.run()
    }
}

/// A thread and its waker.
#[derive(Debug)]
struct Handle<T> {
    thread: JoinHandle<T>,
    waker: Waker,
}

/// How long the end waits until the last changes are in the database.
const LAST_STATE_TIMEOUT: Duration = Duration::from_millis(500);

/// The engine while it runs.
#[derive(Debug)]
pub struct RunningEngine {
    workers: Vec<Handle<Result<Box<Delta>, CaptureError>>>,
    link_monitor: MonitorThread,
    monitor_handle: capture::MonitorHandle,
    analyst_thread: JoinHandle<(Analyst, Sinks)>,
    last_deltas_in: Sender<Box<Delta>>,
    commands_in: SyncSender<AnalystCommand>,
    mute_handle: MuteHandle,
    store: Option<StateWriter>,
    stop_workers: Arc<AtomicBool>,
    stop_analyst: Arc<AtomicBool>,
    failure: Waker,
}

/// The totals and results of a run.
#[derive(Debug)]
pub struct RunSummary {
    /// Totals of the frames that were counted, skipped and dropped.
    pub accounting: Accounting,
    /// Number of findings that could not open an alert because too many alerts were open.
    pub discarded_findings: u64,
    /// The counts of each sink.
    pub sinks: Vec<SinkResult>,
    /// What is not in the database, although it was to be.
    pub unwritten: Unwritten,
    /// The error of a thread that failed; `None` if none failed.
    pub failure: Option<CaptureError>,
}

impl RunningEngine {
    /// Applies other rules, and the interfaces, directions and networks of `capture`. The analyst and the link monitor
    /// apply them in their next iteration. No count is lost; windows, memory, workers and rings stay as they were
    /// opened.
    pub fn apply(&self, rules: Rules, capture: &capture::Options) {
        self.command(AnalystCommand::Rules(Box::new(rules)));
        self.monitor_handle.apply(capture);
    }

    /// Returns the handle that lists and changes mutes.
    pub fn mute_handle(&self) -> MuteHandle {
        self.mute_handle.clone()
    }

    /// Sends a command to the analyst and wakes it.
    fn command(&self, command: AnalystCommand) {
        // The analyst runs until `stop`, unless it panics, which ends the process. So the receiver exists.
        let _ = self.commands_in.send(command);
        self.analyst_thread.thread().unpark();
    }

    /// Stops in the reverse order of the start. No count is lost, except those of a worker that failed, and every alert
    /// that follows from the last counts goes to the sinks.
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
        self.stop_analyst.store(true, Ordering::Release);
        self.analyst_thread.thread().unpark();
        let (mut analyst, sinks) = join(self.analyst_thread);
        if let Some(store) = &self.store {
            // A database that was removed since the last write is made anew with everything, while the sinks know what
            // waits for them.
            store.check(LAST_STATE_TIMEOUT);
            save_and_notify(&mut analyst, Some(store), &sinks, &mut Vec::new(), PeakSave::All);
        }
        let sinks = sinks.finish(SINK_SHUTDOWN_TIMEOUTS);
        let unwritten = self.store.as_ref().map(finish_store).unwrap_or_default();
        RunSummary {
            accounting: analyst.accounting().clone(),
            discarded_findings: analyst.ledger().discarded_findings(),
            sinks,
            unwritten,
            failure,
        }
    }
}

/// Ends the store, and logs what is lost with this process. Returns it.
fn finish_store(store: &StateWriter) -> Unwritten {
    let is_written = store.finish(LAST_STATE_TIMEOUT);
    let unwritten = if is_written { Unwritten::default() } else { store.unwritten() };
    if let Some(sentence) = what_is_lost(&unwritten) {
        warn!("{sentence}");
    }
    if store.take_lost() {
        warn!(
            "the last state was not written in time: after the restart some alerts may be said again, and what waited \
             for a sink may be missing"
        );
    }
    unwritten
}

/// Returns the sentence about what was not written; `None` if nothing was to be written.
fn what_is_lost(unwritten: &Unwritten) -> Option<String> {
    let Unwritten { alerts, mutes, notices, outdated, cause, .. } = unwritten;
    let cause = cause.as_deref().unwrap_or("the disk did not take it in time");
    if alerts + mutes + notices > 0 {
        let counts = format!("{notices} notices, {alerts} alerts, {mutes} mutes");
        return Some(format!("the last state was not written, so {counts} are LOST: {cause}"));
    }
    (*outdated > 0)
        .then(|| format!("the last state was not written, so the next start says some alerts again: {cause}"))
}

impl AsFd for RunningEngine {
    /// Returns a descriptor that becomes readable when a thread has failed.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.failure.as_fd()
    }
}

/// Restores the ledger of an earlier process. Returns the notices that follow.
fn restore(analyst: &mut Analyst, persisted: PersistedLedger) -> Vec<Notice> {
    let mut notices = Vec::new();
    let clocks = Clocks::read();
    analyst.begin(clocks.now);
    analyst.follow(clocks);
    analyst.restore(persisted, clocks.now, clocks.civil, &mut notices);
    notices
}

type MonitorThread = JoinHandle<Result<(), CaptureError>>;

fn spawn_link_monitor(
    link_monitor: LinkMonitor,
    failure: Waker,
    separated: Sender<io::Result<bool>>,
) -> Result<(MonitorThread, capture::MonitorHandle), StartError> {
    let what = "interfaces";
    let commands = capture::MonitorHandle::new()
        .map_err(|source| StartError::Resources { what: what.to_owned(), source })?;
    let handle = commands.clone();
    let thread = spawn(what, move || {
        let own = [handle.descriptor(), failure.as_fd().as_raw_fd()];
        let kept = link_monitor.descriptors().into_iter().chain(own).collect();
        // The receiver exists until all threads have sent.
        let _ = separated.send(sandbox::own_descriptors(kept));
        drop(separated);
        sandbox::enter(ThreadKind::LinkMonitor);
        let result = link_monitor.run(&handle);
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

fn io_uring_use(wait_point: &WaitPoint) -> IoUringUse {
    match (wait_point.mechanism, &wait_point.unrestricted) {
        (Mechanism::Epoll, _) => IoUringUse::None,
        (Mechanism::IoUring, None) => IoUringUse::Restricted,
        (Mechanism::IoUring, Some(why)) => IoUringUse::Unrestricted(why.clone()),
    }
}

fn waker(what: &str) -> Result<Waker, StartError> {
    Waker::new().map_err(|source| StartError::Resources { what: what.to_owned(), source })
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a panic ends the whole process, so a thread that can be joined has returned")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said_with_numbers_and_cause_and_nothing_is_not_said() {
        let full = || Some("database or disk is full; make room on its file system".to_owned());
        let of = |notices, alerts, mutes, outdated, cause| {
            what_is_lost(&Unwritten { notices, alerts, mutes, outdated, cause, ..Unwritten::default() })
        };
        assert_eq!(of(0, 0, 0, 0, full()), None);
        let lost = of(50, 3, 1, 2, full()).expect("much is lost");
        assert!(
            lost.contains("50 notices, 3 alerts, 1 mutes are LOST: database or disk is full; make room"),
            "{lost}"
        );
        let lost = of(0, 0, 1, 0, None).expect("a mute is lost");
        assert!(lost.contains("1 mutes are LOST: the disk did not take it in time"), "{lost}");
        let again = of(0, 0, 0, 2, full()).expect("what is over is in the database");
        assert!(
            again.contains("says some alerts again: database or disk is full") && !again.contains("LOST")
        );
    }
}
