//! The program needs one capability, a free port and a configuration, and reports which of them is missing.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::{panic, thread};

use caps::{CapSet, Capability, CapsHashSet};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::{UNPRIVILEGED_ID, inside_unprivileged};
use crate::support::program::{BINARY, EVERY_HOST, PORT, Program, Signal};
use crate::support::tool::tool;

/// A configuration like the original's example.
const ORIGINALS: &str = r#"
      # General
      # -------

      # Seconds
      TrafficInterval: 170
      # Bytes in that time
      ByteLimit: 1G
      NoDestinations: false
      ChartMinBytes: 5M
      ExcludedInterfaces: "lo","dummy0"


      # Scans
      # -----
      ContactedIPsAnalyze: true
      NumberContactedIPs: 15

      AnalyzePorts: false
      NumContactedPorts: 100
      # Seconds
      PortInterval: 600
"#;

#[test]
fn with_one_capability_it_starts_counts_alerts_and_serves() {
    const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    const SCANNER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);
    // Nearly the largest possible packets, so that few make a gigabyte.
    const IP_BYTES: u16 = 65_000;
    const GIGABYTE: u64 = 1_000_000_000;
    inside_unprivileged(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        far.ip("link set far0 mtu 65535");
        router.ip("link set near0 mtu 65535");
        let injector = far.injector("far0");

        let mut program = Program::start_as(with_only("net_raw"), &router, ORIGINALS);
        for status in statuses_of_threads(program.id()) {
            let field = |name: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
            };
            let uids: Vec<_> = field("Uid:").split('\t').map(str::parse).collect();
            assert_eq!(uids, [const { Ok(UNPRIVILEGED_ID) }; 4]);
            // The program drops the capability as soon as the rings are open.
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
                assert_eq!(field(set), "0".repeat(16), "{set}");
            }
        }
        assert_eq!(program.get("/healthz"), "ok");
        let capabilities = program.get("/capabilities");
        assert_eq!(
            capabilities,
            concat!(
                r#"{"TrafficInterval":170,"ByteLimit":1000000000,"NoDestinations":false,"#,
                r#""ContactedIPsAnalyze":true,"NumberContactedIPs":15,"AnalyzePorts":false,"#,
                r#""NumContactedPorts":100,"PortInterval":600,"ChartMinBytes":5000000,"#,
                r#""ExcludedInterfaces":["lo","dummy0"]}"#
            )
        );

        let target = |n| Ipv4Addr::new(198, 18, 0, n);
        let frame = Udp { src: HEAVY, dst: target(1), dst_port: 53, ip_bytes: IP_BYTES }.frame();
        let packets = GIGABYTE / u64::from(IP_BYTES) + 1;
        injector.send_at_rate(&vec![&frame; packets as usize], 50_000);
        program.alert("TRAFFIC", HEAVY);
        program.wait_for_bytes(HEAVY, packets * u64::from(IP_BYTES));

        (1..=16).for_each(|n| {
            injector.send(&Udp { src: SCANNER, dst: target(n), dst_port: 53, ip_bytes: 40 }.frame());
        });
        program.alert("SCANNING", SCANNER);
        // Fewer bytes than `ChartMinBytes`.
        assert_eq!(program.bytes_of(SCANNER.into()), 0);

        let sent = Sum { packets: packets + 16, bytes: packets * u64::from(IP_BYTES) + 16 * 40 };
        program.wait_for_counted(sent);
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.final_counts(), sent);
        assert_eq!(ended.alerts().len(), 2, "{}", ended.text());
    });
}

#[test]
fn where_capabilities_cannot_be_given_up_it_starts_again_without_any() {
    const HEAVY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
    inside_unprivileged(|| {
        let (far, router) = (Host::new(), Host::router());
        far.plug("far0", &router, "near0");
        let injector = far.injector("far0");
        let folder = tempfile::tempdir().expect("a folder for the test");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("it is ours");
        let config = format!(
            "{EVERY_HOST}ByteLimit: 100K\nWorkers: 2\nAlertCommand: /usr/bin/touch {}/touched\n",
            folder.path().display()
        );
        let mut program = under_a_filter_of_capset(&router, |router| Program::start(router, &config));
        let statuses = statuses_of_threads(program.id());
        assert!(statuses.len() > 6, "workers, analyst, link monitor, log, API, sinks: {}", statuses.len());
        let tasks = format!("/proc/{0}/task/{0}/children", program.id());
        let helper = fs::read_to_string(tasks).expect("the kernel lists children");
        let helper = helper.trim().parse().expect("it has a helper");
        for status in statuses.into_iter().chain(statuses_of_threads(helper)) {
            let has = |line: &str| status.lines().any(|known| known == line);
            for set in ["CapPrm", "CapEff", "CapAmb"] {
                assert!(has(&format!("{set}:\t{}", "0".repeat(16))), "{set} of {status}");
            }
            assert!(has("NoNewPrivs:\t1"), "{status}");
        }
        let process = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", program.id()));
        assert_eq!(process("comm").expect("it runs"), "TrafficAlerted\n");
        assert!(process("cmdline").expect("it runs").ends_with("\0lab.conf\0"));

        let packet = Udp { src: HEAVY, dst: Ipv4Addr::new(198, 18, 0, 1), dst_port: 53, ip_bytes: 1000 };
        injector.send_at_rate(&vec![packet.frame(); 200], 50_000);
        program.alert("TRAFFIC", HEAVY);
        program.wait_for_counted(Sum { packets: 200, bytes: 200_000 });
        program.wait_for("the command", |_| folder.path().join("touched").exists(), |&ran| ran);
        program.reload(&config.replace("100K", "200K"));
        let ended = program.stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        assert_eq!(ended.final_counts(), Sum { packets: 200, bytes: 200_000 });
    });
}

#[test]
fn a_variable_of_another_start_is_refused() {
    inside_unprivileged(|| {
        let router = Host::router();
        let refused = |value: &str, command: &mut Command| {
            command.env("TA_PACKET_SOCKETS", value);
            let command = std::mem::replace(command, Command::new("true"));
            let ended = Program::fail(command, &router, ORIGINALS);
            assert_eq!(ended.code, Some(1), "{}", ended.text());
            ended.text().to_owned()
        };
        let text = refused("1:3", &mut Command::new(BINARY));
        assert!(text.contains("TA_PACKET_SOCKETS was not written by this process"), "{text}");
        // `exec` keeps the number of the shell, so anybody can write the variable as it must be.
        let exec = |descriptors: &str, privileges: &str| {
            let mut command = tool("setpriv", "util-linux");
            let script = format!(
                "exec env TA_PACKET_SOCKETS=$$:{descriptors} setpriv {privileges} {BINARY} \"$@\" 5</dev/null"
            );
            command.args(["--ambient-caps=-all,+net_raw", "--inh-caps=-all,+net_raw"]);
            command.args(["--bounding-set=-all,+net_raw", "sh", "-c", &script, "sh"]);
            let ended = Program::fail(command, &router, ORIGINALS);
            assert_eq!(ended.code, Some(1), "{}", ended.text());
            ended.text().to_owned()
        };
        let text = exec("5", "--no-new-privs");
        assert!(text.contains("its permitted set has CAP_NET_RAW"), "{text}");
        let text = exec("5", "--ambient-caps=-all --inh-caps=-all");
        assert!(text.contains("no-new-privileges is not set"), "{text}");
        let text = exec("5", "--no-new-privs --ambient-caps=-all --inh-caps=-all");
        assert!(text.contains("descriptor 5 is no packet socket"), "{text}");
        let text = exec("6", "--no-new-privs --ambient-caps=-all --inh-caps=-all");
        assert!(text.contains("descriptor 6 is not open"), "{text}");
    });
}

/// Calls `start` on a thread with CAP_NET_RAW in the ambient set, which programs inherit, and a filter like that of
/// systemd: capset(2) fails with EPERM.
fn under_a_filter_of_capset<T: Send>(router: &Host, start: impl FnOnce(&Host) -> T + Send) -> T {
    let confined = || {
        let net_raw: CapsHashSet = [Capability::CAP_NET_RAW].into_iter().collect();
        for set in [CapSet::Ambient, CapSet::Inheritable] {
            caps::clear(None, set).expect("they are the thread's own");
        }
        caps::set(None, CapSet::Inheritable, &net_raw).expect("it is permitted");
        caps::set(None, CapSet::Ambient, &net_raw).expect("it is permitted and inheritable");
        let architecture = std::env::consts::ARCH.try_into().expect("the crate knows it");
        let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
        let rules = [(libc::SYS_capset, Vec::new())].into_iter().collect();
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture);
        let program: BpfProgram = filter.expect("it is well-formed").try_into().expect("it is short");
        seccompiler::apply_filter(&program).expect("no privilege is needed");
        assert!(caps::clear(None, CapSet::Inheritable).is_err(), "capset is refused");
        start(router)
    };
    thread::scope(|scope| scope.spawn(confined).join()).unwrap_or_else(|panic| panic::resume_unwind(panic))
}

#[test]
fn a_missing_capability_is_named_with_the_remedy() {
    inside_unprivileged(|| {
        let ended = Program::fail(with_only("net_bind_service"), &Host::router(), ORIGINALS);
        let text = ended.text();
        assert_eq!(ended.code, Some(1), "{text}");
        for part in
            ["CAP_NET_RAW", &format!("setcap cap_net_raw+ep {BINARY}"), "AmbientCapabilities=CAP_NET_RAW"]
        {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    });
}

#[test]
fn a_port_in_use_is_named() {
    inside_unprivileged(|| {
        let router = Host::router();
        let _other = router.on(|| TcpListener::bind(("127.0.0.1", PORT)).expect("the port is free"));
        let ended = Program::fail(with_only("net_raw"), &router, ORIGINALS);
        let text = ended.text();
        assert_eq!(ended.code, Some(1), "{text}");
        assert!(text.contains(&format!("127.0.0.1:{PORT}")), "{text}");
    });
}

#[test]
fn a_bad_configuration_is_shown_and_nothing_starts() {
    inside_unprivileged(|| {
        let bad = ORIGINALS.replace("ByteLimit: 1G", "ByteLimit: 1T");
        let ended = Program::fail(with_only("net_raw"), &Host::router(), &bad);
        let text = ended.text();
        assert_eq!(ended.code, Some(2), "{text}");
        assert!(text.contains("bad value for `ByteLimit`") && text.contains("lab.conf:8:"), "{text}");
    });
}

/// Runs the program as a user who owns nothing, with one capability.
fn with_only(capability: &str) -> Command {
    let mut setpriv = tool("setpriv", "util-linux");
    setpriv.args([
        format!("--reuid={UNPRIVILEGED_ID}"),
        format!("--regid={UNPRIVILEGED_ID}"),
        "--keep-groups".to_owned(),
    ]);
    for set in ["--inh-caps", "--ambient-caps", "--bounding-set"] {
        setpriv.arg(format!("{set}=-all,+{capability}"));
    }
    setpriv.arg(BINARY);
    setpriv
}

fn statuses_of_threads(process: u32) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    threads
        .map(|thread| {
            let folder = thread.expect("it runs").path();
            fs::read_to_string(folder.join("status")).expect("its threads live as long as it does")
        })
        .collect()
}
