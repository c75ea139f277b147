//! Two kinds of time that must not be mixed: when something was seen, and when the engine turns.

use std::time::Duration;

/// A point of civil time in nanoseconds since 1970-01-01 UTC; it may step. For display and for the order
/// of two packets of one exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The time `span` later; the last representable one where that overflows.
    pub fn plus(self, span: Duration) -> UnixNanos {
        UnixNanos(self.0.saturating_add(nanos_of(span)))
    }

    /// The time `span` earlier; the first representable one where that is before it.
    pub fn minus(self, span: Duration) -> UnixNanos {
        UnixNanos(self.0.saturating_sub(nanos_of(span)))
    }
}

/// A point of the engine's clock in nanoseconds; it never goes back. Live it is CLOCK_MONOTONIC, in replay
/// the largest capture time so far. Windows, alerts and deadlines turn on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `span` later; the last representable one where that overflows.
    pub fn plus(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(nanos_of(span)))
    }

    /// The moment `span` earlier; the first one where that is before it.
    pub fn minus(self, span: Duration) -> Moment {
        Moment(self.0.saturating_sub(nanos_of(span)))
    }

    /// The time from `earlier` to here; zero where `earlier` is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Reads CLOCK_MONOTONIC.
pub fn monotonic_now() -> Moment {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("CLOCK_MONOTONIC exists on every Linux");
    Moment(nanos(now))
}

/// Reads how long the calling thread has run on a CPU (CLOCK_THREAD_CPUTIME_ID).
pub fn thread_cpu_time() -> Duration {
    let spent = nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("CLOCK_THREAD_CPUTIME_ID exists on every Linux");
    Duration::from(spent)
}

/// Reads CLOCK_REALTIME.
pub fn unix_now() -> UnixNanos {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME)
        .expect("CLOCK_REALTIME exists on every Linux");
    UnixNanos(nanos(now))
}

fn nanos(time: nix::sys::time::TimeSpec) -> u64 {
    nanos_of(Duration::from(time))
}

fn nanos_of(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
