//! The unit of systemd can be loaded, and confines the service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The highest exposure that `systemd-analyze security` may give the unit. What remains is what a monitor of packets
/// needs, with its share as systemd 252 prints it, rounded up: the network of the host (0.5), Internet sockets (0.3),
/// packet sockets (0.2), netlink (0.1) and local sockets (0.1), CAP_NET_RAW in the bounding (0.1) and the ambient set
/// (0.1), no user namespace, which would take it away (0.2), the clock that `ProtectClock=` lets be read (0.1), and the
/// root directory of the host (0.1).
const EXPOSURE_MAX: f64 = 1.5;

#[test]
fn systemd_accepts_the_unit() {
    let Some(mut analyze) = systemd_analyze() else { return };
    let folder = tempfile::tempdir().expect("a folder for the test");
    let text = fs::read_to_string(unit()).expect("it is here");
    // The program is not installed where the unit expects it.
    let started = text.replace("ExecStart=/usr/local/bin/TrafficAlerted", "ExecStart=/bin/true");
    assert_ne!(started, text);
    let copy = folder.path().join("TrafficAlerted.service");
    fs::write(&copy, started).expect("it is ours");
    let output = analyze.args(["verify", "--man=no"]).arg(&copy).output().expect("it has been found");
    let errors = String::from_utf8_lossy(&output.stderr);
    // A system without systemd lacks other units.
    let about_ours: Vec<&str> = errors.lines().filter(|line| line.contains("TrafficAlerted")).collect();
    // A version may not know the newest calls, which it then refuses.
    let wrong: Vec<_> = about_ours.iter().filter(|line| !line.contains("system call")).collect();
    assert!(wrong.is_empty() && output.status.success(), "{errors}");
}

#[test]
fn the_unit_is_exposed_no_more_than_it_must_be() {
    let Some(mut analyze) = systemd_analyze() else { return };
    let output = analyze
        .args(["security", "--offline=true", "--no-pager"])
        .arg(unit())
        .output()
        .expect("it was found");
    let text = String::from_utf8_lossy(&output.stdout);
    let exposure = text.split("Overall exposure level for TrafficAlerted.service: ").nth(1);
    let exposure: Option<f64> = exposure.and_then(|rest| rest.split(' ').next()?.parse().ok());
    let exposure = exposure.unwrap_or_else(|| panic!("no figure in {text}"));
    assert!(exposure <= EXPOSURE_MAX, "{text}");
}

/// Calls that the helper of `AlertCommand` refuses and `SystemCallFilter=` of the unit does not: those of keys, which
/// `KeyringMode=` makes those of the service, and the one that `RestrictNamespaces=` refuses.
const NOT_IN_THE_FILTER: [&str; 4] = ["keyctl", "add_key", "request_key", "setns"];

#[test]
fn the_unit_refuses_what_the_helper_of_alert_command_refuses() {
    let Some(mut analyze) = systemd_analyze() else { return };
    let output = analyze.args(["syscall-filter", "--no-pager"]).output().expect("it was found");
    let listed = String::from_utf8_lossy(&output.stdout);
    let sets = sets_of_calls(&listed);
    let text = fs::read_to_string(unit()).expect("it is here");
    let mut allowed = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        let names = line.trim_start_matches('~').split(' ');
        let calls: BTreeSet<String> = names.flat_map(|name| calls_of(name, &sets)).collect();
        match line.starts_with('~') {
            true => allowed.retain(|call| !calls.contains(call)),
            false => allowed.extend(calls),
        }
    }
    assert!(allowed.contains("io_uring_enter") && allowed.contains("openat"), "{allowed:?}");
    let source = include_str!("../../src/sandbox/refused_calls.rs");
    let list = source
        .split("REFUSED_TO_HELPER: &[SystemCall] = calls![")
        .nth(1)
        .and_then(|rest| rest.split("];").next());
    let lines = list.expect("the list is there").lines().filter_map(|line| line.trim().strip_prefix("SYS_"));
    // Those with a condition concern namespaces; see `RestrictNamespaces=`.
    let refused: BTreeSet<&str> =
        lines.filter_map(|line| line.strip_suffix(',')).filter(|name| !name.contains(' ')).collect();
    assert!(refused.len() > 20, "{refused:?}");
    let missing: Vec<_> = refused.into_iter().filter(|name| allowed.contains(*name)).collect();
    assert_eq!(BTreeSet::from_iter(missing), BTreeSet::from(NOT_IN_THE_FILTER));
}

/// Reads what `systemd-analyze syscall-filter` prints: names of sets, and indented their calls and sets.
fn sets_of_calls(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut sets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut set = "";
    for line in text.lines().filter(|line| !line.trim().starts_with('#') && !line.trim().is_empty()) {
        match line.strip_prefix("    ") {
            Some(member) => sets.entry(set).or_default().push(member.trim()),
            None => set = line.trim(),
        }
    }
    sets
}

/// Returns the calls of a set, or the call itself.
fn calls_of(name: &str, sets: &BTreeMap<&str, Vec<&str>>) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let members = sets.get(name).unwrap_or_else(|| panic!("there is no set {name}"));
    members.iter().flat_map(|member| calls_of(member, sets)).collect()
}

/// Returns the tool; `None`, with a message, where it is not installed or too old for `--offline` (systemd 250).
fn systemd_analyze() -> Option<Command> {
    let version = Command::new("systemd-analyze").arg("--version").output();
    let text = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let number: Option<u32> =
        text.split(' ').nth(1).and_then(|number| number.split('.').next()?.parse().ok());
    if number.is_none_or(|number| number < 250) {
        eprintln!(
            "NOT CHECKED: the unit; systemd-analyze of systemd 250 or later is missing (apt-get install systemd)"
        );
        return None;
    }
    Some(Command::new("systemd-analyze"))
}

fn unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("TrafficAlerted.service")
}
