//! Follows the interfaces: when they change, every socket gets a new filter and every worker a new table.
//!
//! It runs on a thread of its own and sleeps until a netlink notice reports a change of a link, an address, a
//! forwarding setting or a filter of tc. The content of the notice is not used: after a notice all interfaces are read
//! again, and the filters if one of them may have changed. Lost notices count as a change. The pause between two
//! readings is [`GAP_FACTOR`](super::read_schedule::GAP_FACTOR) times the CPU time of the last one, at least
//! [`GAP_MIN`](super::read_schedule::GAP_MIN) and at most [`GAP_MAX`](super::read_schedule::GAP_MAX). So a change is in
//! force within milliseconds, and constant changes take at most a fifth of a core, unless a reading takes more than a
//! quarter of `GAP_MAX`.
//!
//! Once a second it reads the counters of the kernel and publishes a new [`KernelStats`]. Routes are read in steps
//! after they, the interfaces or the policy have changed.
//!
//! [`LinkHistory`] receives the notices of links on another socket and reads the names in them, so that a worker can
//! find the name of an interface that was removed.
//!
//! A table reaches a worker through its [`Mailbox`]. This does not wake the worker: it takes the table with its next
//! block.
//!
//! If the interfaces cannot be read, the old table stays in force, a warning is logged, and the reading is repeated. If
//! the wait for changes fails, [`LinkMonitor::run`] fails, since new interfaces would be counted by old rules.
//!
//! This file does not contain frames or accounting. Source: rtnetlink(7).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use libc::sock_filter;
use netlink_sys::Socket;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};

use super::copy_warnings::CopyWarnings;
use super::error::{CaptureError, NetlinkError};
use super::filter;
use super::interfaces::Interfaces;
use super::kernel_stats::{ChangeLatency, KernelStats, LinkStatsPoller};
use super::link_history::LinkHistory;
use super::local_prefixes::LocalPrefixes;
use super::mailbox::Mailbox;
use super::mirred::TrafficControl;
use super::monitor_handle::MonitorHandle;
use super::netlink::{NetlinkSocket, call, discard, subscribe};
use super::options::LocalNetworks;
use super::policy::Policy;
use super::promiscuous::Promiscuous;
use super::read_schedule::{ROUTES_STEP, ReadSchedule};
use super::routes::Routes;
use super::verdict_table::VerdictTable;
use crate::published::Published;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::waker::Waker;
use crate::time::{Moment, monotonic_now, thread_cpu_time};

/// Follows the interfaces of this network namespace.
pub struct LinkMonitor {
    notices: Socket,
    netlink: NetlinkSocket,
    link_history: Arc<LinkHistory>,
    traffic_control: TrafficControl,
    policy: Policy,
    copy_warnings: CopyWarnings,
    /// The interfaces of the last reading.
    interfaces: Interfaces,
    /// `None` if the local networks are configured.
    routes: Option<Routes>,
    table: Arc<VerdictTable>,
    /// The filter that is on every socket; `None` if some socket lacks the filter of the table.
    attached: Option<Vec<sock_filter>>,
    subscribers: Vec<(Arc<PacketSocket>, Arc<Mailbox>)>,
    promiscuous: Promiscuous,
    link_stats_poller: LinkStatsPoller,
    changes: ChangeLatency,
}

impl LinkMonitor {
    /// Subscribes to changes, then reads the present state, so that no change is missed between the two.
    pub(super) fn open(policy: Policy) -> Result<Self, NetlinkError> {
        let notices = subscribe(&GROUPS)?;
        let link_history = Arc::new(LinkHistory::subscribe()?);
        let mut netlink = NetlinkSocket::open()?;
        let mut traffic_control = TrafficControl::subscribe();
        let mut interfaces = Interfaces::read(&mut netlink)?;
        interfaces.mirred = traffic_control.read(&mut netlink).to_vec();
        warn_of_unmatched(&policy, &interfaces);
        let mut routes = match &policy.local_networks {
            LocalNetworks::Auto => Some(Routes::subscribe()?),
            LocalNetworks::List(_) => None,
        };
        if let Some(routes) = &mut routes {
            // If reading takes longer, the other routes are read while packets are counted.
            routes.step(FIRST_ROUTES)?;
        }
        let table = table(&policy, &interfaces, routes.as_ref());
        let mut copy_warnings = CopyWarnings::default();
        copy_warnings.take(&interfaces, &policy, &table).iter().for_each(|sentence| warn!("{sentence}"));
        let link_stats_poller = LinkStatsPoller::begin(&mut netlink, &link_history);
        Ok(Self {
            notices,
            netlink,
            link_history,
            traffic_control,
            policy,
            copy_warnings,
            interfaces,
            routes,
            table: Arc::new(table),
            attached: None,
            subscribers: Vec::new(),
            promiscuous: Promiscuous::default(),
            link_stats_poller,
            changes: ChangeLatency::default(),
        })
    }

    /// Returns the table in force.
    pub fn table(&self) -> &Arc<VerdictTable> {
        &self.table
    }

    /// Returns the descriptors that its thread uses: all packet sockets, and the sockets of rtnetlink.
    pub fn descriptors(&self) -> Vec<RawFd> {
        let packet = self.subscribers.iter().map(|(socket, _)| socket.as_fd().as_raw_fd());
        let traffic_control = self.traffic_control.notices().map(AsRawFd::as_raw_fd);
        let routes = self.routes.iter().flat_map(Routes::descriptors);
        let own = [self.notices.as_raw_fd(), self.netlink.descriptor(), self.link_history.descriptor()];
        let counters = self.link_stats_poller.descriptor();
        packet.chain(own).chain(traffic_control).chain(routes).chain(counters).collect()
    }

    /// Returns the history of interfaces that were added after the start.
    pub(super) fn link_history(&self) -> &Arc<LinkHistory> {
        &self.link_history
    }

    /// Publishes the first counters of the kernel, and returns the cell with them and all later ones.
    pub(super) fn kernel_stats(&mut self) -> Arc<Published<KernelStats>> {
        self.link_stats_poller.publish(&self.table, self.changes);
        self.link_stats_poller.published()
    }

    /// Adds a socket that gets every new filter. Returns the mailbox of its worker, which gets every new table.
    pub(super) fn subscribe(&mut self, socket: Arc<PacketSocket>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.subscribers.push((socket, Arc::clone(&mailbox)));
        mailbox
    }

    /// Attaches the filter of the table to every socket, unless it is attached already.
    pub(super) fn attach_filters(&mut self) -> nix::Result<()> {
        let program = filter::program(&self.table);
        if self.attached.as_ref() == Some(&program) {
            return Ok(());
        }
        self.attached = None;
        self.subscribers.iter().try_for_each(|(socket, _)| match socket.attach_filter(&program) {
            Err(Errno::ENOMEM) => {
                warn!(
                    "no room for a filter of {} instructions: interfaces are told apart in user space. \
                     Raise net.core.optmem_max",
                    program.len()
                );
                socket.attach_filter(&filter::program_for_any_interface(&self.table))
            }
            other => other,
        })?;
        self.attached = Some(program);
        Ok(())
    }

    /// Puts the interfaces that the policy names into promiscuous mode.
    pub(super) fn set_promiscuous(&mut self) {
        if let Some((socket, _)) = self.subscribers.first() {
            self.promiscuous.follow(&self.interfaces.links, &self.policy, socket);
        }
    }

    /// Follows the interfaces until `handle` stops the monitor.
    ///
    /// # Errors
    /// The wait for notices has failed. The last table and filters stay in force.
    pub fn run(mut self, handle: &MonitorHandle) -> Result<(), CaptureError> {
        let mut read_schedule = ReadSchedule::begin(monotonic_now());
        if self.routes.as_ref().is_some_and(Routes::is_reading) {
            read_schedule.want_routes();
        }
        loop {
            let timeout = self.due_at(&read_schedule).since(monotonic_now());
            let traffic_control = self.traffic_control.notices().map(AsFd::as_fd);
            let is_notified = wait(handle.waker(), self.notices.as_fd(), traffic_control, timeout)?;
            if handle.is_stopped() {
                return Ok(());
            }
            let now = monotonic_now();
            if is_notified && let Some(policy) = handle.take_policy() {
                self.replace_policy(*policy);
                read_schedule.changed(now);
                read_schedule.want_routes();
            }
            self.read_notices(&mut read_schedule, now)?;
            if self.traffic_control.due_at().is_some_and(|at| at <= now) {
                read_schedule.changed(now);
            }
            if let Some(changed_at) = read_schedule.take_change(now) {
                let cpu_before = thread_cpu_time();
                let is_in_force = self.read_interfaces(changed_at);
                read_schedule.read(monotonic_now(), thread_cpu_time().saturating_sub(cpu_before));
                if !is_in_force {
                    read_schedule.retry(changed_at, now);
                }
                // The reading may have missed a change whose notice arrived meanwhile. The change may be as old as
                // `now`.
                self.read_notices(&mut read_schedule, now)?;
            }
            if read_schedule.routes_are_due(now) {
                self.read_routes(&mut read_schedule);
            }
            if read_schedule.counters_are_due(monotonic_now()) {
                self.link_stats_poller.read(&mut self.netlink, &self.link_history);
                self.link_stats_poller.publish(&self.table, self.changes);
                // There is no notice when an interface that is excluded by a former name is to become monitored.
                if self.interfaces.links.iter().any(|link| self.policy.excludes_former_name_of(link)) {
                    read_schedule.changed(monotonic_now());
                }
                if let Some(routes) = &mut self.routes
                    && routes.take_changed()?
                {
                    read_schedule.want_routes();
                }
            }
        }
    }

    /// Replaces the policy. Its effects are in force after the next reading.
    fn replace_policy(&mut self, policy: Policy) {
        let wants_routes = policy.local_networks == LocalNetworks::Auto;
        if !wants_routes {
            self.routes = None;
        } else if self.routes.is_none() {
            match Routes::subscribe() {
                Ok(routes) => self.routes = Some(routes),
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the routes cannot be read: networks are local by addresses alone"
                ),
            }
        }
        if (&policy.excluded, &policy.promiscuous) != (&self.policy.excluded, &self.policy.promiscuous) {
            warn_of_unmatched(&policy, &self.interfaces);
        }
        self.policy = policy;
    }

    /// Schedules a reading for a change at `at` if there are notices.
    fn read_notices(&mut self, read_schedule: &mut ReadSchedule, at: Moment) -> Result<(), CaptureError> {
        if self.discard_notices()? {
            read_schedule.changed(at);
            read_schedule.want_routes();
        }
        Ok(self.traffic_control.catch_up()?)
    }

    /// Returns the time of the next reading of any kind. Filters of tc are read with the interfaces, so they add no
    /// time if a reading of these is scheduled already.
    fn due_at(&self, read_schedule: &ReadSchedule) -> Moment {
        let of_filters = self.traffic_control.due_at().filter(|_| !read_schedule.has_change());
        of_filters.map_or(read_schedule.due_at(), |at| at.min(read_schedule.due_at()))
    }

    /// Reads the interfaces and puts the resulting table and filter in force. Returns true if that succeeded.
    fn read_interfaces(&mut self, changed_at: Moment) -> bool {
        match Interfaces::read(&mut self.netlink) {
            Ok(interfaces) => self.interfaces = interfaces,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the interfaces cannot be read");
                return false;
            }
        }
        self.interfaces.mirred = self.traffic_control.read(&mut self.netlink).to_vec();
        self.add_former_names();
        let is_new = self.renew_table();
        let is_in_force = (!is_new && self.attached.is_some()) || self.finish_change(changed_at);
        self.set_promiscuous();
        is_in_force
    }

    /// Adds former names to interfaces that were added at most [`RECENT`] ago. Older interfaces do not need them:
    /// frames that were captured under their former names have left the rings.
    fn add_former_names(&mut self) {
        let recent = self.link_history.added_since(monotonic_now().minus(RECENT));
        for link in &mut self.interfaces.links {
            if let Some(names) = recent.get(&link.ifindex) {
                link.former_names.clone_from(names);
            }
        }
    }

    /// Attaches the filter of a new table and publishes the change. Returns true if the filter was attached.
    fn finish_change(&mut self, changed_at: Moment) -> bool {
        let attached = self.attach_filters();
        match &attached {
            Ok(()) => self.changes.add(monotonic_now().since(changed_at)),
            // The workers have the new table, so they count what they receive correctly. But the old filter may drop
            // frames that should count.
            Err(error) => {
                warn!(%error, "setsockopt(SO_ATTACH_FILTER) failed: the filter before stays in force");
            }
        }
        if self.link_stats_poller.lacks_any_of(&self.table) {
            self.link_stats_poller.read(&mut self.netlink, &self.link_history);
        }
        self.link_stats_poller.publish(&self.table, self.changes);
        attached.is_ok()
    }

    /// Reads the next routes. When all of them are read, the resulting table is put in force.
    fn read_routes(&mut self, read_schedule: &mut ReadSchedule) {
        let Some(routes) = &mut self.routes else {
            // The policy was replaced since: the configuration lists the networks now.
            return read_schedule.stepped(monotonic_now(), Duration::ZERO, true);
        };
        let cpu_before = thread_cpu_time();
        let is_over = routes.step(ROUTES_STEP).unwrap_or_else(|error| {
            warn!(
                error = &error as &dyn std::error::Error,
                "the routes cannot be read until the next change"
            );
            true
        });
        if is_over && self.renew_table() {
            self.link_stats_poller.publish(&self.table, self.changes);
        }
        read_schedule.stepped(monotonic_now(), thread_cpu_time().saturating_sub(cpu_before), is_over);
    }

    /// Makes a table of the last reading. If it differs from the table in force, this puts it in force and into every
    /// mailbox, and returns true.
    fn renew_table(&mut self) -> bool {
        let table = table(&self.policy, &self.interfaces, self.routes.as_ref()).following(&self.table);
        if table == *self.table {
            return false;
        }
        if table.to_string() != self.table.to_string() {
            info!("{table}");
        }
        self.table = Arc::new(table);
        let sentences = self.copy_warnings.take(&self.interfaces, &self.policy, &self.table);
        sentences.iter().for_each(|sentence| warn!("{sentence}"));
        for (_, mailbox) in &self.subscribers {
            mailbox.put(Arc::clone(&self.table));
        }
        true
    }

    /// Empties the socket of notices. Returns true if there was a notice in it. Only the history of links reads the
    /// content of notices, from its own socket.
    fn discard_notices(&mut self) -> Result<bool, CaptureError> {
        self.link_history.catch_up();
        Ok(discard(&self.notices)?)
    }
}

/// Makes a table of a policy and a reading.
fn table(policy: &Policy, interfaces: &Interfaces, routes: Option<&Routes>) -> VerdictTable {
    let networks = match &policy.local_networks {
        LocalNetworks::List(networks) => LocalPrefixes::new(networks),
        LocalNetworks::Auto => {
            LocalPrefixes::find(&interfaces.own_addresses, routes.map_or(&[], Routes::known))
        }
    };
    VerdictTable::new(interfaces, policy).with_local_networks(networks)
}

/// Warns once of each name or pattern in the configuration that matches no interface.
fn warn_of_unmatched(policy: &Policy, interfaces: &Interfaces) {
    policy.unmatched(&interfaces.links).iter().for_each(|sentence| warn!("{sentence}"));
}

/// Waits until the waker is notified, there are notices, or the timeout has passed. Returns true if the waker was
/// notified, or may have been.
fn wait(
    waker: &Waker,
    notices: BorrowedFd<'_>,
    traffic_control: Option<BorrowedFd<'_>>,
    timeout: Duration,
) -> Result<bool, CaptureError> {
    let fds = [waker.as_fd(), notices].into_iter().chain(traffic_control);
    let mut polled: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // The timeout is rounded up. If it were rounded down, the wait would end before the timeout.
    let timeout_ms = u16::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    match poll(&mut polled, PollTimeout::from(timeout_ms)) {
        Ok(_) | Err(Errno::EINTR) => Ok(polled[0].any().unwrap_or(true)),
        Err(error) => Err(call("poll")(error.into()).into()),
    }
}

/// The netlink groups whose notices make a new reading necessary.
const GROUPS: [u32; 5] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_NETCONF,
    libc::RTNLGRP_IPV6_NETCONF,
];

/// Time after its addition in which an interface is also excluded by its former names. It is longer than the time that
/// a frame stays in a ring, even if the worker is late.
const RECENT: Duration = Duration::from_secs(1);
/// Maximum time by which the first reading of routes delays the start of the program.
const FIRST_ROUTES: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::super::options::Options;
    use super::*;

    /// If the reading stayed due, the thread would not sleep.
    #[test]
    fn a_due_reading_of_routes_ends_if_the_new_policy_needs_none() {
        let policy = |local_networks| {
            Policy::new(&Options {
                workers: 1,
                ring_memory_bytes: 1 << 20,
                excluded_interfaces: vec![],
                promiscuous: vec![],
                local_networks,
                direction: Default::default(),
                event_loop: Default::default(),
                wire_exact: Default::default(),
                counts_received: false,
            })
        };
        let mut link_monitor =
            LinkMonitor::open(policy(LocalNetworks::Auto)).expect("netlink needs no capability");
        let mut read_schedule = ReadSchedule::begin(monotonic_now());
        read_schedule.want_routes();
        link_monitor.replace_policy(policy(LocalNetworks::List(vec![])));
        link_monitor.read_routes(&mut read_schedule);
        assert!(!read_schedule.routes_are_due(monotonic_now().plus(Duration::from_secs(3600))));
        assert!(read_schedule.due_at() > monotonic_now(), "it sleeps until the counters are due");
    }
}
