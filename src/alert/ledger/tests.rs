//! Which changes of an alert are notified, when it closes, and the effects of mutes and restarts.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::alert::mute::NewMute;
use crate::alert::persisted_ledger::PersistedLedger;
use crate::alert::record::OPEN_ALERTS_MAX;
use crate::alert::room::{LOCAL_RESERVE, REMOTE_RESERVE};
use crate::detect::{Confidence, ScanEvidence, ScanRole};
use crate::flow::{ContactTarget, Outcome, Outcomes, Pace, PeerBytes};
use crate::store::{Changes, Numbers, Restored};
use crate::time::Clocks;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn finding(host: u8, kind: AlertKind, measured: u64) -> Finding {
    Finding { kind, source: Some([10, 0, 0, host].into()), measured, error_bound: 0, limit: 100 }
}

/// An alert about traffic closes after 10 seconds, one about ports after 60; the cooldown is 20 seconds.
fn ledger() -> Ledger {
    let timeouts = CloseTimeouts { traffic: Duration::from_secs(10), ports: Duration::from_secs(60) };
    Ledger::new(timeouts, Duration::from_secs(20))
}

fn apply(ledger: &mut Ledger, finding: &Finding, seconds: u64) -> Option<Notice> {
    ledger.apply(finding, Moment(seconds * SECOND), UnixNanos(seconds * SECOND), |_| Evidence::default())
}

fn close(ledger: &mut Ledger, seconds: u64) -> Vec<Notice> {
    let mut notices = Vec::new();
    ledger.close_inactive(Moment(seconds * SECOND), UnixNanos(seconds * SECOND), &mut notices);
    notices
}

/// What a later process finds of a ledger that was saved as it is now.
pub(super) fn restarted(ledger: &mut Ledger) -> PersistedLedger {
    ledger.keep_changes();
    ledger.note_everything();
    let Changes { alerts, mutes, .. } = ledger.take_changes(PeakSave::All);
    let numbers = Numbers { opened: ledger.opened, last_mute: ledger.mutes.last_id(), ..Numbers::default() };
    PersistedLedger::from_rows(&Restored { alerts, mutes, numbers: Some(numbers), ..Restored::default() })
}

#[test]
fn an_alert_is_notified_once_and_closes_after_a_window_without_findings() {
    let mut ledger = ledger();
    let Some(Notice::Opened(opened)) = apply(&mut ledger, &finding(1, AlertKind::Traffic, 101), 1000) else {
        panic!("the first finding must open an alert")
    };
    assert_eq!((opened.id.as_str(), opened.measured, opened.closed_at), ("1000-1", 101, None));
    for (second, measured) in [(1001, 150), (1009, 120)] {
        assert_eq!(apply(&mut ledger, &finding(1, AlertKind::Traffic, measured), second), None);
        assert_eq!(close(&mut ledger, second), []);
    }
    assert_eq!(close(&mut ledger, 1018), []);
    // The call comes late, and the alert closes at the end of its window all the same.
    let closed = close(&mut ledger, 1500);
    let progress =
        AlertProgress { last: 120, exceeded_at: UnixNanos(1009 * SECOND), ..AlertProgress::default() };
    let want = Alert { measured: 150, closed_at: Some(UnixNanos(1019 * SECOND)), progress, ..opened };
    assert_eq!(closed, [Notice::Closed(want)]);
    assert_eq!(close(&mut ledger, 2000), []);
    let again = apply(&mut ledger, &finding(1, AlertKind::Traffic, 101), 3000);
    assert!(matches!(again, Some(Notice::Opened(alert)) if alert.id == "3000-2"));
}

#[test]
fn within_the_cooldown_an_alert_opens_again_and_keeps_its_id() {
    // The second at which the host exceeds its limit again, and whether that is the same alert. It closes at 1010.
    for (second, is_same) in [(1010, true), (1029, true), (1030, false), (1500, false)] {
        let mut ledger = ledger();
        apply(&mut ledger, &finding(1, AlertKind::Traffic, 300), 1000);
        assert_eq!(close(&mut ledger, 1010).len(), 1);
        close(&mut ledger, second);
        let Some(Notice::Opened(again)) = apply(&mut ledger, &finding(1, AlertKind::Traffic, 120), second)
        else {
            panic!("the host exceeds its limit again, so the alert is notified again")
        };
        let (id, opened_at, peak, reopened) = match is_same {
            true => ("1000-1".to_owned(), 1000, 300, 1),
            false => (format!("{second}-2"), second, 120, 0),
        };
        assert_eq!((again.id, again.opened_at), (id, UnixNanos(opened_at * SECOND)), "{second}");
        assert_eq!((again.measured, again.progress.last, again.closed_at), (peak, 120, None), "{second}");
        assert_eq!(again.progress.reopened, reopened, "{second}");
    }
}

#[test]
fn readers_get_the_alerts_that_closed_until_they_open_again_or_a_day_is_over() {
    let ids = |ledger: &mut Ledger| {
        ledger.recently_closed().iter().map(|alert| alert.id.clone()).collect::<Vec<_>>()
    };
    let mut ledger = ledger();
    mute(&mut ledger, "10.0.0.2/32", 500, 1000);
    apply(&mut ledger, &finding(1, AlertKind::Traffic, 300), 1000);
    apply(&mut ledger, &finding(2, AlertKind::Traffic, 300), 1001);
    close(&mut ledger, 1010);
    assert_eq!(ids(&mut ledger), ["1000-1"]);
    assert_eq!(close(&mut ledger, 1011), [], "a muted alert closes without a notice");
    assert_eq!(ids(&mut ledger), ["1001-2", "1000-1"]);
    assert_eq!(ledger.recently_closed()[1].closed_at, Some(UnixNanos(1010 * SECOND)));
    apply(&mut ledger, &finding(1, AlertKind::Traffic, 300), 1012);
    assert_eq!(ids(&mut ledger), ["1001-2"], "an alert that is open again is not closed");
    close(&mut ledger, 1022);
    assert_eq!(ids(&mut ledger), ["1000-1", "1001-2"]);
    close(&mut ledger, 1011 + 24 * 60 * 60);
    assert_eq!(ids(&mut ledger), ["1000-1"]);
    close(&mut ledger, 1022 + 24 * 60 * 60);
    assert_eq!(ids(&mut ledger), [""; 0]);
}

#[test]
fn hidden_destinations_leave_alerts_that_are_open_and_those_that_have_closed() {
    let mut ledger = ledger();
    let addr = IpAddr::from([10, 9, 9, 9]);
    let scan = ScanEvidence {
        role: ScanRole::Scanner,
        class: None,
        confidence: Confidence::High,
        contacted: 1,
        outcomes: Outcomes::default(),
        answers_visible: true,
        ports: Vec::new(),
        ports_at_one_host: 1,
        targets: vec![ContactTarget { addr, port: None, outcome: Outcome::Answered }],
        pace: Pace::default(),
        why: String::new(),
    };
    let evidence = |_| Evidence {
        destinations: vec![PeerBytes { addr, ip_bytes: 1 }],
        scan: Some(scan.clone()),
        ..Evidence::default()
    };
    for host in [1, 2] {
        let at = 1000 + 10 * u64::from(host);
        let found = finding(host, AlertKind::Traffic, 200);
        ledger.apply(&found, Moment(at * SECOND), UnixNanos(at * SECOND), evidence);
    }
    close(&mut ledger, 1020);
    assert_eq!((ledger.open().count(), ledger.recently_closed().len()), (1, 1));
    let has_peers = |alert: &Alert| {
        let has_targets = alert.scan.as_ref().is_some_and(|scan| !scan.targets.is_empty());
        [!alert.destinations.is_empty(), has_targets]
    };
    let peers = |ledger: &mut Ledger| -> Vec<[bool; 2]> {
        let recently_closed = ledger.recently_closed();
        let all = ledger.open().chain(recently_closed.iter().map(|alert| &**alert));
        all.chain(ledger.closed.alerts()).map(has_peers).collect()
    };
    assert_eq!(peers(&mut ledger), [[true; 2]; 3]);
    ledger.hide_destinations();
    assert_eq!(peers(&mut ledger), [[false; 2]; 3]);
}

#[test]
fn growth_is_notified_at_two_five_and_ten_times_the_limit() {
    let mut ledger = ledger();
    let mut notified = Vec::new();
    for (second, measured) in [101, 199, 200, 150, 200, 499, 500, 999, 1000, 100_000].iter().enumerate() {
        match apply(&mut ledger, &finding(1, AlertKind::Traffic, *measured), 1000 + second as u64) {
            Some(Notice::Opened(alert)) => notified.push((1, alert.progress.last)),
            Some(Notice::Grown(alert, times)) => notified.push((times, alert.progress.last)),
            other => assert_eq!(other, None),
        }
    }
    assert_eq!(notified, [(1, 101), (2, 200), (5, 500), (10, 1000)]);
    // The multiple that is reached at the opening is not notified as growth.
    apply(&mut ledger, &finding(2, AlertKind::Traffic, 450), 1000);
    assert_eq!(apply(&mut ledger, &finding(2, AlertKind::Traffic, 460), 1001), None);
    let grown = apply(&mut ledger, &finding(2, AlertKind::Traffic, 510), 1002);
    assert!(matches!(grown, Some(Notice::Grown(_, 5))), "{grown:?}");
}

/// A finding with an error bound: the true value lies between `measured` and `measured + error`.
fn imprecise(host: u8, measured: u64, error: u64) -> Finding {
    Finding { error_bound: error, ..finding(host, AlertKind::Traffic, measured) }
}

#[test]
fn a_possible_alert_is_confirmed_once_and_not_notified_twice() {
    let mut ledger = ledger();
    let Some(Notice::Opened(possible)) = apply(&mut ledger, &imprecise(1, 80, 50), 1000) else {
        panic!("a possible alert must be notified")
    };
    assert!(possible.progress.is_possible);
    assert_eq!((possible.measured, possible.upper_bound(), possible.limit), (80, 130, 100));
    assert_eq!(apply(&mut ledger, &imprecise(1, 90, 45), 1001), None, "a possible alert is notified once");
    let bytes = |ip_bytes| move |_| Evidence { ip_bytes, ..Evidence::default() };
    let at = |second: u64| (Moment(second * SECOND), UnixNanos(second * SECOND));
    let (now, wall_clock) = at(1002);
    let Some(Notice::Confirmed(certain)) = ledger.apply(&imprecise(1, 101, 5), now, wall_clock, bytes(101))
    else {
        panic!("a certain finding must confirm the alert")
    };
    assert_eq!((&certain.id, certain.opened_at), (&possible.id, possible.opened_at));
    assert_eq!(
        (certain.measured, certain.upper_bound(), certain.ip_bytes),
        (101, 135, 101),
        "the evidence is that of the confirmation"
    );
    assert!(!certain.progress.is_possible);
    // The alert stays certain although later findings are only possible.
    for (second, measured) in [(1003, 102), (1009, 60)] {
        assert_eq!(apply(&mut ledger, &imprecise(1, measured, 50), second), None);
        assert!(ledger.open().all(|alert| !alert.progress.is_possible));
    }
    assert_eq!(close(&mut ledger, 1018), []);
    let closed = close(&mut ledger, 1019);
    assert!(
        matches!(&closed[..], [Notice::Closed(alert)] if (alert.measured, alert.upper_bound()) == (102, 152)),
        "{closed:?}"
    );
    // An alert that opens again is possible if its new finding is; the upper bound of its peak is kept.
    let again = apply(&mut ledger, &imprecise(1, 70, 40), 1020);
    assert!(
        matches!(&again, Some(Notice::Opened(alert)) if alert.progress.is_possible && alert.upper_bound() == 152),
        "{again:?}"
    );
}

#[test]
fn an_alert_certain_at_once_is_never_confirmed_and_a_possible_one_closes() {
    let mut ledger = ledger();
    let opened = apply(&mut ledger, &imprecise(1, 101, 50), 1000);
    assert!(matches!(opened, Some(Notice::Opened(alert)) if !alert.progress.is_possible));
    assert_eq!(apply(&mut ledger, &imprecise(1, 102, 50), 1001), None);
    assert!(apply(&mut ledger, &imprecise(2, 60, 50), 1001).is_some());
    let closed = close(&mut ledger, 1011);
    let are_possible: Vec<_> = closed.iter().map(|notice| notice.alert().progress.is_possible).collect();
    assert_eq!(are_possible, [false, true]);
}

#[test]
fn an_alert_confirmed_while_muted_or_after_a_restart_is_notified() {
    // It is notified as possible, and becomes certain while it is muted, with and without a restart.
    for restarts in [false, true] {
        let mut ledger = ledger();
        assert!(apply(&mut ledger, &imprecise(1, 80, 50), 1000).is_some());
        mute(&mut ledger, "10.0.0.1/32", 5, 1001);
        assert_eq!(apply(&mut ledger, &imprecise(1, 110, 5), 1002), None);
        if restarts {
            let persisted = restarted(&mut ledger);
            ledger = super::tests::ledger();
            let mut notices = Vec::new();
            ledger.restore(persisted, Moment(1003 * SECOND), UnixNanos(1003 * SECOND), &mut notices);
            assert_eq!(notices, [], "the alert is still muted");
        }
        let mut notices = Vec::new();
        ledger.expire_mutes(Moment(1006 * SECOND));
        ledger.say_unmuted(&mut notices);
        assert!(matches!(&notices[..], [Notice::Confirmed(alert)] if alert.measured == 110), "{notices:?}");
        assert_eq!(
            apply(&mut ledger, &imprecise(1, 120, 5), 1007),
            None,
            "the confirmation was notified already"
        );
    }
    // An alert that was never notified is notified with its present state.
    let mut ledger = ledger();
    mute(&mut ledger, "10.0.0.1/32", 5, 1000);
    for (second, measured) in [(1001, 80), (1002, 110)] {
        assert_eq!(apply(&mut ledger, &imprecise(1, measured, 50), second), None);
    }
    let mut notices = Vec::new();
    ledger.expire_mutes(Moment(1005 * SECOND));
    ledger.say_unmuted(&mut notices);
    assert!(matches!(&notices[..], [Notice::Opened(alert)] if !alert.progress.is_possible), "{notices:?}");
}

fn mute(ledger: &mut Ledger, source: &str, seconds: u64, at: u64) -> u64 {
    let source = source.parse().expect("a network");
    let new = NewMute { source, kind: None, span: Duration::from_secs(seconds), reason: String::new() };
    ledger.mute(new, Moment(at * SECOND), UnixNanos(at * SECOND)).expect("room").id
}

#[test]
fn a_muted_alert_opens_without_notice_and_is_notified_when_the_mute_ends() {
    let value_opened = |notices: &[Notice]| match notices {
        [Notice::Opened(alert)] => alert.progress.last,
        other => panic!("expected one opening and not {other:?}"),
    };
    // Once the mute expires, and once it is removed before that.
    for is_removed in [false, true] {
        let mut ledger = ledger();
        let id = mute(&mut ledger, "10.0.0.0/24", 8, 1000);
        for (second, measured) in [(1001, 110), (1002, 250), (1003, 120)] {
            assert_eq!(apply(&mut ledger, &finding(1, AlertKind::Traffic, measured), second), None);
        }
        assert!(ledger.open().all(|alert| alert.progress.is_muted));
        let mut notices = Vec::new();
        assert!(!ledger.expire_mutes(Moment(1007 * SECOND)));
        ledger.say_unmuted(&mut notices);
        assert_eq!(notices, []);
        match is_removed {
            true => assert!(ledger.unmute(id)),
            false => assert!(ledger.expire_mutes(Moment(1008 * SECOND))),
        }
        ledger.say_unmuted(&mut notices);
        assert_eq!(value_opened(&notices), 120);
        assert!(ledger.open().all(|alert| !alert.progress.is_muted && alert.measured == 250));
        assert_eq!(
            apply(&mut ledger, &finding(1, AlertKind::Traffic, 130), 1009),
            None,
            "the opening was notified already"
        );
        assert_eq!(close(&mut ledger, 1019).len(), 1);
    }
}

#[test]
fn only_the_end_of_notified_alerts_is_notified() {
    let mut ledger = ledger();
    apply(&mut ledger, &finding(1, AlertKind::Traffic, 110), 1000);
    mute(&mut ledger, "10.0.0.0/24", 1000, 1001);
    assert_eq!(
        apply(&mut ledger, &finding(1, AlertKind::Traffic, 500), 1002),
        None,
        "the growth of a muted alert is not notified"
    );
    assert_eq!(apply(&mut ledger, &finding(2, AlertKind::Traffic, 110), 1002), None);
    let closed = close(&mut ledger, 1100);
    let [Notice::Closed(alert)] = &closed[..] else {
        panic!("expected the end of the one notified alert and not {closed:?}")
    };
    assert_eq!(alert.source, Some([10, 0, 0, 1].into()));
    assert_eq!(ledger.open().count(), 0);
}

#[test]
fn after_a_restart_no_notice_is_repeated_and_inactive_alerts_close() {
    let mut before = ledger();
    for (host, measured) in [(1, 210), (2, 110), (3, 110)] {
        apply(&mut before, &finding(host, AlertKind::Traffic, measured), 1000);
    }
    // The alert of the third host closes, those of the first two stay open; that of a fourth is muted.
    for second in [1005, 1012] {
        apply(&mut before, &finding(1, AlertKind::Traffic, 120), second);
        apply(&mut before, &finding(2, AlertKind::Traffic, 120), second);
        close(&mut before, second);
    }
    mute(&mut before, "10.0.0.4/32", 30, 1012);
    apply(&mut before, &finding(4, AlertKind::Traffic, 110), 1012);
    let persisted = restarted(&mut before);

    // Another process with another monotonic clock, ten seconds later on the wall clock.
    let mut after = ledger();
    let mut notices = Vec::new();
    after.restore(persisted, Moment(50 * SECOND), UnixNanos(1022 * SECOND), &mut notices);
    assert_eq!(notices, []);
    let apply = |ledger: &mut Ledger, host: u8, measured: u64, second: u64| {
        let finding = finding(host, AlertKind::Traffic, measured);
        let evidence = |_| Evidence { ip_bytes: measured, ..Evidence::default() };
        ledger.apply(&finding, Moment(second * SECOND), UnixNanos((second + 972) * SECOND), evidence)
    };
    assert_eq!(
        apply(&mut after, 1, 220, 51),
        None,
        "the opening and the growth to twice the limit were notified already"
    );
    assert_eq!(
        after.open().next().map(|alert| alert.ip_bytes),
        Some(0),
        "the saved evidence stays, since the windows begin anew"
    );
    assert!(matches!(apply(&mut after, 1, 500, 52), Some(Notice::Grown(alert, 5)) if alert.id == "1000-1"));
    assert_eq!(apply(&mut after, 4, 120, 53), None, "the alert is still muted");
    let reopened = apply(&mut after, 3, 130, 53);
    assert!(matches!(&reopened, Some(Notice::Opened(alert)) if alert.id == "1000-3"), "{reopened:?}");
    let new = apply(&mut after, 9, 130, 53);
    assert!(matches!(&new, Some(Notice::Opened(alert)) if alert.id == "1025-5"), "{new:?}");
    // The alert of the second host closes a whole window after the restart.
    let close = |ledger: &mut Ledger, second: u64| {
        let mut notices = Vec::new();
        ledger.close_inactive(Moment(second * SECOND), UnixNanos((second + 972) * SECOND), &mut notices);
        notices
    };
    assert_eq!(close(&mut after, 59), []);
    let closed = close(&mut after, 60);
    assert!(matches!(&closed[..], [Notice::Closed(alert)] if alert.id == "1000-2"), "{closed:?}");
    // The mute ends 30 seconds after it was made by the wall clock: 20 seconds after the restart.
    assert!(!after.expire_mutes(Moment(69 * SECOND)));
    assert!(after.expire_mutes(Moment(70 * SECOND)));
}

/// A machine without a battery starts with the clock at 1000, and the clock is set to 2,000,000 later.
#[test]
fn times_follow_a_step_of_the_clock_and_nothing_lasts_longer() {
    let mut before = ledger();
    let at = |second: u64| Moment(second * SECOND);
    let wall = |second: u64| UnixNanos(second * SECOND);
    let nothing = |_| Evidence::default();
    before.apply(&finding(1, AlertKind::Traffic, 200), at(5), wall(1005), nothing).expect("it opens");
    let clocks = |now: u64, civil: u64| Clocks {
        now: at(now),
        since_boot: Duration::from_secs(now),
        civil: wall(civil),
    };
    before.follow(clocks(5, 1005));
    before.close_inactive(at(5), wall(1005), &mut Vec::new());
    mute(&mut before, "10.0.0.4/32", 3600, 1005);
    // The helper takes one time for both clocks.
    let saved = before.mutes().next().cloned().expect("it was made");
    assert_eq!((saved.made_at, saved.until), (wall(1005), wall(4605)));
    before.keep_changes();
    before.take_changes(PeakSave::Continue);
    before.follow(clocks(10, 2_000_010));
    before.close_inactive(at(10), wall(2_000_010), &mut Vec::new());
    let changes = before.take_changes(PeakSave::Continue);
    assert!(!changes.alerts.is_empty() && !changes.mutes.is_empty(), "the corrected times are saved");
    assert!(before.expire_mutes(at(10)), "the corrected times are published");
    assert!(!before.expire_mutes(at(10)), "once");
    let open = before.open().next().expect("it is open");
    assert_eq!((open.opened_at, open.progress.exceeded_at), (wall(2_000_005), wall(2_000_005)));
    let mute = before.mutes().next().expect("it is in force");
    assert_eq!((mute.made_at, mute.until), (wall(2_000_005), wall(2_003_605)));
    // A mute that is made after the step, before the next judgement, has the right times at once.
    before.follow(clocks(11, 3_000_011));
    let new = NewMute {
        source: "10.0.0.5/32".parse().expect("a network"),
        kind: None,
        span: Duration::from_secs(60),
        reason: String::new(),
    };
    let id = before.mute(new, at(11), wall(3_000_011)).expect("room").id;
    before.follow(clocks(12, 3_000_012));
    before.close_inactive(at(12), wall(3_000_012), &mut Vec::new());
    let mute = before.mutes().find(|mute| mute.id == id).expect("it is in force");
    assert_eq!((mute.made_at, mute.until), (wall(3_000_011), wall(3_000_071)));
    assert!(before.unmute(id));

    // Another process, whose clock is behind again, takes what it reads for times in the future.
    let persisted = restarted(&mut before);
    let mut after = ledger();
    after.restore(persisted.clone(), at(50), wall(2000), &mut Vec::new());
    let open = after.open().next().expect("it is open");
    assert_eq!((open.opened_at, open.progress.exceeded_at), (wall(2000), wall(2000)));
    let mute = after.mutes().next().expect("it is in force");
    assert_eq!((mute.made_at, mute.until), (wall(2000), wall(5600)));
    // What it saves is not extended by a further restart.
    let mut third = ledger();
    third.restore(restarted(&mut after), at(50), wall(3000), &mut Vec::new());
    assert_eq!(third.mutes().next().map(|mute| mute.until), Some(wall(5600)));
    // The alert ends a window after the start, and not before it opened.
    let mut notices = Vec::new();
    after.close_inactive(at(60), wall(2010), &mut notices);
    let [Notice::Closed(closed)] = &notices[..] else { panic!("{notices:?}") };
    assert_eq!((closed.opened_at, closed.closed_at), (wall(2000), Some(wall(2010))));
    assert!(!after.expire_mutes(at(50 + 3599)) && after.expire_mutes(at(50 + 3600)));
}

/// The monotonic clock stops while the machine is suspended, and the times that a mute shows do not move.
#[test]
fn a_mute_ends_when_it_says_although_the_machine_was_suspended() {
    let mut ledger = ledger();
    let clocks = |now: u64, asleep: u64| Clocks {
        now: Moment(now * SECOND),
        since_boot: Duration::from_secs(now + asleep),
        civil: UnixNanos((now + asleep) * SECOND),
    };
    ledger.follow(clocks(1000, 0));
    mute(&mut ledger, "10.0.0.4/32", 3600, 1000);
    ledger.follow(clocks(1010, 3000));
    let until = ledger.mutes().next().map(|mute| mute.until);
    assert_eq!(until, Some(UnixNanos(4600 * SECOND)), "it is no step of the clock");
    assert!(!ledger.expire_mutes(Moment(1599 * SECOND)));
    assert!(ledger.expire_mutes(Moment(1600 * SECOND)), "4600 by the wall clock");
}

/// A window can change at a restart, since `TrafficInterval` takes one.
#[test]
fn after_a_restart_alerts_show_the_windows_of_the_configuration() {
    let timeouts = CloseTimeouts { traffic: Duration::from_secs(300), ports: Duration::from_secs(900) };
    let mut before = ledger();
    let kinds = [
        (AlertKind::Traffic, 300),
        (AlertKind::Scanning, 300),
        (AlertKind::ScanningPort, 900),
        (AlertKind::PacketRate, 1),
    ];
    for (kind, _) in kinds {
        apply(&mut before, &finding(1, kind, 200), 1000).expect("it opens");
    }
    let mut after = Ledger::new(timeouts, Duration::from_secs(20));
    after.restore(restarted(&mut before), Moment(50 * SECOND), UnixNanos(1010 * SECOND), &mut Vec::new());
    for (kind, seconds) in kinds {
        let alert = after.find(Some([10, 0, 0, 1].into()), kind).expect("it is open");
        assert_eq!(alert.window, Duration::from_secs(seconds), "{kind:?}");
    }
}

#[test]
fn a_closed_alert_is_forgotten_at_most_a_cooldown_after_the_start() {
    let closed_at = |second: u64| {
        let mut before = ledger();
        apply(&mut before, &finding(1, AlertKind::Traffic, 200), second - 10);
        assert_eq!(close(&mut before, second).len(), 1);
        restarted(&mut before)
    };
    // The cooldown is 20 seconds. The machine has run for 3 seconds, and the process starts at 1000.
    for (second, opens_again_until) in [(990, 9), (981, 0), (980, 0), (900, 0), (1000, 19), (4_000_000, 19)] {
        for later in [0, 1, 9, 10, 19, 20] {
            let mut after = ledger();
            let start = Moment(3 * SECOND);
            after.restore(closed_at(second), start, UnixNanos(1000 * SECOND), &mut Vec::new());
            let now = start.plus(Duration::from_secs(later));
            let again = after
                .apply(&finding(1, AlertKind::Traffic, 200), now, UnixNanos((1000 + later) * SECOND), |_| {
                    Evidence::default()
                })
                .expect("it opens");
            let is_known = again.alert().progress.reopened > 0;
            let case = format!("closed at {second}, {later} seconds after the start");
            assert_eq!(is_known, second > 980 && later <= opens_again_until, "{case}");
        }
    }
}

#[test]
fn a_changed_limit_is_not_a_growth() {
    let mut ledger = ledger();
    apply(&mut ledger, &finding(1, AlertKind::Traffic, 300), 1000);
    let lowered = |measured| Finding { limit: 10, ..finding(1, AlertKind::Traffic, measured) };
    assert_eq!(apply(&mut ledger, &lowered(60), 1001), None);
    assert_eq!(ledger.open().next().map(|alert| alert.limit), Some(10));
    let grown = apply(&mut ledger, &lowered(100), 1002);
    assert!(matches!(grown, Some(Notice::Grown(_, 10))), "{grown:?}");
}

#[test]
fn each_host_and_kind_has_its_own_alert_and_ports_have_their_own_timeout() {
    let mut ledger = ledger();
    for kind in [AlertKind::ScanningPort, AlertKind::Traffic] {
        assert!(apply(&mut ledger, &finding(2, kind, 200), 1000).is_some());
    }
    assert!(apply(&mut ledger, &finding(1, AlertKind::Traffic, 200), 1000).is_some());
    let open: Vec<_> =
        ledger.open().filter_map(|alert| Some((alert.source?.to_string(), alert.kind.name()))).collect();
    let of = |host: &str, kind| (format!("10.0.0.{host}"), kind);
    assert_eq!(open, [of("1", "TRAFFIC"), of("2", "TRAFFIC"), of("2", "SCANNING_PORT")]);
    assert_eq!(ledger.open_sources().count(), 2);
    let loss = Finding { kind: AlertKind::Loss, source: None, measured: 7, error_bound: 0, limit: 1 };
    assert!(apply(&mut ledger, &loss, 1000).is_some());
    assert_eq!(ledger.open_sources().count(), 2, "an alert about losses has no host");
    assert_eq!(close(&mut ledger, 1010).len(), 3, "two alerts about traffic and one about losses close");
    assert_eq!(close(&mut ledger, 1059).len(), 0);
    assert_eq!(close(&mut ledger, 1060).len(), 1);
}

#[test]
fn findings_beyond_the_maximum_number_of_alerts_are_counted() {
    let mut ledger = ledger();
    for n in 0..u32::try_from(OPEN_ALERTS_MAX).expect("it is small") + 5 {
        let source = Some(n.to_be_bytes().into());
        apply(&mut ledger, &Finding { source, ..finding(1, AlertKind::Traffic, 200) }, 1000);
    }
    // The flood has all places but those that are reserved for local hosts and for other kinds.
    let reserved = 6 * (LOCAL_RESERVE + REMOTE_RESERVE) - REMOTE_RESERVE;
    let refused = u64::try_from(reserved + 5).expect("it is small");
    assert_eq!((ledger.open().count(), ledger.discarded_findings()), (OPEN_ALERTS_MAX - reserved, refused));
    assert!(
        apply(&mut ledger, &finding(1, AlertKind::Scanning, 200), 1000).is_some(),
        "another kind has room"
    );
    let loss = Finding { kind: AlertKind::Loss, source: None, measured: 7, error_bound: 0, limit: 1 };
    assert!(apply(&mut ledger, &loss, 1000).is_some(), "an alert about losses opens beyond the maximum");
}

proptest! {
    /// For any findings at any times, the notices of one id alternate between opening and closing, growth is notified
    /// between them with rising multiples, and each id belongs to one host and kind.
    #[test]
    fn the_notices_of_an_alert_are_in_order(
        turns in prop::collection::vec(
            (0u64..12, prop::collection::vec((0u8..3, any::<bool>(), 60u64..2000, 0u64..200), 0..4)),
            1..80,
        )
    ) {
        let mut ledger = ledger();
        let mut now = 1000;
        // For each id, its key and twice the multiple that was notified since it opened: 0 means closed, 1 means open
        // and only possible.
        let mut known: BTreeMap<String, (AlertKey, u64)> = BTreeMap::new();
        for (seconds, findings) in turns {
            now += seconds;
            let mut notices = close(&mut ledger, now);
            for (host, is_ports, measured, error) in findings {
                let kind = if is_ports { AlertKind::ScanningPort } else { AlertKind::Traffic };
                let found = Finding { error_bound: error, ..finding(host, kind, measured) };
                if found.upper_bound() > found.limit {
                    notices.extend(apply(&mut ledger, &found, now));
                }
            }
            for notice in notices {
                let is_confirmed = matches!(notice, Notice::Confirmed(_));
                let (alert, doubled) = match notice {
                    Notice::Opened(alert) if alert.progress.is_possible => (alert, 1),
                    Notice::Opened(alert) | Notice::Confirmed(alert) => (alert, 2),
                    Notice::Grown(alert, times) => (alert, 2 * times),
                    Notice::Closed(alert) => (alert, 0),
                    Notice::Test(alert) => panic!("no test was requested: {alert:?}"),
                };
                let key = (alert.source, alert.kind);
                let (before_key, before) = *known.entry(alert.id.clone()).or_insert((key, 0));
                prop_assert_eq!(before_key, key, "{} has two keys", alert.id);
                match doubled {
                    0 => prop_assert!(before > 0, "{} closed twice", alert.id),
                    2 if is_confirmed => prop_assert_eq!(before, 1, "{} was not possible", alert.id),
                    1 | 2 => prop_assert_eq!(before, 0, "{} opened twice", alert.id),
                    times => prop_assert!(before > 1 && before < times, "{} grew from {before}", alert.id),
                }
                prop_assert!(alert.upper_bound() > alert.limit);
                prop_assert!(alert.measured >= alert.progress.last && alert.opened_at <= alert.progress.exceeded_at);
                known.insert(alert.id, (key, doubled));
            }
            let notified_open: BTreeSet<_> =
                known.values().filter(|(_, doubled)| *doubled > 0).map(|(key, _)| *key).collect();
            let open: BTreeSet<_> = ledger.open().map(|alert| (alert.source, alert.kind)).collect();
            prop_assert_eq!(open, notified_open);
        }
    }
}

/// The rows of a database, as the changes that were taken from a ledger leave them.
#[derive(Default)]
struct Rows(Restored);

impl Rows {
    fn write(&mut self, ledger: &mut Ledger, peaks: PeakSave) {
        let changes = ledger.take_changes(peaks);
        let numbers = self.0.numbers.unwrap_or_default().max(changes.numbers);
        self.0.numbers = Some(numbers);
        let is_replaced = |id: &String| changes.alerts.iter().any(|row| row.id == *id);
        self.0.alerts.retain(|row| !is_replaced(&row.id) && !changes.alerts_removed.contains(&row.id));
        self.0.alerts.extend(changes.alerts);
        let is_replaced = |id: u64| changes.mutes.iter().any(|row| row.id == id);
        self.0.mutes.retain(|row| !is_replaced(row.id) && !changes.mutes_removed.contains(&row.id));
        self.0.mutes.extend(changes.mutes);
        self.0.alerts.sort_by(|a, b| a.id.cmp(&b.id));
        self.0.mutes.sort_by_key(|row| row.id);
    }
}

#[test]
fn the_changes_of_each_judgement_leave_the_rows_of_the_whole_ledger() {
    let mut ledger = ledger();
    ledger.keep_changes();
    let mut rows = Rows::default();
    for second in 1000..1120 {
        let host = u8::try_from(second % 7).expect("it is small");
        if second < 1080 {
            apply(&mut ledger, &finding(host, AlertKind::Traffic, 100 + second % 450), second);
        }
        if second % 10 == 0 {
            mute(&mut ledger, &format!("10.0.0.{}/32", second % 3), 15, second);
        }
        let mut notices = Vec::new();
        ledger.close_inactive(Moment(second * SECOND), UnixNanos(second * SECOND), &mut notices);
        ledger.expire_mutes(Moment(second * SECOND));
        ledger.say_unmuted(&mut notices);
        rows.write(&mut ledger, PeakSave::All);
        let (mut known, whole) = (PersistedLedger::from_rows(&rows.0), restarted(&mut ledger));
        // The order of rows is that of ids, and numbers are saved ahead.
        (known.opened, known.last_mute) = (whole.opened, whole.last_mute);
        let sorted = |mut ledger: PersistedLedger| {
            ledger.open.sort_by(|a, b| a.alert.id.cmp(&b.alert.id));
            ledger.closed.sort_by(|a, b| a.id.cmp(&b.id));
            ledger
        };
        assert_eq!(sorted(known), sorted(whole), "{second}");
    }
    assert!(rows.0.alerts.is_empty(), "all are forgotten");
}

#[test]
fn no_number_is_given_out_twice_although_the_last_changes_were_lost() {
    let mut before = ledger();
    before.keep_changes();
    let mut rows = Rows::default();
    apply(&mut before, &finding(1, AlertKind::Traffic, 200), 1000);
    rows.write(&mut before, PeakSave::Continue);
    // The disk takes nothing of these, and the process is killed.
    let lost = apply(&mut before, &finding(2, AlertKind::Traffic, 200), 1000).expect("it opens");
    mute(&mut before, "10.0.0.9/32", 60, 1000);
    let lost_mute = before.mutes().next().map(|mute| mute.id).expect("it is in force");

    let mut after = ledger();
    after.restore(
        PersistedLedger::from_rows(&rows.0),
        Moment(SECOND),
        UnixNanos(1000 * SECOND),
        &mut Vec::new(),
    );
    let next = apply(&mut after, &finding(3, AlertKind::Traffic, 200), 1000).expect("it opens");
    assert_ne!(next.alert().id, lost.alert().id);
    mute(&mut after, "10.0.0.9/32", 60, 1000);
    assert!(after.mutes().all(|mute| mute.id > lost_mute));
    assert_ne!(PersistedLedger::new().opened, PersistedLedger::new().opened, "a lost database");
}

#[test]
fn one_row_that_cannot_be_true_is_left_out_and_removed() {
    let mut before = ledger();
    before.keep_changes();
    let mut rows = Rows::default();
    for host in 1..=3 {
        apply(&mut before, &finding(host, AlertKind::Traffic, 200), 1000);
        mute(&mut before, &format!("10.1.0.{host}/32"), 60, 1000);
    }
    rows.write(&mut before, PeakSave::All);
    for (from, to) in [
        ("\"version\":1", "\"version\":2"),
        ("\"kind\":\"TRAFFIC\"", "\"kind\":\"SPAM\""),
        ("10.0.0.2", "10.0.0.1"),
        ("\"limit\":100", "\"limit\":0"),
        ("1000-2", "1000-9"),
        (
            "\"is_notified\":true,\"is_notified_as_possible\":false",
            "\"is_notified\":false,\"is_notified_as_possible\":true",
        ),
        ("{", "["),
    ] {
        let mut wrong = Rows(rows.0.clone());
        let body = &mut wrong.0.alerts[1].body;
        assert!(body.contains(from), "{from}: {body}");
        *body = body.replacen(from, to, 1);
        wrong.0.mutes[1].body = "{}".to_owned();
        let persisted = PersistedLedger::from_rows(&wrong.0);
        assert_eq!((persisted.open.len(), persisted.mutes.len()), (2, 2), "{to}");
        let mut after = ledger();
        after.keep_changes();
        after.restore(persisted, Moment(SECOND), UnixNanos(1001 * SECOND), &mut Vec::new());
        wrong.write(&mut after, PeakSave::Continue);
        let ids: Vec<&str> = wrong.0.alerts.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["1000-1", "1000-3"], "{to}");
        assert_eq!(wrong.0.mutes.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 3]);
    }
}

/// The number of alerts is that of a flood. What changes while the others wait is saved with its latest state.
#[test]
fn a_few_peaks_are_saved_at_a_time() {
    const ALERTS: u32 = 600;
    let mut ledger = ledger();
    ledger.keep_changes();
    let find = |ledger: &mut Ledger, measured: u64| {
        for n in 0..ALERTS {
            let source = Some(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
            apply(ledger, &Finding { source, ..finding(1, AlertKind::Traffic, measured) }, 1000);
        }
    };
    find(&mut ledger, 110);
    assert_eq!(ledger.take_changes(PeakSave::Continue).alerts.len(), 600);
    find(&mut ledger, 120);
    assert!(ledger.take_changes(PeakSave::Continue).alerts.is_empty(), "peaks are not due");
    let mut saved = Vec::new();
    for (peaks, count) in [(PeakSave::Begin, 250), (PeakSave::Continue, 250), (PeakSave::Continue, 100)] {
        let rows = ledger.take_changes(peaks).alerts;
        assert_eq!(rows.len(), count);
        saved.extend(rows.into_iter().map(|row| row.id));
    }
    saved.sort_unstable();
    saved.dedup();
    assert_eq!(saved.len(), 600, "each is saved once");
    assert!(ledger.take_changes(PeakSave::Begin).alerts.is_empty());
    find(&mut ledger, 130);
    assert_eq!(ledger.take_changes(PeakSave::Begin).alerts.len(), 250);
    assert_eq!(ledger.take_changes(PeakSave::All).alerts.len(), 350, "at the end none waits");
}

#[test]
fn a_ledger_that_is_not_saved_notes_nothing() {
    let mut ledger = ledger();
    apply(&mut ledger, &finding(1, AlertKind::Traffic, 200), 1000);
    assert!(ledger.take_changes(PeakSave::All).is_empty());
    ledger.keep_changes();
    assert!(ledger.take_changes(PeakSave::All).alerts.is_empty(), "it was not noted before");
}

/// Earlier versions did not save evidence.
#[test]
fn an_alert_without_saved_evidence_gathers_it_again() {
    let mut before = ledger();
    apply(&mut before, &finding(1, AlertKind::Traffic, 210), 1000);
    let mut persisted = restarted(&mut before);
    persisted.open[0].has_evidence = false;
    let mut after = ledger();
    after.restore(persisted, Moment(1001 * SECOND), UnixNanos(1001 * SECOND), &mut Vec::new());
    let evidence = |_| Evidence { ip_bytes: 220, ..Evidence::default() };
    let (now, wall_clock) = (Moment(1002 * SECOND), UnixNanos(1002 * SECOND));
    assert_eq!(after.apply(&finding(1, AlertKind::Traffic, 220), now, wall_clock, evidence), None);
    assert_eq!(after.open().next().map(|alert| alert.ip_bytes), Some(220));
}

/// `TOTALBYTES=` and the sentence are of one moment, whether the host still exceeds its limit when the mute ends or
/// not.
#[test]
fn the_notice_at_the_end_of_a_mute_shows_value_and_evidence_of_one_moment() {
    for goes_on in [true, false] {
        let mut ledger = ledger();
        mute(&mut ledger, "10.0.0.1/32", 5, 1000);
        let find = |ledger: &mut Ledger, measured: u64, second: u64| {
            let evidence = |_| Evidence { ip_bytes: measured, ..Evidence::default() };
            let (now, wall_clock) = (Moment(second * SECOND), UnixNanos(second * SECOND));
            ledger.apply(&finding(1, AlertKind::Traffic, measured), now, wall_clock, evidence)
        };
        assert_eq!(find(&mut ledger, 110, 1001), None);
        assert_eq!(find(&mut ledger, 180, 1002), None);
        assert!(ledger.expire_mutes(Moment(1005 * SECOND)));
        let mut notices = Vec::new();
        if goes_on {
            notices.extend(find(&mut ledger, 190, 1005));
        }
        ledger.finish_judgement(Moment(1005 * SECOND), UnixNanos(1005 * SECOND), &mut notices, 0);
        let [Notice::Opened(alert)] = &notices[..] else { panic!("{notices:?}") };
        let bytes = if goes_on { 190 } else { 110 };
        assert_eq!((alert.ip_bytes, alert.progress.last), (bytes, bytes), "{goes_on}");
        assert_eq!(alert.measured, if goes_on { 190 } else { 180 });
        notices.clear();
        ledger.finish_judgement(Moment(1006 * SECOND), UnixNanos(1006 * SECOND), &mut notices, 0);
        assert_eq!(notices, [], "once");
        assert_eq!(
            ledger.open().next().map(|alert| alert.progress.last),
            Some(if goes_on { 190 } else { 180 })
        );
    }
}

/// The answers to the contacts of the opening do not pass here, which shows only after their time.
#[test]
fn evidence_of_early_contacts_is_replaced_by_what_became_of_them() {
    let scan = |outcomes: Outcomes, role: ScanRole, confidence: Confidence| ScanEvidence {
        role,
        class: None,
        confidence,
        contacted: 30,
        outcomes,
        answers_visible: false,
        ports: Vec::new(),
        ports_at_one_host: 28,
        targets: Vec::new(),
        pace: Pace::default(),
        why: String::new(),
    };
    let opening = scan(Outcomes { early: 30, ..Outcomes::default() }, ScanRole::Client, Confidence::Low);
    let later = scan(Outcomes { unseen: 30, ..Outcomes::default() }, ScanRole::Scanner, Confidence::Medium);
    let evidence = |scan: ScanEvidence| move |_| Evidence { scan: Some(scan.clone()), ..Evidence::default() };
    let mut ledger = ledger();
    let at = |second: u64| (Moment(second * SECOND), UnixNanos(second * SECOND));
    let next = finding(1, AlertKind::ScanningPort, 30);
    let (now, wall_clock) = at(1001);
    ledger.apply(&next, now, wall_clock, evidence(opening));
    let (now, wall_clock) = at(1030);
    ledger.apply(&next, now, wall_clock, evidence(later.clone()));
    assert_eq!(ledger.open().next().and_then(|alert| alert.scan.clone()), Some(later));
}

/// The contacts of the opening have expired, and what is left of them proves less.
#[test]
fn evidence_of_a_scan_is_replaced_only_by_about_as_much() {
    let scan = |contacted: u32, unseen: u32, confidence: Confidence| ScanEvidence {
        role: ScanRole::Scanner,
        class: None,
        confidence,
        contacted,
        outcomes: Outcomes { silent: contacted - unseen, unseen, ..Outcomes::default() },
        answers_visible: unseen == 0,
        ports: Vec::new(),
        ports_at_one_host: contacted,
        targets: Vec::new(),
        pace: Pace::default(),
        why: String::new(),
    };
    let evidence = |scan: Option<ScanEvidence>| {
        move |_| Evidence { ip_bytes: 1, scan: scan.clone(), ..Evidence::default() }
    };
    let at = |second: u64| (Moment(second * SECOND), UnixNanos(second * SECOND));
    let opening = scan(200, 0, Confidence::Medium);
    let cases = [
        (Some(scan(200, 200, Confidence::Medium)), false, "nothing of it is visible"),
        (Some(scan(149, 0, Confidence::High)), false, "much less"),
        (Some(scan(900, 0, Confidence::Low)), false, "less sure"),
        (Some(ScanEvidence { ports_at_one_host: 0, ..opening.clone() }), false, "the target has expired"),
        (None, false, "the host is not in the window"),
        (Some(scan(150, 0, Confidence::Medium)), true, "about as much"),
        (Some(scan(210, 0, Confidence::High)), true, "more"),
    ];
    for (later, is_replaced, why) in cases {
        // The mute is removed, its time is over, the alert is confirmed, or its value has doubled.
        for (occasion, error_bound, measured) in
            [("unmuted", 0, 200), ("expired", 0, 200), ("confirmed", 0, 200), ("grown", 0, 500)]
        {
            let mut ledger = ledger();
            let is_muted = ["unmuted", "expired"].contains(&occasion);
            let number = is_muted.then(|| mute(&mut ledger, "10.0.0.1/32", 30, 1000));
            let mut first = finding(1, AlertKind::ScanningPort, 200);
            if occasion == "confirmed" {
                (first.measured, first.error_bound) = (90, 90);
            }
            let (now, wall_clock) = at(1001);
            ledger.apply(&first, now, wall_clock, evidence(Some(opening.clone())));
            let (now, wall_clock) = at(1030);
            match occasion {
                "unmuted" => assert!(number.is_some_and(|number| ledger.unmute(number))),
                "expired" => assert!(ledger.expire_mutes(now)),
                _ => {}
            }
            let next = Finding { error_bound, measured, ..finding(1, AlertKind::ScanningPort, 200) };
            let notice = ledger.apply(&next, now, wall_clock, evidence(later.clone()));
            let shown = notice.as_ref().map(|notice| notice.alert().scan.clone());
            let expected = if is_replaced { later.clone() } else { Some(opening.clone()) };
            assert_eq!(shown, Some(expected), "{why}, {occasion}");
        }
    }
}

#[test]
fn a_flood_that_closed_leaves_the_cooldown_of_others() {
    let mut ledger = ledger();
    ledger.know_local(&["10.0.0.0/24".parse().expect("a network")]);
    let flood = |ledger: &mut Ledger, from: u32, second: u64| {
        for n in from..from + 9000 {
            let source = Some(std::net::Ipv4Addr::from(0xc000_0000 + n).into());
            apply(ledger, &Finding { source, ..finding(1, AlertKind::Traffic, 200) }, second);
        }
    };
    flood(&mut ledger, 0, 1000);
    close(&mut ledger, 1010);
    flood(&mut ledger, 9000, 1011);
    close(&mut ledger, 1021);
    assert!(ledger.forgotten_alerts() > 5000, "{}", ledger.forgotten_alerts());
    let others = [(1, AlertKind::Traffic), (2, AlertKind::Scanning)];
    let mut ids = Vec::new();
    for (host, kind) in others {
        let opened = apply(&mut ledger, &finding(host, kind, 110), 1021).expect("it opens");
        ids.push(opened.alert().id.clone());
    }
    let remote = Finding { source: Some([198, 51, 100, 1].into()), ..finding(1, AlertKind::Scanning, 110) };
    ids.push(apply(&mut ledger, &remote, 1021).expect("it opens").alert().id.clone());
    close(&mut ledger, 1031);
    let mut again = Vec::new();
    for (host, kind) in others {
        again.extend(apply(&mut ledger, &finding(host, kind, 110), 1032));
    }
    again.extend(apply(&mut ledger, &remote, 1032));
    assert_eq!(again.iter().map(|notice| notice.alert().id.clone()).collect::<Vec<_>>(), ids);
}

/// A restart, a step of the clock and a lost database have everything saved again, but not in one step.
#[test]
fn everything_is_saved_again_in_parts() {
    const ALERTS: u32 = 1000;
    let mut ledger = ledger();
    ledger.keep_changes();
    let source = |n: u32| Some(std::net::Ipv4Addr::from(0x0a00_0000 + n).into());
    let find = |ledger: &mut Ledger, n: u32, measured: u64| {
        apply(ledger, &Finding { source: source(n), ..finding(1, AlertKind::Traffic, measured) }, 1000)
    };
    let mut rows = Rows::default();
    (0..ALERTS).for_each(|n| assert!(find(&mut ledger, n, 110).is_some()));
    rows.write(&mut ledger, PeakSave::Continue);
    assert_eq!(rows.0.alerts.len(), 1000, "what has a notice does not wait");

    ledger.note_everything();
    let mut rows = Rows::default();
    for part in 1..=4 {
        assert!(ledger.has_backlog());
        // One that grows is saved at once.
        assert!(find(&mut ledger, ALERTS - part, 210).is_some());
        let before = rows.0.alerts.len();
        rows.write(&mut ledger, PeakSave::Continue);
        assert_eq!(rows.0.alerts.len() - before, 250);
        let id = ledger.find(source(ALERTS - part), AlertKind::Traffic).map(|alert| alert.id.clone());
        assert!(rows.0.alerts.iter().any(|row| Some(&row.id) == id.as_ref() && row.body.contains("210")));
    }
    assert!(!ledger.has_backlog());
    let ids = |persisted: &PersistedLedger| {
        let ids = persisted.open.iter().map(|known| known.alert.id.clone());
        ids.collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(&PersistedLedger::from_rows(&rows.0)), ids(&restarted(&mut ledger)));

    // After a restart nothing is missing in the database in the meantime, except what has no row yet.
    let mut persisted = PersistedLedger::from_rows(&rows.0);
    persisted.taken_over = vec![persisted.open[7].alert.id.clone(), persisted.open[999].alert.id.clone()];
    let taken_over = persisted.taken_over.clone();
    let mut after = super::tests::ledger();
    after.keep_changes();
    after.restore(persisted, Moment(SECOND), UnixNanos(1001 * SECOND), &mut Vec::new());
    let first = after.take_changes(PeakSave::Continue).alerts;
    assert_eq!(first.len(), 250);
    assert!(taken_over.iter().all(|id| first.iter().any(|row| row.id == *id)));
    assert_eq!(after.take_changes(PeakSave::All).alerts.len(), 750);
}
