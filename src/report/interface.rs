//! One interface in the report: the counts of this program and those of the kernel.

use crate::capture::{InterfaceName, LinkCounters};
use crate::detect::{InterfaceReconciliation, PartsPerMillion};
use crate::flow::InterfaceCounts;
use crate::packet::Skip;

/// Frames and packets that were counted on one interface since the start, and the counters that the kernel keeps of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReport {
    /// The kernel's number of the interface; 0 for the sum of interfaces that were removed and forgotten.
    pub ifindex: u32,
    /// The name of the interface; `None` if it is not known.
    pub name: Option<InterfaceName>,
    /// True if the interface no longer exists.
    pub is_gone: bool,
    /// The reason why nothing on it is counted; `None` if it is monitored.
    pub skipped: Option<Skip>,
    /// Counts of this program.
    pub counted: InterfaceCounts,
    /// Counters of the kernel.
    pub kernel: LinkCounters,
    /// Comparison of both for incoming frames; `None` if not all of them are counted, or the kernel's counters are not
    /// known.
    pub ingress: Option<InterfaceReconciliation>,
    /// Comparison of both for outgoing frames; `None` in the same cases.
    pub egress: Option<InterfaceReconciliation>,
    /// The recent share of incoming packets that was counted, if it is so small that packets must bypass the capture;
    /// `None` otherwise.
    pub suspicion: Option<PartsPerMillion>,
}
