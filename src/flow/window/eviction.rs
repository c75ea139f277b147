//! Eviction: full tables make rows coarser, and the totals stay exact.
//!
//! When a host is evicted, its sums in each live slot are added to those of `other`, which expire with the slot. So in
//! every slot the hosts and `other` add up to the total. The sums of an evicted host are in the error of each host that
//! enters later ([`ErrorBounds`]), since it may be the same one.
//!
//! Remote hosts are evicted before local ones, whatever these sent: a flood from outside must not hide them. Local
//! addresses can be forged, so local hosts are evicted instead while they have more than three quarters of the pairs.
//!
//! A hand goes round the table of hosts, as in the CLOCK algorithm, and evicts those of the lowest priorities; the
//! priority up to which it evicts is estimated from a sample. A round is a pass: no host is evicted in the pass in
//! which it entered. A host with one contact leaves a [ghost entry](crate::flow::GhostEntries) of it.
//!
//! A host with very many pairs keeps the latest and the largest. The others are merged into one, its rest, in every
//! live slot. Their contacts are no longer counted, since they could not be distinguished from new ones.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::flow::Capacity;
use crate::flow::container::slab::NONE;
use crate::flow::container::slot_ring::SlotRing;
use crate::flow::error_bounds::{ErrorBounds, Sums};
use crate::flow::ghosts::{Ghost, GhostEntries};
use crate::flow::hosts::HostId;
use crate::flow::metric::PerMetric;
use crate::flow::retention_priority::{RetentionPriority, RetentionScale};
use crate::flow::slot_records::{SlotRecord, SlotRecordAt};
use crate::time::Moment;

use super::{TOGETHER, Window};

/// Rows that are kept free for a batch: a pair, and its source, destination and owner.
const ROOM: usize = 3 * TOGETHER;

/// Rows that are freed at once, or an eighth of the table if that is less.
const ROOM_MADE: usize = 1024;

/// Hosts in a sample, and the share of the hosts that is evicted by it.
const SAMPLE: u32 = 1024;
const SHARE: (usize, usize) = (1, 4);

/// The share of the pairs up to which local hosts are evicted after the others.
const LOCAL_SHARE: (u64, u64) = (3, 4);

/// Calls for room that are skipped after one that freed too few rows.
const TRIED_EVERY: u32 = 1024;

/// A host with more than twice this many pairs keeps this many of the latest, or a sixteenth of the table if that is
/// less.
const PAIRS_KEPT: u32 = 2048;

/// Of the other pairs it keeps those with more than this share of its bytes.
const LARGE_OF: u64 = 256;

/// The state of eviction.
#[derive(Debug)]
pub(super) struct Eviction {
    pub(super) bounds: ErrorBounds,
    pub(super) ghosts: GhostEntries,
    other: SlotRing<Other>,
    other_sum: Other,
    ranking: RetentionScale,
    room_made: usize,
    pairs_kept: u32,
    /// The next host of the hand, and the priorities that it evicts.
    hand: u32,
    takes: RangeInclusive<RetentionPriority>,
    /// Hosts that the hand looked at since the last sample, and how many of them it evicted.
    seen: usize,
    taken: usize,
    /// Calls for room that are still to be skipped.
    rests_for: u32,
    /// The rests of hosts with merged pairs, by source.
    rests: HashMap<HostId, Rest, foldhash::fast::FixedState>,
}

/// Packets and bytes of hosts that were evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Other {
    /// Their packets.
    pub packets: u64,
    /// Their bytes.
    pub ip_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    pair: u32,
    /// The contact for which it has a credit.
    credit: Option<Ghost>,
}

impl Eviction {
    #[allow(clippy::cast_possible_truncation, reason = "the number is at most 2048")]
    pub(super) fn new(slots: SlotRing<Other>, limits: &Capacity) -> Self {
        Self {
            // Fits: it is at most 2048.
            pairs_kept: (limits.pairs_max / 16).min(PAIRS_KEPT as usize) as u32,
            room_made: (limits.pairs_max / 8).clamp(ROOM + 1, ROOM_MADE),
            bounds: ErrorBounds::default(),
            ghosts: GhostEntries::new(limits.ghost_bytes),
            other: slots,
            other_sum: Other::default(),
            ranking: RetentionScale::new(&PerMetric::default()),
            hand: 0,
            takes: RetentionPriority::default()..=RetentionPriority::default(),
            seen: 0,
            taken: 0,
            rests_for: 0,
            rests: HashMap::default(),
        }
    }

    /// Makes the slot of `now` the current one.
    pub(super) fn advance(&mut self, now: Moment) {
        let number = self.other.number(now);
        self.other.advance(number);
        while let Some(Other { packets, ip_bytes }) = self.other.take_expired() {
            self.other_sum.packets -= packets;
            self.other_sum.ip_bytes -= ip_bytes;
        }
        self.bounds.roll(number);
        self.ghosts.roll(number);
    }

    /// Adds the sums of an evicted host to a live slot.
    fn add(&mut self, slot: u64, packets: u64, ip_bytes: u64) {
        self.other_sum.packets += packets;
        self.other_sum.ip_bytes += ip_bytes;
        let items = self.other.items(slot);
        match items.last_mut() {
            Some(other) => {
                other.packets += packets;
                other.ip_bytes += ip_bytes;
            }
            None => {
                items.push(Other { packets, ip_bytes });
            }
        }
    }
}

impl Window {
    /// Sets the lowest limit of each metric that any host has. The host that has used the smallest share of them is
    /// evicted first, and a host that cannot exceed one of them is not marked dirty.
    pub fn watch(&mut self, limits: &PerMetric<Option<u64>>) {
        self.eviction.ranking = RetentionScale::new(limits);
        self.hosts.watch(limits);
    }

    /// Sets the hosts that are evicted last of the local hosts, and last of the others; replaces the previous ones.
    pub fn protect(&mut self, hosts: HashSet<IpAddr>) {
        self.hosts.protect(hosts);
    }

    /// Sets the local networks, whose hosts are evicted after the others, and replaces the previous ones. Walks over
    /// all hosts if they differ.
    pub fn protect_networks(&mut self, networks: &[IpNet]) {
        self.hosts.protect_networks(networks);
    }

    /// Returns what evicted hosts sent in the window. Together with the sums of all hosts it is the total.
    pub fn other(&self) -> Other {
        self.eviction.other_sum
    }

    /// Returns the error of a host that enters now, the largest of all.
    pub fn largest_error(&self) -> Sums {
        self.eviction.bounds.largest()
    }

    /// Counts in the current slot what there is no room for.
    pub(super) fn spill(&mut self, packets: u64, ip_bytes: u64) {
        self.accounting.spilled_packets += packets;
        self.accounting.spilled_bytes += ip_bytes;
        self.eviction.bounds.spill(Sums { ip_bytes, received_bytes: 0 });
        self.eviction.add(self.items.current(), packets, ip_bytes);
    }

    /// Makes room for a batch of pairs if there is none. Returns true if rows may have been freed for that.
    #[inline]
    pub(super) fn have_room(&mut self) -> bool {
        if !self.lacks(ROOM) {
            return false;
        }
        match self.eviction.rests_for {
            0 => self.make_room(),
            _ => self.eviction.rests_for -= 1,
        }
        true
    }

    #[inline]
    fn lacks(&self, room: usize) -> bool {
        self.pairs.room() < room || self.hosts.room() < room
    }

    #[cold]
    fn make_room(&mut self) {
        // Expired items are subtracted first; they must not be found in chains.
        self.drain(usize::MAX);
        // At most three rounds: in the first all hosts may be new, and a sample may have given too low a priority.
        let mut left = 3 * self.hosts.numbers() as usize;
        while left > 0 && self.lacks(self.eviction.room_made) {
            left -= 1;
            self.turn_hand();
        }
        if left == 0 {
            // No more rows can be freed. Packets without room are spilled, and the next attempts are skipped.
            self.eviction.rests_for = TRIED_EVERY;
        }
    }

    /// Looks at the next host, and evicts it if its priority is among the lowest.
    fn turn_hand(&mut self) {
        let numbers = self.hosts.numbers();
        let Eviction { seen, taken, .. } = self.eviction;
        // A new sample is taken when few hosts are left that this priority evicts.
        if seen == 0 || (seen >= SAMPLE as usize && taken * 16 < seen) || seen >= numbers as usize {
            self.take_sample();
        }
        if self.eviction.hand >= numbers {
            self.eviction.hand = 0;
            self.hosts.begin_pass();
            self.eviction.bounds.begin_pass();
        }
        let id = HostId(self.eviction.hand);
        self.eviction.hand += 1;
        self.eviction.seen += 1;
        self.hosts.prefetch(HostId((id.0 + 8).min(numbers - 1)));
        let host = self.hosts.get(id);
        if !host.is_source() {
            return;
        }
        if self.eviction.takes.contains(&self.rank(id)) && !self.hosts.is_new(id) {
            self.eviction.taken += 1;
            self.evict(id);
        } else if host.pairs_about() > 2 * self.eviction.pairs_kept {
            self.make_coarser(id);
        }
    }

    /// Estimates the priorities that are evicted: the lowest quarter, of the remote hosts only or of the local ones
    /// only.
    fn take_sample(&mut self) {
        let numbers = self.hosts.numbers();
        let step = (numbers / SAMPLE).max(1);
        let ids = (0..numbers).step_by(step as usize).map(HostId);
        let mut ranks: Vec<RetentionPriority> = Vec::new();
        let (mut pairs, mut local_pairs) = (0, 0);
        for id in ids.filter(|&id| self.hosts.get(id).is_source()) {
            ranks.push(self.rank(id));
            let host = self.hosts.get(id);
            let of_host = u64::from(host.pairs_about());
            pairs += of_host;
            local_pairs += if host.is_local() { of_host } else { 0 };
        }
        ranks.sort_unstable();
        let (remote, local) = ranks.split_at(ranks.partition_point(|&rank| rank < RetentionPriority::LOCAL));
        let is_local_too_much = local_pairs * LOCAL_SHARE.1 > pairs * LOCAL_SHARE.0;
        let (first, class) = match remote.is_empty() || is_local_too_much {
            true => (RetentionPriority::LOCAL, local),
            false => (RetentionPriority::default(), remote),
        };
        // Hosts with an alert are not evicted while there are others of their class.
        let others = class.iter().rposition(|rank| !rank.is_with_alert());
        let last = others.unwrap_or(class.len().saturating_sub(1));
        if let Some(&rank) = class.get(last.min(ranks.len() * SHARE.0 / SHARE.1)) {
            self.eviction.takes = first..=rank;
        }
        (self.eviction.seen, self.eviction.taken) = (1, 0);
    }

    fn rank(&self, id: HostId) -> RetentionPriority {
        self.eviction.ranking.of(self.hosts.get(id), self.ports_count(id))
    }

    /// Removes everything that a host sent.
    fn evict(&mut self, id: HostId) {
        let host = self.hosts.get(id);
        self.eviction.bounds.evict(Sums { ip_bytes: host.ip_bytes, received_bytes: 0 });
        let leaves_ghost = host.contacted_hosts == 1;
        // The host is freed with the last of its pairs, unless other rows refer to it.
        while self.hosts.get(id).is_source() {
            let pair = self.hosts.get(id).first_pair;
            self.evict_pair(pair, leaves_ghost);
        }
    }

    fn evict_pair(&mut self, at: u32, leaves_ghost: bool) {
        let pair = self.pairs.get(at);
        let (src, dst) = (pair.src, pair.dst);
        if leaves_ghost && pair.contacts_live() > 0 && !self.hosts.is_other(dst) {
            let (source, target) = (self.hosts.hash(src), self.hosts.hash(dst));
            let slot = self.slot_of_contact(at);
            self.eviction.ghosts.insert(source, target, slot);
        }
        let mut next = self.pairs.get(at).latest(&self.items);
        while let Some(item) = next {
            next = self.items.before(item);
            let evicted = self.items.evict(item);
            self.eviction.add(item.slot, evicted.packets(), evicted.ip_bytes());
            self.take_back(&evicted);
        }
        self.remove_pair(at);
    }

    /// Returns the latest live slot with a contact of a pair.
    fn slot_of_contact(&mut self, at: u32) -> u64 {
        let mut next = self.pairs.get(at).latest(&self.items);
        while let Some(item) = next.filter(|&item| !self.items.get(item).is_contact()) {
            next = self.items.before(item);
        }
        next.map_or(self.items.current(), |item| item.slot)
    }

    /// Merges the pairs of a host into its rest, except the latest and the largest.
    fn make_coarser(&mut self, id: HostId) {
        let Some(rest) = self.rest_of(id) else { return };
        let large = self.hosts.get(id).ip_bytes / LARGE_OF;
        let mut at = self.hosts.get(id).first_pair;
        let (mut kept, mut added) = (0, 0);
        while at != NONE && added < self.eviction.room_made {
            let next = self.pairs.next_of(at);
            let pair = self.pairs.get(at);
            if kept >= self.eviction.pairs_kept && pair.ip_bytes <= large && !self.hosts.is_other(pair.dst) {
                self.add_to_rest(rest, at);
                added += 1;
            } else {
                kept += 1;
            }
            at = next;
        }
        if at != NONE {
            // The host has more pairs to merge.
            self.eviction.hand -= 1;
        }
    }

    /// Moves the sums of a pair to the rest of its source, slot by slot.
    fn add_to_rest(&mut self, rest: u32, at: u32) {
        let mut next = self.pairs.get(at).latest(&self.items);
        while let Some(item) = next {
            next = self.items.before(item);
            let evicted = self.items.evict(item);
            self.take_back(&evicted);
            let (mut packets, mut ip_bytes) = (evicted.packets(), evicted.ip_bytes());
            let owner = self.hosts.get(self.pairs.get(rest).src).owner;
            let row = self.pairs.get_mut(rest);
            row.add(packets, ip_bytes);
            self.hosts.add_sent(owner, packets, ip_bytes);
            while packets > 0 || ip_bytes > 0 {
                self.put_at(rest, item.slot, &mut packets, &mut ip_bytes);
            }
        }
        self.remove_pair(at);
    }

    /// Adds to an item of a pair in a live slot, or makes a new one with as much as fits.
    fn put_at(&mut self, at: u32, slot: u64, packets: &mut u64, ip_bytes: &mut u64) {
        let (before, after) = self.around(at, slot);
        if let Some(item) = before
            && item.slot == slot
            && self.items.get(item).add(*packets, *ip_bytes)
        {
            (*packets, *ip_bytes) = (0, 0);
            return;
        }
        let item = SlotRecord::of(at, packets, ip_bytes);
        self.chain(at, slot, item, before, after);
    }

    /// Counts one contact of a host for which there is only a ghost entry.
    pub(super) fn credit(&mut self, owner: HostId, src: HostId, dst: HostId) {
        if self.eviction.ghosts.is_empty() || self.hosts.is_other(dst) {
            return;
        }
        let target = self.hosts.hash(dst);
        if let Some(rest) = self.eviction.rests.get(&owner).copied() {
            // The contact of the credit is counted itself now, and must not count twice.
            if rest.credit.is_some_and(|ghost| ghost.may_have_target(target)) {
                self.take_credit(owner, rest);
            }
            return;
        }
        if self.hosts.get(owner).contacted_hosts > 1 {
            return;
        }
        let Some(ghost) = self.eviction.ghosts.find(self.hosts.hash(src), target) else { return };
        let Some(rest) = self.rest_of(owner) else { return };
        if let Some(rest) = self.eviction.rests.get_mut(&owner) {
            rest.credit = Some(ghost);
        }
        self.contact_in(rest, ghost.slot);
    }

    fn take_credit(&mut self, owner: HostId, rest: Rest) {
        let Rest { pair: at, credit } = rest;
        let Some(ghost) = credit else { return };
        let (item, _) = self.around(at, ghost.slot.max(self.items.oldest()));
        if let Some(item) = item.filter(|item| item.slot == ghost.slot)
            && self.items.get(item).take_contact()
        {
            let pair = self.pairs.get_mut(at);
            pair.subtract_contact();
            if pair.contacts_live() == 0 {
                self.uncount_contact(at);
            }
        }
        if let Some(rest) = self.eviction.rests.get_mut(&owner) {
            rest.credit = None;
        }
    }

    /// Returns the rest of a host, and makes one if there is none.
    fn rest_of(&mut self, owner: HostId) -> Option<u32> {
        if let Some(rest) = self.eviction.rests.get(&owner) {
            return Some(rest.pair);
        }
        let other = self.hosts.other()?;
        let pair = self.pairs.insert_rest(owner, other, &mut self.hosts)?;
        self.eviction.rests.insert(owner, Rest { pair, credit: None });
        // A row must have an item as long as it lives.
        let current = self.items.current();
        self.chain(pair, current, SlotRecord::of(pair, &mut 0, &mut 0), None, None);
        Some(pair)
    }

    /// Frees the row of a pair without items.
    pub(super) fn remove_pair(&mut self, at: u32) {
        let pair = self.pairs.get(at);
        if self.hosts.is_other(pair.dst) {
            self.eviction.rests.remove(&pair.src);
            self.pairs.remove_rest(at, &mut self.hosts);
        } else {
            self.pairs.remove(at, &mut self.hosts);
        }
    }

    /// Returns the latest item of a pair in a slot or before it, and the item after that.
    pub(super) fn around(&mut self, at: u32, slot: u64) -> (Option<SlotRecordAt>, Option<SlotRecordAt>) {
        let (mut item, mut after) = (self.pairs.get(at).latest(&self.items), None);
        while let Some(later) = item.filter(|item| item.slot > slot) {
            (item, after) = (self.items.before(later), Some(later));
        }
        (item, after)
    }

    /// Inserts an item between two items of its pair. Of several items in one slot only the latest may be a contact, so
    /// that none is counted twice.
    // Without inlining, the item is written in small stores and read in large loads, which stall.
    #[inline(always)]
    pub(super) fn chain(
        &mut self,
        at: u32,
        slot: u64,
        mut item: SlotRecord,
        before: Option<SlotRecordAt>,
        after: Option<SlotRecordAt>,
    ) {
        if let Some(full) = before
            && full.slot == slot
            && self.items.get(full).take_contact()
        {
            item.make_contact();
        }
        let item = self.items.put(slot, item, before);
        let pair = self.pairs.get_mut(at);
        pair.add_item();
        match after {
            Some(after) => self.items.link(after, Some(item)),
            None => pair.set_latest(item),
        }
    }
}
