//! The dashboard: its types, its unit tests, and the page in a real browser against the real server.
//!
//! Needs Node.js with npm, and chromium for the page. Where one is missing the test fails and names the package;
//! it never passes in silence.
#![cfg(feature = "dashboard")]
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::{fs, io};

use traffic_alerted::alert::{ActiveHost, AlertKind, Report};
use traffic_alerted::api::view::Capabilities;
use traffic_alerted::api::{Options, Running, Server};
use traffic_alerted::flow::{HostRow, PeerBytes, Published};

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

/// The script says what it wants to see, and this test publishes it: reports change under the open page, and
/// the server goes and comes back.
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
            "publish few changed" => report.publish(few_changed()),
            "publish crowd" => report.publish(crowd()),
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

fn serve(listen: SocketAddr, report: &Arc<Published<Report>>) -> Running {
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
    };
    Server::bind(&Options { listen, capabilities }).unwrap().start(Arc::clone(report)).unwrap()
}

/// Three sources: one with two alerts, one in IPv6 with one, one with none.
fn few() -> Report {
    let loud = row("10.1.1.1", &[("10.9.9.9", 30_840_000), ("10.1.1.10", 1_230_000)]);
    let scanner = row("fd00::1", &[("fd00::2", 5_000_050)]);
    let quiet = row("10.1.1.10", &[("10.1.1.1", 9_000_000), ("10.9.9.9", 12_000)]);
    report(
        &[&loud, &quiet, &scanner],
        &[(&loud, &[AlertKind::Traffic, AlertKind::Scanning]), (&scanner, &[AlertKind::ScanningPort])],
    )
}

/// A while later: the loud one has sent more, the scanner has stopped, another one alerts.
fn few_changed() -> Report {
    let loud = row("10.1.1.1", &[("10.9.9.9", 40_000_000), ("10.1.1.10", 1_230_000)]);
    let quiet = row("10.1.1.10", &[("10.1.1.1", 9_000_000), ("10.7.7.7", 80_000_000)]);
    report(
        &[&quiet, &loud],
        &[(&loud, &[AlertKind::Traffic, AlertKind::Scanning]), (&quiet, &[AlertKind::Traffic])],
    )
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
