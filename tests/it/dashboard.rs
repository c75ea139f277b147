//! The dashboard: its types, its unit tests, and the page in a real browser against the real server.
//!
//! Needs Node.js with npm, and chromium for the page. Where one is missing the test fails and names the package;
//! it is never skipped.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fs, io};

use traffic_alerted::alert::{Alert, AlertKind, AlertProgress};
use traffic_alerted::api::view::{Capabilities, LimitsInForce};
use traffic_alerted::api::{Options, RunningServer, Server, SocketOption};
use traffic_alerted::capture::{InterfaceName, KernelStats, LinkCounters, SoftnetStats};
use traffic_alerted::detect::{
    Confidence, HostLimits, InterfaceReconciliation, LimitException, ScanClass, ScanEvidence, ScanRole,
    ScanRule,
};
use traffic_alerted::flow::{
    ContactTarget, DirectionCounts, HostRow, InterfaceCounts, KernelCounts, Outcome, Outcomes, Pace,
    PeerBytes, PortHosts, Published,
};
use traffic_alerted::packet::Skip;
use traffic_alerted::report::{ActiveHost, InterfaceReport, Report};
use traffic_alerted::time::UnixNanos;

#[test]
fn types_are_strict() {
    run("npm", &["run", "--silent", "typecheck"]);
}

#[test]
fn unit_tests_pass() {
    run("npm", &["run", "--silent", "test"]);
}

#[test]
fn the_lock_file_names_no_registry() {
    let lock = fs::read_to_string(source().join("package-lock.json")).unwrap();
    assert!(!lock.contains("\"resolved\""), "npm has written addresses into the lock file; see .npmrc");
    assert!(lock.contains("\"integrity\": \"sha512-"), "hashes are what makes the lock file one");
}

/// The script requests reports on its standard output, and this test publishes them: reports change while the page is
/// open, and the server stops and starts again.
#[test]
fn the_page_works_in_a_browser() {
    let chromium = Path::new(CHROMIUM);
    assert!(chromium.exists(), "there is no {CHROMIUM}: install it (Debian: apt install chromium)");
    let report = Arc::new(Published::new(Report::default()));
    let mut server = Some(serve((Ipv4Addr::LOCALHOST, 0).into(), &report));
    let addr = server.as_ref().unwrap().local_addr();
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-pictures");
    fs::create_dir_all(&pictures).unwrap();

    let mut script = Command::new("node")
        .arg("test/browser.mjs")
        .arg(format!("http://{addr}/dashboard/"))
        .arg(chromium)
        .arg(&pictures)
        .current_dir(installed())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node can be run (Debian: apt install nodejs)");
    let mut answers = script.stdin.take().unwrap();
    for order in BufReader::new(script.stdout.take().unwrap()).lines() {
        match order.unwrap().as_str() {
            "publish nothing" => report.publish(Report::default()),
            "publish few" => report.publish(few()),
            "publish possible" => report.publish(possible()),
            "publish few changed" => report.publish(few_changed()),
            "publish closed" => report.publish(closed()),
            "publish hosts" => report.publish(hosts()),
            "publish everything" => report.publish(everything()),
            "publish crowd" => report.publish(crowd()),
            "publish losing" => report.publish(losing(214_321)),
            "publish losing more" => report.publish(losing(314_321)),
            "publish lost" => report.publish(lost()),
            "publish lost before" => report.publish(lost_before()),
            "publish server" => report.publish(server_report()),
            "stop" => server.take().expect("it runs").stop(),
            "start" => server = Some(serve(addr, &report)),
            other => {
                eprintln!("{other}");
                continue;
            }
        }
        writeln!(answers, "done").unwrap();
    }
    let status = script.wait().unwrap();
    assert!(status.success(), "the browser test failed: {status}; pictures are in {}", pictures.display());
}

/// Every reason has a text; without one its name would be shown.
#[test]
fn every_reason_has_words() {
    let words = fs::read_to_string(source().join("src/reasons.ts")).unwrap();
    for skip in Skip::ALL {
        assert!(words.contains(&format!("\n  {}: \"", skip.name())), "{skip} has no words in reasons.ts");
    }
}

fn serve(listen: SocketAddr, report: &Arc<Published<Report>>) -> RunningServer {
    let capabilities = Capabilities {
        traffic_interval: 170,
        byte_limit: 1_000_000_000,
        no_destinations: false,
        contacted_ips_analyze: true,
        number_contacted_ips: 15,
        analyze_ports: true,
        num_contacted_ports: 100,
        port_interval: 600,
        chart_min_bytes: 5_000_000,
        excluded_interfaces: vec!["lo".into()],
        further: Vec::new(),
        limits: LimitsInForce {
            hosts: HostLimits::default()
                .with(AlertKind::Traffic, Some(1_000_000_000))
                .with(AlertKind::Scanning, Some(15))
                .with(AlertKind::ScanningPort, Some(100)),
            networks: vec![(
                "10.0.5.0/24".parse().unwrap(),
                vec![LimitException { kind: AlertKind::Traffic, max: Some(20_000_000_000) }],
            )],
            loss_ppm_max: Some(1000),
            scan_rule: ScanRule::Suspicious,
            ..LimitsInForce::default()
        },
    };
    let options = Options { listen, token: None, socket: SocketOption::Off, users: Vec::new(), capabilities };
    Server::bind(&options).unwrap().start(Arc::clone(report)).unwrap()
}

/// Three sources: one with two alerts, one in IPv6 with one, one with none.
fn few() -> Report {
    let busiest = row("10.1.1.1", &[("10.9.9.9", 30_840_000), ("10.1.1.10", 1_230_000)]);
    let scanner = row("fd00::1", &[("fd00::2", 5_000_050)]);
    let quiet = row("10.1.1.10", &[("10.1.1.1", 9_000_000), ("10.9.9.9", 12_000)]);
    Report {
        alerts: vec![
            alert(AlertKind::Traffic, "10.1.1.1", 1, 1_200_000_000, 1_000_000_000),
            scanning(),
            Alert {
                window: Duration::from_secs(600),
                ports: (1..=120).collect(),
                ..alert(AlertKind::ScanningPort, "fd00::1", 3, 120, 100)
            },
        ],
        ..report(
            &[&busiest, &quiet, &scanner],
            &[(&busiest, &[AlertKind::Traffic, AlertKind::Scanning]), (&scanner, &[AlertKind::ScanningPort])],
        )
    }
}

/// The same a while later: the busiest host has sent more, the scanner has stopped, another host has an alert.
fn few_changed() -> Report {
    let busiest = row("10.1.1.1", &[("10.9.9.9", 40_000_000), ("10.1.1.10", 1_230_000)]);
    let quiet = row("10.1.1.10", &[("10.1.1.1", 9_000_000), ("10.7.7.7", 80_000_000)]);
    Report {
        alerts: vec![scanning(), alert(AlertKind::Traffic, "10.1.1.10", 4, 1_100_000_000, 1_000_000_000)],
        ..report(
            &[&quiet, &busiest],
            &[(&busiest, &[AlertKind::Traffic, AlertKind::Scanning]), (&quiet, &[AlertKind::Traffic])],
        )
    }
}

/// The same, and two hosts that may exceed a limit.
fn possible() -> Report {
    let possible = |kind, source, measured, error_bound| Alert {
        progress: AlertProgress { is_possible: true, error_bound, ..AlertProgress::default() },
        ..alert(kind, source, 1, measured, 1_000_000_000)
    };
    Report {
        alerts: vec![
            possible(AlertKind::Traffic, "10.1.1.10", 900_000_000, 200_000_000),
            possible(AlertKind::Received, "fd00::9", 700_000_000, 500_500_000),
            alert(AlertKind::Traffic, "10.1.1.1", 1, 1_100_000_000, 1_000_000_000),
        ],
        ..few()
    }
}

/// Thirty alerts that have closed, each five minutes after it opened; the newest first.
fn closed() -> Report {
    let closed = |n: u64| {
        let alert =
            alert(AlertKind::Traffic, &format!("10.1.3.{n}"), 3600 - 60 * n, 1_200_000_000, 1_000_000_000);
        Arc::new(Alert { closed_at: Some(alert.opened_at.plus(Duration::from_secs(300))), ..alert })
    };
    Report { closed: Arc::new((1..=30).map(closed).collect()), ..few() }
}

/// 250 hosts, each with two destinations; the last has sent the most and has an alert.
fn hosts() -> Report {
    let rows: Vec<HostRow> = (1..=250_u64)
        .rev()
        .map(|n| {
            let bytes = n * 10_000_000 / 11;
            let [first, second] = [format!("198.51.100.{n}"), format!("203.0.113.{n}")];
            row(&format!("10.2.0.{n}"), &[(&first, bytes), (&second, n * 1_000_000 - bytes)])
        })
        .collect();
    report(&rows.iter().collect::<Vec<_>>(), &[(&rows[0], &[AlertKind::Traffic])])
}

/// Every part of the page has something to show.
fn everything() -> Report {
    let mut report = losing(214_321);
    report.alerts.extend(possible().alerts);
    report.alerts.push(scanning());
    report.closed = closed().closed;
    report
}

/// A host that looks for open ports 445.
fn scanning() -> Alert {
    let outcomes = Outcomes { answered: 12, silent: 241, ..Outcomes::default() };
    let target = IpAddr::from([10, 1, 2, 3]);
    Alert {
        scan: Some(ScanEvidence {
            role: ScanRole::Scanner,
            class: Some(ScanClass::Sweep),
            confidence: Confidence::High,
            contacted: 253,
            outcomes,
            answers_visible: true,
            ports: vec![PortHosts {
                protocol: 6,
                port: 445,
                outcomes,
                served: 0,
                hosts_in_one_network: 253,
                traced: 0,
            }],
            ports_at_one_host: 1,
            targets: vec![ContactTarget { addr: target, port: Some((6, 445)), outcome: Outcome::Silent }],
            pace: Pace::default(),
            why: "tried 253 hosts at TCP port 445 (SMB): 12 answered, 241 unanswered".into(),
        }),
        ..alert(AlertKind::Scanning, "10.1.1.1", 2, 253, 15)
    }
}

/// An open alert about a host; `second` is that of its opening.
fn alert(kind: AlertKind, source: &str, second: u64, measured: u64, limit: u64) -> Alert {
    Alert {
        id: format!("{} {source}", kind.name()),
        kind,
        source: source.parse().ok(),
        opened_at: UnixNanos((1_735_732_800 + second) * 1_000_000_000),
        closed_at: None,
        measured,
        limit,
        window: Duration::from_secs(170),
        ip_bytes: measured,
        destinations: Vec::new(),
        ports: Vec::new(),
        loss: KernelCounts::default(),
        scan: None,
        progress: AlertProgress::default(),
    }
}

/// Forty sources and about as many destinations, bytes over six orders of magnitude.
fn crowd() -> Report {
    let addr = |net: [u8; 3], host: u32| IpAddr::from([net[0], net[1], net[2], u8::try_from(host).unwrap()]);
    let rows: Vec<HostRow> = (0..40_u32)
        .map(|n| {
            let mut destinations: Vec<PeerBytes> = (0..=n * 7 % 4)
                .map(|k| PeerBytes {
                    addr: if (n + k) % 3 == 0 {
                        addr([10, 0, 0], (n * 11 + k * 17 + 5) % 40 + 1)
                    } else {
                        addr([198, 51, 100], (n * 13 + k * 29) % 37 + 1)
                    },
                    ip_bytes: 10_u64.pow(4 + (n + 3 * k) % 6) * u64::from(n + 7),
                })
                .collect();
            destinations.sort_by_key(|peer| std::cmp::Reverse(peer.ip_bytes));
            destinations.dedup_by_key(|peer| peer.addr);
            HostRow {
                ip_bytes: destinations.iter().map(|peer| peer.ip_bytes).sum(),
                ..blank(addr([10, 0, 0], n + 1), destinations)
            }
        })
        .collect();
    let alerting: Vec<(&HostRow, &[AlertKind])> =
        rows.iter().step_by(9).map(|row| (row, &[AlertKind::Traffic][..])).collect();
    report(&rows.iter().collect::<Vec<_>>(), &alerting)
}

/// A gateway with this many frames dropped in the traffic window, and an alert about it.
fn losing(tp_drops: u64) -> Report {
    let mut report = lost();
    report.snapshot.loss.tp_drops = tp_drops;
    let loss = report.snapshot.loss;
    report.alerts =
        vec![Alert { source: None, ip_bytes: 0, loss, ..alert(AlertKind::Loss, "", 1, 21_700, 1_000) }];
    report
}

/// The same gateway with a few frames lost, too few for an alert.
fn lost() -> Report {
    let mut report = few();
    report.is_wire_exact = true;
    let eth0 = DirectionCounts {
        ip_packets: 54_134_567,
        ..crossed(40_000_000, 52_771_223_344, &[(Skip::NotIp, 12_034)])
    };
    let evidence = |frames| crossed(0, 0, &[(Skip::Egress, frames)]);
    let reconciliation = |seen: &DirectionCounts, kernel| {
        let packets = seen.frames() - seen.counted_frames + seen.ip_packets;
        Some(InterfaceReconciliation {
            frames: seen.frames(),
            packets,
            kernel_before: kernel,
            kernel_now: kernel,
        })
    };
    let monitored =
        |ifindex, name, ingress: DirectionCounts, egress, rx_packets, tx_packets| InterfaceReport {
            ingress: reconciliation(&ingress, rx_packets),
            suspicion: reconciliation(&ingress, rx_packets)
                .as_ref()
                .and_then(InterfaceReconciliation::suspicion),
            ..interface(ifindex, name, InterfaceCounts { ingress, egress }, rx_packets, tx_packets)
        };
    let skipped = |ifindex, name, reason, packets| InterfaceReport {
        skipped: Some(reason),
        ..interface(ifindex, name, InterfaceCounts::default(), packets, packets)
    };
    let past = |ifindex, name: Option<&str>, frames| InterfaceReport {
        is_gone: true,
        name: name.map(InterfaceName::new),
        counted: InterfaceCounts {
            ingress: crossed(frames, frames * 500, &[]),
            ..InterfaceCounts::default()
        },
        ..interface(ifindex, "", InterfaceCounts::default(), frames, 0)
    };
    let eth1 = crossed(7_100_000, 5_999_000_000, &[(Skip::IpVersion, 77)]);
    report.interfaces = vec![
        past(0, None, 4),
        skipped(1, "lo", Skip::ExcludedInterface, 1200),
        monitored(2, "eth0", eth0, evidence(1_000_000), 54_147_805, 43_098_712),
        monitored(3, "eth1", eth1, evidence(98_001), 7_100_065, 2_098_712),
        monitored(4, "eth10", crossed(21, 1000, &[]), evidence(0), 980_022, 0),
        skipped(5, "br-lan", Skip::UpperDevice, 7_099_988),
        skipped(6, "veth3f2a1b9", Skip::InternalWire, 12),
        past(9, Some("ppp7"), 900),
    ];
    report.interfaces[2].kernel.rx_missed = 4211;
    account(&mut report, KernelCounts { tp_packets: 5120, tp_drops: 1_069_321, tp_freezes: 91 });
    let counted = &mut report.snapshot.accounting;
    (counted.super_frames, counted.super_frames_as_one) = (3_000_000, 12);
    (counted.spilled_packets, counted.spilled_bytes, counted.undecided_exchanges) = (1204, 900_123, 4);
    report.snapshot.loss = KernelCounts { tp_packets: 9_876_543, tp_drops: 31, tp_freezes: 1 };
    report.kernel = backlog(17);
    report
}

/// The same later: no drops in the window any more, but some before the sockets.
fn lost_before() -> Report {
    let mut report = lost();
    report.snapshot.loss.tp_drops = 0;
    report.kernel = backlog(1217);
    report
}

/// A host that does not forward: egress counts as well. It has no drops, and a joined frame counts as one packet.
fn server_report() -> Report {
    let mut report = few();
    let counted =
        InterfaceCounts { ingress: crossed(5000, 900_000, &[]), egress: crossed(4000, 6_000_000, &[]) };
    let reconciliation = |frames, kernel| {
        Some(InterfaceReconciliation { frames, packets: frames, kernel_before: kernel, kernel_now: kernel })
    };
    report.interfaces = vec![InterfaceReport {
        ingress: reconciliation(5000, 5000),
        egress: reconciliation(4000, 3990),
        ..interface(2, "ens3", counted, 5000, 3990)
    }];
    account(&mut report, KernelCounts::default());
    report
}

/// Adds the interfaces up; `besides` are the kernel's drops and the frames that are still in the rings (`tp_packets`).
fn account(report: &mut Report, besides: KernelCounts) {
    let counted = &mut report.snapshot.accounting;
    for crossed in report.interfaces.iter().flat_map(|row| [row.counted.ingress, row.counted.egress]) {
        counted.frames += crossed.frames();
        counted.counted_frames += crossed.counted_frames;
        counted.ip_packets += crossed.ip_packets;
        counted.ip_bytes += crossed.ip_bytes;
        for (sum, frames) in counted.skipped.iter_mut().zip(crossed.skipped) {
            *sum += frames;
        }
    }
    let tp_packets = counted.frames + besides.tp_packets + besides.tp_drops;
    counted.kernel = KernelCounts { tp_packets, ..besides };
}

fn crossed(frames: u64, ip_bytes: u64, skipped: &[(Skip, u64)]) -> DirectionCounts {
    let mut crossed = DirectionCounts {
        counted_frames: frames,
        ip_packets: frames,
        ip_bytes,
        ..DirectionCounts::default()
    };
    for &(reason, frames) in skipped {
        crossed.skipped[reason as usize] = frames;
    }
    crossed
}

fn interface(
    ifindex: u32,
    name: &str,
    counted: InterfaceCounts,
    rx_packets: u64,
    tx_packets: u64,
) -> InterfaceReport {
    InterfaceReport {
        ifindex,
        name: Some(InterfaceName::new(name)),
        counted,
        kernel: LinkCounters { rx_packets, tx_packets, ..LinkCounters::default() },
        ..InterfaceReport::default()
    }
}

fn backlog(drops: u64) -> Arc<KernelStats> {
    let backlog = Some(SoftnetStats { drops, time_squeezes: 3 });
    Arc::new(KernelStats { softnet: backlog, forwards: true, ..KernelStats::default() })
}

fn report(rows: &[&HostRow], active: &[(&HostRow, &[AlertKind])]) -> Report {
    let mut report = Report::default();
    report.snapshot.hosts = rows.iter().map(|&row| row.clone()).collect();
    report.active =
        active.iter().map(|&(row, kinds)| ActiveHost { kinds: kinds.to_vec(), row: row.clone() }).collect();
    report
}

fn row(addr: &str, destinations: &[(&str, u64)]) -> HostRow {
    let destinations: Vec<_> = destinations
        .iter()
        .map(|&(addr, ip_bytes)| PeerBytes { addr: addr.parse().unwrap(), ip_bytes })
        .collect();
    HostRow {
        ip_bytes: destinations.iter().map(|peer| peer.ip_bytes).sum(),
        ..blank(addr.parse().unwrap(), destinations)
    }
}

fn blank(addr: IpAddr, destinations: Vec<PeerBytes>) -> HostRow {
    HostRow { addr, packets: 1, ip_bytes: 0, contacted_hosts: 0, contacted_ports: 0, destinations }
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program)
        .args(args)
        .current_dir(installed())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error} (Debian: apt install nodejs npm)"));
    assert!(
        output.status.success(),
        "{program} {args:?} failed with {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A copy of the sources with everything that the lock file names, development dependencies included. The
/// source tree itself stays clean.
fn installed() -> &'static Path {
    static INSTALLED: OnceLock<PathBuf> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard");
        for name in [
            ".npmrc",
            "build.mjs",
            "package.json",
            "package-lock.json",
            "page",
            "src",
            "test",
            "tsconfig.json",
        ] {
            replace(&source().join(name), &copy.join(name)).unwrap();
        }
        let output = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"])
            .current_dir(&copy)
            .output()
            .expect("npm can be run (Debian: apt install nodejs npm)");
        assert!(output.status.success(), "npm ci: {}", String::from_utf8_lossy(&output.stderr));
        copy
    })
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/dashboard")
}

/// Copies a file, or a directory in place of the one that is there.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        fs::create_dir_all(to.parent().unwrap())?;
        return fs::copy(from, to).map(|_| ());
    }
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        replace(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// Debian's package `chromium`.
const CHROMIUM: &str = "/usr/bin/chromium";
