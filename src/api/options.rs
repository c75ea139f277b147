//! The settings of the HTTP server.

use std::net::SocketAddr;

use super::view::Capabilities;

/// The settings of the HTTP server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The loopback address and port on which the server listens; with port 0 the kernel chooses a port.
    pub listen: SocketAddr,
    /// The limits in force, as `/capabilities` shows them.
    pub capabilities: Capabilities,
}
