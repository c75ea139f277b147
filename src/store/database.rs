//! The open database: opens or replaces the file, and notices when others remove or replace it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tracing::warn;

use super::error::{StoreError, StoreFault};
use super::folder::{DATABASE, beside, open_own};
use super::pending::Pending;
use super::read;
use super::rows::Restored;
use super::schema::{self, Recognised};
use super::write::write;

/// How long a write waits for another program that holds a lock, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// The WAL is copied into the database when it has this many pages of 4 KiB, and shrinks to as many bytes after that.
const WAL_PAGES: i64 = 1000;

/// Where the header of a database has the version that a program must know to write it.
const WRITE_VERSION_AT: u64 = 18;

/// The version of databases with a WAL. No SQLite knows a later one.
const WRITE_VERSION_MAX: u8 = 2;

/// A larger file is not of this program.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The database of a state directory, open or to be opened again.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    /// `None` while the disk does not let it be opened.
    open: Option<Connection>,
    /// The WAL and its index, as they were when it was opened last.
    logs: [Option<DatabaseFileId>; 2],
    /// The file that this process has read or made; `None` before that. Any other file at the path is set aside.
    known: Option<DatabaseFileId>,
    /// True if a database was made since the folder was last synced.
    has_unsynced_name: bool,
    is_lost: bool,
    /// True if the next write has to remove all rows first: they are older than those that were written last.
    must_clear: bool,
}

/// Device and inode of a file, which tell whether it was removed or replaced.
type DatabaseFileId = (u64, u64);

impl Database {
    /// Opens the database of a folder and reads it. A file that is of no use is set aside.
    ///
    /// # Errors
    /// A later version of this program wrote it.
    pub(super) fn open(folder: &Path) -> Result<(Restored, Self), StoreError> {
        // SQLITE_OPEN_NOFOLLOW refuses a link in any part of the path. Links that lead to the folder are allowed:
        // systemd makes one for a unit with DynamicUser=.
        let path = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()).join(DATABASE);
        let mut database = Self {
            path,
            open: None,
            logs: [None; 2],
            known: None,
            has_unsynced_name: false,
            is_lost: false,
            must_clear: false,
        };
        let restored = match database.open_and_read() {
            Ok(Opened::Restored(restored)) => restored,
            Ok(Opened::Empty) => {
                database.is_lost = false;
                Restored::default()
            }
            Ok(Opened::Newer(found)) => return Err(StoreError::Newer { path: database.path, found }),
            Err(fault) if fault.is_damage() => {
                set_aside(&database.path, &fault);
                // Without room for an empty database the first write tries again.
                let _ = database.ensure_open();
                Restored::default()
            }
            Err(fault) => {
                warn!(
                    "the state in {} cannot be read: {}; starting without it",
                    database.path.display(),
                    fault.explain()
                );
                Restored::default()
            }
        };
        Ok((restored, database))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database and reads it.
    fn open_and_read(&mut self) -> Result<Opened, StoreFault> {
        let (opened, identity) = self.connect()?;
        if let (Opened::Restored(_), Some(open)) = (&opened, &self.open) {
            let read = check_pages(open).and_then(|()| read::all(open));
            match &read {
                Ok(_) => self.known = Some(identity),
                Err(_) => self.open = None,
            }
            return read.map(Opened::Restored);
        }
        Ok(opened)
    }

    /// Opens the database, and creates its tables if it has none. Nothing is read.
    fn connect(&mut self) -> Result<(Opened, DatabaseFileId), StoreFault> {
        // The file is made with its mode before SQLite opens it. The WAL and its index get the mode of the database.
        let file = open_own(&self.path)?;
        let metadata = file.metadata()?;
        let identity = identity_of(&metadata);
        if metadata.len() == 0 {
            // Whatever fails from here on, the next attempt knows that this file is a new one.
            self.known = Some(identity);
            self.has_unsynced_name = true;
            self.is_lost = true;
        }
        let mut connection = connect(&self.path, &file, &metadata)?;
        let recognised = schema::recognise(&connection).map_err(StoreFault::of_first_read)?;
        if let Recognised::Newer(version) = recognised {
            return Ok((Opened::Newer(version), identity));
        }
        set_up(&connection)?;
        if recognised == Recognised::Empty {
            schema::create(&mut connection)?;
        }
        if self.has_unsynced_name {
            sync_folder_of(&self.path)?;
            self.has_unsynced_name = false;
        }
        self.open = Some(connection);
        self.logs = logs_of(&self.path);
        let opened = match recognised {
            Recognised::Empty => {
                self.known = Some(identity);
                Opened::Empty
            }
            _ => Opened::Restored(Restored::default()),
        };
        Ok((opened, identity))
    }

    /// Opens the database if it is not open, or if its files are no longer those that were opened.
    fn ensure_open(&mut self) -> Result<(), StoreFault> {
        self.check_files()?;
        if self.open.is_none() {
            let (opened, identity) = self.connect()?;
            if matches!(opened, Opened::Newer(_)) || self.known != Some(identity) {
                // The next attempt sets the other file aside.
                self.open = None;
                return Err(io::Error::other("another program has replaced it just now").into());
            }
        }
        Ok(())
    }

    /// Closes the database if one of its files was removed or replaced. A database at the path that this process has
    /// neither read nor made is renamed: its rows would be mixed with those of this process.
    fn check_files(&mut self) -> Result<(), StoreFault> {
        let now = match fs::symlink_metadata(&self.path) {
            Ok(metadata) => Some((identity_of(&metadata), metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let path = self.path.display();
        if self.known.is_some() && now.map(|(identity, _)| identity) == self.known {
            if self.open.is_some() && self.logs != logs_of(&self.path) {
                warn!(
                    "{path}-wal or {path}-shm was removed or replaced while it was in use; all is written again"
                );
                // SQLite still has the removed WAL open. What cannot be copied from it now is lost with it.
                self.must_clear |= !self.open.take().is_some_and(|open| copy_wal(&open));
                self.is_lost = true;
            }
            return Ok(());
        }
        if self.known.is_some() {
            warn!("{path} was removed or replaced while it was in use; all is written again to a new one");
        }
        self.open = None;
        for ((suffix, own), now) in LOG_SUFFIXES.iter().zip(self.logs).zip(logs_of(&self.path)) {
            if own.is_some() && own == now {
                // It belongs to the database that is gone, and SQLite would take it for the one of the next.
                let _ = fs::remove_file(beside(&self.path, suffix));
            }
        }
        self.logs = [None; 2];
        if now.is_some_and(|(_, len)| len > 0) {
            let unread = beside(&self.path, ".unread");
            rename_all(&self.path, &unread)?;
            warn!(
                "{path} is a database that this process has not read, and is now {}; to use it, stop the program \
                 and rename it back",
                unread.display()
            );
        }
        self.known = None;
        self.is_lost = true;
        Ok(())
    }

    /// Returns true, once, if the database was replaced by an empty one since it was opened, or may lack what was
    /// written last.
    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.is_lost)
    }

    /// Writes the changes in one transaction and waits until they are on disk.
    ///
    /// # Errors
    /// None of them was written.
    pub(super) fn write(&mut self, pending: &Pending) -> Result<(), StoreFault> {
        let opened = self.ensure_open();
        let must_clear = self.must_clear;
        let written = opened.and_then(|()| match &mut self.open {
            Some(open) => write(open, pending, must_clear),
            None => Err(io::Error::other("it is not open").into()),
        });
        self.must_clear &= written.is_err();
        if let Err(fault) = &written {
            // The next attempt opens the file again: after a failed sync, or once files can be opened again.
            self.open = None;
            if fault.is_damage() {
                set_aside(&self.path, fault);
            }
        }
        written
    }

    /// Copies the WAL into the database, so that the file alone has everything.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.open.take() {
            // The last connection does this when it closes. A failure leaves the WAL, which the next start reads.
            let _ = open.close();
        }
    }
}

enum Opened {
    /// It has what an earlier process left.
    Restored(Restored),
    /// It is new.
    Empty,
    /// A later version of this program wrote it.
    Newer(i64),
}

fn connect(path: &Path, file: &File, metadata: &fs::Metadata) -> Result<Connection, StoreFault> {
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
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// What SQLite appends to the name of the database for its WAL and the index of it.
const LOG_SUFFIXES: [&str; 2] = ["-wal", "-shm"];

fn identity_of(metadata: &fs::Metadata) -> DatabaseFileId {
    (metadata.dev(), metadata.ino())
}

fn logs_of(path: &Path) -> [Option<DatabaseFileId>; 2] {
    LOG_SUFFIXES
        .map(|suffix| fs::symlink_metadata(beside(path, suffix)).ok().map(|metadata| identity_of(&metadata)))
}

/// Copies the whole WAL into the database. Returns true if that succeeded.
fn copy_wal(connection: &Connection) -> bool {
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    is_busy.is_ok_and(|is_busy| is_busy == 0)
}

/// Sets how the database is written.
fn set_up(connection: &Connection) -> Result<(), StoreFault> {
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // The answer to this pragma is a row.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(io::Error::other(format!("it cannot have a WAL: the mode is {mode}")).into());
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    connection.query_row("PRAGMA journal_size_limit = 4194304", [], |_| Ok(()))?;
    Ok(())
}

/// Reads every page.
fn check_pages(connection: &Connection) -> Result<(), StoreFault> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreFault::Foreign(format!("it is damaged: {found}"))) }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Renames a database that is of no use, with its WAL, and logs that.
fn set_aside(path: &Path, fault: &StoreFault) {
    let bad = beside(path, ".bad");
    match rename_all(path, &bad) {
        Ok(()) => warn!("the state in {} is of no use: {fault}; it is now {}", path.display(), bad.display()),
        Err(error) => {
            warn!("the state in {} is of no use: {fault}; it cannot be set aside: {error}", path.display());
        }
    }
}

/// Renames a database with its WAL and the index of that.
fn rename_all(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = fs::rename(from, to);
    for suffix in LOG_SUFFIXES {
        // A WAL that stayed would be taken for the one of the next database, and an earlier one for that of this one.
        if fs::rename(beside(from, suffix), beside(to, suffix)).is_err() {
            let _ = fs::remove_file(beside(to, suffix));
        }
    }
    renamed
}
