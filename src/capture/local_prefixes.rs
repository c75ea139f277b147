//! Derives the local networks: those that this machine is attached to, and those that it serves as a gateway.
//!
//! They are configured, or derived from addresses and routes:
//!
//! * An address of this machine is local. The prefix of the address is local, and so is the destination of a route of
//!   the main table without a gateway, unless it is a public prefix on an uplink: other customers of the provider are
//!   remote.
//! * The destination of a route with a gateway is local if it is private and the gateway is in an attached network, or
//!   is a link-local address that is not on an uplink. A gateway of a default route leads to remote networks.
//! * Default routes, multicast, link-local and loopback prefixes are never local.
//!
//! An **uplink** is an interface of a default route. [`prefixes`](super::prefixes) defines default and private
//! prefixes; a prefix that is not private is public.
//!
//! This file does not read addresses or routes; the result is a pure function of them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::interfaces::OwnAddress;
use super::prefixes::{is_default, is_private, is_special};
use super::routes::{Hop, Route};

/// Disjoint networks in ascending order, for a binary search.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct LocalPrefixes(Vec<IpNet>);

impl LocalPrefixes {
    /// Joins networks that overlap or that together make a larger one. If more than [`NETWORKS_MAX`] remain, the
    /// largest ones are kept.
    pub(super) fn new(networks: &[IpNet]) -> Self {
        let mut joined = IpNet::aggregate(&networks.to_vec());
        joined.sort_unstable();
        if joined.len() > NETWORKS_MAX {
            joined.sort_by_key(|network| network.max_prefix_len() - network.prefix_len());
            joined.drain(..joined.len() - NETWORKS_MAX);
            joined.sort_unstable();
        }
        Self(joined)
    }

    /// Derives the local networks from addresses and routes.
    pub(super) fn find(addresses: &[OwnAddress], routes: &[Route]) -> Self {
        let uplinks = Uplinks::new(routes);
        let mut networks: Vec<IpNet> = Vec::new();
        for own in addresses {
            networks.extend(IpNet::new(own.addr, if own.addr.is_ipv4() { 32 } else { 128 }).ok());
            networks.extend(own.prefix.filter(|prefix| uplinks.may_be_attached(prefix, own.ifindex)));
        }
        let attached = routes.iter().filter(|route| {
            let mut hops = route.hops.iter();
            hops.all(|hop| hop.gateway.is_none() && uplinks.may_be_attached(&route.destination, hop.ifindex))
        });
        networks.extend(attached.map(|route| route.destination));
        networks.retain(|network| !is_special(network));
        // Gateways must be in an attached network. Gateways that are reached through another gateway do not count.
        let attached = Self::new(&networks);
        let routed = routes.iter().filter(|route| {
            let is_local = |hop: &Hop| uplinks.has_local_gateway(hop, &attached);
            is_private(&route.destination) && route.hops.iter().all(is_local)
        });
        networks.extend(routed.map(|route| route.destination));
        Self::new(&networks)
    }

    /// Returns true if an address is in one of the networks.
    pub(super) fn contains(&self, addr: IpAddr) -> bool {
        let count = self.0.partition_point(|network| network.network() <= addr);
        self.0[..count].last().is_some_and(|network| network.contains(&addr))
    }

    /// Returns the networks.
    pub(super) fn as_slice(&self) -> &[IpNet] {
        &self.0
    }
}

/// Interfaces and gateways of the default routes.
struct Uplinks {
    ifindexes: Vec<u32>,
    gateways: Vec<IpAddr>,
}

impl Uplinks {
    fn new(routes: &[Route]) -> Self {
        let hops =
            || routes.iter().filter(|route| is_default(&route.destination)).flat_map(|route| &route.hops);
        Self {
            ifindexes: hops().map(|hop| hop.ifindex).collect(),
            gateways: hops().filter_map(|hop| hop.gateway).collect(),
        }
    }

    /// Returns true if `network` is local, provided that it is reached through this interface without a gateway.
    fn may_be_attached(&self, network: &IpNet, ifindex: u32) -> bool {
        !is_default(network) && (is_private(network) || !self.ifindexes.contains(&ifindex))
    }

    /// Returns true if the hop has a gateway that is attached to this machine and that is not a gateway of a default
    /// route. A link-local gateway is attached unless it is on an uplink.
    fn has_local_gateway(&self, hop: &Hop, attached: &LocalPrefixes) -> bool {
        let Some(gateway) = hop.gateway else { return false };
        let is_attached = match gateway {
            IpAddr::V6(gateway) if gateway.is_unicast_link_local() => !self.ifindexes.contains(&hop.ifindex),
            gateway => attached.contains(gateway),
        };
        is_attached && !self.gateways.contains(&gateway)
    }
}

/// Maximum number of local networks. The access router of a provider has at most one per customer.
const NETWORKS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ipnet::Ipv4Net;

    use super::*;

    const LAN: u32 = 2;
    const WAN: u32 = 3;

    fn own(ifindex: u32, addr_and_prefix: &str) -> OwnAddress {
        let network: IpNet = addr_and_prefix.parse().unwrap();
        OwnAddress { addr: network.addr(), ifindex, prefix: Some(network.trunc()) }
    }

    fn route(destination: &str, hops: &[(u32, &str)]) -> Route {
        let hop = |&(ifindex, gateway): &(u32, &str)| Hop { ifindex, gateway: gateway.parse().ok() };
        Route { destination: destination.parse().unwrap(), hops: hops.iter().map(hop).collect() }
    }

    fn found(addresses: &[OwnAddress], routes: &[Route]) -> Vec<String> {
        LocalPrefixes::find(addresses, routes).as_slice().iter().map(IpNet::to_string).collect()
    }

    #[test]
    fn attached_networks_and_private_ones_behind_their_routers_are_local() {
        let office = || vec![own(LAN, "192.168.7.1/24"), own(WAN, "203.0.113.9/24")];
        let default = || route("0.0.0.0/0", &[(WAN, "203.0.113.1")]);
        /// Name, addresses, routes, what is local.
        type Case = (&'static str, Vec<OwnAddress>, Vec<Route>, &'static [&'static str]);
        let cases: Vec<Case> = vec![
            ("nothing", vec![], vec![], &[]),
            ("an office", office(), vec![default()], &["192.168.7.0/24", "203.0.113.9/32"]),
            ("no default route", office(), vec![], &["192.168.7.0/24", "203.0.113.0/24"]),
            (
                "a public network inside",
                vec![own(LAN, "198.51.100.1/24"), own(WAN, "203.0.113.9/24")],
                vec![default()],
                &["198.51.100.0/24", "203.0.113.9/32"],
            ),
            (
                "one interface for all",
                vec![own(WAN, "192.168.1.20/24")],
                vec![route("0.0.0.0/0", &[(WAN, "192.168.1.1")])],
                &["192.168.1.0/24"],
            ),
            (
                "the office, and networks behind routers in it",
                office(),
                vec![
                    default(),
                    route("10.1.0.0/16", &[(LAN, "192.168.7.2")]),
                    route("10.2.0.0/16", &[(LAN, "192.168.7.2"), (LAN, "192.168.7.3")]),
                    route("fd00:1::/48", &[(LAN, "fe80::2")]),
                    // A public network behind a router, and a gateway that is not attached, are remote.
                    route("198.18.0.0/15", &[(LAN, "192.168.7.2")]),
                    route("10.3.0.0/16", &[(LAN, "10.1.0.1")]),
                ],
                &["10.1.0.0/16", "10.2.0.0/16", "192.168.7.0/24", "203.0.113.9/32", "fd00:1::/48"],
            ),
            (
                "private networks that are reached over the uplink",
                vec![own(LAN, "192.168.7.1/24"), own(WAN, "10.0.0.9/24")],
                vec![
                    route("0.0.0.0/0", &[(WAN, "10.0.0.1")]),
                    route("172.16.0.0/12", &[(WAN, "10.0.0.1")]),
                    route("fd00:2::/48", &[(WAN, "fe80::1")]),
                    route("::/0", &[(WAN, "fe80::1")]),
                ],
                &["10.0.0.0/24", "192.168.7.0/24"],
            ),
            (
                "subscribers of an access router",
                vec![own(WAN, "203.0.113.9/24"), own(10, "198.51.100.1/32")],
                vec![
                    default(),
                    route("198.51.100.2/32", &[(10, "")]),
                    route("198.51.100.3/32", &[(11, "")]),
                    route("2001:db8:1::/56", &[(11, "")]),
                ],
                &["198.51.100.1/32", "198.51.100.2/31", "203.0.113.9/32", "2001:db8:1::/56"],
            ),
            (
                "half of the world through a tunnel",
                vec![own(7, "10.8.0.2/24")],
                vec![
                    route("0.0.0.0/1", &[(7, "")]),
                    route("128.0.0.0/1", &[(7, "10.8.0.1")]),
                    route("2000::/3", &[(7, "")]),
                ],
                &["10.8.0.0/24"],
            ),
            (
                "a peer on a point-to-point uplink",
                vec![OwnAddress {
                    addr: [198, 51, 100, 7].into(),
                    ifindex: WAN,
                    prefix: "203.0.113.1/32".parse().ok(),
                }],
                vec![route("0.0.0.0/0", &[(WAN, "")]), route("203.0.113.1/32", &[(WAN, "")])],
                &["198.51.100.7/32"],
            ),
            (
                "addresses outside of any network of hosts",
                vec![
                    own(1, "127.0.0.1/8"),
                    own(1, "::1/128"),
                    own(LAN, "169.254.3.4/16"),
                    own(LAN, "fe80::7/64"),
                ],
                vec![
                    route("224.0.0.0/4", &[(LAN, "")]),
                    route("ff00::/8", &[(LAN, "")]),
                    route("fe80::/64", &[(LAN, "")]),
                ],
                &[],
            ),
            (
                "a whole private range",
                vec![own(LAN, "10.0.0.1/8"), own(LAN, "fd00::1/8")],
                vec![route("fc00::/7", &[(LAN, "")])],
                &["10.0.0.0/8", "fc00::/7"],
            ),
        ];
        for (name, addresses, routes, expected) in cases {
            assert_eq!(found(&addresses, &routes), expected, "{name}");
        }
    }

    #[test]
    fn an_address_is_found_among_many_networks() {
        let networks =
            ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/25", "192.0.2.128/25", "fd00::/8", "2001:db8::/64"];
        let networks = LocalPrefixes::new(&networks.map(|network| network.parse().unwrap()));
        assert_eq!(networks.as_slice().len(), 4, "{networks:?}");
        for (addr, expected) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("255.255.255.255", false),
            ("::", false),
            ("2001:db8::ffff", true),
            ("2001:db8:0:1::", false),
            ("fdff::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(networks.contains(addr.parse().unwrap()), expected, "{addr}");
        }
    }

    #[test]
    fn of_too_many_networks_the_largest_are_kept() {
        // Every other /30, so that none of them join, and one larger network.
        let many = (0..5000u32).map(|n| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(8 * n), 30)));
        let large: IpNet = "10.0.0.0/8".parse().unwrap();
        let networks = LocalPrefixes::new(&many.chain([large]).collect::<Vec<_>>());
        assert_eq!(networks.as_slice().len(), NETWORKS_MAX);
        assert!(networks.contains([10, 1, 2, 3].into()));
    }
}
