//! The rules by which a packet counts once, on one of the interfaces that it crosses, and the table of their results.
//!
//! A packet crosses several interfaces of a gateway and is captured on each. Pure functions of the [`Interfaces`] and
//! the [`Policy`] give every (interface, direction) a [`Verdict`]:
//!
//! * Ingress counts. With [`DirectionPolicy::Auto`](super::options::DirectionPolicy::Auto) egress is only observed on a
//!   gateway, that is, a machine that forwards packets; on any other machine egress counts too. With the other policies
//!   it does not matter whether the machine forwards. A machine forwards if IP forwarding is on for any interface, or
//!   if a bridge has two ports or more. These are the **default verdicts**; the rules below are exceptions to them.
//! * An interface that the configuration excludes is skipped.
//! * A device on top of another one (VLAN, bond, bridge, macvlan, Open vSwitch) repeats the frames of the lower one, so
//!   it is skipped while a lower one is monitored. Tunnels are not such devices: the lower one carries other packets.
//! * What `tc mirred` sends from a monitored interface to another one is a copy: it is skipped on the target, in the
//!   direction in which it crosses it ([`copies`](super::copies)).
//! * A frame for another station is skipped, unless the configuration has the interface in promiscuous mode, a bridge
//!   is above the interface, or a device above it has the address of the station.
//! * If both ends of a veth pair are in this namespace, both are skipped: the pair is a wire inside this machine, and
//!   its packets count on the other interfaces of this namespace that they cross.
//! * A PPPoE session that ends at this machine is captured on the Ethernet device, and its packets again on the PPP
//!   interface. Its frames are skipped while any PPP interface is monitored, since rtnetlink does not report which
//!   interface belongs to which session.
//! * Egress frames of lo are ingress frames of lo again, so they never count.
//! * An interface that is not in the table was removed, or was added after the table was made. It is skipped if one of
//!   its names is excluded. Otherwise a removed interface keeps the verdicts that it had. Any other one is skipped if
//!   no name of it is known and the configuration excludes a name other than that of lo; else it has the default
//!   verdicts.
//!
//! The [`VerdictTable`] is immutable and looked up once per frame. [`mailbox`](super::mailbox) hands a new table to a
//! worker, and [`filter`](super::filter) derives the filter in the kernel from it.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::copies::is_ifb;
use super::device_hierarchy::{DeviceHierarchy, OtherStations};
use super::interfaces::{InterfaceName, Interfaces, Link};
use super::local_prefixes::LocalPrefixes;
use super::name_pattern::NamePattern;
use super::policy::Policy;
use super::source::Verdict;
use super::stations::Station;
use crate::packet::{Direction, Skip};

/// The verdicts by interface and direction. A new table is made when the interfaces or the policy change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictTable {
    rows: HashMap<u32, InterfaceVerdicts, foldhash::fast::FixedState>,
    /// Verdicts on interfaces of former tables that were removed since, by number; the oldest removal comes first.
    removed: Vec<(u32, InterfaceVerdicts)>,
    forwards: bool,
    /// The default verdict on egress frames.
    egress: Verdict,
    /// (ifindex, VLAN ID) of each excluded VLAN device, for every device below it on which frames have that tag.
    excluded_vlans: Vec<(u32, u16)>,
    /// Addresses of this machine, sorted.
    own_addresses: Vec<IpAddr>,
    local_networks: LocalPrefixes,
    /// True if the configuration excludes a name other than that of lo: an interface whose name is unknown may have had
    /// that name. It cannot be lo, which is never removed.
    excludes_unknown: bool,
    /// True if a PPP interface is monitored.
    terminates_pppoe: bool,
    policy: Policy,
}

/// The verdicts on one interface of a [`VerdictTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceVerdicts {
    /// The name of the interface; `None` if the interface was removed before its name was read.
    pub name: Option<InterfaceName>,
    /// The verdict on ingress frames.
    pub ingress: Verdict,
    /// The verdict on ingress frames for other stations.
    pub other_host: Verdict,
    /// The verdict on egress frames.
    pub egress: Verdict,
    /// True if the kernel counts as received what packet sockets see entering. It does not on an ifb, and not on the
    /// target of a `tc mirred` that sends it entering frames.
    pub is_comparable: bool,
    /// True if a bridge forwards frames for other stations that enter here.
    pub(super) is_bridged: bool,
    /// The addresses of devices above, for [`Verdict::CountForDeviceAbove`].
    pub(super) stations: Vec<Station>,
}

impl InterfaceVerdicts {
    /// Returns the verdict on frames of this direction.
    pub fn verdict(&self, direction: Direction) -> Verdict {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::OtherHost => self.other_host,
            Direction::Egress => self.egress,
        }
    }

    /// Returns the reason why the interface is not monitored, or `None` if it is monitored.
    pub fn skipped(&self) -> Option<Skip> {
        match (self.ingress, self.egress) {
            (Verdict::Skip(reason), Verdict::Skip(_)) => Some(reason),
            _ => None,
        }
    }

    /// Makes verdicts by which every ingress frame counts.
    fn counted(name: Option<InterfaceName>, egress: Verdict) -> Self {
        let (ingress, other_host) = (Verdict::Count, Verdict::Count);
        Self {
            name,
            ingress,
            other_host,
            egress,
            is_comparable: true,
            is_bridged: false,
            stations: Vec::new(),
        }
    }

    /// Returns the verdicts with every frame skipped for this reason.
    fn all_skipped(self, reason: Skip) -> Self {
        self.ingress_skipped(reason).egress_skipped(reason)
    }

    /// Returns the verdicts with ingress frames skipped for this reason.
    fn ingress_skipped(self, reason: Skip) -> Self {
        Self { ingress: Verdict::Skip(reason), other_host: Verdict::Skip(reason), ..self }
    }

    /// Returns the verdicts with egress frames skipped for this reason.
    fn egress_skipped(self, reason: Skip) -> Self {
        Self { egress: Verdict::Skip(reason), ..self }
    }
}

impl VerdictTable {
    /// Makes the table, without local networks and without removed interfaces.
    pub(super) fn new(interfaces: &Interfaces, policy: &Policy) -> Self {
        let device_hierarchy = DeviceHierarchy::new(interfaces, policy);
        let forwards = interfaces.ip_forwarding || device_hierarchy.has_forwarding_bridge();
        let egress = policy.egress(forwards);
        let rows = interfaces.links.iter().map(|link| (link.ifindex, row(link, &device_hierarchy, egress)));
        let is_just_lo = |pattern: &NamePattern| {
            let mut loopbacks = interfaces.links.iter().filter(|link| link.hatype == libc::ARPHRD_LOOPBACK);
            loopbacks.any(|link| pattern.is_just(&link.name))
        };
        let mut own_addresses: Vec<_> = interfaces.own_addresses.iter().map(|own| own.addr).collect();
        own_addresses.sort_unstable();
        own_addresses.dedup();
        Self {
            rows: rows.collect(),
            removed: Vec::new(),
            forwards,
            egress,
            excluded_vlans: device_hierarchy.excluded_vlans(),
            own_addresses,
            local_networks: LocalPrefixes::default(),
            terminates_pppoe: interfaces
                .links
                .iter()
                .any(|link| link.hatype == libc::ARPHRD_PPP && device_hierarchy.skip(link).is_none()),
            excludes_unknown: !policy.excluded.iter().all(is_just_lo),
            policy: policy.clone(),
        }
    }

    /// Returns the verdict on a frame; `None` if the interface is not in the table.
    #[inline]
    pub fn verdict(&self, ifindex: u32, direction: Direction) -> Option<Verdict> {
        self.rows.get(&ifindex).map(|row| row.verdict(direction))
    }

    /// Returns the verdicts on an interface; `None` if it is not in the table.
    pub(super) fn row(&self, ifindex: u32) -> Option<&InterfaceVerdicts> {
        self.rows.get(&ifindex)
    }

    /// Returns the table with these local networks.
    pub(super) fn with_local_networks(self, local_networks: LocalPrefixes) -> Self {
        Self { local_networks, ..self }
    }

    /// Returns the table with the verdicts on interfaces that `before` has, or that it had kept, and that this table
    /// does not have: rings may still hold frames of them. At most [`REMOVED_MAX`] are kept.
    pub(super) fn following(mut self, before: &Self) -> Self {
        let is_removed = |ifindex: &u32| !self.rows.contains_key(ifindex);
        let mut removed = before.removed.clone();
        removed.retain(|(ifindex, _)| is_removed(ifindex));
        let latest = before.rows.iter().filter(|&(ifindex, _)| is_removed(ifindex));
        let mut latest: Vec<_> = latest.map(|(&ifindex, row)| (ifindex, row.clone())).collect();
        latest.sort_unstable_by_key(|&(ifindex, _)| ifindex);
        removed.extend(latest);
        removed.drain(..removed.len().saturating_sub(REMOVED_MAX));
        self.removed = removed;
        self
    }

    /// Returns the verdicts on an interface that the table does not have: it was removed, or added after the table was
    /// made. `names` has every name of the interface since it was added, the latest one last; it is empty if they are
    /// unknown.
    ///
    /// If one of the names is excluded, the interface is skipped, since the frame may have been captured under that
    /// name. Otherwise a removed interface has the verdicts of its last table. Any other one is skipped if no name is
    /// known and a name other than that of lo is excluded; else it has the default verdicts.
    pub(super) fn unknown_interface(&self, ifindex: u32, names: &[InterfaceName]) -> InterfaceVerdicts {
        let default_verdicts = InterfaceVerdicts::counted(names.last().cloned(), self.egress);
        if names.iter().any(|name| self.policy.excludes(name)) {
            return default_verdicts.all_skipped(Skip::ExcludedInterface);
        }
        let removed = self.removed.iter().rfind(|&&(number, _)| number == ifindex);
        match removed {
            Some((_, row)) => row.clone(),
            None if names.is_empty() && self.excludes_unknown => {
                default_verdicts.all_skipped(Skip::UnknownInterface)
            }
            None => default_verdicts,
        }
    }

    /// Returns true if the verdicts on the interfaces of the table, the default verdict on egress frames and the
    /// excluded VLANs are those of `other`. Addresses of this machine, local networks, PPPoE sessions that end here,
    /// and removed interfaces are not compared.
    pub(super) fn has_same_verdicts(&self, other: &Self) -> bool {
        self.rows == other.rows && self.egress == other.egress && self.excluded_vlans == other.excluded_vlans
    }

    /// Returns true if `addr` is an address of this machine.
    pub(crate) fn is_own(&self, addr: IpAddr) -> bool {
        self.own_addresses.binary_search(&addr).is_ok()
    }

    /// Returns true if the packet of a frame that enters is seen again when it leaves: it is routed to another host, or
    /// a bridge forwards it.
    pub(super) fn is_seen_leaving(&self, ifindex: u32, direction: Direction, dst: IpAddr) -> bool {
        match direction {
            Direction::Ingress => self.forwards && !self.is_own(dst),
            Direction::OtherHost => self.rows.get(&ifindex).is_some_and(|row| row.is_bridged),
            Direction::Egress => false,
        }
    }

    /// Returns the local networks, without overlap and in ascending order.
    pub fn local_networks(&self) -> &[IpNet] {
        self.local_networks.as_slice()
    }

    /// Returns true if `addr` is in a local network.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        self.local_networks.contains(addr)
    }

    /// Returns true if a PPP interface is monitored, which carries the packets of PPPoE sessions that end at this
    /// machine.
    #[inline]
    pub(super) fn terminates_pppoe(&self) -> bool {
        self.terminates_pppoe
    }

    /// Returns true if a frame of this direction counts towards bytes received, which the policy must enable. Where
    /// egress is only observed, these are the egress frames, because after NAT only they carry the final destination;
    /// where both directions count, all frames.
    #[inline]
    pub fn counts_as_received(&self, direction: Direction) -> bool {
        self.policy.counts_received && (direction == Direction::Egress || self.egress == Verdict::Count)
    }

    /// Returns true if every egress frame must be captured.
    pub(super) fn needs_all_egress(&self) -> bool {
        self.policy.counts_received
    }

    /// Returns true if this machine forwards packets.
    pub fn forwards(&self) -> bool {
        self.forwards
    }

    /// Returns the interfaces of the table with their numbers, in ascending order of the numbers.
    pub fn interfaces(&self) -> Vec<(u32, &InterfaceVerdicts)> {
        let mut rows: Vec<_> = self.rows.iter().map(|(&ifindex, row)| (ifindex, row)).collect();
        rows.sort_unstable_by_key(|&(ifindex, _)| ifindex);
        rows
    }

    /// Returns true if the table has an interface of this number.
    pub fn has(&self, ifindex: u32) -> bool {
        self.rows.contains_key(&ifindex)
    }

    /// Returns the number of monitored interfaces of the table, which may be 0.
    pub fn monitored(&self) -> usize {
        self.rows.values().filter(|row| row.skipped().is_none()).count()
    }

    /// Returns the default verdict on egress frames.
    pub(super) fn egress(&self) -> Verdict {
        self.egress
    }

    /// States whether this machine forwards packets, and which directions count.
    pub(super) fn directions(&self) -> String {
        let forwards = if self.forwards { "forwards" } else { "does not forward" };
        let counts = match self.egress {
            Verdict::Count => "packets count entering and leaving",
            Verdict::CountIfOwn => "packets count entering, and leaving from an own address",
            Verdict::ObserveOnly | Verdict::CountForDeviceAbove | Verdict::Skip(_) => {
                "packets count entering"
            }
        };
        format!("this host {forwards}, {counts}")
    }

    /// Returns (ifindex, VLAN ID) of each excluded VLAN device, for every device below it on which frames have that
    /// tag.
    pub(super) fn excluded_vlans(&self) -> &[(u32, u16)] {
        &self.excluded_vlans
    }
}

/// Returns the verdicts on one interface. `egress` is the default verdict on egress frames.
fn row(link: &Link, device_hierarchy: &DeviceHierarchy<'_>, egress: Verdict) -> InterfaceVerdicts {
    let mut row = InterfaceVerdicts::counted(Some(link.name.clone()), egress);
    if let Some(reason) = device_hierarchy.skip(link) {
        return row.all_skipped(reason);
    }
    if link.hatype == libc::ARPHRD_LOOPBACK {
        return row.egress_skipped(Skip::Egress);
    }
    if let OtherStations::Only(stations) = device_hierarchy.other_stations(link) {
        row = InterfaceVerdicts { other_host: Verdict::CountForDeviceAbove, stations, ..row };
    }
    let copies = device_hierarchy.copies(link);
    let has_ingress_copies = copies.ingress.is_some() || copies.ingress_instead.is_some();
    row.is_bridged = device_hierarchy.is_port_of_forwarding_bridge(link);
    row.is_comparable = !has_ingress_copies && !is_ifb(link);
    if copies.ingress.is_some() || (copies.ingress_instead.is_some() && egress != Verdict::Count) {
        row = row.ingress_skipped(Skip::UpperDevice);
    }
    if copies.egress.is_some() {
        row = row.egress_skipped(Skip::UpperDevice);
    } else if copies.passed_on.is_some() && egress == Verdict::Count {
        row.egress = Verdict::CountIfOwn;
    }
    row
}

/// Writes one line for the log: monitored interfaces, skipped ones with the reason, directions that count, local
/// networks.
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
        write!(f, "; {}", self.directions())?;
        match self.local_networks() {
            [] => Ok(()),
            networks => {
                let networks: Vec<_> = networks.iter().map(IpNet::to_string).collect();
                write!(f, "; local networks are {}", shortened(&networks))
            }
        }
    }
}

/// Joins names for a log line: the first 16, and the number of the others.
fn shortened(names: &[String]) -> String {
    const NAMES_MAX: usize = 16;
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMES_MAX].join(", ")),
    }
}

/// Maximum number of removed interfaces that are kept.
const REMOVED_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::interfaces::OwnAddress;
    use super::super::options::DirectionPolicy;
    use super::super::tc_filter::{MirredRule, Side};
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
        let excluded = excluded.iter().map(|text| NamePattern::new(text)).collect();
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
        /// Name, links, excluded names, the verdict on ingress frames of each link.
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
    fn an_ifb_is_skipped_unless_only_excluded_interfaces_send_to_it() {
        let rule = |source, target| MirredRule {
            source,
            source_side: Side::Ingress,
            target,
            target_side: Side::Egress,
            is_mirror: false,
        };
        let verdicts = |rules: &[MirredRule], excluded: &[&str]| -> Vec<_> {
            let links = vec![link(1, "wan", ""), link(2, "lan", ""), link(3, "ifb0", "ifb")];
            let interfaces = Interfaces { links, mirred: rules.to_vec(), ..Interfaces::default() };
            let excluded = excluded.iter().map(|text| NamePattern::new(text)).collect();
            let table = VerdictTable::new(&interfaces, &Policy { excluded, ..Policy::default() });
            table.interfaces().iter().map(|(_, row)| (row.ingress, row.egress, row.is_comparable)).collect()
        };
        let counted = (COUNTS, COUNTS, true);
        let skipped = |reason| (reason, reason, true);
        assert_eq!(verdicts(&[rule(1, 3)], &[]), [counted, counted, skipped(UPPER)]);
        assert_eq!(verdicts(&[], &[]), [counted, counted, skipped(UPPER)], "it has no frames of its own");
        assert_eq!(verdicts(&[rule(1, 3)], &["wan"]), [skipped(EXCLUDED), counted, (COUNTS, COUNTS, false)]);
        assert_eq!(verdicts(&[rule(1, 3), rule(2, 3)], &["wan"])[2], skipped(UPPER));
    }

    #[test]
    fn a_copy_is_skipped_in_the_direction_in_which_it_crosses_the_target() {
        use DirectionPolicy::{Both, In, InAndOwn};
        use Side::{Egress, Ingress};
        /// Side of the source, side of the target, mirror or redirect; then what becomes of the target where egress
        /// counts, and where it is observed: the verdicts on ingress and egress.
        type Case = (Side, Side, bool, [Verdict; 2], [Verdict; 2]);
        let cases: [Case; 8] = [
            (Ingress, Egress, true, [COUNTS, UPPER], [COUNTS, UPPER]),
            (Egress, Egress, true, [COUNTS, UPPER], [COUNTS, UPPER]),
            (Ingress, Ingress, true, [UPPER, COUNTS], [UPPER, Verdict::ObserveOnly]),
            (Egress, Ingress, true, [UPPER, COUNTS], [UPPER, Verdict::ObserveOnly]),
            (Ingress, Egress, false, [COUNTS, Verdict::CountIfOwn], [COUNTS, Verdict::ObserveOnly]),
            (Egress, Egress, false, [COUNTS, COUNTS], [COUNTS, Verdict::ObserveOnly]),
            (Ingress, Ingress, false, [UPPER, COUNTS], [UPPER, Verdict::ObserveOnly]),
            (Egress, Ingress, false, [COUNTS, COUNTS], [UPPER, Verdict::ObserveOnly]),
        ];
        for (source_side, target_side, is_mirror, both, observed) in cases {
            let rule = MirredRule { source: 1, source_side, target: 2, target_side, is_mirror };
            let links = vec![link(1, "wan", ""), link(2, "span", "")];
            let interfaces = Interfaces { links, mirred: vec![rule], ..Interfaces::default() };
            for (direction, expected) in [(Both, both), (In, observed)] {
                let table = VerdictTable::new(&interfaces, &Policy { direction, ..Policy::default() });
                let row = table.row(2).unwrap();
                assert_eq!([row.ingress, row.egress], expected, "{rule:?} {direction:?}");
                assert_eq!((row.skipped(), row.other_host == row.ingress), (None, row.ingress == UPPER));
                assert_eq!(row.is_comparable, target_side == Egress, "{rule:?}");
            }
            let policy = Policy { direction: InAndOwn, ..Policy::default() };
            let own = VerdictTable::new(&interfaces, &policy).row(2).map(|row| row.egress);
            assert_eq!(own == Some(UPPER), both[1] == UPPER, "{rule:?}");
        }
    }

    #[test]
    fn a_frame_for_another_station_counts_below_a_bridge_and_for_a_device_above() {
        const ABOVE: Verdict = Verdict::CountForDeviceAbove;
        let with = |station: u8, link: Link| Link { station: Some([2, 0, 0, 0, 0, station]), ..link };
        let vlan = |id, link| Link { vlan_id: Some(id), ..on(1, link) };
        let stations = |numbers: &[u8]| -> Vec<Station> {
            numbers.iter().map(|&number| [2, 0, 0, 0, 0, number]).collect()
        };
        let eth = || with(1, link(1, "eth0", ""));
        /// Name, links, and the verdict on the first one with the stations for which its frames count.
        type Case = (&'static str, Vec<Link>, (Verdict, Vec<Station>));
        let cases: Vec<Case> = vec![
            ("alone", vec![eth()], (ABOVE, vec![])),
            ("port of a bridge", vec![port_of(2, eth()), link(2, "br0", "bridge")], (COUNTS, vec![])),
            (
                "port of Open vSwitch",
                vec![port_of(2, eth()), link(2, "ovs-system", "openvswitch")],
                (COUNTS, vec![]),
            ),
            (
                "port of a bond that is a port of a bridge",
                vec![port_of(2, eth()), port_of(3, link(2, "bond0", "bond")), link(3, "br0", "bridge")],
                (COUNTS, vec![]),
            ),
            (
                "below a VLAN that is a port of a bridge",
                vec![eth(), port_of(3, vlan(5, link(2, "eth0.5", "vlan"))), link(3, "br0", "bridge")],
                (COUNTS, vec![]),
            ),
            (
                "macvlan, macvtap and a VLAN with addresses of their own",
                vec![
                    eth(),
                    on(1, with(9, link(2, "vrrp.51", "macvlan"))),
                    on(1, with(8, link(3, "macvtap0", "macvtap"))),
                    with(7, vlan(5, link(4, "eth0.5", "vlan"))),
                ],
                (ABOVE, stations(&[7, 8, 9])),
            ),
            (
                "macvlan on a VLAN on a bond",
                vec![
                    port_of(2, eth()),
                    with(2, link(2, "bond0", "bond")),
                    on(2, with(3, link(3, "bond0.7", "vlan"))),
                    on(3, with(4, link(4, "vrrp.51", "macvlan"))),
                ],
                (ABOVE, stations(&[2, 3, 4])),
            ),
            (
                "macvlan that is a port of a bridge",
                vec![eth(), port_of(3, on(1, with(9, link(2, "mv0", "macvlan")))), link(3, "br0", "bridge")],
                (ABOVE, stations(&[9])),
            ),
            (
                "macvtap that gets every frame",
                vec![eth(), Link { passes_through: true, ..on(1, link(2, "macvtap0", "macvtap")) }],
                (COUNTS, vec![]),
            ),
            (
                "below a bond in Promiscuous",
                vec![port_of(2, eth()), link(2, "span2", "bond")],
                (COUNTS, vec![]),
            ),
            (
                "below a macvlan in Promiscuous",
                vec![eth(), on(1, with(9, link(2, "span2", "macvlan")))],
                (ABOVE, stations(&[9])),
            ),
            ("in Promiscuous", vec![link(1, "span0", "")], (COUNTS, vec![])),
            ("without stations", vec![Link { hatype: libc::ARPHRD_NONE, ..eth() }], (COUNTS, vec![])),
            ("a circle", vec![on(2, eth()), on(1, with(5, link(2, "x", "vlan")))], (ABOVE, stations(&[5]))),
        ];
        for (name, links, expected) in cases {
            let interfaces = Interfaces { links, ..Interfaces::default() };
            let policy = Policy { promiscuous: vec![NamePattern::new("span?")], ..Policy::default() };
            let table = VerdictTable::new(&interfaces, &policy);
            let row = table.row(1).unwrap();
            assert_eq!((row.other_host, row.stations.clone()), expected, "{name}");
            assert_eq!(table.verdict(1, Direction::OtherHost), Some(row.other_host), "{name}");
        }
        let excluded = table(vec![eth()], &["eth0"], DirectionPolicy::Auto);
        assert_eq!(excluded.verdict(1, Direction::OtherHost), Some(EXCLUDED));
    }

    #[test]
    fn a_veth_pair_in_this_namespace_is_skipped_on_both_ends() {
        let pair = || vec![on(2, link(1, "a", "veth")), on(1, link(2, "b", "veth"))];
        assert_eq!(ingress(pair(), &[]), [WIRE, WIRE]);
        assert_eq!(ingress(pair(), &["a"]), [EXCLUDED, WIRE]);
        // The other end is in another namespace (IFLA_LINK_NETNSID), so that IFLA_LINK was ignored.
        assert_eq!(ingress(vec![link(1, "a", "veth")], &[]), [COUNTS]);
        // Only one of the two refers to the other.
        assert_eq!(ingress(vec![on(2, link(1, "a", "veth")), link(2, "eth0", "")], &[]), [COUNTS, COUNTS]);
        // The packets of veth pairs are captured on the bridge if it has no other ports.
        let mut bridged = pair();
        bridged[0].master = Some(3);
        bridged.push(link(3, "br0", "bridge"));
        assert_eq!(ingress(bridged, &[]), [WIRE, WIRE, COUNTS]);
    }

    #[test]
    fn egress_counts_by_policy_and_by_forwarding() {
        use DirectionPolicy::{Auto, Both, In, InAndOwn};
        let bridge = |kind, ports: u32| {
            let mut links = vec![link(1, "br0", kind)];
            links.extend((0..ports).map(|port| port_of(1, link(10 + port, "port", ""))));
            links
        };
        /// Name, links, IP forwarding, policy; then whether it forwards, and the verdict on egress frames.
        type Case = (&'static str, Vec<Link>, bool, DirectionPolicy, bool, Verdict);
        let cases: Vec<Case> = vec![
            ("a machine that does not forward", vec![], false, Auto, false, COUNTS),
            ("a router", vec![], true, Auto, true, Verdict::ObserveOnly),
            ("a router, both", vec![], true, Both, true, COUNTS),
            ("a router, in+own", vec![], true, InAndOwn, true, Verdict::CountIfOwn),
            ("a machine that does not forward, in", vec![], false, In, false, Verdict::ObserveOnly),
            ("a bridge with one port", bridge("bridge", 1), false, Auto, false, COUNTS),
            ("a bridge with two ports", bridge("bridge", 2), false, Auto, true, Verdict::ObserveOnly),
            ("Open vSwitch", bridge("openvswitch", 2), false, Auto, true, Verdict::ObserveOnly),
            ("a bond with two ports", bridge("bond", 2), false, Auto, false, COUNTS),
        ];
        for (name, mut links, ip_forwarding, direction, forwards, egress) in cases {
            links.push(link(99, "eth0", ""));
            let interfaces = Interfaces { links, ip_forwarding, ..Interfaces::default() };
            let table = VerdictTable::new(&interfaces, &Policy { direction, ..Policy::default() });
            assert_eq!(table.forwards(), forwards, "{name}");
            assert_eq!(table.verdict(99, Direction::Egress), Some(egress), "{name}");
            assert_eq!(table.verdict(99, Direction::Ingress), Some(COUNTS), "{name}");
        }
    }

    #[test]
    fn pppoe_sessions_end_here_if_a_ppp_interface_is_monitored() {
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
    fn lo_counts_ingress_and_never_egress() {
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
    fn an_unknown_interface_is_excluded_by_any_of_its_names() {
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
    fn an_unknown_interface_without_a_name_counts_if_no_name_is_excluded() {
        let lo = || vec![link(1, "lo", "")];
        for (excluded, links, counts) in
            [(&[][..], vec![], true), (&["lo"], lo(), true), (&["lo"], vec![], false), (&["x"], lo(), false)]
        {
            let row = table(links, excluded, DirectionPolicy::In).unknown_interface(7, &[]);
            assert_eq!(row.ingress == COUNTS, counts, "{excluded:?}");
        }
    }

    #[test]
    fn a_recent_interface_is_excluded_by_its_former_names_too() {
        let named = |name, former: &[&str]| Link { former_names: names(former), ..link(2, name, "") };
        for (link, expected, by_former_name) in [
            (named("eth2", &[]), COUNTS, false),
            (named("eth2", &["eth0"]), COUNTS, false),
            (named("eth2", &["secret", "eth0"]), EXCLUDED, true),
            (named("secret", &["eth0"]), EXCLUDED, false),
        ] {
            let policy = Policy { excluded: vec![NamePattern::new("secret")], ..Policy::default() };
            assert_eq!(policy.excludes_former_name_of(&link), by_former_name, "{link:?}");
            assert_eq!(ingress(vec![link.clone()], &["secret"]), [expected], "{link:?}");
        }
    }

    #[test]
    fn a_removed_interface_keeps_its_verdicts() {
        let excluded = &["secret"];
        let at = |links| table(links, excluded, DirectionPolicy::In);
        let all = vec![link(1, "eth0", ""), on(1, link(2, "eth0.5", "vlan")), link(3, "secret", "")];
        let before = at(all.clone());
        let after = at(vec![link(4, "eth4", "")]).following(&before);
        let row = |table: &VerdictTable, ifindex, given: &[&str]| {
            table.unknown_interface(ifindex, &names(given)).ingress
        };
        assert_eq!([1, 2, 3].map(|ifindex| row(&after, ifindex, &[])), [COUNTS, UPPER, EXCLUDED]);
        // It was added again under another name, and the next table is not in force yet.
        assert_eq!(row(&after, 1, &["secret"]), EXCLUDED);
        assert_eq!(row(&after, 2, &["open"]), UPPER);
        // A table of the same interfaces keeps them; when all interfaces are added again, none is kept.
        assert_eq!(at(vec![link(4, "eth4", "")]).following(&after), after);
        assert!(at(all).following(&after).removed.iter().map(|(ifindex, _)| ifindex).eq(&[4]));
    }

    #[test]
    fn the_number_of_removed_interfaces_is_bounded() {
        let many = |from: u32| (from..from + 700).map(|i| link(i, "c", "")).collect();
        let first = table(many(1000), &[], DirectionPolicy::In);
        let second = table(many(2000), &[], DirectionPolicy::In).following(&first);
        let third = table(vec![], &[], DirectionPolicy::In).following(&second);
        assert_eq!((second.removed.len(), third.removed.len()), (700, REMOVED_MAX));
        assert!(
            third.removed.iter().any(|&(ifindex, _)| ifindex == 2699),
            "the oldest removals are dropped first"
        );
    }

    #[test]
    fn the_vlan_of_an_excluded_vlan_device_is_excluded_on_each_device_below() {
        let vlan = |id, link| Link { vlan_id: Some(id), ..link };
        let links = vec![
            port_of(2, link(1, "eth0", "")),
            link(2, "bond0", "bond"),
            vlan(7, on(2, link(3, "guest", "vlan"))),
            // A VLAN inside a VLAN: on the devices below guest its tag is the second one.
            vlan(20, on(3, link(4, "inner", "vlan"))),
            vlan(8, on(2, link(5, "office", "vlan"))),
        ];
        let excluded_vlans =
            |excluded: &[&str]| table(links.clone(), excluded, DirectionPolicy::Auto).excluded_vlans;
        assert_eq!(excluded_vlans(&["guest"]), [(1, 7), (2, 7)]);
        assert_eq!(excluded_vlans(&["inner"]), [(3, 20)]);
        assert_eq!(excluded_vlans(&[]), []);
    }

    #[test]
    fn own_addresses_are_found_and_interface_numbers_may_be_large() {
        let own = |addr| OwnAddress { addr, ifindex: 1, prefix: None };
        let addresses = ["fd00::1", "10.0.0.1", "fd00::1"].map(|addr| own(addr.parse().unwrap()));
        let interfaces = Interfaces {
            links: (0..700).map(|i| link(4_000_000_000 + i, "c", "")).collect(),
            ip_forwarding: false,
            own_addresses: addresses.to_vec(),
            mirred: vec![],
        };
        let policy = Policy { direction: DirectionPolicy::InAndOwn, ..Policy::default() };
        let table = VerdictTable::new(&interfaces, &policy);
        assert!(table.is_own([10, 0, 0, 1].into()) && !table.is_own([10, 0, 0, 2].into()));
        assert_eq!(table.monitored(), 700);
        assert_eq!(table.verdict(4_000_000_699, Direction::Ingress), Some(COUNTS));
        assert!(table.to_string().contains("and 684 more"), "{table}");
    }

    #[test]
    fn the_log_line_lists_what_is_monitored() {
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
