//! The listening socket, the thread that serves it, and how both stop.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

use super::bounds::Bounds;
use super::mutes::MutesEndpoint;
use super::options::Options;
use super::router::Router;
use super::timed_io::{TimedIo, refuse};
use super::view;
use crate::alert::MuteHandle;
use crate::enrich::GeoIp;
use crate::flow::Published;
use crate::report::Report;
use crate::sandbox::{self, ThreadKind};

/// A server that is bound to its port but does not answer yet.
///
/// Binding and starting are two calls, so that a port in use stops the program before anything else is opened, and so
/// that an answer proves that counting has begun.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    listener: TcpListener,
    local_addr: SocketAddr,
    capabilities: view::Capabilities,
    bounds: Bounds,
    desk: Option<MuteHandle>,
    geoip: GeoIp,
}

impl Server {
    /// Binds the port. Connections from here on wait in the kernel until [`start`](Self::start).
    ///
    /// # Errors
    /// [`ApiError::NotLoopback`] if other machines can reach the address, [`ApiError::InUse`] and [`ApiError::Listen`]
    /// if the kernel refuses the address, [`ApiError::Runtime`] if it refuses the descriptors of the event loop.
    pub fn bind(options: &Options) -> Result<Server, ApiError> {
        let addr = options.listen;
        if !addr.ip().is_loopback() {
            return Err(ApiError::NotLoopback { addr });
        }
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ApiError::InUse { addr, port: addr.port(), source },
            kind => ApiError::Listen { addr, remedy: remedy(kind), source },
        };
        let listener = StdListener::bind(addr).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;

        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| ApiError::Runtime { source })?;
        let listener = {
            // `TcpListener::from_std` panics outside of a runtime.
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(|source| ApiError::Runtime { source })?
        };
        let capabilities = options.capabilities.clone();
        Ok(Server {
            runtime,
            listener,
            local_addr,
            capabilities,
            bounds: Bounds::default(),
            desk: None,
            geoip: GeoIp::default(),
        })
    }

    /// Replaces the bounds, for a test that cannot wait as long as a client may.
    #[must_use]
    pub fn bounded_by(self, bounds: Bounds) -> Server {
        Server { bounds, ..self }
    }

    /// Lets `/api/v1/mutes` list and change mutes through `desk`.
    #[must_use]
    pub fn with_mutes(self, desk: MuteHandle) -> Server {
        Server { desk: Some(desk), ..self }
    }

    /// Adds the country and the autonomous system of hosts to the alerts that are served.
    #[must_use]
    pub fn with_geoip(self, geoip: GeoIp) -> Server {
        Server { geoip, ..self }
    }

    /// Returns the address on which the server listens, with the port that the kernel chose if port 0 was asked for.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Starts to answer from `report`, on a thread of its own named `api`.
    ///
    /// # Errors
    /// [`ApiError::Thread`] if the system refuses the thread.
    pub fn start(self, report: Arc<Published<Report>>) -> Result<RunningServer, ApiError> {
        let Server { runtime, listener, local_addr, capabilities, bounds, desk, geoip } = self;
        let capabilities = Arc::new(Published::new(capabilities));
        let geoip = Arc::new(Published::new(geoip));
        let mut router = Router::new(Arc::clone(&capabilities), report, Arc::clone(&geoip));
        if let Some(desk) = desk {
            router = router.with_mutes(MutesEndpoint::new(desk, &bounds));
        }
        let router = Arc::new(router);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("api".into())
            .spawn(move || {
                sandbox::enter(ThreadKind::Api);
                runtime.block_on(serve(listener, router, bounds, stopped));
            })
            .map_err(|source| ApiError::Thread { source })?;
        Ok(RunningServer { stop, thread, local_addr, capabilities, geoip })
    }
}

/// A server that answers. If it is dropped without [`stop`](Self::stop), its thread ends as well, but is not joined.
#[derive(Debug)]
pub struct RunningServer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    local_addr: SocketAddr,
    capabilities: Arc<Published<view::Capabilities>>,
    geoip: Arc<Published<GeoIp>>,
}

impl RunningServer {
    /// Replaces the limits that `/capabilities` shows, and whether destinations are hidden.
    pub fn set_capabilities(&self, capabilities: view::Capabilities) {
        self.capabilities.publish(capabilities);
    }

    /// Replaces the databases in which the country and the autonomous system of hosts are looked up. Call it also after
    /// the same databases were read again: answers that were made before are not used from then on.
    pub fn set_geoip(&self, geoip: GeoIp) {
        self.geoip.publish(geoip);
    }

    /// Returns the address on which the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting, waits at most [`Bounds::stop_grace`] for unfinished answers, closes the other connections, and
    /// joins the thread.
    pub fn stop(self) {
        // Sending fails if the thread has ended already; then there is nothing to stop.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the API thread panicked; please report this");
        }
    }
}

/// Why the HTTP server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Other machines could reach the address.
    #[error(
        "ListenAddress {addr} is not a loopback address, and without a token anybody who reaches it could read \
         whom this network talks to; use 127.0.0.1:{port} or [::1]:{port}, and an SSH tunnel from elsewhere",
        port = .addr.port()
    )]
    NotLoopback {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// Another program has the port.
    #[error(
        "cannot listen on {addr}: another program has the port; `ss -ltnp 'sport = :{port}'` shows which one. \
         Stop it, or choose another port with ListenAddress"
    )]
    InUse {
        /// The address asked for.
        addr: SocketAddr,
        /// Its port.
        port: u16,
        /// The error of the kernel.
        source: io::Error,
    },
    /// The kernel refuses the address for another reason.
    #[error("cannot listen on {addr}: {remedy}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What to do about it.
        remedy: &'static str,
        /// The error of the kernel.
        source: io::Error,
    },
    /// The kernel refuses an epoll instance or an eventfd for the server's thread.
    #[error("cannot set up the API's event loop; is the limit of open files reached (`ulimit -n`)?")]
    Runtime {
        /// The error of the kernel.
        source: io::Error,
    },
    /// The system refuses a thread.
    #[error("cannot start the API's thread; is the limit of tasks reached (`ulimit -u`, TasksMax=)?")]
    Thread {
        /// The error of the kernel.
        source: io::Error,
    },
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs CAP_NET_BIND_SERVICE; choose a higher one with ListenAddress"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; is lo up (`ip addr show lo`), is IPv6 on? \
             Choose another one with ListenAddress"
        }
        _ => "choose another address with ListenAddress",
    }
}

/// Accepts connections until `stopped`, then waits for the open ones. This is all that the thread `api` runs.
async fn serve(
    listener: TcpListener,
    router: Arc<Router>,
    bounds: Bounds,
    mut stopped: oneshot::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(bounds.connections_max));
    let refusals = Arc::new(Semaphore::new(bounds.refusals_max));
    let http = http(&bounds);
    let mut refused_by_kernel = false;

    loop {
        let accepted = poll_fn(|cx| match Pin::new(&mut stopped).poll(cx) {
            Poll::Ready(_) => Poll::Ready(None),
            Poll::Pending => listener.poll_accept(cx).map(Some),
        });
        let stream = match accepted.await {
            None => break,
            Some(Ok((stream, _))) => stream,
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

        if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
            let connection = graceful.watch(connection(&http, stream, &router, &bounds));
            tokio::spawn(async move {
                // An error is the client's (malformed, too slow, disconnected) and was answered if that was possible.
                let _ = connection.await;
                drop(permit);
            });
        } else if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
            let refusing = refuse(TimedIo::new(stream, &bounds));
            tokio::spawn(async move {
                refusing.await;
                drop(refusal);
            });
        }
        // Beyond both bounds the stream is dropped here, which closes it without an answer.
    }

    drop(listener);
    // Connections that have not finished by then are cut when the runtime is dropped.
    let _ = tokio::time::timeout(bounds.stop_grace, graceful.shutdown()).await;
}

pub(super) fn http(bounds: &Bounds) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(bounds.head_bytes_max)
        .max_header_size(bounds.head_bytes_max)
        .max_headers(bounds.headers_max);
    http
}

fn connection(
    http: &http1::Builder,
    stream: TcpStream,
    router: &Arc<Router>,
    bounds: &Bounds,
) -> impl hyper_util::server::graceful::GracefulConnection + use<> {
    let router = Arc::clone(router);
    let service = service_fn(move |request| {
        let router = Arc::clone(&router);
        async move { Ok::<_, Infallible>(router.serve(request).await) }
    });
    http.serve_connection(TokioIo::new(TimedIo::new(stream, bounds)), service)
}

/// Pause after `accept` has failed.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);
