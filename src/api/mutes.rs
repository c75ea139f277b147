//! `/api/v1/mutes`: what is not to be said for a while.
//!
//! ```text
//!   POST   /api/v1/mutes     {"source": "10.0.0.5", "kind": "TRAFFIC", "minutes": 60, "reason": "backup"}
//!   GET    /api/v1/mutes     [{"id": 1, "source": "10.0.0.5/32", ...}]
//!   DELETE /api/v1/mutes/1
//! ```
//!
//! An order is answered once the analyst has taken it, and is in the list by then. `kind` and `reason` may be left
//! out. Bodies are small and have a deadline; an order from another web page is refused
//! ([`check_same_origin`](super::guard::check_same_origin)), and one that is not `application/json` too, which such a page
//! could not send unasked.

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, StatusCode};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::guard::{self, Bounds, Refusal};
use super::reply::{self, Reply};
use super::view;
use crate::alert::{
    AlertKind, MUTE_MAX, MUTES_MAX, Mute, MuteDesk, MuteReply, MuteRequest, NewMute, REASON_CHARS_MAX,
    TooManyMutes, is_reason, rfc3339,
};

/// Where it all is.
pub(super) const PATH: &str = "/api/v1/mutes";

/// Takes orders about mutes.
#[derive(Debug)]
pub(super) struct MutesEndpoint {
    desk: MuteDesk,
    body_timeout: Duration,
    body_bytes_max: usize,
    order_timeout: Duration,
}

/// What a client sends.
#[derive(Deserialize)]
// The name is part of a message that clients are shown.
#[serde(deny_unknown_fields, rename = "Wanted")]
struct MuteRequestBody {
    source: String,
    kind: Option<String>,
    minutes: u64,
    #[serde(default)]
    reason: String,
}

/// What a client is shown.
#[derive(Serialize)]
struct MuteView<'a> {
    id: u64,
    source: String,
    kind: Option<&'static str>,
    made_at: String,
    until: String,
    reason: &'a str,
}

impl<'a> MuteView<'a> {
    fn of(mute: &'a Mute) -> Self {
        Self {
            id: mute.id,
            source: mute.source.to_string(),
            kind: mute.kind.map(AlertKind::name),
            made_at: rfc3339(mute.made_at),
            until: rfc3339(mute.until),
            reason: &mute.reason,
        }
    }
}

impl MutesEndpoint {
    pub(super) fn new(desk: MuteDesk, bounds: &Bounds) -> Self {
        let &Bounds { body_timeout, body_bytes_max, order_timeout, .. } = bounds;
        Self { desk, body_timeout, body_bytes_max, order_timeout }
    }

    /// Answers a request for a path that begins with [`PATH`].
    pub(super) async fn answer<B>(&self, request: Request<B>) -> Reply
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let id = request.uri().path().strip_prefix(PATH).and_then(|rest| rest.strip_prefix('/'));
        let id = id.map(|id| id.bytes().all(|b| b.is_ascii_digit()).then(|| id.parse().ok()).flatten());
        let answer = match (request.method().clone(), id) {
            (Method::GET | Method::HEAD, None) => {
                guard::admit(&request).map(|()| self.list()).map_err(Into::into)
            }
            (Method::POST, None) => self.add(request).await,
            (Method::DELETE, Some(Some(id))) => self.remove(&request, id).await,
            (_, Some(None)) => Err(NO_SUCH_MUTE.into()),
            (_, id) => guard::check_address(&request)
                .map(|()| reply::other_method(if id.is_none() { "GET, HEAD, POST" } else { "DELETE" }))
                .map_err(Into::into),
        };
        answer.unwrap_or_else(|MuteError { status, detail }| reply::problem(status, &detail))
    }

    fn list(&self) -> Reply {
        reply::json(view::json_array(self.desk.list().iter().map(MuteView::of)))
    }

    async fn add<B>(&self, request: Request<B>) -> Result<Reply, MuteError>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        guard::check_address(&request)?;
        guard::check_same_origin(request.headers())?;
        check_json(request.headers())?;
        let body = self.body(request.into_body()).await?;
        let wanted: MuteRequestBody = serde_json::from_slice(&body).map_err(|error| {
            MuteError::new(StatusCode::BAD_REQUEST, format!("not such an object: {error}"))
        })?;
        let new = wanted.check()?;
        let mute = self.order(|answer| MuteRequest::Add(new, answer)).await?;
        match mute {
            Ok(mute) => {
                tracing::info!("alerts about {} are muted for a while (mute {})", mute.source, mute.id);
                Ok(reply::created(&format!("{PATH}/{}", mute.id), view::json(&MuteView::of(&mute))))
            }
            Err(TooManyMutes) => {
                let detail = format!("{MUTES_MAX} mutes are in force: take one back first");
                Err(MuteError::new(StatusCode::CONFLICT, detail))
            }
        }
    }

    async fn remove<B: Body>(&self, request: &Request<B>, id: u64) -> Result<Reply, MuteError> {
        guard::check_address(request)?;
        guard::check_same_origin(request.headers())?;
        if !request.body().is_end_stream() {
            return Err(MuteError::new(StatusCode::PAYLOAD_TOO_LARGE, "this request has no body"));
        }
        if !self.order(|answer| MuteRequest::Remove(id, answer)).await? {
            return Err(NO_SUCH_MUTE.into());
        }
        tracing::info!("mute {id} is taken back");
        Ok(reply::done())
    }

    async fn body<B>(&self, body: B) -> Result<Bytes, MuteError>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let reading = Limited::new(body, self.body_bytes_max).collect();
        match tokio::time::timeout(self.body_timeout, reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let detail = format!("a body has at most {} bytes", self.body_bytes_max);
                Err(MuteError::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
            }
            Ok(Err(error)) => {
                Err(MuteError::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))
            }
            Err(_) => Err(MuteError::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
        }
    }

    /// Gives an order to the analyst and waits until it has taken it.
    async fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(MuteReply<T>) -> MuteRequest,
    ) -> Result<T, MuteError> {
        let busy =
            || MuteError::new(StatusCode::SERVICE_UNAVAILABLE, "the analyst is busy: try again in a while");
        let (taken, answer) = oneshot::channel();
        // Whoever does not wait any more needs no answer.
        let taken = MuteReply::new(move |answer| drop(taken.send(answer)));
        if !self.desk.request(order(taken)) {
            return Err(busy());
        }
        match tokio::time::timeout(self.order_timeout, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

impl MuteRequestBody {
    fn check(self) -> Result<NewMute, MuteError> {
        let bad = |detail: String| MuteError::new(StatusCode::BAD_REQUEST, detail);
        let source: IpNet = match (self.source.parse(), self.source.parse::<IpAddr>()) {
            (Ok(network), _) => network,
            (Err(_), Ok(addr)) => addr.into(),
            (Err(_), Err(_)) => {
                return Err(bad(
                    "`source` is an address or a network, such as 10.0.0.5 or 10.0.0.0/24".into()
                ));
            }
        };
        if source.trunc() != source {
            return Err(bad(format!("`source` has bits behind its prefix: write {}", source.trunc())));
        }
        let kind = match self.kind.as_deref() {
            None => None,
            Some(name) => match AlertKind::named(name) {
                Some(kind) if kind != AlertKind::Loss => Some(kind),
                _ => return Err(bad("`kind` is the word of an alert about hosts, such as TRAFFIC".into())),
            },
        };
        let minutes_max = MUTE_MAX.as_secs() / 60;
        if !(1..=minutes_max).contains(&self.minutes) {
            return Err(bad(format!("`minutes` is from 1 to {minutes_max} (30 days)")));
        }
        if !is_reason(&self.reason) {
            return Err(bad(format!("`reason` is one line of at most {REASON_CHARS_MAX} characters")));
        }
        Ok(NewMute { source, kind, span: Duration::from_secs(self.minutes * 60), reason: self.reason })
    }
}

/// Why an order is not taken.
struct MuteError {
    status: StatusCode,
    detail: String,
}

impl MuteError {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

impl From<Refusal> for MuteError {
    fn from(Refusal { status, detail }: Refusal) -> Self {
        Self::new(status, detail)
    }
}

fn check_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| {
        let essence = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    match is_json {
        true => Ok(()),
        false => Err(Refusal {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            detail: "an order is JSON: send Content-Type: application/json",
        }),
    }
}

const NO_SUCH_MUTE: Refusal = Refusal {
    status: StatusCode::NOT_FOUND,
    detail: "no such mute is in force; GET /api/v1/mutes lists them",
};
