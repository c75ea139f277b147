//! Why the HTTP server cannot be started.

use std::io;
use std::net::SocketAddr;

use super::token::TokenError;
use super::unix_socket::SocketError;

/// Why the HTTP server cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Other machines could reach the address.
    #[error(
        "ListenAddress {addr} is not a loopback address, and without a token anybody who reaches it could read \
         whom this network talks to; set ApiTokenFile, or use 127.0.0.1:{port} or [::1]:{port}, and an SSH tunnel \
         from elsewhere",
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
    /// The token cannot be used.
    #[error("{0}")]
    Token(TokenError),
    /// The Unix socket that the configuration names cannot be made.
    #[error("{0}")]
    Socket(SocketError),
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

impl ApiError {
    /// Returns the error of the kernel about an address, with what to do about it.
    pub(super) fn refused(addr: SocketAddr, source: io::Error) -> Self {
        Self::Listen { addr, remedy: remedy(source.kind()), source }
    }
}

/// Returns what to do about an address that the kernel refuses.
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
