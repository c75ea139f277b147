//! Captures through the same intake, windows and ledger as live traffic, in capture time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::alert::{Alert, Notice};
use crate::capture::{Batch, FrameSource, Replay, ReplayError};
use crate::flow::{Delta, Limits, Seed, Window, slot_span};
use crate::time::{Moment, UnixNanos};

use super::analyst::Analyst;
use super::intake::Intake;
use super::{MemoryError, Rules, TICK};

/// What captures hold, and what would have been said of it.
#[derive(Debug)]
pub struct Replayed {
    /// Everything in the captures, without expiry.
    pub totals: Window,
    /// The alerts in the order in which they opened; those that were open at the end have no end.
    pub alerts: Vec<Alert>,
    /// Where a capture broke off. Everything before was counted; the captures after it were not read.
    pub broken: Option<ReplayError>,
}

/// Replays captures one after the other, as one stream. Time never goes back: a frame that is stamped
/// earlier than the one before it belongs to the moment of that one.
///
/// # Errors
/// When the rules allow less memory than a window needs. What is wrong with a capture is in the result.
pub fn replay(captures: &[PathBuf], rules: &Rules) -> Result<Replayed, MemoryError> {
    let mut run = Run::new(rules)?;
    let broken = captures.iter().find_map(|path| run.capture(path).err());
    run.cut(Moment::default());
    run.settle(None);
    for open in run.analyst.ledger().open() {
        // It has grown since it opened.
        run.alerts
            .iter_mut()
            .rev()
            .filter(|alert| alert.id == open.id)
            .for_each(|alert| *alert = open.clone());
    }
    Ok(Replayed { totals: run.totals, alerts: run.alerts, broken })
}

struct Run {
    totals: Window,
    analyst: Analyst,
    delta: Delta,
    intake: Intake,
    /// Of the traffic window, and of the port window if there is one.
    intervals: [Option<Duration>; 2],
    slot_span: Duration,
    /// The largest capture time so far.
    now: Option<Moment>,
    /// When the delta in hand must be folded.
    cut_at: Moment,
    notices: Vec<Notice>,
    alerts: Vec<Alert>,
}

impl Run {
    fn new(rules: &Rules) -> Result<Self, MemoryError> {
        let counts_ports = rules.flow.port_interval.is_some();
        let limits = rules.limits(1)?;
        let seed = Seed::default();
        Ok(Self {
            totals: Window::unbounded(&rules.flow, &Limits::none(counts_ports), seed.clone()),
            analyst: Analyst::new(rules, &limits, seed.clone()),
            delta: Delta::new(limits.delta, seed),
            intake: Intake::new(rules.detect.need_received_bytes()),
            intervals: [Some(rules.flow.traffic_interval), rules.flow.port_interval],
            slot_span: slot_span(rules.flow.traffic_interval),
            now: None,
            cut_at: Moment::default(),
            notices: Vec::new(),
            alerts: Vec::new(),
        })
    }

    fn capture(&mut self, path: &Path) -> Result<(), ReplayError> {
        let mut source = Replay::open(path)?;
        while let Some(batch) = source.next_batch()? {
            for frame in batch.frames() {
                self.turn(frame.seen_at);
                self.intake.take(&batch, &frame, &mut self.delta);
            }
            self.intake.flush(&mut self.delta);
            if self.delta.is_half_full() {
                self.cut(self.cut_at);
            }
        }
        Ok(())
    }

    /// Moves on to the time of the next frame; what came before the end of a tick or slot is folded first.
    fn turn(&mut self, seen_at: UnixNanos) {
        let at = Moment(seen_at.0);
        let Some(now) = self.now else {
            self.totals.begin(at);
            self.analyst.begin(at);
            self.cut_at = self.cut_after(at);
            self.now = Some(at);
            return;
        };
        if at >= self.cut_at {
            self.intake.flush(&mut self.delta);
            self.cut(self.cut_after(at));
            self.settle(Some(at));
            self.pass(now, at);
        }
        let now = now.max(at);
        self.delta.began_at.get_or_insert(now);
        self.now = Some(now);
    }

    /// Judges tick by tick until `to`, while something waits to be decided or is too young to tell: live, it would not
    /// wait for the next frame.
    fn settle(&mut self, to: Option<Moment>) {
        // Half a second until a contact is overdue, and one from an alert until all are.
        const TICKS_MAX: u32 = 8;
        let Some(now) = self.now else { return };
        for tick in 1..=TICKS_MAX {
            let at = now.plus(TICK * tick);
            let is_waiting = self.analyst.is_waiting() || self.analyst.ledger().is_ripening();
            if !is_waiting || to.is_some_and(|to| at >= to) {
                return;
            }
            self.judge(at);
        }
    }

    /// Judges where slots end between two frames: what a host did leaves the window slot by slot, and its
    /// alert stays open until a whole interval after that, as it would live. After one turn of a window there
    /// is nothing left of it to judge.
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

    /// The end of the tick that begins at `at`, or of its slot if that is earlier.
    fn cut_after(&self, at: Moment) -> Moment {
        at.plus(TICK).min(slot_end(at, self.slot_span))
    }

    /// Folds the delta in hand and judges; the next one lasts until `next`.
    fn cut(&mut self, next: Moment) {
        let Some(now) = self.now else { return };
        self.delta.handed_over_at = now;
        self.totals.fold(&self.delta);
        self.analyst.fold(&self.delta);
        self.totals.decide(now);
        self.delta.clear();
        self.cut_at = next;
        self.judge(now);
    }

    /// Judges at `now`, and keeps what is to be said.
    fn judge(&mut self, now: Moment) {
        // There is one worker, and it has read everything up to now.
        self.analyst.judge(now, UnixNanos(now.0), now, &mut self.notices);
        for notice in self.notices.drain(..) {
            let alert = notice.into_alert();
            // Few are open at once, and those opened last. One that opens again has been there before.
            match self.alerts.iter_mut().rev().find(|known| known.id == alert.id) {
                Some(known) => *known = alert,
                None => self.alerts.push(alert),
            }
        }
    }
}

/// The end of the slot that `at` is in.
fn slot_end(at: Moment, span: Duration) -> Moment {
    // Fits: an interval is at most a month.
    let span = span.as_nanos() as u64;
    Moment((at.0 / span + 1).saturating_mul(span))
}

#[cfg(test)]
mod tests {
    use crate::packet::{Endpoints, Summary, Transport};
    use crate::{alert, detect, flow};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Seconds between its opening and its end of each alert about a host that bursts at these seconds.
    fn alerts(bursts: &[u64], cooldown_s: u64) -> Vec<Option<u64>> {
        let rules = Rules {
            flow: flow::Options {
                traffic_interval: Duration::from_secs(10),
                port_interval: None,
                chart_bytes_min: 0,
                group_ipv6: None,
                memory_bytes_max: 64 << 20,
            },
            detect: detect::Limits {
                hosts: detect::HostLimits { ip_bytes_max: Some(1000), ..Default::default() },
                ..Default::default()
            },
            alert: alert::Options { cooldown: Duration::from_secs(cooldown_s), ..alert::Options::default() },
        };
        let mut run = Run::new(&rules).expect("enough memory");
        for second in bursts {
            let seen_at = UnixNanos(second * SECOND);
            run.turn(seen_at);
            let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
            let transport = Transport::Other;
            let burst = Summary::plain(endpoints, 1001, 47, transport);
            run.delta.count(flow::Crossing::default(), &burst, seen_at);
        }
        run.cut(Moment::default());
        let lasted = |alert: &Alert| alert.closed_at.map(|end| (end.0 - alert.opened_at.0) / SECOND);
        run.alerts.iter().map(lasted).collect()
    }

    /// Bytes are in the window for nine to ten seconds, and the alert closes ten seconds later, whether or not
    /// anything else was captured meanwhile.
    #[test]
    fn a_gap_closes_an_alert_when_it_would_have_closed_live() {
        assert_eq!(alerts(&[1000], 0), [None]);
        assert_eq!(alerts(&[1000, 1015], 0), [None], "five seconds under the limit");
        assert_eq!(alerts(&[1000, 1018, 1036], 0), [None]);
        assert_eq!(alerts(&[1000, 1020], 0), [Some(19), None]);
        assert_eq!(alerts(&[1000, 1_000_000_000], 0), [Some(19), None], "years later");
    }

    #[test]
    fn an_alert_that_opens_again_within_the_cooldown_is_one() {
        assert_eq!(alerts(&[1000, 1023], 5), [None]);
        assert_eq!(alerts(&[1000, 1024], 5), [Some(19), None]);
        assert_eq!(alerts(&[1000, 1022, 1060], 5), [Some(41), None]);
    }
}
