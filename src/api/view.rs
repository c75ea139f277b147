//! The JSON shapes.

use serde::Serialize;

/// `/capabilities`: the limits in force, with the original's names in the original's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Capabilities {
    /// Seconds of the traffic window.
    pub traffic_interval: u64,
    /// Bytes a host may send in it.
    pub byte_limit: u64,
    /// Whether destinations are hidden.
    pub no_destinations: bool,
    /// Whether contacted hosts are judged.
    #[serde(rename = "ContactedIPsAnalyze")]
    pub contacted_ips_analyze: bool,
    /// Hosts a host may contact in the traffic window.
    #[serde(rename = "NumberContactedIPs")]
    pub number_contacted_ips: u32,
    /// Whether contacted ports are judged.
    pub analyze_ports: bool,
    /// Ports a host may contact in the port window.
    pub num_contacted_ports: u32,
    /// Seconds of the port window.
    pub port_interval: u64,
    /// Bytes from which on a host is on the chart.
    pub chart_min_bytes: u64,
    /// Interfaces that are not monitored.
    pub excluded_interfaces: Vec<String>,
}
