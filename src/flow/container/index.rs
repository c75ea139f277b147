//! Row numbers by hash: open addressing in shards, each of which grows and shrinks by itself, so that no single
//! operation takes long.
//!
//! A shard is one vector of 8-byte entries, sorted by tag and row number, with empty entries in between. The home of an
//! entry is the position at which the search for its tag begins: the tag, scaled from 2^32 to the number of homes. So
//! homes never descend while tags ascend. An entry is at its home, or at a later position if earlier entries occupy
//! that (linear probing). So a search ends at the first higher tag or empty entry, whether or not it finds the row, and
//! growing copies the entries from front to back without reading any row.
//!
//! ```text
//! hash    | shard 8 | tag, upper 31 bits                        | rest 25 |
//! entry   | tag 32: 31 bits of the hash, 1 direction bit  | row number 32 |
//! ```
//!
//! The caller compares the rest of the hash. The two directions of a pair share a hash. The direction bit distinguishes
//! them, so their entries are next to each other.

use crate::sys::prefetch::prefetch;

/// Row numbers by hash. The index does not store keys, so the caller picks the right one of several rows with one tag.
#[derive(Debug)]
pub(in crate::flow) struct Index {
    shards: Box<[Shard]>,
}

/// What the index looks up: the shard and the tag of a hash and a direction.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct IndexKey {
    shard: usize,
    /// 31 bits of the hash, and the direction in the lowest bit.
    tag: u32,
}

#[derive(Debug, Default)]
struct Shard {
    /// Sorted, with empty entries in between; the last entry is always empty, so a search ends there.
    entries: Vec<u64>,
    /// Number of homes. The entries after the last home are an overflow area for entries that do not fit before.
    homes: u32,
    /// Number of entries that are not empty.
    used: u32,
}

impl IndexKey {
    /// Makes the key of a hash and a direction. `is_reversed` is true for one of the two keys that share a hash by
    /// design; for a pair, if its source is the higher address.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
    pub(in crate::flow) fn of(hash: u64, is_reversed: bool) -> Self {
        // The shard has 8 bits, and 31 bits of the hash remain in the tag.
        let shard = (hash >> (u64::BITS - SHARD_BITS)) as usize;
        Self { shard, tag: ((hash >> REST_BITS) as u32) << 1 | u32::from(is_reversed) }
    }

    /// Returns the key of the same hash and the other direction.
    #[inline]
    pub(in crate::flow) fn opposite(self) -> Self {
        Self { tag: self.tag ^ 1, ..self }
    }
}

/// Returns the 25 bits of a hash that its [`IndexKey`] does not contain, as the highest bits; the others are zero.
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

    /// Prefetches the entries at which a search for this key begins.
    #[inline]
    pub(in crate::flow) fn prefetch(&self, key: IndexKey) {
        let shard = &self.shards[key.shard];
        if let Some(entry) = shard.entries.get(shard.home(key.tag)) {
            prefetch(entry);
        }
    }

    /// Returns the first row with this shard and tag, which may belong to another hash; `None` if there is none.
    #[inline]
    pub(in crate::flow) fn first(&self, key: IndexKey) -> Option<u32> {
        self.find(key, |_| true)
    }

    /// Returns the first row with this shard and tag for which `is_it` returns true; `None` if there is none.
    #[inline]
    pub(in crate::flow) fn find(&self, key: IndexKey, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let shard = &self.shards[key.shard];
        let mut at = shard.home(key.tag);
        loop {
            let entry = *shard.entries.get(at)?;
            if tag_of(entry) > key.tag || entry == EMPTY {
                return None;
            }
            if tag_of(entry) == key.tag && is_it(row_of(entry)) {
                return Some(row_of(entry));
            }
            at += 1;
        }
    }

    /// Adds a row, which must not be in the index. It may grow the shard.
    pub(in crate::flow) fn insert(&mut self, key: IndexKey, row: u32) {
        self.shards[key.shard].insert(entry(key.tag, row));
    }

    /// Removes a row. It may shrink the shard.
    ///
    /// # Panics
    /// Panics if the row is not in the index.
    pub(in crate::flow) fn remove(&mut self, key: IndexKey, row: u32) {
        self.shards[key.shard].remove(entry(key.tag, row));
    }

    /// Returns all rows, in no particular order.
    pub(in crate::flow) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let entries = self.shards.iter().flat_map(|shard| &shard.entries);
        entries.filter(|&&entry| entry != EMPTY).map(|&entry| row_of(entry))
    }
}

impl Shard {
    /// Returns the home of a tag: the position at which a search for it begins.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        ((u64::from(tag) * u64::from(self.homes)) >> 32) as usize
    }

    /// Inserts an entry before the first higher one, and moves the entries from there to the next empty one towards the
    /// end. Grows the shard by a quarter if it would be too full.
    fn insert(&mut self, entry: u64) {
        if (self.used + 1) * MAX_LOAD_DENOMINATOR > self.homes * MAX_LOAD_NUMERATOR {
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
            // The last entry must be empty, since a search ends there.
            self.entries.push(EMPTY);
        }
    }

    /// Removes an entry. Halves the number of homes if fewer than a quarter of them are used, unless there are few.
    fn remove(&mut self, entry: u64) {
        let mut at = self.home(tag_of(entry));
        while self.entries[at] != entry {
            assert!(self.entries[at] < entry, "the row to remove is not in the index");
            at += 1;
        }
        // The entries after it that are not at their homes move by one position towards the front.
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

    /// Moves all entries into a new vector with this many homes. Each entry is at its home or directly after the entry
    /// before it. The overflow area is the rest of the capacity, and at least one entry.
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

/// An empty entry. No row has this value, since row numbers are below 2^32 - 1.
const EMPTY: u64 = u64::MAX;

const SHARD_BITS: u32 = 8;
const REST_BITS: u32 = 25;

/// The maximum load is four fifths of the homes: a shard grows by a quarter before it exceeds that. So each row costs
/// 10 to 12.5 bytes, and a search reads three entries on average.
const MAX_LOAD_NUMERATOR: u32 = 4;
const MAX_LOAD_DENOMINATOR: u32 = 5;
/// Number of homes that are added to every growth, and the minimum number of entries reserved for the overflow area.
const HOMES_MIN: u32 = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Returns hashes; many of them share a shard, a tag or both.
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
        fn an_index_equals_a_map(steps in prop::collection::vec((hash(), any::<bool>(), 0..4_u8), 0..3000)) {
            let mut index = Index::new();
            let mut model: BTreeMap<(u64, bool), u32> = BTreeMap::new();
            let mut keys: Vec<(u64, bool)> = Vec::new();
            for (hash, is_reversed, step) in steps {
                let key = IndexKey::of(hash, is_reversed);
                let found = index.find(key, |row| keys[row as usize] == (hash, is_reversed));
                prop_assert_eq!(found, model.get(&(hash, is_reversed)).copied());
                match (found, step) {
                    (None, _) => {
                        let row = keys.len() as u32;
                        keys.push((hash, is_reversed));
                        index.insert(key, row);
                        model.insert((hash, is_reversed), row);
                    }
                    (Some(row), 0..=2) => {
                        index.remove(key, row);
                        model.remove(&(hash, is_reversed));
                    }
                    (Some(_), _) => {}
                }
                let other = index.find(key.opposite(), |row| keys[row as usize] == (hash, !is_reversed));
                prop_assert_eq!(other, model.get(&(hash, !is_reversed)).copied());
            }
            let mut rows: Vec<u32> = index.iter().collect();
            let mut want: Vec<u32> = model.values().copied().collect();
            rows.sort_unstable();
            want.sort_unstable();
            prop_assert_eq!(rows, want);
        }
    }

    #[test]
    fn a_row_takes_at_most_thirteen_bytes_which_are_freed_when_it_is_removed() {
        const ROWS: u32 = 300_000;
        let hash = |row: u32| u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bytes =
            |index: &Index| index.shards.iter().map(|shard| 8 * shard.entries.capacity()).sum::<usize>();
        let mut index = Index::new();
        for row in 0..ROWS {
            index.insert(IndexKey::of(hash(row), false), row);
        }
        assert!(bytes(&index) <= 13 * ROWS as usize, "{} bytes", bytes(&index));
        assert_eq!(index.find(IndexKey::of(hash(7), false), |row| row == 7), Some(7));
        for row in 0..ROWS {
            index.remove(IndexKey::of(hash(row), false), row);
        }
        assert!(bytes(&index) < 300_000, "{} bytes", bytes(&index));
        assert_eq!(index.iter().count(), 0);
    }
}
