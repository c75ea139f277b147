//! A packet is seen on every interface that it crosses and counts on one, whatever the host is to it.
//!
//! What a router counts is in the other tests; here is everything else. Expected is what netfilter counts where the
//! packets come from.

use std::net::Ipv4Addr;

use crate::host::Host;
use crate::inside::inside;
use crate::office::{CLIENT, Office, SERVER, wait_for_bytes_sent};
use crate::program::{EVERY_HOST, Program, Signal};
use crate::services::{fetch, serve_web};

#[test]
fn a_host_that_forwards_nothing_counts_both_what_it_gets_and_what_it_sends() {
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
fn a_bridge_counts_what_enters_it_on_the_port_where_it_enters() {
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
            // Through the bridge, and to its own address, which its own device shows once more.
            fetch(&left, LEFT, RIGHT);
            fetch(&left, LEFT, BRIDGE);
        }
        wait_for_bytes_sent(&program, [&left, &right], 2);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}
