//! What was seen on each interface, and which way: every frame once, so that the rows add up to the whole.

use crate::packet::{Direction, Skip};

use super::snapshot::Accounting;
use super::table::Table;

/// What was seen of one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounts {
    /// Frames that came in through it.
    pub ingress: DirectionCounts,
    /// Frames that went out through it, as far as the filter in the kernel lets them pass.
    pub egress: DirectionCounts,
}

/// Frames that crossed an interface in one direction, each of them counted or skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionCounts {
    /// Frames that were counted.
    pub counted_frames: u64,
    /// Packets of the wire that they stand for.
    pub ip_packets: u64,
    /// Their bytes.
    pub ip_bytes: u64,
    /// Frames that were not counted, by [`Skip`].
    pub skipped: [u64; Skip::COUNT],
}

impl DirectionCounts {
    /// All frames, counted or not.
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
    /// Adds another worker's, or a later tick.
    pub fn add(&mut self, other: &InterfaceCounts) {
        self.ingress.add(&other.ingress);
        self.egress.add(&other.egress);
    }

    /// Adds both directions to sums over all interfaces.
    pub(super) fn add_to(&self, sums: &mut Accounting) {
        for crossed in [&self.ingress, &self.egress] {
            sums.counted_frames += crossed.counted_frames;
            sums.ip_packets += crossed.ip_packets;
            sums.ip_bytes += crossed.ip_bytes;
            for (sum, frames) in sums.skipped.iter_mut().zip(&crossed.skipped) {
                *sum += frames;
            }
        }
    }
}

/// Where and which way a frame crossed, as a place in one delta. It is good until that delta is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceDirection(u32);

impl InterfaceDirection {
    /// Into this host, nobody knows where.
    pub const ELSEWHERE: Self = Self(ELSEWHERE_ROW << 1);

    /// Twice the row, which is below [`ROWS_MAX`], and whether the frame left.
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
        Self::ELSEWHERE
    }
}

/// The rows of one delta. Interfaces beyond the room share the row of interface 0, which is none.
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

    pub(super) fn interface_direction(&mut self, ifindex: u32, direction: Direction) -> InterfaceDirection {
        // Spread over the high bits too, where the table looks first. Nobody chooses these keys.
        let hash = u64::from(ifindex).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        InterfaceDirection::new(self.rows.find_or_insert(hash, ifindex).unwrap_or(ELSEWHERE_ROW), direction)
    }

    /// Counts frames that crossed in a row.
    #[inline]
    pub(super) fn count(
        &mut self,
        interface_direction: InterfaceDirection,
        frames: u64,
        ip_packets: u64,
        ip_bytes: u64,
    ) {
        let crossed = self.crossed(interface_direction);
        crossed.counted_frames += frames;
        crossed.ip_packets += ip_packets;
        crossed.ip_bytes += ip_bytes;
    }

    #[inline]
    pub(super) fn skip(&mut self, interface_direction: InterfaceDirection, skip: Skip) {
        self.crossed(interface_direction).skipped[skip as usize] += 1;
    }

    /// The interfaces that frames crossed, with what was seen.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, &InterfaceCounts)> {
        self.rows.rows().iter().map(|row| (row.key, &row.value))
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.rows.find_or_insert(0, ELSEWHERE);
    }

    #[inline]
    fn crossed(&mut self, interface_direction: InterfaceDirection) -> &mut DirectionCounts {
        let counts = self.rows.value_mut(interface_direction.row());
        if interface_direction.is_egress() { &mut counts.egress } else { &mut counts.ingress }
    }
}

/// No interface has this number; what has no row of its own is counted under it.
pub const ELSEWHERE: u32 = 0;

/// So many are told apart at most: a [`InterfaceDirection`] needs a bit besides.
const ROWS_MAX: usize = 1 << 30;

/// It is made first.
const ELSEWHERE_ROW: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(table: &InterfaceCountsTable) -> Vec<(u32, u64)> {
        table.rows().map(|(ifindex, counts)| (ifindex, counts.ingress.frames())).collect()
    }

    #[test]
    fn interfaces_without_room_share_a_row_and_every_frame_is_in_one() {
        let mut table = InterfaceCountsTable::new(3);
        for ifindex in [7, 7, 9, 7, 11, 12, 9, 0] {
            let interface_direction = table.interface_direction(ifindex, Direction::Ingress);
            table.skip(interface_direction, Skip::NotIp);
        }
        assert_eq!(rows(&table), [(ELSEWHERE, 3), (7, 3), (9, 2)]);
        let egress = table.interface_direction(9, Direction::Egress);
        table.skip(egress, Skip::Egress);
        assert_eq!(rows(&table), [(ELSEWHERE, 3), (7, 3), (9, 2)], "the other direction");
        table.clear();
        assert_eq!(rows(&table), [(ELSEWHERE, 0)]);
    }
}
