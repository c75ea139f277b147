//! The JSON objects that `replay --json` writes.

use std::io;
use std::net::IpAddr;

use serde::{Serialize, Serializer};
use traffic_alerted::alert::{self, Alert, AlertState};
use traffic_alerted::api::view::Counted;
use traffic_alerted::capture::{CaptureReport, CountedDirection};
use traffic_alerted::flow::{HostCounts, Metric, Window};
use traffic_alerted::report::ReplayComparison;

/// The totals of a replay and its alerts. Tools read these field names, so they must not change.
#[derive(Serialize)]
struct ReplayView<'a> {
    accounting: ReplayAccountingView<'a>,
    #[serde(serialize_with = "hosts")]
    hosts: &'a Window,
    #[serde(serialize_with = "pairs")]
    pairs: PairsView<'a>,
    #[serde(serialize_with = "alerts")]
    alerts: &'a [Alert],
}

#[derive(Serialize)]
struct ReplayAccountingView<'a> {
    #[serde(flatten)]
    counted: Counted<'a>,
    dropped_frames: u64,
    /// Which packets count by their direction, for each capture that states directions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    directions: Vec<CapturedDirectionView<'a>>,
}

#[derive(Serialize)]
struct CapturedDirectionView<'a> {
    capture: &'a str,
    /// As a value of the setting `Direction`: `in`, `in+own` or `both`.
    counts: &'static str,
    why: String,
}

/// Returns the captures that state directions, with which packets count.
pub(super) fn directions(captures: &[CaptureReport]) -> impl Iterator<Item = (&str, CountedDirection)> {
    captures.iter().filter_map(|report| Some((report.capture.as_str(), report.direction?)))
}

/// The window with the pairs; `are_hidden` is true if `NoDestinations` hides them.
struct PairsView<'a> {
    window: &'a Window,
    are_hidden: bool,
}

#[derive(Serialize)]
struct HostView {
    ip: IpAddr,
    packets: u64,
    ip_bytes: u64,
    contacted_ips: u64,
    contacted_ports: u64,
}

#[derive(Serialize)]
struct PairView {
    src: IpAddr,
    dst: IpAddr,
    packets: u64,
    ip_bytes: u64,
}

/// Writes the result of a replay as one JSON object, with hosts and pairs in the order of their addresses.
///
/// # Errors
/// `out` cannot be written.
pub(super) fn write_replayed(
    out: impl io::Write,
    totals: &Window,
    alerts: &[Alert],
    captures: &[CaptureReport],
    hide_destinations: bool,
) -> io::Result<()> {
    let directions = directions(captures).map(|(capture, direction)| CapturedDirectionView {
        capture,
        counts: direction.counts_name(),
        why: direction.to_string(),
    });
    let view = ReplayView {
        accounting: ReplayAccountingView {
            counted: Counted::of(totals.accounting()),
            dropped_frames: totals.accounting().kernel.tp_drops,
            directions: directions.collect(),
        },
        hosts: totals,
        pairs: PairsView { window: totals, are_hidden: hide_destinations },
        alerts,
    };
    serde_json::to_writer(out, &view).map_err(io::Error::from)
}

/// Writes the alerts of two configurations over the same captures as one JSON object.
///
/// # Errors
/// `out` cannot be written.
pub(super) fn write_compared(out: impl io::Write, comparison: &ReplayComparison<'_>) -> io::Result<()> {
    #[derive(Serialize)]
    struct ComparedView<One, Both> {
        only_first: Vec<One>,
        only_second: Vec<One>,
        both: Vec<Both>,
    }

    #[derive(Serialize)]
    struct Both<One> {
        first: One,
        second: One,
    }

    fn view(alert: &Alert) -> impl Serialize + '_ {
        alert::json(alert, AlertState::of(alert))
    }

    let ReplayComparison { only_first, only_second, both } = comparison;
    let compared = ComparedView {
        only_first: only_first.iter().map(|alert| view(alert)).collect(),
        only_second: only_second.iter().map(|alert| view(alert)).collect(),
        both: both.iter().map(|(first, second)| Both { first: view(first), second: view(second) }).collect(),
    };
    serde_json::to_writer(out, &compared).map_err(io::Error::from)
}

fn hosts<S: Serializer>(window: &Window, serializer: S) -> Result<S::Ok, S::Error> {
    let mut hosts: Vec<HostCounts> = window.hosts().filter(|host| host.packets > 0).collect();
    hosts.sort_unstable_by_key(|host| host.addr);
    serializer.collect_seq(hosts.iter().map(|host| HostView {
        ip: host.addr,
        packets: host.packets,
        ip_bytes: host.counts[Metric::IpBytes],
        contacted_ips: host.counts[Metric::ContactedHosts],
        contacted_ports: host.counts[Metric::ContactedPorts],
    }))
}

fn pairs<S: Serializer>(pairs: &PairsView<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    if pairs.are_hidden {
        return serializer.collect_seq(std::iter::empty::<PairView>());
    }
    let mut rows: Vec<_> = pairs.window.pairs().filter(|&(_, _, packets, _)| packets > 0).collect();
    rows.sort_unstable();
    serializer.collect_seq(rows.into_iter().map(|(src, dst, packets, ip_bytes)| PairView {
        src,
        dst,
        packets,
        ip_bytes,
    }))
}

fn alerts<S: Serializer>(alerts: &[Alert], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(alerts.iter().map(|alert| alert::json(alert, AlertState::of(alert))))
}
