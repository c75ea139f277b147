//! Ghost entries (as in ARC and 2Q): four bytes that record a contact of an evicted host.
//!
//! Under a flood of spoofed sources a slow scanner is one of millions of hosts with one contact each, and is evicted
//! between two of its contacts. A host that enters and has a ghost of another contact gets a credit of one contact.
//! From then on its retention priority is above that of all hosts with one contact.
//!
//! ```text
//!   31            12 11      5 4     0
//!  +----------------+---------+-------+
//!  |     source     | target  | slot  |   0: none
//!  +----------------+---------+-------+
//! ```
//!
//! A set is sixteen entries in one cache line, the latest first. The hash of the source chooses the set. A new entry
//! replaces the entry of the same contact. If there is none, it replaces an empty or expired entry, and if all are
//! live, the one that was inserted the longest time ago. Hashes are seeded, so a sender cannot choose which entries it
//! replaces. The slot is stored modulo 31 and plus 1. Ten slots are live; older entries are cleared before their number
//! is used again.
//!
//! With probability 1/2^20 an entry of another source looks like one of this source; with the sixteen entries of a full
//! set, the probability is 1/65,536. A host then gets a credit that it should not have. With probability 1/128 two
//! targets look equal. A credit is then missed.
//!
//! How many scanners are found depends on how long an entry lasts, which is the number of entries divided by the
//! evictions per second. The table shows the share of scanners found, by contacts per scanner. Its conditions: each
//! scanner makes its contacts at random times within a window of 170 s; the limit is 15 contacts; ghost entries have 64
//! MiB; every host without a credit is evicted immediately. The test `scanners_are_found_under_a_flood` runs the same
//! model at 1/4096 of this size.
//!
//! | evictions per second | a ghost lasts | 18 contacts | 20 contacts | 30 and more |
//! | --- | --- | --- | --- | --- |
//! | 0.75 M | 22 s | 99.8 % | all | all |
//! | 1.5 M | 11 s | 97.8 % | all | all |
//! | 3 M | 6 s | 84 % | 96 % | all |
//! | 6 M | 3 s | 61 % | 84 % | all |
//!
//! Without ghost entries no scanner is found. Sets are allocated in pieces of 64 KiB, each when the first entry is
//! inserted into it.

use super::container::slot_ring::SLOTS_LIVE;

/// Number of entries in a set.
const ENTRIES: usize = 16;

/// The entries of all sources whose hashes choose this cache line, the latest first; 0 is an empty entry.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set([u32; ENTRIES]);

const _: () = assert!(size_of::<Set>() == 64);

/// Number of sets in a piece, which is allocated at once. It has 64 KiB, so that no insertion takes long.
const PIECE_SETS: usize = 1024;

const SOURCE_BITS: u32 = 20;
const TARGET_BITS: u32 = 7;
const SLOT_BITS: u32 = 5;
const _: () = assert!(SOURCE_BITS + TARGET_BITS + SLOT_BITS == u32::BITS);

/// Number of slots that an entry can distinguish; the remaining value, 0, marks an empty entry.
const SLOT_NUMBERS: u64 = (1 << SLOT_BITS) - 1;

/// A sweep clears the expired entries of a set. Two sweeps of a set are this many slots apart, and the second may be
/// late by as many, since one call may pass several slots. At the first sweep an entry was fewer than ten slots old. So
/// an expired entry is cleared before it is 30 slots old, which is less than the 31 slots that five bits distinguish.
const SWEEP_SLOTS: usize = SLOTS_LIVE;
const _: () = assert!((3 * SLOTS_LIVE as u64) <= SLOT_NUMBERS);

/// Ghost entries of contacts. An entry stays until it is replaced or expires.
#[derive(Debug)]
pub struct GhostEntries {
    /// The sets in pieces; `None` if no set of the piece has had an entry.
    pieces: Vec<Option<Box<[Set]>>>,
    /// Number of sets, allocated or not.
    sets: usize,
    /// Number of the current slot.
    current_slot: u64,
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
    /// The seven bits of the target's hash.
    target_bits: u32,
}

impl Ghost {
    /// Returns true if the contact may have been with this target, because the bits of their hashes are equal. The
    /// caller must not count that target a second time.
    pub fn may_have_target(&self, target_hash: u64) -> bool {
        self.target_bits == target_bits(target_hash)
    }
}

impl GhostEntries {
    /// Makes an empty table with room for `memory_bytes` of entries. It allocates none of them.
    pub fn new(memory_bytes: usize) -> Self {
        let sets = memory_bytes / size_of::<Set>();
        let pieces = vec![None; sets.div_ceil(PIECE_SETS)];
        Self { pieces, sets, current_slot: 0, inserted_at: None, sweep_at: 0 }
    }

    /// Inserts an entry for a contact that a source had in `slot`. Both hashes are seeded hashes of addresses.
    ///
    /// A contact in a slot that has expired is ignored, and so is every contact if there is no memory for a set.
    ///
    /// ```
    /// use traffic_alerted::flow::{Seed, GhostEntries};
    /// let seed = Seed::default();
    /// let [source, one, other] = [1, 2, 3].map(|host| seed.addr(&[10, 0, 0, host].into()));
    /// let mut ghosts = GhostEntries::new(64 << 10);
    /// ghosts.insert(source, one, 0);
    /// assert_eq!(ghosts.find(source, one), None, "the same contact");
    /// // One in 128 other targets has the same bits.
    /// assert!(ghosts.find(source, other).is_none_or(|ghost| ghost.may_have_target(one)));
    /// ```
    pub fn insert(&mut self, source_hash: u64, target_hash: u64, slot: u64) {
        debug_assert!(slot <= self.current_slot, "slot {slot} is in the future");
        if self.sets == 0 || self.age(slot) >= SLOTS_LIVE as u64 {
            return;
        }
        self.inserted_at = Some(self.current_slot);
        let current = self.current_slot;
        let ghost = source_bits(source_hash) << (TARGET_BITS + SLOT_BITS)
            | target_bits(target_hash) << SLOT_BITS
            | slot_bits(slot);
        let set = self.set_mut(source_hash);
        let is_same = |known: &u32| known >> SLOT_BITS == ghost >> SLOT_BITS && *known != 0;
        let same = set.iter().position(is_same);
        let replaced =
            same.or_else(|| set.iter().position(|&known| !is_live(known, current))).unwrap_or(ENTRIES - 1);
        // Of two entries of the same contact, the one with the later slot is kept.
        let ghost = if same.is_some() && age_of(set[replaced], current) < age_of(ghost, current) {
            set[replaced]
        } else {
            ghost
        };
        set.copy_within(..replaced, 1);
        set[0] = ghost;
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.inserted_at.is_none()
    }

    /// Returns the entry with the latest slot among the live entries of this source with another target; `None` if
    /// there is none.
    pub fn find(&self, source_hash: u64, target_hash: u64) -> Option<Ghost> {
        let (source, target) = (source_bits(source_hash), target_bits(target_hash));
        let others = self.set(source_hash)?.iter().filter(|&&ghost| {
            ghost >> (TARGET_BITS + SLOT_BITS) == source
                && target_of(ghost) != target
                && is_live(ghost, self.current_slot)
        });
        let latest = others.min_by_key(|&&ghost| age_of(ghost, self.current_slot))?;
        Some(Ghost {
            slot: self.current_slot - age_of(*latest, self.current_slot),
            target_bits: target_of(*latest),
        })
    }

    /// Makes `number` the current slot. Expired entries are cleared in parts, and the memory is freed when all have
    /// expired. An earlier number changes nothing.
    pub fn roll(&mut self, number: u64) {
        let passed = number.saturating_sub(self.current_slot);
        self.current_slot = self.current_slot.max(number);
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
                    .filter(|ghost| !is_live(**ghost, self.current_slot))
                    .for_each(|ghost| *ghost = 0);
            }
            self.sweep_at = (self.sweep_at + 1) % self.sets;
        }
    }

    /// Returns the age of a slot, in slots.
    fn age(&self, slot: u64) -> u64 {
        self.current_slot.saturating_sub(slot)
    }

    /// Returns the number of the set of a source. The upper 32 bits of the hash choose it; the bits in the entry are
    /// the lowest 20.
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
        let empty_piece = || vec![Set([0; ENTRIES]); sets].into_boxed_slice();
        let Set(ghosts) = &mut self.pieces[at / PIECE_SETS].get_or_insert_with(empty_piece)[at % PIECE_SETS];
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

/// Returns the number of slots since the slot of an entry, modulo 31.
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
        assert_eq!(
            (found.slot, found.may_have_target(target(1)), found.may_have_target(target(2))),
            (48, true, false)
        );
        ghosts.insert(hash(1), target(3), 50);
        assert_eq!(ghosts.find(hash(1), target(2)).map(|ghost| ghost.slot), Some(50), "the latest");
        ghosts.roll(57);
        assert_eq!(ghosts.find(hash(1), target(3)).map(|ghost| ghost.slot), Some(48));
        ghosts.roll(58);
        assert_eq!(ghosts.find(hash(1), target(3)), None, "the slot expired ten slots later");
        ghosts.insert(hash(1), target(4), 40);
        assert_eq!(ghosts.find(hash(1), target(3)), None, "it was expired when it was inserted");
    }

    #[test]
    fn a_new_entry_replaces_the_oldest_of_sixteen() {
        let mut ghosts = GhostEntries::new(size_of::<Set>());
        for source in 0..16 {
            ghosts.insert(hash(source), target(1), 0);
        }
        // The first source is inserted again, so its entry becomes the latest.
        ghosts.insert(hash(0), target(1), 0);
        ghosts.insert(hash(16), target(1), 0);
        let is_there = |source: &u64| ghosts.find(hash(*source), target(2)).is_some();
        assert_eq!((0..17).filter(is_there).collect::<Vec<_>>(), [&[0][..], &Vec::from_iter(2..17)].concat());
    }

    #[test]
    fn without_memory_for_a_set_nothing_is_inserted() {
        let mut ghosts = GhostEntries::new(size_of::<Set>() - 1);
        ghosts.insert(hash(1), target(1), 0);
        ghosts.roll(1);
        assert_eq!(ghosts.find(hash(1), target(2)), None);
    }

    #[test]
    fn memory_is_allocated_in_pieces_and_freed() {
        // There are two pieces; the second has three sets.
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
    enum GhostEvent {
        Insert { source: u64, target: u64, ago: u64 },
        Roll(u64),
    }

    fn events() -> impl Strategy<Value = Vec<GhostEvent>> {
        let insert = (0u64..60, 0u64..4, prop_oneof![4 => Just(0u64), 1 => 0u64..12]);
        let event = prop_oneof![
            12 => insert.prop_map(|(source, target, ago)| GhostEvent::Insert { source, target, ago }),
            3 => (1u64..3).prop_map(GhostEvent::Roll),
            1 => (1u64..40).prop_map(GhostEvent::Roll),
        ];
        prop::collection::vec(event, 0..300)
    }

    proptest! {
        /// After any insertions at any times, the entry that is found is the latest one with another target among the
        /// last sixteen live entries that were inserted into the set.
        #[test]
        fn matches_a_model_with_full_keys(events in events(), start in 0u64..100) {
            // Two sets with about thirty sources each.
            let mut ghosts = GhostEntries::new(2 * size_of::<Set>());
            let mut model: BTreeMap<usize, Vec<(u64, u64, u64)>> = BTreeMap::new();
            let mut now = start;
            ghosts.roll(now);
            for event in events {
                match event {
                    GhostEvent::Roll(slots) => {
                        now += slots;
                        ghosts.roll(now);
                        model.values_mut().for_each(|set| set.retain(|(_, _, slot)| slot + 10 > now));
                    }
                    GhostEvent::Insert { source, target: to, ago } => {
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

    /// Returns how many of a hundred scanners are found. Each contacts this many hosts at random times within an
    /// interval. Each host is evicted immediately unless it has a credit, as if there were no table at all.
    fn found(contacts: u64, ghost_bytes: usize, evictions_per_s: f64, seed: u64) -> usize {
        const SCANNERS: u64 = 100;
        let mut random = seed << 40;
        let mut draw = || {
            random += 1;
            hash(random)
        };
        // Time, source and target of each contact.
        let mut events: Vec<(f64, u64, u64)> = Vec::new();
        let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
        for scanner in 0..SCANNERS {
            for _ in 0..contacts {
                events.push((unit(draw()) * INTERVAL_S, scanner, draw()));
            }
        }
        let flood = (evictions_per_s * INTERVAL_S) as u64;
        for n in 0..flood {
            events.push((n as f64 / evictions_per_s, SCANNERS + n, draw()));
        }
        events.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut ghosts = GhostEntries::new(ghost_bytes);
        // Number of contacts that are counted for each source with a credit.
        let mut counted: BTreeMap<u64, u32> = BTreeMap::new();
        for (at, source, target) in events {
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

    /// The model of the table in the file head, at 1/4096 of its size.
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
