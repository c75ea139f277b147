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
//! A request passes the files in this order: `server` accepts its connection, `timed_io` limits the time on its
//! socket, `router` finds its row in the table of `routes`, `guard` checks it and `query` reads its query, one of
//! `legacy`, `v1`, `limits`, `mutes` and `assets` answers it, `response_cache` keeps large bodies for the next reader,
//! `etag` finds out whether the client has the body already, and `reply` adds the headers.
//!
//! Most paths only read. `mutes` also makes changes, and checks that the request does not come from another web page.
//!
//! Clients do not authenticate, so the server listens on loopback only. Loopback is not private either: any page that a
//! browser on this machine has open can send requests here. Such a page cannot read the answers, because no CORS header
//! is ever sent, and a request by a name of that page's own that resolves to 127.0.0.1 fails the check of the `Host`
//! header.
#![forbid(unsafe_code)]

mod accounting;
mod assets;
mod bounds;
mod confinement;
mod etag;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
mod legacy;
mod limits;
mod mutes;
mod options;
mod query;
mod reply;
mod response_cache;
mod router;
mod routes;
mod server;
mod sinks;
mod timed_io;
mod v1;
pub mod view;

pub use bounds::Bounds;
pub use options::Options;
pub use server::{ApiError, RunningServer, Server};
