//! How late the analyst is, and what it leaves out then.

use std::time::Duration;

use crate::report::{AnalystLag, AnalystStep, LongestTime};
use crate::time::{Moment, monotonic_now};

use super::tick::TICK;

/// Lately is in the last two of these.
const SPAN: Duration = Duration::from_secs(60);

/// Measures how long deltas wait and how long steps last.
#[derive(Debug, Default)]
pub(super) struct StepTimer {
    waited: RecentMaximum,
    steps: [RecentMaximum; AnalystStep::ALL.len()],
}

impl StepTimer {
    /// Does a step and notes how long it took; gives that as well.
    pub(super) fn time<T>(&mut self, step: AnalystStep, act: impl FnOnce() -> T) -> (T, Duration) {
        let began = monotonic_now();
        let result = act();
        let ended = monotonic_now();
        let took = ended.since(began);
        self.steps[step as usize].note(took, ended);
        (result, took)
    }

    /// Notes how long a delta waited until it was folded at `now`.
    pub(super) fn note_wait(&mut self, waited: Duration, now: Moment) {
        self.waited.note(waited, now);
    }

    /// What was measured, and what was left out.
    pub(super) fn lag(&self, now: Moment, reports: &SheddableTask, judgements: &SheddableTask) -> AnalystLag {
        AnalystLag {
            waited: self.waited.longest(now),
            steps: self.steps.map(|step| step.longest(now)),
            reports_put_off: reports.put_off,
            judgements_put_off: judgements.put_off,
        }
    }
}

/// The longest of all and of lately.
#[derive(Clone, Copy, Debug, Default)]
struct RecentMaximum {
    max: Duration,
    /// Of the span that `at` is in, and of the one before.
    here: Duration,
    before: Duration,
    at: Moment,
}

impl RecentMaximum {
    fn note(&mut self, took: Duration, now: Moment) {
        *self = self.turned(now);
        self.here = self.here.max(took);
        self.max = self.max.max(took);
    }

    fn longest(&self, now: Moment) -> LongestTime {
        let Self { max, here, before, .. } = self.turned(now);
        LongestTime { lately: here.max(before), max }
    }

    fn turned(&self, now: Moment) -> Self {
        match now.since(self.at).as_nanos() / SPAN.as_nanos() {
            0 => *self,
            1 => Self { here: Duration::ZERO, before: self.here, at: self.at.plus(SPAN), ..*self },
            _ => Self { here: Duration::ZERO, before: Duration::ZERO, at: now, ..*self },
        }
    }
}

/// Something that a late analyst puts off, and for how long at most: under a load that does not end, what is never
/// done would be worse than what is done late.
#[derive(Debug)]
pub(super) struct SheddableTask {
    /// It is put off while a delta waited this long before it was folded.
    patience: Duration,
    /// But not for longer than this.
    at_the_latest: Duration,
    done_at: Moment,
    is_put_off: bool,
    put_off: u64,
}

impl SheddableTask {
    /// Reports are left out first: a worker that hands over again finds its spare still in use.
    pub(super) fn to_report() -> Self {
        Self::new(TICK, Duration::from_secs(5))
    }

    /// Judgements are left out last.
    pub(super) fn to_judge() -> Self {
        Self::new(2 * TICK, Duration::from_secs(1))
    }

    fn new(patience: Duration, at_the_latest: Duration) -> Self {
        Self { patience, at_the_latest, done_at: Moment::default(), is_put_off: false, put_off: 0 }
    }

    /// Whether to do now what is due, or a part of it, when the last delta waited for `waited`.
    pub(super) fn is_to_be_done(&mut self, now: Moment, waited: Duration) -> bool {
        let is_put_off = waited >= self.patience && now.since(self.done_at) < self.at_the_latest;
        // Until it goes on, it is the same time.
        self.put_off += u64::from(is_put_off && !self.is_put_off);
        self.is_put_off = is_put_off;
        !is_put_off
    }

    /// Notes that it was done, all of it.
    pub(super) fn is_done(&mut self, now: Moment) {
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
    fn the_longest_of_lately_is_forgotten_and_that_of_all_is_not() {
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

    fn does(task: &mut SheddableTask, now: Moment, waited: Duration) -> bool {
        let is_to_be_done = task.is_to_be_done(now, waited);
        if is_to_be_done {
            task.is_done(now);
        }
        is_to_be_done
    }

    #[test]
    fn a_late_analyst_leaves_reports_out_first_and_judgements_last() {
        // How long the last delta waited; whether reports and judgements are made then.
        for (waited_ms, reports, judges) in
            [(0, true, true), (249, true, true), (250, false, true), (499, false, true), (500, false, false)]
        {
            let (mut report, mut judge) = (SheddableTask::to_report(), SheddableTask::to_judge());
            assert!(does(&mut report, at(10_000), ms(0)) && does(&mut judge, at(10_000), ms(0)));
            assert_eq!(does(&mut report, at(10_900), ms(waited_ms)), reports, "{waited_ms}");
            assert_eq!(does(&mut judge, at(10_900), ms(waited_ms)), judges, "{waited_ms}");
            assert_eq!((report.put_off, judge.put_off), (u64::from(!reports), u64::from(!judges)));
        }
    }

    #[test]
    fn nothing_is_put_off_for_ever_and_what_is_counts_once() {
        let (mut report, mut judge) = (SheddableTask::to_report(), SheddableTask::to_judge());
        let (mut reports, mut judgements) = (0, 0);
        // Twenty seconds in which every delta waits for two.
        for now in (100_000..120_000).step_by(100) {
            reports += u32::from(does(&mut report, at(now), ms(2000)));
            judgements += u32::from(does(&mut judge, at(now), ms(2000)));
        }
        assert_eq!((reports, judgements), (4, 20));
        assert_eq!((report.put_off, judge.put_off), (4, 20));
        assert!(does(&mut report, at(120_000), ms(1)) && does(&mut judge, at(120_000), ms(1)));
        assert_eq!((report.put_off, judge.put_off), (4, 20));
    }
}
