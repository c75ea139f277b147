//! States which interfaces would be monitored with some options, and why not the others, without opening a packet
//! socket. It needs no capability.
//!
//! The statements are for people; the verdicts themselves are in [`verdict_table`](super::verdict_table).

use super::device_hierarchy::{DeviceHierarchy, OtherStations};
use super::error::NetlinkError;
use super::interfaces::{InterfaceName, Interfaces, Link};
use super::mirred;
use super::netlink::NetlinkSocket;
use super::options::Options;
use super::policy::Policy;
use super::source::Verdict;
use super::verdict_table::VerdictTable;
use crate::packet::{Direction, Skip};

/// What live capture would do with the interfaces of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// One line for each interface: its name, and whether and why it is monitored.
    pub interfaces: Vec<String>,
    /// The directions that count, and whether this machine forwards packets.
    pub directions: String,
    /// One sentence for each name or pattern of the options that matches no interface, and one if no interface would be
    /// monitored.
    pub warnings: Vec<String>,
}

/// Reads the interfaces of this namespace and states what live capture would do with them.
///
/// # Errors
/// The system refuses netlink, or the interfaces cannot be read.
pub fn survey(options: &Options) -> Result<Survey, NetlinkError> {
    let mut netlink = NetlinkSocket::open()?;
    let mut interfaces = Interfaces::read(&mut netlink)?;
    let mut warnings = Vec::new();
    match mirred::read(&mut netlink) {
        Ok(filters) => {
            warnings.extend(filters.unread_sentence());
            interfaces.mirred = filters.rules;
        }
        Err(error) => warnings.push(format!("{error}; so copies that tc mirred makes are not found")),
    }
    let mut survey = Survey::new(&interfaces, &Policy::new(options));
    survey.warnings.extend(warnings);
    Ok(survey)
}

impl Survey {
    fn new(interfaces: &Interfaces, policy: &Policy) -> Self {
        let table = VerdictTable::new(interfaces, policy);
        let device_hierarchy = DeviceHierarchy::new(interfaces, policy);
        let line = |link: &Link| {
            let parts =
                InterfaceSentence { link, policy, device_hierarchy: &device_hierarchy, table: &table };
            format!("{}: {}", link.name, parts.sentence())
        };
        let mut warnings = policy.unmatched(&interfaces.links);
        if table.monitored() == 0 {
            warnings.push("no interface would be monitored".to_owned());
        }
        Self {
            interfaces: interfaces.links.iter().map(line).collect(),
            directions: table.directions(),
            warnings,
        }
    }
}

/// What the sentence about one interface is made of.
struct InterfaceSentence<'a> {
    link: &'a Link,
    policy: &'a Policy,
    device_hierarchy: &'a DeviceHierarchy<'a>,
    table: &'a VerdictTable,
}

impl InterfaceSentence<'_> {
    fn sentence(&self) -> String {
        let Some(row) = self.table.row(self.link.ifindex) else { return "not monitored".to_owned() };
        match row.skipped() {
            Some(reason) => format!("not monitored: {}", self.why_skipped(reason)),
            None => format!("{}{}", self.what_is_left_out(), self.why_other_stations()),
        }
    }

    fn why_skipped(&self, reason: Skip) -> String {
        match reason {
            Skip::ExcludedInterface => match self.policy.excluding(&self.link.name) {
                Some(pattern) => format!("excluded by `{pattern}`"),
                None => "excluded by a former name".to_owned(),
            },
            Skip::InternalWire => "both ends of this veth pair are here".to_owned(),
            Skip::UpperDevice => self.why_repeated(),
            other => other.to_string(),
        }
    }

    /// Says which interfaces an upper device repeats.
    fn why_repeated(&self) -> String {
        let copies = self.device_hierarchy.copies(self.link);
        let mut lowers: Vec<String> =
            self.device_hierarchy.repeated(self.link).map(|lower| lower.name.to_string()).collect();
        if let Some(more @ 1..) = lowers.len().checked_sub(NAMES_MAX) {
            lowers.truncate(NAMES_MAX);
            lowers.push(format!("{more} more"));
        }
        match (&lowers[..], copies.egress.or(copies.ingress).or(copies.ingress_instead)) {
            ([], Some(source)) => format!("receives copies from {} by tc mirred", self.name_of(source)),
            ([], None) => "an ifb, which shows frames of other interfaces again".to_owned(),
            (lowers, _) => format!("upper device of {}", lowers.join(", ")),
        }
    }

    /// Says that the interface is monitored, and in which direction it is not.
    fn what_is_left_out(&self) -> String {
        let copies = self.device_hierarchy.copies(self.link);
        let is_skipped = |direction| {
            let verdict = self.table.verdict(self.link.ifindex, direction);
            verdict == Some(Verdict::Skip(Skip::UpperDevice))
        };
        let left_out = if is_skipped(Direction::Ingress) {
            copies.ingress.or(copies.ingress_instead).map(|source| ("entering", source))
        } else if is_skipped(Direction::Egress) {
            copies.egress.map(|source| ("leaving", source))
        } else {
            None
        };
        match left_out {
            Some((side, source)) => {
                format!("monitored, except {side} frames: copies from {} by tc mirred", self.name_of(source))
            }
            None => "monitored".to_owned(),
        }
    }

    /// Says why frames for other stations count on an Ethernet interface; nothing if they do not.
    fn why_other_stations(&self) -> &'static str {
        let is_ethernet = self.link.hatype == libc::ARPHRD_ETHER;
        match self.device_hierarchy.other_stations(self.link) {
            OtherStations::All if self.policy.wants_promiscuous(&self.link.name) => {
                ", with frames for other stations: it is in Promiscuous"
            }
            OtherStations::All if is_ethernet => {
                ", with frames for other stations: a device above it gets them"
            }
            _ => "",
        }
    }

    fn name_of(&self, ifindex: u32) -> String {
        let link = self.device_hierarchy.link(ifindex);
        link.map_or_else(
            || "another interface".to_owned(),
            |link: &Link| InterfaceName::to_string(&link.name),
        )
    }
}

/// Maximum number of lower devices that are named.
const NAMES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::name_pattern::NamePattern;
    use crate::capture::tc_filter::{MirredRule, Side};

    fn link(ifindex: u32, name: &str, kind: &str) -> Link {
        let kind = (!kind.is_empty()).then(|| kind.to_owned());
        Link { kind, ..Link::alone(ifindex, InterfaceName::new(name), libc::ARPHRD_ETHER) }
    }

    #[test]
    fn each_interface_has_a_line_that_says_why() {
        let lower = |lower, link| Link { lower: Some(lower), ..link };
        let port = |link| Link { master: Some(8), ..link };
        let links = vec![
            link(1, "lo", ""),
            link(2, "wan0", ""),
            lower(2, link(3, "wan0.5", "vlan")),
            link(4, "ifb0", "ifb"),
            link(5, "span0", ""),
            link(6, "veth1a2b", "veth"),
            port(link(7, "lan0", "")),
            link(8, "br0", "bridge"),
            lower(10, link(9, "a0", "veth")),
            lower(9, link(10, "a1", "veth")),
            link(11, "tap0", "tun"),
            link(12, "ifb1", "ifb"),
        ];
        let rule = |source_side, target, is_mirror| MirredRule {
            source: 2,
            source_side,
            target,
            target_side: Side::Egress,
            is_mirror,
        };
        let mirred = vec![rule(Side::Ingress, 4, false), rule(Side::Egress, 5, true)];
        let interfaces = Interfaces { links, mirred, ip_forwarding: true, ..Interfaces::default() };
        let patterns = |texts: &[&str]| texts.iter().map(|text| NamePattern::new(text)).collect();
        let policy = Policy {
            excluded: patterns(&["lo", "veth*", "dummy0"]),
            promiscuous: patterns(&["tap?", "span9"]),
            ..Policy::default()
        };
        let survey = Survey::new(&interfaces, &policy);
        let expected = [
            "lo: not monitored: excluded by `lo`",
            "wan0: monitored",
            "wan0.5: not monitored: upper device of wan0",
            "ifb0: not monitored: receives copies from wan0 by tc mirred",
            "span0: monitored, except leaving frames: copies from wan0 by tc mirred",
            "veth1a2b: not monitored: excluded by `veth*`",
            "lan0: monitored, with frames for other stations: a device above it gets them",
            "br0: not monitored: upper device of lan0",
            "a0: not monitored: both ends of this veth pair are here",
            "a1: not monitored: both ends of this veth pair are here",
            "tap0: monitored, with frames for other stations: it is in Promiscuous",
            "ifb1: not monitored: an ifb, which shows frames of other interfaces again",
        ];
        assert_eq!(survey.interfaces, expected);
        assert_eq!(survey.directions, "this host forwards, packets count entering");
        let [dummy0, span9] = &survey.warnings[..] else { panic!("{:?}", survey.warnings) };
        assert!(dummy0.contains("`dummy0`, which is in ExcludedInterfaces"), "{dummy0}");
        assert!(span9.contains("`span9`, which is in Promiscuous"), "{span9}");
    }

    #[test]
    fn it_is_said_if_nothing_would_be_monitored() {
        let interfaces = Interfaces { links: vec![link(1, "lo", "")], ..Interfaces::default() };
        let policy = Policy { excluded: vec![NamePattern::new("*")], ..Policy::default() };
        let survey = Survey::new(&interfaces, &policy);
        assert_eq!(survey.interfaces, ["lo: not monitored: excluded by `*`"]);
        assert_eq!(survey.warnings, ["no interface would be monitored"]);
    }
}
