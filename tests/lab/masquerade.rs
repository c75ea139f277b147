//! Behind a gateway that masquerades, a client counts under its own address, and translated traffic raises no alert.
//!
//! Answers arrive for the gateway's address, at as many ports as there were queries, and leave for the client. A
//! program that does not know the initiator of these flows takes the resolver for a port scanner.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, ROUTER_INSIDE, ROUTER_OUTSIDE, SERVER, wait_for_bytes_sent};
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::services::{fetch, resolve, serve_names, serve_web};

const CONFIG: &str = "NumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 100\n";

/// For this long after its start the program takes the host with the higher port for the initiator, since a flow may
/// have begun before. Afterwards, here one second later, the sender of the first packet is the initiator.
const CAUTION: Duration = Duration::from_secs(11);

#[test]
fn translated_traffic_raises_no_alert() {
    inside(|| fetch_pages(SERVER, Duration::ZERO));
}

#[test]
fn translated_traffic_raises_no_alert_when_first_packets_decide() {
    inside(|| fetch_pages(SERVER, CAUTION));
}

#[test]
fn a_gateway_that_resolves_for_its_clients_is_no_scanner() {
    inside(|| fetch_pages(ROUTER_INSIDE, CAUTION));
}

/// Sends 300 queries to a resolver and fetches 50 pages of the server, some time after the program has started.
fn fetch_pages(resolver: Ipv4Addr, after: Duration) {
    let office = Office::masqueraded();
    serve_web(&office.server);
    let _names = serve_names(&office.server, None);
    let _forwarder = (resolver == ROUTER_INSIDE).then(|| serve_names(&office.router, Some(SERVER)));
    office.client.count_sent();
    office.server.count_sent();
    let program = Program::start(&office.router, &format!("{EVERY_HOST}{CONFIG}"));
    thread::sleep((program.listening_since + after).saturating_duration_since(Instant::now()));

    for n in 0..300 {
        resolve(&office.client, CLIENT, resolver);
        if n % 6 == 0 {
            fetch(&office.client, CLIENT, SERVER);
        }
    }

    // Client and server, and not the gateway's address, which is only on translated packets.
    wait_for_bytes_sent(&program, [&office.client, &office.server], 2);
    assert_eq!(program.bytes_of(ROUTER_OUTSIDE.into()), 0);
    let ended = program.stop(Signal::SIGTERM);
    ended.final_counts();
    assert!(ended.alerts().is_empty(), "{}", ended.text());
}
