//! Compares the frames that packet sockets received on an interface with the counters that the kernel keeps of it.
//!
//! Small differences are not explained, because the counters of the kernel miss packets too. If most packets of an
//! interface do not reach a packet socket, the hardware or a flow table forwards them, and all counts of this program
//! are too small.

use super::parts_per_million::PartsPerMillion;

/// Counts of one direction of an interface: those of this program and those of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReconciliation {
    /// Frames that reached the packet sockets and were counted or skipped.
    pub frames: u64,
    /// Packets on the wire that these frames represent.
    pub packets: u64,
    /// Packets that the kernel had counted at an earlier reading. What the packet sockets received of
    /// them has been folded since.
    pub kernel_before: u64,
    /// Packets that the kernel had counted at the latest reading.
    pub kernel_now: u64,
}

impl InterfaceReconciliation {
    /// Returns the unexplained difference in packets: positive if the kernel counted more than this program, negative
    /// if it counted less. Packets that pass between the two readings do not make a difference.
    ///
    /// A device counts either the packets of the wire or the frames that it is given, so any count from `frames` to
    /// `packets` is explained.
    ///
    /// ```
    /// use traffic_alerted::detect::InterfaceReconciliation;
    /// let reconciliation =
    ///     InterfaceReconciliation { frames: 40, packets: 1000, kernel_before: 990, kernel_now: 1200 };
    /// assert_eq!(reconciliation.unexplained(), 0);
    /// assert_eq!(InterfaceReconciliation { kernel_before: 1100, ..reconciliation }.unexplained(), 100);
    /// assert_eq!(InterfaceReconciliation { kernel_before: 10, kernel_now: 30, ..reconciliation }.unexplained(), -10);
    /// ```
    pub fn unexplained(&self) -> i64 {
        let more = self.kernel_before.saturating_sub(self.packets);
        let less = self.frames.saturating_sub(self.kernel_now);
        i64::try_from(more).unwrap_or(i64::MAX) - i64::try_from(less).unwrap_or(i64::MAX)
    }

    /// Returns the share of the packets of the kernel that this program counted, if it is so small that packets must
    /// bypass the sockets; `None` otherwise.
    pub fn suspicion(&self) -> Option<PartsPerMillion> {
        let is_much = self.kernel_before >= EVIDENCE_PACKETS_MIN;
        let seen = PartsPerMillion::of(self.packets, self.kernel_before);
        (is_much && seen < UNSUSPICIOUS_MIN).then_some(seen)
    }
}

/// Minimum number of packets that the kernel must have counted: with fewer, a small share is not evidence.
const EVIDENCE_PACKETS_MIN: u64 = 1000;
/// Minimum share that is not suspicious. All packets of an interface reach the sockets, but some drivers count
/// differently.
const UNSUSPICIOUS_MIN: PartsPerMillion = PartsPerMillion(900_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offload_is_suspected_if_under_nine_tenths_of_many_packets_were_counted() {
        let reconciliation = |packets, kernel_before| InterfaceReconciliation {
            frames: packets,
            packets,
            kernel_before,
            kernel_now: kernel_before,
        };
        for (packets, kernel, expected) in [
            (120, 1000, Some(PartsPerMillion(120_000))),
            (0, 1_000_000, Some(PartsPerMillion(0))),
            (899, 1000, Some(PartsPerMillion(899_000))),
            (900, 1000, None),
            (1000, 1000, None),
            (2000, 1000, None),
            (0, 999, None),
            (0, 0, None),
        ] {
            assert_eq!(reconciliation(packets, kernel).suspicion(), expected, "{packets} of {kernel}");
        }
    }
}
