//! An open storm: its hosts and networks, when it is notified, and what of it is saved.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::flow::KernelCounts;
use crate::time::{Moment, UnixNanos};

use super::persisted_ledger::PersistedStorm;
use super::record::{Alert, AlertKind, AlertProgress};
use super::storm::{
    COUNTED_NETWORKS_MAX, COUNTED_PORTS_MAX, CommonPort, NAMES_AGAIN_AFTER, STORM_HOSTS_MAX,
    STORM_NETWORKS_MAX, Storm, StormProgress, network_of,
};
use super::wall_clock::ClockStep;

/// The time within which openings are counted.
pub(super) const BURST_WITHIN: Duration = Duration::from_secs(60);

/// Multiples of the hosts at the opening of a storm at which its growth is notified.
const GROWTH: [u64; 7] = [2, 5, 10, 100, 1000, 10_000, 100_000];

/// Time without a further host until the first notice of a storm. It is a little more than a tick, because hosts that
/// begin together may be in the deltas of two ticks.
const GATHERS_FOR: Duration = Duration::from_millis(270);

/// Longest time from the opening of a storm to its first notice.
const GATHERS_FOR_MAX: Duration = Duration::from_millis(500);

/// Openings of a storm are counted for each such time.
const COUNTED_FOR: Duration = Duration::from_secs(5);

/// Shortest time between two saves of a storm that has more hosts than it names. Its row holds up to 1024 networks, so
/// it is saved at most once a second, and with each of its notices.
const SAVED_EVERY: Duration = Duration::from_secs(1);

/// The kind and the locality of alerts that are counted together.
pub(super) type AlertClass = (AlertKind, bool);

/// An alert that opened and whose opening would be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) source: IpAddr,
    /// The host that it sent nearly everything to; `None` if there is none.
    pub(super) target: Option<IpAddr>,
    /// The protocol and port at which it made most of its contacts; `None` if there is none.
    pub(super) port: Option<(u8, u16)>,
    /// The limit that it exceeds.
    pub(super) limit: u64,
    /// Its value; see [`excess`](super::storms::excess).
    pub(super) excess: u64,
    pub(super) is_possible: bool,
}

/// What the hosts of a storm have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    Network(IpNet),
    Target(IpAddr),
    /// A target that is hidden. No opening has this scope, so no further host joins such a storm.
    HiddenTarget,
    Everything,
}

/// What a storm must notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StormChange {
    Opened,
    Confirmed,
    Grown,
}

/// The times that a decision needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) now: Moment,
    pub(super) wall_clock: UnixNanos,
}

/// An open storm.
#[derive(Debug)]
pub(super) struct OpenStorm {
    pub(super) id: Arc<str>,
    pub(super) scope: Scope,
    pub(super) alert: Alert,
    pub(super) storm: Storm,
    latest: VecDeque<IpAddr>,
    pub(super) networks: BTreeMap<IpNet, u64>,
    /// The number of hosts by the port at which they made most of their contacts.
    ports: BTreeMap<(u8, u16), u64>,
    /// True if a host was named since the last [`refresh`](Self::refresh).
    are_names_stale: bool,
    /// Number of openings, each with the time of the first of them; the latest last.
    joined: VecDeque<(At, u64)>,
    last_joined: At,
    /// The sum of the [`excess`](super::storms::excess) of its open alerts.
    pub(super) excess: u64,
    /// Number of hosts when its opening was notified, and the number of multiples of them that were notified.
    hosts_at_opening: u64,
    growths: usize,
    /// When the last of its alerts closed.
    pub(super) closed_at: UnixNanos,
    pub(super) change: Option<StormChange>,
    opened_at: Moment,
    /// When the storm was last notified, the pause after that, and the number of hosts then.
    said_at: Moment,
    pause: Duration,
    hosts_said: u64,
    /// True if it has changed since it was saved, and if that is due to be saved.
    has_changed: bool,
    is_save_due: bool,
    /// When it was due last.
    save_due_at: Moment,
}

impl OpenStorm {
    /// Creates a storm without hosts.
    pub(super) fn new(scope: Scope, kind: AlertKind, is_local: bool, burst: u64, at: At, id: String) -> Self {
        let (network, target) = match scope {
            Scope::Network(network) => (Some(network), None),
            Scope::Target(target) => (None, Some(target)),
            Scope::HiddenTarget | Scope::Everything => (None, None),
        };
        let progress =
            AlertProgress { exceeded_at: at.wall_clock, is_possible: true, ..AlertProgress::default() };
        let alert = Alert {
            id,
            kind,
            source: None,
            opened_at: at.wall_clock,
            closed_at: None,
            measured: 0,
            limit: burst.max(1),
            window: BURST_WITHIN,
            ip_bytes: 0,
            destinations: Vec::new(),
            ports: Vec::new(),
            loss: KernelCounts::default(),
            scan: None,
            progress,
        };
        Self {
            id: alert.id.as_str().into(),
            scope,
            alert,
            storm: Storm { network, target, is_local, ..Storm::default() },
            latest: VecDeque::new(),
            networks: BTreeMap::new(),
            ports: BTreeMap::new(),
            are_names_stale: true,
            joined: VecDeque::new(),
            last_joined: at,
            excess: 0,
            hosts_at_opening: 0,
            growths: 0,
            closed_at: at.wall_clock,
            change: Some(StormChange::Opened),
            opened_at: at.now,
            said_at: at.now,
            pause: NAMES_AGAIN_AFTER,
            hosts_said: 0,
            has_changed: true,
            is_save_due: false,
            save_due_at: at.now,
        }
    }

    /// Takes what must be notified now; `None` if nothing must.
    pub(super) fn take_change(&mut self, now: Moment, is_last: bool) -> Option<StormChange> {
        let names_all = self.storm.hosts <= STORM_HOSTS_MAX as u64;
        let gathers = names_all
            && now.since(self.last_joined.now) < GATHERS_FOR
            && now.since(self.opened_at) < GATHERS_FOR_MAX;
        if self.change == Some(StormChange::Opened) && gathers && !is_last {
            return None;
        }
        let mut change = self.change.take();
        let is_unnamed = names_all && self.storm.hosts > self.hosts_said;
        if change.is_none() && is_unnamed && (is_last || now.since(self.said_at) >= self.pause) {
            self.pause = self.pause.saturating_mul(2);
            change = Some(StormChange::Grown);
        }
        if change.is_some() {
            (self.said_at, self.hosts_said) = (now, self.storm.hosts);
            self.has_changed = true;
        }
        let is_due = is_last || change.is_some() || names_all || now.since(self.save_due_at) >= SAVED_EVERY;
        if self.has_changed && is_due {
            (self.is_save_due, self.save_due_at) = (true, now);
        }
        change
    }

    /// Returns the number of openings of the last minute.
    pub(super) fn joined_lately(&self, now: Moment) -> u64 {
        let recent = self.joined.iter().filter(|(since, _)| now.since(since.now) < BURST_WITHIN);
        recent.map(|(_, count)| count).sum()
    }

    /// Has the storm saved, although it may not have changed.
    pub(super) fn note_change(&mut self) {
        (self.has_changed, self.is_save_due) = (true, true);
    }

    /// Returns true, once, if the storm is due to be saved. One whose opening was not notified yet is not: its alerts
    /// are notified after a restart.
    pub(super) fn take_save(&mut self) -> bool {
        let is_due = self.is_save_due && self.is_said();
        if is_due {
            (self.has_changed, self.is_save_due) = (false, false);
        }
        is_due
    }

    /// Returns true if its opening was notified.
    pub(super) fn is_said(&self) -> bool {
        self.change != Some(StormChange::Opened)
    }

    /// Returns what has to be saved besides its alert.
    pub(super) fn progress(&self) -> StormProgress {
        StormProgress {
            has_target: matches!(self.scope, Scope::Target(_) | Scope::HiddenTarget),
            networks: self.networks.iter().map(|(network, count)| (*network, *count)).collect(),
            hosts_at_opening: self.hosts_at_opening,
            growths: self.growths,
            hosts_said: self.hosts_said,
            pause: self.pause,
            joined: self.joined.iter().map(|(since, count)| (since.wall_clock, *count)).collect(),
            last_joined_at: self.last_joined.wall_clock,
        }
    }

    /// Continues a storm after a restart; `members` are the values of its open alerts. Times in the future become the
    /// present. Returns `None` if the alert is not that of a storm.
    pub(super) fn restore(persisted: PersistedStorm, members: &[u64], at: At) -> Option<Self> {
        let PersistedStorm { mut alert, progress } = persisted;
        // The number of hosts is exact, and takes the place of what was measured.
        alert.progress.error_bound = 0;
        let mut storm = alert.progress.storm.as_deref()?.clone();
        let scope = match (storm.network, storm.target) {
            (Some(network), _) => Scope::Network(network),
            (None, Some(target)) => Scope::Target(target),
            (None, None) if progress.has_target => Scope::HiddenTarget,
            (None, None) => Scope::Everything,
        };
        let past = |wall_clock: UnixNanos| At {
            now: at.now.minus(at.wall_clock.since(wall_clock)),
            wall_clock: wall_clock.min(at.wall_clock),
        };
        storm.open = members.len() as u64;
        // A storm of many hosts is saved a moment after its alerts.
        storm.hosts = storm.hosts.max(storm.open);
        Some(Self {
            id: alert.id.as_str().into(),
            scope,
            latest: storm.sample.iter().copied().collect(),
            networks: progress.networks.into_iter().collect(),
            ports: storm.port.iter().map(|port| ((port.protocol, port.port), port.hosts)).collect(),
            are_names_stale: true,
            joined: progress.joined.into_iter().map(|(since, count)| (past(since), count)).collect(),
            last_joined: past(progress.last_joined_at),
            excess: members.iter().sum(),
            hosts_at_opening: progress.hosts_at_opening.max(1),
            growths: progress.growths,
            closed_at: alert.progress.exceeded_at,
            change: None,
            opened_at: at.now,
            said_at: at.now,
            pause: progress.pause,
            hosts_said: progress.hosts_said,
            has_changed: true,
            is_save_due: true,
            save_due_at: at.now,
            storm,
            alert,
        })
    }

    /// Corrects its times after a step of the wall clock.
    pub(super) fn correct(&mut self, step: ClockStep) {
        step.correct_alert(&mut self.alert);
        step.correct(&mut self.closed_at);
        step.correct(&mut self.last_joined.wall_clock);
        self.joined.iter_mut().for_each(|(since, _)| step.correct(&mut since.wall_clock));
        self.note_change();
    }

    /// Removes its target, after destinations were hidden.
    pub(super) fn hide_destinations(&mut self) {
        if matches!(self.scope, Scope::Target(_)) {
            self.scope = Scope::HiddenTarget;
        }
        self.storm.target = None;
        self.refresh();
        self.note_change();
    }

    /// Returns true if the opening belongs to the storm.
    pub(super) fn covers(&self, opening: &Opening) -> bool {
        match self.scope {
            Scope::Network(network) => network_of(opening.source) == network,
            Scope::Target(target) => opening.target == Some(target),
            Scope::HiddenTarget => false,
            Scope::Everything => true,
        }
    }

    /// Counts a host and names it.
    pub(super) fn name(&mut self, opening: &Opening) {
        let source = opening.source;
        let limit = Some(opening.limit).filter(|_| self.storm.hosts == 0);
        self.storm.host_limit = limit.or(self.storm.host_limit.filter(|limit| *limit == opening.limit));
        self.storm.hosts = self.storm.hosts.saturating_add(1);
        self.are_names_stale = true;
        if self.latest.len() == STORM_HOSTS_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(source);
        if let Some(port) = opening.port
            && (self.ports.len() < COUNTED_PORTS_MAX || self.ports.contains_key(&port))
        {
            let count = self.ports.entry(port).or_default();
            *count = count.saturating_add(1);
        }
        let network = network_of(source);
        if self.networks.len() < COUNTED_NETWORKS_MAX || self.networks.contains_key(&network) {
            let count = self.networks.entry(network).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Takes a host into the storm.
    pub(super) fn join(&mut self, opening: &Opening, at: At) {
        let now = at.now;
        self.name(opening);
        self.storm.open += 1;
        self.excess += opening.excess;
        match self.joined.back_mut().filter(|(since, _)| now.since(since.now) < COUNTED_FOR) {
            Some((_, count)) => *count += 1,
            None => self.joined.push_back((at, 1)),
        }
        while self.joined.front().is_some_and(|(since, _)| now.since(since.now) >= BURST_WITHIN) {
            self.joined.pop_front();
        }
        let was_calm = now.since(self.last_joined.now) >= BURST_WITHIN;
        self.last_joined = at;
        self.has_changed = true;
        let is_confirmed = self.alert.progress.is_possible && !opening.is_possible;
        self.alert.progress.is_possible &= opening.is_possible;
        if self.change == Some(StormChange::Opened) {
            self.hosts_at_opening = self.storm.hosts;
            return;
        }
        let reached = GROWTH
            .into_iter()
            .take_while(|times| self.storm.hosts >= times.saturating_mul(self.hosts_at_opening));
        let reached = reached.count();
        let has_grown = was_calm || reached > self.growths;
        self.growths = self.growths.max(reached);
        if is_confirmed {
            self.change = Some(StormChange::Confirmed);
        } else if has_grown && self.change.is_none() {
            self.change = Some(StormChange::Grown);
        }
    }

    /// Takes account of the end of an alert, whose last value was `excess`.
    pub(super) fn lose(&mut self, excess: u64) {
        self.storm.open = self.storm.open.saturating_sub(1);
        self.excess = self.excess.saturating_sub(excess);
    }

    /// Stores the present numbers in the alert.
    pub(super) fn refresh(&mut self) {
        if std::mem::take(&mut self.are_names_stale) {
            self.storm.sample = self.latest.iter().copied().collect();
            let mut networks: Vec<_> =
                self.networks.iter().map(|(network, count)| (*network, *count)).collect();
            networks.sort_unstable_by_key(|&(network, count)| (std::cmp::Reverse(count), network));
            networks.truncate(STORM_NETWORKS_MAX);
            self.storm.networks = networks;
            let most = self.ports.iter().max_by_key(|&(port, count)| (*count, std::cmp::Reverse(*port)));
            self.storm.port = most
                .map(|(&(protocol, port), &hosts)| CommonPort { protocol, port, hosts })
                .filter(|port| port.hosts > self.storm.hosts / 2);
        }
        if self.alert.progress.storm.as_deref() != Some(&self.storm) {
            self.alert.progress.storm = Some(Arc::new(self.storm.clone()));
        }
        self.alert.measured = self.storm.hosts;
        self.alert.progress.last = self.storm.hosts;
    }
}
