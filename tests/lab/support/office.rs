//! The network most tests are about: a client and a server with a router between them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::support::host::Host;
use crate::support::program::Program;

/// ```text
///   client 192.168.7.2 --lan0-- lan 192.168.7.1 router 203.0.113.1 wan --wan0-- 203.0.113.2 server
/// ```
pub(crate) struct Office {
    pub(crate) client: Host,
    pub(crate) router: Host,
    pub(crate) server: Host,
}

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);
pub(crate) const ROUTER_INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
pub(crate) const ROUTER_OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

impl Office {
    /// Makes an office in which both sides have a route to the other.
    pub(crate) fn routed() -> Self {
        let office = Self::without_way_back();
        office.server.ip("route add default via 203.0.113.1");
        office
    }

    /// Makes an office whose router masquerades the client behind its own address.
    pub(crate) fn masqueraded() -> Self {
        let office = Self::without_way_back();
        office.router.nft(
            "table ip nat {
                chain leaving {
                    type nat hook postrouting priority srcnat; policy accept;
                    oifname \"wan\" masquerade
                }
            }",
        );
        office
    }

    /// Lays a tunnel from the client to the server, with an address of one network at each end.
    pub(crate) fn vxlan(&self, client: Ipv4Addr, server: Ipv4Addr) {
        for (host, inner, outer, there) in
            [(&self.client, client, CLIENT, SERVER), (&self.server, server, SERVER, CLIENT)]
        {
            host.ip(&format!("link add vx0 type vxlan id 7 local {outer} remote {there} dstport 4789"));
            host.ip(&format!("addr add {inner}/24 dev vx0"));
            host.ip("link set vx0 up");
        }
    }

    fn without_way_back() -> Self {
        let office = Self { client: Host::new(), router: Host::router(), server: Host::new() };
        office.router.plug("lan", &office.client, "lan0");
        office.router.plug("wan", &office.server, "wan0");
        office.client.ip("addr add 192.168.7.2/24 dev lan0");
        office.router.ip("addr add 192.168.7.1/24 dev lan");
        office.router.ip("addr add 203.0.113.1/24 dev wan");
        office.server.ip("addr add 203.0.113.2/24 dev wan0");
        office.client.ip("route add default via 192.168.7.1");
        office
    }
}

/// Waits until the program lists exactly the bytes that each address of `hosts` has sent since they began to count, and
/// no other address. `addresses` is the number of these addresses.
pub(crate) fn wait_for_bytes_sent(program: &Program, hosts: [&Host; 2], addresses: usize) {
    let both = |program: &Program| {
        let sent = hosts.into_iter().flat_map(Host::sent).map(|(addr, sum)| (addr, sum.bytes));
        let listed = program.all().into_iter().map(|host| (host.source, host.total_bytes));
        (sent.collect::<BTreeMap<_, _>>(), listed.collect::<BTreeMap<_, _>>())
    };
    let (sent, _) = program.wait_for("bytes sent = bytes listed", both, |(sent, listed)| sent == listed);
    assert_eq!(sent.len(), addresses, "{sent:?}");
}
