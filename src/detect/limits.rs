//! What a host may do before it is reported, and where it may do more or less.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::flow::{HostCounts, Sums};

use super::{FindingKind, PrefixMap, ScanRule};

/// What hosts may do, and what may be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What a host may do that is in no network of its own.
    pub hosts: HostLimits,
    /// What hosts of some networks may do; see [`Limits::with_exceptions`].
    pub by_network: PrefixMap<HostLimits>,
    /// Hosts that are counted and never reported.
    pub ignored: PrefixMap<()>,
    /// Networks whose hosts are forgotten last, where there is no room for all.
    pub protected: Vec<IpNet>,
    /// Frames of a million that may be lost in the traffic window; `None` turns the detector off.
    pub loss_ppm_max: Option<u32>,
    /// What makes a scanner of a host that contacts too many hosts or ports.
    pub scan_rule: ScanRule,
}

/// What one host may do; `None` turns a detector off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostLimits {
    /// Bytes sent in the traffic window.
    pub ip_bytes_max: Option<u64>,
    /// Hosts contacted in the traffic window.
    pub contacted_hosts_max: Option<u32>,
    /// Ports contacted in the port window.
    pub contacted_ports_max: Option<u32>,
    /// Packets sent in a second.
    pub packets_per_s_max: Option<u32>,
    /// Hosts contacted in a second that were not contacted in the traffic window before.
    pub contacts_per_s_max: Option<u32>,
    /// Bytes received in the traffic window.
    pub received_bytes_max: Option<u64>,
}

/// A limit that the error of a host's sum is too large for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpreciseLimit {
    /// Which limit.
    pub kind: FindingKind,
    /// How much may be missing from the sum of a host.
    pub error: u64,
    /// The limit, in the same unit.
    pub limit: u64,
}

/// One of the [`HostLimits`], with its value; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitException {
    /// [`HostLimits::ip_bytes_max`].
    IpBytes(Option<u64>),
    /// [`HostLimits::contacted_hosts_max`].
    ContactedHosts(Option<u32>),
    /// [`HostLimits::contacted_ports_max`].
    ContactedPorts(Option<u32>),
    /// [`HostLimits::packets_per_s_max`].
    PacketsPerS(Option<u32>),
    /// [`HostLimits::contacts_per_s_max`].
    ContactsPerS(Option<u32>),
    /// [`HostLimits::received_bytes_max`].
    ReceivedBytes(Option<u64>),
}

impl HostLimits {
    /// The same but for one limit.
    #[must_use]
    pub fn with(mut self, exception: LimitException) -> Self {
        match exception {
            LimitException::IpBytes(max) => self.ip_bytes_max = max,
            LimitException::ContactedHosts(max) => self.contacted_hosts_max = max,
            LimitException::ContactedPorts(max) => self.contacted_ports_max = max,
            LimitException::PacketsPerS(max) => self.packets_per_s_max = max,
            LimitException::ContactsPerS(max) => self.contacts_per_s_max = max,
            LimitException::ReceivedBytes(max) => self.received_bytes_max = max,
        }
        self
    }
}

impl HostLimits {
    /// Whether a host with these counts is over any of them, or may be.
    #[inline]
    pub fn are_exceeded_by(&self, host: &HostCounts) -> bool {
        let is_over = |count: u64, limit: Option<u64>| limit.is_some_and(|limit| count > limit);
        let are_over = |count: u32, limit: Option<u32>| limit.is_some_and(|limit| count > limit);
        is_over(host.ip_bytes.saturating_add(host.ip_bytes_error), self.ip_bytes_max)
            || are_over(host.contacted_hosts, self.contacted_hosts_max)
            || are_over(host.contacted_ports, self.contacted_ports_max)
            || are_over(host.packets_per_s, self.packets_per_s_max)
            || are_over(host.contacts_per_s, self.contacts_per_s_max)
            || is_over(host.received_bytes.saturating_add(host.received_bytes_error), self.received_bytes_max)
    }
}

/// The lower of two limits, of which either may be none.
fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    [one, other].into_iter().flatten().min()
}

impl Limits {
    /// The same with exceptions for some networks. What a network does not except is as in the next larger one
    /// that contains it, and at last as for all hosts.
    #[must_use]
    pub fn with_exceptions(mut self, mut networks: Vec<(IpNet, Vec<LimitException>)>) -> Self {
        networks.sort_by_key(|(network, _)| network.prefix_len());
        let mut resolved: Vec<(IpNet, HostLimits)> = Vec::new();
        for (network, exceptions) in networks {
            let network = network.trunc();
            // The last one that contains it is the smallest.
            let around = resolved.iter().rev().find(|(around, _)| around.contains(&network));
            let limits = around.map_or(self.hosts, |(_, limits)| *limits);
            resolved.push((network, exceptions.into_iter().fold(limits, HostLimits::with)));
        }
        self.by_network = PrefixMap::new(resolved);
        self
    }

    /// The lowest of each limit that anybody has: who is within these is within his own.
    pub fn lowest(&self) -> HostLimits {
        let lower = |one: HostLimits, other: &HostLimits| HostLimits {
            ip_bytes_max: lower(one.ip_bytes_max, other.ip_bytes_max),
            contacted_hosts_max: lower(one.contacted_hosts_max, other.contacted_hosts_max),
            contacted_ports_max: lower(one.contacted_ports_max, other.contacted_ports_max),
            packets_per_s_max: lower(one.packets_per_s_max, other.packets_per_s_max),
            contacts_per_s_max: lower(one.contacts_per_s_max, other.contacts_per_s_max),
            received_bytes_max: lower(one.received_bytes_max, other.received_bytes_max),
        };
        self.by_network.values().fold(self.hosts, lower)
    }

    /// Whether bytes received are limited for anybody, so that they must be counted.
    pub fn need_received_bytes(&self) -> bool {
        self.lowest().received_bytes_max.is_some()
    }

    /// The limits of which hosts with this error may have used more than half unseen, each with its error and the least
    /// that it is for anybody: with these the table is too small for it.
    pub fn imprecise_under(&self, errors: Sums) -> impl Iterator<Item = ImpreciseLimit> {
        let lowest = self.lowest();
        let of = |kind, error, limit: Option<u64>| Some(ImpreciseLimit { kind, error, limit: limit? });
        let both = [
            of(FindingKind::Traffic, errors.ip_bytes, lowest.ip_bytes_max),
            of(FindingKind::Received, errors.received_bytes, lowest.received_bytes_max),
        ];
        both.into_iter().flatten().filter(|imprecise| imprecise.error > imprecise.limit / 2)
    }

    /// What the host of an address may do; `None` if it is never reported.
    pub(super) fn of(&self, addr: &IpAddr) -> Option<&HostLimits> {
        match self.ignored.of(addr) {
            Some(()) => None,
            None => Some(self.by_network.of(addr).unwrap_or(&self.hosts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_excepts_some_and_takes_the_rest_from_around_it() {
        let network = |text: &str| text.parse::<IpNet>().expect("a network");
        let hosts =
            HostLimits { ip_bytes_max: Some(1), contacted_hosts_max: Some(2), ..HostLimits::default() };
        let ignored = PrefixMap::new([(network("10.0.5.9/32"), ())]);
        let limits = Limits { hosts, ignored, ..Limits::default() }.with_exceptions(vec![
            (
                network("10.0.5.7/24"),
                vec![LimitException::IpBytes(Some(30)), LimitException::PacketsPerS(Some(9))],
            ),
            (
                network("10.0.0.0/8"),
                vec![LimitException::IpBytes(Some(20)), LimitException::ContactedHosts(None)],
            ),
            (network("fd00::/8"), vec![LimitException::ReceivedBytes(Some(5))]),
        ]);
        let of = |addr: &str| limits.of(&addr.parse().expect("an address")).copied();
        assert_eq!(of("192.0.2.1"), Some(hosts));
        let larger = HostLimits { ip_bytes_max: Some(20), contacted_hosts_max: None, ..hosts };
        assert_eq!(of("10.1.0.1"), Some(larger));
        let smaller = HostLimits { ip_bytes_max: Some(30), packets_per_s_max: Some(9), ..larger };
        assert_eq!(of("10.0.5.1"), Some(smaller));
        assert_eq!(of("10.0.5.9"), None, "ignored");
        assert_eq!(of("fd00::1"), Some(HostLimits { received_bytes_max: Some(5), ..hosts }));
    }

    #[test]
    fn a_limit_is_blurred_by_an_error_of_more_than_half_of_it() {
        let network = |text: &str| text.parse::<IpNet>().expect("a network");
        let hosts = HostLimits { ip_bytes_max: Some(100), ..HostLimits::default() };
        let limits = Limits { hosts, ..Limits::default() }.with_exceptions(vec![
            (
                network("10.0.0.0/24"),
                vec![LimitException::IpBytes(Some(60)), LimitException::ReceivedBytes(Some(9))],
            ),
            (network("10.0.1.0/24"), vec![LimitException::IpBytes(None)]),
        ]);
        let of = |ip_bytes, received_bytes| {
            limits.imprecise_under(Sums { ip_bytes, received_bytes }).collect::<Vec<_>>()
        };
        assert_eq!(of(30, 4), []);
        let traffic = ImpreciseLimit { kind: FindingKind::Traffic, error: 31, limit: 60 };
        assert_eq!(of(31, 4), [traffic]);
        assert_eq!(of(31, 5), [traffic, ImpreciseLimit { kind: FindingKind::Received, error: 5, limit: 9 }]);
        assert_eq!(Limits::default().imprecise_under(Sums { ip_bytes: 9, received_bytes: 9 }).count(), 0);
    }
}
