//! What is notified of many alerts that open within a minute, and what a full table says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use crate::alert::evidence::Evidence;
use crate::alert::ledger::CloseTimeouts;
use crate::alert::ledger::PeakSave;
use crate::alert::ledger::tests::restarted;
use crate::alert::line::Line;
use crate::alert::mute::NewMute;
use crate::alert::persisted_ledger::PersistedLedger;
use crate::alert::record::{AlertState, OPEN_ALERTS_MAX};
use crate::alert::sentence;
use crate::alert::why_line::WhyLine;
use crate::detect::{Confidence, Finding, ScanEvidence, ScanRole};
use crate::flow::{Outcomes, Pace, PeerBytes, PortHosts};
use crate::store::{AlertRow, Changes, Restored};

use super::*;

const SECOND: u64 = 1_000_000_000;
const BURST: u32 = 20;

/// A ledger whose alerts close after 10 seconds, and the notices of its judgements.
struct Scenario {
    ledger: Ledger,
    notices: Vec<Notice>,
}

impl Scenario {
    fn new() -> Self {
        let timeouts = CloseTimeouts { traffic: Duration::from_secs(10), ports: Duration::from_secs(10) };
        let mut ledger = Ledger::new(timeouts, Duration::ZERO);
        ledger.set_burst(Some(BURST));
        ledger.know_local(&["10.0.0.0/8".parse().expect("a network")]);
        Self { ledger, notices: Vec::new() }
    }

    /// Judges these hosts, each with a multiple of its limit in percent. Returns the notices.
    fn judge(&mut self, second: u64, findings: &[(AlertKind, IpAddr, u64)]) -> Vec<Notice> {
        self.judge_towards(second, findings, None)
    }

    fn judge_towards(
        &mut self,
        second: u64,
        findings: &[(AlertKind, IpAddr, u64)],
        target: Option<IpAddr>,
    ) -> Vec<Notice> {
        let (now, wall) = (Moment(second * SECOND), UnixNanos(second * SECOND));
        let notices = &mut self.notices;
        self.ledger.close_inactive(now, wall, notices);
        self.ledger.expire_mutes(now);
        for &(kind, source, percent) in findings {
            let finding =
                Finding { kind, source: Some(source), measured: percent, error_bound: 0, limit: 100 };
            let peers = target.map(|addr| PeerBytes { addr, ip_bytes: 100 });
            let evidence =
                |_| Evidence { ip_bytes: 100, destinations: Vec::from_iter(peers), ..Evidence::default() };
            notices.extend(self.ledger.apply(&finding, now, wall, evidence));
        }
        self.ledger.finish_judgement(now, wall, notices, 0);
        // A storm that opened waits for the hosts of the same tick.
        let (later, from) = (now.plus(Duration::from_millis(270)), notices.len());
        self.ledger.finish_judgement(later, wall, notices, from);
        assert!(!self.ledger.is_storm_pending());
        std::mem::take(notices)
    }
}

fn remote(n: u32) -> IpAddr {
    // Each is in a network of its own.
    IpAddr::V4((0xc000_0001 + (n << 8)).into())
}

fn local(n: u32) -> IpAddr {
    IpAddr::V4((0x0a00_0001 + n).into())
}

fn all(
    kind: AlertKind,
    host: fn(u32) -> IpAddr,
    range: std::ops::Range<u32>,
) -> Vec<(AlertKind, IpAddr, u64)> {
    range.map(|n| (kind, host(n), 110)).collect()
}

fn lines(notices: &[Notice]) -> Vec<String> {
    notices.iter().map(|notice| Line(notice).to_string()).collect()
}

#[test]
fn fifty_scanners_are_one_alert_that_names_them() {
    let mut scenario = Scenario::new();
    let scanners = all(AlertKind::Scanning, local, 0..50);
    let notices = scenario.judge(1000, &scanners);
    let [Notice::Opened(storm)] = &notices[..] else { panic!("{notices:?}") };
    let parts = storm.progress.storm.as_deref().expect("it is a storm");
    assert_eq!((parts.hosts, parts.open, parts.said_singly), (50, 50, 0));
    assert_eq!(parts.network.map(|network| network.to_string()).as_deref(), Some("10.0.0.0/24"));
    assert_eq!(parts.sample, scanners.iter().map(|(_, host, _)| *host).collect::<Vec<_>>());
    let line = Line(&notices[0]).to_string();
    let begins = "EVENT=STORM KIND=SCANNING HOSTS=50 NETWORK=10.0.0.0/24 | NETWORKS=[{10.0.0.0/24 50}] | HOSTINFO=[10.0.0.1 ";
    assert!(line.starts_with(begins) && line.ends_with(" 10.0.0.50]"), "{line}");
    let why = WhyLine::of(&notices[0]).map(|why| why.to_string());
    assert_eq!(
        why.as_deref(),
        Some(
            "WHY=STORM KIND=SCANNING | 50 local hosts of 10.0.0.0/24 exceed the limit of 100 hosts, the \
             latest: 10.0.0.50, 10.0.0.49, 10.0.0.48, 10.0.0.47, 10.0.0.46 and 45 more"
        )
    );
    assert_eq!(
        sentence(storm, AlertState::Open).to_string(),
        "SCANNING storm: 50 local hosts of 10.0.0.0/24 exceed the limit of 100 hosts, the latest: 10.0.0.50, \
         10.0.0.49, \
         10.0.0.48, 10.0.0.47, 10.0.0.46 and 45 more"
    );
    // Readers find each alert, with the id of the storm, and the storm itself.
    assert!(scenario.ledger.open().all(|alert| alert.progress.storm_id.as_deref() == Some(&storm.id)));
    assert_eq!(scenario.ledger.open().count(), 50);
    assert_eq!(scenario.ledger.storms().map(|alert| &alert.id).collect::<Vec<_>>(), [&storm.id]);
    // It closes as one when the last of them is gone, and not before.
    assert_eq!(scenario.judge(1005, &scanners[..1]), []);
    assert_eq!(scenario.judge(1010, &[]), []);
    assert_eq!(
        scenario.ledger.storms().filter_map(|alert| Some(alert.progress.storm.as_ref()?.open)).sum::<u64>(),
        1
    );
    let notices = scenario.judge(1015, &[]);
    assert_eq!(lines(&notices), ["CLOSED=STORM KIND=SCANNING HOSTS=50 NETWORK=10.0.0.0/24 SECONDS=15"]);
    assert_eq!(
        sentence(notices[0].alert(), AlertState::Closed).to_string(),
        "SCANNING storm is over after 15 s: 50 local hosts of 10.0.0.0/24 exceeded the limit of 100 hosts"
    );
}

/// Which port most hosts have in common is what tells the operator what happens.
#[test]
fn a_storm_says_the_limit_and_the_port_that_most_of_its_hosts_have_in_common() {
    let opening = |n: u32, port: u16, limit: u64| Opening {
        source: local(n),
        target: None,
        port: (port > 0).then_some((6, port)),
        limit,
        excess: 0,
        is_possible: false,
    };
    let at = At { now: Moment(1000 * SECOND), wall_clock: UnixNanos(1000 * SECOND) };
    let said = |kind: AlertKind, openings: Vec<Opening>| {
        let mut storms = crate::alert::storms::Storms::default();
        storms.set_burst(Some(2));
        storms.decide((kind, true), &openings, at, || "1-1".to_owned());
        storms.refresh(|_, _| false);
        let alert = storms.open().next().expect("it is open").clone();
        let json = serde_json::to_value(crate::alert::json(&alert, AlertState::Open)).expect("JSON");
        (sentence(&alert, AlertState::Open).to_string(), json["storm"].clone())
    };
    let latest = "the latest: 10.0.0.5, 10.0.0.4, 10.0.0.3, 10.0.0.2, 10.0.0.1";
    for (ports, limit, words) in [
        ([445; 5], 15, "the limit of 15 hosts, all at TCP port 445 (SMB), "),
        ([445, 445, 22, 445, 80], 15, "the limit of 15 hosts, 3 of them at TCP port 445 (SMB), "),
        ([445, 445, 22, 23, 0], 15, "the limit of 15 hosts, "),
        ([22; 5], 0, "their limits, all at TCP port 22 (SSH), "),
    ] {
        let hosts = ports.into_iter().zip(0_u32..);
        let openings =
            hosts.map(|(port, n)| opening(n, port, if limit > 0 { limit } else { 15 + u64::from(n) }));
        let (text, json) = said(AlertKind::Scanning, openings.collect());
        assert_eq!(text, format!("SCANNING storm: 5 local hosts of 10.0.0.0/24 exceed {words}{latest}"));
        let common = ports.iter().filter(|&&port| port == ports[0]).count();
        assert_eq!(json["limit"].as_u64(), (limit > 0).then_some(limit), "{json}");
        assert_eq!(json["port"]["hosts"].as_u64(), (common > 2).then_some(common as u64), "{json}");
    }
    let traffic = (0..5).map(|n| opening(n, 0, 1_000_000_000)).collect();
    let (text, _) = said(AlertKind::Traffic, traffic);
    assert_eq!(
        text,
        format!("TRAFFIC storm: 5 local hosts of 10.0.0.0/24 exceed the limit of 1 GB, {latest}")
    );
}

/// The port of a host is the one at which it made more than half of its contacts.
#[test]
fn the_port_of_an_opening_is_that_of_most_contacts() {
    let port = |port: u16, silent: u32| PortHosts {
        protocol: 6,
        port,
        outcomes: Outcomes { silent, ..Outcomes::default() },
        served: 0,
        traced: 0,
        hosts_in_one_network: 0,
    };
    let scan = |ports: Vec<PortHosts>| ScanEvidence {
        role: ScanRole::Scanner,
        class: None,
        confidence: Confidence::High,
        contacted: 100,
        outcomes: Outcomes { silent: 100, ..Outcomes::default() },
        answers_visible: true,
        ports,
        ports_at_one_host: 1,
        targets: Vec::new(),
        pace: Pace::default(),
        why: String::new(),
    };
    for (kind, ports, want) in [
        (AlertKind::Scanning, vec![port(445, 90), port(22, 10)], Some((6, 445))),
        (AlertKind::Scanning, vec![port(445, 50), port(22, 50)], None),
        (AlertKind::ScanningPort, vec![port(1, 100)], None),
        (AlertKind::PacketRate, vec![port(53, 51)], Some((6, 53))),
    ] {
        let alert = Alert { kind, scan: Some(scan(ports)), ..crate::alert::sample::traffic() };
        assert_eq!(opening(&alert, local(1)).port, want, "{kind:?}");
    }
}

#[test]
fn twenty_within_a_minute_are_notified_singly_and_a_storm_names_them_too() {
    let mut scenario = Scenario::new();
    for n in 0..20 {
        let notices = scenario.judge(1000 + u64::from(n), &all(AlertKind::Scanning, local, n..n + 1));
        assert!(matches!(&notices[..], [.., Notice::Opened(alert)] if alert.source == Some(local(n))));
    }
    let notices = scenario.judge(1020, &all(AlertKind::Scanning, local, 20..23));
    let storm = notices.iter().find(|notice| notice.alert().progress.storm.is_some()).expect("a storm opens");
    let parts = storm.alert().progress.storm.as_deref().expect("it is a storm");
    assert_eq!((parts.hosts, parts.said_singly, parts.sample.len()), (23, 20, 23));
    // A minute after the first ones there is room for single notices again, but not before.
    let later = scenario.judge(1059, &all(AlertKind::Scanning, local, 30..31));
    assert!(
        later.iter().all(|notice| !matches!(notice, Notice::Opened(alert) if alert.source.is_some())),
        "{later:?}"
    );
    let after = scenario.judge(1200, &all(AlertKind::Scanning, local, 40..41));
    assert!(
        matches!(&after[..], [.., Notice::Opened(alert)] if alert.source == Some(local(40))),
        "{after:?}"
    );
}

/// The sources of a flood are numbered through several networks, so each judgement has hosts of one or two of them.
#[test]
fn a_flood_that_moves_on_to_the_next_networks_has_no_single_notices_and_counts_each_host_once() {
    let from = |n: u32| IpAddr::V4((0x6440_0001 + n).into());
    for step in [30, 45, 50, 67] {
        let mut scenario = Scenario::new();
        let mut notices = Vec::new();
        let mut n = 0;
        while n < 1500 {
            let end = (n + step).min(1500);
            notices
                .extend(scenario.judge(1000 + u64::from(n / 200), &all(AlertKind::Scanning, from, n..end)));
            n = end;
        }
        let singles = notices.iter().filter(|notice| notice.alert().source.is_some()).count();
        assert_eq!(singles, 0, "{step}");
        let hosts = scenario.ledger.storms().map(|storm| storm.measured).collect::<Vec<_>>();
        assert_eq!((hosts.iter().sum::<u64>(), hosts.len()), (1500, 3), "{step}: {hosts:?}");
        let opened = scenario.judge(1008, &[(AlertKind::Scanning, local(7), 110)]);
        assert!(
            matches!(&opened[..], [Notice::Opened(alert)] if alert.source == Some(local(7))),
            "{opened:?}"
        );
    }
    // A remote host from elsewhere is notified singly too.
    let mut scenario = Scenario::new();
    scenario.judge(1000, &all(AlertKind::Scanning, from, 0..250));
    let opened = scenario.judge(1001, &[(AlertKind::Scanning, remote(7), 110)]);
    assert!(matches!(&opened[..], [Notice::Opened(alert)] if alert.source == Some(remote(7))), "{opened:?}");
}

/// Two storms of networks are open, and a third one begins among hosts that one of them has named.
#[test]
fn a_host_that_was_notified_singly_counts_in_one_storm() {
    let mut scenario = Scenario::new();
    let at = |network: u32, n: u32| IpAddr::V4((0xc000_0001 + (network << 16) + n).into());
    let openings = |network: u32, range: std::ops::Range<u32>| -> Vec<_> {
        range.map(|n| (AlertKind::Scanning, at(network, n), 110)).collect()
    };
    let mut hosts = 0;
    for (second, network, range) in
        [(1000, 1, 0..17), (1001, 1, 17..60), (1002, 2, 0..40), (1003, 3, 0..3), (1004, 4, 0..9)]
    {
        hosts += u64::from(range.end - range.start);
        scenario.judge(second, &openings(network, range));
    }
    let counted = scenario.ledger.storms().map(|storm| storm.measured).collect::<Vec<_>>();
    assert_eq!((counted.iter().sum::<u64>(), counted.len()), (hosts, 3), "{counted:?}");
}

#[test]
fn a_flood_from_everywhere_leads_to_few_notices_and_hides_nobody() {
    let mut scenario = Scenario::new();
    let mut said = Vec::new();
    for second in 0..16 {
        let flood = all(AlertKind::Scanning, remote, second * 10_000..(second + 1) * 10_000);
        said.extend(scenario.judge(1000 + u64::from(second) / 4, &flood));
    }
    assert!(said.len() < 8, "{}", said.len());
    assert!(scenario.ledger.open().count() < OPEN_ALERTS_MAX);
    assert!(scenario.ledger.discarded_findings() > 100_000);
    // A sweep by a local host, a remote host over another limit, and one that is far above the others.
    let notices = scenario.judge(
        1005,
        &[
            (AlertKind::Scanning, local(1), 120),
            (AlertKind::Traffic, remote(300_000), 101),
            (AlertKind::Scanning, remote(400_000), 3000),
        ],
    );
    let opened: Vec<_> = notices
        .iter()
        .filter_map(|notice| match notice {
            Notice::Opened(alert) => Some((alert.source?, alert.kind)),
            _ => None,
        })
        .collect();
    assert_eq!(
        opened,
        [
            (local(1), AlertKind::Scanning),
            (remote(300_000), AlertKind::Traffic),
            (remote(400_000), AlertKind::Scanning)
        ]
    );
    // The last one took the place of a lesser one, whose end was not notified, as its opening was not.
    assert_eq!(scenario.ledger.displaced_alerts(), 1);
    let displaced = scenario.ledger.recently_closed();
    assert!(displaced[0].progress.is_displaced && displaced[0].progress.storm_id.is_some());
    // One of the storm that grows to be far above the others is notified as well, once.
    let grown = scenario.judge(1006, &[(AlertKind::Scanning, remote(7), 2000)]);
    assert!(matches!(&grown[..], [Notice::Opened(alert)] if alert.source == Some(remote(7))), "{grown:?}");
    let again = scenario.judge(1007, &[(AlertKind::Scanning, remote(7), 2100)]);
    assert_eq!(again, []);
}

#[test]
fn the_end_of_a_displaced_alert_says_so() {
    let mut scenario = Scenario::new();
    scenario.ledger.set_burst(None);
    let notices = scenario.judge(1000, &all(AlertKind::Scanning, remote, 0..9000));
    let ended = scenario.judge(1001, &[(AlertKind::Scanning, remote(20_000), 450)]);
    assert!(!notices.is_empty());
    let line = "CLOSED=SCANNING SRC=192.0.0.1 PEAK=110 LIMIT=100 SECONDS=1 | END=DISPLACED";
    assert_eq!(lines(&ended[1..]), [line]);
    assert!(matches!(&ended[0], Notice::Opened(alert) if alert.source == Some(remote(20_000))), "{ended:?}");
    let said = sentence(ended[1].alert(), AlertState::Closed).to_string();
    let end = "; an alert of more weight took its place, so it may go on";
    assert!(said.starts_with("SCANNING is displaced after 1 s: ") && said.ends_with(end), "{said}");
    let json = serde_json::to_value(crate::alert::json(ended[1].alert(), AlertState::Closed)).expect("JSON");
    assert_eq!(json["end"], "displaced");
}

#[test]
fn a_storm_against_one_target_names_it_and_grows() {
    let mut scenario = Scenario::new();
    let target = Some([198, 51, 100, 7].into());
    let opened = scenario.judge_towards(1000, &all(AlertKind::Traffic, remote, 0..30), target);
    assert!(
        lines(&opened)[0].starts_with("EVENT=STORM KIND=TRAFFIC HOSTS=30 TARGET=198.51.100.7 | NETWORKS=[")
    );
    let said = opened[0].alert().progress.storm.clone().expect("it is a storm");
    assert_eq!((said.target, said.networks.len(), said.is_local), (target, 10, false));
    // As long as it can name all its hosts, it names further ones a second after the last notice.
    let named = scenario.judge_towards(1001, &all(AlertKind::Traffic, remote, 30..59), target);
    assert!(matches!(&named[..], [Notice::Grown(storm, _)] if storm.measured == 59), "{named:?}");
    assert_eq!(scenario.judge_towards(1002, &[], target), []);
    for (to, hosts) in [(60, 60), (149, 0), (150, 150), (299, 0), (300, 300), (2999, 0)] {
        let from = u32::try_from(scenario.ledger.open().count()).expect("it is small");
        let grown = scenario.judge_towards(1002, &all(AlertKind::Traffic, remote, from..to), target);
        let heads: Vec<_> =
            lines(&grown).iter().map(|line| line.split(" |").next().map(str::to_owned)).collect();
        let want =
            (hosts > 0).then(|| Some(format!("GROWN=STORM KIND=TRAFFIC HOSTS={hosts} TARGET=198.51.100.7")));
        assert_eq!(heads, Vec::from_iter(want));
    }
    scenario.ledger.hide_destinations();
    assert!(
        scenario.ledger.storms().all(|alert| alert
            .progress
            .storm
            .as_ref()
            .is_some_and(|s| s.target.is_none()))
    );
}

/// A storm that rests and begins again says so, although an alert of it was open all the time.
#[test]
fn a_storm_that_begins_again_is_notified() {
    let mut scenario = Scenario::new();
    scenario.judge(1000, &all(AlertKind::Scanning, local, 0..100));
    for second in (1005..1100).step_by(5) {
        assert_eq!(scenario.judge(second, &all(AlertKind::Scanning, local, 0..1)), []);
    }
    let notices = scenario.judge(1100, &all(AlertKind::Scanning, local, 100..130));
    assert!(matches!(&notices[..], [Notice::Grown(storm, _)] if storm.measured == 130), "{notices:?}");
}

#[test]
fn muted_hosts_are_in_no_storm_and_a_muted_network_holds_its_storm_back() {
    let mut scenario = Scenario::new();
    let mute = |scenario: &mut Scenario, second: u64, source: &str| {
        let new = NewMute {
            source: source.parse().expect("a network"),
            kind: Some(AlertKind::Scanning),
            span: Duration::from_secs(3600),
            reason: String::new(),
        };
        scenario.ledger.mute(new, Moment(second * SECOND), UnixNanos(second * SECOND)).expect("room").id
    };
    let id = mute(&mut scenario, 999, "10.0.0.0/25");
    // Twenty hosts of the network are not muted, which are no storm.
    let notices = scenario.judge(1000, &all(AlertKind::Scanning, local, 107..147));
    assert_eq!(notices.len(), 20, "{notices:?}");
    // Those that were muted are a storm once they are not.
    let mut unmuted = Vec::new();
    assert!(scenario.ledger.unmute(id));
    scenario.ledger.finish_judgement(Moment(1001 * SECOND), UnixNanos(1001 * SECOND), &mut unmuted, 0);
    assert_eq!(unmuted, [], "it waits for others");
    scenario.ledger.finish_judgement(Moment(1002 * SECOND), UnixNanos(1002 * SECOND), &mut unmuted, 0);
    let [Notice::Opened(storm)] = &unmuted[..] else { panic!("{unmuted:?}") };
    assert_eq!(storm.progress.storm.as_ref().map(|storm| (storm.hosts, storm.open)), Some((40, 20)));
    mute(&mut scenario, 1002, "10.0.0.0/24");
    assert_eq!(scenario.judge(1002, &all(AlertKind::Scanning, local, 0..100)), []);
    assert!(scenario.ledger.storms().all(|storm| storm.progress.is_muted));
}

#[test]
fn a_storm_survives_a_restart() {
    let mut before = Scenario::new();
    before.judge(1000, &all(AlertKind::Scanning, local, 0..50));
    let persisted = restarted(&mut before.ledger);
    assert_eq!(persisted.storms.len(), 1);
    let mut after = Scenario::new();
    let mut notices = Vec::new();
    after.ledger.restore(persisted, Moment(5 * SECOND), UnixNanos(1003 * SECOND), &mut notices);
    after.ledger.finish_judgement(Moment(5 * SECOND), UnixNanos(1003 * SECOND), &mut notices, 0);
    assert_eq!(notices, []);
    let id = before.ledger.storms().next().map(|storm| storm.id.clone());
    assert_eq!(after.ledger.storms().next().map(|storm| storm.id.clone()), id);
    assert_eq!(after.judge(7, &all(AlertKind::Scanning, local, 0..50)), []);
    let closed = after.judge(17, &[]);
    assert!(matches!(&closed[..], [Notice::Closed(storm)] if Some(&storm.id) == id.as_ref()), "{closed:?}");
}

/// Two programs see the same, and one of them is restarted twice meanwhile. Both say the same.
#[test]
fn a_restarted_storm_goes_on_as_if_nothing_had_happened() {
    let mut whole = Scenario::new();
    let mut restarts = Scenario::new();
    whole.ledger.set_cooldown(Duration::from_secs(60));
    restarts.ledger.set_cooldown(Duration::from_secs(60));
    let turns: [(u64, std::ops::Range<u32>); 8] = [
        (1000, 0..150),
        (1002, 150..190),
        (1004, 190..191),
        (1006, 20..299),
        (1008, 0..300),
        (1017, 5..6),
        (1024, 5..6),
        (1029, 7..8),
    ];
    for (second, hosts) in turns {
        let findings = all(AlertKind::Scanning, remote, hosts);
        assert_eq!(
            lines(&restarts.judge(second, &findings)),
            lines(&whole.judge(second, &findings)),
            "{second}"
        );
        let (saved, without) = (restarted(&mut restarts.ledger), restarted(&mut whole.ledger));
        // The alerts that were open at the second restart close a window after it.
        assert!(second == 1024 || saved.storms == without.storms, "{second}: {saved:?}");
        if second == 1004 || second == 1017 {
            let mut after = Scenario::new();
            after.ledger.set_cooldown(Duration::from_secs(60));
            let (now, wall) = (Moment((second + 1) * SECOND), UnixNanos((second + 1) * SECOND));
            assert!(second != 1004 || saved.storms[0].progress.networks.len() == 191);
            after.ledger.restore(saved, now, wall, &mut after.notices);
            after.ledger.finish_judgement(now, wall, &mut after.notices, 0);
            assert_eq!(after.notices, []);
            restarts = after;
        }
    }
    // A member that closed and returned has joined again.
    let hosts =
        |scenario: &Scenario| scenario.ledger.storms().map(|storm| storm.measured).collect::<Vec<_>>();
    assert_eq!(hosts(&restarts), [301]);
    let closed = restarts.judge(1100, &[]);
    assert_eq!(lines(&closed), ["CLOSED=STORM KIND=SCANNING HOSTS=301 SECONDS=39"]);
    assert_eq!(lines(&whole.judge(1100, &[])), lines(&closed));
}

/// A version that saved the alert of a storm alone is read as well, and a storm without open alerts ends with a notice.
#[test]
fn a_storm_of_an_earlier_version_goes_on_and_one_without_alerts_ends() {
    let mut before = Scenario::new();
    before.judge(1000, &all(AlertKind::Scanning, remote, 0..50));
    before.ledger.keep_changes();
    before.ledger.note_everything();
    let Changes { mut alerts, .. } = before.ledger.take_changes(PeakSave::All);
    let storm = alerts.iter_mut().find(|row| row.body.contains("has_target")).expect("it has a row");
    let mut body: serde_json::Value = serde_json::from_str(&storm.body).expect("JSON");
    assert_eq!((&body["version"], &body["storm"]["networks"][49][1]), (&2.into(), &1.into()));
    body["version"] = 1.into();
    body.as_object_mut().expect("an object").remove("storm");
    storm.body = body.to_string();
    let id = storm.id.clone();
    let mut persisted = PersistedLedger::from_rows(&Restored { alerts, ..Restored::default() });
    assert_eq!((persisted.storms.len(), persisted.open.len()), (1, 50));
    assert_eq!(persisted.storms[0].progress.networks.len(), 10);
    let mut after = Scenario::new();
    let (now, wall) = (Moment(5 * SECOND), UnixNanos(1003 * SECOND));
    after.ledger.restore(persisted.clone(), now, wall, &mut Vec::new());
    assert_eq!(after.judge(7, &all(AlertKind::Scanning, remote, 0..50)), []);
    assert_eq!(
        after.ledger.storms().map(|storm| (storm.id.clone(), storm.measured)).collect::<Vec<_>>(),
        [(id, 50)]
    );

    persisted.open.clear();
    let mut after = Scenario::new();
    after.ledger.restore(persisted, now, wall, &mut Vec::new());
    let closed = after.judge(7, &[]);
    assert_eq!(lines(&closed), ["CLOSED=STORM KIND=SCANNING HOSTS=50 SECONDS=0"]);
}

/// The row of a storm is checked as all others are.
#[test]
fn a_storm_that_cannot_be_true_is_left_out() {
    let mut before = Scenario::new();
    let target = Some([198, 51, 100, 7].into());
    before.judge_towards(1000, &all(AlertKind::Scanning, remote, 0..50), target);
    before.ledger.keep_changes();
    before.ledger.note_everything();
    let Changes { alerts, .. } = before.ledger.take_changes(PeakSave::All);
    let storm = alerts.into_iter().find(|row| row.body.contains("has_target")).expect("it has a row");
    let read = |body: String| {
        let alerts = vec![AlertRow { body, ..storm.clone() }];
        PersistedLedger::from_rows(&Restored { alerts, ..Restored::default() }).storms.len()
    };
    assert_eq!(read(storm.body.clone()), 1);
    for (from, to) in [
        ("\"version\":2", "\"version\":3"),
        ("\"hosts_at_opening\":50", "\"hosts_at_opening\":0"),
        ("\"hosts_at_opening\":50", "\"hosts_at_opening\":51"),
        ("\"hosts_said\":50", "\"hosts_said\":51"),
        ("\"pause\":1000000000", "\"pause\":0"),
        ("\"pause\":1000000000", "\"pause\":18446744073709551615"),
        (",50]]", ",18446744073709551615],[1,1]]"),
        ("\"has_target\":true", "\"has_target\":false"),
        (
            "\"has_target\":true,\"networks\":[[\"192.0.0.0/24\",1]",
            "\"has_target\":true,\"networks\":[[\"192.0.0.1/24\",1]",
        ),
        (
            "\"has_target\":true,\"networks\":[[\"192.0.0.0/24\",1]",
            "\"has_target\":true,\"networks\":[[\"192.0.1.0/24\",1]",
        ),
        (
            "\"has_target\":true,\"networks\":[[\"192.0.0.0/24\",1]",
            "\"has_target\":true,\"networks\":[[\"192.0.0.0/24\",99]",
        ),
    ] {
        assert!(storm.body.contains(from), "{from}: {}", storm.body);
        assert_eq!(read(storm.body.replacen(from, to, 1)), 0, "{to}");
    }
}

/// The alerts of a storm have no notices, so those beyond the first ones are saved later, in parts.
#[test]
fn the_alerts_of_a_storm_are_saved_in_parts() {
    let mut scenario = Scenario::new();
    scenario.ledger.keep_changes();
    scenario.judge(1000, &all(AlertKind::Scanning, local, 0..1000));
    let mut saved = BTreeSet::new();
    for _ in 0..4 {
        let alerts = scenario.ledger.take_changes(PeakSave::Continue).alerts;
        assert!(alerts.len() <= 251, "{}", alerts.len());
        saved.extend(alerts.into_iter().map(|row| row.id));
    }
    assert!(saved.len() == 1001 && !scenario.ledger.has_backlog(), "{}", saved.len());
}

/// A program that ends in the time in which a storm waits for further hosts, or names them later, says all of them.
#[test]
fn what_waits_is_notified_at_the_end() {
    let mut scenario = Scenario::new();
    let (now, wall) = (Moment(1000 * SECOND), UnixNanos(1000 * SECOND));
    let open = |scenario: &mut Scenario, hosts| {
        let mut notices = Vec::new();
        for (kind, source, measured) in all(AlertKind::Scanning, local, hosts) {
            let finding = Finding { kind, source: Some(source), measured, error_bound: 0, limit: 100 };
            notices.extend(scenario.ledger.apply(&finding, now, wall, |_| Evidence::default()));
        }
        scenario.ledger.finish_judgement(now, wall, &mut notices, 0);
        notices
    };
    assert_eq!(open(&mut scenario, 0..30), []);
    let mut notices = Vec::new();
    scenario.ledger.say_rest(now, wall, &mut notices);
    assert!(matches!(&notices[..], [Notice::Opened(storm)] if storm.measured == 30), "{notices:?}");
    assert_eq!(open(&mut scenario, 30..32), []);
    notices.clear();
    scenario.ledger.say_rest(now, wall, &mut notices);
    assert!(matches!(&notices[..], [Notice::Grown(storm, _)] if storm.measured == 32), "{notices:?}");
    notices.clear();
    scenario.ledger.say_rest(now, wall, &mut notices);
    assert_eq!(notices, []);
}

/// Whoever forges a storm of hosts far above the limit does not hide one that is far above them.
#[test]
fn a_storm_that_is_kept_open_hides_nobody_who_does_far_more() {
    let mut scenario = Scenario::new();
    let forged = |range: std::ops::Range<u32>| -> Vec<_> {
        range.map(|n| (AlertKind::Scanning, remote(n), if n % 30 == 0 { 9_000_000 } else { 2000 })).collect()
    };
    for second in 0..120 {
        scenario.judge(1000 + second, &forged(second as u32 * 30 + 1..second as u32 * 30 + 30));
    }
    let opened = scenario.judge(1120, &[(AlertKind::Scanning, remote(100_000), 21_000)]);
    let is_it = |alert: &Alert| alert.source == Some(remote(100_000));
    assert!(
        opened.iter().any(|notice| matches!(notice, Notice::Opened(alert) if is_it(alert))),
        "{opened:?}"
    );
    // One like the others is a part of the storm, and readers find it.
    let opened = scenario.judge(1121, &[(AlertKind::Scanning, remote(100_001), 2000)]);
    assert!(!opened.iter().any(|notice| matches!(notice, Notice::Opened(_))), "{opened:?}");
    let alert = scenario.ledger.find(Some(remote(100_001)), AlertKind::Scanning).expect("it is open");
    assert!(alert.progress.storm_id.is_some());
}

#[test]
fn without_a_burst_each_alert_is_notified_as_before() {
    let mut scenario = Scenario::new();
    scenario.ledger.set_burst(None);
    let notices = scenario.judge(1000, &all(AlertKind::Scanning, local, 0..100));
    assert_eq!(notices.len(), 100);
    assert_eq!(scenario.judge(1010, &[]).len(), 100);
}

proptest! {
    /// Whatever opens whenever, each opening is notified singly or belongs to a storm that was notified, and not both.
    /// Each end of what was notified is notified, and no other. At most twice the burst of a kind and locality is
    /// notified singly within a minute.
    #[test]
    fn each_opening_is_notified_singly_or_in_a_storm(
        turns in prop::collection::vec((0u64..40, prop::collection::vec((0u32..300, 0u8..3, 101u64..3000), 0..80)), 1..40)
    ) {
        let mut scenario = Scenario::new();
        let mut second = 1000;
        // Alerts and storms whose opening was notified and whose end was not.
        let mut told: BTreeSet<String> = BTreeSet::new();
        let mut singles: BTreeMap<(AlertKind, bool), Vec<u64>> = BTreeMap::new();
        for (pause, hosts) in turns {
            second += pause;
            let findings: Vec<_> = hosts.into_iter().map(|(n, class, percent)| match class {
                0 => (AlertKind::Scanning, local(n * 40), percent),
                1 => (AlertKind::Scanning, remote(n), percent),
                _ => (AlertKind::Traffic, remote(n / 50), percent),
            }).collect();
            for notice in scenario.judge(second, &findings) {
                match notice {
                    Notice::Opened(alert) => {
                        prop_assert!(told.insert(alert.id.clone()), "{} was opened twice", alert.id);
                        prop_assert!(alert.progress.storm_id.is_none());
                        if let Some(source) = alert.source {
                            let is_local = scenario.ledger.is_local(Some(source));
                            singles.entry((alert.kind, is_local)).or_default().push(second);
                        }
                    }
                    Notice::Closed(alert) => {
                        prop_assert!(told.remove(&alert.id), "{} was closed and not opened", alert.id);
                    }
                    Notice::Grown(alert, _) | Notice::Confirmed(alert) => prop_assert!(told.contains(&alert.id)),
                    Notice::Test(_) => unreachable!("no test was requested"),
                }
            }
            let storms: BTreeMap<String, u64> = scenario.ledger.storms().map(|storm| {
                (storm.id.clone(), storm.progress.storm.as_ref().map_or(0, |storm| storm.open))
            }).collect();
            let mut members: BTreeMap<String, u64> = storms.keys().map(|id| (id.clone(), 0)).collect();
            for alert in scenario.ledger.open() {
                match &alert.progress.storm_id {
                    Some(id) => {
                        prop_assert!(told.contains(&**id) && !told.contains(&alert.id));
                        *members.get_mut(&**id).expect("its storm is open") += 1;
                    }
                    None => prop_assert!(told.contains(&alert.id), "{} was not notified", alert.id),
                }
            }
            prop_assert_eq!(storms, members);
            for times in singles.values() {
                let lately = times.iter().filter(|&&at| second - at < 60).count();
                prop_assert!(lately <= 2 * BURST as usize, "{}", lately);
            }
        }
    }
}
