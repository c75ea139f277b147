//! A list of hosts with what each did and where its bytes went, packed: however many hosts are in it, it is made of
//! few pieces of memory, which the next list can be put in.

use std::cmp::Ordering;

use super::snapshot::{HostRow, PeerBytes};

/// Hosts, and for each its destinations.
#[derive(Clone, Debug, Default)]
pub struct HostList {
    rows: Vec<HostRow<Place>>,
    /// None ever grows beyond the room that it was made with, so none is ever copied.
    pieces: Vec<Vec<PeerBytes>>,
    /// Empty ones.
    spare: Vec<Vec<PeerBytes>>,
}

/// Where the destinations of a row are.
#[derive(Clone, Copy, Debug)]
struct Place {
    piece: u32,
    at: u32,
    len: u32,
}

/// Destinations in a piece of memory: 128 KiB of them.
const PIECE_ROOM: usize = 4096;

/// Pieces that are given back at a time: some megabytes, which the system takes in less than a millisecond.
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
        // They fit: lists are bounded far below 2^32 destinations.
        let place = Place { piece: piece as u32, at: peers.len() as u32, len: destinations.len() as u32 };
        peers.extend_from_slice(destinations);
        self.rows.push(row.with(place));
    }

    /// The hosts, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = HostRow<&[PeerBytes]>> {
        self.rows.iter().map(|row| {
            let Place { piece, at, len } = row.destinations;
            let peers = &self.pieces[piece as usize];
            row.with(&peers[at as usize..][..len as usize])
        })
    }

    /// Hosts in it.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Puts the hosts from `first` on in their order, so many of them: most bytes first, then by address. Those before
    /// are in theirs.
    pub(super) fn order_some(&mut self, first: usize, count: usize) {
        let rows = self.rows.get_mut(first..).unwrap_or_default();
        order_some(rows, count, |a, b| b.ip_bytes.cmp(&a.ip_bytes).then(a.addr.cmp(&b.addr)));
    }

    /// Forgets everybody and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        for mut piece in self.pieces.drain(..) {
            piece.clear();
            self.spare.push(piece);
        }
    }

    /// Gives back memory that is not used, a part of it at a time. Whether that was all.
    pub(super) fn trim(&mut self) -> bool {
        self.spare.truncate(self.spare.len().saturating_sub(PART_PIECES));
        self.spare.is_empty()
    }

    /// Gives all its memory back, a part of it at a time. Whether that was all.
    pub fn free_part(&mut self) -> bool {
        self.clear();
        self.rows = Vec::new();
        self.trim()
    }
}

impl FromIterator<HostRow> for HostList {
    fn from_iter<I: IntoIterator<Item = HostRow>>(rows: I) -> Self {
        let mut chart = HostList::default();
        rows.into_iter().for_each(|row| chart.push(row.view()));
        chart
    }
}

/// Brings the first `count` of all into their place and their order.
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

    fn rows(chart: &HostList) -> Vec<HostRow> {
        chart.iter().map(|row| row.with(row.destinations.to_vec())).collect()
    }

    #[test]
    fn what_was_put_in_comes_out_in_order() {
        let many = |n: u32| row(n, if n == 50 { 3 * PIECE_ROOM } else { n as usize % 101 });
        let mut expected: Vec<HostRow> = (0..400).map(many).collect();
        let mut chart: HostList = expected.iter().cloned().collect();
        assert_eq!(rows(&chart), expected);
        (0..400).step_by(7).for_each(|first| chart.order_some(first, 7));
        expected.sort_by_key(|row| (std::cmp::Reverse(row.ip_bytes), row.addr));
        assert_eq!(rows(&chart), expected);
    }

    #[test]
    fn the_next_list_is_put_in_the_memory_of_the_last() {
        let mut chart: HostList = (0..400).map(|n| row(n, 100)).collect();
        let piece = |chart: &HostList| chart.pieces.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>();
        let mut before = piece(&chart);
        chart.clear();
        assert!(chart.is_empty());
        (0..400).for_each(|n| chart.push(row(n, 100).view()));
        let mut after = piece(&chart);
        before.sort();
        after.sort();
        assert_eq!(before, after);
        assert_eq!(rows(&chart), (0..400).map(|n| row(n, 100)).collect::<Vec<_>>());
        chart.clear();
        while !chart.trim() {}
        assert_eq!((chart.spare.len(), chart.pieces.len()), (0, 0));
    }
}
