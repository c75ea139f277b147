//! Finds the interfaces that are on top of others, and those that repeat the frames of another interface.
//!
//! The meaning of a relation depends on the kind of the device (`IFLA_INFO_KIND`). Tunnels and the ports of a switch
//! chip have a lower device too, but it carries other packets, so they repeat nothing. This file does not contain
//! directions or verdicts; it only states which interfaces are skipped and why.

use std::collections::{HashMap, HashSet};

use super::copies::{self, Copies, is_ifb};
use super::interfaces::{Interfaces, Link};
use super::policy::Policy;
use super::stations::Station;
use super::tc_filter::MirredRule;
use crate::packet::Skip;

/// The interfaces of one reading with their relations.
pub(super) struct DeviceHierarchy<'a> {
    links: &'a [Link],
    by_ifindex: HashMap<u32, &'a Link>,
    /// The ports of each master.
    ports: HashMap<u32, Vec<&'a Link>>,
    /// The ports of Open vSwitch that are not devices of Open vSwitch. All of its bridges share one datapath of the
    /// kernel, so the ports are those of every bridge.
    switch_ports: Vec<&'a Link>,
    /// The devices directly above each interface.
    uppers: HashMap<u32, Vec<&'a Link>>,
    /// The interfaces that `tc mirred` sends frames to.
    copies: HashMap<u32, Copies>,
    mirred: &'a [MirredRule],
    policy: &'a Policy,
}

/// The frames for other stations that belong to the traffic of an interface.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OtherStations {
    /// All of them.
    All,
    /// Those for the devices above that have these addresses, or that are in other namespaces.
    Only(Vec<Station>),
}

impl<'a> DeviceHierarchy<'a> {
    /// Indexes the interfaces by their relations.
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
        let copies = copies::find(&interfaces.mirred, &by_ifindex);
        let mirred = &interfaces.mirred[..];
        let uppers = HashMap::new();
        let mut hierarchy = Self { links, by_ifindex, ports, switch_ports, uppers, copies, mirred, policy };
        for link in links {
            let lowers: Vec<u32> = hierarchy.lowers(link).map(|lower| lower.ifindex).collect();
            for lower in lowers {
                hierarchy.uppers.entry(lower).or_default().push(link);
            }
        }
        hierarchy
    }

    /// Returns the reason why the interface is not monitored, or `None` if it is monitored.
    pub(super) fn skip(&self, link: &Link) -> Option<Skip> {
        if self.policy.excludes_link(link) {
            Some(Skip::ExcludedInterface)
        } else if self.is_internal_wire(link) {
            Some(Skip::InternalWire)
        } else if self.lowers(link).any(|lower| self.is_captured(lower)) || self.is_repeating_ifb(link) {
            Some(Skip::UpperDevice)
        } else {
            None
        }
    }

    /// Returns true if the frames of the interface are captured, on it or on a lower device.
    fn is_captured(&self, link: &Link) -> bool {
        !self.policy.excludes_link(link) && !self.is_internal_wire(link)
    }

    /// Returns true for an ifb, unless every interface that sends it frames is excluded. One without a rule has no
    /// frames, or those of a mechanism that cannot be read (`fwd` of nftables), which are copies too.
    fn is_repeating_ifb(&self, link: &Link) -> bool {
        let has_rule = self.mirred.iter().any(|rule| rule.target == link.ifindex);
        is_ifb(link) && (!has_rule || self.copies.contains_key(&link.ifindex))
    }

    /// Returns what `tc mirred` sends to the interface.
    pub(super) fn copies(&self, link: &Link) -> Copies {
        self.copies.get(&link.ifindex).copied().unwrap_or_default()
    }

    /// Returns the interface with this number.
    pub(super) fn link(&self, ifindex: u32) -> Option<&'a Link> {
        self.by_ifindex.get(&ifindex).copied()
    }

    /// Returns the devices below the interface whose frames it repeats and that are captured.
    pub(super) fn repeated(&self, link: &Link) -> impl Iterator<Item = &'a Link> {
        self.lowers(link).filter(|lower| self.is_captured(lower))
    }

    /// Returns the frames for other stations that belong to the traffic of the interface. All of them do if the
    /// configuration has it or a device above it in promiscuous mode, if a bridge is above it, at any height, or a
    /// macvlan that gets every frame. Links without stations have no such frames.
    pub(super) fn other_stations(&self, link: &Link) -> OtherStations {
        if link.hatype != libc::ARPHRD_ETHER || self.policy.wants_promiscuous(&link.name) {
            return OtherStations::All;
        }
        let mut stations = Vec::new();
        let mut reached = vec![link];
        let mut next = 0;
        // Each device is reached once, so the loop ends even if there is a circle.
        while let Some(&lower) = reached.get(next) {
            next += 1;
            for &upper in self.uppers.get(&lower.ifindex).into_iter().flatten() {
                let kind = upper.kind.as_deref();
                if matches!(kind, Some("bridge" | OPEN_VSWITCH)) || upper.passes_through {
                    return OtherStations::All;
                }
                stations.extend(upper.station);
                // Another macvlan gets only frames for its own address.
                if matches!(kind, Some("macvlan" | "macvtap")) {
                    continue;
                }
                if self.policy.wants_promiscuous(&upper.name) {
                    return OtherStations::All;
                }
                if !reached.iter().any(|known| known.ifindex == upper.ifindex) {
                    reached.push(upper);
                }
            }
        }
        stations.sort_unstable();
        stations.dedup();
        OtherStations::Only(stations)
    }

    /// Returns true for both ends of a veth pair in this namespace. The ends must refer to each other, since the number
    /// of the other end may belong to another namespace.
    fn is_internal_wire(&self, link: &Link) -> bool {
        let is_veth = |link: &Link| link.kind.as_deref() == Some("veth");
        let other = link.lower.and_then(|lower| self.by_ifindex.get(&lower));
        is_veth(link) && other.is_some_and(|other| is_veth(other) && other.lower == Some(link.ifindex))
    }

    /// Returns the devices whose frames this one repeats. A tunnel or the port of a switch chip repeats none.
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

    /// Returns true if a bridge has at least two ports.
    pub(super) fn has_forwarding_bridge(&self) -> bool {
        self.links.iter().any(|link| self.is_forwarding_bridge(link))
    }

    /// Returns true if the link is a port of a bridge that has at least two ports.
    pub(super) fn is_port_of_forwarding_bridge(&self, link: &Link) -> bool {
        let master = link.master.and_then(|master| self.by_ifindex.get(&master));
        master.is_some_and(|master| self.is_forwarding_bridge(master))
    }

    fn is_forwarding_bridge(&self, link: &Link) -> bool {
        matches!(link.kind.as_deref(), Some("bridge" | OPEN_VSWITCH)) && self.ports(link).len() >= 2
    }

    /// Returns (ifindex, VLAN ID) of each excluded VLAN device, for every device below it on which frames have that
    /// tag.
    pub(super) fn excluded_vlans(&self) -> Vec<(u32, u16)> {
        let mut excluded = Vec::new();
        for link in self.links.iter().filter(|link| self.policy.excludes_link(link)) {
            let Some(vlan_id) = link.vlan_id else { continue };
            // A tag stays the outermost one on each device below, down to another VLAN device. Each device is reached
            // once, so the loop ends even if there is a circle.
            let mut reached: Vec<&Link> = self.lowers(link).collect();
            let mut known: HashSet<u32> = reached.iter().map(|lower| lower.ifindex).collect();
            let mut next = 0;
            while let Some(&lower) = reached.get(next) {
                next += 1;
                excluded.push((lower.ifindex, vlan_id));
                if lower.vlan_id.is_none() {
                    reached.extend(self.lowers(lower).filter(|lower| known.insert(lower.ifindex)));
                }
            }
        }
        excluded.sort_unstable();
        excluded.dedup();
        excluded
    }
}

/// The kind of the devices of Open vSwitch: its datapath `ovs-system`, its bridges and their internal ports.
const OPEN_VSWITCH: &str = "openvswitch";
