//! Finds the route of a request and answers it.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Body, Bytes};
use hyper::{HeaderMap, Request, Response, StatusCode};

use super::access::{self, Access};
use super::body::BodyLimits;
use super::bounds::Bounds;
use super::client::{Client, Rank};
use super::etag::{self, ClosedTag};
use super::guard::Caller;
use super::limits::LimitsView;
use super::mutes::{self, MutesEndpoint};
use super::reply::Reply;
use super::response_cache::ResponseCache;
use super::routes::{self, DASHBOARD, Endpoint, HttpRoute, READ, STATE};
use super::socket_owner::OwnersStatus;
use super::view::{self, Capabilities};
use super::{assets, guard, legacy, query, reply, session_endpoint, v1};
use crate::enrich::GeoIp;
use crate::flow::Published;
use crate::report::Report;
use crate::store::StateWriter;

/// Answers requests from the current report, limits, databases and mutes.
#[derive(Debug)]
pub(super) struct Router {
    /// The limits in force.
    capabilities: Arc<Published<Capabilities>>,
    report: Arc<Published<Report>>,
    geoip: Arc<Published<GeoIp>>,
    active: ResponseCache,
    all: ResponseCache,
    alerts: ResponseCache,
    certain: ResponseCache,
    possible: ResponseCache,
    closed: ResponseCache,
    closed_tag: ClosedTag,
    /// `None` for a server without mutes, as in tests.
    mutes: Option<MutesEndpoint>,
    access: Arc<Access>,
    body_limits: BodyLimits,
    /// `None` without a state directory.
    state: Option<StateWriter>,
    owners: OwnersStatus,
}

impl Router {
    pub(super) fn new(
        capabilities: Arc<Published<Capabilities>>,
        report: Arc<Published<Report>>,
        geoip: Arc<Published<GeoIp>>,
        access: Arc<Access>,
        bounds: &Bounds,
    ) -> Self {
        let [active, all, alerts, certain, possible, closed] = Default::default();
        let closed_tag = ClosedTag::default();
        Self {
            capabilities,
            report,
            geoip,
            active,
            all,
            alerts,
            certain,
            possible,
            closed,
            closed_tag,
            mutes: None,
            access,
            body_limits: BodyLimits::new(bounds),
            state: None,
            owners: OwnersStatus::default(),
        }
    }

    /// Adds the endpoint of mutes. Without it, requests for their paths get a 404.
    pub(super) fn with_mutes(self, mutes: MutesEndpoint) -> Self {
        Self { mutes: Some(mutes), ..self }
    }

    /// Adds the database of the state, which the status shows.
    pub(super) fn with_state(self, state: Option<StateWriter>) -> Self {
        Self { state, ..self }
    }

    /// Adds whether the kernel names the users of loopback connections, which the status shows.
    pub(super) fn with_owners(self, owners: OwnersStatus) -> Self {
        Self { owners, ..self }
    }

    /// Returns how a client ranks when connections are short.
    pub(super) fn rank(&self, client: &Client) -> Rank {
        self.access.rank(client)
    }

    /// Answers any request. The body of a request that only reads (GET, HEAD) is not received.
    pub(super) async fn serve<B>(&self, request: Request<B>, caller: &Caller) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let found = routes::find(request.uri().path());
        // Somebody without the token does not learn either which paths there are.
        let is_open = found.is_some_and(|(route, _)| route.is_open());
        if !is_open && !access::reads_freely(&caller.client, request.headers()) {
            if let Err(refusal) = guard::check_address(&request, caller) {
                return reply::refusal(refusal);
            }
            if let Err(denial) = self.access.check_read(&caller.client, request.headers()) {
                return denial.reply();
            }
        }
        let Some((route, rest)) = found else { return not_found(&request, caller) };
        if route.methods == READ
            && let Err(refusal) = guard::admit(&request, caller)
        {
            return reply::refusal(refusal);
        }
        let query = match read_query(route, &request, caller) {
            Ok(query) => query,
            Err(refusal) => return *refusal,
        };
        match route.endpoint {
            Endpoint::ActiveHosts => {
                let hides_destinations = self.capabilities.read().no_destinations;
                let hosts = legacy::ActiveHosts { hides_destinations };
                reply::json(self.active.array(&self.report, &hosts).await)
            }
            Endpoint::ChartHosts => {
                let hides_destinations = self.capabilities.read().no_destinations;
                reply::json(self.all.array(&self.report, &legacy::ChartHosts { hides_destinations }).await)
            }
            Endpoint::Capabilities => reply::json(view::json(&*self.capabilities.read())),
            Endpoint::Health => reply::text("ok"),
            Endpoint::Accounting => reply::json(v1::accounting(&self.report.read())),
            Endpoint::Alerts => match query.of(STATE.name) {
                None => {
                    let geoip = self.geoip.read();
                    reply::json(self.alerts.array(&self.report, &v1::AlertsView { geoip: &geoip }).await)
                }
                Some("open") => {
                    let geoip = self.geoip.read();
                    let certain = v1::CertainAlertsView { geoip: &geoip };
                    reply::json(self.certain.array(&self.report, &certain).await)
                }
                Some("possible") => self.possible_alerts().await,
                Some(_) => self.closed_alerts(request.headers()).await,
            },
            Endpoint::PossibleAlerts => self.possible_alerts().await,
            Endpoint::Limits => reply::json(view::json(&LimitsView::of(&self.capabilities.read()))),
            Endpoint::Mutes => match &self.mutes {
                Some(mutes) => mutes.answer_list(request, caller, &self.access, route.methods).await,
                None => not_found(&request, caller),
            },
            Endpoint::Mute => match &self.mutes {
                Some(mutes) => {
                    let id = mutes::id(rest);
                    mutes.answer_one(&request, caller, &self.access, id, route.methods).await
                }
                None => not_found(&request, caller),
            },
            Endpoint::Status => reply::json(v1::status(self.state.as_ref(), self.owners.error())),
            Endpoint::Session => {
                session_endpoint::answer(request, caller, &self.access, &self.body_limits, route.methods)
                    .await
            }
            Endpoint::Sinks => reply::json(v1::sinks(&self.report.read())),
            Endpoint::DashboardFile => assets::answer(rest, request.headers()),
            Endpoint::RedirectToDashboard(status) => reply::redirect(status, DASHBOARD),
        }
    }

    /// Answers a request of a client that got no place: for the health of the program, or with a 503.
    pub(super) fn serve_without_a_place<B: Body>(&self, request: &Request<B>, caller: &Caller) -> Reply {
        let found = routes::find(request.uri().path()).map(|(route, _)| route.endpoint);
        match (guard::admit(request, caller), found) {
            (Err(refusal), _) => reply::refusal(refusal),
            (Ok(()), Some(Endpoint::Health)) => reply::text("ok"),
            (Ok(()), _) => reply::problem(StatusCode::SERVICE_UNAVAILABLE, "too many connections at once"),
        }
    }

    async fn possible_alerts(&self) -> Reply {
        let geoip = self.geoip.read();
        let possible = v1::PossibleAlertsView { geoip: &geoip };
        reply::json(self.possible.array(&self.report, &possible).await)
    }

    /// Answers with the closed alerts, or with a 304 if the client has them already: they may take some megabytes, and
    /// change seldom.
    async fn closed_alerts(&self, headers: &HeaderMap) -> Reply {
        let geoip = self.geoip.read();
        // The body may be newer than its tag, which is made first; the client then gets it again.
        let etag = self.closed_tag.of(&self.report.read().closed, &geoip);
        if etag::is_known(headers, &etag) {
            return reply::not_modified(reply::tagged(etag, Bytes::new()));
        }
        let closed = v1::ClosedAlertsView { geoip: &geoip };
        match self.closed.array_and_whether_current(&self.report, &closed).await {
            (body, true) => reply::tagged(etag, body),
            (earlier, false) => reply::json(earlier),
        }
    }
}

/// Reads the query of a request, if its route checks it.
///
/// # Errors
/// The answer to a request that is not for this server, or whose query its route does not have.
fn read_query<B>(
    route: &HttpRoute,
    request: &Request<B>,
    caller: &Caller,
) -> Result<query::QueryValues, Box<Reply>> {
    if !route.checks_query() {
        return Ok(query::QueryValues::default());
    }
    guard::check_address(request, caller).map_err(|refusal| Box::new(reply::refusal(refusal)))?;
    query::read(route.path, route.parameters, request.uri().query())
        .map_err(|detail| Box::new(reply::problem(StatusCode::BAD_REQUEST, &detail)))
}

/// Answers a request whose path has no route: with a 404, or with the refusal of [`guard::admit`] if it is not a valid
/// request to read.
fn not_found<B: Body>(request: &Request<B>, caller: &Caller) -> Reply {
    match guard::admit(request, caller) {
        Ok(()) => reply::not_found(&routes::listing()),
        Err(refusal) => reply::refusal(refusal),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http_body_util::BodyExt;
    use hyper::StatusCode;
    use hyper::header::HOST;

    use crate::flow::{HostRow, PeerBytes};

    use super::*;
    use crate::api::client::Client;
    use crate::api::guard::HostNames;
    use crate::api::users::AllowedUsers;

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
        let router = Router::new(
            Arc::new(Published::new(Capabilities::sample())),
            Arc::new(Published::new(large_report())),
            Arc::new(Published::new(GeoIp::default())),
            Arc::new(Access::new(None, AllowedUsers::default(), None)),
            &Bounds::default(),
        );
        let client = Client::Network { addr: Ipv4Addr::LOCALHOST.into(), uid: None };
        let caller = Caller { client, names: HostNames::Loopback };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let body = || {
            let request = Request::get("/all").header(HOST, "localhost").body(Full::<Bytes>::default());
            let answer = runtime.block_on(router.serve(request.expect("a request"), &caller));
            assert_eq!(answer.status(), StatusCode::OK);
            runtime.block_on(answer.into_body().collect()).expect("it is in memory").to_bytes()
        };
        let (first, second) = (body(), body());
        assert_eq!(
            (first.as_ptr(), first.len()),
            (second.as_ptr(), second.len()),
            "both requests get the same allocation"
        );
        let hosts: serde_json::Value = serde_json::from_slice(&first).expect("it is JSON");
        let hosts = hosts.as_array().expect("it is an array");
        assert_eq!(hosts.len(), 50_000);
        assert_eq!(hosts[7]["SourceIP"], "10.0.0.7");
        assert_eq!(hosts[7]["DestinationIP"][1]["Bytes"], 1000);
    }
}
