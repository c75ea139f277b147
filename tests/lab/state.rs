//! Notices are not repeated after a restart, however the previous process has ended. Nothing in the state file lasts
//! longer than it could have lasted without the restart.

use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use jiff::Timestamp;
use serde_json::Value;

use crate::support::host::Host;
use crate::support::injector::frame_from;
use crate::support::namespaces::inside;
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal, TOKEN_LINE, WITH_TOKEN};

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const MUTED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);
const MUTE: &str = r#"{"source":"10.0.0.6","minutes":60}"#;

/// The ids of open alerts, by host.
fn ids(program: &Program) -> Vec<(String, String)> {
    let alerts: Value = program.get_json("/api/v1/alerts");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let all = alerts.as_array().into_iter().flatten();
    all.map(|alert| (text(&alert["source"]), text(&alert["id"]))).collect()
}

/// The numbers of the mutes in force.
fn ids_of_mutes(program: &Program) -> Vec<u64> {
    let mutes: Value = program.get_json("/api/v1/mutes");
    mutes.as_array().into_iter().flatten().filter_map(|mute| mute["id"].as_u64()).collect()
}

#[test]
fn a_program_restarts_with_the_alerts_of_a_killed_one() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let injector = far.injector("far0");
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state.json");
        let config = format!(
            "{EVERY_HOST}{TOKEN_LINE}ByteLimit: 5K\nTrafficInterval: 5\nStateFile: {}\n",
            path.display()
        );

        let mut program = Program::start(&router, &config);
        let post = format!("POST /api/v1/mutes HTTP/1.1\r\n{WITH_TOKEN}Content-Type: application/json\r\n");
        assert_eq!(program.request(&post, MUTE).0, 201);
        for host in [HEAVY, MUTED] {
            (0..6).for_each(|_| injector.send(&frame_from(host)));
        }
        program.alert("TRAFFIC", HEAVY);
        let open = program.wait_for("both are open", ids, |ids| ids.len() == 2);
        let mutes = program.get("/api/v1/mutes");
        let is_kept =
            |_: &Program| fs::read_to_string(&path).is_ok_and(|kept| kept.contains("10.0.0.6\",\"opened_at"));
        program.wait_for("both are in the file", is_kept, |&kept| kept);
        assert_eq!(program.stop(Signal::SIGKILL).code, None);

        let mut program = Program::start(&router, &config);
        let known = program.wait_for("both are known", ids, |ids| ids.len() == 2);
        assert_eq!((known, program.get("/api/v1/mutes")), (open, mutes));
        (0..6).for_each(|_| injector.send(&frame_from(HEAVY)));
        program.wait_for_bytes(HEAVY, 6000);
        // Both hosts send nothing for a whole interval, and the alert that had a notice closes with one.
        program.line("CLOSED=TRAFFIC SRC=10.0.0.5 ").expect("it closes");
        program.wait_for("none is open", ids, Vec::is_empty);
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.alerts().is_empty(), "it had a notice before:\n{}", ended.text());
        assert!(!ended.text().contains("10.0.0.6 "), "it was muted:\n{}", ended.text());
    });
}

/// The first mute was made while the clock was ahead, and no mute of this program is as long as the second.
#[test]
fn mutes_from_a_wrong_clock_last_their_own_length_and_thirty_days_at_most() {
    const SAVED: &str = r#"{"version":1,"opened":1,"last_mute":2,"open":[],"closed":[],"mutes":[
        {"id":1,"source":"10.0.0.5/32","kind":null,"made_at":4102444800000000000,"until":4102444860000000000,"reason":""},
        {"id":2,"source":"10.0.0.6/32","kind":null,"made_at":1,"until":18446744073709551615,"reason":""}]}"#;
    const MONTH: i64 = 30 * 24 * 3600;
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state.json");
        fs::write(&path, SAVED).expect("the folder is ours");
        let router = Host::router();
        let config = format!("StateFile: {}\n", path.display());
        let ends = |program: &Program| {
            let mutes: Value = program.get_json("/api/v1/mutes");
            let end =
                |at: usize| mutes[at]["until"].as_str().expect("text").parse::<Timestamp>().expect("a time");
            [end(0), end(1)]
        };

        let before = Timestamp::now();
        let program = Program::start(&router, &config);
        program.wait_for("both are known", ids_of_mutes, |ids| ids.len() == 2);
        let first = ends(&program);
        let left = first.map(|end| end.duration_since(before).as_secs());
        let waited = Timestamp::now().duration_since(before).as_secs() + 1;
        assert!(
            (60..=60 + waited).contains(&left[0]) && (MONTH..=MONTH + waited).contains(&left[1]),
            "{left:?}"
        );
        let ended = program.stop(Signal::SIGTERM);
        let warning = "the state file has times that cannot be true, of 0 alerts and 2 mutes";
        assert_eq!(ended.text().matches(warning).count(), 1, "{}", ended.text());

        // A further restart extends nothing.
        let program = Program::start(&router, &config);
        program.wait_for("both are known", ids_of_mutes, |ids| ids.len() == 2);
        assert_eq!(ends(&program), first);
        let ended = program.stop(Signal::SIGTERM);
        assert!(!ended.text().contains("cannot be true"), "{}", ended.text());
    });
}

#[test]
fn an_unusable_file_is_set_aside_and_the_unit_s_folder_is_used() {
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state.json");
        let start = || {
            let mut command = Command::new(BINARY);
            command.env("STATE_DIRECTORY", folder.path());
            Program::start_as(command, &Host::router(), "")
        };
        for useless in ["{\"version\":2}", "", "not JSON at all"] {
            fs::write(&path, useless).expect("the folder is ours");
            let program = start();
            program.wait_for_log("is of no use");
            let bad = fs::read_to_string(folder.path().join("state.json.bad")).expect("it was set aside");
            assert_eq!(bad, useless);
            assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
            let kept = fs::read_to_string(&path).expect("it was written");
            assert!(kept.starts_with("{\"version\":1,"), "{kept}");
        }
        // A file that cannot be written.
        fs::remove_file(&path).expect("it was written");
        fs::create_dir(&path).expect("the folder is ours");
        let program = start();
        program.wait_for_log("cannot be read");
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0));
        assert!(ended.text().contains("the state cannot be kept"), "{}", ended.text());
    });
}
