//! `/active` and `/all`: the original's JSON, for whatever already reads it.
//!
//! Kept from the original: the names, their order, arrays at the top, most bytes first within a host. Not kept,
//! because they were wrong: `TRAFFIC+SCANNING` for hosts without an alert, a last source that is never
//! listed, a destination that is shown although destinations are hidden, `text/plain`.

use std::collections::HashMap;

use hyper::body::Bytes;

use super::view::{self, LegacyHost};
use crate::alert::{AlertKind, Report};

/// Hosts with an open alert, and which.
pub(super) fn active(report: &Report, hide_destinations: bool) -> Bytes {
    view::json_array(
        report.active.iter().map(|host| LegacyHost::of(&host.row, &host.kinds, hide_destinations)),
    )
}

/// Hosts on the chart, with the alerts that are open for them.
pub(super) fn all(report: &Report, hide_destinations: bool) -> Bytes {
    let kinds: HashMap<_, &[AlertKind]> =
        report.active.iter().map(|host| (host.row.addr, host.kinds.as_slice())).collect();
    view::json_array(
        report.snapshot.hosts.iter().map(|row| {
            LegacyHost::of(row, kinds.get(&row.addr).copied().unwrap_or_default(), hide_destinations)
        }),
    )
}
