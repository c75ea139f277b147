//! Where a packet counts: once, on one of the interfaces that see it.
//!
//! A packet crosses several interfaces of a gateway and is seen on each. From what [`Interfaces`] says, a policy of
//! pure functions gives every (interface, direction) a [`Verdict`]:
//!
//! * A host that forwards counts what enters; what leaves is evidence. One that does not counts both ways.
//!   Forwarding is IP forwarding on any interface, or a bridge with two ports or more.
//! * A device on top of another (VLAN, bond, bridge, macvlan, what Open vSwitch makes) repeats what the lower one has
//!   shown: it is skipped while a lower one is monitored. Tunnels are no such devices: below them other packets travel.
//! * A veth with both ends in this namespace is a wire inside: both ends are skipped.
//! * A PPPoE session that ends here is seen on the Ethernet device and its packets again on the PPP interface, so its
//!   frames are skipped while one is monitored. Which interface lies on which session rtnetlink does not tell.
//! * What leaves on lo comes in on lo: it never counts.
//! * Frames of an interface that is gone are for what they were for before. One that came after the table was made is
//!   judged by its names alone: no frame of an excluded name counts.
//!
//! It owns the policy and its result, the [`VerdictTable`], which is immutable and asked once per frame. It does
//! not know how the table reaches a worker, nor what the kernel filters of it.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::device_hierarchy::DeviceHierarchy;
use super::interfaces::{InterfaceName, Interfaces};
use super::local_prefixes::LocalPrefixes;
use super::policy::Policy;
use super::source::Verdict;
use crate::packet::{Direction, Skip};

/// What a frame is for, by its interface and direction; made anew when the interfaces change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictTable {
    rows: HashMap<u32, InterfaceVerdicts, foldhash::fast::FixedState>,
    /// Interfaces that were in a table before and are in none now, the longest gone first.
    gone: Vec<(u32, InterfaceVerdicts)>,
    forwards: bool,
    /// The standing of frames that leave through an ordinary interface.
    egress: Verdict,
    /// VLANs whose device is excluded, by the interface that carries them.
    hidden_vlans: Vec<(u32, u16)>,
    /// Sorted.
    own_addresses: Vec<IpAddr>,
    local_networks: LocalPrefixes,
    /// Whether the name of an interface that nobody knows may be an excluded one. That of lo is not: lo stays.
    excludes_unknown: bool,
    /// A PPP interface is monitored.
    terminates_pppoe: bool,
    policy: Policy,
}

/// One interface of an [`VerdictTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceVerdicts {
    /// Its name; `None` where it was gone before anybody could ask.
    pub name: Option<InterfaceName>,
    /// What a frame that comes in is for.
    pub ingress: Verdict,
    /// What a frame that goes out is for.
    pub egress: Verdict,
}

impl InterfaceVerdicts {
    /// What a frame of this direction is for.
    pub fn verdict(&self, direction: Direction) -> Verdict {
        match direction {
            Direction::Ingress | Direction::OtherHost => self.ingress,
            Direction::Egress => self.egress,
        }
    }

    /// Why nothing of the interface is looked at, or `None` if it is monitored.
    pub fn skipped(&self) -> Option<Skip> {
        match self.ingress {
            Verdict::Skip(reason) => Some(reason),
            _ => None,
        }
    }
}

impl VerdictTable {
    pub(super) fn new(interfaces: &Interfaces, policy: &Policy) -> Self {
        let device_hierarchy = DeviceHierarchy::new(interfaces, policy);
        let forwards = interfaces.ip_forwarding || device_hierarchy.bridges();
        let egress = policy.egress(forwards);
        let rows = interfaces.links.iter().map(|link| {
            let ordinary =
                InterfaceVerdicts { name: Some(link.name.clone()), ingress: Verdict::Count, egress };
            let row = match device_hierarchy.skip(link) {
                Some(reason) => InterfaceVerdicts {
                    ingress: Verdict::Skip(reason),
                    egress: Verdict::Skip(reason),
                    ..ordinary
                },
                None if link.hatype == libc::ARPHRD_LOOPBACK => {
                    InterfaceVerdicts { egress: Verdict::Skip(Skip::Egress), ..ordinary }
                }
                None => ordinary,
            };
            (link.ifindex, row)
        });
        let is_lo = |name: &InterfaceName| {
            interfaces.links.iter().any(|link| link.hatype == libc::ARPHRD_LOOPBACK && link.name == *name)
        };
        let mut own_addresses: Vec<_> = interfaces.own_addresses.iter().map(|own| own.addr).collect();
        own_addresses.sort_unstable();
        own_addresses.dedup();
        Self {
            rows: rows.collect(),
            gone: Vec::new(),
            forwards,
            egress,
            hidden_vlans: device_hierarchy.hidden_vlans(),
            own_addresses,
            local_networks: LocalPrefixes::default(),
            terminates_pppoe: interfaces
                .links
                .iter()
                .any(|link| link.hatype == libc::ARPHRD_PPP && device_hierarchy.skip(link).is_none()),
            excludes_unknown: policy.excluded.iter().any(|name| !is_lo(name)),
            policy: policy.clone(),
        }
    }

    /// What a frame is for; `None` if the interface is not in the table.
    #[inline]
    pub fn verdict(&self, ifindex: u32, direction: Direction) -> Option<Verdict> {
        self.rows.get(&ifindex).map(|row| row.verdict(direction))
    }

    /// The same table with these local networks.
    pub(super) fn with_local_networks(self, local_networks: LocalPrefixes) -> Self {
        Self { local_networks, ..self }
    }

    /// The same table, which also remembers what has gone since `before`: frames may still lie in a ring.
    pub(super) fn following(mut self, before: &Self) -> Self {
        let has_gone = |ifindex: &u32| !self.rows.contains_key(ifindex);
        let mut gone = before.gone.clone();
        gone.retain(|(ifindex, _)| has_gone(ifindex));
        let latest = before.rows.iter().filter(|&(ifindex, _)| has_gone(ifindex));
        let mut latest: Vec<_> = latest.map(|(&ifindex, row)| (ifindex, row.clone())).collect();
        latest.sort_unstable_by_key(|&(ifindex, _)| ifindex);
        gone.extend(latest);
        gone.drain(..gone.len().saturating_sub(GONE_MAX));
        self.gone = gone;
        self
    }

    /// The row of an interface that the table does not have: it has gone, or has come after the table was made.
    /// `names` are the names that it is known to have had since it came, the latest last.
    ///
    /// One of them that is excluded excludes it, since the frame may have been seen under that name. Where none is
    /// known and any may be excluded, nothing of it is counted. For the rest it is what it was before, or an ordinary
    /// interface.
    pub(super) fn unknown_interface(&self, ifindex: u32, names: &[InterfaceName]) -> InterfaceVerdicts {
        let name = names.last().cloned();
        let skipped = |reason| {
            let verdict = Verdict::Skip(reason);
            InterfaceVerdicts { name: name.clone(), ingress: verdict, egress: verdict }
        };
        if names.iter().any(|name| self.policy.excludes(name)) {
            return skipped(Skip::ExcludedInterface);
        }
        let gone = self.gone.iter().rfind(|&&(number, _)| number == ifindex);
        match gone {
            Some((_, row)) => row.clone(),
            None if name.is_none() && self.excludes_unknown => skipped(Skip::UnknownInterface),
            None => InterfaceVerdicts { name, ingress: Verdict::Count, egress: self.egress },
        }
    }

    /// Whether every frame is for the same as in `other`.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        self.rows == other.rows && self.egress == other.egress && self.hidden_vlans == other.hidden_vlans
    }

    /// Whether `addr` is an address of this host.
    pub fn is_own(&self, addr: IpAddr) -> bool {
        self.own_addresses.binary_search(&addr).is_ok()
    }

    /// Networks that this host is attached to or that lie behind it, without overlap and in ascending order.
    pub fn local_networks(&self) -> &[IpNet] {
        self.local_networks.as_slice()
    }

    /// Whether `addr` is in a local network.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.local_networks.contains(addr)
    }

    /// Whether a PPP interface shows the packets of PPPoE sessions that end here.
    #[inline]
    pub fn terminates_pppoe(&self) -> bool {
        self.terminates_pppoe
    }

    /// Whether a frame of this direction shows what its destination receives, if that is counted. Where leaving frames
    /// are told from entering ones, those that leave do: behind NAT they alone name the host that gets them. Where
    /// all frames count, each of them does.
    #[inline]
    pub fn arrives(&self, direction: Direction) -> bool {
        self.policy.counts_received && (direction == Direction::Egress || self.egress == Verdict::Count)
    }

    /// Whether every frame that leaves must be looked at.
    pub(super) fn needs_all_leaving(&self) -> bool {
        self.policy.counts_received
    }

    /// Whether this host forwards packets.
    pub fn forwards(&self) -> bool {
        self.forwards
    }

    /// The interfaces with their numbers, in ascending order.
    pub fn interfaces(&self) -> Vec<(u32, &InterfaceVerdicts)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(&ifindex, row)| (ifindex, row)).collect();
        rows.sort_unstable_by_key(|&(ifindex, _)| ifindex);
        rows
    }

    /// Whether the table has an interface of this number.
    pub fn has(&self, ifindex: u32) -> bool {
        self.rows.contains_key(&ifindex)
    }

    /// How many interfaces are monitored; none is a state, not an error.
    pub fn monitored(&self) -> usize {
        self.rows.values().filter(|row| row.skipped().is_none()).count()
    }

    /// The standing of frames that leave through an ordinary interface.
    pub(super) fn egress(&self) -> Verdict {
        self.egress
    }

    /// VLANs whose device is excluded, by the interface that carries them.
    pub(super) fn hidden_vlans(&self) -> &[(u32, u16)] {
        &self.hidden_vlans
    }
}

/// One line for the log: what is monitored, what is not and why, which way counts, and what is local.
impl fmt::Display for VerdictTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |row: &InterfaceVerdicts| {
            row.name.as_ref().map_or_else(|| "?".to_owned(), InterfaceName::to_string)
        };
        let (mut monitored, mut skipped) = (Vec::new(), Vec::new());
        for (_, row) in self.interfaces() {
            match row.skipped() {
                None => monitored.push(name(row)),
                Some(reason) => skipped.push(format!("{} ({reason})", name(row))),
            }
        }
        match &monitored[..] {
            [] => f.write_str("no interface is monitored")?,
            names => write!(f, "monitoring {}", shortened(names))?,
        }
        if !skipped.is_empty() {
            write!(f, "; not {}", shortened(&skipped))?;
        }
        let forwards = if self.forwards { "forwards" } else { "does not forward" };
        let counts = match self.egress {
            Verdict::Count => "packets count entering and leaving",
            Verdict::CountIfOwn => "packets count entering, and leaving from an own address",
            Verdict::ObserveOnly | Verdict::Skip(_) => "packets count entering",
        };
        write!(f, "; this host {forwards}, {counts}")?;
        match self.local_networks() {
            [] => Ok(()),
            networks => {
                let networks: Vec<_> = networks.iter().map(IpNet::to_string).collect();
                write!(f, "; local networks are {}", shortened(&networks))
            }
        }
    }
}

/// As many names as a log line should hold.
fn shortened(names: &[String]) -> String {
    const NAMES_MAX: usize = 16;
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMES_MAX].join(", ")),
    }
}

/// Interfaces that are remembered when they have gone.
const GONE_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::interfaces::{Link, OwnAddress};
    use super::super::options::DirectionPolicy;
    use super::*;

    const COUNTS: Verdict = Verdict::Count;
    const EXCLUDED: Verdict = Verdict::Skip(Skip::ExcludedInterface);
    const UPPER: Verdict = Verdict::Skip(Skip::UpperDevice);
    const WIRE: Verdict = Verdict::Skip(Skip::InternalWire);

    fn link(ifindex: u32, name: &str, kind: &str) -> Link {
        let hatype = if name == "lo" { libc::ARPHRD_LOOPBACK } else { libc::ARPHRD_ETHER };
        let kind = (!kind.is_empty()).then(|| kind.to_owned());
        Link { kind, ..Link::alone(ifindex, InterfaceName::new(name.as_bytes()), hatype) }
    }

    fn on(lower: u32, link: Link) -> Link {
        Link { lower: Some(lower), ..link }
    }

    fn port_of(master: u32, link: Link) -> Link {
        Link { master: Some(master), ..link }
    }

    fn table(links: Vec<Link>, excluded: &[&str], direction: DirectionPolicy) -> VerdictTable {
        let excluded = excluded.iter().map(|name| InterfaceName::new(name.as_bytes())).collect();
        let interfaces = Interfaces { links, ..Interfaces::default() };
        VerdictTable::new(&interfaces, &Policy { excluded, direction, ..Policy::default() })
    }

    fn ingress(links: Vec<Link>, excluded: &[&str]) -> Vec<Verdict> {
        table(links, excluded, DirectionPolicy::Auto)
            .interfaces()
            .iter()
            .map(|(_, row)| row.ingress)
            .collect()
    }

    #[test]
    fn an_upper_device_is_skipped_while_a_lower_one_is_monitored() {
        let eth = || link(1, "eth0", "");
        /// Name, links, excluded names, what each link's entering frames are for.
        type Case = (&'static str, Vec<Link>, &'static [&'static str], Vec<Verdict>);
        let cases: Vec<Case> = vec![
            ("vlan", vec![eth(), on(1, link(2, "eth0.5", "vlan"))], &[], vec![COUNTS, UPPER]),
            (
                "vlan, lower excluded",
                vec![eth(), on(1, link(2, "eth0.5", "vlan"))],
                &["eth0"],
                vec![EXCLUDED, COUNTS],
            ),
            ("macvtap", vec![eth(), on(1, link(2, "tap", "macvtap"))], &[], vec![COUNTS, UPPER]),
            (
                "bridge with ports",
                vec![port_of(3, eth()), port_of(3, link(2, "eth1", "")), link(3, "br0", "bridge")],
                &[],
                vec![COUNTS, COUNTS, UPPER],
            ),
            ("bridge without ports", vec![eth(), link(3, "br0", "bridge")], &[], vec![COUNTS, COUNTS]),
            (
                "bridge, every port excluded",
                vec![port_of(3, eth()), link(3, "br0", "bridge")],
                &["eth0"],
                vec![EXCLUDED, COUNTS],
            ),
            (
                "vlan on bond on hardware",
                vec![port_of(2, eth()), link(2, "bond0", "bond"), on(2, link(3, "bond0.7", "vlan"))],
                &[],
                vec![COUNTS, UPPER, UPPER],
            ),
            (
                "vlan on bond, hardware excluded",
                vec![port_of(2, eth()), link(2, "bond0", "bond"), on(2, link(3, "bond0.7", "vlan"))],
                &["eth0"],
                vec![EXCLUDED, COUNTS, UPPER],
            ),
            (
                "Open vSwitch with a physical port",
                vec![
                    port_of(2, eth()),
                    link(2, "ovs-system", "openvswitch"),
                    link(3, "br0", "openvswitch"),
                    port_of(2, link(4, "internal0", "openvswitch")),
                    port_of(2, link(5, "vnet0", "tun")),
                    port_of(2, link(6, "vx0", "vxlan")),
                ],
                &[],
                vec![COUNTS, UPPER, UPPER, UPPER, COUNTS, COUNTS],
            ),
            (
                "Open vSwitch, its only physical port excluded",
                vec![port_of(2, eth()), link(2, "ovs-system", "openvswitch"), link(3, "br0", "openvswitch")],
                &["eth0"],
                vec![EXCLUDED, COUNTS, COUNTS],
            ),
            (
                "Open vSwitch without ports",
                vec![eth(), link(2, "ovs-system", "openvswitch"), link(3, "br0", "openvswitch")],
                &[],
                vec![COUNTS, COUNTS, COUNTS],
            ),
            (
                "vlan on a bridge of Open vSwitch",
                vec![
                    port_of(2, eth()),
                    link(2, "ovs-system", "openvswitch"),
                    link(3, "br0", "openvswitch"),
                    on(3, link(4, "br0.7", "vlan")),
                ],
                &[],
                vec![COUNTS, UPPER, UPPER, UPPER],
            ),
            ("tunnel", vec![eth(), on(1, link(2, "vx0", "vxlan"))], &[], vec![COUNTS, COUNTS]),
            ("port of a switch chip", vec![eth(), on(1, link(2, "lan1", "dsa"))], &[], vec![COUNTS, COUNTS]),
            ("encrypted", vec![eth(), on(1, link(2, "ms0", "macsec"))], &[], vec![COUNTS, COUNTS]),
            ("lower gone", vec![on(9, link(2, "eth0.5", "vlan"))], &[], vec![COUNTS]),
        ];
        for (name, links, excluded, expected) in cases {
            assert_eq!(ingress(links, excluded), expected, "{name}");
        }
    }

    #[test]
    fn a_wire_inside_is_skipped_on_both_ends() {
        let pair = || vec![on(2, link(1, "a", "veth")), on(1, link(2, "b", "veth"))];
        assert_eq!(ingress(pair(), &[]), [WIRE, WIRE]);
        assert_eq!(ingress(pair(), &["a"]), [EXCLUDED, WIRE]);
        // The other end is in another namespace: IFLA_LINK was dropped with the namespace's mark.
        assert_eq!(ingress(vec![link(1, "a", "veth")], &[]), [COUNTS]);
        // Numbers that happen to point at each other one way only.
        assert_eq!(ingress(vec![on(2, link(1, "a", "veth")), link(2, "eth0", "")], &[]), [COUNTS, COUNTS]);
        // A bridge that only wires inside feed is where their packets are seen.
        let mut bridged = pair();
        bridged[0].master = Some(3);
        bridged.push(link(3, "br0", "bridge"));
        assert_eq!(ingress(bridged, &[]), [WIRE, WIRE, COUNTS]);
    }

    #[test]
    fn what_leaves_counts_by_policy_and_by_forwarding() {
        use DirectionPolicy::{Auto, Both, In, InAndOwn};
        let bridge = |kind, ports: u32| {
            let mut links = vec![link(1, "br0", kind)];
            links.extend((0..ports).map(|port| port_of(1, link(10 + port, "port", ""))));
            links
        };
        /// Name, links, IP forwarding, policy; then whether it forwards, and what leaving frames are for.
        type Case = (&'static str, Vec<Link>, bool, DirectionPolicy, bool, Verdict);
        let cases: Vec<Case> = vec![
            ("a host", vec![], false, Auto, false, COUNTS),
            ("a router", vec![], true, Auto, true, Verdict::ObserveOnly),
            ("a router, both", vec![], true, Both, true, COUNTS),
            ("a router, in+own", vec![], true, InAndOwn, true, Verdict::CountIfOwn),
            ("a host, in", vec![], false, In, false, Verdict::ObserveOnly),
            ("a bridge with one port", bridge("bridge", 1), false, Auto, false, COUNTS),
            ("a bridge with two ports", bridge("bridge", 2), false, Auto, true, Verdict::ObserveOnly),
            ("Open vSwitch", bridge("openvswitch", 2), false, Auto, true, Verdict::ObserveOnly),
            ("a bond with two ports", bridge("bond", 2), false, Auto, false, COUNTS),
        ];
        for (name, mut links, ip_forwarding, direction, forwards, egress) in cases {
            links.push(link(99, "eth0", ""));
            let interfaces = Interfaces { links, ip_forwarding, own_addresses: vec![] };
            let table = VerdictTable::new(&interfaces, &Policy { direction, ..Policy::default() });
            assert_eq!(table.forwards(), forwards, "{name}");
            assert_eq!(table.verdict(99, Direction::Egress), Some(egress), "{name}");
            assert_eq!(table.verdict(99, Direction::Ingress), Some(COUNTS), "{name}");
        }
    }

    #[test]
    fn pppoe_ends_here_while_a_ppp_interface_is_monitored() {
        let ppp = || Link { hatype: libc::ARPHRD_PPP, ..link(2, "ppp0", "ppp") };
        for (links, excluded, expected) in [
            (vec![link(1, "eth0", "")], &[][..], false),
            (vec![link(1, "eth0", ""), ppp()], &[], true),
            (vec![link(1, "eth0", ""), ppp()], &["ppp0"], false),
        ] {
            let table = table(links, excluded, DirectionPolicy::Auto);
            assert_eq!(table.terminates_pppoe(), expected, "{table}");
        }
    }

    #[test]
    fn lo_counts_what_comes_in_and_never_what_goes_out() {
        for direction in [DirectionPolicy::Auto, DirectionPolicy::Both, DirectionPolicy::InAndOwn] {
            let table = table(vec![link(1, "lo", "")], &[], direction);
            assert_eq!(table.verdict(1, Direction::Ingress), Some(COUNTS));
            assert_eq!(table.verdict(1, Direction::Egress), Some(Verdict::Skip(Skip::Egress)));
        }
        assert_eq!(ingress(vec![link(1, "lo", "")], &["lo"]), [EXCLUDED]);
    }

    fn names(names: &[&str]) -> Vec<InterfaceName> {
        names.iter().map(|name| InterfaceName::new(name.as_bytes())).collect()
    }

    #[test]
    fn a_stranger_is_judged_by_all_of_its_names() {
        const UNKNOWN: Verdict = Verdict::Skip(Skip::UnknownInterface);
        let table = table(vec![link(1, "lo", "")], &["lo", "dummy0"], DirectionPolicy::In);
        assert_eq!(table.verdict(7, Direction::Ingress), None);
        let cases = [
            (&["dummy0"][..], EXCLUDED, EXCLUDED),
            (&["eth7", "dummy0", "eth8"], EXCLUDED, EXCLUDED),
            (&["dummy"], COUNTS, Verdict::ObserveOnly),
            (&["eth7", "eth8"], COUNTS, Verdict::ObserveOnly),
            (&[], UNKNOWN, UNKNOWN),
        ];
        for (given, ingress, egress) in cases {
            let row = table.unknown_interface(7, &names(given));
            assert_eq!((row.ingress, row.egress), (ingress, egress), "{given:?}");
            assert_eq!(row.name, names(given).last().cloned());
        }
    }

    #[test]
    fn a_stranger_without_a_name_counts_where_its_name_cannot_matter() {
        let lo = || vec![link(1, "lo", "")];
        for (excluded, links, counts) in
            [(&[][..], vec![], true), (&["lo"], lo(), true), (&["lo"], vec![], false), (&["x"], lo(), false)]
        {
            let row = table(links, excluded, DirectionPolicy::In).unknown_interface(7, &[]);
            assert_eq!(row.ingress == COUNTS, counts, "{excluded:?}");
        }
    }

    #[test]
    fn what_came_a_moment_ago_is_excluded_by_the_names_that_it_had_too() {
        let named = |name, former: &[&str]| Link { former_names: names(former), ..link(2, name, "") };
        for (link, expected, in_passing) in [
            (named("eth2", &[]), COUNTS, false),
            (named("eth2", &["eth0"]), COUNTS, false),
            (named("eth2", &["secret", "eth0"]), EXCLUDED, true),
            (named("secret", &["eth0"]), EXCLUDED, false),
        ] {
            let policy = Policy { excluded: names(&["secret"]), ..Policy::default() };
            assert_eq!(policy.excludes_former_name_of(&link), in_passing, "{link:?}");
            assert_eq!(ingress(vec![link.clone()], &["secret"]), [expected], "{link:?}");
        }
    }

    #[test]
    fn what_has_gone_is_what_it_was() {
        let excluded = &["secret"];
        let at = |links| table(links, excluded, DirectionPolicy::In);
        let all = vec![link(1, "eth0", ""), on(1, link(2, "eth0.5", "vlan")), link(3, "secret", "")];
        let before = at(all.clone());
        let after = at(vec![link(4, "eth4", "")]).following(&before);
        let row = |table: &VerdictTable, ifindex, given: &[&str]| {
            table.unknown_interface(ifindex, &names(given)).ingress
        };
        assert_eq!([1, 2, 3].map(|ifindex| row(&after, ifindex, &[])), [COUNTS, UPPER, EXCLUDED]);
        // It has come back under another name, and the next table is not here yet.
        assert_eq!(row(&after, 1, &["secret"]), EXCLUDED);
        assert_eq!(row(&after, 2, &["open"]), UPPER);
        // Nothing has changed since; then everything is back.
        assert_eq!(at(vec![link(4, "eth4", "")]).following(&after), after);
        assert!(at(all).following(&after).gone.iter().map(|(ifindex, _)| ifindex).eq(&[4]));
    }

    #[test]
    fn what_is_remembered_of_the_gone_is_bounded() {
        let many = |from: u32| (from..from + 700).map(|i| link(i, "c", "")).collect();
        let first = table(many(1000), &[], DirectionPolicy::In);
        let second = table(many(2000), &[], DirectionPolicy::In).following(&first);
        let third = table(vec![], &[], DirectionPolicy::In).following(&second);
        assert_eq!((second.gone.len(), third.gone.len()), (700, GONE_MAX));
        assert!(third.gone.iter().any(|&(ifindex, _)| ifindex == 2699), "the longest gone go first");
    }

    #[test]
    fn an_excluded_vlan_device_hides_its_vlan_below() {
        let vlan = |id, link| Link { vlan_id: Some(id), ..link };
        let links = vec![
            port_of(2, link(1, "eth0", "")),
            link(2, "bond0", "bond"),
            vlan(7, on(2, link(3, "guest", "vlan"))),
            // A VLAN inside a VLAN: its tag is the second one on everything below guest.
            vlan(20, on(3, link(4, "inner", "vlan"))),
            vlan(8, on(2, link(5, "office", "vlan"))),
        ];
        let hidden = |excluded: &[&str]| table(links.clone(), excluded, DirectionPolicy::Auto).hidden_vlans;
        assert_eq!(hidden(&["guest"]), [(1, 7), (2, 7)]);
        assert_eq!(hidden(&["inner"]), [(3, 20)]);
        assert_eq!(hidden(&[]), []);
    }

    #[test]
    fn own_addresses_are_known_and_numbers_may_be_large() {
        let own = |addr| OwnAddress { addr, ifindex: 1, prefix: None };
        let addresses = ["fd00::1", "10.0.0.1", "fd00::1"].map(|addr| own(addr.parse().unwrap()));
        let interfaces = Interfaces {
            links: (0..700).map(|i| link(4_000_000_000 + i, "c", "")).collect(),
            ip_forwarding: false,
            own_addresses: addresses.to_vec(),
        };
        let policy = Policy { direction: DirectionPolicy::InAndOwn, ..Policy::default() };
        let table = VerdictTable::new(&interfaces, &policy);
        assert!(table.is_own([10, 0, 0, 1].into()) && !table.is_own([10, 0, 0, 2].into()));
        assert_eq!(table.monitored(), 700);
        assert_eq!(table.verdict(4_000_000_699, Direction::Ingress), Some(COUNTS));
        assert!(table.to_string().contains("and 684 more"), "{table}");
    }

    #[test]
    fn the_log_line_says_what_is_monitored() {
        let links = vec![link(1, "lo", ""), link(2, "eth0", ""), on(2, link(3, "eth0.5", "vlan"))];
        assert_eq!(
            table(links, &["lo"], DirectionPolicy::Auto).to_string(),
            "monitoring eth0; not lo (excluded_interface), eth0.5 (upper_device); \
             this host does not forward, packets count entering and leaving"
        );
        assert!(
            table(vec![], &[], DirectionPolicy::In).to_string().starts_with("no interface is monitored; ")
        );
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        let table =
            table(vec![], &[], DirectionPolicy::In).with_local_networks(LocalPrefixes::new(&networks));
        assert!(table.to_string().ends_with("entering; local networks are 10.0.0.0/8, fd00::/8"), "{table}");
    }
}
