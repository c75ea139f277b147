//! Makes reports in parts, and reuses the memory of reports that are no longer read. The analyst folds between two
//! parts.
//!
//! ```text
//!   Resting --> Listing (hosts of the chart) --> Alerts (open ones, and the rows of their hosts) --> Whole --> Resting
//! ```
//!
//! Two reports alternate, like the deltas of a worker: the next report is made in the memory of the last but one. If a
//! reader still has that, the reader frees it later, and the next report is made in new memory.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::alert::{Alert, AlertKind, Ledger};
use crate::flow::{HostList, HostListing, HostRow, LIST_PART_ROWS, Listing, ListingRoom, Window};
use crate::report::{ActiveHost, Report};
use crate::time::UnixNanos;

/// Number of alerts that are copied, and that are freed, in one part. Each has up to a hundred destinations and a
/// thousand ports.
const PART_ALERTS: usize = 128;

/// Maximum number of replaced reports that are stored for reuse while readers have them; readers free the older ones.
const RETIRED_MAX: usize = 4;

/// The host and the kind of an alert; the host is `None` if the alert is not about one.
type AlertSubject = (Option<IpAddr>, AlertKind);

/// The unfinished report, and the memory for it.
#[derive(Debug)]
pub(super) struct Reporter {
    stage: ReportStage,
    hides_destinations: bool,
    listing: Listing,
    listed_since: UnixNanos,
    /// Open alerts that are not copied yet, the next one last.
    to_copy: Vec<AlertSubject>,
    /// Copies of open alerts.
    alerts: BTreeMap<AlertSubject, Alert>,
    /// The rows of the hosts of these alerts; `None` if the host is not in the window.
    rows: BTreeMap<IpAddr, Option<HostRow>>,
    /// The unfinished row of such a host.
    row: Option<HostListing>,
    /// Replaced reports, the latest last.
    retired: Vec<Arc<Report>>,
    /// Parts of replaced reports, to be reused or freed.
    retired_buffers: RetiredBuffers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportStage {
    Resting,
    Listing,
    Alerts,
    Whole,
}

#[derive(Debug, Default)]
struct RetiredBuffers {
    alerts: Vec<Alert>,
    active: Vec<ActiveHost>,
    charts: Vec<HostList>,
}

/// The parts of a report that the reporter makes.
#[derive(Debug, Default)]
pub(super) struct ReportDraft {
    pub(super) chart: HostList,
    pub(super) hosts_omitted: usize,
    pub(super) listed_since: UnixNanos,
    /// The oldest first.
    pub(super) alerts: Vec<Alert>,
    /// Ordered by address.
    pub(super) active: Vec<ActiveHost>,
}

impl Reporter {
    pub(super) fn new(room: ListingRoom, hides_destinations: bool) -> Self {
        Self {
            stage: ReportStage::Resting,
            hides_destinations,
            listing: Listing::new(room, hides_destinations),
            listed_since: UnixNanos::default(),
            to_copy: Vec::new(),
            alerts: BTreeMap::new(),
            rows: BTreeMap::new(),
            row: None,
            retired: Vec::new(),
            retired_buffers: RetiredBuffers::default(),
        }
    }

    /// Shows or hides destinations from this call on, and discards the unfinished report.
    pub(super) fn hide_destinations(&mut self, hides: bool) {
        self.hides_destinations = hides;
        self.listing.hide_destinations(hides);
        self.stage = ReportStage::Resting;
        self.to_copy.clear();
        self.rows.clear();
        self.row = None;
        self.retired_buffers.alerts.extend(std::mem::take(&mut self.alerts).into_values());
    }

    /// Returns true if a report was begun and not taken yet.
    pub(super) fn is_under_way(&self) -> bool {
        self.stage != ReportStage::Resting
    }

    /// Makes a part of a report; the first part begins it. Returns true if the report is complete.
    pub(super) fn part(&mut self, window: &mut Window, ledger: &Ledger, civil: UnixNanos) -> bool {
        self.retired_buffers.free_part();
        match self.stage {
            ReportStage::Resting => {
                self.reclaim();
                self.listing.begin(ledger.open_sources());
                self.listed_since = civil;
                self.stage = ReportStage::Listing;
            }
            ReportStage::Listing => {
                if window.list_part(&mut self.listing) {
                    self.stage = ReportStage::Alerts;
                }
            }
            ReportStage::Alerts => self.copy_alerts(window, ledger),
            ReportStage::Whole => {}
        }
        self.stage == ReportStage::Whole
    }

    /// Takes the complete report, without the alerts that have closed since they were copied.
    pub(super) fn take(&mut self, ledger: &Ledger) -> ReportDraft {
        self.stage = ReportStage::Resting;
        let mut rows = std::mem::take(&mut self.rows);
        let mut active: Vec<ActiveHost> = Vec::new();
        let mut alerts = Vec::new();
        for ((source, kind), alert) in std::mem::take(&mut self.alerts) {
            if !ledger.is_open(source, kind) {
                continue;
            }
            let is_possible = alert.progress.is_possible;
            alerts.push(alert);
            // Readers act on this list, so a possible alert is not in it.
            let Some(source) = source.filter(|_| !is_possible) else { continue };
            match active.last_mut() {
                Some(last) if last.row.addr == source => last.kinds.push(kind),
                _ => {
                    let row = rows.remove(&source).flatten().unwrap_or_else(|| HostRow::silent(source));
                    active.push(ActiveHost { kinds: vec![kind], row });
                }
            }
        }
        // A storm is about several hosts, so it is none of the active ones.
        alerts.extend(ledger.storms().cloned());
        alerts.sort_by_key(|alert| alert.opened_at);
        let (chart, hosts_omitted) = self.listing.take();
        ReportDraft { chart, hosts_omitted, listed_since: self.listed_since, alerts, active }
    }

    /// Stores a replaced report for reuse.
    pub(super) fn retire(&mut self, report: Arc<Report>) {
        if self.retired.len() == RETIRED_MAX {
            self.retired.remove(0);
        }
        self.retired.push(report);
    }

    /// Copies some of the open alerts with the rows of their hosts.
    fn copy_alerts(&mut self, window: &mut Window, ledger: &Ledger) {
        let mut rows_left = LIST_PART_ROWS;
        for _ in 0..PART_ALERTS {
            let Some(&(source, kind)) = self.to_copy.last() else {
                // Alerts may have opened since the list was made.
                let is_new = |subject: &AlertSubject| !self.alerts.contains_key(subject);
                self.to_copy.extend(ledger.open().map(|alert| (alert.source, alert.kind)).filter(is_new));
                if self.to_copy.is_empty() {
                    self.stage = ReportStage::Whole;
                }
                return;
            };
            if let Some(source) = source.filter(|source| !self.rows.contains_key(source)) {
                if let Some(row) = self.listing.take_row(&source) {
                    self.rows.insert(source, Some(row));
                    continue;
                }
                let hides = self.hides_destinations;
                let row = self.row.get_or_insert_with(|| HostListing::new(source, hides));
                if !window.list_host(row, &mut rows_left) {
                    return;
                }
                self.rows.insert(source, row.take());
                self.row = None;
            }
            if let Some(alert) = ledger.find(source, kind) {
                self.alerts.insert((source, kind), alert.clone());
            }
            self.to_copy.pop();
        }
    }

    /// Takes the memory of the replaced reports that are no longer read.
    fn reclaim(&mut self) {
        for report in std::mem::take(&mut self.retired) {
            match Arc::try_unwrap(report) {
                Ok(Report { snapshot, alerts, active, .. }) => {
                    self.retired_buffers.alerts.extend(alerts);
                    self.retired_buffers.active.extend(active);
                    self.retired_buffers.charts.push(snapshot.hosts);
                }
                Err(report) => self.retired.push(report),
            }
        }
        if let Some(chart) = self.retired_buffers.charts.pop() {
            self.listing.reuse(chart);
        }
    }
}

impl RetiredBuffers {
    /// Frees a part of the memory that is not reused.
    fn free_part(&mut self) {
        self.alerts.truncate(self.alerts.len().saturating_sub(PART_ALERTS));
        self.active.truncate(self.active.len().saturating_sub(PART_ALERTS));
        if self.charts.last_mut().is_some_and(HostList::free_part) {
            self.charts.pop();
        }
    }
}
