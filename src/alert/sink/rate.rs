//! How many notices a sink gets one by one: the limit, and the window that it applies to.

use std::time::Duration;

use crate::time::Moment;

use super::waiting::REMOTE_QUEUE_MAX;

/// Maximum number of notices a minute: half of the queue of a sink.
#[allow(clippy::cast_possible_truncation, reason = "a queue is short")]
pub const ALERT_RATE_MAX: u32 = REMOTE_QUEUE_MAX as u32 / 2;

/// The number of notices that a sink gets one by one within a window. Those beyond it become one summary when the
/// window is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlertRate {
    /// Number of notices that are delivered one by one.
    pub max: u32,
    /// Length of the window.
    pub within: Duration,
}

impl AlertRate {
    /// Creates a rate of `max` notices a minute.
    pub fn per_minute(max: u32) -> Self {
        Self { max, within: Duration::from_secs(60) }
    }
}

/// The window of one sink. It begins with the first delivery after a quiet time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RateWindow {
    /// When it began; `None` if none is in progress.
    began: Option<Moment>,
    /// Number of notices that were delivered or given up in it. A summary does not count.
    used: u32,
}

impl RateWindow {
    /// Notes that a delivery is over, of so many notices that count. It begins a window if none is in progress. A
    /// window whose time is over counts them as well, since what waited at its end is yet to be looked at.
    pub(super) fn note_done(&mut self, now: Moment, notices: usize) {
        self.began.get_or_insert(now);
        self.used = self.used.saturating_add(u32::try_from(notices).unwrap_or(u32::MAX));
    }

    /// Returns when the window ends; `None` if none is in progress.
    pub(super) fn ends_at(&self, rate: AlertRate) -> Option<Moment> {
        self.began.map(|began| began.plus(rate.within))
    }

    /// Returns how many more notices the window takes.
    pub(super) fn left(&self, rate: AlertRate) -> usize {
        rate.max.saturating_sub(self.used) as usize
    }

    /// Ends the window.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }
}
