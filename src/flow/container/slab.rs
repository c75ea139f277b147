//! Rows that keep their numbers until they are freed; the numbers of freed rows are used again.

use std::ops::{Index, IndexMut};

use super::chunked_vec::ChunkedVec;

/// A value that is not the number of a row. It ends a chain.
pub(in crate::flow) const NONE: u32 = u32::MAX;

/// Number of rows that are looked up together, so that the memory of one is prefetched while others are processed. A
/// larger batch is not faster: a processor has at most a few tens of outstanding cache misses.
pub(in crate::flow) const TOGETHER: usize = 32;

/// A row with a field that is unused once the row is freed; the chain of free rows goes through it.
pub(in crate::flow) trait Chained {
    /// Returns the field that stores the number of the next free row.
    fn link(&mut self) -> &mut u32;
}

/// A growing list of rows and a chain of the free ones among them. A freed row stays in place until it is overwritten.
#[derive(Debug)]
pub(in crate::flow) struct Slab<T> {
    rows: ChunkedVec<T>,
    /// The first row in the chain of free rows; [`NONE`] if no row is free.
    free_first: u32,
    /// Number of free rows.
    free: usize,
    rows_max: usize,
}

impl<T: Chained> Slab<T> {
    /// Makes an empty slab for at most `rows_max` rows.
    pub(in crate::flow) fn new(rows_max: usize) -> Self {
        Self { rows: ChunkedVec::default(), free_first: NONE, free: 0, rows_max: rows_max.min(NONE as usize) }
    }

    /// Returns true if another row fits.
    pub(in crate::flow) fn has_room(&self) -> bool {
        self.len() < self.rows_max
    }

    /// Returns how many more rows fit.
    pub(in crate::flow) fn room(&self) -> usize {
        self.rows_max - self.len()
    }

    /// Returns one more than the largest row number so far, live or freed; 0 if there was no row.
    #[allow(clippy::cast_possible_truncation, reason = "`rows_max` is at most `NONE`")]
    pub(in crate::flow) fn numbers(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Returns the number of live rows.
    pub(in crate::flow) fn len(&self) -> usize {
        self.rows.len() - self.free
    }

    /// Inserts a row and returns its number.
    ///
    /// # Panics
    /// Panics if the slab is full; see [`has_room`](Self::has_room).
    pub(in crate::flow) fn insert(&mut self, row: T) -> u32 {
        assert!(self.has_room(), "a row beyond the limit of {}", self.rows_max);
        let at = self.free_first;
        if at == NONE {
            return self.rows.push(row);
        }
        self.free_first = *self.rows[at].link();
        self.free -= 1;
        self.rows[at] = row;
        at
    }

    /// Frees the number of a live row.
    pub(in crate::flow) fn free(&mut self, at: u32) {
        *self.rows[at].link() = self.free_first;
        self.free_first = at;
        self.free += 1;
    }

    /// Prefetches a row.
    #[inline]
    pub(in crate::flow) fn prefetch(&self, at: u32) {
        self.rows.prefetch(at);
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: u32) -> &T {
        &self.rows[at]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.rows[at]
    }
}
