//! Follows the interfaces: when they change, every socket gets a new filter and every worker a new table.
//!
//! It runs on a thread of its own, asleep until the kernel says that a link, an address or a forwarding setting has
//! changed. What the notice says is not read: many of them make one new reading of everything, at most one per
//! [`READING_GAP_MS`]. A notice lost for want of buffer memory is a change like any other.
//!
//! A table travels through a [`Mailbox`], a cell that holds at most one; a newer one replaces one that was not
//! fetched. No lock, and no worker is woken for it: it looks when it takes a block.
//!
//! If the interfaces cannot be read, the old table stays in force, the log says so, and it is tried again. If their
//! changes cannot even be waited for, [`Watcher::run`] fails: unseen interfaces would be counted by old rules.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crossbeam_utils::atomic::AtomicCell;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};

use super::error::{CaptureError, NetlinkError};
use super::filter;
use super::interfaces::Interfaces;
use super::netlink::{Inquiry, call};
use super::topology::{InterfaceTable, Policy};
use crate::sys::packet_socket::PacketSocket;
use crate::sys::waker::Waker;

/// Carries the newest table to one worker.
#[derive(Default)]
pub(super) struct Mailbox(AtomicCell<Option<Box<InterfaceTable>>>);

impl Mailbox {
    /// Puts a table in, in the place of one that was not fetched.
    fn put(&self, table: Box<InterfaceTable>) {
        self.0.store(Some(table));
    }

    /// Fetches the table, if there is a new one.
    pub(super) fn take(&self) -> Option<Box<InterfaceTable>> {
        self.0.take()
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Looking inside would take the table out.
        f.write_str("Mailbox")
    }
}

/// Follows the interfaces of this namespace.
pub struct Watcher {
    notices: Socket,
    inquiry: Inquiry,
    policy: Policy,
    table: InterfaceTable,
    /// The filter of the table could not be put on every socket.
    filters_are_behind: bool,
    audience: Vec<(Arc<PacketSocket>, Arc<Mailbox>)>,
}

impl Watcher {
    /// Subscribes to changes, then reads what there is now, so that no change falls between the two.
    pub(super) fn open(policy: Policy) -> Result<Self, NetlinkError> {
        let notices = subscribe()?;
        let mut inquiry = Inquiry::open()?;
        let table = InterfaceTable::new(&Interfaces::read(&mut inquiry)?, &policy);
        Ok(Self { notices, inquiry, policy, table, filters_are_behind: false, audience: Vec::new() })
    }

    /// The table in force.
    pub fn table(&self) -> &InterfaceTable {
        &self.table
    }

    /// Adds a socket that is to have every new filter, with the mailbox of its worker.
    pub(super) fn inform(&mut self, socket: Arc<PacketSocket>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.audience.push((socket, Arc::clone(&mailbox)));
        mailbox
    }

    /// Puts the filter in force on every socket.
    pub(super) fn attach_filters(&self) -> nix::Result<()> {
        let program = filter::program(&self.table);
        self.audience.iter().try_for_each(|(socket, _)| match socket.attach_filter(&program) {
            Err(Errno::ENOMEM) => {
                warn!(
                    "no room for a filter of {} instructions: interfaces are told apart in user space. \
                     Raise net.core.optmem_max",
                    program.len()
                );
                socket.attach_filter(&filter::program_for_any_interface(&self.table))
            }
            other => other,
        })
    }

    /// Follows the interfaces until `stop` rings; leaves it ringing.
    ///
    /// # Errors
    /// The wait itself fails. What was set up stays in force.
    pub fn run(mut self, stop: &Waker) -> Result<(), CaptureError> {
        let mut patience = PollTimeout::NONE;
        loop {
            if rings(stop, Some(self.notices.as_fd()), patience)? {
                return Ok(());
            }
            self.discard_notices()?;
            patience = if self.follow() { PollTimeout::NONE } else { PollTimeout::from(RETRY_AFTER_MS) };
            if rings(stop, None, PollTimeout::from(READING_GAP_MS))? {
                return Ok(());
            }
        }
    }

    /// Reads the interfaces and, if they differ from the table, makes the new one known. Whether that worked.
    fn follow(&mut self) -> bool {
        let table = match Interfaces::read(&mut self.inquiry) {
            Ok(interfaces) => InterfaceTable::new(&interfaces, &self.policy),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the interfaces cannot be read");
                return false;
            }
        };
        if table != self.table {
            if table.to_string() != self.table.to_string() {
                info!("{table}");
            }
            self.table = table;
            for (_, mailbox) in &self.audience {
                mailbox.put(Box::new(self.table.clone()));
            }
        } else if !self.filters_are_behind {
            return true;
        }
        let attached = self.attach_filters();
        if let Err(error) = &attached {
            // Workers have the new table, so what they count is right; what the old filter drops is not.
            warn!(%error, "setsockopt(SO_ATTACH_FILTER) failed: the filter before stays in force");
        }
        self.filters_are_behind = attached.is_err();
        attached.is_ok()
    }

    /// Empties the notice socket. What is in it does not matter: everything is read anew.
    fn discard_notices(&mut self) -> Result<(), CaptureError> {
        let mut notice = Vec::with_capacity(NOTICE_BYTES);
        loop {
            notice.clear();
            match self.notices.recv(&mut notice, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Notices were lost: a change like any other.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(call("recv")(error).into()),
            }
        }
    }
}

fn subscribe() -> Result<Socket, NetlinkError> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(call("socket(AF_NETLINK)"))?;
    socket.bind(&SocketAddr::new(0, 0)).map_err(call("bind"))?;
    for group in GROUPS {
        socket.add_membership(group).map_err(call("setsockopt(NETLINK_ADD_MEMBERSHIP)"))?;
    }
    Ok(socket)
}

/// Waits until `stop` rings (true), or `notices` has something, or time is up (false).
fn rings(stop: &Waker, notices: Option<BorrowedFd<'_>>, patience: PollTimeout) -> Result<bool, CaptureError> {
    let polled = [Some(stop.as_fd()), notices].into_iter().flatten();
    let mut polled: Vec<_> = polled.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    loop {
        match poll(&mut polled, patience) {
            Ok(_) => return Ok(polled[0].any().unwrap_or(true)),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(call("poll")(error.into()).into()),
        }
    }
}

const GROUPS: [u32; 5] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_NETCONF,
    libc::RTNLGRP_IPV6_NETCONF,
];

/// Least time between two readings: starting a hundred containers makes a thousand notices.
const READING_GAP_MS: u16 = 50;
/// When to try again after a reading that failed.
const RETRY_AFTER_MS: u16 = 1000;
/// More than any notice needs; what is longer is cut, which does no harm to something nobody reads.
const NOTICE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_travels_without_a_lock() {
        assert!(AtomicCell::<Option<Box<InterfaceTable>>>::is_lock_free());
    }
}
