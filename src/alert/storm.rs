//! What a storm consists of: many alerts of one kind that opened within a minute and are notified as one.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::time::UnixNanos;

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
    /// The limit that all its hosts exceed, in the unit of its kind; `None` if they have different ones, or if it is
    /// not known.
    pub host_limit: Option<u64>,
    /// The port at which more than half of its hosts made most of their contacts; `None` if there is none.
    pub port: Option<CommonPort>,
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

/// A port that hosts of a storm have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonPort {
    /// The protocol that the port belongs to.
    pub protocol: u8,
    /// The port; 0 for protocols without ports.
    pub port: u16,
    /// Number of hosts that made most of their contacts there.
    pub hosts: u64,
}

/// Maximum number of ports of a storm that are counted; of a port that comes later it does not tell.
pub(super) const COUNTED_PORTS_MAX: usize = 256;

/// Maximum number of networks of a storm that are counted.
pub(super) const COUNTED_NETWORKS_MAX: usize = 1024;

/// Time from the first notice of a storm to one that names further hosts; it doubles with each.
pub(super) const NAMES_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a storm needs, besides its alert, to go on after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StormProgress {
    /// True if its hosts have a target in common. The storm itself does not show it if destinations are hidden.
    pub(super) has_target: bool,
    /// The networks that are counted, and how many of its hosts are in each; at most [`COUNTED_NETWORKS_MAX`].
    pub(super) networks: Vec<(IpNet, u64)>,
    /// Number of hosts when its opening was notified, and the number of multiples of them that were reached since.
    pub(super) hosts_at_opening: u64,
    pub(super) growths: usize,
    /// Number of hosts when it was notified last, and the pause until further ones are named.
    pub(super) hosts_said: u64,
    pub(super) pause: Duration,
    /// Number of openings of the last minute, each with the time of the first of them; the latest last.
    pub(super) joined: Vec<(UnixNanos, u64)>,
    pub(super) last_joined_at: UnixNanos,
}

impl StormProgress {
    /// Returns what is known of a storm of which an earlier version saved the alert alone.
    pub(super) fn of_alert_alone(storm: &Storm, exceeded_at: UnixNanos) -> Self {
        Self {
            has_target: storm.target.is_some(),
            networks: storm.networks.clone(),
            hosts_at_opening: storm.hosts,
            growths: 0,
            hosts_said: storm.hosts,
            pause: NAMES_AGAIN_AFTER,
            joined: Vec::new(),
            last_joined_at: exceeded_at,
        }
    }
}

/// Returns the network by which the hosts of a storm are grouped: a /24, of IPv6 a /64.
pub(super) fn network_of(host: IpAddr) -> IpNet {
    network_of_length(host, if host.is_ipv4() { 24 } else { 64 })
}

/// Returns the network of a host and of its neighbours, from which a flood may go on: a /16, of IPv6 a /48.
pub(super) fn vicinity_of(host: IpAddr) -> IpNet {
    network_of_length(host, if host.is_ipv4() { 16 } else { 48 })
}

fn network_of_length(host: IpAddr, prefix: u8) -> IpNet {
    IpNet::new(host, prefix).map_or_else(|_| IpNet::from(host), |network| network.trunc())
}
