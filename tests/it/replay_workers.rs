//! However many workers replay a capture, they say the same.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::packets::build::{ICMP, IPV4, IPV6, TCP, UDP, ethernet, ipv4_with, ipv6, join, tcp, udp};
use crate::packets::capture_file::{LITTLE, MICROSECONDS};
use traffic_alerted::engine::{self, ReplayOptions, Replayed, Rules};
use traffic_alerted::{alert, api, detect, flow};

const FRAMES: u32 = 60_000;

/// A sequence without a pattern, the same each time.
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(end)) as u32
    }
}

fn v4(src: u32, dst: u32, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let header = crate::packets::build::Ipv4 { protocol, ..Default::default() };
    let mut packet = ipv4_with(header, payload);
    packet[12..16].copy_from_slice(&src.to_be_bytes());
    packet[16..20].copy_from_slice(&dst.to_be_bytes());
    packet
}

/// One frame: of a scanner, of its targets, of a heavy sender, of a server and its clients, of IPv6 hosts, of a router.
fn frame(n: u32, draws: &mut Draws) -> Vec<u8> {
    let (scanner, heavy, server) = (0x0a00_0001, 0x0a00_0002, 0x0a00_0003);
    let target = 0xc612_0000 + draws.below(600);
    let client = 0x0a01_0000 + draws.below(3000);
    let port = 1 + draws.below(200) as u16;
    let packet = match draws.below(11) {
        0 => v4(scanner, target, TCP, &tcp(40_000, port, 0x02, 0)),
        1 => v4(target, scanner, TCP, &tcp(port, 40_000, 0x14, 0)),
        2 => v4(heavy, target, UDP, &udp(9, 53, 1400)),
        3 | 4 => v4(client, server, UDP, &udp(1024 + port, 53, 30)),
        5 => v4(server, client, UDP, &udp(53, 1024 + port, 300)),
        6 => v4(client, server, TCP, &tcp(50_000, 443, 0x10, 0)),
        7 => {
            let mut packet =
                ipv6(TCP, &tcp(40_000 + port, port, if n.is_multiple_of(2) { 0x02 } else { 0x12 }, 0));
            packet[23] = draws.below(5) as u8;
            packet[39] = draws.below(250) as u8;
            return ethernet(IPV6, &packet);
        }
        8 => {
            let quoted = v4(scanner, target, UDP, &udp(40_000, port, 8));
            v4(0x0a00_0004, scanner, ICMP, &join(&[&[3, 3, 0, 0, 0, 0, 0, 0], &quoted]))
        }
        9 => v4(scanner, target, ICMP, &[8, 0, 0, 0, 0, 1, 0, 1]),
        _ => return ethernet(0x0806, &[0; 46]),
    };
    ethernet(IPV4, &packet)
}

/// Frames and their times in microseconds: ten seconds with a burst, some stamped too early, a long silence, and two
/// seconds.
fn traffic() -> Vec<(u64, Vec<u8>)> {
    let mut draws = Draws(7);
    let mut at = 1_790_000_000_000_000;
    (0..FRAMES)
        .map(|n| {
            let gap_max = if (FRAMES / 3..FRAMES / 2).contains(&n) { 40 } else { 400 };
            at += if n == FRAMES * 5 / 6 { 60_000_000 } else { u64::from(draws.below(gap_max)) };
            let early = if draws.below(50) == 0 { 3000 } else { 0 };
            (at - early, frame(n, &mut draws))
        })
        .collect()
}

fn pcap(traffic: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = LITTLE.pcap_header(MICROSECONDS, 1);
    for (at, frame) in traffic {
        let (seconds, fraction) = ((at / 1_000_000) as u32, (at % 1_000_000) as u32);
        file.extend(LITTLE.pcap_record(seconds, fraction, frame.len() as u32, frame));
    }
    file
}

fn pcapng(traffic: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut file = join(&[&LITTLE.section(), &LITTLE.interface(1, 0, &[])]);
    for (at, frame) in traffic {
        file.extend(LITTLE.enhanced(0, *at, frame.len() as u32, frame));
    }
    file
}

fn rules() -> Rules {
    let flow = flow::Options {
        traffic_interval: Duration::from_secs(10),
        port_interval: Some(Duration::from_secs(20)),
        chart_bytes_min: 0,
        group_ipv6: Some(64),
        // So little that the ticks of the burst end because they are full.
        memory_bytes_max: 40_000_000,
    };
    let hosts = detect::HostLimits {
        ip_bytes_max: Some(3_000_000),
        received_bytes_max: Some(1_000_000),
        contacted_hosts_max: Some(100),
        contacted_ports_max: Some(100),
        ..detect::HostLimits::default()
    };
    Rules { flow, detect: detect::Limits { hosts, ..Default::default() }, alert: alert::Options::default() }
}

fn said(replayed: &Replayed) -> String {
    let mut json = Vec::new();
    let totals = replayed.totals.as_ref().expect("totals are kept");
    api::write_replayed(&mut json, totals, &replayed.alerts, false).expect("room in memory");
    String::from_utf8(json).expect("JSON is text")
}

fn replay(captures: &[PathBuf], workers: usize, seed: &flow::Seed) -> Replayed {
    let options = ReplayOptions { workers, keeps_totals: true, seed: seed.clone() };
    engine::replay_by(captures, &rules(), options).expect("enough memory")
}

/// Shows no more than where the first difference is.
fn assert_same(together: &str, alone: &str, workers: usize) {
    let differ = together.bytes().zip(alone.bytes()).position(|(one, other)| one != other);
    if let Some(at) = differ.or((together.len() != alone.len()).then_some(alone.len().min(together.len()))) {
        let around = |text: &str| text[at.saturating_sub(300)..text.len().min(at + 100)].to_owned();
        panic!("{workers} workers say\n{}\nand one says\n{}", around(together), around(alone));
    }
}

#[test]
fn any_number_of_workers_says_the_same_in_both_formats() {
    let traffic = traffic();
    let (first, rest) = traffic.split_at(20_000);
    let seed = flow::Seed::default();
    for format in [pcap, pcapng] {
        let files: Vec<_> = [first, rest]
            .map(|part| {
                let mut file = tempfile::NamedTempFile::new().expect("a file for the test");
                file.write_all(&format(part)).expect("it is ours");
                file
            })
            .into_iter()
            .collect();
        let captures: Vec<PathBuf> = files.iter().map(|file| PathBuf::from(file.path())).collect();
        let alone = replay(&captures, 1, &seed);
        assert!(alone.broken.is_none());
        assert_eq!(alone.accounting.frames, u64::from(FRAMES));
        assert_eq!(alone.accounting.spilled_packets, 0);
        let kinds: std::collections::BTreeSet<_> =
            alone.alerts.iter().map(|alert| format!("{:?}", alert.kind)).collect();
        assert!(kinds.len() >= 3, "too little to compare: {kinds:?}");
        assert!(alone.alerts.iter().any(|alert| alert.closed_at.is_some()), "the silence ends some");
        for workers in [2, 3, 7] {
            let together = replay(&captures, workers, &seed);
            assert_eq!(together.accounting, alone.accounting, "{workers} workers");
            assert_same(&said(&together), &said(&alone), workers);
        }
    }
}

#[test]
fn a_capture_that_breaks_off_counts_up_to_there_and_ends_the_replay() {
    let traffic = traffic();
    let whole = pcap(&traffic[..5000]);
    let mut cut = tempfile::NamedTempFile::new().expect("a file for the test");
    cut.write_all(&whole[..whole.len() - 1]).expect("it is ours");
    let mut other = tempfile::NamedTempFile::new().expect("a file for the test");
    other.write_all(&whole).expect("it is ours");
    let captures = [PathBuf::from(cut.path()), PathBuf::from(other.path())];
    let seed = flow::Seed::default();
    for workers in [1, 2, 3] {
        let replayed = replay(&captures, workers, &seed);
        assert_eq!(replayed.accounting.frames, 4999, "{workers} workers");
        let broken = replayed.broken.expect("it is cut").to_string();
        assert!(broken.contains("cut short"), "{workers} workers: {broken}");
    }
}
