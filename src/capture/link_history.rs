//! The names of interfaces that came after the start, those that are gone again among them.
//!
//! A frame may lie in a ring for longer than its interface lives. Whether it counts goes by the name of the interface,
//! which the kernel has forgotten by then. So the notices of new and renamed interfaces are kept here, and read at the
//! latest when somebody asks.
//!
//! **Why that is exact.** Making, renaming and removing an interface happen one after the other under one lock of the
//! kernel (RTNL). A new interface is announced (RTM_NEWLINK with all bits of `ifi_change` set) and so is each new
//! name, and the notice is in our queue before the lock is given up (`rtnl_configure_link`, `register_netdevice`,
//! `__dev_change_net_namespace`, `rtnetlink_event`). Whoever finds an interface gone, and *then* reads the queue, has
//! every name that it had since it came. When the queue overflows, everything is forgotten: what is known here is
//! known from birth on, or not at all.
//!
//! There is a lock, as two kinds of threads read from the queue: the watcher whenever it wakes, so that the
//! queue stays short, and a worker for the first frame of a block from an interface that its table does not have.
//! Neither holds it for longer than it takes to read what is queued.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::{fmt, io};

use netlink_sys::Socket;

use super::counters::LinkCounters;
use super::error::NetlinkError;
use super::interfaces::{InterfaceName, LINK_HEADER_BYTES, LinkHeader};
use super::netlink::{attributes, messages, subscribe};
use crate::time::{Moment, monotonic_now};

/// What is known of interfaces that came after the start.
pub(super) struct LinkHistory(Mutex<MessageQueue>);

/// The queue of notices, and what was in it.
struct MessageQueue {
    notices: Socket,
    buffer: Vec<u8>,
    records: LinkRecords,
}

impl LinkHistory {
    /// Begins to listen: what comes from now on will be known.
    pub(super) fn subscribe() -> Result<Self, NetlinkError> {
        let notices = subscribe(&[libc::RTNLGRP_LINK])?;
        // Refused or cut to what the system allows, it only overflows sooner.
        let _ = notices.set_rx_buf_sz(QUEUE_BYTES);
        let buffer = Vec::with_capacity(NOTICE_BYTES);
        Ok(Self(Mutex::new(MessageQueue { notices, buffer, records: LinkRecords::default() })))
    }

    /// Reads what the kernel has said since the last time.
    pub(super) fn catch_up(&self) {
        self.queue().catch_up();
    }

    /// Every name that the interface has had since it came, the latest last; none where that is not known. If more
    /// than one interface had this number, the names of all of them.
    pub(super) fn names_of(&self, ifindex: u32) -> Vec<InterfaceName> {
        let mut queue = self.queue();
        queue.catch_up();
        queue.records.names_of(ifindex).cloned().collect()
    }

    /// Interfaces that came after `since`, with every name that each has had.
    pub(super) fn after(&self, since: Moment) -> HashMap<u32, Vec<InterfaceName>> {
        let mut queue = self.queue();
        queue.catch_up();
        let mut young: HashMap<_, Vec<_>> = HashMap::new();
        for record in queue.records.0.iter().filter(|record| record.heard_at >= since) {
            young.entry(record.ifindex).or_default().extend(record.names.clone());
        }
        young
    }

    /// What had been counted on an interface when it came, if it came after the start.
    pub(super) fn counters_of(&self, ifindex: u32) -> Option<LinkCounters> {
        self.queue().records.counters_of(ifindex)
    }

    fn queue(&self) -> MutexGuard<'_, MessageQueue> {
        self.0.lock().expect("a panic ends the whole process, so nobody has panicked with it")
    }
}

impl fmt::Debug for LinkHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Looking inside would wait for the lock.
        f.write_str("Births")
    }
}

impl MessageQueue {
    fn catch_up(&mut self) {
        let Self { notices, buffer, records } = self;
        let mut lost = false;
        loop {
            buffer.clear();
            match notices.recv(buffer, libc::MSG_DONTWAIT) {
                Ok(_) => records.hear(buffer, monotonic_now()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It has overflown, or the kernel had no memory for a notice. It says so before it hands out what was
                // queued earlier, and takes in nothing until the queue is empty.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => lost = true,
                Err(error) => {
                    if lost || error.kind() != io::ErrorKind::WouldBlock {
                        records.forget();
                    }
                    return;
                }
            }
        }
    }
}

/// Interfaces that were made, or moved here from another namespace, the oldest first.
#[derive(Debug, Default)]
struct LinkRecords(VecDeque<LinkRecord>);

#[derive(Debug)]
struct LinkRecord {
    ifindex: u32,
    /// Every name since then, the latest last.
    names: Vec<InterfaceName>,
    /// What had been counted by then.
    counters: LinkCounters,
    /// When it was heard of.
    heard_at: Moment,
}

impl LinkRecords {
    fn names_of(&self, ifindex: u32) -> impl Iterator<Item = &InterfaceName> {
        self.0.iter().filter(move |record| record.ifindex == ifindex).flat_map(|record| &record.names)
    }

    fn counters_of(&self, ifindex: u32) -> Option<LinkCounters> {
        self.0.iter().rfind(|record| record.ifindex == ifindex).map(|record| record.counters)
    }

    fn forget(&mut self) {
        self.0.clear();
    }

    /// Takes in the notices of one datagram.
    fn hear(&mut self, datagram: &[u8], now: Moment) {
        for message in messages(datagram) {
            let notice = message.and_then(|message| match message.message_type() {
                libc::RTM_NEWLINK => LinkMessage::parse(message.payload()),
                _ => Ok(None),
            });
            match notice {
                Ok(Some(notice)) => self.note(notice, now),
                Ok(None) => {}
                // It was cut: what it said is lost.
                Err(_) => self.forget(),
            }
        }
    }

    fn note(&mut self, notice: LinkMessage, now: Moment) {
        let LinkMessage { ifindex, is_birth, name, counters } = notice;
        if is_birth {
            if self.0.len() == BIRTHS_MAX {
                self.0.pop_front();
            }
            return self.0.push_back(LinkRecord { ifindex, names: vec![name], counters, heard_at: now });
        }
        let Some(at) = self.0.iter().rposition(|record| record.ifindex == ifindex) else { return };
        let names = &mut self.0[at].names;
        if names.last() == Some(&name) {
            return;
        }
        if names.len() < NAMES_MAX {
            names.push(name);
        } else {
            // Not all of its names can be known, so none is.
            self.0.remove(at);
        }
    }
}

/// RTM_NEWLINK as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct LinkMessage {
    ifindex: u32,
    is_birth: bool,
    name: InterfaceName,
    counters: LinkCounters,
}

impl LinkMessage {
    /// `None` for a notice that names nobody.
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
        Ok(name.map(|name| Self { ifindex, is_birth: change == u32::MAX, name, counters }))
    }
}

/// Interfaces that are remembered. A thousand containers that start at once are two thousand.
const BIRTHS_MAX: usize = 4096;
/// Names that are remembered of one interface. Nothing renames one twice.
const NAMES_MAX: usize = 16;
/// Room for some hundred notices; the system cuts it to `net.core.rmem_max`.
const QUEUE_BYTES: libc::c_int = 1 << 20;
/// A notice takes two kilobytes, and longer ones are parsed as cut.
const NOTICE_BYTES: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const BIRTH: u32 = u32::MAX;
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
    fn an_interface_keeps_every_name_since_its_birth() {
        let mut records = LinkRecords::default();
        records.hear(&[notice(7, "eth7", BIRTH), notice(8, "veth8", BIRTH)].concat(), Moment(1));
        records.hear(&notice(7, "eth7", CHANGE), Moment(1));
        records.hear(&notice(7, "secret", CHANGE), Moment(1));
        records.hear(&notice(7, "open", CHANGE), Moment(1));
        assert_eq!(names(&records, 7), ["eth7", "secret", "open"]);
        assert_eq!(names(&records, 8), ["veth8"]);
        // It comes back, or another one gets its number.
        records.hear(&notice(7, "back", BIRTH), Moment(1));
        records.hear(&notice(7, "again", CHANGE), Moment(1));
        assert_eq!(names(&records, 7), ["eth7", "secret", "open", "back", "again"]);
    }

    #[test]
    fn without_a_birth_no_name_is_known() {
        let mut records = LinkRecords::default();
        records.hear(&notice(7, "open", CHANGE), Moment(1));
        assert!(names(&records, 7).is_empty(), "it had others before");
        records.hear(&notice(8, "eth8", BIRTH), Moment(1));
        records.forget();
        records.hear(&notice(8, "open", CHANGE), Moment(1));
        assert!(names(&records, 8).is_empty());
        records.hear(&notice(9, "eth9", BIRTH), Moment(1));
        records.hear(&notice(10, "cut", BIRTH)[..30], Moment(1));
        assert!(names(&records, 9).is_empty(), "whatever the cut notice said may have been about it");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut records = LinkRecords::default();
        for ifindex in 0..BIRTHS_MAX as u32 + 10 {
            records.hear(&notice(ifindex, "veth", BIRTH), Moment(1));
        }
        assert_eq!(records.0.len(), BIRTHS_MAX);
        assert!(names(&records, 9).is_empty() && !names(&records, 10).is_empty(), "the oldest go first");
        for n in 1..NAMES_MAX {
            records.hear(&notice(20, &format!("name{n}"), CHANGE), Moment(1));
        }
        assert_eq!(names(&records, 20).len(), NAMES_MAX);
        records.hear(&notice(20, "one too many", CHANGE), Moment(1));
        assert!(names(&records, 20).is_empty());
    }

    #[test]
    fn a_notice_says_what_was_counted_before() {
        let mut message = notice(7, "moved0", BIRTH);
        message.extend((4 + 25 * 8u16).to_ne_bytes());
        message.extend(libc::IFLA_STATS64.to_ne_bytes());
        message.extend((1..=25u64).flat_map(u64::to_ne_bytes));
        let len = message.len() as u32;
        message[..4].copy_from_slice(&len.to_ne_bytes());
        let mut records = LinkRecords::default();
        records.hear(&message, Moment(1));
        assert_eq!(records.counters_of(7).map(|counters| counters.tx_packets), Some(2));
        assert_eq!(records.counters_of(8), None);
    }
}
