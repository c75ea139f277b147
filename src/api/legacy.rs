//! `/active` and `/all`: the original's JSON, for programs that already read it.
//!
//! As in the original are the names and their order, the array as the outermost value, and the order of a host's
//! destinations by bytes, largest first. These faults of the original are mended: it gave `TRAFFIC+SCANNING` to hosts
//! without an alert, never listed the last source, showed a destination although destinations were hidden, and sent
//! `text/plain`.

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
