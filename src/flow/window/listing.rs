//! What readers are shown of a window: one host, the ports of one, the hosts of the chart.
//!
//! A window has millions of pairs and is folded into all the time, so a list is made in parts, each of which looks at
//! no more than [`LIST_PART_ROWS`] rows. What is folded, rolled or evicted in between is in the rows that are made later;
//! a row is of one moment, unless its host has so many destinations that they take several parts.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::flow::host_list::{HostList, order_some};
use crate::flow::hosts::{HostId, Hosts};
use crate::flow::pairs::Pair;
use crate::flow::snapshot::{HostRow, PeerBytes};
use crate::flow::{DESTINATIONS_MAX, PORTS_MAX, SNAPSHOT_HOSTS_MAX};

use super::Window;

/// Rows that a part looks at: each costs a cache miss or two, so that is a millisecond.
pub const LIST_PART_ROWS: usize = 8192;

/// Room for a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingRoom {
    /// Hosts.
    pub hosts_max: usize,
    /// Bytes for all that is made of it while readers have it: the list, the one in the making, and what is written of
    /// it for them.
    pub bytes_max: u64,
}

/// What a host takes without its address and its destinations: in two lists, and in three texts.
const HOST_BYTES: u64 = 2 * 64 + 3 * 64;
/// What a destination takes without its address.
const DESTINATION_BYTES: u64 = 2 * 32 + 3 * 30;

/// What an address takes in three texts.
fn address_bytes(addr: &IpAddr) -> u64 {
    if addr.is_ipv4() { 3 * 15 } else { 3 * 39 }
}

impl ListingRoom {
    /// A sixth of `memory_bytes`: of the default, enough for all hosts of a busy network.
    pub fn from_memory(memory_bytes: u64) -> Self {
        Self { hosts_max: SNAPSHOT_HOSTS_MAX, bytes_max: memory_bytes / 6 }
    }
}

/// A list of the hosts of a window, in the making: [`begin`](Self::begin) it, call [`Window::list_part`] until it is
/// whole, and [`take`](Self::take) it. The next one is made in the memory of a list that was [given back](Self::reuse).
#[derive(Debug)]
pub struct Listing {
    room: ListingRoom,
    hides_destinations: bool,
    stage: Stage,
    /// Hosts that were on the chart when it was begun. They may have gone since, and their numbers be others'.
    ids: Vec<HostId>,
    /// Address and number.
    largest: Largest<(IpAddr, u32)>,
    walk: Walk,
    part_rows: usize,
    /// So many of the largest are in their order.
    ordered: usize,
    bytes: u64,
    chart: HostList,
    hosts_omitted: usize,
    /// Hosts whose rows are asked for by themselves, and those of them that were made.
    asked: HashSet<IpAddr>,
    found: HashMap<IpAddr, HostRow>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begun,
    /// Hosts up to this one were looked at for the largest.
    Choosing(usize),
    /// Rows of the largest up to this one were made.
    Listing(usize),
    /// Rows up to this one are in their order.
    Ordering(usize),
    /// What the last list needed and this one does not is given back.
    Trimming,
    Whole,
}

/// The row of a host in the making. While it is, the window remembers how far it has come, for one walk at a time.
#[derive(Debug)]
struct Walk {
    host: Option<(HostId, IpAddr)>,
    largest: Largest<IpAddr>,
    /// Of a group, whose members may have destinations in common.
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

/// The ones with most bytes among those that it is offered; of equal ones, those that come first in their own order.
#[derive(Debug)]
struct Largest<T> {
    max: usize,
    kept: Vec<(Reverse<u64>, T)>,
    /// Whatever has fewer bytes is not among them.
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
        // Not for each one: that would move all the others each time.
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
        // What is no longer told apart has no address.
        if pair.packets() == 0 || hosts.is_other(pair.dst) {
            return;
        }
        let dst = || hosts.get(pair.dst).addr();
        match &mut self.sums {
            Some(sums) => *sums.entry(dst()).or_default() += pair.ip_bytes,
            None => self.largest.offer(pair.ip_bytes, dst),
        }
    }

    /// The row, if the host has not gone on the way.
    fn end(
        &mut self,
        hosts: &Hosts,
        contacted_ports: impl FnOnce(HostId) -> u32,
    ) -> Option<HostRow<&[PeerBytes]>> {
        let (id, addr) = self.host.take()?;
        let host = hosts.get(id);
        if host.addr() != addr || !host.is_there() {
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
    /// Of the host of an address, with or without its destinations.
    pub fn new(addr: IpAddr, hides_destinations: bool) -> Self {
        Self { addr, hides_destinations, walk: Walk::new(), row: None }
    }

    /// Its address.
    pub fn addr(&self) -> IpAddr {
        self.addr
    }

    /// The row, if it is whole and the host was in the window.
    pub fn take(&mut self) -> Option<HostRow> {
        self.row.take()
    }
}

impl Listing {
    /// No list. With `hides_destinations`, hosts are listed without them.
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

    /// Lists hosts with or without their destinations from the next list on.
    pub fn hide_destinations(&mut self, hides: bool) {
        self.hides_destinations = hides;
    }

    /// Begins anew. The rows of `asked` are kept by themselves besides, as far as they are on the list: to walk over
    /// their pairs twice would take twice as long.
    pub fn begin(&mut self, asked: impl Iterator<Item = IpAddr>) {
        self.stage = Stage::Begun;
        self.chart.clear();
        self.asked.clear();
        self.asked.extend(asked);
        self.found.clear();
        self.walk.host = None;
        (self.bytes, self.hosts_omitted) = (0, 0);
    }

    /// Whether every row is made.
    pub fn is_whole(&self) -> bool {
        self.stage == Stage::Whole
    }

    /// The list, and how many hosts would have been in it had there been room.
    pub fn take(&mut self) -> (HostList, usize) {
        (std::mem::take(&mut self.chart), self.hosts_omitted)
    }

    /// Takes the row of a host that was asked for, if it is on the list.
    pub fn take_row(&mut self, addr: &IpAddr) -> Option<HostRow> {
        self.found.remove(addr)
    }

    /// Takes a list back that nobody reads any more, for its memory.
    pub fn reuse(&mut self, chart: HostList) {
        self.chart = chart;
    }

    fn omit_from(&mut self, at: usize) {
        self.hosts_omitted += self.largest.kept.len() - at;
        self.stage = Stage::Listing(self.largest.kept.len());
    }
}

impl Window {
    /// What a host did, if it is in the window.
    pub fn host(&self, addr: &IpAddr) -> Option<HostRow> {
        self.host_by(addr, usize::MAX)
    }

    /// The same with destinations of its latest pairs only, at most so many.
    pub fn host_by(&self, addr: &IpAddr, pairs_max: usize) -> Option<HostRow> {
        let id = self.hosts.find(addr)?;
        let mut walk = Walk::new();
        walk.begin(id, *addr, self.groups.is_group(*addr));
        self.pairs.of(id, &self.hosts).take(pairs_max).for_each(|pair| walk.see(pair, &self.hosts));
        walk.end(&self.hosts, |id| self.ports_count(id)).map(|row| row.with(row.destinations.to_vec()))
    }

    /// The lowest ports that a host contacted, ascending.
    pub fn ports_of(&self, addr: &IpAddr) -> Vec<u16> {
        match (&self.ports, self.hosts.find(addr)) {
            (Some(ports), Some(id)) => ports.of(id, PORTS_MAX),
            _ => Vec::new(),
        }
    }

    /// Makes a part of a list of the hosts with at least `chart_bytes_min`. Whether it is whole.
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
                // By the bytes that are shown, which may be others than those by which they were chosen.
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
                // The largest first: if the room ends, it ends for the smallest.
                order_some(&mut listing.largest.kept[at..], part_rows, Ord::cmp);
                listing.ordered += part_rows;
            }
            let (_, (addr, number)) = listing.largest.kept[at];
            let id = HostId(number);
            if walk.host.is_none() {
                let host = self.hosts.get(id);
                // Another host may have its number by now, or it has too few bytes left.
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
            // Its destinations are of its own kind.
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

    /// Makes a part of the row of one host, until `rows_left` is used up. Whether it is whole. No other row and no list
    /// may be in the making.
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

    /// Goes on until `rows_left` is used up. Whether it has come to its end.
    fn walk_on(&mut self, walk: &mut Walk, rows_left: &mut usize) -> bool {
        // A host costs something too, be it without a row.
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
