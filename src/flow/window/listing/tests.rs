//! Lists that are made in parts while the window changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use crate::flow::{Capacity, Delta, InterfaceDirection, Options, Seed};
use crate::packet::{Endpoints, Summary, Transport};
use crate::time::{Moment, UnixNanos};

use super::*;

const SECOND: u64 = 1_000_000_000;

struct Bench {
    window: Window,
    delta: Delta,
}

impl Bench {
    /// A window of ten seconds.
    fn new(group_ipv6: Option<u8>) -> Self {
        let options = Options {
            traffic_interval: Duration::from_secs(10),
            port_interval: None,
            chart_bytes_min: 1,
            group_ipv6,
            memory_bytes_max: 64 << 20,
        };
        let limits = Capacity::from_memory(64 << 20, 1, false).expect("enough");
        let seed = Seed::default();
        Self { window: Window::new(&options, &limits, seed.clone()), delta: Delta::new(limits.delta, seed) }
    }

    fn send(&mut self, endpoints: Endpoints, ip_bytes: u32) {
        let packet = Summary::plain(endpoints, ip_bytes, 47, Transport::Other);
        self.delta.count(InterfaceDirection::default(), &packet, UnixNanos(1));
    }

    fn fold(&mut self, at_s: u64) {
        self.delta.handed_over_at = Moment(at_s * SECOND);
        self.window.fold(&self.delta);
        self.window.take_dirty(&mut Vec::new(), |_| true);
        self.delta.clear();
    }
}

fn v4(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(n).into()
}

fn to(src: u32, dst: u32) -> Endpoints {
    Endpoints::V4 { src: Ipv4Addr::from_bits(src), dst: Ipv4Addr::from_bits(dst) }
}

fn listing(hosts_max: usize, part_rows: usize) -> Listing {
    let room = ListingRoom { hosts_max, bytes_max: u64::MAX };
    Listing { part_rows, ..Listing::new(room, false) }
}

fn rows(listing: &mut Listing) -> Vec<HostRow> {
    listing.take().0.iter().map(|row| row.with(row.destinations.to_vec())).collect()
}

proptest! {
    /// Whatever changes between the parts, no host is listed twice or with the traffic of another, the order is by the
    /// bytes shown, and every host that stayed in the window is in the list.
    #[test]
    fn a_list_made_in_parts_is_a_list(
        part_rows in 1usize..9,
        ticks in prop::collection::vec(
            (
                prop_oneof![9 => 0u64..2, 1 => 0u64..13],
                prop::collection::vec((0u32..6, 0u32..8, 1u32..2000), 0..9),
            ),
            1..30,
        ),
    ) {
        let mut bench = Bench::new(None);
        let mut sent: BTreeSet<(IpAddr, IpAddr)> = BTreeSet::new();
        let mut at_s = 1000;
        // One host that sends much and is always there.
        let steady = 77;
        let mut tick = |bench: &mut Bench, (seconds, packets): (u64, Vec<(u32, u32, u32)>)| {
            at_s += seconds;
            for n in 0..20 {
                bench.send(to(steady, 100 + n), 5000 + n);
                sent.insert((v4(steady), v4(100 + n)));
            }
            for (src, dst, bytes) in packets {
                bench.send(to(src, dst), bytes);
                sent.insert((v4(src), v4(dst)));
            }
            bench.fold(at_s);
        };
        let mut listing = listing(4, part_rows);
        let never_left = ticks.iter().all(|&(seconds, _)| seconds < 9);
        let mut ticks = ticks.into_iter();
        tick(&mut bench, (0, vec![(1, 2, 3)]));
        loop {
            if let Some(next) = ticks.next() {
                tick(&mut bench, next);
            }
            if bench.window.list_part(&mut listing) {
                break;
            }
        }
        let rows = rows(&mut listing);
        prop_assert!(rows.len() <= 4);
        let addrs: BTreeSet<IpAddr> = rows.iter().map(|row| row.addr).collect();
        prop_assert_eq!(addrs.len(), rows.len(), "a host is listed once");
        prop_assert!(addrs.contains(&v4(steady)) || !never_left);
        prop_assert!(rows.is_sorted_by_key(|row| (Reverse(row.ip_bytes), row.addr)));
        for row in &rows {
            for peer in &row.destinations {
                prop_assert!(sent.contains(&(row.addr, peer.addr)), "{} never sent to {}", row.addr, peer.addr);
            }
            let peers: BTreeSet<IpAddr> = row.destinations.iter().map(|peer| peer.addr).collect();
            prop_assert_eq!(peers.len(), row.destinations.len(), "no destination twice");
            prop_assert!(row.destinations.is_sorted_by_key(|peer| (Reverse(peer.ip_bytes), peer.addr)));
        }
        // If nothing happens between the parts, the list has what the window has of each host, and so do the rows of
        // `asked`.
        listing.begin([v4(steady)].into_iter());
        while !bench.window.list_part(&mut listing) {}
        for row in self::rows(&mut listing) {
            prop_assert_eq!(Some(row.clone()), bench.window.host(&row.addr));
            prop_assert_eq!(listing.take_row(&row.addr), (row.addr == v4(steady)).then(|| row.clone()));
            prop_assert_eq!(row.ip_bytes, row.destinations.iter().map(|peer| peer.ip_bytes).sum::<u64>());
            let mut alone = HostListing::new(row.addr, false);
            while !bench.window.list_host(&mut alone, &mut part_rows.clone()) {}
            prop_assert_eq!(Some(row), alone.take());
        }
    }

    /// Of many hosts the largest are kept, and of equal ones the first.
    #[test]
    fn the_largest_are_the_first_of_all_in_order(
        max in 1usize..20,
        bytes in prop::collection::vec(0u64..30, 0..200),
    ) {
        let mut largest = Largest::new(max);
        for (n, &ip_bytes) in bytes.iter().enumerate() {
            largest.offer(ip_bytes, || n);
        }
        largest.shrink();
        order(&mut largest.kept);
        let mut all: Vec<(Reverse<u64>, usize)> = bytes.iter().enumerate().map(|(n, &b)| (Reverse(b), n)).collect();
        all.sort_unstable();
        all.truncate(max);
        prop_assert_eq!(&largest.kept, &all);
    }
}

/// Makes the whole list, in parts.
fn order<T: Ord>(items: &mut [T]) {
    (0..items.len()).for_each(|first| order_some(&mut items[first..], 1, T::cmp));
}

#[test]
fn a_walk_continues_when_its_next_row_is_freed() {
    let mut bench = Bench::new(None);
    for dst in 0..50 {
        bench.send(to(1, 100 + dst), 10 + dst);
    }
    bench.fold(1000);
    for dst in 50..100 {
        bench.send(to(1, 100 + dst), 10 + dst);
    }
    bench.fold(1005);
    // The latest come first, so the walk is somewhere in the second half, and then at a row of the first half.
    for parts in [10, 50] {
        let mut listing = listing(1, 1);
        while !matches!(listing.stage, Stage::Listing(0)) {
            bench.window.list_part(&mut listing);
        }
        (0..parts).for_each(|_| assert!(!bench.window.list_part(&mut listing)));
        if parts == 50 {
            // The first half expires at once.
            bench.window.roll(Moment(1012 * SECOND));
        }
        while !bench.window.list_part(&mut listing) {}
        let dsts = rows(&mut listing).pop().expect("the host is in the chart").destinations.len();
        assert_eq!(dsts, if parts == 50 { 50 } else { 100 });
    }
}

#[test]
fn the_smallest_are_omitted_without_room() {
    let mut bench = Bench::new(None);
    for src in 0..100 {
        bench.send(to(src, 1000), 100 + src);
    }
    bench.fold(1000);
    let room = ListingRoom { hosts_max: 90, bytes_max: 20 * (HOST_BYTES + DESTINATION_BYTES + 2 * 45) };
    let mut listing = Listing { part_rows: 7, ..Listing::new(room, false) };
    for _ in 0..2 {
        listing.begin(std::iter::empty());
        while !bench.window.list_part(&mut listing) {}
        assert_eq!(listing.hosts_omitted, 80);
        let (chart, _) = listing.take();
        let sources: Vec<IpAddr> = chart.iter().map(|row| row.addr).collect();
        assert_eq!(sources, (80..100).rev().map(v4).collect::<Vec<_>>());
        listing.reuse(chart);
    }
}

#[test]
fn the_default_has_room_for_fifty_thousand_hosts_with_two_destinations() {
    let each = HOST_BYTES + 45 + 2 * (DESTINATION_BYTES + 45);
    assert!(SNAPSHOT_HOSTS_MAX as u64 * each <= ListingRoom::from_memory(256_000_000).bytes_max);
}

#[test]
fn hidden_destinations_are_not_examined() {
    let mut bench = Bench::new(None);
    bench.send(to(1, 2), 100);
    bench.fold(1000);
    let mut listing = listing(9, 9);
    listing.hide_destinations(true);
    while !bench.window.list_part(&mut listing) {}
    let rows = rows(&mut listing);
    assert_eq!((rows.len(), rows[0].ip_bytes, rows[0].destinations.len()), (1, 100, 0));
    let mut alone = HostListing::new(v4(1), true);
    assert!(bench.window.list_host(&mut alone, &mut 1));
    assert_eq!(alone.take().map(|row| (row.ip_bytes, row.destinations.len())), Some((100, 0)));
}

#[test]
fn a_group_has_each_destination_once() {
    let mut bench = Bench::new(Some(64));
    let v6 = |text: &str| text.parse().expect("an address");
    for (src, dst, bytes) in
        [("fd00::1", "fd01::1", 100), ("fd00::2", "fd01::1", 200), ("fd00::2", "fd01::2", 250)]
    {
        bench.send(Endpoints::V6 { src: v6(src), dst: v6(dst) }, bytes);
    }
    bench.fold(1000);
    let mut listing = listing(9, 1);
    while !bench.window.list_part(&mut listing) {}
    let peers: BTreeMap<IpAddr, u64> =
        rows(&mut listing)[0].destinations.iter().map(|peer| (peer.addr, peer.ip_bytes)).collect();
    let expected = [("fd01::1", 300), ("fd01::2", 250)].map(|(addr, bytes)| (IpAddr::V6(v6(addr)), bytes));
    assert_eq!(peers, BTreeMap::from(expected));
}
