//! Captures whose times are out of order, through the real binary: what is said of them, and that nobody is accused.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::packets::build::{UDP, udp};
use crate::replay_cli::{A, B, Capture, START, replay};

const CONFIG: &str = "TrafficInterval: 60\nByteLimit: 1500\nContactedIPsAnalyze: false\n";
const HOUR: u32 = 3600;

/// Writes captures with packets of 100 bytes that were seen at these seconds, and replays them in this order. Returns
/// the result and the messages.
fn replayed(captures: &[(&str, Vec<u32>)]) -> (Value, String) {
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("test.conf");
    std::fs::write(&config, CONFIG).unwrap();
    let mut arguments = vec!["--config".to_owned(), config.to_str().unwrap().to_owned()];
    arguments.extend(["--json", "-"].map(str::to_owned));
    for (name, seconds) in captures {
        let mut capture = Capture::new();
        for &second in seconds {
            capture.packet_at([second, 0], A, B, UDP, &udp(5000, 53, 72));
        }
        arguments.push(capture.save(&folder, name));
    }
    let output = replay(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let folder_text = format!("{}/", folder.path().display());
    let without_folder = |text: Vec<u8>| String::from_utf8(text).unwrap().replace(&folder_text, "");
    let messages = without_folder(output.stderr);
    assert_eq!(output.status.code(), Some(0), "{messages}");
    let result: Value = serde_json::from_str(&without_folder(output.stdout)).unwrap();
    let frames: usize = captures.iter().map(|(_, seconds)| seconds.len()).sum();
    assert_eq!(result["accounting"]["ip_packets"], frames, "every packet is in the sums");
    assert_eq!(result["hosts"][0]["packets"], frames);
    (result, messages)
}

/// Twenty minutes with a packet each five seconds: at most 1300 bytes in the window.
fn steady() -> Vec<u32> {
    (0..240).map(|n| START + 5 * n).collect()
}

#[test]
fn steady_traffic_accuses_nobody_whatever_its_clock_does() {
    let back: Vec<u32> =
        steady().iter().enumerate().map(|(n, at)| at - if n < 100 { 0 } else { HOUR }).collect();
    let ahead: Vec<u32> =
        steady().iter().enumerate().map(|(n, at)| at + if n < 100 { 0 } else { HOUR }).collect();
    let mut wrong = steady();
    (wrong[50], wrong[100], wrong[101], wrong[150]) = (0, 2_147_483_647, 2_147_483_647, 1);
    let reversed: Vec<u32> = steady().into_iter().rev().collect();
    let cases = [
        (steady(), ""),
        (
            back,
            "warning: the clock of the capture was set back once, first by about 1 h at frame 101 of test.pcap: time \
             goes on from before, so later alerts carry a later time than their frames\n",
        ),
        (ahead, ""),
        (
            wrong,
            "warning: the times of 4 frames (first frame 51 of test.pcap, 1970-01-01T00:00:00Z) contradict the frames \
             around them: they were counted at the time of the frame before\n",
        ),
        (
            reversed,
            "warning: the capture runs backwards: 240 frames (first frame 1 of test.pcap, 2026-09-21T14:33:15Z) are \
             in the sums, but no limit was applied to them; put them in order with reordercap\n",
        ),
    ];
    for (seconds, expected) in cases {
        let (result, messages) = replayed(&[("test.pcap", seconds)]);
        assert_eq!(messages, expected);
        assert_eq!(result["alerts"], json!([]), "{messages}");
        let warning = expected.strip_prefix("warning: ").map(str::trim_end);
        assert_eq!(result["warnings"], json!(Vec::from_iter(warning)));
    }
}

#[test]
fn captures_are_read_in_the_order_of_their_first_frames() {
    let parts: Vec<Vec<u32>> = steady().chunks(20).map(<[u32]>::to_vec).collect();
    let named = |n: usize| if n == 0 { "ring.pcap".to_owned() } else { format!("ring.pcap{n}") };
    let mut captures: Vec<(String, Vec<u32>)> =
        parts.into_iter().enumerate().map(|(n, part)| (named(n), part)).collect();
    captures.sort();
    let as_given: Vec<(&str, Vec<u32>)> =
        captures.iter().map(|(name, part)| (name.as_str(), part.clone())).collect();
    let (result, messages) = replayed(&as_given);
    let expected: Vec<String> = (0..12).map(named).collect();
    assert_eq!(
        messages,
        format!("the captures are read in the order of their first frames: {}\n", expected.join(", "))
    );
    assert_eq!(result["alerts"], json!([]));
    let read = result["captures"].as_array().unwrap();
    let read: Vec<&str> = read.iter().map(|capture| capture["path"].as_str().unwrap()).collect();
    assert_eq!(read, expected);

    // Captures without frames keep their place, and those that begin at the same time keep their order.
    let (early, late) = (vec![START], vec![START + 9]);
    let (result, messages) = replayed(&[("c", early.clone()), ("none", vec![]), ("a", late), ("b", early)]);
    assert!(
        messages.starts_with("the captures are read in the order of their first frames: c, none, b, a\n"),
        "{messages}"
    );
    assert!(messages.contains("warning: none has no frames\n"), "{messages}");
    assert_eq!(result["captures"].as_array().map(Vec::len), Some(4));
}

#[test]
fn captures_that_overlap_are_said() {
    let second: Vec<u32> = steady()[120..].to_vec();
    let (result, messages) = replayed(&[("eth0.pcap", steady()), ("eth1.pcap", second)]);
    assert_eq!(result["alerts"], json!([]));
    assert!(
        messages
            .starts_with("warning: captures overlap once, first by about 10 min at frame 1 of eth1.pcap: "),
        "{messages}"
    );
}

/// A busy host with a hundred packets a second, some of them reordered, and a slow one with a new peer each 12 s. In
/// reverse, the clock seems to be set back again and again.
#[test]
fn a_reversed_capture_with_reordered_frames_accuses_nobody() {
    let slow = [10, 0, 0, 7];
    let micros = |n: u32| n * 10_000 + (n.wrapping_mul(2_654_435_761) >> 8) % 100_000;
    let mut times: Vec<(u32, bool)> = (0..40_000)
        .flat_map(|n| [(micros(n), false)].into_iter().chain((n % 1200 == 0).then_some((micros(n), true))))
        .collect();
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("test.conf");
    std::fs::write(&config, "TrafficInterval: 60\nNumberContactedIPs: 6\nAnalyzePorts: false\n").unwrap();
    for name in ["forwards.pcap", "backwards.pcap"] {
        let mut capture = Capture::new();
        for &(at, is_slow) in &times {
            let at = [START + at / 1_000_000, at % 1_000_000];
            let [.., seconds] = (at[0] / 12).to_be_bytes();
            let (src, dst) = if is_slow { (slow, [10, 9, 0, seconds]) } else { (A, B) };
            capture.packet_at(at, src, dst, UDP, &udp(5000, 53, 0));
        }
        let path = capture.save(&folder, name);
        let output = replay(&["--config", config.to_str().unwrap(), "--json", "-", &path]);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!(messages.contains("runs backwards"), name == "backwards.pcap", "{messages}");
        assert_eq!(result["alerts"], json!([]), "{name}: {messages}");
        times.reverse();
    }
}

/// With more than five seconds between frames, each frame waits for those after it, also for those of the next file.
#[test]
fn a_slow_host_is_found_whatever_capture_follows() {
    // Two packets each six seconds: 2000 bytes in the window.
    let slow: Vec<u32> = (0..20).map(|n| START + 6 * (n / 2)).collect();
    let (alone, _) = replayed(&[("eth0.pcap", slow.clone())]);
    let (followed, _) = replayed(&[("eth0.pcap", slow.clone()), ("eth1.pcap", slow)]);
    let found = |result: &Value| result["alerts"].as_array().unwrap().len();
    assert_eq!((found(&alone), found(&followed)), (1, 1), "{followed}");
}

/// The limit is exceeded on the later clock: the alert carries the time that elapsed on the clock before.
#[test]
fn after_a_clock_was_set_back_limits_hold_and_time_goes_on() {
    let mut seconds = steady();
    seconds.extend((0..40).map(|n| START + 1200 - HOUR + n));
    let (result, _) = replayed(&[("test.pcap", seconds)]);
    let alerts = result["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let opened_at: jiff::Timestamp = alerts[0]["opened_at"].as_str().unwrap().parse().unwrap();
    let elapsed = opened_at.as_second() - i64::from(START);
    assert!((1195..1240).contains(&elapsed), "{elapsed} s");
}

#[test]
fn frames_that_all_have_one_time_are_said() {
    let (_, messages) = replayed(&[("still.pcap", vec![START; 1001])]);
    assert_eq!(
        messages,
        "warning: all frames have the same time, so limits were applied as if all had come at once\n"
    );
}
