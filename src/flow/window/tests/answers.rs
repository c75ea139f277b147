//! What became of contacts, in any order of folding.

use crate::flow::evidence::{ContactSample, Outcomes, PortSample};
use crate::packet::{Quoted, Undelivered};

use super::*;

const BARE_ACK: u8 = TcpFlags::ACK;
const RESET: u8 = TcpFlags::RST;
const RESET_ACK: u8 = TcpFlags::RST | TcpFlags::ACK;
const SYN_ACK: u8 = TcpFlags::SYN | TcpFlags::ACK;

/// A packet from the port of a service to the client's port.
fn back(src: u8, src_port: u16, dst: u8, flags: u8) -> Summary {
    let transport = Transport::Tcp { src_port, dst_port: 40_000, flags: Some(TcpFlags(flags)) };
    packet(src, dst, 40, 6, transport)
}

fn expired(client: u8, target: u8, protocol: u8, dst_port: u16) -> Quoted {
    Quoted { cause: Undelivered::Expired, ..port_unreachable(client, target, protocol, dst_port) }
}

fn port_unreachable(client: u8, target: u8, protocol: u8, dst_port: u16) -> Quoted {
    let endpoints = Endpoints::new(addr(client), addr(target)).expect("one family");
    Quoted { endpoints, protocol, dst_port: Some(dst_port), cause: Undelivered::Unreachable }
}

impl Bench {
    fn started() -> Self {
        let mut bench = Self::new(&options(10, Some(20)));
        bench.tick(1000 * SECOND);
        bench
    }

    /// The sample of the contacts of a host, two seconds after all of them.
    fn sample(&self, host: u8) -> ContactSample {
        self.window.contacts_of(&addr(host), Moment(1003 * SECOND)).expect("the host is in the window")
    }

    fn ports(&self, host: u8) -> PortSample {
        self.window.contacted_ports_of(&addr(host), Moment(1003 * SECOND)).expect("the host is in the window")
    }

    /// Numbers of answered, refused, unanswered and not visible contacts.
    fn outcomes(&self, host: u8) -> [u32; 4] {
        four(self.sample(host).outcomes)
    }

    fn port_outcomes(&self, host: u8) -> [u32; 4] {
        four(self.ports(host).outcomes)
    }
}

fn four(outcomes: Outcomes) -> [u32; 4] {
    assert_eq!(outcomes.early, 0);
    [outcomes.answered, outcomes.refused, outcomes.silent, outcomes.unseen]
}

#[test]
fn a_contact_is_answered_refused_or_unanswered() {
    let mut bench = Bench::started();
    // The answers are folded first, by the other worker.
    let [answers, contacts] = &mut bench.deltas;
    for target in 10..30 {
        contacts.count(InterfaceDirection::default(), &tcp(1, target, 22, TcpFlags::SYN), UnixNanos(1));
    }
    for target in 10..13 {
        answers.count(InterfaceDirection::default(), &back(target, 22, 1, SYN_ACK), UnixNanos(2));
    }
    for target in 13..18 {
        answers.count(InterfaceDirection::default(), &back(target, 22, 1, RESET_ACK), UnixNanos(2));
    }
    answers.note_undelivered(&port_unreachable(1, 18, 6, 22));
    bench.tick(1001 * SECOND);
    assert_eq!(bench.outcomes(1), [3, 6, 11, 0]);
    let sample = bench.sample(1);
    assert!(sample.answers_visible);
    assert_eq!((sample.contacted, sample.ports_at_one_host), (20, 1));
    let [ssh] = sample.ports[..] else { panic!("one port: {sample:?}") };
    assert_eq!(
        (ssh.protocol, ssh.port, ssh.outcomes, ssh.hosts_in_one_network),
        (6, 22, sample.outcomes, 20)
    );
    let soon = bench
        .window
        .contacts_of(&addr(1), Moment(1001 * SECOND + SECOND / 4))
        .expect("the host is in the window");
    assert_eq!((soon.outcomes.silent, soon.outcomes.early), (0, 11), "answers had no time yet");
    // There is one port, and it was answered.
    assert_eq!(bench.port_outcomes(1), [1, 0, 0, 0]);
}

/// A traceroute by UDP: one port per probe. Its first probes expire, the last ones reach the target, which refuses
/// them.
#[test]
fn probes_that_expire_are_answered_by_the_path() {
    let mut bench = Bench::started();
    let [contacts, answers] = &mut bench.deltas;
    for target in 10..20 {
        for hop in 0..12 {
            let port = 34_000 + hop;
            contacts.count(InterfaceDirection::default(), &udp(1, 50_000, target, port), UnixNanos(1));
            match hop {
                0..8 => answers.note_undelivered(&expired(1, target, 17, port)),
                _ => answers.note_undelivered(&port_unreachable(1, target, 17, port)),
            }
        }
    }
    bench.tick(1001 * SECOND);
    let (sample, ports) = (bench.sample(1), bench.ports(1));
    assert_eq!((sample.outcomes.expired, sample.outcomes.total()), (10, 10));
    assert_eq!((sample.ports[0].traced, sample.ports[0].hosts()), (10, 0));
    // The four ports of the last hop are those of a traceroute too, since the others of that range expired.
    assert_eq!(
        (ports.contacted, ports.outcomes.expired, ports.outcomes.total(), ports.traceroute),
        (12, 8, 8, 4)
    );
}

/// A low hop limit of some packets does not hide that the others were refused, or not answered.
#[test]
fn a_probe_that_expires_does_not_hide_others() {
    let mut bench = Bench::started();
    let [contacts, answers] = &mut bench.deltas;
    for target in 10..40 {
        let syn = tcp(1, target, 22, TcpFlags::SYN);
        // Only one packet to each of the first ten; to the others, one that expires and one that does not.
        contacts.count(InterfaceDirection::default(), &syn, UnixNanos(1));
        answers.note_undelivered(&expired(1, target, 6, 22));
        if target >= 20 {
            contacts.count(InterfaceDirection::default(), &syn, UnixNanos(2));
        }
        if target >= 30 {
            answers.count(InterfaceDirection::default(), &back(target, 22, 1, RESET_ACK), UnixNanos(3));
        }
    }
    // A scan of ports below those of traceroutes, in which every second packet expires.
    for port in 1..=40 {
        contacts.count(InterfaceDirection::default(), &udp(2, 50_000, 3, port), UnixNanos(1));
        match port % 2 {
            0 => answers.note_undelivered(&expired(2, 3, 17, port)),
            _ => answers.note_undelivered(&port_unreachable(2, 3, 17, port)),
        }
    }
    bench.tick(1001 * SECOND);
    let outcomes = bench.sample(1).outcomes;
    assert_eq!((outcomes.expired, outcomes.silent, outcomes.refused), (10, 10, 10));
    let [ssh] = bench.sample(1).ports[..] else { panic!("one port") };
    assert_eq!((ssh.traced, ssh.hosts_in_one_network), (10, 20));
    let outcomes = bench.ports(2).outcomes;
    assert_eq!((outcomes.expired, outcomes.refused, bench.ports(2).traceroute), (20, 20, 0));
}

/// Three packets with a low hop limit hide neither many others, nor that the target refused or did not answer them.
#[test]
fn a_few_probes_that_expire_do_not_hide_many_others() {
    let mut bench = Bench::started();
    let [contacts, answers] = &mut bench.deltas;
    for target in 10..40 {
        let packets = match target {
            // A traceroute, of which many packets reach the target.
            10..20 => 12,
            _ => 103,
        };
        for _ in 0..packets {
            contacts.count(InterfaceDirection::default(), &tcp(1, target, 445, TcpFlags::SYN), UnixNanos(1));
        }
        (0..3).for_each(|_| answers.note_undelivered(&expired(1, target, 6, 445)));
        if target >= 30 {
            answers.count(InterfaceDirection::default(), &back(target, 445, 1, RESET_ACK), UnixNanos(3));
        }
    }
    // Long traceroutes: at most 30 hops with 3 probes each, but no more than can be counted.
    for (target, packets) in [(50, 90), (51, 300)] {
        for _ in 0..packets {
            contacts.count(InterfaceDirection::default(), &tcp(2, target, 80, TcpFlags::SYN), UnixNanos(1));
            answers.note_undelivered(&expired(2, target, 6, 80));
        }
    }
    bench.tick(1001 * SECOND);
    let outcomes = bench.sample(1).outcomes;
    assert_eq!((outcomes.expired, outcomes.silent, outcomes.refused), (10, 10, 10));
    let outcomes = bench.sample(2).outcomes;
    assert_eq!((outcomes.expired, outcomes.unseen), (1, 1));
    assert_eq!(bench.window.hosts.get(bench.window.hosts.find(&addr(2)).expect("a host")).contacted_hosts, 2);
}

/// A scan of ports that sends each probe once more with a low hop limit.
#[test]
fn ports_beyond_those_of_a_traceroute_are_not_excused() {
    for (ports, want) in [(90, (90, 0)), (91, (0, 91)), (1000, (0, 1000))] {
        let mut bench = Bench::started();
        let [contacts, answers] = &mut bench.deltas;
        for port in 1..=ports {
            let syn = tcp(1, 9, port, TcpFlags::SYN);
            (0..2).for_each(|_| contacts.count(InterfaceDirection::default(), &syn, UnixNanos(1)));
            answers.note_undelivered(&expired(1, 9, 6, port));
        }
        // Answers to this host pass here.
        contacts.count(InterfaceDirection::default(), &tcp(1, 8, 5000, TcpFlags::SYN), UnixNanos(1));
        answers.count(InterfaceDirection::default(), &back(8, 5000, 1, RESET_ACK), UnixNanos(2));
        bench.tick(1001 * SECOND);
        let Outcomes { expired, silent, refused, .. } = bench.ports(1).outcomes;
        assert_eq!(((expired, silent), refused), (want, 1), "{ports} ports");
    }
}

/// Expired packets are counted over several deltas, in any order.
#[test]
fn a_traceroute_may_take_long() {
    let mut bench = Bench::started();
    for second in 1..=3 {
        let port = 33_500 + second;
        for (at, dst_port) in [(0, port), (1, port + 100), (0, port + 200)] {
            bench.deltas[at].count(InterfaceDirection::default(), &udp(1, 50_000, 9, dst_port), UnixNanos(1));
        }
        bench.deltas[usize::from(second % 2)].note_undelivered(&expired(1, 9, 17, port));
        bench.tick((1000 + u64::from(second)) * SECOND);
        let expired =
            bench.window.contacts_of(&addr(1), Moment(1010 * SECOND)).map(|sample| sample.outcomes.expired);
        assert_eq!(expired, Some(u32::from(second == 3)), "three of nine packets expired: {second}");
    }
}

#[test]
fn port_0_is_a_port_like_any_other() {
    let mut bench = Bench::started();
    let [contacts, answers] = &mut bench.deltas;
    for port in 0..5 {
        contacts.count(InterfaceDirection::default(), &udp(1, 50_000, 9, port), UnixNanos(1));
        // From port 0 too, which must not look like a packet that shows its initiator by itself.
        contacts.count(InterfaceDirection::default(), &udp(2, 0, 9, port), UnixNanos(1));
        contacts.count(InterfaceDirection::default(), &tcp(3, 9, port, TcpFlags::SYN), UnixNanos(1));
        answers.count(InterfaceDirection::default(), &udp(9, port, 1, 50_000), UnixNanos(2));
        answers.note_undelivered(&port_unreachable(2, 9, 17, port));
        answers.count(InterfaceDirection::default(), &back(9, port, 3, RESET_ACK), UnixNanos(2));
    }
    // Without ports, as fragments are: of the first two hosts, and of one that sent nothing else.
    for host in [1, 2, 4] {
        let later = packet(host, 9, 100, 17, Transport::LaterFragment);
        contacts.count(InterfaceDirection::default(), &later, UnixNanos(3));
    }
    contacts.count(InterfaceDirection::default(), &packet(5, 9, 100, 47, Transport::Other), UnixNanos(3));
    bench.tick(1001 * SECOND);
    assert_eq!([1, 2, 3, 4, 5, 9].map(|host| bench.counts(host).2), [5, 5, 5, 0, 0, 0]);
    assert_eq!([1, 2, 3].map(|host| bench.port_outcomes(host)), [[5, 0, 0, 0], [0, 5, 0, 0], [0, 5, 0, 0]]);
    assert_eq!(bench.window.ports_of(&addr(1)), [0, 1, 2, 3, 4]);
}

#[test]
fn without_a_return_path_nothing_is_unanswered() {
    let mut bench = Bench::started();
    for target in 10..30 {
        bench.deltas[0].count(
            InterfaceDirection::default(),
            &tcp(1, target, 22, TcpFlags::SYN),
            UnixNanos(1),
        );
    }
    bench.tick(1001 * SECOND);
    assert!(!bench.sample(1).answers_visible);
    assert_eq!((bench.outcomes(1), bench.port_outcomes(1)), ([0, 0, 0, 20], [0, 0, 0, 1]));
    // An answer from another network to a neighbour shows that answers to this network pass here.
    let there = Endpoints::new([192, 0, 2, 1].into(), addr(77)).expect("one family");
    bench.deltas[1].count(
        InterfaceDirection::default(),
        &Summary { endpoints: there, ..back(0, 443, 77, SYN_ACK) },
        UnixNanos(3),
    );
    bench.tick(1002 * SECOND);
    assert_eq!((bench.outcomes(1), bench.port_outcomes(1)), ([0, 0, 20, 0], [0, 0, 1, 0]));
}

#[test]
fn an_ack_that_is_reset_is_a_contact_unless_there_is_a_connection() {
    let mut bench = Bench::started();
    let [one, other] = &mut bench.deltas;
    for target in 10..20 {
        for port in 1..=30 {
            one.count(InterfaceDirection::default(), &tcp(1, target, port, BARE_ACK), UnixNanos(1));
            other.count(InterfaceDirection::default(), &back(target, port, 1, RESET), UnixNanos(2));
        }
        // Not reset; reset as a SYN is; with a segment of a connection; from the server's side.
        one.count(InterfaceDirection::default(), &tcp(2, target, 80, BARE_ACK), UnixNanos(1));
        one.count(InterfaceDirection::default(), &tcp(3, target, 80, BARE_ACK), UnixNanos(1));
        other.count(InterfaceDirection::default(), &back(target, 80, 3, RESET_ACK), UnixNanos(2));
        one.count(InterfaceDirection::default(), &tcp(4, target, 80, BARE_ACK), UnixNanos(1));
        one.count(
            InterfaceDirection::default(),
            &tcp(4, target, 80, TcpFlags::ACK | TcpFlags::PSH),
            UnixNanos(1),
        );
        other.count(InterfaceDirection::default(), &back(target, 80, 4, RESET), UnixNanos(2));
        one.count(InterfaceDirection::default(), &back(5, 80, target, BARE_ACK), UnixNanos(1));
        other.count(InterfaceDirection::default(), &tcp(target, 5, 80, RESET), UnixNanos(2));
    }
    bench.tick(1001 * SECOND);
    assert_eq!((bench.counts(1).1, bench.counts(1).2), (10, 30));
    assert_eq!((bench.outcomes(1), bench.port_outcomes(1)), ([0, 10, 0, 0], [0, 30, 0, 0]));
    for host in 2..=5 {
        assert_eq!((bench.counts(host).1, bench.counts(host).2), (0, 0), "host {host}");
    }
}

#[test]
fn a_datagram_is_answered_by_a_packet_and_refused_by_an_error() {
    let mut bench = Bench::started();
    let [one, other] = &mut bench.deltas;
    for port in 1..=30 {
        let at = UnixNanos(u64::from(port) * 10);
        one.count(InterfaceDirection::default(), &udp(1, 40_000, 2, port), at);
        match port {
            1..=4 => {
                other.count(InterfaceDirection::default(), &udp(2, port, 1, 40_000), UnixNanos(at.0 + 1));
            }
            5..=10 => other.note_undelivered(&port_unreachable(1, 2, 17, port)),
            _ => {}
        }
        one.count(InterfaceDirection::default(), &udp(3, 40_000, 2, 33_433 + port), at);
    }
    bench.tick(1001 * SECOND);
    assert_eq!(bench.outcomes(1), [1, 0, 0, 0]);
    assert_eq!(bench.port_outcomes(1), [4, 6, 20, 0]);
    assert!((20..45).contains(&bench.sample(1).ports_at_one_host), "{:?}", bench.sample(1));
    assert_eq!((bench.ports(3).contacted, bench.ports(3).traceroute), (30, 30));
}

#[test]
fn behind_nat_an_egress_frame_shows_the_answer() {
    let mut bench = Bench::started();
    let (client, public) = (1, 100);
    for target in 10..30 {
        let [one, other] = &mut bench.deltas;
        let syn = tcp(client, target, 22, TcpFlags::SYN);
        one.count(InterfaceDirection::default(), &syn, UnixNanos(1));
        one.note_evidence(
            InterfaceDirection::default(),
            &tcp(public, target, 22, TcpFlags::SYN),
            UnixNanos(2),
        );
        let flags = if target < 15 { SYN_ACK } else { RESET_ACK };
        other.count(InterfaceDirection::default(), &back(target, 22, public, flags), UnixNanos(3));
        other.note_evidence(InterfaceDirection::default(), &back(target, 22, client, flags), UnixNanos(4));
    }
    bench.tick(1001 * SECOND);
    assert_eq!((bench.outcomes(client), bench.port_outcomes(client)), ([5, 15, 0, 0], [1, 0, 0, 0]));
    assert_eq!((bench.counts(client).1, bench.counts(public).1), (20, 0));
}

#[test]
fn answers_without_requests_are_no_contacts() {
    let mut bench = Bench::started();
    for client in 1..=60 {
        bench.deltas[0].count(
            InterfaceDirection::default(),
            &udp(200, 53, client, 30_000 + u16::from(client)),
            UnixNanos(1),
        );
        bench.deltas[0].count(InterfaceDirection::default(), &back(201, 443, client, SYN_ACK), UnixNanos(1));
    }
    bench.tick(1001 * SECOND);
    for server in [200, 201] {
        assert_eq!((bench.counts(server).1, bench.counts(server).2), (0, 0));
    }
    assert_eq!(bench.sample(201).unmatched_replies, 60, "backscatter");
}

#[test]
fn the_clients_of_a_host_at_a_contacted_port_are_counted() {
    let mut bench = Bench::started();
    for peer in 10..40 {
        bench.deltas[0].count(InterfaceDirection::default(), &udp(peer, 5000, 1, 53), UnixNanos(1));
        bench.deltas[0].count(InterfaceDirection::default(), &udp(1, 53, peer, 5000), UnixNanos(2));
        bench.deltas[0].count(InterfaceDirection::default(), &udp(1, 6000, 100 + peer, 53), UnixNanos(3));
        bench.deltas[0].count(InterfaceDirection::default(), &udp(100 + peer, 53, 1, 6000), UnixNanos(4));
    }
    bench.tick(1001 * SECOND);
    let sample = bench.sample(1);
    assert_eq!((sample.contacted, sample.contacted_by), (30, 30));
    let [names] = sample.ports[..] else { panic!("one port: {sample:?}") };
    assert_eq!((names.port, names.served, names.outcomes.answered), (53, 30, 30));
}

/// One packet: source, destination, kind, and the worker that sees it.
type Step = (u8, u8, usize, usize, usize);

/// The packets of a step, each with ports of a few services.
fn take_step(bench: &mut Bench, (src, dst, kind, port, _): Step, worker: usize, seen_at: UnixNanos) {
    let service = [22, 80, 443, 5000][port];
    let delta = &mut bench.deltas[worker];
    match kind {
        0 => delta.count(InterfaceDirection::default(), &tcp(src, dst, service, TcpFlags::SYN), seen_at),
        1 => delta.count(InterfaceDirection::default(), &back(src, service, dst, SYN_ACK), seen_at),
        2 => delta.count(InterfaceDirection::default(), &back(src, service, dst, RESET_ACK), seen_at),
        3 => delta.count(InterfaceDirection::default(), &tcp(src, dst, service, BARE_ACK), seen_at),
        4 => delta.count(InterfaceDirection::default(), &back(src, service, dst, RESET), seen_at),
        5 => {
            delta.count(
                InterfaceDirection::default(),
                &tcp(src, dst, service, TcpFlags::ACK | TcpFlags::PSH),
                seen_at,
            );
        }
        6 => delta.count(InterfaceDirection::default(), &udp(src, 40_000, dst, service), seen_at),
        7 => delta.count(InterfaceDirection::default(), &udp(src, service, dst, 40_000), seen_at),
        8 => delta.note_undelivered(&port_unreachable(src, dst, 17, service)),
        11 => delta.note_undelivered(&expired(src, dst, 17, service)),
        9 => {
            delta.note_evidence(InterfaceDirection::default(), &udp(src, service, dst, 40_000), seen_at);
        }
        _ => delta.note_evidence(InterfaceDirection::default(), &back(src, service, dst, SYN_ACK), seen_at),
    }
}

/// Everything that the window has of a host, in a fixed order.
fn known(
    bench: &Bench,
    host: u8,
    now: u64,
) -> (Option<HostCounts>, Option<ContactSample>, Option<PortSample>) {
    let sample = bench.window.contacts_of(&addr(host), Moment(now)).map(|mut sample| {
        sample.targets.sort_by_key(|target| target.addr);
        sample
    });
    let ports = bench.window.contacted_ports_of(&addr(host), Moment(now));
    (bench.window.counts(&addr(host)), sample, ports)
}

proptest! {
    /// Contacts and evidence do not depend on the worker that saw a packet, nor on the order of folding.
    #[test]
    fn it_does_not_matter_who_saw_what(
        ticks in prop::collection::vec(
            prop::collection::vec((0u8..4, 0u8..4, 0usize..12, 0usize..4, 0usize..2), 0..12),
            1..8,
        )
    ) {
        let seed = Seed::default();
        let (mut one, mut two) = (Bench::seeded(&seed), Bench::seeded(&seed));
        let mut now = 1000 * SECOND;
        for bench in [&mut one, &mut two] {
            bench.tick(now);
        }
        for steps in ticks {
            now += SECOND / 4;
            for (n, &step) in steps.iter().enumerate() {
                let seen_at = UnixNanos(now + n as u64);
                take_step(&mut one, step, 0, seen_at);
                take_step(&mut two, step, step.4, seen_at);
            }
            one.tick(now);
            two.deltas.reverse();
            two.tick(now);
            for host in 0..4 {
                prop_assert_eq!(known(&one, host, now + SECOND), known(&two, host, now + SECOND), "host {}", host);
            }
        }
    }
}
