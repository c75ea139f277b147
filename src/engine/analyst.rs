//! The analyst: folds deltas, decides exchanges, compares counts with the limits and makes reports. This file does not
//! start a thread or read a clock, so replay and live capture run the same code.
//! [`analyst_thread`](super::analyst_thread) runs it in live capture.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tracing::warn;

use crate::alert::{
    CloseTimeouts, Evidence, EvidenceNeeded, Ledger, Mute, NewMute, Notice, PeakSave, PersistedLedger,
    TooManyMutes,
};
use crate::capture::KernelStats;
use crate::detect::{self, Finding, FindingKind, ImpreciseLimit, LogDetails};
use crate::flow::{
    self, Accounting, Delta, HostCounts, HostRow, ListingRoom, PerMetric, Seed, Snapshot, Sums, Window,
};
use crate::report::Report;
use crate::store::Changes;
use crate::time::{Clocks, Moment, UnixNanos};

use super::Rules;
use super::interfaces::InterfaceReconciler;
use super::reporter::Reporter;
use super::scan_candidates::{ScanCandidates, scan_evidence};

/// Maximum number of items that one part decides, and that it subtracts: a few milliseconds of work.
const PART_ITEMS: usize = 1 << 14;

/// The windows, the ledger and the limits.
#[derive(Debug)]
pub(super) struct Analyst {
    window: Window,
    ledger: Ledger,
    limits: detect::Limits,
    /// The broadcast addresses of this machine's networks.
    own_broadcasts: Vec<Ipv4Addr>,
    /// The networks of local hosts that the link monitor has found.
    local_networks: Vec<IpNet>,
    /// The lowest limit of any host for each metric. A host that exceeds none of these cannot exceed a limit, so
    /// detectors do not examine it.
    lowest_limits: PerMetric<Option<u64>>,
    scan_candidates: ScanCandidates,
    hides_destinations: bool,
    interfaces: InterfaceReconciler,
    reporter: Reporter,
    /// True if the mutes have changed since they were last listed.
    mutes_changed: bool,
    /// True if the warning that the table of received bytes is full was logged.
    has_warned_of_full: bool,
    /// The limits for which the warning that the table is too small was logged.
    has_warned_of: Vec<FindingKind>,
    hosts: Vec<HostCounts>,
    findings: Vec<Finding>,
    /// The hosts with an open alert, which the window evicts last.
    hosts_with_alert: HashSet<IpAddr>,
}

impl Analyst {
    pub(super) fn new(rules: &Rules, limits: &flow::Capacity, seed: Seed) -> Self {
        let close_timeouts = CloseTimeouts {
            traffic: rules.flow.traffic_interval,
            ports: rules.flow.port_interval.unwrap_or(Duration::ZERO),
        };
        let lowest_limits = rules.detect.lowest();
        let mut ledger = Ledger::new(close_timeouts, rules.alert.cooldown);
        ledger.set_burst(rules.alert.burst);
        ledger.know_local(&rules.detect.protected);
        let mut window = Window::new(&rules.flow, limits, seed);
        window.watch(&lowest_limits);
        window.protect_networks(&rules.detect.protected);
        Self {
            window,
            ledger,
            limits: rules.detect.clone(),
            own_broadcasts: Vec::new(),
            local_networks: Vec::new(),
            lowest_limits,
            scan_candidates: ScanCandidates::new(rules.detect.scan_rule),
            hides_destinations: rules.alert.hide_destinations,
            interfaces: InterfaceReconciler::default(),
            reporter: Reporter::new(
                ListingRoom::from_memory(rules.flow.memory_bytes_max),
                rules.alert.hide_destinations,
            ),
            mutes_changed: false,
            has_warned_of_full: false,
            has_warned_of: Vec::new(),
            hosts: Vec::new(),
            findings: Vec::new(),
            hosts_with_alert: HashSet::new(),
        }
    }

    /// Applies other rules from this call on. The windows and the ledger are not changed.
    pub(super) fn apply(&mut self, rules: Rules) {
        self.limits = rules.detect;
        self.limits.know_broadcasts(&self.own_broadcasts);
        self.lowest_limits = self.limits.lowest();
        self.window.watch(&self.lowest_limits);
        self.has_warned_of.clear();
        // A host that was not a scanner by the old limits may be one by the new limits.
        self.scan_candidates = ScanCandidates::new(self.limits.scan_rule);
        self.hides_destinations = rules.alert.hide_destinations;
        self.reporter.hide_destinations(self.hides_destinations);
        if self.hides_destinations {
            self.ledger.hide_destinations();
        }
        self.ledger.set_cooldown(rules.alert.cooldown);
        self.ledger.set_burst(rules.alert.burst);
        self.apply_local();
        self.window.chart_from(rules.flow.chart_bytes_min);
        // A host that sends nothing from now on may already exceed a new limit.
        self.window.mark_all_dirty();
    }

    /// Takes the broadcast addresses of this machine's networks, to which no limit applies from this call on.
    pub(super) fn know_broadcasts(&mut self, own: &[Ipv4Addr]) {
        if self.own_broadcasts != own {
            self.own_broadcasts = own.to_vec();
            self.limits.know_broadcasts(own);
        }
    }

    /// Takes the networks of local hosts, which from this call on the window evicts after the others and whose alerts
    /// come first. Those of the configuration count in any case.
    pub(super) fn know_local(&mut self, found: &[IpNet]) {
        if self.local_networks != found {
            self.local_networks = found.to_vec();
            self.apply_local();
        }
    }

    /// Hands the networks of local hosts, found and configured, to all that treat those hosts differently.
    fn apply_local(&mut self) {
        let found = &self.local_networks[..];
        let mut local = [found, &self.limits.protected].concat();
        local.sort_unstable();
        local.dedup();
        self.ledger.know_local(&local);
        self.window.protect_networks(&local);
    }

    /// Restores the ledger of an earlier process, and appends the notices that result.
    pub(super) fn restore(
        &mut self,
        mut memory: PersistedLedger,
        now: Moment,
        civil: UnixNanos,
        notices: &mut Vec<Notice>,
    ) {
        if self.hides_destinations {
            memory.hide_destinations();
        }
        let from = notices.len();
        self.ledger.restore(memory, now, civil, notices);
        self.ledger.finish_judgement(now, civil, notices, from);
        self.mutes_changed = true;
    }

    /// Lets the ledger note from now on what has to be saved.
    pub(super) fn keep_changes(&mut self) {
        self.ledger.keep_changes();
    }

    /// Lets the next [`take_changes`](Self::take_changes) return the whole ledger, after the database was lost.
    pub(super) fn keep_everything(&mut self) {
        self.ledger.note_everything();
    }

    /// Returns what has to be saved of the ledger since the last call.
    pub(super) fn take_changes(&mut self, peaks: PeakSave) -> Changes {
        self.ledger.take_changes(peaks)
    }

    /// Returns true if [`take_changes`](Self::take_changes) has further parts to return.
    pub(super) fn has_backlog(&self) -> bool {
        self.ledger.has_backlog()
    }

    /// Takes a reading of the clocks, before a judgement or a change of mutes with the same wall clock.
    pub(super) fn follow(&mut self, clocks: Clocks) {
        self.ledger.follow(clocks);
    }

    /// Adds a mute. The caller must answer the request only after it has published [`take_mutes`](Self::take_mutes).
    ///
    /// # Errors
    /// There are too many mutes.
    pub(super) fn mute(&mut self, new: NewMute, now: Moment, civil: UnixNanos) -> Result<Mute, TooManyMutes> {
        let mute = self.ledger.mute(new, now, civil);
        self.mutes_changed |= mute.is_ok();
        mute
    }

    /// Removes a mute. The notices that result come with the next judgement. Returns true if the mute existed.
    pub(super) fn unmute(&mut self, id: u64) -> bool {
        let existed = self.ledger.unmute(id);
        self.mutes_changed |= existed;
        existed
    }

    /// Returns the mutes in force; `None` if they have not changed since the last call.
    pub(super) fn take_mutes(&mut self) -> Option<Vec<Mute>> {
        std::mem::take(&mut self.mutes_changed).then(|| self.ledger.mutes().cloned().collect())
    }

    /// Sets the time at which counting began.
    pub(super) fn begin(&mut self, now: Moment) {
        self.window.begin(now);
    }

    /// Folds a delta: adds it to the windows.
    pub(super) fn fold(&mut self, delta: &Delta) {
        self.window.fold(delta);
    }

    /// Decides what is settled, advances the windows to `now`, and compares hosts with their limits.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        civil: UnixNanos,
        settled: Moment,
        notices: &mut Vec<Notice>,
    ) {
        while !self.turn_part(now, settled) {}
        self.judge_turned(now, civil, notices);
    }

    /// Does a part of deciding what is settled and of advancing the windows to `now`. Deltas may be folded between two
    /// parts. Returns true if both are done.
    pub(super) fn turn_part(&mut self, now: Moment, settled: Moment) -> bool {
        // Decisions come first: after a stall, advancing the window would free the rows that they need.
        self.window.decide_part(settled, PART_ITEMS) && self.window.roll_part(now, PART_ITEMS)
    }

    /// Compares dirty hosts, and hosts with an open alert, with their limits, and appends the notices. The windows must
    /// have been advanced to `now`.
    pub(super) fn judge_turned(&mut self, now: Moment, civil: UnixNanos, notices: &mut Vec<Notice>) {
        let from = notices.len();
        // Alerts close first, so that a host that exceeds a limit again after a whole window gets another notice.
        self.ledger.close_inactive(now, civil, notices);
        self.mutes_changed |= self.ledger.expire_mutes(now);

        if self.window.received_bytes_lost() > 0 && !self.has_warned_of_full {
            self.has_warned_of_full = true;
            warn!("the table of received bytes is full, so some are not judged: raise MemoryLimit");
        }
        self.hosts.clear();
        self.window.take_dirty(&mut self.hosts, |host| host.may_exceed(&self.lowest_limits));
        self.scan_candidates.begin_judgement(now);
        let window = &self.window;
        self.hosts.extend(self.ledger.open_sources().filter_map(|source| window.counts(&source)));
        self.hosts.extend(self.scan_candidates.due(now).filter_map(|source| window.counts(&source)));
        warn_of_imprecise(window.largest_error(), &self.limits, &mut self.has_warned_of);
        self.findings.clear();
        detect::run(&window.loss(), &self.hosts, &self.limits, &mut self.findings);
        // The order of findings must not depend on the order in which hosts were counted.
        self.findings.sort_unstable_by_key(|finding| (finding.source, finding.kind));
        self.refuse_candidates(now);
        let window = &self.window;
        for finding in &self.findings {
            let evidence = |wanted| evidence(window, finding, now, wanted, self.hides_destinations);
            notices.extend(self.ledger.apply(finding, now, civil, evidence));
        }
        self.ledger.finish_judgement(now, civil, notices, from);
        let hosts_with_alert: HashSet<IpAddr> = self.ledger.open_sources().collect();
        if hosts_with_alert != self.hosts_with_alert {
            self.window.protect(hosts_with_alert.clone());
            self.hosts_with_alert = hosts_with_alert;
        }
    }

    /// Appends the notices that wait for further hosts, after the last judgement.
    pub(super) fn say_rest(&mut self, now: Moment, civil: UnixNanos, notices: &mut Vec<Notice>) {
        self.ledger.say_rest(now, civil, notices);
    }

    /// Removes the findings that may not open an alert. If there is no room for all alerts that would open, the
    /// heaviest come first.
    fn refuse_candidates(&mut self, now: Moment) {
        let ledger = &self.ledger;
        let is_open = |finding: &Finding| ledger.is_open(finding.source, finding.kind);
        let new: Vec<Finding> = self.findings.iter().filter(|finding| !is_open(finding)).copied().collect();
        let is_local = |source| ledger.is_local(Some(source));
        let refused = self.scan_candidates.refuse(&new, is_local, &self.window, now);
        if !refused.is_empty() {
            let is_refused = |finding: &Finding| {
                finding.source.is_some_and(|source| refused.contains(&(source, finding.kind)))
            };
            self.findings.retain(|finding| !is_refused(finding));
        }
        if new.len() - refused.len() > ledger.room_left() {
            // Open alerts come before those that may displace them; the sort keeps the order of equals.
            self.findings.sort_by_cached_key(|finding| {
                (!is_open(finding)).then(|| Reverse(ledger.weight_of(finding)))
            });
        }
    }

    /// Returns true if a decision about an exchange or a scan candidate, or the notice of a storm, is pending.
    pub(super) fn is_waiting(&self) -> bool {
        self.window.is_waiting() || self.scan_candidates.is_waiting() || self.ledger.is_storm_pending()
    }

    /// Returns the totals since the start.
    pub(super) fn accounting(&self) -> &Accounting {
        self.window.accounting()
    }

    /// Returns the ledger of alerts.
    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Makes a part of a report; the first part begins it. Returns true if the report is complete.
    pub(super) fn report_part(&mut self, civil: UnixNanos) -> bool {
        self.reporter.part(&mut self.window, &self.ledger, civil)
    }

    /// Returns true while a report is being made.
    pub(super) fn is_reporting(&self) -> bool {
        self.reporter.is_under_way()
    }

    /// Takes a replaced report, whose memory the next one reuses.
    pub(super) fn retire(&mut self, report: Arc<Report>) {
        self.reporter.retire(report);
    }

    /// Returns the complete report with the totals of this moment.
    pub(super) fn report(
        &mut self,
        civil: UnixNanos,
        kernel: Arc<KernelStats>,
        is_wire_exact: bool,
    ) -> Report {
        self.interfaces.add_reading(Arc::clone(&kernel), &mut self.window);
        let draft = self.reporter.take(&self.ledger);
        let snapshot = Snapshot {
            taken_at: civil,
            accounting: self.window.accounting().clone(),
            hosts: draft.chart,
            hosts_omitted: draft.hosts_omitted,
            listed_since: draft.listed_since,
            loss: self.window.loss(),
        };
        let interfaces = self.interfaces.report(&self.window, is_wire_exact);
        let (alerts, active, closed) = (draft.alerts, draft.active, self.ledger.recently_closed());
        Report {
            snapshot,
            alerts,
            discarded_findings: self.ledger.discarded_findings(),
            displaced_alerts: self.ledger.displaced_alerts(),
            forgotten_alerts: self.ledger.forgotten_alerts(),
            active,
            closed,
            is_wire_exact,
            kernel,
            interfaces,
            ..Report::default()
        }
    }
}

/// Logs a warning, once for each limit, if the limit is too low for the errors of the counts.
fn warn_of_imprecise(errors: Sums, limits: &detect::Limits, has_warned_of: &mut Vec<FindingKind>) {
    for ImpreciseLimit { kind, error_bound: error, limit } in limits.imprecise_under(errors) {
        if !has_warned_of.contains(&kind) {
            has_warned_of.push(kind);
            warn!(
                "{}: up to {error} bytes of a host may be missing from its sum, more than half of the limit of \
                 {limit}: the table is too small for this limit, raise MemoryLimit",
                kind.name()
            );
        }
    }
}

/// Maximum number of pairs of a host from which the destinations of an alert are chosen, the latest first, so that
/// collecting them takes at most a few milliseconds. Reports choose from all pairs.
const EVIDENCE_PAIRS_MAX: usize = 1 << 15;

/// Collects the evidence for the notice of a finding.
fn evidence(
    window: &Window,
    finding: &Finding,
    now: Moment,
    wanted: EvidenceNeeded,
    hides_destinations: bool,
) -> Evidence {
    let loss = window.loss();
    let Some(source) = finding.source else { return Evidence { loss, ..Evidence::default() } };
    let mut scan = scan_evidence(window, finding, now).map(|(scan, _)| scan);
    if hides_destinations && let Some(scan) = &mut scan {
        scan.targets.clear();
    }
    if wanted == EvidenceNeeded::Scan {
        return Evidence { loss, scan, ..Evidence::default() };
    }
    let pairs_max = if hides_destinations { 0 } else { EVIDENCE_PAIRS_MAX };
    let row = window.host_by(&source, pairs_max).unwrap_or_else(|| HostRow::silent(source));
    let ports = match finding.kind.detector().words.details {
        LogDetails::Ports => window.ports_of(&source),
        _ => Vec::new(),
    };
    Evidence { ip_bytes: row.ip_bytes, destinations: row.destinations, ports, loss, scan }
}

#[cfg(test)]
mod tests;
