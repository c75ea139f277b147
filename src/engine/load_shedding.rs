//! Measures how late the analyst is, and decides what it puts off then.

use std::time::Duration;

use crate::report::{AnalystLag, AnalystStep, LongestTime};
use crate::time::{Moment, monotonic_now};

use super::tick::TICK;

/// "Lately" is this span and the one before.
const SPAN: Duration = Duration::from_secs(60);

/// Measures how long deltas wait and how long the steps of the analyst take.
#[derive(Debug, Default)]
pub(super) struct StepTimer {
    waited: RecentMaximum,
    steps: [RecentMaximum; AnalystStep::ALL.len()],
}

impl StepTimer {
    /// Runs a step and notes its duration; returns the result and the duration.
    pub(super) fn time<T>(&mut self, step: AnalystStep, run: impl FnOnce() -> T) -> (T, Duration) {
        let began = monotonic_now();
        let result = run();
        let ended = monotonic_now();
        let took = ended.since(began);
        self.steps[step as usize].note(took, ended);
        (result, took)
    }

    /// Notes how long a delta waited until it was folded at `now`.
    pub(super) fn note_wait(&mut self, waited: Duration, now: Moment) {
        self.waited.note(waited, now);
    }

    /// Returns the measurements, and how often something was put off.
    pub(super) fn lag(&self, now: Moment, reports: &SheddableTask, judgements: &SheddableTask) -> AnalystLag {
        AnalystLag {
            waited: self.waited.longest(now),
            steps: self.steps.map(|step| step.longest(now)),
            reports_put_off: reports.put_off,
            judgements_put_off: judgements.put_off,
        }
    }
}

/// The longest duration since the start, and lately.
#[derive(Clone, Copy, Debug, Default)]
struct RecentMaximum {
    max: Duration,
    /// The longest of the span that begins at `at`, and of the one before.
    here: Duration,
    before: Duration,
    at: Moment,
}

impl RecentMaximum {
    fn note(&mut self, took: Duration, now: Moment) {
        *self = self.at_span_of(now);
        self.here = self.here.max(took);
        self.max = self.max.max(took);
    }

    fn longest(&self, now: Moment) -> LongestTime {
        let Self { max, here, before, .. } = self.at_span_of(now);
        LongestTime { lately: here.max(before), max }
    }

    fn at_span_of(&self, now: Moment) -> Self {
        match now.since(self.at).as_nanos() / SPAN.as_nanos() {
            0 => *self,
            1 => Self { here: Duration::ZERO, before: self.here, at: self.at.plus(SPAN), ..*self },
            _ => Self { here: Duration::ZERO, before: Duration::ZERO, at: now, ..*self },
        }
    }
}

/// A task that a late analyst puts off, but only for so long: under lasting load, a task that never runs would be worse
/// than a late one.
#[derive(Debug)]
pub(super) struct SheddableTask {
    /// It is put off while the last delta waited at least this long before it was folded.
    tolerated_wait: Duration,
    /// It runs at the latest this long after it last ran.
    period_max: Duration,
    done_at: Moment,
    is_put_off: bool,
    /// How often it was put off.
    put_off: u64,
}

impl SheddableTask {
    /// Making reports, which is put off first: beyond a tick, a worker that hands over finds its spare still in use.
    pub(super) fn reports() -> Self {
        Self::new(TICK, Duration::from_secs(5))
    }

    /// Judging, which is put off last.
    pub(super) fn judgements() -> Self {
        Self::new(2 * TICK, Duration::from_secs(1))
    }

    fn new(tolerated_wait: Duration, period_max: Duration) -> Self {
        Self { tolerated_wait, period_max, done_at: Moment::default(), is_put_off: false, put_off: 0 }
    }

    /// Returns true if the task, or a part of it, runs now, when the last delta waited for `waited`.
    pub(super) fn may_run(&mut self, now: Moment, waited: Duration) -> bool {
        let is_put_off = waited >= self.tolerated_wait && now.since(self.done_at) < self.period_max;
        // It counts once until it runs again.
        self.put_off += u64::from(is_put_off && !self.is_put_off);
        self.is_put_off = is_put_off;
        !is_put_off
    }

    /// Notes that the whole task was done.
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
    fn the_longest_lately_is_forgotten_and_the_longest_of_all_is_not() {
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
        // How long the last delta waited; whether reports and judgements are made then.
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
    fn nothing_is_put_off_for_ever_and_what_is_counts_once() {
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
