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
use nix::sys::socket::{Backlog, listen};
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
    tcp: TcpListener,
    unix: Option<UnixListener>,
    /// True if the Unix listener is asked before the TCP listener the next time.
    asks_unix_first: bool,
    pub(super) owners: SocketOwners,
    /// The names by which clients over TCP may call this server.
    names: HostNames,
}

/// Accepts connections until `stopped`, then waits for the open ones.
pub(super) async fn serve(
    mut acceptor: Acceptor,
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

        if places.is_full() || fleeting.is_full() {
            // Connections arrive in crowds. Whoever has sent a request is answered before another gets his place.
            tokio::task::yield_now().await;
        }
        let (holder, rank) = (caller.client.holder(), server.router.rank(&caller.client));
        if let Some((permit, closed)) = places.admit(holder, rank, Instant::now()) {
            tokio::spawn(until_closed(closed, server.connection(stream, caller, permit)));
        } else if let Some((permit, closed)) = fleeting.admit(holder, rank, Instant::now()) {
            tokio::spawn(until_closed(closed, server.connection_without_a_place(stream, caller, permit)));
        }
    }

    drop(acceptor);
    // Connections that have not finished by then are cut when the runtime is dropped.
    let _ = tokio::time::timeout(server.bounds.stop_grace, server.graceful.shutdown()).await;
}

impl Acceptor {
    pub(super) fn new(
        tcp: TcpListener,
        unix: Option<UnixListener>,
        owners: SocketOwners,
        names: HostNames,
    ) -> Self {
        // The standard library has the kernel queue 128 connections; the connection of one more is tried again by its
        // client after a second, and the health would be as late. A queue that stays short is no reason to fail.
        let _ = listen(&tcp, Backlog::MAXCONN);
        let _ = unix.as_ref().map(|unix| listen(unix, Backlog::MAXCONN));
        Self { tcp, unix, asks_unix_first: true, owners, names }
    }

    /// Accepts a connection of either listener. The other listener is asked first the next time, so that a client that
    /// connects to one of them again and again keeps nobody from the other.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(ClientStream, Caller)>> {
        for asks_unix in [self.asks_unix_first, !self.asks_unix_first] {
            let accepted = if asks_unix { self.poll_unix(cx) } else { self.poll_tcp(cx) };
            if accepted.is_ready() {
                self.asks_unix_first = !asks_unix;
                return accepted;
            }
        }
        Poll::Pending
    }

    fn poll_unix(&self, cx: &mut Context<'_>) -> Poll<io::Result<(ClientStream, Caller)>> {
        let Some(unix) = &self.unix else { return Poll::Pending };
        unix.poll_accept(cx).map(|accepted| accepted.and_then(|(stream, _)| unix_client(stream)))
    }

    fn poll_tcp(&self, cx: &mut Context<'_>) -> Poll<io::Result<(ClientStream, Caller)>> {
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
    fn clients_of_one_listener_do_not_keep_out_those_of_the_other() {
        use std::os::unix::net::UnixStream as StdUnixStream;

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("api.sock");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        runtime.block_on(async {
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let addr = tcp.local_addr().expect("it is bound");
            let unix = UnixListener::bind(&path).expect("a socket");
            let mut acceptor = Acceptor::new(tcp, Some(unix), SocketOwners::open(addr), HostNames::Loopback);
            let connect = || StdUnixStream::connect(&path).expect("it listens");
            let mut clients = vec![connect(), connect()];
            let _client = std::net::TcpStream::connect(addr).expect("it listens");
            for _ in 0..100 {
                let (stream, _) = poll_fn(|cx| acceptor.poll_accept(cx)).await.expect("it accepts");
                match stream {
                    ClientStream::Tcp(_) => return,
                    ClientStream::Unix(_) => clients.push(connect()),
                }
                // The runtime looks at its descriptors only when no task is ready.
                tokio::task::yield_now().await;
            }
            panic!("the client over TCP was not accepted");
        });
    }

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
