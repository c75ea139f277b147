//! Every scan technique of nmap raises the right alert within a second, with `ScanEvidence: suspicious`.

use std::net::Ipv4Addr;

use crate::support::namespaces::inside;
use crate::support::observer::{Limit, Observer};
use crate::support::office::{CLIENT, Office};
use crate::support::program::{Ended, Program, Signal};
use crate::support::tool::tool;

/// More than 15 contacted hosts or ports that look like a scan.
const CONFIG: &str =
    "ScanEvidence: suspicious\nNumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 15\n";

#[test]
fn syn() {
    inside(|| ports_of_one_host("-sS -p1-100"));
}

#[test]
fn connect() {
    inside(|| ports_of_one_host("-sT -p1-100"));
}

#[test]
fn udp() {
    inside(|| ports_of_one_host("-sU -p1-60 --max-retries 0"));
}

#[test]
fn null() {
    inside(|| ports_of_one_host("-sN -p1-100"));
}

#[test]
fn fin() {
    inside(|| ports_of_one_host("-sF -p1-100"));
}

#[test]
fn xmas() {
    inside(|| ports_of_one_host("-sX -p1-100"));
}

#[test]
fn ack() {
    inside(|| ports_of_one_host("-sA -p1-100"));
}

#[test]
fn fragments() {
    inside(|| ports_of_one_host("-sS -f -p1-100"));
}

#[test]
fn slowly() {
    // Four tenths of a second between two packets.
    inside(|| ports_of_one_host("-T2 -sS -p1-20 --max-retries 0"));
}

#[test]
fn one_port_of_a_network() {
    inside(|| hosts_of_a_network("-Pn -sS -p22 --max-retries 0 198.51.100.0/24"));
}

#[test]
fn one_port_of_a_network_without_hosts() {
    inside(|| hosts_of_a_network("-Pn -sS -p22 --max-retries 0 198.51.100.128/26"));
}

#[test]
fn udp_in_a_network() {
    inside(|| hosts_of_a_network("-Pn -sU -p161 --max-retries 0 198.51.100.0/26"));
}

#[test]
fn hosts_by_icmp() {
    inside(|| hosts_of_a_network("-sn -PE 198.51.100.0/24"));
}

#[test]
fn hosts_by_all_means() {
    // Echo, SYN to 443, ACK to 80, timestamp.
    inside(|| hosts_of_a_network("-sn --max-retries 0 198.51.100.0/24"));
}

/// The resets arrive for the gateway's address; only egress shows that they are for the client.
#[test]
fn ack_from_behind_a_gateway_that_masquerades() {
    inside(|| {
        let office = Office::masqueraded();
        let observer = Observer::of(CLIENT, &office.router);
        let mut program = Program::start(&office.router, CONFIG);
        nmap(&office, "-Pn -sA -p1-100 203.0.113.2");
        observer.check(Limit::Ports(15), &program.alert("SCANNING_PORT", CLIENT));
        accuses(&program.stop(Signal::SIGTERM), "SCANNING_PORT", &[CLIENT]);
    });
}

#[test]
fn among_decoys() {
    inside(|| {
        let office = office();
        let observer = Observer::of(CLIENT, &office.router);
        let mut program = Program::start(&office.router, CONFIG);
        nmap(&office, "-Pn -sS -p1-100 -D 192.168.7.77,192.168.7.78,ME 203.0.113.2");
        observer.check(Limit::Ports(15), &program.alert("SCANNING_PORT", CLIENT));
        // The packets do not show which of the sources is the scanner.
        let decoys = [Ipv4Addr::new(192, 168, 7, 77), Ipv4Addr::new(192, 168, 7, 78)];
        accuses(&program.stop(Signal::SIGTERM), "SCANNING_PORT", &[CLIENT, decoys[0], decoys[1]]);
    });
}

fn ports_of_one_host(arguments: &str) {
    let office = office();
    let observer = Observer::of(CLIENT, &office.router);
    let mut program = Program::start(&office.router, CONFIG);
    nmap(&office, &format!("-Pn {arguments} 203.0.113.2"));
    observer.check(Limit::Ports(15), &program.alert("SCANNING_PORT", CLIENT));
    accuses(&program.stop(Signal::SIGTERM), "SCANNING_PORT", &[CLIENT]);
}

fn hosts_of_a_network(arguments: &str) {
    let office = office();
    // One half answers, the other does not respond.
    office.router.ip("route add 198.51.100.0/24 via 203.0.113.2");
    office.server.ip("route add local 198.51.100.0/25 dev lo");
    office.server.ip("route add blackhole 198.51.100.128/25");
    let observer = Observer::of(CLIENT, &office.router);
    let mut program = Program::start(&office.router, CONFIG);
    nmap(&office, arguments);
    observer.check(Limit::Hosts(15), &program.alert("SCANNING", CLIENT));
    accuses(&program.stop(Signal::SIGTERM), "SCANNING", &[CLIENT]);
}

/// An office whose server sends an ICMP error for each closed port of UDP, without the kernel's rate limit.
fn office() -> Office {
    let office = Office::routed();
    office.server.set("net/ipv4/icmp_ratelimit", "0");
    office
}

/// Checks that all alerts are of one kind and about these sources.
fn accuses(ended: &Ended, kind: &str, sources: &[Ipv4Addr]) {
    let may_be: Vec<String> = sources.iter().map(|source| format!("EVENT={kind} SRC={source} ")).collect();
    let is_right = |alert: &&str| may_be.iter().any(|start| alert.starts_with(start));
    assert!(ended.alerts().iter().all(is_right), "only {may_be:?}:\n{}", ended.text());
}

fn nmap(office: &Office, arguments: &str) {
    let mut nmap = tool("nmap", "nmap");
    // No names are resolved, which would be traffic of another kind. A later timing option overrides an earlier one.
    nmap.args(["-n", "-T4"]).args(arguments.split(' '));
    office.client.run(&mut nmap);
}
