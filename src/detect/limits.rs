//! What a host may do before it is reported, and where it may do more or less.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{ByNetwork, ScanRule};

/// What hosts may do, and what may be lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What a host may do that is in no network of its own.
    pub hosts: HostLimits,
    /// What hosts of some networks may do; see [`Limits::with_exceptions`].
    pub by_network: ByNetwork<HostLimits>,
    /// Hosts that are counted and never reported.
    pub ignored: ByNetwork<()>,
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

/// One of the [`HostLimits`], with its value; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
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
    pub fn with(mut self, exception: Exception) -> Self {
        match exception {
            Exception::IpBytes(max) => self.ip_bytes_max = max,
            Exception::ContactedHosts(max) => self.contacted_hosts_max = max,
            Exception::ContactedPorts(max) => self.contacted_ports_max = max,
            Exception::PacketsPerS(max) => self.packets_per_s_max = max,
            Exception::ContactsPerS(max) => self.contacts_per_s_max = max,
            Exception::ReceivedBytes(max) => self.received_bytes_max = max,
        }
        self
    }
}

impl Limits {
    /// The same with exceptions for some networks. What a network does not except is as in the next larger one
    /// that contains it, and at last as for all hosts.
    #[must_use]
    pub fn with_exceptions(mut self, mut networks: Vec<(IpNet, Vec<Exception>)>) -> Self {
        networks.sort_by_key(|(network, _)| network.prefix_len());
        let mut resolved: Vec<(IpNet, HostLimits)> = Vec::new();
        for (network, exceptions) in networks {
            let network = network.trunc();
            // The last one that contains it is the smallest.
            let around = resolved.iter().rev().find(|(around, _)| around.contains(&network));
            let limits = around.map_or(self.hosts, |(_, limits)| *limits);
            resolved.push((network, exceptions.into_iter().fold(limits, HostLimits::with)));
        }
        self.by_network = ByNetwork::new(resolved);
        self
    }

    /// Whether bytes received are limited for anybody, so that they must be counted.
    pub fn need_received_bytes(&self) -> bool {
        std::iter::once(&self.hosts)
            .chain(self.by_network.values())
            .any(|host| host.received_bytes_max.is_some())
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
        let ignored = ByNetwork::new([(network("10.0.5.9/32"), ())]);
        let limits = Limits { hosts, ignored, ..Limits::default() }.with_exceptions(vec![
            (network("10.0.5.7/24"), vec![Exception::IpBytes(Some(30)), Exception::PacketsPerS(Some(9))]),
            (network("10.0.0.0/8"), vec![Exception::IpBytes(Some(20)), Exception::ContactedHosts(None)]),
            (network("fd00::/8"), vec![Exception::ReceivedBytes(Some(5))]),
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
}
