//! The files of the database as this process left them, by which it notices that others removed, replaced or changed
//! them.
//!
//! This process writes to the database itself in a checkpoint alone, and to its WAL with each commit. A file that has
//! another length or another time of its last write than after that was written by somebody else. A changed mode or
//! owner is no change.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::folder::{WAL, beside};

/// What SQLite appends to the name of the database for the index of its WAL.
pub(super) const SHM: &str = "-shm";

/// Device and inode of a file, which tell whether it was removed or replaced.
pub(super) type FileId = (u64, u64);

/// Which file it is, and its state after the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    pub(super) id: FileId,
    pub(super) len: u64,
    /// Seconds and nanoseconds since 1970-01-01 UTC.
    written_at: (i64, i64),
}

impl FileStamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            id: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            written_at: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// Returns the stamp of the file at a path; `None` if there is none. Follows no link.
    ///
    /// # Errors
    /// The system does not tell.
    pub(super) fn at(path: &Path) -> io::Result<Option<Self>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(Self::of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The database, its WAL and the index of that at one time. Other programs that read change the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DatabaseFiles {
    pub(super) database: Option<FileStamp>,
    pub(super) wal: Option<FileStamp>,
    pub(super) shm: Option<FileStamp>,
}

impl DatabaseFiles {
    /// Returns the files of the database at this path.
    ///
    /// # Errors
    /// The system does not tell.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            database: FileStamp::at(path)?,
            wal: FileStamp::at(&beside(path, WAL))?,
            shm: FileStamp::at(&beside(path, SHM))?,
        })
    }

    /// Returns true if the same database, WAL and index are there, whatever is in them.
    pub(super) fn has_files_of(&self, earlier: &Self) -> bool {
        let id = |files: &Self| files.database.map(|file| file.id);
        id(self) == id(earlier) && self.has_logs_of(earlier)
    }

    /// Returns true if the same WAL and index are there, whatever is in them.
    pub(super) fn has_logs_of(&self, earlier: &Self) -> bool {
        let id = |file: Option<FileStamp>| file.map(|file| file.id);
        id(self.wal) == id(earlier.wal) && id(self.shm) == id(earlier.shm)
    }

    /// Returns true if others wrote to the database or to its WAL, neither of which was removed or replaced, or if they
    /// cut the index: an access to what is missing of it would end the process (SIGBUS).
    pub(super) fn was_written_since(&self, earlier: &Self) -> bool {
        let is_other = |now: Option<FileStamp>, before: Option<FileStamp>| match (now, before) {
            (Some(now), Some(before)) => now.id == before.id && now != before,
            _ => false,
        };
        let is_cut = match (self.shm, earlier.shm) {
            (Some(now), Some(before)) => now.id == before.id && now.len < before.len,
            _ => false,
        };
        is_other(self.database, earlier.database) || is_other(self.wal, earlier.wal) || is_cut
    }
}
