//! Ghost entries (as in ARC and 2Q): four bytes that record a contact of an evicted host.
//!
//! Under a flood of spoofed sources a slow scanner is one of millions of hosts with one contact each, and is evicted
//! between two of its contacts. A host that enters and has a ghost of another contact gets a credit of one contact, and
//! from then on its eviction priority is above that of all hosts with one contact.
//!
//! ```text
//!   31            12 11      5 4     0
//!  +----------------+---------+-------+
//!  |     source     | target  | slot  |   0: none
//!  +----------------+---------+-------+
//! ```
//!
//! Sixteen entries are a set, which is one cache line, the latest first; each new entry pushes the oldest out. The hash
//! of the source chooses the set. Hashes are seeded, so a sender cannot choose whose entries it pushes out. Slots are
//! numbers modulo 31, of which ten are live; older entries are cleared before their number is used again.
//!
//! A ghost is mistaken for one of another source once in 2^20, in a full set once in 65,536; then a host gets a credit
//! that it should not have. Two targets are mistaken for one once in 128; then a credit is missed.
//!
//! How many scanners are found depends on how long an entry lasts, which is the number of entries divided by the
//! evictions per second. The table shows it for scanners that contact hosts at random times within 170 s with 15
//! contacts allowed, with 64 MiB, and as if all hosts without a credit were evicted at once
//! (`scanners_are_found_under_a_flood` below, in full size):
//!
//! | evictions per second | a ghost lasts | 18 contacts | 20 contacts | 30 and more |
//! | --- | --- | --- | --- | --- |
//! | 0.75 M | 22 s | 99.8 % | all | all |
//! | 1.5 M | 11 s | 97.8 % | all | all |
//! | 3 M | 6 s | 84 % | 96 % | all |
//! | 6 M | 3 s | 61 % | 84 % | all |
//!
//! Without ghost entries none is found. Memory is allocated in pieces of 64 KiB, when the first entry comes to them.

use super::container::slot_ring::SLOTS_LIVE;

/// Entries in a set.
const ENTRIES: usize = 16;

/// Entries of sources that share a cache line, the latest first.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set([u32; ENTRIES]);

const _: () = assert!(size_of::<Set>() == 64);

/// Sets that are allocated at once: 64 KiB, so that no insertion takes long.
const PIECE_SETS: usize = 1024;

const SOURCE_BITS: u32 = 20;
const TARGET_BITS: u32 = 7;
const SLOT_BITS: u32 = 5;
const _: () = assert!(SOURCE_BITS + TARGET_BITS + SLOT_BITS == u32::BITS);

/// Number of slots that an entry can distinguish; the remaining value means none.
const SLOT_NUMBERS: u64 = (1 << SLOT_BITS) - 1;

/// Every set is swept once in this many slots. A sweep may be late by as many slots as are rolled at once, which are
/// fewer than are live, so an entry that was live at one sweep is at most this old at the next.
const SWEEP_SLOTS: usize = SLOTS_LIVE;
const _: () = assert!((3 * SLOTS_LIVE as u64) <= SLOT_NUMBERS);

/// Ghost entries of contacts, until they are pushed out or expire.
#[derive(Debug)]
pub struct GhostEntries {
    /// The sets in pieces; `None` if no set of the piece has had an entry.
    pieces: Vec<Option<Box<[Set]>>>,
    sets: usize,
    current: u64,
    /// The latest slot in which an entry was inserted; `None` if there are no entries.
    inserted_at: Option<u64>,
    /// The next set to be swept.
    sweep_at: usize,
}

/// A contact of a host that was evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ghost {
    /// The slot of the contact; a credit for it expires with that slot.
    pub slot: u64,
    target: u32,
}

impl Ghost {
    /// Returns true if it may have been a contact with this target, which must not count twice then.
    pub fn may_be_of(&self, target_hash: u64) -> bool {
        self.target == target_bits(target_hash)
    }
}

impl GhostEntries {
    /// Makes an empty table with room for `memory_bytes` of entries. It allocates none of them.
    pub fn new(memory_bytes: usize) -> Self {
        let sets = memory_bytes / size_of::<Set>();
        let pieces = vec![None; sets.div_ceil(PIECE_SETS)];
        Self { pieces, sets, current: 0, inserted_at: None, sweep_at: 0 }
    }

    /// Inserts an entry for a contact that a source had in `slot`. Both hashes are seeded hashes of addresses.
    ///
    /// ```
    /// use traffic_alerted::flow::{Seed, GhostEntries};
    /// let seed = Seed::default();
    /// let [source, one, other] = [1, 2, 3].map(|host| seed.addr(&[10, 0, 0, host].into()));
    /// let mut ghosts = GhostEntries::new(64 << 10);
    /// ghosts.insert(source, one, 0);
    /// assert_eq!(ghosts.find(source, one), None, "the same contact");
    /// // One in 128 other targets has the same bits.
    /// assert!(ghosts.find(source, other).is_none_or(|ghost| ghost.may_be_of(one)));
    /// ```
    pub fn insert(&mut self, source_hash: u64, target_hash: u64, slot: u64) {
        debug_assert!(slot <= self.current, "slot {slot} is in the future");
        if self.sets == 0 || self.age(slot) >= SLOTS_LIVE as u64 {
            return;
        }
        self.inserted_at = Some(self.current);
        let current = self.current;
        let ghost = source_bits(source_hash) << (TARGET_BITS + SLOT_BITS)
            | target_bits(target_hash) << SLOT_BITS
            | slot_bits(slot);
        let set = self.set_mut(source_hash);
        let is_same = |known: &u32| known >> SLOT_BITS == ghost >> SLOT_BITS && *known != 0;
        let same = set.iter().position(is_same);
        let end =
            same.or_else(|| set.iter().position(|&known| !is_live(known, current))).unwrap_or(ENTRIES - 1);
        // Of two entries of the same contact the younger one is kept.
        let ghost = if same.is_some() && age_of(set[end], current) < age_of(ghost, current) {
            set[end]
        } else {
            ghost
        };
        set.copy_within(..end, 1);
        set[0] = ghost;
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.inserted_at.is_none()
    }

    /// Returns the latest entry of another contact of this source.
    pub fn find(&self, source_hash: u64, target_hash: u64) -> Option<Ghost> {
        let (source, target) = (source_bits(source_hash), target_bits(target_hash));
        let others = self.set(source_hash)?.iter().filter(|&&ghost| {
            ghost >> (TARGET_BITS + SLOT_BITS) == source
                && target_of(ghost) != target
                && is_live(ghost, self.current)
        });
        let latest = others.min_by_key(|&&ghost| age_of(ghost, self.current))?;
        Some(Ghost { slot: self.current - age_of(*latest, self.current), target: target_of(*latest) })
    }

    /// Makes `number` the current slot. Expired entries are cleared in parts, and the memory is freed when all have
    /// expired. An earlier number changes nothing.
    pub fn roll(&mut self, number: u64) {
        let passed = number.saturating_sub(self.current);
        self.current = self.current.max(number);
        let Some(inserted_at) = self.inserted_at.filter(|_| passed > 0) else { return };
        if self.age(inserted_at) >= SLOTS_LIVE as u64 {
            self.pieces.fill(None);
            self.inserted_at = None;
            return;
        }
        #[allow(clippy::cast_possible_truncation, reason = "fewer slots than are live have passed")]
        let sets = self.sets.div_ceil(SWEEP_SLOTS) * passed as usize;
        for _ in 0..sets.min(self.sets) {
            if let Some(piece) = &mut self.pieces[self.sweep_at / PIECE_SETS] {
                let Set(ghosts) = &mut piece[self.sweep_at % PIECE_SETS];
                ghosts
                    .iter_mut()
                    .filter(|ghost| !is_live(**ghost, self.current))
                    .for_each(|ghost| *ghost = 0);
            }
            self.sweep_at = (self.sweep_at + 1) % self.sets;
        }
    }

    fn age(&self, slot: u64) -> u64 {
        self.current.saturating_sub(slot)
    }

    /// The upper half of a hash chooses the set, the lower half gives the bits.
    fn set_of(&self, source_hash: u64) -> usize {
        // Fits: it is less than the number of sets.
        ((u128::from(source_hash >> 32) * self.sets as u128) >> 32) as usize
    }

    /// Returns the set of a source; `None` if its piece is not allocated.
    fn set(&self, source_hash: u64) -> Option<&[u32; ENTRIES]> {
        let at = self.set_of(source_hash);
        let Set(ghosts) = &self.pieces.get(at / PIECE_SETS)?.as_ref()?[at % PIECE_SETS];
        Some(ghosts)
    }

    fn set_mut(&mut self, source_hash: u64) -> &mut [u32; ENTRIES] {
        let at = self.set_of(source_hash);
        let sets = (self.sets - at / PIECE_SETS * PIECE_SETS).min(PIECE_SETS);
        let nothing = || vec![Set([0; ENTRIES]); sets].into_boxed_slice();
        let Set(ghosts) = &mut self.pieces[at / PIECE_SETS].get_or_insert_with(nothing)[at % PIECE_SETS];
        ghosts
    }
}

#[allow(clippy::cast_possible_truncation, reason = "only the lower bits are wanted")]
fn source_bits(hash: u64) -> u32 {
    hash as u32 & ((1 << SOURCE_BITS) - 1)
}

fn target_bits(hash: u64) -> u32 {
    // Fits: these are the uppermost bits.
    (hash >> (u64::BITS - TARGET_BITS)) as u32
}

fn target_of(ghost: u32) -> u32 {
    ghost >> SLOT_BITS & ((1 << TARGET_BITS) - 1)
}

fn slot_bits(slot: u64) -> u32 {
    // Fits: it is at most 31.
    (slot % SLOT_NUMBERS) as u32 + 1
}

/// Returns the slots since that of an entry, modulo 31.
fn age_of(ghost: u32, current: u64) -> u64 {
    let slot = u64::from(ghost & ((1 << SLOT_BITS) - 1));
    (current % SLOT_NUMBERS + SLOT_NUMBERS + 1 - slot) % SLOT_NUMBERS
}

fn is_live(ghost: u32, current: u64) -> bool {
    ghost != 0 && age_of(ghost, current) < SLOTS_LIVE as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const KIB: usize = 1 << 10;

    /// Returns a hash in which every bit depends on the number (splitmix64).
    fn hash(number: u64) -> u64 {
        let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ bits >> 31
    }

    /// Returns the hash of a target with these bits.
    fn target(bits: u64) -> u64 {
        bits << (u64::BITS - TARGET_BITS) | 12_345
    }

    #[test]
    fn another_contact_of_the_same_source_is_found_while_its_slot_is_live() {
        let mut ghosts = GhostEntries::new(KIB);
        assert_eq!(ghosts.find(hash(1), target(1)), None);
        ghosts.roll(50);
        ghosts.insert(hash(1), target(1), 48);
        assert_eq!(ghosts.find(hash(1), target(1)), None, "the same contact");
        assert_eq!(ghosts.find(hash(2), target(2)), None, "another source");
        let found = ghosts.find(hash(1), target(2)).expect("the entry is live");
        assert_eq!((found.slot, found.may_be_of(target(1)), found.may_be_of(target(2))), (48, true, false));
        ghosts.insert(hash(1), target(3), 50);
        assert_eq!(ghosts.find(hash(1), target(2)).map(|ghost| ghost.slot), Some(50), "the latest");
        ghosts.roll(57);
        assert_eq!(ghosts.find(hash(1), target(3)).map(|ghost| ghost.slot), Some(48));
        ghosts.roll(58);
        assert_eq!(ghosts.find(hash(1), target(3)), None, "ten slots ago");
        ghosts.insert(hash(1), target(4), 40);
        assert_eq!(ghosts.find(hash(1), target(3)), None, "it was expired when it was inserted");
    }

    #[test]
    fn the_oldest_of_sixteen_entries_is_pushed_out() {
        let mut ghosts = GhostEntries::new(size_of::<Set>());
        for source in 0..16 {
            ghosts.insert(hash(source), target(1), 0);
        }
        // Inserted again, it becomes the youngest.
        ghosts.insert(hash(0), target(1), 0);
        ghosts.insert(hash(16), target(1), 0);
        let is_there = |source: &u64| ghosts.find(hash(*source), target(2)).is_some();
        assert_eq!((0..17).filter(is_there).collect::<Vec<_>>(), [&[0][..], &Vec::from_iter(2..17)].concat());
    }

    #[test]
    fn without_room_nothing_is_inserted() {
        let mut ghosts = GhostEntries::new(size_of::<Set>() - 1);
        ghosts.insert(hash(1), target(1), 0);
        ghosts.roll(1);
        assert_eq!(ghosts.find(hash(1), target(2)), None);
    }

    #[test]
    fn memory_is_allocated_in_pieces_and_freed() {
        // Two pieces, the second of three sets.
        let mut ghosts = GhostEntries::new((PIECE_SETS + 3) * size_of::<Set>());
        let taken = |ghosts: &GhostEntries| -> Vec<usize> {
            ghosts.pieces.iter().map(|piece| piece.as_ref().map_or(0, |sets| sets.len())).collect()
        };
        assert_eq!(taken(&ghosts), [0, 0]);
        // The upper half of a hash chooses the set, from the first to the last.
        ghosts.insert(0, target(1), 0);
        assert_eq!(taken(&ghosts), [PIECE_SETS, 0]);
        ghosts.insert(u64::MAX, target(1), 0);
        assert_eq!(taken(&ghosts), [PIECE_SETS, 3]);
        ghosts.roll(9);
        assert!([0, u64::MAX].iter().all(|&source| ghosts.find(source, target(2)).is_some()));
        ghosts.roll(10);
        assert_eq!(taken(&ghosts), [0, 0]);
    }

    #[derive(Clone, Debug)]
    enum GhostTurn {
        Insert { source: u64, target: u64, ago: u64 },
        Roll(u64),
    }

    fn turns() -> impl Strategy<Value = Vec<GhostTurn>> {
        let insert = (0u64..60, 0u64..4, prop_oneof![4 => Just(0u64), 1 => 0u64..12]);
        let turn = prop_oneof![
            12 => insert.prop_map(|(source, target, ago)| GhostTurn::Insert { source, target, ago }),
            3 => (1u64..3).prop_map(GhostTurn::Roll),
            1 => (1u64..40).prop_map(GhostTurn::Roll),
        ];
        prop::collection::vec(turn, 0..300)
    }

    proptest! {
        /// After any insertions and any passing of time: the entry found is the latest of the other contacts among the
        /// last sixteen live ones inserted into the set.
        #[test]
        fn as_a_list_with_whole_keys(turns in turns(), start in 0u64..100) {
            // Two sets with about thirty sources each.
            let mut ghosts = GhostEntries::new(2 * size_of::<Set>());
            let mut model: BTreeMap<usize, Vec<(u64, u64, u64)>> = BTreeMap::new();
            let mut now = start;
            ghosts.roll(now);
            for turn in turns {
                match turn {
                    GhostTurn::Roll(slots) => {
                        now += slots;
                        ghosts.roll(now);
                        model.values_mut().for_each(|set| set.retain(|(_, _, slot)| slot + 10 > now));
                    }
                    GhostTurn::Insert { source, target: to, ago } => {
                        let slot = now.saturating_sub(ago);
                        ghosts.insert(hash(source), target(to), slot);
                        if slot + 10 > now {
                            let set = model.entry(ghosts.set_of(hash(source))).or_default();
                            let same = set.iter().position(|known| (known.0, known.1) == (source, to));
                            let before = same.map(|at| set.remove(at).2);
                            set.insert(0, (source, to, before.unwrap_or(0).max(slot)));
                            set.truncate(16);
                        }
                    }
                }
                for source in 0..60 {
                    let set = model.get(&ghosts.set_of(hash(source)));
                    let others = set.into_iter().flatten().filter(|known| known.0 == source && known.1 != 1);
                    let latest = others.map(|known| known.2).max();
                    prop_assert_eq!(ghosts.find(hash(source), target(1)).map(|ghost| ghost.slot), latest);
                }
            }
        }
    }

    /// Seconds in a slot of an interval of 170 s.
    const SLOT_S: f64 = 17.0;
    const INTERVAL_S: f64 = 170.0;
    const CONTACTS_ALLOWED: u32 = 15;

    /// Returns how many of a hundred scanners are found that contact this many hosts at random times within an
    /// interval. Each host is evicted at once unless it has a credit, as if there were no table at all.
    fn found(contacts: u64, ghost_bytes: usize, evictions_per_s: f64, seed: u64) -> usize {
        const SCANNERS: u64 = 100;
        let mut random = seed << 40;
        let mut draw = || {
            random += 1;
            hash(random)
        };
        // Time, source and target of each contact.
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
        let mut ghosts = GhostEntries::new(ghost_bytes);
        // Contacts that each scanner with a credit has counted since.
        let mut counted: BTreeMap<u64, u32> = BTreeMap::new();
        for (at, source, target) in turns {
            // Slots begin with the interval.
            let slot = (at / SLOT_S) as u64;
            ghosts.roll(slot);
            let source_hash = hash(seed.wrapping_mul(31) ^ source << 1);
            if let Some(contacts) = counted.get_mut(&source) {
                *contacts += 1;
            } else if ghosts.find(source_hash, target).is_some() {
                // This contact and the credit.
                counted.insert(source, 2);
            } else {
                ghosts.insert(source_hash, target, slot);
            }
        }
        counted
            .iter()
            .filter(|(source, contacts)| **source < SCANNERS && **contacts > CONTACTS_ALLOWED)
            .count()
    }

    /// The model of the table in the file head, in a 4096th of its size.
    #[test]
    fn scanners_are_found_under_a_flood() {
        const GHOST_BYTES: usize = 16 * KIB;
        const FULL_SIZE: f64 = 4096.0;
        let found = |contacts, ghost_bytes, evictions_per_s| -> usize {
            (0..2).map(|seed| found(contacts, ghost_bytes, evictions_per_s / FULL_SIZE, seed)).sum()
        };
        for (evictions_per_s, of_20_at_least) in [(1.5e6, 194), (3e6, 184), (6e6, 150)] {
            let of_20 = found(20, GHOST_BYTES, evictions_per_s);
            assert!(of_20 >= of_20_at_least, "{of_20} of 200 at {evictions_per_s}");
            assert_eq!(found(40, GHOST_BYTES, evictions_per_s), 200, "{evictions_per_s}");
        }
        assert_eq!(found(40, 0, 1.5e6), 0, "without ghosts");
    }
}
