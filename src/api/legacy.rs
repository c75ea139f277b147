//! `/active` and `/all`: the original's JSON, for programs that already read it.
//!
//! The names, their order, arrays at the top, and most bytes first within a host are as in the original. These faults
//! of the original are not: `TRAFFIC+SCANNING` for hosts without an alert, a last source that is never
//! listed, a destination that is shown although destinations are hidden, `text/plain`.

use std::collections::HashMap;

use serde::Serialize;

use super::response_cache::Elements;
use super::view::LegacyHost;
use crate::alert::AlertKind;
use crate::report::Report;

/// The hosts with an open alert, and the kinds of their alerts.
pub(super) struct ActiveHosts {
    pub(super) hides_destinations: bool,
}

/// The hosts of the chart, with the kinds of their open alerts.
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
