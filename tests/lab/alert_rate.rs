//! `AlertRate`: a webhook and a program get so many notices a minute, and one summary of the rest. What waits when the
//! program is killed is delivered or summarised by the next process.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use serde_json::Value;

use crate::alert_file::take_posts;
use crate::support::host::Host;
use crate::support::injector::frame_from;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal, TIMEOUT};

const SINKS: [&str; 2] = ["AlertCommand", "WebhookURL"];

/// Returns what a counter of both sinks says.
fn counter(name: &'static str) -> impl Fn(&Program) -> [Value; 2] {
    move |program| {
        let sinks: Vec<Value> = program.get_json("/api/v1/sinks");
        SINKS.map(|sink| sinks.iter().find(|found| found["name"] == sink).expect("it is there")[name].clone())
    }
}

/// Returns the next objects that the webhook got.
fn next(posted: &Receiver<Value>, count: usize) -> Vec<Value> {
    (0..count).map(|_| posted.recv_timeout(TIMEOUT).expect("it is posted")).collect()
}

fn texts(objects: &[Value], field: &str) -> Vec<String> {
    objects.iter().map(|object| object[field].as_str().expect("it is a text").to_owned()).collect()
}

/// Writes a script that appends its input and some of its variables, a line for each call, to files.
fn write_script(script: &Path) {
    let text = "#!/bin/sh\ncat >> \"$1.input\"\n\
                echo \"$TA_STATE $TA_NOTICES $TA_OPENED ${TA_SOURCE:-none}\" >> \"$1\"\n";
    fs::write(script, text)
        .and_then(|()| fs::set_permissions(script, fs::Permissions::from_mode(0o755)))
        .expect("it is ours");
}

#[test]
fn a_webhook_and_a_program_get_so_many_a_minute_and_a_summary_of_the_rest() {
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = |name: &str| folder.path().join(name);
        let (script, calls, file) = (path("notify"), path("calls"), path("alerts.jsonl"));
        write_script(&script);
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let listener = router.on(|| TcpListener::bind(("127.0.0.1", 0)).expect("a port is free"));
        let port = listener.local_addr().expect("it is bound").port();
        let posted = take_posts(listener, Duration::ZERO);
        let config = |rate: u32| {
            format!(
                "{EVERY_HOST}ByteLimit: 5K\nAlertBurst: off\nAlertRate: {rate}\nStateDirectory: {}\nAlertFile: {}\n\
                 AlertCommand: {} {}\nWebhookURL: http://127.0.0.1:{port}/\n",
                path("state").display(),
                file.display(),
                script.display(),
                calls.display(),
            )
        };
        let lines = |path: &Path| -> Vec<String> {
            fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
        };
        let program = Program::start(&router, &config(3));
        let frames: Vec<_> = (1..=10)
            .flat_map(|host| std::iter::repeat_n(frame_from(Ipv4Addr::new(10, 0, 0, host)), 6))
            .collect();
        far.injector("far0").send_at_rate(&frames, 5000);
        let is = |count: u64| move |counts: &[Value; 2]| counts.iter().all(|found| *found == count);
        program.wait_for("three of ten were delivered", counter("delivered"), is(3));
        program.wait_for("the others wait", counter("waiting"), is(7));
        let mut singly = next(&posted, 3);
        let in_file = |_: &Program| lines(&file).len();
        program.wait_for("the file has all", in_file, |count| *count == 10);
        let waiting_changes = |program: &Program| {
            program.get_json::<Value>("/api/v1/status")["state"]["waiting_changes"].clone()
        };
        program.wait_for("the state is on disk", waiting_changes, |count| *count == 0);
        let log = program.stop(Signal::SIGKILL).text();
        assert_eq!(log.matches("EVENT=TRAFFIC ").count(), 10, "the log has all: {log}");

        // A new minute, and then a reload that lets one more through.
        let program = Program::start(&router, &config(3));
        program.wait_for("three more were delivered", counter("delivered"), is(6));
        program.wait_for("the others still wait", counter("waiting"), is(4));
        program.reload(&config(4));
        program.wait_for("one more was delivered", counter("delivered"), is(7));
        singly.extend(next(&posted, 4));
        // The summary does not wait for the end of the minute at the end of the program.
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        let [summary] = &next(&posted, 1)[..] else { panic!("there is one") };
        assert!(posted.try_recv().is_err(), "nothing follows");
        assert_eq!(
            (&summary["state"], &summary["notices"], &summary["opened"]),
            (&"summary".into(), &3.into(), &3.into())
        );
        let mut sources: BTreeSet<String> = texts(&singly, "source").into_iter().collect();
        assert_eq!(sources.len(), 7);
        sources.extend(texts(summary["largest"].as_array().expect("it names some"), "source"));
        assert_eq!(sources.len(), 10, "each alert was delivered singly or is in the summary");
        assert!(texts(&singly, "state").iter().all(|state| state == "open"));

        let called = lines(&calls);
        let opened = called.iter().filter(|line| line.starts_with("open   10.0.0.")).count();
        assert_eq!((opened, called.last().map(String::as_str)), (7, Some("summary 3 3 none")), "{called:?}");
        let inputs = lines(&path("calls.input"));
        let input: Value = serde_json::from_str(inputs.last().expect("it has some")).expect("JSON");
        assert_eq!(input["notices"], 3);
        assert_ne!(input["id"], summary["id"], "each sink has its own");

        let program = Program::start(&router, &config(4));
        program.wait_for("the counters go on", counter("summarised"), is(3));
        program.wait_for("the summary is one delivery", counter("delivered"), is(8));
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
        assert_eq!(lines(&file).len(), 10, "the file has no summary");
    });
}
