//! The part of hosts that eviction needs: which hosts are evicted last, and when each host entered.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Host, HostId, Hosts, LOCAL, PROTECTED};

impl Hosts {
    /// Sets the hosts that are evicted last, and replaces the previous ones.
    pub(in crate::flow) fn protect(&mut self, protected: HashSet<IpAddr>) {
        let before = std::mem::replace(&mut self.protected, protected);
        for addr in &before {
            if let Some(id) = self.find(addr) {
                self.rows[id.0].flags &= !PROTECTED;
            }
        }
        let now = std::mem::take(&mut self.protected);
        for addr in &now {
            if let Some(id) = self.find(addr) {
                self.rows[id.0].flags |= PROTECTED;
            }
        }
        self.protected = now;
    }

    /// Sets the local networks, whose hosts are evicted after the others, and replaces the previous ones. Walks over
    /// all hosts if they differ.
    pub(in crate::flow) fn protect_networks(&mut self, networks: &[IpNet]) {
        let mut local = IpNet::aggregate(&networks.to_vec());
        local.sort_unstable();
        if self.local == local {
            return;
        }
        self.local = local;
        for at in self.index.iter() {
            let flags = self.protection_of(&self.rows[at].addr());
            let host = &mut self.rows[at];
            host.flags = host.flags & !(PROTECTED | LOCAL) | flags;
        }
    }

    /// Returns the flags of the reasons why an address is evicted last; 0 if there is none.
    pub(super) fn protection_of(&self, addr: &IpAddr) -> u8 {
        let before = self.local.partition_point(|network| network.network() <= *addr);
        let is_local = self.local[..before].last().is_some_and(|network| network.contains(addr));
        (u8::from(self.protected.contains(addr)) * PROTECTED) | (u8::from(is_local) * LOCAL)
    }

    /// Stores the current slot and pass of eviction in a host that enters as a source.
    #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
    pub(in crate::flow) fn enter(&mut self, id: HostId) {
        let host = &mut self.rows[id.0];
        (host.entered, host.entered_in_pass) = (self.slot as u32, self.pass);
    }

    /// Returns the slot in which a source entered.
    pub(in crate::flow) fn entered(&self, id: HostId) -> u64 {
        // Only the lower bits are wanted: the difference is small, or so large that the host counts as old either way.
        #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
        let ago = (self.slot as u32).wrapping_sub(self.rows[id.0].entered);
        self.slot.saturating_sub(u64::from(ago))
    }

    /// Begins a pass of eviction. A host that enters during a pass is not evicted in it.
    pub(in crate::flow) fn begin_pass(&mut self) {
        self.pass = self.pass.wrapping_add(1);
    }

    /// Returns true if a host entered in the current pass.
    pub(in crate::flow) fn is_new(&self, id: HostId) -> bool {
        self.rows[id.0].entered_in_pass == self.pass
    }

    /// Returns how many more hosts fit.
    #[inline]
    pub(in crate::flow) fn room(&self) -> usize {
        self.rows.room()
    }

    /// Returns one more than the largest host number so far; 0 if there was no host.
    pub(in crate::flow) fn numbers(&self) -> u32 {
        self.rows.numbers()
    }

    /// Returns the seeded hash of the address of a host.
    pub(in crate::flow) fn hash(&self, id: HostId) -> u64 {
        self.seed.addr(&self.rows[id.0].addr())
    }

    /// Returns the row that stands for all hosts that are no longer distinguished. It is not in any list. `None` if
    /// there is no room for it.
    pub(in crate::flow) fn other(&mut self) -> Option<HostId> {
        if self.other.is_none() && self.rows.has_room() {
            let at = self.rows.insert(Host { references: 1, ..Host::new(0, 0) });
            self.other = Some(HostId(at));
        }
        self.other
    }

    /// Returns true if this is the row that stands for all hosts that are no longer distinguished.
    #[inline]
    pub(in crate::flow) fn is_other(&self, id: HostId) -> bool {
        self.other == Some(id)
    }
}
