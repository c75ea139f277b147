//! What the kernel says of the interfaces and of its own losses, beside what is counted here: read once a second,
//! shown as one immutable view.
//!
//! **What is since when.** Counters of an interface are shown as the kernel has them, with those of the moment in
//! which this program first saw it, so that [`InterfaceView::since_start`] lies beside what was counted here. What
//! the whole machine lost is since the program opened its sockets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tracing::warn;

use super::backlog::{Backlog, BacklogCounts};
use super::births::Births;
use super::counters::{self, LinkCounters};
use super::error::NetlinkError;
use super::interfaces::InterfaceName;
use super::netlink::Inquiry;
use super::source::Standing;
use super::topology::InterfaceTable;
use crate::packet::Skip;
use crate::published::Published;
use crate::time::{Moment, monotonic_now};

/// The network as the kernel has it, at most a second old; newer where an interface has changed.
#[derive(Clone, Debug, Default)]
pub struct KernelView {
    /// When the counters were read, on CLOCK_MONOTONIC.
    pub read_at: Moment,
    /// Every interface, by ascending number.
    pub interfaces: Vec<InterfaceView>,
    /// What the machine lost before any socket saw it; `None` where /proc does not tell.
    pub backlog: Option<BacklogCounts>,
    /// Networks that are behind this host or attached to it.
    pub local_networks: Vec<IpNet>,
    /// Whether this host forwards packets.
    pub forwards: bool,
    /// How long changes of interfaces took to be in force.
    pub changes: ChangeLatency,
}

/// One interface: what becomes of its frames, and what the kernel counted on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceView {
    /// Its number.
    pub ifindex: u32,
    /// Its name.
    pub name: InterfaceName,
    /// Why nothing of it is looked at, or `None` if it is monitored.
    pub skipped: Option<Skip>,
    /// What a frame that goes out is for.
    pub egress: Standing,
    /// Frames of some VLANs are sorted out of it in the kernel, since their devices are excluded.
    pub hides_vlans: bool,
    /// What the kernel has counted since the interface was made.
    pub counters: LinkCounters,
    /// What it had counted when this program first saw the interface.
    pub counters_at_start: LinkCounters,
}

impl InterfaceView {
    /// What the kernel has counted since this program first saw the interface.
    pub fn since_start(&self) -> LinkCounters {
        self.counters.since(&self.counters_at_start)
    }
}

/// From the kernel's notice of a change to its being in force: the new table before every worker, the new filter on
/// every socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeLatency {
    /// Changes that gave a new table; notices that came together are one.
    pub count: u64,
    /// The time that the last one took, from the first of its notices.
    pub last: Duration,
    /// The longest time that any one took.
    pub max: Duration,
}

impl ChangeLatency {
    /// Adds one change.
    pub(super) fn add(&mut self, took: Duration) {
        self.count += 1;
        self.last = took;
        self.max = self.max.max(took);
    }
}

/// Reads the counters and publishes the view.
pub(super) struct Meter {
    published: Arc<Published<KernelView>>,
    links: HashMap<u32, Metered>,
    backlog: Option<Backlog>,
    read_at: Moment,
    /// What could not be read was said once.
    is_failing: bool,
}

/// The counters of one interface.
#[derive(Clone, Copy, Default)]
struct Metered {
    at_start: LinkCounters,
    now: LinkCounters,
    read_at: Moment,
}

impl Meter {
    /// Takes what the kernel says now for the beginning.
    pub(super) fn begin(inquiry: &mut Inquiry, births: &Births) -> Self {
        let backlog = Backlog::open().inspect_err(|error| {
            warn!(%error, "/proc/self/net/softnet_stat: what is lost before the sockets will not be known");
        });
        let mut meter = Self {
            published: Arc::new(Published::new(KernelView::default())),
            links: HashMap::new(),
            backlog: backlog.ok(),
            read_at: Moment::default(),
            is_failing: false,
        };
        meter.read(inquiry, births);
        meter
    }

    /// The cell in which views are published.
    pub(super) fn published(&self) -> Arc<Published<KernelView>> {
        Arc::clone(&self.published)
    }

    /// Reads all counters anew. Where that fails the old ones stay, and the log says so once.
    pub(super) fn read(&mut self, inquiry: &mut Inquiry, births: &Births) {
        match counters::read(inquiry) {
            Ok(counters) => self.take(&counters, monotonic_now(), |ifindex| births.counters_of(ifindex)),
            Err(error) => self.complain(&error),
        }
        if let Some(Err(error)) = self.backlog.as_mut().map(Backlog::read) {
            warn!(%error, "/proc/self/net/softnet_stat cannot be read any more");
            self.backlog = None;
        }
    }

    fn take(
        &mut self,
        counters: &[(u32, LinkCounters)],
        read_at: Moment,
        at_birth: impl Fn(u32) -> Option<LinkCounters>,
    ) {
        self.is_failing = false;
        self.read_at = read_at;
        for &(ifindex, now) in counters {
            let metered = self.links.entry(ifindex).or_insert_with(|| {
                // One that came after the start may have counted since then.
                let at_start = at_birth(ifindex).unwrap_or(now);
                Metered { at_start, now, read_at }
            });
            (metered.now, metered.read_at) = (now, read_at);
        }
    }

    fn complain(&mut self, error: &NetlinkError) {
        if !self.is_failing {
            warn!(error = error as &dyn std::error::Error, "the counters of the interfaces cannot be read");
        }
        self.is_failing = true;
    }

    /// Whether the table has an interface whose counters were never read.
    pub(super) fn lacks_any_of(&self, table: &InterfaceTable) -> bool {
        table.interfaces().iter().any(|(ifindex, _)| !self.links.contains_key(ifindex))
    }

    /// Publishes what was read last, with the table that is in force.
    pub(super) fn publish(&mut self, table: &InterfaceTable, changes: ChangeLatency) {
        // A list that changed while it was read may have missed one that is still there.
        let read_at = self.read_at;
        self.links.retain(|&ifindex, metered| metered.read_at == read_at || table.has(ifindex));
        let interfaces = table.interfaces().into_iter().map(|(ifindex, row)| {
            let metered = self.links.get(&ifindex).copied().unwrap_or_default();
            InterfaceView {
                ifindex,
                name: row.name.clone().unwrap_or_else(|| InterfaceName::new([])),
                skipped: row.skipped(),
                egress: row.egress,
                hides_vlans: table.hidden_vlans().iter().any(|&(below, _)| below == ifindex),
                counters: metered.now,
                counters_at_start: metered.at_start,
            }
        });
        self.published.publish(KernelView {
            read_at,
            interfaces: interfaces.collect(),
            backlog: self.backlog.as_ref().map(Backlog::counts),
            local_networks: table.local_networks().to_vec(),
            forwards: table.forwards(),
            changes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::{Interfaces, Link};
    use super::super::topology::Policy;
    use super::*;

    fn counters(rx_packets: u64) -> LinkCounters {
        LinkCounters { rx_packets, ..LinkCounters::default() }
    }

    fn table(ifindexes: &[u32]) -> InterfaceTable {
        let link = |&ifindex: &u32| {
            Link::alone(ifindex, InterfaceName::new(format!("eth{ifindex}")), libc::ARPHRD_ETHER)
        };
        let interfaces = Interfaces { links: ifindexes.iter().map(link).collect(), ..Interfaces::default() };
        InterfaceTable::new(&interfaces, &Policy::default())
    }

    #[test]
    fn counters_begin_where_an_interface_was_first_seen() {
        let mut meter = Meter::begin(&mut Inquiry::open().unwrap(), &Births::subscribe().unwrap());
        meter.links.clear();
        let mut at = 0;
        let mut turn = |read: &[(u32, LinkCounters)], there: &[u32]| {
            at += 1;
            meter.take(read, Moment(at), |ifindex| (ifindex == 5).then(|| counters(2)));
            meter.publish(&table(there), ChangeLatency::default());
            let view = meter.published().read();
            assert_eq!(view.read_at, Moment(at));
            view.interfaces
                .iter()
                .map(|link| (link.ifindex, link.since_start().rx_packets))
                .collect::<Vec<_>>()
        };
        turn(&[(1, counters(100)), (2, counters(7))], &[1, 2]);
        // 3 is read before the table has it.
        turn(&[(1, counters(130)), (2, counters(7)), (3, counters(50))], &[1, 2]);
        // 1 is missed by a reading, and 2 is gone.
        assert_eq!(turn(&[(3, counters(60))], &[1, 3]), [(1, 30), (3, 10)]);
        // Another one has the number 2.
        let read = [(1, counters(131)), (2, counters(4)), (3, counters(60))];
        assert_eq!(turn(&read, &[1, 2, 3]), [(1, 31), (2, 0), (3, 10)]);
        // One that came after the start began with 2.
        assert_eq!(turn(&[(1, counters(131)), (5, counters(9))], &[1, 5]), [(1, 31), (5, 7)]);
        assert!(!meter.lacks_any_of(&table(&[1, 5])) && meter.lacks_any_of(&table(&[1, 4])));
    }

    #[test]
    fn the_latency_of_changes_is_counted() {
        let mut changes = ChangeLatency::default();
        for ms in [3, 9, 4] {
            changes.add(Duration::from_millis(ms));
        }
        let (last, max) = (Duration::from_millis(4), Duration::from_millis(9));
        assert_eq!(changes, ChangeLatency { count: 3, last, max });
    }
}
