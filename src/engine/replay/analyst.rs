//! The analyst of a replay: folds and judges tick by tick, and collects the alerts.

use std::time::Duration;

use crate::alert::{self, Alert, Notice};
use crate::engine::analyst::Analyst;
use crate::engine::rules::Rules;
use crate::engine::tick::TICK;
use crate::flow::{Accounting, Capacity, Delta, Seed, Window, slot_span};
use crate::time::{Moment, UnixNanos};

use super::clock::{Tick, slot_end};
use super::outcome::Replayed;
use super::timing::TimingReport;

/// The analyst, the totals, and the alerts so far.
#[derive(Debug)]
pub(super) struct ReplayAnalyst {
    totals: Option<Window>,
    analyst: Analyst,
    /// The lengths of the traffic window, and of the port window if there is one.
    intervals: [Option<Duration>; 2],
    /// The time of the first frame of the first tick; `None` before the first tick.
    began_at: Option<Moment>,
    /// The end of the last tick; `None` before the first tick.
    now: Option<Moment>,
    /// The sums of the frames that no window has.
    unjudged: Accounting,
    notices: Vec<Notice>,
    alerts: Vec<Alert>,
}

/// Returns the rules of a replay, in which nobody is notified: it lists each alert, and no storms.
fn without_storms(rules: &Rules) -> Rules {
    Rules { alert: alert::Options { burst: None, ..rules.alert.clone() }, ..rules.clone() }
}

impl ReplayAnalyst {
    pub(super) fn new(rules: &Rules, limits: &Capacity, seed: Seed, keeps_totals: bool) -> Self {
        let counts_ports = rules.flow.port_interval.is_some();
        let totals =
            keeps_totals.then(|| Window::unbounded(&rules.flow, &Capacity::none(counts_ports), seed.clone()));
        Self {
            totals,
            analyst: Analyst::new(&without_storms(rules), limits, seed),
            intervals: [Some(rules.flow.traffic_interval), rules.flow.port_interval],
            began_at: None,
            now: None,
            unjudged: Accounting::default(),
            notices: Vec::new(),
            alerts: Vec::new(),
        }
    }

    /// Folds the delta of a tick, clears it, and judges up to the frame that ended the tick.
    pub(super) fn end(&mut self, delta: &mut Delta, tick: &Tick) {
        delta.close();
        let Tick { began_at, ended_at, next_at } = *tick;
        if self.now.is_none() {
            self.began_at = Some(began_at);
            self.analyst.begin(began_at);
            if let Some(totals) = &mut self.totals {
                totals.begin(began_at);
            }
        }
        self.now = Some(ended_at);
        delta.began_at = Some(began_at);
        delta.handed_over_at = ended_at;
        if let Some(totals) = &mut self.totals {
            totals.fold(delta);
            totals.decide(ended_at);
        }
        self.analyst.fold(delta);
        delta.clear();
        self.judge(ended_at);
        if let Some(next_at) = next_at {
            self.settle(ended_at, Some(next_at));
            self.pass(ended_at, next_at);
        }
    }

    /// Adds the delta of frames whose time is not known to the sums and totals, and clears it. `at` is the time that
    /// the totals note for them.
    pub(super) fn add_unjudged(&mut self, delta: &mut Delta, at: Moment) {
        delta.close();
        self.unjudged.add(&delta.accounting());
        delta.began_at = Some(at);
        delta.handed_over_at = at;
        if let Some(totals) = &mut self.totals {
            totals.fold(delta);
            totals.decide(at);
        }
        delta.clear();
    }

    /// Makes the pending decisions, and returns the result. `timing` is what was found about the times of the frames.
    pub(super) fn finish(mut self, timing: TimingReport) -> Replayed {
        if let Some(now) = self.now {
            self.settle(now, None);
        }
        for open in self.analyst.ledger().open() {
            // The alert has grown since its last notice.
            self.alerts
                .iter_mut()
                .rev()
                .filter(|alert| alert.id == open.id)
                .for_each(|alert| *alert = open.clone());
        }
        debug_assert_eq!(
            self.unjudged.frames,
            timing.unjudged_frames(),
            "frames that no window has are noted"
        );
        let mut accounting = self.analyst.accounting().clone();
        accounting.add(&self.unjudged);
        let time = |at: Moment| UnixNanos(at.0);
        Replayed {
            accounting,
            totals: self.totals,
            alerts: self.alerts,
            time: self.began_at.map(time).zip(self.now.map(time)),
            timing,
            directions: Vec::new(),
        }
    }

    /// Returns the alerts so far.
    #[cfg(test)]
    pub(super) fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// Judges tick by tick until `to`, while a decision or the evidence of an alert is pending. Live capture judges at
    /// these times too, although no frame comes.
    fn settle(&mut self, now: Moment, to: Option<Moment>) {
        // A contact is overdue after half a second, and all contacts of an alert one second after it opened.
        const TICKS_MAX: u32 = 8;
        for tick in 1..=TICKS_MAX {
            let at = now.plus(TICK * tick);
            let is_waiting = self.analyst.is_waiting() || self.analyst.ledger().is_evidence_pending();
            if !is_waiting || to.is_some_and(|to| at >= to) {
                return;
            }
            self.judge(at);
        }
    }

    /// Judges at each end of a slot between two frames, if an alert is open, as live capture does. Bytes leave the
    /// window slot by slot, and an alert closes a whole interval after its host no longer exceeds the limit. After one
    /// interval the window is empty, so later ends of slots change nothing.
    fn pass(&mut self, from: Moment, to: Moment) {
        if self.analyst.ledger().open().next().is_none() {
            return;
        }
        let mut ends: Vec<Moment> = Vec::new();
        for interval in self.intervals.into_iter().flatten() {
            let span = slot_span(interval);
            let until = to.min(from.plus(interval));
            let mut end = slot_end(from, span);
            while end < until {
                ends.push(end);
                end = end.plus(span);
            }
        }
        ends.sort_unstable();
        for end in ends {
            self.judge(end);
        }
    }

    /// Judges at `now`, and stores the alerts of the notices.
    fn judge(&mut self, now: Moment) {
        // All frames up to now are folded, so everything up to now is settled.
        self.analyst.judge(now, UnixNanos(now.0), now, &mut self.notices);
        for notice in self.notices.drain(..) {
            let alert = notice.into_alert();
            // The search begins with the newest, since open alerts are few and new. An alert that opens again keeps its
            // id.
            match self.alerts.iter_mut().rev().find(|known| known.id == alert.id) {
                Some(known) => *known = alert,
                None => self.alerts.push(alert),
            }
        }
    }
}
