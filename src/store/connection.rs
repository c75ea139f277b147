//! A connection to a database file: how it is opened, what SQLite may take for granted in it, and how it is written.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::StoreFault;
use super::read;
use super::rows::Restored;
use super::schema::{self, Recognised};

/// How long a write waits for another program that holds a lock, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// Where the header of a database has the version that a program must know to write it.
const WRITE_VERSION_AT: u64 = 18;

/// The version of databases with a WAL. No SQLite knows a later one.
const WRITE_VERSION_MAX: u8 = 2;

/// A larger file is not of this program.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Opens the file of a database, which `file` and `metadata` are of, to read and write it.
pub(super) fn connect(path: &Path, file: File, metadata: &fs::Metadata) -> Result<Connection, StoreFault> {
    if metadata.len() > FILE_BYTES_MAX {
        return Err(StoreFault::Foreign(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        file.set_permissions(mode)?;
    }
    // SQLite would read such a file and refuse every write (https://www.sqlite.org/fileformat.html, 1.3.3).
    let mut write_version = [0];
    if file.read_at(&mut write_version, WRITE_VERSION_AT)? == 1 && write_version[0] > WRITE_VERSION_MAX {
        let text =
            format!("its format has the write version {}, which this SQLite cannot write", write_version[0]);
        return Err(StoreFault::Foreign(text));
    }
    // A later close of any descriptor of the file would release the locks of SQLite, and the next program that only
    // reads would take itself for the last one and remove the WAL (https://www.sqlite.org/howtocorrupt.html, 2.2).
    drop(file);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    distrust(&connection)?;
    Ok(connection)
}

/// Has SQLite take nothing in the file for granted.
fn distrust(connection: &Connection) -> Result<(), StoreFault> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(())
}

/// Reads a database to which nobody can write, with its WAL. The index of the WAL is in memory then, which takes an
/// exclusive lock, and a file that is open for reading only cannot have one; so this VFS has no locks
/// (<https://www.sqlite.org/vfs.html>, 2.1).
pub(super) fn read_at_rest(path: &Path) -> Result<Restored, StoreFault> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err(StoreFault::Foreign("it is no regular file, or too large".to_owned()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags_and_vfs(path, flags, "unix-none")?;
    distrust(&connection)?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    if schema::recognise(&connection)? != Recognised::Current {
        return Err(StoreFault::Foreign("it has no tables of this version".to_owned()));
    }
    check_pages(&connection)?;
    read::all(&connection)
}

/// Copies the whole WAL into the database. Returns true if that succeeded.
pub(super) fn copy_wal(connection: &Connection) -> bool {
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    is_busy.is_ok_and(|is_busy| is_busy == 0)
}

/// Sets how the database is written. One with tables is not written here, so that a start on a full disk reads it.
pub(super) fn set_up(connection: &Connection, is_empty: bool) -> Result<(), StoreFault> {
    if is_empty {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    // The answer to this pragma is a row.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(io::Error::other(format!("it cannot have a WAL: the mode is {mode}")).into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // A commit writes to the WAL alone, so that a change of the database during one is that of another program.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.query_row("PRAGMA journal_size_limit = 4194304", [], |_| Ok(()))?;
    Ok(())
}

/// Reads every page.
pub(super) fn check_pages(connection: &Connection) -> Result<(), StoreFault> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreFault::Foreign(format!("it is damaged: {found}"))) }
}
