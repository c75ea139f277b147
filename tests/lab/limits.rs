//! Further limits: received bytes, rates, limits for a network, ignored sources; and who is named in a flood.

use std::net::{Ipv4Addr, UdpSocket};

use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::office::{CLIENT, Office, ROUTER_OUTSIDE, SERVER};
use crate::support::program::{EVERY_HOST, Program, Signal};
use crate::support::services::serve_web;
use crate::support::tool::{Daemon, tool};

const DATAGRAM: [u8; 1000] = [0; 1000];
const DATAGRAM_IP_BYTES: u64 = 1028;

#[test]
fn a_receiver_over_its_limit_is_reported_by_its_own_address_behind_masquerading() {
    inside(|| {
        let office = Office::masqueraded();
        let server = office.server.on(|| UdpSocket::bind((SERVER, 9000)).expect("the port is free"));
        let client = office.client.on(|| UdpSocket::bind((CLIENT, 0)).expect("the port is free"));
        client.connect((SERVER, 9000)).expect("there is a route");
        let limit = 500 * DATAGRAM_IP_BYTES;
        let mut program =
            Program::start(&office.router, &format!("{EVERY_HOST}ReceivedByteLimit: {limit}\n"));

        client.send(b"?").expect("the socket sends");
        let (_, translated) = server.recv_from(&mut [0; 10]).expect("it arrives");
        assert_eq!(translated.ip(), ROUTER_OUTSIDE, "the server sees the gateway's address");
        let answer = || {
            server.send_to(&DATAGRAM, translated).expect("the socket sends");
            client.recv(&mut [0; 1000]).expect("it arrives");
        };
        (0..500).for_each(|_| answer());
        // Exactly the limit.
        program.wait_for_bytes(SERVER, limit);
        answer();
        let line = program.alert("RECEIVED", CLIENT);
        assert!(line.text.ends_with(&format!("TOTALBYTES={}", limit + DATAGRAM_IP_BYTES)), "{}", line.text);

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.alerts().len(), 1, "and no other host received as much:\n{}", ended.text());
    });
}

#[test]
fn rates_networks_and_ignored_sources_hold_for_packets_of_a_wire() {
    const FAST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const ALLOWED: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 5);
    const IGNORED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const SLOW: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let injector = far.injector("far0");
        let config = format!(
            "{EVERY_HOST}PacketRateLimit: 2K\nLimitFor: 10.0.5.0/24 PacketRateLimit off, ByteLimit 1M\n\
             IgnoredSources: {IGNORED}\n"
        );
        let mut program = Program::start(&router, &config);
        let frame = |src, ip_bytes| Udp { src, dst: SERVER, dst_port: 9000, ip_bytes }.frame();

        // Some seconds far below the limit, since a sender that was held up sends faster afterwards. Then bursts of a
        // part of a second.
        injector.send_at_rate(&vec![frame(SLOW, 100); 1_500], 500);
        for src in [ALLOWED, IGNORED, FAST] {
            injector.send_at_rate(&vec![frame(src, 100); 6_000], 20_000);
        }
        let line = program.alert("PACKET_RATE", FAST);
        let rate = line.text.split_once(" RATE=").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        let rate: u64 = rate.unwrap_or_else(|| panic!("no rate in {}", line.text));
        assert!((2_001..=6_000).contains(&rate), "{}", line.text);
        // Over the limit of its network, far below that of all hosts.
        injector.send_at_rate(&vec![frame(ALLOWED, 1000); 751], 5_000);
        program.alert("TRAFFIC", ALLOWED);

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.alerts().len(), 2, "{}", ended.text());
    });
}

/// The victim answers at a rate above the limit: it accepts or refuses connections, and answers pings.
#[test]
fn the_victim_of_a_flood_is_not_its_source() {
    inside(|| {
        let office = Office::routed();
        serve_web(&office.server);
        office.server.set("net/ipv4/icmp_ratelimit", "0");
        office.server.set("net/ipv4/icmp_msgs_per_sec", "1000000");
        // The answers go to the forged addresses, which nobody has.
        office.router.ip("route add blackhole default");
        let program = Program::start(&office.router, "PacketRateLimit: 1K\nContactRateLimit: 1K\n");
        for flood in ["-S -p 80", "-S -p 81", "-2 -p 9000", "-A -p 80", "-1"] {
            let mut hping = tool("hping3", "hping3");
            let arguments = format!("-n -q {flood} --rand-source -i u40 -c 20000 203.0.113.2");
            hping.args(arguments.split(' '));
            // hping3 fails without answers.
            let output = office.client.on(|| hping.output().expect("it starts"));
            let output = String::from_utf8_lossy(&output.stderr);
            assert!(output.contains("20000 packets transmitted"), "{output}");
        }
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.final_counts().packets > 150_000, "the victim answers:\n{}", ended.text());
        assert!(ended.alerts().is_empty(), "{}", ended.text());
    });
}

#[test]
fn the_source_of_a_flood_of_resets_is_named_with_evidence() {
    inside(|| {
        let office = Office::routed();
        let mut program = Program::start(&office.router, "PacketRateLimit: 1K\n");
        let mut hping = tool("hping3", "hping3");
        hping.args("-n -q -R -p 80 --flood 203.0.113.2".split(' '));
        let hping = office.client.on(|| Daemon::start(&mut hping));
        program.alert("PACKET_RATE", CLIENT);
        // The report with the alert is published after the line of the log is written.
        let query = |program: &Program| program.get("/api/v1/alerts");
        let alerts =
            program.wait_for("the alert in a report", query, |alerts| alerts.contains("PACKET_RATE"));
        drop(hping);
        for part in
            [r#""role":"backscatter""#, r#""why":"answers 1 host that did not ask here"#, r#""expired":0"#]
        {
            assert!(alerts.contains(part), "no {part} in {alerts}");
        }
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.alerts().len(), 1, "only its source:\n{}", ended.text());
    });
}
