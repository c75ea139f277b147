//! The fuzz target of this room: any bytes as what a client sends, and any body as a mute.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use tokio::runtime::{Builder, Runtime};

use super::accept;
use super::access::Access;
use super::bounds::Bounds;
use super::client::Client;
use super::guard::{Caller, HostNames};
use super::mutes::MutesEndpoint;
use super::router::Router;
use super::token::HashedSecret;
use super::users::AllowedUsers;
use super::view::Capabilities;
use crate::alert::{
    AlertKind, CloseTimeouts, Ledger, MUTE_MAX, Mute, MuteHandle, MuteRequest, is_reason, is_wide_network,
};
use crate::enrich::GeoIp;
use crate::flow::{Published, why_no_host};
use crate::report::Report;
use crate::time::{Moment, UnixNanos};

/// Serves connections on which a client sends these bytes and then no more, and others on which it sends them as the
/// body of a POST for a mute, as root over the Unix socket, from this host and from another one: each request gets an
/// answer of the form that its type names, none is a 500, only somebody with the right or the token makes mutes, and
/// each mute that is made is one that may be made.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn http(bytes: &[u8]) {
    let head = format!(
        "POST /api/v1/mutes HTTP/1.1\r\nHost: 127.0.0.1:8698\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        bytes.len()
    );
    let post = [head.as_bytes(), bytes].concat();
    let has_token = bytes.windows(TOKEN.len()).any(|window| window == TOKEN.as_bytes());
    let network = |addr: [u8; 4]| Client::Network { addr: addr.into(), uid: None };
    for client in [Client::Unix { uid: 0, gid: 0 }, network([127, 0, 0, 1]), network([192, 0, 2, 1])] {
        let is_root = matches!(client, Client::Unix { .. });
        let names = match is_root {
            true => HostNames::Any,
            false => HostNames::Addresses { machine: "gw".into() },
        };
        let caller = Caller { client, names };
        let made = serve(bytes, &caller).mutes.list().len();
        assert!(is_root || has_token || made == 0, "a mute without the token");
        let site = serve(&post, &caller);
        let [(_, status)] = site.answers.borrow()[..] else { panic!("one request has one answer") };
        let allowed = match is_root {
            true => &[StatusCode::CREATED, StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE][..],
            false => &[StatusCode::UNAUTHORIZED],
        };
        assert!(allowed.contains(&status), "{status}");
        assert_eq!(site.mutes.list().len(), usize::from(status == StatusCode::CREATED));
        let is_wide = site.mutes.list().iter().any(|mute| is_wide_network(&mute.source));
        // The key may be written with escapes.
        assert!(!is_wide || bytes.windows(3).any(|window| window == b"all") || bytes.contains(&b'\\'));
    }
}

const TOKEN: &str = "the-token-of-the-seeds";

/// Serves a connection and returns the server after it.
fn serve(sent: &[u8], caller: &Caller) -> Site {
    let site = Site::new();
    let service = service_fn(|request| {
        let site = &site;
        async move {
            let method: Method = hyper::Request::method(&request).clone();
            let answer = site.router.serve(request, caller).await;
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
            check_answer(&parts, &body);
            site.check_mutes();
            site.answers.borrow_mut().push((method, parts.status));
            Ok::<_, Infallible>(Response::from_parts(parts, Full::new(body)))
        }
    });
    let written = Rc::new(RefCell::new(Vec::new()));
    let client = CannedClient { sent: sent.to_vec(), at: 0, written: Rc::clone(&written) };
    // The client has closed its side, and still reads.
    let bounds = Bounds::default();
    let http = &mut accept::http(&bounds, bounds.head_timeout);
    let connection = http.half_close(true).serve_connection(client, service);
    // An error is the client's.
    let _ = site.runtime.block_on(connection);
    let written = written.borrow();
    assert!(written.is_empty() || written.starts_with(b"HTTP/1."), "{}", written.escape_ascii());
    // An error in a body repeats what the client sent, without its line ends.
    let mut lines = written.split(|&byte| byte == b'\n');
    assert!(!lines.any(|line| line.starts_with(b"HTTP/1.") && line.get(8..12) == Some(b" 500")));
    drop(written);
    site
}

fn check_answer(head: &hyper::http::response::Parts, body: &Bytes) {
    assert_ne!(head.status, StatusCode::INTERNAL_SERVER_ERROR);
    let kind = head.headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
    if kind.is_some_and(|kind| kind.contains("json")) {
        let value: Result<serde_json::Value, _> = serde_json::from_slice(body);
        assert!(value.is_ok(), "{}", body.escape_ascii());
    }
    for value in head.headers.values() {
        assert!(value.as_bytes().iter().all(|byte| !byte.is_ascii_control()), "{value:?}");
    }
}

/// A server's router with an analyst that answers at once.
struct Site {
    router: Router,
    mutes: MuteHandle,
    runtime: Runtime,
    /// The method of each request that was served, and the status of its answer.
    answers: RefCell<Vec<(Method, StatusCode)>>,
}

impl Site {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("it has no descriptors");
        let (queue, requests) = sync_channel(4);
        let published = Arc::new(Published::new(Vec::new()));
        let span = MUTE_MAX;
        let ledger = Ledger::new(CloseTimeouts { traffic: span, ports: span }, span);
        let analyst = Mutex::new((requests, ledger));
        let list = Arc::clone(&published);
        let answer_all = move || {
            let mut analyst = analyst.lock().unwrap_or_else(PoisonError::into_inner);
            let (requests, ledger) = &mut *analyst;
            while let Ok(request) = requests.try_recv() {
                match request {
                    MuteRequest::Add(new, reply) => {
                        let made = ledger.mute(new, Moment(1), WALL_CLOCK);
                        list.publish(ledger.mutes().cloned().collect());
                        reply.send(made);
                    }
                    MuteRequest::Remove(id, reply) => {
                        let was_there = ledger.unmute(id);
                        list.publish(ledger.mutes().cloned().collect());
                        reply.send(was_there);
                    }
                }
            }
        };
        let mutes = MuteHandle::new(queue, answer_all, published, None);
        let capabilities = Arc::new(Published::new(Capabilities::sample()));
        let report = Arc::new(Published::new(Report::default()));
        let geoip = Arc::new(Published::new(GeoIp::default()));
        let bounds = Bounds::default();
        let token = HashedSecret::new(TOKEN).expect("the kernel has random bytes");
        let access = Arc::new(Access::new(Some(token), AllowedUsers::default(), None));
        let router = Router::new(capabilities, report, geoip, access, &bounds);
        let router = router.with_mutes(MutesEndpoint::new(mutes.clone(), &bounds));
        Self { router, mutes, runtime, answers: RefCell::default() }
    }

    /// Checks that each mute in force is one that a client may make.
    fn check_mutes(&self) {
        for Mute { source, kind, made_at, until, reason, .. } in self.mutes.list().iter() {
            assert!(source.trunc() == *source && why_no_host(source).is_none(), "{source}");
            assert!(is_reason(reason) && *kind != Some(AlertKind::Loss));
            let span = until.since(*made_at);
            assert!(!span.is_zero() && span <= MUTE_MAX);
        }
    }
}

const WALL_CLOCK: UnixNanos = UnixNanos(1_790_000_000_000_000_000);

/// The stream of a client that has sent everything and reads what is written.
struct CannedClient {
    sent: Vec<u8>,
    at: usize,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Read for CannedClient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let len = (self.sent.len() - self.at).min(buffer.remaining());
        let part = &self.sent[self.at..self.at + len];
        buffer.put_slice(part);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl Write for CannedClient {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    /// The fuzzer found this one: the answer names the unknown field.
    #[test]
    fn a_status_that_a_client_sends_is_not_the_one_of_an_answer() {
        super::http(br#"{" 500 Internal Server Error":"10.0.0.5"}"#);
    }
}
