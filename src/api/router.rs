//! The map of the site: which path is answered by whom.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::{Request, Response, StatusCode};

use super::guard::{self, Refusal};
use super::mutes::{self, MutesEndpoint};
use super::response_cache::ResponseCache;
use super::view::{self, Capabilities};
use super::{assets, legacy, reply, v1};
use crate::enrich::GeoIp;
use crate::flow::Published;
use crate::report::Report;

/// Everything that can be asked for.
#[derive(Debug)]
pub(super) struct Router {
    /// `/capabilities`: the limits in force.
    capabilities: Arc<Published<Capabilities>>,
    report: Arc<Published<Report>>,
    geoip: Arc<Published<GeoIp>>,
    active: ResponseCache,
    all: ResponseCache,
    alerts: ResponseCache,
    possible: ResponseCache,
    mutes: Option<MutesEndpoint>,
}

impl Router {
    pub(super) fn new(
        capabilities: Arc<Published<Capabilities>>,
        report: Arc<Published<Report>>,
        geoip: Arc<Published<GeoIp>>,
    ) -> Self {
        let [active, all, alerts, possible] = Default::default();
        Self { capabilities, report, geoip, active, all, alerts, possible, mutes: None }
    }

    /// The same with a desk that takes orders about mutes.
    pub(super) fn with_mutes(self, mutes: MutesEndpoint) -> Self {
        Self { mutes: Some(mutes), ..self }
    }

    /// Answers one request, whatever it is.
    pub(super) async fn serve<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match (&self.mutes, request.uri().path().strip_prefix(mutes::PATH)) {
            (Some(mutes), Some(rest)) if rest.is_empty() || rest.starts_with('/') => {
                mutes.answer(request).await
            }
            _ => self.answer(&request).await,
        }
    }

    /// Answers a request to read. Its body is never read.
    async fn answer<B: Body>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if let Err(refusal) = guard::admit(request) {
            return reply::refusal(refusal);
        }
        let capabilities = self.capabilities.read();
        let hides_destinations = capabilities.no_destinations;
        match request.uri().path() {
            "/active" => reply::json(
                self.active.array(&self.report, &legacy::ActiveHosts { hides_destinations }).await,
            ),
            "/all" => {
                reply::json(self.all.array(&self.report, &legacy::ChartHosts { hides_destinations }).await)
            }
            "/capabilities" => reply::json(view::json(&*capabilities)),
            "/healthz" => reply::text("ok"),
            "/api/v1/alerts" => {
                let geoip = self.geoip.read();
                reply::json(self.alerts.array(&self.report, &v1::AlertsView { geoip: &geoip }).await)
            }
            "/api/v1/alerts/possible" => {
                let geoip = self.geoip.read();
                let possible = v1::PossibleAlertsView { geoip: &geoip };
                reply::json(self.possible.array(&self.report, &possible).await)
            }
            "/api/v1/sinks" => reply::json(v1::sinks(&self.report.read())),
            "/api/v1/accounting" => reply::json(v1::accounting(&self.report.read())),
            "/dashboard" => reply::redirect(StatusCode::PERMANENT_REDIRECT, "/dashboard/"),
            "/" => reply::redirect(StatusCode::TEMPORARY_REDIRECT, "/dashboard/"),
            path => match path.strip_prefix("/dashboard/") {
                Some(file) => assets::answer(file, request.headers()),
                None => reply::refusal(NOT_FOUND),
            },
        }
    }
}

const NOT_FOUND: Refusal = Refusal {
    status: StatusCode::NOT_FOUND,
    detail: "there are /active, /all, /capabilities, /healthz, /api/v1/accounting, /api/v1/alerts, /api/v1/alerts/possible, /api/v1/mutes, /api/v1/sinks and /dashboard/",
};

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http_body_util::BodyExt;
    use hyper::header::HOST;

    use crate::flow::{HostRow, PeerBytes};

    use super::*;

    /// 50,000 hosts with two destinations each.
    fn large_report() -> Report {
        let addr = |n: u32| Ipv4Addr::from_bits(0x0a00_0000 + n).into();
        let mut report = Report::default();
        report.snapshot.hosts = (0..50_000)
            .map(|n| HostRow {
                ip_bytes: 3000,
                destinations: vec![
                    PeerBytes { addr: addr(n + 1), ip_bytes: 2000 },
                    PeerBytes { addr: addr(n + 2), ip_bytes: 1000 },
                ],
                ..HostRow::silent(addr(n))
            })
            .collect();
        report
    }

    #[test]
    fn all_readers_of_a_large_report_share_one_body() {
        let capabilities = Capabilities {
            traffic_interval: 170,
            byte_limit: 1,
            no_destinations: false,
            contacted_ips_analyze: true,
            number_contacted_ips: 1,
            analyze_ports: false,
            num_contacted_ports: 1,
            port_interval: 1,
            chart_min_bytes: 1,
            excluded_interfaces: Vec::new(),
            further: Vec::new(),
        };
        let router = Router::new(
            Arc::new(Published::new(capabilities)),
            Arc::new(Published::new(large_report())),
            Arc::new(Published::new(GeoIp::default())),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let body = || {
            let request = Request::get("/all").header(HOST, "localhost").body(Full::<Bytes>::default());
            let answer = runtime.block_on(router.serve(request.expect("a request")));
            assert_eq!(answer.status(), StatusCode::OK);
            runtime.block_on(answer.into_body().collect()).expect("it is in memory").to_bytes()
        };
        let (first, second) = (body(), body());
        assert_eq!((first.as_ptr(), first.len()), (second.as_ptr(), second.len()), "the same bytes");
        let hosts: serde_json::Value = serde_json::from_slice(&first).expect("it is JSON");
        let hosts = hosts.as_array().expect("it is an array");
        assert_eq!(hosts.len(), 50_000);
        assert_eq!(hosts[7]["SourceIP"], "10.0.0.7");
        assert_eq!(hosts[7]["DestinationIP"][1]["Bytes"], 1000);
    }
}
