//! `AlertFile`: one JSON object per line, synced before it is acknowledged.
//!
//! * **No partial line.** After a write that failed half-way, the file is truncated at once. Bytes after the last line
//!   end, which a kill or a power loss may leave, are truncated before anything is appended: they were never
//!   acknowledged. So every line is whole, and no line begins in the middle of another.
//! * **Several writers.** Each write is made under `flock(2)` of a file beside it (`.lock`), and only if the path still
//!   leads to the open file. So `test-alert` may write while the program runs, and logrotate(8) may move the file away.
//! * **Readers.** The lock is not that of the file itself, which any reader may hold for as long as it likes. The file
//!   of the lock has mode 0600, so that only the user of this program and root can hold it.
//! * **Foreign files.** A file with other content than lines of JSON is not changed.
//! * **Floods.** Files that fill up within an hour take the place of each other and not of older ones.
//! * **Full disk.** No alert is given up for its age: alerts wait in the queue until the disk has room.

mod rotation;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Instant;

use tracing::{info, warn};

use crate::alert::disk::sync_folder;
use crate::sandbox::{self, IoUringUse};
use crate::sys::file_writer::FileWriter;

use super::counters::SinkName;
use super::log::LOCAL_QUEUE_MAX;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::worker::{Failure, QueuedNotice, Sink};
use rotation::{FLOOD_FILLS_WITHIN, Rotation, Rotator};

/// The file that lines are appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The path of the file, in an existing folder.
    pub path: PathBuf,
    /// Maximum size in bytes; a file that would grow beyond it is rotated.
    pub bytes_max: u64,
    /// Number of rotated files that are kept; `path.1` is the youngest.
    pub keep: u32,
}

pub(super) struct AlertFile {
    options: FileOptions,
    retry: Retry,
    /// The writer; `None` until the thread that writes creates it.
    writer: Option<FileWriter>,
    /// The open file; `None` before the first write and after a failure.
    open: Option<File>,
    /// The file of the lock; `None` before the first write and after a failure.
    lock: Option<File>,
    rotator: Rotator,
    /// When the log last had that a flood replaces its own lines.
    flood_logged: Option<Instant>,
}

impl AlertFile {
    pub(super) fn new(options: FileOptions, retry: Retry) -> Self {
        // No alert is too old for the file.
        let retry = Retry { give_up_after: None, ..retry };
        Self {
            options,
            retry,
            writer: None,
            open: None,
            lock: None,
            rotator: Rotator::default(),
            flood_logged: None,
        }
    }

    /// Appends as many of the lines as the current file has room for, at least one. Returns their number.
    fn append(&mut self, lines: &[String]) -> Result<usize, FileError> {
        let path = &self.options.path;
        let lock = WriteLock::take(path, self.lock.take())?;
        let mut file = OpenFile::at(path, self.open.take())?;
        let mut length = file.truncate_partial_line()?;
        let first = lines.first().map_or(0, |line| line.len() as u64);
        if length > 0 && length + first > self.options.bytes_max {
            let rotation = self.rotator.rotate(path, self.options.keep).map_err(FileError::Rotate)?;
            let was_logged = self.flood_logged.is_some_and(|at| at.elapsed() < FLOOD_FILLS_WITHIN);
            if rotation == Rotation::Youngest && !was_logged {
                self.flood_logged = Some(Instant::now());
                warn!(
                    "AlertFile: a flood fills {} within an hour again and again: only its last lines are kept, so that \
                     older alerts stay; to keep more of it, raise AlertFileMaxSize",
                    path.display()
                );
            }
            file = OpenFile::at(path, None)?;
            length = file.truncate_partial_line()?;
        }
        let room = self.options.bytes_max.saturating_sub(length).max(first);
        let mut bytes = Vec::new();
        let mut taken = 0;
        for line in lines {
            if taken > 0 && (bytes.len() + line.len()) as u64 > room {
                break;
            }
            bytes.extend_from_slice(line.as_bytes());
            taken += 1;
        }
        let writer = self.writer.get_or_insert_default();
        writer.append(&file.0, bytes).map_err(|source| {
            // The file is truncated also after a failed sync, since it is unknown which of the bytes are on the disk.
            // If the truncation fails, it is repeated before the next line.
            let _ = file.0.set_len(length);
            FileError::Write(source)
        })?;
        self.open = Some(file.0);
        self.lock = Some(lock.release());
        Ok(taken)
    }

    fn failure(&self, error: &FileError) -> Failure {
        let path = self.options.path.display();
        let folder = self.options.path.parent().unwrap_or(Path::new("/"));
        Failure::passing(match sandbox::needs_restart_for(folder) {
            true => format!("cannot write {path}: {error}, and restart: {}", sandbox::MADE_LATER),
            false => format!("cannot write {path}: {error}"),
        })
    }
}

impl Sink for AlertFile {
    fn name(&self) -> SinkName {
        SinkName::File
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn wants_growth(&self) -> bool {
        true
    }

    fn queue_max(&self) -> usize {
        LOCAL_QUEUE_MAX
    }

    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let writer = self.writer.get_or_insert_default();
        if let Some(refusal) = writer.refusal() {
            // A reload makes the sink again, when the program's own sandbox refuses what it allowed at the start.
            static SAID: Once = Once::new();
            SAID.call_once(|| info!("AlertFile is written without io_uring: {refusal}"));
        }
        sandbox::note_io_uring(match (writer.refusal(), writer.unrestricted()) {
            (Some(_), _) => IoUringUse::None,
            (None, None) => IoUringUse::Restricted,
            (None, Some(why)) => IoUringUse::Unrestricted(why.to_owned()),
        });
        if let Some(reason) = writer.unrestricted() {
            warn!("the io_uring of AlertFile is not restricted to writes: {reason}");
        }
        // A partial line is truncated when the program starts, not when the next alert comes.
        let path = &self.options.path;
        let opened = WriteLock::take(path, None).and_then(|lock| {
            let mut file = OpenFile::at(path, None)?;
            file.truncate_partial_line()?;
            Ok((file.0, lock.release()))
        });
        let (file, lock) = opened.map_err(|error| self.failure(&error))?;
        (self.open, self.lock) = (Some(file), Some(lock));
        Ok(())
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        let lines: Vec<String> =
            batch.iter().map(|queued| format!("{}\n", queued.json(queued.source()))).collect();
        self.append(&lines).map_err(|error| self.failure(&error))
    }
}

/// Maximum number of lines that are written and synced together, since one sync takes as long as many writes.
const BATCH_MAX: usize = 64;

/// A length that no line of this program has, since the lists of an alert are bounded.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What each line begins with: the first field of an alert. A file whose lines begin otherwise is not ours.
const LINE_BEGIN: &[u8] = b"{\"id\":\"";

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("{0}: {remedy}", remedy = remedy(.0))]
    Open(io::Error),
    #[error("it is no regular file: give the path of a file in a folder of its own")]
    NotRegular,
    #[error("it holds something else than alerts and is left as it is: give another path")]
    Foreign,
    #[error("the file of its lock (.lock) cannot be opened: {0}: {remedy}", remedy = remedy(.0))]
    Lock(io::Error),
    #[error("another TrafficAlerted is writing it and holds the file of its lock (.lock): end that process")]
    Locked,
    #[error("it was moved away again and again while it was opened")]
    Moving,
    #[error("{0}: {remedy}", remedy = remedy(.0))]
    Write(io::Error),
    #[error("the full file cannot be put aside: {0}: {remedy}", remedy = remedy(.0))]
    Rotate(io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    if error.raw_os_error() == Some(libc::ELOOP) {
        return "remove the symbolic link";
    }
    match error.kind() {
        ErrorKind::NotFound => "make its folder (in the unit: LogsDirectory=)",
        ErrorKind::PermissionDenied => {
            "let the user that runs TrafficAlerted write there (in the unit: LogsDirectory=)"
        }
        ErrorKind::ReadOnlyFilesystem => "allow it in the unit with LogsDirectory= or ReadWritePaths=",
        ErrorKind::StorageFull | ErrorKind::WriteZero | ErrorKind::QuotaExceeded => "make room on the disk",
        _ => "see what the system's log says of the disk",
    }
}

/// Returns the path of the file of the lock.
pub(crate) fn lock_path(alert_file: &Path) -> PathBuf {
    let mut path = OsString::from(alert_file);
    path.push(".lock");
    path.into()
}

/// The lock of the writers of an `AlertFile`: the file of the same name with `.lock` appended, under flock(2).
struct WriteLock(File);

impl WriteLock {
    /// Locks `held` if the path of the lock still leads to it, otherwise the file there, which is created if it does
    /// not exist. No symbolic link is followed to it.
    fn take(alert_file: &Path, mut held: Option<File>) -> Result<Self, FileError> {
        let path = &lock_path(alert_file);
        // The file may be removed while it is being locked, but hardly several times in a row.
        for _ in 0..ATTEMPTS {
            let file = match held.take() {
                Some(file) => file,
                None => OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
                    .mode(0o600)
                    .open(path)
                    .map_err(FileError::Lock)?,
            };
            match file.try_lock() {
                Ok(()) if leads_to(path, &file) => return Ok(Self(file)),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(FileError::Locked),
                Err(TryLockError::Error(error)) => return Err(FileError::Lock(error)),
            }
        }
        Err(FileError::Moving)
    }

    /// Releases the lock. Returns its file, so that it need not be opened for the next write.
    fn release(self) -> File {
        // Unlocking cannot fail for a lock that is held, and closing the file releases it in any case.
        let _ = self.0.unlock();
        self.0
    }
}

/// Number of attempts to open a file that other programs may move away at any time.
const ATTEMPTS: u32 = 4;

/// Returns true if the path leads to the open file.
fn leads_to(path: &Path, file: &File) -> bool {
    match (fs::metadata(path), file.metadata()) {
        (Ok(there), Ok(here)) => (there.dev(), there.ino()) == (here.dev(), here.ino()),
        _ => false,
    }
}

/// The file that the path leads to. The caller holds the [`WriteLock`].
struct OpenFile(File);

impl OpenFile {
    /// Returns `open` if the path still leads to it, otherwise the file that the path leads to, which is created if it
    /// does not exist.
    fn at(path: &Path, mut open: Option<File>) -> Result<Self, FileError> {
        // This program rotates under the lock, so one check suffices for that. Other programs may move the file at any
        // time, so several attempts are made.
        for _ in 0..ATTEMPTS {
            let file = match open.take() {
                Some(file) => file,
                None => open_or_create(path)?,
            };
            if leads_to(path, &file) {
                return Ok(Self(file));
            }
        }
        Err(FileError::Moving)
    }

    /// Truncates the file after its last line end. Returns its length after that, in bytes.
    fn truncate_partial_line(&mut self) -> Result<u64, FileError> {
        let file = &self.0;
        let length = file.metadata().map_err(FileError::Open)?.len();
        let whole = whole_lines(file, length)?;
        if whole < length {
            file.set_len(whole).map_err(FileError::Write)?;
            let partial = length - whole;
            warn!("AlertFile: cut off {partial} bytes of a line that was not written to its end");
        }
        Ok(whole)
    }
}

/// Returns true if a file holds something else than alerts, so that nothing will be written to it; false also if it
/// cannot be read. Changes nothing.
pub(crate) fn is_foreign(path: &Path) -> bool {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(path) else { return false };
    let Ok(metadata) = file.metadata() else { return false };
    metadata.is_file() && matches!(whole_lines(&file, metadata.len()), Err(FileError::Foreign))
}

/// Returns the number of bytes up to the end of the last whole line.
fn whole_lines(file: &File, length: u64) -> Result<u64, FileError> {
    if length == 0 {
        return Ok(0);
    }
    let at = |offset| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).map_err(FileError::Open)?;
        Ok(byte[0])
    };
    let whole = match at(length - 1)? {
        b'\n' => length,
        _ => line_end(file, length).map_err(FileError::Open)?.ok_or(FileError::Foreign)?,
    };
    // A file system that lost its last blocks in a crash shows zeros in their place.
    let begins_a_line = |offset: u64| {
        let mut bytes = [0; LINE_BEGIN.len()];
        let read = usize::try_from(length - offset).map_or(bytes.len(), |rest| rest.min(bytes.len()));
        file.read_exact_at(&mut bytes[..read], offset).map_err(FileError::Open)?;
        let written = bytes[..read].split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(LINE_BEGIN.starts_with(written))
    };
    if whole > 0 && !begins_a_line(0)? || whole < length && !begins_a_line(whole)? {
        return Err(FileError::Foreign);
    }
    Ok(whole)
}

/// Returns the offset of the end of the last whole line; `None` if the bytes after it are longer than any line.
fn line_end(file: &File, length: u64) -> io::Result<Option<u64>> {
    let start = length.saturating_sub(LINE_BYTES_MAX);
    let tail_bytes = usize::try_from(length - start).expect("it is at most LINE_BYTES_MAX");
    let mut tail = vec![0; tail_bytes];
    file.read_exact_at(&mut tail, start)?;
    Ok(match tail.iter().rposition(|byte| *byte == b'\n') {
        Some(place) => Some(start + place as u64 + 1),
        None if start == 0 => Some(0),
        None => None,
    })
}

fn open_or_create(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    // O_NONBLOCK: if the path leads to a pipe, opening it must not block.
    options.read(true).append(true).custom_flags(libc::O_NONBLOCK).mode(0o640);
    let opened = match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let created = options.create_new(true).open(path);
            if created.is_ok() {
                sync_folder(path).map_err(FileError::Open)?;
            }
            created
        }
        opened => opened,
    };
    let file = opened.map_err(FileError::Open)?;
    if !file.metadata().map_err(FileError::Open)?.is_file() {
        return Err(FileError::NotRegular);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: u64 = 100;

    fn file(path: &Path, keep: u32) -> AlertFile {
        let options = FileOptions { path: path.to_owned(), bytes_max: SMALL, keep };
        AlertFile::new(options, Retry::default())
    }

    fn line(text: &str) -> String {
        format!("{{\"id\":\"{text}\"}}\n")
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_else(|error| format!("{error}"))
    }

    #[test]
    fn a_partial_line_is_truncated_and_other_content_is_kept() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("alerts.jsonl");
        let whole = line("a") + &line("b");
        let torn = [
            ("", ""),
            (whole.as_str(), whole.as_str()),
            ("{\"id", ""),
            ("\0\0\0", ""),
            (&format!("{whole}{{"), &whole),
            (&format!("{whole}{{\"id\":\"torn\"}}"), &whole),
            (&format!("{whole}{{\"i\0\0"), &whole),
            (&format!("{whole}\0\0\0"), &whole),
        ];
        for (before, kept) in torn {
            fs::write(&path, before).expect("it is ours");
            file(&path, 1).begin().unwrap_or_else(|failure| panic!("{before:?}: {}", failure.why));
            assert_eq!(read(&path), kept, "{before:?}");
            assert_eq!(file(&path, 1).append(&[line("c")]).ok(), Some(1), "{before:?}");
            assert_eq!(read(&path), format!("{kept}{}", line("c")), "{before:?}");
        }
        let long = "x".repeat(usize::try_from(LINE_BYTES_MAX).expect("it fits") + 1);
        let settings = "{\"insecure-registries\": [\"10.0.0.1:5000\"]}";
        let foreign =
            ["root:x:0\n", "text", "{\"id\":0}\n{\"id\":1}", settings, &(line("a") + "EVENT="), "\n", &long];
        for foreign in foreign {
            fs::write(&path, foreign).expect("it is ours");
            let failure = file(&path, 1).begin().expect_err("it is another file");
            assert!(failure.why.contains("is left as it is") && failure.is_passing, "{}", failure.why);
            assert!(file(&path, 1).append(&[line("c")]).is_err());
            assert_eq!(read(&path), foreign);
        }
    }

    #[test]
    fn a_full_file_is_rotated_and_the_configured_number_is_kept() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for keep in [0, 1, 3] {
            let path = folder.path().join(format!("keep-{keep}"));
            let mut file = file(&path, keep);
            // Five lines of 20 bytes fill a file. A line that is longer than a file is the only one in its file.
            let text = |n: usize| line(&format!("{n:010}"));
            let lines: Vec<String> = (0..22).map(text).chain([line(&"z".repeat(200)), text(99)]).collect();
            let mut sizes = Vec::new();
            let mut hours = 0;
            let mut rest = lines.as_slice();
            while !rest.is_empty() {
                let taken = file.append(rest).unwrap_or_else(|error| panic!("{error}"));
                // The files are filled an hour apart, so that they are none of a flood.
                hours += 1;
                let at = std::time::UNIX_EPOCH + hours * FLOOD_FILLS_WITHIN;
                File::options()
                    .append(true)
                    .open(&path)
                    .and_then(|file| file.set_modified(at))
                    .expect("it is ours");
                sizes.push(taken);
                rest = &rest[taken..];
            }
            assert_eq!(sizes, [5, 5, 5, 5, 2, 1, 1]);
            let contents: Vec<String> =
                (1..=4).map(|n| read(&folder.path().join(format!("keep-{keep}.{n}")))).collect();
            let missing = "No such file or directory (os error 2)".to_owned();
            let aside = [lines[22].clone(), lines[20..22].concat(), lines[15..20].concat()];
            let want: Vec<String> = aside.into_iter().take(keep as usize).collect();
            assert_eq!(contents[..keep as usize], want);
            assert!(contents[keep as usize..].iter().all(|text| *text == missing), "{contents:?}");
            assert_eq!(read(&path), lines[23]);
        }
    }

    #[test]
    fn a_file_that_was_moved_away_is_created_again() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("alerts.jsonl");
        let mut file = file(&path, 1);
        file.append(&[line("a")]).unwrap_or_else(|error| panic!("{error}"));
        fs::rename(&path, folder.path().join("elsewhere")).expect("it is ours");
        file.append(&[line("b")]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((read(&path), read(&folder.path().join("elsewhere"))), (line("b"), line("a")));
    }

    /// A reader may hold the file as it likes; another process of this program that writes is waited for.
    #[test]
    fn a_reader_s_lock_delays_nothing_and_a_writer_s_does() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("alerts.jsonl");
        let mut file = file(&path, 1);
        file.append(&[line("a")]).unwrap_or_else(|error| panic!("{error}"));
        let reader = OpenOptions::new().read(true).write(true).open(&path).expect("it is ours");
        reader.lock().expect("it is not locked");
        file.append(&[line("b")]).unwrap_or_else(|error| panic!("{error}"));
        reader.unlock().and_then(|()| reader.lock_shared()).expect("nobody else locks it");
        file.append(&[line("c")]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read(&path), line("a") + &line("b") + &line("c"));
        let writer = WriteLock::take(&path, None).unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(file.append(&[line("d")]), Err(FileError::Locked)));
        drop(writer);
        file.append(&[line("d")]).unwrap_or_else(|error| panic!("{error}"));
        // The file of the lock may be removed; a link in its place is not followed.
        let lock = folder.path().join("alerts.jsonl.lock");
        fs::remove_file(&lock).expect("it is ours");
        file.append(&[line("e")]).unwrap_or_else(|error| panic!("{error}"));
        let mode = fs::metadata(&lock).expect("it was made again").mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::remove_file(&lock)
            .and_then(|()| std::os::unix::fs::symlink("elsewhere", &lock))
            .expect("it is ours");
        assert!(matches!(file.append(&[line("f")]), Err(FileError::Lock(_))));
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_failure_names_its_cause_and_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("it is ours");
        let cases = [
            (folder.path().join("none/alerts.jsonl"), "make its folder"),
            (folder.path().to_owned(), "Is a directory"),
            (pipe, "no regular file"),
            (PathBuf::from("/dev/full"), "no regular file"),
            (PathBuf::from("/proc/alerts.jsonl"), "cannot write /proc/alerts.jsonl: "),
        ];
        for (path, want) in cases {
            let failure = file(&path, 1).begin().expect_err("nothing can be written there");
            assert!(failure.why.contains(want), "{}", failure.why);
        }
    }
}
