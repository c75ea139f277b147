//! Floods of alerts: spoofed scanners from everywhere, many busy hosts, and fifty hosts of a network that scan at once.
//! They lead to few lines, and whoever matters is named within a second.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::host::Host;
use crate::support::injector::Udp;
use crate::support::namespaces::inside;
use crate::support::over::Over;
use crate::support::program::{Program, Signal, is_optimised};

/// An alert is in the log within this time after the packet that exceeds the limit.
fn in_time() -> Duration {
    Duration::from_millis(if is_optimised() { 1100 } else { 2200 })
}

/// The local network of these tests.
fn local(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 1, 0, 1)) + n)
}

/// Spoofed sources, each in a network of its own.
fn spoofed(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(1, 0, 0, 1)) + (n << 8))
}

fn target(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + n)
}

/// A TCP SYN in a frame to a group of stations, as [`Udp`] has it.
fn syn(src: Ipv4Addr, dst: Ipv4Addr, dst_port: u16) -> Vec<u8> {
    let mut frame = Udp { src, dst, dst_port, ip_bytes: 40 }.frame();
    frame[14 + 9] = 6;
    // After the ports: sequence number, acknowledgement, data offset of five words, SYN, window, checksum, pointer.
    let tcp = [0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0];
    frame[14 + 24..].copy_from_slice(&tcp);
    frame
}

/// Starts the program on a router and returns it with the far end of its wire.
fn monitored(config: &str) -> (Host, Host, Program) {
    let (router, far) = (Host::router(), Host::new());
    router.plug("lan0", &far, "far0");
    let config = format!("LocalNetworks: 10.1.0.0/16\n{config}");
    let program = Program::start(&router, &config);
    (router, far, program)
}

/// Waits until a line of the log has all of these words. Returns how long that took.
fn wait_for_line(program: &Program, began: Instant, words: &[&str]) -> Duration {
    while !program.log_text().lines().any(|line| words.iter().all(|word| line.contains(word))) {
        assert!(began.elapsed() < Duration::from_secs(15), "no {words:?} in:\n{}", program.log_text());
        std::thread::sleep(Duration::from_millis(2));
    }
    began.elapsed()
}

#[test]
fn a_flood_of_spoofed_scanners_is_a_few_lines_and_hides_nobody() {
    inside(|| {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("alerts.jsonl");
        let config = format!(
            "ScanEvidence: contacts\nNumberContactedIPs: 15\nByteLimit: 1M\nPacketRateLimit: off\n\
             AlertFile: {}\nAlertFileMaxSize: 100K\nAlertFileKeep: 0\n",
            file.display()
        );
        let (_router, far, program) = monitored(&config);
        let injector = far.injector("far0");
        let earlier: Vec<_> = (0..60).map(|n| syn(local(9), target(100 + n), 23)).collect();
        injector.send_at_rate(&earlier, 50_000);
        let earlier = format!("SRC={} ", local(9));
        wait_for_line(&program, Instant::now(), &["WHY=SCANNING", &earlier]);
        let before = program.log_text().lines().count();
        // 160,000 SYNs: each of 10,000 sources contacts 16 hosts.
        let flood: Vec<Vec<u8>> =
            (0..160_000).map(|n| syn(spoofed(n % 10_000), target(n / 10_000), 80)).collect();
        injector.send_at_rate(&flood, 80_000);
        wait_for_line(&program, Instant::now(), &["EVENT=STORM", "KIND=SCANNING"]);
        wait_for_line(&program, Instant::now(), &["is full", "SCANNING"]);

        let (sweeper, talker) = (local(5).to_string(), spoofed(60_000));
        let sweep: Vec<_> = (0..60).map(|n| syn(local(5), target(100 + n), 23)).collect();
        let began = Instant::now();
        injector.send_at_rate(&sweep, 50_000);
        let loud: Vec<_> = (0..1100)
            .map(|_| Udp { src: talker, dst: target(1), dst_port: 9, ip_bytes: 1000 }.frame())
            .collect();
        injector.send_at_rate(&loud, 50_000);
        let talker = format!("SRC={talker} ");
        let took = [
            wait_for_line(&program, began, &["EVENT=SCANNING", &format!("SRC={sweeper} ")]),
            wait_for_line(&program, began, &["EVENT=TRAFFIC", &talker]),
        ];
        let log = program.log_text();
        let lines: Vec<&str> = log.lines().skip(before).collect();
        eprintln!(
            "said after {took:?}, {} lines:\n{}",
            lines.len(),
            lines.join("\n").chars().take(4000).collect::<String>()
        );
        assert!(took.iter().all(|took| *took <= in_time()), "{took:?}");
        // Two lines are those of the sweep and two those of the host over ByteLimit.
        assert!(lines.len() <= 25 + 4, "{} lines", lines.len());
        // A busy analyst puts reports off.
        program.wait_for(
            "the full table in the accounting",
            |program| program.get_json::<Value>("/api/v1/accounting")["alerts"].clone(),
            |table| table["discarded_findings"].as_u64() > Some(0) && table["open"].as_u64() > Some(8000),
        );
        program.stop(Signal::SIGTERM);
        // The file, which may have 100 KB and none before it, has what was before the flood.
        let alerts = std::fs::read_to_string(&file).expect("the program wrote it");
        let of = |source: Ipv4Addr| alerts.lines().position(|line| line.contains(&format!("\"{source}\"")));
        assert_eq!((of(local(9)), of(local(5)).is_some()), (Some(0), true), "{alerts}");
    });
}

/// The program ends while the storm waits for further hosts.
#[test]
fn a_storm_is_said_before_the_program_ends() {
    inside(|| {
        let (_router, far, program) = monitored("ScanEvidence: contacts\nNumberContactedIPs: 15\n");
        let sweeps: Vec<_> = (0..50 * 20).map(|n| syn(local(n % 50), target(n / 50), 445)).collect();
        far.injector("far0").send_at_rate(&sweeps, 50_000);
        let lines = program.stop(Signal::SIGTERM).lines;
        let storm = lines.iter().find(|line| line.text.contains("EVENT=STORM KIND=SCANNING HOSTS=50 "));
        assert!(storm.is_some(), "{lines:?}");
    });
}

#[test]
fn fifty_hosts_that_scan_at_once_are_one_storm_that_names_them() {
    inside(|| {
        let (_router, far, program) = monitored("ScanEvidence: suspicious\nNumberContactedIPs: 15\n");
        let injector = far.injector("far0");
        let sweeps: Vec<_> = (0..50 * 60).map(|n| syn(local(n % 50), target(n / 50), 445)).collect();
        let began = Instant::now();
        injector.send_at_rate(&sweeps, 50_000);
        let took = wait_for_line(&program, began, &["EVENT=STORM", "KIND=SCANNING", "NETWORK=10.1.0.0/24"]);
        std::thread::sleep(2 * in_time());
        let log = program.log_text();
        // The sweeps may end in two ticks; then the storm grows a second later.
        let storm: Vec<&str> = log.lines().filter(|line| line.contains("=STORM KIND=SCANNING")).collect();
        eprintln!("said after {took:?}: {storm:?}");
        let named = (storm.join(" ") + " ").replace(['[', ']'], " ");
        assert!((0..50).all(|n| named.contains(&format!(" {} ", local(n)))), "{log}");
        let alerts = program.get_json::<Vec<Value>>("/api/v1/alerts");
        let storms: Vec<&Value> = alerts.iter().filter(|alert| alert["storm"].is_object()).collect();
        assert_eq!((storms.len(), &storms[0]["storm"]["hosts"]), (1, &Value::from(50)));
        assert_eq!(storms[0]["storm"]["sample"].as_array().map(Vec::len), Some(50));
        let members = alerts.iter().filter(|alert| alert["storm_id"] == storms[0]["id"]).count();
        let said_singly = storms[0]["storm"]["said_singly"].as_u64();
        assert_eq!((Some(50 - members as u64), alerts.len()), (said_singly, 51));
        program.stop(Signal::SIGTERM);
    });
}

#[test]
fn a_sweep_is_found_in_time_although_four_hundred_hosts_with_lower_addresses_are_busy() {
    inside(|| {
        let (_router, far, program) = monitored("ScanEvidence: suspicious\nNumberContactedIPs: 15\n");
        let injector = far.injector("far0");
        // Each of 400 hosts contacts hundreds of hosts all the time, and most of them answer.
        let busy: Vec<_> = (0..400 * 250)
            .flat_map(|n| {
                let (client, server) = (spoofed(n % 400), target(1000 + n / 400));
                let mut answer = syn(server, client, 0);
                answer[34..36].copy_from_slice(&443_u16.to_be_bytes());
                answer[36..38].copy_from_slice(&40_000_u16.to_be_bytes());
                answer[14 + 33] = 0x12;
                [syn(client, server, 443), answer]
            })
            .collect();
        let sweeper = Ipv4Addr::new(223, 0, 0, 9);
        let sweep: Vec<_> = (0..60).map(|n| syn(sweeper, target(100 + n), 23)).collect();
        let took = std::thread::scope(|scope| {
            let load = scope.spawn(|| far.injector("far0").send_at_rate(&busy, 40_000));
            std::thread::sleep(Duration::from_secs(2));
            let began = Instant::now();
            injector.send_at_rate(&sweep, 50_000);
            let took = wait_for_line(&program, began, &["EVENT=SCANNING", &format!("SRC={sweeper} ")]);
            load.join().expect("the frames are sent");
            took
        });
        eprintln!("said after {took:?}");
        assert!(took <= in_time(), "{took:?}");
        program.stop(Signal::SIGTERM);
    });
}

/// Number of sources of a flood; those of the optimised program fill the table of alerts.
fn flood_sources() -> u32 {
    if is_optimised() { 10_000 } else { 1_000 }
}

/// What a flood is made of: 16 packets from each source to as many hosts.
fn flood(packet: impl Fn(u32, u32) -> Vec<u8>) -> Vec<Vec<u8>> {
    let sources = flood_sources();
    (0..16 * sources).map(|n| packet(n % sources, n / sources)).collect()
}

/// A UDP packet of IPv6 in a frame to a group of stations.
fn udp_v6(src: u32, dst: u32) -> Vec<u8> {
    let mut frame = vec![3, 0, 0, 0, 0, 0xfe, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64];
    for (network, host) in [(0x2001_0db8_u32, src), (0x2001_0db9, dst)] {
        frame.extend(network.to_be_bytes());
        frame.extend(host.to_be_bytes());
        frame.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    }
    frame.extend([0x9c, 0x40, 0, 53, 0, 8, 0, 0]);
    frame
}

/// How a sweep amid a flood is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweep {
    /// By a line of the log.
    Said,
    /// By the list of alerts: hosts of the same networks are in the flood, so all are one storm.
    InStorm,
}

/// Maximum time of a sweep amid a flood. Only the optimised program judges ten thousand hosts and their flood as fast
/// as a few; the other one, with a tenth of them, has the rest of its time for a busy machine.
fn in_time_amid_flood(sweep: Sweep) -> Duration {
    match (is_optimised(), sweep) {
        (true, Sweep::Said) => in_time(),
        // The list is in a report, which a busy analyst puts off.
        (true, Sweep::InStorm) => 5 * in_time(),
        (false, _) => Duration::from_secs(12),
    }
}

/// Lines of the log that a flood may cause.
const FLOOD_LINES_MAX: usize = 25;

/// Openings that are said singly before there is a storm (`AlertBurst`), each in two lines. They are those of the first
/// judgements of a flood that comes slowly: what opens in one judgement is decided together.
const SINGLE_LINES_MAX: usize = 2 * 20;

/// Lines about the three that sweep and the one over its limit, two each, and one of the full table.
const NAMED_LINES: usize = 2 * 4 + 1;

/// Sends the flood, and goes on with it until three local hosts that sweep and a remote host that exceeds `ByteLimit`
/// are known, each in time; and the flood is a few lines.
fn hides_nobody(settings: &str, sweep: Sweep, flood: &[Vec<u8>]) {
    let (_router, far, program) =
        monitored(&format!("NumberContactedIPs: 15\nByteLimit: 1M\nPacketRateLimit: off\n{settings}"));
    let before = program.log_text().lines().count();
    let is_over = AtomicBool::new(false);
    let took = std::thread::scope(|scope| {
        let over = Over(&is_over);
        let load = scope.spawn(|| {
            let injector = far.injector("far0");
            // Whoever is in it sends again and again, in the order of the addresses.
            let mut rounds = flood.chunks(flood_sources() as usize).cycle();
            while !is_over.load(Ordering::Relaxed) {
                injector.send_at_rate(rounds.next().expect("it has no end"), 4 * flood_sources());
            }
        });
        // All sources have exceeded the limit, and go on.
        let flood_frames = flood.len() as u64;
        program.wait_for(
            "the whole flood is counted",
            |it| it.accounting().frames,
            |&now| now > flood_frames,
        );
        let injector = far.injector("far0");
        let began = Instant::now();
        let sweeps: Vec<_> =
            (0..3 * 60).map(|n| syn(local(60_000 + n % 3), target(100 + n / 3), 23)).collect();
        injector.send_at_rate(&sweeps, 50_000);
        let talker = Ipv4Addr::new(203, 0, 113, 9);
        let loud = Udp { src: talker, dst: target(1), dst_port: 9, ip_bytes: 1000 }.frame();
        (0..1100).for_each(|_| injector.send(&loud));
        let words = format!("SRC={talker} ");
        let mut took = vec![wait_for_line(&program, began, &["EVENT=TRAFFIC", &words])];
        let sources = || (0..3).map(|n| local(60_000 + n));
        if sweep == Sweep::InStorm {
            // Ten thousand alerts are not parsed: that takes longer than the program takes.
            let are_listed =
                |alerts: &String| sources().all(|source| alerts.contains(&format!(r#""source":"{source}""#)));
            program.wait_for("the sweeps in the list", |it| it.get("/api/v1/alerts"), are_listed);
            took.push(began.elapsed());
        } else {
            took.extend(sources().map(|source| {
                wait_for_line(&program, began, &["EVENT=SCANNING", &format!("SRC={source} ")])
            }));
        }
        assert!(!load.is_finished(), "the flood must last until all of them are known");
        drop(over);
        load.join().expect("the frames are sent");
        took
    });
    let lines = program.log_text().lines().count() - before;
    let analyst = program.get_json::<Value>("/api/v1/accounting")["analyst"].clone();
    eprintln!("said after {took:?}, {lines} lines; {analyst}");
    let in_time = in_time_amid_flood(sweep);
    assert!(took.iter().all(|took| *took <= in_time), "{took:?}\n{}", program.log_text());
    let lines_max = FLOOD_LINES_MAX + SINGLE_LINES_MAX + NAMED_LINES;
    assert!(lines <= lines_max, "{lines}:\n{}", program.log_text());
    program.stop(Signal::SIGTERM);
}

const CONTACTS: &str = "ScanEvidence: contacts\n";

#[test]
fn a_flood_of_syns_that_goes_on_hides_nobody_with_little_memory() {
    inside(|| {
        let settings = format!("{CONTACTS}MemoryLimit: 64M\n");
        hides_nobody(&settings, Sweep::Said, &flood(|src, dst| syn(spoofed(src), target(dst), 80)));
    });
}

#[test]
fn a_flood_of_suspicious_syns_hides_nobody() {
    inside(|| {
        hides_nobody(
            "ScanEvidence: suspicious\n",
            Sweep::Said,
            &flood(|src, dst| syn(spoofed(src), target(dst), 80)),
        );
    });
}

#[test]
fn a_flood_of_udp_from_forged_local_addresses_hides_nobody() {
    let packet = |src, dst| Udp { src: local(src), dst: target(dst), dst_port: 53, ip_bytes: 28 }.frame();
    inside(|| hides_nobody(CONTACTS, Sweep::InStorm, &flood(packet)));
}

#[test]
fn a_flood_of_ipv6_hides_nobody() {
    inside(|| hides_nobody(CONTACTS, Sweep::Said, &flood(udp_v6)));
}

/// Alerts end within the cooldown after which they open again, and more of them than are remembered.
#[test]
fn a_flood_of_alerts_that_end_and_come_back_hides_nobody() {
    inside(|| {
        let settings = format!("{CONTACTS}TrafficInterval: 2\nAlertCooldown: 60\n");
        hides_nobody(&settings, Sweep::Said, &flood(|src, dst| syn(spoofed(src), target(dst), 80)));
    });
}
