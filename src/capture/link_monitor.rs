//! Follows the interfaces: when they change, every socket gets a new filter and every worker a new table.
//!
//! It runs on a thread of its own, asleep until the kernel says that a link, an address or a forwarding setting has
//! changed. What the notice says is not read: many of them make one new reading of everything. A notice lost for want
//! of buffer memory is a change like any other. Between two readings lies [`GAP_FACTOR`](super::read_schedule::GAP_FACTOR) times
//! what the last one cost, at least [`GAP_MIN`](super::read_schedule::GAP_MIN) and at most [`GAP_MAX`](super::read_schedule::GAP_MAX): so
//! a change is in force within milliseconds, and a storm of changes takes a fifth of a core, more only where a reading
//! costs more than a quarter of `GAP_MAX`.
//!
//! Once a second it reads what the kernel counts and publishes a new [`KernelStats`]. Routes are read in steps, when
//! they have changed or anything else has.
//!
//! Names are another matter: the notices of new and renamed interfaces are read in [`LinkHistory`] too, so that a worker can
//! tell by which name to judge a frame whose interface is gone again.
//!
//! A table travels through a [`Mailbox`], a cell that holds at most one; a newer one replaces one that was not
//! fetched. No lock, and no worker is woken for it: it looks when it takes a block.
//!
//! If the interfaces cannot be read, the old table stays in force, the log says so, and it is tried again. If their
//! changes cannot even be waited for, [`LinkMonitor::run`] fails: unseen interfaces would be counted by old rules.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use libc::sock_filter;
use netlink_sys::Socket;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};

use super::error::{CaptureError, NetlinkError};
use super::filter;
use super::interfaces::Interfaces;
use super::kernel_stats::{ChangeLatency, KernelStats, LinkStatsPoller};
use super::link_history::LinkHistory;
use super::local_prefixes::LocalPrefixes;
use super::mailbox::Mailbox;
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

/// Follows the interfaces of this namespace.
pub struct LinkMonitor {
    notices: Socket,
    netlink: NetlinkSocket,
    link_history: Arc<LinkHistory>,
    policy: Policy,
    /// What was read last.
    interfaces: Interfaces,
    /// `None` where local networks are configured, not found.
    routes: Option<Routes>,
    table: Arc<VerdictTable>,
    /// The filter that is on every socket; `None` where not all have the one of the table.
    attached: Option<Vec<sock_filter>>,
    subscribers: Vec<(Arc<PacketSocket>, Arc<Mailbox>)>,
    promiscuous: Promiscuous,
    link_stats_poller: LinkStatsPoller,
    changes: ChangeLatency,
}

impl LinkMonitor {
    /// Subscribes to changes, then reads what there is now, so that no change falls between the two.
    pub(super) fn open(policy: Policy) -> Result<Self, NetlinkError> {
        let notices = subscribe(&GROUPS)?;
        let link_history = Arc::new(LinkHistory::subscribe()?);
        let mut netlink = NetlinkSocket::open()?;
        let interfaces = Interfaces::read(&mut netlink)?;
        let mut routes = match &policy.local_networks {
            LocalNetworks::Auto => Some(Routes::subscribe()?),
            LocalNetworks::List(_) => None,
        };
        if let Some(routes) = &mut routes {
            // Where they take longer, the rest is read while packets are counted already.
            routes.step(FIRST_ROUTES)?;
        }
        let table = table(&policy, &interfaces, routes.as_ref());
        let link_stats_poller = LinkStatsPoller::begin(&mut netlink, &link_history);
        Ok(Self {
            notices,
            netlink,
            link_history,
            policy,
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

    /// The table in force.
    pub fn table(&self) -> &Arc<VerdictTable> {
        &self.table
    }

    /// What is known of interfaces that came after the table was made.
    pub(super) fn link_history(&self) -> &Arc<LinkHistory> {
        &self.link_history
    }

    /// The cell in which views of what the kernel says are published; the first one is there.
    pub(super) fn views(&mut self) -> Arc<Published<KernelStats>> {
        self.link_stats_poller.publish(&self.table, self.changes);
        self.link_stats_poller.published()
    }

    /// Adds a socket that is to have every new filter, with the mailbox of its worker.
    pub(super) fn inform(&mut self, socket: Arc<PacketSocket>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.subscribers.push((socket, Arc::clone(&mailbox)));
        mailbox
    }

    /// Puts the filter in force on every socket.
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

    /// Has interfaces receive what is for other stations, where the policy wants that.
    pub(super) fn ask_for_all(&mut self) {
        if let Some((socket, _)) = self.subscribers.first() {
            self.promiscuous.follow(&self.interfaces.links, &self.policy, socket);
        }
    }

    /// Follows the interfaces until `orders` say that it is over.
    ///
    /// # Errors
    /// The wait itself fails. What was set up stays in force.
    pub fn run(mut self, handle: &MonitorHandle) -> Result<(), CaptureError> {
        let mut read_schedule = ReadSchedule::begin(monotonic_now());
        if self.routes.as_ref().is_some_and(Routes::is_reading) {
            read_schedule.want_routes();
        }
        loop {
            let patience = read_schedule.due_at().since(monotonic_now());
            let is_ordered = rings(handle.waker(), self.notices.as_fd(), patience)?;
            if handle.is_stopped() {
                return Ok(());
            }
            let now = monotonic_now();
            if is_ordered && let Some(policy) = handle.take_policy() {
                self.go_by(*policy);
                read_schedule.changed(now);
                read_schedule.want_routes();
            }
            self.hear(&mut read_schedule, now)?;
            if let Some(changed_at) = read_schedule.take_change(now) {
                let cpu_before = thread_cpu_time();
                let is_followed = self.read_interfaces(changed_at);
                read_schedule.read(monotonic_now(), thread_cpu_time().saturating_sub(cpu_before));
                if !is_followed {
                    read_schedule.retry(changed_at, now);
                }
                // Whatever was said during the reading may be in it or not, and may be as old as it.
                self.hear(&mut read_schedule, now)?;
            }
            if read_schedule.routes_are_due(now) {
                self.read_routes(&mut read_schedule);
            }
            if read_schedule.counters_are_due(monotonic_now()) {
                self.link_stats_poller.read(&mut self.netlink, &self.link_history);
                self.link_stats_poller.publish(&self.table, self.changes);
                // That they are excluded in passing ends without a notice.
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

    /// Takes another policy; what follows from it is in force after the next reading.
    fn go_by(&mut self, policy: Policy) {
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
        self.policy = policy;
    }

    /// Takes note that something has changed at `at`, if the kernel has said so.
    fn hear(&mut self, read_schedule: &mut ReadSchedule, at: Moment) -> Result<(), CaptureError> {
        if self.discard_notices()? {
            read_schedule.changed(at);
            read_schedule.want_routes();
        }
        Ok(())
    }

    /// Reads the interfaces and puts what follows in force. Whether that worked.
    fn read_interfaces(&mut self, changed_at: Moment) -> bool {
        match Interfaces::read(&mut self.netlink) {
            Ok(interfaces) => self.interfaces = interfaces,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the interfaces cannot be read");
                return false;
            }
        }
        self.recall_former_names();
        let is_new = self.renew_table();
        let is_in_force = (!is_new && self.attached.is_some()) || self.finish_change(changed_at);
        self.ask_for_all();
        is_in_force
    }

    /// Gives interfaces that came a moment ago the names that they had before. Later there is no need: a filter was in
    /// force by the time they got another one.
    fn recall_former_names(&mut self) {
        let young = self.link_history.after(monotonic_now().minus(YOUNG));
        for link in &mut self.interfaces.links {
            if let Some(names) = young.get(&link.ifindex) {
                link.former_names.clone_from(names);
            }
        }
    }

    /// Puts the filter of a new table in force and shows what has changed. Whether that worked.
    fn finish_change(&mut self, changed_at: Moment) -> bool {
        let attached = self.attach_filters();
        match &attached {
            Ok(()) => self.changes.add(monotonic_now().since(changed_at)),
            // Workers have the new table, so what they count is right; what the old filter drops is not.
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

    /// Goes on reading routes; what was found is in force when all are read.
    fn read_routes(&mut self, read_schedule: &mut ReadSchedule) {
        let Some(routes) = &mut self.routes else {
            // The configuration lists the networks, perhaps only since the reading was wanted.
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

    /// Makes a new table known to every worker if what was read last gives another one than before. Whether it does.
    fn renew_table(&mut self) -> bool {
        let table = table(&self.policy, &self.interfaces, self.routes.as_ref()).following(&self.table);
        if table == *self.table {
            return false;
        }
        if table.to_string() != self.table.to_string() {
            info!("{table}");
        }
        self.table = Arc::new(table);
        for (_, mailbox) in &self.subscribers {
            mailbox.put(Arc::clone(&self.table));
        }
        true
    }

    /// Empties the notice socket; whether anything was in it. What it was matters for births only: everything else is
    /// read anew.
    fn discard_notices(&mut self) -> Result<bool, CaptureError> {
        self.link_history.catch_up();
        Ok(discard(&self.notices)?)
    }
}

/// The table that follows from what was read.
fn table(policy: &Policy, interfaces: &Interfaces, routes: Option<&Routes>) -> VerdictTable {
    let networks = match &policy.local_networks {
        LocalNetworks::List(networks) => LocalPrefixes::new(networks),
        LocalNetworks::Auto => {
            LocalPrefixes::find(&interfaces.own_addresses, routes.map_or(&[], Routes::known))
        }
    };
    VerdictTable::new(interfaces, policy).with_local_networks(networks)
}

/// Waits until the bell rings (true), or `notices` has something, or time is up (false).
fn rings(waker: &Waker, notices: BorrowedFd<'_>, patience: Duration) -> Result<bool, CaptureError> {
    let mut polled = [waker.as_fd(), notices].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    // A part of a millisecond is a whole one, or the wait would be over before its time.
    let patience = u16::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    match poll(&mut polled, PollTimeout::from(patience)) {
        Ok(_) | Err(Errno::EINTR) => Ok(polled[0].any().unwrap_or(true)),
        Err(error) => Err(call("poll")(error.into()).into()),
    }
}

const GROUPS: [u32; 5] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_NETCONF,
    libc::RTNLGRP_IPV6_NETCONF,
];

/// For how long after its coming an interface is judged by all of its names: longer than a frame lies in a ring, also
/// where a worker is late.
const YOUNG: Duration = Duration::from_secs(1);
/// How long the first reading of routes may keep the program from its start.
const FIRST_ROUTES: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::super::options::Options;
    use super::*;

    /// What is wanted and never done keeps the thread awake.
    #[test]
    fn a_reading_of_routes_that_are_not_read_any_more_is_over() {
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
        link_monitor.go_by(policy(LocalNetworks::List(vec![])));
        link_monitor.read_routes(&mut read_schedule);
        assert!(!read_schedule.routes_are_due(monotonic_now().plus(Duration::from_secs(3600))));
        assert!(read_schedule.due_at() > monotonic_now(), "it sleeps until the counters are due");
    }
}
