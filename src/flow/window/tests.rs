//! The window against a model that keeps every packet and sums up the live ones.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use crate::flow::container::slot_ring::SLOTS_LIVE;
use crate::flow::{InterfaceDirection, Metric, PerMetric};
use crate::packet::{Endpoints, Summary, TcpFlags, Transport};
use crate::time::UnixNanos;

use super::*;

mod answers;
mod eviction;
mod floods;

const SECOND: u64 = 1_000_000_000;

fn options(interval_s: u64, port_interval_s: Option<u64>) -> Options {
    Options {
        traffic_interval: Duration::from_secs(interval_s),
        port_interval: port_interval_s.map(Duration::from_secs),
        chart_bytes_min: 1000,
        group_ipv6: None,
        memory_bytes_max: 64 << 20,
    }
}

/// A window with the deltas of two workers.
struct Bench {
    window: Window,
    deltas: [Delta; 2],
}

impl Bench {
    fn new(options: &Options) -> Self {
        let limits = Capacity::from_memory(64 << 20, 2, options.port_interval.is_some()).expect("enough");
        Self::with_limits(options, &limits)
    }

    fn with_limits(options: &Options, limits: &Capacity) -> Self {
        Self::with_seed(options, limits, &Seed::default())
    }

    /// Two benches with one seed choose the same bits for the same ports.
    fn seeded(seed: &Seed) -> Self {
        let limits = Capacity::from_memory(64 << 20, 2, true).expect("enough");
        Self::with_seed(&options(10, Some(20)), &limits, seed)
    }

    fn with_seed(options: &Options, limits: &Capacity, seed: &Seed) -> Self {
        let deltas = [Delta::new(limits.delta, seed.clone()), Delta::new(limits.delta, seed.clone())];
        Self { window: Window::new(options, limits, seed.clone()), deltas }
    }

    /// The hosts of the chart with their bytes, and the number of hosts without room.
    fn listed(&mut self, hosts_max: usize) -> (Vec<(IpAddr, u64)>, usize) {
        let mut listing = Listing::new(ListingRoom { hosts_max, bytes_max: u64::MAX }, false);
        while !self.window.list_part(&mut listing) {}
        let (chart, omitted) = listing.take();
        (chart.iter().map(|row| (row.addr, row.ip_bytes)).collect(), omitted)
    }

    /// Both workers hand over at `seconds`, and everything before that is settled.
    fn tick(&mut self, nanos: u64) {
        for delta in &mut self.deltas {
            delta.handed_over_at = Moment(nanos);
            self.window.fold(delta);
            delta.clear();
        }
        self.window.roll(Moment(nanos));
        self.window.decide(Moment(nanos));
    }

    fn counts(&self, host: u8) -> (u64, u32, u32) {
        let row = self.window.host(&addr(host));
        row.map_or((0, 0, 0), |row| (row.ip_bytes, row.contacted_hosts, row.contacted_ports))
    }
}

fn addr(host: u8) -> IpAddr {
    [10, 0, 0, host].into()
}

fn packet(src: u8, dst: u8, ip_bytes: u32, protocol: u8, transport: Transport) -> Summary {
    let endpoints = Endpoints::new(addr(src), addr(dst)).expect("one family");
    Summary::plain(endpoints, ip_bytes, protocol, transport)
}

fn tcp(src: u8, dst: u8, dst_port: u16, flags: u8) -> Summary {
    packet(src, dst, 40, 6, Transport::Tcp { src_port: 40_000, dst_port, flags: Some(TcpFlags(flags)) })
}

fn udp(src: u8, src_port: u16, dst: u8, dst_port: u16) -> Summary {
    packet(src, dst, 100, 17, Transport::Ports { src_port, dst_port })
}

proptest! {
    /// Bytes, packets and contacts of every host, in the chart or not, equal the sums over the packets of the live
    /// slots, at every tick and over gaps of any length.
    #[test]
    fn equals_a_model_that_keeps_everything(
        ticks in prop::collection::vec(
            (
                // Some gaps are so long that the stored bits of an old slot number equal those of the current slot.
                prop_oneof![9 => 0u64..40, 1 => 4 * 254..4 * 258_u64],
                prop::collection::vec((0u8..4, 0u8..4, 1u32..2000, any::<bool>(), 0usize..2), 0..6),
            ),
            1..60,
        )
    ) {
        let mut bench = Bench::new(&options(10, None));
        let mut seen: Vec<(u64, u8, u8, u32, bool)> = Vec::new();
        let mut now = 100 * SECOND;
        for (quarters, packets) in ticks {
            now += quarters * SECOND / 4;
            for (src, dst, bytes, is_syn, worker) in packets {
                let flags = if is_syn { TcpFlags::SYN } else { TcpFlags::ACK };
                let transport = Transport::Tcp { src_port: 9, dst_port: 80, flags: Some(TcpFlags(flags)) };
                let packet = packet(src, dst, bytes, 6, transport);
                bench.deltas[worker].count(InterfaceDirection::default(), &packet, UnixNanos(now));
                seen.push((now / SECOND, src, dst, bytes, is_syn));
            }
            bench.tick(now);

            let live = |slot: u64| slot + SLOTS_LIVE as u64 > now / SECOND;
            seen.retain(|&(slot, ..)| live(slot));
            let mut bytes: BTreeMap<u8, u64> = BTreeMap::new();
            let mut contacts: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
            for &(_, src, dst, size, is_syn) in &seen {
                *bytes.entry(src).or_default() += u64::from(size);
                if is_syn {
                    contacts.entry(src).or_default().insert(dst);
                }
            }
            for host in 0..4 {
                let want = (
                    bytes.get(&host).copied().unwrap_or(0),
                    contacts.get(&host).map_or(0, |dsts| dsts.len() as u32),
                    0,
                );
                prop_assert_eq!(bench.counts(host), want, "host {} at {}", host, now);
            }
            let (charted, omitted) = bench.listed(3);
            let mut want: Vec<(IpAddr, u64)> =
                bytes.iter().filter(|&(_, &sum)| sum >= 1000).map(|(&host, &sum)| (addr(host), sum)).collect();
            want.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            prop_assert_eq!(omitted, want.len().saturating_sub(3));
            want.truncate(3);
            prop_assert_eq!(charted, want);
            let pairs: BTreeSet<(u8, u8)> = seen.iter().map(|&(_, src, dst, ..)| (src, dst)).collect();
            prop_assert_eq!(bench.window.sizes().1, pairs.len(), "rows live as long as their items");
        }
        bench.tick(now + 100 * SECOND);
        bench.window.take_dirty(&mut Vec::new(), |_| true);
        prop_assert_eq!(bench.window.sizes(), (0, 0));
    }
}

#[test]
fn a_burst_across_slot_boundaries_is_seen_whole() {
    let mut bench = Bench::new(&options(10, None));
    let mut dirty = Vec::new();
    // Nine seconds of a window of ten: whatever the phase, all of it is live at its end.
    for phase in 0..4 {
        let start = (1000 + phase * 100) * SECOND + phase * SECOND / 4;
        for quarter in 0..=36 {
            bench.deltas[0].count(InterfaceDirection::default(), &tcp(1, 2, 80, TcpFlags::ACK), UnixNanos(0));
            bench.tick(start + quarter * SECOND / 4);
        }
        assert_eq!(bench.counts(1).0, 37 * 40, "phase {phase}");
        bench.window.take_dirty(&mut dirty, |_| true);
        assert!(dirty.iter().any(|row| row.addr == addr(1) && row.counts[Metric::IpBytes] == 37 * 40));
        dirty.clear();
    }
}

proptest! {
    /// A host that did something and is over a rate then is dirty; a host that stays below both rates is not.
    #[test]
    fn the_dirty_are_those_over_a_rate(
        ticks in prop::collection::vec((0u64..6, prop::collection::vec((0u8..4, 0u8..40, 1usize..9), 0..12)), 1..40)
    ) {
        let mut bench = Bench::new(&options(10, None));
        let limits =
            PerMetric::default().with(Metric::PacketsPerS, Some(20)).with(Metric::ContactsPerS, Some(5));
        bench.window.watch(&limits);
        let mut now = 100 * SECOND;
        let mut dirty = Vec::new();
        for (quarters, packets) in ticks {
            now += quarters * SECOND / 4;
            let mut active = BTreeSet::new();
            for (src, dst, count) in packets {
                for _ in 0..count {
                    let syn = tcp(src, 100 + dst, 80, TcpFlags::SYN);
                    bench.deltas[0].count(InterfaceDirection::default(), &syn, UnixNanos(now));
                }
                active.insert(src);
            }
            bench.tick(now);
            dirty.clear();
            bench.window.take_dirty(&mut dirty, |_| true);
            let is_over = |src: u8| {
                let host = bench.window.counts(&addr(src)).expect("it sent something just now");
                host.counts[Metric::PacketsPerS] > 20 || host.counts[Metric::ContactsPerS] > 5
            };
            let over = active.iter().filter(|&&src| is_over(src));
            // In one tick a quarter the counts are those of a second, so that both sets are the same.
            let over: BTreeSet<IpAddr> = over.map(|&src| addr(src)).collect();
            let dirty: BTreeSet<IpAddr> = dirty.iter().map(|row| row.addr).collect();
            prop_assert_eq!(dirty, over, "at {}", now);
        }
    }
}

#[test]
fn the_first_sender_is_the_initiator_across_workers() {
    let mut bench = Bench::new(&options(10, Some(20)));
    bench.tick(1000 * SECOND);
    // 60 clients contact one server; the answers are folded first, by the other worker.
    for client in 1..=60 {
        let asked = UnixNanos(5000 + u64::from(client) * 10);
        bench.deltas[1].count(
            InterfaceDirection::default(),
            &udp(client, 5000 + u16::from(client), 200, 53),
            asked,
        );
        bench.deltas[0].count(
            InterfaceDirection::default(),
            &udp(200, 53, client, 5000 + u16::from(client)),
            UnixNanos(asked.0 + 5),
        );
    }
    bench.tick(1001 * SECOND);
    assert_eq!(bench.counts(200), (6000, 0, 0), "the server contacted no host");
    for client in 1..=60 {
        assert_eq!(bench.counts(client), (100, 1, 1), "client {client}");
    }
    // The roles last: further requests from other ports, and their answers, are no new contacts.
    for client in 1..=60 {
        bench.deltas[0].count(InterfaceDirection::default(), &udp(200, 53, client, 7000), UnixNanos(9000));
        bench.deltas[1].count(InterfaceDirection::default(), &udp(client, 7000, 200, 53), UnixNanos(9001));
    }
    bench.tick(1008 * SECOND);
    assert_eq!(bench.counts(200), (12_000, 0, 0));
    assert_eq!(bench.counts(1), (200, 1, 1));
}

#[test]
fn an_answer_without_its_request_is_no_contact() {
    let mut bench = Bench::new(&options(10, Some(20)));
    bench.tick(1000 * SECOND);
    bench.deltas[0].count(InterfaceDirection::default(), &udp(1, 5000, 200, 53), UnixNanos(10));
    bench.tick(1001 * SECOND);
    for client in 2..=40 {
        bench.deltas[0].count(InterfaceDirection::default(), &udp(200, 53, client, 6000), UnixNanos(20));
    }
    bench.tick(1002 * SECOND);
    assert_eq!(bench.counts(200), (3900, 0, 0), "port 53 of it is a known service");
}

#[test]
fn a_scan_of_ports_counts_and_its_answers_do_not() {
    let mut bench = Bench::new(&options(10, Some(20)));
    bench.tick(1000 * SECOND);
    for port in 1..=300 {
        bench.deltas[0].count(
            InterfaceDirection::default(),
            &udp(1, 40_000, 2, port),
            UnixNanos(u64::from(port) * 10),
        );
        bench.deltas[0].count(
            InterfaceDirection::default(),
            &udp(2, port, 1, 40_000),
            UnixNanos(u64::from(port) * 10 + 5),
        );
        bench.deltas[1].count(InterfaceDirection::default(), &tcp(3, 2, port, TcpFlags::SYN), UnixNanos(1));
        bench.deltas[1].count(
            InterfaceDirection::default(),
            &tcp(2, 3, port, TcpFlags::RST | TcpFlags::ACK),
            UnixNanos(2),
        );
    }
    bench.tick(1001 * SECOND);
    assert_eq!((bench.counts(1), bench.counts(3)), ((30_000, 1, 300), (12_000, 1, 300)));
    assert_eq!((bench.counts(2).1, bench.counts(2).2), (0, 0));
    assert_eq!(bench.window.ports_of(&addr(3)), (1..=300).collect::<Vec<u16>>());
    // Ports stay in their own, longer window; the bytes have expired by then.
    bench.tick(1012 * SECOND);
    assert_eq!(bench.counts(3), (0, 0, 300));
    bench.tick(1021 * SECOND);
    assert_eq!(bench.counts(3), (0, 0, 0));
}

#[test]
fn evidence_behind_nat_is_no_contact_of_the_gateway() {
    let mut bench = Bench::new(&options(10, Some(20)));
    bench.tick(1000 * SECOND);
    let (client, public, resolver) = (1, 100, 200);
    for n in 0..300u16 {
        let at = u64::from(n) * 100;
        let delta = &mut bench.deltas[usize::from(n % 2)];
        delta.count(InterfaceDirection::default(), &udp(client, 10_000 + n, resolver, 53), UnixNanos(at));
        delta.note_evidence(
            InterfaceDirection::default(),
            &udp(public, 20_000 + n, resolver, 53),
            UnixNanos(at + 1),
        );
        delta.count(InterfaceDirection::default(), &udp(resolver, 53, public, 20_000 + n), UnixNanos(at + 2));
        delta.note_evidence(
            InterfaceDirection::default(),
            &udp(resolver, 53, client, 10_000 + n),
            UnixNanos(at + 3),
        );
    }
    bench.tick(1001 * SECOND);
    assert_eq!(bench.counts(client), (30_000, 1, 1));
    assert_eq!(bench.counts(resolver), (30_000, 0, 0));
    assert_eq!(bench.counts(public), (0, 0, 0));
}

#[test]
fn an_exchange_that_began_before_the_start_is_no_contact() {
    let mut bench = Bench::new(&options(10, Some(20)));
    bench.window.begin(Moment(1000 * SECOND));
    for client in 1..=40 {
        // The first packet seen of a long exchange is an answer; of a tunnel, it may be from either side.
        bench.deltas[0].count(InterfaceDirection::default(), &udp(200, 53, client, 6000), UnixNanos(20));
        bench.deltas[0].count(
            InterfaceDirection::default(),
            &packet(201, client, 50, 47, Transport::Other),
            UnixNanos(20),
        );
    }
    bench.tick(1001 * SECOND);
    assert_eq!((bench.counts(200).1, bench.counts(201).1), (0, 0));
    assert_eq!(bench.window.accounting().undecided_exchanges, 40, "the tunnels");
}

#[test]
fn a_contact_that_is_decided_late_belongs_to_the_slot_of_its_first_packet() {
    let mut bench = Bench::new(&options(10, None));
    bench.tick(1000 * SECOND);
    bench.deltas[0].count(InterfaceDirection::default(), &udp(1, 5000, 2, 53), UnixNanos(10));
    bench.deltas[0].handed_over_at = Moment(1001 * SECOND);
    bench.window.fold(&bench.deltas[0]);
    bench.deltas[0].clear();
    assert_eq!(bench.counts(1).1, 0, "not yet decided");
    assert!(bench.window.is_waiting());
    bench.tick(1003 * SECOND);
    assert_eq!(bench.counts(1).1, 1);
    bench.tick(1010 * SECOND + SECOND / 2);
    assert_eq!(bench.counts(1).1, 1);
    bench.tick(1011 * SECOND);
    assert_eq!(bench.counts(1), (0, 0, 0), "it left with its slot");
}

#[test]
fn an_exchange_whose_rows_were_freed_is_undecided() {
    let mut bench = Bench::new(&options(10, Some(20)));
    bench.tick(1000 * SECOND);
    for (seconds, packet) in [(1001, udp(1, 5000, 2, 7000)), (1006, udp(2, 7000, 1, 5000))] {
        bench.deltas[0].count(InterfaceDirection::default(), &packet, UnixNanos(seconds));
        bench.deltas[0].handed_over_at = Moment(seconds * SECOND);
        bench.window.fold(&bench.deltas[0]);
        bench.deltas[0].clear();
    }
    // A worker stalled for a whole window: the request has expired, the answer and its port are still pending.
    bench.tick(1011 * SECOND + SECOND / 2);
    assert!(!bench.window.is_waiting());
    assert_eq!((bench.counts(1), bench.counts(2)), ((0, 0, 0), (100, 0, 0)));
    assert_eq!(bench.window.accounting().undecided_exchanges, 1);
    bench.deltas[0].count(InterfaceDirection::default(), &udp(2, 7000, 1, 5000), UnixNanos(1012));
    bench.tick(1012 * SECOND);
    assert_eq!(bench.counts(2), (200, 0, 0));
}

#[test]
fn full_tables_spill_and_the_totals_are_exact() {
    let mut limits = Capacity::from_memory(64 << 20, 2, false).expect("enough");
    limits.pairs_max = 5;
    limits.hosts_max = 4;
    let mut bench = Bench::with_limits(&options(10, None), &limits);
    for dst in 0..20 {
        bench.deltas[0].count(InterfaceDirection::default(), &tcp(100, dst, 80, TcpFlags::SYN), UnixNanos(1));
    }
    bench.tick(1000 * SECOND);
    let accounting = bench.window.accounting();
    assert_eq!((accounting.ip_packets, accounting.spilled_packets), (20, 17));
    assert_eq!(accounting.spilled_bytes, 17 * 40);
    assert_eq!(bench.counts(100), (3 * 40, 3, 0));
    bench.tick(2000 * SECOND);
    bench.window.take_dirty(&mut Vec::new(), |_| true);
    assert_eq!(bench.window.sizes(), (0, 0), "a full table becomes empty again");
}

#[test]
fn the_chart_follows_a_changed_threshold() {
    let mut bench = Bench::new(&options(10, None));
    for (src, bytes) in [(1, 500), (2, 1500), (3, 2500)] {
        bench.deltas[0].count(
            InterfaceDirection::default(),
            &packet(src, 9, bytes, 6, Transport::Other),
            UnixNanos(1),
        );
    }
    bench.tick(100 * SECOND);
    let charted = |bench: &mut Bench| bench.listed(9).0.len();
    assert_eq!(charted(&mut bench), 2);
    for (bytes, hosts) in [(2000, 1), (0, 3), (501, 2), (5000, 0), (500, 3)] {
        bench.window.chart_from(bytes);
        assert_eq!(charted(&mut bench), hosts, "{bytes}");
    }
    bench.tick(200 * SECOND);
    assert_eq!(charted(&mut bench), 0);
}

#[test]
fn more_than_an_item_holds_goes_into_another() {
    let mut bench = Bench::new(&options(10, None));
    let endpoints = Endpoints::new(addr(1), addr(2)).expect("one family");
    let sought = Sought::new(bench.window.seed.pair(&endpoints), &endpoints);
    let pair = bench.window.pairs.insert(&sought, &mut bench.window.hosts, addr(1));
    let pair = pair.expect("room");
    for _ in 0..3 {
        bench.window.add(pair, u64::from(u32::MAX), 1 << 40);
        bench.window.contact(pair, bench.window.items.current(), Moment(0));
    }
    let row = bench.window.pairs.get(pair);
    assert_eq!((row.packets(), row.contacts_live()), (3 * u64::from(u32::MAX), 1));
    assert_eq!(bench.counts(1), (3 << 40, 1, 0));
    bench.tick(1000 * SECOND);
    bench.window.take_dirty(&mut Vec::new(), |_| true);
    assert_eq!(bench.window.sizes(), (0, 0));
}

proptest! {
    /// Received bytes of every host equal the sums over the live slots, at every tick and over gaps of any length.
    #[test]
    fn received_bytes_equal_a_model(
        ticks in prop::collection::vec(
            (0u64..40, prop::collection::vec((0u8..4, 0u8..4, 1u32..2000, 0usize..2), 0..6)),
            1..60,
        )
    ) {
        let mut bench = Bench::new(&options(10, None));
        let mut seen: Vec<(u64, u8, u32)> = Vec::new();
        let mut now = 100 * SECOND;
        for (quarters, packets) in ticks {
            now += quarters * SECOND / 4;
            for (src, dst, bytes, worker) in packets {
                bench.deltas[worker].receive(&packet(src, dst, bytes, 6, Transport::Other));
                seen.push((now / SECOND, dst, bytes));
            }
            bench.tick(now);
            seen.retain(|&(slot, ..)| slot + SLOTS_LIVE as u64 > now / SECOND);
            for host in 0..4 {
                let want: u64 = seen.iter().filter(|seen| seen.1 == host).map(|seen| u64::from(seen.2)).sum();
                let counted = bench.window.counts(&addr(host)).map_or(0, |host| host.counts[Metric::ReceivedBytes]);
                prop_assert_eq!(counted, want, "host {} at {}", host, now);
            }
        }
        bench.tick(now + 100 * SECOND);
        bench.window.take_dirty(&mut Vec::new(), |_| true);
        prop_assert_eq!(bench.window.sizes(), (0, 0), "nothing is left of what has passed");
    }

    /// A group is one host: the sum of what its members sent, and the distinct hosts that they contacted.
    #[test]
    fn a_group_equals_a_model_of_one_host(
        ticks in prop::collection::vec(
            (0u64..40, prop::collection::vec((0u8..3, 0u8..3, 0u8..3, 1u32..2000, any::<bool>()), 0..6)),
            1..60,
        )
    ) {
        let grouped = Options { group_ipv6: Some(64), ..options(10, None) };
        let mut bench = Bench::new(&grouped);
        let member = |network: u8, host: u8| {
            std::net::Ipv6Addr::from([0x2001, 0xdb8, 0, u16::from(network), 0, 0, 0, u16::from(host)])
        };
        let mut seen: Vec<(u64, u8, u8, u32, bool)> = Vec::new();
        let mut now = 100 * SECOND;
        for (quarters, packets) in ticks {
            now += quarters * SECOND / 4;
            for (network, host, dst, bytes, is_syn) in packets {
                let flags = if is_syn { TcpFlags::SYN } else { TcpFlags::ACK };
                let endpoints = Endpoints::V6 { src: member(network, host), dst: member(9, dst) };
                let transport = Transport::Tcp { src_port: 9, dst_port: 80, flags: Some(TcpFlags(flags)) };
                let sent = Summary::plain(endpoints, bytes, 6, transport);
                bench.deltas[0].count(InterfaceDirection::default(), &sent, UnixNanos(now));
                seen.push((now / SECOND, network, dst, bytes, is_syn));
            }
            bench.tick(now);
            seen.retain(|&(slot, ..)| slot + SLOTS_LIVE as u64 > now / SECOND);
            for network in 0..3 {
                let live = || seen.iter().filter(|seen| seen.1 == network);
                let bytes: u64 = live().map(|seen| u64::from(seen.3)).sum();
                let contacts: BTreeSet<u8> = live().filter(|seen| seen.4).map(|seen| seen.2).collect();
                let row = bench.window.host(&member(network, 0).into());
                let counted = row.as_ref().map_or((0, 0), |row| (row.ip_bytes, row.contacted_hosts as usize));
                prop_assert_eq!(counted, (bytes, contacts.len()), "network {} at {}", network, now);
                let listed: Vec<IpAddr> = row.map_or_else(Vec::new, |row| {
                    row.destinations.iter().map(|peer| peer.addr).collect()
                });
                let sent_to: BTreeSet<u8> = live().map(|seen| seen.2).collect();
                prop_assert_eq!(listed.len(), sent_to.len(), "each destination once");
            }
        }
        bench.tick(now + 100 * SECOND);
        bench.window.take_dirty(&mut Vec::new(), |_| true);
        prop_assert_eq!(bench.window.sizes(), (0, 0), "nothing is left of what has passed");
    }
}
