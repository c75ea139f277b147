//! Schedules the readings of the link monitor: interfaces soon after a change, counters once a second, routes in steps.
//! Pauses limit the share of a core that the readings of interfaces and routes take.
//!
//! This file does not read a clock or the kernel; the caller passes the time and does the readings.

use std::time::Duration;

use crate::time::Moment;

/// The pause after a reading of the interfaces, in multiples of its CPU time, so that readings take at most a fifth of
/// a core although starting a hundred containers causes a thousand notices. [`GAP_MAX`] limits the pause.
pub(super) const GAP_FACTOR: u32 = 4;
/// Minimum pause between two readings of the interfaces, since creating one interface causes two or three notices.
pub(super) const GAP_MIN: Duration = Duration::from_millis(3);
/// Maximum pause between two readings of the interfaces, so that a change is in force within a tenth of a second.
pub(super) const GAP_MAX: Duration = Duration::from_millis(50);
/// Pause after a reading that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Time between two readings of the counters.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);
/// Duration of one step of reading routes, by which a reading of the interfaces may be delayed.
pub(super) const ROUTES_STEP: Duration = Duration::from_millis(2);
/// Minimum pause between two complete readings of the routes.
const ROUTES_GAP_MIN: Duration = Duration::from_secs(1);
/// The pause between two complete readings of the routes, in multiples of the CPU time of the last one, so that they
/// take at most a twentieth of a core while routes change.
const ROUTES_GAP_FACTOR: u32 = 19;

/// The times of the next readings. Times are moments of `CLOCK_MONOTONIC`.
#[derive(Debug)]
pub(super) struct ReadSchedule {
    /// The time of the oldest change of interfaces that was not read yet; `None` if there is none.
    changed_at: Option<Moment>,
    /// The earliest time of the next reading of interfaces.
    reading_from: Moment,
    /// The time of the next reading of counters.
    counters_at: Moment,
    /// True if routes may have changed or a reading of them is in progress.
    wants_routes: bool,
    /// The earliest time of the next step of reading routes.
    routes_from: Moment,
    /// CPU time that the present reading of routes has taken so far.
    routes_cost: Duration,
}

impl ReadSchedule {
    /// Starts the schedule with nothing to read but the counters.
    pub(super) fn begin(now: Moment) -> Self {
        Self {
            changed_at: None,
            reading_from: now,
            counters_at: now.plus(COUNTERS_EVERY),
            wants_routes: false,
            routes_from: now,
            routes_cost: Duration::ZERO,
        }
    }

    /// Returns the time of the next reading of any kind.
    pub(super) fn due_at(&self) -> Moment {
        let reading = self.changed_at.map(|_| self.reading_from);
        let routes = self.wants_routes.then_some(self.routes_from);
        [reading, routes].into_iter().flatten().fold(self.counters_at, Moment::min)
    }

    /// Records a change of interfaces at `at`.
    pub(super) fn changed(&mut self, at: Moment) {
        self.changed_at = Some(self.changed_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Returns true if a change of interfaces was recorded that was not read yet.
    pub(super) fn has_change(&self) -> bool {
        self.changed_at.is_some()
    }

    /// Returns the time of the oldest change and clears it. Returns `None` if there was no change or if it is too early
    /// to read the interfaces.
    pub(super) fn take_change(&mut self, now: Moment) -> Option<Moment> {
        if now < self.reading_from { None } else { self.changed_at.take() }
    }

    /// Records that a reading of the interfaces has ended at `now` and took the CPU time `cost`.
    pub(super) fn read(&mut self, now: Moment, cost: Duration) {
        self.reading_from = now.plus((cost * GAP_FACTOR).clamp(GAP_MIN, GAP_MAX));
    }

    /// Records that the reading after a change at `changed_at` has failed, so that it is repeated.
    pub(super) fn retry(&mut self, changed_at: Moment, now: Moment) {
        self.changed(changed_at);
        self.reading_from = now.plus(RETRY_AFTER);
    }

    /// Returns true if it is time to read the counters, and schedules the next reading.
    pub(super) fn counters_are_due(&mut self, now: Moment) -> bool {
        let is_due = now >= self.counters_at;
        if is_due {
            self.counters_at = self.counters_at.plus(COUNTERS_EVERY).max(now);
        }
        is_due
    }

    /// Requests a reading of the routes.
    pub(super) fn want_routes(&mut self) {
        self.wants_routes = true;
    }

    /// Returns true if it is time for the first or next step of reading routes.
    pub(super) fn routes_are_due(&self, now: Moment) -> bool {
        self.wants_routes && now >= self.routes_from
    }

    /// Records that a step of reading routes has ended at `now` and took the CPU time `cost`. `is_over` states that the
    /// reading is complete or was abandoned.
    pub(super) fn stepped(&mut self, now: Moment, cost: Duration, is_over: bool) {
        self.routes_cost += cost;
        let gap = if is_over {
            self.wants_routes = false;
            (std::mem::take(&mut self.routes_cost) * ROUTES_GAP_FACTOR).max(ROUTES_GAP_MIN)
        } else {
            (cost * GAP_FACTOR).max(GAP_MIN)
        };
        self.routes_from = now.plus(gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment(1_000_000 * ms)
    }

    #[test]
    fn pauses_are_four_times_as_long_as_readings_within_their_limits() {
        // The CPU time of a reading in microseconds, and the time in milliseconds at which the next one is due.
        for (cost_us, due_ms) in [(0, 103), (500, 103), (2_000, 108), (10_000, 140), (100_000, 150)] {
            let mut read_schedule = ReadSchedule::begin(ms(0));
            assert_eq!(
                (read_schedule.due_at(), read_schedule.take_change(ms(0))),
                (ms(1000), None),
                "nothing has changed"
            );
            read_schedule.changed(ms(90));
            assert_eq!(read_schedule.take_change(ms(90)), Some(ms(90)), "the first one is read at once");
            read_schedule.read(ms(100), Duration::from_micros(cost_us));
            read_schedule.changed(ms(102));
            read_schedule.changed(ms(101));
            assert_eq!(read_schedule.due_at(), ms(due_ms), "{cost_us}");
            assert_eq!(read_schedule.take_change(ms(due_ms - 1)), None, "{cost_us}");
            assert_eq!(
                read_schedule.take_change(ms(due_ms)),
                Some(ms(101)),
                "{cost_us}: the oldest change counts"
            );
        }
    }

    #[test]
    fn a_reading_that_failed_is_tried_again() {
        let mut read_schedule = ReadSchedule::begin(ms(0));
        read_schedule.read(ms(5), Duration::ZERO);
        read_schedule.retry(ms(1), ms(5));
        read_schedule.changed(ms(7));
        assert_eq!(read_schedule.take_change(ms(1004)), None);
        assert_eq!(read_schedule.take_change(ms(1005)), Some(ms(1)));
    }

    #[test]
    fn counters_are_read_once_a_second() {
        let mut read_schedule = ReadSchedule::begin(ms(0));
        let mut now = ms(0);
        for _ in 0..100 {
            now = now.max(read_schedule.due_at()).plus(Duration::from_millis(3));
            assert!(read_schedule.counters_are_due(now), "the counters are read at each wake-up");
        }
        assert_eq!(now, ms(100_003), "delays do not accumulate");
        // After a long pause there is one reading.
        now = now.plus(Duration::from_secs(60));
        assert!(read_schedule.counters_are_due(now));
        assert!(
            !read_schedule.counters_are_due(read_schedule.due_at().minus(Duration::from_nanos(1)))
                && read_schedule.due_at() >= now
        );
    }

    #[test]
    fn routes_are_read_in_steps_with_pauses() {
        let mut read_schedule = ReadSchedule::begin(ms(0));
        assert!(!read_schedule.routes_are_due(ms(10)), "not requested");
        read_schedule.want_routes();
        assert_eq!(read_schedule.due_at(), ms(0));
        // Fifty steps of 2 ms, each followed by a pause of 8 ms.
        let mut now = ms(100);
        for step in 1..=50 {
            assert!(read_schedule.routes_are_due(now));
            read_schedule.stepped(now, ROUTES_STEP, step == 50);
            now = now.plus(Duration::from_millis(8));
        }
        assert!(!read_schedule.routes_are_due(ms(3000)), "complete");
        read_schedule.want_routes();
        let last = 100 + 49 * 8;
        assert_eq!(
            [2391, 2392].map(|at| read_schedule.routes_are_due(ms(at))),
            [false, true],
            "{last} + 19 * 100"
        );
        // After a short reading the pause is a second.
        read_schedule.stepped(ms(3000), Duration::from_micros(50), true);
        read_schedule.want_routes();
        assert_eq!([3999, 4000].map(|at| read_schedule.routes_are_due(ms(at))), [false, true]);
    }
}
