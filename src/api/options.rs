//! The settings of the HTTP server.

use std::net::SocketAddr;

use super::unix_socket::SocketOption;
use super::users::ApiUser;
use super::view::Capabilities;
use crate::alert::Secret;

/// The settings of the HTTP server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The address and port on which the server listens; with port 0 the kernel chooses a port. An address that others
    /// can reach needs a token.
    pub listen: SocketAddr,
    /// The token, or the file that holds it; `None` if there is none.
    pub token: Option<Secret>,
    /// Where the Unix socket is.
    pub socket: SocketOption,
    /// Who may make changes over the Unix socket, besides root and the program's user.
    pub users: Vec<ApiUser>,
    /// The limits in force, as `/capabilities` shows them.
    pub capabilities: Capabilities,
}
