//! What is said, when, and to whom.
#![forbid(unsafe_code)]

mod record;

pub use record::{ActiveHost, Alert, AlertKind, Report};

/// How alerts are worded.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Leave destinations out of everything that is said or served.
    pub hide_destinations: bool,
}
