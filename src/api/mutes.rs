//! `/api/v1/mutes`: lists, adds and removes mutes. A mute keeps alerts about some hosts from the sinks for a while.
//!
//! ```text
//!   POST   /api/v1/mutes     {"source": "10.0.0.5", "kind": "TRAFFIC", "minutes": 60, "reason": "backup"}
//!   GET    /api/v1/mutes     [{"id": 1, "source": "10.0.0.5/32", ...}]
//!   DELETE /api/v1/mutes/1
//! ```
//!
//! A network of more than a /8 (IPv6: a /32) needs `"all": true` as well, so that a typing error silences no alert.
//! Who may make changes is decided in [`Access`].
//!
//! A change is answered after the analyst has made it, so a list that is read afterwards shows it. `kind` and `reason`
//! may be left out. Bodies are limited in size and in time. A change from another web page is refused
//! ([`check_same_origin`](super::guard::check_same_origin)). A POST whose body is not `application/json` is refused
//! too: another web page cannot send that type without a CORS preflight, which this server does not grant.

use std::net::IpAddr;
use std::time::Duration;

use hyper::body::{Body, Bytes};
use hyper::{Method, Request, StatusCode};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::access::{Access, Denial};
use super::body::{BodyLimits, check_json};
use super::bounds::Bounds;
use super::guard::{self, Caller, Refusal};
use super::reply::{self, Reply};
use super::routes::MUTES;
use super::view;
use crate::alert::{
    AlertKind, MUTE_MAX, MUTES_MAX, Mute, MuteHandle, MuteReply, MuteRequest, NewMute, REASON_CHARS_MAX,
    TooManyMutes, is_reason, is_wide_network, rfc3339,
};
use crate::escape::{self, Escaped};
use crate::flow::why_no_host;
use crate::time::UnixNanos;

/// How long an answer waits until the change is saved.
const SAVED_WITHIN: Duration = Duration::from_millis(200);

/// Time between two looks whether it is saved. A write to the disk takes about as long.
const SAVED_POLL: Duration = Duration::from_millis(2);

/// Lists, adds and removes mutes.
#[derive(Debug)]
pub(super) struct MutesEndpoint {
    desk: MuteHandle,
    body_limits: BodyLimits,
    mute_timeout: Duration,
}

/// The body of a POST. The name of the type is in the answer to a body that is not such an object, so it stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    source: String,
    kind: Option<String>,
    minutes: u64,
    #[serde(default)]
    reason: String,
    /// True if a network of more than a /8 (IPv6: a /32) is meant.
    #[serde(default)]
    all: bool,
}

/// A mute as it is sent to clients.
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
    pub(super) fn new(desk: MuteHandle, bounds: &Bounds) -> Self {
        Self { desk, body_limits: BodyLimits::new(bounds), mute_timeout: bounds.mute_timeout }
    }

    /// Answers a request for the list of mutes. `methods` are those that its path supports.
    pub(super) async fn answer_list<B>(
        &self,
        request: Request<B>,
        caller: &Caller,
        access: &Access,
        methods: &[Method],
    ) -> Reply
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = match *request.method() {
            Method::GET | Method::HEAD => {
                guard::admit(&request, caller).map(|()| self.list()).map_err(Into::into)
            }
            Method::POST => self.add(request, caller, access).await,
            _ => method_not_allowed(&request, caller, methods),
        };
        answer.unwrap_or_else(MuteError::reply)
    }

    /// Answers a request for one mute. `id` is its number, or `None` if the path does not end in a number; `methods`
    /// are those that its path supports.
    pub(super) async fn answer_one<B: Body>(
        &self,
        request: &Request<B>,
        caller: &Caller,
        access: &Access,
        id: Option<u64>,
        methods: &[Method],
    ) -> Reply {
        let answer = match (id, request.method()) {
            (None, _) => Err(NO_SUCH_MUTE.into()),
            (Some(id), &Method::DELETE) => self.remove(request, caller, access, id).await,
            (Some(_), _) => method_not_allowed(request, caller, methods),
        };
        answer.unwrap_or_else(MuteError::reply)
    }

    fn list(&self) -> Reply {
        reply::json(shown(view::json_array(self.desk.list().iter().map(MuteView::of))))
    }

    async fn add<B>(&self, request: Request<B>, caller: &Caller, access: &Access) -> Result<Reply, MuteError>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        guard::check_address(&request, caller)?;
        guard::check_same_origin(request.headers())?;
        let author = access.check_change(&caller.client, request.headers())?;
        check_json(request.headers())?;
        let body = self.body_limits.read(request.into_body()).await?;
        let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| {
            MuteError::new(StatusCode::BAD_REQUEST, format!("not such an object: {error}"))
        })?;
        let new = wanted.check()?;
        let mute = self.request(|answer| MuteRequest::Add(new, answer)).await?;
        match mute {
            Ok(mute) => {
                let Mute { id, source, .. } = &mute;
                let kind = mute.kind.map_or("all", AlertKind::name);
                let until = rfc3339(UnixNanos(mute.until.0 / 1_000_000_000 * 1_000_000_000));
                let reason = match mute.reason.as_str() {
                    "" => String::new(),
                    reason => format!("; reason: {}", Escaped::text(reason)),
                };
                match is_wide_network(source) {
                    true => tracing::warn!(
                        "mute {id} holds back {kind} alerts about all of {source} until {until}; made by {author}{reason}"
                    ),
                    false => tracing::info!(
                        "mute {id} holds back {kind} alerts about {source} until {until}; made by {author}{reason}"
                    ),
                }
                let body = shown(view::json(&MuteView::of(&mute)));
                Ok(reply::created(&format!("{MUTES}/{}", mute.id), body))
            }
            Err(TooManyMutes) => {
                let detail = format!("{MUTES_MAX} mutes are in force: take one back first");
                Err(MuteError::new(StatusCode::CONFLICT, detail))
            }
        }
    }

    async fn remove<B: Body>(
        &self,
        request: &Request<B>,
        caller: &Caller,
        access: &Access,
        id: u64,
    ) -> Result<Reply, MuteError> {
        guard::check_address(request, caller)?;
        guard::check_same_origin(request.headers())?;
        let author = access.check_change(&caller.client, request.headers())?;
        if !request.body().is_end_stream() {
            return Err(MuteError::new(StatusCode::PAYLOAD_TOO_LARGE, "this request has no body"));
        }
        if !self.request(|answer| MuteRequest::Remove(id, answer)).await? {
            return Err(NO_SUCH_MUTE.into());
        }
        tracing::info!("mute {id} is taken back by {author}");
        Ok(reply::done())
    }

    /// Waits until the change is saved, for at most [`SAVED_WITHIN`]. If the disk does not take it now, it is saved
    /// when the disk does.
    async fn wait_saved(&self) {
        let Some(ticket) = self.desk.ticket() else { return };
        let mut waited = Duration::ZERO;
        while waited < SAVED_WITHIN && !self.desk.is_saved(ticket) {
            tokio::time::sleep(SAVED_POLL).await;
            waited += SAVED_POLL;
        }
    }

    /// Sends a request to the analyst and waits for its answer, for at most `mute_timeout`.
    async fn request<T: Send + 'static>(
        &self,
        request: impl FnOnce(MuteReply<T>) -> MuteRequest,
    ) -> Result<T, MuteError> {
        let busy =
            || MuteError::new(StatusCode::SERVICE_UNAVAILABLE, "the analyst is busy: try again in a while");
        let (sender, answer) = oneshot::channel();
        // Sending fails if the client has gone or the time is over; then nobody needs the answer.
        let mute_reply = MuteReply::new(move |answer| drop(sender.send(answer)));
        if !self.desk.request(request(mute_reply)) {
            return Err(busy());
        }
        match tokio::time::timeout(self.mute_timeout, answer).await {
            Ok(Ok(answer)) => {
                self.wait_saved().await;
                Ok(answer)
            }
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }
}

/// Returns a JSON document with the hidden characters of reasons as escapes, for readers with a terminal.
fn shown(document: Bytes) -> Bytes {
    match String::from_utf8(document.into()) {
        Ok(document) => escape::json(document).into(),
        Err(error) => error.into_bytes().into(),
    }
}

impl Wanted {
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
        if let Some(detail) = why_nothing_matches(source) {
            return Err(bad(detail));
        }
        if is_wide_network(&source) && !self.all {
            let detail = format!(
                "`source` {source} would mute more than a /8 (IPv6: a /32) at once: add `\"all\": true` if that is meant"
            );
            return Err(bad(detail));
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

/// Returns why no host has an address of this network; `None` if one may.
fn why_nothing_matches(source: IpNet) -> Option<String> {
    if let IpAddr::V6(v6) = source.addr()
        && let (Some(v4), 96..) = (v6.to_ipv4_mapped(), source.prefix_len())
    {
        return Some(format!("`source` is an IPv4 address in the form of IPv6: write {v4}"));
    }
    why_no_host(&source)
        .map(|_| "`source` is an address that no host has, so nothing would be muted".to_owned())
}

/// The answer to a request about mutes that changes nothing.
struct MuteError(Box<Reply>);

impl MuteError {
    fn new(status: StatusCode, detail: impl AsRef<str>) -> Self {
        Self(Box::new(reply::problem(status, detail.as_ref())))
    }

    fn reply(self) -> Reply {
        *self.0
    }
}

/// Parses the number of a mute; `None` if `text` is not a number. `u64::from_str` alone would accept `+1`.
pub(super) fn id(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Answers a request whose method the path does not support.
fn method_not_allowed<B>(
    request: &Request<B>,
    caller: &Caller,
    methods: &[Method],
) -> Result<Reply, MuteError> {
    guard::check_address(request, caller)?;
    Ok(reply::method_not_allowed(methods))
}

impl From<Refusal> for MuteError {
    fn from(Refusal { status, detail }: Refusal) -> Self {
        Self::new(status, detail)
    }
}

impl From<Denial> for MuteError {
    fn from(denial: Denial) -> Self {
        Self(Box::new(denial.reply()))
    }
}

impl From<Box<Reply>> for MuteError {
    fn from(reply: Box<Reply>) -> Self {
        Self(reply)
    }
}

const NO_SUCH_MUTE: Refusal = Refusal {
    status: StatusCode::NOT_FOUND,
    detail: "no such mute is in force; GET /api/v1/mutes lists them",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_of_a_reason_are_escapes_of_json() {
        let document = shown(view::json(&["a\u{202e}b é".to_owned()]));
        assert_eq!(document, r#"["a\u202eb é"]"#);
    }
}
