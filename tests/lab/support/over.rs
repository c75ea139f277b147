//! The end of what a test does beside something else.

use std::sync::atomic::{AtomicBool, Ordering};

/// Says at its end that it is over, also where that is a panic: a thread that works until then has to end.
pub(crate) struct Over<'a>(pub(crate) &'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
