//! Decides when the ledger is saved: soon after a notice, rarely if only a peak has risen, and at the end.

use std::time::Duration;

use crate::alert::{ChangeCount, Ledger, StateFile};
use crate::time::Moment;

/// The shortest time between two saves.
const SAVE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The shortest time between two saves when only peaks have risen.
const PEAK_SAVE_INTERVAL_MIN: Duration = Duration::from_secs(60);

/// How long [`StateSaver::finish`] waits until the last state is written.
const LAST_STATE_TIMEOUT: Duration = Duration::from_millis(500);

/// Saves a ledger to a file.
#[derive(Debug)]
pub(super) struct StateSaver {
    file: StateFile,
    /// The number of changes that the last save contains.
    saved: ChangeCount,
    saved_at: Option<Moment>,
}

impl StateSaver {
    pub(super) fn new(file: StateFile) -> Self {
        Self { file, saved: ChangeCount::default(), saved_at: None }
    }

    /// Saves the ledger if a save is due at `now`.
    pub(super) fn save_if_due(&mut self, ledger: &Ledger, now: Moment) {
        if is_due(ledger.changes(), self.saved, self.saved_at.map(|at| now.since(at))) {
            self.save(ledger);
            self.saved_at = Some(now);
        }
    }

    /// Saves the last changes. Returns true if they were written within [`LAST_STATE_TIMEOUT`].
    pub(super) fn finish(mut self, ledger: &Ledger) -> bool {
        if ledger.changes() != self.saved {
            self.save(ledger);
        }
        self.file.finish(LAST_STATE_TIMEOUT)
    }

    fn save(&mut self, ledger: &Ledger) {
        self.saved = ledger.changes();
        self.file.save(ledger.to_persisted());
    }
}

/// Returns true if a save is due. `since` is the time since the last save; `None` if there was none.
fn is_due(now: ChangeCount, saved: ChangeCount, since: Option<Duration>) -> bool {
    let has_passed = |pause: Duration| since.is_none_or(|since| since >= pause);
    (now.transitions != saved.transitions && has_passed(SAVE_INTERVAL_MIN))
        || (now != saved && has_passed(PEAK_SAVE_INTERVAL_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_saved_soon_and_a_peak_rarely() {
        let changes = |transitions, peaks| ChangeCount { transitions, peaks };
        let saved = changes(3, 3);
        for (now, since_ms, expected) in [
            (changes(3, 3), Some(1_000_000), false),
            (changes(4, 3), Some(999), false),
            (changes(4, 3), Some(1000), true),
            (changes(4, 3), None, true),
            (changes(3, 9), Some(59_999), false),
            (changes(3, 9), Some(60_000), true),
        ] {
            assert_eq!(
                is_due(now, saved, since_ms.map(Duration::from_millis)),
                expected,
                "{now:?} {since_ms:?}"
            );
        }
    }
}
