//! Signals during a replay: the sums so far are printed, whatever it waits for.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::Value;
use tempfile::TempDir;

use crate::packets::build::{UDP, udp};
use crate::replay_cli::{A, B, Capture};

fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"))
        .arg("replay")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns a field of `/proc/PID/status`.
fn status_field(child: &Child, field: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

/// Waits until the process has blocked SIGINT and waits for input that is not there: the pipe, if any, is empty.
fn wait_until_it_waits(child: &Child, pipe: Option<&ChildStdin>) {
    let takes_signals = || {
        let blocked = u64::from_str_radix(&status_field(child, "SigBlk"), 16).unwrap_or_default();
        blocked & 1 << (Signal::SIGINT as u64 - 1) != 0
    };
    wait_until("SIGINT is blocked", takes_signals);
    let is_read = || pipe.is_none_or(|pipe| rustix::io::ioctl_fionread(pipe).unwrap() == 0);
    wait_until("the input is read", || is_read() && status_field(child, "State").starts_with('S'));
}

fn capture(frames: u32) -> Capture {
    let mut capture = Capture::new();
    for n in 0..frames {
        let [_, b, c, d] = n.to_be_bytes();
        capture.packet(n, A, [10, b + 1, c, d], UDP, &udp(1, 2, 0));
    }
    capture
}

#[test]
fn a_signal_ends_a_replay_with_the_sums_so_far_while_the_pipe_stays_open() {
    for (signal, name) in [(Signal::SIGINT, "SIGINT"), (Signal::SIGTERM, "SIGTERM")] {
        let mut child = start(&["--json", "-", "-"]);
        let mut pipe = child.stdin.take().unwrap();
        let mut bytes = capture(40).bytes;
        // The last record is not whole yet.
        bytes.truncate(bytes.len() - 5);
        pipe.write_all(&bytes).unwrap();
        wait_until_it_waits(&child, Some(&pipe));
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{messages}");
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&result["accounting"]["frames"], &result["interrupted"]), (&39.into(), &true.into()));
        let expected = format!("warning: interrupted by {name} after 39 frames; the sums so far follow\n");
        assert_eq!(messages, expected);
        drop(pipe);
    }
}

#[test]
fn a_signal_ends_the_wait_for_a_named_pipe_and_later_captures_are_not_opened() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let whole = capture(10).save(&folder, "whole.pcap");
    let mut child = start(&[&whole, pipe.to_str().unwrap(), &whole]);
    child.stdin.take();
    wait_until_it_waits(&child, None);
    // It waits in poll(2) for a writer, of whom there is none, or has not come as far yet; both end.
    send(&child, Signal::SIGINT);
    let output = child.wait_with_output().unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{messages}");
    assert!(messages.contains("interrupted by SIGINT after"), "{messages}");
}

#[test]
fn a_named_pipe_is_read_to_its_end() {
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let child = start(&["--json", "-", pipe.to_str().unwrap()]);
    File::options().write(true).open(&pipe).unwrap().write_all(&capture(3000).bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["accounting"]["frames"], 3000);
}

/// It cannot go on writing its result, since nobody reads that.
#[test]
fn a_second_signal_ends_the_process_at_once() {
    let folder = TempDir::new().unwrap();
    let whole = capture(5000).save(&folder, "whole.pcap");
    let mut child = start(&["--json", "-", &whole]);
    let output = child.stdout.take().unwrap();
    wait_until("it writes", || rustix::io::ioctl_fionread(&output).unwrap() >= 50_000);
    send(&child, Signal::SIGINT);
    wait_until("the first signal is taken", || {
        status_field(&child, "ShdPnd").bytes().all(|digit| digit == b'0')
    });
    assert_eq!(child.try_wait().unwrap(), None, "it still writes");
    send(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::SIGINT as i32));
    drop(output);
}

#[test]
fn a_pipe_is_compared_with_two_configurations() {
    let folder = TempDir::new().unwrap();
    let config = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (low, high) = (config("low", "ByteLimit: 1000\n"), config("high", "ByteLimit: 2000\n"));
    let mut child = start(&["--config", &low, "--config", &high, "--json", "-", "-"]);
    let mut bytes = Capture::new();
    for n in 0..50 {
        bytes.packet(n, A, B, UDP, &udp(1, 2, 0));
    }
    child.stdin.take().unwrap().write_all(&bytes.bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["only_first"].as_array().map(Vec::len), Some(1));
    assert_eq!(result["only_second"].as_array().map(Vec::len), Some(0));
}
