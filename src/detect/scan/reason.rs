//! The reasons to take a host for a scanner, one for each rule.

use crate::flow::{Outcomes, PortHosts};

/// Why a host is taken for a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Many contacts at this port failed.
    Failures(PortHosts),
    /// It sent ICMP requests to many hosts.
    Pings(PortHosts),
    /// It contacted more than [`EXTREME`] times the limit of hosts at this port.
    FanOut(PortHosts),
    /// It contacted many hosts at this port, and no answers pass here.
    Unseen(PortHosts),
    /// It contacted many ports at one host, and most contacts failed.
    PortsInVain(Outcomes),
    /// It contacted many ports at one host, and no answers pass here.
    PortsUnseen,
}

/// The multiple of the limit that makes a scanner even where every contact is answered.
pub(super) const EXTREME: u32 = 20;
