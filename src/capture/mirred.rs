//! Reads which interfaces `tc mirred` sends frames to: the redirections and mirrors of traffic control, among them
//! those to an `ifb`.
//!
//! The rules are in the filters of queueing disciplines. So the disciplines of every interface are dumped, then the
//! filters of each discipline that can have filters, and those of inner classes: the filters of a leaf class see no
//! frame. At most [`FILTER_DUMPS_MAX`] lists of filters are dumped, those of disciplines below classes last, and it is
//! said if there are more. The filters of a block that several interfaces share are in the dump of each of them. A dump
//! needs no capability. A kernel without traffic control refuses the first dump, and then there are no rules.
//!
//! This file does not contain the content of filters, which [`tc_filter`](super::tc_filter) parses, or what a rule
//! means for the verdicts; see [`copies`](super::copies).
//!
//! Sources: `include/uapi/linux/{rtnetlink,pkt_sched}.h`, `net/sched/cls_api.c` (`tc_dump_tfilter`),
//! `net/sched/sch_htb.c` (`htb_classify`, `htb_dump_class`).

use std::collections::{BTreeSet, HashSet};
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
    /// True if it was logged that there are more lists of filters than are read.
    has_warned_of_unread: bool,
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
            has_warned_of_unread: false,
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

    /// Empties the socket and notes whether a filter, an action or a queueing discipline has changed. Classes, of which
    /// a shaper may have thousands, are ignored: a filter is usually added to a class that has some below it already.
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
                Ok(filters) => {
                    if let Some(sentence) = filters.unread_sentence()
                        && !std::mem::replace(&mut self.has_warned_of_unread, true)
                    {
                        warn!("{sentence}");
                    }
                    self.rules = filters.rules;
                }
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

/// What was read of the filters of this namespace.
#[derive(Debug, Default)]
pub(super) struct MirredFilters {
    /// The rules, sorted and without repetition.
    pub(super) rules: Vec<MirredRule>,
    /// Number of lists of filters that were not read, since there are more than [`FILTER_DUMPS_MAX`].
    unread: usize,
}

impl MirredFilters {
    /// Returns a sentence about the lists that were not read; `None` if all were.
    pub(super) fn unread_sentence(&self) -> Option<String> {
        (self.unread > 0).then(|| {
            format!(
                "tc has {} places for filters, of which {FILTER_DUMPS_MAX} were read: copies that tc mirred makes in \
                 the others are counted too, unless ExcludedInterfaces has the interface that gets them",
                FILTER_DUMPS_MAX + self.unread
            )
        })
    }
}

/// Reads the rules of every interface.
pub(super) fn read(netlink: &mut NetlinkSocket) -> Result<MirredFilters, NetlinkError> {
    let disciplines = match read_disciplines(netlink) {
        // A kernel without traffic control has no such dump.
        Err(NetlinkError::Refused { .. }) => return Ok(MirredFilters::default()),
        other => other?,
    };
    let classes = read_classes(netlink, &disciplines)?;
    let mut lists = filter_lists(&disciplines, &classes);
    let unread = lists.len().saturating_sub(FILTER_DUMPS_MAX);
    lists.truncate(FILTER_DUMPS_MAX);
    let blocks: Vec<BlockMember> = disciplines.iter().flat_map(Discipline::memberships).collect();
    let mut rules = Vec::new();
    for FilterList { source, parent } in lists {
        let taken = dump(netlink, &FILTERS, source.ifindex, parent, |body| {
            parse_filter(body, source, &blocks, &mut rules)
        });
        match taken {
            // The interface or the discipline has gone since, or the discipline has no filters.
            Ok(()) | Err(NetlinkError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    rules.sort_unstable();
    rules.dedup();
    Ok(MirredFilters { rules, unread })
}

/// A list of filters, which one dump reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FilterList {
    source: FilterSource,
    /// The discipline or the class that has the filters.
    parent: u32,
}

/// Returns the lists of filters that can have rules: those of an interface first, then those of inner classes, then
/// those of disciplines that serve one class, of which there may be as many as classes.
fn filter_lists(disciplines: &[Discipline], classes: &[Class]) -> Vec<FilterList> {
    let (of_interface, of_class): (Vec<_>, Vec<_>) =
        disciplines.iter().partition(|discipline| discipline.is_of_interface());
    let of_disciplines = |disciplines: Vec<&Discipline>| -> Vec<FilterList> {
        disciplines.into_iter().flat_map(Discipline::filter_lists).collect()
    };
    let inner = inner_classes(disciplines, classes).into_iter().map(|(ifindex, class)| FilterList {
        source: FilterSource { ifindex, side: Side::Egress },
        parent: class,
    });
    of_disciplines(of_interface).into_iter().chain(inner).chain(of_disciplines(of_class)).collect()
}

/// A queueing discipline.
#[derive(Debug)]
pub(super) struct Discipline {
    ifindex: u32,
    handle: u32,
    parent: u32,
    kind: Vec<u8>,
    /// The blocks of filters that it shares with other disciplines.
    blocks: Vec<u32>,
}

impl Discipline {
    /// Returns the blocks that its interface is a member of.
    pub(super) fn memberships(&self) -> impl Iterator<Item = BlockMember> {
        self.blocks.iter().map(|&block| BlockMember { block, ifindex: self.ifindex })
    }

    /// Returns true if the discipline serves all frames of one side of its interface.
    fn is_of_interface(&self) -> bool {
        self.parent == PARENT_ROOT || matches!(&self.kind[..], b"ingress" | b"clsact")
    }

    /// Returns true if the discipline has classes with filters of their own.
    fn has_inner_classes(&self) -> bool {
        matches!(&self.kind[..], b"htb" | b"hfsc")
    }

    /// Returns the lists of filters that this discipline can have. Disciplines without filters have none, which saves a
    /// dump for each.
    fn filter_lists(&self) -> Vec<FilterList> {
        let list = |parent, side| FilterList { source: FilterSource { ifindex: self.ifindex, side }, parent };
        match &self.kind[..] {
            b"ingress" => vec![list(PARENT_INGRESS, Side::Ingress)],
            b"clsact" => vec![list(PARENT_INGRESS, Side::Ingress), list(PARENT_EGRESS, Side::Egress)],
            b"noqueue" | b"pfifo_fast" | b"pfifo" | b"bfifo" | b"mq" | b"fq" | b"netem" => vec![],
            // The kernel makes the default disciplines of the queues of a card with the handle 0, under which no filter
            // can be added unless the discipline is the root.
            _ if self.handle == 0 && self.parent != PARENT_ROOT => vec![],
            _ => vec![list(self.handle, Side::Egress)],
        }
    }
}

fn read_disciplines(netlink: &mut NetlinkSocket) -> Result<Vec<Discipline>, NetlinkError> {
    let mut disciplines = Vec::new();
    dump(netlink, &DISCIPLINES, 0, 0, |body| {
        disciplines.push(parse_discipline(body)?);
        Ok(())
    })?;
    Ok(disciplines)
}

pub(super) fn parse_discipline(body: &[u8]) -> Result<Discipline, String> {
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
    Ok(discipline)
}

/// A class of a discipline.
#[derive(Clone, Copy, Debug)]
struct Class {
    ifindex: u32,
    /// The class or the discipline above it.
    parent: u32,
}

/// Reads the classes of each interface that has a discipline with inner classes, in one dump.
fn read_classes(netlink: &mut NetlinkSocket, disciplines: &[Discipline]) -> Result<Vec<Class>, NetlinkError> {
    let with_classes = disciplines.iter().filter(|discipline| discipline.has_inner_classes());
    let interfaces: BTreeSet<u32> = with_classes.map(|discipline| discipline.ifindex).collect();
    let mut classes = Vec::new();
    for ifindex in interfaces {
        let taken = dump(netlink, &CLASSES, ifindex, 0, |body| {
            classes.push(Class { ifindex, parent: TcHeader::parse(body)?.parent });
            Ok(())
        });
        match taken {
            // The interface has gone since.
            Ok(()) | Err(NetlinkError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(classes)
}

/// Returns the interface and the number of each class that has a class below it. The disciplines themselves, which are
/// above classes too, are not among them.
fn inner_classes(disciplines: &[Discipline], classes: &[Class]) -> BTreeSet<(u32, u32)> {
    let with_classes = disciplines.iter().filter(|discipline| discipline.has_inner_classes());
    // The upper half of the number of a class is that of its discipline; the lower half of a discipline is 0.
    let with_classes: HashSet<(u32, u32)> =
        with_classes.map(|discipline| (discipline.ifindex, discipline.handle >> 16)).collect();
    let parents = classes.iter().map(|class| (class.ifindex, class.parent));
    parents
        .filter(|&(ifindex, parent)| parent & 0xffff != 0 && with_classes.contains(&(ifindex, parent >> 16)))
        .collect()
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
/// Maximum number of lists of filters that are dumped. A dump takes some microseconds, so all of them take some tens of
/// milliseconds.
const FILTER_DUMPS_MAX: usize = 4096;
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
    use crate::capture::netlink::sample::attribute;

    fn discipline(kind: &[u8], handle: u32, parent: u32) -> Discipline {
        Discipline { ifindex: 1, handle, parent, kind: kind.to_vec(), blocks: vec![] }
    }

    fn list(parent: u32, side: Side) -> FilterList {
        FilterList { source: FilterSource { ifindex: 1, side }, parent }
    }

    #[test]
    fn filters_are_requested_where_there_can_be_some() {
        let lists = |kind: &[u8], handle, parent| discipline(kind, handle, parent).filter_lists();
        let ingress = list(PARENT_INGRESS, Side::Ingress);
        assert_eq!(lists(b"ingress", 0xffff_0000, 0xffff_fff1), [ingress]);
        let egress = list(PARENT_EGRESS, Side::Egress);
        assert_eq!(lists(b"clsact", 0xffff_0000, 0xffff_fff1), [ingress, egress]);
        assert_eq!(lists(b"htb", 0x1_0000, PARENT_ROOT), [list(0x1_0000, Side::Egress)]);
        assert_eq!(lists(b"fq_codel", 0, PARENT_ROOT), [list(0, Side::Egress)]);
        assert_eq!(lists(b"fq_codel", 0, 0x8001_0001), [], "of one queue of a card");
        assert_eq!(lists(b"noqueue", 0, PARENT_ROOT), []);
    }

    #[test]
    fn the_filters_of_ten_thousand_leaf_classes_are_not_requested() {
        // 1:1 is below the discipline, 1:2 below 1:1, and 10,000 leaves below 1:2. The kernel states no discipline for
        // a leaf that has the default one.
        let mut classes = vec![
            Class { ifindex: 1, parent: PARENT_ROOT },
            Class { ifindex: 1, parent: 0x1_0001 },
            // The classes of mq, and a class of another interface, have no filters here.
            Class { ifindex: 1, parent: 0x8001_0001 },
            Class { ifindex: 2, parent: 0x1_0007 },
            // The root class of hfsc has the number of the discipline.
            Class { ifindex: 1, parent: 0x1_0000 },
        ];
        classes.extend((0..10_000).map(|_| Class { ifindex: 1, parent: 0x1_0002 }));
        let leaf = discipline(b"fq_codel", 0x9_0000, 0x1_0010);
        let disciplines = [leaf, discipline(b"htb", 0x1_0000, PARENT_ROOT)];
        let expected = [0x1_0000, 0x1_0001, 0x1_0002, 0x9_0000].map(|parent| list(parent, Side::Egress));
        assert_eq!(filter_lists(&disciplines, &classes), expected, "disciplines of classes come last");
    }

    #[test]
    fn lists_that_were_not_read_are_said() {
        let said = |unread| MirredFilters { rules: vec![], unread }.unread_sentence();
        assert_eq!(said(0), None);
        let sentence = said(5905).unwrap();
        assert!(
            sentence.starts_with("tc has 10001 places for filters, of which 4096 were read"),
            "{sentence}"
        );
    }

    #[test]
    fn a_discipline_is_read_with_its_blocks() {
        // `struct tcmsg`: family, number of the interface, handle, parent, info.
        let mut body = [0, 3, 0xffff_0000, 0xffff_fff1, 1].map(u32::to_ne_bytes).concat();
        body.extend(attribute(libc::TCA_KIND, b"clsact\0"));
        body.extend(attribute(TCA_INGRESS_BLOCK, &7u32.to_ne_bytes()));
        body.extend(attribute(TCA_EGRESS_BLOCK, &8u32.to_ne_bytes()));
        let read = parse_discipline(&body).unwrap();
        assert_eq!((read.ifindex, read.handle, read.parent), (3, 0xffff_0000, 0xffff_fff1));
        assert_eq!((&read.kind[..], &read.blocks[..]), (&b"clsact"[..], &[7, 8][..]));
        assert!(parse_discipline(&body[..19]).is_err());
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
    fn the_disciplines_and_rules_of_this_machine_are_read() {
        let mut netlink = NetlinkSocket::open().unwrap();
        let disciplines = read_disciplines(&mut netlink).expect("the dump needs no capability");
        assert!(disciplines.iter().all(|discipline| discipline.ifindex > 0), "{disciplines:?}");
        let filters = read(&mut netlink).unwrap();
        assert!(filters.rules.iter().all(|rule| rule.source > 0 && rule.target > 0), "{filters:?}");
    }
}
