//! HTTP: the original's JSON, our own JSON, and the dashboard.
//!
//! * **Owns** the listening socket, one thread named `api`, and every byte that leaves through this socket. No other
//!   module uses hyper and tokio.
//! * **Does not access** workers, rings and tables. It reads one [`Report`](crate::report::Report) from the cell
//!   that the analyst publishes into, and copies what it needs into a view. Reading the cell clones an `Arc`, so no
//!   reader makes the analyst wait.
//! * **Units** are those of the report: bytes of IP packets, unscaled.
//! * **Fails** only at the start, with an [`ApiError`] that names the address and the remedy. Afterwards a
//!   misbehaving client gets the fitting 4xx or is disconnected within the [`Bounds`], and other clients are not
//!   affected.
//! * **Follows** RFC 9110 and RFC 9112 (HTTP), RFC 9457 (problem details), and the original's JSON.
//!
//! A request passes the files in this order: `accept` accepts its connection, whose place `connections` gives,
//! `timed_io` limits the time on its socket, `router` finds its row in the table of `routes`, `guard` checks its
//! address and `access` its rights, `query` reads its query, one of `legacy`, `v1`, `limits`, `mutes`,
//! `session_endpoint` and `assets` answers it, `response_cache` keeps large bodies for the next reader, `etag` finds
//! out whether the client has the body already, and `reply` adds the headers.
//!
//! Most paths only read. `mutes` also makes changes, and checks that the request does not come from another web page.
//!
//! Whoever is on this host may read; changes, and everything from elsewhere, need a token or a user that the Unix
//! socket proves (`access`). Loopback is not private either: any page that a browser on this machine has open can
//! send requests here. Such a page cannot read the answers, because no CORS header is ever sent, and a request by a
//! name of that page's own that resolves to 127.0.0.1 fails the check of the `Host` header.
#![forbid(unsafe_code)]

mod accept;
mod access;
mod accounting;
mod assets;
mod attempts;
mod body;
mod bounds;
mod client;
mod confinement;
mod connections;
mod error;
mod etag;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
mod legacy;
mod limits;
mod mutes;
mod options;
mod query;
mod refusals;
mod reply;
mod response_cache;
mod router;
mod routes;
mod server;
mod session_endpoint;
mod sessions;
mod sinks;
mod socket_owner;
mod stream;
mod timed_io;
mod token;
mod unix_socket;
mod users;
mod v1;
pub mod view;

pub use bounds::Bounds;
pub use error::ApiError;
pub use options::Options;
pub use refusals::{refusals, socket_warning};
pub use server::{NewAccess, RunningServer, Server};
pub use token::{TokenError, new_api_token, why_no_api_token};
pub use unix_socket::{SocketError, SocketOption};
pub use users::ApiUser;
