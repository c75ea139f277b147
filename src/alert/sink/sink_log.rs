//! What the log says of a sink: its first failure, its next delivery, and at intervals how many notices were lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::counters::{AtomicCounts, SinkName};
use super::failure::Failure;

/// Logs the first failure of a sink, its next delivery, and at intervals how many notices were lost.
pub(super) struct SinkLog {
    name: SinkName,
    counters: Arc<AtomicCounts>,
    /// Number of attempts that failed since the last delivery.
    failures: u64,
    /// When a loss was last logged, and how many notices were lost by then.
    loss_logged: Option<(Instant, u64)>,
    /// How many notices were lost before the start.
    lost_before: u64,
}

/// Minimum time between two log lines about losses.
pub(super) const LOSS_LOG_INTERVAL: Duration = Duration::from_secs(60);

impl SinkLog {
    pub(super) fn new(name: SinkName, counters: Arc<AtomicCounts>) -> Self {
        let lost_before = counters.read().lost();
        Self { name, counters, failures: 0, loss_logged: None, lost_before }
    }

    pub(super) fn attempt_failed(&mut self, failure: &Failure) {
        self.counters.health.note_failed(&failure.why);
        self.failures += 1;
        let consequence = if failure.is_passing { "; alerts wait until it works" } else { "" };
        if self.failures == 1 {
            warn!("{}: {}{consequence}", self.name, failure.why);
        }
    }

    pub(super) fn gave_up(&mut self, failure: &Failure) {
        self.counters.health.note_failed(&failure.why);
        let now = Instant::now();
        let lost = self.counters.read().lost() - self.lost_before;
        match self.loss_logged {
            Some((at, _)) if now.duration_since(at) < LOSS_LOG_INTERVAL => {}
            _ => {
                warn!("{}: {}; alerts lost so far: {lost}", self.name, failure.why);
                self.loss_logged = Some((now, lost));
            }
        }
    }

    pub(super) fn delivered(&mut self) {
        self.counters.health.note_delivered();
        if self.failures > 0 {
            info!("{}: delivers again, after {} failed attempts", self.name, self.failures);
            self.failures = 0;
        }
        let lost = self.counters.read().lost() - self.lost_before;
        let logged = self.loss_logged.map_or(0, |(_, lost)| lost);
        let is_due = self.loss_logged.is_none_or(|(at, _)| at.elapsed() >= LOSS_LOG_INTERVAL);
        if lost > logged && is_due {
            warn!("{}: alerts lost so far: {lost}", self.name);
            self.loss_logged = Some((Instant::now(), lost));
        }
    }
}
