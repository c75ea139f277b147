//! Hosts that are, and that are not, scanners, by the outcomes of their contacts.

use std::time::Duration;

use super::service_port::{ICMP, SCTP, TCP, UDP};
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
    PortHosts { protocol, port, outcomes, served: 0, traced: 0, hosts_in_one_network: 1 }
}

fn pace(contacts: u32, seconds: u64) -> Pace {
    Pace { contacts, over: Duration::from_secs(seconds) }
}

/// Returns a host with a slow rate of contacts. Its answers are visible unless a contact has the outcome `unseen`.
fn host(ports: &[PortHosts]) -> ContactSample {
    let mut all = Outcomes::default();
    for port in ports {
        all.merge(port.outcomes);
    }
    ContactSample {
        contacted: all.total(),
        outcomes: all,
        answers_visible: all.unseen == 0,
        ports: ports.to_vec(),
        ports_at_one_host: 1,
        pace: pace(all.total().min(100), 170),
        span: Duration::from_secs(170),
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
    let expired = |expired: u32| Outcomes { expired, ..Outcomes::default() };
    let traced = |traced: u32, port: PortHosts| PortHosts { traced, ..port };
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
        ("pings that are answered", host(&[near(port(ICMP, 0, outcomes(50, 0, 0)))]), Client, Low),
        (
            "a network asked by pings, a third is down",
            host(&[near(port(ICMP, 0, outcomes(30, 0, 15)))]),
            Scanner,
            Medium,
        ),
        ("pings of many that are gone", host(&[port(ICMP, 0, outcomes(4, 0, 60))]), Scanner, High),
        ("a speed meter by ICMP", quick(host(&[port(ICMP, 0, outcomes(4, 0, 25))])), Client, Low),
        ("a speed meter by TCP", quick(host(&[port(TCP, 8080, outcomes(3, 6, 20))])), Client, Low),
        ("a speed meter by UDP", quick(host(&[port(UDP, 8080, outcomes(0, 0, 29))])), Client, Low),
        ("a speed meter without answers", quick(host(&[port(TCP, 443, outcomes(0, 0, 29))])), Client, Low),
        (
            "as many hosts at a guarded port",
            quick(host(&[port(TCP, 445, outcomes(3, 6, 20))])),
            Scanner,
            High,
        ),
        (
            "as many hosts of one network",
            quick(host(&[near(port(TCP, 8080, outcomes(3, 6, 20)))])),
            Scanner,
            High,
        ),
        ("more than any meter has", quick(host(&[port(TCP, 8080, outcomes(3, 0, 61))])), Scanner, High),
        (
            "exporters that all answer",
            quick(host(&[near(port(TCP, 9100, outcomes(1000, 0, 0)))])),
            Client,
            Low,
        ),
        (
            "exporters, one in five is down",
            quick(host(&[near(port(TCP, 9100, outcomes(800, 0, 200)))])),
            Client,
            Low,
        ),
        (
            "exporters, half are down",
            quick(host(&[near(port(TCP, 9100, outcomes(500, 0, 500)))])),
            Scanner,
            Medium,
        ),
        (
            "agents of SNMP that all answer",
            quick(host(&[near(port(UDP, 161, outcomes(400, 0, 0)))])),
            Client,
            Low,
        ),
        ("databases that all answer", host(&[near(port(TCP, 5432, outcomes(301, 0, 0)))]), Scanner, Medium),
        ("a traceroute to many", quick(host(&[traced(60, port(TCP, 80, expired(60)))])), Client, Low),
        (
            "traceroutes that arrived",
            quick(host(&[traced(60, near(port(ICMP, 0, outcomes(60, 0, 0))))])),
            Client,
            Low,
        ),
        (
            "a scan beside traceroutes",
            quick(host(&[traced(60, near(port(TCP, 23, Outcomes { silent: 40, ..expired(60) })))])),
            Scanner,
            High,
        ),
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
        answers_visible: false,
        pace: Pace::default(),
        span: Duration::from_secs(3),
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
        (
            "the way by high ports",
            at(266, true, &one),
            ports(Outcomes { expired: 400, ..outcomes(0, 12, 0) }, 40),
            (Client, Low),
        ),
        (
            "a scan, of which some expired",
            at(266, true, &one),
            ports(Outcomes { expired: 400, ..outcomes(0, 100, 0) }, 0),
            (Scanner, High),
        ),
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
    let pings = host(&[port(ICMP, 0, outcomes(0, 0, 80))]);
    let databases = host(&[port(TCP, 3306, outcomes(301, 0, 0))]);
    let victim = ContactSample { contacted_by: 500, half_open: 480, ..host(&scattered(1, 0)) };
    let backscatter = ContactSample { unmatched_replies: 1, ..host(&[]) };
    let path =
        host(&[PortHosts { traced: 20, ..port(UDP, 33_434, Outcomes { expired: 20, ..outcomes(0, 3, 0) }) }]);
    for (sample, want) in [
        (&sweep, "tried 45 hosts at TCP port 23 (Telnet) in 3 min: 1 answered, 4 refused, 40 unanswered"),
        (&busy, "contacted 33 hosts in 3 min, 31 of them at TCP port 443: 32 answered, 1 unanswered"),
        (
            &hidden,
            "tried 20 hosts at SCTP port 2905 in 3 min, 1 of them in one network; answers to it do not pass here",
        ),
        (&pings, "asked 80 hosts by ICMP in 3 min whether they are there: 0 answered, 80 unanswered"),
        (
            &databases,
            "connected to 301 hosts at TCP port 3306 (MySQL) in 3 min, more than 20 times the limit of 15, and does not \
             offer that service itself: 301 answered",
        ),
        (
            &victim,
            "answers 480 hosts that went no further, as the victim of a flood does, and contacted 1 host itself",
        ),
        (
            &backscatter,
            "answers 1 host that did not ask here: somebody forges their addresses, or it floods them with answers",
        ),
        (&path, "traced the path to 23 hosts in 3 min: 0 answered, 3 refused, 20 expired on the way"),
    ] {
        assert_eq!(evaluate_hosts(sample, LIMIT).why, want);
    }
    let scan = ContactSample { ports_at_one_host: 60, packet_bytes: 44, answers_visible: true, ..host(&[]) };
    let ports = PortSample {
        contacted: 60,
        outcomes: outcomes(2, 58, 0),
        span: Duration::from_millis(2100),
        ..PortSample::default()
    };
    let want = "tried about 60 ports at one host in 3 s; of all its ports 2 answered, 58 refused";
    assert_eq!(evaluate_ports(&scan, &ports, LIMIT).why, want);
}

/// A rate says nothing about the number of contacts, so only what the host did decides its class.
#[test]
fn a_host_with_a_high_rate_is_classified_as_one_with_many_contacts_is() {
    use Confidence::{High, Low};
    use ScanRole::{Backscatter, Client, Scanner, Victim};
    let ports = PortSample { contacted: 1000, outcomes: outcomes(3, 900, 97), ..PortSample::default() };
    let of_ports = ContactSample {
        ports_at_one_host: 266,
        packet_bytes: 44,
        ..host(&[port(TCP, 1, outcomes(1, 0, 0))])
    };
    for (name, sample, ports, want) in [
        (
            "a sweep",
            host(&[port(TCP, 23, outcomes(0, 0, 40))]),
            None,
            (Scanner, High, Some(ScanClass::Sweep)),
        ),
        ("a scan of ports", of_ports.clone(), Some(&ports), (Scanner, High, Some(ScanClass::Vertical))),
        ("ports are not analysed", of_ports, None, (Client, Low, None)),
        ("16 hosts are not many", host(&[port(TCP, 23, outcomes(0, 0, 16))]), None, (Client, Low, None)),
        ("a flood of one host", host(&[port(TCP, 80, outcomes(0, 0, 1))]), None, (Client, Low, None)),
        (
            "it answers a flood",
            ContactSample { contacted_by: 500, half_open: 480, ..host(&[]) },
            None,
            (Victim, Low, None),
        ),
        (
            "it answers what nobody asked",
            ContactSample { unmatched_replies: 1, ..host(&[]) },
            None,
            (Backscatter, Low, None),
        ),
    ] {
        let evidence = evaluate_rate(&sample, ports);
        assert_eq!((evidence.role, evidence.confidence, evidence.class), want, "{name}: {}", evidence.why);
    }
}
