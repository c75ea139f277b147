//! The analyst's thread: take what the workers hand over, turn the analyst, publish, say.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use crate::alert::{Memory, Mute, MuteOrder, Notice, Outlets, Report};
use crate::capture::KernelView;
use crate::flow::{AnalystEnd, Delta, Settled};
use crate::published::Published;
use crate::time::{Moment, UnixNanos, monotonic_now, unix_now};

use super::Rules;
use super::analyst::Analyst;
use super::keeper::Keeper;

/// A frame is read at the latest this long after it was seen: the time in which the kernel retires a block,
/// and what a worker needs to be woken on a busy machine.
const SETTLES_AFTER: Duration = Duration::from_millis(100);

/// The analyst looks for itself this often, also when nothing is handed over: slots end, alerts close.
const LOOK: Duration = Duration::from_millis(500);

/// And this often while an exchange waits to be decided.
const LOOK_WAITING: Duration = Duration::from_millis(50);

/// Reports are published this often, and at once when something was said.
const PUBLISH: Duration = Duration::from_millis(500);

/// But not before this many times of what the last one took has passed: a report of many hosts must not keep the
/// analyst from its work, and it is the first thing that a late analyst leaves out.
const RESTS_BETWEEN: u32 = 4;

/// What others want of the analyst; it is taken before the next judgement.
#[derive(Debug)]
pub(super) enum Order {
    /// Other limits and words.
    Rules(Box<Rules>),
    /// Other sinks; the ones before go back, with what waits in them.
    Outlets(Box<Outlets>, Sender<Outlets>),
}

/// Everything that the thread needs.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) analyst: Analyst,
    pub(super) ends: Vec<AnalystEnd>,
    /// The deltas that the workers held when they ended.
    pub(super) last_deltas: Receiver<Box<Delta>>,
    pub(super) report: Arc<Published<Report>>,
    pub(super) is_wire_exact: bool,
    pub(super) kernel_view: Arc<Published<KernelView>>,
    pub(super) outlets: Outlets,
    /// What a process before this one knew, and where it is kept.
    pub(super) memory: Memory,
    pub(super) keeper: Option<Keeper>,
    pub(super) orders: Receiver<Order>,
    pub(super) mute_orders: Receiver<MuteOrder>,
    pub(super) mutes: Arc<Published<Vec<Mute>>>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Merge {
    /// Turns until asked to stop, then once more over what the workers left.
    pub(super) fn run(mut self) -> (Analyst, Outlets, Option<Keeper>) {
        let mut pace = Pace::default();
        let mut notices: Vec<Notice> = Vec::new();
        self.analyst.begin(monotonic_now());
        let memory = std::mem::take(&mut self.memory);
        self.analyst.recall(memory, monotonic_now(), unix_now(), &mut notices);
        loop {
            // Read first: what the workers left is there before they say so.
            let is_last = self.stop.load(Ordering::Acquire);
            // Before the deltas are taken: whatever is settled by now is in them.
            let settled = self.settled(monotonic_now());
            self.fold();
            self.obey();
            let now = monotonic_now();
            let civil = unix_now();
            let settled = if is_last { now } else { settled };
            let answers = self.take_mute_orders(now, civil, &mut notices);
            self.analyst.judge(now, civil, settled, &mut notices);
            if let Some(mutes) = self.analyst.take_mutes() {
                self.mutes.publish(mutes);
            }
            // Whoever is answered finds it in the list.
            answers.into_iter().for_each(|answer| answer());
            pace.has_news |= !notices.is_empty();
            for notice in notices.drain(..) {
                self.outlets.say(civil, notice);
            }
            if is_last {
                // Whoever serves reports has ended before.
                return (self.analyst, self.outlets, self.keeper);
            }
            if let Some(keeper) = &mut self.keeper {
                keeper.turn(self.analyst.ledger(), now);
            }
            if pace.is_due(now) {
                let report = self.analyst.report(civil, self.kernel_view.read(), self.is_wire_exact);
                let sinks = self.outlets.counters().each().collect();
                self.report.publish(Report { sinks, ..report });
                pace = Pace::after(now, monotonic_now());
            }
            let look = if self.analyst.is_waiting() { LOOK_WAITING } else { LOOK };
            // A worker that hands over, and whoever orders something or asks to stop, ends this wait.
            thread::park_timeout(look.min(pace.due_at().since(monotonic_now())));
        }
    }

    fn obey(&mut self) {
        for order in self.orders.try_iter() {
            match order {
                Order::Rules(rules) => self.analyst.apply(*rules),
                Order::Outlets(outlets, before) => {
                    // Whoever gave the order waits for them.
                    let _ = before.send(std::mem::replace(&mut self.outlets, *outlets));
                }
            }
        }
    }

    /// Changes the mutes as asked; gives what is to be called when they are listed.
    fn take_mute_orders(
        &mut self,
        now: Moment,
        civil: UnixNanos,
        notices: &mut Vec<Notice>,
    ) -> Vec<Box<dyn FnOnce()>> {
        let mut answers: Vec<Box<dyn FnOnce()>> = Vec::new();
        for order in self.mute_orders.try_iter() {
            match order {
                MuteOrder::Add(new, answer) => {
                    let mute = self.analyst.mute(new, now, civil);
                    answers.push(Box::new(move || answer.give(mute)));
                }
                MuteOrder::Remove(id, answer) => {
                    let was_there = self.analyst.unmute(id, notices);
                    answers.push(Box::new(move || answer.give(was_there)));
                }
            }
        }
        answers
    }

    fn fold(&mut self) {
        for end in &self.ends {
            if let Some(delta) = end.take() {
                self.analyst.fold(&delta);
                end.give_back(delta);
            }
        }
        for delta in self.last_deltas.try_iter() {
            self.analyst.fold(&delta);
        }
    }

    /// Up to when every worker has handed over all that was seen.
    fn settled(&self, now: Moment) -> Moment {
        let until = |end: &AnalystEnd| match end.settled() {
            Settled::Idle => now,
            Settled::Until(until) => until,
        };
        self.ends.iter().map(until).min().unwrap_or(now).minus(SETTLES_AFTER)
    }
}

/// When the next report is due.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Something was said that is in no report yet.
    has_news: bool,
    with_news_at: Moment,
    at: Moment,
}

impl Pace {
    /// After a report that was made from `began` to `ended`.
    fn after(began: Moment, ended: Moment) -> Self {
        let with_news_at = ended.plus(ended.since(began) * RESTS_BETWEEN);
        Self { has_news: false, with_news_at, at: with_news_at.max(began.plus(PUBLISH)) }
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
    fn reports_take_a_fifth_of_the_time_at_most() {
        let ms = |ms: u64| Moment(1_000_000 * ms);
        // How long the last report took, from 1000 on, and when the next one is due without and with news.
        for (took_ms, due_ms, due_with_news_ms) in
            [(0, 1500, 1000), (1, 1500, 1005), (100, 1500, 1500), (300, 2500, 2500)]
        {
            let mut pace = Pace::after(ms(1000), ms(1000 + took_ms));
            for due_ms in [due_ms, due_with_news_ms] {
                assert!(pace.is_due(ms(due_ms)), "{took_ms} {pace:?}");
                assert!(!pace.is_due(ms(due_ms - 1)), "{took_ms} {pace:?}");
                pace.has_news = true;
            }
        }
        assert!(Pace::default().is_due(ms(0)), "the first one is due at once");
    }
}
