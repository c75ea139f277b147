//! The storms of the ledger: which notices of one judgement they replace.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use crate::alert::notice::Notice;
use crate::alert::open_storm::{AlertClass, At, Opening, StormChange};
use crate::alert::persisted_ledger::PersistedStorm;
use crate::alert::record::{Alert, AlertKey, AlertKind};
use crate::alert::storms::excess;
use crate::time::{Moment, UnixNanos};

use super::Ledger;

impl Ledger {
    /// Sets the number of openings of a kind within a minute that are notified singly; `None` if all are.
    pub(crate) fn set_burst(&mut self, burst: Option<u32>) {
        self.storms.set_burst(burst);
    }

    /// Returns the open storms, each as an alert without a source.
    pub(crate) fn storms(&self) -> impl Iterator<Item = &Alert> {
        self.storms.open()
    }

    /// Returns true if a storm waits for its first notice, which a further judgement must queue soon.
    pub(crate) fn is_storm_pending(&self) -> bool {
        self.storms.are_pending()
    }

    /// Ends a judgement. `notices` has its notices from index `from` on: replaces the openings among them that
    /// belong to storms by the notices of the storms, and adds those of alerts that are no longer muted and had no
    /// finding, and the ends of displaced alerts. Warns if a table is full.
    pub(crate) fn finish_judgement(
        &mut self,
        now: Moment,
        wall_clock: UnixNanos,
        notices: &mut Vec<Notice>,
        from: usize,
    ) {
        self.say_unmuted(notices);
        let storm_ids = self.decide(&notices[from..], At { now, wall_clock });
        let ends = std::mem::take(&mut self.full_table.ends);
        if storm_ids.is_empty() {
            notices.extend(ends);
        } else {
            let mut kept = notices.split_off(from);
            kept.retain(|notice| {
                // One that closed in this judgement and opened again has an end that is notified.
                matches!(notice, Notice::Closed(_)) || !storm_ids.contains_key(&notice.alert().id)
            });
            notices.append(&mut kept);
            // An alert that was displaced in the judgement in which it opened ends as a part of its storm.
            notices.extend(ends.into_iter().filter(|end| !storm_ids.contains_key(&end.alert().id)));
        }
        self.say_storms(At { now, wall_clock }, false, notices);
        self.full_table.warn_if_due(now);
        self.closed.warn_if_due(now);
    }

    /// Appends what storms have still to notify. Call it after the last judgement, before the program ends.
    pub(crate) fn say_rest(&mut self, now: Moment, wall_clock: UnixNanos, notices: &mut Vec<Notice>) {
        self.say_storms(At { now, wall_clock }, true, notices);
    }

    /// Decides which openings belong to storms. Returns the id of the storm for each of their alerts.
    fn decide(&mut self, notices: &[Notice], at: At) -> HashMap<String, Arc<str>> {
        let mut storm_ids = HashMap::new();
        if self.storms.are_off() {
            return storm_ids;
        }
        let mut classes: BTreeMap<AlertClass, Vec<(&Alert, Opening)>> = BTreeMap::new();
        for notice in notices {
            if let Notice::Opened(alert) = notice
                && let Some(source) = alert.source
            {
                let class = (alert.kind, self.is_local(alert.source));
                classes.entry(class).or_default().push((alert, opening(alert, source)));
            }
        }
        for (class, opened) in classes {
            let openings: Vec<Opening> = opened.iter().map(|(_, opening)| *opening).collect();
            let count = &mut self.opened;
            let ids = self.storms.decide(class, &openings, at, || super::next_id(count, at.wall_clock));
            for ((alert, opening), id) in opened.iter().zip(ids) {
                let Some(id) = id else { continue };
                let key: AlertKey = (alert.source, alert.kind);
                match self.open.get_mut(&key).filter(|open| open.alert.id == alert.id) {
                    Some(open) => {
                        open.join_storm(Arc::clone(&id));
                        self.unsaved.note(&alert.id, key);
                    }
                    None => self.storms.leave(&id, opening.excess, at.wall_clock),
                }
                storm_ids.insert(alert.id.clone(), id);
            }
        }
        storm_ids
    }

    /// Appends the notices of storms that opened or have grown.
    fn say_storms(&mut self, at: At, is_last: bool, notices: &mut Vec<Notice>) {
        let mut changes = Vec::new();
        self.storms.take_changes(at, is_last, &mut changes);
        notices.extend(changes.into_iter().map(|(change, alert)| match change {
            StormChange::Opened => Notice::Opened(alert),
            StormChange::Confirmed => Notice::Confirmed(alert),
            StormChange::Grown => {
                let times = alert.measured / alert.limit.max(1);
                Notice::Grown(alert, times)
            }
        }));
        let mutes = &self.mutes;
        self.storms
            .refresh(|storm, kind| storm.network.is_some_and(|network| mutes.cover_network(network, kind)));
    }

    /// Closes the storms of which no alert is open, and appends the notices of that.
    pub(super) fn close_storms(&mut self, now: Moment, notices: &mut Vec<Notice>) {
        for (was_said, alert) in self.storms.close() {
            if !was_said {
                notices.push(Notice::Opened(Alert { closed_at: None, ..alert.clone() }));
            }
            self.recently_closed.add(alert.clone(), now);
            notices.push(Notice::Closed(alert));
        }
    }

    /// Continues the storms after a restart. An alert of a storm that is not known is in none. A storm of which no
    /// alert is open any more closes with the next judgement.
    pub(super) fn restore_storms(&mut self, storms: Vec<PersistedStorm>, at: At) {
        let mut members: HashMap<Arc<str>, Vec<u64>> = HashMap::new();
        for open in self.open.values_mut() {
            let Some(id) = open.alert.progress.storm_id.clone() else { continue };
            if storms.iter().any(|storm| storm.alert.id == *id && storm.alert.kind == open.alert.kind) {
                members.entry(id).or_default().push(excess(&open.alert));
            } else {
                open.alert.progress.storm_id = None;
            }
        }
        for storm in storms {
            let members = members.remove(storm.alert.id.as_str()).unwrap_or_default();
            self.storms.restore(storm, &members, at);
        }
    }
}

/// Returns the opening of an alert, as storms count it.
pub(super) fn opening(alert: &Alert, source: IpAddr) -> Opening {
    // The host that receives too much is the source of its alert, and its destinations do not matter.
    let main = alert.destinations.first().filter(|_| alert.kind != AlertKind::Received);
    let target = main.filter(|peer| peer.ip_bytes > 0 && peer.ip_bytes >= alert.ip_bytes / 10 * 9);
    // In the alert of a scan of ports, the contacted ports are not those that hosts have in common.
    let scan = alert.scan.as_ref().filter(|_| alert.kind != AlertKind::ScanningPort);
    let busiest = scan.and_then(|scan| {
        let is_most = |hosts: u32| u64::from(hosts) * 2 > u64::from(scan.outcomes.total());
        scan.ports.first().filter(|port| is_most(port.outcomes.total()))
    });
    Opening {
        source,
        target: target.map(|peer| peer.addr),
        port: busiest.map(|port| (port.protocol, port.port)),
        limit: alert.limit,
        excess: excess(alert),
        is_possible: alert.progress.is_possible,
    }
}

#[cfg(test)]
mod tests;
