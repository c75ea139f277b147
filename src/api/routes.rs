//! The table of routes: every path of this server, its methods, and its endpoint.
//!
//! Dispatch, the Allow header of a 405 and the list of paths in a 404 are all derived from this table.

use hyper::{Method, StatusCode};

/// The methods of a path that can only be read.
pub(super) const READ: &[Method] = &[Method::GET, Method::HEAD];
const LIST_AND_ADD: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
const REMOVE: &[Method] = &[Method::DELETE];
const SIGN_IN_AND_OUT: &[Method] = &[Method::GET, Method::HEAD, Method::POST, Method::DELETE];

/// A path, its methods and its endpoint.
#[derive(Debug)]
pub(super) struct HttpRoute {
    /// The whole path, or the prefix that all paths of the route have.
    pub(super) path: &'static str,
    /// The methods that the path supports, in the order of the Allow header.
    pub(super) methods: &'static [Method],
    pub(super) endpoint: Endpoint,
    /// The parameters that a query may set. Only routes that [check their query](Self::checks_query) have any.
    pub(super) parameters: &'static [Parameter],
    /// True if paths below this one belong to the route as well.
    has_children: bool,
    /// True if the list in a 404 contains the path.
    is_listed: bool,
}

/// A parameter of a query, and all the values that it may have.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) values: &'static [&'static str],
}

/// What a route serves. The router matches on it without a wildcard arm, so that the compiler finds an endpoint without
/// an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// The hosts with an open alert, as in the original program.
    ActiveHosts,
    /// The hosts of the chart, as in the original program.
    ChartHosts,
    /// The limits in force.
    Capabilities,
    /// The text `ok`, for a health check.
    Health,
    /// What became of every frame.
    Accounting,
    /// The open alerts, or those in the state that the query names.
    Alerts,
    /// The open alerts that are only possible.
    PossibleAlerts,
    /// The mutes in force, and where they are added.
    Mutes,
    /// One mute, by its number.
    Mute,
    /// The limits of hosts in force, with those that are off.
    Limits,
    /// The session of the page, which begins with the token.
    Session,
    /// What each sink has delivered.
    Sinks,
    /// How the program itself is doing: whether its state is on disk, and what confines it.
    Status,
    /// A file of the dashboard.
    DashboardFile,
    /// A redirect to the dashboard, with this status.
    RedirectToDashboard(StatusCode),
}

/// The path of the list of mutes; the path of each mute is below it.
pub(super) const MUTES: &str = "/api/v1/mutes";
/// All paths of our own JSON begin with this.
const V1: &str = "/api/v1/";
/// The path of the dashboard's page; the paths of its files are below it.
pub(super) const DASHBOARD: &str = "/dashboard/";

/// The parameter of [`Endpoint::Alerts`]. Its values are the words of [`AlertState`](crate::alert::AlertState).
pub(super) const STATE: Parameter = Parameter { name: "state", values: &["open", "possible", "closed"] };

/// All routes, in the order of the list in a 404.
static ROUTES: [HttpRoute; 16] = [
    HttpRoute::exact("/active", READ, Endpoint::ActiveHosts),
    HttpRoute::exact("/all", READ, Endpoint::ChartHosts),
    HttpRoute::exact("/capabilities", READ, Endpoint::Capabilities),
    HttpRoute::exact("/healthz", READ, Endpoint::Health),
    HttpRoute::exact("/api/v1/accounting", READ, Endpoint::Accounting),
    HttpRoute::exact("/api/v1/alerts", READ, Endpoint::Alerts).with_parameters(&[STATE]),
    HttpRoute::exact("/api/v1/alerts/possible", READ, Endpoint::PossibleAlerts),
    HttpRoute::exact("/api/v1/limits", READ, Endpoint::Limits),
    HttpRoute::exact(MUTES, LIST_AND_ADD, Endpoint::Mutes),
    HttpRoute::below("/api/v1/mutes/", REMOVE, Endpoint::Mute).unlisted(),
    HttpRoute::exact("/api/v1/session", SIGN_IN_AND_OUT, Endpoint::Session),
    HttpRoute::exact("/api/v1/sinks", READ, Endpoint::Sinks),
    HttpRoute::exact("/api/v1/status", READ, Endpoint::Status),
    HttpRoute::below(DASHBOARD, READ, Endpoint::DashboardFile),
    HttpRoute::exact("/dashboard", READ, Endpoint::RedirectToDashboard(StatusCode::PERMANENT_REDIRECT))
        .unlisted(),
    HttpRoute::exact("/", READ, Endpoint::RedirectToDashboard(StatusCode::TEMPORARY_REDIRECT)).unlisted(),
];

impl HttpRoute {
    const fn exact(path: &'static str, methods: &'static [Method], endpoint: Endpoint) -> Self {
        Self { path, methods, endpoint, parameters: &[], has_children: false, is_listed: true }
    }

    const fn below(path: &'static str, methods: &'static [Method], endpoint: Endpoint) -> Self {
        Self { path, methods, endpoint, parameters: &[], has_children: true, is_listed: true }
    }

    const fn with_parameters(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    const fn unlisted(self) -> Self {
        Self { is_listed: false, ..self }
    }

    /// Returns true if a query with an unknown parameter is refused. Other routes ignore their query, as the original
    /// does.
    pub(super) fn checks_query(&self) -> bool {
        self.path.starts_with(V1)
    }

    /// Returns true if everybody who reaches the server may ask for it: what contains no data, and where the token is
    /// shown.
    pub(super) fn is_open(&self) -> bool {
        use Endpoint::{DashboardFile, Health, RedirectToDashboard, Session};
        matches!(self.endpoint, Health | Session | DashboardFile | RedirectToDashboard(_))
    }

    /// Returns the part of `path` after the path of the route, or `None` if `path` does not belong to the route.
    fn rest<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path)?;
        (rest.is_empty() || self.has_children).then_some(rest)
    }
}

/// Returns the route of `path` and the rest of `path` after the route's own; `None` if there is no such route.
pub(super) fn find(path: &str) -> Option<(&'static HttpRoute, &str)> {
    ROUTES.iter().find_map(|route| Some((route, route.rest(path)?)))
}

/// Returns the value of an Allow header with these methods.
pub(super) fn allow(methods: &[Method]) -> String {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(", ")
}

/// Returns the sentence of a 404, which names every listed path.
pub(super) fn listing() -> String {
    let mut paths: Vec<&str> =
        ROUTES.iter().filter(|route| route.is_listed).map(|route| route.path).collect();
    let last = paths.pop().unwrap_or_default();
    format!("there are {} and {last}", paths.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_dispatched_to_its_route_in_the_table() {
        for (path, expected) in [
            ("/", Some((Endpoint::RedirectToDashboard(StatusCode::TEMPORARY_REDIRECT), ""))),
            ("/active", Some((Endpoint::ActiveHosts, ""))),
            ("/active/", None),
            ("/actives", None),
            ("/api/v1/alerts", Some((Endpoint::Alerts, ""))),
            ("/api/v1/alerts/possible", Some((Endpoint::PossibleAlerts, ""))),
            ("/api/v1/mutes", Some((Endpoint::Mutes, ""))),
            ("/api/v1/mutes/", Some((Endpoint::Mute, ""))),
            ("/api/v1/mutes/7/8", Some((Endpoint::Mute, "7/8"))),
            ("/api/v1/mutesx", None),
            ("/dashboard", Some((Endpoint::RedirectToDashboard(StatusCode::PERMANENT_REDIRECT), ""))),
            ("/dashboard/", Some((Endpoint::DashboardFile, ""))),
            ("/dashboard/a/b.js", Some((Endpoint::DashboardFile, "a/b.js"))),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(find(path).map(|(route, rest)| (route.endpoint, rest)), expected, "{path}");
        }
    }

    #[test]
    fn every_route_is_found_by_its_own_path() {
        for route in &ROUTES {
            assert_eq!(
                find(route.path).map(|(found, _)| found.endpoint),
                Some(route.endpoint),
                "{}",
                route.path
            );
        }
    }

    #[test]
    fn only_what_has_no_data_is_open_to_everybody() {
        let open = ROUTES.iter().filter(|route| route.is_open()).map(|route| route.path);
        let expected = ["/healthz", "/api/v1/session", "/dashboard/", "/dashboard", "/"];
        assert_eq!(open.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_our_own_json_checks_its_query() {
        for route in &ROUTES {
            assert!(route.checks_query() || route.parameters.is_empty(), "{}", route.path);
            assert_eq!(route.checks_query(), route.path.starts_with("/api/"), "{}", route.path);
        }
    }

    /// A state that an alert may get gets a value here as well.
    #[test]
    fn the_states_are_the_words_of_alerts() {
        use crate::alert::AlertState;

        let words = [AlertState::Open, AlertState::Possible, AlertState::Closed].map(AlertState::word);
        assert_eq!(STATE.values, words);
    }

    #[test]
    fn a_404_lists_the_paths_and_an_allow_header_the_methods_of_the_table() {
        assert_eq!(
            listing(),
            "there are /active, /all, /capabilities, /healthz, /api/v1/accounting, /api/v1/alerts, \
             /api/v1/alerts/possible, /api/v1/limits, /api/v1/mutes, /api/v1/session, /api/v1/sinks, /api/v1/status and \
             /dashboard/"
        );
        assert_eq!(allow(READ), "GET, HEAD");
        assert_eq!(allow(LIST_AND_ADD), "GET, HEAD, POST");
    }
}
