//! `/api/v1`: our own JSON.

use hyper::body::Bytes;

use super::accounting::Accounting;
use super::sinks::Sink;
use super::view;
use crate::alert::{self, Origins, Report, State};

/// `/api/v1/accounting`: where every frame went since the start.
pub(super) fn accounting(report: &Report) -> Bytes {
    view::json(&Accounting::of(report))
}

/// `/api/v1/sinks`: the log first.
pub(super) fn sinks(report: &Report) -> Bytes {
    view::json_array(report.sinks.iter().map(Sink::of))
}

/// `/api/v1/alerts`: the open alerts, the oldest first, muted ones marked as such.
pub(super) fn alerts(report: &Report, origins: &Origins) -> Bytes {
    view::json_array(report.alerts.iter().map(|alert| alert::json_with_origin(alert, State::Open, origins)))
}
