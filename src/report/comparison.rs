//! What two sets of limits say of the same traffic.

use std::collections::BTreeMap;

use crate::alert::Alert;

/// The alerts that one of two replays has and the other has not, and those that both have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayComparison<'a> {
    /// Of the first alone, in the order in which they opened.
    pub only_first: Vec<&'a Alert>,
    /// Of the second alone.
    pub only_second: Vec<&'a Alert>,
    /// Of both, the first's beside the second's.
    pub both: Vec<(&'a Alert, &'a Alert)>,
}

impl<'a> ReplayComparison<'a> {
    /// Compares alerts. Those about the same host and kind belong together, the first with the first and so on; when
    /// they opened, and at which value, may differ.
    pub fn of(first: &'a [Alert], second: &'a [Alert]) -> Self {
        let subject = |alert: &Alert| (alert.source, alert.kind);
        let mut unmatched: BTreeMap<_, Vec<&Alert>> = BTreeMap::new();
        for alert in second.iter().rev() {
            unmatched.entry(subject(alert)).or_default().push(alert);
        }
        let mut comparison = ReplayComparison::default();
        for alert in first {
            match unmatched.get_mut(&subject(alert)).and_then(Vec::pop) {
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
    fn alerts_about_one_host_and_kind_belong_together() {
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
