//! What a storm consists of: many alerts of one kind that opened within a minute and are notified as one.

use std::net::IpAddr;

use ipnet::IpNet;

/// Maximum number of hosts that a storm names.
pub const STORM_HOSTS_MAX: usize = 100;

/// Maximum number of networks that a storm names.
pub const STORM_NETWORKS_MAX: usize = 10;

/// The hosts of a storm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storm {
    /// The network that all its hosts are in; `None` if they are in several.
    pub network: Option<IpNet>,
    /// The host that all of them sent to; `None` if there is none, or if destinations are hidden.
    pub target: Option<IpAddr>,
    /// True if all its hosts are local. Local and remote hosts are never in one storm.
    pub is_local: bool,
    /// Number of hosts so far: each opening of an alert counts.
    pub hosts: u64,
    /// Number of these whose alerts were notified singly before the storm began.
    pub said_singly: u64,
    /// Number of alerts of the storm that are open.
    pub open: u64,
    /// The latest of these hosts, in the order in which their alerts opened; at most [`STORM_HOSTS_MAX`].
    pub sample: Vec<IpAddr>,
    /// The networks with the most of these hosts, and how many of them are in each; at most [`STORM_NETWORKS_MAX`].
    /// Only the first 1024 networks of a storm are counted, so one that comes later is not named, however many hosts it
    /// has.
    pub networks: Vec<(IpNet, u64)>,
}

/// Returns the network by which the hosts of a storm are grouped: a /24, of IPv6 a /64.
pub(super) fn network_of(host: IpAddr) -> IpNet {
    let prefix = if host.is_ipv4() { 24 } else { 64 };
    IpNet::new(host, prefix).map_or_else(|_| IpNet::from(host), |network| network.trunc())
}
