//! A packet is seen on every interface that it crosses and counts on one, on routers, bridges and end hosts.
//!
//! The expected count is what was sent: exactly ten million bytes of IP, or what netfilter counts at the sender of TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::support::exactly::{TEN_MILLION, send_exactly, take, wait_for_ten_million};
use crate::support::host::{Host, Sum};
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, ROUTER_INSIDE, ROUTER_OUTSIDE, SERVER, wait_for_bytes_sent};
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::services::{fetch, serve_web};

#[test]
fn a_host_that_does_not_forward_counts_ingress_and_egress() {
    inside(|| {
        let office = Office::routed();
        serve_web(&office.server);
        office.client.count_sent();
        office.server.count_sent();
        let program = Program::start(&office.server, EVERY_HOST);
        (0..20).for_each(|_| fetch(&office.client, CLIENT, SERVER));
        wait_for_bytes_sent(&program, [&office.client, &office.server], 2);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn a_bridge_counts_a_packet_on_its_ingress_port() {
    const LEFT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const BRIDGE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
    inside(|| {
        let (left, bridge, right) = (Host::new(), Host::new(), Host::new());
        bridge.ip("link add br0 up type bridge");
        bridge.ip("addr add 10.0.0.3/24 dev br0");
        for (port, host, addr) in [("port1", &left, LEFT), ("port2", &right, RIGHT)] {
            bridge.plug(port, host, "eth0");
            bridge.ip(&format!("link set {port} master br0"));
            host.ip(&format!("addr add {addr}/24 dev eth0"));
            host.count_sent();
        }
        serve_web(&right);
        serve_web(&bridge);
        let program = Program::start(&bridge, EVERY_HOST);
        for _ in 0..20 {
            // One goes through the bridge, and one to the bridge's own address, which the bridge device shows once
            // more.
            fetch(&left, LEFT, RIGHT);
            fetch(&left, LEFT, BRIDGE);
        }
        wait_for_bytes_sent(&program, [&left, &right], 2);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn a_router_counts_a_packet_once_on_its_way_through() {
    inside(|| {
        through_an_office("router", Office::routed());
        through_an_office("router that hides its clients", Office::masqueraded());
    });
}

#[test]
fn a_router_counts_once_what_enters_through_a_device_on_top_of_another() {
    inside(|| {
        // The client's side of the router is a bridge over its port,
        let bridged = Office::routed();
        bridged.router.ip("link add br0 up type bridge");
        bridged.router.ip("link set lan master br0");
        move_address(&bridged.router, "br0");
        through_an_office("router with a bridge on its port", bridged);

        // or a macvlan on it,
        let macvlan = Office::routed();
        macvlan.router.ip("link add link lan name mv0 up type macvlan mode bridge");
        move_address(&macvlan.router, "mv0");
        through_an_office("router with a macvlan on its port", macvlan);

        // or a bridge and, behind a wire inside, the router: two hops in one namespace.
        let wired = Office::routed();
        wired.router.ip("link add br0 up type bridge");
        wired.router.ip("link set lan master br0");
        wired.router.ip("link add name inner0 up type veth peer name inner1");
        wired.router.ip("link set inner0 master br0");
        wired.router.ip("link set inner1 up");
        move_address(&wired.router, "inner1");
        through_an_office("bridge and router in one, with a wire between", wired);
    });
}

/// Gives the router's inside address to another interface, which has a link address of its own.
fn move_address(router: &Host, interface: &str) {
    router.ip("addr del 192.168.7.1/24 dev lan");
    router.ip(&format!("addr add 192.168.7.1/24 dev {interface}"));
}

fn through_an_office(what: &str, office: Office) {
    let _taker = take(&office.server, SERVER);
    let program = Program::start(&office.router, EVERY_HOST);
    let before = office.server.frames_received("wan0");
    send_exactly(&office.client, CLIENT, SERVER);
    assert!(
        office.server.frames_received("wan0") - before >= TEN_MILLION.packets,
        "{what}: not all came through"
    );
    wait_for_ten_million(&program, what, &[CLIENT.into()]);
    program.wait_for_counted(TEN_MILLION);
    assert_eq!(program.bytes_of(ROUTER_OUTSIDE.into()), 0, "{what}");
    assert_eq!(program.stop(Signal::SIGTERM).final_counts(), TEN_MILLION, "{what}");
}

#[test]
fn a_bridge_without_an_address_counts_what_passes_it() {
    const LEFT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    inside(|| {
        let (left, bridge, right) = (Host::new(), Host::new(), Host::new());
        bridge.ip("link add br0 up type bridge");
        for (port, host, addr) in [("port1", &left, LEFT), ("port2", &right, RIGHT)] {
            bridge.plug(port, host, "eth0");
            bridge.ip(&format!("link set {port} master br0"));
            host.ip(&format!("addr add {addr}/24 dev eth0"));
        }
        let _taker = take(&right, RIGHT);
        let program = Program::start(&bridge, EVERY_HOST);
        send_exactly(&left, LEFT, RIGHT);
        wait_for_ten_million(&program, "transparent bridge", &[LEFT.into()]);
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), TEN_MILLION);
    });
}

#[test]
fn a_router_counts_ipv6_once_too() {
    const CLIENT6: Ipv6Addr = Ipv6Addr::new(0xfd00, 7, 0, 0, 0, 0, 0, 2);
    const SERVER6: Ipv6Addr = Ipv6Addr::new(0xfd00, 8, 0, 0, 0, 0, 0, 2);
    inside(|| {
        let office = Office::routed();
        let sides = [
            (&office.client, "lan0", CLIENT6, "fd00:7::1", "lan"),
            (&office.server, "wan0", SERVER6, "fd00:8::1", "wan"),
        ];
        for host in [&office.client, &office.router, &office.server] {
            host.set("net/ipv6/conf/all/disable_ipv6", "0");
        }
        office.router.set("net/ipv6/conf/all/forwarding", "1");
        for (host, end, addr, router_addr, port) in sides {
            host.ip(&format!("addr add {addr}/64 dev {end} nodad"));
            office.router.ip(&format!("addr add {router_addr}/64 dev {port} nodad"));
            host.ip(&format!("route add default via {router_addr}"));
            // Static neighbours, since neighbour solicitations are IP packets of the same addresses.
            host.ip(&format!("neigh add {router_addr} lladdr {} dev {end}", office.router.mac(port)));
            office.router.ip(&format!("neigh add {addr} lladdr {} dev {port}", host.mac(end)));
        }
        let _taker = take(&office.server, SERVER6);
        let program = Program::start(&office.router, EVERY_HOST);
        send_exactly(&office.client, CLIENT6, SERVER6);
        wait_for_ten_million(&program, "router, IPv6", &[CLIENT6.into()]);
        program.stop(Signal::SIGTERM).final_counts();
    });
}

#[test]
fn a_router_counts_its_own_packets_once_with_in_and_own() {
    inside(|| {
        let office = Office::routed();
        let _takers = [take(&office.server, SERVER), take(&office.client, CLIENT)];
        let both: [IpAddr; 2] = [CLIENT.into(), ROUTER_INSIDE.into()];
        for (direction, own) in [("in+own", true), ("auto", false)] {
            let program = Program::start(&office.router, &format!("{EVERY_HOST}Direction: {direction}\n"));
            send_exactly(&office.client, CLIENT, SERVER);
            // From its inside address through its outside interface.
            send_exactly(&office.router, ROUTER_INSIDE, SERVER);
            let what = format!("router, Direction: {direction}");
            wait_for_ten_million(&program, &what, if own { &both } else { &both[..1] });
            let times = 1 + u64::from(own);
            let expected = Sum { packets: times * TEN_MILLION.packets, bytes: times * TEN_MILLION.bytes };
            program.wait_for_counted(expected);
            assert_eq!(program.stop(Signal::SIGTERM).final_counts(), expected);
        }
    });
}

#[test]
fn a_host_that_does_not_forward_counts_its_own_packets_once() {
    inside(|| {
        let office = Office::routed();
        let _taker = take(&office.server, SERVER);
        let program = Program::start(&office.client, EVERY_HOST);
        send_exactly(&office.client, CLIENT, SERVER);
        wait_for_ten_million(&program, "a host that forwards nothing", &[CLIENT.into()]);
        assert_eq!(program.stop(Signal::SIGTERM).final_counts(), TEN_MILLION);
    });
}
