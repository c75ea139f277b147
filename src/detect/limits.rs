//! The limits of hosts, the networks that have other limits, and the limit of lost frames.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::flow::{Metric, PerMetric, Sums, is_no_host};

use super::detectors::FindingKind;
use super::prefix_map::PrefixMap;
use super::scan::ScanRule;

/// The limits of hosts and of lost frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// The limits of hosts in none of the networks of `by_network`.
    pub hosts: HostLimits,
    /// The limits of hosts in some networks; see [`Limits::with_exceptions`].
    pub by_network: PrefixMap<HostLimits>,
    /// Hosts that are counted and never reported.
    pub ignored: PrefixMap<()>,
    /// The configured local networks; those that are found come from the link monitor. If the table has no room for all
    /// hosts, local ones are evicted after the others.
    pub protected: Vec<IpNet>,
    /// Broadcast addresses of networks, which stand for no host and are never reported: those of `protected` and of the
    /// machine; see [`Limits::know_broadcasts`].
    pub broadcasts: HashSet<Ipv4Addr>,
    /// Maximum number of lost frames per million in the traffic window; `None` turns the detector off.
    pub loss_ppm_max: Option<u32>,
    /// When a host that contacts too many hosts or ports is reported as a scanner.
    pub scan_rule: ScanRule,
}

/// The limits of one host: for each kind of finding, the largest value that does not lead to a finding, in the unit of
/// the metric. `None` turns the detector off. The entry of `Loss`, which is not about hosts, is unused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLimits([Option<u64>; FindingKind::ALL.len()]);

/// Another limit for the hosts of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitException {
    /// Which limit.
    pub kind: FindingKind,
    /// Its value for the hosts of the network; `None` means no limit.
    pub max: Option<u64>,
}

/// A limit that is too low for the error bounds of the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpreciseLimit {
    /// Which limit.
    pub kind: FindingKind,
    /// Maximum amount that may be missing from the count of a host.
    pub error_bound: u64,
    /// The value of the limit, in the unit of `error_bound`.
    pub limit: u64,
}

impl HostLimits {
    /// Returns these limits with another value of one of them.
    #[must_use]
    pub fn with(mut self, kind: FindingKind, max: Option<u64>) -> Self {
        self.0[kind as usize] = max;
        self
    }

    /// Returns the value of one limit; `None` if its detector is off.
    pub fn of(&self, kind: FindingKind) -> Option<u64> {
        self.0[kind as usize]
    }

    /// Returns the limits that are set, in the order of their kinds: kind, metric and value of each.
    pub(super) fn configured(&self) -> impl Iterator<Item = (FindingKind, Metric, u64)> {
        let limits = FindingKind::ALL.into_iter().zip(self.0);
        limits.filter_map(|(kind, max)| Some((kind, kind.metric()?, max?)))
    }
}

/// Returns the lower of two limits; `None`, which means no limit, if both are.
fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}

impl Limits {
    /// Returns these limits with exceptions for some networks. A network without an exception for a limit has the limit
    /// of the smallest configured network around it, or that of all hosts if there is none.
    #[must_use]
    pub fn with_exceptions(mut self, mut networks: Vec<(IpNet, Vec<LimitException>)>) -> Self {
        networks.sort_by_key(|(network, _)| network.prefix_len());
        let mut resolved: Vec<(IpNet, HostLimits)> = Vec::new();
        for (network, exceptions) in networks {
            let network = network.trunc();
            // Networks are sorted by size, so the last one that contains it is the smallest.
            let around = resolved.iter().rev().find(|(around, _)| around.contains(&network));
            let mut limits = around.map_or(self.hosts, |(_, limits)| *limits);
            for LimitException { kind, max } in exceptions {
                limits = limits.with(kind, max);
            }
            resolved.push((network, limits));
        }
        self.by_network = PrefixMap::new(resolved);
        self
    }

    /// Returns the lowest limit of each metric among all networks; `None` if no host has a limit of that metric. A host
    /// that exceeds none of these limits exceeds none of its own.
    pub fn lowest(&self) -> PerMetric<Option<u64>> {
        let mut lowest = PerMetric::default();
        for (_, metric, max) in self.lowest_of_each().configured() {
            lowest[metric] = lower(lowest[metric], Some(max));
        }
        lowest
    }

    fn lowest_of_each(&self) -> HostLimits {
        let lowest = |one: HostLimits, other: &HostLimits| {
            HostLimits(std::array::from_fn(|at| lower(one.0[at], other.0[at])))
        };
        self.by_network.values().fold(self.hosts, lowest)
    }

    /// Returns true if bytes received are limited for any host, so that they must be counted.
    pub fn need_received_bytes(&self) -> bool {
        self.lowest()[Metric::ReceivedBytes].is_some()
    }

    /// Returns the limits for which the table is too small: those for which the error bound of the count of a host is
    /// more than half of the limit. Each limit is the lowest among all networks. `errors` are the largest error bounds
    /// of any host.
    pub fn imprecise_under(&self, errors: Sums) -> Vec<ImpreciseLimit> {
        let limits = self.lowest_of_each();
        let imprecise = limits.configured().map(|(kind, metric, limit)| {
            let error_bound = errors.of(metric);
            ImpreciseLimit { kind, error_bound, limit }
        });
        imprecise.filter(|imprecise| imprecise.error_bound > imprecise.limit / 2).collect()
    }

    /// Sets the broadcast addresses: those of the networks in `protected`, and those of the interfaces of this machine.
    pub fn know_broadcasts(&mut self, of_machine: &[Ipv4Addr]) {
        let configured = self.protected.iter().filter_map(broadcast_of);
        self.broadcasts = configured.chain(of_machine.iter().copied()).collect();
    }

    /// Returns the limits of the host with this address; `None` if it is ignored or stands for
    /// [no host](is_no_host), as the broadcast address of a network does that is known here.
    pub(super) fn of(&self, addr: &IpAddr) -> Option<&HostLimits> {
        let is_broadcast = matches!(addr, IpAddr::V4(addr) if self.broadcasts.contains(addr));
        if is_broadcast || is_no_host(addr) {
            return None;
        }
        match self.ignored.of(addr) {
            Some(()) => None,
            None => Some(self.by_network.of(addr).unwrap_or(&self.hosts)),
        }
    }
}

/// Returns the broadcast address of a network. Networks of two addresses have none (RFC 3021), and those of IPv6
/// neither.
fn broadcast_of(network: &IpNet) -> Option<Ipv4Addr> {
    match network {
        IpNet::V4(network) => (network.prefix_len() < 31).then(|| network.broadcast()),
        IpNet::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::FindingKind::{PacketRate, Received, Scanning, Traffic};
    use super::*;

    fn exception(kind: FindingKind, max: Option<u64>) -> LimitException {
        LimitException { kind, max }
    }

    #[test]
    fn a_network_has_its_exceptions_and_the_other_limits_of_the_network_around_it() {
        let network = |text: &str| text.parse::<IpNet>().expect("a network");
        let hosts = HostLimits::default().with(Traffic, Some(1)).with(Scanning, Some(2));
        let ignored = PrefixMap::new([(network("10.0.5.9/32"), ())]);
        let limits = Limits { hosts, ignored, ..Limits::default() }.with_exceptions(vec![
            (network("10.0.5.7/24"), vec![exception(Traffic, Some(30)), exception(PacketRate, Some(9))]),
            (network("10.0.0.0/8"), vec![exception(Traffic, Some(20)), exception(Scanning, None)]),
            (network("fd00::/8"), vec![exception(Received, Some(5))]),
        ]);
        let of = |addr: &str| limits.of(&addr.parse().expect("an address")).copied();
        assert_eq!(of("192.0.2.1"), Some(hosts));
        let larger = hosts.with(Traffic, Some(20)).with(Scanning, None);
        assert_eq!(of("10.1.0.1"), Some(larger));
        let smaller = larger.with(Traffic, Some(30)).with(PacketRate, Some(9));
        assert_eq!(of("10.0.5.1"), Some(smaller));
        assert_eq!(of("10.0.5.9"), None, "an ignored host has no limits");
        assert_eq!(of("fd00::1"), Some(hosts.with(Received, Some(5))));
        for no_host in ["239.22.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "::"] {
            assert_eq!(of(no_host), None, "{no_host} stands for no host");
        }
    }

    #[test]
    fn the_broadcast_address_of_a_local_network_has_no_limits() {
        let network = |text: &str| text.parse::<IpNet>().expect("a network");
        let protected = ["10.0.4.0/23", "10.0.8.6/31", "10.0.9.9/32", "fd00::/120"].map(network).to_vec();
        let mut limits = Limits { protected, ..Limits::default() };
        let has = |limits: &Limits, addr: &str| limits.of(&addr.parse().expect("an address")).is_some();
        limits.know_broadcasts(&[Ipv4Addr::new(172, 16, 0, 255)]);
        assert!(!has(&limits, "10.0.5.255") && !has(&limits, "172.16.0.255"));
        limits.know_broadcasts(&[]);
        let has_limits = |addr| has(&limits, addr);
        assert!(!has_limits("10.0.5.255") && has_limits("172.16.0.255"));
        for host in ["10.0.4.255", "10.0.5.254", "10.0.8.7", "10.0.9.9", "fd00::ff", "192.168.1.255"] {
            assert!(has_limits(host), "{host} may be a host");
        }
    }

    #[test]
    fn a_limit_is_imprecise_with_an_error_of_more_than_half_of_it() {
        let network = |text: &str| text.parse::<IpNet>().expect("a network");
        let hosts = HostLimits::default().with(Traffic, Some(100));
        let limits = Limits { hosts, ..Limits::default() }.with_exceptions(vec![
            (network("10.0.0.0/24"), vec![exception(Traffic, Some(60)), exception(Received, Some(9))]),
            (network("10.0.1.0/24"), vec![exception(Traffic, None)]),
        ]);
        let of = |ip_bytes, received_bytes| limits.imprecise_under(Sums { ip_bytes, received_bytes });
        assert_eq!(of(30, 4), []);
        let traffic = ImpreciseLimit { kind: Traffic, error_bound: 31, limit: 60 };
        assert_eq!(of(31, 4), [traffic]);
        assert_eq!(of(31, 5), [traffic, ImpreciseLimit { kind: Received, error_bound: 5, limit: 9 }]);
        assert_eq!(Limits::default().imprecise_under(Sums { ip_bytes: 9, received_bytes: 9 }), []);
    }
}
