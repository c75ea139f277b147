//! `/api/v1`: our own JSON.

use hyper::body::Bytes;

use super::accounting::Accounting;
use super::view;
use crate::alert::Report;

/// `/api/v1/accounting`: where every frame went since the start.
pub(super) fn accounting(report: &Report) -> Bytes {
    view::json(&Accounting::of(report))
}
