//! The pauses between attempts to deliver a notice, and the age at which it is given up.

use std::time::Duration;

/// Pauses that double up to a maximum, until the notice is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The pause after the first failure.
    pub first_pause: Duration,
    /// Maximum pause that results from doubling.
    pub longest_pause: Duration,
    /// Maximum pause that a receiver can request (`Retry-After`); a longer one is reduced to this.
    pub longest_retry_after: Duration,
    /// A notice is given up if it would be older than this at the next attempt; with `None` it is never given up.
    pub give_up_after: Option<Duration>,
}

/// The age at which a notice is given up by default. It is as long as the longest outage after which somebody still
/// wants the alerts; before that only the bound of the queue makes room.
const MAXIMUM_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Default for Retry {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(600),
            give_up_after: Some(MAXIMUM_AGE),
        }
    }
}

impl Retry {
    /// Returns the pause after this many failures in a row: the doubled one or the one that the receiver requested,
    /// whichever is longer.
    pub(super) fn pause(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let doubled = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.longest_pause).max(retry_after.unwrap_or_default().min(self.longest_retry_after))
    }

    /// Returns true if a notice of this age is not too old for another attempt after `pause`.
    pub(super) fn is_worth(&self, age: Duration, pause: Duration) -> bool {
        self.give_up_after.is_none_or(|longest| age.saturating_add(pause) <= longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_extend_to_the_requested_one() {
        let retry = Retry::default();
        let cases = [
            (1, None, 1),
            (2, None, 2),
            (6, None, 32),
            (7, None, 60),
            (u32::MAX, None, 60),
            (1, Some(7), 7),
            (5, Some(7), 16),
            (1, Some(120), 120),
            (1, Some(86_400), 600),
        ];
        for (failures, retry_after, want) in cases {
            let pause = retry.pause(failures, retry_after.map(Duration::from_secs));
            assert_eq!(pause, Duration::from_secs(want), "{failures} {retry_after:?}");
        }
    }

    #[test]
    fn an_old_notice_is_given_up_if_a_maximum_age_is_set() {
        let retry = Retry::default();
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let week = 7 * 24 * 60;
        assert!(retry.is_worth(minutes(week - 1), minutes(1)));
        assert!(!retry.is_worth(minutes(week), minutes(1)));
        assert!(Retry { give_up_after: None, ..retry }.is_worth(Duration::MAX, minutes(1)));
    }
}
