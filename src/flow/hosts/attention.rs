//! Which hosts are looked at: those of which a limit may speak, since their sums grew past it.

use crate::flow::container::chunked_vec::ChunkedVec;
use crate::flow::eviction_priority::Allowed;
use crate::flow::rates::RateClock;

use super::{DIRTY, HostId, Hosts};

/// From which sums on a host is touched: below, no limit can speak of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Thresholds {
    pub(super) ip_bytes: u64,
    pub(super) received_bytes: u64,
    pub(super) contacted_hosts: u32,
    pub(super) contacted_ports: u32,
    pub(super) packets_per_s: u64,
    pub(super) contacts_per_s: u64,
}

/// Room in the list of touched hosts, however few there may be.
pub(super) const TOUCHED_MIN: usize = 4096;

impl Hosts {
    /// Has only hosts touched of which one of these limits may speak: over it, or over half of it, since sums may have
    /// errors as large. Counts what happens within a second where one of them asks for it.
    pub(in crate::flow) fn watch(&mut self, allowed: &Allowed) {
        let half = |limit: Option<u64>| limit.map_or(u64::MAX, |limit| limit / 2);
        let over = |limit: Option<u32>| limit.map_or(u32::MAX, |limit| limit.saturating_add(1));
        let over_rate = |limit: Option<u32>| limit.map_or(u64::MAX, |limit| u64::from(limit) + 1);
        self.watch = Thresholds {
            ip_bytes: half(allowed.ip_bytes),
            received_bytes: half(allowed.received_bytes),
            contacted_hosts: over(allowed.contacted_hosts),
            contacted_ports: over(allowed.contacted_ports),
            packets_per_s: over_rate(allowed.packets_per_s),
            contacts_per_s: over_rate(allowed.contacts_per_s),
        };
        self.recent = allowed.needs_rates().then(|| self.recent.take().unwrap_or_default());
    }

    /// Notes how many ports a host has contacted by now.
    pub(in crate::flow) fn note_ports(&mut self, id: HostId, contacted_ports: u32) {
        if contacted_ports >= self.watch.contacted_ports {
            self.mark_dirty(id);
        }
    }

    /// Notes how much a host has received by now.
    pub(in crate::flow) fn note_received(&mut self, id: HostId, received_bytes: u64) {
        if received_bytes >= self.watch.received_bytes {
            self.mark_dirty(id);
        }
    }

    /// Adds what a source did within the last moments, if anybody asks for it.
    pub(in crate::flow) fn add_recent(&mut self, id: HostId, clock: &RateClock, packets: u64, contacts: u32) {
        let Some(recent) = &mut self.recent else { return };
        let (packets, contacts) = recent.reach(id.0).add(clock, packets, contacts);
        if packets >= self.watch.packets_per_s || contacts >= self.watch.contacts_per_s {
            self.mark_dirty(id);
        }
    }

    /// Packets and contacts of the last second; zero where nobody asks for them.
    pub(in crate::flow) fn per_second(&self, id: HostId, clock: &RateClock) -> (u32, u32) {
        let recent = self.recent.as_ref().and_then(|recent| recent.get(id.0));
        recent.map_or((0, 0), |recent| recent.per_second(clock))
    }

    /// Notes that a host did something that a limit may speak of.
    pub(super) fn mark_dirty(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        if !host.has(DIRTY) {
            host.flags |= DIRTY;
            self.dirty.push(id);
            if self.dirty.len() >= self.dirty_max {
                // Most of them are gone by now.
                self.mark_all_dirty();
            }
        }
    }

    /// Notes that every host is to be judged anew.
    pub(in crate::flow) fn mark_all_dirty(&mut self) {
        self.dirty = ChunkedVec::default();
        for at in self.index.iter() {
            self.rows[at].flags |= DIRTY;
            self.dirty.push(HostId(at));
        }
    }

    /// The next host that was touched and not taken since, if it is still there.
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
