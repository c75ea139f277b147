//! Tests windows, detectors and ledger together, with times of the test's choice: a limit applies to a burst at any
//! time.

use proptest::prelude::*;

use crate::alert;
use crate::flow::InterfaceDirection;
use crate::logging::LinePrefix;
use crate::packet::{Endpoints, Summary, TcpFlags, Transport};
use crate::store::{Restored, StateDatabase};

use super::super::analyst_thread::save_and_notify;
use super::*;

mod local_hosts;

const SECOND: u64 = 1_000_000_000;
const INTERVAL_S: u64 = 10;
const INTERVAL: u64 = INTERVAL_S * SECOND;
const SLOT: u64 = INTERVAL / 10;
const BYTES_MAX: u64 = 10_000;
/// Time between two judgements without a hand-over.
const JUDGE_EVERY: u64 = SECOND / 2;

fn rules() -> Rules {
    Rules {
        flow: flow::Options {
            traffic_interval: Duration::from_nanos(INTERVAL),
            port_interval: None,
            chart_bytes_min: 0,
            group_ipv6: None,
            memory_bytes_max: 64 << 20,
        },
        detect: detect::Limits {
            hosts: detect::HostLimits::default()
                .with(detect::FindingKind::Traffic, Some(BYTES_MAX))
                .with(detect::FindingKind::Scanning, Some(5)),
            ..detect::Limits::default()
        },
        alert: alert::Options::default(),
        direction: crate::capture::DirectionPolicy::Auto,
    }
}

/// An analyst, the delta of one worker, and all notices so far.
struct Bench {
    analyst: Analyst,
    delta: Delta,
    notices: Vec<Notice>,
}

impl Bench {
    fn new(rules: &Rules) -> Self {
        Self::with_capacity(rules, &rules.limits(1).expect("enough memory"))
    }

    fn with_capacity(rules: &Rules, limits: &flow::Capacity) -> Self {
        let seed = Seed::default();
        let mut analyst = Analyst::new(rules, limits, seed.clone());
        analyst.begin(Moment(0));
        Self { analyst, delta: Delta::new(limits.delta, seed), notices: Vec::new() }
    }

    /// The host with the number `src` sends a packet to the one with the number `dst`.
    fn send(&mut self, src: u8, dst: u8, ip_bytes: u32, flags: u8) {
        let endpoints = Endpoints::V4 { src: [10, 0, 0, src].into(), dst: [10, 0, 1, dst].into() };
        let transport = Transport::Tcp { src_port: 40_000, dst_port: 80, flags: Some(TcpFlags(flags)) };
        let packet = Summary::plain(endpoints, ip_bytes, 6, transport);
        self.delta.count(InterfaceDirection::default(), &packet, UnixNanos(0));
    }

    /// A host sends a packet to the one with the number `dst`, which receives it.
    fn receive(&mut self, dst: u8, ip_bytes: u32) {
        let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 1, dst].into() };
        let transport = Transport::Ports { src_port: 138, dst_port: 138 };
        let packet = Summary::plain(endpoints, ip_bytes, 17, transport);
        let mut decoded = flow::Decoded::default();
        let count_mode = flow::CountMode { is_observed_only: false, counts_as_received: true };
        let interface_direction = InterfaceDirection::default();
        let context = flow::FrameContext { interface_direction, seen_at: UnixNanos(0), count_mode };
        let _ = decoded.push(&self.delta, &packet, context);
        self.delta.count_decoded(&mut decoded);
        self.delta.close();
    }

    /// The worker hands over, and the analyst folds and judges.
    fn turn(&mut self, at: u64) {
        self.delta.handed_over_at = Moment(at);
        self.analyst.fold(&self.delta);
        self.delta.clear();
        self.judge(at);
    }

    fn judge(&mut self, at: u64) {
        self.analyst.judge(Moment(at), UnixNanos(at), Moment(at), &mut self.notices);
    }

    fn opened(&self) -> Vec<(detect::FindingKind, u64)> {
        let opened = |notice: &Notice| match notice {
            Notice::Opened(alert) => Some((alert.kind, alert.progress.last)),
            _ => None,
        };
        self.notices.iter().filter_map(opened).collect()
    }
}

/// A limit of 90 is exceeded by 91 packets or contacts within a second, at any time within a slot.
#[test]
fn rates_are_judged_over_a_second() {
    for (is_contact, kind) in
        [(false, detect::FindingKind::PacketRate), (true, detect::FindingKind::ContactRate)]
    {
        for first in (0..250).step_by(10) {
            for extra in [0, 1] {
                let mut rules = rules();
                rules.detect.hosts = detect::HostLimits::default().with(kind, Some(90));
                let mut bench = Bench::new(&rules);
                let mut at = 10 * SECOND + first * SECOND / 1000;
                for (part, packets) in [30, 30 + extra, 30].into_iter().enumerate() {
                    for n in 0..packets {
                        let flags = if is_contact { TcpFlags::SYN } else { TcpFlags::ACK };
                        // A repeated contact with the first host does not count.
                        bench.send(1, part as u8 * 40 + n, 40, flags);
                        if is_contact {
                            bench.send(1, 0, 40, flags);
                        }
                    }
                    bench.turn(at);
                    at += SECOND / 4;
                }
                let expected: &[_] = if extra == 1 { &[(kind, 91)] } else { &[] };
                assert_eq!(bench.opened(), expected, "{kind:?} {first}");
            }
        }
    }
}

/// What a broadcast address receives, all hosts of its network do: no alert names it, whatever rules are applied later.
#[test]
fn a_broadcast_address_of_the_machine_has_no_limits() {
    for is_known in [true, false] {
        let mut rules = rules();
        rules.detect.hosts = detect::HostLimits::default().with(detect::FindingKind::Received, Some(90));
        let mut bench = Bench::new(&rules);
        if is_known {
            bench.analyst.know_broadcasts(&[[10, 0, 1, 255].into()]);
        }
        bench.analyst.apply(rules);
        bench.receive(255, 100);
        bench.turn(10 * SECOND);
        let expected: &[_] = if is_known { &[] } else { &[(detect::FindingKind::Received, 100)] };
        assert_eq!(bench.opened(), expected);
        if is_known {
            // The machine leaves the network.
            bench.analyst.know_broadcasts(&[]);
            bench.receive(255, 1);
            bench.turn(11 * SECOND);
            assert_eq!(bench.opened(), [(detect::FindingKind::Received, 101)]);
        }
    }
}

/// A warning that the table is too small for a limit is logged once, and again after other rules were applied.
#[test]
fn the_warning_that_errors_are_too_large_for_a_limit_is_logged_once() {
    let mut bench = Bench::new(&rules());
    let mut warned_of = |error| {
        let Analyst { limits, has_warned_of, .. } = &mut bench.analyst;
        warn_of_imprecise(flow::Sums { ip_bytes: error, received_bytes: 0 }, limits, has_warned_of);
        has_warned_of.clone()
    };
    assert_eq!(warned_of(BYTES_MAX / 2), []);
    for error in [BYTES_MAX / 2 + 1, BYTES_MAX] {
        assert_eq!(warned_of(error), [detect::FindingKind::Traffic]);
    }
    bench.analyst.apply(rules());
    assert_eq!(bench.analyst.has_warned_of, []);
}

/// Divides `total` into parts at these positions, each modulo `total + 1`.
fn parts(total: u64, cuts: &[u64]) -> Vec<u32> {
    let mut ends: Vec<u64> = cuts.iter().map(|cut| cut % (total + 1)).collect();
    ends.extend([0, total]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| u32::try_from(pair[1] - pair[0]).expect("less than the total")).collect()
}

proptest! {
    /// A burst of one byte more than the limit raises an alert, however it is distributed over slots. A burst of
    /// exactly the limit does not, although the host sent as much before the window.
    #[test]
    fn a_burst_over_the_limit_raises_an_alert_at_any_time(
        begins in 0..3 * INTERVAL,
        span in 0..INTERVAL - SLOT,
        cuts in prop::collection::vec(any::<u64>(), 0..12),
        is_over in any::<bool>(),
    ) {
        let mut bench = Bench::new(&rules());
        let first = begins + SECOND;
        bench.send(1, 1, BYTES_MAX as u32, TcpFlags::ACK);
        bench.turn(first);
        // A window and a slot later, these bytes have expired.
        let begins = first + INTERVAL + SLOT;
        let parts = parts(BYTES_MAX + u64::from(is_over), &cuts);
        let gap = span / parts.len() as u64;
        let mut at = begins;
        for part in parts {
            bench.send(1, 2, part, TcpFlags::ACK);
            bench.turn(at);
            bench.judge(at + gap / 2);
            at += gap;
        }
        for round in 0..3 * INTERVAL / JUDGE_EVERY {
            bench.judge(at + round * JUDGE_EVERY);
        }
        let expected: &[_] = if is_over { &[(detect::FindingKind::Traffic, BYTES_MAX + 1)] } else { &[] };
        prop_assert_eq!(bench.opened(), expected);
        let notices = &bench.notices;
        prop_assert_eq!(notices.len(), 2 * expected.len(), "each alert has opened and closed: {:?}", notices);
        prop_assert!(bench.analyst.ledger().open().next().is_none());
    }

    /// The same for contacted hosts: one more than the limit, each at any time, and some of them twice.
    #[test]
    fn a_scan_over_the_limit_raises_an_alert_at_any_time(
        begins in 0..3 * INTERVAL,
        mut times in prop::collection::vec(0..INTERVAL - SLOT, 12),
        targets in Just((0..6u8).chain(0..6).collect::<Vec<_>>()).prop_shuffle(),
        is_over in any::<bool>(),
    ) {
        let mut bench = Bench::new(&rules());
        times.sort_unstable();
        let allowed = if is_over { 6 } else { 5 };
        for (time, target) in times.iter().zip(targets).filter(|(_, target)| *target < allowed) {
            bench.send(1, target, 40, TcpFlags::SYN);
            bench.turn(SECOND + begins + time);
        }
        let expected: &[_] = if is_over { &[(detect::FindingKind::Scanning, 6)] } else { &[] };
        prop_assert_eq!(bench.opened(), expected);
    }
}

/// Makes a complete report.
fn report(bench: &mut Bench) -> Report {
    while !bench.analyst.report_part(UnixNanos(1)) {}
    bench.analyst.report(UnixNanos(2), Arc::default(), true)
}

#[test]
fn a_report_contains_what_happened_while_it_was_made() {
    let mut bench = Bench::new(&rules());
    for src in 1..=3 {
        bench.send(src, 9, 1000 * u32::from(src), TcpFlags::ACK);
    }
    bench.send(4, 9, BYTES_MAX as u32 + 1, TcpFlags::ACK);
    bench.turn(SECOND);
    // The report begins while one alert is open, and is complete when two are open.
    assert!(!bench.analyst.report_part(UnixNanos(1)) && bench.analyst.is_reporting());
    for part in 0..50 {
        if part == 2 {
            bench.send(3, 8, BYTES_MAX as u32, TcpFlags::ACK);
            bench.turn(SECOND + 1);
        }
        if bench.analyst.report_part(UnixNanos(1)) {
            break;
        }
    }
    let first = bench.analyst.report(UnixNanos(2), Arc::default(), true);
    assert!(!bench.analyst.is_reporting());
    let sources = |report: &Report| report.active.iter().map(|host| host.row.addr).collect::<Vec<_>>();
    let addr = |n: u8| std::net::IpAddr::from([10, 0, 0, n]);
    assert_eq!(sources(&first), [addr(3), addr(4)]);
    assert_eq!(first.alerts.len(), 2);
    assert_eq!(first.active[0].row.destinations.len(), 2, "{:?}", first.active[0]);
    assert_eq!((first.snapshot.taken_at, first.snapshot.listed_since), (UnixNanos(2), UnixNanos(1)));
    let listed: u64 = first.snapshot.hosts.iter().map(|row| row.ip_bytes).sum();
    assert!(listed <= first.snapshot.accounting.ip_bytes);
    assert_eq!(first.snapshot.hosts.len(), 4);

    // An alert that closes while the report is made is in neither list.
    assert!(!bench.analyst.report_part(UnixNanos(1)));
    bench.judge(SECOND + 2 * INTERVAL);
    let second = report(&mut bench);
    assert_eq!((second.alerts.len(), second.active.len()), (0, 0));
    assert!(second.snapshot.hosts.is_empty());
}

#[test]
fn a_report_without_readers_is_reused_and_one_with_a_reader_is_not_changed() {
    let mut bench = Bench::new(&rules());
    for src in 1..100 {
        bench.send(src, 9, 1000 + u32::from(src), TcpFlags::ACK);
    }
    bench.turn(SECOND);
    let first_peer =
        |report: &Report| report.snapshot.hosts.iter().next().expect("a host").destinations.as_ptr();
    let (read, unread) = (Arc::new(report(&mut bench)), Arc::new(report(&mut bench)));
    let unread_at = first_peer(&unread);
    assert_ne!(first_peer(&read), unread_at);
    let reader = Arc::clone(&read);
    bench.analyst.retire(read);
    bench.analyst.retire(unread);
    let third = report(&mut bench);
    assert_eq!(first_peer(&third), unread_at, "it is made in the memory of the report without readers");
    let rows = |report: &Report| {
        let row = |row: HostRow<&[flow::PeerBytes]>| (row.addr, row.ip_bytes, row.destinations.to_vec());
        report.snapshot.hosts.iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows(&reader), rows(&third));
}

#[test]
fn hidden_destinations_are_not_in_later_reports() {
    let mut bench = Bench::new(&rules());
    bench.send(4, 9, BYTES_MAX as u32 + 1, TcpFlags::ACK);
    bench.turn(SECOND);
    let shown = |report: &Report| {
        let listed = report.snapshot.hosts.iter().map(|row| row.destinations.len()).sum::<usize>();
        (listed, report.active[0].row.destinations.len())
    };
    assert_eq!(shown(&report(&mut bench)), (1, 1));
    // The rules change while a report is made.
    (0..4).for_each(|_| assert!(!bench.analyst.report_part(UnixNanos(1))));
    let mut hiding = rules();
    hiding.alert.hide_destinations = true;
    bench.analyst.apply(hiding);
    assert_eq!(shown(&report(&mut bench)), (0, 0));
}

/// The alerts of many hosts are hidden by a mute. Its removal is no reason to notify each of them.
#[test]
fn hosts_that_are_no_longer_muted_are_one_storm() {
    let mut rules = rules();
    rules.alert.burst = Some(5);
    let mut bench = Bench::new(&rules);
    let new = NewMute {
        source: "10.0.0.0/24".parse().expect("a network"),
        kind: None,
        span: Duration::from_secs(3600),
        reason: String::new(),
    };
    let mute = bench.analyst.mute(new, Moment(0), UnixNanos(0)).expect("there is room");
    for src in 1..=50 {
        bench.send(src, 1, 20_000, TcpFlags::ACK);
    }
    bench.turn(SECOND);
    assert_eq!((bench.notices.len(), bench.analyst.ledger().open().count()), (0, 50));
    assert!(bench.analyst.unmute(mute.id));
    bench.judge(2 * SECOND);
    assert_eq!(bench.notices, []);
    bench.judge(3 * SECOND);
    let [Notice::Opened(storm)] = &bench.notices[..] else { panic!("{:?}", bench.notices) };
    assert_eq!(storm.progress.storm.as_ref().map(|storm| (storm.hosts, storm.open)), Some((50, 50)));
}

/// A scan of ports is judged by a longer window than that in which its contacts are examined. Once they have expired,
/// neither the end of a mute nor an alert that opens late makes a client of the scanner.
#[test]
fn a_scanner_of_ports_stays_one_after_its_contacts_have_expired() {
    for is_muted in [true, false] {
        let mut rules = rules();
        rules.flow.port_interval = Some(6 * Duration::from_nanos(INTERVAL));
        let limit = if is_muted { 50 } else { 1000 };
        rules.detect.hosts =
            detect::HostLimits::default().with(detect::FindingKind::ScanningPort, Some(limit));
        let mut bench = Bench::new(&rules);
        let new = NewMute {
            source: "10.0.0.1/32".parse().expect("a network"),
            kind: None,
            span: Duration::from_secs(3600),
            reason: String::new(),
        };
        let mute = bench.analyst.mute(new, Moment(0), UnixNanos(0)).expect("there is room");
        let ends = [[10, 0, 0, 1].into(), [10, 0, 1, 1].into()];
        for port in 1..=200 {
            for (ends, ports, flags) in [
                (ends, [40_000, port], TcpFlags::SYN),
                ([ends[1], ends[0]], [port, 40_000], TcpFlags::RST | TcpFlags::ACK),
            ] {
                let [src_port, dst_port] = ports;
                let transport = Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) };
                let endpoints = Endpoints::V4 { src: ends[0], dst: ends[1] };
                let packet = Summary::plain(endpoints, 44, 6, transport);
                bench.delta.count(InterfaceDirection::default(), &packet, UnixNanos(0));
            }
        }
        bench.turn(SECOND);
        bench.judge(3 * SECOND);
        assert_eq!(bench.notices, []);
        bench.judge(3 * INTERVAL);
        assert!(bench.analyst.unmute(mute.id));
        rules.detect.hosts = detect::HostLimits::default().with(detect::FindingKind::ScanningPort, Some(50));
        bench.analyst.apply(rules);
        bench.judge(3 * INTERVAL + SECOND);
        let [Notice::Opened(alert)] = &bench.notices[..] else { panic!("{:?}", bench.notices) };
        let scan = alert.scan.as_ref().expect("it is about contacts");
        assert!(scan.answers_visible && !scan.why.contains("not pass"), "{scan:?}");
        assert!(scan.why.contains("200 refused"), "{scan:?}");
        if is_muted {
            assert_eq!(scan.confidence, detect::Confidence::High, "{scan:?}");
        }
    }
}

/// An earlier process showed destinations. What its mute held back does not show them.
#[test]
fn hidden_destinations_are_not_in_the_notices_of_a_restart() {
    let mut before = Bench::new(&rules());
    before.analyst.keep_changes();
    let new = NewMute {
        source: "10.0.0.0/24".parse().expect("a network"),
        kind: None,
        span: Duration::from_secs(60),
        reason: String::new(),
    };
    before.analyst.mute(new, Moment(0), UnixNanos(0)).expect("there is room");
    before.send(4, 9, 20_000, TcpFlags::ACK);
    before.turn(SECOND);
    let Changes { alerts, mutes, .. } = before.analyst.take_changes(PeakSave::All);
    assert!(alerts[0].body.contains("10.0.1.9"), "{alerts:?}");
    let restored = Restored { alerts, mutes, ..Restored::default() };
    let mut hiding = rules();
    hiding.alert.hide_destinations = true;
    let mut after = Bench::new(&hiding);
    after.analyst.keep_changes();
    let (now, civil) = (Moment(100 * SECOND), UnixNanos(100 * SECOND));
    after.analyst.restore(PersistedLedger::from_rows(&restored), now, civil, &mut after.notices);
    let [Notice::Opened(alert)] = &after.notices[..] else { panic!("{:?}", after.notices) };
    assert!(alert.destinations.is_empty(), "{alert:?}");
    let rows = after.analyst.take_changes(PeakSave::All).alerts;
    assert!(rows.len() == 1 && !rows[0].body.contains("10.0.1.9"), "{rows:?}");
}

/// The alerts of a lost database are submitted again in parts of 250 rows.
#[test]
fn a_lost_database_is_durable_again_when_all_alerts_are_in_the_new_one() {
    const HOSTS: u8 = 200;
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (mut restored, store) = StateDatabase::open(folder.path()).expect("the folder is ours");
    let state = alert::SinkState::take(&mut restored, store.clone());
    let options = alert::SinkOptions::default();
    let sinks = alert::Sinks::start(std::io::sink(), LinePrefix::Journal, &options, Some(state));
    let sinks = sinks.expect("threads");
    let mut bench = Bench::new(&rules());
    bench.analyst.keep_changes();
    // Each of them has an alert about its bytes and one about its contacts.
    for src in 0..HOSTS {
        (0..6).for_each(|dst| bench.send(src, dst, 2_000, TcpFlags::SYN));
    }
    bench.turn(10 * SECOND);
    let mut save = |peaks| {
        save_and_notify(&mut bench.analyst, Some(&store), &sinks, &mut bench.notices, peaks);
        assert!(store.flush(Duration::from_secs(60)));
        (bench.analyst.has_backlog(), store.is_durable())
    };
    assert_eq!(save(PeakSave::All), (false, true));
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.path().join(format!("state.db{suffix}"))).expect("it was made");
    }
    store.check(Duration::from_secs(60));
    assert!(!store.is_durable());
    assert_eq!(save(PeakSave::Continue), (true, false), "most alerts are in no database");
    assert_eq!(save(PeakSave::Continue), (false, true));
    assert!(store.finish(Duration::from_secs(60)));
    let (restored, _store) = StateDatabase::open(folder.path()).expect("the folder is ours");
    assert!(restored.alerts.len() >= 2 * usize::from(HOSTS), "{}", restored.alerts.len());
}
