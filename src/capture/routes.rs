//! Reads the routes of the main table in small steps.
//!
//! A router may have a million routes, and its routing daemon changes some of them every second. So
//!
//! * the list is read in steps, between which the link monitor follows the interfaces ([`Routes::step`]);
//! * the kernel omits other tables and routes that are not unicast (`NETLINK_GET_STRICT_CHK`, since Linux 4.20);
//! * only routes that may make a network local are kept: default routes, routes without a gateway, and routes to
//!   private destinations;
//! * a filter on the socket of notices passes only notices of such routes, and the link monitor reads the socket only
//!   when it wakes for another reason. The constant changes of a full table are not queued and wake no thread.
//!
//! When an interface goes down, the kernel removes its routes without a notice. So routes are also read again after a
//! change of interfaces. [`local_prefixes`](super::local_prefixes) derives local networks from them.
//!
//! Sources: rtnetlink(7); `include/uapi/linux/rtnetlink.h`; `inet_dump_fib`, `inet6_dump_fib`.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use ipnet::IpNet;
use libc::{
    BPF_B, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_LD, BPF_LDX, BPF_MISC, BPF_TAX,
    BPF_W, SKF_AD_NLATTR, sock_filter,
};
use netlink_sys::Socket;

use super::bpf::{DROP, PASS, jump_len, load, load_ancillary, ret, skip_if, skip_unless, stmt};
use super::error::NetlinkError;
use super::netlink::{AF_INET, AF_INET6, DumpRequest, DumpStream, attributes, call, discard, ip, subscribe};
use super::prefixes::{is_default, is_private};
use crate::sys::packet_socket::attach_filter;
use crate::time::monotonic_now;

/// A unicast route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The destination of the route.
    pub(super) destination: IpNet,
    /// The next hops, at least one.
    pub(super) hops: Vec<Hop>,
}

/// A next hop of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// The egress interface.
    pub(super) ifindex: u32,
    /// The gateway; `None` if the destination is attached to the interface.
    pub(super) gateway: Option<IpAddr>,
}

/// Reads the routes and notices of their changes.
pub(super) struct Routes {
    notices: Socket,
    /// The routes of the last complete reading.
    known: Vec<Route>,
    reading: Option<Reading>,
}

/// A reading in progress: IPv4 first, then IPv6.
struct Reading {
    dump: DumpStream,
    family: u8,
    found: Vec<Route>,
}

impl Routes {
    /// Subscribes to notices of changes. It reads no routes yet.
    pub(super) fn subscribe() -> Result<Self, NetlinkError> {
        let notices = subscribe(&[libc::RTNLGRP_IPV4_ROUTE, libc::RTNLGRP_IPV6_ROUTE])?;
        attach_filter(&notices, &relevant_notices())
            .map_err(|errno| call("setsockopt(SO_ATTACH_FILTER)")(errno.into()))?;
        Ok(Self { notices, known: Vec::new(), reading: None })
    }

    /// Returns the descriptors of the notices and of a reading in progress.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let reading = self.reading.as_ref().map(|reading| reading.dump.descriptor());
        [self.notices.as_raw_fd()].into_iter().chain(reading)
    }

    /// Returns the routes of the last complete reading that may make a network local.
    pub(super) fn known(&self) -> &[Route] {
        &self.known
    }

    /// Returns true if a route that may make a network local was added or removed since the last call.
    pub(super) fn take_changed(&mut self) -> Result<bool, NetlinkError> {
        discard(&self.notices)
    }

    /// Returns true if a reading is in progress.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Continues the reading for about the time `budget`, or starts one. Returns true if the reading is complete.
    ///
    /// # Errors
    /// A request has failed. The reading is abandoned, and the routes of the last complete one stay.
    pub(super) fn step(&mut self, budget: Duration) -> Result<bool, NetlinkError> {
        let until = monotonic_now().plus(budget);
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => Reading { dump: dump(AF_INET)?, family: AF_INET, found: Vec::new() },
        };
        loop {
            let Reading { dump: stream, family, found } = &mut reading;
            let result = stream.step(&mut |body| {
                match parse(body, *family)? {
                    Some(route) if found.len() < ROUTES_MAX && is_relevant(&route) => found.push(route),
                    _ => {}
                }
                Ok(())
            });
            let is_complete = match result {
                // The kernel does not support this address family.
                Err(error) if error.is_missing_family() => true,
                other => other?,
            };
            if is_complete && *family == AF_INET {
                (*stream, *family) = (dump(AF_INET6)?, AF_INET6);
            } else if is_complete {
                self.known = reading.found;
                return Ok(true);
            }
            if monotonic_now() >= until {
                self.reading = Some(reading);
                return Ok(false);
            }
        }
    }
}

/// Requests the unicast routes of the main table.
fn dump(family: u8) -> Result<DumpStream, NetlinkError> {
    // `struct rtmsg`: family, lengths and service, table, protocol, scope, type, flags.
    let header = [family, 0, 0, 0, libc::RT_TABLE_MAIN, 0, 0, libc::RTN_UNICAST, 0, 0, 0, 0];
    let (request, reply) = (libc::RTM_GETROUTE, libc::RTM_NEWROUTE);
    DumpStream::begin(&DumpRequest { what: "routes", request, reply, header: &header })
}

/// Returns true if a route may make a network local, or prevent another route from doing so.
fn is_relevant(route: &Route) -> bool {
    is_default(&route.destination)
        || is_private(&route.destination)
        || route.hops.iter().all(|hop| hop.gateway.is_none())
}

/// Parses a route; `None` unless it is a unicast route of the main table.
pub(super) fn parse(body: &[u8], family: u8) -> Result<Option<Route>, String> {
    let (&header, _) = body.split_first_chunk::<ROUTE_HEADER_BYTES>().ok_or("a route without its header")?;
    let [message_family, prefix_len, _, _, table, _, _, kind, f0, f1, f2, f3] = header;
    let is_cached = u32::from_ne_bytes([f0, f1, f2, f3]) & libc::RTM_F_CLONED != 0;
    if message_family != family || kind != libc::RTN_UNICAST || is_cached {
        return Ok(None);
    }
    let unspecified = if family == AF_INET { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let (mut destination, mut table) = (unspecified, u32::from(table));
    let (mut ifindex, mut gateway, mut hops) = (None, None, Vec::new());
    for attribute in attributes(body, ROUTE_HEADER_BYTES) {
        let attribute = attribute?;
        let value = attribute.value();
        let number = || value.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes));
        match attribute.kind() {
            libc::RTA_DST => destination = ip(value).ok_or("an address of an unknown length")?,
            libc::RTA_TABLE => table = number().unwrap_or(table),
            libc::RTA_OIF => ifindex = number(),
            libc::RTA_GATEWAY => gateway = ip(value),
            RTA_VIA => gateway = value.get(2..).and_then(ip),
            libc::RTA_MULTIPATH => hops = parse_hops(value)?,
            _ => {}
        }
    }
    hops.extend(ifindex.map(|ifindex| Hop { ifindex, gateway }));
    if table != u32::from(libc::RT_TABLE_MAIN) || hops.is_empty() {
        return Ok(None);
    }
    let destination = IpNet::new(destination, prefix_len).map_err(|error| error.to_string())?;
    Ok(Some(Route { destination: destination.trunc(), hops }))
}

/// Parses the next hops of a multipath route (`struct rtnexthop`: length, flags, weight, interface; then attributes).
fn parse_hops(mut bytes: &[u8]) -> Result<Vec<Hop>, String> {
    let mut hops = Vec::new();
    while let Some((&[l0, l1, _, _, i0, i1, i2, i3], _)) = bytes.split_first_chunk::<NEXT_HOP_BYTES>() {
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let hop = bytes.get(..len).filter(|hop| hop.len() >= NEXT_HOP_BYTES).ok_or("a hop that is cut")?;
        let mut gateway = None;
        for attribute in attributes(hop, NEXT_HOP_BYTES) {
            let attribute = attribute?;
            match attribute.kind() {
                libc::RTA_GATEWAY => gateway = ip(attribute.value()),
                RTA_VIA => gateway = attribute.value().get(2..).and_then(ip),
                _ => {}
            }
        }
        hops.push(Hop { ifindex: u32::from_ne_bytes([i0, i1, i2, i3]), gateway });
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}

/// Assembles the filter on the socket of notices: it passes relevant routes ([`is_relevant`]), as far as BPF can decide
/// that without a loop. A message has `struct nlmsghdr` (16 bytes), `struct rtmsg` (12) and attributes.
pub(super) fn relevant_notices() -> Vec<sock_filter> {
    const FAMILY_AT: i32 = 16;
    const PREFIX_LEN_AT: i32 = 17;
    const TABLE_AT: i32 = 20;
    const TYPE_AT: i32 = 23;
    let ipv4: Vec<_> = [
        vec![load(BPF_B, PREFIX_LEN_AT), skip_if(BPF_JGE, 8, 1), ret(PASS)],
        load_destination(BPF_W),
        pass_range(0x0a00_0000, 0x0aff_ffff),
        pass_range(0x6440_0000, 0x647f_ffff),
        pass_range(0xac10_0000, 0xac1f_ffff),
        pass_range(0xc0a8_0000, 0xc0a8_ffff),
    ]
    .concat();
    let ipv6: Vec<_> = [
        vec![load(BPF_B, PREFIX_LEN_AT), skip_if(BPF_JGE, 16, 1), ret(PASS)],
        load_destination(BPF_B),
        pass_range(0xfc, 0xfd),
        vec![stmt(BPF_JMP | BPF_JA, jump_len(&ipv4).into())],
    ]
    .concat();
    [
        vec![
            load(BPF_B, TYPE_AT),
            skip_if(BPF_JEQ, u32::from(libc::RTN_UNICAST), 1),
            ret(DROP),
            load(BPF_B, TABLE_AT),
            skip_if(BPF_JEQ, u32::from(libc::RT_TABLE_MAIN), 1),
            ret(DROP),
            load(BPF_B, FAMILY_AT),
            skip_if(BPF_JEQ, u32::from(AF_INET), jump_len(&ipv6)),
        ],
        ipv6,
        ipv4,
        drop_with(libc::RTA_GATEWAY),
        drop_with(libc::RTA_MULTIPATH),
        drop_with(RTA_VIA),
        vec![ret(PASS)],
    ]
    .concat()
}

/// Loads the first bytes of the destination; passes a message without one, which is a default route.
fn load_destination(size: u32) -> Vec<sock_filter> {
    let mut program = find(libc::RTA_DST);
    program.extend([
        skip_unless(BPF_JEQ, 0, 1),
        ret(PASS),
        stmt(BPF_MISC | BPF_TAX, 0),
        stmt(BPF_LD | BPF_IND | size, ATTRIBUTE_HEADER_BYTES),
    ]);
    program
}

/// Loads the offset of an attribute, or 0 if the message has none.
fn find(attribute: u16) -> Vec<sock_filter> {
    const ATTRIBUTES_AT: u32 = 28;
    vec![
        stmt(BPF_LD | BPF_IMM, ATTRIBUTES_AT),
        stmt(BPF_LDX | BPF_IMM, u32::from(attribute)),
        load_ancillary(SKF_AD_NLATTR),
    ]
}

/// Passes the message if the loaded value is in this range.
fn pass_range(first: u32, last: u32) -> Vec<sock_filter> {
    vec![skip_unless(BPF_JGE, first, 2), skip_if(BPF_JGT, last, 1), ret(PASS)]
}

/// Drops the message if it has this attribute.
fn drop_with(attribute: u16) -> Vec<sock_filter> {
    let mut program = find(attribute);
    program.extend([skip_if(BPF_JEQ, 0, 1), ret(DROP)]);
    program
}

/// Maximum number of routes that are kept. The access router of a provider has one relevant route per customer.
const ROUTES_MAX: usize = 16_384;

// include/uapi/linux/rtnetlink.h
const ROUTE_HEADER_BYTES: usize = 12;
const NEXT_HOP_BYTES: usize = 8;
const ATTRIBUTE_HEADER_BYTES: u32 = 4;
// libc defines RTA_VIA only for glibc targets.
const RTA_VIA: u16 = 18;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::capture::netlink::sample::attribute;

    /// Returns the message of a unicast route of the main table; `None` leaves the gateway out.
    fn route(destination: &str, gateway: Option<&str>, more: &[Vec<u8>]) -> Vec<u8> {
        let network: IpNet = destination.parse().unwrap();
        let family = if network.addr().is_ipv4() { AF_INET } else { AF_INET6 };
        let bytes = |addr: IpAddr| match addr {
            IpAddr::V4(addr) => addr.octets().to_vec(),
            IpAddr::V6(addr) => addr.octets().to_vec(),
        };
        let mut body = vec![family, network.prefix_len(), 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        body.extend(attribute(libc::RTA_TABLE, &254u32.to_ne_bytes()));
        if network.prefix_len() > 0 {
            body.extend(attribute(libc::RTA_DST, &bytes(network.addr())));
        }
        let gateway = gateway.map(|gateway| attribute(libc::RTA_GATEWAY, &bytes(gateway.parse().unwrap())));
        body.extend(gateway.unwrap_or_default());
        body.extend(more.concat());
        body
    }

    fn out_of(ifindex: u32) -> Vec<u8> {
        attribute(libc::RTA_OIF, &ifindex.to_ne_bytes())
    }

    fn hop(ifindex: u32, gateway: [u8; 4]) -> Vec<u8> {
        let mut hop = 16u16.to_ne_bytes().to_vec();
        hop.extend([0, 0]);
        hop.extend(ifindex.to_ne_bytes());
        hop.extend(attribute(libc::RTA_GATEWAY, &gateway));
        hop
    }

    #[test]
    fn a_route_is_read_with_all_its_hops() {
        let next_hop = |ifindex, gateway: &str| Hop { ifindex, gateway: gateway.parse().ok() };
        let via =
            attribute(RTA_VIA, &[&libc::AF_INET6.to_ne_bytes()[..2], &[0xfe, 0x80], &[0; 13], &[1]].concat());
        let two = attribute(libc::RTA_MULTIPATH, &[hop(2, [10, 0, 0, 2]), hop(3, [10, 0, 0, 3])].concat());
        let cases = [
            (route("192.168.7.0/24", None, &[out_of(2)]), "192.168.7.0/24", vec![next_hop(2, "")]),
            (route("0.0.0.0/0", Some("10.0.0.1"), &[out_of(2)]), "0.0.0.0/0", vec![next_hop(2, "10.0.0.1")]),
            (route("10.1.0.0/16", None, &[out_of(2), via]), "10.1.0.0/16", vec![next_hop(2, "fe80::1")]),
            (
                route("10.2.0.0/16", None, &[two]),
                "10.2.0.0/16",
                vec![next_hop(2, "10.0.0.2"), next_hop(3, "10.0.0.3")],
            ),
        ];
        for (body, destination, hops) in cases {
            let expected = Route { destination: destination.parse().unwrap(), hops };
            assert_eq!(parse(&body, AF_INET), Ok(Some(expected)));
        }
        let v6 = route("fd00::/8", Some("fe80::1"), &[out_of(4)]);
        let expected = Route { destination: "fd00::/8".parse().unwrap(), hops: vec![next_hop(4, "fe80::1")] };
        assert_eq!(parse(&v6, AF_INET6), Ok(Some(expected)));
        assert_eq!(parse(&v6, AF_INET), Ok(None), "of another family than requested");
    }

    #[test]
    fn only_unicast_routes_of_the_main_table_are_parsed() {
        let good = route("10.0.0.0/8", None, &[out_of(2)]);
        let with = |at: usize, value: u8| {
            let mut body = good.clone();
            body[at] = value;
            parse(&body, AF_INET)
        };
        assert!(matches!(with(7, 1), Ok(Some(_))));
        assert_eq!(with(7, 6), Ok(None), "a black hole");
        // RTA_TABLE has tables whose number needs more than 8 bits.
        assert_eq!(with(16, 253), Ok(None));
        assert_eq!(parse(&route("10.0.0.0/8", None, &[]), AF_INET), Ok(None), "no next hop");
        assert!(with(1, 33).is_err());
        assert!(parse(&good[..11], AF_INET).is_err() && parse(&good[..18], AF_INET).is_err());
    }

    /// The kernel runs the program on messages that are sent over a pair of Unix sockets.
    #[test]
    fn only_relevant_notices_are_queued() {
        let two =
            || vec![attribute(libc::RTA_MULTIPATH, &[hop(2, [10, 0, 0, 2]), hop(3, [10, 0, 0, 3])].concat())];
        let out = || vec![out_of(2)];
        let cases = [
            ("a full table's", route("198.18.0.0/15", Some("203.0.113.1"), &out()), false),
            ("a full table's, several hops", route("198.18.0.0/15", None, &two()), false),
            ("a full table's, IPv6", route("2001:db8::/32", Some("fe80::1"), &out()), false),
            ("public and attached", route("198.18.0.0/15", None, &out()), true),
            ("public and attached, IPv6", route("2001:db8::/64", None, &out()), true),
            ("default", route("0.0.0.0/0", Some("203.0.113.1"), &out()), true),
            ("half of the world", route("128.0.0.0/1", Some("203.0.113.1"), &out()), true),
            ("default, IPv6", route("::/0", Some("fe80::1"), &out()), true),
            ("all of IPv6", route("2000::/3", Some("fe80::1"), &out()), true),
            ("10.0.0.0/8", route("10.255.0.0/16", Some("192.168.7.2"), &out()), true),
            ("below it", route("9.255.0.0/16", Some("192.168.7.2"), &out()), false),
            ("above it", route("11.0.0.0/16", Some("192.168.7.2"), &out()), false),
            ("172.16.0.0/12", route("172.31.0.0/16", Some("192.168.7.2"), &out()), true),
            ("above it", route("172.32.0.0/16", Some("192.168.7.2"), &out()), false),
            ("192.168.0.0/16", route("192.168.255.0/24", Some("192.168.7.2"), &out()), true),
            ("above it", route("192.169.0.0/24", Some("192.168.7.2"), &out()), false),
            ("100.64.0.0/10", route("100.127.0.0/16", Some("192.168.7.2"), &out()), true),
            ("above it", route("100.128.0.0/16", Some("192.168.7.2"), &out()), false),
            ("private, several hops", route("10.0.0.0/16", None, &two()), true),
            ("fc00::/7", route("fd00::/48", Some("fe80::1"), &out()), true),
            ("above it", route("fe00::/48", Some("fe80::1"), &out()), false),
        ];
        let (near, far) = UnixDatagram::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        attach_filter(&near, &relevant_notices()).unwrap();
        let passes = |body: &[u8]| {
            far.send(&[&[0; 16], body].concat()).unwrap();
            near.recv(&mut [0; 512]).is_ok()
        };
        for (name, body, expected) in cases {
            assert_eq!(passes(&body), expected, "{name}");
            let (mut elsewhere, mut black_hole) = (body.clone(), body);
            (elsewhere[4], black_hole[7]) = (100, 6);
            assert!(!passes(&elsewhere) && !passes(&black_hole), "{name}");
        }
    }

    #[test]
    fn the_routes_of_this_machine_are_read() {
        let mut routes = Routes::subscribe().unwrap();
        while !routes.step(Duration::ZERO).unwrap() {
            assert!(routes.is_reading() && routes.known().is_empty());
        }
        assert!(!routes.is_reading());
        let hops: Vec<_> = routes.known().iter().flat_map(|route| &route.hops).collect();
        assert!(hops.iter().all(|hop| hop.ifindex > 0), "{:?}", routes.known());
    }
}
