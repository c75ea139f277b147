//! The result of a replay.

use crate::alert::Alert;
use crate::capture::{CaptureReport, ReplayError};
use crate::flow::{Accounting, Window};

/// The totals of captures, and the alerts that the same traffic would have raised live.
#[derive(Debug)]
pub struct Replayed {
    /// Sums over everything in the captures.
    pub accounting: Accounting,
    /// Everything in the captures, host by host and pair by pair without expiry; `None` from
    /// [`replay_alerts`](super::replay_alerts).
    pub totals: Option<Window>,
    /// The alerts in the order in which they opened. Those that were open at the end do not have a `closed_at`.
    pub alerts: Vec<Alert>,
    /// What is known of each capture that was read, besides its frames.
    pub captures: Vec<CaptureReport>,
    /// The error at which reading stopped; `None` if there was none. All frames before it were counted; captures after
    /// it were not read.
    pub broken: Option<ReplayError>,
}
