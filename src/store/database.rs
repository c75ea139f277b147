//! The open database: opens or replaces the file, and notices when others remove, replace or change it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tracing::warn;

use super::connection::{check_pages, connect, copy_wal, read_at_rest, set_up};
use super::error::{StoreError, StoreFault};
use super::files::{DatabaseFiles, FileId, FileStamp, SHM};
use super::folder::{DATABASE, JOURNAL, WAL, beside, explain, open_own};
use super::pending::Pending;
use super::read;
use super::rows::Restored;
use super::schema::{self, Recognised};
use super::write::write;

/// The WAL is copied into the database when it is larger than this, and shrinks to as many bytes after that.
const WAL_BYTES: u64 = 4 << 20;

/// The database of a state directory, open or to be opened again.
#[derive(Debug)]
pub(super) struct Database {
    path: PathBuf,
    /// `None` while the disk does not let it be opened.
    open: Option<Connection>,
    /// The files as this process left them; `None` if it is not known whether it left them so.
    left: Option<DatabaseFiles>,
    /// The file that this process has read or made; `None` before that. Any other file at the path is set aside.
    known: Option<FileId>,
    /// True if a database was made since the folder was last synced.
    has_unsynced_name: bool,
    is_lost: bool,
    /// True if the next write has to remove all rows first: they are older than those that were written last.
    must_clear: bool,
    /// Why the database could not be opened for writing at the start, in words.
    fault: Option<String>,
}

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
            left: None,
            known: None,
            has_unsynced_name: false,
            is_lost: false,
            must_clear: false,
            fault: None,
        };
        let restored = match database.open_and_read() {
            Ok(Opened::Restored(restored)) => restored,
            Ok(Opened::Empty) => {
                database.is_lost = false;
                Restored::default()
            }
            Ok(Opened::Newer(found)) => return Err(StoreError::Newer { path: database.path, found }),
            Err(fault) if fault.is_damage() => {
                database.set_aside(&fault);
                // Without room for an empty database the first write tries again.
                let _ = database.ensure_open();
                Restored::default()
            }
            Err(fault) if let Some(restored) = database.read_without_writing(&fault) => {
                let why = fault.explain();
                warn!("the state in {} was read and cannot be written: {why}", database.path.display());
                database.fault = Some(why);
                restored
            }
            Err(fault) => {
                let why = explain(&fault, folder);
                warn!(
                    "the state in {} cannot be read: {why}; starting without it: what is to be kept stays in memory, \
                     and a restart forgets it until that works",
                    database.path.display()
                );
                database.fault = Some(why);
                Restored::default()
            }
        };
        Ok((restored, database))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns why nothing could be written at the start; `None` if it could.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
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

    /// Reads the database if `fault` says that its file system is read-only. Returns `None` if it cannot be read
    /// either.
    fn read_without_writing(&mut self, fault: &StoreFault) -> Option<Restored> {
        if !fault.is_read_only() {
            return None;
        }
        let left = DatabaseFiles::at(&self.path).ok()?;
        let restored = read_at_rest(&self.path).ok()?;
        self.known = left.database.map(|file| file.id);
        self.left = Some(left);
        Some(restored)
    }

    /// Opens the database, and creates its tables if it has none. Nothing is read.
    fn connect(&mut self) -> Result<(Opened, FileId), StoreFault> {
        // The file is made with its mode before SQLite opens it. The WAL and its index get the mode of the database.
        let file = open_own(&self.path)?;
        let metadata = file.metadata()?;
        let identity = FileStamp::of(&metadata).id;
        if metadata.len() == 0 {
            // Whatever fails from here on, the next attempt knows that this file is a new one.
            self.known = Some(identity);
            self.has_unsynced_name = true;
            self.is_lost = true;
        }
        // What fails from here on may have changed the file.
        self.left = None;
        let mut connection = connect(&self.path, file, &metadata)?;
        let recognised = schema::recognise(&connection).map_err(StoreFault::of_first_read)?;
        if let Recognised::Newer(version) = recognised {
            return Ok((Opened::Newer(version), identity));
        }
        set_up(&connection, recognised == Recognised::Empty)?;
        if recognised == Recognised::Empty {
            schema::create(&mut connection)?;
        }
        if self.has_unsynced_name {
            sync_folder_of(&self.path)?;
            self.has_unsynced_name = false;
        }
        self.open = Some(connection);
        self.left = DatabaseFiles::at(&self.path).ok();
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

    /// Closes the database if one of its files was removed, replaced or changed by others. A database at the path that
    /// this process has neither read nor made, or that others have changed, is renamed: its rows would be mixed with
    /// those of this process.
    fn check_files(&mut self) -> Result<(), StoreFault> {
        remove_irregular(&self.path)?;
        let now = DatabaseFiles::at(&self.path)?;
        let path = self.path.display();
        let is_known = self.known.is_some() && now.database.map(|file| file.id) == self.known;
        let was_written = self.left.is_some_and(|left| now.was_written_since(&left));
        if is_known && !was_written {
            if self.open.is_some() && self.left.is_some_and(|left| !now.has_logs_of(&left)) {
                warn!(
                    "{path}-wal or {path}-shm was removed or replaced while it was in use; all is written again"
                );
                // SQLite still has the removed WAL open. What cannot be copied from it now is lost with it.
                self.must_clear |= !self.open.take().is_some_and(|open| copy_wal(&open));
                self.left = None;
                self.is_lost = true;
            }
            return Ok(());
        }
        self.close_as_it_is();
        let left = self.left.take();
        if left.is_some_and(|left| left.wal == now.wal) {
            // It belongs to what was in the database before, and SQLite would take it for the WAL of what is in it now.
            let _ = fs::remove_file(beside(&self.path, WAL));
        }
        if left.is_some_and(|left| left.shm.map(|shm| shm.id) == now.shm.map(|shm| shm.id)) {
            let _ = fs::remove_file(beside(&self.path, SHM));
        }
        let unread = beside(&self.path, ".unread");
        let is_there = now.database.is_some_and(|file| file.len > 0);
        if is_there {
            rename_all(&self.path, &unread)?;
        }
        let (path, unread) = (self.path.display(), unread.display());
        let how = if was_written { "changed by another program" } else { "removed or replaced" };
        match (self.known.is_some(), is_there) {
            (true, true) => warn!(
                "{path} was {how} while it was in use; all is written again to a new one. What was there is now \
                 {unread}; to use it, stop the program and rename it back"
            ),
            (true, false) => {
                warn!("{path} was {how} while it was in use; all is written again to a new one");
            }
            (false, true) => warn!(
                "{path} is a database that this process has not read, and is now {unread}; to use it, stop the \
                 program and rename it back"
            ),
            (false, false) => {}
        }
        self.known = None;
        self.is_lost = true;
        Ok(())
    }

    /// Looks whether the files are still those that this process left, and makes them anew if they are not.
    pub(super) fn look(&mut self) {
        // The next write makes another attempt, and logs why it fails.
        let _ = self.ensure_open();
    }

    /// Closes the database and leaves its files as they are: copying the WAL would write into what others have put
    /// there.
    fn close_as_it_is(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = open.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }

    /// Renames a database that is of no use, with its WAL, and logs that. The next attempt makes a new one.
    fn set_aside(&mut self, fault: &StoreFault) {
        self.close_as_it_is();
        let (path, bad) = (self.path.display(), beside(&self.path, ".bad"));
        match rename_all(&self.path, &bad) {
            Ok(()) => {
                warn!("the state in {path} is of no use: {fault}; it is now {}", bad.display());
                (self.known, self.left) = (None, None);
                self.is_lost = true;
            }
            Err(error) => {
                warn!("the state in {path} is of no use: {fault}; it cannot be set aside: {error}");
            }
        }
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
            Some(open) => write(open, pending, must_clear).map_err(StoreFault::of_own_statement),
            None => Err(io::Error::other("it is not open").into()),
        });
        let written = written.and_then(|()| self.check_after_commit());
        self.must_clear &= written.is_err();
        if let Err(fault) = &written {
            if fault.is_damage() {
                self.set_aside(fault);
            } else {
                self.reopen_later();
            }
        }
        written
    }

    /// Looks whether others changed the database during the commit, which writes to the WAL alone. Then copies the WAL
    /// into the database if it is large, and takes note of the files.
    fn check_after_commit(&mut self) -> Result<(), StoreFault> {
        let now = DatabaseFiles::at(&self.path)?;
        if self.left.is_some_and(|left| left.database != now.database) {
            return Err(io::Error::other("another program has changed it just now").into());
        }
        if let Some(open) = &self.open
            && now.wal.is_some_and(|wal| wal.len > WAL_BYTES)
        {
            // Readers may keep a part of it from being copied. The next commit tries again.
            let _ = open.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
        self.left = Some(DatabaseFiles::at(&self.path)?);
        Ok(())
    }

    /// Closes the database, so that the next attempt opens the file again: after a failed sync, or once files can be
    /// opened again.
    fn reopen_later(&mut self) {
        let now = DatabaseFiles::at(&self.path).ok();
        let is_own = |left: DatabaseFiles| now.is_some_and(|now| left.database == now.database);
        if self.left.is_none_or(is_own) {
            // The last connection copies the WAL and removes it.
            self.open = None;
            self.left = DatabaseFiles::at(&self.path).ok();
        } else {
            self.close_as_it_is();
            // What this process wrote to the WAL is still its own.
            if let Some((left, now)) = self.left.as_mut().zip(now) {
                (left.wal, left.shm) = (now.wal, now.shm);
            }
        }
    }

    /// Copies the WAL into the database, so that the file alone has everything.
    pub(super) fn close(&mut self) {
        // What others have put there stays as it is; the next start reads it, or sets it aside.
        let now = DatabaseFiles::at(&self.path).ok();
        let is_other = |(left, now): (DatabaseFiles, DatabaseFiles)| {
            now.was_written_since(&left) || !now.has_files_of(&left)
        };
        if self.left.zip(now).is_some_and(is_other) {
            self.close_as_it_is();
        }
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

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Removes what is no regular file from the names that SQLite opens: a link, which would lead elsewhere, or a FIFO, at
/// which a start would wait. Nothing is in it, and to rename it takes rights that the sandbox does not give.
fn remove_irregular(path: &Path) -> io::Result<()> {
    let names = ["", WAL, SHM, JOURNAL].map(|suffix| beside(path, suffix));
    for name in &names {
        let Ok(metadata) = fs::symlink_metadata(name) else { continue };
        if metadata.is_file() {
            continue;
        }
        let shown = name.display();
        if metadata.is_dir() {
            return Err(io::Error::other(format!("another program has made a folder {shown}: remove it")));
        }
        let what = match fs::read_link(name) {
            Ok(target) => format!("a symbolic link to {}", target.display()),
            Err(_) => "no regular file".to_owned(),
        };
        fs::remove_file(name).map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("{shown} is {what} and cannot be removed ({error}): remove it"),
            )
        })?;
        warn!(
            "{shown} was replaced by another program with {what}, which is removed now; let nobody but this program \
             write to the folder"
        );
    }
    Ok(())
}

/// Renames a database with its WAL and the index of that.
fn rename_all(from: &Path, to: &Path) -> io::Result<()> {
    let renamed = fs::rename(from, to);
    for suffix in [WAL, SHM] {
        // A WAL that stayed would be taken for the one of the next database, and an earlier one for that of this one.
        if fs::rename(beside(from, suffix), beside(to, suffix)).is_err() {
            let _ = fs::remove_file(beside(to, suffix));
        }
    }
    renamed
}
