//! The comparison of the alerts of two replays of the same traffic.

use std::collections::BTreeMap;

use crate::alert::Alert;

/// The alerts of two replays: those that only one of them has, and those that both have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayComparison<'a> {
    /// Alerts that only the first replay has, in the order in which they opened.
    pub only_first: Vec<&'a Alert>,
    /// Alerts that only the second replay has, in the order in which they opened.
    pub only_second: Vec<&'a Alert>,
    /// Alerts that both replays have: pairs of the alert of the first and that of the second.
    pub both: Vec<(&'a Alert, &'a Alert)>,
}

impl<'a> ReplayComparison<'a> {
    /// Compares two lists of alerts, each in the order in which they opened. The n-th alert about a host and kind in
    /// one list and the n-th in the other form a pair. Their times and values do not matter.
    pub fn of(first: &'a [Alert], second: &'a [Alert]) -> Self {
        let key = |alert: &Alert| (alert.source, alert.kind);
        let mut unmatched: BTreeMap<_, Vec<&Alert>> = BTreeMap::new();
        for alert in second.iter().rev() {
            unmatched.entry(key(alert)).or_default().push(alert);
        }
        let mut comparison = ReplayComparison::default();
        for alert in first {
            match unmatched.get_mut(&key(alert)).and_then(Vec::pop) {
                Some(other) => comparison.both.push((alert, other)),
                None => comparison.only_first.push(alert),
            }
        }
        comparison.only_second = unmatched.into_values().flatten().collect();
        comparison.only_second.sort_by_key(|alert| alert.opened_at);
        comparison
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{AlertKind, sample};
    use crate::time::UnixNanos;

    #[test]
    fn the_nth_alerts_about_a_host_and_kind_form_a_pair() {
        let alert = |host: u8, kind, second| Alert {
            source: Some([10, 0, 0, host].into()),
            kind,
            opened_at: UnixNanos(second),
            ..sample::traffic()
        };
        use AlertKind::{Scanning, Traffic};
        let first =
            [alert(1, Traffic, 1), alert(2, Traffic, 2), alert(1, Traffic, 9), alert(3, Scanning, 10)];
        let second =
            [alert(9, Scanning, 3), alert(1, Traffic, 2), alert(3, Traffic, 1), alert(3, Scanning, 10)];
        let comparison = ReplayComparison::of(&first, &second);
        assert_eq!(comparison.both, [(&first[0], &second[1]), (&first[3], &second[3])]);
        assert_eq!(comparison.only_first, [&first[1], &first[2]]);
        assert_eq!(comparison.only_second, [&second[2], &second[0]]);
        assert_eq!(ReplayComparison::of(&[], &[]), ReplayComparison::default());
    }
}
