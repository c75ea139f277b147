//! A list of hosts with their sums and destinations, packed into a few allocations that the next list can reuse.

use std::cmp::Ordering;

use super::snapshot::{HostRow, PeerBytes};

/// A list of hosts with their destinations.
#[derive(Clone, Debug, Default)]
pub struct HostList {
    rows: Vec<HostRow<DestinationRange>>,
    /// The destinations of all hosts. A piece never grows beyond its initial capacity, so its items are never copied.
    pieces: Vec<Vec<PeerBytes>>,
    /// Empty pieces, whose memory is used again.
    spare: Vec<Vec<PeerBytes>>,
}

/// Where the destinations of a row are.
#[derive(Clone, Copy, Debug)]
struct DestinationRange {
    piece: u32,
    at: u32,
    len: u32,
}

/// Minimum number of destinations that a piece has room for: 128 KiB.
const PIECE_ROOM: usize = 4096;

/// Number of pieces that are freed in one part: some megabytes, which takes less than a millisecond.
const PART_PIECES: usize = 32;

impl HostList {
    /// Adds a host.
    pub fn push(&mut self, row: HostRow<&[PeerBytes]>) {
        let destinations = row.destinations;
        let has_room = |piece: &Vec<PeerBytes>| piece.capacity() - piece.len() >= destinations.len();
        if !self.pieces.last().is_some_and(has_room) {
            let fresh = || Vec::with_capacity(PIECE_ROOM.max(destinations.len()));
            let spare = self.spare.pop().filter(has_room).unwrap_or_else(fresh);
            self.pieces.push(spare);
        }
        let piece = self.pieces.len() - 1;
        let peers = &mut self.pieces[piece];
        #[allow(clippy::cast_possible_truncation, reason = "lists are limited far below 2^32 destinations")]
        let range =
            DestinationRange { piece: piece as u32, at: peers.len() as u32, len: destinations.len() as u32 };
        peers.extend_from_slice(destinations);
        self.rows.push(row.with(range));
    }

    /// Returns the hosts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = HostRow<&[PeerBytes]>> {
        self.rows.iter().map(|row| {
            let DestinationRange { piece, at, len } = row.destinations;
            let peers = &self.pieces[piece as usize];
            row.with(&peers[at as usize..][..len as usize])
        })
    }

    /// Returns the number of hosts.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if the list is empty.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Moves the `count` hosts that come next in the order to the positions from `first` on. The order is most bytes
    /// first, then ascending addresses. The hosts before `first` must be in order already.
    pub(super) fn order_some(&mut self, first: usize, count: usize) {
        let rows = self.rows.get_mut(first..).unwrap_or_default();
        order_some(rows, count, |a, b| b.ip_bytes.cmp(&a.ip_bytes).then(a.addr.cmp(&b.addr)));
    }

    /// Removes all hosts and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        for mut piece in self.pieces.drain(..) {
            piece.clear();
            self.spare.push(piece);
        }
    }

    /// Frees a part of the unused memory. Returns true if none is left.
    pub(super) fn trim(&mut self) -> bool {
        self.spare.truncate(self.spare.len().saturating_sub(PART_PIECES));
        self.spare.is_empty()
    }

    /// Removes all hosts and frees a part of the memory. Returns true if none is left.
    pub fn free_part(&mut self) -> bool {
        self.clear();
        self.rows = Vec::new();
        self.trim()
    }
}

impl FromIterator<HostRow> for HostList {
    fn from_iter<I: IntoIterator<Item = HostRow>>(rows: I) -> Self {
        let mut list = HostList::default();
        rows.into_iter().for_each(|row| list.push(row.view()));
        list
    }
}

/// Sorts the `count` items that come first in the order of `compare`, and moves them to the front.
pub(super) fn order_some<T>(items: &mut [T], count: usize, compare: impl Fn(&T, &T) -> Ordering) {
    let count = count.min(items.len());
    if count < items.len() {
        items.select_nth_unstable_by(count, &compare);
    }
    items[..count].sort_unstable_by(&compare);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn addr(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    fn row(n: u32, destinations: usize) -> HostRow {
        let peer = |at| PeerBytes { addr: addr(n + at as u32), ip_bytes: u64::from(n) };
        HostRow {
            addr: addr(n),
            packets: 1,
            ip_bytes: u64::from(n % 7),
            contacted_hosts: n,
            contacted_ports: 2,
            destinations: (0..destinations).map(peer).collect(),
        }
    }

    fn rows(list: &HostList) -> Vec<HostRow> {
        list.iter().map(|row| row.with(row.destinations.to_vec())).collect()
    }

    #[test]
    fn hosts_are_listed_in_order_with_their_destinations() {
        let many = |n: u32| row(n, if n == 50 { 3 * PIECE_ROOM } else { n as usize % 101 });
        let mut expected: Vec<HostRow> = (0..400).map(many).collect();
        let mut list: HostList = expected.iter().cloned().collect();
        assert_eq!(rows(&list), expected);
        (0..400).step_by(7).for_each(|first| list.order_some(first, 7));
        expected.sort_by_key(|row| (std::cmp::Reverse(row.ip_bytes), row.addr));
        assert_eq!(rows(&list), expected);
    }

    #[test]
    fn the_next_list_reuses_the_memory_of_the_last() {
        let mut list: HostList = (0..400).map(|n| row(n, 100)).collect();
        let piece = |list: &HostList| list.pieces.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>();
        let mut before = piece(&list);
        list.clear();
        assert!(list.is_empty());
        (0..400).for_each(|n| list.push(row(n, 100).view()));
        let mut after = piece(&list);
        before.sort();
        after.sort();
        assert_eq!(before, after);
        assert_eq!(rows(&list), (0..400).map(|n| row(n, 100)).collect::<Vec<_>>());
        list.clear();
        while !list.trim() {}
        assert_eq!((list.spare.len(), list.pieces.len()), (0, 0));
    }
}
