//! The room of the tables of open and of closed alerts: who gets a place in it when it is full, and who gives up his.
//!
//! Each kind has a small reserve for local and one for remote hosts, so that no kind and no crowd of remote hosts takes
//! all places. Beyond the reserves a place belongs to whoever needs it first. In a full table an alert of more weight
//! takes the place of the one of least weight; among equals the first stays. Alerts of local hosts weigh more than all
//! others.
//!
//! The index by weight is ordered, so a decision costs the logarithm of the number of alerts. A weight is coarse: it
//! changes when the value doubles, and alerts of about the same weight do not displace each other.

use std::collections::BTreeSet;

use crate::detect::{Confidence, Finding, ScanEvidence};

use super::record::{Alert, AlertKey, AlertKind, OPEN_ALERTS_MAX};

/// Number of places that are reserved for the local hosts of each kind.
pub(super) const LOCAL_RESERVE: usize = 200;

/// Number of places that are reserved for the remote hosts of each kind.
pub(super) const REMOTE_RESERVE: usize = 100;

/// How much an alert counts against others of the same locality. The order of the fields is that of their importance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Weight {
    is_certain: bool,
    /// The binary logarithm of the largest multiple of the limit that was reached.
    volume: u32,
    /// `None` if the alert is not about scanning.
    confidence: Option<Confidence>,
}

impl Weight {
    /// Returns the weight of an alert by its largest value so far.
    pub(super) fn of(alert: &Alert) -> Self {
        Self {
            is_certain: !alert.progress.is_possible,
            volume: volume(alert.measured, alert.limit),
            confidence: alert.scan.as_ref().map(|ScanEvidence { confidence, .. }| *confidence),
        }
    }

    /// Returns the weight of the alert that a finding would open. Its evidence is not known yet, so it has no place
    /// before others for its confidence.
    pub(super) fn of_finding(finding: &Finding) -> Self {
        Self {
            is_certain: finding.is_certain(),
            volume: volume(finding.measured, finding.limit),
            confidence: None,
        }
    }
}

fn volume(measured: u64, limit: u64) -> u32 {
    (measured / limit.max(1)).checked_ilog2().unwrap_or_default()
}

/// Whether a further alert gets a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// There is room.
    Free,
    /// It takes the place of this alert.
    InPlaceOf(AlertKey),
    /// The table is full of alerts of at least its weight.
    Refused,
}

/// Alerts about hosts, by kind and locality, each set ordered by weight.
#[derive(Debug)]
pub(super) struct Room<W = Weight> {
    pools: [[BTreeSet<(W, AlertKey)>; 2]; AlertKind::ALL.len()],
    taken: usize,
    places: usize,
}

impl<W: Copy + Ord> Default for Room<W> {
    fn default() -> Self {
        Self::with_places(OPEN_ALERTS_MAX)
    }
}

impl<W: Copy + Ord> Room<W> {
    pub(super) fn with_places(places: usize) -> Self {
        Self { pools: std::array::from_fn(|_| [BTreeSet::new(), BTreeSet::new()]), taken: 0, places }
    }

    /// Adds an alert. One that is about no host takes no place.
    pub(super) fn add(&mut self, key: AlertKey, is_local: bool, weight: W) {
        if key.0.is_some() && self.pool(key.1, is_local).insert((weight, key)) {
            self.taken += 1;
        }
    }

    /// Removes an alert that was added with this weight.
    pub(super) fn remove(&mut self, key: AlertKey, is_local: bool, weight: W) {
        if self.pool(key.1, is_local).remove(&(weight, key)) {
            self.taken -= 1;
        }
    }

    /// Returns the number of alerts that fit in at most, whatever their kind.
    pub(super) fn left(&self) -> usize {
        self.places.saturating_sub(self.taken + self.unused_reserves())
    }

    /// Decides whether an alert of this kind, locality and weight gets a place.
    pub(super) fn admit(&self, kind: AlertKind, is_local: bool, weight: W) -> Admission {
        let is_below_reserve =
            self.pools[kind as usize][usize::from(is_local)].len() < self.reserve(is_local);
        if self.taken < self.places && (is_below_reserve || self.left() > 0) {
            return Admission::Free;
        }
        match self.least(kind, is_local) {
            Some((of_local, least, key)) if is_below_reserve || (of_local, least) < (is_local, weight) => {
                Admission::InPlaceOf(key)
            }
            _ => Admission::Refused,
        }
    }

    /// Returns the alert of least weight among those that have more places than their reserve, or at least as many and
    /// are of this kind and locality.
    fn least(&self, kind: AlertKind, is_local: bool) -> Option<(bool, W, AlertKey)> {
        let mut least = None;
        for (of_kind, pools) in AlertKind::ALL.into_iter().zip(&self.pools) {
            for (of_local, pool) in [false, true].into_iter().zip(pools) {
                let own = usize::from((of_kind, of_local) == (kind, is_local));
                let lightest = pool.first().filter(|_| pool.len() + own > self.reserve(of_local));
                let candidate = lightest.map(|&(weight, key)| (of_local, weight, key));
                least = [least, candidate].into_iter().flatten().min();
            }
        }
        least
    }

    fn unused_reserves(&self) -> usize {
        let hosts = AlertKind::ALL.into_iter().zip(&self.pools).filter(|(kind, _)| kind.metric().is_some());
        hosts
            .flat_map(|(_, pools)| [false, true].into_iter().zip(pools))
            .map(|(is_local, pool)| self.reserve(is_local).saturating_sub(pool.len()))
            .sum()
    }

    fn reserve(&self, is_local: bool) -> usize {
        let of_all = if is_local { LOCAL_RESERVE } else { REMOTE_RESERVE };
        of_all * self.places / OPEN_ALERTS_MAX
    }

    fn pool(&mut self, kind: AlertKind, is_local: bool) -> &mut BTreeSet<(W, AlertKey)> {
        &mut self.pools[kind as usize][usize::from(is_local)]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLACES: usize = 1000;

    fn weight(volume: u32) -> Weight {
        Weight { is_certain: true, volume, confidence: None }
    }

    fn key(n: u32, kind: AlertKind) -> AlertKey {
        (Some(n.to_be_bytes().into()), kind)
    }

    /// Fills the table with remote scanners of one weight. Returns how many got a place.
    fn flooded(room: &mut Room) -> u32 {
        let is_free = |room: &Room| room.admit(AlertKind::Scanning, false, weight(0)) == Admission::Free;
        let mut n = 0;
        while is_free(room) {
            room.add(key(n, AlertKind::Scanning), false, weight(0));
            n += 1;
        }
        n
    }

    #[test]
    fn a_flood_leaves_room_for_other_kinds_and_for_local_hosts() {
        let mut room = Room::with_places(PLACES);
        // Six kinds have 20 places for local hosts each, and 10 for remote ones.
        assert_eq!(flooded(&mut room), 1000 - 6 * 30 + 10);
        for kind in [AlertKind::Traffic, AlertKind::Received] {
            for (is_local, reserve) in [(false, 10), (true, 20)] {
                for n in 0..reserve {
                    let n = 5000 + n + 100 * u32::from(is_local);
                    assert_eq!(room.admit(kind, is_local, weight(0)), Admission::Free);
                    room.add(key(n, kind), is_local, weight(0));
                }
            }
        }
        // Beyond its reserve a local host takes the place of a remote one, also of one of more volume.
        room.remove(key(3, AlertKind::Scanning), false, weight(0));
        room.add(key(3, AlertKind::Scanning), false, weight(5));
        let first = key(0, AlertKind::Scanning);
        assert_eq!(room.admit(AlertKind::Traffic, true, weight(0)), Admission::InPlaceOf(first));
        assert_eq!(room.admit(AlertKind::Traffic, false, weight(0)), Admission::Refused, "an equal");
        assert_eq!(room.admit(AlertKind::Traffic, false, weight(1)), Admission::InPlaceOf(first));
        assert_eq!(room.admit(AlertKind::Scanning, false, weight(0)), Admission::Refused);
        assert_eq!(room.admit(AlertKind::Scanning, false, weight(6)), Admission::InPlaceOf(first));
    }

    #[test]
    fn certain_alerts_weigh_more_than_possible_ones_and_volume_more_than_confidence() {
        let possible = Weight { is_certain: false, ..weight(9) };
        let sure = Weight { confidence: Some(Confidence::High), ..weight(1) };
        let mut sorted = [weight(2), sure, possible, weight(1)];
        sorted.sort_unstable();
        assert_eq!(sorted, [possible, weight(1), sure, weight(2)]);
    }

    proptest! {
        /// Whatever comes, the table never has more alerts than places, each pool gets its reserve, and nobody is
        /// displaced by less weight.
        #[test]
        fn nobody_takes_all(
            comes in prop::collection::vec((0usize..6, any::<bool>(), 0u32..4), 1..600),
        ) {
            // A table of 100 places reserves 2 for local hosts of each kind, and 1 for remote ones.
            let mut room = Room::with_places(100);
            let mut there = std::collections::BTreeMap::new();
            for (n, (kind, is_local, volume)) in comes.into_iter().enumerate() {
                let kind = AlertKind::ALL[kind];
                let key = key(n as u32, kind);
                let count = |there: &std::collections::BTreeMap<AlertKey, (bool, Weight)>| {
                    there.iter().filter(|((_, k), (local, _))| (*k, *local) == (kind, is_local)).count()
                };
                match room.admit(kind, is_local, weight(volume)) {
                    Admission::Refused => {
                        prop_assert!(count(&there) >= room.reserve(is_local));
                        continue;
                    }
                    Admission::Free => {}
                    Admission::InPlaceOf(victim) => {
                        let (of_local, least) = there.remove(&victim).expect("a victim is in the table");
                        room.remove(victim, of_local, least);
                        prop_assert!(
                            (of_local, least) < (is_local, weight(volume)) || count(&there) < room.reserve(is_local)
                        );
                    }
                }
                room.add(key, is_local, weight(volume));
                there.insert(key, (is_local, weight(volume)));
                prop_assert!(there.len() <= 100);
                prop_assert_eq!(there.len(), room.taken);
            }
        }
    }
}
