//! On SIGHUP the program uses the settings of the changed file, and counts on.

use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::host::{Host, Sum};
use crate::support::injector::frame_from;
use crate::support::namespaces::inside;
use crate::support::program::{BINARY, EVERY_HOST, Program, Signal, TIMEOUT};

const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);

#[test]
fn fifty_reloads_under_load_lose_no_packet() {
    const FRAMES: usize = 60_000;
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        far.plug("far1", &router, "near1");
        let program = Program::start(&router, &format!("{EVERY_HOST}Workers: 2\n"));
        let injector = far.injector("far0");
        let load = thread::spawn(move || injector.send_at_rate(&vec![frame_from(HEAVY); FRAMES], 12_000));
        for round in 0..50 {
            let policy = match round % 4 {
                0 => "ExcludedInterfaces: lo, near1\nByteLimit: 2G\n",
                1 => "Direction: in+own\nLocalNetworks: 10.0.0.0/8\n",
                2 => "ReceivedByteLimit: 5G\nPromiscuous: near1\nChartMinBytes: 1K\n",
                _ => "LimitFor: 10.0.0.0/24 ByteLimit 3G\nIgnoredSources: 10.0.0.9\n",
            };
            let chart = if policy.contains("ChartMinBytes") { "" } else { EVERY_HOST };
            program.reload(&format!("{chart}Workers: 2\n{policy}"));
        }
        load.join().expect("it only sends");
        let sent = Sum { packets: FRAMES as u64, bytes: FRAMES as u64 * 1000 };
        program.wait_for_counted(sent);
        program.wait_for_bytes(HEAVY, sent.bytes);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.final_counts(), sent);
        assert!(ended.alerts().is_empty(), "{}", ended.text());
    });
}

#[test]
fn new_limits_and_interfaces_are_in_force_at_once_and_other_changes_are_named() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        far.plug("far1", &router, "near1");
        let (first, second) = (far.injector("far0"), far.injector("far1"));
        let mut program = Program::start(&router, &format!("{EVERY_HOST}Workers: 1\n"));
        (0..10).for_each(|_| first.send(&frame_from(HEAVY)));
        program.wait_for_bytes(HEAVY, 10_000);

        // The log has what is wrong with a file, and nothing changes.
        program.reload("ByteLimit: 5T\n");
        for part in ["bad value for `ByteLimit`", "lab.conf:1: ", "K, M and G are powers of 1000"] {
            program.wait_for_log(part);
        }
        assert!(program.get("/capabilities").contains(r#""ByteLimit":1000000000,"#));

        // A host that has sent too much for the new limit is reported, although it sends nothing any more.
        program.reload(&format!(
            "{EVERY_HOST}Workers: 3\nTrafficInterval: 60\nByteLimit: 9999\nExcludedInterfaces: lo, near1\n"
        ));
        program.alert("TRAFFIC", HEAVY);
        let capabilities = program.get("/capabilities");
        for part in [r#""TrafficInterval":170,"ByteLimit":9999,"#, r#""ExcludedInterfaces":["lo","near1"]"#] {
            assert!(capabilities.contains(part), "{part} is not in {capabilities}");
        }
        program.wait_for_log("not before a restart: TrafficInterval, Workers");
        let is_out = |program: &Program| program.accounting().interface("near1").monitored;
        program.wait_for("near1 is out", is_out, |&monitored| !monitored);
        (0..20).for_each(|_| second.send(&frame_from(OTHER)));
        (0..10).for_each(|_| first.send(&frame_from(HEAVY)));
        program.wait_for_bytes(HEAVY, 20_000);
        assert_eq!(program.bytes_of(OTHER.into()), 0);

        // The interface is monitored again.
        program.reload(&format!("{EVERY_HOST}Workers: 1\nNoDestinations: true\n"));
        program.wait_for("near1 is in", is_out, |&monitored| monitored);
        second.send(&frame_from(OTHER));
        program.wait_for_bytes(OTHER, 1000);
        assert!(program.all().iter().all(|host| host.destinations.is_empty()));

        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.alerts().len(), 1, "{}", ended.text());
    });
}

#[test]
fn alerts_go_to_the_sinks_that_are_in_force() {
    inside(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let injector = far.injector("far0");
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = |name: &str| folder.path().join(name);
        let config = |name: &str| format!("ByteLimit: 5K\nAlertFile: {}\n", file(name).display());
        let mut program = Program::start(&router, &config("one"));
        (0..6).for_each(|_| injector.send(&frame_from(HEAVY)));
        program.alert("TRAFFIC", HEAVY);
        // What waits at the reload would go to the new file.
        let is_filed =
            |_: &Program| std::fs::read_to_string(file("one")).is_ok_and(|text| text.ends_with('\n'));
        program.wait_for("it is in the file", is_filed, |&is_filed| is_filed);
        program.reload(&config("two"));
        (0..6).for_each(|_| injector.send(&frame_from(OTHER)));
        program.alert("TRAFFIC", OTHER);
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
        for (name, host) in [("one", HEAVY), ("two", OTHER)] {
            let lines = std::fs::read_to_string(file(name)).expect("it was written");
            assert_eq!(lines.lines().count(), 1, "{name}: {lines}");
            assert!(lines.contains(&format!("\"source\":\"{host}\"")), "{name}: {lines}");
        }
    });
}

#[test]
fn the_service_manager_is_notified() {
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("the folder is ours");
        manager.set_read_timeout(Some(TIMEOUT)).expect("not zero");
        let message = || {
            let mut bytes = [0; 200];
            let len = manager.recv(&mut bytes).expect("a message arrives");
            String::from_utf8_lossy(&bytes[..len]).into_owned()
        };
        let router = Host::router();
        let mut command = Command::new(BINARY);
        command.env("NOTIFY_SOCKET", &path);
        let program = Program::start_as(command, &router, "");
        assert_eq!(message().trim_end(), "READY=1");
        program.reload("ByteLimit: 5K\n");
        let reloading = message();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(message().trim_end(), "READY=1");
        assert_eq!(program.stop(Signal::SIGTERM).code, Some(0));
        assert_eq!(message().trim_end(), "STOPPING=1");
    });
}

#[test]
fn what_is_missing_is_said_once_at_the_start_and_at_each_reload() {
    inside(|| {
        let router = Host::router();
        let config = "AlertCommand: /none/notify\nCountryDatabase: /none/country.mmdb\n";
        let program = Program::start(&router, config);
        program.wait_for_log("`CountryDatabase` cannot be used now: /none/country.mmdb: no such file");
        program.reload(&format!("{config}AlertFile: /none/alerts.jsonl\n"));
        program.wait_for_log("`AlertFile` cannot be used now: /none: no such folder");
        let ended = program.stop(Signal::SIGTERM);
        let text = ended.text();
        let times = |part: &str| text.matches(part).count();
        for (key, said) in [("AlertCommand", 2), ("CountryDatabase", 2), ("AlertFile", 1)] {
            assert_eq!(times(&format!(": `{key}` cannot be used now")), said, "{text}");
        }
        for line in ["warning: lab.conf:1: `", "warning: lab.conf:2: `", "warning: lab.conf:3: `"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        // The sinks and the databases do not repeat it.
        for part in ["cannot be started", "cannot use", "cannot write"] {
            assert_eq!(times(part), 0, "{text}");
        }
    });
}

/// Nothing that the program reads may keep a signal waiting.
#[test]
fn a_configuration_that_became_a_pipe_is_refused_and_the_program_ends_at_once() {
    inside(|| {
        let program = Program::start(&Host::router(), "");
        program.replace_config(|path| mkfifo(path, Mode::S_IRWXU).expect("it is ours"));
        program.signal(Signal::SIGHUP);
        program.wait_for_log("it is a named pipe, not a regular file");
        program.signal(Signal::SIGHUP);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
    });
}

/// Rules for the rotation of logs send SIGUSR1 to whatever writes a log; a write beyond RLIMIT_FSIZE raises SIGXFSZ.
#[test]
fn stray_signals_do_not_end_the_program() {
    inside(|| {
        let program = Program::start(&Host::router(), "");
        for signal in [Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGALRM, Signal::SIGIO, Signal::SIGXFSZ] {
            program.signal(signal);
        }
        assert_eq!(program.get("/healthz"), "ok");
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
    });
}
