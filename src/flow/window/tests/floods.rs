//! Rates of hosts that answer: the victim of a flood is not its source, and a flood of answers has one.

use crate::flow::evidence::SAMPLE_MAX;

use super::*;

const LIMIT: u64 = 1000;
const SYN_ACK: u8 = TcpFlags::SYN | TcpFlags::ACK;
const RESET_ACK: u8 = TcpFlags::RST | TcpFlags::ACK;
const VICTIM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

fn far(n: u32) -> IpAddr {
    IpAddr::V4(std::net::Ipv4Addr::from_bits(0xc633_0000 + n))
}

/// A window with a limit of the packets per second.
fn watched() -> Bench {
    let mut bench = Bench::new(&options(170, Some(300)));
    bench.window.watch(&PerMetric::default().with(Metric::PacketsPerS, Some(LIMIT)));
    bench.tick(1000 * SECOND);
    bench
}

impl Bench {
    fn send(&mut self, worker: usize, src: IpAddr, dst: IpAddr, protocol: u8, transport: Transport) {
        let endpoints = Endpoints::new(src, dst).expect("one family");
        let packet = Summary::plain(endpoints, 40, protocol, transport);
        self.deltas[worker].count(InterfaceDirection::default(), &packet, UnixNanos(1));
    }

    /// The packets per second that are compared with the limit, and all packets of the window.
    fn compared(&self, host: IpAddr) -> (u64, u64) {
        let counts = self.window.counts(&host).expect("it is in the window");
        (counts.counts[Metric::PacketsPerS], counts.packets)
    }
}

fn with_flags(src_port: u16, dst_port: u16, flags: u8) -> Transport {
    Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) }
}

/// The requests and answers of each protocol.
fn floods() -> Vec<(&'static str, u8, Transport, Transport)> {
    let sctp = |src_port, dst_port, chunk| Transport::Sctp { src_port, dst_port, chunk: Some(chunk) };
    let icmp = |kind| Transport::Icmp { kind };
    let ports = Transport::Ports { src_port: 40_000, dst_port: 9 };
    let syn = with_flags(40_000, 80, TcpFlags::SYN);
    vec![
        ("a flood of SYNs at an open port", 6, syn, with_flags(80, 40_000, SYN_ACK)),
        ("a flood of SYNs at a closed port", 6, syn, with_flags(80, 40_000, RESET_ACK)),
        ("a flood of ACKs", 6, with_flags(40_000, 80, TcpFlags::ACK), with_flags(80, 40_000, TcpFlags::RST)),
        (
            "a flood of data",
            6,
            with_flags(79, 80, TcpFlags::ACK | TcpFlags::PSH),
            with_flags(80, 79, TcpFlags::RST),
        ),
        ("a flood of pings", 1, icmp(8), icmp(0)),
        ("a flood of UDP at a closed port", 17, ports, icmp(3)),
        ("a flood of SCTP", 132, sctp(7, 8, 1), sctp(8, 7, 2)),
        ("a flood of SCTP at a closed port", 132, sctp(7, 8, 1), sctp(8, 7, 6)),
    ]
}

fn protocol_of(answer: Transport, protocol: u8) -> u8 {
    if matches!(answer, Transport::Icmp { .. }) { 1 } else { protocol }
}

#[test]
fn what_a_victim_answers_is_not_compared_with_the_limit() {
    for (name, protocol, request, answer) in floods() {
        // From forged addresses; from one address.
        for sources in [3000, 1] {
            let mut bench = watched();
            for n in 0..3000 {
                // The answers are folded by the other worker, and first.
                bench.send(1, far(n % sources), VICTIM, protocol, request);
                bench.send(0, VICTIM, far(n % sources), protocol_of(answer, protocol), answer);
            }
            bench.tick(1000 * SECOND + SECOND / 4);
            assert_eq!(bench.compared(VICTIM), (0, 3000), "{name} from {sources}");
        }
    }
}

#[test]
fn answers_that_nobody_asked_for_are_compared() {
    for (name, protocol, request, answer) in floods() {
        for targets in [3000, 1] {
            let mut bench = watched();
            for n in 0..3000 {
                bench.send(0, VICTIM, far(n % targets), protocol_of(answer, protocol), answer);
            }
            // Others ask for many answers, and get some of them; one of the targets asks for a few.
            for n in 0..500 {
                bench.send(0, far(10_000 + n), VICTIM, protocol, request);
                bench.send(0, VICTIM, far(10_000 + n), protocol_of(answer, protocol), answer);
            }
            (0..10).for_each(|_| bench.send(1, far(0), VICTIM, protocol, request));
            bench.tick(1000 * SECOND + SECOND / 4);
            let (compared, packets) = bench.compared(VICTIM);
            assert_eq!(packets, 3500, "{name}");
            // The shares of the latest pairs stand for all pairs.
            assert!(compared > LIMIT, "{name} at {targets}: {compared}");
        }
    }
}

/// A connection with the target, and answers to others, do not hide a flood.
#[test]
fn a_flood_of_resets_may_follow_a_connection() {
    let mut bench = watched();
    let target = far(7);
    for _ in 0..50 {
        bench.send(0, VICTIM, target, 6, with_flags(40_000, 80, TcpFlags::ACK | TcpFlags::PSH));
        bench.send(0, target, VICTIM, 6, with_flags(80, 40_000, TcpFlags::ACK | TcpFlags::PSH));
    }
    bench.tick(1000 * SECOND + SECOND / 4);
    for n in 0..20 {
        bench.send(0, far(n), VICTIM, 1, Transport::Icmp { kind: 8 });
        bench.send(0, VICTIM, far(n), 1, Transport::Icmp { kind: 0 });
    }
    for _ in 0..5000 {
        bench.send(0, VICTIM, target, 6, with_flags(40_000, 80, TcpFlags::RST));
    }
    bench.tick(1002 * SECOND);
    let (compared, packets) = bench.compared(VICTIM);
    assert!(packets == 5070 && compared > 4900, "{compared} of {packets}");
    // A server that also refuses some of its clients answers all of them.
    let server = addr(2);
    for n in 0..1500 {
        bench.send(0, far(n), server, 6, with_flags(40_000, 80, TcpFlags::ACK | TcpFlags::PSH));
        bench.send(0, server, far(n), 6, with_flags(80, 40_000, TcpFlags::ACK));
    }
    bench.tick(1004 * SECOND);
    for n in 0..1500 {
        bench.send(0, server, far(n), 6, with_flags(80, 40_000, TcpFlags::RST));
    }
    bench.tick(1006 * SECOND);
    assert_eq!(bench.compared(server), (0, 3000));
}

/// A victim repeats a SYN ACK five times if nothing follows, over half a minute.
#[test]
fn repeated_answers_are_requested_too() {
    let mut bench = watched();
    for n in 0..2000 {
        bench.send(0, far(n), VICTIM, 6, with_flags(40_000, 80, TcpFlags::SYN));
    }
    for second in [0, 1, 3, 7, 15, 31] {
        for n in 0..2000 {
            bench.send(0, VICTIM, far(n), 6, with_flags(80, 40_000, SYN_ACK));
        }
        bench.tick((1001 + second) * SECOND);
        assert_eq!(bench.compared(VICTIM).0, 0, "after {second} s");
    }
    for n in 0..2000 {
        bench.send(0, VICTIM, far(n), 6, with_flags(80, 40_000, SYN_ACK));
    }
    bench.tick(1040 * SECOND);
    assert!(bench.compared(VICTIM).0 > 0, "nobody asked for a seventh");
}

/// What a host sends beside its answers is compared with the limit, and answers below the limit are not looked at.
#[test]
fn other_packets_of_a_victim_are_compared() {
    let mut bench = watched();
    for n in 0..3000 {
        bench.send(0, far(n), VICTIM, 6, with_flags(40_000, 80, TcpFlags::SYN));
        bench.send(0, VICTIM, far(n), 6, with_flags(80, 40_000, SYN_ACK));
        bench.send(0, VICTIM, far(70_000), 17, Transport::Ports { src_port: 5000, dst_port: 6000 });
    }
    bench.tick(1000 * SECOND + SECOND / 4);
    assert_eq!(bench.compared(VICTIM), (3000, 6000));
    let few = addr(2);
    for n in 0..500 {
        bench.send(0, far(n), few, 6, with_flags(40_000, 80, TcpFlags::SYN));
        bench.send(0, few, far(n), 6, with_flags(80, 40_000, SYN_ACK));
    }
    bench.tick(1000 * SECOND + SECOND / 2);
    assert_eq!(bench.compared(few), (500, 500));
}

/// Where a port is forwarded, the request is seen for the public address; a router reports an error to the source of a
/// packet that was sent to another host.
#[test]
fn a_request_may_have_been_sent_to_another_address() {
    let (public, router) = (addr(99), addr(254));
    let syn = with_flags(40_000, 80, TcpFlags::SYN);
    let mut bench = watched();
    for n in 0..3000 {
        bench.send(0, far(n), public, 6, syn);
        bench.send(0, VICTIM, far(n), 6, with_flags(80, 40_000, SYN_ACK));
    }
    bench.tick(1000 * SECOND + SECOND / 4);
    assert_eq!(bench.compared(VICTIM), (0, 3000));

    let mut bench = watched();
    let client = far(1);
    for _ in 0..3000 {
        bench.send(0, client, VICTIM, 17, Transport::Ports { src_port: 5000, dst_port: 33_500 });
        bench.send(0, router, client, 1, Transport::Icmp { kind: 11 });
    }
    bench.tick(1000 * SECOND + SECOND / 4);
    assert_eq!(bench.compared(router), (0, 3000));
    // The client also talks to others, and did not ask for so many errors; nor does one with few packets.
    bench.send(0, client, public, 6, syn);
    bench.send(0, far(2), public, 6, syn);
    for _ in 0..3000 {
        bench.send(0, router, client, 1, Transport::Icmp { kind: 3 });
        bench.send(0, VICTIM, far(2), 6, with_flags(80, 40_000, RESET_ACK));
    }
    bench.tick(1002 * SECOND);
    assert_eq!(bench.compared(router), (3000, 6000));
    assert_eq!(bench.compared(VICTIM), (2994, 3000));
}

/// A camera streams to its recorder, and others flood it with answers: it asked only the recorder.
#[test]
fn a_stream_to_one_host_asks_for_no_answers_of_others() {
    let (camera, recorder) = (far(1), addr(3));
    let segment = |src_port, dst_port| with_flags(src_port, dst_port, TcpFlags::ACK | TcpFlags::PSH);
    let datagram = Transport::Ports { src_port: 5004, dst_port: 5006 };
    for (name, protocol, request, response) in [
        ("TCP", 6, segment(554, 40_000), Some(segment(40_000, 554))),
        ("UDP", 17, datagram, Some(Transport::Ports { src_port: 5006, dst_port: 5004 })),
        ("UDP in one direction", 17, datagram, None),
    ] {
        let mut bench = watched();
        for _ in 0..1000 {
            bench.send(0, camera, recorder, protocol, request);
            if let Some(response) = response {
                bench.send(1, recorder, camera, protocol, response);
            }
        }
        (0..5000).for_each(|_| bench.send(0, VICTIM, camera, 6, with_flags(554, 40_000, TcpFlags::RST)));
        bench.tick(1000 * SECOND + SECOND / 4);
        assert_eq!(bench.compared(VICTIM), (5000, 5000), "{name}");
    }
}

/// Only a contact after which nothing follows is answered several times.
#[test]
fn data_asks_for_fewer_answers_than_contacts() {
    let mut bench = watched();
    for _ in 0..1000 {
        bench.send(0, far(1), VICTIM, 6, with_flags(79, 80, TcpFlags::ACK | TcpFlags::PSH));
    }
    (0..6000).for_each(|_| bench.send(0, VICTIM, far(1), 6, with_flags(80, 79, TcpFlags::RST)));
    bench.tick(1000 * SECOND + SECOND / 4);
    assert_eq!(bench.compared(VICTIM), (4000, 6000));
}

/// However many hosts answer many others, one judgement looks at a limited number of pairs.
#[test]
fn the_pairs_that_are_looked_at_are_limited() {
    let mut bench = watched();
    for n in 0..3000 {
        bench.send(0, far(n), VICTIM, 1, Transport::Icmp { kind: 8 });
        bench.send(0, VICTIM, far(n), 1, Transport::Icmp { kind: 0 });
    }
    bench.tick(1000 * SECOND + SECOND / 4);
    let id = bench.window.hosts.find(&VICTIM).expect("it is in the window");
    for (mut pairs_left, left) in [(5000, 5000 - SAMPLE_MAX), (100, 0), (0, 0)] {
        let counts = bench.window.counts_within(id, &mut pairs_left);
        assert_eq!((pairs_left, counts.counts[Metric::PacketsPerS]), (left, 0));
    }
}
