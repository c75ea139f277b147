//! Hands the newest table of verdicts from the link monitor to one worker, without a lock.

use std::fmt;
use std::sync::Arc;

use crossbeam_utils::atomic::AtomicCell;

use super::verdict_table::VerdictTable;

/// A cell that holds at most one table. A newer table replaces one that the worker has not taken.
#[derive(Default)]
pub(super) struct Mailbox(AtomicCell<Option<Arc<VerdictTable>>>);

impl Mailbox {
    /// Puts a table in, in place of one that was not taken.
    pub(super) fn put(&self, table: Arc<VerdictTable>) {
        self.0.store(Some(table));
    }

    /// Takes the table out; returns `None` if no new one was put in.
    pub(super) fn take(&self) -> Option<Arc<VerdictTable>> {
        self.0.take()
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Reading the cell would take the table out.
        f.write_str("Mailbox")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cell_is_lock_free() {
        assert!(AtomicCell::<Option<Arc<VerdictTable>>>::is_lock_free());
    }
}
