//! Whether a sink delivers, and the last error of its attempts. The thread of the sink writes it and any thread reads
//! it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::time::{UnixNanos, unix_now};

/// What a sink does at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkHealth {
    /// When the first of its latest attempts failed; `None` if the last attempt delivered, or if there was none.
    pub failing_since: Option<UnixNanos>,
    /// The last error since the start, and when it was.
    pub last_error: Option<(UnixNanos, String)>,
    /// True while it has notices and holds them back until its minute of `AlertRate` is over.
    pub is_holding: bool,
}

/// The health of one sink, as its thread knows it.
#[derive(Debug, Default)]
pub(super) struct SharedHealth {
    state: Mutex<HealthState>,
}

#[derive(Debug, Default)]
struct HealthState {
    failing_since: Option<UnixNanos>,
    last_error: Option<(UnixNanos, String)>,
    is_rated: bool,
    is_delivering: bool,
}

impl SharedHealth {
    /// Notes that an attempt has failed; `why` contains no secret.
    pub(super) fn note_failed(&self, why: &str) {
        let now = unix_now();
        let mut state = self.lock();
        state.failing_since.get_or_insert(now);
        state.last_error = Some((now, why.to_owned()));
    }

    /// Notes that an attempt has delivered.
    pub(super) fn note_delivered(&self) {
        self.lock().failing_since = None;
    }

    /// Notes whether the sink has an `AlertRate`.
    pub(super) fn set_rated(&self, is_rated: bool) {
        self.lock().is_rated = is_rated;
    }

    /// Notes whether the thread has taken notices out of the queue and is not done with them.
    pub(super) fn set_delivering(&self, is_delivering: bool) {
        self.lock().is_delivering = is_delivering;
    }

    /// Returns the health of the sink, for which this number of notices waits.
    pub(super) fn read(&self, waiting: u64) -> SinkHealth {
        let state = self.lock();
        SinkHealth {
            failing_since: state.failing_since,
            last_error: state.last_error.clone(),
            is_holding: state.is_rated && !state.is_delivering && waiting > 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HealthState> {
        // A panic of another thread ends the process.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_fails_from_its_first_failure_until_it_delivers_and_keeps_its_last_error() {
        let health = SharedHealth::default();
        assert_eq!(health.read(1), SinkHealth::default(), "without AlertRate it is about to deliver");
        health.note_failed("first");
        let since = health.read(0).failing_since.expect("it failed");
        health.note_failed("second");
        let failing = health.read(0);
        let (at, why) = failing.last_error.clone().expect("it failed");
        assert_eq!((failing.failing_since, why.as_str()), (Some(since), "second"));
        assert!(at >= since);
        health.note_delivered();
        assert_eq!(health.read(0), SinkHealth { failing_since: None, ..failing });
    }

    #[test]
    fn a_sink_with_a_rate_holds_what_waits_and_is_not_being_delivered() {
        let health = SharedHealth::default();
        health.set_rated(true);
        assert!(health.read(1).is_holding && !health.read(0).is_holding);
        health.set_delivering(true);
        assert!(!health.read(1).is_holding);
    }
}
