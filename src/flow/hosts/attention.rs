//! Which hosts the detectors look at: those whose counts have grown to the threshold of a limit, so that they may
//! exceed it. Such hosts are marked dirty.

use crate::flow::container::chunked_vec::ChunkedVec;
use crate::flow::metric::{Metric, PerMetric};
use crate::flow::rates::RateClock;

use super::{DIRTY, HostId, Hosts};

/// Room in the list of dirty hosts, however few hosts there may be.
pub(super) const DIRTY_MIN: usize = 4096;

impl Hosts {
    /// Marks only hosts dirty from here on that may exceed one of these limits, each the lowest that any host has.
    /// Counts what happens within a second where one of them needs it.
    pub(in crate::flow) fn watch(&mut self, limits: &PerMetric<Option<u64>>) {
        self.thresholds = PerMetric::from_fn(|metric| metric.threshold(limits[metric]));
        let needs_rates = Metric::ALL.into_iter().any(|metric| metric.is_rate() && limits[metric].is_some());
        self.recent = needs_rates.then(|| self.recent.take().unwrap_or_default());
    }

    /// Notes how many ports a host has contacted by now.
    pub(in crate::flow) fn note_ports(&mut self, id: HostId, contacted_ports: u32) {
        if u64::from(contacted_ports) >= self.thresholds[Metric::ContactedPorts] {
            self.mark_dirty(id);
        }
    }

    /// Notes how much a host has received by now.
    pub(in crate::flow) fn note_received(&mut self, id: HostId, received_bytes: u64) {
        if received_bytes >= self.thresholds[Metric::ReceivedBytes] {
            self.mark_dirty(id);
        }
    }

    /// Adds what a source did within the last moments, where a limit needs it.
    pub(in crate::flow) fn add_recent(&mut self, id: HostId, clock: &RateClock, packets: u64, contacts: u32) {
        let Some(recent) = &mut self.recent else { return };
        let (packets, contacts) = recent.reach(id.0).add(clock, packets, contacts);
        let is_over_any = packets >= self.thresholds[Metric::PacketsPerS]
            || contacts >= self.thresholds[Metric::ContactsPerS];
        if is_over_any {
            self.mark_dirty(id);
        }
    }

    /// Packets and contacts of the last second; zero where no limit needs them.
    pub(in crate::flow) fn per_second(&self, id: HostId, clock: &RateClock) -> (u32, u32) {
        let recent = self.recent.as_ref().and_then(|recent| recent.get(id.0));
        recent.map_or((0, 0), |recent| recent.per_second(clock))
    }

    /// Marks a host dirty: it may exceed a limit.
    pub(super) fn mark_dirty(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        if !host.has(DIRTY) {
            host.flags |= DIRTY;
            self.dirty.push(id);
            if self.dirty.len() >= self.dirty_max {
                // The window has forgotten most of them by now.
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

    /// Takes the mark from the next dirty host that is still in the window.
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
