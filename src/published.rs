//! A cell through which one thread publishes its newest immutable value to many others.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;

/// A value that one thread replaces and many read. Readers clone an `Arc` and never block the writer.
#[derive(Debug)]
pub struct Published<T> {
    value: ArcSwap<T>,
    was_read: AtomicBool,
}

impl<T> Published<T> {
    /// Creates the cell with its first value.
    pub fn new(first: T) -> Self {
        Self { value: ArcSwap::from_pointee(first), was_read: AtomicBool::new(false) }
    }

    /// Replaces the value. Readers that hold the old value keep it.
    pub fn publish(&self, next: T) {
        self.value.store(Arc::new(next));
    }

    /// Replaces the value and returns the old one, which readers may still hold.
    pub fn replace(&self, next: T) -> Arc<T> {
        self.value.swap(Arc::new(next))
    }

    /// Returns the current value.
    pub fn read(&self) -> Arc<T> {
        self.was_read.store(true, Ordering::Relaxed);
        self.value.load_full()
    }

    /// Returns true if [`read`](Self::read) was called since the last call of this method.
    pub fn take_was_read(&self) -> bool {
        self.was_read.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_reported_once() {
        let published = Published::new(1);
        assert!(!published.take_was_read());
        assert_eq!((*published.read(), *published.read()), (1, 1));
        assert!(published.take_was_read() && !published.take_was_read());
        published.publish(2);
        assert!(!published.take_was_read(), "publishing is not a read");
    }
}
