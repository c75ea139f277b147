//! Classifies IP prefixes as default, private or special-purpose ones.
//!
//! The functions are pure. This file does not read routes or decide which networks are local.
//!
//! Sources: RFC 1918, RFC 6598 (100.64.0.0/10) and RFC 4193 (fc00::/7) for private addresses; RFC 6890 for
//! special-purpose ones.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Returns true if a route to this prefix counts as a default route: the prefix is larger than a /8 (IPv4) or a /16
/// (IPv6) and is not private. Besides 0.0.0.0/0 and ::/0, prefixes such as 0.0.0.0/1 and 2000::/3 are used for default
/// routes.
pub(super) fn is_default(network: &IpNet) -> bool {
    let prefix_len_min = if network.addr().is_ipv4() { 8 } else { 16 };
    // fc00::/7 is larger than a /16, but not a default route.
    network.prefix_len() < prefix_len_min && !is_private(network)
}

/// Returns true if all addresses of the prefix are private.
pub(super) fn is_private(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => PRIVATE_V4.iter().any(|private| private.contains(network)),
        IpNet::V6(network) => PRIVATE_V6.contains(network),
    }
}

/// Returns true if the prefix is unspecified, loopback, link-local, multicast or reserved: it is not a network of
/// hosts.
pub(super) fn is_special(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) => SPECIAL_V4.iter().any(|special| special.contains(network)),
        IpNet::V6(network) => SPECIAL_V6.iter().any(|special| special.contains(network)),
    }
}

const PRIVATE_V4: [Ipv4Net; 4] =
    [v4([10, 0, 0, 0], 8), v4([172, 16, 0, 0], 12), v4([192, 168, 0, 0], 16), v4([100, 64, 0, 0], 10)];
const PRIVATE_V6: Ipv6Net = v6(0xfc00, 7);
/// "This network", loopback, link-local, and multicast with the reserved addresses above it.
const SPECIAL_V4: [Ipv4Net; 4] =
    [v4([0, 0, 0, 0], 8), v4([127, 0, 0, 0], 8), v4([169, 254, 0, 0], 16), v4([224, 0, 0, 0], 3)];
/// Unspecified and loopback (::/127), link-local, multicast.
const SPECIAL_V6: [Ipv6Net; 3] = [v6(0, 127), v6(0xfe80, 10), v6(0xff00, 8)];

const fn v4([a, b, c, d]: [u8; 4], prefix_len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len)
}

const fn v6(first: u16, prefix_len: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), prefix_len)
}
