//! Who traces paths is no scanner: routers on the way answer his probes, whichever tool sends them.

use std::process::Command;
use std::thread;

use crate::busy_hosts::OVERDUE;
use crate::support::host::Host;
use crate::support::namespaces::inside;
use crate::support::program::{Program, Signal};
use crate::support::services::serve_web;
use crate::support::tool::{Daemon, tool};

const CONFIG: &str =
    "ScanEvidence: suspicious\nNumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 15\n";

/// Hosts that each tool traces, and hosts that all tools together do: more than the limit.
const TARGETS: u8 = 10;

/// ```text
///   client 192.168.7.2 -- router -- hop -- hop -- server 198.51.100.0/24
/// ```
///
/// The program runs on the router. The hosts of the server's network answer at port 80 and refuse other ports, except
/// those from .200 on, which do not respond.
struct Path {
    client: Host,
    router: Host,
    beyond: [Host; 3],
}

impl Path {
    fn new() -> Self {
        let client = Host::new();
        let [router, first, second] = [(); 3].map(|()| Host::router());
        let server = Host::new();
        let ends = [&client, &router, &first, &second, &server];
        for (at, pair) in ends.windows(2).enumerate() {
            let [left, right] = pair else { continue };
            left.plug("right", right, "left");
            left.ip(&format!("addr add 10.9.{at}.1/24 dev right"));
            right.ip(&format!("addr add 10.9.{at}.2/24 dev left"));
            // Every packet has an answer, so that what is counted does not depend on the speed of the tools.
            right.set("net/ipv4/icmp_ratelimit", "0");
            right.set("net/ipv4/icmp_msgs_per_sec", "1000000");
            left.ip(&format!("route add 198.51.100.0/24 via 10.9.{at}.2"));
        }
        for (at, host) in ends.iter().enumerate().skip(2) {
            host.ip(&format!("route add 192.168.7.0/24 via 10.9.{}.1", at - 1));
            host.ip(&format!("route add default via 10.9.{}.1", at - 1));
        }
        client.ip("addr add 192.168.7.2/24 dev right");
        client.ip("route change 198.51.100.0/24 via 10.9.0.2 src 192.168.7.2");
        router.ip("route add 192.168.7.0/24 dev left");
        server.ip("route add local 198.51.100.0/24 dev lo");
        server.ip("route add blackhole 198.51.100.200/29");
        serve_web(&server);
        Self { client, router, beyond: [first, second, server] }
    }
}

#[test]
fn traceroute_is_no_scan() {
    inside(|| silent(&[("traceroute", "traceroute", "-n -w 0.5 -m 8")]));
}

#[test]
fn traceroute_by_tcp_and_icmp_is_no_scan() {
    inside(|| {
        silent(&[
            ("traceroute", "traceroute", "-n -w 0.5 -m 8 -T -p 443"),
            ("traceroute", "traceroute", "-n -w 0.5 -m 8 -I"),
        ]);
    });
}

#[test]
fn mtr_by_udp_is_no_scan() {
    inside(|| silent(&[("mtr", "mtr-tiny", "-n -r -c 5 -i 0.2 -G 1 -m 8 -u")]));
}

#[test]
fn mtr_by_tcp_and_icmp_is_no_scan() {
    inside(|| {
        silent(&[
            ("mtr", "mtr-tiny", "-n -r -c 3 -i 0.2 -G 1 -m 8 -T -P 443"),
            ("mtr", "mtr-tiny", "-n -r -c 3 -i 0.2 -G 1 -m 8"),
        ]);
    });
}

#[test]
fn tcptraceroute_is_no_scan() {
    inside(|| silent(&[("tcptraceroute", "tcptraceroute", "-n -w 1 -q 2 -m 6")]));
}

/// Traces the paths to a few hosts with each of these commands at once, and checks that there is no alert.
fn silent(commands: &[(&str, &str, &str)]) {
    let path = Path::new();
    let program = Program::start(&path.router, CONFIG);
    for &(name, package, arguments) in commands {
        let trace = |target: u8| {
            let mut trace: Command = tool(name, package);
            trace.args(arguments.split(' ')).arg(format!("198.51.100.{target}"));
            trace
        };
        let printed = thread::scope(|scope| {
            // Two of the hosts do not respond.
            let targets = (1..TARGETS - 1).chain([200, 201]);
            // tcptraceroute fails if the host does not respond.
            let run = |target| path.client.on(|| trace(target).output().expect("it starts").stdout);
            let traces: Vec<_> = targets.map(|target| scope.spawn(move || run(target))).collect();
            let printed = traces.into_iter().map(|trace| trace.join().expect("it ends"));
            printed.map(|text| String::from_utf8_lossy(&text).into_owned()).collect::<String>()
        });
        for hop in ["10.9.1.2", "10.9.2.2"] {
            assert!(
                printed.matches(hop).count() >= usize::from(TARGETS),
                "{hop} answers each trace:\n{printed}"
            );
        }
    }
    thread::sleep(OVERDUE);
    let ended = program.stop(Signal::SIGTERM);
    assert!(ended.final_counts().packets > 50, "{}", ended.text());
    assert!(ended.alerts().is_empty(), "{}", ended.text());
}

/// The same network is no shelter for a scanner.
#[test]
fn a_sweep_through_the_same_routers_is_one() {
    inside(|| {
        let path = Path::new();
        path.client.ip("route add 203.0.113.0/24 via 10.9.0.2");
        for (hop, router) in [&path.router, &path.beyond[0], &path.beyond[1]].into_iter().enumerate() {
            router.ip(&format!("route add 203.0.113.0/24 via 10.9.{}.2", hop + 1));
        }
        path.beyond[2].ip("route add blackhole 203.0.113.0/24");
        let mut program = Program::start(&path.router, CONFIG);
        let mut hping = tool("hping3", "hping3");
        hping.args("-n -q -S -p 23 -i u5000 -c 200 --rand-dest 203.0.113.x -I right".split(' '));
        let hping = path.client.on(|| Daemon::start(&mut hping));
        program.alert("SCANNING", "10.9.0.1");
        drop(hping);
        assert_eq!(program.stop(Signal::SIGTERM).alerts().len(), 1);
    });
}
