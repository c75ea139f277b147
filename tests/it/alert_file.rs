//! `AlertFile` under kill -9: what was acknowledged is in the file, once and whole, and no line is torn.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use traffic_alerted::alert::{
    Alert, AlertKind, FileOptions, Notice, Retry, ShutdownTimeouts, SinkOptions, Sinks,
};
use traffic_alerted::flow::PeerBytes;
use traffic_alerted::logging::LinePrefix;
use traffic_alerted::time::UnixNanos;

/// Environment variable with the file of the process that is to be killed.
const FILE: &str = "TRAFFIC_ALERTED_TEST_FILE";
/// Environment variable with the prefix of the ids of its alerts.
const LIFE: &str = "TRAFFIC_ALERTED_TEST_LIFE";

/// Kills at these numbers of acknowledged alerts: at once, within the first file, over several of them.
const KILLED_AT: [u64; 8] = [1, 2, 3, 50, 64, 200, 333, 700];

#[test]
fn a_kill_tears_no_line_and_loses_nothing_that_was_acknowledged() {
    if let Some(path) = env::var_os(FILE) {
        return write_until_killed(Path::new(&path), &env::var(LIFE).expect("it is set with the other"));
    }
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("alerts.jsonl");
    let mut acknowledged: Vec<String> = Vec::new();
    for (life, killed_at) in KILLED_AT.into_iter().enumerate() {
        let mut child = Writing::start(&path, life);
        let last = child.wait_for(killed_at);
        child.kill();
        acknowledged.extend((1..=last).map(|number| format!("{life}-{number}")));
        // As the killed process left it: at most the end is torn.
        read(folder.path());
    }
    // The next process that opens it cuts the end off.
    let mut child = Writing::start(&path, KILLED_AT.len());
    child.wait_for(1);
    child.kill();
    let lines = read(folder.path());
    for id in &acknowledged {
        assert_eq!(lines.get(id), Some(&1), "{id} was acknowledged");
    }
    assert!(lines.values().all(|times| *times == 1), "{lines:?}");
}

/// Returns how often each id is in the files. Every line is an alert, except for an incomplete one at the end of the
/// youngest file.
fn read(folder: &Path) -> BTreeMap<String, usize> {
    let mut ids = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("it is ours") {
        let path = entry.expect("it is ours").path();
        let text = fs::read_to_string(&path).expect("alerts are text");
        let is_youngest = path.extension().is_some_and(|extension| extension == "jsonl");
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        assert!(whole == text.len() || is_youngest, "{}", path.display());
        for line in text[..whole].lines() {
            let alert: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let id = alert["id"].as_str().expect("an alert has an id").to_owned();
            assert_eq!(alert["evidence"]["ports"].as_array().map(Vec::len), Some(1000));
            *ids.entry(id).or_default() += 1;
        }
    }
    ids
}

/// A process that writes alerts as fast as it can.
struct Writing {
    child: Child,
    acknowledged: Box<dyn Iterator<Item = u64>>,
}

impl Writing {
    fn start(path: &Path, life: usize) -> Self {
        let mut child = Command::new(env::current_exe().expect("a running test has an executable"))
            .args([
                "alert_file::a_kill_tears_no_line_and_loses_nothing_that_was_acknowledged",
                "--exact",
                "--nocapture",
            ])
            .env(FILE, path)
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it has started before");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let numbers =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("filed ")?.parse().ok());
        Self { child, acknowledged: Box::new(numbers) }
    }

    /// Waits until so many are acknowledged, and returns the number of the last.
    fn wait_for(&mut self, number: u64) -> u64 {
        self.acknowledged.find(|filed| *filed >= number).expect("it writes until it is killed")
    }

    fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it was killed");
    }
}

fn write_until_killed(path: &Path, life: &str) {
    // So large that three files hold the 13 MB: a flood replaces its own files from the fourth on.
    let file = FileOptions { path: path.to_owned(), bytes_max: 6_000_000, keep: 1000 };
    let options = SinkOptions { file: Some(file), retry: Retry::default(), ..SinkOptions::default() };
    let sinks =
        Sinks::start(io::sink(), LinePrefix::Journal, &options, None).expect("the system gives threads");
    let mut sent = 0;
    let mut filed = 0;
    loop {
        while sent < filed + 200 {
            let receipt =
                sinks.notify(UnixNanos(0), Notice::Opened(large_alert(format!("{life}-{}", sent + 1))));
            assert!(receipt.is_for_file);
            sent = receipt.number;
        }
        let now = sinks.filed();
        if now > filed {
            filed = now;
            if writeln!(io::stdout(), "filed {filed}").is_err() {
                let timeout = Duration::ZERO;
                sinks.finish(ShutdownTimeouts { log: timeout, others: timeout });
                return;
            }
        }
        std::thread::yield_now();
    }
}

/// Returns an alert whose line spans pages, so that a kill can tear it.
fn large_alert(id: String) -> Alert {
    let peer = |n: u8| PeerBytes { addr: [10, 0, 0, n].into(), ip_bytes: u64::from(n) };
    Alert {
        id,
        kind: AlertKind::ScanningPort,
        source: Some([192, 0, 2, 1].into()),
        opened_at: UnixNanos(0),
        closed_at: None,
        measured: 1000,
        limit: 100,
        window: Duration::from_secs(600),
        ip_bytes: 40_000,
        destinations: (0..100).map(peer).collect(),
        ports: (0..1000).collect(),
        loss: Default::default(),
        scan: None,
        progress: Default::default(),
    }
}
