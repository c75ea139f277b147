//! Error bounds: how much may be missing from a host's sums because of earlier evictions.
//!
//! ```text
//!   slot        90  91  92  93  94  95  96  97  98  99      error of a host that entered in
//!   evicted      .   3   .   .   2   .   .   .   5   .      89: none    91: 3    97: 3 + 2    99: 3 + 2 + 5
//! ```
//!
//! A pass of eviction takes each host at most once in a slot, so what it took from any host is at most the largest
//! value that it took there. That value is added to the bound of the slot; a slot that begins within a pass counts as
//! a new pass. The host sent those bytes in that slot or before, so
//! they have left the window when the slot expires, and the bound expires with it. A host can have lost only what it
//! had before it entered. So nothing is missing from a host that has been present for a whole window.
//!
//! Spilled bytes may belong to any host, so they may be missing from every host while their slot is live.
//!
//! For every host and its bytes sent: counted <= true <= counted + error. Eviction does not remove bytes received.
//! Those for which the table of received bytes has no room have no bound; they are counted as lost (`ReceivedWindow`).

use super::container::slot_ring::SLOTS_LIVE;
use super::metric::Metric;

/// Amounts of a host for which a bound can be kept. The window fills in `ip_bytes` only, since eviction removes no
/// bytes received.
///
/// Contacts, ports and rates are not included, because their alerts depend only on what was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Bytes sent in the traffic window.
    pub ip_bytes: u64,
    /// Bytes received in the traffic window.
    pub received_bytes: u64,
}

impl Sums {
    /// Returns the sum of a metric; 0 for a metric that is not included.
    pub fn of(&self, metric: Metric) -> u64 {
        match metric {
            Metric::IpBytes => self.ip_bytes,
            Metric::ReceivedBytes => self.received_bytes,
            Metric::ContactedHosts | Metric::ContactedPorts | Metric::PacketsPerS | Metric::ContactsPerS => 0,
        }
    }
}

/// The error bounds of the live slots. Never allocates.
#[derive(Clone, Debug, Default)]
pub struct ErrorBounds {
    /// Indexed by slot number modulo the number of live slots.
    slots: [Slot; SLOTS_LIVE],
    /// Number of the current slot.
    current: u64,
    /// The largest values that the pass has taken so far in the current slot; the bound of the slot includes them.
    pass: Sums,
    /// The errors of a host by the live slot in which it entered, the oldest first.
    errors: [Sums; SLOTS_LIVE],
    /// What was spilled in all live slots: the only error of a host that entered before them.
    spilled: Sums,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    evicted: Sums,
    spilled: Sums,
}

impl ErrorBounds {
    /// Begins a pass, which may take several parts. Within a pass, each host may be evicted only once in each slot.
    pub fn begin_pass(&mut self) {
        self.pass = Sums::default();
    }

    /// Raises the bound of the current slot so that it covers what an evicted host had in the window.
    ///
    /// ```
    /// use traffic_alerted::flow::{ErrorBounds, Sums};
    /// let mut bounds = ErrorBounds::default();
    /// bounds.roll(7);
    /// for ip_bytes in [40, 60, 50] {
    ///     bounds.evict(Sums { ip_bytes, received_bytes: 0 });
    /// }
    /// assert_eq!(bounds.error(7).ip_bytes, 60, "another host that enters now");
    /// assert_eq!(bounds.error(6).ip_bytes, 0, "a host that entered before");
    /// ```
    pub fn evict(&mut self, had: Sums) {
        let larger = self.pass.max(had);
        if larger != self.pass {
            let more = larger.minus(self.pass);
            self.pass = larger;
            let slot = &mut self.slots[ring_index(self.current)];
            slot.evicted = slot.evicted.plus(more);
            self.add_up();
        }
    }

    /// Adds what was spilled in the current slot.
    pub fn spill(&mut self, sums: Sums) {
        let slot = &mut self.slots[ring_index(self.current)];
        slot.spilled = slot.spilled.plus(sums);
        self.add_up();
    }

    /// Makes `number` the current slot; the bounds of expired slots are dropped. An earlier number changes nothing.
    pub fn roll(&mut self, number: u64) {
        if number <= self.current {
            return;
        }
        let expired = (number - self.current).min(SLOTS_LIVE as u64);
        for ago in 0..expired {
            self.slots[ring_index(number - ago)] = Slot::default();
        }
        self.current = number;
        // What the pass evicts from now on is added to another slot.
        self.begin_pass();
        self.add_up();
    }

    /// Returns the most that may be missing from the sums of a host that entered in the slot `entered`.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the number is less than ten")]
    pub fn error(&self, entered: u64) -> Sums {
        let oldest = self.oldest();
        match entered.checked_sub(oldest) {
            None => self.spilled,
            // A host cannot have entered later than now.
            Some(after) => self.errors[after.min(self.current - oldest) as usize],
        }
    }

    /// Returns the error of a host that enters now, the largest of all.
    pub fn largest(&self) -> Sums {
        self.error(self.current)
    }

    fn oldest(&self) -> u64 {
        self.current.saturating_sub(SLOTS_LIVE as u64 - 1)
    }

    /// Computes `errors` and `spilled`. They are stored, because reads are frequent and changes are rare.
    fn add_up(&mut self) {
        let slots = &self.slots;
        self.spilled = slots.iter().fold(Sums::default(), |sum, slot| sum.plus(slot.spilled));
        let mut sum = self.spilled;
        for (number, error) in (self.oldest()..=self.current).zip(&mut self.errors) {
            sum = sum.plus(slots[ring_index(number)].evicted);
            *error = sum;
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the number is less than ten")]
fn ring_index(number: u64) -> usize {
    (number % SLOTS_LIVE as u64) as usize
}

impl Sums {
    /// A bound may be too large, so saturation is right where addition would overflow.
    fn plus(self, other: Self) -> Self {
        Self {
            ip_bytes: self.ip_bytes.saturating_add(other.ip_bytes),
            received_bytes: self.received_bytes.saturating_add(other.received_bytes),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            ip_bytes: self.ip_bytes - other.ip_bytes,
            received_bytes: self.received_bytes - other.received_bytes,
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            ip_bytes: self.ip_bytes.max(other.ip_bytes),
            received_bytes: self.received_bytes.max(other.received_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn sums(ip_bytes: u64, received_bytes: u64) -> Sums {
        Sums { ip_bytes, received_bytes }
    }

    #[test]
    fn a_bound_holds_for_hosts_that_entered_later_and_expires_with_its_slot() {
        let mut bounds = ErrorBounds::default();
        for (slot, ip_bytes) in [(91, 3), (94, 2), (98, 5)] {
            bounds.roll(slot);
            bounds.begin_pass();
            bounds.evict(sums(ip_bytes, 0));
        }
        bounds.roll(99);
        for (entered, error) in [(0, 0), (89, 0), (90, 0), (91, 3), (93, 3), (97, 5), (98, 10), (99, 10)] {
            assert_eq!(bounds.error(entered).ip_bytes, error, "{entered}");
        }
        bounds.roll(101);
        assert_eq!((bounds.error(94).ip_bytes, bounds.largest().ip_bytes), (2, 7));
        bounds.roll(1000);
        assert_eq!(bounds.largest(), Sums::default());
    }

    #[test]
    fn a_pass_counts_with_its_largest_values_and_passes_add_up() {
        let mut bounds = ErrorBounds::default();
        bounds.roll(5);
        for (had, error) in [(sums(4, 0), sums(4, 0)), (sums(3, 7), sums(4, 7)), (sums(6, 2), sums(6, 7))] {
            bounds.evict(had);
            assert_eq!(bounds.largest(), error);
        }
        bounds.begin_pass();
        bounds.evict(sums(1, 1));
        assert_eq!(bounds.largest(), sums(7, 8));
        // A pass that continues in the next slot may evict hosts again that returned there.
        bounds.roll(6);
        bounds.evict(sums(1, 0));
        assert_eq!((bounds.error(5), bounds.error(6)), (sums(7, 8), sums(8, 8)));
    }

    #[test]
    fn spilled_bytes_may_be_missing_from_every_host() {
        let mut bounds = ErrorBounds::default();
        bounds.roll(20);
        bounds.evict(sums(10, 0));
        bounds.spill(sums(1, 2));
        assert_eq!((bounds.error(0), bounds.error(20)), (sums(1, 2), sums(11, 2)));
        bounds.spill(sums(u64::MAX, 0));
        assert_eq!(bounds.largest(), sums(u64::MAX, 2));
        bounds.roll(30);
        assert_eq!(bounds.error(0), Sums::default());
    }

    /// One step of the test. Hosts are numbers.
    #[derive(Clone, Debug)]
    enum Event {
        Send(u8, u64),
        Spill(u8, u64),
        /// A pass over these hosts.
        Evict(Vec<u8>),
        /// The same pass continues with these hosts, except those it has evicted.
        EvictMore(Vec<u8>),
        Roll(u64),
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let hosts = || prop::collection::vec(0u8..6, 0..6);
        let event = prop_oneof![
            8 => (0u8..6, 1u64..1000).prop_map(|(host, bytes)| Event::Send(host, bytes)),
            1 => (0u8..6, 1u64..1000).prop_map(|(host, bytes)| Event::Spill(host, bytes)),
            2 => hosts().prop_map(Event::Evict),
            1 => hosts().prop_map(Event::EvictMore),
            4 => (1u64..4).prop_map(Event::Roll),
            1 => (9u64..15).prop_map(Event::Roll),
        ];
        prop::collection::vec(event, 0..200)
    }

    /// Bytes by slot.
    type BySlot = BTreeMap<u64, u64>;

    fn live(bytes: &BySlot, now: u64) -> u64 {
        bytes.range(now.saturating_sub(SLOTS_LIVE as u64 - 1)..).map(|(_, bytes)| bytes).sum()
    }

    proptest! {
        /// For hosts that send, are evicted and return, the true value is between the counted one and the counted one
        /// plus the error. From hosts that were present for a whole window nothing is missing except what was spilled.
        #[test]
        fn the_true_value_is_within_the_error(events in events()) {
            let mut bounds = ErrorBounds::default();
            let mut now = 0;
            let mut truth: BTreeMap<u8, BySlot> = BTreeMap::new();
            // The slot in which each host of the table entered, and what was counted of it.
            let mut counted: BTreeMap<u8, (u64, BySlot)> = BTreeMap::new();
            let mut spilled = BySlot::new();
            let mut taken: Vec<u8> = Vec::new();
            for event in events {
                match event {
                    Event::Send(host, bytes) => {
                        *truth.entry(host).or_default().entry(now).or_default() += bytes;
                        let (_, by_slot) = counted.entry(host).or_insert((now, BySlot::new()));
                        *by_slot.entry(now).or_default() += bytes;
                    }
                    Event::Spill(host, bytes) => {
                        *truth.entry(host).or_default().entry(now).or_default() += bytes;
                        *spilled.entry(now).or_default() += bytes;
                        bounds.spill(sums(bytes, bytes));
                    }
                    Event::Evict(ref hosts) | Event::EvictMore(ref hosts) => {
                        if matches!(event, Event::Evict(_)) {
                            bounds.begin_pass();
                            taken.clear();
                        }
                        for host in hosts {
                            if taken.contains(host) {
                                continue;
                            }
                            if let Some((_, by_slot)) = counted.remove(host) {
                                taken.push(*host);
                                let had = live(&by_slot, now);
                                bounds.evict(sums(had, had));
                            }
                        }
                    }
                    Event::Roll(slots) => {
                        now += slots;
                        bounds.roll(now);
                        // A host is removed when its last slot expires.
                        counted.retain(|_, (_, by_slot)| live(by_slot, now) > 0);
                        taken.clear();
                    }
                }
                for (host, true_bytes) in &truth {
                    let true_bytes = live(true_bytes, now);
                    let Some((entered, by_slot)) = counted.get(host) else {
                        prop_assert!(true_bytes <= bounds.largest().ip_bytes, "{host} is not in the table");
                        continue;
                    };
                    let (counted, error) = (live(by_slot, now), bounds.error(*entered));
                    prop_assert_eq!(error.ip_bytes, error.received_bytes);
                    prop_assert!(counted <= true_bytes && true_bytes <= counted + error.ip_bytes,
                        "{host}: {counted} of {true_bytes}, and {error:?}");
                    if entered + SLOTS_LIVE as u64 <= now {
                        prop_assert_eq!(error.ip_bytes, live(&spilled, now));
                    }
                }
            }
        }
    }
}
