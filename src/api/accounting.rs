//! `/api/v1/accounting`: what became of every frame since the start, in total and by interface, beside the counters of
//! the kernel. Each frame is counted once and counts are not rounded, so that the numbers can be added up.

use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::view::{Counted, Skipped};
use crate::alert::{AlertKind, OPEN_ALERTS_MAX, rfc3339};
use crate::capture::LinkCounters;
use crate::detect::InterfaceReconciliation;
use crate::flow::{DirectionCounts, KernelCounts};
use crate::report::{AnalystLag, AnalystStep, InterfaceReport, LongestTime, Report};

#[derive(Debug, Serialize)]
pub(super) struct AccountingView<'a> {
    /// True if a frame that the kernel joined from several packets (GRO) is counted as the packets on the wire.
    wire_exact: bool,
    #[serde(flatten)]
    counted: Counted<'a>,
    /// Number of hosts that `/all` leaves out because it has no room for them.
    hosts_omitted: usize,
    kernel: PacketSocketsView,
    loss: LossView,
    analyst: AnalystView<'a>,
    interfaces: Vec<InterfaceView<'a>>,
    topology: TopologyView,
    alerts: AlertTableView,
}

/// The counters of the packet sockets. With `frames` of the outer object:
/// `tp_packets = frames + tp_drops + frames_in_rings`.
#[derive(Debug, Serialize)]
struct PacketSocketsView {
    tp_packets: u64,
    tp_drops: u64,
    tp_freezes: u64,
    /// Number of frames that the kernel put into a ring and no worker has read yet.
    frames_in_rings: u64,
    /// Number of packets of the whole machine that were dropped before any socket got them (softnet); `null` if the
    /// kernel's counter cannot be read.
    backlog_drops: Option<u64>,
    time_squeezes: Option<u64>,
}

/// The frames of the packet sockets within the traffic window only.
#[derive(Debug, Serialize)]
struct LossView {
    tp_packets: u64,
    tp_drops: u64,
    /// Percentage of the frames that the kernel dropped.
    dropped: f64,
    /// Time at which the open alert about loss opened; `null` if none is open.
    alert_since: Option<String>,
}

/// How full the table of open alerts is, and what it has cost since the start that it was full.
#[derive(Debug, Serialize)]
struct AlertTableView {
    /// Number of open alerts about hosts; storms take no place.
    open: usize,
    places: usize,
    discarded_findings: u64,
    displaced: u64,
    /// Closed alerts that are not kept for the cooldown.
    forgotten: u64,
}

/// How far the analyst lags behind the workers. When it lags, it postpones reports first, and judging (so alerts) only
/// after that.
#[derive(Debug, Serialize)]
struct AnalystView<'a> {
    /// Time from the hand-over of a delta until it was folded.
    waited: LongestView,
    /// Durations of the analyst's steps; no delta is folded during a step.
    steps: StepsView<'a>,
    reports_put_off: u64,
    judgements_put_off: u64,
}

/// The longest duration within the last one to two minutes, and since the start.
#[derive(Debug, Serialize)]
struct LongestView {
    lately_ms: f64,
    max_ms: f64,
}

/// The longest durations as an object with the step's name as key.
#[derive(Debug)]
struct StepsView<'a>(&'a [LongestTime; AnalystStep::ALL.len()]);

#[derive(Debug, Serialize)]
struct InterfaceView<'a> {
    ifindex: u32,
    /// `null` for the entry that adds up the counts of interfaces that are gone.
    name: Option<String>,
    gone: bool,
    monitored: bool,
    /// Why it is not monitored.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(rename = "entering")]
    ingress: DirectionView<'a>,
    #[serde(rename = "leaving")]
    egress: DirectionView<'a>,
    kernel: LinkView,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct DirectionView<'a> {
    frames: u64,
    counted_frames: u64,
    ip_packets: u64,
    ip_bytes: u64,
    skipped: Skipped<'a>,
    /// Number of packets that the kernel has counted and this program has not; negative if this program has counted
    /// more. `null` if not all packets of this direction are counted: the filter in the kernel passes only some, joined
    /// packets are not told apart, or an interface has no counters or no row of its own.
    unexplained: Option<i64>,
}

#[derive(Debug, Serialize)]
struct LinkView {
    rx_packets: u64,
    rx_bytes: u64,
    rx_dropped: u64,
    rx_errors: u64,
    rx_missed: u64,
    tx_packets: u64,
    tx_bytes: u64,
    tx_dropped: u64,
    tx_errors: u64,
}

#[derive(Debug, Serialize)]
struct TopologyView {
    forwards: bool,
    local_networks: Vec<String>,
    changes: ChangesView,
}

/// How long it took until changes of interfaces were in force.
#[derive(Debug, Serialize)]
struct ChangesView {
    count: u64,
    last_ms: f64,
    max_ms: f64,
}

impl<'a> AccountingView<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let sums = &report.snapshot.accounting;
        let KernelCounts { tp_packets, tp_drops, tp_freezes } = sums.kernel;
        let stats = &report.kernel;
        Self {
            wire_exact: report.is_wire_exact,
            counted: Counted::of(sums),
            hosts_omitted: report.snapshot.hosts_omitted,
            kernel: PacketSocketsView {
                tp_packets,
                tp_drops,
                tp_freezes,
                frames_in_rings: sums.frames_in_rings(),
                backlog_drops: stats.softnet.map(|softnet| softnet.drops),
                time_squeezes: stats.softnet.map(|softnet| softnet.time_squeezes),
            },
            loss: LossView::of(report),
            analyst: AnalystView::of(&report.lag),
            interfaces: report.interfaces.iter().map(InterfaceView::of).collect(),
            topology: TopologyView {
                forwards: stats.forwards,
                local_networks: stats.local_networks.iter().map(ToString::to_string).collect(),
                changes: ChangesView {
                    count: stats.changes.count,
                    last_ms: millis(stats.changes.last),
                    max_ms: millis(stats.changes.max),
                },
            },
            alerts: AlertTableView::of(report),
        }
    }
}

impl AlertTableView {
    fn of(report: &Report) -> Self {
        Self {
            open: report.alerts.iter().filter(|alert| alert.source.is_some()).count(),
            places: OPEN_ALERTS_MAX,
            discarded_findings: report.discarded_findings,
            displaced: report.displaced_alerts,
            forgotten: report.forgotten_alerts,
        }
    }
}

impl LossView {
    fn of(report: &Report) -> Self {
        let KernelCounts { tp_packets, tp_drops, .. } = report.snapshot.loss;
        let alert = report.alerts.iter().find(|alert| alert.kind == AlertKind::Loss);
        Self {
            tp_packets,
            tp_drops,
            #[allow(clippy::cast_precision_loss, reason = "there are at most a million parts per million")]
            dropped: report.snapshot.loss.dropped_ppm() as f64 / 1e4,
            alert_since: alert.map(|alert| rfc3339(alert.opened_at)),
        }
    }
}

impl<'a> AnalystView<'a> {
    fn of(lag: &'a AnalystLag) -> Self {
        Self {
            waited: LongestView::of(&lag.waited),
            steps: StepsView(&lag.steps),
            reports_put_off: lag.reports_put_off,
            judgements_put_off: lag.judgements_put_off,
        }
    }
}

impl LongestView {
    fn of(longest: &LongestTime) -> Self {
        Self { lately_ms: millis(longest.lately), max_ms: millis(longest.max) }
    }
}

impl Serialize for StepsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (step, longest) in AnalystStep::ALL.iter().zip(self.0) {
            map.serialize_entry(step.name(), &LongestView::of(longest))?;
        }
        map.end()
    }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

impl<'a> InterfaceView<'a> {
    fn of(row: &'a InterfaceReport) -> Self {
        let name = row.name.as_ref().map(ToString::to_string);
        let note = row.suspicion.zip(name.as_deref());
        Self {
            ifindex: row.ifindex,
            gone: row.is_gone,
            monitored: row.skipped.is_none() && !row.is_gone,
            reason: row.skipped.map(|skip| skip.name()),
            ingress: DirectionView::of(&row.counted.ingress, row.ingress),
            egress: DirectionView::of(&row.counted.egress, row.egress),
            kernel: LinkView::of(&row.kernel),
            note: note
                .map(|(seen, name)| format!("offload suspected: we see {seen} of what {name} receives")),
            name,
        }
    }
}

impl<'a> DirectionView<'a> {
    fn of(counts: &'a DirectionCounts, reconciliation: Option<InterfaceReconciliation>) -> Self {
        Self {
            frames: counts.frames(),
            counted_frames: counts.counted_frames,
            ip_packets: counts.ip_packets,
            ip_bytes: counts.ip_bytes,
            skipped: Skipped(&counts.skipped),
            unexplained: reconciliation.map(|reconciliation| reconciliation.unexplained()),
        }
    }
}

impl LinkView {
    fn of(counters: &LinkCounters) -> Self {
        let &LinkCounters { rx_packets, rx_bytes, rx_dropped, rx_errors, rx_missed, .. } = counters;
        let &LinkCounters { tx_packets, tx_bytes, tx_dropped, tx_errors, .. } = counters;
        Self {
            rx_packets,
            rx_bytes,
            rx_dropped,
            rx_errors,
            rx_missed,
            tx_packets,
            tx_bytes,
            tx_dropped,
            tx_errors,
        }
    }
}
