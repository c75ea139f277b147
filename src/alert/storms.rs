//! The open storms, and which openings of alerts are notified singly.
//!
//! An opening belongs to a storm if more than `AlertBurst` alerts of its kind opened within the last minute, itself and
//! those of the same judgement included: from its network (a /24, of IPv6 a /64), against its target, or in all.
//! Openings of one judgement are decided together, so none of a sudden flood is notified singly. Local and remote hosts
//! are counted apart, and never are in one storm.
//!
//! A network or a target has a storm of its own if it has at least half of the openings that are decided together, and
//! if at most [`SCOPED_MAX`] such storms are open; other openings share the storm of everything. So a flood from
//! thousands of networks leads to few storms. A flood that moves on to the next networks is one as well: remote hosts
//! near the network of a storm that had openings within the last minute are in the storm of everything, however few
//! they are. Each opening counts in one storm, also one that was notified singly before.
//!
//! A storm opens, grows and closes like an alert. Its opening is notified when no host has joined it for 270 ms,
//! after 500 ms at the latest, so that it names the hosts that begin at the same time, or at once if it has more
//! hosts than it names. When the program stops, all that waits is notified. Its growth is notified when its hosts are
//! 2, 5, 10, 100 and so on times as many as at its opening, and when it goes on after a minute without an opening. As
//! long as it can name all its hosts, further ones are named after 1, 2, 4, 8 and so on seconds. It closes when none
//! of its alerts is open. After a restart it goes on as the same storm. An alert whose value is ten times the
//! geometric mean of the storm or more is notified singly, but not more than `AlertBurst` of them within a minute. So
//! whoever keeps a storm going hides nobody who does far more.
//!
//! Each opening costs one look at a few dozen records, and each judgement with openings a sort of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use ipnet::IpNet;

use crate::time::{Moment, UnixNanos};

use super::open_storm::{AlertClass, At, BURST_WITHIN, OpenStorm, Opening, Scope, StormChange};
use super::persisted_ledger::PersistedStorm;
use super::record::{Alert, AlertKind};
use super::storm::{Storm, StormProgress, network_of, vicinity_of};
use super::wall_clock::ClockStep;

/// Maximum number of storms of one network or target, for each kind and locality.
const SCOPED_MAX: usize = 2;

/// Maximum number of open storms.
pub(super) const STORMS_MAX: usize = (SCOPED_MAX + 1) * 2 * AlertKind::ALL.len();

/// How far the value of an alert that is notified singly is above the mean of its storm: ten times, as an [`excess`].
const OUTSTANDING: u64 = 832;

/// All open storms.
#[derive(Debug, Default)]
pub(super) struct Storms {
    /// Number of openings within a minute that are notified singly; `None` if all are.
    burst: Option<u32>,
    classes: BTreeMap<AlertClass, ClassStorms>,
}

/// The storms of one kind and locality, and the openings of the last minute that were notified singly.
#[derive(Debug, Default)]
struct ClassStorms {
    singles: VecDeque<Single>,
    storms: Vec<OpenStorm>,
}

/// An opening that was notified singly.
#[derive(Clone, Copy, Debug)]
struct Single {
    at: Moment,
    opening: Opening,
    /// True if it was notified singly although there was a storm.
    is_outstanding: bool,
    /// True if a storm has counted it among its hosts.
    is_counted: bool,
}

/// Returns how far the value of an alert is above its limit: 256 times the binary logarithm of the multiple, whose
/// fraction is interpolated. The mean of logarithms is the geometric mean, which no single host decides.
pub(super) fn excess(alert: &Alert) -> u64 {
    const AT_LIMIT: u64 = 8 << 8;
    // The multiple, times 256, is at least 1 and below 2^72.
    let multiple = ((u128::from(alert.measured) << 8) / u128::from(alert.limit.max(1))).max(1);
    let whole = multiple.ilog2();
    let fraction = u64::try_from(((multiple << 8) >> whole) & 0xff).unwrap_or_default();
    ((u64::from(whole) << 8) + fraction).saturating_sub(AT_LIMIT)
}

impl Storms {
    /// Sets the number of openings within a minute that are notified singly; `None` if all are.
    pub(super) fn set_burst(&mut self, burst: Option<u32>) {
        self.burst = burst;
    }

    /// Returns true if no opening can belong to a storm.
    pub(super) fn are_off(&self) -> bool {
        self.burst.is_none()
    }

    /// Decides which of these openings, all of one class and of one judgement, belong to a storm. Returns its id for
    /// each of them, and `None` for those that must be notified singly. `new_id` returns the id of a new storm.
    pub(super) fn decide(
        &mut self,
        class: AlertClass,
        openings: &[Opening],
        at: At,
        mut new_id: impl FnMut() -> String,
    ) -> Vec<Option<Arc<str>>> {
        let Some(burst) = self.burst else { return vec![None; openings.len()] };
        let burst = burst as usize;
        let storms = self.classes.entry(class).or_default();
        storms.singles.retain(|single| at.now.since(single.at) < BURST_WITHIN);
        let scopes = storms.scopes(class, openings, burst, at.now);
        let outstanding = storms.outstanding(openings, &scopes, burst);
        let mut ids = vec![None; openings.len()];
        for (n, (opening, scope)) in openings.iter().zip(&scopes).enumerate() {
            match scope {
                Some(scope) if !outstanding[n] => {
                    let joined = storms.storm_of(*scope, class, burst, at, &mut new_id);
                    joined.join(opening, at);
                    ids[n] = Some(Arc::clone(&joined.id));
                }
                _ => storms.singles.push_back(Single {
                    at: at.now,
                    opening: *opening,
                    is_outstanding: outstanding[n],
                    is_counted: false,
                }),
            }
        }
        ids
    }

    /// Appends what the storms must notify since the last call: each storm as an alert. With `is_last` nothing waits
    /// for further hosts.
    pub(super) fn take_changes(&mut self, at: At, is_last: bool, out: &mut Vec<(StormChange, Alert)>) {
        let At { now, wall_clock } = at;
        for storm in self.each_mut() {
            if let Some(change) = storm.take_change(now, is_last) {
                storm.alert.progress.exceeded_at = wall_clock;
                storm.refresh();
                out.push((change, storm.alert.clone()));
            }
        }
    }

    /// Takes account of a further finding about an alert of a storm, whose value was `before`. Returns true if the
    /// alert must be notified singly; it is no longer part of the storm then.
    pub(super) fn raise(&mut self, id: &str, before: u64, opening: Opening, now: Moment) -> bool {
        let Some(burst) = self.burst else { return false };
        for class in self.classes.values_mut() {
            let ClassStorms { singles, storms } = class;
            let Some(storm) = storms.iter_mut().find(|storm| &*storm.id == id) else { continue };
            storm.excess = (storm.excess + opening.excess).saturating_sub(before);
            let others = storm.storm.open.saturating_sub(1);
            let mean = (storm.excess - opening.excess.min(storm.excess)).checked_div(others);
            singles.retain(|single| now.since(single.at) < BURST_WITHIN);
            let told = singles.iter().filter(|single| single.is_outstanding).count();
            let is_outstanding = mean.is_some_and(|mean| opening.excess >= OUTSTANDING + mean);
            if !is_outstanding || told >= burst as usize {
                return false;
            }
            storm.lose(opening.excess);
            singles.push_back(Single { at: now, opening, is_outstanding: true, is_counted: true });
            return true;
        }
        false
    }

    /// Takes account of the end of an alert of a storm, whose last value was `excess`.
    pub(super) fn leave(&mut self, id: &str, excess: u64, closed_at: UnixNanos) {
        if let Some(storm) = self.each_mut().find(|storm| &*storm.id == id) {
            storm.lose(excess);
            storm.closed_at = storm.closed_at.max(closed_at);
        }
    }

    /// Removes the storms of which no alert is open, and returns them as alerts that have closed, each with whether
    /// its opening was notified.
    pub(super) fn close(&mut self) -> Vec<(bool, Alert)> {
        let mut closed = Vec::new();
        for class in self.classes.values_mut() {
            for mut storm in class.storms.extract_if(.., |storm| storm.storm.open == 0) {
                storm.refresh();
                let closed_at = Some(storm.closed_at.max(storm.alert.opened_at));
                let was_said = storm.is_said();
                closed.push((was_said, Alert { closed_at, ..storm.alert }));
            }
        }
        closed
    }

    /// Returns true if a storm waits for its first notice.
    pub(super) fn are_pending(&self) -> bool {
        self.each().any(|storm| !storm.is_said())
    }

    /// Returns the ids of the open storms that were notified. The others are not saved.
    pub(super) fn said(&self) -> impl Iterator<Item = &str> {
        self.each().filter(|storm| storm.is_said()).map(|storm| &*storm.id)
    }

    /// Returns what has to be saved of the storms that are due since the last call.
    pub(super) fn take_saves(&mut self) -> impl Iterator<Item = (&Alert, StormProgress)> {
        self.each_mut().filter_map(|storm| storm.take_save().then(|| (&storm.alert, storm.progress())))
    }

    /// Has all storms saved.
    pub(super) fn note_all(&mut self) {
        self.each_mut().for_each(OpenStorm::note_change);
    }

    /// Returns the open storms as alerts.
    pub(super) fn open(&self) -> impl Iterator<Item = &Alert> {
        self.each().map(|storm| &storm.alert)
    }

    /// Stores the present numbers in the alerts of all storms, and which of them are muted.
    pub(super) fn refresh(&mut self, is_muted: impl Fn(&Storm, AlertKind) -> bool) {
        for storm in self.each_mut() {
            storm.refresh();
            storm.alert.progress.is_muted = is_muted(&storm.storm, storm.alert.kind);
        }
    }

    /// Corrects the times of all storms after a step of the wall clock.
    pub(super) fn correct(&mut self, step: ClockStep) {
        self.each_mut().for_each(|storm| storm.correct(step));
    }

    /// Removes the targets of all storms, after destinations were hidden.
    pub(super) fn hide_destinations(&mut self) {
        self.each_mut().for_each(OpenStorm::hide_destinations);
        self.classes.values_mut().flat_map(|class| &mut class.singles).for_each(|single| {
            single.opening.target = None;
        });
    }

    /// Continues a storm after a restart; `members` are the values of its open alerts.
    pub(super) fn restore(&mut self, persisted: PersistedStorm, members: &[u64], at: At) {
        let kind = persisted.alert.kind;
        if let Some(storm) = OpenStorm::restore(persisted, members, at) {
            self.classes.entry((kind, storm.storm.is_local)).or_default().storms.push(storm);
        }
    }

    fn each(&self) -> impl Iterator<Item = &OpenStorm> {
        self.classes.values().flat_map(|class| &class.storms)
    }

    fn each_mut(&mut self) -> impl Iterator<Item = &mut OpenStorm> {
        self.classes.values_mut().flat_map(|class| &mut class.storms)
    }
}

impl ClassStorms {
    /// Returns the scope of the storm that each opening belongs to; `None` if it belongs to none.
    fn scopes(
        &self,
        (_, is_local): AlertClass,
        openings: &[Opening],
        burst: usize,
        now: Moment,
    ) -> Vec<Option<Scope>> {
        let mut scopes = vec![None; openings.len()];
        let mut scoped = self.storms.iter().filter(|storm| storm.scope != Scope::Everything).count();
        let by: [fn(&Opening) -> Option<Scope>; 2] = [
            |opening| Some(Scope::Network(network_of(opening.source))),
            |opening| opening.target.map(Scope::Target),
        ];
        for scope_of in by {
            let mut groups: HashMap<Scope, usize> = HashMap::new();
            let rest = || openings.iter().zip(&scopes).filter(|(_, scope)| scope.is_none());
            let left = rest().count();
            rest().filter_map(|(opening, _)| scope_of(opening)).for_each(|scope| {
                *groups.entry(scope).or_default() += 1;
            });
            // The order does not depend on the hash function.
            let mut groups: Vec<_> = groups.into_iter().collect();
            groups.sort_unstable_by_key(|&(scope, count)| (std::cmp::Reverse(count), scope));
            let mut found = Vec::new();
            for (scope, count) in groups {
                let is_open = self.storms.iter().any(|storm| storm.scope == scope);
                if !is_open && (2 * count < left || scoped >= SCOPED_MAX) {
                    continue;
                }
                let before =
                    self.singles.iter().filter(|single| scope_of(&single.opening) == Some(scope)).count();
                if before + self.joined(scope, now) + count > burst {
                    scoped += usize::from(!is_open);
                    found.push(scope);
                }
            }
            for (opening, slot) in openings.iter().zip(&mut scopes).filter(|(_, slot)| slot.is_none()) {
                *slot = scope_of(opening).filter(|scope| found.contains(scope));
            }
        }
        let rest = scopes.iter().filter(|scope| scope.is_none()).count();
        if self.singles.len() + self.joined(Scope::Everything, now) + rest > burst {
            scopes.iter_mut().for_each(|scope| *scope = scope.or(Some(Scope::Everything)));
        } else if !is_local {
            let flooded = self.flooded(now);
            for (opening, slot) in openings.iter().zip(&mut scopes).filter(|(_, slot)| slot.is_none()) {
                *slot = flooded.contains(&vicinity_of(opening.source)).then_some(Scope::Everything);
            }
        }
        scopes
    }

    /// Returns the vicinities of the networks that have a storm with openings within the last minute.
    fn flooded(&self, now: Moment) -> Vec<IpNet> {
        let lately = self.storms.iter().filter(|storm| storm.joined_lately(now) > 0);
        lately
            .filter_map(|storm| match storm.scope {
                Scope::Network(network) => Some(vicinity_of(network.addr())),
                Scope::Target(_) | Scope::HiddenTarget | Scope::Everything => None,
            })
            .collect()
    }

    /// Returns, for each opening that belongs to a storm, whether it is notified singly all the same.
    fn outstanding(&self, openings: &[Opening], scopes: &[Option<Scope>], burst: usize) -> Vec<bool> {
        let mut told = self.singles.iter().filter(|single| single.is_outstanding).count();
        let mut sums: BTreeMap<Scope, (u64, u64)> = BTreeMap::new();
        for storm in &self.storms {
            sums.insert(storm.scope, (storm.excess, storm.storm.open));
        }
        for (opening, scope) in openings.iter().zip(scopes) {
            if let Some(scope) = scope {
                let (sum, count) = sums.entry(*scope).or_default();
                (*sum, *count) = (*sum + opening.excess, *count + 1);
            }
        }
        let is_outstanding = |(opening, scope): (&Opening, &Option<Scope>)| {
            let Some(&(sum, count)) = scope.as_ref().and_then(|scope| sums.get(scope)) else { return false };
            let mean = (sum - opening.excess).checked_div(count - 1);
            let is_told = told < burst && mean.is_some_and(|mean| opening.excess >= OUTSTANDING + mean);
            told += usize::from(is_told);
            is_told
        };
        openings.iter().zip(scopes).map(is_outstanding).collect()
    }

    /// Returns the number of openings of the last minute in the storm of this scope.
    fn joined(&self, scope: Scope, now: Moment) -> usize {
        let storm = self.storms.iter().find(|storm| storm.scope == scope);
        let count = storm.map_or(0, |storm| storm.joined_lately(now));
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Returns the storm of this scope, which opens if it is not open.
    fn storm_of(
        &mut self,
        scope: Scope,
        (kind, is_local): AlertClass,
        burst: usize,
        at: At,
        new_id: &mut impl FnMut() -> String,
    ) -> &mut OpenStorm {
        let position = self.storms.iter().position(|storm| storm.scope == scope);
        let position = position.unwrap_or_else(|| {
            let mut storm = OpenStorm::new(scope, kind, is_local, burst as u64, at, new_id());
            // It names those that were notified singly as well, so that it names all.
            for single in self.singles.iter_mut().filter(|single| !single.is_counted) {
                if storm.covers(&single.opening) {
                    single.is_counted = true;
                    storm.name(&single.opening);
                }
            }
            storm.storm.said_singly = storm.storm.hosts;
            self.storms.push(storm);
            self.storms.len() - 1
        });
        &mut self.storms[position]
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use crate::alert::storm::{STORM_NETWORKS_MAX, StormProgress};

    use super::*;

    const AT: At = At { now: Moment(0), wall_clock: UnixNanos(0) };

    fn flood(storms: &mut Storms, hosts: std::ops::Range<u32>) {
        let opening = |n: u32| Opening {
            source: IpAddr::V4((0xc000_0001 + (n << 8)).into()),
            target: None,
            port: None,
            limit: 100,
            excess: 0,
            is_possible: false,
        };
        let openings: Vec<_> = hosts.map(opening).collect();
        let class = (AlertKind::Scanning, false);
        assert!(storms.decide(class, &openings, AT, || "1-1".to_owned()).iter().all(Option::is_some));
    }

    fn networks(storms: &Storms) -> Vec<(IpNet, u64)> {
        let storm = storms.open().next().and_then(|alert| alert.progress.storm.clone());
        storm.expect("it is a storm").networks.clone()
    }

    #[test]
    fn networks_are_sorted_again_only_after_a_further_host() {
        let mut storms = Storms::default();
        storms.set_burst(Some(5));
        flood(&mut storms, 0..20);
        storms.refresh(|_, _| false);
        let sorted = networks(&storms);
        assert_eq!(sorted.len(), STORM_NETWORKS_MAX);
        // A change that no host made shows whether they are sorted again.
        storms.each_mut().for_each(|storm| storm.networks.clear());
        storms.refresh(|_, _| false);
        assert_eq!(networks(&storms), sorted);
        storms.leave("1-1", 0, UnixNanos(1));
        storms.refresh(|_, _| false);
        let open = storms.open().filter_map(|alert| Some(alert.progress.storm.as_ref()?.open));
        assert_eq!(
            (networks(&storms), open.sum::<u64>()),
            (sorted, 19),
            "the numbers are those of the present"
        );
        flood(&mut storms, 30..31);
        storms.refresh(|_, _| false);
        assert_eq!(networks(&storms).len(), 1);
    }

    /// The row of a storm may have any numbers that its check lets pass; these are even larger.
    #[test]
    fn a_restored_storm_of_very_many_hosts_counts_on() {
        let mut storms = Storms::default();
        storms.set_burst(Some(5));
        flood(&mut storms, 0..20);
        storms.refresh(|_, _| false);
        let mut alert = storms.open().next().expect("it is open").clone();
        let mut storm = alert.progress.storm.as_deref().expect("it is a storm").clone();
        storm.hosts = u64::MAX - 1;
        storm.networks[0].1 = u64::MAX;
        alert.progress.storm = Some(Arc::new(storm.clone()));
        let mut after = Storms::default();
        after.set_burst(Some(5));
        let progress = StormProgress::of_alert_alone(&storm, AT.wall_clock);
        after.restore(PersistedStorm { alert, progress }, &[0], AT);
        flood(&mut after, 0..20);
        after.refresh(|_, _| false);
        assert_eq!(after.open().map(|alert| alert.measured).collect::<Vec<_>>(), [u64::MAX]);
    }
}
