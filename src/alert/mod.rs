//! What is said, when, and to whom.
//!
//! ```text
//!   Finding (every tick) -> Ledger (when it opens, grows, closes) -> Notice -> Sink
//! ```
//!
//! A sink has a bounded queue and a thread of its own: one that hangs delays neither the analyst nor
//! another sink, and what it had no room for is counted.
#![forbid(unsafe_code)]

mod ledger;
mod line;
mod record;
mod sink;

use std::time::Duration;

pub use ledger::{Evidence, Ledger, OPEN_ALERTS_MAX, QuietTimes};
pub use line::Line;
pub use record::{ActiveHost, Alert, AlertKind, InterfaceReport, Life, Notice, Report};
pub use sink::{LINES_MAX, LogSink};

/// How alerts are worded, and when one is a new one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Leave destinations out of everything that is said or served.
    pub hide_destinations: bool,
    /// An alert whose host exceeds its limit again within this time of its end opens again and is no new one.
    pub cooldown: Duration,
}
