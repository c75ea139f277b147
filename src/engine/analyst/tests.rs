//! Windows, detectors and ledger together, under a clock of the test: a limit holds wherever a burst falls.

use proptest::prelude::*;

use crate::alert;
use crate::flow::Crossing;
use crate::packet::{Endpoints, Summary, TcpFlags, Transport};

use super::*;

const SECOND: u64 = 1_000_000_000;
const INTERVAL_S: u64 = 10;
const INTERVAL: u64 = INTERVAL_S * SECOND;
const SLOT: u64 = INTERVAL / 10;
const BYTES_MAX: u64 = 10_000;
/// When the analyst looks although nothing was handed over.
const LOOK: u64 = SECOND / 2;

fn rules() -> Rules {
    Rules {
        flow: flow::Options {
            traffic_interval: Duration::from_nanos(INTERVAL),
            port_interval: None,
            chart_bytes_min: 0,
            group_ipv6: None,
            memory_bytes_max: 64 << 20,
        },
        detect: detect::Limits {
            hosts: detect::HostLimits {
                ip_bytes_max: Some(BYTES_MAX),
                contacted_hosts_max: Some(5),
                ..detect::HostLimits::default()
            },
            ..detect::Limits::default()
        },
        alert: alert::Options { hide_destinations: false, cooldown: Duration::ZERO },
    }
}

/// An analyst with the delta of one worker, and what it has said.
struct Bench {
    analyst: Analyst,
    delta: Delta,
    said: Vec<Notice>,
}

impl Bench {
    fn new(rules: &Rules) -> Self {
        let limits = rules.limits(1).expect("enough memory");
        let seed = Seed::default();
        let mut analyst = Analyst::new(rules, &limits, seed.clone());
        analyst.begin(Moment(0));
        Self { analyst, delta: Delta::new(limits.delta, seed), said: Vec::new() }
    }

    /// The host of this number sends a packet to another.
    fn send(&mut self, src: u8, dst: u8, ip_bytes: u32, flags: u8) {
        let endpoints = Endpoints::V4 { src: [10, 0, 0, src].into(), dst: [10, 0, 1, dst].into() };
        let transport = Transport::Tcp { src_port: 40_000, dst_port: 80, flags: Some(TcpFlags(flags)) };
        let packet = Summary::plain(endpoints, ip_bytes, 6, transport);
        self.delta.count(Crossing::default(), &packet, UnixNanos(0));
    }

    /// The worker hands over and the analyst turns.
    fn turn(&mut self, at: u64) {
        self.delta.handed_over_at = Moment(at);
        self.analyst.fold(&self.delta);
        self.delta.clear();
        self.look(at);
    }

    fn look(&mut self, at: u64) {
        self.analyst.judge(Moment(at), UnixNanos(at), Moment(at), &mut self.said);
    }

    fn opened(&self) -> Vec<(detect::FindingKind, u64)> {
        let opened = |notice: &Notice| match notice {
            Notice::Opened(alert) => Some((alert.kind, alert.life.last)),
            _ => None,
        };
        self.said.iter().filter_map(opened).collect()
    }
}

/// The largest limit is exceeded by one packet or contact more, wherever within a second it falls.
#[test]
fn rates_are_judged_over_a_second() {
    for (is_contact, kind) in
        [(false, detect::FindingKind::PacketRate), (true, detect::FindingKind::ContactRate)]
    {
        for first in (0..250).step_by(10) {
            for extra in [0, 1] {
                let mut rules = rules();
                rules.detect.hosts = detect::HostLimits {
                    packets_per_s_max: (!is_contact).then_some(90),
                    contacts_per_s_max: is_contact.then_some(90),
                    ..detect::HostLimits::default()
                };
                let mut bench = Bench::new(&rules);
                let mut at = 10 * SECOND + first * SECOND / 1000;
                for (part, packets) in [30, 30 + extra, 30].into_iter().enumerate() {
                    for n in 0..packets {
                        let flags = if is_contact { TcpFlags::SYN } else { TcpFlags::ACK };
                        // Again contacting the first host is nothing new.
                        bench.send(1, part as u8 * 40 + n, 40, flags);
                        if is_contact {
                            bench.send(1, 0, 40, flags);
                        }
                    }
                    bench.turn(at);
                    at += SECOND / 4;
                }
                let expected: &[_] = if extra == 1 { &[(kind, 91)] } else { &[] };
                assert_eq!(bench.opened(), expected, "{kind:?} {first}");
            }
        }
    }
}

/// Cuts `total` into parts at the given shares, none of them larger than a packet's length allows.
fn parts(total: u64, cuts: &[u64]) -> Vec<u32> {
    let mut ends: Vec<u64> = cuts.iter().map(|cut| cut % (total + 1)).collect();
    ends.extend([0, total]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| u32::try_from(pair[1] - pair[0]).expect("less than the total")).collect()
}

proptest! {
    /// A burst of one byte more than the limit alerts, however it lies across the ends of slots; one of the limit
    /// does not, although the host sent as much before the window.
    #[test]
    fn a_burst_alerts_by_its_last_byte_wherever_it_falls(
        begins in 0..3 * INTERVAL,
        span in 0..INTERVAL - SLOT,
        cuts in prop::collection::vec(any::<u64>(), 0..12),
        is_over in any::<bool>(),
    ) {
        let mut bench = Bench::new(&rules());
        let first = begins + SECOND;
        bench.send(1, 1, BYTES_MAX as u32, TcpFlags::ACK);
        bench.turn(first);
        // A window and a slot later nothing of that is left.
        let begins = first + INTERVAL + SLOT;
        let parts = parts(BYTES_MAX + u64::from(is_over), &cuts);
        let gap = span / parts.len() as u64;
        let mut at = begins;
        for part in parts {
            bench.send(1, 2, part, TcpFlags::ACK);
            bench.turn(at);
            bench.look(at + gap / 2);
            at += gap;
        }
        for look in 0..3 * INTERVAL / LOOK {
            bench.look(at + look * LOOK);
        }
        let expected: &[_] = if is_over { &[(detect::FindingKind::Traffic, BYTES_MAX + 1)] } else { &[] };
        prop_assert_eq!(bench.opened(), expected);
        prop_assert_eq!(bench.said.len(), 2 * expected.len(), "what opened has closed: {:?}", bench.said);
        prop_assert!(bench.analyst.ledger().open().next().is_none());
    }

    /// The same of hosts contacted: one more than the limit, each at any time, and some of them twice.
    #[test]
    fn a_scan_alerts_by_its_last_host_wherever_it_falls(
        begins in 0..3 * INTERVAL,
        mut times in prop::collection::vec(0..INTERVAL - SLOT, 12),
        targets in Just((0..6u8).chain(0..6).collect::<Vec<_>>()).prop_shuffle(),
        is_over in any::<bool>(),
    ) {
        let mut bench = Bench::new(&rules());
        times.sort_unstable();
        let allowed = if is_over { 6 } else { 5 };
        for (time, target) in times.iter().zip(targets).filter(|(_, target)| *target < allowed) {
            bench.send(1, target, 40, TcpFlags::SYN);
            bench.turn(SECOND + begins + time);
        }
        let expected: &[_] = if is_over { &[(detect::FindingKind::Scanning, 6)] } else { &[] };
        prop_assert_eq!(bench.opened(), expected);
    }
}
