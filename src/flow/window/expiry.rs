//! Expiry: items of expired slots are subtracted, with a limit for each call.

use crate::flow::container::slab::NONE;
use crate::flow::slot_records::SlotRecord;
use crate::time::Moment;

use super::Window;

/// All expired items are subtracted before they are this many slots old, also when the analyst is late or nothing was
/// received for long. [`Pair::latest`](crate::flow::pairs::Pair::latest) relies on 256.
const BEHIND_MAX: u64 = 128;

impl Window {
    /// Advances the windows to `now` and subtracts everything that expires.
    pub fn roll(&mut self, now: Moment) {
        while !self.roll_part(now, usize::MAX) {}
    }

    /// Advances the windows to `now` and subtracts at most `items_max` expired items. Returns true if those were all;
    /// until then the sums of hosts are too large.
    pub fn roll_part(&mut self, now: Moment, items_max: usize) -> bool {
        self.advance(now);
        let left = self.drain(items_max);
        let left = self.ports.as_mut().map_or(left, |ports| ports.drain(left, &mut self.hosts));
        self.received.drain(left, &mut self.hosts) > 0
    }

    /// Makes the slots of `now` the current ones.
    pub(super) fn advance(&mut self, now: Moment) {
        self.items.advance(now);
        if self.items.expired_age() >= BEHIND_MAX {
            self.drain(usize::MAX);
        }
        self.hosts.set_current_slot(self.items.current());
        if let Some(ports) = &mut self.ports {
            ports.advance(now);
        }
        self.received.advance(now);
        self.eviction.advance(now);
        self.loss.roll(now);
        self.rates.roll(now);
    }

    /// Subtracts expired items, at most `items_max`, and returns how many of that number are left.
    pub(super) fn drain(&mut self, items_max: usize) -> usize {
        let (mut left, mut items) = (items_max, Vec::new());
        while self.items.take_together(&mut left, &mut items) {
            self.prefetch_expired(&items);
            for &item in items.iter().filter(|item| item.pair != NONE) {
                self.subtract(item);
            }
        }
        left
    }

    /// Prefetches everything that these items are subtracted from, in steps, since each step leads to the next.
    fn prefetch_expired(&self, items: &[SlotRecord]) {
        let pairs = || items.iter().map(|item| item.pair).filter(|&pair| pair != NONE);
        let is_last = |pair: &u32| {
            let pair = self.pairs.get(*pair);
            pair.is_last_item() && !self.hosts.is_other(pair.dst)
        };
        pairs().for_each(|pair| self.pairs.prefetch(pair));
        pairs().for_each(|pair| self.hosts.prefetch(self.pairs.get(pair).src));
        for pair in pairs().filter(is_last) {
            self.hosts.prefetch(self.pairs.get(pair).dst);
            self.pairs.prefetch_around(pair);
        }
        for pair in pairs().filter(is_last) {
            self.pairs.prefetch_place(&self.pairs.sought(pair, &self.hosts));
        }
    }

    /// Subtracts an expired item and frees its pair if it was the last one.
    pub(super) fn subtract(&mut self, item: SlotRecord) {
        self.take_back(&item);
        if !self.pairs.get(item.pair).has_items() {
            self.remove_pair(item.pair);
        }
    }

    /// Subtracts an item from its pair and host.
    pub(super) fn take_back(&mut self, item: &SlotRecord) {
        let pair = self.pairs.get_mut(item.pair);
        pair.subtract(item);
        let is_last_contact = item.is_contact() && pair.contacts_live() == 0;
        let owner = self.hosts.get(pair.src).owner;
        self.hosts.subtract_sent(owner, item.packets(), item.ip_bytes());
        if is_last_contact {
            self.uncount_contact(item.pair);
        }
    }

    /// Subtracts the contact of a pair without live contacts.
    pub(super) fn uncount_contact(&mut self, at: u32) {
        let pair = self.pairs.get(at);
        let owner = self.hosts.get(pair.src).owner;
        let is_group = self.groups.is_group(self.hosts.get(owner).addr());
        if !is_group || self.groups.remove_contact(owner, pair.dst) {
            self.hosts.get_mut(owner).contacted_hosts -= 1;
        }
    }
}
