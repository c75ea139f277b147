//! The listening socket, the thread that serves it, and how both stop.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::accept::{self, Acceptor};
use super::access::Access;
use super::bounds::Bounds;
use super::error::ApiError;
use super::guard::HostNames;
use super::mutes::MutesEndpoint;
use super::options::Options;
use super::refusals;
use super::router::Router;
use super::socket_owner::SocketOwners;
use super::token::{GivenToken, HashedSecret, TokenError};
use super::unix_socket::{self, BoundSocket, SocketFile, SocketOption};
use super::users::AllowedUsers;
use super::view;
use crate::alert::MuteHandle;
use crate::enrich::GeoIp;
use crate::flow::Published;
use crate::report::Report;
use crate::sandbox::{self, ThreadKind};
use crate::store::StateWriter;

/// A server that is bound to its port but does not answer yet.
///
/// Binding and starting are two calls, so that a port in use stops the program before anything else is opened, and so
/// that an answer proves that counting has begun.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    acceptor: Acceptor,
    local_addr: SocketAddr,
    socket_file: Option<SocketFile>,
    token: Option<GivenToken>,
    users: AllowedUsers,
    capabilities: view::Capabilities,
    bounds: Bounds,
    desk: Option<MuteHandle>,
    state: Option<StateWriter>,
    geoip: GeoIp,
}

impl Server {
    /// Binds the port and the Unix socket, and reads the token. Connections from here on wait in the kernel until
    /// [`start`](Self::start).
    ///
    /// # Errors
    /// [`ApiError::NotLoopback`] if other machines can reach the address and there is no token, [`ApiError::InUse`] and
    /// [`ApiError::Listen`] if the kernel refuses the address, [`ApiError::Token`] if the token cannot be used,
    /// [`ApiError::Socket`] if the Unix socket is refused that the options name, [`ApiError::Runtime`] if the kernel
    /// refuses the descriptors of the event loop.
    pub fn bind(options: &Options) -> Result<Server, ApiError> {
        let addr = options.listen;
        refusals::check_reach(options)?;
        let token = GivenToken::read(options.token.as_ref()).map_err(ApiError::Token)?;
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ApiError::InUse { addr, port: addr.port(), source },
            _ => ApiError::refused(addr, source),
        };
        let listener = StdListener::bind(addr).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        let socket = bind_socket(&options.socket)?;

        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|source| ApiError::Runtime { source })?;
        let (listener, socket) = {
            // `from_std` panics outside of a runtime.
            let _inside = runtime.enter();
            let listener = TcpListener::from_std(listener).map_err(|source| ApiError::Runtime { source })?;
            let socket = socket
                .map(|BoundSocket { listener, file }| Ok((UnixListener::from_std(listener)?, file)))
                .transpose()
                .map_err(|source| ApiError::Runtime { source })?;
            (listener, socket)
        };
        let (unix, socket_file) = socket.unzip();
        let names =
            if addr.ip().to_canonical().is_loopback() { HostNames::Loopback } else { machine_names() };
        Ok(Server {
            runtime,
            acceptor: Acceptor::new(listener, unix, SocketOwners::open(local_addr), names),
            local_addr,
            socket_file,
            token,
            users: AllowedUsers::look_up(&options.users),
            capabilities: options.capabilities.clone(),
            bounds: Bounds::default(),
            desk: None,
            state: None,
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

    /// Lets `/api/v1/status` show the database of the state; `None` without a state directory.
    #[must_use]
    pub fn with_state(self, state: Option<StateWriter>) -> Server {
        Server { state, ..self }
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

    /// Returns the path of the Unix socket; `None` if there is none.
    pub fn socket_path(&self) -> Option<&Path> {
        self.socket_file.as_ref().map(SocketFile::path)
    }

    /// Starts to answer from `report`, on a thread of its own named `api`. Call it after the user of the process has
    /// changed: the file of the token must belong to this user or to root.
    ///
    /// # Errors
    /// [`ApiError::Token`] if the file of the token belongs to somebody else, [`ApiError::Thread`] if the system
    /// refuses the thread.
    pub fn start(self, report: Arc<Published<Report>>) -> Result<RunningServer, ApiError> {
        let Server { runtime, acceptor, local_addr, socket_file, token, users, .. } = self;
        let Server { capabilities, bounds, desk, state, geoip, .. } = self;
        let token = token.map(GivenToken::checked).transpose().map_err(ApiError::Token)?;
        let hashed = token.as_deref().map(HashedSecret::new).transpose();
        let hashed = hashed.map_err(|source| ApiError::Token(TokenError::Random { source }))?;
        let socket_path = socket_file.as_ref().map(|file| file.path().to_owned());
        let access = Arc::new(Access::new(hashed, users, socket_path));
        let capabilities = Arc::new(Published::new(capabilities));
        let geoip = Arc::new(Published::new(geoip));
        let mut router =
            Router::new(Arc::clone(&capabilities), report, Arc::clone(&geoip), Arc::clone(&access), &bounds);
        if let Some(desk) = desk {
            router = router.with_mutes(MutesEndpoint::new(desk, &bounds));
        }
        let router = Arc::new(router.with_state(state).with_owners(acceptor.owners.status()));
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("api".into())
            .spawn(move || {
                sandbox::enter(ThreadKind::Api);
                runtime.block_on(accept::serve(acceptor, router, bounds, stopped));
            })
            .map_err(|source| ApiError::Thread { source })?;
        Ok(RunningServer { stop, thread, local_addr, socket_file, capabilities, geoip, access })
    }
}

/// A server that answers. If it is dropped without [`stop`](Self::stop), its thread ends as well, but is not joined.
#[derive(Debug)]
pub struct RunningServer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    local_addr: SocketAddr,
    /// The file is removed when this is dropped.
    socket_file: Option<SocketFile>,
    capabilities: Arc<Published<view::Capabilities>>,
    geoip: Arc<Published<GeoIp>>,
    access: Arc<Access>,
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

    /// Replaces the token and the users. All sessions end if the token has changed.
    pub fn set_access(&self, access: NewAccess) {
        let NewAccess { token, hashed, users } = access;
        self.access.set_users(users);
        self.access.set_token(token.as_deref(), hashed);
    }

    /// Returns the address on which the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the path of the Unix socket; `None` if there is none.
    pub fn socket_path(&self) -> Option<&Path> {
        self.socket_file.as_ref().map(SocketFile::path)
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

/// The token and the users of a configuration that was read again, for [`RunningServer::set_access`].
pub struct NewAccess {
    token: Option<String>,
    hashed: Option<HashedSecret>,
    users: AllowedUsers,
}

impl NewAccess {
    /// Reads the file of the token and looks the users up. A disk or a directory of users that hangs takes long.
    ///
    /// # Errors
    /// The token cannot be used.
    pub fn read(options: &Options) -> Result<Self, TokenError> {
        let token = GivenToken::read(options.token.as_ref())?.map(GivenToken::checked).transpose()?;
        let hashed = token.as_deref().map(HashedSecret::new).transpose();
        let hashed = hashed.map_err(|source| TokenError::Random { source })?;
        Ok(Self { token, hashed, users: AllowedUsers::look_up(&options.users) })
    }
}

impl std::fmt::Debug for NewAccess {
    /// Leaves the token out, since debug output may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAccess").field("users", &self.users).finish_non_exhaustive()
    }
}

/// Binds the Unix socket. Where the options do not name it, the program goes on without it.
fn bind_socket(option: &SocketOption) -> Result<Option<BoundSocket>, ApiError> {
    let Some(path) = option.path() else { return Ok(None) };
    match unix_socket::bind(&path) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if *option == SocketOption::Auto => {
            tracing::warn!("{}", refusals::without_socket(&error));
            Ok(None)
        }
        Err(error) => Err(ApiError::Socket(error)),
    }
}

/// Returns the names of a server that others can reach.
fn machine_names() -> HostNames {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    HostNames::Addresses { machine: name.into() }
}
