//! A bounded table: rows in consecutive memory, found through an index of their hashes.
//!
//! Rows are in the order in which their keys were inserted, so folding a table reads memory from front to back. The
//! caller computes the hash and the row keeps it, so the analyst can look up its own row without hashing again. All
//! memory is allocated at the start, and a full table refuses new keys.
//!
//! A batch of keys is looked up in three steps, each of which prefetches memory for the next:
//! [`prefetch`](Table::prefetch), [`place`](Table::place), [`at_place`](Table::at_place).

use crate::sys::prefetch::prefetch;

use super::table_index::{TableIndex, Vacant};

/// A key of a [`Table`].
pub trait Key: Copy + Eq {
    /// Returns true for one of two keys that share a hash by design, as the two directions of a pair do.
    fn is_reversed(&self) -> bool {
        false
    }
}

impl Key for u32 {}

/// A table of values by key, with at most `rows_max` rows.
#[derive(Debug)]
pub struct Table<K, V> {
    index: TableIndex,
    rows: Vec<Row<K, V>>,
    /// The number of rows for which the index has slots now; `rows_max` is the final limit.
    rows_ready: usize,
    rows_max: usize,
}

/// A row of a table.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Row<K, V> {
    /// The hash that the key was inserted with.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
}

/// The row that the index expects a key in, by its tag; see [`Table::at_place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// No row: the table is full, or the key was not looked up.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Returns the number of the row, which may have another key with the same tag.
    #[inline(always)]
    pub(super) fn row(self) -> u32 {
        self.0
    }
}

impl<K: Key, V: Default> Table<K, V> {
    /// Makes an empty table for `rows_max` rows.
    ///
    /// # Panics
    /// Panics if `rows_max` is not below 2^32 - 1.
    pub fn new(rows_max: usize) -> Self {
        let fits = u32::try_from(rows_max).is_ok_and(|rows| rows < u32::MAX);
        assert!(fits, "a table of {rows_max} rows has no 32-bit index");
        let index = TableIndex::new(rows_max);
        let rows_ready = index.rows_max().min(rows_max);
        Self { index, rows: Vec::with_capacity(rows_max), rows_ready, rows_max }
    }

    /// Returns the value of `key`, a default one if the key is new; `None` if the key is new and the table full.
    #[inline]
    pub fn entry(&mut self, hash: u64, key: K) -> Option<&mut V> {
        let at = self.find_or_insert(hash, key)?;
        Some(self.value_mut(at))
    }

    /// Returns the number of the row of `key`, which is inserted if it is new; `None` if it is new and the table is
    /// full. The number is valid until the table is cleared.
    #[inline]
    pub fn find_or_insert(&mut self, hash: u64, key: K) -> Option<u32> {
        let rows = &self.rows;
        match self.index.find(hash, key.is_reversed(), |at| rows[at as usize].key == key) {
            Ok(at) => Some(at),
            Err(_) if self.rows.len() == self.rows_ready => self.insert_beyond(hash, key),
            Err(vacant) => Some(self.insert(hash, key, vacant)),
        }
    }

    /// Prefetches the index entries for a hash.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Prefetches the row at a place.
    #[inline(always)]
    fn prefetch_at(&self, Place(at): Place) {
        if let Some(row) = self.rows.get(at as usize) {
            prefetch(row);
        }
    }

    /// Looks up `key` only by its tag and prefetches the row. Inserts a row if there is none; returns [`Place::NONE`]
    /// if the table is full.
    #[inline(always)]
    pub(super) fn place(&mut self, hash: u64, key: K) -> Place {
        match self.index.find(hash, key.is_reversed(), |_| true) {
            Ok(at) => {
                self.prefetch_at(Place(at));
                Place(at)
            }
            Err(_) if self.rows.len() == self.rows_ready => {
                self.insert_beyond(hash, key).map_or(Place::NONE, Place)
            }
            Err(vacant) => Place(self.insert(hash, key, vacant)),
        }
    }

    #[inline(always)]
    fn insert(&mut self, hash: u64, key: K, vacant: Vacant) -> u32 {
        #[allow(clippy::cast_possible_truncation, reason = "`new` asserts that `rows_max` is below 2^32 - 1")]
        let at = self.rows.len() as u32;
        self.rows.push(Row { hash, key, value: V::default() });
        self.index.fill(vacant, at);
        at
    }

    /// Inserts a key after growing the index; `None` if the table is full.
    #[cold]
    fn insert_beyond(&mut self, hash: u64, key: K) -> Option<u32> {
        if self.rows.len() == self.rows_max {
            return None;
        }
        self.index.grow(self.rows.iter().map(|row| (row.hash, row.key.is_reversed())));
        self.rows_ready = self.index.rows_max().min(self.rows_max);
        // The key is not among the rows, so the search ends at an empty slot.
        let vacant = self.index.find(hash, key.is_reversed(), |_| false).err()?;
        Some(self.insert(hash, key, vacant))
    }

    /// Returns the value at a place if its key is `key`; another key may have the same tag.
    #[inline(always)]
    pub(super) fn at_place(&mut self, Place(at): Place, key: &K) -> Option<&mut V> {
        self.rows.get_mut(at as usize).filter(|row| row.key == *key).map(|row| &mut row.value)
    }

    /// Returns the value of a row by its number.
    ///
    /// # Panics
    /// Panics if the table has no such row.
    #[inline]
    pub fn value_mut(&mut self, at: u32) -> &mut V {
        &mut self.rows[at as usize].value
    }

    /// Returns the rows, in the order in which their keys were inserted.
    pub fn rows(&self) -> &[Row<K, V>] {
        &self.rows
    }

    /// Returns true if at least half of the rows are used, so that the table should be handed over.
    #[inline]
    pub fn is_half_full(&self) -> bool {
        self.rows.len() * 2 >= self.rows_max
    }

    /// Removes all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.index.clear(self.rows.len());
        self.rows_ready = self.index.rows_max().min(self.rows_max);
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Key for u8 {
        fn is_reversed(&self) -> bool {
            *self >= 20
        }
    }

    proptest! {
        /// For any hashes, colliding ones included, the table equals a map with a limit, in one step or in three.
        #[test]
        fn a_table_equals_a_map(operations in prop::collection::vec((0u8..40, 1u64..100, any::<bool>()), 0..300)) {
            let mut table: Table<u8, u64> = Table::new(24);
            let mut model: BTreeMap<u8, u64> = BTreeMap::new();
            for (key, amount, in_steps) in operations {
                // A key always has the same hash; many keys share a hash, an index slot or a tag.
                let hash = ((u64::from(key) % 3) << 32) | (u64::from(key) % 5);
                let known = model.contains_key(&key);
                let value = if in_steps {
                    table.prefetch(hash);
                    let place = table.place(hash, key);
                    let is_there = table.at_place(place, &key).is_some();
                    if is_there { table.at_place(place, &key) } else { table.entry(hash, key) }
                } else {
                    table.entry(hash, key)
                };
                match value {
                    Some(value) => {
                        prop_assert!(known || model.len() < 24);
                        *value += amount;
                        *model.entry(key).or_default() += amount;
                    }
                    None => prop_assert!(!known && model.len() == 24),
                }
                prop_assert_eq!(table.is_half_full(), model.len() >= 12);
            }
            let rows: BTreeMap<u8, u64> = table.rows().iter().map(|row| (row.key, row.value)).collect();
            prop_assert_eq!(rows, model);
            table.clear();
            prop_assert!(table.rows().is_empty());
            prop_assert_eq!(table.entry(1, 1).copied(), Some(0));
        }
    }

    #[test]
    fn a_table_grows_to_its_limit_and_is_empty_after_a_clear() {
        const ROWS: u32 = 50_000;
        let mut table: Table<u32, u64> = Table::new(ROWS as usize);
        let hash = |key: u32| u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for rows in [ROWS, 3000, 5, ROWS, 0, 1, 2049] {
            for round in 1..3 {
                for key in 0..rows {
                    *table.entry(hash(key), key).expect("there is room") += round;
                }
            }
            assert_eq!(table.rows().len(), rows as usize);
            assert!(table.rows().iter().all(|row| row.value == 3), "each key has one row");
            let beyond = table.entry(hash(ROWS), ROWS).is_none();
            assert_eq!(beyond, rows == ROWS);
            table.clear();
        }
    }
}
