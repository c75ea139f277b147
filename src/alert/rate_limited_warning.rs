//! How often a warning about a full table is logged.

use std::time::Duration;

use crate::time::Moment;

/// Shortest time between two warnings.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// A warning that is logged at most once a minute, with what has happened since the last one.
#[derive(Debug, Default)]
pub(super) struct RateLimitedWarning {
    warned_at: Option<Moment>,
}

impl RateLimitedWarning {
    /// Returns true if the warning may be logged now, and counts it as logged.
    pub(super) fn take_due(&mut self, now: Moment) -> bool {
        let is_due = self.warned_at.is_none_or(|at| now.since(at) >= WARN_EVERY);
        if is_due {
            self.warned_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_once_a_minute() {
        let mut warning = RateLimitedWarning::default();
        let at = |seconds: u64| Moment(seconds * 1_000_000_000);
        let due: Vec<u64> = (5..200).filter(|&second| warning.take_due(at(second))).collect();
        assert_eq!(due, [5, 65, 125, 185]);
    }
}
