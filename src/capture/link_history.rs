//! Keeps all names of the interfaces that were added after the start, including those that were removed again.
//!
//! A frame may stay in a ring for longer than its interface exists. Whether the frame counts depends on the name of the
//! interface, which the kernel does not have any more when it was removed. So the netlink notices of new and renamed
//! interfaces are queued on a socket here, and read before each lookup.
//!
//! **Why this is exact.** The kernel adds, renames and removes interfaces under one lock (RTNL). It sends a notice of
//! each new interface (RTM_NEWLINK with all bits of `ifi_change` set) and of each new name, and the notice is in the
//! queue of the socket before the lock is released (`rtnl_configure_link`, `register_netdevice`,
//! `__dev_change_net_namespace`, `rtnetlink_event`). So a thread that finds an interface removed and *then* reads the
//! queue has every name that the interface had since it was added. When the queue overflows, the whole history is
//! dropped, so that the history has either all names of an interface or none.
//!
//! Two kinds of threads read the queue, under a lock: the link monitor whenever it wakes, so that the queue stays
//! short, and a worker for the first frame of a block from an interface that its table does not have. Neither holds the
//! lock for longer than it takes to read the queued notices.
//!
//! It keeps all names; which of them are excluded is decided in `verdict_table.rs`.

use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard};
use std::{fmt, io};

use netlink_sys::Socket;

use super::counters::LinkCounters;
use super::error::NetlinkError;
use super::interfaces::{InterfaceName, LINK_HEADER_BYTES, LinkHeader};
use super::netlink::{attributes, messages, subscribe};
use crate::sys::packet_socket::name_of_interface;
use crate::time::{Moment, monotonic_now};

/// The history of interfaces that were added after the start.
pub(super) struct LinkHistory(Mutex<MessageQueue>);

/// The socket with queued notices, and the records of those that were read.
struct MessageQueue {
    notices: Socket,
    buffer: Vec<u8>,
    records: LinkRecords,
}

impl LinkHistory {
    /// Subscribes to notices. The history has the interfaces that are added from now on.
    pub(super) fn subscribe() -> Result<Self, NetlinkError> {
        let notices = subscribe(&[libc::RTNLGRP_LINK])?;
        // If the system refuses or limits the size, the queue only overflows sooner.
        let _ = notices.set_rx_buf_sz(QUEUE_BYTES);
        let buffer = Vec::with_capacity(NOTICE_BYTES);
        Ok(Self(Mutex::new(MessageQueue { notices, buffer, records: LinkRecords::default() })))
    }

    /// Returns the number of its descriptor.
    pub(super) fn descriptor(&self) -> RawFd {
        self.queue().notices.as_raw_fd()
    }

    /// Returns the name of the interface that has this number now; `None` if there is none.
    pub(super) fn present_name(&self, ifindex: u32) -> Option<InterfaceName> {
        name_of_interface(&self.queue().notices, ifindex).ok().map(InterfaceName::new)
    }

    /// Reads the queued notices.
    pub(super) fn catch_up(&self) {
        self.queue().catch_up();
    }

    /// Returns every name that the interface has had since it was added, the latest one last; empty if its record is
    /// not kept: it was added before the start, had too many names, was displaced by later ones, or the history was
    /// dropped. If several interfaces have had this number, it returns the names of all of them.
    pub(super) fn names_of(&self, ifindex: u32) -> Vec<InterfaceName> {
        let mut queue = self.queue();
        queue.catch_up();
        queue.records.names_of(ifindex).cloned().collect()
    }

    /// Returns the interfaces whose addition was read at or after `since`, with every name that each has had.
    pub(super) fn added_since(&self, since: Moment) -> HashMap<u32, Vec<InterfaceName>> {
        let mut queue = self.queue();
        queue.catch_up();
        let mut recent: HashMap<_, Vec<_>> = HashMap::new();
        for record in queue.records.0.iter().filter(|record| record.added_at >= since) {
            recent.entry(record.ifindex).or_default().extend(record.names.clone());
        }
        recent
    }

    /// Returns the counters that an interface had when it was added; `None` if its addition is not in the history. It
    /// does not read the queue: the link monitor, its only caller, has done so.
    pub(super) fn counters_of(&self, ifindex: u32) -> Option<LinkCounters> {
        self.queue().records.counters_of(ifindex)
    }

    fn queue(&self) -> MutexGuard<'_, MessageQueue> {
        self.0
            .lock()
            .expect("a panic ends the whole process, so no thread has panicked while it held the lock")
    }
}

impl fmt::Debug for LinkHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Reading the content would wait for the lock.
        f.write_str("LinkHistory")
    }
}

impl MessageQueue {
    fn catch_up(&mut self) {
        let Self { notices, buffer, records } = self;
        let mut lost = false;
        loop {
            buffer.clear();
            match notices.recv(buffer, libc::MSG_DONTWAIT) {
                Ok(_) => records.read(buffer, monotonic_now()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The queue has overflowed, or the kernel had no memory for a notice. The kernel reports this before
                // the notices that were queued earlier, and queues no more until the queue is empty.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => lost = true,
                Err(error) => {
                    if lost || error.kind() != io::ErrorKind::WouldBlock {
                        records.clear();
                    }
                    return;
                }
            }
        }
    }
}

/// Interfaces that were created, or moved here from another namespace, the oldest first.
#[derive(Debug, Default)]
struct LinkRecords(VecDeque<LinkRecord>);

#[derive(Debug)]
struct LinkRecord {
    ifindex: u32,
    /// Every name since it was added, the latest last.
    names: Vec<InterfaceName>,
    /// The counters that it had when it was added. They are not 0 if it was moved here from another namespace.
    counters: LinkCounters,
    /// Time at which the notice was read.
    added_at: Moment,
}

impl LinkRecords {
    fn names_of(&self, ifindex: u32) -> impl Iterator<Item = &InterfaceName> {
        self.0.iter().filter(move |record| record.ifindex == ifindex).flat_map(|record| &record.names)
    }

    fn counters_of(&self, ifindex: u32) -> Option<LinkCounters> {
        self.0.iter().rfind(|record| record.ifindex == ifindex).map(|record| record.counters)
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    /// Reads the notices of one datagram.
    fn read(&mut self, datagram: &[u8], now: Moment) {
        for message in messages(datagram) {
            let notice = message.and_then(|message| match message.message_type() {
                libc::RTM_NEWLINK => LinkMessage::parse(message.payload()),
                _ => Ok(None),
            });
            match notice {
                Ok(Some(notice)) => self.add(notice, now),
                Ok(None) => {}
                // The notice was cut, so a name may be missing.
                Err(_) => self.clear(),
            }
        }
    }

    fn add(&mut self, notice: LinkMessage, now: Moment) {
        let LinkMessage { ifindex, is_new, name, counters } = notice;
        if is_new {
            if self.0.len() == RECORDS_MAX {
                self.0.pop_front();
            }
            return self.0.push_back(LinkRecord { ifindex, names: vec![name], counters, added_at: now });
        }
        let Some(at) = self.0.iter().rposition(|record| record.ifindex == ifindex) else { return };
        let names = &mut self.0[at].names;
        if names.last() == Some(&name) {
            return;
        }
        if names.len() < NAMES_MAX {
            names.push(name);
        } else {
            // Not all names of the interface can be kept, so none is kept.
            self.0.remove(at);
        }
    }
}

/// The fields of a RTM_NEWLINK message that the history needs.
#[derive(Debug, PartialEq, Eq)]
struct LinkMessage {
    ifindex: u32,
    /// True if the message announces a new interface.
    is_new: bool,
    name: InterfaceName,
    counters: LinkCounters,
}

impl LinkMessage {
    /// Parses a message; `None` if it has no name.
    fn parse(body: &[u8]) -> Result<Option<Self>, String> {
        let LinkHeader { ifindex, change, .. } = LinkHeader::parse(body)?;
        let (mut name, mut counters) = (None, LinkCounters::default());
        for attribute in attributes(body, LINK_HEADER_BYTES) {
            let attribute = attribute?;
            match attribute.kind() {
                libc::IFLA_IFNAME => name = Some(InterfaceName::from_c_string(attribute.value())),
                libc::IFLA_STATS64 => counters = LinkCounters::parse(attribute.value()).unwrap_or_default(),
                _ => {}
            }
        }
        Ok(name.map(|name| Self { ifindex, is_new: change == u32::MAX, name, counters }))
    }
}

/// Reads the notices of one datagram, for the fuzzer. Returns the number of interfaces that are in the history then.
#[cfg(any(test, fuzzing))]
pub(super) fn fuzzing_records(datagram: &[u8], now: Moment) -> usize {
    let mut records = LinkRecords::default();
    records.read(datagram, now);
    records.0.len()
}

/// Maximum number of interfaces in the history. A thousand containers that start at once add two thousand interfaces.
const RECORDS_MAX: usize = 4096;
/// Maximum number of names of one interface. Usually an interface is renamed once at most.
const NAMES_MAX: usize = 16;
/// Bytes of the queue, which hold several hundred messages; the system limits them to `net.core.rmem_max`.
const QUEUE_BYTES: libc::c_int = 1 << 20;
/// Bytes of the buffer for one notice. A notice has about 2,000 bytes; one that does not fit counts as cut.
const NOTICE_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, reason = "the messages of these tests are short")]

    use super::*;

    const NEW: u32 = u32::MAX;
    const CHANGE: u32 = 0;

    fn notice(ifindex: u32, name: &str, change: u32) -> Vec<u8> {
        let mut body = vec![0, 0, 1, 0];
        body.extend(ifindex.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(change.to_ne_bytes());
        let mut value = name.as_bytes().to_vec();
        value.push(0);
        body.extend((value.len() as u16 + 4).to_ne_bytes());
        body.extend(libc::IFLA_IFNAME.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
        let mut message = (body.len() as u32 + 16).to_ne_bytes().to_vec();
        message.extend(libc::RTM_NEWLINK.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message
    }

    fn names(records: &LinkRecords, ifindex: u32) -> Vec<String> {
        records.names_of(ifindex).map(InterfaceName::to_string).collect()
    }

    #[test]
    fn an_interface_keeps_every_name_since_it_was_added() {
        let mut records = LinkRecords::default();
        records.read(&[notice(7, "eth7", NEW), notice(8, "veth8", NEW)].concat(), Moment(1));
        records.read(&notice(7, "eth7", CHANGE), Moment(1));
        records.read(&notice(7, "secret", CHANGE), Moment(1));
        records.read(&notice(7, "open", CHANGE), Moment(1));
        assert_eq!(names(&records, 7), ["eth7", "secret", "open"]);
        assert_eq!(names(&records, 8), ["veth8"]);
        // The interface is added again, or another one gets its number.
        records.read(&notice(7, "back", NEW), Moment(1));
        records.read(&notice(7, "again", CHANGE), Moment(1));
        assert_eq!(names(&records, 7), ["eth7", "secret", "open", "back", "again"]);
    }

    #[test]
    fn an_interface_without_the_notice_of_its_addition_has_no_names() {
        let mut records = LinkRecords::default();
        records.read(&notice(7, "open", CHANGE), Moment(1));
        assert!(names(&records, 7).is_empty(), "it may have had other names before");
        records.read(&notice(8, "eth8", NEW), Moment(1));
        records.clear();
        records.read(&notice(8, "open", CHANGE), Moment(1));
        assert!(names(&records, 8).is_empty());
        records.read(&notice(9, "eth9", NEW), Moment(1));
        records.read(&notice(10, "cut", NEW)[..30], Moment(1));
        assert!(names(&records, 9).is_empty(), "the cut notice may have been about it");
    }

    #[test]
    fn the_history_is_bounded() {
        let mut records = LinkRecords::default();
        for ifindex in 0..RECORDS_MAX as u32 + 10 {
            records.read(&notice(ifindex, "veth", NEW), Moment(1));
        }
        assert_eq!(records.0.len(), RECORDS_MAX);
        assert!(
            names(&records, 9).is_empty() && !names(&records, 10).is_empty(),
            "the oldest are dropped first"
        );
        for n in 1..NAMES_MAX {
            records.read(&notice(20, &format!("name{n}"), CHANGE), Moment(1));
        }
        assert_eq!(names(&records, 20).len(), NAMES_MAX);
        records.read(&notice(20, "one too many", CHANGE), Moment(1));
        assert!(names(&records, 20).is_empty());
    }

    #[test]
    fn the_counters_of_a_new_interface_are_kept() {
        let mut message = notice(7, "moved0", NEW);
        message.extend((4 + 25 * 8u16).to_ne_bytes());
        message.extend(libc::IFLA_STATS64.to_ne_bytes());
        message.extend((1..=25u64).flat_map(u64::to_ne_bytes));
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
        let mut records = LinkRecords::default();
        records.read(&message, Moment(1));
        assert_eq!(records.counters_of(7).map(|counters| counters.tx_packets), Some(2));
        assert_eq!(records.counters_of(8), None);
    }
}
