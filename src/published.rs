//! The cell through which one thread shows many others its newest immutable value.
#![forbid(unsafe_code)]

use std::sync::Arc;

use arc_swap::ArcSwap;

/// A value that one thread replaces and many read. Readers clone an `Arc` and never make the writer wait.
#[derive(Debug)]
pub struct Published<T>(ArcSwap<T>);

impl<T> Published<T> {
    /// Publishes the first value.
    pub fn new(first: T) -> Self {
        Self(ArcSwap::from_pointee(first))
    }

    /// Replaces the value; readers of the old one keep it.
    pub fn publish(&self, next: T) {
        self.0.store(Arc::new(next));
    }

    /// Replaces the value and gives the old one, which readers may still hold.
    pub fn replace(&self, next: T) -> Arc<T> {
        self.0.swap(Arc::new(next))
    }

    /// The current value.
    pub fn read(&self) -> Arc<T> {
        self.0.load_full()
    }
}
