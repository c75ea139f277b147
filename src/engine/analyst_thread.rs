//! The analyst's thread: take what the workers hand over, turn the analyst, publish, say.
//!
//! Whatever takes long is done in parts, and before each part what was handed over is folded: a worker never waits
//! longer for its spare than the longest step takes. A late analyst leaves reports out first, judgements last, and
//! folding never; [`load_shedding`](super::load_shedding) says when that is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use crate::alert::{Mute, MuteRequest, Notice, PersistedLedger, Sinks};
use crate::capture::KernelStats;
use crate::flow::{AnalystEnd, Delta, HandedOver};
use crate::published::Published;
use crate::report::{AnalystStep, Report};
use crate::sys::allocator;
use crate::time::{Moment, UnixNanos, monotonic_now, unix_now};

use super::analyst::Analyst;
use super::load_shedding::{SheddableTask, StepTimer};
use super::rules::Rules;
use super::state_saver::StateSaver;
use super::tick::TICK;

/// A frame is read at the latest this long after it was seen: the time in which the kernel retires a block,
/// and what a worker needs to be woken on a busy machine.
const SETTLES_AFTER: Duration = Duration::from_millis(100);

/// The analyst looks for itself this often, also when nothing is handed over: slots end, alerts close.
const LOOK: Duration = Duration::from_millis(500);

/// A worker hands over so long after its tick: it looks at the clock once for each block.
const HANDS_OVER_AFTER: Duration = Duration::from_millis(2);

/// The analyst looks this often for a hand-over that is overdue.
const LOOK_LATE: Duration = Duration::from_millis(5);

/// And this often while an exchange waits to be decided.
const LOOK_WAITING: Duration = Duration::from_millis(50);

/// Reports are published this often, and at once when something was said.
const PUBLISH: Duration = Duration::from_millis(500);

/// But not before this many times of what the last one took has passed: a report of many hosts must not keep the
/// analyst from its work, and it is the first thing that a late analyst leaves out.
const RESTS_BETWEEN: u32 = 4;

/// The same where nobody has read a report since the last one was made, and nothing was said.
const RESTS_UNREAD: u32 = 20;

/// What others want of the analyst; it is taken before the next judgement.
#[derive(Debug)]
pub(super) enum AnalystCommand {
    /// Other limits and words.
    Rules(Box<Rules>),
    /// Other sinks; the ones before go back, with what waits in them.
    Sinks(Box<Sinks>, Sender<Sinks>),
}

/// Everything that the thread needs.
#[derive(Debug)]
pub(super) struct AnalystThread {
    pub(super) analyst: Analyst,
    pub(super) ends: Vec<AnalystEnd>,
    /// The deltas that the workers held when they ended.
    pub(super) last_deltas: Receiver<Box<Delta>>,
    pub(super) report: Arc<Published<Report>>,
    pub(super) is_wire_exact: bool,
    pub(super) kernel_stats: Arc<Published<KernelStats>>,
    pub(super) sinks: Sinks,
    /// What a process before this one knew, and where it is kept.
    pub(super) memory: PersistedLedger,
    pub(super) state_saver: Option<StateSaver>,
    pub(super) commands: Receiver<AnalystCommand>,
    pub(super) mute_requests: Receiver<MuteRequest>,
    pub(super) mutes: Arc<Published<Vec<Mute>>>,
    pub(super) stop: Arc<AtomicBool>,
}

/// When what is done at last, and how late that is.
struct TurnState {
    step_timer: StepTimer,
    reports: SheddableTask,
    judgements: SheddableTask,
    schedule: ReportSchedule,
    /// When the report in the making was begun, and how long it took so far.
    report_began: Moment,
    report_took: Duration,
    /// A turn has begun and not everything has been judged.
    is_turning: bool,
    /// When to turn although nothing was handed over.
    look_at: Moment,
    notices: Vec<Notice>,
}

impl TurnState {
    fn new() -> Self {
        Self {
            step_timer: StepTimer::default(),
            reports: SheddableTask::to_report(),
            judgements: SheddableTask::to_judge(),
            schedule: ReportSchedule::default(),
            report_began: Moment::default(),
            report_took: Duration::ZERO,
            is_turning: false,
            look_at: Moment::default(),
            notices: Vec::new(),
        }
    }
}

impl AnalystThread {
    /// Turns until asked to stop, then once more over what the workers left.
    pub(super) fn run(mut self) -> (Analyst, Sinks, Option<StateSaver>) {
        let mut turns = TurnState::new();
        self.analyst.begin(monotonic_now());
        let memory = std::mem::take(&mut self.memory);
        self.analyst.recall(memory, monotonic_now(), unix_now(), &mut turns.notices);
        loop {
            // Read first: what the workers left is there before they say so.
            let is_last = self.stop.load(Ordering::Acquire);
            // Before the deltas are taken: whatever is settled by now is in them.
            let settled = self.settled(monotonic_now());
            let waited = self.fold(&mut turns);
            let is_ordered = self.obey(&mut turns.notices);
            let now = monotonic_now();
            let is_report_due = turns.schedule.is_due(now) && !self.analyst.is_reporting() && !is_last;
            // Awake for a report, it looks as well: then both are due at the same time again.
            let is_look_due = is_report_due || now >= turns.look_at;
            turns.is_turning |= is_last || is_ordered || waited.is_some() || is_look_due;
            if turns.is_turning {
                let settled = if is_last { now } else { settled };
                self.turn(&mut turns, now, settled, waited.filter(|_| !is_last));
            }
            self.say(&mut turns);
            if is_last && !turns.is_turning {
                // Whoever serves reports has ended before.
                return (self.analyst, self.sinks, self.state_saver);
            }
            if let Some(state_saver) = &mut self.state_saver {
                turns.step_timer.time(AnalystStep::Judge, || state_saver.turn(self.analyst.ledger(), now));
            }
            // Something may have been said just now.
            if self.analyst.is_reporting() || (turns.schedule.is_due(now) && !is_last) {
                self.report(&mut turns, now, waited);
            }
            if turns.is_turning || self.analyst.is_reporting() {
                continue;
            }
            // A worker that begins to count, one that hands over early, and whoever orders something or asks to stop ends
            // this wait.
            let now = monotonic_now();
            let until = turns.look_at.min(turns.schedule.due_at()).min(self.next_hand_over(now));
            thread::park_timeout(until.since(now));
        }
    }

    /// When the next worker hands over, if it is on time.
    fn next_hand_over(&self, now: Moment) -> Moment {
        let expected = self.ends.iter().filter_map(|end| match end.settled() {
            HandedOver::Idle => None,
            HandedOver::Until(at) => Some(at.plus(TICK + HANDS_OVER_AFTER)),
        });
        expected.min().map_or(now.plus(LOOK), |at| at.max(now.plus(LOOK_LATE)))
    }

    /// Does a part of a turn, and judges when it was the last, unless that is put off.
    fn turn(&mut self, turns: &mut TurnState, now: Moment, settled: Moment, waited: Option<Duration>) {
        let TurnState { step_timer, judgements, notices, .. } = turns;
        let (is_turned, _) = step_timer.time(AnalystStep::Turn, || self.analyst.turn_part(now, settled));
        if !is_turned {
            return;
        }
        turns.is_turning = false;
        if !judgements.is_to_be_done(now, waited.unwrap_or_default()) {
            turns.look_at = now;
            return;
        }
        step_timer.time(AnalystStep::Judge, || self.analyst.judge_turned(now, unix_now(), notices));
        judgements.is_done(now);
        let look = if self.analyst.is_waiting() { LOOK_WAITING } else { LOOK };
        turns.look_at = now.plus(look);
    }

    /// Says what there is to be said.
    fn say(&mut self, turns: &mut TurnState) {
        if let Some(mutes) = self.analyst.take_mutes() {
            self.mutes.publish(mutes);
        }
        turns.schedule.has_news |= !turns.notices.is_empty();
        for notice in turns.notices.drain(..) {
            self.sinks.notify(unix_now(), notice);
        }
    }

    /// Makes a part of a report, unless that is put off, and publishes it with the last.
    fn report(&mut self, turns: &mut TurnState, now: Moment, waited: Option<Duration>) {
        if !turns.reports.is_to_be_done(now, waited.unwrap_or_default()) {
            return;
        }
        if !self.analyst.is_reporting() {
            turns.report_began = now;
        }
        let (is_whole, took) =
            turns.step_timer.time(AnalystStep::Report, || self.analyst.report_part(unix_now()));
        turns.report_took += took;
        if !is_whole {
            return;
        }
        let lag = turns.step_timer.lag(now, &turns.reports, &turns.judgements);
        let ((), took) = turns.step_timer.time(AnalystStep::Report, || {
            let report = self.analyst.report(unix_now(), self.kernel_stats.read(), self.is_wire_exact);
            let sinks = self.sinks.counters().each().collect();
            self.analyst.retire(self.report.replace(Report { sinks, lag, ..report }));
            // Now and then, and least where the analyst has much to do.
            allocator::purge();
        });
        let took = std::mem::take(&mut turns.report_took) + took;
        turns.reports.is_done(now);
        turns.schedule =
            ReportSchedule::after(turns.report_began, monotonic_now(), took, self.report.take_was_read());
    }

    /// Does what was ordered; whether that was anything.
    fn obey(&mut self, notices: &mut Vec<Notice>) -> bool {
        let mut any = false;
        for command in self.commands.try_iter() {
            any = true;
            match command {
                AnalystCommand::Rules(rules) => self.analyst.apply(*rules),
                AnalystCommand::Sinks(sinks, before) => {
                    // Whoever gave the order waits for them.
                    let _ = before.send(std::mem::replace(&mut self.sinks, *sinks));
                }
            }
        }
        let answers = self.take_mute_orders(monotonic_now(), unix_now(), notices);
        any |= !answers.is_empty();
        if let Some(mutes) = self.analyst.take_mutes() {
            self.mutes.publish(mutes);
        }
        // Whoever is answered finds it in the list.
        answers.into_iter().for_each(|answer| answer());
        any
    }

    /// Changes the mutes as asked; gives what is to be called when they are listed.
    fn take_mute_orders(
        &mut self,
        now: Moment,
        civil: UnixNanos,
        notices: &mut Vec<Notice>,
    ) -> Vec<Box<dyn FnOnce()>> {
        let mut answers: Vec<Box<dyn FnOnce()>> = Vec::new();
        for command in self.mute_requests.try_iter() {
            match command {
                MuteRequest::Add(new, answer) => {
                    let mute = self.analyst.mute(new, now, civil);
                    answers.push(Box::new(move || answer.send(mute)));
                }
                MuteRequest::Remove(id, answer) => {
                    let was_there = self.analyst.unmute(id, notices);
                    answers.push(Box::new(move || answer.send(was_there)));
                }
            }
        }
        answers
    }

    /// Folds what was handed over; gives the longest time that any of it had waited.
    fn fold(&mut self, turns: &mut TurnState) -> Option<Duration> {
        let mut longest = None;
        let mut fold = |analyst: &mut Analyst, delta: &Delta| {
            turns.step_timer.time(AnalystStep::Fold, || analyst.fold(delta));
            let now = monotonic_now();
            let waited = now.since(delta.handed_over_at);
            turns.step_timer.note_wait(waited, now);
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

    /// Up to when every worker has handed over all that was seen.
    fn settled(&self, now: Moment) -> Moment {
        let until = |end: &AnalystEnd| match end.settled() {
            HandedOver::Idle => now,
            HandedOver::Until(until) => until,
        };
        self.ends.iter().map(until).min().unwrap_or(now).minus(SETTLES_AFTER)
    }
}

/// When the next report is due.
#[derive(Clone, Copy, Debug, Default)]
struct ReportSchedule {
    /// Something was said that is in no report yet.
    has_news: bool,
    with_news_at: Moment,
    at: Moment,
}

impl ReportSchedule {
    /// After a report that was begun at `began`, ended at `ended`, and took so long in all its parts. With `is_read`,
    /// somebody reads them.
    fn after(began: Moment, ended: Moment, took: Duration, is_read: bool) -> Self {
        let with_news_at = ended.plus(took * RESTS_BETWEEN);
        let rests = if is_read { RESTS_BETWEEN } else { RESTS_UNREAD };
        Self { has_news: false, with_news_at, at: ended.plus(took * rests).max(began.plus(PUBLISH)) }
    }

    fn due_at(&self) -> Moment {
        if self.has_news { self.with_news_at } else { self.at }
    }

    fn is_due(&self, now: Moment) -> bool {
        now >= self.due_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_take_a_fifth_of_the_time_at_most_and_less_where_nobody_reads_them() {
        let ms = |ms: u64| Moment(1_000_000 * ms);
        // Whether somebody reads them, how long the last report took, from 1000 on, and when the next one is due without
        // and with news.
        for (is_read, took_ms, due_ms, due_with_news_ms) in [
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
            for due_ms in [due_ms, due_with_news_ms] {
                assert!(schedule.is_due(ms(due_ms)), "{took_ms} {schedule:?}");
                assert!(!schedule.is_due(ms(due_ms - 1)), "{took_ms} {schedule:?}");
                schedule.has_news = true;
            }
        }
        assert!(ReportSchedule::default().is_due(ms(0)), "the first one is due at once");
    }
}
