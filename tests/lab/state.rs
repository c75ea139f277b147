//! Notices are not repeated after a restart, however the previous process has ended. Nothing in the state lasts
//! longer than it could have lasted without the restart.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::process::Command;

use jiff::Timestamp;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::support::host::Host;
use crate::support::injector::frame_from;
use crate::support::namespaces::inside;
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal, TOKEN_LINE, WITH_TOKEN};
use crate::support::tool::{run, tool};

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
        let config = format!(
            "{EVERY_HOST}{TOKEN_LINE}ByteLimit: 5K\nTrafficInterval: 5\nStateDirectory: {}\n",
            folder.path().display()
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
        let is_kept = |program: &Program| {
            let status: Value = program.get_json("/api/v1/status");
            (&status["state"]["durable"], &status["state"]["waiting_changes"]) == (&true.into(), &0.into())
        };
        program.wait_for("both are in the database", is_kept, |&kept| kept);
        assert_eq!(program.stop(Signal::SIGKILL).code, None);

        let mut program = Program::start(&router, &config);
        program.wait_for_log(&format!("restored from {}/state.db, last written ", folder.path().display()));
        let counts =
            " ago: 2 open alerts, 0 storms, 0 alerts that may open again, 1 mutes, 0 notices that wait";
        program.wait_for_log(counts);
        // The API does not answer before the state is restored.
        let known = ids(&program);
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
        let warning = "the state has times that cannot be true, of 0 alerts and 2 mutes";
        assert_eq!(ended.text().matches(warning).count(), 1, "{}", ended.text());

        // A further restart extends nothing, and reads the database.
        assert!(folder.path().join("state.json.taken-over").exists() && !path.exists());
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
            assert!(folder.path().join("state.db").exists() && !path.exists());
        }
        for at in 0..3 {
            match at {
                0 => fs::create_dir(&path).expect("the folder is ours"),
                1 => symlink("/etc/passwd", &path).expect("the folder is ours"),
                _ => mkfifo(&path, Mode::S_IRWXU).expect("the folder is ours"),
            }
            let program = start();
            program.wait_for_log("starting without it");
            assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
            let moved = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
            moved.expect("the program left it there");
        }
    });
}

#[test]
fn a_second_process_names_the_first_and_links_are_refused() {
    inside(|| {
        let router = Host::router();
        let folder = tempfile::tempdir().expect("a folder for the test");
        let config = format!("StateDirectory: {}\n", folder.path().display());
        let program = Program::start(&router, &config);
        let refused = Program::fail(Command::new(BINARY), &Host::router(), &config);
        let pid = fs::read_to_string(folder.path().join("state.lock")).expect("it is there");
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(refused.text().contains(&format!("its pid is {}", pid.trim())), "{}", refused.text());
        let status: Value = program.get_json("/api/v1/status");
        assert_eq!(status["state"]["durable"], true, "{status}");
        assert_eq!(program.stop(Signal::SIGKILL).code, None);

        let path = folder.path().join("state.db");
        fs::rename(&path, folder.path().join("elsewhere")).expect("it is there");
        symlink("elsewhere", &path).expect("the folder is ours");
        let refused = Program::fail(Command::new(BINARY), &router, &config);
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(refused.text().contains("state.db is a symbolic link"), "{}", refused.text());
    });
}

#[test]
fn a_mute_that_was_answered_while_the_disk_was_full_is_there_after_a_kill() {
    inside(|| {
        let router = Host::router();
        let disk = tempfile::tempdir().expect("a folder for the test");
        run(tool("mount", "mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(disk.path()));
        let folder = disk.path().join("state");
        let config = format!("{TOKEN_LINE}StateDirectory: {}\n", folder.display());
        let program = Program::start(&router, &config);
        let ballast = disk.path().join("ballast");
        // The write fails at the end of the room.
        let _ = fs::write(&ballast, vec![0; 1 << 20]);
        let post = &format!("POST /api/v1/mutes HTTP/1.1\r\n{WITH_TOKEN}Content-Type: application/json\r\n");
        let mut made = 0;
        // Until the room that the files already had is used up.
        while made < 500 && program.get_json::<Value>("/api/v1/status")["state"]["durable"] == true {
            assert_eq!(program.request(post, MUTE).0, 201);
            made += 1;
        }
        program.wait_for_log("the state cannot be kept");
        assert_eq!(program.request(post, MUTE).0, 201, "it is in force, and waits for room");
        let ids = ids_of_mutes(&program);
        assert_eq!(ids.len(), made + 1);
        fs::remove_file(&ballast).expect("it is ours");
        program.wait_for_log("the state is kept again");
        assert_eq!(program.stop(Signal::SIGKILL).code, None);

        // The disk is full again at the start, which reads all the same.
        let _ = fs::write(&ballast, vec![0; 1 << 20]);
        let program = Program::start(&router, &config);
        assert_eq!(ids_of_mutes(&program), ids);
        fs::remove_file(&ballast).expect("it is ours");
        assert_eq!(program.request(post, MUTE).0, 201);
        assert!(ids_of_mutes(&program).last() > ids.last(), "no number is used twice");
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// As after an error of the disk, on which the kernel mounts a file system read-only.
#[test]
fn a_start_on_a_read_only_file_system_reads_what_was_written_last() {
    inside(|| {
        let router = Host::router();
        let disk = tempfile::tempdir().expect("a folder for the test");
        run(tool("mount", "mount").args(["-t", "tmpfs", "-o", "mode=0755", "tmpfs"]).arg(disk.path()));
        let remount = |how: &str| run(tool("mount", "mount").args(["-o", how]).arg(disk.path()));
        let config = format!("{TOKEN_LINE}StateDirectory: {}\n", disk.path().join("state").display());
        let post = &format!("POST /api/v1/mutes HTTP/1.1\r\n{WITH_TOKEN}Content-Type: application/json\r\n");
        let program = Program::start(&router, &config);
        assert_eq!(program.request(post, MUTE).0, 201);
        let ids = ids_of_mutes(&program);
        // The killed process leaves it in the WAL.
        assert_eq!(program.stop(Signal::SIGKILL).code, None);

        remount("remount,ro");
        let program = Program::start(&router, &config);
        program.wait_for_log("was read and cannot be written: Read-only file system");
        assert_eq!(ids_of_mutes(&program), ids);
        assert_eq!(program.request(post, MUTE).0, 201);
        let ids = ids_of_mutes(&program);
        remount("remount,rw");
        program.wait_for_log("the state is kept again");
        assert_eq!(program.stop(Signal::SIGKILL).code, None);

        let program = Program::start(&router, &config);
        assert_eq!((ids.len(), ids_of_mutes(&program)), (2, ids));
        let ended = program.stop(Signal::SIGTERM);
        assert!(!ended.text().contains("has not read"), "{}", ended.text());
        assert!(!disk.path().join("state/state.db.unread").exists());
    });
}
