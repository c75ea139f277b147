//! A start as root ends as a user of its own without any privilege, and so does the helper that runs `AlertCommand`.

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid, seteuid};
use tempfile::TempDir;

use crate::support::host::Host;
use crate::support::injector::{Injector, Udp};
use crate::support::namespaces::{inside, inside_with_users};
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal};
use crate::support::tool::tool;

/// A user id that no user has.
const USER: u32 = 61_700;
/// Another one, for the command.
const COMMAND_USER: u32 = 61_701;

#[test]
fn every_thread_of_a_start_as_root_is_an_unprivileged_user() {
    inside_with_users(|| {
        let (_far, router, _injector) = network();
        let folder = open_folder();
        let path = |name: &str| folder.path().join(name);
        // What an earlier run of root has left, and what is not the program's to give away.
        for name in ["alerts/alerts.jsonl", "alerts/alerts.jsonl.1", "state/state.json.bak"] {
            fs::create_dir_all(path(name).parent().expect("a folder")).expect("it is ours");
            fs::write(path(name), "").expect("it is ours");
        }
        fs::write(path("secret"), "")
            .and_then(|()| fs::hard_link(path("secret"), path("state/state.json.1")))
            .expect("ours");
        let config = format!(
            "{EVERY_HOST}User: {USER}\nAlertFile: {}\nStateFile: {}\nAlertCommand: /bin/true\n",
            path("alerts/alerts.jsonl").display(),
            path("state/state.json").display()
        );
        let program = Program::start(&router, &config);
        let helper = helper_of(&program);
        for (process, user) in [(program.id(), USER), (helper, USER)] {
            let statuses = statuses(process);
            assert!(!statuses.is_empty());
            statuses.iter().for_each(|status| assert_unprivileged(status, user));
        }
        assert!(statuses(program.id()).len() > 6, "workers, analyst, link monitor, log, API, sinks");
        let owner = |name: &str| fs::metadata(path(name)).expect("it is there").uid();
        let taken =
            ["alerts", "alerts/alerts.jsonl", "alerts/alerts.jsonl.1", "state", "state/state.json.bak"];
        assert_eq!(taken.map(owner), [USER; 5], "{}", program.log_text());
        assert_eq!(owner("secret"), 0);
        assert!(program.log_text().contains("it has several names (hard links)"), "{}", program.log_text());

        // Standard input and output are /dev/null, standard error is the pipe, the fourth is the socket.
        let mut open: Vec<String> = fs::read_dir(format!("/proc/{helper}/fd"))
            .expect("it runs")
            .map(|entry| fs::read_link(entry.expect("it runs").path()).expect("a link").display().to_string())
            .map(|target| target.split(':').next().unwrap_or_default().to_owned())
            .collect();
        open.sort();
        assert_eq!(open, ["/dev/null", "/dev/null", "pipe", "socket"]);

        // A reload and the end work without root.
        program.reload(&format!("{config}ByteLimit: 2G\n"));
        program.reload(&config.replace(&USER.to_string(), "61702"));
        program.wait_for_log("not before a restart: User");
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert!(!ended.text().contains("cannot be used now"), "{}", ended.text());
    });
}

#[test]
fn the_socket_and_the_token_of_the_api_work_after_the_change_of_user() {
    inside_with_users(|| {
        let (_far, router, _injector) = network();
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let path = |name: &str| folder.path().join(name);
        let make_token = |force: &[&str]| {
            let mut command = Command::new(BINARY);
            command.args(["token", "--file"]).arg(path("token")).args(force);
            assert!(command.output().expect("it runs").status.success());
            fs::read_to_string(path("token")).expect("root reads it").trim().to_owned()
        };
        let first = make_token(&[]);
        let config = format!(
            "{EVERY_HOST}User: {USER}\nApiSocket: {}\nApiTokenFile: {}\nStateDirectory: {}\n",
            path("run/api.sock").display(),
            path("token").display(),
            path("state").display()
        );
        let program = Program::start(&router, &config);
        let owner = |name: &str| fs::symlink_metadata(path(name)).expect("it is there").uid();
        let owners = ["run", "run/api.sock", "token", "state", "state/state.db", "."].map(owner);
        assert_eq!(owners, [USER, USER, USER, USER, USER, 0], "{}", program.log_text());
        let mute = |token: &str| {
            let head = format!(
                "POST /api/v1/mutes HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n"
            );
            program.request(&head, r#"{"source":"10.0.0.5","minutes":1}"#).0
        };
        assert_eq!(mute(&first), 201);

        // The kernel tells the program who connects: its own user may make changes, another one may not.
        let at_socket = |user: u32| {
            let change = |user| seteuid(Uid::from_raw(user)).expect("the test is root");
            change(user);
            let stream = UnixStream::connect(path("run/api.sock"));
            change(0);
            let mut stream = stream.expect("everybody may connect");
            write!(stream, "DELETE /api/v1/mutes/1 HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
                .expect("it reads");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("it answers");
            answer.get(9..12).map(str::to_owned)
        };
        assert_eq!(at_socket(COMMAND_USER).as_deref(), Some("403"));
        assert_eq!(at_socket(USER).as_deref(), Some("204"), "{}", program.log_text());

        // A token that root makes anew is still the program's, and is in force after a reload.
        let second = make_token(&["--force"]);
        assert_eq!(owner("token"), USER);
        program.reload(&config);
        assert_eq!((mute(&first), mute(&second)), (401, 201), "{}", program.log_text());
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert!(!path("run/api.sock").exists(), "the socket is removed: {}", ended.text());
        assert!(path("run").exists());

        // The folders are the user's now, and a start as root still uses them.
        let program = Program::start(&router, &config);
        let mutes: serde_json::Value = program.get_json("/api/v1/mutes");
        assert!(mutes.to_string().contains("10.0.0.5"), "{mutes}: {}", program.log_text());
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

#[test]
fn without_the_default_user_an_unused_one_is_taken_and_said() {
    inside_with_users(|| {
        let router = Host::router();
        let program = Program::start(&router, EVERY_HOST);
        let status = statuses(program.id()).swap_remove(0);
        let user: u32 = ids(&status, "Uid:")[0];
        if program.log_text().contains("there is no user trafficalerted") {
            assert!((61_184..=65_519).contains(&user), "{user}");
            assert!(
                program.log_text().contains("useradd --system --no-create-home"),
                "{}",
                program.log_text()
            );
        }
        assert_unprivileged(&status, user);
        assert_ne!(user, 0);
    });
}

#[test]
fn a_restart_keeps_an_unused_user_while_a_process_of_it_ends() {
    inside_with_users(|| {
        let router = Host::router();
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let config = format!("{EVERY_HOST}StateDirectory: {}\n", folder.path().join("state").display());
        let user = || {
            let program = Program::start(&router, &config);
            let user = ids(&statuses(program.id())[0], "Uid:")[0];
            assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
            user
        };
        let first = user();
        if !(61_184..=65_519).contains(&first) {
            return eprintln!("NOT CHECKED: this machine has a user trafficalerted");
        }
        let mut late = tool("setpriv", "util-linux")
            .args([
                &format!("--reuid={first}"),
                &format!("--regid={first}"),
                "--clear-groups",
                "sleep",
                "1000",
            ])
            .spawn()
            .expect("it starts");
        let second = user();
        late.kill().and_then(|()| late.wait()).expect("it is ours");
        assert_eq!(second, first);
        assert_eq!(user(), first);
    });
}

#[test]
fn a_test_of_alerts_is_made_by_the_users_of_the_program() {
    inside_with_users(|| {
        let folder = open_folder();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("log")).expect("it is ours");
        fs::write(path("log/alerts.jsonl"), "").expect("it is ours");
        script(&path("command"), "id -u > \"$1/command-user\"");
        let config = format!(
            "User: {USER}\nAlertCommandUser: {COMMAND_USER}\nAlertFile: {}\nAlertCommand: {} {}\n",
            path("log/alerts.jsonl").display(),
            path("command").display(),
            folder.path().display()
        );
        fs::write(path("lab.conf"), config).expect("it is ours");
        let test = || {
            let output = Command::new(BINARY).arg("test-alert").arg(path("lab.conf")).output();
            let output = output.expect("it starts");
            (
                output.status.code(),
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
            )
        };
        let (code, text) = test();
        assert_eq!(code, Some(0), "{text}");
        let owner = |name: &str| fs::metadata(path(name)).expect("it is there").uid();
        assert_eq!([owner("log/alerts.jsonl"), owner("command-user")], [USER, COMMAND_USER], "{text}");
        let user = fs::read_to_string(path("command-user")).expect("it was written");
        assert_eq!(user.trim(), COMMAND_USER.to_string());

        // What the program's user may not do fails here too.
        fs::remove_dir_all(path("log")).and_then(|()| fs::create_dir(path("log"))).expect("it is ours");
        fs::write(path("log/other"), "").expect("it is ours");
        let (code, text) = test();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("AlertFile: failed"), "{text}");
    });
}

#[test]
fn a_token_that_the_group_of_root_may_read_is_the_users_and_one_out_of_reach_is_said() {
    inside_with_users(|| {
        let router = Host::router();
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let path = |name: &str| folder.path().join(name);
        let token = "0123456789abcdef".repeat(4);
        fs::create_dir(path("closed")).expect("it is ours");
        for (name, mode) in [("token", 0o640), ("closed/token", 0o600), ("closed", 0o700)] {
            if name != "closed" {
                fs::write(path(name), format!("{token}\n")).expect("it is ours");
            }
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
        }

        // Root has read it and the program's user cannot: its token is in force all the same.
        let config = format!("{EVERY_HOST}User: {USER}\nApiTokenFile: {}\n", path("closed/token").display());
        let program = Program::start(&router, &config);
        let head = format!(
            "POST /api/v1/mutes HTTP/1.1\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n"
        );
        assert_eq!(program.request(&head, r#"{"source":"10.0.0.5","minutes":1}"#).0, 201);
        let ended = program.stop(Signal::SIGTERM);
        assert!(ended.text().contains("`ApiTokenFile` cannot be read again"), "{}", ended.text());
        assert!(ended.text().contains("a reload keeps the token that is in force"), "{}", ended.text());
        assert!(!ended.text().contains("cannot be used now"), "{}", ended.text());

        let config = format!(
            "{EVERY_HOST}User: {USER}\nWebhookURL: http://127.0.0.1:9/\nWebhookTokenFile: {}\n",
            path("token").display()
        );
        let ended = Program::start(&router, &config).stop(Signal::SIGTERM);
        assert_eq!(fs::metadata(path("token")).expect("it is there").uid(), USER);
        assert!(!ended.text().contains("cannot be used now"), "{}", ended.text());
    });
}

#[test]
fn where_there_is_no_other_user_root_stays_without_capabilities() {
    inside(|| {
        let router = Host::router();
        let program = Program::start(&router, EVERY_HOST);
        let text = program.log_text();
        if text.contains("this user namespace has no other user") {
            statuses(program.id()).iter().for_each(|status| assert_powerless(status));
            assert_eq!(ids(&statuses(program.id())[0], "Uid:"), [0; 4]);
        }
        assert_eq!(text.matches("user id").count(), 1, "{text}");
    });
}

#[test]
fn users_that_cannot_be_used_are_errors() {
    inside_with_users(|| {
        let fail = |config: &str| Program::fail(Command::new(BINARY), &Host::router(), config);
        for (config, want) in [
            ("User: no-such-user\n", "lab.conf:1:7"),
            ("AlertCommandUser: no-such-user\n", "no such user"),
            ("User: 65534\nStateFile: /var/lib/x/state.json\n", "nobody must own no files"),
        ] {
            let ended = fail(config);
            assert_eq!(ended.code, Some(2), "{}", ended.text());
            assert!(ended.text().contains(want), "{want} in {}", ended.text());
        }
    });
}

#[test]
fn a_command_gets_nothing_and_a_restart_changes_it() {
    inside_with_users(|| {
        let (_far, router, injector) = network();
        let folder = open_folder();
        let path = |name: &str| folder.path().join(name);
        // A copy of a program that root has made setuid: it shows as whom it runs.
        let id = tool("which", "debianutils").arg("id").output().expect("which has run");
        fs::copy(String::from_utf8_lossy(&id.stdout).trim(), path("setuid-id")).expect("it is ours");
        fs::set_permissions(path("setuid-id"), fs::Permissions::from_mode(0o4755)).expect("it is ours");
        script(
            &path("first"),
            "cd \"$1\" && ls -l /proc/self/fd > descriptors && cat /proc/self/status > status && env > environment \
             && ./setuid-id -u > effective && echo 'forged'\"$(printf '\\033')\" >&2; cat > first.json",
        );
        script(&path("second"), "cat > \"$1/second.json\"");
        let config = |name: &str| {
            format!(
                "{EVERY_HOST}ByteLimit: 100K\nUser: {USER}\nAlertCommandUser: {COMMAND_USER}\nAlertCommand: {} {}\n",
                path(name).display(),
                folder.path().display()
            )
        };
        let mut program = Program::start(&router, &config("first"));
        let helper = helper_of(&program);
        assert_unprivileged(&statuses(program.id())[0], USER);
        assert_unprivileged(&statuses(helper)[0], COMMAND_USER);
        injector.send_at_rate(&heavy(Ipv4Addr::new(10, 0, 0, 5)), 50_000);
        program.alert("TRAFFIC", "10.0.0.5");
        wait_for(&program, &path("first.json"));
        let read = |name: &str| fs::read_to_string(path(name)).expect("it was written before");
        assert_unprivileged(&read("status"), COMMAND_USER);
        // The shell has opened the file before `ls` runs: 0, 1, 2 and the folder itself.
        assert_eq!(read("descriptors").matches(" -> ").count(), 4, "{}", read("descriptors"));
        assert_eq!(read("effective").trim(), COMMAND_USER.to_string());
        let home = format!("USER={COMMAND_USER}");
        assert!(read("environment").lines().any(|line| line == home), "{}", read("environment"));
        assert!(read("environment").lines().any(|line| line == "HOME=/"), "{}", read("environment"));
        program.wait_for_log("AlertCommand says: forged\\x1b");

        // Nothing that comes to the helper later names a program, so a reload keeps the first.
        fs::remove_file(path("first.json")).expect("it was written before");
        program.reload(&config("second"));
        program.wait_for_log("not before a restart: AlertCommand");
        injector.send_at_rate(&heavy(Ipv4Addr::new(10, 0, 0, 6)), 50_000);
        wait_for(&program, &path("first.json"));
        assert!(!path("second.json").exists());

        // A helper that dies is said, and the program goes on.
        kill(Pid::from_raw(helper.cast_signed()), Signal::SIGKILL).expect("it runs");
        injector.send_at_rate(&heavy(Ipv4Addr::new(10, 0, 0, 7)), 50_000);
        program.alert("TRAFFIC", "10.0.0.7");
        program.wait_for_log(
            "has ended (signal: 9 (SIGKILL)): restart TrafficAlerted; alerts wait until it works",
        );
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());

        let mut program = Program::start(&router, &config("second"));
        injector.send_at_rate(&heavy(Ipv4Addr::new(10, 0, 0, 8)), 50_000);
        program.alert("TRAFFIC", "10.0.0.8");
        wait_for(&program, &path("second.json"));
    });
}

#[test]
fn a_command_that_a_reload_adds_takes_a_restart() {
    inside_with_users(|| {
        let router = Host::router();
        let config = format!("{EVERY_HOST}User: {USER}\n");
        let program = Program::start(&router, &config);
        program.reload(&format!("{config}AlertCommand: /bin/true\n"));
        program.wait_for_log("not before a restart: AlertCommand");
    });
}

#[test]
fn the_helper_ends_with_the_program_however_it_ends() {
    inside_with_users(|| {
        let router = Host::router();
        let program =
            Program::start(&router, &format!("{EVERY_HOST}User: {USER}\nAlertCommand: /bin/true\n"));
        let helper = helper_of(&program);
        // A service manager sends this to each process of the service.
        kill(Pid::from_raw(helper.cast_signed()), Signal::SIGTERM).expect("it runs");
        assert_eq!(statuses(helper).len(), 1);
        program.stop(Signal::SIGKILL);
        let stat = Path::new("/proc").join(helper.to_string()).join("stat");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(std::time::Instant::now() < deadline, "it lives on");
            std::thread::yield_now();
        }
    });
}

fn network() -> (Host, Host, Injector) {
    let (far, router) = (Host::new(), Host::router());
    far.plug("far0", &router, "near0");
    let injector = far.injector("far0");
    (far, router, injector)
}

/// Makes a folder that every user may write to.
pub(crate) fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
    folder
}

pub(crate) fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n"))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
        .expect("it is ours");
}

/// Returns frames that exceed a limit of 100 kB.
pub(crate) fn heavy(src: Ipv4Addr) -> Vec<Vec<u8>> {
    let packet = Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
    vec![packet.frame(); 101]
}

/// Returns the process that runs the commands of a program.
pub(crate) fn helper_of(program: &Program) -> u32 {
    let tasks = format!("/proc/{0}/task/{0}/children", program.id());
    let children = fs::read_to_string(&tasks).expect("the kernel lists children");
    children.split_whitespace().next().and_then(|id| id.parse().ok()).expect("it has a helper")
}

/// Returns the status of each thread of a process.
pub(crate) fn statuses(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("status")).ok()).collect()
}

/// Returns the ids in a line of a status.
fn ids(status: &str, name: &str) -> Vec<u32> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .unwrap_or_else(|| panic!("no {name}: {status}"));
    line.split_whitespace().map(|id| id.parse().expect("a number")).collect()
}

/// Asserts that a thread is this user in every respect, and can do nothing more.
pub(crate) fn assert_unprivileged(status: &str, user: u32) {
    assert_eq!(ids(status, "Uid:"), [user; 4], "{status}");
    assert_eq!(ids(status, "Gid:"), [user; 4], "{status}");
    assert_eq!(ids(status, "Groups:"), [0_u32; 0], "{status}");
    assert_powerless(status);
}

fn assert_powerless(status: &str) {
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        let line = status.lines().find_map(|line| line.strip_prefix(set)).expect("the kernel has them");
        assert_eq!(line.trim(), "0".repeat(16), "{set} of {status}");
    }
    assert_eq!(ids(status, "NoNewPrivs:"), [1], "{status}");
}

/// Waits until a file has a line.
pub(crate) fn wait_for(program: &Program, path: &Path) {
    let what = path.display().to_string();
    program.wait_for(&what, |_| fs::read_to_string(path).unwrap_or_default(), |text| text.ends_with('\n'));
}
