//! Fast scanners (masscan, hping3), and a flood from forged addresses.

use std::process::Command;
use std::thread;

use crate::busy_hosts::OVERDUE;
use crate::support::namespaces::inside;
use crate::support::observer::{Limit, Observer};
use crate::support::office::{CLIENT, Office, SERVER};
use crate::support::program::{Program, Signal};
use crate::support::services::{fetch, serve_web};
use crate::support::tool::{Daemon, tool};

const CONFIG: &str =
    "ScanEvidence: suspicious\nNumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 15\n";

#[test]
fn masscan_of_a_network() {
    inside(|| {
        let office = office();
        let masscan = masscan(&office, "-p23 --rate 200 198.51.100.0/25");
        accused(&office, masscan, "SCANNING", Limit::Hosts(15));
    });
}

#[test]
fn masscan_of_one_host() {
    inside(|| {
        let office = office();
        let masscan = masscan(&office, "-p1-200 --rate 200 203.0.113.2");
        accused(&office, masscan, "SCANNING_PORT", Limit::Ports(15));
    });
}

#[test]
fn hping_from_port_to_port() {
    inside(|| {
        let hping = hping("-S -p ++1 -i u5000 -c 100 203.0.113.2");
        accused(&office(), hping, "SCANNING_PORT", Limit::Ports(15));
    });
}

#[test]
fn hping_from_host_to_host() {
    inside(|| {
        let hping = hping("-1 -i u5000 -c 100 --rand-dest 198.51.100.x -I lan0");
        accused(&office(), hping, "SCANNING", Limit::Hosts(15));
    });
}

#[test]
fn a_flood_from_forged_addresses_accuses_neither_them_nor_the_victim() {
    inside(|| {
        let office = office();
        serve_web(&office.server);
        for rule in ["contacts", "suspicious"] {
            let config = format!(
                "ScanEvidence: {rule}\nNumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 15\n"
            );
            let program = Program::start(&office.router, &config);
            for flood in ["-S -p 80", "-S -p ++1", "-2 -p 9000", "-A -p 80", "-1"] {
                let mut hping = hping(&format!("{flood} --rand-source -i u500 -c 1000 203.0.113.2"));
                // hping3 fails without answers, and they go to the forged addresses.
                let output = office.client.on(|| hping.output().expect("it starts"));
                let output = String::from_utf8_lossy(&output.stderr);
                assert!(output.contains("1000 packets transmitted"), "{output}");
            }
            // A real client among them is served.
            fetch(&office.client, CLIENT, SERVER);
            thread::sleep(OVERDUE);
            let ended = program.stop(Signal::SIGTERM);
            assert!(ended.final_counts().packets > 5000, "{}", ended.text());
            assert!(ended.alerts().is_empty(), "{rule}:\n{}", ended.text());
        }
    });
}

/// Runs a scanner, and checks that it raises this alert alone, in time.
fn accused(office: &Office, mut scanner: Command, kind: &str, limit: Limit) {
    let observer = Observer::of(CLIENT, &office.router);
    let mut program = Program::start(&office.router, CONFIG);
    // masscan waits for answers for long, and hping3 fails without them, so the exit code is not checked.
    let scanner = office.client.on(|| Daemon::start(&mut scanner));
    let alert = program.alert(kind, CLIENT);
    drop(scanner);
    observer.check(limit, &alert);
    let ended = program.stop(Signal::SIGTERM);
    assert_eq!(ended.alerts().len(), 1, "only the scanner, and only once:\n{}", ended.text());
}

/// An office with a network behind the server that has no hosts.
fn office() -> Office {
    let office = Office::routed();
    office.router.ip("route add 198.51.100.0/24 via 203.0.113.2");
    office.server.ip("route add blackhole 198.51.100.0/24");
    office
}

/// masscan has its own IP stack, which needs the addresses of this host and of the router.
fn masscan(office: &Office, arguments: &str) -> Command {
    let router = office.router.mac("lan");
    let mut masscan = tool("masscan", "masscan");
    masscan.args(["--adapter", "lan0", "--router-mac", &router, "--wait", "1", "--adapter-ip"]);
    masscan.arg(CLIENT.to_string()).args(arguments.split(' '));
    masscan
}

fn hping(arguments: &str) -> Command {
    let mut hping = tool("hping3", "hping3");
    hping.args(["-n", "-q"]).args(arguments.split(' '));
    hping
}
