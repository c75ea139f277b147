//! Wall-clock time and monotonic time, as two types that cannot be mixed.
#![forbid(unsafe_code)]

use std::time::Duration;

/// A wall-clock time in nanoseconds since 1970-01-01 UTC. The clock may step, so such times are only displayed, used to
/// order the first packets of an exchange, and in replay used to advance the engine's clock ([`Moment`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// Returns the time `span` later; at most the last time that the type can represent.
    pub fn plus(self, span: Duration) -> UnixNanos {
        UnixNanos(self.0.saturating_add(nanos_of(span)))
    }

    /// Returns the time `span` earlier; at least 0.
    pub fn minus(self, span: Duration) -> UnixNanos {
        UnixNanos(self.0.saturating_sub(nanos_of(span)))
    }

    /// Returns the time from `earlier` to this time; zero if `earlier` is later.
    pub fn since(self, earlier: UnixNanos) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A time of the engine's clock in nanoseconds, which never goes back. In live capture the clock is CLOCK_MONOTONIC, in
/// replay it is the largest capture time so far. Windows, alerts and deadlines are measured with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// Returns the moment `span` later; at most the last moment that the type can represent.
    pub fn plus(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(nanos_of(span)))
    }

    /// Returns the moment `span` earlier; at least 0.
    pub fn minus(self, span: Duration) -> Moment {
        Moment(self.0.saturating_sub(nanos_of(span)))
    }

    /// Returns the time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A reading of the clocks at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// CLOCK_MONOTONIC, which stops while the machine is suspended.
    pub now: Moment,
    /// CLOCK_BOOTTIME: the time since the machine started, also while it was suspended.
    pub since_boot: Duration,
    /// CLOCK_REALTIME.
    pub civil: UnixNanos,
}

impl Clocks {
    /// Reads the clocks.
    pub fn read() -> Self {
        let since_boot = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
            .expect("CLOCK_BOOTTIME exists on every Linux");
        Self { now: monotonic_now(), since_boot: Duration::from(since_boot), civil: unix_now() }
    }
}

/// Reads CLOCK_MONOTONIC.
pub fn monotonic_now() -> Moment {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("CLOCK_MONOTONIC exists on every Linux");
    Moment(nanos(now))
}

/// Reads the CPU time of the calling thread (CLOCK_THREAD_CPUTIME_ID).
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
