//! What happens to the counts: fold, decide, judge, say, report. Without threads and clocks, so that replay
//! and live run the same; [`merge`](super::merge) turns it live.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::alert::{
    ActiveHost, Evidence, Ledger, Memory, Mute, NewMute, Notice, QuietTimes, Report, TooManyMutes,
};
use crate::capture::KernelView;
use crate::detect::{self, Finding};
use crate::flow::{self, Accounting, Delta, HostCounts, HostRow, SNAPSHOT_HOSTS_MAX, Seed, Snapshot, Window};
use crate::time::{Moment, UnixNanos};

use super::Rules;
use super::interfaces::InterfaceBook;
use super::suspects::{Suspects, scan_evidence};

/// The windows, the ledger, and what they are judged by.
#[derive(Debug)]
pub(super) struct Analyst {
    window: Window,
    ledger: Ledger,
    limits: detect::Limits,
    suspects: Suspects,
    hides_destinations: bool,
    interfaces: InterfaceBook,
    /// Since they were last listed.
    mutes_changed: bool,
    /// It was said that received bytes find no room.
    said_full: bool,
    hosts: Vec<HostCounts>,
    findings: Vec<Finding>,
}

impl Analyst {
    pub(super) fn new(rules: &Rules, limits: &flow::Limits, seed: Seed) -> Self {
        let quiet = QuietTimes {
            traffic: rules.flow.traffic_interval,
            ports: rules.flow.port_interval.unwrap_or(Duration::ZERO),
        };
        Self {
            window: Window::new(&rules.flow, limits, seed),
            ledger: Ledger::new(quiet, rules.alert.cooldown),
            limits: rules.detect.clone(),
            suspects: Suspects::new(rules.detect.scan_rule),
            hides_destinations: rules.alert.hide_destinations,
            interfaces: InterfaceBook::default(),
            mutes_changed: false,
            said_full: false,
            hosts: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Goes by other limits and other words from here on. Windows and memory stay as they are.
    pub(super) fn apply(&mut self, rules: Rules) {
        self.limits = rules.detect;
        // What they were let off for may be too much now.
        self.suspects = Suspects::new(self.limits.scan_rule);
        self.hides_destinations = rules.alert.hide_destinations;
        self.ledger.set_cooldown(rules.alert.cooldown);
        self.window.chart_from(rules.flow.chart_bytes_min);
        // Who is quiet now may have been too loud for them.
        self.window.touch_all();
    }

    /// Goes on where a process before this one ended, and appends what is to be said then.
    pub(super) fn recall(
        &mut self,
        memory: Memory,
        now: Moment,
        civil: UnixNanos,
        notices: &mut Vec<Notice>,
    ) {
        self.ledger.recall(memory, now, civil, notices);
        self.mutes_changed = true;
    }

    /// Changes the mutes; the answer is due once they are listed.
    pub(super) fn mute(&mut self, new: NewMute, now: Moment, civil: UnixNanos) -> Result<Mute, TooManyMutes> {
        let mute = self.ledger.mute(new, now, civil);
        self.mutes_changed |= mute.is_ok();
        mute
    }

    /// Takes a mute back, and appends what is to be said then. Whether it was in force.
    pub(super) fn unmute(&mut self, id: u64, notices: &mut Vec<Notice>) -> bool {
        let was_there = self.ledger.unmute(id, notices);
        self.mutes_changed |= was_there;
        was_there
    }

    /// The mutes in force, if they have changed since the last call.
    pub(super) fn take_mutes(&mut self) -> Option<Vec<Mute>> {
        std::mem::take(&mut self.mutes_changed).then(|| self.ledger.mutes().cloned().collect())
    }

    /// Says when counting began.
    pub(super) fn begin(&mut self, now: Moment) {
        self.window.begin(now);
    }

    /// Adds what a worker counted.
    pub(super) fn fold(&mut self, delta: &Delta) {
        self.window.fold(delta);
    }

    /// Decides what is settled, turns the windows to `now`, judges the hosts that did something and those
    /// with an open alert, and appends what is to be said.
    pub(super) fn judge(
        &mut self,
        now: Moment,
        civil: UnixNanos,
        settled: Moment,
        notices: &mut Vec<Notice>,
    ) {
        // Before the window turns: after a stall, what waits is not to lose its rows first.
        self.window.decide(settled);
        self.window.roll(now);
        // First, so that a host that was quiet for a whole window and begins again is said again.
        self.ledger.close_quiet(now, civil, notices);
        self.mutes_changed |= self.ledger.expire_mutes(now, notices);

        if self.window.received_bytes_lost() > 0 && !self.said_full {
            self.said_full = true;
            warn!("the table of received bytes is full, so some are not judged: raise MemoryLimit");
        }
        self.hosts.clear();
        self.window.take_touched(&mut self.hosts);
        self.suspects.turn(now);
        let window = &self.window;
        self.hosts.extend(self.ledger.open_sources().filter_map(|source| window.counts(&source)));
        self.hosts.extend(self.suspects.due(now).filter_map(|source| window.counts(&source)));
        self.findings.clear();
        detect::run(&window.loss(), &self.hosts, &self.limits, &mut self.findings);
        for finding in &self.findings {
            let is_said = self.ledger.is_open(finding.source, finding.kind);
            if !is_said && !self.suspects.accuses(finding, window, now) {
                continue;
            }
            let evidence = || evidence(window, finding, now, self.hides_destinations);
            notices.extend(self.ledger.note(finding, now, civil, evidence));
        }
    }

    /// Whether something waits to be decided.
    pub(super) fn is_waiting(&self) -> bool {
        self.window.is_waiting() || self.suspects.is_waiting()
    }

    pub(super) fn accounting(&self) -> &Accounting {
        self.window.accounting()
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The view of this moment that readers get.
    pub(super) fn report(
        &mut self,
        civil: UnixNanos,
        kernel: Arc<KernelView>,
        is_wire_exact: bool,
    ) -> Report {
        self.interfaces.turn(Arc::clone(&kernel), &mut self.window);
        let hide = |mut row: HostRow| {
            if self.hides_destinations {
                row.destinations.clear();
            }
            row
        };
        let mut active: Vec<ActiveHost> = Vec::new();
        for alert in self.ledger.open() {
            let Some(source) = alert.source else { continue };
            match active.last_mut() {
                Some(last) if last.row.addr == source => last.kinds.push(alert.kind),
                _ => {
                    let row = self.window.host(&source).map_or_else(|| silent(source), hide);
                    active.push(ActiveHost { kinds: vec![alert.kind], row });
                }
            }
        }
        let mut alerts: Vec<_> = self.ledger.open().cloned().collect();
        alerts.sort_by_key(|alert| alert.opened_at);
        let (hosts, hosts_omitted) = self.window.charted(SNAPSHOT_HOSTS_MAX);
        let snapshot = Snapshot {
            taken_at: civil,
            accounting: self.window.accounting().clone(),
            hosts: hosts.into_iter().map(hide).collect(),
            hosts_omitted,
            loss: self.window.loss(),
        };
        let interfaces = self.interfaces.report(&self.window, is_wire_exact);
        Report { snapshot, alerts, active, is_wire_exact, kernel, interfaces, sinks: Vec::new() }
    }
}

/// A host whose alert is still open and that did nothing in the window.
fn silent(addr: std::net::IpAddr) -> HostRow {
    HostRow {
        addr,
        packets: 0,
        ip_bytes: 0,
        contacted_hosts: 0,
        contacted_ports: 0,
        destinations: Vec::new(),
    }
}

fn evidence(window: &Window, finding: &Finding, now: Moment, hides_destinations: bool) -> Evidence {
    let loss = window.loss();
    let Some(source) = finding.source else { return Evidence { loss, ..Evidence::default() } };
    let row = window.host(&source).unwrap_or_else(|| silent(source));
    let ports = match finding.kind {
        detect::FindingKind::ScanningPort => window.ports_of(&source),
        _ => Vec::new(),
    };
    let mut scan = scan_evidence(window, finding, now).map(|(scan, _)| scan);
    let mut destinations = row.destinations;
    if hides_destinations {
        destinations.clear();
        if let Some(scan) = &mut scan {
            scan.targets.clear();
        }
    }
    Evidence { ip_bytes: row.ip_bytes, destinations, ports, loss, scan }
}

#[cfg(test)]
mod tests;
