//! The alerts that closed within the last day, for readers. They are in memory only, so they are lost at a restart.
//!
//! Alerts of storms have only the room that others leave: a flood does not push out what was before it.

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

/// The alerts that closed within the last day, at most [`CLOSED_ALERTS_MAX`], the newest first. In a full list the
/// oldest alerts of storms give way first. Reports share one list as long as it does not change.
pub type ClosedList = Arc<Vec<Arc<Alert>>>;

/// Keeps the closed alerts. An alert that opens again leaves the list until it closes again.
#[derive(Debug, Default)]
pub(super) struct ClosedAlerts {
    /// Those that are in no storm, and those of storms; in both the newest is last.
    singles: VecDeque<(Moment, Arc<Alert>)>,
    of_storms: VecDeque<(Moment, Arc<Alert>)>,
    /// What readers got last.
    list: ClosedList,
    has_changed: bool,
}

impl ClosedAlerts {
    /// Adds an alert that closed at `at`. If the list is full, the oldest alert of a storm leaves it, or the oldest if
    /// there is none.
    pub(super) fn add(&mut self, alert: Alert, at: Moment) {
        let alerts = if alert.progress.storm_id.is_some() { &mut self.of_storms } else { &mut self.singles };
        let position = alerts.partition_point(|(earlier, _)| *earlier <= at);
        alerts.insert(position, (at, Arc::new(alert)));
        if self.singles.len() + self.of_storms.len() > CLOSED_ALERTS_MAX
            && self.of_storms.pop_front().is_none()
        {
            self.singles.pop_front();
        }
        self.has_changed = true;
    }

    /// Removes the alert with this id, if it is in the list.
    pub(super) fn remove(&mut self, id: &str) {
        for alerts in [&mut self.singles, &mut self.of_storms] {
            // An alert that opens again closed within the cooldown, so the search begins with the newest.
            if let Some(position) = alerts.iter().rposition(|(_, alert)| alert.id == id) {
                alerts.remove(position);
                self.has_changed = true;
            }
        }
    }

    /// Removes the alerts that closed a day ago or earlier.
    pub(super) fn expire(&mut self, now: Moment) {
        for alerts in [&mut self.singles, &mut self.of_storms] {
            while alerts.pop_front_if(|(at, _)| now.since(*at) >= KEPT_FOR).is_some() {
                self.has_changed = true;
            }
        }
    }

    /// Removes the addresses of peers from all alerts, after destinations were hidden.
    pub(super) fn hide_destinations(&mut self) {
        for (_, alert) in self.singles.iter_mut().chain(&mut self.of_storms) {
            Arc::make_mut(alert).hide_destinations();
            self.has_changed = true;
        }
    }

    /// Corrects the times of all alerts after a step of the wall clock.
    pub(super) fn correct(&mut self, step: ClockStep) {
        for (_, alert) in self.singles.iter_mut().chain(&mut self.of_storms) {
            step.correct_alert(Arc::make_mut(alert));
            self.has_changed = true;
        }
    }

    /// Returns the list.
    pub(super) fn list(&mut self) -> ClosedList {
        if std::mem::take(&mut self.has_changed) {
            let mut alerts: Vec<_> = self.singles.iter().chain(&self.of_storms).collect();
            // The sort is stable, and both parts are sorted already.
            alerts.sort_by_key(|(at, _)| *at);
            self.list = Arc::new(alerts.into_iter().rev().map(|(_, alert)| Arc::clone(alert)).collect());
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
    fn the_alerts_of_a_storm_push_nobody_else_out() {
        let mut closed = ClosedAlerts::default();
        let member = |n: usize| {
            let mut alert = alert(n);
            alert.progress.storm_id = Some("storm".into());
            alert
        };
        closed.add(alert(1), Moment(10 * SECOND));
        for n in 2..2 + 2 * CLOSED_ALERTS_MAX {
            closed.add(member(n), Moment(20 * SECOND));
        }
        closed.add(alert(9000), Moment(15 * SECOND));
        let listed = ids(&mut closed);
        assert_eq!(listed.len(), CLOSED_ALERTS_MAX);
        assert_eq!((listed[0].as_str(), listed[997].as_str()), ("2001", "1004"));
        assert_eq!(listed[998..], ["9000", "1"]);
        // They have the room that others leave.
        for n in 10_000..10_000 + CLOSED_ALERTS_MAX - 3 {
            closed.add(alert(n), Moment(30 * SECOND));
        }
        assert!(ids(&mut closed).contains(&"2001".to_owned()));
        closed.add(alert(20_000), Moment(30 * SECOND));
        closed.add(member(3), Moment(40 * SECOND));
        let listed = ids(&mut closed);
        assert!(listed.len() == CLOSED_ALERTS_MAX && !listed.contains(&"3".to_owned()));
        assert_eq!(listed.last().map(String::as_str), Some("1"));
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
