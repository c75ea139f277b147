//! Accepts connections, gives each its place, and serves it. This is all that the thread `api` runs.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

use super::bounds::Bounds;
use super::client::Client;
use super::connections::{ConnectionPermit, Connections};
use super::guard::{Caller, HostNames};
use super::router::Router;
use super::socket_owner::SocketOwners;
use super::stream::ClientStream;
use super::timed_io::{TimedIo, refuse};

/// The listening sockets, and what is needed to know who connects.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub(super) tcp: TcpListener,
    pub(super) unix: Option<UnixListener>,
    pub(super) owners: SocketOwners,
    /// The names by which clients over TCP may call this server.
    pub(super) names: HostNames,
}

/// Accepts connections until `stopped`, then waits for the open ones.
pub(super) async fn serve(
    acceptor: Acceptor,
    router: Arc<Router>,
    bounds: Bounds,
    mut stopped: oneshot::Receiver<()>,
) {
    let server = ConnectionServer {
        graceful: GracefulShutdown::new(),
        http: http(&bounds, bounds.head_timeout),
        http_without_a_place: http(&bounds, bounds.refusal_timeout),
        router,
        bounds,
    };
    let places = Connections::new(server.bounds.connections_max, server.bounds.connections_per_holder_max);
    let fleeting = Connections::fleeting(server.bounds.refusals_max);
    let mut refused_by_kernel = false;

    loop {
        let accepted = poll_fn(|cx| match Pin::new(&mut stopped).poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => acceptor.poll_accept(cx).map(Some),
        });
        let (stream, caller) = match accepted.await {
            None => break,
            Some(Ok(accepted)) => accepted,
            Some(Err(error)) => {
                // Descriptors or memory have run out. The connection stays in the kernel's queue, so `accept` would
                // fail again at once. Clients can cause this, so it is logged once per run of failures.
                if !std::mem::replace(&mut refused_by_kernel, true) {
                    tracing::warn!(%error, "the API cannot accept connections; it goes on trying");
                }
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        refused_by_kernel = false;

        let holder = caller.client.holder();
        if let Some((permit, closed)) = places.admit(holder, Instant::now()) {
            tokio::spawn(until_closed(closed, server.connection(stream, caller, permit)));
        } else if let Some((permit, closed)) = fleeting.admit(holder, Instant::now()) {
            tokio::spawn(until_closed(closed, server.connection_without_a_place(stream, caller, permit)));
        }
    }

    drop(acceptor);
    // Connections that have not finished by then are cut when the runtime is dropped.
    let _ = tokio::time::timeout(server.bounds.stop_grace, server.graceful.shutdown()).await;
}

impl Acceptor {
    /// Accepts a connection of either listener. Which of them is asked first does not matter: each is asked again as
    /// soon as the other's connection was taken.
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(ClientStream, Caller)>> {
        if let Some(unix) = &self.unix
            && let Poll::Ready(accepted) = unix.poll_accept(cx)
        {
            return Poll::Ready(accepted.and_then(|(stream, _)| unix_client(stream)));
        }
        self.tcp.poll_accept(cx).map_ok(|(stream, from)| self.network_client(stream, from))
    }

    fn network_client(&self, stream: TcpStream, from: SocketAddr) -> (ClientStream, Caller) {
        let addr = from.ip().to_canonical();
        let owner = || self.owners.owner(from, stream.local_addr().ok()?);
        let uid = if addr.is_loopback() { owner() } else { None };
        let caller = Caller { client: Client::Network { addr, uid }, names: self.names.clone() };
        (ClientStream::Tcp(stream), caller)
    }
}

fn unix_client(stream: UnixStream) -> io::Result<(ClientStream, Caller)> {
    let peer = stream.peer_cred()?;
    let client = Client::Unix { uid: peer.uid(), gid: peer.gid() };
    Ok((ClientStream::Unix(stream), Caller { client, names: HostNames::Any }))
}

/// Makes the task of each connection.
struct ConnectionServer {
    graceful: GracefulShutdown,
    http: http1::Builder,
    http_without_a_place: http1::Builder,
    router: Arc<Router>,
    bounds: Bounds,
}

impl ConnectionServer {
    fn connection(
        &self,
        stream: ClientStream,
        caller: Caller,
        permit: ConnectionPermit,
    ) -> impl Future<Output = ()> + use<> {
        let shared = Arc::new((Arc::clone(&self.router), caller, permit));
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move {
                let (router, caller, permit) = &*shared;
                permit.set_busy(true, Instant::now());
                let answer = router.serve(request, caller).await;
                permit.set_busy(false, Instant::now());
                Ok::<_, Infallible>(answer)
            }
        });
        let io = TokioIo::new(TimedIo::new(stream, &self.bounds));
        finished(self.graceful.watch(self.http.serve_connection(io, service)))
    }

    /// Answers a client that got no place: hyper reads a request that may be for the health, and any other gets a 503
    /// without being read.
    fn connection_without_a_place(
        &self,
        stream: ClientStream,
        caller: Caller,
        permit: ConnectionPermit,
    ) -> impl Future<Output = ()> + use<> {
        let router = Arc::clone(&self.router);
        let (http, bounds) = (self.http_without_a_place.clone(), self.bounds.clone());
        let watcher = self.graceful.watcher();
        async move {
            let mut begin = [0_u8; HEALTH_BYTES_MAX];
            let peeked = tokio::time::timeout(bounds.refusal_timeout, stream.peek(&mut begin)).await;
            let begin = match peeked {
                Ok(Ok(length)) => &begin[..length],
                Ok(Err(_)) => return,
                Err(_) => &[],
            };
            let io = TimedIo::new(stream, &bounds);
            if !may_ask_for_health(begin) {
                return refuse(io).await;
            }
            let service = service_fn(move |request| {
                let answer = router.serve_without_a_place(&request, &caller);
                async move { Ok::<_, Infallible>(answer) }
            });
            finished(watcher.watch(http.serve_connection(TokioIo::new(io), service))).await;
            drop(permit);
        }
    }
}

/// Waits for the end of a connection. An error is the client's (malformed, too slow, disconnected) and was answered if
/// that was possible.
async fn finished<E>(connection: impl Future<Output = Result<(), E>>) {
    let _ = connection.await;
}

/// Runs the task of a connection until it ends, or until its place is taken away, which closes it.
async fn until_closed(closed: oneshot::Receiver<()>, connection: impl Future<Output = ()>) {
    let (mut closed, mut connection) = (pin!(closed), pin!(connection));
    poll_fn(|cx| match closed.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending => connection.as_mut().poll(cx),
    })
    .await;
}

/// Returns true if a request that begins with these bytes may be one for the health of the program.
fn may_ask_for_health(begin: &[u8]) -> bool {
    let begins = |whole: &[u8]| {
        let length = begin.len().min(whole.len());
        begin[..length] == whole[..length]
    };
    !begin.is_empty() && HEALTH_REQUESTS.iter().any(|request| begins(request))
}

/// Returns how connections are served; a head takes at most `head_timeout`.
pub(super) fn http(bounds: &Bounds, head_timeout: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(bounds.head_bytes_max)
        .max_header_size(bounds.head_bytes_max)
        .max_headers(bounds.headers_max);
    http
}

/// Pause after `accept` has failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How a request for the health of the program begins.
const HEALTH_REQUESTS: [&[u8]; 2] = [b"GET /healthz", b"HEAD /healthz"];
const HEALTH_BYTES_MAX: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_the_health_is_told_by_its_first_bytes() {
        for (begin, expected) in [
            ("", false),
            ("G", true),
            ("GET /health", true),
            ("GET /healthz H", true),
            ("HEAD /healthz", true),
            ("GET /active", false),
            ("POST /healthz", false),
        ] {
            assert_eq!(may_ask_for_health(begin.as_bytes()), expected, "{begin}");
        }
    }
}
