//! Bytes to [`Summary`]: the only floor that reads packets.
#![forbid(unsafe_code)]

mod decode;
mod frame;
mod summary;

pub use decode::decode;
pub use frame::{Direction, Frame, LinkKind};
pub use summary::{Endpoints, Skip, Summary, TcpFlags, Transport};
