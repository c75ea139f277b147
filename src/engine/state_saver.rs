//! When the ledger's memory is worth writing: soon after something was said, rarely for a peak, and at the end.

use std::time::Duration;

use crate::alert::{ChangeCount, Ledger, StateFile};
use crate::time::Moment;

/// Not more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// A peak that has risen waits so long for something better.
const PEAKS_WAIT: Duration = Duration::from_secs(60);

/// Patience with a disk that does not take the last memory.
const LAST_STATE: Duration = Duration::from_millis(500);

/// Keeps the memory of a ledger in a file.
#[derive(Debug)]
pub(super) struct StateSaver {
    file: StateFile,
    kept: ChangeCount,
    kept_at: Option<Moment>,
}

impl StateSaver {
    pub(super) fn new(file: StateFile) -> Self {
        Self { file, kept: ChangeCount::default(), kept_at: None }
    }

    /// Has the memory written if it is worth it.
    pub(super) fn turn(&mut self, ledger: &Ledger, now: Moment) {
        if is_due(ledger.changes(), self.kept, self.kept_at.map(|at| now.since(at))) {
            self.keep(ledger);
            self.kept_at = Some(now);
        }
    }

    /// Writes what has changed, and waits for it a little.
    pub(super) fn finish(mut self, ledger: &Ledger) -> bool {
        if ledger.changes() != self.kept {
            self.keep(ledger);
        }
        self.file.finish(LAST_STATE)
    }

    fn keep(&mut self, ledger: &Ledger) {
        self.kept = ledger.changes();
        self.file.save(ledger.to_persisted());
    }
}

/// Whether to write now, `since` the last time.
fn is_due(now: ChangeCount, kept: ChangeCount, since: Option<Duration>) -> bool {
    let has_passed = |pause: Duration| since.is_none_or(|since| since >= pause);
    (now.transitions != kept.transitions && has_passed(PAUSE)) || (now != kept && has_passed(PEAKS_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_written_soon_and_a_peak_rarely() {
        let changes = |transitions, peaks| ChangeCount { transitions, peaks };
        let kept = changes(3, 3);
        for (now, since_ms, expected) in [
            (changes(3, 3), Some(1_000_000), false),
            (changes(4, 3), Some(999), false),
            (changes(4, 3), Some(1000), true),
            (changes(4, 3), None, true),
            (changes(3, 9), Some(59_999), false),
            (changes(3, 9), Some(60_000), true),
        ] {
            assert_eq!(
                is_due(now, kept, since_ms.map(Duration::from_millis)),
                expected,
                "{now:?} {since_ms:?}"
            );
        }
    }
}
