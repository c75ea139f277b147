//! Reads which interfaces `tc mirred` sends frames to: the redirections and mirrors of traffic control, among them
//! those to an `ifb`.
//!
//! The rules are in the filters of queueing disciplines. So the disciplines of every interface are dumped, then the
//! filters of each discipline that can have filters, then the filters of inner classes. The filters of a block that
//! several interfaces share are in the dump of each of them. A dump needs no capability. A kernel without traffic
//! control refuses the first dump, and then there are no rules.
//!
//! This file does not contain what a rule means for the verdicts; see [`copies`](super::copies).
//!
//! Sources: `include/uapi/linux/{rtnetlink,pkt_sched,pkt_cls}.h`, `include/uapi/linux/tc_act/tc_mirred.h`,
//! `net/sched/cls_api.c` (`tc_dump_tfilter`).

use std::io;

use netlink_sys::Socket;
use tracing::{debug, warn};

use super::error::NetlinkError;
use super::netlink::{DumpRequest, NetlinkSocket, attributes, call, subscribe};

/// One action that sends frames of an interface to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MirredRule {
    /// Number of the interface with the filter.
    pub(super) source: u32,
    /// The frames of the source that the filter sees.
    pub(super) source_side: Side,
    /// Number of the interface that gets the frames.
    pub(super) target: u32,
    /// The way in which they cross the target.
    pub(super) target_side: Side,
    /// True if the target gets copies and the frames themselves go on (`mirror`), false if the frames go to the target
    /// alone (`redirect`).
    pub(super) is_mirror: bool,
}

/// A direction in which frames cross an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// Frames that enter.
    Ingress,
    /// Frames that leave.
    Egress,
}

/// The rules of traffic control in this namespace, and the notices of their changes.
pub(super) struct TrafficControl {
    /// `None` if the system refuses the subscription. The rules are read whenever the interfaces are then.
    notices: Option<Socket>,
    rules: Vec<MirredRule>,
    /// True if the rules may have changed since they were read.
    is_outdated: bool,
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
        Self { notices: notices.ok(), rules: Vec::new(), is_outdated: true, has_warned: false }
    }

    /// Returns the socket with the notices, to wait on.
    pub(super) fn notices(&self) -> Option<&Socket> {
        self.notices.as_ref()
    }

    /// Empties the socket. Returns true if a filter, an action or a queueing discipline has changed. Classes, which a
    /// shaper may have by the thousand, change no rule.
    pub(super) fn take_changed(&mut self) -> Result<bool, NetlinkError> {
        let Some(notices) = &self.notices else { return Ok(false) };
        let mut notice = Vec::with_capacity(NOTICE_BYTES);
        let mut is_changed = false;
        loop {
            notice.clear();
            match notices.recv(&mut notice, libc::MSG_DONTWAIT) {
                Ok(_) => is_changed |= !is_about_class(&notice),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Lost notices count as a change too.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => is_changed = true,
                Err(error) => return Err(call("recv")(error)),
            }
        }
        self.is_outdated |= is_changed;
        Ok(is_changed)
    }

    /// Returns the rules. They are read if they may have changed; if that fails, the former ones stay.
    pub(super) fn read(&mut self, netlink: &mut NetlinkSocket) -> &[MirredRule] {
        if self.is_outdated || self.notices.is_none() {
            match read(netlink) {
                Ok(rules) => (self.rules, self.is_outdated) = (rules, false),
                Err(error) if !self.has_warned => {
                    self.has_warned = true;
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "the filters of tc cannot be read: copies that tc mirred makes are counted too"
                    );
                }
                Err(_) => {}
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
    for discipline in &disciplines {
        let (ifindex, mut parents) = (discipline.ifindex, discipline.filter_parents());
        if matches!(&discipline.kind[..], b"htb" | b"hfsc") {
            parents
                .extend(inner_classes(netlink, discipline)?.into_iter().map(|class| (class, Side::Egress)));
        }
        for (parent, source_side) in parents {
            let source = Source { ifindex, side: source_side };
            let taken = dump(netlink, &FILTERS, ifindex, parent, |body| {
                parse_filter(body, source, &disciplines, &mut rules)
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

/// The frames that a filter sees.
#[derive(Clone, Copy)]
struct Source {
    ifindex: u32,
    side: Side,
}

/// Adds the rules of one filter.
fn parse_filter(
    body: &[u8],
    source: Source,
    disciplines: &[Discipline],
    rules: &mut Vec<MirredRule>,
) -> Result<(), String> {
    TcHeader::parse(body)?;
    let (mut kind, mut options) = (Vec::new(), Vec::new());
    for attribute in attributes(body, TC_HEADER_BYTES) {
        let attribute = attribute?;
        match attribute.kind() {
            libc::TCA_KIND => kind = without_nul(attribute.value()).to_vec(),
            libc::TCA_OPTIONS => options = attribute.value().to_vec(),
            _ => {}
        }
    }
    let Some(actions_kind) = actions_attribute(&kind) else { return Ok(()) };
    for attribute in attributes(&options, 0) {
        let attribute = attribute?;
        if attribute.kind() == actions_kind {
            // One attribute for each action, numbered from 1 in the order of execution.
            for action in attributes(attribute.value(), 0) {
                let Some(mirred) = parse_action(action?.value())? else { continue };
                mirred.add_rules(source, disciplines, rules);
            }
        }
    }
    Ok(())
}

/// Returns the attribute with the actions of a filter of this kind (`TCA_*_ACT` of pkt_cls.h); `None` for a kind that
/// has no actions or that this program does not know.
fn actions_attribute(filter_kind: &[u8]) -> Option<u16> {
    Some(match filter_kind {
        b"bpf" | b"cgroup" => 1,
        b"matchall" => 2,
        b"flower" | b"basic" => 3,
        b"fw" => 4,
        b"route" | b"rsvp" | b"rsvp6" => 6,
        b"u32" | b"tcindex" => 7,
        b"flow" => 9,
        _ => return None,
    })
}

/// The parameters of a mirred action.
#[derive(Debug, PartialEq, Eq)]
struct Mirred {
    side: Side,
    is_mirror: bool,
    /// The target; 0 if the action has a block as its target.
    ifindex: u32,
    /// The block whose interfaces are the targets, except the source itself (Linux 6.8).
    block: Option<u32>,
}

impl Mirred {
    fn add_rules(&self, source: Source, disciplines: &[Discipline], rules: &mut Vec<MirredRule>) {
        let rule = |target| MirredRule {
            source: source.ifindex,
            source_side: source.side,
            target,
            target_side: self.side,
            is_mirror: self.is_mirror,
        };
        match self.block {
            Some(block) => {
                let members = disciplines.iter().filter(|discipline| discipline.blocks.contains(&block));
                let others =
                    members.map(|member| member.ifindex).filter(|&ifindex| ifindex != source.ifindex);
                rules.extend(others.map(rule));
            }
            None => rules.push(rule(self.ifindex)),
        }
    }
}

/// Parses one action; `None` if it is not a mirred action.
fn parse_action(body: &[u8]) -> Result<Option<Mirred>, String> {
    let (mut is_mirred, mut options) = (false, Vec::new());
    for attribute in attributes(body, 0) {
        let attribute = attribute?;
        match attribute.kind() {
            TCA_ACT_KIND => is_mirred = without_nul(attribute.value()) == b"mirred",
            TCA_ACT_OPTIONS => options = attribute.value().to_vec(),
            _ => {}
        }
    }
    if !is_mirred {
        return Ok(None);
    }
    let (mut parameters, mut block) = (None, None);
    for attribute in attributes(&options, 0) {
        let attribute = attribute?;
        match attribute.kind() {
            TCA_MIRRED_PARMS => {
                // `struct tc_mirred`: five numbers of all actions (`tc_gen`), what is done, and the target.
                let body: &[u8; 28] = attribute.value().first_chunk().ok_or("a cut mirred action")?;
                let (_, [d0, d1, d2, d3, target @ ..]) = body.split_at(20) else {
                    return Err("a cut mirred action".to_owned());
                };
                let target = <[u8; 4]>::try_from(target).map_err(|error| error.to_string())?;
                parameters = Some((u32::from_ne_bytes([*d0, *d1, *d2, *d3]), u32::from_ne_bytes(target)));
            }
            TCA_MIRRED_BLOCKID => block = number(attribute.value()).filter(|&block| block != 0),
            _ => {}
        }
    }
    let Some((what, ifindex)) = parameters else { return Ok(None) };
    let (side, is_mirror) = match what {
        TCA_EGRESS_REDIR => (Side::Egress, false),
        TCA_EGRESS_MIRROR => (Side::Egress, true),
        TCA_INGRESS_REDIR => (Side::Ingress, false),
        TCA_INGRESS_MIRROR => (Side::Ingress, true),
        _ => return Ok(None),
    };
    Ok(Some(Mirred { side, is_mirror, ifindex, block }))
}

/// The fixed header of messages of traffic control (`struct tcmsg`).
struct TcHeader {
    ifindex: u32,
    handle: u32,
    parent: u32,
    info: u32,
}

impl TcHeader {
    fn parse(body: &[u8]) -> Result<Self, String> {
        let header: &[u8; TC_HEADER_BYTES] = body.first_chunk().ok_or("a tc message without its header")?;
        let (words, _) = header.as_chunks::<4>();
        let &[_, ifindex, handle, parent, info] = words else {
            return Err("a tc message without its header".to_owned());
        };
        let [ifindex, handle, parent, info] = [ifindex, handle, parent, info].map(u32::from_ne_bytes);
        Ok(Self { ifindex, handle, parent, info })
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

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|&bytes| u32::from_ne_bytes(bytes))
}

fn without_nul(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

/// Bytes of a `struct tcmsg`.
const TC_HEADER_BYTES: usize = 20;
/// Bytes that are read of a notice: the header, which has its type. The rest is cut.
const NOTICE_BYTES: usize = 16;
/// Parent of the filters for frames that enter (`TC_H_CLSACT`, `TC_H_MIN_INGRESS`).
const PARENT_INGRESS: u32 = 0xffff_fff2;
/// Parent of the filters for frames that leave (`TC_H_CLSACT`, `TC_H_MIN_EGRESS`).
const PARENT_EGRESS: u32 = 0xffff_fff3;
/// Parent of the root discipline (`TC_H_ROOT`).
const PARENT_ROOT: u32 = u32::MAX;

// include/uapi/linux/rtnetlink.h, pkt_cls.h, tc_act/tc_mirred.h; libc lacks these.
const TCA_INGRESS_BLOCK: u16 = 13;
const TCA_EGRESS_BLOCK: u16 = 14;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TCA_MIRRED_BLOCKID: u16 = 4;
const TCA_EGRESS_REDIR: u32 = 1;
const TCA_EGRESS_MIRROR: u32 = 2;
const TCA_INGRESS_REDIR: u32 = 3;
const TCA_INGRESS_MIRROR: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::netlink::sample::attribute;

    fn mirred(what: u32, target: u32, block: Option<u32>) -> Vec<u8> {
        let words = [1, 0, 4, 1, 1, what, target].map(u32::to_ne_bytes);
        let mut options = attribute(TCA_MIRRED_PARMS, words.as_flattened());
        options.extend(
            block.map(|block| attribute(TCA_MIRRED_BLOCKID, &block.to_ne_bytes())).unwrap_or_default(),
        );
        [attribute(TCA_ACT_KIND, b"mirred\0"), attribute(TCA_ACT_OPTIONS, &options)].concat()
    }

    fn other_action() -> Vec<u8> {
        [attribute(TCA_ACT_KIND, b"skbedit\0"), attribute(TCA_ACT_OPTIONS, &attribute(2, &[0; 28]))].concat()
    }

    fn filter(kind: &str, actions_kind: u16, actions: &[Vec<u8>]) -> Vec<u8> {
        let numbered: Vec<u8> =
            (1..).zip(actions).flat_map(|(number, action)| attribute(number, action)).collect();
        let mut message = vec![0; TC_HEADER_BYTES];
        message.extend(attribute(libc::TCA_KIND, format!("{kind}\0").as_bytes()));
        // Another attribute first, which has other numbers inside.
        let options = [attribute(20, &[0; 8]), attribute(actions_kind, &numbered)].concat();
        // `NLA_F_NESTED`, which newer kernels set.
        message.extend(attribute(libc::TCA_OPTIONS | 0x8000, &options));
        message
    }

    fn rules(message: &[u8], disciplines: &[Discipline]) -> Result<Vec<(u32, Side, bool)>, String> {
        let mut rules = Vec::new();
        parse_filter(message, Source { ifindex: 7, side: Side::Ingress }, disciplines, &mut rules)?;
        assert!(rules.iter().all(|rule| rule.source == 7 && rule.source_side == Side::Ingress));
        Ok(rules.iter().map(|rule| (rule.target, rule.target_side, rule.is_mirror)).collect())
    }

    #[test]
    fn the_target_is_found_in_filters_of_every_kind() {
        let kinds = [
            ("bpf", 1),
            ("cgroup", 1),
            ("matchall", 2),
            ("flower", 3),
            ("basic", 3),
            ("fw", 4),
            ("route", 6),
            ("u32", 7),
            ("tcindex", 7),
            ("flow", 9),
        ];
        for (kind, actions_kind) in kinds {
            let message = filter(kind, actions_kind, &[mirred(TCA_EGRESS_REDIR, 9, None)]);
            assert_eq!(rules(&message, &[]), Ok(vec![(9, Side::Egress, false)]), "{kind}");
        }
        assert_eq!(rules(&filter("later", 3, &[mirred(1, 9, None)]), &[]), Ok(vec![]));
    }

    #[test]
    fn every_action_of_a_filter_is_read() {
        let mut actions = vec![other_action(); 30];
        actions.push(mirred(TCA_INGRESS_MIRROR, 4, None));
        actions.push(mirred(TCA_EGRESS_MIRROR, 5, None));
        let expected = vec![(4, Side::Ingress, true), (5, Side::Egress, true)];
        assert_eq!(rules(&filter("u32", 7, &actions), &[]), Ok(expected));
        let one = |what| rules(&filter("u32", 7, &[mirred(what, 4, None)]), &[]);
        assert_eq!(one(TCA_INGRESS_REDIR), Ok(vec![(4, Side::Ingress, false)]));
        assert_eq!(one(99), Ok(vec![]), "a later kernel may do something else");
    }

    #[test]
    fn a_block_stands_for_its_other_interfaces() {
        let discipline = |ifindex, blocks: &[u32]| Discipline {
            ifindex,
            handle: 0xffff_0000,
            parent: 0xffff_fff1,
            kind: b"clsact".to_vec(),
            blocks: blocks.to_vec(),
        };
        let disciplines =
            [discipline(7, &[22]), discipline(8, &[22]), discipline(9, &[21, 22]), discipline(10, &[21])];
        let message = filter("flower", 3, &[mirred(TCA_EGRESS_MIRROR, 0, Some(22))]);
        let expected = vec![(8, Side::Egress, true), (9, Side::Egress, true)];
        assert_eq!(rules(&message, &disciplines), Ok(expected));
    }

    #[test]
    fn a_cut_message_is_an_error() {
        let message = filter("u32", 7, &[mirred(1, 9, None)]);
        assert!(rules(&message[..12], &[]).is_err());
        assert!(rules(&message[..message.len() - 4], &[]).is_err());
        assert!(
            parse_action(&[attribute(1, b"mirred\0"), attribute(2, &attribute(2, &[0; 20]))].concat())
                .is_err()
        );
    }

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
