//! Behind a gateway that masquerades: the client counts under its own address, and nobody is accused of what
//! translation makes of the traffic.
//!
//! Answers come in for the gateway's address, to as many ports as there were questions, and leave for the client. A
//! counter that does not see who asked takes the resolver for a port scanner.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, ROUTER_INSIDE, ROUTER_OUTSIDE, SERVER, wait_for_bytes_sent};
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::services::{fetch, resolve, serve_names, serve_web};

const CONFIG: &str = "NumberContactedIPs: 15\nAnalyzePorts: true\nNumContactedPorts: 100\n";

/// For so long after its start the program takes the higher port for the client's, since what it sees may have begun
/// before. After that, which is a second later here, it goes by who spoke first.
const CAUTION: Duration = Duration::from_secs(11);

#[test]
fn nobody_is_accused_of_translated_traffic() {
    inside(|| surf(SERVER, Duration::ZERO));
}

#[test]
fn nobody_is_accused_of_translated_traffic_by_who_spoke_first() {
    inside(|| surf(SERVER, CAUTION));
}

#[test]
fn a_gateway_that_asks_for_its_clients_is_no_scanner() {
    inside(|| surf(ROUTER_INSIDE, CAUTION));
}

/// 300 questions to a resolver and 50 pages of the server, some time after the program has started.
fn surf(resolver: Ipv4Addr, after: Duration) {
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

    // Client and server, and not the gateway's address, which was given to what the client had sent.
    wait_for_bytes_sent(&program, [&office.client, &office.server], 2);
    assert_eq!(program.bytes_of(ROUTER_OUTSIDE.into()), 0);
    let ended = program.stop(Signal::SIGTERM);
    ended.last_words();
    assert!(ended.alerts().is_empty(), "{}", ended.text());
}
