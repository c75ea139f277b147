//! The alerts that closed within the last day, for readers. They are in memory only, so they are lost at a restart.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Moment;

use super::record::Alert;
use super::wall_clock::ClockStep;

/// Maximum number of alerts in the list. With their evidence they take at most some ten megabytes.
pub const CLOSED_ALERTS_MAX: usize = 1000;

/// How long a closed alert is in the list.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The alerts that closed within the last day, at most the latest [`CLOSED_ALERTS_MAX`], the newest first. Reports
/// share one list as long as it does not change.
pub type ClosedList = Arc<Vec<Arc<Alert>>>;

/// Keeps the closed alerts. An alert that opens again leaves the list until it closes again.
#[derive(Debug, Default)]
pub(super) struct ClosedAlerts {
    /// The newest last.
    alerts: VecDeque<(Moment, Arc<Alert>)>,
    /// What readers got last.
    list: ClosedList,
    has_changed: bool,
}

impl ClosedAlerts {
    /// Adds an alert that closed at `at`. If the list is full, the oldest alert leaves it.
    pub(super) fn add(&mut self, alert: Alert, at: Moment) {
        let position = self.alerts.partition_point(|(earlier, _)| *earlier <= at);
        self.alerts.insert(position, (at, Arc::new(alert)));
        if self.alerts.len() > CLOSED_ALERTS_MAX {
            self.alerts.pop_front();
        }
        self.has_changed = true;
    }

    /// Removes the alert with this id, if it is in the list.
    pub(super) fn remove(&mut self, id: &str) {
        // An alert that opens again closed within the cooldown, so the search begins with the newest.
        if let Some(position) = self.alerts.iter().rposition(|(_, alert)| alert.id == id) {
            self.alerts.remove(position);
            self.has_changed = true;
        }
    }

    /// Removes the alerts that closed a day ago or earlier.
    pub(super) fn expire(&mut self, now: Moment) {
        while self.alerts.front().is_some_and(|(at, _)| now.since(*at) >= KEPT_FOR) {
            self.alerts.pop_front();
            self.has_changed = true;
        }
    }

    /// Removes the addresses of peers from all alerts, after destinations were hidden.
    pub(super) fn hide_destinations(&mut self) {
        for (_, alert) in &mut self.alerts {
            Arc::make_mut(alert).hide_destinations();
            self.has_changed = true;
        }
    }

    /// Corrects the times of all alerts after a step of the wall clock.
    pub(super) fn correct(&mut self, step: ClockStep) {
        for (_, alert) in &mut self.alerts {
            step.correct_alert(Arc::make_mut(alert));
            self.has_changed = true;
        }
    }

    /// Returns the list.
    pub(super) fn list(&mut self) -> ClosedList {
        if std::mem::take(&mut self.has_changed) {
            self.list = Arc::new(self.alerts.iter().rev().map(|(_, alert)| Arc::clone(alert)).collect());
        }
        Arc::clone(&self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sample;

    const SECOND: u64 = 1_000_000_000;

    fn alert(n: usize) -> Alert {
        Alert { id: n.to_string(), ..sample::traffic() }
    }

    fn ids(closed: &mut ClosedAlerts) -> Vec<String> {
        closed.list().iter().map(|alert| alert.id.clone()).collect()
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_leave_a_full_list() {
        let mut closed = ClosedAlerts::default();
        assert_eq!(ids(&mut closed), [""; 0]);
        // Alerts that close in one judgement come by their host, not by their time.
        for (n, second) in [(1, 10), (2, 30), (3, 20), (4, 30)] {
            closed.add(alert(n), Moment(second * SECOND));
        }
        assert_eq!(ids(&mut closed), ["4", "2", "3", "1"]);
        for n in 5..5 + CLOSED_ALERTS_MAX {
            closed.add(alert(n), Moment(40 * SECOND));
        }
        let ids = ids(&mut closed);
        assert_eq!((ids.len(), ids.first().map(String::as_str)), (CLOSED_ALERTS_MAX, Some("1004")));
        assert_eq!(ids.last().map(String::as_str), Some("5"));
    }

    #[test]
    fn an_alert_leaves_the_list_after_a_day_or_when_it_opens_again() {
        let mut closed = ClosedAlerts::default();
        let day = 24 * 60 * 60;
        for (n, second) in [(1, 10), (2, 20), (3, 30)] {
            closed.add(alert(n), Moment(second * SECOND));
        }
        closed.expire(Moment((day + 9) * SECOND));
        assert_eq!(ids(&mut closed), ["3", "2", "1"]);
        closed.expire(Moment((day + 10) * SECOND));
        assert_eq!(ids(&mut closed), ["3", "2"]);
        closed.remove("2");
        closed.remove("unknown");
        assert_eq!(ids(&mut closed), ["3"]);
        closed.expire(Moment((day + 500) * SECOND));
        assert_eq!(ids(&mut closed), [""; 0]);
    }

    /// Readers compare the list by its address to see whether it has changed.
    #[test]
    fn the_list_is_the_same_until_it_changes() {
        let mut closed = ClosedAlerts::default();
        closed.add(alert(1), Moment(SECOND));
        let first = closed.list();
        closed.expire(Moment(2 * SECOND));
        closed.remove("2");
        assert!(Arc::ptr_eq(&first, &closed.list()));
        closed.add(alert(2), Moment(2 * SECOND));
        assert!(!Arc::ptr_eq(&first, &closed.list()));
        assert_eq!(first.len(), 1, "a reader keeps what it has");
    }

    #[test]
    fn hidden_destinations_leave_the_alerts_that_have_closed() {
        let mut closed = ClosedAlerts::default();
        closed.add(alert(1), Moment(SECOND));
        let before = closed.list();
        closed.hide_destinations();
        assert!(!before[0].destinations.is_empty());
        assert!(closed.list()[0].destinations.is_empty());
    }
}
