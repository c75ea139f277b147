//! The JSON objects that `replay --json` writes.

use std::cmp::Reverse;
use std::io;
use std::net::IpAddr;

use serde::{Serialize, Serializer};
use traffic_alerted::alert::{self, Alert, AlertState};
use traffic_alerted::api::view::Counted;
use traffic_alerted::capture::{CountedDirection, capture_name};
use traffic_alerted::engine::{CaptureRead, ReplayOutcome, Replayed};
use traffic_alerted::flow::{HostCounts, Metric, Window};
use traffic_alerted::report::ReplayComparison;

use super::exit::with_causes;

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
    #[serde(flatten)]
    read: &'a ReadView<'a>,
}

/// How far the captures were read, and what was met in them: the field `captures`, in the order of reading,
/// and the field `warnings`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadView<'a> {
    /// What was read.
    pub(super) outcome: &'a ReplayOutcome,
    /// What was met in the captures and found about their times, in sentences.
    pub(super) warnings: &'a [String],
}

impl Serialize for ReadView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            captures: Vec<CaptureView>,
            warnings: &'a [String],
            interrupted: bool,
        }

        #[derive(Serialize)]
        struct CaptureView {
            path: String,
            frames: u64,
            undecoded_frames: u64,
            error: Option<String>,
        }

        let view = |capture: &CaptureRead| CaptureView {
            path: capture_name(&capture.path),
            frames: capture.frames,
            undecoded_frames: capture.undecoded_frames(),
            error: capture.error.as_ref().map(|error| with_causes(error)),
        };
        let ReplayOutcome { captures, is_interrupted, .. } = self.outcome;
        let captures = captures.iter().map(view).collect();
        View { captures, warnings: self.warnings, interrupted: *is_interrupted }.serialize(serializer)
    }
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

/// Returns the captures that state directions, with which packets count by these rules.
pub(super) fn directions<'a>(
    outcome: &'a ReplayOutcome,
    result: &'a Replayed,
) -> impl Iterator<Item = (&'a str, CountedDirection)> {
    // A capture that could not be opened has no report.
    let reports = outcome.captures.iter().filter_map(|capture| capture.report.as_ref());
    reports
        .zip(&result.directions)
        .filter_map(|(report, &direction)| Some((report.capture.as_str(), direction?)))
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

/// Writes the result of a replay as one JSON object. Hosts and pairs with the most bytes come first, those with equal
/// bytes in the order of their addresses.
///
/// # Errors
/// `out` cannot be written.
pub(super) fn write_replayed(
    out: impl io::Write,
    result: &Replayed,
    hide_destinations: bool,
    read: &ReadView<'_>,
) -> io::Result<()> {
    // Does not occur: with one configuration the totals are kept.
    let Some(totals) = &result.totals else { return Ok(()) };
    let directions = directions(read.outcome, result).map(|(capture, direction)| CapturedDirectionView {
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
        alerts: &result.alerts,
        read,
    };
    serde_json::to_writer(out, &view).map_err(io::Error::from)
}

/// Writes the alerts of two configurations over the same captures as one JSON object.
///
/// # Errors
/// `out` cannot be written.
pub(super) fn write_compared(
    out: impl io::Write,
    comparison: &ReplayComparison<'_>,
    read: &ReadView<'_>,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct ComparedView<'a, One, Both> {
        only_first: Vec<One>,
        only_second: Vec<One>,
        both: Vec<Both>,
        #[serde(flatten)]
        read: &'a ReadView<'a>,
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
        read,
    };
    serde_json::to_writer(out, &compared).map_err(io::Error::from)
}

fn hosts<S: Serializer>(window: &Window, serializer: S) -> Result<S::Ok, S::Error> {
    let mut hosts: Vec<HostCounts> = window.hosts().filter(|host| host.packets > 0).collect();
    hosts.sort_unstable_by_key(|host| (Reverse(host.counts[Metric::IpBytes]), rank(host.addr)));
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
    rows.sort_unstable_by_key(|&(src, dst, _, ip_bytes)| (Reverse(ip_bytes), rank(src), rank(dst)));
    serializer.collect_seq(rows.into_iter().map(|(src, dst, packets, ip_bytes)| PairView {
        src,
        dst,
        packets,
        ip_bytes,
    }))
}

/// Returns a number that orders addresses as [`IpAddr`] does, IPv4 before IPv6. It is compared faster.
fn rank(addr: IpAddr) -> (bool, u128) {
    match addr {
        IpAddr::V4(v4) => (false, v4.to_bits().into()),
        IpAddr::V6(v6) => (true, v6.to_bits()),
    }
}

fn alerts<S: Serializer>(alerts: &[Alert], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(alerts.iter().map(|alert| alert::json(alert, AlertState::of(alert))))
}
