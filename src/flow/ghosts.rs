//! What an evicted host leaves behind: four bytes that say that it had contacted somebody.
//!
//! Under a flood of spoofed sources a slow scanner is one of millions of hosts with one contact each, and is evicted
//! between two of its contacts. A host that enters and finds a trace of another contact of its own gets one credit,
//! and outranks all the others from then on.
//!
//! ```text
//!   31            12 11      5 4     0
//!  +----------------+---------+-------+
//!  |     source     | target  | slot  |   0: none
//!  +----------------+---------+-------+
//! ```
//!
//! Sixteen of them are a set, which is one line of the cache, the latest first: each one that is left pushes the oldest
//! out. The hash of the source chooses the set. Hashes are seeded, so no stranger can choose whom he pushes out. Slots
//! are numbers modulo 31, of which ten are live; what is older is cleared before its number comes again.
//!
//! By mistake a trace is taken for one of another source once in 2^20, of a full set once in 65,536; then a host gets a
//! credit for nothing. Two targets are taken for one once in 128; then a credit is missed.
//!
//! How many scanners are found depends on how long a trace lasts: on how many of them there are for each host that is
//! evicted in a second. Of those that contact hosts at random times within 170 s where 15 are allowed, with 64 MiB and
//! as if nobody without a credit were kept at all (`scanners_are_found_under_a_flood` below, in full size):
//!
//! | evictions per second | a trace lasts | 18 contacts | 20 contacts | 30 and more |
//! | --- | --- | --- | --- | --- |
//! | 0.75 M | 22 s | 99.8 % | all | all |
//! | 1.5 M | 11 s | 97.8 % | all | all |
//! | 3 M | 6 s | 84 % | 96 % | all |
//! | 6 M | 3 s | 61 % | 84 % | all |
//!
//! Without traces none is found. Takes memory in pieces of 64 KiB, as traces come to them.

use super::container::slot_ring::SLOTS_LIVE;

/// Traces in a set.
const CONTEXTS: usize = 16;

/// Traces of sources that share a line of the cache, the latest first.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set([u32; CONTEXTS]);

const _: () = assert!(size_of::<Set>() == 64);

/// Sets whose memory is taken at once: 64 KiB, so that no trace waits for much of it, whatever the allocator does.
const PIECE_SETS: usize = 1024;

const SOURCE_BITS: u32 = 20;
const TARGET_BITS: u32 = 7;
const SLOT_BITS: u32 = 5;
const _: () = assert!(SOURCE_BITS + TARGET_BITS + SLOT_BITS == u32::BITS);

/// Slots that a trace can tell apart; the value that is left over means none.
const SLOTS_TOLD: u64 = (1 << SLOT_BITS) - 1;

/// In so many slots every set is swept once. A sweep may come as many slots late as are rolled at once, fewer than are
/// live, so what was live at one sweep is at most this old at the next.
const SWEEP_SLOTS: usize = SLOTS_LIVE;
const _: () = assert!((3 * SLOTS_LIVE as u64) <= SLOTS_TOLD);

/// Traces of contacts, until they are pushed out or their slots leave the window.
#[derive(Debug)]
pub struct GhostEntries {
    /// The sets in pieces; `None` where none of them had a trace.
    pieces: Vec<Option<Box<[Set]>>>,
    sets: usize,
    current: u64,
    /// The latest slot in which one was left, while there are any.
    left_at: Option<u64>,
    /// The next set to be swept.
    sweep_at: usize,
}

/// A contact of a host that was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// The slot of the contact: a credit for it leaves with that.
    pub slot: u64,
    target: u32,
}

impl Ghost {
    /// Whether it may have been a contact of this target: then it must not be counted besides.
    pub fn may_be_of(&self, target_hash: u64) -> bool {
        self.target == target_bits(target_hash)
    }
}

impl GhostEntries {
    /// No traces, and room for `memory_bytes` of them. Takes none of it yet.
    pub fn new(memory_bytes: usize) -> Self {
        let sets = memory_bytes / size_of::<Set>();
        let pieces = vec![None; sets.div_ceil(PIECE_SETS)];
        Self { pieces, sets, current: 0, left_at: None, sweep_at: 0 }
    }

    /// Leaves a trace of a contact that a source had in `slot`. Hashes are seeded ones of the addresses.
    ///
    /// ```
    /// use traffic_alerted::flow::{Seed, GhostEntries};
    /// let seed = Seed::default();
    /// let [source, one, other] = [1, 2, 3].map(|host| seed.addr(&[10, 0, 0, host].into()));
    /// let mut traces = GhostEntries::new(64 << 10);
    /// traces.leave(source, one, 0);
    /// assert_eq!(traces.find(source, one), None, "the same contact again");
    /// // Of 128 other targets one looks the same.
    /// assert!(traces.find(source, other).is_none_or(|trace| trace.may_be_of(one)));
    /// ```
    pub fn leave(&mut self, source_hash: u64, target_hash: u64, slot: u64) {
        debug_assert!(slot <= self.current, "slot {slot} is yet to come");
        if self.sets == 0 || self.age(slot) >= SLOTS_LIVE as u64 {
            return;
        }
        self.left_at = Some(self.current);
        let current = self.current;
        let trace = source_bits(source_hash) << (TARGET_BITS + SLOT_BITS)
            | target_bits(target_hash) << SLOT_BITS
            | slot_bits(slot);
        let set = self.set_mut(source_hash);
        let is_same = |known: &u32| known >> SLOT_BITS == trace >> SLOT_BITS && *known != 0;
        let same = set.iter().position(is_same);
        let end =
            same.or_else(|| set.iter().position(|&known| !is_live(known, current))).unwrap_or(CONTEXTS - 1);
        // A contact is as young as the youngest of its traces.
        let trace = if same.is_some() && age_of(set[end], current) < age_of(trace, current) {
            set[end]
        } else {
            trace
        };
        set.copy_within(..end, 1);
        set[0] = trace;
    }

    /// Whether none was left, or the last one is gone.
    pub fn is_empty(&self) -> bool {
        self.left_at.is_none()
    }

    /// The latest trace of another contact of this source.
    pub fn find(&self, source_hash: u64, target_hash: u64) -> Option<Ghost> {
        let (source, target) = (source_bits(source_hash), target_bits(target_hash));
        let others = self.set(source_hash)?.iter().filter(|&&trace| {
            trace >> (TARGET_BITS + SLOT_BITS) == source
                && target_of(trace) != target
                && is_live(trace, self.current)
        });
        let latest = others.min_by_key(|&&trace| age_of(trace, self.current))?;
        Some(Ghost { slot: self.current - age_of(*latest, self.current), target: target_of(*latest) })
    }

    /// Makes `number` the current slot. What is too old to be found is cleared in parts, and once nothing is left the
    /// memory goes back. Never goes back in time.
    pub fn roll(&mut self, number: u64) {
        let passed = number.saturating_sub(self.current);
        self.current = self.current.max(number);
        let Some(left_at) = self.left_at.filter(|_| passed > 0) else { return };
        if self.age(left_at) >= SLOTS_LIVE as u64 {
            self.pieces.fill(None);
            self.left_at = None;
            return;
        }
        // Fits: fewer slots than are live have passed.
        let sets = self.sets.div_ceil(SWEEP_SLOTS) * passed as usize;
        for _ in 0..sets.min(self.sets) {
            if let Some(piece) = &mut self.pieces[self.sweep_at / PIECE_SETS] {
                let Set(traces) = &mut piece[self.sweep_at % PIECE_SETS];
                traces
                    .iter_mut()
                    .filter(|trace| !is_live(**trace, self.current))
                    .for_each(|trace| *trace = 0);
            }
            self.sweep_at = (self.sweep_at + 1) % self.sets;
        }
    }

    fn age(&self, slot: u64) -> u64 {
        self.current.saturating_sub(slot)
    }

    /// The upper half chooses the set, the lower half gives the bits.
    fn set_of(&self, source_hash: u64) -> usize {
        // Fits: it is less than the number of sets.
        ((u128::from(source_hash >> 32) * self.sets as u128) >> 32) as usize
    }

    /// The set of a source; `None` where nobody left a trace near it.
    fn set(&self, source_hash: u64) -> Option<&[u32; CONTEXTS]> {
        let at = self.set_of(source_hash);
        let Set(traces) = &self.pieces.get(at / PIECE_SETS)?.as_ref()?[at % PIECE_SETS];
        Some(traces)
    }

    fn set_mut(&mut self, source_hash: u64) -> &mut [u32; CONTEXTS] {
        let at = self.set_of(source_hash);
        let sets = (self.sets - at / PIECE_SETS * PIECE_SETS).min(PIECE_SETS);
        let nothing = || vec![Set([0; CONTEXTS]); sets].into_boxed_slice();
        let Set(traces) = &mut self.pieces[at / PIECE_SETS].get_or_insert_with(nothing)[at % PIECE_SETS];
        traces
    }
}

fn source_bits(hash: u64) -> u32 {
    hash as u32 & ((1 << SOURCE_BITS) - 1)
}

fn target_bits(hash: u64) -> u32 {
    // Fits: it is the uppermost bits.
    (hash >> (u64::BITS - TARGET_BITS)) as u32
}

fn target_of(trace: u32) -> u32 {
    trace >> SLOT_BITS & ((1 << TARGET_BITS) - 1)
}

fn slot_bits(slot: u64) -> u32 {
    // Fits: it is at most 31.
    (slot % SLOTS_TOLD) as u32 + 1
}

/// Slots since that of a trace, modulo 31.
fn age_of(trace: u32, current: u64) -> u64 {
    let slot = u64::from(trace & ((1 << SLOT_BITS) - 1));
    (current % SLOTS_TOLD + SLOTS_TOLD + 1 - slot) % SLOTS_TOLD
}

fn is_live(trace: u32, current: u64) -> bool {
    trace != 0 && age_of(trace, current) < SLOTS_LIVE as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const KIB: usize = 1 << 10;

    /// Hashes whose every bit depends on the number (splitmix64).
    fn hash(number: u64) -> u64 {
        let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// A target whose bits are these.
    fn target(bits: u64) -> u64 {
        bits << (u64::BITS - TARGET_BITS) | 12_345
    }

    #[test]
    fn another_contact_of_the_same_source_is_found_while_its_slot_is_live() {
        let mut traces = GhostEntries::new(KIB);
        assert_eq!(traces.find(hash(1), target(1)), None);
        traces.roll(50);
        traces.leave(hash(1), target(1), 48);
        assert_eq!(traces.find(hash(1), target(1)), None, "that is the same contact");
        assert_eq!(traces.find(hash(2), target(2)), None, "that is another source");
        let found = traces.find(hash(1), target(2)).expect("it is there");
        assert_eq!((found.slot, found.may_be_of(target(1)), found.may_be_of(target(2))), (48, true, false));
        traces.leave(hash(1), target(3), 50);
        assert_eq!(traces.find(hash(1), target(2)).map(|trace| trace.slot), Some(50), "the latest");
        traces.roll(57);
        assert_eq!(traces.find(hash(1), target(3)).map(|trace| trace.slot), Some(48));
        traces.roll(58);
        assert_eq!(traces.find(hash(1), target(3)), None, "ten slots ago");
        traces.leave(hash(1), target(4), 40);
        assert_eq!(traces.find(hash(1), target(3)), None, "it was too old when it was left");
    }

    #[test]
    fn the_oldest_of_sixteen_is_pushed_out() {
        let mut traces = GhostEntries::new(size_of::<Set>());
        for source in 0..16 {
            traces.leave(hash(source), target(1), 0);
        }
        // It is left again, and with that it is the youngest.
        traces.leave(hash(0), target(1), 0);
        traces.leave(hash(16), target(1), 0);
        let is_there = |source: &u64| traces.find(hash(*source), target(2)).is_some();
        assert_eq!((0..17).filter(is_there).collect::<Vec<_>>(), [&[0][..], &Vec::from_iter(2..17)].concat());
    }

    #[test]
    fn without_room_nothing_is_left() {
        let mut traces = GhostEntries::new(size_of::<Set>() - 1);
        traces.leave(hash(1), target(1), 0);
        traces.roll(1);
        assert_eq!(traces.find(hash(1), target(2)), None);
    }

    #[test]
    fn memory_is_taken_piece_by_piece_and_goes_back() {
        // Two pieces, the second of three sets.
        let mut traces = GhostEntries::new((PIECE_SETS + 3) * size_of::<Set>());
        let taken = |traces: &GhostEntries| -> Vec<usize> {
            traces.pieces.iter().map(|piece| piece.as_ref().map_or(0, |sets| sets.len())).collect()
        };
        assert_eq!(taken(&traces), [0, 0]);
        // The upper half of a hash chooses the set, from the first to the last.
        traces.leave(0, target(1), 0);
        assert_eq!(taken(&traces), [PIECE_SETS, 0]);
        traces.leave(u64::MAX, target(1), 0);
        assert_eq!(taken(&traces), [PIECE_SETS, 3]);
        traces.roll(9);
        assert!([0, u64::MAX].iter().all(|&source| traces.find(source, target(2)).is_some()));
        traces.roll(10);
        assert_eq!(taken(&traces), [0, 0]);
    }

    #[derive(Clone, Debug)]
    enum GhostTurn {
        Leave { source: u64, target: u64, ago: u64 },
        Roll(u64),
    }

    fn turns() -> impl Strategy<Value = Vec<GhostTurn>> {
        let leave = (0u64..60, 0u64..4, prop_oneof![4 => Just(0u64), 1 => 0u64..12]);
        let turn = prop_oneof![
            12 => leave.prop_map(|(source, target, ago)| GhostTurn::Leave { source, target, ago }),
            3 => (1u64..3).prop_map(GhostTurn::Roll),
            1 => (1u64..40).prop_map(GhostTurn::Roll),
        ];
        prop::collection::vec(turn, 0..300)
    }

    proptest! {
        /// Whatever is left and however time passes: what is found is the latest of the other contacts among the last
        /// sixteen live ones that were left in the set.
        #[test]
        fn as_a_list_with_whole_keys(turns in turns(), start in 0u64..100) {
            // Two sets, thirty sources each.
            let mut traces = GhostEntries::new(2 * size_of::<Set>());
            let mut model: BTreeMap<usize, Vec<(u64, u64, u64)>> = BTreeMap::new();
            let mut now = start;
            traces.roll(now);
            for turn in turns {
                match turn {
                    GhostTurn::Roll(slots) => {
                        now += slots;
                        traces.roll(now);
                        model.values_mut().for_each(|set| set.retain(|(_, _, slot)| slot + 10 > now));
                    }
                    GhostTurn::Leave { source, target: to, ago } => {
                        let slot = now.saturating_sub(ago);
                        traces.leave(hash(source), target(to), slot);
                        if slot + 10 > now {
                            let set = model.entry(traces.set_of(hash(source))).or_default();
                            let same = set.iter().position(|known| (known.0, known.1) == (source, to));
                            let before = same.map(|at| set.remove(at).2);
                            set.insert(0, (source, to, before.unwrap_or(0).max(slot)));
                            set.truncate(16);
                        }
                    }
                }
                for source in 0..60 {
                    let set = model.get(&traces.set_of(hash(source)));
                    let others = set.into_iter().flatten().filter(|known| known.0 == source && known.1 != 1);
                    let latest = others.map(|known| known.2).max();
                    prop_assert_eq!(traces.find(hash(source), target(1)).map(|trace| trace.slot), latest);
                }
            }
        }
    }

    /// Slots of the interval of 170 s.
    const SLOT_S: f64 = 17.0;
    const INTERVAL_S: f64 = 170.0;
    const CONTACTS_ALLOWED: u32 = 15;

    /// Of a hundred scanners that contact so many hosts at random times within an interval, those that are found. Each
    /// host is evicted at once unless it has a credit, as if there were no table at all.
    fn found(contacts: u64, traces_bytes: usize, evictions_per_s: f64, seed: u64) -> usize {
        const SCANNERS: u64 = 100;
        let mut random = seed << 40;
        let mut draw = || {
            random += 1;
            hash(random)
        };
        // In order of time: who contacts whom.
        let mut turns: Vec<(f64, u64, u64)> = Vec::new();
        let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
        for scanner in 0..SCANNERS {
            for _ in 0..contacts {
                turns.push((unit(draw()) * INTERVAL_S, scanner, draw()));
            }
        }
        let flood = (evictions_per_s * INTERVAL_S) as u64;
        for n in 0..flood {
            turns.push((n as f64 / evictions_per_s, SCANNERS + n, draw()));
        }
        turns.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut traces = GhostEntries::new(traces_bytes);
        // What each scanner with a credit has counted since.
        let mut counted: BTreeMap<u64, u32> = BTreeMap::new();
        for (at, source, target) in turns {
            // The interval lies across slots as it may.
            let slot = (at / SLOT_S) as u64;
            traces.roll(slot);
            let source_hash = hash(seed.wrapping_mul(31) ^ source << 1);
            if let Some(contacts) = counted.get_mut(&source) {
                *contacts += 1;
            } else if traces.find(source_hash, target).is_some() {
                // The contact and the credit.
                counted.insert(source, 2);
            } else {
                traces.leave(source_hash, target, slot);
            }
        }
        counted
            .iter()
            .filter(|(source, contacts)| **source < SCANNERS && **contacts > CONTACTS_ALLOWED)
            .count()
    }

    /// The model of the table above, in a 4096th of its size.
    #[test]
    fn scanners_are_found_under_a_flood() {
        const TRACES_BYTES: usize = 16 * KIB;
        const FULL_SIZE: f64 = 4096.0;
        let found = |contacts, traces_bytes, evictions_per_s| -> usize {
            (0..2).map(|seed| found(contacts, traces_bytes, evictions_per_s / FULL_SIZE, seed)).sum()
        };
        for (evictions_per_s, of_20_at_least) in [(1.5e6, 194), (3e6, 184), (6e6, 150)] {
            let of_20 = found(20, TRACES_BYTES, evictions_per_s);
            assert!(of_20 >= of_20_at_least, "{of_20} of 200 at {evictions_per_s}");
            assert_eq!(found(40, TRACES_BYTES, evictions_per_s), 200, "{evictions_per_s}");
        }
        assert_eq!(found(40, 0, 1.5e6), 0, "without traces");
    }
}
