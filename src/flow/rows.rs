//! Rows with a number that stays theirs while they live; a freed number is used again.

use std::ops::{Index, IndexMut};

/// No row: the end of a chain, or a link that leads nowhere.
pub(super) const NONE: u32 = u32::MAX;

/// A growing vector with a list of holes. Freed rows stay in place until they are overwritten.
#[derive(Debug)]
pub(super) struct Rows<T> {
    rows: Vec<T>,
    free: Vec<u32>,
    rows_max: usize,
}

impl<T> Rows<T> {
    /// No rows, and room for `rows_max`.
    pub(super) fn new(rows_max: usize) -> Self {
        Self { rows: Vec::new(), free: Vec::new(), rows_max: rows_max.min(NONE as usize) }
    }

    /// Whether another row fits.
    pub(super) fn has_room(&self) -> bool {
        self.len() < self.rows_max
    }

    /// Rows that live.
    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    /// Puts a row in and gives its number.
    ///
    /// # Panics
    /// Without room; ask [`has_room`](Self::has_room) first.
    pub(super) fn insert(&mut self, row: T) -> u32 {
        assert!(self.has_room(), "a row beyond the limit of {}", self.rows_max);
        match self.free.pop() {
            Some(at) => {
                self.rows[at as usize] = row;
                at
            }
            None => {
                self.rows.push(row);
                // Fits: `rows_max` is at most `NONE`.
                (self.rows.len() - 1) as u32
            }
        }
    }

    /// Gives a row's number back.
    pub(super) fn free(&mut self, at: u32) {
        self.free.push(at);
    }
}

impl<T> Index<u32> for Rows<T> {
    type Output = T;

    fn index(&self, at: u32) -> &T {
        &self.rows[at as usize]
    }
}

impl<T> IndexMut<u32> for Rows<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.rows[at as usize]
    }
}
