//! A flood of more hosts than the table has room for: the real hosts are found, no other host is accused, and the
//! bounds of the evicted counts are right.
//!
//! Memory and flood are those of `MemoryLimit: 256M` and 1.5 M packets per second, both divided by the same number:
//! hosts and ghost entries last as long in the table as they would there, and the real hosts are as slow.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufWriter;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::packets::flood::{BEGINS_S, Flood, HEAVY, Sources, scanner};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use traffic_alerted::alert::{Alert, AlertKind};
use traffic_alerted::engine::{self, Replayed, Rules};
use traffic_alerted::flow::{Capacity, Delta, HostCounts, InterfaceDirection, Metric, Seed, Window};
use traffic_alerted::packet::{Endpoints, Summary, TcpFlags, Transport};
use traffic_alerted::time::{Moment, UnixNanos};
use traffic_alerted::{alert, capture, detect, flow};

/// Bytes for tables.
const TABLES: u64 = 3 << 19;
const INTERVAL_S: f64 = 170.0;
const BYTES_MAX: u64 = 10_000_000;
const CONTACTS_MAX: u64 = 15;

/// Of `MemoryLimit: 256M` some 197 MB are for tables: to 1.5 M packets per second they are what these bytes are to that
/// many packets. Ghost entries last for 8 s then.
const PACKETS_PER_S: f64 = 1.5e6 * (TABLES as f64 / 197e6);
/// Sources in turn, in the same ratio as 10 M sources to 1.5 M packets.
const SOURCES: u32 = (PACKETS_PER_S * (10.0 / 1.5)) as u32;

fn flow_options(memory_bytes_max: u64, interval: Duration) -> flow::Options {
    flow::Options {
        traffic_interval: interval,
        port_interval: None,
        chart_bytes_min: 0,
        group_ipv6: None,
        memory_bytes_max,
    }
}

fn rules(memory_bytes_max: u64) -> Rules {
    let hosts = detect::HostLimits::default()
        .with(AlertKind::Traffic, Some(BYTES_MAX))
        .with(AlertKind::Scanning, Some(CONTACTS_MAX));
    Rules {
        flow: flow_options(memory_bytes_max, Duration::from_secs_f64(INTERVAL_S)),
        detect: detect::Limits { hosts, ..detect::Limits::default() },
        alert: alert::Options::default(),
        direction: capture::DirectionPolicy::Auto,
    }
}

/// Replays a flood while it is generated.
fn replayed(flood: Flood, rules: &Rules) -> Replayed {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("flood.pcap");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let writer = {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let file = File::options().write(true).open(pipe).unwrap();
            flood.write_pcap(&mut BufWriter::new(file)).unwrap();
        })
    };
    let (replayed, captures) = engine::replay(&[PathBuf::from(&pipe)], rules).unwrap();
    assert!(captures[0].error.is_none());
    writer.join().unwrap();
    replayed
}

/// Returns the hosts with an alert of a kind, and when it opened.
fn accused(alerts: &[Alert], kind: AlertKind) -> BTreeMap<IpAddr, f64> {
    let of_kind = alerts.iter().filter(|alert| alert.kind == kind);
    of_kind.map(|alert| (alert.source.unwrap(), alert.opened_at.0 as f64 / 1e9)).collect()
}

/// `scarcity` times as many packets for the memory as 1.5 M per second are for 256 MB.
fn real_hosts_are_found(sources: Sources, scarcity: f64, found_of_40_at_least: usize) {
    /// The memory limit that leaves that much for tables.
    const MEMORY: u64 = (16_000_000 + TABLES) / 5 * 6;
    let flood = Flood {
        sources,
        packets_per_s: PACKETS_PER_S * scarcity,
        interval_s: INTERVAL_S,
        heavy_bytes_per_s: 280_000.0,
        scanners: [(5, 40), (40, 20)],
        seed: 7,
    };
    let replayed = replayed(flood, &rules(MEMORY));

    let sums = &replayed.accounting;
    assert_eq!(sums.frames, flood.packets().count() as u64);
    assert_eq!(sums.frames, sums.counted_frames + sums.skipped_frames());
    assert_eq!(sums.ip_bytes, flood.packets().map(|packet| u64::from(packet.ip_bytes)).sum::<u64>());

    let heavy = accused(&replayed.alerts, AlertKind::Traffic);
    assert_eq!(heavy.keys().collect::<Vec<_>>(), [&IpAddr::V4(HEAVY)], "the heavy host and no other");
    let late_s = heavy[&IpAddr::V4(HEAVY)] - flood.heavy_exceeds_at_s(BYTES_MAX);
    assert!(late_s <= 1.0, "{late_s} s late");
    let is_certain = |alert: &Alert| !alert.progress.is_possible && alert.measured > alert.limit;
    assert!(replayed.alerts.iter().all(is_certain), "what was possible was certain in the end");

    let mut scanners = accused(&replayed.alerts, AlertKind::Scanning);
    let mut take = |kind: u8, many: u8| {
        (0..many).filter(|&number| scanners.remove(&scanner(kind, number).into()).is_some()).count()
    };
    let (of_40, of_20) = (take(0, 5), take(1, 40));
    assert_eq!(of_40, 5, "with 40 contacts");
    assert!(of_20 >= found_of_40_at_least, "{of_20} of 40 with 20 contacts");
    assert_eq!(scanners, BTreeMap::new(), "no other host is accused of scanning");
    assert!(
        replayed.alerts.iter().all(|alert| matches!(alert.kind, AlertKind::Traffic | AlertKind::Scanning))
    );
}

#[test]
fn real_hosts_are_found_among_sources_in_turn() {
    real_hosts_are_found(Sources::Cycled(SOURCES), 1.0, 38);
}

#[test]
fn real_hosts_are_found_among_random_sources() {
    real_hosts_are_found(Sources::Random, 1.0, 38);
}

/// Ghost entries last for 3 s only, so some of the scanners with 20 contacts are missed.
#[test]
fn real_hosts_are_found_with_less_memory() {
    real_hosts_are_found(Sources::Cycled(5 * SOURCES / 2), 2.5, 20);
}

/// Returns the sums of evicted hosts in the live slots.
fn other(window: &Window) -> (u64, u64) {
    let other = window.other();
    (other.packets, other.ip_bytes)
}

/// Packets and bytes by slot.
type BySlot = HashMap<u64, (u64, u64)>;

/// Exact sums of every host, without a memory limit.
#[derive(Default)]
struct Exact {
    hosts: HashMap<IpAddr, BySlot>,
    slot: u64,
}

impl Exact {
    fn add(&mut self, src: IpAddr, ip_bytes: u64) {
        let (packets, bytes) = self.hosts.entry(src).or_default().entry(self.slot).or_default();
        *packets += 1;
        *bytes += ip_bytes;
    }

    /// Removes the slots that have left the window of ten slots.
    fn roll(&mut self, slot: u64) {
        self.slot = slot;
        self.hosts.retain(|_, by_slot| {
            by_slot.retain(|at, _| at + 10 > slot);
            !by_slot.is_empty()
        });
    }

    fn of(&self, host: &IpAddr) -> (u64, u64) {
        let by_slot = self.hosts.get(host).into_iter().flat_map(HashMap::values);
        by_slot.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

/// Checks in every slot that the hosts and `other` add up to what was sent, and that the true sums of each host lie
/// within its error.
fn errors_are_true(sources: Sources) {
    const SLOT: u64 = 1_000_000_000;
    const TICK_S: f64 = 0.25;
    let limits = Capacity::from_memory(TABLES, 1, false).expect("enough memory");
    let seed = Seed::default();
    let options = flow_options(TABLES, Duration::from_secs(10));
    let mut window = Window::new(&options, &limits, seed.clone());
    let mut delta = Delta::new(limits.delta, seed);
    let mut exact = Exact::default();
    let flood = Flood {
        sources,
        packets_per_s: 4_000.0,
        interval_s: 30.0,
        heavy_bytes_per_s: 280_000.0,
        scanners: [(20, 40), (100, 20)],
        seed: 7,
    };
    let mut tick_ends_s = BEGINS_S;
    let (mut evicted, mut largest_error) = (false, 0);
    let mut touched: Vec<HostCounts> = Vec::new();
    for (n, packet) in flood.packets().enumerate() {
        while packet.at_s >= tick_ends_s {
            // Handed over within the slot that it was counted in.
            delta.handed_over_at = Moment((tick_ends_s * 1e9) as u64 - 1);
            window.fold(&delta);
            delta.clear();
            window.take_dirty(&mut touched, |_| true);
            touched.clear();
            let slot = (tick_ends_s * 1e9) as u64 / SLOT;
            if slot > exact.slot {
                check(&window, &exact, &mut evicted, &mut largest_error);
                window.roll(Moment(slot * SLOT));
                exact.roll(slot);
                check(&window, &exact, &mut evicted, &mut largest_error);
            }
            tick_ends_s += TICK_S;
        }
        // Spoofed sources send different sizes, so that the errors differ.
        let ip_bytes = if packet.src == HEAVY { packet.ip_bytes } else { 40 + (n % 1461) as u16 };
        let (src, dst): (Ipv4Addr, Ipv4Addr) = (packet.src, packet.dst);
        let flags = if packet.is_syn { TcpFlags::SYN } else { TcpFlags::ACK };
        let transport = Transport::Tcp { src_port: 40_000, dst_port: 23, flags: Some(TcpFlags(flags)) };
        let summary = Summary::plain(Endpoints::V4 { src, dst }, ip_bytes.into(), 6, transport);
        delta.count(InterfaceDirection::default(), &summary, UnixNanos((packet.at_s * 1e9) as u64));
        exact.add(src.into(), ip_bytes.into());
        if delta.is_half_full() {
            delta.handed_over_at = Moment((packet.at_s * 1e9) as u64);
            window.fold(&delta);
            delta.clear();
        }
    }
    assert!(evicted && largest_error > 0, "nothing was evicted: the flood was too small");
}

fn check(window: &Window, exact: &Exact, evicted: &mut bool, largest_error: &mut u64) {
    let (mut packets, mut bytes) = other(window);
    *evicted |= packets > 0;
    for host in window.hosts() {
        let (true_packets, true_bytes) = exact.of(&host.addr);
        assert!(host.packets <= true_packets, "{host:?} sent {true_packets} packets");
        let counted = host.counts[Metric::IpBytes];
        assert!(
            counted <= true_bytes && true_bytes <= host.up_to(Metric::IpBytes),
            "{host:?} sent {true_bytes} bytes"
        );
        *largest_error = host.errors.ip_bytes.max(*largest_error);
        packets += host.packets;
        bytes += counted;
    }
    let all = exact.hosts.keys().map(|host| exact.of(host));
    assert_eq!((packets, bytes), all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)));
}

#[test]
fn errors_are_true_among_sources_in_turn() {
    errors_are_true(Sources::Cycled(20_000));
}

#[test]
fn errors_are_true_among_random_sources() {
    errors_are_true(Sources::Random);
}
