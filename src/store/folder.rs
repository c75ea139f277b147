//! The state directory: who may use it, its lock, and files in it that are opened without following a link.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::{StoreError, StoreFault};
use super::holder::{LockHolder, holder};
use super::schema;
use crate::sandbox;

/// What SQLite appends to the name of the database for its WAL.
pub(super) const WAL: &str = "-wal";

/// What SQLite appends to it for a rollback journal. A database in WAL mode has none, but SQLite looks for one.
pub(super) const JOURNAL: &str = "-journal";

/// Name of the database in the state directory.
pub const DATABASE: &str = "state.db";

/// Name of the lock file in the state directory.
pub const LOCK_FILE: &str = "state.lock";

/// Maximum number of bytes that are read from the lock file.
const LOCK_BYTES_MAX: u64 = 32;

/// Flags of an open that follows no link and never blocks.
const SAFE_FLAGS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Something about a state directory that its operator should change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderProblem {
    /// What is wrong and what to do about it.
    pub text: String,
    /// True if the program does not start with it.
    pub stops_start: bool,
}

/// Returns what is wrong with a state directory as it is now; `None` if it can be used. Creates nothing.
#[must_use]
pub fn folder_problem(folder: &Path) -> Option<FolderProblem> {
    folder_problem_for(folder, &[nix::unistd::geteuid().as_raw()])
}

/// Returns why the program would not start with a state directory as it is now; `None` if nothing is seen. `owners` are
/// the users, besides root, to whom its files may belong. Creates nothing, and asks for no lock.
#[must_use]
pub fn refusal(folder: &Path, owners: &[u32]) -> Option<StoreError> {
    match folder_problem_for(folder, owners) {
        Some(FolderProblem { text, stops_start: true }) => Some(StoreError::Unsafe(text)),
        Some(_) => None,
        None => {
            let path = folder.join(DATABASE);
            let newer = schema::newer_version(&path).map(|found| StoreError::Newer { path, found });
            newer.or_else(|| held_by_a_stranger(folder))
        }
    }
}

/// Returns the error of the start if a process that is no TrafficAlerted holds a lock of the folder. A TrafficAlerted
/// that holds it is no error to whoever checks the configuration of the program that runs.
fn held_by_a_stranger(folder: &Path) -> Option<StoreError> {
    let file = folder.join(LOCK_FILE);
    // Without the pid in it nobody knows whose lock it is.
    let written = written_pid(&mut OpenOptions::new().read(true).custom_flags(SAFE_FLAGS).open(&file).ok()?)?;
    let of_folder = fs::metadata(folder).ok().filter(is_closed_to_others);
    let of_file = fs::symlink_metadata(&file).ok();
    [of_folder, of_file].into_iter().flatten().find_map(|locked| match holder(&locked, Some(written)) {
        LockHolder::Stranger(holder) => Some(StoreError::Held { folder: folder.to_owned(), holder }),
        LockHolder::Own(_) | LockHolder::Unknown => None,
    })
}

/// Returns true if the group of a state directory may write to it: then its members can replace the state.
#[must_use]
pub fn group_may_write(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir() && metadata.mode() & 0o020 != 0)
}

fn folder_problem_for(folder: &Path, owners: &[u32]) -> Option<FolderProblem> {
    let problem = |text: String, stops_start| Some(FolderProblem { text, stops_start });
    let metadata = match fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = folder.parent().unwrap_or(folder);
            return match fs::metadata(parent) {
                Ok(parent) if parent.is_dir() => None,
                _ => problem(
                    format!("{} cannot be made: no such folder as {}", folder.display(), parent.display()),
                    false,
                ),
            };
        }
        Err(error) => return problem(format!("{}: {error}", folder.display()), false),
    };
    if !metadata.is_dir() {
        return problem(
            format!("{} is not a folder: name one, or move the file away", folder.display()),
            true,
        );
    }
    if metadata.mode() & 0o002 != 0 {
        // Also with the sticky bit, as in /tmp: a pipe under a name that SQLite opens would stop the start for ever.
        let text = format!(
            "every user may write to {}: take that away (chmod o-w), or name another folder",
            folder.display()
        );
        return problem(text, true);
    }
    let names = [DATABASE, "state.db-wal", "state.db-shm", "state.db-journal", LOCK_FILE];
    let unsafe_file = names.iter().find_map(|name| file_problem(&folder.join(name), metadata.uid(), owners));
    unsafe_file.and_then(|text| problem(text, true))
}

/// Returns what is wrong with a file of the state; `None` if it is a regular file of ours or does not exist.
fn file_problem(path: &Path, owner_of_folder: u32, owners: &[u32]) -> Option<String> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let name = path.display();
    if metadata.file_type().is_symlink() {
        return Some(format!("{name} is a symbolic link, and none is followed: move the file itself there"));
    }
    if !metadata.is_file() {
        return Some(format!("{name} is not a regular file: move it away"));
    }
    let owner = metadata.uid();
    (![0, owner_of_folder].contains(&owner) && !owners.contains(&owner)).then(|| {
        format!("{name} belongs to the user {owner}: give it to the user of this program, or move it away")
    })
}

/// The lock of a state directory. It is released when this is dropped, and by the kernel when the process ends.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
    /// The folder itself is locked too: unlike the file, it cannot be removed while the database is in it. `None` if it
    /// cannot be opened, if others can open it, or if its file system locks no folders.
    _folder: Option<File>,
}

/// Checks the folder, creates it if it does not exist, and locks it. Returns the error of the system if the lock file
/// cannot be opened at the moment.
///
/// # Errors
/// Another process holds the lock, or the folder is not safe to use.
pub(super) fn lock(folder: &Path) -> Result<io::Result<FolderLock>, StoreError> {
    if let Some(FolderProblem { text, stops_start: true }) = folder_problem(folder) {
        return Err(StoreError::Unsafe(text));
    }
    // If it cannot be made, opening the lock file fails below.
    let _ = DirBuilder::new().mode(0o700).create(folder);
    let locked_folder = match lock_itself(folder) {
        Ok(locked) => locked,
        Err(TryLockError::WouldBlock) => {
            let mut file =
                OpenOptions::new().read(true).custom_flags(SAFE_FLAGS).open(folder.join(LOCK_FILE)).ok();
            return Err(in_use(folder, fs::metadata(folder).ok(), file.as_mut()));
        }
        Err(TryLockError::Error(_)) => None,
    };
    let mut file = match open_own(&folder.join(LOCK_FILE)) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    // Whoever can read a file can lock it.
    if file.metadata().is_ok_and(|metadata| metadata.mode() & 0o077 != 0) {
        let _ = file.set_permissions(Permissions::from_mode(0o600));
    }
    match file.try_lock() {
        Ok(()) => {
            // Without its pid in the file the lock holds as well.
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            Ok(Ok(FolderLock { _file: file, _folder: locked_folder }))
        }
        Err(TryLockError::WouldBlock) => Err(in_use(folder, file.metadata().ok(), Some(&mut file))),
        // The file system has no locks.
        Err(TryLockError::Error(error)) => {
            tracing::warn!("{} cannot be locked: {error}; run one process with it only", folder.display());
            Ok(Ok(FolderLock { _file: file, _folder: locked_folder }))
        }
    }
}

/// Locks the folder itself, unless others can open it: they could lock it too, and keep this program from starting.
///
/// # Errors
/// Another process holds this lock, or the file system locks no folders.
fn lock_itself(folder: &Path) -> Result<Option<File>, TryLockError> {
    let Ok(opened) = File::open(folder) else { return Ok(None) };
    if !opened.metadata().is_ok_and(|metadata| is_closed_to_others(&metadata)) {
        return Ok(None);
    }
    opened.try_lock()?;
    Ok(Some(opened))
}

/// Returns true if its owner and root alone can open a folder.
fn is_closed_to_others(folder: &Metadata) -> bool {
    folder.mode() & 0o044 == 0
}

/// Returns the error about a lock that another process holds. `locked` is what it has locked, `file` the lock file.
fn in_use(folder: &Path, locked: Option<Metadata>, file: Option<&mut File>) -> StoreError {
    let has_file = file.is_some();
    let written = file.and_then(written_pid);
    let found = locked.map_or(LockHolder::Unknown, |locked| holder(&locked, written));
    let holder = match (found, written) {
        (LockHolder::Stranger(holder), Some(_)) => {
            return StoreError::Held { folder: folder.to_owned(), holder };
        }
        // Without a pid in the lock file a TrafficAlerted may have another name.
        (LockHolder::Stranger(holder), None) => format!("it is {holder}"),
        (LockHolder::Own(pid), _) => format!("its pid is {pid}"),
        (LockHolder::Unknown, Some(pid)) => {
            format!("its pid is {pid}, unless that has ended: then find it with fuser {LOCK_FILE}")
        }
        (LockHolder::Unknown, None) if has_file => format!("find it with fuser {LOCK_FILE}"),
        (LockHolder::Unknown, None) => format!("its {LOCK_FILE} was removed; find it with fuser {DATABASE}"),
    };
    StoreError::InUse { folder: folder.to_owned(), holder }
}

/// Returns the pid that the last process with the lock has written to its file.
fn written_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.take(LOCK_BYTES_MAX).read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}

/// Opens a file for reading and writing, and creates it for its owner alone if it does not exist. Never blocks.
///
/// # Errors
/// It cannot be opened, is a symbolic link or is not a regular file.
pub(super) fn open_own(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(SAFE_FLAGS)
        .open(path)?;
    check_regular(file)
}

/// Reads a file of at most `bytes_max` bytes. Never blocks.
///
/// # Errors
/// It cannot be read, is a symbolic link, is not a regular file or is larger.
pub fn read_regular(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = check_regular(OpenOptions::new().read(true).custom_flags(SAFE_FLAGS).open(path)?)?;
    if file.metadata()?.len() > bytes_max {
        return Err(io::Error::other(format!("it is larger than {bytes_max} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check_regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Returns when the database of a state directory was written last; `None` if there is none.
#[must_use]
pub fn last_written(folder: &Path) -> Option<SystemTime> {
    let path = folder.join(DATABASE);
    let written =
        [beside(&path, WAL), path].map(|path| fs::metadata(path).and_then(|file| file.modified()).ok());
    written.into_iter().flatten().max()
}

/// Returns the path with an extension appended, such as `.bad`.
#[must_use]
pub fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(extension);
    PathBuf::from(name)
}
/// Returns in words what failed and what can be done about it.
pub(super) fn explain(fault: &StoreFault, directory: &Path) -> String {
    match sandbox::needs_restart_for(directory) {
        true => format!("{fault}; make the folder if it is missing, and restart: {}", sandbox::MADE_LATER),
        false => fault.explain(),
    }
}
