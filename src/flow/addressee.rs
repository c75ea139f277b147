//! Which addresses stand for one host.
//!
//! A multicast group, the limited broadcast address and the unspecified address stand for no host: packets to or from
//! them are counted, but they contact nobody, and no limit is applied to such an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::packet::Endpoints;

/// Returns true if an address stands for no single host: multicast (RFC 5771, RFC 4291), 255.255.255.255 (RFC 919),
/// 0.0.0.0 or `::`.
///
/// ```
/// use traffic_alerted::flow::is_no_host;
/// let is_no_host = |addr: &str| is_no_host(&addr.parse().expect("an address"));
/// assert!(is_no_host("239.22.0.1") && is_no_host("255.255.255.255") && is_no_host("ff02::1") && is_no_host("::"));
/// assert!(!is_no_host("10.0.0.255") && !is_no_host("fe80::1"));
/// ```
pub fn is_no_host(addr: &IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => is_no_host_v4(*addr),
        IpAddr::V6(addr) => is_no_host_v6(addr),
    }
}

/// Returns what the network is if none of its addresses belongs to a host; `None` if one may.
pub(crate) fn why_no_host(network: &IpNet) -> Option<&'static str> {
    let is_one = network.prefix_len() == network.max_prefix_len();
    let groups_len = if network.addr().is_ipv4() { 4 } else { 8 };
    match network.addr() {
        addr if addr.is_multicast() && network.prefix_len() >= groups_len => Some("multicast"),
        IpAddr::V4(addr) if is_one && addr.is_broadcast() => Some("the broadcast address"),
        addr if is_one && addr.is_unspecified() => Some("the unspecified address"),
        _ => None,
    }
}

/// Returns true if the source or the destination of a packet stands for no host.
#[inline]
pub(super) fn concern_no_host(endpoints: &Endpoints) -> bool {
    match endpoints {
        Endpoints::V4 { src, dst } => is_no_host_v4(*dst) || is_no_host_v4(*src),
        Endpoints::V6 { src, dst } => is_no_host_v6(dst) || is_no_host_v6(src),
    }
}

#[inline]
fn is_no_host_v4(addr: Ipv4Addr) -> bool {
    addr.is_multicast() || addr.is_broadcast() || addr.is_unspecified()
}

#[inline]
fn is_no_host_v6(addr: &Ipv6Addr) -> bool {
    addr.is_multicast() || addr.is_unspecified()
}
