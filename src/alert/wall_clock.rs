//! Steps of the wall clock, by which the times of alerts and mutes are corrected.
//!
//! A machine without a battery starts with a wrong clock, which is set once the network is up. The times that were
//! taken before are then as wrong as the clock was. They are shown, and they are saved for a restart.
//!
//! CLOCK_MONOTONIC, by which timeouts run, stops while the machine is suspended, and the wall clock does not. So a step
//! is a difference from CLOCK_BOOTTIME, which runs on as well (clock_gettime(2)).

use std::time::Duration;

use crate::time::{Clocks, UnixNanos};

use super::record::Alert;

/// Difference between the two clocks from which it is a step. Smaller ones are neither shown nor do they matter: mutes
/// last for minutes.
const STEP_MIN: Duration = Duration::from_secs(60);

/// Difference between CLOCK_BOOTTIME and CLOCK_MONOTONIC from which the machine was suspended. Smaller ones are the
/// time between the readings of the two.
const SUSPENDED_MIN: Duration = Duration::from_secs(1);

/// The latest reading of the clocks.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    latest: Option<Clocks>,
}

/// What happened between two readings of the clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClockChange {
    /// The step of the wall clock; `None` if it went as CLOCK_BOOTTIME did.
    pub(super) step: Option<ClockStep>,
    /// How long the machine was suspended.
    pub(super) suspended: Duration,
}

/// A step of the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockStep {
    Forward(Duration),
    Back(Duration),
}

impl WallClock {
    /// Stores a reading of the clocks. Returns what happened since the last one.
    pub(super) fn read(&mut self, clocks: Clocks) -> ClockChange {
        let Some(before) = self.latest.replace(clocks) else { return ClockChange::default() };
        let passed = clocks.since_boot.saturating_sub(before.since_boot);
        let suspended = passed.saturating_sub(clocks.now.since(before.now));
        let expected = before.civil.plus(passed);
        let by = Duration::from_nanos(clocks.civil.0.abs_diff(expected.0));
        let step = if clocks.civil >= expected { ClockStep::Forward(by) } else { ClockStep::Back(by) };
        ClockChange {
            step: (by >= STEP_MIN).then_some(step),
            suspended: if suspended >= SUSPENDED_MIN { suspended } else { Duration::ZERO },
        }
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
    use crate::time::Moment;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Returns a reading in seconds; the machine was suspended until `suspended`.
    fn clocks(now: u64, suspended: u64, civil: u64) -> Clocks {
        let since_boot = Duration::from_secs(now + suspended);
        Clocks { now: Moment(now * SECOND), since_boot, civil: UnixNanos(civil * SECOND) }
    }

    #[test]
    fn a_step_is_a_minute_or_more_between_two_readings() {
        let mut clock = WallClock::default();
        let mut read = |now: u64, civil: u64| clock.read(clocks(now, 0, civil)).step;
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

    #[test]
    fn a_suspended_machine_is_no_step_of_the_clock() {
        let mut clock = WallClock::default();
        assert_eq!(clock.read(clocks(10, 0, 1000)), ClockChange::default());
        let suspended = Duration::from_secs(3600);
        assert_eq!(clock.read(clocks(20, 3600, 4610)), ClockChange { step: None, suspended });
        assert_eq!(clock.read(clocks(30, 3600, 4620)), ClockChange::default());
        // The clock is set as well while the machine is suspended.
        let step = Some(ClockStep::Forward(Duration::from_secs(1000)));
        assert_eq!(clock.read(clocks(40, 7200, 9230)), ClockChange { step, suspended });
    }
}
