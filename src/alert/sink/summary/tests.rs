//! What a summary contains, how each receiver gets it, and what of it a restart reads.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::alert::notice::Notice;
use crate::alert::record::{Alert, AlertKind, AlertProgress, AlertState};
use crate::alert::sample;
use crate::alert::storm::Storm;
use crate::enrich::HostDetails;
use crate::time::UnixNanos;

use super::super::body::{WebhookFormat, body};
use super::super::queued_notice::QueuedNotice;
use super::notice_summary::NamedAlert;
use super::*;

const SECOND: u64 = 1_000_000_000;
const BEGAN: u64 = 1_790_000_000 * SECOND;

fn alert(n: u8, kind: AlertKind, times: u64) -> Alert {
    let source = Some(IpAddr::from([10, 0, 0, n]));
    Alert {
        id: format!("1790000000-{n}"),
        kind,
        source,
        limit: 100,
        measured: 100 * times,
        ..sample::traffic()
    }
}

fn closed(alert: Alert) -> Notice {
    Notice::Closed(Alert { closed_at: Some(alert.opened_at), ..alert })
}

fn storm(n: u8) -> Notice {
    let storm = Storm { hosts: 300, open: 300, ..Storm::default() };
    let progress = AlertProgress { storm: Some(storm.into()), ..AlertProgress::default() };
    Notice::Opened(Alert {
        source: None,
        limit: 20,
        measured: 300,
        progress,
        ..alert(n, AlertKind::Scanning, 1)
    })
}

/// Two openings, a growth of one, the end of a third, and a storm, within 58 seconds.
fn summary() -> NoticeSummary {
    let scanner = alert(1, AlertKind::Scanning, 12);
    let notices = [
        Notice::Opened(alert(1, AlertKind::Scanning, 1)),
        Notice::Opened(alert(2, AlertKind::Traffic, 3)),
        closed(alert(3, AlertKind::Traffic, 900)),
        Notice::Grown(scanner, 10),
        storm(4),
    ];
    let times = [0, 1, 2, 30, 58].map(|second| UnixNanos(BEGAN + second * SECOND));
    let mut summary = NoticeSummary { is_complete: true, ..NoticeSummary::default() };
    // In parts, as a queue that is full several times within a minute does it.
    let times = (1..).zip(times).zip(&notices);
    let all: Vec<_> = times.map(|((number, at), notice)| (number, at, notice)).collect();
    summary.take_in(all[..2].iter().copied());
    summary.take_in(all[2..].iter().copied());
    summary
}

fn queued() -> QueuedNotice {
    QueuedNotice::new(12, UnixNanos(BEGAN + 60 * SECOND), summary())
}

const SENTENCE: &str = "SUMMARY: 5 more notices in 58 s than AlertRate allows: 3 opened, 1 grown, 1 closed (TRAFFIC 2, \
                        SCANNING 3); the largest: SCANNING storm of 300 hosts; SCANNING of 10.0.0.1, 12 times the \
                        limit; TRAFFIC of 10.0.0.2, 3 times the limit; /api/v1/alerts has the open alerts, \
                        /api/v1/alerts?state=closed those that have ended";

#[test]
fn a_summary_counts_what_was_said_and_names_the_weightiest_open_alerts_first() {
    let summary = summary();
    assert_eq!(summary.notices(), 5);
    assert_eq!(summary.steps(), StepCounts { opened: 3, confirmed: 0, grown: 1, closed: 1 });
    assert_eq!(queued().sentence(), SENTENCE);
    let line = SummaryLine(&summary).to_string();
    assert_eq!(
        line,
        "SUMMARY=ALERTS NOTICES=5 OPENED=3 CONFIRMED=0 GROWN=1 CLOSED=1 FROM=2026-09-21T14:13:20Z \
         TO=2026-09-21T14:14:18Z | NAMED=[{1790000000-4 SCANNING STORM} {1790000000-1 SCANNING 10.0.0.1} \
         {1790000000-2 TRAFFIC 10.0.0.2} {1790000000-3 TRAFFIC 10.0.0.3}]"
    );
    // However many there are, ten are named: those of the largest values.
    let notices: Vec<Notice> =
        (1..=200).map(|n| Notice::Opened(alert(n, AlertKind::Traffic, u64::from(n)))).collect();
    let mut many = NoticeSummary::default();
    let numbered: Vec<_> =
        (1..).zip(&notices).map(|(number, notice)| (number, UnixNanos(BEGAN), notice)).collect();
    for part in numbered.chunks(7) {
        many.take_in(part.iter().copied());
    }
    let text = SummaryLine(&many).to_string();
    let named: Vec<&str> =
        text.split(" TRAFFIC 10.0.0.").skip(1).filter_map(|n| n.split('}').next()).collect();
    assert_eq!(named, ["200", "199", "198", "197", "196", "195", "194", "193", "192", "191"]);
    assert_eq!(many.notices(), 200);
}

/// Ten alerts were notified one by one and end now; the openings of twenty others are in the summary.
#[test]
fn openings_that_were_not_said_are_named_first_and_ends_are_called_so() {
    let ended: Vec<Notice> = (1..=30).map(|n| closed(alert(n, AlertKind::Scanning, 3))).collect();
    let opened: Vec<Notice> = (11..=30).map(|n| Notice::Opened(alert(n, AlertKind::Scanning, 2))).collect();
    let mut summary = NoticeSummary::default();
    let numbered: Vec<_> = (1..).zip(opened.iter().chain(&ended)).collect();
    for part in numbered.chunks(9) {
        summary.take_in(part.iter().map(|&(number, notice)| (number, UnixNanos(BEGAN), notice)));
    }
    assert_eq!(summary.named.len(), 10);
    let is_unsaid = |named: &NamedAlert| {
        let number = named.id.rsplit('-').next().and_then(|n| n.parse::<u8>().ok());
        named.is_new && number.is_some_and(|n| n > 10)
    };
    assert!(summary.named.iter().all(is_unsaid), "{:?}", summary.named);
    let again = summary_from_json(&summary_to_json(&summary)).expect("it is as it was");
    assert_eq!(again.named, summary.named);
    let text = SummarySentence(&summary).to_string();
    assert_eq!(text.matches("3 times the limit, ended; ").count(), 3, "{text}");
    assert!(
        text.ends_with("has the open alerts, /api/v1/alerts?state=closed those that have ended"),
        "{text}"
    );
}

/// A full queue keeps the first openings back, while their ends go into the draft.
#[test]
fn an_alert_is_named_as_its_latest_notice_had_it_in_whatever_order_they_are_taken_in() {
    let opened = |n| Notice::Opened(alert(n, AlertKind::Traffic, 50));
    let ended = |n| closed(alert(n, AlertKind::Traffic, 50));
    let state_of = |summary: &NoticeSummary, n: u8| {
        let id = format!("1790000000-{n}");
        summary.named.iter().find(|named| named.id == id).map(|named| named.state)
    };
    let mut summary = NoticeSummary::default();
    summary.take_in([(2, UnixNanos(BEGAN), &ended(1))]);
    summary.take_in([(1, UnixNanos(BEGAN), &opened(1))]);
    assert_eq!(state_of(&summary, 1), Some(AlertState::Closed));
    assert_eq!(summary.steps(), StepCounts { opened: 1, closed: 1, ..StepCounts::default() });
    summary.take_in([(3, UnixNanos(BEGAN), &opened(1))]);
    assert_eq!(state_of(&summary, 1), Some(AlertState::Open), "it opens again");

    // The end of the first has no room among the named, so its opening cannot be taken for its state.
    let mut summary = NoticeSummary::default();
    let (end, others) = (ended(1), (2..=30).map(opened).collect::<Vec<_>>());
    let numbered = (40..).zip(others.iter().chain([&end]));
    summary.take_in(numbered.map(|(number, notice)| (number, UnixNanos(BEGAN), notice)));
    let again = summary_from_json(&summary_to_json(&summary)).expect("it is as it was");
    for mut summary in [summary, again] {
        summary.take_in([(1, UnixNanos(BEGAN), &opened(1))]);
        assert_eq!(state_of(&summary, 1), None);
        summary.take_in([(90, UnixNanos(BEGAN), &Notice::Opened(alert(1, AlertKind::Traffic, 60)))]);
        assert_eq!(state_of(&summary, 1), Some(AlertState::Open));
        assert_eq!(summary.notices(), 32);
    }
}

#[test]
fn programs_get_a_summary_as_an_object_with_an_id_of_its_own() {
    let object = json!({
        "id": "summary-1790000060-12", "kind": "SUMMARY", "state": "summary",
        "from": "2026-09-21T14:13:20Z", "to": "2026-09-21T14:14:18Z",
        "notices": 5, "opened": 3, "confirmed": 0, "grown": 1, "closed": 1,
        "sentence": SENTENCE,
        "kinds": [
            {"kind": "TRAFFIC", "opened": 1, "confirmed": 0, "grown": 0, "closed": 1},
            {"kind": "SCANNING", "opened": 2, "confirmed": 0, "grown": 1, "closed": 0},
        ],
        "largest": [
            {"id": "1790000000-4", "kind": "SCANNING", "state": "open", "source": null, "measured": 300, "limit": 20, "storm": true},
            {"id": "1790000000-1", "kind": "SCANNING", "state": "open", "source": "10.0.0.1", "measured": 1200, "limit": 100, "storm": false},
            {"id": "1790000000-2", "kind": "TRAFFIC", "state": "open", "source": "10.0.0.2", "measured": 300, "limit": 100, "storm": false},
            {"id": "1790000000-3", "kind": "TRAFFIC", "state": "closed", "source": "10.0.0.3", "measured": 90_000, "limit": 100, "storm": false},
        ],
        "read_at": "/api/v1/alerts",
    });
    let text = queued().json(HostDetails::default());
    assert!(
        text.starts_with(r#"{"id":"summary-1790000060-12","kind":"SUMMARY","state":"summary","#),
        "{text}"
    );
    let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(parse(&text), object);
    let posted = |format| body(format, &queued(), "gw");
    assert_eq!(parse(&posted(WebhookFormat::Json).text), object);
    assert_eq!(parse(&posted(WebhookFormat::Slack).text), json!({"text": format!("gw: {SENTENCE}")}));
    let ntfy = posted(WebhookFormat::Ntfy);
    assert_eq!((ntfy.text.as_str(), ntfy.headers[2].1.as_str()), (SENTENCE, "high"));
    let alertmanager = json!([{
        "labels": {"alertname": "SUMMARY", "instance": "gw", "job": "TrafficAlerted", "severity": "warning"},
        "annotations": {"summary": SENTENCE, "id": "summary-1790000060-12", "notices": "5"},
        "startsAt": "2026-09-21T14:13:20Z",
        "endsAt": "2026-09-21T14:24:18Z",
    }]);
    assert_eq!(parse(&posted(WebhookFormat::Alertmanager).text), alertmanager);
    let variables = variables("summary-1790000060-12", &summary());
    let of = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    assert_eq!(of("TA_STATE"), Some("summary"));
    assert_eq!((of("TA_NOTICES"), of("TA_OPENED"), of("TA_CLOSED")), (Some("5"), Some("3"), Some("1")));
    assert_eq!(of("TA_LARGEST"), Some("1790000000-4 1790000000-1 1790000000-2 1790000000-3"));
    assert_eq!(of("TA_TEXT"), Some(SENTENCE));
    assert_eq!(of("TA_SOURCE"), None, "a script that blocks each source blocks nobody");
}

#[test]
fn a_stored_summary_is_read_as_it_was_and_an_impossible_one_is_refused() {
    let stored = summary_to_json(&summary());
    assert_eq!(summary_from_json(&stored).ok(), Some(summary()));
    let draft = NoticeSummary { is_complete: false, ..summary() };
    assert_eq!(summary_from_json(&summary_to_json(&draft)).ok(), Some(draft));
    let cases = [
        ("\"version\":1", "\"version\":2", "its version is 2"),
        ("\"version\":1", "\"version\":1,\"more\":1", "not of this form"),
        ("\"from\":1790", "\"from\":9790", "the time"),
        ("TRAFFIC", "TRAFFICS", "the kind"),
        ("\"SCANNING\",\"opened\"", "\"TRAFFIC\",\"opened\"", "the counts"),
        ("\"opened\":1", "\"opened\":18446744073709551615", "the counts"),
        ("\"limit\":100", "\"limit\":0", "the limit"),
        ("\"10.0.0.1\"", "null", "the source"),
        ("1790000000-1", "1790000000 1", "the id"),
        ("\"state\":\"open\"", "\"state\":\"opened\"", "not of this form"),
    ];
    for (from, to, want) in cases {
        let fault = summary_from_json(&stored.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(fault.contains(want), "{to}: {fault}");
    }
    let empty = NoticeSummary { is_complete: true, ..NoticeSummary::default() };
    assert!(summary_from_json(&summary_to_json(&empty)).is_err());
}
