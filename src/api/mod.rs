//! HTTP: the original's JSON, our own JSON, and the dashboard.
//!
//! * **Owns** the listening socket, one thread named `api`, and every byte that leaves
//!   through it. It alone uses hyper and tokio.
//! * **Does not know** threads, rings and tables. It reads one [`Report`](crate::report::Report) from the cell
//!   that the analyst publishes into, and copies what it needs into a view. Reading the cell clones an `Arc`, so no
//!   reader makes the analyst wait.
//! * **Units** are those of the report: bytes of IP packets, unscaled.
//! * **Fails** only at the start, with an [`ApiError`] that names the address and the remedy. Afterwards a bad
//!   client gets the right 4xx or is cut within the [`Bounds`], and no other client notices.
//! * **Follows** RFC 9110 and RFC 9112 (HTTP), RFC 9457 (problem details), and the original's JSON.
//!
//! One request passes the files in this order: `server` accepts its connection, `timed_io` limits the time on its
//! socket, `router` finds its row in the table of `routes`, `guard` checks it, `legacy`, `v1`, `mutes` or `assets`
//! answer, `response_cache` keeps large bodies for the next reader, `reply` adds the headers.
//!
//! Most paths are only read; `mutes` also changes something, and checks that the request comes from no other web page.
//!
//! There is no token, so the server listens on loopback only. Loopback is not private either: any page that a browser
//! on this machine has open can send requests here. Such a page cannot read the answers, because no CORS header is ever
//! sent, and a name of its own that resolves to 127.0.0.1 fails the check of the `Host` header.
#![forbid(unsafe_code)]

mod accounting;
mod assets;
mod bounds;
mod guard;
mod legacy;
mod mutes;
mod options;
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
