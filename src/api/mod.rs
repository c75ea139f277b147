//! HTTP: the original's JSON, our own JSON, and the dashboard.
//!
//! * **Owns** the listening socket, one thread named `api`, and every byte that leaves
//!   through it. It alone uses hyper and tokio.
//! * **Refuses to know** threads, rings and tables. It reads one [`Report`](crate::report::Report) from the cell
//!   that the analyst publishes into, and copies what it needs into a view. Nothing it does can make the
//!   analyst wait: reading the cell clones an `Arc`.
//! * **Units** are those of the report: bytes of IP packets, unscaled.
//! * **Fails** only at the start, with an [`ApiError`] that names the address and the remedy. Afterwards a bad
//!   client gets the right 4xx or is cut, within the [`Bounds`], and nobody else notices.
//! * **Follows** RFC 9110 and RFC 9112 (HTTP), RFC 9457 (problem details), and the original's JSON.
//!
//! One request meets the files in this order: `server` accepts it, `timed_io` watches the clock over its socket,
//! `router` finds who answers, `guard` says whether at all, `legacy`, `v1` or `assets` answer, `response_cache` keeps what
//! they have written for those who ask next, `reply` puts the headers on.
//!
//! Reading is all that most paths allow; `mutes` takes orders, which are checked to come from no other web page.
//!
//! There is no token, so there is no listening on anything but loopback. Loopback is not private either: any
//! page that a browser on this machine has open can send requests here. Such a page cannot read the answers
//! (no CORS header is ever sent), and a name of its own that it points at 127.0.0.1 is refused by the check of
//! the `Host` header.
#![forbid(unsafe_code)]

mod accounting;
mod assets;
mod guard;
mod legacy;
mod mutes;
mod reply;
mod response_cache;
mod router;
mod server;
mod sinks;
mod timed_io;
mod v1;
pub mod view;

use std::net::SocketAddr;

pub use guard::Bounds;
pub use server::{ApiError, RunningServer, Server};

/// What the HTTP server needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// The loopback address and port that it listens on; port 0 lets the kernel choose.
    pub listen: SocketAddr,
    /// The limits in force, as `/capabilities` shows them.
    pub capabilities: view::Capabilities,
}
