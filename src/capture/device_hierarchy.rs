//! How interfaces lie on each other, and which of them repeat what another one has shown.
//!
//! The kind of a device (`IFLA_INFO_KIND`) says what its relation to others means. Tunnels and the ports of a switch chip
//! have a device below them too, but other packets travel there, so they repeat nothing.

use std::collections::HashMap;

use super::interfaces::{Interfaces, Link};
use super::policy::Policy;
use crate::packet::Skip;

/// The interfaces as they lie on each other.
pub(super) struct DeviceHierarchy<'a> {
    links: &'a [Link],
    by_ifindex: HashMap<u32, &'a Link>,
    /// The ports of each master.
    ports: HashMap<u32, Vec<&'a Link>>,
    /// The ports of Open vSwitch that are devices of their own. Its other ports do not say which datapath they are
    /// of, and there is one: the kernel's is shared by all bridges.
    switch_ports: Vec<&'a Link>,
    policy: &'a Policy,
}

impl<'a> DeviceHierarchy<'a> {
    pub(super) fn new(interfaces: &'a Interfaces, policy: &'a Policy) -> Self {
        let links = &interfaces.links[..];
        let mut ports: HashMap<u32, Vec<&Link>> = HashMap::new();
        for link in links {
            if let Some(master) = link.master {
                ports.entry(master).or_default().push(link);
            }
        }
        let by_ifindex: HashMap<u32, &Link> = links.iter().map(|link| (link.ifindex, link)).collect();
        let is_switch = |link: &Link| link.kind.as_deref() == Some(OPEN_VSWITCH);
        let is_switched = |link: &&Link| {
            let master = link.master.and_then(|master| by_ifindex.get(&master));
            !is_switch(link) && master.is_some_and(|master| is_switch(master))
        };
        let switch_ports = links.iter().filter(is_switched).collect();
        Self { links, by_ifindex, ports, switch_ports, policy }
    }

    /// Why frames of this interface are not looked at, if they are not.
    pub(super) fn skip(&self, link: &Link) -> Option<Skip> {
        if self.policy.excludes_link(link) {
            Some(Skip::ExcludedInterface)
        } else if self.is_internal_wire(link) {
            Some(Skip::InternalWire)
        } else if self.lowers(link).any(|lower| self.is_seen(lower)) {
            Some(Skip::UpperDevice)
        } else {
            None
        }
    }

    /// Whether its frames are seen: on it, or on the lower device that makes it be skipped.
    fn is_seen(&self, link: &Link) -> bool {
        !self.policy.excludes_link(link) && !self.is_internal_wire(link)
    }

    /// Both ends of a veth in this namespace. The other end's number alone proves nothing: it could be of another
    /// namespace, so the ends must name each other.
    fn is_internal_wire(&self, link: &Link) -> bool {
        let is_veth = |link: &Link| link.kind.as_deref() == Some("veth");
        let other = link.lower.and_then(|lower| self.by_ifindex.get(&lower));
        is_veth(link) && other.is_some_and(|other| is_veth(other) && other.lower == Some(link.ifindex))
    }

    /// The devices whose frames this one repeats. Never those of a tunnel or of a switch chip's port: their lower
    /// device carries other packets.
    fn lowers(&self, link: &Link) -> impl Iterator<Item = &'a Link> {
        let kind = link.kind.as_deref();
        let below =
            link.lower.filter(|_| matches!(kind, Some("vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap")));
        let ports = match kind {
            Some("bridge" | "bond" | "team" | "vrf") => self.ports(link),
            Some(OPEN_VSWITCH) => &self.switch_ports,
            _ => &[],
        };
        below.and_then(|lower| self.by_ifindex.get(&lower).copied()).into_iter().chain(ports.iter().copied())
    }

    fn ports(&self, master: &Link) -> &[&'a Link] {
        self.ports.get(&master.ifindex).map_or(&[], Vec::as_slice)
    }

    /// Whether a bridge has something to forward between.
    pub(super) fn bridges(&self) -> bool {
        let is_bridge = |link: &&Link| matches!(link.kind.as_deref(), Some("bridge" | OPEN_VSWITCH));
        self.links.iter().filter(is_bridge).any(|bridge| self.ports(bridge).len() >= 2)
    }

    /// The VLANs of excluded VLAN devices, on each device below that shows their frames with the tag.
    pub(super) fn hidden_vlans(&self) -> Vec<(u32, u16)> {
        let mut hidden = Vec::new();
        for link in self.links.iter().filter(|link| self.policy.excludes_link(link)) {
            let Some(vlan_id) = link.vlan_id else { continue };
            let mut below: Vec<&Link> = self.lowers(link).collect();
            // Each turn goes one device down; a stack is never deeper than there are devices.
            for _ in 0..self.links.len() {
                // Below another VLAN device the tag is not the outermost one.
                hidden.extend(below.iter().map(|lower| (lower.ifindex, vlan_id)));
                let next =
                    below.iter().filter(|lower| lower.vlan_id.is_none()).flat_map(|lower| self.lowers(lower));
                below = next.collect();
                if below.is_empty() {
                    break;
                }
            }
        }
        hidden.sort_unstable();
        hidden.dedup();
        hidden
    }
}

/// The kind of what Open vSwitch makes: its datapath `ovs-system`, its bridges and their internal ports.
const OPEN_VSWITCH: &str = "openvswitch";
