//! Pure judgement: rows in, findings out.
#![forbid(unsafe_code)]

/// What a host may do before it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in the traffic window; more raises a volume finding.
    pub ip_bytes_max: u64,
    /// Hosts contacted in the traffic window; `None` turns the detector off.
    pub contacted_hosts_max: Option<u32>,
    /// Ports contacted in the port window; `None` turns the detector off.
    pub contacted_ports_max: Option<u32>,
}
