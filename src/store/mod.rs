//! The database of the state: alerts, mutes, and the notices that each sink has yet to deliver.
//!
//! ```text
//!   Changes -> StateWriter (in memory, by key) -> thread `store` -> one transaction -> state.db
//! ```
//!
//! * **Owns** the file `state.db` in the state directory with its schema, the lock of the directory, and the thread
//!   that writes ([`StateWriter`]).
//! * **Does not contain** what the rows mean. It knows keys, numbers and texts; `alert` makes the texts and checks
//!   them.
//! * **Fails** towards its callers never. What the disk does not take stays in memory, one value per key, and is
//!   written once the disk takes it again. Both are logged once.
//!
//! `docs/state.md` describes the schema for whoever reads the file with other programs.
#![forbid(unsafe_code)]

mod connection;
mod database;
mod error;
mod files;
mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod holder;
mod pending;
mod read;
mod rows;
mod schema;
mod write;
mod writer;

use std::path::Path;

pub use error::StoreError;
pub use folder::{
    DATABASE, FolderProblem, LOCK_FILE, beside, folder_problem, group_may_write, last_written, read_regular,
    refusal,
};
pub use rows::{AlertRow, Changes, MuteRow, NoticeRow, Numbers, OutboxRow, Restored};
pub use writer::{StateStatus, StateWriter, Ticket, Unwritten};

/// Opens the database of a state directory.
#[derive(Debug)]
pub struct StateDatabase;

impl StateDatabase {
    /// Locks the folder, opens or creates the database in it, reads what an earlier process left, and starts the thread
    /// that writes. A folder that does not exist is created.
    ///
    /// A database that is damaged or of another program is renamed (`.bad`) with a log line, and an empty one takes its
    /// place. If the disk does not let it be opened at the moment, that is logged, nothing is restored, and the thread
    /// goes on trying.
    ///
    /// # Errors
    /// Another process has the folder, the folder or a file in it is not safe to use, a later version of this program
    /// wrote the database, or the system cannot create a thread.
    pub fn open(folder: &Path) -> Result<(Restored, StateWriter), StoreError> {
        if let Some(FolderProblem { text, stops_start: false }) = folder_problem(folder) {
            tracing::warn!("the state directory: {text}");
        }
        // Without the lock nothing is written; the thread goes on trying to get it.
        let lock = folder::lock(folder)?.ok();
        let (restored, database) = database::Database::open(folder)?;
        let unwritten_from = restored.numbers.map_or(0, |numbers| numbers.last_notice.saturating_add(1));
        let writer = StateWriter::start(database, lock, unwritten_from)?;
        Ok((restored, writer))
    }
}

#[cfg(test)]
mod tests;
