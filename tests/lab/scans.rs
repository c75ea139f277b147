//! A host that scans with nmap raises an alert; the scanned hosts raise none.

use std::net::Ipv4Addr;
use std::thread;

use crate::busy_hosts::OVERDUE;
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office};
use crate::support::program::{Program, Signal};
use crate::support::services::{fetch, serve_web};
use crate::support::tool::tool;

#[test]
fn a_scan_of_the_ports_of_one_host_names_the_scanner() {
    inside(|| {
        let office = Office::routed();
        let mut program = Program::start(&office.router, "AnalyzePorts: true\n");
        nmap(&office, "-Pn -sS -p1-1000 203.0.113.2");
        let line = program.alert("SCANNING_PORT", CLIENT);

        let ports = line.text.split_once("PORTS=[").and_then(|(_, rest)| rest.strip_suffix(']'));
        let ports: Vec<u16> = ports
            .unwrap_or_else(|| panic!("no ports in {}", line.text))
            .split(' ')
            .map(|port| port.parse().expect("ports are numbers"))
            .collect();
        assert!(ports.len() > 100, "{ports:?}");
        assert!(ports.is_sorted() && ports.iter().all(|port| (1..=1000).contains(port)), "{ports:?}");

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.alerts().len(), 1, "only the scanner, and only for ports:\n{}", ended.text());
    });
}

/// The evidence decides, so a limit of contacts of its own is not needed.
#[test]
fn with_byte_limit_and_evidence_a_scan_is_said_and_a_browser_is_not() {
    inside(|| {
        let office = Office::routed();
        office.router.ip("route add 198.51.100.0/24 via 203.0.113.2");
        office.server.ip("route add local 198.51.100.0/24 dev lo");
        serve_web(&office.server);
        let config = "ByteLimit: 1G\nScanEvidence: suspicious\nAnalyzePorts: true\n";
        let mut program = Program::start(&office.router, config);
        (1..=120).for_each(|n| fetch(&office.client, CLIENT, Ipv4Addr::new(198, 51, 100, n)));
        thread::sleep(OVERDUE);
        assert!(!program.log_text().contains("EVENT="), "a browser is no scanner:\n{}", program.log_text());
        nmap(&office, "-Pn -sS -p1-1000 203.0.113.2");
        program.alert("SCANNING_PORT", CLIENT);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.alerts().len(), 1, "only the scan:\n{}", ended.text());
    });
}

#[test]
fn a_scan_of_a_network_names_the_scanner() {
    inside(|| {
        let office = Office::routed();
        office.router.ip("route add 198.51.100.0/24 via 203.0.113.2");
        // One half answers, the other does not respond.
        office.server.ip("route add local 198.51.100.0/25 dev lo");
        office.server.ip("route add blackhole 198.51.100.128/25");
        let mut program = Program::start(&office.router, "AnalyzePorts: true\n");
        let found = nmap(&office, "-sn -PE 198.51.100.0/24");
        assert!(found.contains("(128 hosts up)"), "{found}");
        program.alert("SCANNING", CLIENT);

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.alerts().len(), 1, "only the scanner, and only for hosts:\n{}", ended.text());
    });
}

/// Scans from the client.
fn nmap(office: &Office, arguments: &str) -> String {
    let mut nmap = tool("nmap", "nmap");
    // No names are resolved, which would be traffic of another kind.
    nmap.args(["-n", "-T4"]).args(arguments.split(' '));
    office.client.run(&mut nmap)
}
