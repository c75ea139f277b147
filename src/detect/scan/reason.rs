//! The reasons to classify a host as a scanner: one for each pattern of `scan.rs`.

use crate::flow::{Outcomes, PortHosts};

/// Why a host is classified as a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Many of its contacts at this port failed.
    Failures(PortHosts),
    /// It sent ICMP requests to many hosts, of which many did not answer.
    Pings(PortHosts),
    /// The number of hosts that it contacted at this port is more than [`FAN_OUT_MULTIPLE`] times the limit, and
    /// clients do not use that service at many hosts.
    FanOut(PortHosts),
    /// It contacted many hosts at this port, and no answers to it pass here.
    Unseen(PortHosts),
    /// It contacted many ports at one host, and clearly more of its ports failed than were answered.
    FailedPorts(Outcomes),
    /// It contacted many ports at one host, and no answers to it pass here.
    UnseenPorts,
}

/// A host that contacts more than this many times the limit of hosts at the port of a service that clients do not use
/// at many hosts is a scanner even if every contact is answered.
pub(super) const FAN_OUT_MULTIPLE: u32 = 20;
