//! One interface in the report: our counts beside the kernel's.

use crate::capture::{InterfaceName, LinkCounters};
use crate::detect::{InterfaceReconciliation, PartsPerMillion};
use crate::flow::InterfaceCounts;
use crate::packet::Skip;

/// Frames and packets counted on one interface since the start, beside the kernel's counters of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReport {
    /// The kernel's number of the interface; 0 for the sum of interfaces that were removed and forgotten.
    pub ifindex: u32,
    /// The name of the interface; `None` if it is not known.
    pub name: Option<InterfaceName>,
    /// True if the interface no longer exists.
    pub is_gone: bool,
    /// Why nothing on it is counted; `None` if it is monitored.
    pub skipped: Option<Skip>,
    /// Counts of this program.
    pub counted: InterfaceCounts,
    /// Counters of the kernel.
    pub kernel: LinkCounters,
    /// Both compared for incoming frames; `None` where not all of them are counted.
    pub ingress: Option<InterfaceReconciliation>,
    /// Both compared for outgoing frames; `None` where not all of them are counted.
    pub egress: Option<InterfaceReconciliation>,
    /// The recent share of incoming packets that was counted, if it is so small that packets must bypass the capture.
    pub suspicion: Option<PartsPerMillion>,
}
