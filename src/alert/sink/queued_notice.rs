//! A notice on its way to every sink.

use std::sync::OnceLock;

use crate::alert::notice::Notice;
use crate::enrich::{GeoIp, GeoIpRecord, HostDetails, ReverseDns};
use crate::store::Ticket;
use crate::time::{Moment, UnixNanos, monotonic_now};

/// A notice on its way to every sink.
#[derive(Debug)]
pub(super) struct QueuedNotice {
    /// Ascends in the order in which notices are queued. With a state directory no process uses a number again.
    pub(super) number: u64,
    /// When it was queued, by the wall clock.
    pub(super) at: UnixNanos,
    /// When this process queued it, on the monotonic clock, by which its age is measured. The age begins anew after a
    /// restart, since the wall clock may have stepped.
    pub(super) since: Moment,
    pub(super) notice: Notice,
    /// Tells when the notice is in the state database; `None` if it is not kept there, or was restored from there.
    pub(super) ticket: Option<Ticket>,
    /// The name of the source; empty until a sink looks it up.
    name: OnceLock<Option<String>>,
    /// The GeoIP record of the source; empty until a sink looks it up.
    origin: OnceLock<GeoIpRecord>,
}

impl QueuedNotice {
    pub(super) fn new(number: u64, at: UnixNanos, notice: Notice) -> Self {
        let since = monotonic_now();
        Self { number, at, since, notice, ticket: None, name: OnceLock::new(), origin: OnceLock::new() }
    }

    /// Looks up the name of the source unless another sink did. Blocks during the lookup, also if another sink makes
    /// it.
    pub(super) fn look_up_name(&self, names: &ReverseDns) {
        self.name.get_or_init(|| names.name_of(self.notice.alert().source?));
    }

    /// Looks up the GeoIP record of the source unless another sink did.
    pub(super) fn look_up_origin(&self, geoip: &GeoIp) {
        self.origin.get_or_init(|| {
            self.notice.alert().source.map_or_else(GeoIpRecord::default, |source| geoip.of(source))
        });
    }

    /// Returns the name and origin of the source as far as they have been looked up.
    pub(super) fn source(&self) -> HostDetails<'_> {
        let name = self.name.get().and_then(Option::as_deref);
        self.origin
            .get()
            .map_or(HostDetails { name, ..HostDetails::default() }, |origin| origin.details(name))
    }
}
