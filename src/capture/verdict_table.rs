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
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::copies::is_ifb;
use super::device_hierarchy::{DeviceHierarchy, OtherStations};
use super::interfaces::{InterfaceName, Interfaces, Link, OwnAddress};
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
    /// Broadcast addresses of the networks that are attached to the interfaces, sorted.
    broadcasts: Vec<Ipv4Addr>,
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
        let mut broadcasts: Vec<_> =
            interfaces.own_addresses.iter().filter_map(OwnAddress::broadcast).collect();
        broadcasts.sort_unstable();
        broadcasts.dedup();
        Self {
            rows: rows.collect(),
            removed: Vec::new(),
            forwards,
            egress,
            excluded_vlans: device_hierarchy.excluded_vlans(),
            own_addresses,
            broadcasts,
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

    /// Returns the broadcast addresses of the networks that are attached to the interfaces, in ascending order.
    pub(super) fn broadcasts(&self) -> &[Ipv4Addr] {
        &self.broadcasts
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
mod tests;
