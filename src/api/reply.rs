//! Builds the answers, with the headers that each of them has.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

use super::guard::Refusal;
use super::routes::{READ, allow};
use super::view;

/// An answer whose whole body is in memory.
pub(super) type Reply = Response<Full<Bytes>>;

/// Returns a 200 with JSON.
pub(super) fn json(body: Bytes) -> Reply {
    answer(StatusCode::OK, "application/json", body)
}

/// Returns a 200 with JSON and its tag. A client that sends the tag with its next request gets a 304 if nothing has
/// changed ([`not_modified`]).
pub(super) fn tagged(etag: HeaderValue, body: Bytes) -> Reply {
    let mut reply = json(body);
    reply.headers_mut().insert(ETAG, etag);
    reply
}

/// Returns the 304 in place of a 200 that the client has already: with the same headers (RFC 9110, 15.4.5), without the
/// body.
pub(super) fn not_modified(mut reply: Reply) -> Reply {
    *reply.status_mut() = StatusCode::NOT_MODIFIED;
    *reply.body_mut() = Full::default();
    reply.headers_mut().remove(CONTENT_TYPE);
    reply
}

/// Returns a 200 with text, for a health check.
pub(super) fn text(body: &'static str) -> Reply {
    answer(StatusCode::OK, PLAIN_TEXT, Bytes::from_static(body.as_bytes()))
}

/// Returns a redirect to `target`, a path of this server.
pub(super) fn redirect(status: StatusCode, target: &'static str) -> Reply {
    let mut reply = answer(status, PLAIN_TEXT, Bytes::from_static(target.as_bytes()));
    reply.headers_mut().insert(LOCATION, HeaderValue::from_static(target));
    reply
}

/// Returns a 201 with what was created, and its path in `Location`.
pub(super) fn created(location: &str, body: Bytes) -> Reply {
    let mut reply = answer(StatusCode::CREATED, "application/json", body);
    if let Ok(location) = HeaderValue::try_from(location) {
        reply.headers_mut().insert(LOCATION, location);
    }
    reply
}

/// Returns a 204: the request succeeded and the answer has no body.
pub(super) fn done() -> Reply {
    let mut reply = answer(StatusCode::NO_CONTENT, PLAIN_TEXT, Bytes::new());
    reply.headers_mut().remove(CONTENT_TYPE);
    reply
}

/// Returns a 405 for a path that supports `allowed`, not only the methods to read.
pub(super) fn method_not_allowed(allowed: &[Method]) -> Reply {
    let detail = "this path does not understand the method; the Allow header has those that it does";
    let mut reply = refusal(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, detail });
    insert_allow(&mut reply, allowed);
    reply
}

fn insert_allow(reply: &mut Reply, allowed: &[Method]) {
    let allowed = HeaderValue::try_from(allow(allowed)).expect("names of methods are allowed in a header");
    reply.headers_mut().insert(ALLOW, allowed);
}

/// Returns a 404 with problem details. The connection stays open, since a request to read has no body.
pub(super) fn not_found(detail: &str) -> Reply {
    details(StatusCode::NOT_FOUND, detail)
}

fn details(status: StatusCode, detail: &str) -> Reply {
    let title = status.canonical_reason().unwrap_or("Error");
    let problem = view::ProblemDetails { kind: "about:blank", title, status: status.as_u16(), detail };
    answer(status, "application/problem+json", view::json(&problem))
}

/// Returns problem details whose text depends on the request. The connection closes, since a body may be unread.
pub(super) fn problem(status: StatusCode, detail: &str) -> Reply {
    let mut reply = details(status, detail);
    reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    reply
}

/// Returns problem details (RFC 9457). The connection closes after a status that may leave a body unread.
pub(super) fn refusal(Refusal { status, detail }: Refusal) -> Reply {
    let mut reply = details(status, detail);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        insert_allow(&mut reply, READ);
    }
    if matches!(status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::PAYLOAD_TOO_LARGE) {
        reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    reply
}

/// Returns a file of the dashboard. A client may store it but must revalidate it at each use, because the name of the
/// file does not contain its version.
#[cfg(feature = "dashboard")]
pub(super) fn file(content_type: &'static str, etag: HeaderValue, body: Bytes) -> Reply {
    let mut reply = answer(StatusCode::OK, content_type, body);
    let headers = reply.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    reply
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    reply
}

/// Headers of every answer. They forbid caches to store it, other sites to load it, and browsers to guess its type or
/// to show it in a frame.
const ALWAYS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
];

/// The dashboard may load files from its own server and connect to it. The policy forbids inline scripts and styles,
/// `eval`, and anything from other servers.
#[cfg(feature = "dashboard")]
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
