//! A replay gives the same result from pcap and pcapng, from one file and two, and whatever `Workers` is: that key is
//! about live capture.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::packets::build::{ICMP, IPV4, IPV6, TCP, UDP, ethernet, ipv4_with, ipv6, join, tcp, udp};
use crate::packets::capture_file::{LITTLE, MICROSECONDS};
use serde_json::Value;
use tempfile::TempDir;

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

/// So little memory that the ticks of the burst end early because the delta is full.
const CONFIG: &str = "\
TrafficInterval: 10
ByteLimit: 3000000
ReceivedByteLimit: 1000000
NumberContactedIPs: 100
AnalyzePorts: true
NumContactedPorts: 100
PortInterval: 20
ChartMinBytes: 0
GroupIPv6: 64
MemoryLimit: 40000000
";

/// The output of a replay to JSON with so many workers.
fn replay(folder: &Path, captures: &[PathBuf], workers: usize) -> Output {
    let config = folder.join(format!("{workers}.conf"));
    std::fs::write(&config, format!("{CONFIG}Workers: {workers}\n")).expect("the folder is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"));
    command.args(["replay", "--json", "-", "--config"]).arg(config).args(captures);
    command.output().expect("the program was built")
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("it is JSON")
}

/// The result without what depends on the random seed of the process: the estimate of how many ports a host contacted
/// at another, and what is concluded from it.
fn without_estimates(output: &Output) -> Value {
    let mut result = parsed(output);
    for alert in result["alerts"].as_array_mut().expect("it is an array") {
        let evidence = alert["evidence"].as_object_mut().expect("it is an object");
        ["ports_at_one_host", "why", "class", "confidence"]
            .iter()
            .for_each(|key| drop(evidence.remove(*key)));
    }
    result
}

fn save(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("the folder is ours");
    path
}

#[test]
fn formats_files_and_workers_change_no_result() {
    let traffic = traffic();
    let (first, rest) = traffic.split_at(20_000);
    let folder = TempDir::new().expect("a folder for the test");
    let whole = save(folder.path(), "whole", &pcap(&traffic));
    let parts = [save(folder.path(), "first", &pcap(first)), save(folder.path(), "rest", &pcapng(rest))];

    let output = replay(folder.path(), &[whole], 1);
    assert!(output.status.success(), "{output:?}");
    let result = parsed(&output);
    assert_eq!(result["accounting"]["frames"], FRAMES);
    assert_eq!(result["accounting"]["spilled_packets"], 0);
    let alerts = result["alerts"].as_array().expect("it is an array");
    let kinds: std::collections::BTreeSet<_> = alerts.iter().map(|alert| alert["kind"].to_string()).collect();
    assert!(kinds.len() >= 3, "too little to compare: {kinds:?}");
    assert!(alerts.iter().any(|alert| !alert["closed_at"].is_null()), "the silence ends some");

    for workers in [1, 3] {
        let of_parts = replay(folder.path(), &parts, workers);
        assert!(of_parts.status.success(), "{of_parts:?}");
        let (of_parts, whole) = (without_estimates(&of_parts), without_estimates(&output));
        for key in ["accounting", "hosts", "pairs", "alerts"] {
            assert!(of_parts[key] == whole[key], "{workers} workers: {key} differ");
        }
    }
}

#[test]
fn a_capture_that_breaks_off_counts_up_to_there_and_the_others_are_read() {
    let folder = TempDir::new().expect("a folder for the test");
    let whole = pcap(&traffic()[..5000]);
    let captures = [("cut", &whole[..whole.len() - 1]), ("other", &whole[..])].map(|(name, bytes)| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("the folder is ours");
        path
    });
    for workers in [1, 2, 3] {
        let output = replay(folder.path(), &captures, workers);
        assert_eq!(output.status.code(), Some(1), "{workers} workers");
        assert_eq!(parsed(&output)["accounting"]["frames"], 9999, "{workers} workers");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("cut short"), "{workers} workers: {error}");
    }
}
