//! Stands for the program's `sync`: the same names, made of loom's atomics.

use std::sync::{Mutex, PoisonError};

use loom::sync::atomic::AtomicUsize;
pub use loom::sync::atomic::{AtomicU64, Ordering};

/// Stands for crossbeam's `AtomicCell` of a value that fits an atomic, such as a box: one word, and `swap` is one swap
/// of it with the ordering that crossbeam-utils 0.8.23 uses (`atomic_swap` in `src/atomic/atomic_cell.rs`).
///
/// The word is the place of the current value in `values`. loom knows nothing of the mutex around them: no thread waits
/// for it, since loom runs one thread at a time and changes between them at its own operations only, and it orders
/// nothing in the model. So all that makes a value visible to whoever takes it is the swap.
#[derive(Debug)]
pub struct AtomicCell<T> {
    at: AtomicUsize,
    values: Mutex<Vec<Option<T>>>,
}

impl<T> AtomicCell<T> {
    /// A cell with its first value.
    pub fn new(value: T) -> Self {
        Self { at: AtomicUsize::new(0), values: Mutex::new(vec![Some(value)]) }
    }

    /// As crossbeam has it for a value of a pointer's size.
    pub const fn is_lock_free() -> bool {
        true
    }

    /// Replaces the value and gives the one before.
    ///
    /// # Panics
    /// Where that one was given already.
    pub fn swap(&self, value: T) -> T {
        let at = self.with_values(|values| {
            values.push(Some(value));
            values.len() - 1
        });
        let before = self.at.swap(at, Ordering::AcqRel);
        self.with_values(|values| values[before].take()).expect("a value leaves the cell once")
    }

    /// Leaves the default value and gives the one before.
    pub fn take(&self) -> T
    where
        T: Default,
    {
        self.swap(T::default())
    }

    fn with_values<R>(&self, with: impl FnOnce(&mut Vec<Option<T>>) -> R) -> R {
        with(&mut self.values.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
