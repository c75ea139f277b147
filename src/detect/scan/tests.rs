//! Hosts that are, and that are not, scanners, by the outcomes of their contacts.

use std::time::Duration;

use super::service_port::{SCTP, TCP, UDP};
use super::*;
use crate::flow::Pace;

const LIMIT: u32 = 15;

fn outcomes(answered: u32, refused: u32, silent: u32) -> Outcomes {
    Outcomes { answered, refused, silent, ..Outcomes::default() }
}

fn unseen(hosts: u32) -> Outcomes {
    Outcomes { unseen: hosts, ..Outcomes::default() }
}

fn port(protocol: u8, port: u16, outcomes: Outcomes) -> PortHosts {
    PortHosts { protocol, port, outcomes, served: 0, hosts_in_one_network: 1 }
}

fn pace(contacts: u32, seconds: u64) -> Pace {
    Pace { contacts, over: Duration::from_secs(seconds) }
}

/// Returns a host with a slow rate of contacts. Its answers are visible unless a contact has the outcome `unseen`.
fn host(ports: &[PortHosts]) -> ContactSample {
    let mut all = Outcomes::default();
    for port in ports {
        all.answered += port.outcomes.answered;
        all.refused += port.outcomes.refused;
        all.silent += port.outcomes.silent;
        all.unseen += port.outcomes.unseen;
        all.early += port.outcomes.early;
    }
    ContactSample {
        contacted: all.total(),
        outcomes: all,
        answers_visible: all.unseen == 0,
        ports: ports.to_vec(),
        ports_at_one_host: 1,
        pace: pace(all.total().min(100), 170),
        ..ContactSample::default()
    }
}

/// Returns a port for each contact, from 10000 on: this many that were answered, then this many that were not.
fn scattered(answered: u32, silent: u32) -> Vec<PortHosts> {
    let at = |n: u32| 10_000 + u16::try_from(n).expect("a few ports");
    let up = (0..answered).map(|n| port(TCP, at(n), outcomes(1, 0, 0)));
    up.chain((answered..answered + silent).map(|n| port(TCP, at(n), outcomes(0, 0, 1)))).collect()
}

#[test]
fn a_host_that_contacts_many_hosts_is_classified_by_the_outcomes() {
    use Confidence::{High, Low, Medium};
    use ScanRole::{Backscatter, Client, Peer, Scanner, Victim};
    let quick = |mut sample: ContactSample| {
        sample.pace = pace(100, 1);
        sample
    };
    let near = |mut port: PortHosts| {
        port.hosts_in_one_network = port.outcomes.total();
        port
    };
    let mixed = |ports: u32, mut sample: ContactSample| {
        sample.ports_at_one_host = ports;
        sample
    };
    for (name, sample, role, confidence) in [
        ("telnet, nobody there", host(&[port(TCP, 23, outcomes(0, 0, 40))]), Scanner, High),
        ("telnet, refused", host(&[port(TCP, 23, outcomes(0, 30, 0))]), Scanner, High),
        ("just over the limit", host(&[port(TCP, 23, outcomes(0, 0, 16))]), Scanner, Medium),
        ("half of a network answers", host(&[port(TCP, 22, outcomes(64, 0, 64))]), Scanner, Medium),
        ("a few fail", host(&[port(TCP, 22, outcomes(64, 5, 11))]), Client, Low),
        ("pings that are answered", host(&[port(ICMP, 0, outcomes(50, 0, 0))]), Scanner, Medium),
        ("a browser", quick(host(&[port(TCP, 443, outcomes(120, 2, 4))])), Client, Low),
        ("a browser without answers", host(&[port(TCP, 443, outcomes(0, 0, 21))]), Client, Low),
        ("the web of a network", host(&[near(port(TCP, 443, outcomes(3, 0, 60)))]), Scanner, High),
        ("the web, in a hurry", quick(host(&[port(TCP, 80, outcomes(0, 0, 200))])), Scanner, High),
        ("peers, half of them gone", quick(host(&scattered(40, 40))), Peer, Low),
        ("peers at the port of all", quick(host(&[port(TCP, 6881, outcomes(5, 20, 60))])), Peer, Low),
        ("that port in one network", host(&[near(port(TCP, 6881, outcomes(0, 0, 60)))]), Scanner, High),
        ("mail to many who answer", host(&[port(TCP, 25, outcomes(300, 0, 0))]), Client, Low),
        ("mail to more than any relay", host(&[port(TCP, 25, outcomes(301, 0, 0))]), Scanner, Medium),
        (
            "a relay that takes mail as well",
            host(&[PortHosts { served: 40, ..port(TCP, 25, outcomes(600, 0, 0)) }]),
            Client,
            Low,
        ),
        ("a resolver", quick(host(&[port(UDP, 53, outcomes(900, 20, 80))])), Client, Low),
        ("SSH everywhere, with answers", host(&[port(TCP, 22, outcomes(301, 0, 0))]), Scanner, Medium),
        ("unseen, an odd port", host(&[port(TCP, 23, unseen(16))]), Scanner, Medium),
        ("unseen, the web", host(&[port(TCP, 443, unseen(60))]), Client, Low),
        ("unseen, the web in a hurry", quick(host(&[port(TCP, 443, unseen(200))])), Scanner, Medium),
        ("unseen, the web of a network", host(&[near(port(TCP, 443, unseen(60)))]), Scanner, Medium),
        ("unseen, peers", host(&[port(UDP, 6881, unseen(60))]), Peer, Low),
        (
            "too early to tell",
            ContactSample {
                answers_visible: false,
                ..host(&[port(TCP, 23, Outcomes { early: 60, ..Outcomes::default() })])
            },
            Client,
            Low,
        ),
        ("many ports as well", mixed(60, host(&[port(TCP, 22, outcomes(0, 0, 40))])), Scanner, High),
        (
            "answers a flood",
            ContactSample { contacted_by: 500, half_open: 480, ..host(&scattered(8, 10)) },
            Victim,
            Low,
        ),
        (
            "answers what nobody asked",
            ContactSample { unmatched_replies: 500, ..host(&scattered(8, 10)) },
            Backscatter,
            Low,
        ),
    ] {
        let evidence = evaluate_hosts(&sample, LIMIT);
        assert_eq!((evidence.role, evidence.confidence), (role, confidence), "{name}: {}", evidence.why);
        let class = match (role, sample.ports_at_one_host) {
            (Scanner, 1) => Some(ScanClass::Sweep),
            (Scanner, _) => Some(ScanClass::Mixed),
            _ => None,
        };
        assert_eq!(evidence.class, class, "{name}");
        assert_eq!((evidence.contacted, evidence.outcomes), (sample.contacted, sample.outcomes), "{name}");
    }
}

#[test]
fn a_host_that_contacts_many_ports_is_classified_by_the_outcomes() {
    use Confidence::{High, Low, Medium};
    use ScanRole::{Client, Peer, Scanner};
    let at = |ports_at_one_host: u32, answers_visible: bool, ports: &[PortHosts]| ContactSample {
        ports_at_one_host,
        answers_visible,
        packet_bytes: 44,
        ..host(ports)
    };
    let one = [port(TCP, 1, outcomes(1, 0, 0))];
    let ports = |outcomes: Outcomes, traceroute: u32| PortSample {
        contacted: outcomes.total() + traceroute,
        outcomes,
        traceroute,
        pace: Pace::default(),
    };
    for (name, sample, ports, want) in [
        ("nmap", at(266, true, &one), ports(outcomes(3, 900, 97), 0), (Scanner, High)),
        ("a few ports", at(14, true, &one), ports(outcomes(0, 16, 0), 0), (Scanner, High)),
        ("a server of many ports", at(60, true, &one), ports(outcomes(60, 0, 1), 0), (Client, Low)),
        ("unseen", at(40, false, &one), ports(unseen(40), 0), (Scanner, Medium)),
        (
            "unseen and too early",
            at(40, false, &one),
            ports(Outcomes { early: 40, ..Outcomes::default() }, 0),
            (Client, Low),
        ),
        ("peers", at(2, true, &scattered(30, 70)), ports(outcomes(30, 0, 70), 0), (Peer, Low)),
        ("the way to a host", at(80, true, &one), ports(outcomes(0, 0, 0), 90), (Client, Low)),
        ("the way, and a scan", at(266, true, &one), ports(outcomes(0, 100, 0), 90), (Scanner, High)),
        (
            "a flood of large packets",
            ContactSample { packet_bytes: 1400, ..at(266, true, &one) },
            ports(outcomes(0, 0, 900), 0),
            (Client, Low),
        ),
        (
            "telnet and more of many hosts",
            at(3, true, &[port(TCP, 23, outcomes(0, 0, 40))]),
            ports(outcomes(0, 0, 20), 0),
            (Scanner, High),
        ),
    ] {
        let evidence = evaluate_ports(&sample, &ports, LIMIT);
        assert_eq!((evidence.role, evidence.confidence), want, "{name}: {}", evidence.why);
        assert_eq!((evidence.contacted, evidence.outcomes), (ports.contacted, ports.outcomes), "{name}");
    }
    let vertical = evaluate_ports(&at(266, true, &one), &ports(outcomes(0, 900, 0), 0), LIMIT);
    assert_eq!(vertical.class, Some(ScanClass::Vertical));
}

/// A host without a pattern of scans is not a scanner, however many contacts it has.
#[test]
fn a_host_is_not_a_scanner_by_the_number_of_its_contacts_only() {
    for contacted in [16, 100, 100_000] {
        let sample = ContactSample { contacted, answers_visible: true, ..ContactSample::default() };
        let ports = PortSample { contacted, ..PortSample::default() };
        for evidence in [evaluate_hosts(&sample, LIMIT), evaluate_ports(&sample, &ports, LIMIT)] {
            assert_eq!((evidence.role, evidence.class), (ScanRole::Client, None));
        }
    }
}

#[test]
fn the_sentence_explains_the_class_and_contains_no_address() {
    let sweep = host(&[port(TCP, 23, outcomes(1, 4, 40))]);
    let busy = host(&[port(TCP, 443, outcomes(30, 0, 1)), port(UDP, 53, outcomes(2, 0, 0))]);
    let hidden = host(&[port(SCTP, 2905, unseen(20))]);
    for (sample, want) in [
        (&sweep, "contacted 45 hosts at TCP port 23, 44 in vain (4 refused, 40 silent) and 1 answered"),
        (&busy, "contacted 33 hosts, 32 of 33 answered, 31 of them at TCP port 443: many, as a busy client"),
        (
            &hidden,
            "contacted 20 hosts at SCTP port 2905, 1 of them in one network and 0.1 per second; answers not visible",
        ),
    ] {
        assert_eq!(evaluate_hosts(sample, LIMIT).why, want);
    }
}
