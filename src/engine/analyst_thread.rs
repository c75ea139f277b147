//! The thread of the analyst: folds the deltas of the workers, advances the windows, judges hosts, makes reports and
//! sends notices.
//!
//! Long work is done in parts, and deltas are folded before each part, so a worker gets its spare back at the
//! latest after the longest step. A late analyst puts off reports first and judgements last. It never puts off folding.
//! [`load_shedding`](super::load_shedding) decides when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use crate::alert::{Mute, MuteRequest, Notice, PeakSave, Sinks};
use crate::capture::KernelStats;
use crate::flow::{AnalystEnd, Delta, HandedOver};
use crate::published::Published;
use crate::report::{AnalystStep, Report};
use crate::store::StateWriter;
use crate::sys::allocator;
use crate::time::{Clocks, Moment, monotonic_now, unix_now};

use super::analyst::Analyst;
use super::load_shedding::{SheddableTask, StepTimer};
use super::rules::Rules;
use super::tick::TICK;

/// A frame is read at the latest this long after its timestamp. In that time the kernel retires its block, and the
/// scheduler of a busy machine runs the worker.
const SETTLES_AFTER: Duration = Duration::from_millis(100);

/// Longest time between two judgements. Slots end and alerts close also without a delta.
const JUDGE_EVERY: Duration = Duration::from_millis(500);

/// A worker hands over at most this long after the end of its tick, because it reads the clock once per block.
const HANDS_OVER_AFTER: Duration = Duration::from_millis(2);

/// Time between two polls for an overdue hand-over.
const POLL_OVERDUE: Duration = Duration::from_millis(5);

/// Time between two judgements while a decision is pending.
const JUDGE_WAITING_EVERY: Duration = Duration::from_millis(50);

/// The time between two saves of peaks and evidence.
const PEAK_SAVE_INTERVAL: Duration = Duration::from_secs(60);

/// Shortest time from the beginning of a report to the next one, unless there is a notice.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(500);

/// The pause between two reports is at least this many times the duration of the last one, so that reports take at most
/// a fifth of the time of the analyst.
const PAUSE_FACTOR: u32 = 4;

/// The same factor while no reader has read the last report and there is no new notice.
const PAUSE_FACTOR_UNREAD: u32 = 20;

/// A command to the analyst, which runs it before the next judgement.
#[derive(Debug)]
pub(super) enum AnalystCommand {
    /// Apply these rules.
    Rules(Box<Rules>),
}

/// Everything that the thread owns.
#[derive(Debug)]
pub(super) struct AnalystThread {
    pub(super) analyst: Analyst,
    pub(super) ends: Vec<AnalystEnd>,
    /// The last delta of each worker, sent after the worker has ended.
    pub(super) last_deltas: Receiver<Box<Delta>>,
    pub(super) report: Arc<Published<Report>>,
    pub(super) is_wire_exact: bool,
    pub(super) kernel_stats: Arc<Published<KernelStats>>,
    pub(super) sinks: Sinks,
    /// `None` without a state directory.
    pub(super) store: Option<StateWriter>,
    pub(super) commands: Receiver<AnalystCommand>,
    pub(super) mute_requests: Receiver<MuteRequest>,
    pub(super) mutes: Arc<Published<Vec<Mute>>>,
    pub(super) stop: Arc<AtomicBool>,
}

/// The state of the loop between two iterations.
struct LoopState {
    step_timer: StepTimer,
    reports: SheddableTask,
    judgements: SheddableTask,
    schedule: ReportSchedule,
    /// When the unfinished report was begun, and how long its parts have taken so far.
    report_began: Moment,
    report_took: Duration,
    /// True while the windows are being advanced in parts; a judgement follows.
    is_advancing: bool,
    /// When to judge although no delta came.
    judge_at: Moment,
    notices: Vec<Notice>,
    /// When peaks and evidence are saved next.
    save_peaks_at: Moment,
}

impl LoopState {
    fn new() -> Self {
        Self {
            step_timer: StepTimer::default(),
            reports: SheddableTask::reports(),
            judgements: SheddableTask::judgements(),
            schedule: ReportSchedule::default(),
            report_began: Moment::default(),
            report_took: Duration::ZERO,
            is_advancing: false,
            judge_at: Moment::default(),
            notices: Vec::new(),
            save_peaks_at: Moment::default(),
        }
    }

    /// Returns whether peaks and evidence are due to be saved, and notes that they are.
    fn peaks_due(&mut self, now: Moment) -> PeakSave {
        if now < self.save_peaks_at {
            return PeakSave::Continue;
        }
        self.save_peaks_at = now.plus(PEAK_SAVE_INTERVAL);
        PeakSave::Begin
    }
}

impl AnalystThread {
    /// Runs until `stop` is set; then folds and judges the last deltas of the workers.
    pub(super) fn run(mut self) -> (Analyst, Sinks) {
        let mut state = LoopState::new();
        loop {
            // The flag is read first: it is set after the last deltas were sent, so they are in the channel if it is
            // set.
            let is_last = self.stop.load(Ordering::Acquire);
            // `settled` is read before the deltas are taken, so that the deltas contain everything up to that time.
            let settled = self.settled(monotonic_now());
            let waited = self.fold(&mut state);
            let ran_command = self.run_commands(&mut state);
            let now = monotonic_now();
            let is_report_due = state.schedule.is_due(now) && !self.analyst.is_reporting() && !is_last;
            // A report also causes a judgement, so that both are due at the same time again.
            let is_judgement_due = is_report_due || now >= state.judge_at;
            state.is_advancing |= is_last || ran_command || waited.is_some() || is_judgement_due;
            if state.is_advancing {
                let settled = if is_last { now } else { settled };
                self.advance(&mut state, now, settled, waited.filter(|_| !is_last));
            }
            let has_ended = is_last && !state.is_advancing;
            if has_ended {
                let clocks = Clocks::read();
                self.analyst.say_rest(clocks.now, clocks.civil, &mut state.notices);
            }
            let peaks = if has_ended { PeakSave::All } else { state.peaks_due(now) };
            self.send_notices(&mut state, peaks);
            if has_ended {
                // The server was stopped before the engine, so no further report is made.
                return (self.analyst, self.sinks);
            }
            // A notice of this iteration makes a report due.
            if self.analyst.is_reporting() || (state.schedule.is_due(now) && !is_last) {
                self.report(&mut state, now, waited);
            }
            if state.is_advancing || self.analyst.is_reporting() || self.analyst.has_backlog() {
                continue;
            }
            // A worker that begins to count or hands over early, a command, and a stop unpark this thread.
            let now = monotonic_now();
            let until = state.judge_at.min(state.schedule.due_at()).min(self.next_hand_over(now));
            thread::park_timeout(until.since(now));
        }
    }

    /// Returns the time at which the next hand-over is expected. It is at least [`POLL_OVERDUE`] from now.
    fn next_hand_over(&self, now: Moment) -> Moment {
        let expected = self.ends.iter().filter_map(|end| match end.settled() {
            HandedOver::Idle => None,
            HandedOver::Until(at) => Some(at.plus(TICK + HANDS_OVER_AFTER)),
        });
        expected.min().map_or(now.plus(JUDGE_EVERY), |at| at.max(now.plus(POLL_OVERDUE)))
    }

    /// Advances the windows by a part. After the last part, judges unless that is put off.
    fn advance(&mut self, state: &mut LoopState, now: Moment, settled: Moment, waited: Option<Duration>) {
        let LoopState { step_timer, judgements, notices, .. } = state;
        let (is_advanced, _) = step_timer.time(AnalystStep::Turn, || self.analyst.turn_part(now, settled));
        if !is_advanced {
            return;
        }
        state.is_advancing = false;
        if !judgements.may_run(now, waited.unwrap_or_default()) {
            state.judge_at = now;
            return;
        }
        let kernel = self.kernel_stats.read();
        self.analyst.know_broadcasts(&kernel.broadcasts);
        self.analyst.know_local(&kernel.local_networks);
        let clocks = Clocks::read();
        step_timer.time(AnalystStep::Judge, || {
            self.analyst.follow(clocks);
            self.analyst.judge_turned(now, clocks.civil, notices);
        });
        judgements.note_done(now);
        let pause = if self.analyst.is_waiting() { JUDGE_WAITING_EVERY } else { JUDGE_EVERY };
        state.judge_at = now.plus(pause);
    }

    /// Publishes the mutes if they have changed, submits what has changed to the store, and sends the notices to the
    /// sinks.
    fn send_notices(&mut self, state: &mut LoopState, peaks: PeakSave) {
        if let Some(mutes) = self.analyst.take_mutes() {
            self.mutes.publish(mutes);
        }
        state.schedule.has_new_notice |= !state.notices.is_empty();
        let LoopState { step_timer, notices, .. } = state;
        step_timer.time(AnalystStep::Judge, || {
            save_and_notify(&mut self.analyst, self.store.as_ref(), &self.sinks, notices, peaks);
        });
    }

    /// Makes a part of a report unless that is put off. After the last part, publishes the report.
    fn report(&mut self, state: &mut LoopState, now: Moment, waited: Option<Duration>) {
        if !state.reports.may_run(now, waited.unwrap_or_default()) {
            return;
        }
        if !self.analyst.is_reporting() {
            state.report_began = now;
        }
        let (is_whole, took) =
            state.step_timer.time(AnalystStep::Report, || self.analyst.report_part(unix_now()));
        state.report_took += took;
        if !is_whole {
            return;
        }
        let lag = state.step_timer.lag(now, &state.reports, &state.judgements);
        let ((), took) = state.step_timer.time(AnalystStep::Report, || {
            let report = self.analyst.report(unix_now(), self.kernel_stats.read(), self.is_wire_exact);
            let (sinks, sink_health) = (self.sinks.counts(), self.sinks.health());
            self.analyst.retire(self.report.replace(Report { sinks, sink_health, lag, ..report }));
            // Reports are made rarely, and least often under load, which suits a purge.
            allocator::purge();
        });
        let took = std::mem::take(&mut state.report_took) + took;
        state.reports.note_done(now);
        state.schedule =
            ReportSchedule::after(state.report_began, monotonic_now(), took, self.report.take_was_read());
    }

    /// Runs the queued commands and requests. Returns true if there were any.
    fn run_commands(&mut self, state: &mut LoopState) -> bool {
        let mut any = false;
        for command in self.commands.try_iter() {
            any = true;
            match command {
                AnalystCommand::Rules(rules) => {
                    let hides_destinations = rules.alert.hide_destinations;
                    self.analyst.apply(*rules);
                    if hides_destinations {
                        self.sinks.hide_destinations();
                    }
                }
            }
        }
        let clocks = Clocks::read();
        let answers = self.change_mutes(clocks);
        if answers.is_empty() {
            return any;
        }
        any = true;
        // The answers come after the list is published and submitted, so that a client finds its change in it, and can
        // wait until it is saved.
        self.send_notices(state, PeakSave::Continue);
        answers.into_iter().for_each(|answer| answer());
        any
    }

    /// Changes the mutes as requested. Returns a closure for each request that sends the answer; the caller calls them
    /// after it has published the mutes.
    fn change_mutes(&mut self, clocks: Clocks) -> Vec<Box<dyn FnOnce()>> {
        let mut answers: Vec<Box<dyn FnOnce()>> = Vec::new();
        for request in self.mute_requests.try_iter() {
            // A mute that is made after a step of the clock is not corrected by it later.
            self.analyst.follow(clocks);
            match request {
                MuteRequest::Add(new, answer) => {
                    let mute = self.analyst.mute(new, clocks.now, clocks.civil);
                    answers.push(Box::new(move || answer.send(mute)));
                }
                MuteRequest::Remove(id, answer) => {
                    let existed = self.analyst.unmute(id);
                    answers.push(Box::new(move || answer.send(existed)));
                }
            }
        }
        answers
    }

    /// Folds the deltas that were handed over. Returns the longest time that one of them waited; `None` if there were
    /// none.
    fn fold(&mut self, state: &mut LoopState) -> Option<Duration> {
        let mut longest = None;
        let mut fold = |analyst: &mut Analyst, delta: &Delta| {
            state.step_timer.time(AnalystStep::Fold, || analyst.fold(delta));
            let now = monotonic_now();
            let waited = now.since(delta.handed_over_at);
            state.step_timer.note_wait(waited, now);
            longest = longest.max(Some(waited));
        };
        for end in &self.ends {
            if let Some(delta) = end.take() {
                fold(&mut self.analyst, &delta);
                end.give_back(delta);
            }
        }
        for delta in self.last_deltas.try_iter() {
            fold(&mut self.analyst, &delta);
        }
        longest
    }

    /// Returns the time up to which every worker has handed over all its frames.
    fn settled(&self, now: Moment) -> Moment {
        let until = |end: &AnalystEnd| match end.settled() {
            HandedOver::Idle => now,
            HandedOver::Until(until) => until,
        };
        self.ends.iter().map(until).min().unwrap_or(now).minus(SETTLES_AFTER)
    }
}

/// Sends the notices to the sinks. What has changed in the ledger, and what each sink has to deliver, is submitted as
/// one transaction to `store`, with which the sinks were started.
pub(super) fn save_and_notify(
    analyst: &mut Analyst,
    store: Option<&StateWriter>,
    sinks: &Sinks,
    notices: &mut Vec<Notice>,
    peaks: PeakSave,
) {
    if store.is_some_and(StateWriter::take_lost) {
        analyst.keep_everything();
        sinks.keep_everything();
    }
    let changes = analyst.take_changes(peaks);
    if !notices.is_empty() || !changes.is_empty() {
        sinks.notify_all(unix_now(), notices.drain(..), changes);
    }
    if let Some(store) = store
        && !analyst.has_backlog()
    {
        store.note_resubmitted();
    }
}

/// When the next report is due.
#[derive(Clone, Copy, Debug, Default)]
struct ReportSchedule {
    /// True if a notice was sent that is not in a report yet.
    has_new_notice: bool,
    /// When the report is due if there is such a notice, and when otherwise.
    with_notice_at: Moment,
    at: Moment,
}

impl ReportSchedule {
    /// Schedules the report that follows one that began at `began`, ended at `ended` and whose parts took `took`
    /// together. `is_read` is true if a reader has read the last published report.
    fn after(began: Moment, ended: Moment, took: Duration, is_read: bool) -> Self {
        let with_notice_at = ended.plus(took * PAUSE_FACTOR);
        let rests = if is_read { PAUSE_FACTOR } else { PAUSE_FACTOR_UNREAD };
        Self {
            has_new_notice: false,
            with_notice_at,
            at: ended.plus(took * rests).max(began.plus(PUBLISH_INTERVAL)),
        }
    }

    fn due_at(&self) -> Moment {
        if self.has_new_notice { self.with_notice_at } else { self.at }
    }

    fn is_due(&self, now: Moment) -> bool {
        now >= self.due_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_take_a_fifth_of_the_time_at_most_and_less_without_readers() {
        let ms = |ms: u64| Moment(1_000_000 * ms);
        // Each case: whether reports are read, how long the last one took from 1000 ms on, and when the next one is due
        // without and with a new notice.
        for (is_read, took_ms, due_ms, due_with_notice_ms) in [
            (true, 0, 1500, 1000),
            (true, 1, 1500, 1005),
            (true, 100, 1500, 1500),
            (true, 300, 2500, 2500),
            (false, 1, 1500, 1005),
            (false, 20, 1500, 1100),
            (false, 300, 7300, 2500),
        ] {
            let took = Duration::from_millis(took_ms);
            let mut schedule = ReportSchedule::after(ms(1000), ms(1000 + took_ms), took, is_read);
            for due_ms in [due_ms, due_with_notice_ms] {
                assert!(schedule.is_due(ms(due_ms)), "{took_ms} {schedule:?}");
                assert!(!schedule.is_due(ms(due_ms - 1)), "{took_ms} {schedule:?}");
                schedule.has_new_notice = true;
            }
        }
        assert!(ReportSchedule::default().is_due(ms(0)), "the first one is due at once");
    }
}
