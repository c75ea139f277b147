//! Captures that cannot be read or understood among others: each is said, the others are read, and the exit code is 1.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::packets::build::{IPV4, UDP, ethernet, udp};
use crate::packets::capture_file::{BIG, LITTLE, MICROSECONDS};
use crate::replay_cli::{A, B, Capture, START, replay};

/// A link type that is not decoded: Bluetooth.
const UNDECODED: u32 = 201;

struct Captures {
    folder: TempDir,
    whole: String,
    cut: String,
    none: String,
    other: String,
    undecoded: String,
    empty: String,
}

impl Captures {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut capture = Capture::new();
        for n in 0..20 {
            capture.packet(n * 1000, A, B, UDP, &udp(1, 2, 0));
        }
        let whole = capture.save(&folder, "whole.pcap");
        capture.bytes.truncate(capture.bytes.len() - 3);
        let cut = capture.save(&folder, "cut.pcap");
        let other = Capture { bytes: b"this is no capture".to_vec() }.save(&folder, "other.txt");
        let mut bytes = LITTLE.pcap_header(MICROSECONDS, UNDECODED);
        bytes.extend(LITTLE.pcap_record(START, 0, 4, &[1, 2, 3, 4]));
        let undecoded = Capture { bytes }.save(&folder, "bluetooth.pcap");
        let empty = Capture::new().save(&folder, "empty.pcap");
        let none = folder.path().join("none.pcap").to_str().unwrap().to_owned();
        Self { folder, whole, cut, none, other, undecoded, empty }
    }

    /// Replays, and returns the exit code, the frames counted, and the messages without the folder.
    fn replay(&self, arguments: &[&str]) -> (Option<i32>, Value, String) {
        let Output { status, stdout, stderr } = replay(&[&["--json", "-"], arguments].concat());
        let messages = String::from_utf8(stderr).unwrap().replace(self.folder.path().to_str().unwrap(), "");
        (status.code(), serde_json::from_slice(&stdout).unwrap(), messages)
    }
}

#[test]
fn a_faulty_capture_does_not_end_the_others() {
    let captures = Captures::new();
    let given = [&captures.cut, &captures.none, &captures.other, &captures.whole].map(String::as_str);
    let (code, result, messages) = captures.replay(&given);
    assert_eq!((code, &result["accounting"]["frames"]), (Some(1), &json!(39)), "{messages}");
    let lines: Vec<&str> = messages.lines().collect();
    assert_eq!(lines.len(), 4, "{messages}");
    assert!(lines[0].starts_with("error: capture /cut.pcap is cut short at byte "), "{messages}");
    assert!(lines[0].ends_with("; 19 frames of it were counted"), "{messages}");
    assert!(lines[1].starts_with("error: cannot open capture /none.pcap; check the path"), "{messages}");
    assert!(lines[1].contains("No such file"), "{messages}");
    assert!(lines[2].starts_with("error: /other.txt is no capture"), "{messages}");
    assert_eq!(
        lines[3],
        "error: 3 of 4 captures could not be read or understood whole; the result has the rest"
    );
    let errors: Vec<bool> =
        result["captures"].as_array().unwrap().iter().map(|capture| capture["error"].is_string()).collect();
    assert_eq!(errors, [true, true, true, false]);
}

#[test]
fn with_two_configurations_each_capture_is_read_once_and_the_others_too() {
    let captures = Captures::new();
    let config = captures.folder.path().join("test.conf");
    std::fs::write(&config, "ByteLimit: 1000\n").unwrap();
    let config = config.to_str().unwrap();
    let both = ["--config", config, "--config", config, &captures.cut, &captures.whole];
    let (code, result, messages) = captures.replay(&both);
    assert_eq!(code, Some(1), "{messages}");
    assert_eq!(messages.matches("is cut short").count(), 1, "{messages}");
    assert_eq!(result["both"].as_array().map(Vec::len), Some(1));
    assert_eq!(result["both"][0]["first"]["measured"], 39 * 28);
}

#[test]
fn a_capture_of_which_nothing_is_understood_is_an_error_that_names_the_link_type() {
    let captures = Captures::new();
    let (code, result, messages) = captures.replay(&[&captures.undecoded]);
    assert_eq!((code, &result["accounting"]["frames"]), (Some(1), &json!(1)));
    assert!(
        messages.starts_with(
            "error: nothing in /bluetooth.pcap was understood: 1 frame of link type 201 (BLUETOOTH_"
        ),
        "{messages}"
    );
    assert_eq!(messages.lines().count(), 1, "{messages}");
    let (code, _, messages) = captures.replay(&[&captures.undecoded, &captures.whole]);
    assert_eq!(code, Some(1), "its frames are missing from the result");
    assert!(messages.contains("nothing in /bluetooth.pcap was understood"), "{messages}");
}

#[test]
fn a_capture_without_frames_is_said_and_is_no_error() {
    let captures = Captures::new();
    let (code, result, messages) = captures.replay(&[&captures.empty]);
    assert_eq!((code, messages.as_str()), (Some(0), "warning: /empty.pcap has no frames\n"));
    assert_eq!(result["accounting"]["frames"], 0);
    let output = replay(&[&captures.empty]);
    assert!(output.stdout.starts_with(b"0 frames: 0 IP packets, 0 bytes\n"), "{output:?}");
}

/// A capture of Ethernet frames that contain these bytes.
fn of_frames(folder: &TempDir, name: &str, frames: &[Vec<u8>]) -> String {
    let mut capture = Capture::new();
    for frame in frames {
        capture.bytes.extend(LITTLE.pcap_record(START, 0, 60, frame));
    }
    capture.save(folder, name)
}

#[test]
fn frames_that_are_cut_before_their_packets_are_not_understood() {
    let captures = Captures::new();
    let arp = ethernet(0x0806, &[0; 28]);
    let cut = ethernet(IPV4, &[]);
    for (frames, reason) in [
        (
            vec![cut.clone(); 100],
            "of 100 frames, 100 are skipped as ip_truncated; capture more bytes of each frame",
        ),
        (vec![arp.clone(), cut.clone()], "of 2 frames, 1 are skipped as ip_truncated; capture more bytes"),
        (vec![cut[..13].to_vec(); 3], "of 3 frames, 3 are skipped as link_truncated; capture more bytes"),
        (vec![ethernet(IPV4, &[0x65; 40])], "of 1 frame, 1 are skipped as ip_version; check with capinfos"),
    ] {
        let path = of_frames(&captures.folder, "cut-frames.pcap", &frames);
        let (code, result, messages) = captures.replay(&[&path]);
        assert_eq!(code, Some(1), "{messages}");
        let said = format!("nothing in /cut-frames.pcap was understood: {reason}");
        assert!(messages.starts_with(&format!("error: {said}")), "{messages}");
        let warning = result["warnings"][0].as_str().unwrap();
        assert!(warning.ends_with(messages.trim().rsplit(": of ").next().unwrap()), "{warning}");
    }
    let mut frames = vec![cut; 300];
    frames.push(std::fs::read(&captures.whole).unwrap()[40..].to_vec());
    let path = of_frames(&captures.folder, "one-packet.pcap", &frames);
    assert_eq!(captures.replay(&[&path]).0, Some(0), "a packet was understood");
}

#[test]
fn a_capture_of_other_protocols_has_no_ip_packets_and_is_no_error() {
    let captures = Captures::new();
    let path = of_frames(&captures.folder, "arp.pcap", &vec![ethernet(0x0806, &[0; 28]); 300]);
    let (code, result, messages) = captures.replay(&[&path]);
    assert_eq!(code, Some(0), "{messages}");
    let said = "/arp.pcap has no IP packets: 300 frames of other protocols, such as ARP";
    assert_eq!(messages, format!("warning: {said}\n"));
    assert!(result["warnings"][0].as_str().unwrap().ends_with(said));
    assert_eq!(result["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_passed_over_in_a_capture_is_among_the_warnings() {
    let captures = Captures::new();
    let mut section = BIG.section();
    section[12..16].copy_from_slice(&[BIG.u16(2), BIG.u16(0)].concat());
    let frame = std::fs::read(&captures.whole).unwrap()[40..82].to_vec();
    let padded = [&frame[..], &[0; 2]].concat();
    let bytes = [
        BIG.section(),
        BIG.interface(1, 0, &[]),
        BIG.interface(UNDECODED as u16, 0, &[]),
        BIG.enhanced(0, 1_790_000_000_000_000, 42, &padded[..]),
        BIG.enhanced(1, 1_790_000_000_000_000, 4, &[1, 2, 3, 4]),
        section,
        BIG.interface(1, 0, &[]),
    ]
    .concat();
    let path = Capture { bytes }.save(&captures.folder, "sections.pcapng");
    let (code, result, messages) = captures.replay(&[&path]);
    assert_eq!(code, Some(1), "{messages}");
    let warnings: Vec<&str> =
        result["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("1 section skipped, the first at byte "), "{warnings:?}");
    assert!(warnings[1].starts_with("1 frame of link type 201 (BLUETOOTH_"), "{warnings:?}");
    assert_eq!(messages.lines().count(), warnings.len(), "text says the same: {messages}");
}
