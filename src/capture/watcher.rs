//! Follows the interfaces: when they change, every socket gets a new filter and every worker a new table.
//!
//! It runs on a thread of its own, asleep until the kernel says that a link, an address or a forwarding setting has
//! changed. What the notice says is not read: many of them make one new reading of everything. A notice lost for want
//! of buffer memory is a change like any other. Between two readings lies [`GAP_FACTOR`] times what the last one
//! cost, at least [`GAP_MIN`] and at most [`GAP_MAX`]: so a change is in force within milliseconds, and a storm of
//! changes takes a fifth of a core, more only where a reading costs more than a fifth of [`GAP_MAX`].
//!
//! Once a second it reads what the kernel counts and publishes a new [`KernelView`].
//!
//! Names are another matter: the notices of new and renamed interfaces are read in [`Births`] too, so that a worker can
//! tell by which name to judge a frame whose interface is gone again.
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
use std::time::Duration;

use crossbeam_utils::atomic::AtomicCell;
use libc::sock_filter;
use netlink_sys::Socket;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::{info, warn};

use super::births::Births;
use super::error::{CaptureError, NetlinkError};
use super::filter;
use super::interfaces::Interfaces;
use super::kernel_view::{ChangeLatency, KernelView, Meter};
use super::netlink::{Inquiry, call, subscribe};
use super::topology::{InterfaceTable, Policy};
use crate::published::Published;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::waker::Waker;
use crate::time::{Moment, monotonic_now, thread_cpu_time};

/// Carries the newest table to one worker.
#[derive(Default)]
pub(super) struct Mailbox(AtomicCell<Option<Arc<InterfaceTable>>>);

impl Mailbox {
    /// Puts a table in, in the place of one that was not fetched.
    fn put(&self, table: Arc<InterfaceTable>) {
        self.0.store(Some(table));
    }

    /// Fetches the table, if there is a new one.
    pub(super) fn take(&self) -> Option<Arc<InterfaceTable>> {
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
    births: Arc<Births>,
    policy: Policy,
    table: Arc<InterfaceTable>,
    /// The filter that is on every socket; `None` where not all have the one of the table.
    attached: Option<Vec<sock_filter>>,
    audience: Vec<(Arc<PacketSocket>, Arc<Mailbox>)>,
    meter: Meter,
    changes: ChangeLatency,
}

impl Watcher {
    /// Subscribes to changes, then reads what there is now, so that no change falls between the two.
    pub(super) fn open(policy: Policy) -> Result<Self, NetlinkError> {
        let notices = subscribe(&GROUPS)?;
        let births = Arc::new(Births::subscribe()?);
        let mut inquiry = Inquiry::open()?;
        let table = Arc::new(InterfaceTable::new(&Interfaces::read(&mut inquiry)?, &policy));
        let meter = Meter::begin(&mut inquiry, &births);
        Ok(Self {
            notices,
            inquiry,
            births,
            policy,
            table,
            attached: None,
            audience: Vec::new(),
            meter,
            changes: ChangeLatency::default(),
        })
    }

    /// The table in force.
    pub fn table(&self) -> &Arc<InterfaceTable> {
        &self.table
    }

    /// What is known of interfaces that came after the table was made.
    pub(super) fn births(&self) -> &Arc<Births> {
        &self.births
    }

    /// The cell in which views of what the kernel says are published; the first one is there.
    pub(super) fn views(&mut self) -> Arc<Published<KernelView>> {
        self.meter.publish(&self.table, self.changes);
        self.meter.published()
    }

    /// Adds a socket that is to have every new filter, with the mailbox of its worker.
    pub(super) fn inform(&mut self, socket: Arc<PacketSocket>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::default());
        self.audience.push((socket, Arc::clone(&mailbox)));
        mailbox
    }

    /// Puts the filter in force on every socket.
    pub(super) fn attach_filters(&mut self) -> nix::Result<()> {
        let program = filter::program(&self.table);
        if self.attached.as_ref() == Some(&program) {
            return Ok(());
        }
        self.attached = None;
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
        })?;
        self.attached = Some(program);
        Ok(())
    }

    /// Follows the interfaces until `stop` rings; leaves it ringing.
    ///
    /// # Errors
    /// The wait itself fails. What was set up stays in force.
    pub fn run(mut self, stop: &Waker) -> Result<(), CaptureError> {
        let mut pace = Pace::begin(monotonic_now());
        loop {
            let patience = pace.due_at().since(monotonic_now());
            if rings(stop, self.notices.as_fd(), patience)? {
                return Ok(());
            }
            let now = monotonic_now();
            if self.discard_notices()? {
                pace.changed(now);
            }
            if let Some(changed_at) = pace.take_change(now) {
                let cpu_before = thread_cpu_time();
                let is_followed = self.follow(changed_at);
                pace.read(monotonic_now(), thread_cpu_time().saturating_sub(cpu_before));
                if !is_followed {
                    pace.retry(changed_at, now);
                }
                // Whatever was said during the reading may be in it or not, and may be as old as it.
                if self.discard_notices()? {
                    pace.changed(now);
                }
            }
            if pace.counters_are_due(monotonic_now()) {
                self.meter.read(&mut self.inquiry, &self.births);
                self.meter.publish(&self.table, self.changes);
            }
        }
    }

    /// Reads the interfaces and, if they differ from the table, makes the new one known. Whether that worked.
    fn follow(&mut self, changed_at: Moment) -> bool {
        let table = match Interfaces::read(&mut self.inquiry) {
            Ok(interfaces) => InterfaceTable::new(&interfaces, &self.policy).following(&self.table),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "the interfaces cannot be read");
                return false;
            }
        };
        if table != *self.table {
            if table.to_string() != self.table.to_string() {
                info!("{table}");
            }
            self.table = Arc::new(table);
            for (_, mailbox) in &self.audience {
                mailbox.put(Arc::clone(&self.table));
            }
        } else if self.attached.is_some() {
            return true;
        }
        let attached = self.attach_filters();
        if let Err(error) = &attached {
            // Workers have the new table, so what they count is right; what the old filter drops is not.
            warn!(%error, "setsockopt(SO_ATTACH_FILTER) failed: the filter before stays in force");
        }
        if attached.is_ok() {
            self.changes.add(monotonic_now().since(changed_at));
        }
        if self.meter.lacks_any_of(&self.table) {
            self.meter.read(&mut self.inquiry, &self.births);
        }
        self.meter.publish(&self.table, self.changes);
        attached.is_ok()
    }

    /// Empties the notice socket; whether anything was in it. What it was matters for births only: everything else is
    /// read anew.
    fn discard_notices(&mut self) -> Result<bool, CaptureError> {
        self.births.catch_up();
        let mut notice = Vec::with_capacity(NOTICE_BYTES);
        let mut any = false;
        loop {
            notice.clear();
            match self.notices.recv(&mut notice, libc::MSG_DONTWAIT) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(any),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Notices were lost: a change like any other.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
                Err(error) => return Err(call("recv")(error).into()),
            }
        }
    }
}

/// When to read what.
#[derive(Debug)]
struct Pace {
    /// When the oldest change came that no reading has answered.
    changed_at: Option<Moment>,
    /// The next reading comes no earlier.
    reading_from: Moment,
    counters_at: Moment,
}

impl Pace {
    fn begin(now: Moment) -> Self {
        Self { changed_at: None, reading_from: now, counters_at: now.plus(COUNTERS_EVERY) }
    }

    /// Something has changed at `at`.
    fn changed(&mut self, at: Moment) {
        self.changed_at = Some(self.changed_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// When there is something to do.
    fn due_at(&self) -> Moment {
        match self.changed_at {
            Some(_) => self.reading_from.min(self.counters_at),
            None => self.counters_at,
        }
    }

    /// Since when a change waits, if it is time to read.
    fn take_change(&mut self, now: Moment) -> Option<Moment> {
        if now < self.reading_from { None } else { self.changed_at.take() }
    }

    /// A reading has ended at `now` that cost this much.
    fn read(&mut self, now: Moment, cost: Duration) {
        self.reading_from = now.plus((cost * GAP_FACTOR).clamp(GAP_MIN, GAP_MAX));
    }

    /// The reading of a change did not work.
    fn retry(&mut self, changed_at: Moment, now: Moment) {
        self.changed(changed_at);
        self.reading_from = now.plus(RETRY_AFTER);
    }

    /// Whether it is time for the counters; then the next time is a second later.
    fn counters_are_due(&mut self, now: Moment) -> bool {
        let is_due = now >= self.counters_at;
        if is_due {
            self.counters_at = self.counters_at.plus(COUNTERS_EVERY).max(now);
        }
        is_due
    }
}

/// Waits until `stop` rings (true), or `notices` has something, or time is up (false).
fn rings(stop: &Waker, notices: BorrowedFd<'_>, patience: Duration) -> Result<bool, CaptureError> {
    let mut polled = [stop.as_fd(), notices].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
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

/// A reading takes a fifth of the time: starting a hundred containers makes a thousand notices.
const GAP_FACTOR: u32 = 4;
/// Notices come in handfuls: making one interface takes two or three.
const GAP_MIN: Duration = Duration::from_millis(3);
/// A change is to be in force within a tenth of a second, however many interfaces there are.
const GAP_MAX: Duration = Duration::from_millis(50);
/// When to try again after a reading that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often the counters are read.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);
/// More than any notice needs; what is longer is cut, which does no harm to something nobody reads.
const NOTICE_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_travels_without_a_lock() {
        assert!(AtomicCell::<Option<Arc<InterfaceTable>>>::is_lock_free());
    }

    #[test]
    fn readings_leave_four_times_what_they_cost_between_them() {
        let ms = |ms: u64| Moment(1_000_000 * ms);
        // What a reading costs, and when the next one may be.
        for (cost_us, due_ms) in [(0, 103), (500, 103), (2_000, 108), (10_000, 140), (100_000, 150)] {
            let mut pace = Pace::begin(ms(0));
            assert_eq!((pace.due_at(), pace.take_change(ms(0))), (ms(1000), None), "nothing has changed");
            pace.changed(ms(90));
            assert_eq!(pace.take_change(ms(90)), Some(ms(90)), "the first one is read at once");
            pace.read(ms(100), Duration::from_micros(cost_us));
            pace.changed(ms(102));
            pace.changed(ms(101));
            assert_eq!(pace.due_at(), ms(due_ms), "{cost_us}");
            assert_eq!(pace.take_change(ms(due_ms - 1)), None, "{cost_us}");
            assert_eq!(pace.take_change(ms(due_ms)), Some(ms(101)), "{cost_us}: the oldest change counts");
        }
    }

    #[test]
    fn a_reading_that_failed_is_tried_again() {
        let mut pace = Pace::begin(Moment(0));
        pace.read(Moment(5), Duration::ZERO);
        pace.retry(Moment(1), Moment(5));
        pace.changed(Moment(7));
        let again = Moment(5).plus(RETRY_AFTER);
        assert_eq!(pace.take_change(again.minus(Duration::from_nanos(1))), None);
        assert_eq!(pace.take_change(again), Some(Moment(1)));
    }

    #[test]
    fn counters_are_read_once_a_second() {
        let mut pace = Pace::begin(Moment(0));
        let mut readings = 0;
        let mut now = Moment(0);
        for _ in 0..100 {
            now = now.max(pace.due_at()).plus(Duration::from_millis(3));
            readings += u32::from(pace.counters_are_due(now));
        }
        assert_eq!(readings, 100, "each wake-up has its reading");
        assert!(now <= Moment(0).plus(Duration::from_millis(100_003)), "lateness does not add up");
        // After a standstill there is one reading and not many.
        now = now.plus(Duration::from_secs(60));
        assert!(pace.counters_are_due(now));
        assert!(pace.due_at() >= now);
    }
}
