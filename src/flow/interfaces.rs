//! Counts per interface and direction. Each frame is in exactly one row, so the rows add up to the totals.

use crate::packet::{Direction, Skip};

use super::snapshot::Accounting;
use super::table::Table;

/// Frames that crossed one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounts {
    /// Frames received on it.
    pub ingress: DirectionCounts,
    /// Frames sent on it, if the socket's filter passes them.
    pub egress: DirectionCounts,
}

/// Frames that crossed an interface in one direction, each counted or skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionCounts {
    /// Frames that were counted.
    pub counted_frames: u64,
    /// IP packets on the wire that they stand for.
    pub ip_packets: u64,
    /// Bytes of these packets.
    pub ip_bytes: u64,
    /// Number of frames that were not counted, by [`Skip`].
    pub skipped: [u64; Skip::COUNT],
}

impl DirectionCounts {
    /// Returns the number of frames, counted or skipped.
    pub fn frames(&self) -> u64 {
        self.counted_frames + self.skipped.iter().sum::<u64>()
    }

    fn add(&mut self, other: &DirectionCounts) {
        self.counted_frames += other.counted_frames;
        self.ip_packets += other.ip_packets;
        self.ip_bytes += other.ip_bytes;
        for (mine, theirs) in self.skipped.iter_mut().zip(&other.skipped) {
            *mine += theirs;
        }
    }
}

impl InterfaceCounts {
    /// Adds the counts of another worker or of a later tick.
    pub fn add(&mut self, other: &InterfaceCounts) {
        self.ingress.add(&other.ingress);
        self.egress.add(&other.egress);
    }

    /// Adds both directions to sums over all interfaces.
    pub(super) fn add_to(&self, sums: &mut Accounting) {
        for counts in [&self.ingress, &self.egress] {
            sums.counted_frames += counts.counted_frames;
            sums.ip_packets += counts.ip_packets;
            sums.ip_bytes += counts.ip_bytes;
            for (sum, frames) in sums.skipped.iter_mut().zip(&counts.skipped) {
                *sum += frames;
            }
        }
    }
}

/// An interface and a direction, as a row of one delta. It is valid until that delta is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceDirection(u32);

impl InterfaceDirection {
    /// Ingress in the row of [`OVERFLOW_IFINDEX`]. It is also the default, for frames without a known interface.
    pub const OVERFLOW_ROW: Self = Self(OVERFLOW_ROW_NUMBER << 1);

    /// Packs twice the row, which is below [`ROWS_MAX`], plus 1 for egress.
    #[inline(always)]
    fn new(row: u32, direction: Direction) -> Self {
        Self(row << 1 | u32::from(direction == Direction::Egress))
    }

    #[inline(always)]
    fn row(self) -> u32 {
        self.0 >> 1
    }

    #[inline(always)]
    fn is_egress(self) -> bool {
        self.0 & 1 == 1
    }
}

impl Default for InterfaceDirection {
    fn default() -> Self {
        Self::OVERFLOW_ROW
    }
}

/// The rows of one delta. Interfaces for which there is no row left share that of [`OVERFLOW_IFINDEX`].
#[derive(Debug)]
pub(super) struct InterfaceCountsTable {
    rows: Table<u32, InterfaceCounts>,
}

impl InterfaceCountsTable {
    pub(super) fn new(rows_max: usize) -> Self {
        let mut table = Self { rows: Table::new(rows_max.clamp(1, ROWS_MAX)) };
        table.clear();
        table
    }

    /// Returns the row of an interface and a direction; the overflow row if there is no row left.
    pub(super) fn interface_direction(&mut self, ifindex: u32, direction: Direction) -> InterfaceDirection {
        // The table takes its tag from the high bits, so the number is spread over them. An attacker cannot choose
        // interface numbers, so the hash needs no seed.
        let hash = u64::from(ifindex).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        InterfaceDirection::new(
            self.rows.find_or_insert(hash, ifindex).unwrap_or(OVERFLOW_ROW_NUMBER),
            direction,
        )
    }

    /// Adds counted frames to a row.
    #[inline]
    pub(super) fn count(
        &mut self,
        interface_direction: InterfaceDirection,
        frames: u64,
        ip_packets: u64,
        ip_bytes: u64,
    ) {
        let counts = self.counts_mut(interface_direction);
        counts.counted_frames += frames;
        counts.ip_packets += ip_packets;
        counts.ip_bytes += ip_bytes;
    }

    /// Adds a skipped frame to a row.
    #[inline]
    pub(super) fn skip(&mut self, interface_direction: InterfaceDirection, skip: Skip) {
        self.counts_mut(interface_direction).skipped[skip as usize] += 1;
    }

    /// Returns the interfaces that frames crossed, with their counts.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, &InterfaceCounts)> {
        self.rows.rows().iter().map(|row| (row.key, &row.value))
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.rows.find_or_insert(0, OVERFLOW_IFINDEX);
    }

    #[inline]
    fn counts_mut(&mut self, interface_direction: InterfaceDirection) -> &mut DirectionCounts {
        let counts = self.rows.value_mut(interface_direction.row());
        if interface_direction.is_egress() { &mut counts.egress } else { &mut counts.ingress }
    }
}

/// The interface index of the overflow row. It has the frames of interfaces beyond the limit of a table, of retired
/// interfaces, and of no known interface. The kernel never assigns index 0 to an interface.
pub const OVERFLOW_IFINDEX: u32 = 0;

/// Maximum number of rows: an [`InterfaceDirection`] needs one bit for the direction.
const ROWS_MAX: usize = 1 << 30;

/// The number of the overflow row; `clear` inserts it first.
const OVERFLOW_ROW_NUMBER: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: &InterfaceCountsTable) -> Vec<(u32, u64)> {
        table.rows().map(|(ifindex, counts)| (ifindex, counts.ingress.frames())).collect()
    }

    #[test]
    fn interfaces_without_room_share_a_row_and_every_frame_is_counted_once() {
        let mut table = InterfaceCountsTable::new(3);
        for ifindex in [7, 7, 9, 7, 11, 12, 9, 0] {
            let interface_direction = table.interface_direction(ifindex, Direction::Ingress);
            table.skip(interface_direction, Skip::NotIp);
        }
        assert_eq!(rows(&table), [(OVERFLOW_IFINDEX, 3), (7, 3), (9, 2)]);
        let egress = table.interface_direction(9, Direction::Egress);
        table.skip(egress, Skip::Egress);
        assert_eq!(rows(&table), [(OVERFLOW_IFINDEX, 3), (7, 3), (9, 2)], "the other direction");
        table.clear();
        assert_eq!(rows(&table), [(OVERFLOW_IFINDEX, 0)]);
    }
}
