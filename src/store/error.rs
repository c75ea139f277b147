//! Why the database cannot be used: reasons that stop the start, and what an operator can do about each.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::rows::SCHEMA_VERSION;

/// Why the program does not start with its state directory.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process holds the lock of the folder.
    #[error(
        "another process keeps its state in {}: {holder}. Stop it, or give this one a StateDirectory of its own",
        folder.display()
    )]
    InUse {
        /// The state directory.
        folder: PathBuf,
        /// Who holds it: the pid if it is known.
        holder: String,
    },
    /// A process that is no TrafficAlerted holds the lock of the folder.
    #[error(
        "{holder} holds the lock of the state directory {} and is no TrafficAlerted: end it, or name another \
         StateDirectory",
        folder.display()
    )]
    Held {
        /// The state directory.
        folder: PathBuf,
        /// The process and its user.
        holder: String,
    },
    /// The folder or a file in it may be changed by others, or leads elsewhere.
    #[error("the state directory is not safe to use: {0}")]
    Unsafe(String),
    /// A later version of this program wrote the database.
    #[error(
        "{} was written by a later version of this program (its schema is {found}, this program knows {SCHEMA_VERSION}). \
         Start that version again, or move the file away to begin without the alerts and mutes in it",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
    },
    /// The system cannot create the thread.
    #[error("cannot start the thread of the store: {0}. Raise the limit on tasks")]
    Thread(#[source] io::Error),
}

/// Why a read or write of the database failed.
#[derive(Debug, Error)]
pub(super) enum StoreFault {
    /// SQLite refused.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file cannot be opened or created.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is not a database of this program.
    #[error("{0}")]
    Foreign(String),
}

impl StoreFault {
    /// Returns true if the file itself is of no use, so that a retry cannot help.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
            ),
            Self::Io(_) => false,
            Self::Foreign(_) => true,
        }
    }

    /// Returns true if the file system is read-only.
    pub(super) fn is_read_only(&self) -> bool {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly),
            Self::Io(error) => error.raw_os_error() == Some(libc::EROFS),
            Self::Foreign(_) => false,
        }
    }

    /// Returns the fault of the first statements after the open. Those are constant, so if SQLite finds an error in
    /// them, it does not support what the header of the file says.
    pub(super) fn of_first_read(self) -> Self {
        match &self {
            Self::Sqlite(error)
                if error
                    .sqlite_error()
                    .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_ERROR) =>
            {
                Self::Foreign(format!("SQLite cannot use it: {error}"))
            }
            _ => self,
        }
    }

    /// Returns the fault of a write. The statements are constant and fit the tables of this program, so if SQLite finds
    /// an error in them, another program has changed the tables.
    pub(super) fn of_own_statement(self) -> Self {
        use rusqlite::ErrorCode as Code;
        let Self::Sqlite(error) = &self else { return self };
        let is_other_schema = match error.sqlite_error_code() {
            Some(Code::ConstraintViolation | Code::TypeMismatch | Code::SchemaChanged) => true,
            _ => error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_ERROR),
        };
        if is_other_schema {
            Self::Foreign(format!("its tables are not those of this program any more: {error}"))
        } else {
            self
        }
    }

    /// Returns what failed, in words, and what can be done about it.
    pub(super) fn explain(&self) -> String {
        use rusqlite::ErrorCode as Code;
        let Self::Sqlite(error) = self else {
            let remedy = match self {
                Self::Io(error) => remedy_of(error),
                Self::Sqlite(_) | Self::Foreign(_) => "",
            };
            return format!("{self}{remedy}");
        };
        let remedy = match error.sqlite_error_code() {
            Some(Code::DiskFull) => FULL,
            Some(Code::ReadOnly) => READ_ONLY,
            Some(Code::PermissionDenied) => PERMISSION,
            Some(Code::CannotOpen) => {
                "; look for a file system that is full or read-only, for too few open files (LimitNOFILE=), and for \
                 the owner of the folder"
            }
            Some(Code::SystemIoFailure) => {
                "; look into the kernel's log for errors of the disk, and for a full disk"
            }
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                "; another program holds the database: end its transaction"
            }
            _ => "",
        };
        format!("{error}{remedy}")
    }
}

const FULL: &str = "; make room on its file system";
const READ_ONLY: &str = "; its file system is read-only: mount it writable";
const PERMISSION: &str = "; give the folder to the user of this program";

fn remedy_of(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => FULL,
        Some(libc::EROFS) => READ_ONLY,
        Some(libc::EACCES | libc::EPERM) => PERMISSION,
        Some(libc::EMFILE | libc::ENFILE) => "; too many files are open: raise LimitNOFILE= of the unit",
        _ => "",
    }
}
