//! Load shedding: measures how late the analyst is, and decides which tasks a late analyst puts off.

use std::time::Duration;

use crate::report::{AnalystLag, AnalystStep, LongestTime};
use crate::time::{Moment, monotonic_now};

use super::tick::TICK;

/// The length of a span. A recent maximum is that of the current span and of the one before.
const SPAN: Duration = Duration::from_secs(60);

/// Measures how long deltas wait and how long the steps of the analyst take.
#[derive(Debug, Default)]
pub(super) struct StepTimer {
    waited: RecentMaximum,
    steps: [RecentMaximum; AnalystStep::ALL.len()],
}

impl StepTimer {
    /// Runs a step and adds its duration to the measurements. Returns the result and the duration.
    pub(super) fn time<T>(&mut self, step: AnalystStep, run: impl FnOnce() -> T) -> (T, Duration) {
        let began = monotonic_now();
        let result = run();
        let ended = monotonic_now();
        let took = ended.since(began);
        self.steps[step as usize].note(took, ended);
        (result, took)
    }

    /// Adds the time that a delta waited until it was folded at `now`.
    pub(super) fn note_wait(&mut self, waited: Duration, now: Moment) {
        self.waited.note(waited, now);
    }

    /// Returns the measurements, and how often each task was put off.
    pub(super) fn lag(&self, now: Moment, reports: &SheddableTask, judgements: &SheddableTask) -> AnalystLag {
        AnalystLag {
            waited: self.waited.longest(now),
            steps: self.steps.map(|step| step.longest(now)),
            reports_put_off: reports.put_off,
            judgements_put_off: judgements.put_off,
        }
    }
}

/// The longest duration since the start, and in the current span and the one before.
#[derive(Clone, Copy, Debug, Default)]
struct RecentMaximum {
    /// The longest since the start.
    max: Duration,
    /// The longest of the span that begins at `span_began`, and of the span before.
    in_span: Duration,
    in_span_before: Duration,
    span_began: Moment,
}

impl RecentMaximum {
    fn note(&mut self, took: Duration, now: Moment) {
        *self = self.at_span_of(now);
        self.in_span = self.in_span.max(took);
        self.max = self.max.max(took);
    }

    fn longest(&self, now: Moment) -> LongestTime {
        let Self { max, in_span, in_span_before, .. } = self.at_span_of(now);
        LongestTime { lately: in_span.max(in_span_before), max }
    }

    /// Returns the same maxima with the span of `now` as the current one.
    fn at_span_of(&self, now: Moment) -> Self {
        match now.since(self.span_began).as_nanos() / SPAN.as_nanos() {
            0 => *self,
            1 => Self {
                in_span: Duration::ZERO,
                in_span_before: self.in_span,
                span_began: self.span_began.plus(SPAN),
                ..*self
            },
            _ => Self { in_span: Duration::ZERO, in_span_before: Duration::ZERO, span_began: now, ..*self },
        }
    }
}

/// A task that a late analyst puts off, but not for longer than `period_max`: under lasting load, a task that never
/// runs would be worse than an analyst that is later still.
#[derive(Debug)]
pub(super) struct SheddableTask {
    /// The task is put off if the last delta waited at least this long before it was folded.
    tolerated_wait: Duration,
    /// The task is not put off if it was last done this long ago.
    period_max: Duration,
    done_at: Moment,
    is_put_off: bool,
    /// Number of times that it was put off.
    put_off: u64,
}

impl SheddableTask {
    /// Returns the task of making reports. It is put off first: if deltas wait for longer than a tick, a worker that
    /// hands over finds that the analyst still has its spare.
    pub(super) fn reports() -> Self {
        Self::new(TICK, Duration::from_secs(5))
    }

    /// Returns the task of judging, which is put off last.
    pub(super) fn judgements() -> Self {
        Self::new(2 * TICK, Duration::from_secs(1))
    }

    fn new(tolerated_wait: Duration, period_max: Duration) -> Self {
        Self { tolerated_wait, period_max, done_at: Moment::default(), is_put_off: false, put_off: 0 }
    }

    /// Returns true if the task, or a part of it, may run now, given that the last delta waited for `waited`.
    pub(super) fn may_run(&mut self, now: Moment, waited: Duration) -> bool {
        let is_put_off = waited >= self.tolerated_wait && now.since(self.done_at) < self.period_max;
        // A task that is put off several times in a row counts once.
        self.put_off += u64::from(is_put_off && !self.is_put_off);
        self.is_put_off = is_put_off;
        !is_put_off
    }

    /// Stores that the whole task was done at `now`.
    pub(super) fn note_done(&mut self, now: Moment) {
        self.done_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn at(ms: u64) -> Moment {
        Moment(1_000_000 * ms)
    }

    #[test]
    fn the_recent_maximum_expires_and_the_overall_maximum_does_not() {
        let mut recent = RecentMaximum::default();
        recent.note(ms(7), at(1_000_000));
        recent.note(ms(3), at(1_030_000));
        for (now_s, lately_ms) in [(1030, 7), (1061, 7), (1119, 7), (1120, 0), (5000, 0)] {
            let expected = LongestTime { lately: ms(lately_ms), max: ms(7) };
            assert_eq!(recent.longest(at(1000 * now_s)), expected, "{now_s}");
        }
        recent.note(ms(2), at(1_070_000));
        assert_eq!(recent.longest(at(1_119_000)).lately, ms(7));
        assert_eq!(recent.longest(at(1_121_000)).lately, ms(2));
        assert_eq!(recent.longest(at(1_121_000)).max, ms(7));
    }

    fn runs(task: &mut SheddableTask, now: Moment, waited: Duration) -> bool {
        let may_run = task.may_run(now, waited);
        if may_run {
            task.note_done(now);
        }
        may_run
    }

    #[test]
    fn a_late_analyst_puts_off_reports_first_and_judgements_last() {
        // Each case: how long the last delta waited, and whether reports and judgements are then made.
        for (waited_ms, reports, judges) in
            [(0, true, true), (249, true, true), (250, false, true), (499, false, true), (500, false, false)]
        {
            let (mut report, mut judge) = (SheddableTask::reports(), SheddableTask::judgements());
            assert!(runs(&mut report, at(10_000), ms(0)) && runs(&mut judge, at(10_000), ms(0)));
            assert_eq!(runs(&mut report, at(10_900), ms(waited_ms)), reports, "{waited_ms}");
            assert_eq!(runs(&mut judge, at(10_900), ms(waited_ms)), judges, "{waited_ms}");
            assert_eq!((report.put_off, judge.put_off), (u64::from(!reports), u64::from(!judges)));
        }
    }

    #[test]
    fn no_task_is_put_off_for_ever_and_each_delay_counts_once() {
        let (mut report, mut judge) = (SheddableTask::reports(), SheddableTask::judgements());
        let (mut reports, mut judgements) = (0, 0);
        // Twenty seconds in which every delta waits for two.
        for now in (100_000..120_000).step_by(100) {
            reports += u32::from(runs(&mut report, at(now), ms(2000)));
            judgements += u32::from(runs(&mut judge, at(now), ms(2000)));
        }
        assert_eq!((reports, judgements), (4, 20));
        assert_eq!((report.put_off, judge.put_off), (4, 20));
        assert!(runs(&mut report, at(120_000), ms(1)) && runs(&mut judge, at(120_000), ms(1)));
        assert_eq!((report.put_off, judge.put_off), (4, 20));
    }
}
