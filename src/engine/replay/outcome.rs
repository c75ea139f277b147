//! The result of a replay.

use crate::alert::Alert;
use crate::capture::ReplayError;
use crate::flow::{Accounting, Window};

/// What captures hold, and the alerts that live traffic like it would have raised.
#[derive(Debug)]
pub struct Replayed {
    /// Sums over everything in the captures.
    pub accounting: Accounting,
    /// Everything in the captures, host by host and pair by pair without expiry; `None` from
    /// [`replay_alerts`](super::replay_alerts).
    pub totals: Option<Window>,
    /// The alerts in the order in which they opened; those that were open at the end have no end.
    pub alerts: Vec<Alert>,
    /// Where a capture broke off. Everything before was counted; the captures after it were not read.
    pub broken: Option<ReplayError>,
}
