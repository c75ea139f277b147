//! A host that sends more than its limit is reported once, within a second.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, SERVER};
use crate::support::program::{EVERY_HOST, Program, Signal};

/// The promised second, and some time for the log and for reading it.
const SOON: Duration = Duration::from_millis(1100);

/// Datagrams of 1000 bytes behind 28 bytes of headers.
const DATAGRAM: [u8; 1000] = [0; 1000];
const DATAGRAM_IP_BYTES: u64 = 1028;

#[test]
fn a_host_is_reported_within_a_second_of_the_packet_that_exceeded_its_limit() {
    inside(|| {
        let office = Office::routed();
        // An open port, so that the server sends no ICMP errors.
        let _server = office.server.on(|| UdpSocket::bind((SERVER, 9000)).expect("the port is free"));
        let client = office.client.on(|| UdpSocket::bind((CLIENT, 0)).expect("the port is free"));
        client.connect((SERVER, 9000)).expect("there is a route");
        office.client.count_sent();

        let config = format!("{EVERY_HOST}ByteLimit: {}\n", 1000 * DATAGRAM_IP_BYTES);
        let mut program = Program::start(&office.router, &config);
        (0..1000).for_each(|_| send(&client));
        // Exactly its limit.
        program.wait_for_bytes(CLIENT, 1000 * DATAGRAM_IP_BYTES);

        let crossed_at = Instant::now();
        send(&client);
        let line = program.alert("TRAFFIC", CLIENT);
        let took = line.at - crossed_at;
        eprintln!("the alert came {took:?} after the packet");
        assert!(took < SOON, "{took:?}");

        let sent = office.client.sent()[&CLIENT.into()];
        assert_eq!(sent, Sum { packets: 1001, bytes: 1001 * DATAGRAM_IP_BYTES });
        let active = program.wait_for("the host is active", Program::active, |active| {
            active.iter().any(|host| !host.event_type.is_empty())
        });
        assert_eq!(active.len(), 1);
        assert_eq!((active[0].event_type.as_str(), active[0].source), ("TRAFFIC", CLIENT.into()));
        assert_eq!(active[0].total_bytes, sent.bytes);
        // Seen on two interfaces, counted on one; no other host has sent.
        program.wait_for_counted(sent);

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.final_counts(), sent);
        let bytes = sent.bytes;
        let expected =
            format!("EVENT=TRAFFIC SRC={CLIENT} TOTALBYTES={bytes} | DSTINFO=[{{{SERVER} {bytes}}}]");
        assert_eq!(ended.alerts(), [expected]);
    });
}

fn send(socket: &UdpSocket) {
    socket.send(&DATAGRAM).expect("the socket sends");
}

#[test]
fn a_host_is_reported_in_the_middle_of_its_stream() {
    const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const FRAMES: usize = 40_000;
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let injector = far.injector("far0");
        let packet = Udp { src: HEAVY, dst: SERVER, dst_port: 9000, ip_bytes: 1000 };
        let frame = packet.frame();
        let stream = vec![&frame[..]; FRAMES];
        let (before, after) = stream.split_at(FRAMES / 2);

        let limit = before.len() * 1000;
        let mut program = Program::start(&router, &format!("{EVERY_HOST}ByteLimit: {limit}\n"));
        injector.send_at_rate(before, 20_000);
        let crossed_at = Instant::now();
        injector.send(&frame);
        injector.send_at_rate(&after[1..], 20_000);
        let took = program.alert("TRAFFIC", HEAVY).at - crossed_at;
        eprintln!("the alert came {took:?} after the packet");
        assert!(took < SOON, "{took:?}");

        let sent = Sum { packets: FRAMES as u64, bytes: FRAMES as u64 * 1000 };
        program.wait_for_counted(sent);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.final_counts(), sent);
        assert_eq!(ended.alerts().len(), 1, "{}", ended.text());
    });
}
