//! The tick: the time that one delta covers.

use std::time::Duration;

/// The interval at which a worker hands over its delta, if it counted anything.
pub const TICK: Duration = Duration::from_millis(250);
