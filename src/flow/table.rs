//! A bounded table: rows side by side in memory, found through an index of their hashes.
//!
//! Rows keep the order in which their keys first came, so folding a table reads memory from front to back.
//! The caller brings the hash, which the row keeps: the analyst finds its own row by it and never hashes
//! again. All memory is taken at the start and a full table refuses new keys.

use hashbrown::HashTable;

/// Rows of `V` by `K`, at most `rows_max` of them.
#[derive(Debug)]
pub struct Table<K, V> {
    index: HashTable<u32>,
    rows: Vec<Row<K, V>>,
    rows_max: usize,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row<K, V> {
    /// The hash that the key came with.
    pub hash: u64,
    /// The key.
    pub key: K,
    /// What is kept of it.
    pub value: V,
}

impl<K: Copy + Eq, V: Default> Table<K, V> {
    /// An empty table for `rows_max` rows.
    ///
    /// # Panics
    /// Where `rows_max` does not fit 32 bits.
    pub fn new(rows_max: usize) -> Self {
        assert!(u32::try_from(rows_max).is_ok(), "a table of {rows_max} rows has no 32-bit index");
        Self { index: HashTable::with_capacity(rows_max), rows: Vec::with_capacity(rows_max), rows_max }
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
        let rows = &mut self.rows;
        if let Some(&at) = self.index.find(hash, |&at| rows[at as usize].key == key) {
            return Some(at);
        }
        if rows.len() == self.rows_max {
            return None;
        }
        // Fits: `new` has checked that every index below `rows_max` does.
        let at = rows.len() as u32;
        rows.push(Row { hash, key, value: V::default() });
        self.index.insert_unique(hash, at, |&at| rows[at as usize].hash);
        Some(at)
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
    pub fn is_half_full(&self) -> bool {
        self.rows.len() * 2 >= self.rows_max
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.index.clear();
        self.rows.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever hashes the keys bring, colliding ones included, the table is a map with an end.
        #[test]
        fn equals_a_map(operations in prop::collection::vec((0u8..40, 1u64..100), 0..300)) {
            let mut table: Table<u8, u64> = Table::new(24);
            let mut model: BTreeMap<u8, u64> = BTreeMap::new();
            for (key, amount) in operations {
                // A key always brings the same hash; many keys share one.
                let hash = u64::from(key) % 3;
                let known = model.contains_key(&key);
                match table.entry(hash, key) {
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
}
