//! Text of strangers on the real binary: names with characters that have no glyph and change how the text around them
//! looks are shown with escapes, wherever they are named.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use traffic_alerted::escape::is_hidden;

use crate::replay_cli::{A, B, Capture};

use crate::packets::build::{UDP, udp};

/// A name that a terminal shows as another one, and that would delete the line before it.
const NAME: &str = "a\u{202e}pacp.\u{200b}\u{1b}[2K\u{2066}b";

/// The same name as it is shown.
const SHOWN: &str = r"a\u{202e}pacp.\u{200b}\u{1b}[2K\u{2066}b";

fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"));
    command.current_dir(folder).args(args).output().expect("the binary runs")
}

/// Returns both outputs of a call, after it was checked that nothing hidden is in them except line ends, and that one
/// of them has the name.
fn shown(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).expect("text")).concat();
    assert!(!text.contains(|c| is_hidden(c) && c != '\n'), "{args:?}: {text:?}");
    assert!(text.contains(SHOWN), "{args:?}: {text:?}");
    text
}

#[test]
fn file_names_are_shown_with_escapes() {
    let folder = TempDir::new().expect("a folder for the test");
    let at = folder.path();
    let mut capture = Capture::new();
    capture.packet(0, A, B, UDP, &udp(5000, 53, 20));
    fs::write(at.join(NAME), &capture.bytes).expect("the folder is writable");
    fs::write(at.join(format!("cut{NAME}")), &capture.bytes[..capture.bytes.len() - 5]).expect("writable");
    fs::write(at.join(format!("text{NAME}")), "no capture").expect("writable");
    fs::write(at.join(format!("first{NAME}.conf")), "ByteLimit: 1\n").expect("writable");
    fs::write(at.join("second.conf"), "").expect("writable");
    fs::write(at.join(format!("wrong{NAME}.conf")), "Workers: none\n").expect("writable");
    let with = |before: &str, after: &str| format!("{before}{NAME}{after}");
    let (cut, text, missing) = (with("cut", ""), with("text", ""), with("missing", ""));
    let (first, wrong, unreadable) = (with("first", ".conf"), with("wrong", ".conf"), with("none", ".conf"));
    let calls: [&[&str]; 12] = [
        &["replay", NAME],
        &["replay", &cut],
        &["replay", &text],
        &["replay", &missing],
        &["replay", &cut, &text],
        &["replay", "--config", &first, "--config", "second.conf", NAME],
        &["replay", "--json", NAME, NAME],
        &["replay", "--json", &with("none", "/out"), NAME],
        &["check", &wrong],
        &["check", &unreadable],
        &["replay", "--config", &wrong, NAME],
        &[&wrong],
    ];
    for args in calls {
        shown(at, args);
    }
    // In JSON it is the value that has the escapes.
    let json = run(at, &["replay", "--json", "-", NAME]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json["captures"][0]["path"], SHOWN);
}

/// The text of a configuration may come from a web page or from a program.
#[test]
fn text_of_a_configuration_is_shown_with_escapes() {
    let folder = TempDir::new().expect("a folder for the test");
    let at = folder.path();
    let cases = [
        "By\u{200f}te\u{202e}Limit: 1\n",
        "ExcludedInterfaces: lo,\"e\u{202e}th0\"\n",
        "Promiscuous: et\u{2066}h0\n",
        "WebhookURL: https://a\u{200b}.example/\n",
        "AlertCommand: \"/none/a\u{202e}b\" \"\u{2066}\"\nWorkers: none\n",
        "# note\u{202e} and\u{e0041} tag\nno colon\u{200e} here\n",
    ];
    for text in cases {
        for format in ["text", "json"] {
            fs::write(at.join("it.conf"), format!("LogFormat: {format}\n{text}")).expect("writable");
            let output = run(at, &["check", "it.conf"]);
            assert_eq!(output.status.code(), Some(2), "{text:?}");
            let report = String::from_utf8(output.stderr).expect("text");
            assert!(!report.contains(|c| is_hidden(c) && c != '\n'), "{text:?}: {report:?}");
            assert_eq!(report.starts_with('{'), format == "json", "{report}");
        }
    }
    // What the file names and what cannot be used is a warning.
    fs::write(at.join("it.conf"), "AlertCommand: \"/none/a\u{202e}b\"\n").expect("writable");
    let warnings = String::from_utf8(run(at, &["check", "it.conf"]).stderr).expect("text");
    assert!(!warnings.contains(|c| is_hidden(c) && c != '\n'), "{warnings:?}");
    assert!(warnings.contains("cannot be used now"), "{warnings}");
}

/// Each command reports a wrong file in the format that the file asks for, as the monitor does.
#[test]
fn every_command_reports_a_wrong_file_in_the_format_that_it_asks_for() {
    let folder = TempDir::new().expect("a folder for the test");
    fs::write(folder.path().join("it.conf"), "LogFormat: json\nWorkers: none\n").expect("writable");
    let calls: [&[&str]; 4] = [
        &["check", "it.conf"],
        &["test-alert", "it.conf"],
        &["replay", "--config", "it.conf", "a"],
        &["it.conf"],
    ];
    for args in calls {
        let output = run(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let lines = String::from_utf8(output.stderr).expect("text");
        let record: serde_json::Value =
            serde_json::from_str(&lines).unwrap_or_else(|_| panic!("{args:?}: {lines}"));
        assert_eq!(record["level"], "error");
        let message = record["message"].as_str().expect("a text");
        assert!(message.starts_with("it.conf:2: bad value for `Workers`"), "{message}");
    }
}
