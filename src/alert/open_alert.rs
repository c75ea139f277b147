//! An open alert: how further findings change it, and which of them lead to a notice.

use std::sync::Arc;

use crate::detect::Finding;
use crate::flow::Metric;
use crate::store::AlertRow;
use crate::time::{Moment, UnixNanos};

use super::evidence::{Evidence, EvidenceNeeded, complete_at, is_as_much};
use super::notice::Notice;
use super::persisted_ledger::PersistedAlert;
use super::record::{Alert, AlertProgress};
use super::room::Weight;
use super::stored_ledger::alert_row;

/// Multiples of the limit at which growth is notified.
const GROWTH: [u64; 3] = [2, 5, 10];

/// An open alert, and which of its notices were queued.
#[derive(Debug)]
pub(super) struct OpenAlert {
    pub(super) alert: Alert,
    /// When the latest finding was made.
    pub(super) exceeded_at: Moment,
    /// The measured value from which the scan evidence is gathered again.
    regather_at: u64,
    /// When contacts that were too recent for the scan evidence have an outcome; `None` if there are none.
    pending_until: Option<Moment>,
    /// The largest multiple of the limit that was reached since the limit last changed, notified or not: growth under a
    /// mute is not notified later.
    multiple_reached: u64,
    /// True once a notice that the alert is open was queued.
    pub(super) is_notified: bool,
    /// True if that notice showed the alert as possible and none has confirmed it since.
    is_notified_as_possible: bool,
    /// True if the alert was restored without evidence, which earlier versions did not save, and none has been gathered
    /// yet.
    lacks_evidence: bool,
    /// True if its host is local.
    pub(super) is_local: bool,
    /// Its weight in the table of open alerts.
    pub(super) weight: Weight,
    /// True if its peak, its error bound or its evidence has changed since the alert was saved.
    pub(super) has_unsaved_peak: bool,
}

impl OpenAlert {
    /// Opens an alert for its first finding. Muted alerts count as not notified.
    pub(super) fn new(alert: Alert, finding: &Finding, now: Moment, is_local: bool) -> Self {
        let (is_muted, is_possible) = (alert.progress.is_muted, alert.progress.is_possible);
        Self {
            exceeded_at: now,
            regather_at: finding.measured.saturating_mul(2),
            pending_until: alert.scan.as_ref().and_then(|scan| complete_at(scan, now)),
            multiple_reached: multiple_of(finding),
            is_notified: !is_muted,
            is_notified_as_possible: !is_muted && is_possible,
            lacks_evidence: false,
            is_local,
            weight: Weight::of(&alert),
            has_unsaved_peak: false,
            alert,
        }
    }

    /// Restores an alert after a restart; the time until it closes starts anew.
    pub(super) fn restore(persisted: PersistedAlert, now: Moment) -> Self {
        let PersistedAlert { alert, multiple_reached, is_notified, is_notified_as_possible, has_evidence } =
            persisted;
        Self {
            exceeded_at: now,
            regather_at: alert.measured.saturating_mul(2),
            pending_until: None,
            multiple_reached,
            is_notified,
            is_notified_as_possible,
            lacks_evidence: !has_evidence,
            // The ledger knows the local networks and sets both before it decides by them.
            is_local: false,
            weight: Weight::of(&alert),
            has_unsaved_peak: false,
            alert,
        }
    }

    /// Returns the row of this alert in the state database.
    pub(super) fn row(&self) -> AlertRow {
        alert_row(&self.alert, self.multiple_reached, self.is_notified, self.is_notified_as_possible)
    }

    /// Replaces all evidence if the alert lacks it, if this finding confirms the alert, or if a notice is owed, so that
    /// the notice shows value and evidence of one moment, unless the evidence of now rests on less. Gathers only the
    /// scan evidence again if the value has doubled since the last time, or if contacts that were too recent have an
    /// outcome now. Call it before [`exceed`](Self::exceed), which clears what tells a confirmation.
    pub(super) fn update_evidence(
        &mut self,
        finding: &Finding,
        now: Moment,
        evidence: impl FnOnce(EvidenceNeeded) -> Evidence,
    ) {
        let lacks_evidence = std::mem::take(&mut self.lacks_evidence);
        if lacks_evidence || self.is_confirmed_by(finding) || self.owes_notice() {
            self.replace_evidence(evidence(EvidenceNeeded::Everything), now);
        } else if finding.measured >= self.regather_at || self.pending_until.is_some_and(|at| now >= at) {
            self.regather_scan(finding.measured, now, evidence);
        }
    }

    /// Returns true if the alert is possible so far and this finding is certain.
    pub(super) fn is_confirmed_by(&self, finding: &Finding) -> bool {
        self.alert.progress.is_possible && finding.is_certain()
    }

    /// Returns true if the alert waits for contacts that were too recent when its scan evidence was gathered.
    pub(super) fn is_evidence_pending(&self) -> bool {
        self.pending_until.is_some()
    }

    /// Replaces the evidence, unless that of a scan is there and the new one is not [as much](is_as_much).
    fn replace_evidence(&mut self, evidence: Evidence, now: Moment) {
        let Evidence { ip_bytes, destinations, ports, loss, scan } = evidence;
        self.pending_until = scan.as_ref().and_then(|scan| complete_at(scan, now));
        if let Some(before) = &self.alert.scan
            && !scan.as_ref().is_some_and(|scan| is_as_much(scan, before))
        {
            return;
        }
        self.alert.scan = scan;
        self.alert.ip_bytes = ip_bytes;
        self.alert.destinations = destinations;
        self.alert.ports = ports;
        self.alert.loss = loss;
    }

    /// Gathers the scan evidence again. Keeps the earlier evidence if the new one is not [as much](is_as_much): too
    /// many of its contacts are too recent to have an outcome, or have expired.
    fn regather_scan(
        &mut self,
        measured: u64,
        now: Moment,
        evidence: impl FnOnce(EvidenceNeeded) -> Evidence,
    ) {
        let has_grown = measured >= self.regather_at;
        self.regather_at = self.regather_at.max(measured.saturating_mul(2));
        self.pending_until = None;
        let Some(before) = &mut self.alert.scan else { return };
        let Some(scan) = evidence(EvidenceNeeded::Scan).scan else { return };
        // After the gathering for pending contacts there is no further one until the value has doubled.
        self.pending_until = if has_grown { complete_at(&scan, now) } else { None };
        if is_as_much(&scan, before) {
            *before = scan;
        }
    }

    /// Applies a further finding of the same host and kind. Returns the notice that it leads to, or `None` if it leads
    /// to none.
    pub(super) fn exceed(&mut self, finding: &Finding, now: Moment, wall_clock: UnixNanos) -> Option<Notice> {
        let alert = &mut self.alert;
        self.exceeded_at = now;
        let upper_bound = alert.upper_bound().max(finding.upper_bound());
        alert.measured = alert.measured.max(finding.measured);
        alert.progress.error_bound = upper_bound - alert.measured;
        alert.progress.is_possible &= !finding.is_certain();
        alert.progress.last = finding.measured;
        alert.progress.exceeded_at = wall_clock;
        let multiple = multiple_of(finding);
        if finding.limit != alert.limit {
            // The configured limit has changed. That is not a growth of the value.
            alert.limit = finding.limit;
            self.multiple_reached = multiple;
        }
        let has_grown = multiple > self.multiple_reached;
        self.multiple_reached = self.multiple_reached.max(multiple);
        if alert.progress.is_muted || alert.progress.storm_id.is_some() {
            return None;
        }
        // An opening and a confirmation show the value, so growth in the same tick is not notified as well.
        self.take_owed().or_else(|| has_grown.then(|| Notice::Grown(self.alert.clone(), multiple)))
    }

    /// Returns true if the alert is neither muted nor in a storm, and its opening or its confirmation was not notified:
    /// a mute has ended.
    pub(super) fn owes_notice(&self) -> bool {
        let AlertProgress { is_muted, is_possible, ref storm_id, .. } = self.alert.progress;
        let is_said = self.is_notified && (is_possible || !self.is_notified_as_possible);
        !is_muted && storm_id.is_none() && !is_said
    }

    /// Returns the notice that is [owed](Self::owes_notice); `None` if none is.
    fn take_owed(&mut self) -> Option<Notice> {
        self.take_owed_showing(self.alert.progress.last)
    }

    /// Returns the notice that is owed of an alert whose host does not exceed its limit at the moment. The bytes that
    /// it shows are those of its evidence, as its destinations are.
    pub(super) fn take_owed_as_of_evidence(&mut self) -> Option<Notice> {
        let Alert { kind, ip_bytes, measured, ref progress, .. } = self.alert;
        let is_about_bytes = kind.metric() == Some(Metric::IpBytes) && ip_bytes > 0;
        self.take_owed_showing(if is_about_bytes { ip_bytes.min(measured) } else { progress.last })
    }

    fn take_owed_showing(&mut self, last: u64) -> Option<Notice> {
        if !self.owes_notice() {
            return None;
        }
        let mut alert = self.alert.clone();
        alert.progress.last = last;
        self.is_notified_as_possible = alert.progress.is_possible;
        Some(match std::mem::replace(&mut self.is_notified, true) {
            true => Notice::Confirmed(alert),
            false => Notice::Opened(alert),
        })
    }

    /// Makes the alert, whose opening would be notified now, a part of a storm, which is notified instead.
    pub(super) fn join_storm(&mut self, id: Arc<str>) {
        self.alert.progress.storm_id = Some(id);
        self.is_notified = false;
        self.is_notified_as_possible = false;
    }

    /// Takes the alert out of its storm. Returns the notice of its opening, with the evidence of now; `None` if it is
    /// muted.
    pub(super) fn leave_storm(
        &mut self,
        now: Moment,
        evidence: impl FnOnce(EvidenceNeeded) -> Evidence,
    ) -> Option<Notice> {
        self.alert.progress.storm_id = None;
        if self.owes_notice() {
            self.replace_evidence(evidence(EvidenceNeeded::Everything), now);
        }
        self.take_owed()
    }

    /// Returns the fields that decide which notices are still to come. A change of any of them must be saved at once.
    pub(super) fn notified(&self) -> (bool, bool, u64) {
        (self.is_notified, self.is_notified_as_possible, self.multiple_reached)
    }
}

/// Returns the largest multiple in [`GROWTH`] that the finding reaches; 1 if it reaches none.
fn multiple_of(finding: &Finding) -> u64 {
    let is_reached = |multiple: &u64| finding.measured >= finding.limit.saturating_mul(*multiple);
    GROWTH.into_iter().rev().find(is_reached).unwrap_or(1)
}
