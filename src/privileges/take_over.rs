//! Gives files that root has left to the user that the program continues as.
//!
//! A path can be replaced while it is looked at, so nothing here follows a symbolic link, and what is changed is the
//! file that was looked at. Only regular files and sockets with a single link are changed, whose owner is root or an id
//! that an earlier run took since there was no user: a hard link could be any file of root.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{Gid, Uid, fchownat};

use super::account::Account;
use super::running_users::is_nobodys;

/// Files of the program in one folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFiles {
    /// The absolute path of the folder.
    pub folder: PathBuf,
    /// The names of the files. Names that begin with one of them and `.` or `-` count as well: rotated and temporary
    /// files.
    pub names: Vec<OsString>,
    /// True if the service manager has made the folder for this program, or the configuration says that it is the
    /// program's own.
    pub is_own_folder: bool,
}

/// What has changed its owner, and what has not.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TakenOver {
    /// The files and folders that belong to the user now.
    pub changed: Vec<PathBuf>,
    /// The files that are not taken over, each with a sentence that says why.
    pub refused: Vec<String>,
}

impl OwnFiles {
    /// Returns the files of a path: the file itself and those that are named after it. Returns `None` for a path
    /// without a folder.
    pub fn of(path: &Path, is_own_folder: bool) -> Option<Self> {
        let (folder, name) = (path.parent()?, path.file_name()?);
        Some(Self { folder: folder.to_owned(), names: vec![name.to_owned()], is_own_folder })
    }

    /// Returns the owners of what exists, without doubles: those of the program's own folders, then those of the files,
    /// both in the order of `files`.
    pub fn owners(files: &[Self]) -> Vec<u32> {
        let (mut of_folders, mut of_files) = (Vec::new(), Vec::new());
        for own in files {
            let Ok(folder) = open_folder(&own.folder) else { continue };
            if own.is_own_folder {
                of_folders.extend(fstat(&folder).map(|stat| stat.st_uid));
            }
            let names = entries(&folder, own).unwrap_or_default().own;
            let stats = names.iter().filter_map(|name| look(&folder, name).ok());
            of_files.extend(stats.map(|(_, stat)| stat.st_uid));
        }
        let mut owners: Vec<u32> = Vec::new();
        for owner in of_folders.into_iter().chain(of_files) {
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
        owners
    }

    fn has(&self, name: &OsStr) -> bool {
        self.names.iter().any(|own| {
            let rest = name.as_encoded_bytes().strip_prefix(own.as_encoded_bytes());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b".") || rest.starts_with(b"-"))
        })
    }
}

/// Gives the files to the user, and also the folders of root that hold nothing else and that no other user may write
/// to. Needs CAP_CHOWN, and changes what it can.
pub fn take_over(files: &[OwnFiles], account: &Account) -> TakenOver {
    visit(files, account, Action::Give)
}

/// Returns the files and folders that [`take_over()`] and [`take_over_secrets`] would give to the user. Changes
/// nothing.
pub fn would_take_over<'p>(
    files: &[OwnFiles],
    secrets: impl Iterator<Item = &'p Path>,
    account: &Account,
) -> Vec<PathBuf> {
    let files = visit(files, account, Action::Look).changed;
    [files, visit_secrets(secrets, account, Action::Look).changed].concat()
}

/// What is done with a file that may be given.
#[derive(Clone, Copy)]
enum Action {
    Give,
    Look,
}

fn visit(files: &[OwnFiles], account: &Account, action: Action) -> TakenOver {
    let mut result = TakenOver::default();
    let mut folders: Vec<OwnFiles> = Vec::new();
    for own in files {
        // Files of several settings may lie in one folder.
        match folders.iter_mut().find(|known| known.folder == own.folder) {
            Some(known) => {
                known.names.extend(own.names.iter().cloned());
                known.is_own_folder |= own.is_own_folder;
            }
            None => folders.push(own.clone()),
        }
    }
    for own in &folders {
        visit_folder(own, account, action, &mut result);
    }
    result
}

fn visit_folder(own: &OwnFiles, account: &Account, action: Action, result: &mut TakenOver) {
    let folder = match open_folder(&own.folder) {
        Ok(folder) => folder,
        // A folder that does not exist is reported when it is used.
        Err(Errno::ENOENT) => return,
        Err(error) => {
            let why = if matches!(error, Errno::ELOOP | Errno::ENOTDIR) {
                "a symbolic link leads there"
            } else {
                error.desc()
            };
            result.refused.push(format!("{} is not given to {account}: {why}", own.folder.display()));
            return;
        }
    };
    let entries = match entries(&folder, own) {
        Ok(entries) => entries,
        Err(error) => {
            result.refused.push(format!("{} cannot be listed: {}", own.folder.display(), error.desc()));
            return;
        }
    };
    let mut refuse = |path: &Path, why: &str| {
        result.refused.push(format!("{} is not given to {account}: {why}", path.display()));
    };
    if entries.are_cut {
        refuse(&own.folder, TOO_MANY);
        return;
    }
    for name in &entries.own {
        let path = own.folder.join(name);
        match look(&folder, name) {
            Ok((_, stat)) if stat.st_uid == account.uid => {}
            Ok((file, stat)) => match why_not(&stat).map_or_else(|| action.apply(&file, account), Err) {
                Ok(()) => result.changed.push(path),
                Err(why) => refuse(&path, why),
            },
            Err(error) => refuse(&path, error.desc()),
        }
    }
    let Ok(stat) = fstat(&folder) else { return };
    let is_ours_alone = !entries.has_others && !others_may_write(&stat);
    if stat.st_uid == account.uid || !is_roots(stat.st_uid) || !is_ours_alone {
        return;
    }
    if own.is_own_folder || is_deep(&own.folder) {
        match action.apply(&folder, account) {
            Ok(()) => result.changed.push(own.folder.clone()),
            Err(why) => refuse(&own.folder, why),
        }
    }
}

/// Gives the user the files of secrets that root alone can read, and not their folders. Needs CAP_CHOWN.
pub fn take_over_secrets<'p>(files: impl Iterator<Item = &'p Path>, account: &Account) -> TakenOver {
    visit_secrets(files, account, Action::Give)
}

fn visit_secrets<'p>(files: impl Iterator<Item = &'p Path>, account: &Account, action: Action) -> TakenOver {
    let mut result = TakenOver::default();
    for path in files {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
        // What cannot be looked at here, or is a link, is reported when it is read.
        let Ok((file, stat)) = open_folder(parent).and_then(|folder| look(&folder, name)) else { continue };
        let is_link = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFLNK.bits();
        // Whoever is in the group of root may be given what root has.
        let others = if stat.st_gid == 0 { 0o007 } else { 0o077 };
        let is_roots_alone = is_roots(stat.st_uid) && stat.st_mode & others == 0;
        if is_link || !is_roots_alone || stat.st_uid == account.uid {
            continue;
        }
        match why_not(&stat).map_or_else(|| action.apply(&file, account), Err) {
            Ok(()) => result.changed.push(path.to_owned()),
            Err(why) => result.refused.push(format!("{} is not given to {account}: {why}", path.display())),
        }
    }
    result
}

/// Opens a folder step by step, without following a symbolic link on the way.
fn open_folder(path: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut folder = openat(AT_FDCWD, "/", flags, Mode::empty())?;
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => folder = openat(&folder, name, flags, Mode::empty())?,
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::ELOOP),
        }
    }
    Ok(folder)
}

/// What a folder holds.
#[derive(Debug, Default)]
struct Entries {
    /// The names of the program's own files, at most [`OWN_FILES_MAX`].
    own: Vec<OsString>,
    /// True if there is anything else.
    has_others: bool,
    /// True if there are more own files.
    are_cut: bool,
}

/// Reads a whole folder, however much it holds, and keeps the names that `own` has.
fn entries(folder: &OwnedFd, own: &OwnFiles) -> nix::Result<Entries> {
    let mut listed = Dir::from_fd(folder.try_clone().map_err(|_| Errno::last())?)?;
    let mut entries = Entries::default();
    for entry in listed.iter() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        if !own.has(name) {
            entries.has_others = true;
        } else if entries.own.len() < OWN_FILES_MAX {
            entries.own.push(name.to_owned());
        } else {
            entries.are_cut = true;
            break;
        }
    }
    Ok(entries)
}

/// Maximum number of files of the program in a folder: more than `AlertFileKeep` allows.
const OWN_FILES_MAX: usize = 10_000;
/// Why nothing of a folder is given if it holds more of them.
const TOO_MANY: &str = "it holds more than 10000 files of the program; remove the oldest";

/// Opens a file only to look at it and to change its owner.
fn look(folder: &OwnedFd, name: &OsStr) -> nix::Result<(OwnedFd, FileStat)> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(folder, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    Ok((file, stat))
}

/// Returns why a file is not taken over; `None` if it is.
fn why_not(stat: &FileStat) -> Option<&'static str> {
    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
        SFlag::S_IFLNK => Some("it is a symbolic link"),
        SFlag::S_IFREG | SFlag::S_IFSOCK if stat.st_nlink != 1 => Some("it has several names (hard links)"),
        SFlag::S_IFREG | SFlag::S_IFSOCK if !is_roots(stat.st_uid) => Some("it belongs to another user"),
        SFlag::S_IFREG | SFlag::S_IFSOCK => None,
        _ => Some("it is neither a regular file nor a socket"),
    }
}

/// Returns true for root, and for an id that an earlier run took since there was no user.
fn is_roots(uid: u32) -> bool {
    uid == 0 || is_nobodys(uid)
}

impl Action {
    fn apply(self, file: &impl AsFd, account: &Account) -> Result<(), &'static str> {
        match self {
            Self::Give => give(file, account),
            Self::Look => Ok(()),
        }
    }
}

fn give(file: &impl AsFd, account: &Account) -> Result<(), &'static str> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    // The path is empty: it changes the file of the descriptor.
    fchownat(file, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH).map_err(|error| error.desc())
}

/// Returns true if the group or everybody may write to the folder, as to a folder for temporary files.
fn others_may_write(stat: &FileStat) -> bool {
    Mode::from_bits_truncate(stat.st_mode).intersects(Mode::S_IWGRP | Mode::S_IWOTH)
}

/// Returns true unless the folder is one of the system's, right below the root directory.
fn is_deep(folder: &Path) -> bool {
    folder.components().count() > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_and_temporary_files_count_as_own() {
        let own = OwnFiles::of(Path::new("/var/log/x/alerts.jsonl"), false).expect("a file");
        assert_eq!(own.folder, Path::new("/var/log/x"));
        for (name, want) in [
            ("alerts.jsonl", true),
            ("alerts.jsonl.1", true),
            ("alerts.jsonl-wal", true),
            ("alerts.jsonlx", false),
            ("other", false),
            ("xalerts.jsonl", false),
        ] {
            assert_eq!(own.has(OsStr::new(name)), want, "{name}");
        }
        assert_eq!(OwnFiles::of(Path::new("/"), false), None);
    }

    #[test]
    fn no_folder_of_the_system_is_given_away() {
        for (folder, want) in
            [("/var/log/TrafficAlerted", true), ("/srv/alerts", true), ("/tmp", false), ("/", false)]
        {
            assert_eq!(is_deep(Path::new(folder)), want, "{folder}");
        }
        let folder = open_folder(Path::new("/tmp")).expect("it is there");
        assert!(others_may_write(&fstat(&folder).expect("it is open")));
    }

    #[test]
    fn no_link_is_taken_over() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("state"), "x").expect("it is ours");
        std::fs::write(path("hard"), "x").expect("it is ours");
        std::fs::hard_link(path("hard"), path("state.hard")).expect("it is ours");
        std::os::unix::fs::symlink(path("hard"), path("state.soft")).expect("it is ours");
        std::fs::create_dir(path("state.d")).expect("it is ours");
        let opened = open_folder(folder.path()).expect("no link leads there");
        let why = |name: &str| {
            let (_, mut stat) = look(&opened, OsStr::new(name)).expect("it is there");
            stat.st_uid = 0;
            why_not(&stat)
        };
        assert_eq!(why("state"), None);
        assert!(why("state.hard").is_some_and(|why| why.contains("hard links")));
        assert!(why("state.soft").is_some_and(|why| why.contains("symbolic link")));
        assert!(why("state.d").is_some_and(|why| why.contains("neither a regular file")));
        let (_, mut stat) = look(&opened, OsStr::new("state")).expect("it is there");
        stat.st_uid = 4_000_000_000;
        assert!(why_not(&stat).is_some_and(|why| why.contains("another user")));

        std::os::unix::fs::symlink(folder.path(), path("way")).expect("it is ours");
        let result = open_folder(&path("way"));
        assert!(matches!(result, Err(Errno::ELOOP | Errno::ENOTDIR)), "{result:?}");
        assert!(open_folder(Path::new("/proc/../etc")).is_err());
    }

    #[test]
    fn a_folder_is_read_to_its_end() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let own = OwnFiles::of(&folder.path().join("state"), true).expect("a file in a folder");
        let add = |name: String| std::fs::write(folder.path().join(name), "").expect("it is ours");
        let read = || {
            entries(&open_folder(folder.path()).expect("no link leads there"), &own).expect("it is readable")
        };
        (1..OWN_FILES_MAX).for_each(|number| add(format!("state.{number}")));
        add("other".to_owned());
        let entries = read();
        assert_eq!(entries.own.len(), OWN_FILES_MAX - 1);
        assert!(entries.has_others && !entries.are_cut, "the last one was seen among as many");
        add("state".to_owned());
        assert!(!read().are_cut);
        add("state.0".to_owned());
        assert!(read().are_cut);
        let result = take_over(std::slice::from_ref(&own), &Account::nameless(61_184));
        assert!(result.changed.is_empty(), "{:?}", result.changed);
        assert!(result.refused.len() == 1 && result.refused[0].contains(TOO_MANY), "{:?}", result.refused);
    }

    #[test]
    fn the_owner_of_the_programs_folder_comes_first() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(folder.path().join("state.db"), "").expect("it is ours");
        let own = OwnFiles::of(&folder.path().join("state.db"), true).expect("a file in a folder");
        let uid = std::fs::metadata(folder.path()).expect("it is there").uid();
        let foreign =
            OwnFiles { folder: "/proc".into(), names: vec!["version".into()], is_own_folder: false };
        // /proc belongs to another user, or to root like the test: a folder that is not the program's does not count.
        assert_eq!(OwnFiles::owners(&[foreign, own]).first(), Some(&uid));
    }
}
