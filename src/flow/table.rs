//! A bounded table: rows side by side in memory, found through an index of their hashes.
//!
//! Rows keep the order in which their keys first came, so folding a table reads memory from front to back.
//! The caller brings the hash, which the row keeps: the analyst finds its own row by it and never hashes
//! again. All memory is taken at the start and a full table refuses new keys.
//!
//! Many keys are looked up at once in three steps, each of which has the memory of the next fetched:
//! [`prefetch`](Table::prefetch), [`place`](Table::place), [`at_place`](Table::at_place).

use crate::sys::prefetch::prefetch;

use super::table_index::{TableIndex, Vacant};

/// What rows are found by.
pub trait Key: Copy + Eq {
    /// Tells two keys apart that share a hash by design, as the two directions of a pair do.
    fn is_reversed(&self) -> bool {
        false
    }
}

impl Key for u32 {}

/// Rows of `V` by `K`, at most `rows_max` of them.
#[derive(Debug)]
pub struct Table<K, V> {
    index: TableIndex,
    rows: Vec<Row<K, V>>,
    /// Rows that the index has slots for as it is, and rows that there can be.
    rows_ready: usize,
    rows_max: usize,
}

/// One row.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Row<K, V> {
    /// The hash that the key came with.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// What is kept of it.
    pub value: V,
}

/// Where a key is, as far as the index knows; see [`Table::at_place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// Nowhere: the table is full, or it was not asked.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// The number of the row that it leads to, if the key there is the one.
    #[inline(always)]
    pub(super) fn row(self) -> u32 {
        self.0
    }
}

impl<K: Key, V: Default> Table<K, V> {
    /// An empty table for `rows_max` rows.
    ///
    /// # Panics
    /// Where `rows_max` does not fit 32 bits, or is the last that does.
    pub fn new(rows_max: usize) -> Self {
        let fits = u32::try_from(rows_max).is_ok_and(|rows| rows < u32::MAX);
        assert!(fits, "a table of {rows_max} rows has no 32-bit index");
        let index = TableIndex::new(rows_max);
        let rows_ready = index.rows_max().min(rows_max);
        Self { index, rows: Vec::with_capacity(rows_max), rows_ready, rows_max }
    }

    /// The value of `key`, a new default one if the key is new; `None` when it is new and the table full.
    #[inline]
    pub fn entry(&mut self, hash: u64, key: K) -> Option<&mut V> {
        let at = self.find_or_insert(hash, key)?;
        Some(self.value_mut(at))
    }

    /// The number of the row of `key`, good until the table is cleared; otherwise as [`entry`](Self::entry).
    #[inline]
    pub fn find_or_insert(&mut self, hash: u64, key: K) -> Option<u32> {
        let rows = &self.rows;
        match self.index.find(hash, key.is_reversed(), |at| rows[at as usize].key == key) {
            Ok(at) => Some(at),
            Err(_) if self.rows.len() == self.rows_ready => self.insert_beyond(hash, key),
            Err(vacant) => Some(self.insert(hash, key, vacant)),
        }
    }

    /// Has the index be fetched where a hash is looked for.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        self.index.prefetch(hash);
    }

    /// Has the row be fetched that a place leads to.
    #[inline(always)]
    fn prefetch_at(&self, Place(at): Place) {
        if let Some(row) = self.rows.get(at as usize) {
            prefetch(row);
        }
    }

    /// Looks for `key` in the index alone, has the row be fetched, and makes one if there is none.
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
        // Fits: `new` has checked that every number below `rows_max` does.
        let at = self.rows.len() as u32;
        self.rows.push(Row { hash, key, value: V::default() });
        self.index.fill(vacant, at);
        at
    }

    /// Inserts a key for which the index has no slot as it is; `None` when the table is full.
    #[cold]
    fn insert_beyond(&mut self, hash: u64, key: K) -> Option<u32> {
        if self.rows.len() == self.rows_max {
            return None;
        }
        self.index.grow(self.rows.iter().map(|row| (row.hash, row.key.is_reversed())));
        self.rows_ready = self.index.rows_max().min(self.rows_max);
        // It is not among them.
        let vacant = self.index.find(hash, key.is_reversed(), |_| false).err()?;
        Some(self.insert(hash, key, vacant))
    }

    /// The value of `key`, if the place leads to it; it does not where another key has the same tag.
    #[inline(always)]
    pub(super) fn at_place(&mut self, Place(at): Place, key: &K) -> Option<&mut V> {
        self.rows.get_mut(at as usize).filter(|row| row.key == *key).map(|row| &mut row.value)
    }

    /// The value of a row by its number.
    ///
    /// # Panics
    /// Where the table has no such row.
    #[inline]
    pub fn value_mut(&mut self, at: u32) -> &mut V {
        &mut self.rows[at as usize].value
    }

    /// The rows, in the order in which their keys first came.
    pub fn rows(&self) -> &[Row<K, V>] {
        &self.rows
    }

    /// Whether it is time to hand the table over: no more than half of it is left.
    #[inline]
    pub fn is_half_full(&self) -> bool {
        self.rows.len() * 2 >= self.rows_max
    }

    /// Forgets all rows and keeps the memory.
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
        /// Whatever hashes the keys bring, colliding ones included, the table is a map with an end, by either way.
        #[test]
        fn equals_a_map(operations in prop::collection::vec((0u8..40, 1u64..100, any::<bool>()), 0..300)) {
            let mut table: Table<u8, u64> = Table::new(24);
            let mut model: BTreeMap<u8, u64> = BTreeMap::new();
            for (key, amount, in_steps) in operations {
                // A key always brings the same hash; many keys share one, or its place, or its tag.
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
    fn it_grows_to_its_end_and_is_as_new_when_cleared() {
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
            assert!(table.rows().iter().all(|row| row.value == 3), "each was found again");
            let beyond = table.entry(hash(ROWS), ROWS).is_none();
            assert_eq!(beyond, rows == ROWS);
            table.clear();
        }
    }
}
