//! A host that only responds is not accused, however many initiators it has.

use std::net::Ipv4Addr;

use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, SERVER, wait_for_bytes_sent};
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::services::{fetch, resolve, serve_names, serve_web};

/// Limits that a server would pass at once if its answers were contacts: 15 hosts, 100 ports.
const CONFIG: &str = "NumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 100\n";

const CLIENTS: u8 = 200;

#[test]
fn a_web_server_with_two_hundred_clients_is_no_scanner() {
    inside(|| {
        let office = office_of_many();
        serve_web(&office.server);
        let program = start(&office);
        (1..=CLIENTS).for_each(|n| fetch(&office.client, nth_client(n), SERVER));
        wait_for_bytes_sent(&program, [&office.client, &office.server], usize::from(CLIENTS) + 1);
        no_alert(program);
    });
}

#[test]
fn a_dns_server_with_two_hundred_clients_is_no_scanner() {
    inside(|| {
        let office = office_of_many();
        let _dnsmasq = serve_names(&office.server, None);
        let program = start(&office);
        (1..=CLIENTS).for_each(|n| resolve(&office.client, nth_client(n), SERVER));
        wait_for_bytes_sent(&program, [&office.client, &office.server], usize::from(CLIENTS) + 1);
        no_alert(program);
    });
}

#[test]
fn a_dns_server_that_answers_two_hundred_ports_is_no_scanner() {
    inside(|| {
        let office = Office::routed();
        let _dnsmasq = serve_names(&office.server, None);
        let program = start(&office);
        (1..=CLIENTS).for_each(|_| resolve(&office.client, CLIENT, SERVER));
        wait_for_bytes_sent(&program, [&office.client, &office.server], 2);
        no_alert(program);
    });
}

fn start(office: &Office) -> Program {
    office.client.count_sent();
    office.server.count_sent();
    Program::start(&office.router, &format!("{EVERY_HOST}{CONFIG}"))
}

fn no_alert(program: Program) {
    let ended = program.stop(Signal::SIGTERM);
    ended.final_counts();
    assert!(ended.alerts().is_empty(), "{}", ended.text());
}

/// An office whose client has many addresses.
fn office_of_many() -> Office {
    let office = Office::routed();
    office.client.ip("route add local 192.168.8.0/24 dev lo");
    office.router.ip("route add 192.168.8.0/24 via 192.168.7.2");
    office
}

fn nth_client(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 8, n)
}
