//! The counters of the kernel: those of each interface, and those of frames lost before the packet sockets. They are
//! read once a second and published as one immutable value, to be compared with what this program counts.
//!
//! **The start of the counts.** For each interface, the counters of the kernel are published together with the values
//! that they had when this program first saw the interface, so that [`LinkStats::since_start`] covers the same time as
//! the counts of this program. The drops of the whole machine count since live capture was opened.
//!
//! If the counters cannot be read, the last values stay and a warning is logged.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tracing::warn;

use super::counters::{self, LinkCounters};
use super::error::NetlinkError;
use super::interfaces::InterfaceName;
use super::link_history::LinkHistory;
use super::netlink::NetlinkSocket;
use super::softnet::{SoftnetPoller, SoftnetStats};
use super::source::Verdict;
use super::verdict_table::VerdictTable;
use crate::packet::Skip;
use crate::published::Published;
use crate::time::{Moment, monotonic_now};

/// Interfaces and counters of the kernel, at most a second old.
#[derive(Clone, Debug, Default)]
pub struct KernelStats {
    /// Time at which the counters were read (`CLOCK_MONOTONIC`).
    pub read_at: Moment,
    /// Every interface, by ascending number.
    pub interfaces: Vec<LinkStats>,
    /// Frames lost before the packet sockets; `None` if /proc cannot be read.
    pub softnet: Option<SoftnetStats>,
    /// The local networks.
    pub local_networks: Vec<IpNet>,
    /// The broadcast addresses of the networks that are attached to the interfaces, sorted.
    pub broadcasts: Vec<Ipv4Addr>,
    /// True if this machine forwards packets.
    pub forwards: bool,
    /// The time from a change of interfaces until the new verdicts are in force.
    pub changes: ChangeLatency,
}

/// One interface: the verdicts on its frames, and the counters of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStats {
    /// Number of the interface.
    pub ifindex: u32,
    /// Name of the interface.
    pub name: InterfaceName,
    /// The reason why the interface is not monitored, or `None` if it is monitored.
    pub skipped: Option<Skip>,
    /// The verdict on egress frames.
    pub egress: Verdict,
    /// True if the filter drops frames of some VLANs on the interface, since the devices of these VLANs are excluded.
    pub hides_vlans: bool,
    /// True if the kernel counts what packet sockets see; see [`InterfaceVerdicts`](super::InterfaceVerdicts).
    pub is_comparable: bool,
    /// The counters since the interface was created.
    pub counters: LinkCounters,
    /// The counters when this program first saw the interface.
    pub counters_at_start: LinkCounters,
}

impl LinkStats {
    /// Returns what the kernel has counted since this program first saw the interface.
    pub fn since_start(&self) -> LinkCounters {
        self.counters.since(&self.counters_at_start)
    }
}

/// The time from the notice of a change until it is in force: the new table is in every mailbox, and the new filter is
/// on every socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeLatency {
    /// Number of changes that led to a new table; notices that arrived together are one change.
    pub count: u64,
    /// The time that the last change took, from the first of its notices.
    pub last: Duration,
    /// The longest time that a change took.
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

/// Reads the counters and publishes them.
pub(super) struct LinkStatsPoller {
    published: Arc<Published<KernelStats>>,
    links: HashMap<u32, PolledLink>,
    softnet: Option<SoftnetPoller>,
    read_at: Moment,
    /// True if the last reading has failed. Only the first of several failures is logged.
    is_failing: bool,
}

/// The counters of one interface.
#[derive(Clone, Copy, Default)]
struct PolledLink {
    at_start: LinkCounters,
    now: LinkCounters,
    read_at: Moment,
}

impl LinkStatsPoller {
    /// Reads the counters for the first time.
    pub(super) fn begin(netlink: &mut NetlinkSocket, link_history: &LinkHistory) -> Self {
        let softnet = SoftnetPoller::open().inspect_err(|error| {
            warn!(%error, "/proc/self/net/softnet_stat: what is lost before the sockets will not be known");
        });
        let mut link_stats_poller = Self {
            published: Arc::new(Published::new(KernelStats::default())),
            links: HashMap::new(),
            softnet: softnet.ok(),
            read_at: Moment::default(),
            is_failing: false,
        };
        link_stats_poller.read(netlink, link_history);
        link_stats_poller
    }

    /// Returns the cell in which the counters are published.
    pub(super) fn published(&self) -> Arc<Published<KernelStats>> {
        Arc::clone(&self.published)
    }

    /// Returns the descriptor that it reads from, if there is one.
    pub(super) fn descriptor(&self) -> Option<RawFd> {
        self.softnet.as_ref().map(SoftnetPoller::descriptor)
    }

    /// Reads all counters. If that fails, the old ones stay and one warning is logged.
    pub(super) fn read(&mut self, netlink: &mut NetlinkSocket, link_history: &LinkHistory) {
        match counters::read(netlink) {
            Ok(counters) => {
                self.take(&counters, monotonic_now(), |ifindex| link_history.counters_of(ifindex));
            }
            Err(error) => self.warn_once(&error),
        }
        if let Some(Err(error)) = self.softnet.as_mut().map(SoftnetPoller::read) {
            warn!(%error, "/proc/self/net/softnet_stat cannot be read any more");
            self.softnet = None;
        }
    }

    fn take(
        &mut self,
        counters: &[(u32, LinkCounters)],
        read_at: Moment,
        when_added: impl Fn(u32) -> Option<LinkCounters>,
    ) {
        self.is_failing = false;
        self.read_at = read_at;
        for &(ifindex, now) in counters {
            let polled = self.links.entry(ifindex).or_insert_with(|| {
                // An interface that was added after the start may have counted frames before this reading.
                let at_start = when_added(ifindex).unwrap_or(now);
                PolledLink { at_start, now, read_at }
            });
            (polled.now, polled.read_at) = (now, read_at);
        }
    }

    fn warn_once(&mut self, error: &NetlinkError) {
        if !self.is_failing {
            warn!(error = error as &dyn std::error::Error, "the counters of the interfaces cannot be read");
        }
        self.is_failing = true;
    }

    /// Returns true if the table has an interface whose counters were never read.
    pub(super) fn lacks_any_of(&self, table: &VerdictTable) -> bool {
        table.interfaces().iter().any(|(ifindex, _)| !self.links.contains_key(ifindex))
    }

    /// Publishes the last counters, with the table in force.
    pub(super) fn publish(&mut self, table: &VerdictTable, changes: ChangeLatency) {
        // A list that changed while it was read may lack an interface, so counters of interfaces in the table are kept.
        let read_at = self.read_at;
        self.links.retain(|&ifindex, polled| polled.read_at == read_at || table.has(ifindex));
        let interfaces = table.interfaces().into_iter().map(|(ifindex, row)| {
            let polled = self.links.get(&ifindex).copied().unwrap_or_default();
            LinkStats {
                ifindex,
                name: row.name.clone().unwrap_or_else(|| InterfaceName::new([])),
                skipped: row.skipped(),
                egress: row.egress,
                hides_vlans: table.excluded_vlans().iter().any(|&(below, _)| below == ifindex),
                is_comparable: row.is_comparable,
                counters: polled.now,
                counters_at_start: polled.at_start,
            }
        });
        self.published.publish(KernelStats {
            read_at,
            interfaces: interfaces.collect(),
            softnet: self.softnet.as_ref().map(SoftnetPoller::counts),
            local_networks: table.local_networks().to_vec(),
            broadcasts: table.broadcasts().to_vec(),
            forwards: table.forwards(),
            changes,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::interfaces::{Interfaces, Link};
    use super::super::policy::Policy;
    use super::*;

    fn counters(rx_packets: u64) -> LinkCounters {
        LinkCounters { rx_packets, ..LinkCounters::default() }
    }

    fn table(ifindexes: &[u32]) -> VerdictTable {
        let link = |&ifindex: &u32| {
            Link::alone(ifindex, InterfaceName::new(format!("eth{ifindex}")), libc::ARPHRD_ETHER)
        };
        let interfaces = Interfaces { links: ifindexes.iter().map(link).collect(), ..Interfaces::default() };
        VerdictTable::new(&interfaces, &Policy::default())
    }

    #[test]
    fn counters_start_when_an_interface_is_first_seen() {
        let mut link_stats_poller =
            LinkStatsPoller::begin(&mut NetlinkSocket::open().unwrap(), &LinkHistory::subscribe().unwrap());
        link_stats_poller.links.clear();
        let mut at = 0;
        let mut turn = |read: &[(u32, LinkCounters)], there: &[u32]| {
            at += 1;
            link_stats_poller.take(read, Moment(at), |ifindex| (ifindex == 5).then(|| counters(2)));
            link_stats_poller.publish(&table(there), ChangeLatency::default());
            let view = link_stats_poller.published().read();
            assert_eq!(view.read_at, Moment(at));
            view.interfaces
                .iter()
                .map(|link| (link.ifindex, link.since_start().rx_packets))
                .collect::<Vec<_>>()
        };
        turn(&[(1, counters(100)), (2, counters(7))], &[1, 2]);
        // Interface 3 is read before the table has it.
        turn(&[(1, counters(130)), (2, counters(7)), (3, counters(50))], &[1, 2]);
        // Interface 1 is missing in a reading, and 2 was removed.
        assert_eq!(turn(&[(3, counters(60))], &[1, 3]), [(1, 30), (3, 10)]);
        // Another interface has the number 2.
        let read = [(1, counters(131)), (2, counters(4)), (3, counters(60))];
        assert_eq!(turn(&read, &[1, 2, 3]), [(1, 31), (2, 0), (3, 10)]);
        // Interface 5 was added after the start, with the count 2.
        assert_eq!(turn(&[(1, counters(131)), (5, counters(9))], &[1, 5]), [(1, 31), (5, 7)]);
        assert!(
            !link_stats_poller.lacks_any_of(&table(&[1, 5]))
                && link_stats_poller.lacks_any_of(&table(&[1, 4]))
        );
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
