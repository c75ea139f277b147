//! `/api/v1/limits`: every limit in force, under its key in the configuration; those that are off are `null`.

use std::net::IpAddr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::view::{Capabilities, LimitsInForce};
use crate::alert::AlertKind;
use crate::detect::{LimitException, ScanRule};

#[derive(Debug, Serialize)]
pub(super) struct LimitsView<'a> {
    /// Length of the window of bytes and contacted hosts in seconds.
    traffic_interval: u64,
    /// Length of the window of contacted ports in seconds.
    port_interval: u64,
    /// The limits of a host in none of the networks below.
    hosts: ByKey<Vec<(AlertKind, Option<u64>)>>,
    /// The networks whose hosts have other limits.
    networks: Vec<NetworkView<'a>>,
    /// Hosts that are counted and never reported.
    ignored_sources: Vec<String>,
    /// `contacts` if the number of its contacts makes a host a scanner, `suspicious` if they must look like a scan.
    scan_evidence: &'static str,
    /// Percentage of the frames that may be lost in the window.
    loss_percent: Option<f64>,
    /// Prefix length by which IPv6 addresses are one host.
    group_ipv6: Option<u8>,
    /// True if contacts with many hosts are not judged because destinations are hidden.
    destinations_hidden: bool,
}

#[derive(Debug, Serialize)]
struct NetworkView<'a> {
    network: String,
    limits: ByKey<&'a [LimitException]>,
}

/// Limits as an object with the keys of the configuration.
#[derive(Debug)]
struct ByKey<T>(T);

impl<'a> LimitsView<'a> {
    pub(super) fn of(capabilities: &'a Capabilities) -> Self {
        let LimitsInForce { hosts, networks, ignored, loss_ppm_max, scan_rule, group_ipv6 } =
            &capabilities.limits;
        let limit = |kind: AlertKind| kind.limit().map(|_| (kind, hosts.of(kind)));
        Self {
            traffic_interval: capabilities.traffic_interval,
            port_interval: capabilities.port_interval,
            hosts: ByKey(AlertKind::ALL.into_iter().filter_map(limit).collect()),
            networks: networks
                .iter()
                .map(|(network, limits)| NetworkView { network: network.to_string(), limits: ByKey(limits) })
                .collect(),
            ignored_sources: ignored.iter().map(plain).collect(),
            scan_evidence: match scan_rule {
                ScanRule::Contacts => "contacts",
                ScanRule::Suspicious => "suspicious",
            },
            loss_percent: loss_ppm_max.map(|ppm| f64::from(ppm) / 1e4),
            group_ipv6: *group_ipv6,
            destinations_hidden: capabilities.no_destinations,
        }
    }
}

/// Writes a network that is one address as that address.
fn plain(network: &ipnet::IpNet) -> String {
    let addr: IpAddr = network.addr();
    if network.prefix_len() == network.max_prefix_len() { addr.to_string() } else { network.to_string() }
}

impl Serialize for ByKey<Vec<(AlertKind, Option<u64>)>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        limits(self.0.iter().copied(), serializer)
    }
}

impl Serialize for ByKey<&[LimitException]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        limits(self.0.iter().map(|&LimitException { kind, max }| (kind, max)), serializer)
    }
}

fn limits<S: Serializer>(
    limits: impl Iterator<Item = (AlertKind, Option<u64>)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (kind, max) in limits {
        if let Some(limit) = kind.limit() {
            map.serialize_entry(limit.key, &max)?;
        }
    }
    map.end()
}
