//! The helper that runs `AlertCommand` may be killed: the log says so at once and what happens next, and with a state
//! no alert is lost, neither one whose program runs at that moment nor a later one.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::privileges::helper_of;
use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::program::{EVERY_HOST, Program, Signal};

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);
const SAID: &str = "AlertCommand: the helper that runs its program has ended (signal: 9 (SIGKILL)): restart \
                    TrafficAlerted; alerts wait for it";

#[test]
fn a_helper_that_is_killed_is_said_at_once_and_no_alert_is_lost() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let injector = far.injector("far0");
        let exceed = |src| {
            let packet = Udp { src, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
            injector.send_at_rate(&vec![packet.frame(); 101], 50_000);
        };
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        let script = "#!/bin/sh\nif [ -e \"$1/hang\" ]; then echo > \"$1/begun\"; sleep 3600; fi\n\
                      echo \"$TA_SOURCE\" >> \"$1/done\"\n";
        fs::write(at("script"), script).expect("it is ours");
        fs::set_permissions(at("script"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::write(at("hang"), "").expect("it is ours");
        let here = folder.path().display();
        let without_state = format!("{EVERY_HOST}ByteLimit: 100K\nAlertCommand: {here}/script {here}\n");
        let config = format!("{without_state}StateDirectory: {here}/state\n");

        let program = Program::start(&router, &config);
        exceed(FIRST);
        program.wait_for("the command runs", |_| at("begun").exists(), |&begun| begun);
        kill_helper(&program);
        program.wait_for_log(&format!("{SAID} until then"));
        exceed(SECOND);
        program.wait_for_log(&format!("EVENT=TRAFFIC SRC={SECOND} "));
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert_eq!(ended.text().matches(SAID).count(), 1, "{}", ended.text());
        assert!(ended.text().contains(" alerts wait for the next start"), "{}", ended.text());

        fs::remove_file(at("hang")).expect("it is there");
        let program = Program::start(&router, &config);
        let done = |_: &Program| fs::read_to_string(at("done")).unwrap_or_default();
        program.wait_for("both arrive", done, |done| {
            [FIRST, SECOND].iter().all(|source| done.lines().any(|line| line == source.to_string()))
        });
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));

        let program = Program::start(&router, &without_state);
        kill_helper(&program);
        program
            .wait_for_log(&format!("{SAID}, but without a StateDirectory a restart loses those that wait"));
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// Through the terminal in which root has started the program, the user of the command could type for the shell of
/// root.
#[test]
fn the_helper_and_its_commands_have_a_session_without_a_terminal() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        // Whether it has a controlling terminal is told by the open of /dev/tty alone (tty(4)).
        let script = "#!/bin/sh\ncat /proc/self/stat > \"$1/new\"\n\
                      if (: > /dev/tty) 2> /dev/null; then echo terminal >> \"$1/new\"; fi\n\
                      mv \"$1/new\" \"$1/stat\"\n";
        fs::write(at("script"), script).expect("it is ours");
        fs::set_permissions(at("script"), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let here = folder.path().display();
        let config = format!("{EVERY_HOST}ByteLimit: 100K\nAlertCommand: {here}/script {here}\n");
        let program = Program::start(&router, &config);
        let packet = Udp { src: FIRST, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        far.injector("far0").send_at_rate(&vec![packet.frame(); 101], 50_000);
        let stat =
            program.wait_for("the command has run", |_| fs::read_to_string(at("stat")).ok(), Option::is_some);
        let stat = stat.unwrap_or_default();
        let helper = helper_of(&program);
        assert_eq!(session(&stat), (helper, 0), "the command: {stat}");
        assert!(!stat.contains("terminal"), "{stat}");
        let of_process = |id: u32| fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
        assert_eq!(session(&of_process(helper)), (helper, 0));
        assert_ne!(session(&of_process(program.id())).0, helper, "the program stays where it was started");
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
    });
}

/// Returns the session and the number of the controlling terminal, 0 for none (proc_pid_stat(5)).
fn session(stat: &str) -> (u32, u32) {
    let fields = stat.rsplit_once(") ").map(|(_, fields)| fields).unwrap_or_default();
    let field = |index| fields.split_whitespace().nth(index).and_then(|field| field.parse().ok());
    (field(3).expect("a session"), field(4).expect("a terminal"))
}

fn kill_helper(program: &Program) {
    let parent = format!("PPid:\t{}", program.id());
    let is_helper = |folder: &Path| {
        let status = fs::read_to_string(folder.join("status")).unwrap_or_default();
        status.starts_with("Name:\tcommand-helper\n") && status.lines().any(|line| line == parent)
    };
    let processes = fs::read_dir("/proc").expect("it is mounted");
    let helper = processes
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|folder| is_helper(folder))
        .and_then(|folder| folder.file_name()?.to_str()?.parse().ok())
        .expect("it runs");
    kill(Pid::from_raw(helper), Signal::SIGKILL).expect("it runs");
}
