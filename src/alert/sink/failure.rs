//! Why a sink did not deliver a notice.

use std::time::Duration;

/// Why a notice was not delivered.
#[derive(Debug)]
pub(super) struct Failure {
    /// The sentence that names the failure, its place and the remedy, without secrets.
    pub(super) why: String,
    /// True if another attempt may succeed.
    pub(super) is_passing: bool,
    /// The pause that the receiver requests; `None` if it requests none.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// Creates a failure that may be over at the next attempt.
    pub(super) fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: true, retry_after: None }
    }

    /// Creates a failure that repeats with every attempt to deliver the same notice.
    pub(super) fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: false, retry_after: None }
    }
}
