//! A flood of remote scanners far larger than the table hides no local host, whether its network is configured or was
//! found at the interfaces.

use crate::detect::{FindingKind, ScanRule};

use super::*;

const LOCAL: [u8; 4] = [10, 0, 0, 99];
const TICKS: u32 = 24;

/// Local networks of the configuration, and those that are found at each tick.
struct Networks {
    configured: &'static str,
    found: fn(u32) -> &'static str,
}

fn networks(text: &str) -> Vec<IpNet> {
    text.split_whitespace().map(|network| network.parse().expect("a network")).collect()
}

fn packet(bench: &mut Bench, src: [u8; 4], dst: [u8; 4], ip_bytes: u32, flags: u8) {
    let transport = Transport::Tcp { src_port: 40_000, dst_port: 23, flags: Some(TcpFlags(flags)) };
    let endpoints = Endpoints::V4 { src: src.into(), dst: dst.into() };
    let summary = Summary::plain(endpoints, ip_bytes, 6, transport);
    bench.delta.count(InterfaceDirection::default(), &summary, UnixNanos(0));
}

/// New remote hosts contact fifty hosts each, five thousand at each tick. Amid them a local host sweeps 72 hosts and
/// sends 24,000 bytes. Returns the kinds of its alerts.
fn alerts_in_a_flood(scan_rule: ScanRule, local: &Networks) -> Vec<FindingKind> {
    let mut rules = rules();
    rules.detect.scan_rule = scan_rule;
    rules.detect.protected = networks(local.configured);
    let mut capacity = rules.limits(1).expect("enough memory");
    (capacity.pairs_max, capacity.hosts_max, capacity.ghost_bytes) = (4000, 8000, 64 << 10);
    let mut bench = Bench::with_capacity(&rules, &capacity);
    for tick in 0..TICKS {
        bench.analyst.know_local(&networks((local.found)(tick)));
        for source in tick * 100..tick * 100 + 100 {
            let [.., high, low] = source.to_be_bytes();
            (0..50).for_each(|target| {
                packet(&mut bench, [198, 18, high, low], [10, 0, 0, target], 60, TcpFlags::SYN);
            });
        }
        for n in 0..3 {
            packet(
                &mut bench,
                LOCAL,
                [203, 0, 113, u8::try_from(3 * tick + n).expect("few")],
                60,
                TcpFlags::SYN,
            );
        }
        packet(&mut bench, LOCAL, [192, 0, 2, 1], 1000, TcpFlags::ACK);
        bench.turn(SECOND + u64::from(tick) * SECOND / 4);
    }
    let opened = bench.notices.iter().filter_map(|notice| match notice {
        Notice::Opened(alert) if alert.source == Some(LOCAL.into()) => Some(alert.kind),
        _ => None,
    });
    let mut opened: Vec<FindingKind> = opened.collect();
    opened.sort_unstable();
    opened
}

#[test]
fn a_remote_flood_does_not_hide_a_local_host() {
    let configured = Networks { configured: "10.0.0.0/16", found: |_| "" };
    let found = Networks { configured: "", found: |_| "10.0.0.0/24 fd00::/64" };
    // The interface comes up when the flood has begun.
    let found_late =
        Networks { configured: "", found: |tick| if tick < 8 { "fd00::/64" } else { "10.0.0.0/24" } };
    for scan_rule in [ScanRule::Suspicious, ScanRule::Contacts] {
        for (name, local) in [("configured", &configured), ("found", &found), ("found late", &found_late)] {
            let opened = alerts_in_a_flood(scan_rule, local);
            assert_eq!(opened, [FindingKind::Traffic, FindingKind::Scanning], "{name}, {scan_rule:?}");
        }
    }
}

#[test]
fn the_same_flood_hides_a_host_whose_network_is_not_local_or_no_longer() {
    let others = Networks { configured: "10.0.1.0/24", found: |_| "10.0.2.0/24" };
    let gone =
        Networks { configured: "", found: |tick| if tick < 1 { "10.0.0.0/24" } else { "10.0.2.0/24" } };
    for local in [others, gone] {
        assert_eq!(alerts_in_a_flood(ScanRule::Contacts, &local), []);
    }
}
