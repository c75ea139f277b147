//! Directed pairs of hosts while they are in the window.

use std::net::IpAddr;

use crate::packet::Endpoints;

use super::coarse_instant::CoarseInstant;
use super::container::index::{Index, Place, rest};
use super::container::packed::Packed;
use super::container::slab::{Chained, NONE, Slab};
use super::container::slot_ring::SLOTS_LIVE;
use super::hash::Seed;
use super::hosts::{HostId, Hosts};
use super::observations::Observations;
use super::port_sketch::PortSketch;
use super::roles::Role;
use super::slot_records::{SlotRecord, SlotRecordAt, SlotRecords};

/// A slot number that no slot has.
const NEVER: u32 = u32::MAX;

/// One direction between two hosts: a cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Pair {
    pub(super) ip_bytes: u64,
    /// 2^48 of them are a month at a hundred million a second.
    packets: Packed<6>,
    /// What its source is in the exchange with its destination, and whether its bare ACKs are probes.
    state: State,
    /// The slot that its latest item is in, cut to 8 bits, and where.
    item_slot: u8,
    item_at: u32,
    /// What its hash has beside its place in the index, and whether it is IPv6.
    check: u32,
    pub(super) src: HostId,
    pub(super) dst: HostId,
    /// The last slot with a word of its exchange; while that is pending, its number.
    heard: u32,
    /// Items that name this row and were not taken back; it is freed with the last. One for each slot, and one more for
    /// each [`SlotRecord`] that was full.
    items: Packed<3>,
    /// Those of them that are a contact: at most one for each slot.
    pub(super) contacts_live: u8,
    pub(super) contacted: PortSketch,
    /// What it showed while the row lives.
    pub(super) signs: Observations,
    /// When the first of its live contacts was counted.
    pub(super) contacted_at: CoarseInstant,
    previous: u32,
    next: u32,
}

const _: () = assert!(size_of::<Pair>() == 64);

/// A role in the lowest three bits, a probe in the two above them.
#[derive(Clone, Copy, Debug)]
struct State(u8);

/// What is known of the bare ACKs of a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Nothing; they may be part of a connection.
    Unknown,
    /// They were reset, and it is not yet decided.
    Waits,
    /// They were reset and belong to no connection.
    Is,
}

impl Pair {
    /// Packets of its live items.
    #[inline]
    pub(super) fn packets(&self) -> u64 {
        self.packets.get()
    }

    /// Adds what was sent.
    #[inline]
    pub(super) fn add(&mut self, packets: u64, ip_bytes: u64) {
        self.packets = Packed::of(self.packets() + packets);
        self.ip_bytes += ip_bytes;
    }

    /// Takes the sums of one of its items back, which is no longer among them.
    #[inline]
    pub(super) fn subtract(&mut self, item: &SlotRecord) {
        self.packets = Packed::of(self.packets() - item.packets());
        self.ip_bytes -= item.ip_bytes();
        self.items = Packed::of(self.items.get() - 1);
        self.contacts_live -= u8::from(item.is_contact());
    }

    /// Notes that there is one more item of it.
    #[inline]
    pub(super) fn add_item(&mut self) {
        self.items = Packed::of(self.items.get() + 1);
    }

    /// Whether it is freed with the next item that is taken back.
    #[inline]
    pub(super) fn is_last_item(&self) -> bool {
        self.items == Packed::of(1)
    }

    /// Whether an item names it.
    #[inline]
    pub(super) fn has_items(&self) -> bool {
        self.items != Packed::ZERO
    }

    /// What its source is in the exchange with its destination.
    #[inline]
    pub(super) fn role(&self) -> Role {
        match self.state.0 & 7 {
            0 => Role::None,
            1 => Role::Pending(self.heard),
            2 => Role::Initiator,
            3 => Role::Responder,
            _ => Role::Undecided,
        }
    }

    /// Changes the role of an exchange that is not pending, nor becomes so.
    pub(super) fn set_role(&mut self, role: Role) {
        let bits = match role {
            Role::None => 0,
            Role::Pending(number) => {
                self.heard = number;
                1
            }
            Role::Initiator => 2,
            Role::Responder => 3,
            Role::Undecided => 4,
        };
        self.state.0 = self.state.0 & !7 | bits;
    }

    /// Gives a pending exchange its role, and the slot of its last word if there was one.
    pub(super) fn settle(&mut self, role: Role, heard: Option<u64>) {
        self.set_role(role);
        self.heard = heard.map_or(NEVER, cut);
    }

    /// Notes a word of its exchange. While that is pending, it is the exchange that remembers.
    pub(super) fn note_heard(&mut self, slot: u64) {
        if !matches!(self.role(), Role::Pending(_)) {
            self.heard = cut(slot);
        }
    }

    /// Whether a word of its exchange is in the window.
    #[inline]
    pub(super) fn is_heard(&self, current: u64) -> bool {
        matches!(self.role(), Role::Pending(_))
            || self.heard != NEVER && cut(current).wrapping_sub(self.heard) < SLOTS_LIVE as u32
    }

    /// Whether any word of it was heard while the row lives.
    pub(super) fn spoke(&self) -> bool {
        matches!(self.role(), Role::Pending(_)) || self.heard != NEVER
    }

    /// Whether its bare ACKs are probes.
    pub(super) fn probe(&self) -> Probe {
        match self.state.0 >> 3 {
            0 => Probe::Unknown,
            1 => Probe::Waits,
            _ => Probe::Is,
        }
    }

    pub(super) fn set_probe(&mut self, probe: Probe) {
        self.state.0 = self.state.0 & 7 | (probe as u8) << 3;
    }

    /// Where its latest item is, if that is live.
    #[inline]
    pub(super) fn latest(&self, items: &SlotRecords) -> Option<SlotRecordAt> {
        let current = items.current();
        // Cut on purpose: what was cut off is that of the current slot, or of one not long ago. What has left the window
        // is taken back before it is 256 slots old.
        let slot = current.wrapping_sub(u64::from((current as u8).wrapping_sub(self.item_slot)));
        (self.has_items() && slot >= items.oldest()).then_some(SlotRecordAt { slot, at: self.item_at })
    }

    /// Notes where its latest item is.
    #[inline]
    pub(super) fn set_latest(&mut self, item: SlotRecordAt) {
        // Cut on purpose.
        self.item_slot = item.slot as u8;
        self.item_at = item.at;
    }
}

impl Chained for Pair {
    fn link(&mut self) -> &mut u32 {
        &mut self.next
    }
}

/// A slot number in 32 bits, of which there are enough for thirteen years of the shortest slots.
#[inline]
fn cut(slot: u64) -> u32 {
    slot as u32
}

/// What is looked for: where, and what must be equal there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    place: Place,
    check: u32,
    pub(super) endpoints: Endpoints,
}

impl Sought {
    /// A pair by its hash.
    #[inline]
    pub(super) fn new(hash: u64, endpoints: &Endpoints) -> Self {
        let (side, is_ipv6) = match endpoints {
            Endpoints::V4 { src, dst } => (src > dst, 0),
            Endpoints::V6 { src, dst } => (src > dst, 1),
        };
        Self { place: Place::of(hash, side), check: rest(hash) | is_ipv6, endpoints: *endpoints }
    }

    /// The other direction.
    pub(super) fn reversed(&self) -> Self {
        Self { place: self.place.opposite(), endpoints: self.endpoints.reversed(), ..*self }
    }
}

/// All pairs.
#[derive(Debug)]
pub(super) struct Pairs {
    rows: Slab<Pair>,
    index: Index,
    seed: Seed,
    /// The next row of a walk that is made in parts.
    walk_at: u32,
}

impl Pairs {
    pub(super) fn new(pairs_max: usize, seed: Seed) -> Self {
        Self { rows: Slab::new(pairs_max), index: Index::new(), seed, walk_at: NONE }
    }

    pub(super) fn get(&self, at: u32) -> &Pair {
        &self.rows[at]
    }

    pub(super) fn get_mut(&mut self, at: u32) -> &mut Pair {
        &mut self.rows[at]
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Has the place fetched where a pair is looked for.
    #[inline]
    pub(super) fn prefetch_place(&self, sought: &Sought) {
        self.index.prefetch(sought.place);
    }

    /// Has a row fetched that is read soon.
    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
        self.rows.prefetch(at);
    }

    /// Has the rows fetched that are chained to one.
    #[inline]
    pub(super) fn prefetch_around(&self, at: u32) {
        let Pair { previous, next, .. } = self.rows[at];
        [previous, next].into_iter().filter(|&at| at != NONE).for_each(|at| self.rows.prefetch(at));
    }

    /// The row that a pair has if it has any, to be fetched before [`find_from`](Self::find_from) asks whether it is the
    /// one.
    #[inline]
    pub(super) fn candidate(&self, sought: &Sought) -> Option<u32> {
        self.index.first(sought.place)
    }

    /// The row of a pair.
    #[inline]
    pub(super) fn find(&self, sought: &Sought, hosts: &Hosts) -> Option<u32> {
        self.index.find(sought.place, |at| self.is(at, sought, hosts))
    }

    /// The row of a pair, which a [`candidate`](Self::candidate) nearly always is.
    #[inline]
    pub(super) fn find_from(&self, candidate: u32, sought: &Sought, hosts: &Hosts) -> Option<u32> {
        if self.is(candidate, sought, hosts) { Some(candidate) } else { self.find(sought, hosts) }
    }

    /// Whether the row at the place of a pair is its own.
    #[inline]
    fn is(&self, at: u32, sought: &Sought, hosts: &Hosts) -> bool {
        let pair = &self.rows[at];
        pair.check == sought.check
            && match sought.endpoints {
                // Place and check are all of the hash, which no other IPv4 pair has.
                Endpoints::V4 { .. } => true,
                Endpoints::V6 { src, dst } => {
                    hosts.get(pair.src).addr() == IpAddr::V6(src)
                        && hosts.get(pair.dst).addr() == IpAddr::V6(dst)
                }
            }
    }

    /// A new row for a pair that has none, with the sums of `owner`; `None` when there is no room for it or one of its
    /// hosts.
    pub(super) fn insert(&mut self, sought: &Sought, hosts: &mut Hosts, owner: IpAddr) -> Option<u32> {
        if !self.rows.has_room() {
            return None;
        }
        let src = hosts.refer(sought.endpoints.src())?;
        let Some(dst) = hosts.refer(sought.endpoints.dst()) else {
            hosts.release(src);
            return None;
        };
        let Some(owner) = hosts.refer_owner(src, owner) else {
            hosts.release(src);
            hosts.release(dst);
            return None;
        };
        hosts.get_mut(src).owner = owner;
        hosts.join(src, dst);
        let at = self.put(src, dst, sought.check, hosts);
        self.index.insert(sought.place, at);
        Some(at)
    }

    /// A row for what a source sent to hosts that are no longer told apart, which `other` stands for; in no index.
    pub(super) fn insert_rest(&mut self, owner: HostId, other: HostId, hosts: &mut Hosts) -> Option<u32> {
        if !self.rows.has_room() {
            return None;
        }
        // The references that a pair takes: of its source, its destination and its owner.
        [owner, other, owner].into_iter().for_each(|host| hosts.hold(host));
        hosts.get_mut(owner).owner = owner;
        Some(self.put(owner, other, 0, hosts))
    }

    /// Puts a row in front of those of its owner.
    fn put(&mut self, src: HostId, dst: HostId, check: u32, hosts: &mut Hosts) -> u32 {
        let owner = hosts.get(src).owner;
        let next = hosts.get(owner).first_pair;
        if next == NONE {
            hosts.enter(owner);
        }
        let at = self.rows.insert(Pair {
            ip_bytes: 0,
            packets: Packed::ZERO,
            state: State(0),
            item_slot: 0,
            item_at: 0,
            check,
            src,
            dst,
            heard: NEVER,
            items: Packed::ZERO,
            contacts_live: 0,
            contacted: PortSketch::default(),
            signs: Observations::default(),
            contacted_at: CoarseInstant::default(),
            previous: NONE,
            next,
        });
        hosts.get_mut(owner).first_pair = at;
        if next != NONE {
            self.rows[next].previous = at;
        }
        at
    }

    /// Frees a row and what it refers to.
    pub(super) fn remove(&mut self, at: u32, hosts: &mut Hosts) {
        self.index.remove(self.sought(at, hosts).place, at);
        let Pair { src, dst, .. } = self.rows[at];
        hosts.part(src, dst);
        self.take_out(at, hosts);
    }

    /// Frees a row that is in no index.
    pub(super) fn remove_rest(&mut self, at: u32, hosts: &mut Hosts) {
        self.take_out(at, hosts);
    }

    fn take_out(&mut self, at: u32, hosts: &mut Hosts) {
        let Pair { src, dst, previous, next, .. } = self.rows[at];
        let owner = hosts.get(src).owner;
        match previous {
            NONE => hosts.get_mut(owner).first_pair = next,
            previous => self.rows[previous].next = next,
        }
        if next != NONE {
            self.rows[next].previous = previous;
        }
        if self.walk_at == at {
            self.walk_at = next;
        }
        // Whatever still waits for this row must not find its role in it.
        self.rows[at].state = State(0);
        self.rows.free(at);
        hosts.release(src);
        hosts.release(dst);
        hosts.release(owner);
    }

    /// How many more rows there is room for.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.rows.room()
    }

    /// The row after one in the chain of its owner.
    pub(super) fn next_of(&self, at: u32) -> u32 {
        self.rows[at].next
    }

    /// What a row is found by.
    pub(super) fn sought(&self, at: u32, hosts: &Hosts) -> Sought {
        let pair = &self.rows[at];
        let endpoints = Endpoints::new(hosts.get(pair.src).addr(), hosts.get(pair.dst).addr())
            .expect("both ends were in one header");
        Sought::new(self.seed.pair(&endpoints), &endpoints)
    }

    /// The row of the other direction.
    pub(super) fn reverse(&self, at: u32, hosts: &Hosts) -> Option<u32> {
        self.find(&self.sought(at, hosts).reversed(), hosts)
    }

    /// The pairs of one source or group, the latest first.
    pub(super) fn of(&self, host: HostId, hosts: &Hosts) -> impl Iterator<Item = &Pair> {
        self.rows_of(host, hosts).map(|at| &self.rows[at])
    }

    /// Their numbers, without that of what is no longer told apart.
    pub(super) fn rows_of(&self, host: HostId, hosts: &Hosts) -> impl Iterator<Item = u32> {
        let first = Some(hosts.get(host).first_pair).filter(|&at| at != NONE);
        let rows = std::iter::successors(first, |&at| Some(self.rows[at].next).filter(|&at| at != NONE));
        rows.filter(|&at| !hosts.is_other(self.rows[at].dst))
    }

    /// Begins a walk over the pairs of a host, or over none, that may be made in parts. It ends the one before.
    pub(super) fn begin_walk(&mut self, host: Option<HostId>, hosts: &Hosts) {
        self.walk_at = host.map_or(NONE, |host| hosts.get(host).first_pair);
    }

    /// The next pair of the walk. What is freed between two calls is left out, and what is new as well.
    pub(super) fn walk_on(&mut self) -> Option<&Pair> {
        let at = self.walk_at;
        (at != NONE).then(|| {
            let pair = &self.rows[at];
            self.walk_at = pair.next;
            pair
        })
    }

    /// All pairs, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.index.iter().map(|at| &self.rows[at])
    }
}
