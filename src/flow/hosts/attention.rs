//! Marks hosts dirty. A host is dirty if one of its counts has reached the threshold of a limit, so that it may exceed
//! the limit. Detectors examine only dirty hosts.

use crate::flow::container::chunked_vec::ChunkedVec;
use crate::flow::metric::{Metric, PerMetric};
use crate::flow::rates::RateClock;

use super::{DIRTY, HostId, Hosts};

/// Minimum number of entries that the list of dirty hosts has room for.
pub(super) const DIRTY_MIN: usize = 4096;

impl Hosts {
    /// From this call on, marks a host dirty only if it may exceed one of these limits. Each is the lowest limit of any
    /// host for its metric. Rates are counted only if one of the limits needs them.
    pub(in crate::flow) fn watch(&mut self, limits: &PerMetric<Option<u64>>) {
        self.thresholds = PerMetric::from_fn(|metric| metric.threshold(limits[metric]));
        let needs_rates = Metric::ALL.into_iter().any(|metric| metric.is_rate() && limits[metric].is_some());
        self.recent = needs_rates.then(|| self.recent.take().unwrap_or_default());
        if !needs_rates {
            self.answers = ChunkedVec::default();
        }
    }

    /// Marks a host dirty if it may exceed the limit of contacted ports, of which it has this many.
    pub(in crate::flow) fn note_ports(&mut self, id: HostId, contacted_ports: u32) {
        if u64::from(contacted_ports) >= self.thresholds[Metric::ContactedPorts] {
            self.mark_dirty(id);
        }
    }

    /// Marks a host dirty if it may exceed the limit of received bytes, of which it has this many.
    pub(in crate::flow) fn note_received(&mut self, id: HostId, received_bytes: u64) {
        if received_bytes >= self.thresholds[Metric::ReceivedBytes] {
            self.mark_dirty(id);
        }
    }

    /// Adds packets and contacts of a source to its rates, if a limit needs them. Marks it dirty if it may exceed one.
    pub(in crate::flow) fn add_recent(&mut self, id: HostId, clock: &RateClock, packets: u64, contacts: u32) {
        let Some(recent) = &mut self.recent else { return };
        let (packets, contacts) = recent.reach(id.0).add(clock, packets, contacts);
        let is_over_any = packets >= self.thresholds[Metric::PacketsPerS]
            || contacts >= self.thresholds[Metric::ContactsPerS];
        if is_over_any {
            self.mark_dirty(id);
        }
    }

    /// Returns the packets and contacts of the last second; zeros if no limit needs them.
    pub(in crate::flow) fn per_second(&self, id: HostId, clock: &RateClock) -> (u32, u32) {
        let recent = self.recent.as_ref().and_then(|recent| recent.get(id.0));
        recent.map_or((0, 0), |recent| recent.per_second(clock))
    }

    /// Adds packets of a source that only answer, if a limit needs its rates. They must also be passed to
    /// [`add_recent`](Self::add_recent).
    pub(in crate::flow) fn add_answers(&mut self, id: HostId, clock: &RateClock, packets: u64) {
        if self.recent.is_some() && packets > 0 {
            self.answers.reach(id.0).add(clock, packets);
        }
    }

    /// Returns the packets of the last second that only answer, if the packets of the last second may exceed a limit;
    /// otherwise 0.
    pub(in crate::flow) fn answers_per_second(&self, id: HostId, clock: &RateClock, packets: u32) -> u32 {
        if u64::from(packets) < self.thresholds[Metric::PacketsPerS] {
            return 0;
        }
        self.answers.get(id.0).map_or(0, |answers| answers.per_second(clock))
    }

    /// Marks a host dirty: it may exceed a limit.
    pub(super) fn mark_dirty(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        if !host.has(DIRTY) {
            host.flags |= DIRTY;
            self.dirty.push(id);
            if self.dirty.len() >= self.dirty_max {
                // Most entries belong to hosts that were freed, so the list is made again.
                self.mark_all_dirty();
            }
        }
    }

    /// Marks every host dirty.
    pub(in crate::flow) fn mark_all_dirty(&mut self) {
        self.dirty = ChunkedVec::default();
        for at in self.index.iter() {
            self.rows[at].flags |= DIRTY;
            self.dirty.push(HostId(at));
        }
    }

    /// Returns the next dirty host that is still in the window, and clears its mark; `None` if there is none.
    pub(in crate::flow) fn take_dirty(&mut self) -> Option<HostId> {
        while let Some(id) = self.dirty.pop() {
            let host = &mut self.rows[id.0];
            if host.has(DIRTY) {
                host.flags &= !DIRTY;
                return Some(id);
            }
        }
        None
    }
}
