//! `AlertFile` on a full disk and without io_uring: no alert is lost, nothing else waits, and the log reports when the
//! disk is full and when it has room again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::support::host::Host;
use crate::support::injector::{Udp, frame_from};
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal, TIMEOUT};
use crate::support::tool::{run, tool};
use crate::waiting::refuse_io_uring;

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

#[test]
fn a_full_disk_delays_the_file_and_nothing_else() {
    inside(|| {
        let disk = tempfile::tempdir().expect("a folder for the test");
        run(tool("mount", "mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(disk.path()));
        let ballast = disk.path().join("ballast");
        fill(&ballast);

        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let path = disk.path().join("alerts.jsonl");
        let config = format!("{EVERY_HOST}ByteLimit: 100K\nAlertFile: {}\n", path.display());
        let mut program = Program::start(&router, &config);
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);

        let line = program.line("make room on the disk").expect("the log has that the disk is full");
        assert!(line.text.contains("warning: AlertFile: cannot write"), "{}", line.text);
        program.alert("TRAFFIC", HEAVY);
        assert_eq!(fs::read_to_string(&path).expect("it was made"), "");
        fs::remove_file(&ballast).expect("it is ours");
        program.line("AlertFile: delivers again").expect("the log has that there is room");
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert_eq!(ended.text().matches("make room").count(), 1, "{}", ended.text());
        let text = fs::read_to_string(&path).expect("it was made");
        let alert: Value = serde_json::from_str(&text).expect("one line, whole");
        assert_eq!((&alert["source"], &alert["state"]), (&HEAVY.to_string().into(), &"open".into()));
    });
}

#[test]
fn the_file_is_written_without_io_uring() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("alerts.jsonl");
        // A line that a crash left incomplete.
        fs::write(&path, "{\"id\":\"1-1\"}\n{\"id\":\"1-").expect("it is ours");
        let config = format!("{EVERY_HOST}ByteLimit: 100K\nAlertFile: {}\n", path.display());
        let mut program = router.on(|| {
            refuse_io_uring();
            Program::start(&router, &config)
        });
        program.line("AlertFile is written without io_uring: ").expect("it is logged");
        program.line("AlertFile: cut off 9 bytes").expect("it is logged");
        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        program.alert("TRAFFIC", HEAVY);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let text = fs::read_to_string(&path).expect("it is there");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!((&lines[0]["id"], &lines[1]["source"]), (&"1-1".into(), &HEAVY.to_string().into()));
    });
}

/// Each of 50 hosts has an alert that neither the file nor the webhook takes before the program ends.
#[test]
fn what_a_full_disk_and_a_webhook_did_not_take_arrives_after_a_restart() {
    inside(|| {
        let disk = tempfile::tempdir().expect("a folder for the test");
        run(tool("mount", "mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(disk.path()));
        let ballast = disk.path().join("ballast");
        fill(&ballast);
        let state = tempfile::tempdir().expect("a folder for the test");
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let listen = |port: u16| router.on(|| TcpListener::bind(("127.0.0.1", port)).expect("it is free"));
        let port = listen(0).local_addr().expect("it is bound").port();
        let path = disk.path().join("alerts.jsonl");
        let config = format!(
            "{EVERY_HOST}ByteLimit: 5K\nAlertBurst: off\nAlertRate: off\nStateDirectory: {}\nAlertFile: {}\n\
             WebhookURL: http://127.0.0.1:{port}/\n",
            state.path().display(),
            path.display(),
        );
        let program = Program::start(&router, &config);
        let hosts: Vec<String> = (1..=50).map(|host| format!("10.0.0.{host}")).collect();
        let frames: Vec<_> = (1..=50)
            .flat_map(|host| std::iter::repeat_n(frame_from(Ipv4Addr::new(10, 0, 0, host)), 6))
            .collect();
        far.injector("far0").send_at_rate(&frames, 5000);
        let open = |program: &Program| {
            let alerts: Value = program.get_json("/api/v1/alerts");
            alerts.as_array().map_or(0, Vec::len)
        };
        program.wait_for("all are open", open, |&open| open == hosts.len());
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let text = ended.text();
        assert_eq!(text.matches("EVENT=TRAFFIC ").count(), hosts.len(), "{text}");
        assert_eq!(fs::read_to_string(&path).unwrap_or_default(), "");

        fs::remove_file(&ballast).expect("it is ours");
        let posted = take_posts(listen(port), Duration::ZERO);
        let program = Program::start(&router, &config);
        let mut at_webhook = Vec::new();
        while at_webhook.len() < hosts.len() {
            at_webhook.push(posted.recv_timeout(TIMEOUT).expect("it is posted"));
        }
        let lines = |_: &Program| fs::read_to_string(&path).unwrap_or_default();
        let in_file =
            program.wait_for("all are in the file", lines, |text| text.lines().count() == hosts.len());
        let in_file: Vec<Value> =
            in_file.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let of = |alerts: &[Value], field: &str| alerts.iter().map(|alert| alert[field].clone()).collect();
        let (ids, posted_ids): (Vec<Value>, Vec<Value>) = (of(&in_file, "id"), of(&at_webhook, "id"));
        assert_eq!(ids, posted_ids, "both are in the order of the openings");
        let mut sources: Vec<String> =
            in_file.iter().filter_map(|alert| alert["source"].as_str().map(str::to_owned)).collect();
        sources.sort_by_key(|source| source.parse::<Ipv4Addr>().expect("an address"));
        assert_eq!(sources, hosts);
        let ended = program.stop(Signal::SIGTERM);
        assert!(!ended.text().contains("EVENT="), "the log had them: {}", ended.text());
    });
}

/// Kills the program twenty times while a slow webhook has most of its alerts before it. Each host is over its limit
/// in one round only, so it is notified once.
#[test]
fn what_the_log_said_before_a_kill_arrives_at_a_slow_webhook() {
    inside(|| {
        let state = tempfile::tempdir().expect("a folder for the test");
        // In memory, each commit is in time for the line in the log, which waits for it 200 ms at most.
        run(tool("mount", "mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"])
            .arg(state.path()));
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let listener = router.on(|| TcpListener::bind(("127.0.0.1", 0)).expect("a port is free"));
        let port = listener.local_addr().expect("it is bound").port();
        let posted = take_posts(listener, Duration::from_millis(40));
        let config = format!(
            "{EVERY_HOST}ByteLimit: 5K\nAlertBurst: off\nAlertRate: off\nStateDirectory: {}\n\
             WebhookURL: http://127.0.0.1:{port}/\n",
            state.path().display(),
        );
        let mut said = BTreeSet::new();
        for round in 0..20_u8 {
            let program = Program::start(&router, &config);
            let hosts = (1..=20).map(|host| Ipv4Addr::new(10, 0, round, host));
            let frames: Vec<_> = hosts.flat_map(|host| std::iter::repeat_n(frame_from(host), 6)).collect();
            far.injector("far0").send_at_rate(&frames, 5000);
            let openings = |program: &Program| program.log_text().matches("EVENT=TRAFFIC ").count();
            let before_kill = 1 + usize::from(round);
            program.wait_for("some are in the log", openings, |&openings| openings >= before_kill);
            let text = program.stop(Signal::SIGKILL).text();
            said.extend(
                text.split("EVENT=TRAFFIC SRC=")
                    .skip(1)
                    .filter_map(|rest| rest.split(' ').next().map(str::to_owned)),
            );
        }
        assert!(said.len() >= 210, "each round had one more: {}", said.len());
        let program = Program::start(&router, &config);
        let mut missing = said;
        while !missing.is_empty() {
            let alert = posted.recv_timeout(TIMEOUT);
            let alert =
                alert.unwrap_or_else(|_| panic!("never arrived: {missing:?}\n{}", program.log_text()));
            missing.remove(alert["source"].as_str().unwrap_or_default());
        }
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// Changes the keys of both sinks one after the other while the webhook is behind.
#[test]
fn a_reload_of_any_key_of_a_sink_loses_nothing() {
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("alerts.jsonl");
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let listener = router.on(|| TcpListener::bind(("127.0.0.1", 0)).expect("a port is free"));
        let port = listener.local_addr().expect("it is bound").port();
        let posted = take_posts(listener, Duration::from_millis(40));
        let config = |more: &str| {
            format!(
                "{EVERY_HOST}ByteLimit: 5K\nAlertBurst: off\nAlertRate: off\nStateDirectory: {}\nAlertFile: {}\n\
                 WebhookURL: http://127.0.0.1:{port}/\n{more}",
                folder.path().display(),
                path.display(),
            )
        };
        let program = Program::start(&router, &config(""));
        let frames: Vec<_> = (1..=100)
            .flat_map(|host| std::iter::repeat_n(frame_from(Ipv4Addr::new(10, 0, 0, host)), 6))
            .collect();
        far.injector("far0").send_at_rate(&frames, 5000);
        for more in [
            "AlertFileKeep: 3\n",
            "AlertFileMaxSize: 2M\n",
            "WebhookToken: another\n",
            "NotifyGrowth: true\n",
            "AlertFileKeep: 1\nNotifyGrowth: false\n",
            "",
        ] {
            program.reload(&config(more));
        }
        let hosts: BTreeSet<String> = (1..=100).map(|host| format!("10.0.0.{host}")).collect();
        let mut at_webhook = BTreeSet::new();
        while at_webhook.len() < hosts.len() {
            let alert = posted.recv_timeout(TIMEOUT);
            let alert = alert.unwrap_or_else(|_| panic!("{at_webhook:?} of all:\n{}", program.log_text()));
            at_webhook.insert(alert["source"].as_str().unwrap_or_default().to_owned());
        }
        assert_eq!(at_webhook, hosts);
        let lines = |_: &Program| fs::read_to_string(&path).unwrap_or_default();
        program.wait_for("all are in the file", lines, |text| text.lines().count() == hosts.len());
        let delivered = |program: &Program| {
            let sinks: Vec<Value> = program.get_json("/api/v1/sinks");
            let of = |name: &str| sinks.iter().find(|sink| sink["name"] == name).cloned();
            ["AlertFile", "WebhookURL"].map(|name| of(name).map(|sink| sink["delivered"].clone()))
        };
        program.wait_for("the counters go on", delivered, |counts| {
            counts.iter().all(|count| *count == Some(Value::from(hosts.len())))
        });
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// Answers each POST with 200 after a pause. Returns the bodies. A connection that breaks off is no POST.
pub(crate) fn take_posts(listener: TcpListener, pause: Duration) -> Receiver<Value> {
    let (sender, posted) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let Some(alert) = read_post(&mut stream) else { continue };
            std::thread::sleep(pause);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            if stream.write_all(answer).is_ok() && sender.send(alert).is_err() {
                return;
            }
        }
    });
    posted
}

fn read_post(stream: &mut TcpStream) -> Option<Value> {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    loop {
        let body = request.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4);
        if let Some(alert) = body.and_then(|at| serde_json::from_slice(&request[at..]).ok()) {
            return Some(alert);
        }
        match stream.read(&mut part) {
            Ok(length @ 1..) => request.extend(&part[..length]),
            _ => return None,
        }
    }
}

/// Writes until the disk is full.
fn fill(path: &Path) {
    let mut ballast = File::create(path).expect("the disk is empty");
    let refusal = loop {
        if let Err(error) = ballast.write_all(&[b'.'; 4096]) {
            break error;
        }
    };
    assert_eq!(refusal.kind(), ErrorKind::StorageFull);
}
