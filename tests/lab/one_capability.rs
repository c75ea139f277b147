//! The program needs one capability, a free port and a configuration, and reports which of them is missing.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use crate::support::host::{Host, Sum};
use crate::support::injector::Udp;
use crate::support::namespaces::{UNPRIVILEGED_ID, inside_unprivileged};
use crate::support::program::{BINARY, PORT, Program, Signal};
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
