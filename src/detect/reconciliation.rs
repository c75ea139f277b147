//! Compares what was seen of an interface with what the kernel counted on it.
//!
//! It does not explain small differences: the kernel's own counters miss packets too. But where most packets of an
//! interface do not reach a packet socket, hardware or a flow table forwards them, and no count here can be right.

use super::parts_per_million::PartsPerMillion;

/// What was seen in one direction of an interface, and what the kernel counted there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceReconciliation {
    /// Frames that reached the packet sockets and were counted or skipped.
    pub frames: u64,
    /// Packets on the wire that these frames represent.
    pub packets: u64,
    /// What the kernel had counted at an earlier reading; all of that has been handed over since.
    pub kernel_before: u64,
    /// What the kernel counted at the latest reading.
    pub kernel_now: u64,
}

impl InterfaceReconciliation {
    /// The difference that neither count explains: positive where the kernel counted more than was seen, negative
    /// where it counted less. Packets that pass between the two readings are not in it.
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

    /// The share that was seen, where it is so small that packets must bypass the sockets.
    pub fn suspicion(&self) -> Option<PartsPerMillion> {
        let is_much = self.kernel_before >= SUSPECTED_FROM_PACKETS;
        let seen = PartsPerMillion::of(self.packets, self.kernel_before);
        (is_much && seen < SEEN_MIN).then_some(seen)
    }
}

/// With fewer packets than this, a small share is no evidence.
const SUSPECTED_FROM_PACKETS: u64 = 1000;
/// All packets of an interface are seen, except those that a driver counts by other rules.
const SEEN_MIN: PartsPerMillion = PartsPerMillion(900_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offload_is_suspected_where_most_of_much_was_not_seen() {
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
