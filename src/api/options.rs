//! The settings of the HTTP server.

use std::net::SocketAddr;

use super::view::Capabilities;

/// What the HTTP server needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The loopback address and port that it listens on; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The limits in force, as `/capabilities` shows them.
    pub capabilities: Capabilities,
}
