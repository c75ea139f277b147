//! `/active` and `/all`: the original's JSON, for whatever already reads it.
//!
//! Kept from the original: the names, their order, arrays at the top, most bytes first within a host. Not kept,
//! because they were wrong: `TRAFFIC+SCANNING` for hosts without an alert, a last source that is never
//! listed, a destination that is shown although destinations are hidden, `text/plain`.

use std::collections::HashMap;

use serde::Serialize;

use super::response_cache::Elements;
use super::view::LegacyHost;
use crate::alert::AlertKind;
use crate::report::Report;

/// Hosts with an open alert, and which.
pub(super) struct ActiveHosts {
    pub(super) hides_destinations: bool,
}

/// Hosts on the chart, with the alerts that are open for them.
pub(super) struct ChartHosts {
    pub(super) hides_destinations: bool,
}

impl Elements for ActiveHosts {
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
        report.active.iter().map(|host| LegacyHost::of(host.row.view(), &host.kinds, self.hides_destinations))
    }
}

impl Elements for ChartHosts {
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
        let kinds: HashMap<_, &[AlertKind]> =
            report.active.iter().map(|host| (host.row.addr, host.kinds.as_slice())).collect();
        report.snapshot.hosts.iter().map(move |row| {
            let kinds = kinds.get(&row.addr).copied().unwrap_or_default();
            LegacyHost::of(row, kinds, self.hides_destinations)
        })
    }
}
