//! PPPoE: of a session that ends at the gateway each packet is seen twice there, of one in transit only once.
//!
//! The kernel need not have PPP: `pppoe.pl` is a session's end in user space.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::host::Host;
use crate::support::namespaces::inside;
use crate::support::office::wait_for_bytes_sent;
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::services::{fetch, serve_web};
use crate::support::tool::{Daemon, LOOK, tool};

const SUBSCRIBER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/pppoe.pl");

#[test]
fn a_session_that_ends_here_counts_once_on_its_ppp_interface() {
    inside(|| {
        let line = Line::to_a_gateway();
        let program = Program::start(&line.gateway, EVERY_HOST);
        let frames_before = line.gateway.frames_received("dsl");
        line.fetch_pages(&program);
        let frames = line.gateway.frames_received("dsl") - frames_before;
        let skipped = program.accounting().skipped;
        eprintln!("{frames} frames came on the line, skipped are {skipped:?}");
        // Frames of both directions on the line: ingress, and egress that is only observed.
        assert!(skipped["pppoe_terminated_here"] >= frames, "{skipped:?}");
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.text().contains("monitoring dsl, lan, ppp0;"), "{}", ended.text());
    });
}

#[test]
fn where_ppp_is_not_monitored_the_session_is_looked_through() {
    inside(|| {
        let line = Line::to_a_gateway();
        let program = Program::start(&line.gateway, &format!("{EVERY_HOST}ExcludedInterfaces: lo, ppp0\n"));
        line.fetch_pages(&program);
        let skipped = program.accounting().skipped;
        assert!(!skipped.contains_key("pppoe_terminated_here"), "{skipped:?}");
        program.stop(Signal::SIGTERM).final_counts();
    });
}

#[test]
fn a_session_in_transit_is_looked_through_and_counted() {
    inside(|| {
        let (subscriber, bridge, gateway) = (Host::new(), Host::new(), Host::router());
        bridge.ip("link add br0 up type bridge");
        for (port, host, end) in [("port1", &subscriber, "line"), ("port2", &gateway, "dsl")] {
            bridge.plug(port, host, end);
            bridge.ip(&format!("link set {port} master br0"));
        }
        // The gateway has a session of its own as well, unrelated to those that it forwards.
        let own = Host::new();
        bridge.plug("uplink", &own, "access");
        let _own = session(&bridge, "uplink", "ppp0", &own.mac("access"));
        let line = Line::between(subscriber, gateway);
        let program = Program::start(&bridge, EVERY_HOST);
        line.fetch_pages(&program);
        program.stop(Signal::SIGTERM).final_counts();
    });
}

/// ```text
///   subscriber --line== PPPoE ==dsl-- gateway --lan== Ethernet ==wan0-- server
///         '---- ppp0 198.51.100.7 ------ ppp0 ---'
/// ```
struct Line {
    subscriber: Host,
    gateway: Host,
    server: Host,
    _ends: [Daemon; 2],
}

impl Line {
    fn to_a_gateway() -> Self {
        let (subscriber, gateway) = (Host::new(), Host::router());
        gateway.plug("dsl", &subscriber, "line");
        Self::between(subscriber, gateway)
    }

    fn between(subscriber: Host, gateway: Host) -> Self {
        let server = Host::new();
        gateway.plug("lan", &server, "wan0");
        let ends = [
            session(&subscriber, "line", "ppp0", &gateway.mac("dsl")),
            session(&gateway, "dsl", "ppp0", &subscriber.mac("line")),
        ];
        subscriber.ip(&format!("addr add {SUBSCRIBER}/32 dev ppp0"));
        subscriber.ip("route add default dev ppp0");
        gateway.ip("addr add 203.0.113.1/24 dev lan");
        gateway.ip(&format!("route add {SUBSCRIBER}/32 dev ppp0"));
        server.ip(&format!("addr add {SERVER}/24 dev wan0"));
        server.ip("route add default via 203.0.113.1");
        serve_web(&server);
        subscriber.count_sent();
        server.count_sent();
        Self { subscriber, gateway, server, _ends: ends }
    }

    /// Fetches twenty pages, and waits until the program lists exactly what both sides have counted.
    fn fetch_pages(&self, program: &Program) {
        (0..20).for_each(|_| fetch(&self.subscriber, SUBSCRIBER, SERVER));
        wait_for_bytes_sent(program, [&self.subscriber, &self.server], 2);
        let sent = [&self.subscriber, &self.server].map(|host| host.sent());
        eprintln!("sent and counted: {sent:?}");
    }
}

/// Ends a session on an Ethernet interface; its packets cross the PPP interface.
fn session(host: &Host, ethernet: &str, ppp: &str, peer_mac: &str) -> Daemon {
    host.ip(&format!("tuntap add dev {ppp} mode tun"));
    let ifindex = host.link(ethernet)["ifindex"].to_string();
    let mut perl = tool("perl", "perl-base");
    perl.args([SCRIPT, ppp, &ifindex, &host.mac(ethernet), peer_mac]);
    let daemon = host.on(|| Daemon::start(&mut perl));
    let deadline = Instant::now() + Duration::from_secs(20);
    while host.link(ppp)["link_type"] != "ppp" {
        assert!(Instant::now() < deadline, "no session: is {SCRIPT} allowed to open /dev/net/tun?");
        thread::sleep(LOOK);
    }
    host.ip(&format!("link set {ppp} up mtu 1492 gso_max_segs 1"));
    daemon
}
