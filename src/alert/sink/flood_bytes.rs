//! How much a flood of alerts writes to `AlertFile` in an hour, and what it pushes out.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::alert::evidence::Evidence;
use crate::alert::ledger::{CloseTimeouts, Ledger};
use crate::alert::notice::Notice;
use crate::alert::record::AlertKind;
use crate::detect::Finding;
use crate::flow::PeerBytes;
use crate::time::{Moment, UnixNanos};

use super::file::{AlertFile, FileOptions};
use super::queued_notice::QueuedNotice;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::worker::Sink;

const SECOND: u64 = 1_000_000_000;
const HOUR_S: u64 = 3600;

/// Seconds between two judgements.
const STEP_S: u64 = 30;

/// How long a host of the flood is over its limit.
const ACTIVE_S: u64 = 60;

/// The default of `AlertFileMaxSize`.
const FILE_BYTES: usize = 10_000_000;

/// Calls `each` with the notices of a steady flood of an hour: each second `per_second` new remote hosts exceed a
/// limit, and each is over it for a minute. `times` is by how much the n-th host exceeds it.
fn flood(burst: Option<u32>, per_second: u64, times: impl Fn(u64) -> u64, mut each: impl FnMut(&Notice)) {
    let timeout = Duration::from_secs(170);
    let mut ledger = Ledger::new(CloseTimeouts { traffic: timeout, ports: timeout }, timeout);
    ledger.set_burst(burst);
    for second in (0..HOUR_S).step_by(usize::try_from(STEP_S).expect("it fits")) {
        let (now, wall) = (Moment((1000 + second) * SECOND), UnixNanos((1_790_000_000 + second) * SECOND));
        let mut notices = Vec::new();
        ledger.close_inactive(now, wall, &mut notices);
        let first = second.saturating_sub(ACTIVE_S) * per_second;
        for n in first..(second + STEP_S) * per_second {
            let host = u32::try_from(n).expect("there are fewer hosts");
            let source = IpAddr::V4((0x0b00_0001 + host * 7).into());
            let finding = Finding {
                kind: AlertKind::Scanning,
                source: Some(source),
                measured: 15 * times(n),
                error_bound: 0,
                limit: 15,
            };
            notices.extend(ledger.apply(&finding, now, wall, |_| evidence()));
        }
        ledger.finish_judgement(now, wall, &mut notices, 0);
        notices.iter().for_each(&mut each);
    }
}

/// As many destinations as an alert of a flood has: one more than the limit, and some.
fn evidence() -> Evidence {
    let peer = |n: u8| PeerBytes { addr: [198, 18, 7, n].into(), ip_bytes: 44 };
    Evidence { ip_bytes: 880, destinations: (100..120).map(peer).collect(), ..Evidence::default() }
}

fn line_bytes(notice: &Notice) -> usize {
    let queued = QueuedNotice::new(1, UnixNanos(0), notice.clone());
    queued.json(queued.source()).len() + 1
}

/// Returns the number of lines and of bytes that an hour writes.
fn an_hour(burst: Option<u32>, per_second: u64, times: impl Fn(u64) -> u64) -> (usize, usize) {
    let (mut lines, mut bytes) = (0, 0);
    flood(burst, per_second, times, |notice| {
        lines += 1;
        bytes += line_bytes(notice);
    });
    (lines, bytes)
}

#[test]
fn an_hour_of_a_flood_fills_less_than_a_file_with_the_default_burst() {
    let steady = an_hour(Some(20), 5, |_| 2);
    // Whoever knows the rules makes as many hosts as possible exceed the mean by ten times, which are notified singly.
    let outstanding = an_hour(Some(20), 5, |n| if n % 20 == 0 { 400 } else { 2 });
    let without = an_hour(None, 1, |_| 2);
    eprintln!(
        "lines and bytes in an hour: {steady:?}, with outstanding hosts {outstanding:?}, burst off {without:?}"
    );
    assert!(steady.0 < 200 && steady.1 < FILE_BYTES / 10, "{steady:?}");
    assert!(outstanding.1 < FILE_BYTES, "{outstanding:?}");
    // Without storms each host is two lines: a hundred hosts a second would fill all six files within five minutes.
    assert!(without.0 > 6_500 && without.1 > FILE_BYTES / 2, "{without:?}");
}

/// Without storms a flood writes many times what the files hold.
#[test]
fn a_flood_without_storms_does_not_push_out_what_the_file_has() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("alerts.jsonl");
    let numbered = |number: u32| folder.path().join(format!("alerts.jsonl.{number}"));
    let earlier = |name: &str| format!("{{\"id\":\"{name}\"}}\n");
    let day = Duration::from_secs(24 * 3600);
    for days_ago in 1..=5 {
        std::fs::write(numbered(days_ago), earlier(&format!("day-{days_ago}"))).expect("it is ours");
        let file = std::fs::File::options().append(true).open(numbered(days_ago)).expect("it is ours");
        file.set_modified(SystemTime::now() - day * days_ago).expect("it is ours");
    }
    std::fs::write(&path, earlier("today")).expect("it is ours");
    let options = FileOptions { path: path.clone(), bytes_max: 50_000, keep: 5 };
    let mut file = AlertFile::new(options, Retry::default());
    let shutdown = Shutdown::new().expect("descriptors");
    let mut written = 0;
    let mut batch = Vec::new();
    flood(
        None,
        1,
        |_| 2,
        |notice| {
            written += line_bytes(notice);
            batch.push(Arc::new(QueuedNotice::new(1, UnixNanos(0), notice.clone())));
            while batch.len() >= 64 {
                let taken =
                    file.deliver(&batch, &shutdown).unwrap_or_else(|failure| panic!("{}", failure.why));
                batch.drain(..taken);
            }
        },
    );
    assert!(written > 100 * 50_000, "{written}");
    let begins = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("it was kept");
        text.lines().next().map(str::to_owned).unwrap_or_default()
    };
    // The first file of the flood has what was there before.
    let kept: Vec<String> = (2..=5).map(|number| begins(&numbered(number))).collect();
    let want = ["today", "day-1", "day-2", "day-3"].map(|name| earlier(name).trim_end().to_owned());
    assert_eq!(kept, want);
    assert!(begins(&numbered(1)).contains("SCANNING") && begins(&path).contains("SCANNING"));
}
