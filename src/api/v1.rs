//! `/api/v1`: the JSON that the original program does not have.

use std::sync::Arc;

use hyper::body::Bytes;
use serde::Serialize;

use super::accounting::AccountingView;
use super::confinement::ConfinementView;
use super::response_cache::Elements;
use super::sinks::SinkView;
use super::view;
use crate::alert::{self, Alert, AlertState};
use crate::enrich::GeoIp;
use crate::report::Report;
use crate::store::{StateStatus, StateWriter};

/// Returns the body of `/api/v1/accounting`.
pub(super) fn accounting(report: &Report) -> Bytes {
    view::json(&AccountingView::of(report))
}

/// Returns the body of `/api/v1/sinks`, the log first.
pub(super) fn sinks(report: &Report) -> Bytes {
    view::json_array(report.sinks.iter().map(|sink| SinkView::of(sink, &report.sink_health)))
}

/// The body of `/api/v1/status`.
#[derive(Serialize)]
struct StatusView {
    state: StateView,
    confinement: ConfinementView,
    clients: ClientsView,
}

/// Whether the kernel says which user of this host a loopback connection belongs to.
#[derive(Serialize)]
struct ClientsView {
    users_known: bool,
    /// Why not.
    error: Option<String>,
}

/// Whether alerts, mutes and waiting notices are on disk.
#[derive(Serialize)]
struct StateView {
    /// `null` without a state directory.
    directory: Option<String>,
    durable: bool,
    waiting_changes: usize,
    error: Option<String>,
}

/// Returns the body of `/api/v1/status`. `state` is `None` without a state directory, and `owners_error` is `None`
/// while the kernel names the users of loopback connections.
pub(super) fn status(state: Option<&StateWriter>, owners_error: Option<&str>) -> Bytes {
    let view = match state.map(StateWriter::status) {
        Some(StateStatus { directory, is_durable, waiting_changes, error }) => StateView {
            directory: Some(directory.to_string_lossy().into_owned()),
            durable: is_durable,
            waiting_changes,
            error,
        },
        None => StateView { directory: None, durable: false, waiting_changes: 0, error: None },
    };
    let clients = ClientsView { users_known: owners_error.is_none(), error: owners_error.map(str::to_owned) };
    view::json(&StatusView { state: view, confinement: ConfinementView::now(), clients })
}

/// `/api/v1/alerts`: the open alerts, certain and possible ones, the oldest first. Muted alerts are included and marked
/// as muted.
pub(super) struct AlertsView<'o> {
    pub(super) geoip: &'o Arc<GeoIp>,
}

/// `/api/v1/alerts?state=open`: the open alerts that are certain.
pub(super) struct CertainAlertsView<'o> {
    pub(super) geoip: &'o Arc<GeoIp>,
}

/// `/api/v1/alerts?state=possible` and `/api/v1/alerts/possible`: the open alerts that are possible but not certain.
/// The lists of the original program (`/active`, `/all`) do not contain them.
pub(super) struct PossibleAlertsView<'o> {
    pub(super) geoip: &'o Arc<GeoIp>,
}

/// `/api/v1/alerts?state=closed`: the alerts that closed within the last day, the newest first.
pub(super) struct ClosedAlertsView<'o> {
    pub(super) geoip: &'o Arc<GeoIp>,
}

impl Elements for AlertsView<'_> {
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
        report.alerts.iter().map(|alert| json(alert, self.geoip))
    }

    fn geoip(&self) -> Option<&Arc<GeoIp>> {
        Some(self.geoip)
    }
}

impl Elements for CertainAlertsView<'_> {
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
        report.alerts.iter().filter(|alert| !alert.progress.is_possible).map(|alert| json(alert, self.geoip))
    }

    fn geoip(&self) -> Option<&Arc<GeoIp>> {
        Some(self.geoip)
    }
}

impl Elements for ClosedAlertsView<'_> {
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
        report.closed.iter().map(|alert| json(alert, self.geoip))
    }

    fn geoip(&self) -> Option<&Arc<GeoIp>> {
        Some(self.geoip)
    }
}

impl Elements for PossibleAlertsView<'_> {
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
        report.alerts.iter().filter(|alert| alert.progress.is_possible).map(|alert| json(alert, self.geoip))
    }

    fn geoip(&self) -> Option<&Arc<GeoIp>> {
        Some(self.geoip)
    }
}

fn json<'a>(alert: &'a Alert, geoip: &'a GeoIp) -> impl Serialize + Send {
    alert::json_with_origin(alert, AlertState::of(alert), geoip)
}
