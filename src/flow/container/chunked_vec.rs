//! A vector of fixed-size chunks: it grows without copying, and items never move.

use std::ops::{Index, IndexMut};

use crate::sys::prefetch::prefetch;

/// Items in a chunk, as a power of two: 4096 rows of a pair are 288 KiB.
const BITS: u32 = 12;
const ITEMS: usize = 1 << BITS;

/// Items by their number, counted from 0 in the order in which they were pushed.
#[derive(Debug)]
pub(in crate::flow) struct ChunkedVec<T> {
    /// All chunks except the last are full; no chunk is empty.
    chunks: Vec<Vec<T>>,
}

impl<T> Default for ChunkedVec<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T> ChunkedVec<T> {
    /// Returns the number of items.
    pub(in crate::flow) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * ITEMS + last.len())
    }

    pub(in crate::flow) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Appends an item and returns its number.
    ///
    /// # Panics
    /// Panics at 2^32 items.
    pub(in crate::flow) fn push(&mut self, item: T) -> u32 {
        let at =
            u32::try_from(self.len()).expect("the owner limits a chunked vector to fewer than 2^32 items");
        match self.chunks.last_mut() {
            Some(last) if last.len() < ITEMS => last.push(item),
            Some(_) => {
                let mut next = Vec::with_capacity(ITEMS);
                next.push(item);
                self.chunks.push(next);
            }
            // The first chunk grows by doubling, since most of these vectors stay small.
            None => self.chunks.push(vec![item]),
        }
        at
    }

    /// Removes and returns the last item, and frees its chunk if that was its only one. Returns `None` if there are no
    /// items.
    pub(in crate::flow) fn pop(&mut self) -> Option<T> {
        let last = self.chunks.last_mut()?;
        let item = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        item
    }

    pub(in crate::flow) fn last_mut(&mut self) -> Option<&mut T> {
        self.chunks.last_mut()?.last_mut()
    }

    /// Returns the item with this number; `None` if there are not so many items.
    #[inline]
    pub(in crate::flow) fn get(&self, at: u32) -> Option<&T> {
        self.chunks.get(at as usize >> BITS)?.get(at as usize & (ITEMS - 1))
    }

    /// Returns the item with this number; missing items up to it are appended with their default value.
    #[inline]
    pub(in crate::flow) fn reach(&mut self, at: u32) -> &mut T
    where
        T: Default,
    {
        while self.len() <= at as usize {
            self.push(T::default());
        }
        &mut self[at]
    }

    /// Prefetches the item with this number, if there is one.
    #[inline]
    pub(in crate::flow) fn prefetch(&self, at: u32) {
        if let Some(item) = self.get(at) {
            prefetch(item);
        }
    }
}

impl<T> Index<u32> for ChunkedVec<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: u32) -> &T {
        &self.chunks[at as usize >> BITS][at as usize & (ITEMS - 1)]
    }
}

impl<T> IndexMut<u32> for ChunkedVec<T> {
    #[inline]
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.chunks[at as usize >> BITS][at as usize & (ITEMS - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_numbers_and_leave_from_the_end() {
        let mut chunks = ChunkedVec::default();
        let count = 3 * ITEMS as u32 + 5;
        for n in 0..count {
            assert_eq!(chunks.push(n), n);
        }
        assert_eq!(
            (
                chunks.len(),
                chunks[2 * ITEMS as u32],
                [12_288, 12_289, 12_290, 12_291, 12_292].map(|n| chunks[n])
            ),
            (count as usize, 2 * ITEMS as u32, [12_288, 12_289, 12_290, 12_291, 12_292])
        );
        assert!((0..count).all(|n| chunks[n] == n));
        for n in (0..count).rev() {
            assert_eq!(chunks.pop(), Some(n));
        }
        assert!(chunks.is_empty() && chunks.pop().is_none());
    }
}
