//! The JSON object of an alert: one shape for the file, programs, webhooks, the JSON log and the API.
//!
//! ```text
//! {"id":"1790000000-1","kind":"TRAFFIC","state":"open","source":"10.0.0.5","opened_at":"2026-09-21T14:13:20Z",
//!  "closed_at":null,"measured":1100000123,"limit":1000000000,"window_seconds":170,
//!  "sentence":"TRAFFIC: 10.0.0.5 sent 1.1 GB in 170 s, the limit is 1 GB",
//!  "evidence":{"ip_bytes":1100000123,"destinations":[{"ip":"10.9.0.1","ip_bytes":999000000}],
//!  "dropped_frames":0}}
//! ```
//!
//! Field names are fixed, since other programs read them; fields may be added. This view is not in `api/view.rs`
//! because the sinks write it too, and they do not import the API. The record is copied into it, so a field that is
//! renamed there changes nothing here.

mod scan;
mod storm;

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::detect::LogDetails;
use crate::time::UnixNanos;

use super::notice::Notice;
use super::record::{Alert, AlertState};
use super::sentence::Sentence;
use crate::enrich::{GeoIp, GeoIpRecord, HostDetails};
use scan::Scan;
use storm::StormView;

#[derive(Serialize)]
struct AlertView<'a> {
    id: &'a str,
    kind: &'static str,
    state: &'static str,
    source: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_asn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_as_organization: Option<&'a str>,
    opened_at: String,
    closed_at: Option<String>,
    measured: u64,
    limit: u64,
    /// Length of the window that both apply to, in seconds.
    window_seconds: u64,
    /// The sentence for people.
    sentence: Sentence<'a>,
    /// Left out unless the alert is muted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    muted: bool,
    /// `displaced` if an alert of more weight took its place; left out otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<&'static str>,
    /// The id of the storm that it is part of; left out if it is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    storm_id: Option<&'a str>,
    /// What the storm consists of; left out if this is the alert of one host.
    #[serde(skip_serializing_if = "Option::is_none")]
    storm: Option<StormView<'a>>,
    evidence: EvidenceView<'a>,
}

#[derive(Serialize)]
struct EvidenceView<'a> {
    ip_bytes: u64,
    destinations: Vec<Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ports: Option<&'a [u16]>,
    /// Frames dropped in the window when the evidence was gathered. If there are any, the measured value is too small.
    dropped_frames: u64,
    /// Left out unless every finding since the alert opened was only possible.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    possible: bool,
    /// Upper bound of the peak; left out if it equals `measured`.
    #[serde(skip_serializing_if = "Option::is_none")]
    up_to: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    scan: Option<Scan<'a>>,
}

#[derive(Serialize)]
struct Peer {
    ip: IpAddr,
    ip_bytes: u64,
}

/// Returns the JSON object of an alert in this state.
pub fn json(alert: &Alert, state: AlertState) -> impl Serialize + '_ {
    view(alert, state, HostDetails::default())
}

fn view<'a>(alert: &'a Alert, state: AlertState, source: HostDetails<'a>) -> AlertView<'a> {
    view_with(alert, state, source, Sentence::of(alert, state, source))
}

fn view_with<'a>(
    alert: &'a Alert,
    state: AlertState,
    source: HostDetails<'a>,
    sentence: Sentence<'a>,
) -> AlertView<'a> {
    AlertView {
        id: &alert.id,
        kind: alert.kind.name(),
        state: state.word(),
        source: alert.source,
        source_name: source.name,
        source_country: source.country,
        source_asn: source.asn,
        source_as_organization: source.as_organization,
        opened_at: rfc3339(alert.opened_at),
        closed_at: alert.closed_at.map(rfc3339),
        measured: alert.measured,
        limit: alert.limit,
        window_seconds: alert.window.as_secs(),
        sentence,
        muted: alert.progress.is_muted,
        end: alert.progress.is_displaced.then_some("displaced"),
        storm_id: alert.progress.storm_id.as_deref(),
        storm: alert.progress.storm.as_deref().map(StormView::of),
        evidence: EvidenceView {
            ip_bytes: alert.ip_bytes,
            destinations: alert
                .destinations
                .iter()
                .map(|peer| Peer { ip: peer.addr, ip_bytes: peer.ip_bytes })
                .collect(),
            ports: (alert.kind.detector().words.details == LogDetails::Ports).then_some(&alert.ports),
            dropped_frames: alert.loss.tp_drops,
            possible: alert.progress.is_possible,
            up_to: (alert.progress.error_bound > 0).then(|| alert.upper_bound()),
            scan: alert.scan.as_ref().map(Scan::of),
        },
    }
}

/// Returns the JSON object of an alert in this state, with the country and autonomous system of its source from
/// `geoip`.
pub(crate) fn json_with_origin<'a>(
    alert: &'a Alert,
    state: AlertState,
    geoip: &GeoIp,
) -> impl Serialize + use<'a> {
    WithOrigin { alert, state, origin: alert.source.map(|source| geoip.of(source)).unwrap_or_default() }
}

struct WithOrigin<'a> {
    alert: &'a Alert,
    state: AlertState,
    origin: GeoIpRecord,
}

impl Serialize for WithOrigin<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        view(self.alert, self.state, self.origin.details(None)).serialize(serializer)
    }
}

/// Returns the JSON object of a notice as one line without a line end.
pub(super) fn text(notice: &Notice, source: HostDetails<'_>) -> String {
    let view = view_with(notice.alert(), notice.state(), source, Sentence::about(notice, source));
    serde_json::to_string(&view).expect("the view is numbers and text, with text as keys")
}

/// Formats a time as RFC 3339 in UTC. A time after the year 9999 becomes the last one in that year.
pub(crate) fn rfc3339(at: UnixNanos) -> String {
    timestamp(at).to_string()
}

/// Converts a time for calculations and other formats. A time after the year 9999 becomes the last one in that year.
pub(super) fn timestamp(at: UnixNanos) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::alert::record::{AlertKind, AlertProgress};
    use crate::alert::sample;

    use super::*;

    #[test]
    fn field_names_and_their_order_are_fixed() {
        let alert = Alert { closed_at: Some(UnixNanos(1_790_000_060_500_000_000)), ..sample::traffic() };
        let cases = [
            (
                Notice::Test(sample::traffic()),
                r#"{"id":"test-1790000000","kind":"TRAFFIC","state":"test","source":"192.0.2.1","opened_at":"2026-09-21T14:13:20Z","closed_at":null,"measured":1200000000,"limit":1000000000,"window_seconds":170,"sentence":"TEST, nothing happened: 192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB","evidence":{"ip_bytes":1200000000,"destinations":[{"ip":"198.51.100.1","ip_bytes":1200000000}],"dropped_frames":0}}"#,
            ),
            (
                Notice::Closed(Alert {
                    kind: AlertKind::ScanningPort,
                    window: Duration::from_secs(600),
                    ports: vec![22, 23],
                    ..alert
                }),
                r#"{"id":"test-1790000000","kind":"SCANNING_PORT","state":"closed","source":"192.0.2.1","opened_at":"2026-09-21T14:13:20Z","closed_at":"2026-09-21T14:14:20.5Z","measured":1200000000,"limit":1000000000,"window_seconds":600,"sentence":"SCANNING_PORT is over after 60 s: 192.0.2.1 contacted at most 1.2G ports in 10 min, the limit is 1G","evidence":{"ip_bytes":1200000000,"destinations":[{"ip":"198.51.100.1","ip_bytes":1200000000}],"ports":[22,23],"dropped_frames":0}}"#,
            ),
        ];
        let is_possible =
            AlertProgress { is_possible: true, error_bound: 300_000_000, ..sample::traffic().progress };
        let possible = Alert { limit: 1_400_000_000, progress: is_possible, ..sample::traffic() };
        let (_, test) = &cases[0];
        let limit = test.replace("1000000000,", "1400000000,");
        let want = limit
            .replace(r#""state":"test""#, r#""state":"possible""#)
            .replace("TEST, nothing happened: ", "TRAFFIC is possible: ")
            .replace("1.2 GB in", "1.2 GB, perhaps up to 1.5 GB, in")
            .replace("is 1 GB", "is 1.4 GB; not all of it was counted, since MemoryLimit is too low")
            .replace(r#""dropped_frames":0"#, r#""dropped_frames":0,"possible":true,"up_to":1500000000"#);
        assert_eq!(text(&Notice::Opened(possible), HostDetails::default()), want);
        for (notice, want) in cases {
            assert_eq!(text(&notice, HostDetails::default()), want);
            let named = want
                .replace(r#","opened_at""#, r#","source_name":"a.example","opened_at""#)
                .replace(": 192.0.2.1 ", ": 192.0.2.1 (a.example) ");
            assert_eq!(
                text(&notice, HostDetails { name: Some("a.example"), ..HostDetails::default() }),
                named
            );
            let all = r#","source_name":"a.example","source_country":"NL","source_asn":64500,"source_as_organization":"Example","opened_at""#;
            let source = HostDetails {
                name: Some("a.example"),
                country: Some("NL"),
                asn: Some(64_500),
                as_organization: Some("Example"),
            };
            let want = want.replace(r#","opened_at""#, all);
            assert_eq!(
                text(&notice, source),
                want.replace(": 192.0.2.1 ", ": 192.0.2.1 (a.example, NL, AS64500) ")
            );
        }
    }
}
