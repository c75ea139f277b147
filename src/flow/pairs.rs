//! Directed pairs of hosts in the window.

use std::net::IpAddr;

use crate::packet::Endpoints;

use super::coarse_instant::CoarseInstant;
use super::container::index::{Index, IndexKey, rest};
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
    /// Packets of its live items; 2^48 are a month at 10^8 packets per second.
    packets: Packed<6>,
    /// The role of its source in the exchange with its destination, whether its bare ACKs are probes, and what the
    /// source and ICMP errors reported.
    state: State,
    /// The slot of its latest item, in its lower 8 bits, and the place of that item.
    item_slot: u8,
    item_at: u32,
    /// The part of its hash that is not in its place in the index, and a bit for IPv6.
    check: u32,
    pub(super) src: HostId,
    pub(super) dst: HostId,
    /// The last slot with a packet of its exchange, or [`NEVER`]; while the exchange is pending, the number of its
    /// [`Pending`](super::roles::Pending) instead.
    active_slot: u32,
    /// Number of items that refer to this row; the row is freed with the last. There is one for each slot with traffic
    /// or a contact, and one more for each full [`SlotRecord`].
    items: Packed<3>,
    /// Number of these items that are contacts in the lower four bits, at most one per slot; the upper bits of the
    /// number of packets that expired on the way in the others.
    contacts_and_expiries: u8,
    pub(super) contacted: PortSketch,
    /// Observations while the row lives, those of the lower bits; `state` has the others.
    lower_observations: u8,
    /// Time of the first of its live contacts.
    pub(super) contacted_at: CoarseInstant,
    previous: u32,
    next: u32,
}

const _: () = assert!(size_of::<Pair>() == 64);

/// The role in the lowest three bits, the probe state in the two bits above, then the lower two bits of the number of
/// packets that expired on the way, and in the highest bit [`Observations::REPORTED`].
#[derive(Clone, Copy, Debug)]
struct State(u8);

impl State {
    const PROBE_AT: u32 = 3;
    const EXPIRIES_AT: u32 = 5;
    const REPORTED: u8 = 1 << 7;
}

/// The bits of [`Pair::contacts_live`] in `contacts_and_expiries`.
const CONTACTS: u8 = 0xf;
const _: () = assert!(SLOTS_LIVE <= CONTACTS as usize);

/// Largest number of packets that expired on the way that a pair can store.
const EXPIRIES_MAX: u8 = 63;
/// Of the packets of a traceroute to one host at least one in four expires on the way: the others are those of the last
/// hop, of which traceroute(8) sends several ahead, and of hops that do not answer.
pub(super) const EXPIRED_ONE_IN: u32 = 4;
/// Least number of packets that expire for which this share suffices; a smaller number must be more than half.
const EXPIRIES_MIN: u8 = 3;

/// Whether the bare ACKs of a direction are probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Undecided; they may belong to a connection.
    Unknown,
    /// They were reset, and the decision is pending.
    Waits,
    /// They were reset and belong to no connection.
    Is,
}

impl Pair {
    /// Returns the packets of its live items.
    #[inline]
    pub(super) fn packets(&self) -> u64 {
        self.packets.get()
    }

    /// Adds packets and bytes.
    #[inline]
    pub(super) fn add(&mut self, packets: u64, ip_bytes: u64) {
        self.packets = Packed::of(self.packets() + packets);
        self.ip_bytes += ip_bytes;
    }

    /// Subtracts one of its items.
    #[inline]
    pub(super) fn subtract(&mut self, item: &SlotRecord) {
        self.packets = Packed::of(self.packets() - item.packets());
        self.ip_bytes -= item.ip_bytes();
        self.items = Packed::of(self.items.get() - 1);
        self.contacts_and_expiries -= u8::from(item.is_contact());
    }

    /// Returns the number of its live contacts, at most one per slot.
    #[inline]
    pub(super) fn contacts_live(&self) -> u8 {
        self.contacts_and_expiries & CONTACTS
    }

    /// Adds one to the number of its live contacts, of which each slot has at most one.
    #[inline]
    pub(super) fn add_contact(&mut self) {
        self.contacts_and_expiries += 1;
    }

    /// Subtracts one from the number of its live contacts.
    #[inline]
    pub(super) fn subtract_contact(&mut self) {
        self.contacts_and_expiries -= 1;
    }

    /// Adds one to the number of its items.
    #[inline]
    pub(super) fn add_item(&mut self) {
        self.items = Packed::of(self.items.get() + 1);
    }

    /// Returns true if the row is freed with the next item that is subtracted.
    #[inline]
    pub(super) fn is_last_item(&self) -> bool {
        self.items == Packed::of(1)
    }

    /// Returns true if it has items.
    #[inline]
    pub(super) fn has_items(&self) -> bool {
        self.items != Packed::ZERO
    }

    /// Returns the role of its source in the exchange with its destination.
    #[inline]
    pub(super) fn role(&self) -> Role {
        match self.state.0 & 7 {
            0 => Role::None,
            1 => Role::Pending(self.active_slot),
            2 => Role::Initiator,
            3 => Role::Responder,
            _ => Role::Undecided,
        }
    }

    /// Sets the role; a pending exchange must be settled with [`settle`](Self::settle).
    pub(super) fn set_role(&mut self, role: Role) {
        let bits = match role {
            Role::None => 0,
            Role::Pending(number) => {
                self.active_slot = number;
                1
            }
            Role::Initiator => 2,
            Role::Responder => 3,
            Role::Undecided => 4,
        };
        self.state.0 = self.state.0 & !7 | bits;
    }

    /// Sets the role of a pending exchange, and the slot of its last packet in this direction, if there was one.
    pub(super) fn settle(&mut self, role: Role, active_slot: Option<u64>) {
        self.set_role(role);
        self.active_slot = active_slot.map_or(NEVER, cut);
    }

    /// Notes a packet of its exchange. A pending exchange stores that itself.
    pub(super) fn note_active(&mut self, slot: u64) {
        if !matches!(self.role(), Role::Pending(_)) {
            self.active_slot = cut(slot);
        }
    }

    /// Returns true if a packet of its exchange is in the window.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the constant is ten")]
    pub(super) fn is_active(&self, current: u64) -> bool {
        matches!(self.role(), Role::Pending(_))
            || self.active_slot != NEVER && cut(current).wrapping_sub(self.active_slot) < SLOTS_LIVE as u32
    }

    /// Returns true if it has sent a packet of its exchange while the row lives; also while its exchange is pending,
    /// whichever direction has sent.
    pub(super) fn has_sent(&self) -> bool {
        matches!(self.role(), Role::Pending(_)) || self.active_slot != NEVER
    }

    /// Returns whether its bare ACKs are probes.
    pub(super) fn probe(&self) -> Probe {
        match self.state.0 >> State::PROBE_AT & 3 {
            0 => Probe::Unknown,
            1 => Probe::Waits,
            _ => Probe::Is,
        }
    }

    pub(super) fn set_probe(&mut self, probe: Probe) {
        self.state.0 = self.state.0 & !(3 << State::PROBE_AT) | (probe as u8) << State::PROBE_AT;
    }

    /// Returns the observations of this direction, except how many packets expired.
    #[inline]
    pub(super) fn observations(&self) -> Observations {
        let reported = if self.state.0 & State::REPORTED != 0 { Observations::REPORTED.0 } else { 0 };
        Observations(u16::from(self.lower_observations) | reported)
    }

    /// Adds observations of a delta.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "`state` stores the upper bits")]
    pub(super) fn observe(&mut self, observations: Observations) {
        self.lower_observations |= observations.0 as u8;
        if observations.0 > u16::from(u8::MAX) {
            if observations.has(Observations::REPORTED) {
                self.state.0 |= State::REPORTED;
            }
            let expiries = (self.expiries() + observations.expiries()).min(EXPIRIES_MAX);
            self.state.0 = self.state.0 & !(3 << State::EXPIRIES_AT) | (expiries & 3) << State::EXPIRIES_AT;
            self.contacts_and_expiries = self.contacts_live() | expiries >> 2 << CONTACTS.count_ones();
        }
    }

    /// Returns how many packets to its peer expired on the way; [`EXPIRIES_MAX`] stands for more.
    fn expiries(&self) -> u8 {
        self.contacts_and_expiries >> CONTACTS.count_ones() << 2 | self.state.0 >> State::EXPIRIES_AT & 3
    }

    /// Returns true if the packets to its peer were a traceroute: more than half of them expired on the way, or at
    /// least three and one in four. So a scanner cannot hide many packets behind a few with a low hop limit. More than
    /// 252 packets, which are 30 hops with 3 probes each several times over, are never a traceroute.
    pub(super) fn is_traceroute(&self) -> bool {
        let expiries = self.expiries();
        u64::from(expiries) * 2 > self.packets()
            || expiries >= EXPIRIES_MIN && u64::from(expiries) * u64::from(EXPIRED_ONE_IN) >= self.packets()
    }

    /// Returns the place of its latest item, if that is live.
    #[inline]
    pub(super) fn latest(&self, items: &SlotRecords) -> Option<SlotRecordAt> {
        let current = items.current();
        // Only the lower bits are stored; the upper ones are those of the current slot or of one shortly before it.
        // Expired items are subtracted before they are 256 slots old.
        #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
        let slot = current.wrapping_sub(u64::from((current as u8).wrapping_sub(self.item_slot)));
        (self.has_items() && slot >= items.oldest()).then_some(SlotRecordAt { slot, at: self.item_at })
    }

    /// Sets the place of its latest item.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
    pub(super) fn set_latest(&mut self, item: SlotRecordAt) {
        self.item_slot = item.slot as u8;
        self.item_at = item.at;
    }
}

impl Chained for Pair {
    fn link(&mut self) -> &mut u32 {
        &mut self.next
    }
}

/// Returns the lower 32 bits of a slot number. They wrap after thirteen years of the shortest slots.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
fn cut(slot: u64) -> u32 {
    slot as u32
}

/// A pair to look up: its place in the index, and what must be equal there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    place: IndexKey,
    check: u32,
    pub(super) endpoints: Endpoints,
}

impl Sought {
    /// Makes it from the hash of the pair.
    #[inline]
    pub(super) fn new(hash: u64, endpoints: &Endpoints) -> Self {
        let (is_reversed, is_ipv6) = match endpoints {
            Endpoints::V4 { src, dst } => (src > dst, 0),
            Endpoints::V6 { src, dst } => (src > dst, 1),
        };
        Self { place: IndexKey::of(hash, is_reversed), check: rest(hash) | is_ipv6, endpoints: *endpoints }
    }

    /// Returns the other direction.
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
    /// The next row of a walk in parts.
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

    /// Prefetches the index entries for a pair.
    #[inline]
    pub(super) fn prefetch_place(&self, sought: &Sought) {
        self.index.prefetch(sought.place);
    }

    /// Prefetches a row.
    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
        self.rows.prefetch(at);
    }

    /// Prefetches the rows before and after one in its chain.
    #[inline]
    pub(super) fn prefetch_around(&self, at: u32) {
        let Pair { previous, next, .. } = self.rows[at];
        [previous, next].into_iter().filter(|&at| at != NONE).for_each(|at| self.rows.prefetch(at));
    }

    /// Returns the row that a pair may have, so that it can be prefetched before [`find_from`](Self::find_from)
    /// compares it.
    #[inline]
    pub(super) fn candidate(&self, sought: &Sought) -> Option<u32> {
        self.index.first(sought.place)
    }

    /// Returns the row of a pair.
    #[inline]
    pub(super) fn find(&self, sought: &Sought, hosts: &Hosts) -> Option<u32> {
        self.index.find(sought.place, |at| self.is(at, sought, hosts))
    }

    /// Returns the row of a pair, which nearly always is its [`candidate`](Self::candidate).
    #[inline]
    pub(super) fn find_from(&self, candidate: u32, sought: &Sought, hosts: &Hosts) -> Option<u32> {
        if self.is(candidate, sought, hosts) { Some(candidate) } else { self.find(sought, hosts) }
    }

    /// Returns true if a row at the place of a pair is the row of that pair.
    #[inline]
    fn is(&self, at: u32, sought: &Sought, hosts: &Hosts) -> bool {
        let pair = &self.rows[at];
        pair.check == sought.check
            && match sought.endpoints {
                // The index key and `check` together are the whole hash, and IPv4 pairs have different hashes.
                Endpoints::V4 { .. } => true,
                Endpoints::V6 { src, dst } => {
                    hosts.get(pair.src).addr() == IpAddr::V6(src)
                        && hosts.get(pair.dst).addr() == IpAddr::V6(dst)
                }
            }
    }

    /// Inserts a row for a new pair. Its owner, the source or the IPv6 group of the source, has the sums and the chain
    /// of rows. Returns `None` if there is no room for it or for one
    /// of its hosts.
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

    /// Inserts the rest row of an owner: what it sent in pairs that were evicted. Its destination is the placeholder
    /// `other`. It is in no index.
    pub(super) fn insert_rest(&mut self, owner: HostId, other: HostId, hosts: &mut Hosts) -> Option<u32> {
        if !self.rows.has_room() {
            return None;
        }
        // A pair holds a reference to its source, its destination and its owner.
        [owner, other, owner].into_iter().for_each(|host| hosts.hold(host));
        hosts.get_mut(owner).owner = owner;
        Some(self.put(owner, other, 0, hosts))
    }

    /// Inserts a row at the front of the chain of its owner.
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
            active_slot: NEVER,
            items: Packed::ZERO,
            contacts_and_expiries: 0,
            contacted: PortSketch::default(),
            lower_observations: 0,
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

    /// Frees a row and its references.
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
        // A pending decision must not find its role in a freed row.
        self.rows[at].state = State(0);
        self.rows.free(at);
        hosts.release(src);
        hosts.release(dst);
        hosts.release(owner);
    }

    /// Returns how many more rows fit.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.rows.room()
    }

    /// Returns the next row in the chain of the same owner.
    pub(super) fn next_of(&self, at: u32) -> u32 {
        self.rows[at].next
    }

    /// Returns what a row is looked up by.
    pub(super) fn sought(&self, at: u32, hosts: &Hosts) -> Sought {
        let pair = &self.rows[at];
        let endpoints = Endpoints::new(hosts.get(pair.src).addr(), hosts.get(pair.dst).addr())
            .expect("both addresses of a pair are of one family");
        Sought::new(self.seed.pair(&endpoints), &endpoints)
    }

    /// Returns the row of the other direction.
    pub(super) fn reverse(&self, at: u32, hosts: &Hosts) -> Option<u32> {
        self.find(&self.sought(at, hosts).reversed(), hosts)
    }

    /// Returns the pairs of a source or group, the latest first.
    pub(super) fn of(&self, host: HostId, hosts: &Hosts) -> impl Iterator<Item = &Pair> {
        self.rows_of(host, hosts).map(|at| &self.rows[at])
    }

    /// Returns the rows of a source or group, without the one for hosts that are no longer kept apart.
    pub(super) fn rows_of(&self, host: HostId, hosts: &Hosts) -> impl Iterator<Item = u32> {
        let first = Some(hosts.get(host).first_pair).filter(|&at| at != NONE);
        let rows = std::iter::successors(first, |&at| Some(self.rows[at].next).filter(|&at| at != NONE));
        rows.filter(|&at| !hosts.is_other(self.rows[at].dst))
    }

    /// Begins a walk in parts over the pairs of a host, its rest row included; `None` walks over nothing. It replaces
    /// a walk that has not ended.
    pub(super) fn begin_walk(&mut self, host: Option<HostId>, hosts: &Hosts) {
        self.walk_at = host.map_or(NONE, |host| hosts.get(host).first_pair);
    }

    /// Returns the next pair of the walk. Pairs that are freed or inserted between two calls are left out.
    pub(super) fn walk_on(&mut self) -> Option<&Pair> {
        let at = self.walk_at;
        (at != NONE).then(|| {
            let pair = &self.rows[at];
            self.walk_at = pair.next;
            pair
        })
    }

    /// Returns all pairs except the rest rows, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.index.iter().map(|at| &self.rows[at])
    }
}
