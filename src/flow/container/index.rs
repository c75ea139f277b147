//! Row numbers by hash: open addressing in shards, each of which grows and shrinks by itself, so that no single
//! operation takes long.
//!
//! A shard is one sorted vector of 8-byte entries. An entry stands at its home, or behind it where earlier entries take
//! that place (linear probing); homes ascend with tags. So a search ends at the first higher tag, whether or not it
//! finds the row, and growing copies the entries from front to back without reading any row.
//!
//! ```text
//! hash    | shard 8 | tag 31                                  | rest 25 |
//! entry   | tag 31 and side 1                  | row number 32          |
//! ```
//!
//! The caller compares the rest of the hash. The two directions of a pair share a hash; the side bit distinguishes
//! them, so their entries stand next to each other.

use crate::sys::prefetch::prefetch;

/// Row numbers by hash. It stores no keys: among rows with the same tag the caller picks the right one.
#[derive(Debug)]
pub(in crate::flow) struct Index {
    shards: Box<[Shard]>,
}

/// The shard and the tag of a hash.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Place {
    shard: usize,
    tag: u32,
}

#[derive(Debug, Default)]
struct Shard {
    /// Sorted, with empty entries in between; the last entry is always empty.
    entries: Vec<u64>,
    /// Number of homes; a few more entries follow them.
    homes: u32,
    used: u32,
}

impl Place {
    /// Returns the place of a hash on one of the two sides.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
    pub(in crate::flow) fn of(hash: u64, side: bool) -> Self {
        // No bits are lost: 8 remain of the first, 31 of the second.
        let shard = (hash >> (u64::BITS - SHARD_BITS)) as usize;
        Self { shard, tag: ((hash >> REST_BITS) as u32) << 1 | u32::from(side) }
    }

    /// Returns the place of the same hash on the other side.
    #[inline]
    pub(in crate::flow) fn opposite(self) -> Self {
        Self { tag: self.tag ^ 1, ..self }
    }
}

/// Returns the bits of a hash that its place does not contain, as the highest bits; the others are zero.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
pub(in crate::flow) fn rest(hash: u64) -> u32 {
    // Only the lower bits are wanted.
    (hash as u32) << (u32::BITS - REST_BITS)
}

impl Index {
    /// Makes an empty index.
    pub(in crate::flow) fn new() -> Self {
        Self { shards: std::iter::repeat_with(Shard::default).take(1 << SHARD_BITS).collect() }
    }

    /// Prefetches the entries at which a search for this place begins.
    #[inline]
    pub(in crate::flow) fn prefetch(&self, place: Place) {
        let shard = &self.shards[place.shard];
        if let Some(entry) = shard.entries.get(shard.home(place.tag)) {
            prefetch(entry);
        }
    }

    /// Returns the first row at a place, without a comparison of keys.
    #[inline]
    pub(in crate::flow) fn first(&self, place: Place) -> Option<u32> {
        self.find(place, |_| true)
    }

    /// Returns the first row at a place for which `is_it` returns true.
    #[inline]
    pub(in crate::flow) fn find(&self, place: Place, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let shard = &self.shards[place.shard];
        let mut at = shard.home(place.tag);
        loop {
            let entry = *shard.entries.get(at)?;
            if tag_of(entry) > place.tag || entry == EMPTY {
                return None;
            }
            if tag_of(entry) == place.tag && is_it(row_of(entry)) {
                return Some(row_of(entry));
            }
            at += 1;
        }
    }

    /// Adds a row, which must not be in the index.
    pub(in crate::flow) fn insert(&mut self, place: Place, row: u32) {
        self.shards[place.shard].insert(entry(place.tag, row));
    }

    /// Removes a row.
    ///
    /// # Panics
    /// Panics if the row is not in the index.
    pub(in crate::flow) fn remove(&mut self, place: Place, row: u32) {
        self.shards[place.shard].remove(entry(place.tag, row));
    }

    /// Returns all rows, in no particular order.
    pub(in crate::flow) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let entries = self.shards.iter().flat_map(|shard| &shard.entries);
        entries.filter(|&&entry| entry != EMPTY).map(|&entry| row_of(entry))
    }
}

impl Shard {
    /// Returns the position at which the search for a tag begins. It does not descend with ascending tags.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * u64::from(self.homes)) >> 32) as usize
    }

    fn insert(&mut self, entry: u64) {
        if (self.used + 1) * FULL_OF.1 > self.homes * FULL_OF.0 {
            self.rebuild(self.homes + self.homes / 4 + HOMES_MIN);
        }
        self.used += 1;
        let mut at = self.home(tag_of(entry));
        while self.entries[at] < entry {
            at += 1;
        }
        let mut entry = entry;
        while entry != EMPTY {
            std::mem::swap(&mut entry, &mut self.entries[at]);
            at += 1;
        }
        if at == self.entries.len() {
            // The last entry must be empty, since it ends every search.
            self.entries.push(EMPTY);
        }
    }

    fn remove(&mut self, entry: u64) {
        let mut at = self.home(tag_of(entry));
        while self.entries[at] != entry {
            assert!(self.entries[at] < entry, "a row that is removed is indexed");
            at += 1;
        }
        // Entries behind it that are not at their homes move up by one.
        loop {
            let next = self.entries[at + 1];
            if next == EMPTY || self.home(tag_of(next)) > at {
                break;
            }
            self.entries[at] = next;
            at += 1;
        }
        self.entries[at] = EMPTY;
        self.used -= 1;
        if self.used * 4 < self.homes && self.homes > 8 * HOMES_MIN {
            self.rebuild(self.homes / 2);
        }
    }

    fn rebuild(&mut self, homes: u32) {
        self.homes = homes;
        let mut entries = Vec::with_capacity(homes as usize + HOMES_MIN as usize);
        for &entry in self.entries.iter().filter(|&&entry| entry != EMPTY) {
            let home = self.home(tag_of(entry)).max(entries.len());
            entries.resize(home, EMPTY);
            entries.push(entry);
        }
        let len = entries.capacity().max(entries.len() + 1);
        entries.resize(len, EMPTY);
        self.entries = entries;
    }
}

fn entry(tag: u32, row: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(row)
}

#[inline]
fn tag_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
fn row_of(entry: u64) -> u32 {
    // The row number is the lower half.
    entry as u32
}

/// An empty entry. No row has it, since row numbers are below 2^32 - 1.
const EMPTY: u64 = u64::MAX;

const SHARD_BITS: u32 = 8;
const REST_BITS: u32 = 25;

/// A shard grows by a quarter when four of five homes are taken. That costs 10 to 12.5 bytes for each row, and a search
/// reads three entries on average.
const FULL_OF: (u32, u32) = (4, 5);
const HOMES_MIN: u32 = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Hashes of which many share a shard, a tag or both.
    fn hash() -> impl Strategy<Value = u64> {
        (
            0..3_u64,
            prop_oneof![0..40_u64, 0x7fff_ffe0..0x8000_0000_u64, 0x4000_0000..0x4000_0800_u64],
            0..3_u64,
        )
            .prop_map(|(shard, tag, rest)| (shard * 127) << 56 | tag << 25 | rest)
    }

    proptest! {
        #[test]
        fn it_equals_a_map(steps in prop::collection::vec((hash(), any::<bool>(), 0..4_u8), 0..3000)) {
            let mut index = Index::new();
            let mut model: BTreeMap<(u64, bool), u32> = BTreeMap::new();
            let mut keys: Vec<(u64, bool)> = Vec::new();
            for (hash, side, step) in steps {
                let place = Place::of(hash, side);
                let found = index.find(place, |row| keys[row as usize] == (hash, side));
                prop_assert_eq!(found, model.get(&(hash, side)).copied());
                match (found, step) {
                    (None, _) => {
                        let row = keys.len() as u32;
                        keys.push((hash, side));
                        index.insert(place, row);
                        model.insert((hash, side), row);
                    }
                    (Some(row), 0..=2) => {
                        index.remove(place, row);
                        model.remove(&(hash, side));
                    }
                    (Some(_), _) => {}
                }
                let other = index.find(place.opposite(), |row| keys[row as usize] == (hash, !side));
                prop_assert_eq!(other, model.get(&(hash, !side)).copied());
            }
            let mut rows: Vec<u32> = index.iter().collect();
            let mut want: Vec<u32> = model.values().copied().collect();
            rows.sort_unstable();
            want.sort_unstable();
            prop_assert_eq!(rows, want);
        }
    }

    #[test]
    fn it_takes_twelve_bytes_a_row_and_gives_them_back() {
        const ROWS: u32 = 300_000;
        let hash = |row: u32| u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bytes =
            |index: &Index| index.shards.iter().map(|shard| 8 * shard.entries.capacity()).sum::<usize>();
        let mut index = Index::new();
        for row in 0..ROWS {
            index.insert(Place::of(hash(row), false), row);
        }
        assert!(bytes(&index) <= 13 * ROWS as usize, "{} bytes", bytes(&index));
        assert_eq!(index.find(Place::of(hash(7), false), |row| row == 7), Some(7));
        for row in 0..ROWS {
            index.remove(Place::of(hash(row), false), row);
        }
        assert!(bytes(&index) < 300_000, "{} bytes", bytes(&index));
        assert_eq!(index.iter().count(), 0);
    }
}
