//! HTTP, JSON views and the dashboard.
#![forbid(unsafe_code)]

pub mod view;

use std::net::SocketAddr;

/// What the HTTP server needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The loopback address and port that it listens on.
    pub listen: SocketAddr,
    /// The limits in force, as `/capabilities` shows them.
    pub capabilities: view::Capabilities,
}
