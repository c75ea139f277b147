//! Captures through the real binary: golden results, limits at exactly N, files that break off.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::packets::build::{ICMP, IPV4, TCP, UDP, ethernet, ipv4, tcp, udp};
use crate::packets::capture_file::{LITTLE, MICROSECONDS};
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2026-09-21T14:13:20Z.
pub(crate) const START: u32 = 1_790_000_000;

/// A capture in the making: frames between 10.0.0.0/8 addresses.
pub(crate) struct Capture {
    pub(crate) bytes: Vec<u8>,
}

impl Capture {
    pub(crate) fn new() -> Self {
        Self { bytes: LITTLE.pcap_header(MICROSECONDS, 1) }
    }

    /// Adds an IPv4 packet that was seen `at` microseconds after the start.
    pub(crate) fn packet(
        &mut self,
        at: u32,
        src: [u8; 4],
        dst: [u8; 4],
        protocol: u8,
        payload: &[u8],
    ) -> &mut Self {
        self.packet_at([START + at / 1_000_000, at % 1_000_000], src, dst, protocol, payload)
    }

    /// Adds an IPv4 packet that was seen at these seconds and microseconds.
    pub(crate) fn packet_at(
        &mut self,
        [seconds, microseconds]: [u32; 2],
        src: [u8; 4],
        dst: [u8; 4],
        protocol: u8,
        payload: &[u8],
    ) -> &mut Self {
        let mut packet = ipv4(protocol, payload);
        packet[12..16].copy_from_slice(&src);
        packet[16..20].copy_from_slice(&dst);
        let frame = ethernet(IPV4, &packet);
        let len = frame.len() as u32;
        self.bytes.extend(LITTLE.pcap_record(seconds, microseconds, len, &frame));
        self
    }

    pub(crate) fn save(&self, folder: &TempDir, name: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, &self.bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

pub(crate) fn replay(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_TrafficAlerted")).arg("replay").args(arguments).output().unwrap()
}

fn replayed(config: &str, capture: &Capture) -> Value {
    let folder = TempDir::new().unwrap();
    let config_path = folder.path().join("test.conf");
    std::fs::write(&config_path, config).unwrap();
    let capture = capture.save(&folder, "capture.pcap");
    let output = replay(&["--config", config_path.to_str().unwrap(), "--json", "-", &capture]);
    assert!(output.status.success(), "{output:?}");
    let mut result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let read = result["captures"].take();
    assert_eq!((&read[0]["path"], &read[0]["error"]), (&json!(capture), &json!(null)), "{read}");
    assert_eq!(read[0]["frames"], result["accounting"]["frames"]);
    result
}

pub(crate) const A: [u8; 4] = [10, 0, 0, 1];
pub(crate) const B: [u8; 4] = [10, 0, 0, 2];

#[test]
fn a_small_capture_gives_the_recorded_result() {
    let mut capture = Capture::new();
    capture
        .packet(0, A, B, TCP, &tcp(40_000, 80, 0x02, 0))
        .packet(1_000, B, A, TCP, &tcp(80, 40_000, 0x12, 0))
        .packet(2_000, A, B, UDP, &udp(5000, 53, 20))
        .packet(3_000, B, A, UDP, &udp(53, 5000, 172));
    capture.bytes.extend(LITTLE.pcap_record(START, 4_000, 60, &ethernet(0x0806, &[0; 46])));
    assert_eq!(
        replayed("ByteLimit: 199\nAnalyzePorts: true\n", &capture),
        json!({
            "accounting": {
                "frames": 5, "counted_frames": 4, "ip_packets": 4, "ip_bytes": 328, "skipped": {"not_ip": 1},
                "malformed_ip_packets": 0, "length_mismatch_packets": 0, "dropped_frames": 0,
                "super_frames": 0, "super_frames_as_one": 0,
                "spilled_packets": 0, "spilled_bytes": 0, "spilled_ports": 0, "undecided_exchanges": 0,
            },
            "hosts": [
                {"ip": "10.0.0.2", "packets": 2, "ip_bytes": 240, "contacted_ips": 0, "contacted_ports": 0},
                {"ip": "10.0.0.1", "packets": 2, "ip_bytes": 88, "contacted_ips": 1, "contacted_ports": 2},
            ],
            "pairs": [
                {"src": "10.0.0.2", "dst": "10.0.0.1", "packets": 2, "ip_bytes": 240},
                {"src": "10.0.0.1", "dst": "10.0.0.2", "packets": 2, "ip_bytes": 88},
            ],
            "alerts": [{
                "id": "1790000000-1", "kind": "TRAFFIC", "state": "open", "source": "10.0.0.2",
                "opened_at": "2026-09-21T14:13:20.004Z", "closed_at": null,
                "measured": 240, "limit": 199, "window_seconds": 170,
                "sentence": "TRAFFIC: 10.0.0.2 sent 240 B in 170 s, the limit is 199 B",
                "evidence": {
                    "ip_bytes": 240, "destinations": [{"ip": "10.0.0.1", "ip_bytes": 240}], "dropped_frames": 0,
                },
            }],
            "captures": null, "warnings": [], "interrupted": false,
        })
    );
}

/// Every limit: its value is within it, one more is not, and the other hosts have no alert.
#[test]
fn limits_hold_at_exactly_their_value() {
    let kinds = |count: u8, config: &str| {
        let mut capture = Capture::new();
        for n in 0..count {
            let at = u32::from(n) * 1_000_000;
            let target = [10, 9, 0, n];
            capture.packet(at, A, target, TCP, &tcp(40_000, 1000 + u16::from(n), 0x02, 0));
            capture.packet(at + 10, target, A, TCP, &tcp(1000 + u16::from(n), 40_000, 0x14, 0));
        }
        let alerts = replayed(config, &capture)["alerts"].as_array().unwrap().clone();
        assert!(alerts.iter().all(|alert| alert["source"] == "10.0.0.1"), "{alerts:?}");
        alerts.iter().map(|alert| alert["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let hosts = "NumberContactedIPs: 15\n";
    assert_eq!((kinds(15, hosts), kinds(16, hosts)), (vec![], vec!["SCANNING".to_owned()]));
    let ports = "ContactedIPsAnalyze: false\nAnalyzePorts: true\nNumContactedPorts: 15\n";
    assert_eq!((kinds(15, ports), kinds(16, ports)), (vec![], vec!["SCANNING_PORT".to_owned()]));
    let bytes = "ContactedIPsAnalyze: false\nByteLimit: 400\n";
    assert_eq!((kinds(10, bytes), kinds(11, bytes)), (vec![], vec!["TRAFFIC".to_owned()]));
    let off = "ContactedIPsAnalyze: false\n";
    assert_eq!(kinds(100, off), Vec::<String>::new());
}

/// A burst that is not longer than the interval, at any phase. The original missed it when it reset its counters.
#[test]
fn a_burst_is_seen_whole_at_any_phase_and_ends_a_window_later() {
    for phase in [0, 3_300_000, 9_999_999] {
        let mut capture = Capture::new();
        for n in 0..11 {
            capture.packet(phase + n * 800_000, A, B, UDP, &udp(1, 2, 72));
        }
        // Packets of another host move the time on.
        capture.packet(phase + 60_000_000, B, [10, 0, 0, 3], UDP, &udp(1, 2, 0));
        capture.packet(phase + 61_000_000, B, [10, 0, 0, 3], UDP, &udp(1, 2, 0));
        let result = replayed("TrafficInterval: 10\nByteLimit: 1000\n", &capture);
        let alerts = result["alerts"].as_array().unwrap();
        assert_eq!(alerts.len(), 1, "phase {phase}: {alerts:?}");
        assert_eq!((&alerts[0]["measured"], &alerts[0]["source"]), (&json!(1100), &json!("10.0.0.1")));
        let time = |field: &str| alerts[0][field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let seconds = time("closed_at").duration_since(time("opened_at")).as_secs_f64();
        assert!((10.0..=20.0).contains(&seconds), "phase {phase}: open for {seconds} s");
    }
}

/// A sweep of 20 hosts: two answer, five refuse, and a router reports one as unreachable.
fn sweep() -> Capture {
    let mut capture = Capture::new();
    for n in 0..20 {
        let (at, target) = (u32::from(n) * 10_000, [10, 9, 0, n]);
        capture.packet(at, A, target, TCP, &tcp(40_000, 23, 0x02, 0));
        match n {
            0..2 => capture.packet(at + 10, target, A, TCP, &tcp(23, 40_000, 0x12, 0)),
            2..7 => capture.packet(at + 10, target, A, TCP, &tcp(23, 40_000, 0x14, 0)),
            7 => {
                let mut error = vec![3, 1, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, TCP, 0, 0];
                error.extend([A, target].concat());
                error.extend(&tcp(40_000, 23, 0x02, 0)[..8]);
                capture.packet(at + 10, B, A, ICMP, &error)
            }
            _ => &mut capture,
        };
    }
    capture
}

#[test]
fn a_scan_comes_with_its_evidence() {
    for rule in ["contacts", "suspicious"] {
        let alerts = &replayed(&format!("ScanEvidence: {rule}\n"), &sweep())["alerts"];
        let mut evidence = alerts[0]["evidence"].clone();
        assert_eq!(
            (alerts.as_array().map(Vec::len), &alerts[0]["kind"]),
            (Some(1), &json!("SCANNING")),
            "{rule}"
        );
        let targets = evidence["targets"].take();
        assert_eq!(targets.as_array().map(Vec::len), Some(10));
        let silent = json!({"ip": "10.9.0.19", "protocol": 6, "port": 23, "outcome": "silent"});
        assert!(targets.as_array().unwrap().contains(&silent), "{targets}");
        evidence["destinations"].take();
        assert_eq!(
            evidence,
            json!({
                "ip_bytes": 800, "destinations": null, "dropped_frames": 0, "role": "scanner", "class": "sweep", "confidence": "medium",
                "why": "tried 20 hosts at TCP port 23 (Telnet) in 1 s: 2 answered, 6 refused, 12 unanswered",
                "contacted": 20, "answered": 2, "refused": 6, "expired": 0, "silent": 12, "unseen": 0, "early": 0,
                "answers": "visible",
                "busiest_ports": [{
                    "protocol": 6, "port": 23, "hosts": 20,
                    "answered": 2, "refused": 6, "expired": 0, "silent": 12, "unseen": 0, "early": 0,
                }],
                "ports_at_one_host": 1, "targets": null, "contacts_per_second": 80.0,
            }),
            "{rule}"
        );
    }
}

#[test]
fn a_busy_client_is_accused_by_its_count_only() {
    let mut capture = Capture::new();
    for n in 0..40 {
        let (at, target) = (u32::from(n) * 10_000, [10, 9, 0, n]);
        capture.packet(at, A, target, TCP, &tcp(40_000, 443, 0x02, 0));
        capture.packet(at + 10, target, A, TCP, &tcp(443, 40_000, 0x12, 0));
    }
    let alerts = |rule: &str| replayed(&format!("ScanEvidence: {rule}\n"), &capture)["alerts"].clone();
    assert_eq!(alerts("suspicious"), json!([]));
    let evidence = &alerts("contacts")[0]["evidence"];
    assert_eq!((&evidence["role"], &evidence["confidence"]), (&json!("client"), &json!("low")));
}

#[test]
fn destinations_are_hidden_when_asked() {
    let mut capture = Capture::new();
    for n in 0..30 {
        capture.packet(u32::from(n), A, [10, 9, 0, n], TCP, &tcp(40_000, 80, 0x02, 0));
    }
    let result = replayed("NoDestinations: true\nByteLimit: 500\n", &capture);
    assert_eq!(result["pairs"], json!([]));
    assert_eq!(result["alerts"].as_array().unwrap().len(), 1, "bytes, and no scan of hosts");
    assert_eq!(result["alerts"][0]["evidence"]["destinations"], json!([]));

    let mut capture = Capture::new();
    for n in 0..30_u16 {
        capture.packet(u32::from(n), A, B, TCP, &tcp(40_000, 1000 + n, 0x02, 0));
    }
    let config = "NoDestinations: true\nAnalyzePorts: true\nNumContactedPorts: 15\n";
    let evidence = &replayed(config, &capture)["alerts"][0]["evidence"];
    assert_eq!((&evidence["role"], &evidence["targets"]), (&json!("scanner"), &json!([])));
    assert!(!evidence.to_string().contains("10.0.0.2"), "{evidence}");
}

#[test]
fn a_file_that_breaks_off_counts_up_to_there() {
    let folder = TempDir::new().unwrap();
    let mut capture = Capture::new();
    for n in 0..5 {
        capture.packet(n, A, B, UDP, &udp(1, 2, 0));
    }
    let whole = capture.save(&folder, "whole.pcap");
    capture.bytes.truncate(capture.bytes.len() - 3);
    let cut = capture.save(&folder, "cut.pcap");
    let frames = |output: &Output| {
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        result["accounting"]["frames"].as_u64().unwrap()
    };

    let output = replay(&["--json", "-", &whole, &cut]);
    let output_text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), frames(&output)), (Some(1), 9));
    assert!(output_text.contains("cut.pcap is cut short at byte"), "{output_text}");
    assert!(output_text.contains("4 frames of it were counted"), "{output_text}");

    let result = folder.path().join("result.json");
    let output = replay(&["--json", result.to_str().unwrap(), &whole, &whole]);
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(0), 0, 0));
    let written: Value = serde_json::from_slice(&std::fs::read(&result).unwrap()).unwrap();
    assert_eq!(written["accounting"]["frames"], 10);

    let nowhere = Path::new("/nonexistent/result.json");
    let output = replay(&["--json", nowhere.to_str().unwrap(), &whole]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nonexistent/result.json"));
}

#[test]
fn a_file_that_is_read_is_not_overwritten_with_the_result() {
    let folder = TempDir::new().unwrap();
    let mut capture = Capture::new();
    capture.packet(0, A, B, UDP, &udp(1, 2, 0));
    let capture_path = capture.save(&folder, "a.pcap");
    let config_path = folder.path().join("a.conf");
    std::fs::write(&config_path, "ByteLimit: 1G\n").unwrap();
    let config_path = config_path.to_str().unwrap();
    // The same file by another name.
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&capture_path, &link).unwrap();
    for out in [&capture_path[..], config_path, link.to_str().unwrap()] {
        let before = std::fs::read(out).unwrap();
        let output = replay(&["--config", config_path, "--json", out, &capture_path]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("would overwrite"), "{text}");
        assert_eq!(std::fs::read(out).unwrap(), before, "{out}");
    }
}

#[test]
fn without_json_sums_hosts_pairs_and_alerts_are_printed() {
    let folder = TempDir::new().unwrap();
    let mut capture = Capture::new();
    for n in 0..16 {
        capture.packet(n * 1_000_000, A, [10, 9, 0, n as u8], TCP, &tcp(40_000, 80, 0x02, 0));
    }
    capture.packet(16_000_000, B, A, UDP, &udp(5000, 53, 1000));
    capture.bytes.extend(LITTLE.pcap_record(START + 400, 0, 60, &ethernet(0x0806, &[0; 46])));
    let capture = capture.save(&folder, "scan.pcap");
    let output = replay(&[&capture]);
    let output_text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = output_text.lines().collect();
    assert_eq!(lines[..2], ["18 frames: 17 IP packets, 1668 bytes", "skipped as not_ip: 1"]);
    let said = |line: &str| assert!(lines.contains(&line), "{line}\n{output_text}");
    said("Time      2026-09-21T14:13:20Z to 2026-09-21T14:20:00Z, 6 min 40 s");
    said("Packets   17 with 1.66 kB; less than 0.1 packets/s, 33 bit/s on average");
    said("  HOST          SENT   PACKETS       RATE   CONTACTED   PORTS");
    said("  10.0.0.2   1.02 kB         1   20 bit/s           1       1");
    said("  10.0.0.1     640 B        16   12 bit/s          16       1");
    said("Largest pairs (10 of 17)");
    said("  10.0.0.2 -> 10.0.0.1   1.02 kB         1    20 bit/s");
    said("Alerts (1)");
    assert!(
        lines.iter().any(|line| line.starts_with("2026-09-21T14:13:35Z SCANNING: 10.0.0.1 ")),
        "{output_text}"
    );
    assert!(lines.iter().any(|line| line.starts_with("  ended 2026-09-21T14:1")), "{output_text}");
    assert!(
        lines
            .iter()
            .any(|line| line
                .starts_with("EVENT=SCANNING SRC=10.0.0.1 TOTALBYTES=640 | DSTINFO=[{10.9.0.0 40} ")),
        "{output_text}"
    );
    assert!(
        lines.iter().all(|line| line.len() <= 80 || line.starts_with("EVENT=") || line.contains(&capture))
    );
    assert!(output.stderr.is_empty());
}

/// `head` closes its input after a few lines.
#[test]
fn a_reader_that_ends_early_is_no_error() {
    let folder = TempDir::new().unwrap();
    let mut capture = Capture::new();
    for n in 0..4000_u16 {
        let [high, low] = n.to_be_bytes();
        capture.packet(u32::from(n), A, [10, 9, high, low], UDP, &udp(1, 2, 0));
    }
    let capture = capture.save(&folder, "capture.pcap");
    for arguments in [&["replay", &capture][..], &["replay", "--json", "-", &capture]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
    }
}

#[test]
fn two_configurations_are_compared_alert_by_alert() {
    let folder = TempDir::new().unwrap();
    let mut capture = Capture::new();
    for n in 0..16 {
        capture.packet(u32::from(n), A, [10, 9, 0, n], TCP, &tcp(40_000, 80, 0x02, 0));
    }
    capture.packet(20, B, A, UDP, &udp(5000, 53, 1000));
    let capture = capture.save(&folder, "day.pcap");
    let config = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let first = config("now.conf", "NumberContactedIPs: 15\nByteLimit: 1M\n");
    let second = config("then.conf", "NumberContactedIPs: 10\nByteLimit: 1000\n");

    let output = replay(&["--config", &first, "--config", &second, "--json", "-", &capture]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let compared: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(compared["only_first"], json!([]));
    let what = |alert: &Value| (alert["kind"].clone(), alert["source"].clone(), alert["limit"].clone());
    let seconds: Vec<_> = compared["only_second"].as_array().unwrap().iter().map(what).collect();
    assert_eq!(seconds, [(json!("TRAFFIC"), json!("10.0.0.2"), json!(1000))]);
    let both = compared["both"].as_array().unwrap();
    assert_eq!(both.len(), 1);
    assert_eq!(what(&both[0]["first"]), (json!("SCANNING"), json!("10.0.0.1"), json!(15)));
    assert_eq!(what(&both[0]["second"]), (json!("SCANNING"), json!("10.0.0.1"), json!(10)));

    let output = replay(&["--config", &first, "--config", &second, &capture]);
    let output_text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output_text.starts_with(&format!("0 alerts with {first} alone:\n1 alerts with {second} alone:\n")),
        "{output_text}"
    );
    assert!(output_text.contains("1 alerts with both:\n"), "{output_text}");
    assert!(output_text.contains("\n  EVENT=SCANNING SRC=10.0.0.1 "), "{output_text}");
    assert!(output_text.contains("\n17 frames: 17 IP packets, 1668 bytes\n"), "{output_text}");

    let output = replay(&["--config", &first, "--config", &second, "--config", &first, &capture]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
