//! Steps of the wall clock, by which the times of alerts and mutes are corrected.
//!
//! A machine without a battery starts with a wrong clock, which is set once the network is up. The times that were
//! taken before are then as wrong as the clock was. They are shown, and they are saved for a restart.

use std::time::Duration;

use crate::time::{Moment, UnixNanos};

use super::record::Alert;

/// Difference between the two clocks from which it is a step. Smaller ones are neither shown nor do they matter: mutes
/// last for minutes.
const STEP_MIN: Duration = Duration::from_secs(60);

/// The latest reading of both clocks.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    latest: Option<(Moment, UnixNanos)>,
}

/// A step of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockStep {
    Forward(Duration),
    Back(Duration),
}

impl WallClock {
    /// Stores a reading of both clocks. Returns the step of the wall clock since the last reading, or `None` if it runs
    /// as the monotonic clock does.
    pub(super) fn read(&mut self, now: Moment, wall_clock: UnixNanos) -> Option<ClockStep> {
        let (then, before) = self.latest.replace((now, wall_clock))?;
        let expected = before.plus(now.since(then));
        let by = Duration::from_nanos(wall_clock.0.abs_diff(expected.0));
        let step = if wall_clock >= expected { ClockStep::Forward(by) } else { ClockStep::Back(by) };
        (by >= STEP_MIN).then_some(step)
    }
}

impl ClockStep {
    /// Corrects a time that was taken before the step.
    pub(super) fn correct(self, at: &mut UnixNanos) {
        *at = match self {
            Self::Forward(by) => at.plus(by),
            Self::Back(by) => at.minus(by),
        };
    }

    /// Corrects the times of an alert.
    pub(super) fn correct_alert(self, alert: &mut Alert) {
        self.correct(&mut alert.opened_at);
        self.correct(&mut alert.progress.exceeded_at);
        alert.closed_at.iter_mut().for_each(|at| self.correct(at));
    }
}

/// Limits the times of a saved alert to the present, and its opening to its end. Returns true if a time was changed.
pub(super) fn limit_to_present(alert: &mut Alert, wall_clock: UnixNanos) -> bool {
    let before = (alert.opened_at, alert.closed_at, alert.progress.exceeded_at);
    alert.closed_at = alert.closed_at.map(|at| at.min(wall_clock));
    alert.opened_at = alert.opened_at.min(alert.closed_at.unwrap_or(wall_clock));
    alert.progress.exceeded_at = alert.progress.exceeded_at.min(wall_clock);
    before != (alert.opened_at, alert.closed_at, alert.progress.exceeded_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_step_is_a_minute_or_more_between_two_readings() {
        let mut clock = WallClock::default();
        let mut read = |now: u64, wall: u64| clock.read(Moment(now * SECOND), UnixNanos(wall * SECOND));
        let seconds = Duration::from_secs;
        assert_eq!(read(10, 1000), None, "the first reading");
        assert_eq!(read(20, 1010), None);
        assert_eq!(read(30, 1079), None, "59 seconds");
        assert_eq!(read(40, 1149), Some(ClockStep::Forward(seconds(60))));
        assert_eq!(read(50, 1159), None, "a step is told once");
        assert_eq!(read(60, 4), Some(ClockStep::Back(seconds(1165))));
        let mut at = UnixNanos(5);
        ClockStep::Back(seconds(1)).correct(&mut at);
        assert_eq!(at, UnixNanos(0));
        at = UnixNanos(u64::MAX);
        ClockStep::Forward(seconds(1)).correct(&mut at);
        assert_eq!(at, UnixNanos(u64::MAX));
    }
}
