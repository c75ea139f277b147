//! Reads which interfaces `tc mirred` sends frames to: the redirections and mirrors of traffic control, among them
//! those to an `ifb`.
//!
//! The rules are in the filters of queueing disciplines. So the disciplines of every interface are dumped, then the
//! filters of each discipline that can have filters, then the filters of inner classes. The filters of a block that
//! several interfaces share are in the dump of each of them. A dump needs no capability. A kernel without traffic
//! control refuses the first dump, and then there are no rules.
//!
//! This file does not contain the content of filters, which [`tc_filter`](super::tc_filter) parses, or what a rule
//! means for the verdicts; see [`copies`](super::copies).
//!
//! Sources: `include/uapi/linux/{rtnetlink,pkt_sched}.h`, `net/sched/cls_api.c` (`tc_dump_tfilter`).

use std::io;
use std::time::Duration;

use netlink_sys::Socket;
use tracing::{debug, warn};

use super::error::NetlinkError;
use super::netlink::{DumpRequest, NetlinkSocket, attributes, call, subscribe};
use super::tc_filter::{
    BlockMember, FilterSource, MirredRule, Side, TC_HEADER_BYTES, TcHeader, number, parse_filter, without_nul,
};
use crate::time::{Moment, monotonic_now, thread_cpu_time};

/// The rules of traffic control in this namespace, and the notices of their changes.
pub(super) struct TrafficControl {
    /// `None` if the system refuses the subscription. The rules are read whenever the interfaces are then.
    notices: Option<Socket>,
    rules: Vec<MirredRule>,
    /// True if the rules may have changed since they were read.
    is_outdated: bool,
    /// The earliest time of the next reading.
    reading_from: Moment,
    /// True if a failure was logged, so that it is logged once.
    has_warned: bool,
}

impl TrafficControl {
    /// Subscribes to changes. The first reading follows with [`TrafficControl::read`].
    pub(super) fn subscribe() -> Self {
        let notices = subscribe(&[libc::RTNLGRP_TC]).inspect_err(|error| {
            debug!(
                error = error as &dyn std::error::Error,
                "changes of tc filters are seen with those of links"
            );
        });
        Self {
            notices: notices.ok(),
            rules: Vec::new(),
            is_outdated: true,
            reading_from: Moment::default(),
            has_warned: false,
        }
    }

    /// Returns the socket with the notices, to wait on.
    pub(super) fn notices(&self) -> Option<&Socket> {
        self.notices.as_ref()
    }

    /// Returns the time from which the rules are to be read again; `None` if they have not changed.
    pub(super) fn due_at(&self) -> Option<Moment> {
        self.is_outdated.then_some(self.reading_from)
    }

    /// Empties the socket and notes whether a filter, an action or a queueing discipline has changed. Classes, which a
    /// shaper may have by the thousand, change no rule.
    pub(super) fn catch_up(&mut self) -> Result<(), NetlinkError> {
        let Some(notices) = &self.notices else { return Ok(()) };
        let mut notice = Vec::with_capacity(NOTICE_BYTES);
        loop {
            notice.clear();
            match notices.recv(&mut notice, libc::MSG_DONTWAIT) {
                Ok(_) => self.is_outdated |= !is_about_class(&notice),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Lost notices count as a change too.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.is_outdated = true,
                Err(error) => return Err(call("recv")(error)),
            }
        }
    }

    /// Returns the rules. They are read if they may have changed and a reading is due; if that fails, the former ones
    /// stay until the next reading.
    pub(super) fn read(&mut self, netlink: &mut NetlinkSocket) -> &[MirredRule] {
        let may_have_changed = self.is_outdated || self.notices.is_none();
        if may_have_changed && monotonic_now() >= self.reading_from {
            let cpu_before = thread_cpu_time();
            let result = read(netlink);
            let cost = thread_cpu_time().saturating_sub(cpu_before);
            self.reading_from = monotonic_now().plus(cost * GAP_FACTOR);
            self.is_outdated = false;
            match result {
                Ok(rules) => self.rules = rules,
                Err(error) => {
                    (self.is_outdated, self.reading_from) = (true, monotonic_now().plus(RETRY_AFTER));
                    if !std::mem::replace(&mut self.has_warned, true) {
                        warn!(
                            error = &error as &dyn std::error::Error,
                            "the filters of tc cannot be read: copies that tc mirred makes are counted too"
                        );
                    }
                }
            }
        }
        &self.rules
    }
}

/// Returns true if a notice is about a class. A notice whose type cannot be read counts as one about a filter.
fn is_about_class(notice: &[u8]) -> bool {
    let kind = notice.get(4..6).and_then(<[u8]>::first_chunk).map(|&bytes| u16::from_ne_bytes(bytes));
    matches!(kind, Some(libc::RTM_NEWTCLASS | libc::RTM_DELTCLASS))
}

/// Reads the rules of every interface, sorted and without repetition.
pub(super) fn read(netlink: &mut NetlinkSocket) -> Result<Vec<MirredRule>, NetlinkError> {
    let disciplines = match read_disciplines(netlink) {
        // A kernel without traffic control has no such dump.
        Err(NetlinkError::Refused { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    let mut rules = Vec::new();
    let blocks: Vec<BlockMember> = disciplines.iter().flat_map(Discipline::memberships).collect();
    for discipline in &disciplines {
        let (ifindex, mut parents) = (discipline.ifindex, discipline.filter_parents());
        if matches!(&discipline.kind[..], b"htb" | b"hfsc") {
            parents
                .extend(inner_classes(netlink, discipline)?.into_iter().map(|class| (class, Side::Egress)));
        }
        for (parent, source_side) in parents {
            let source = FilterSource { ifindex, side: source_side };
            let taken = dump(netlink, &FILTERS, ifindex, parent, |body| {
                parse_filter(body, source, &blocks, &mut rules)
            });
            match taken {
                // The interface or the discipline has gone since, or the discipline has no filters.
                Ok(()) | Err(NetlinkError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    rules.sort_unstable();
    rules.dedup();
    Ok(rules)
}

/// A queueing discipline.
#[derive(Debug)]
struct Discipline {
    ifindex: u32,
    handle: u32,
    parent: u32,
    kind: Vec<u8>,
    /// The blocks of filters that it shares with other disciplines.
    blocks: Vec<u32>,
}

impl Discipline {
    /// Returns the blocks that its interface is a member of.
    fn memberships(&self) -> impl Iterator<Item = BlockMember> {
        self.blocks.iter().map(|&block| BlockMember { block, ifindex: self.ifindex })
    }

    /// Returns the parents that filters of this discipline can have, and the side of the interface whose frames they
    /// see. Disciplines without filters have none, which saves a dump for each.
    fn filter_parents(&self) -> Vec<(u32, Side)> {
        match &self.kind[..] {
            b"ingress" => vec![(PARENT_INGRESS, Side::Ingress)],
            b"clsact" => vec![(PARENT_INGRESS, Side::Ingress), (PARENT_EGRESS, Side::Egress)],
            b"noqueue" | b"pfifo_fast" | b"pfifo" | b"bfifo" | b"mq" | b"fq" | b"netem" => vec![],
            // The kernel makes the default disciplines of the queues of a card with the handle 0, under which no filter
            // can be added unless the discipline is the root.
            _ if self.handle == 0 && self.parent != PARENT_ROOT => vec![],
            _ => vec![(self.handle, Side::Egress)],
        }
    }
}

fn read_disciplines(netlink: &mut NetlinkSocket) -> Result<Vec<Discipline>, NetlinkError> {
    let mut disciplines = Vec::new();
    dump(netlink, &DISCIPLINES, 0, 0, |body| {
        let TcHeader { ifindex, handle, parent, .. } = TcHeader::parse(body)?;
        let mut discipline = Discipline { ifindex, handle, parent, kind: Vec::new(), blocks: Vec::new() };
        for attribute in attributes(body, TC_HEADER_BYTES) {
            let attribute = attribute?;
            match attribute.kind() {
                libc::TCA_KIND => discipline.kind = without_nul(attribute.value()).to_vec(),
                TCA_INGRESS_BLOCK | TCA_EGRESS_BLOCK => discipline.blocks.extend(number(attribute.value())),
                _ => {}
            }
        }
        disciplines.push(discipline);
        Ok(())
    })?;
    Ok(disciplines)
}

/// Returns the classes with classes below them: filters can be on these too. Classes without any name the discipline of
/// their queue (`tcm_info`).
fn inner_classes(netlink: &mut NetlinkSocket, discipline: &Discipline) -> Result<Vec<u32>, NetlinkError> {
    let mut inner = Vec::new();
    let result = dump(netlink, &CLASSES, discipline.ifindex, 0, |body| {
        let TcHeader { handle, info, .. } = TcHeader::parse(body)?;
        if info == 0 && handle >> 16 == discipline.handle >> 16 {
            inner.push(handle);
        }
        Ok(())
    });
    match result {
        Ok(()) | Err(NetlinkError::Refused { .. }) => Ok(inner),
        Err(error) => Err(error),
    }
}

/// One of the three lists of traffic control.
struct TcList {
    what: &'static str,
    request: u16,
    reply: u16,
}

const DISCIPLINES: TcList =
    TcList { what: "queueing disciplines", request: libc::RTM_GETQDISC, reply: libc::RTM_NEWQDISC };
const CLASSES: TcList =
    TcList { what: "tc classes", request: libc::RTM_GETTCLASS, reply: libc::RTM_NEWTCLASS };
const FILTERS: TcList =
    TcList { what: "tc filters", request: libc::RTM_GETTFILTER, reply: libc::RTM_NEWTFILTER };

/// Dumps a list once. What changes meanwhile causes a notice, after which everything is read again.
fn dump(
    netlink: &mut NetlinkSocket,
    list: &TcList,
    ifindex: u32,
    parent: u32,
    take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), NetlinkError> {
    let words = [0, ifindex, 0, parent, 0].map(u32::to_ne_bytes);
    let header = words.as_flattened();
    netlink
        .dump_once(&DumpRequest { what: list.what, request: list.request, reply: list.reply, header }, take)
}

/// The pause after a reading of the rules, in multiples of its CPU time, so that readings take at most a twentieth of a
/// core. A switch that hands its flows to traffic control has ten thousand filters and changes them all the time.
const GAP_FACTOR: u32 = 19;
/// The pause after a reading that failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Bytes that are read of a notice: the header, which has its type. The rest is cut.
const NOTICE_BYTES: usize = 16;
/// Parent of the filters for frames that enter (`TC_H_CLSACT`, `TC_H_MIN_INGRESS`).
const PARENT_INGRESS: u32 = 0xffff_fff2;
/// Parent of the filters for frames that leave (`TC_H_CLSACT`, `TC_H_MIN_EGRESS`).
const PARENT_EGRESS: u32 = 0xffff_fff3;
/// Parent of the root discipline (`TC_H_ROOT`).
const PARENT_ROOT: u32 = u32::MAX;

// include/uapi/linux/rtnetlink.h; libc lacks these.
const TCA_INGRESS_BLOCK: u16 = 13;
const TCA_EGRESS_BLOCK: u16 = 14;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_requested_where_there_can_be_some() {
        let parents = |kind: &[u8], handle, parent| {
            Discipline { ifindex: 1, handle, parent, kind: kind.to_vec(), blocks: vec![] }.filter_parents()
        };
        assert_eq!(parents(b"ingress", 0xffff_0000, 0xffff_fff1), [(PARENT_INGRESS, Side::Ingress)]);
        assert_eq!(parents(b"clsact", 0xffff_0000, 0xffff_fff1).len(), 2);
        assert_eq!(parents(b"htb", 0x1_0000, PARENT_ROOT), [(0x1_0000, Side::Egress)]);
        assert_eq!(parents(b"fq_codel", 0, PARENT_ROOT), [(0, Side::Egress)]);
        assert_eq!(parents(b"fq_codel", 0, 0x8001_0001), [], "of one queue of a card");
        assert_eq!(parents(b"noqueue", 0, PARENT_ROOT), []);
    }

    #[test]
    fn a_notice_about_a_class_changes_no_rule() {
        let notice = |kind: u16| [&36u32.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        assert!(is_about_class(&notice(libc::RTM_NEWTCLASS)) && is_about_class(&notice(libc::RTM_DELTCLASS)));
        for kind in [libc::RTM_NEWTFILTER, libc::RTM_DELTFILTER, libc::RTM_NEWQDISC, libc::RTM_DELQDISC] {
            assert!(!is_about_class(&notice(kind)), "{kind}");
        }
        assert!(!is_about_class(&[]));
    }

    #[test]
    fn the_rules_of_this_machine_are_read() {
        let rules = read(&mut NetlinkSocket::open().unwrap()).unwrap();
        assert!(rules.iter().all(|rule| rule.source > 0 && rule.target > 0), "{rules:?}");
    }
}
