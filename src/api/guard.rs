//! The checks of a request that do not depend on its path: target form, Host header, origin, method, body.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hyper::body::Body;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Request, StatusCode, Uri};

use super::client::Client;
use super::routes::READ;

/// Who sends the requests of a connection, and by which names he may call this server.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) client: Client,
    pub(super) names: HostNames,
}

/// The names in a `Host` header that this server answers to.
///
/// The owner of a web page can let a name of his own resolve to an address of this server. A browser then treats this
/// server as that page's own (DNS rebinding), but sends that name in `Host`, so the name is checked here. Nobody can
/// do that with an address in place of a name.
#[derive(Clone, Debug)]
pub(super) enum HostNames {
    /// `localhost` and loopback addresses: the server listens on loopback.
    Loopback,
    /// Those, any address, and the name of this machine: others can reach the server.
    Addresses {
        /// The name of this machine; empty if it has none.
        machine: Arc<str>,
    },
    /// Any name: a browser reaches the Unix socket only through a proxy, and what a proxy forwards needs the token.
    Any,
}

impl HostNames {
    /// Returns true if `text`, an authority as in a `Host` header, names this server with any port or none. The port
    /// is not checked, because an SSH tunnel changes it.
    fn contain(&self, text: &str) -> bool {
        match text.rsplit_once(':') {
            // The colons of a bare `[::1]` are inside the brackets.
            Some((name, port)) if !port.ends_with(']') => is_port(port) && self.contain_name(name),
            _ => self.contain_name(text),
        }
    }

    fn contain_name(&self, name: &str) -> bool {
        match self {
            Self::Loopback => is_loopback_name(name),
            Self::Addresses { machine } => {
                is_loopback_name(name) || is_address(name) || is_name_of(machine, name)
            }
            Self::Any => true,
        }
    }

    fn misdirected(&self) -> Refusal {
        let detail = match self {
            Self::Loopback => "this server answers to localhost, 127.0.0.1 and [::1] alone",
            Self::Addresses { .. } | Self::Any => {
                "this server answers to its addresses, localhost and the name of its machine alone"
            }
        };
        Refusal { status: StatusCode::MISDIRECTED_REQUEST, detail }
    }
}

/// An error that answers a request: its status and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// One sentence for the client: what is wrong, and what is right.
    pub(super) detail: &'static str,
}

/// Checks that the request is addressed to this server.
pub(super) fn check_address<B>(request: &Request<B>, caller: &Caller) -> Result<(), Refusal> {
    check_target(request.method(), request.uri(), &caller.names)?;
    check_host(request.headers(), &caller.names)
}

/// Checks that the request does not come from another web page: changes are accepted only from this server's own page
/// and from non-browser clients. A browser sends the origin of the page (`Sec-Fetch-Site`, Fetch Metadata; `Origin`,
/// RFC 6454), and the page cannot change these headers. Other clients send neither header. The scheme of the origin is
/// `https` if a proxy with TLS passes the request on.
pub(super) fn check_same_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    // `none` means that the user himself made the request, as by typing the address.
    let is_same_origin_or_user = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !headers.get_all("sec-fetch-site").iter().all(is_same_origin_or_user) {
        return Err(CROSS_ORIGIN);
    }
    let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let origin_matches_host = |origin: &HeaderValue| {
        let origin = origin.as_bytes();
        origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://")) == Some(host)
    };
    if headers.get_all(ORIGIN).iter().all(origin_matches_host) { Ok(()) } else { Err(CROSS_ORIGIN) }
}

/// Checks a request that only reads: its address, its method, and that it has no body.
pub(super) fn admit<B: Body>(request: &Request<B>, caller: &Caller) -> Result<(), Refusal> {
    check_address(request, caller)?;
    if !READ.contains(request.method()) {
        return Err(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            detail: "this server is only read: GET or HEAD",
        });
    }
    check_no_body(request)
}

/// Checks that a request has no body.
pub(super) fn check_no_body<B: Body>(request: &Request<B>) -> Result<(), Refusal> {
    if request.body().is_end_stream() {
        return Ok(());
    }
    Err(Refusal {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        detail: "no request here has a body: leave out Content-Length and Transfer-Encoding",
    })
}

/// Accepts a target in origin form, or in absolute form, which a server must understand (RFC 9112, 3.2). The other two
/// forms belong to the methods CONNECT and OPTIONS, which are refused later with a 405.
fn check_target(method: &Method, uri: &Uri, names: &HostNames) -> Result<(), Refusal> {
    if *method == Method::CONNECT || *method == Method::OPTIONS {
        return Ok(());
    }
    // An authority without a scheme is the authority form (`host:port`), which only CONNECT may use (RFC 9112, 3.2.3).
    if !uri.path().starts_with('/') || (uri.authority().is_some() && uri.scheme().is_none()) {
        return Err(Refusal {
            status: StatusCode::BAD_REQUEST,
            detail: "a request target begins with a slash",
        });
    }
    match uri.authority() {
        Some(named) if uri.scheme_str() != Some("http") || !names.contain(named.as_str()) => {
            Err(names.misdirected())
        }
        _ => Ok(()),
    }
}

fn check_host(headers: &HeaderMap, names: &HostNames) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal { status: StatusCode::BAD_REQUEST, detail: "a request has one Host header" });
    };
    match host.to_str() {
        Ok(host) if names.contain(host) => Ok(()),
        Ok(_) => Err(names.misdirected()),
        Err(_) => Err(Refusal { status: StatusCode::BAD_REQUEST, detail: "the Host header is not ASCII" }),
    }
}

/// Returns true if `text` is a port number. `u16::from_str` alone would accept `+80`.
fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn is_loopback_name(name: &str) -> bool {
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse().is_ok_and(|addr: Ipv6Addr| addr.is_loopback()),
        None => name.parse().is_ok_and(|addr: Ipv4Addr| addr.is_loopback()),
    }
}

/// Returns true for an IPv4 address, and for an IPv6 address in brackets.
fn is_address(name: &str) -> bool {
    match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Returns true if `name` is the name of the machine, or the first label of it.
fn is_name_of(machine: &str, name: &str) -> bool {
    let short = machine.split('.').next().unwrap_or_default();
    !name.is_empty() && (name.eq_ignore_ascii_case(machine) || name.eq_ignore_ascii_case(short))
}

const CROSS_ORIGIN: Refusal = Refusal {
    status: StatusCode::FORBIDDEN,
    detail: "orders are taken from this server's own page and from programs, not from other web pages",
};

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};
    use hyper::body::Bytes;

    use super::*;

    fn caller() -> Caller {
        let client = Client::Network { addr: Ipv4Addr::LOCALHOST.into(), uid: None };
        Caller { client, names: HostNames::Loopback }
    }

    #[test]
    fn a_server_for_others_is_named_by_addresses_and_by_its_machine() {
        let names = HostNames::Addresses { machine: "gw1.example.net".into() };
        for ours in
            ["10.0.0.1:8698", "[fd00::1]:8698", "localhost", "gw1:8698", "GW1.example.net", "127.0.0.1"]
        {
            assert!(names.contain(ours), "{ours}");
        }
        for other in
            ["", "example.net", "gw1.example.net.evil.example", "gw2", "10.0.0.1.evil.example", "fd00::1:1"]
        {
            assert!(!names.contain(other), "{other}");
        }
        assert!(!HostNames::Addresses { machine: "".into() }.contain(""));
    }

    #[test]
    fn only_loopback_names_name_this_server() {
        for ours in [
            "localhost:8698",
            "LocalHost:9000",
            "127.0.0.1:8698",
            "127.8.9.1",
            "[::1]:8698",
            "[::1]",
            "localhost",
        ] {
            assert!(HostNames::Loopback.contain(ours), "{ours}");
        }
        for other in [
            "",
            ":8698",
            "localhost:",
            "localhost:+8698",
            "localhost:08698x",
            "localhost:88698",
            "127.0.0.1.evil.example:8698",
            "evil.example:8698",
            "localhost.evil.example:8698",
            "10.0.0.1:8698",
            "0.0.0.0:8698",
            "[::]:8698",
            "[fe80::1]:8698",
            "[127.0.0.1]:8698",
            "::1:8698",
            "user@localhost:8698",
            "localhost:8698:8698",
            "2130706433:8698",
        ] {
            assert!(!HostNames::Loopback.contain(other), "{other}");
        }
    }

    #[test]
    fn requests_are_admitted_or_refused_for_the_right_reason() {
        let cases: &[(&str, &str, &[&str], u16)] = &[
            ("GET", "/active", &["localhost:8698"], 200),
            ("HEAD", "/", &["[::1]:8698"], 200),
            ("GET", "http://127.0.0.1:8698/all", &["localhost:8698"], 200),
            ("GET", "/active", &[], 400),
            ("GET", "/active", &["localhost:8698", "localhost:8698"], 400),
            ("GET", "/active", &["evil.example"], 421),
            ("GET", "http://evil.example/active", &["localhost:8698"], 421),
            ("GET", "http://u@localhost:8698/active", &["localhost:8698"], 421),
            ("GET", "https://localhost:8698/active", &["localhost:8698"], 421),
            ("GET", "localhost:8698", &["localhost:8698"], 400),
            ("GET", "*", &["localhost:8698"], 400),
            ("OPTIONS", "*", &["localhost:8698"], 405),
            ("CONNECT", "localhost:8698", &["localhost:8698"], 405),
            ("POST", "/active", &["localhost:8698"], 405),
            ("POST", "/active", &["evil.example"], 421),
            ("BREW", "/", &["localhost:8698"], 405),
        ];
        for &(method, target, hosts, expected) in cases {
            let mut request = Request::builder().method(method).uri(target);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let request = request.body(Empty::<Bytes>::new()).unwrap();
            let status = admit(&request, &caller()).map_or_else(|refusal| refusal.status.as_u16(), |()| 200);
            assert_eq!(status, expected, "{method} {target} {hosts:?}");
        }
    }

    #[test]
    fn a_host_header_that_is_not_text_is_malformed() {
        let request =
            Request::get("/").header(HOST, &b"local\xffhost"[..]).body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(admit(&request, &caller()).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn changes_from_other_web_pages_are_refused() {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8698")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("origin", "http://localhost:8698")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "http://localhost:8699")], false),
            (&[("origin", "https://localhost:8698")], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://localhost:8698")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://localhost:8698")], false),
            (&[("origin", "https://localhost")], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "ftp://localhost:8698")], false),
            (&[("origin", "localhost:8698")], false),
            (&[("origin", "http://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "http://localhost:8698"), ("origin", "null")], false),
        ];
        for (headers, expected) in cases {
            let mut request = Request::get("/").header(HOST, "localhost:8698");
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).unwrap();
            assert_eq!(check_same_origin(request.headers()).is_ok(), *expected, "{headers:?}");
        }
    }

    #[test]
    fn a_read_request_with_a_body_is_refused() {
        let body = Full::new(Bytes::from_static(b"x"));
        let request = Request::get("/active").header(HOST, "localhost:8698").body(body).unwrap();
        assert_eq!(admit(&request, &caller()).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
