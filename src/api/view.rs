//! The views: types with the shape of the JSON. Domain types are copied into them, so that renaming a field of a domain
//! type does not change an answer.

use std::net::IpAddr;

use hyper::body::Bytes;
use ipnet::IpNet;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::alert::AlertKind;
use crate::detect::{HostLimits, LimitException, ScanRule};
use crate::flow::{self, HostRow, PeerBytes};
use crate::packet::Skip;

/// `/capabilities`: the limits in force, with the original's names in the original's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Capabilities {
    /// Length of the traffic window in seconds.
    pub traffic_interval: u64,
    /// Maximum number of bytes that a host may send in the traffic window.
    pub byte_limit: u64,
    /// True if destinations are hidden.
    pub no_destinations: bool,
    /// True if the number of contacted hosts is limited.
    #[serde(rename = "ContactedIPsAnalyze")]
    pub contacted_ips_analyze: bool,
    /// Maximum number of hosts that a host may contact in the traffic window.
    #[serde(rename = "NumberContactedIPs")]
    pub number_contacted_ips: u32,
    /// True if the number of contacted ports is limited.
    pub analyze_ports: bool,
    /// Maximum number of ports that a host may contact in the port window.
    pub num_contacted_ports: u32,
    /// Length of the port window in seconds.
    pub port_interval: u64,
    /// Minimum number of bytes that a host on the chart has sent.
    pub chart_min_bytes: u64,
    /// Interfaces that are not monitored.
    pub excluded_interfaces: Vec<String>,
    /// Names and values of the keys of limits that the original does not have; limits that are off are left out.
    #[serde(flatten, serialize_with = "map")]
    pub further: Vec<(&'static str, String)>,
    /// What `/api/v1/limits` shows besides.
    #[serde(skip)]
    pub limits: LimitsInForce,
}

#[cfg(any(test, fuzzing))]
impl Capabilities {
    /// Returns limits for tests that do not depend on them.
    pub(super) fn sample() -> Self {
        Self {
            traffic_interval: 170,
            byte_limit: 1,
            no_destinations: false,
            contacted_ips_analyze: true,
            number_contacted_ips: 1,
            analyze_ports: false,
            num_contacted_ports: 1,
            port_interval: 1,
            chart_min_bytes: 1,
            excluded_interfaces: Vec::new(),
            further: Vec::new(),
            limits: LimitsInForce::default(),
        }
    }
}

/// The limits in force as numbers, for `/api/v1/limits`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitsInForce {
    /// The limits of a host in none of `networks`.
    pub hosts: HostLimits,
    /// The networks whose hosts have other limits, and which of their limits differ.
    pub networks: Vec<(IpNet, Vec<LimitException>)>,
    /// Hosts that are counted and never reported.
    pub ignored: Vec<IpNet>,
    /// Maximum number of lost frames per million; `None` if losses are not reported.
    pub loss_ppm_max: Option<u32>,
    /// When a host that contacts too many hosts or ports is a scanner.
    pub scan_rule: ScanRule,
    /// Prefix length by which IPv6 addresses are one host; `None` if each address is one.
    pub group_ipv6: Option<u8>,
}

fn map<S: Serializer>(entries: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(entries.iter().map(|(name, value)| (name, value)))
}

/// One element of `/active` and `/all`.
#[derive(Debug, Serialize)]
pub(super) struct LegacyHost {
    #[serde(rename = "EventType")]
    kinds: String,
    #[serde(rename = "SourceIP")]
    source: IpAddr,
    #[serde(rename = "DestinationIP")]
    destinations: Vec<LegacyDestination>,
    #[serde(rename = "TotalBytes")]
    ip_bytes: u64,
}

#[derive(Debug, Serialize)]
struct LegacyDestination {
    #[serde(rename = "IP")]
    addr: IpAddr,
    #[serde(rename = "Bytes")]
    ip_bytes: u64,
}

impl LegacyHost {
    pub(super) fn of(row: HostRow<&[PeerBytes]>, kinds: &[AlertKind], hide_destinations: bool) -> Self {
        let shown = if hide_destinations { &[] } else { row.destinations };
        Self {
            kinds: kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join("+"),
            source: row.addr,
            destinations: shown
                .iter()
                .map(|peer| LegacyDestination { addr: peer.addr, ip_bytes: peer.ip_bytes })
                .collect(),
            ip_bytes: row.ip_bytes,
        }
    }
}

/// What became of every frame, each counted once: `frames = counted_frames + sum(skipped)`. The API and `replay --json`
/// both serialize it.
#[derive(Debug, Serialize)]
pub struct Counted<'a> {
    frames: u64,
    counted_frames: u64,
    /// Number of packets on the wire that the counted frames stand for.
    ip_packets: u64,
    ip_bytes: u64,
    skipped: Skipped<'a>,
    malformed_ip_packets: u64,
    length_mismatch_packets: u64,
    /// Number of counted frames that the kernel joined from several packets on the wire (GRO).
    super_frames: u64,
    /// Number of those frames that are counted as one packet each, because the number of their packets is unknown.
    super_frames_as_one: u64,
    spilled_packets: u64,
    spilled_bytes: u64,
    spilled_ports: u64,
    undecided_exchanges: u64,
}

impl<'a> Counted<'a> {
    /// Copies the totals.
    pub fn of(counted: &'a flow::Accounting) -> Self {
        Self {
            frames: counted.frames,
            counted_frames: counted.counted_frames,
            ip_packets: counted.ip_packets,
            ip_bytes: counted.ip_bytes,
            skipped: Skipped(&counted.skipped),
            malformed_ip_packets: counted.malformed_ip_packets(),
            length_mismatch_packets: counted.length_mismatch_packets,
            super_frames: counted.super_frames,
            super_frames_as_one: counted.super_frames_as_one,
            spilled_packets: counted.spilled_packets,
            spilled_bytes: counted.spilled_bytes,
            spilled_ports: counted.spilled_ports,
            undecided_exchanges: counted.undecided_exchanges,
        }
    }
}

/// Number of skipped frames by the name of the reason; reasons with no frame are left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skipped<'a>(pub(super) &'a [u64; Skip::COUNT]);

impl Serialize for Skipped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (reason, &frames) in Skip::ALL.iter().zip(self.0) {
            if frames > 0 {
                map.serialize_entry(reason.name(), &frames)?;
            }
        }
        map.end()
    }
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize)]
pub(super) struct ProblemDetails<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) title: &'static str,
    pub(super) status: u16,
    pub(super) detail: &'a str,
}

/// Returns the JSON of one view.
pub(super) fn json<T: Serialize>(view: &T) -> Bytes {
    serde_json::to_vec(view).expect("views are structs of numbers and text with string keys").into()
}

/// Returns the JSON array of `views`, which are made one at a time, so that a large report is never in memory twice.
pub(super) fn json_array<T: Serialize>(views: impl Iterator<Item = T>) -> Bytes {
    let mut body = Vec::new();
    serde_json::Serializer::new(&mut body)
        .collect_seq(views)
        .expect("views are structs of numbers and text, and writing to memory cannot fail");
    body.into()
}
