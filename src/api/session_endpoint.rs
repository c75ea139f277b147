//! `/api/v1/session`: the page shows the token once, and is known by a cookie from then on.
//!
//! ```text
//!   POST   /api/v1/session   {"token": "..."}   204 with the cookie
//!   GET    /api/v1/session   {"token_is_set": true, "may_read": true, "may_change": false}
//!   DELETE /api/v1/session   204, and the session has ended
//! ```
//!
//! Scripts cannot read the cookie (HttpOnly), and no other site makes a browser send it (SameSite=Strict).
//! It is of no use to another user or address.

use hyper::body::{Body, Bytes};
use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use hyper::{Method, Request, StatusCode};
use serde::{Deserialize, Serialize};

use super::access::{Access, COOKIE_NAME};
use super::body::{BodyLimits, check_json};
use super::guard::{self, Caller, Refusal};
use super::reply::{self, Reply};
use super::view;

/// The body of a POST.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

/// What the client may do.
#[derive(Serialize)]
struct SessionView {
    token_is_set: bool,
    may_read: bool,
    may_change: bool,
}

/// Answers a request for the session. `methods` are those that its path supports.
pub(super) async fn answer<B>(
    request: Request<B>,
    caller: &Caller,
    access: &Access,
    limits: &BodyLimits,
    methods: &[Method],
) -> Reply
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let result = match *request.method() {
        Method::GET | Method::HEAD => {
            guard::admit(&request, caller).map(|()| show(request.headers(), caller, access)).map_err(refused)
        }
        Method::POST => sign_in(request, caller, access, limits).await,
        Method::DELETE => sign_out(&request, caller, access).map_err(refused),
        _ => guard::check_address(&request, caller)
            .map(|()| reply::method_not_allowed(methods))
            .map_err(refused),
    };
    result.unwrap_or_else(|refusal| *refusal)
}

fn show(headers: &HeaderMap, caller: &Caller, access: &Access) -> Reply {
    let client = &caller.client;
    let view = SessionView {
        token_is_set: access.has_token(),
        may_read: access.may_read(client, headers),
        may_change: access.may_change(client, headers),
    };
    reply::json(view::json(&view))
}

async fn sign_in<B>(
    request: Request<B>,
    caller: &Caller,
    access: &Access,
    limits: &BodyLimits,
) -> Result<Reply, Box<Reply>>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    guard::check_address(&request, caller).map_err(refused)?;
    guard::check_same_origin(request.headers()).map_err(refused)?;
    check_json(request.headers()).map_err(refused)?;
    let body = limits.read(request.into_body()).await?;
    let token = token_in(&body).ok_or_else(|| {
        // The error of the parser could quote the token.
        Box::new(reply::problem(StatusCode::BAD_REQUEST, "the body is {\"token\": \"...\"}"))
    })?;
    let opened =
        access.check_token(&caller.client, token.as_bytes()).map(|()| access.open_session(&caller.client));
    match opened {
        Err(denial) => Err(Box::new(denial.reply())),
        Ok(Err(error)) => {
            tracing::warn!("no session of the API can be opened: {error}");
            Err(Box::new(reply::problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "there are no random bytes for a session",
            )))
        }
        Ok(Ok(id)) => Ok(with_cookie(&format!("{COOKIE_NAME}={id}; {COOKIE_ATTRIBUTES}"))),
    }
}

fn sign_out<B: Body>(request: &Request<B>, caller: &Caller, access: &Access) -> Result<Reply, Refusal> {
    guard::check_address(request, caller)?;
    guard::check_same_origin(request.headers())?;
    guard::check_no_body(request)?;
    access.end_session(request.headers());
    Ok(with_cookie(&format!("{COOKIE_NAME}=; Max-Age=0; {COOKIE_ATTRIBUTES}")))
}

fn token_in(body: &Bytes) -> Option<String> {
    serde_json::from_slice(body).ok().map(|SignIn { token }| token)
}

fn with_cookie(cookie: &str) -> Reply {
    let mut reply = reply::done();
    if let Ok(mut value) = HeaderValue::try_from(cookie) {
        value.set_sensitive(true);
        reply.headers_mut().insert(SET_COOKIE, value);
    }
    reply
}

fn refused(refusal: Refusal) -> Box<Reply> {
    Box::new(reply::refusal(refusal))
}

const COOKIE_ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Strict";
