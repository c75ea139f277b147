//! Views of a window: the row of one host, the ports of one, the list of the hosts in the chart.
//!
//! A window has millions of pairs and is folded into all the time. So a list is made in parts, each of which examines
//! at most [`LIST_PART_ROWS`] rows. Changes between two parts are in the rows that are made later. A row is of one
//! moment, unless its host has so many destinations that they take several parts.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::flow::host_list::{HostList, order_some};
use crate::flow::hosts::{HostId, Hosts};
use crate::flow::pairs::Pair;
use crate::flow::snapshot::{HostRow, PeerBytes};
use crate::flow::{DESTINATIONS_MAX, PORTS_MAX, SNAPSHOT_HOSTS_MAX};

use super::Window;

/// Rows that a part examines. Each costs one or two cache misses, which adds up to a millisecond.
pub const LIST_PART_ROWS: usize = 8192;

/// Limits of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingRoom {
    /// Maximum number of hosts.
    pub hosts_max: usize,
    /// Maximum number of bytes for a list, the one in the making, and the responses that contain them.
    pub bytes_max: u64,
}

/// Bytes of a host without its address and its destinations: in two lists and in three responses.
const HOST_BYTES: u64 = 2 * 64 + 3 * 64;
/// Bytes of a destination without its address.
const DESTINATION_BYTES: u64 = 2 * 32 + 3 * 30;

/// Returns the bytes of an address in three responses.
fn address_bytes(addr: &IpAddr) -> u64 {
    if addr.is_ipv4() { 3 * 15 } else { 3 * 39 }
}

impl ListingRoom {
    /// Allows a sixth of `memory_bytes`; with the default that is enough for all hosts of a busy network.
    pub fn from_memory(memory_bytes: u64) -> Self {
        Self { hosts_max: SNAPSHOT_HOSTS_MAX, bytes_max: memory_bytes / 6 }
    }
}

/// A list of the hosts of a window in the making: [`begin`](Self::begin) it, call [`Window::list_part`] until it is
/// complete, and [`take`](Self::take) it. The next list reuses the memory of a list that was [returned](Self::reuse).
#[derive(Debug)]
pub struct Listing {
    room: ListingRoom,
    hides_destinations: bool,
    stage: Stage,
    /// The hosts of the chart when the list was begun. They may have been freed since, and their numbers used again.
    ids: Vec<HostId>,
    /// Address and number.
    largest: Largest<(IpAddr, u32)>,
    walk: Walk,
    part_rows: usize,
    /// How many of the largest are sorted.
    ordered: usize,
    bytes: u64,
    chart: HostList,
    hosts_omitted: usize,
    /// Hosts whose rows were requested separately, and the rows of those made so far.
    asked: HashSet<IpAddr>,
    found: HashMap<IpAddr, HostRow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    /// Hosts before this one were offered to `largest`.
    Choosing(usize),
    /// Rows before this one were made.
    Listing(usize),
    /// Rows before this one are sorted.
    Ordering(usize),
    /// Memory that the last list needed and this one does not is freed.
    Trimming,
    Whole,
}

/// The row of a host in the making. The window stores the position, for one walk at a time.
#[derive(Debug)]
struct Walk {
    host: Option<(HostId, IpAddr)>,
    largest: Largest<IpAddr>,
    /// For a group, whose members may have destinations in common.
    sums: Option<HashMap<IpAddr, u64>>,
    peers: Vec<PeerBytes>,
}

/// The row of one host in the making.
#[derive(Debug)]
pub struct HostListing {
    addr: IpAddr,
    hides_destinations: bool,
    walk: Walk,
    row: Option<HostRow>,
}

/// The items with the most bytes among those offered; of items with equal bytes, the first in their own order.
#[derive(Debug)]
struct Largest<T> {
    max: usize,
    kept: Vec<(Reverse<u64>, T)>,
    /// Items with fewer bytes are not among the largest.
    bytes_min: u64,
}

impl<T: Ord> Largest<T> {
    fn new(max: usize) -> Self {
        Self { max, kept: Vec::new(), bytes_min: 0 }
    }

    fn offer(&mut self, ip_bytes: u64, what: impl FnOnce() -> T) {
        if ip_bytes < self.bytes_min {
            return;
        }
        self.kept.push((Reverse(ip_bytes), what()));
        // Only at twice the size, since each shrinking looks at all items.
        if self.kept.len() >= 2 * self.max {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        if self.kept.len() > self.max && self.max > 0 {
            let (_, last, _) = self.kept.select_nth_unstable(self.max - 1);
            self.bytes_min = last.0.0;
        }
        self.kept.truncate(self.max);
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.bytes_min = 0;
    }
}

impl Walk {
    fn new() -> Self {
        Self { host: None, largest: Largest::new(DESTINATIONS_MAX), sums: None, peers: Vec::new() }
    }

    fn begin(&mut self, id: HostId, addr: IpAddr, is_group: bool) {
        self.host = Some((id, addr));
        self.largest.clear();
        self.sums = is_group.then(HashMap::new);
    }

    fn see(&mut self, pair: &Pair, hosts: &Hosts) {
        // The row for hosts that are no longer kept apart has no address.
        if pair.packets() == 0 || hosts.is_other(pair.dst) {
            return;
        }
        let dst = || hosts.get(pair.dst).addr();
        match &mut self.sums {
            Some(sums) => *sums.entry(dst()).or_default() += pair.ip_bytes,
            None => self.largest.offer(pair.ip_bytes, dst),
        }
    }

    /// Returns the row, unless the host was freed during the walk.
    fn end(
        &mut self,
        hosts: &Hosts,
        contacted_ports: impl FnOnce(HostId) -> u32,
    ) -> Option<HostRow<&[PeerBytes]>> {
        let (id, addr) = self.host.take()?;
        let host = hosts.get(id);
        if host.addr() != addr || !host.is_live() {
            return None;
        }
        for (dst, ip_bytes) in self.sums.take().into_iter().flatten() {
            self.largest.offer(ip_bytes, || dst);
        }
        self.largest.shrink();
        self.largest.kept.sort_unstable();
        self.peers.clear();
        self.peers
            .extend(self.largest.kept.iter().map(|&(Reverse(ip_bytes), addr)| PeerBytes { addr, ip_bytes }));
        Some(HostRow {
            addr,
            packets: host.packets,
            ip_bytes: host.ip_bytes,
            contacted_hosts: host.contacted_hosts,
            contacted_ports: contacted_ports(id),
            destinations: &self.peers,
        })
    }
}

impl HostListing {
    /// Makes a listing of the host of an address, with or without its destinations.
    pub fn new(addr: IpAddr, hides_destinations: bool) -> Self {
        Self { addr, hides_destinations, walk: Walk::new(), row: None }
    }

    /// Returns its address.
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// Takes the row, if it is complete and the host was in the window.
    pub fn take(&mut self) -> Option<HostRow> {
        self.row.take()
    }
}

impl Listing {
    /// Makes an empty listing. With `hides_destinations`, hosts are listed without destinations.
    pub fn new(room: ListingRoom, hides_destinations: bool) -> Self {
        Self {
            room,
            hides_destinations,
            stage: Stage::Begun,
            ids: Vec::new(),
            largest: Largest::new(room.hosts_max),
            walk: Walk::new(),
            part_rows: LIST_PART_ROWS,
            ordered: 0,
            bytes: 0,
            chart: HostList::default(),
            hosts_omitted: 0,
            asked: HashSet::new(),
            found: HashMap::new(),
        }
    }

    /// Lists hosts with or without destinations from the next list on.
    pub fn hide_destinations(&mut self, hides: bool) {
        self.hides_destinations = hides;
    }

    /// Begins a new list. The rows of the hosts in `asked` are also kept separately, if they are on the list, which
    /// saves a second walk over their pairs.
    pub fn begin(&mut self, asked: impl Iterator<Item = IpAddr>) {
        self.stage = Stage::Begun;
        self.chart.clear();
        self.asked.clear();
        self.asked.extend(asked);
        self.found.clear();
        self.walk.host = None;
        (self.bytes, self.hosts_omitted) = (0, 0);
    }

    /// Returns true if every row is made.
    pub fn is_whole(&self) -> bool {
        self.stage == Stage::Whole
    }

    /// Takes the list, and the number of hosts for which there was no room.
    pub fn take(&mut self) -> (HostList, usize) {
        (std::mem::take(&mut self.chart), self.hosts_omitted)
    }

    /// Takes the row of a host of `asked`, if it is on the list.
    pub fn take_row(&mut self, addr: &IpAddr) -> Option<HostRow> {
        self.found.remove(addr)
    }

    /// Takes a list without readers for its memory.
    pub fn reuse(&mut self, chart: HostList) {
        self.chart = chart;
    }

    fn omit_from(&mut self, at: usize) {
        self.hosts_omitted += self.largest.kept.len() - at;
        self.stage = Stage::Listing(self.largest.kept.len());
    }
}

impl Window {
    /// Returns the row of a host, if it is in the window.
    pub fn host(&self, addr: &IpAddr) -> Option<HostRow> {
        self.host_by(addr, usize::MAX)
    }

    /// Returns the row of a host with the destinations of at most `pairs_max` of its latest pairs.
    pub fn host_by(&self, addr: &IpAddr, pairs_max: usize) -> Option<HostRow> {
        let id = self.hosts.find(addr)?;
        let mut walk = Walk::new();
        walk.begin(id, *addr, self.groups.is_group(*addr));
        self.pairs.of(id, &self.hosts).take(pairs_max).for_each(|pair| walk.see(pair, &self.hosts));
        walk.end(&self.hosts, |id| self.ports_count(id)).map(|row| row.with(row.destinations.to_vec()))
    }

    /// Returns the lowest ports that a host contacted, ascending.
    pub fn ports_of(&self, addr: &IpAddr) -> Vec<u16> {
        match (&self.ports, self.hosts.find(addr)) {
            (Some(ports), Some(id)) => ports.of(id, PORTS_MAX),
            _ => Vec::new(),
        }
    }

    /// Makes a part of a list of the hosts with at least `chart_bytes_min`. Returns true if the list is complete.
    pub fn list_part(&mut self, listing: &mut Listing) -> bool {
        match listing.stage {
            Stage::Begun => {
                listing.ids.clear();
                listing.ids.extend(self.hosts.charted());
                listing.largest = Largest::new(listing.room.hosts_max);
                listing.ordered = 0;
                listing.stage = Stage::Choosing(0);
            }
            Stage::Choosing(at) => {
                let until = listing.ids.len().min(at + listing.part_rows);
                for &id in &listing.ids[at..until] {
                    let host = self.hosts.get(id);
                    if host.is_charted() {
                        listing.largest.offer(host.ip_bytes, || (host.addr(), id.0));
                    }
                }
                listing.stage = Stage::Choosing(until);
                if until == listing.ids.len() {
                    listing.hosts_omitted = listing.ids.len().saturating_sub(listing.room.hosts_max);
                    listing.ids = Vec::new();
                    listing.largest.shrink();
                    listing.stage = Stage::Listing(0);
                }
            }
            Stage::Listing(at) if at == listing.largest.kept.len() => {
                listing.largest = Largest::new(listing.room.hosts_max);
                listing.stage = Stage::Ordering(0);
            }
            Stage::Listing(at) => self.list_rows(listing, at),
            Stage::Ordering(at) => {
                // Sorted by the bytes in the rows, which may have changed since the hosts were chosen.
                listing.chart.order_some(at, listing.part_rows);
                let until = at + listing.part_rows;
                listing.stage =
                    if until < listing.chart.len() { Stage::Ordering(until) } else { Stage::Trimming };
            }
            Stage::Trimming => {
                if listing.chart.trim() {
                    listing.stage = Stage::Whole;
                }
            }
            Stage::Whole => {}
        }
        listing.is_whole()
    }

    fn list_rows(&mut self, listing: &mut Listing, first: usize) {
        let mut rows_left = listing.part_rows;
        let mut walk = std::mem::replace(&mut listing.walk, Walk::new());
        let part_rows = listing.part_rows;
        for at in first..listing.largest.kept.len() {
            if at == listing.ordered {
                // The largest first, so that the smallest are left out if there is no room.
                order_some(&mut listing.largest.kept[at..], part_rows, Ord::cmp);
                listing.ordered += part_rows;
            }
            let (_, (addr, number)) = listing.largest.kept[at];
            let id = HostId(number);
            if walk.host.is_none() {
                let host = self.hosts.get(id);
                // The number may have been used again, or the host may have left the chart.
                if !host.is_charted() || host.addr() != addr {
                    listing.stage = Stage::Listing(at + 1);
                    continue;
                }
                self.begin_walk(&mut walk, id, listing.hides_destinations);
            }
            if !self.walk_on(&mut walk, &mut rows_left) {
                break;
            }
            listing.stage = Stage::Listing(at + 1);
            let Some(row) = walk.end(&self.hosts, |id| self.ports_count(id)) else { continue };
            // The destinations have addresses of the same family.
            let address = address_bytes(&row.addr);
            listing.bytes +=
                HOST_BYTES + address + row.destinations.len() as u64 * (DESTINATION_BYTES + address);
            if listing.bytes > listing.room.bytes_max {
                listing.omit_from(at);
                break;
            }
            if listing.asked.contains(&row.addr) {
                listing.found.insert(row.addr, row.with(row.destinations.to_vec()));
            }
            listing.chart.push(row);
        }
        listing.walk = walk;
    }

    /// Makes a part of the row of one host, until `rows_left` is 0. Returns true if the row is complete. No other row
    /// and no list may be in the making.
    pub fn list_host(&mut self, listing: &mut HostListing, rows_left: &mut usize) -> bool {
        let walk = &mut listing.walk;
        if walk.host.is_none() {
            let Some(id) = self.hosts.find(&listing.addr) else { return true };
            self.begin_walk(walk, id, listing.hides_destinations);
        }
        let is_whole = self.walk_on(walk, rows_left);
        if is_whole {
            listing.row = walk
                .end(&self.hosts, |id| self.ports_count(id))
                .map(|row| row.with(row.destinations.to_vec()));
        }
        is_whole
    }

    fn begin_walk(&mut self, walk: &mut Walk, id: HostId, hides_destinations: bool) {
        let addr = self.hosts.get(id).addr();
        walk.begin(id, addr, self.groups.is_group(addr));
        self.pairs.begin_walk((!hides_destinations).then_some(id), &self.hosts);
    }

    /// Continues a walk until `rows_left` is 0. Returns true if it has ended.
    fn walk_on(&mut self, walk: &mut Walk, rows_left: &mut usize) -> bool {
        // A host costs something even without pairs.
        *rows_left = rows_left.saturating_sub(1);
        while let Some(pair) = self.pairs.walk_on() {
            walk.see(pair, &self.hosts);
            if *rows_left == 0 {
                return false;
            }
            *rows_left -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests;
