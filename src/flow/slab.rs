//! Rows with a number that stays theirs while they live; a freed number is used again.

use std::ops::{Index, IndexMut};

use super::chunked_vec::ChunkedVec;

/// No row: the end of a chain, or a link that leads nowhere.
pub(super) const NONE: u32 = u32::MAX;

/// Rows that are looked up together: what each of them needs is fetched while the others are worked on. More than a
/// processor has requests under way at once bring nothing.
pub(super) const TOGETHER: usize = 32;

/// A row with a link that means nothing once it is freed, so that freed rows can be chained by it.
pub(super) trait Chained {
    fn link(&mut self) -> &mut u32;
}

/// Growing rows with a chain of holes. Freed rows stay in place until they are overwritten.
#[derive(Debug)]
pub(super) struct Slab<T> {
    rows: ChunkedVec<T>,
    free_first: u32,
    free: usize,
    rows_max: usize,
}

impl<T: Chained> Slab<T> {
    /// No rows, and room for `rows_max`.
    pub(super) fn new(rows_max: usize) -> Self {
        Self { rows: ChunkedVec::default(), free_first: NONE, free: 0, rows_max: rows_max.min(NONE as usize) }
    }

    /// Whether another row fits.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.rows_max
    }

    /// How many more rows fit.
    pub(super) fn room(&self) -> usize {
        self.rows_max - self.len()
    }

    /// Numbers that rows have or had.
    pub(super) fn numbers(&self) -> u32 {
        // Fits: `rows_max` is at most `NONE`.
        self.rows.len() as u32
    }

    /// Rows that live.
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free
    }

    /// Puts a row in and gives its number.
    ///
    /// # Panics
    /// Without room; ask [`has_room`](Self::has_room) first.
    pub(super) fn insert(&mut self, row: T) -> u32 {
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

    /// Gives a row's number back.
    pub(super) fn free(&mut self, at: u32) {
        *self.rows[at].link() = self.free_first;
        self.free_first = at;
        self.free += 1;
    }

    /// Has a row fetched that is read soon.
    #[inline]
    pub(super) fn prefetch(&self, at: u32) {
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
