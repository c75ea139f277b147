//! What a client may ask, in which words, and how much of us it may use.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hyper::body::Body;
use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Method, Request, StatusCode, Uri};

/// How much of the program's time and memory clients can use. The defaults are the named constants below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections served at once.
    pub connections_max: usize,
    /// Connections beyond that which are told so at once; the rest is closed without a word.
    pub refusals_max: usize,
    /// Bytes of request line and headers together; at least 8192, hyper's own minimum.
    pub head_bytes_max: usize,
    /// Number of headers.
    pub headers_max: usize,
    /// Time to send a whole head, counted from the connection or the previous answer. It is also how long an
    /// idle connection is kept.
    pub head_timeout: Duration,
    /// Time to send a body, counted from its head.
    pub body_timeout: Duration,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Time for the analyst to take an order.
    pub order_timeout: Duration,
    /// Time for a client to read a whole answer.
    pub answer_timeout: Duration,
    /// How long a closing connection waits for the client's own end, so that the last answer arrives.
    pub linger_timeout: Duration,
    /// Bytes thrown away in that time, such as a body that nobody asked for.
    pub linger_bytes_max: usize,
    /// Time for answers under way when the server stops.
    pub stop_grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            refusals_max: REFUSALS_MAX,
            head_bytes_max: HEAD_BYTES_MAX,
            headers_max: HEADERS_MAX,
            head_timeout: HEAD_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            body_bytes_max: BODY_BYTES_MAX,
            order_timeout: ORDER_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            linger_timeout: LINGER_TIMEOUT,
            linger_bytes_max: LINGER_BYTES_MAX,
            stop_grace: STOP_GRACE,
        }
    }
}

/// A browser opens six connections, so this is ten of them.
const CONNECTIONS_MAX: usize = 64;
const REFUSALS_MAX: usize = 16;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Longer than the dashboard's refresh, so that it keeps its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 4096;
/// The analyst turns twice a second at least.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const LINGER_TIMEOUT: Duration = Duration::from_millis(250);
const LINGER_BYTES_MAX: usize = 256 * 1024;
const STOP_GRACE: Duration = Duration::from_millis(300);

/// Whether `text`, an authority as in a `Host` header, means this server: loopback, with any port or none.
///
/// A page on the internet can point a name of its own at 127.0.0.1 and make a browser on this machine fetch from
/// it as if it were that page's own server (DNS rebinding). The browser then sends that name, and not ours. The
/// port proves nothing, and a tunnel changes it.
fn means_this_server(text: &str) -> bool {
    match text.rsplit_once(':') {
        // The colons of a bare `[::1]` are inside the brackets.
        Some((name, port)) if !port.ends_with(']') => is_port(port) && is_loopback_name(name),
        _ => is_loopback_name(text),
    }
}

/// Why a request is not answered with what it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// One sentence for whoever sent it: what is wrong, and what is right.
    pub(super) detail: &'static str,
}

/// Checks that a request means this server.
pub(super) fn check_address<B>(request: &Request<B>) -> Result<(), Refusal> {
    check_target(request.method(), request.uri())?;
    check_host(request.headers())
}

/// Checks that no other web page sends the request. A browser says where it comes from (`Sec-Fetch-Router`, Fetch Metadata;
/// `GeoIpRecord`, RFC 6454), and a page cannot change that; what is no browser says neither.
pub(super) fn check_same_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let foreign = Refusal {
        status: StatusCode::FORBIDDEN,
        detail: "orders are taken from this server's own page and from programs, not from other web pages",
    };
    let is_ours = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !headers.get_all("sec-fetch-site").iter().all(is_ours) {
        return Err(foreign);
    }
    let host = headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let is_here = |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://") == Some(host);
    if headers.get_all(ORIGIN).iter().all(is_here) { Ok(()) } else { Err(foreign) }
}

/// Checks everything about a request to read that does not depend on what it asks for.
pub(super) fn admit<B: Body>(request: &Request<B>) -> Result<(), Refusal> {
    check_address(request)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            detail: "this server is only read: GET or HEAD",
        });
    }
    if !request.body().is_end_stream() {
        return Err(Refusal {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            detail: "no request here has a body: leave out Content-Length and Transfer-Encoding",
        });
    }
    Ok(())
}

/// Origin form is the rule, absolute form must be understood as well (RFC 9112, 3.2); the other two belong to
/// methods that are refused, and by the method's own answer.
fn check_target(method: &Method, uri: &Uri) -> Result<(), Refusal> {
    if *method == Method::CONNECT || *method == Method::OPTIONS {
        return Ok(());
    }
    if !uri.path().starts_with('/') || (uri.authority().is_some() && uri.scheme().is_none()) {
        return Err(Refusal {
            status: StatusCode::BAD_REQUEST,
            detail: "a request target begins with a slash",
        });
    }
    match uri.authority() {
        Some(named) if uri.scheme_str() != Some("http") || !means_this_server(named.as_str()) => {
            Err(MISDIRECTED)
        }
        _ => Ok(()),
    }
}

fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal { status: StatusCode::BAD_REQUEST, detail: "a request has one Host header" });
    };
    match host.to_str() {
        Ok(host) if means_this_server(host) => Ok(()),
        Ok(_) => Err(MISDIRECTED),
        Err(_) => Err(Refusal { status: StatusCode::BAD_REQUEST, detail: "the Host header is not ASCII" }),
    }
}

/// `u16::from_str` alone would take `+80`.
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

const MISDIRECTED: Refusal = Refusal {
    status: StatusCode::MISDIRECTED_REQUEST,
    detail: "this server answers to localhost, 127.0.0.1 and [::1] alone",
};

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};
    use hyper::body::Bytes;

    use super::*;

    #[test]
    fn only_loopback_names_mean_us() {
        for ours in [
            "localhost:8698",
            "LocalHost:9000",
            "127.0.0.1:8698",
            "127.8.9.1",
            "[::1]:8698",
            "[::1]",
            "localhost",
        ] {
            assert!(means_this_server(ours), "{ours}");
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
            assert!(!means_this_server(other), "{other}");
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
            let status = admit(&request).map_or_else(|refusal| refusal.status.as_u16(), |()| 200);
            assert_eq!(status, expected, "{method} {target} {hosts:?}");
        }
    }

    #[test]
    fn a_host_that_is_no_text_is_malformed() {
        let request =
            Request::get("/").header(HOST, &b"local\xffhost"[..]).body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(admit(&request).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn orders_come_from_no_other_page() {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8698")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("origin", "http://localhost:8698")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")], false),
            (&[("origin", "http://localhost:8699")], false),
            (&[("origin", "https://localhost:8698")], false),
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
    fn a_body_is_refused() {
        let body = Full::new(Bytes::from_static(b"x"));
        let request = Request::get("/active").header(HOST, "localhost:8698").body(body).unwrap();
        assert_eq!(admit(&request).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
