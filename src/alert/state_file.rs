//! The file of a [`PersistedLedger`]. It is read once at the start, and a thread of its own writes it.
//!
//! A new file is written beside the old one, synced and renamed over it, so that one of them is whole after a crash. A
//! file that cannot be used is renamed (`.bad`) with a log line, and the program starts without it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, Thread};
use std::time::Duration;

use crossbeam_utils::atomic::AtomicCell;
use tracing::{info, warn};

use crate::sandbox::{self, ThreadKind};

use super::disk::sync_folder;
use super::persisted_ledger::{PersistedLedger, StateError};

/// Maximum number of bytes that are read from the file; the largest ledger has fewer.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Writes the newest ledger that was queued to the file.
#[derive(Debug)]
pub struct StateFile {
    cells: Arc<SaverCells>,
    writer: Thread,
    finished: Receiver<()>,
}

struct SaverCells {
    newest: AtomicCell<Option<Box<PersistedLedger>>>,
    is_over: AtomicBool,
}

impl std::fmt::Debug for SaverCells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The content of the cell cannot be read without taking it out.
        f.debug_struct("SaverCells").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl StateFile {
    /// Reads the file and starts the thread that writes it. A file that cannot be used is logged and counts as empty.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn open(path: PathBuf) -> io::Result<(PersistedLedger, Self)> {
        let persisted = read_or_default(&path);
        let cells = Arc::new(SaverCells { newest: AtomicCell::new(None), is_over: AtomicBool::new(false) });
        let (done, finished) = channel();
        let given = Arc::clone(&cells);
        let thread = thread::Builder::new().name("state".to_owned()).spawn(move || {
            sandbox::enter(ThreadKind::Store);
            write_newest(&path, &given);
            // After the timeout of `finish` the receiver no longer exists.
            let _ = done.send(());
        })?;
        Ok((persisted, Self { cells, writer: thread.thread().clone(), finished }))
    }

    /// Queues a ledger to be written. It replaces one that still waits. Never blocks.
    pub fn save(&self, persisted: PersistedLedger) {
        self.cells.newest.store(Some(Box::new(persisted)));
        self.writer.unpark();
    }

    /// Waits for at most `timeout` until the queued ledger is written or its write has failed. Returns false after the
    /// timeout.
    pub fn finish(self, timeout: Duration) -> bool {
        // Release: pairs with the acquire load of the writer, which then finds the ledger that was queued before.
        self.cells.is_over.store(true, Ordering::Release);
        self.writer.unpark();
        self.finished.recv_timeout(timeout).is_ok()
    }
}

/// Writes each queued ledger until `finish`. Logs the first of several failures, and the next success.
fn write_newest(path: &Path, cells: &SaverCells) {
    let mut fails = false;
    loop {
        // Loaded before the cell is emptied, so that a ledger that was queued before `finish` is written.
        let is_over = cells.is_over.load(Ordering::Acquire);
        if let Some(persisted) = cells.newest.take() {
            let written = write(path, &persisted.to_json());
            let is_new = written.is_err() != fails;
            fails = written.is_err();
            match written {
                Ok(()) if is_new => info!("the state is kept again in {}", path.display()),
                Err(error) if is_new => warn!(
                    "the state cannot be kept in {}: {error}; alerts will be said again after a restart. Name a \
                     file in a folder that this user may write to (StateFile, or StateDirectory= of the unit)",
                    path.display()
                ),
                Ok(()) | Err(_) => {}
            }
        }
        if is_over {
            return;
        }
        thread::park();
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, "new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(path)
}

/// Returns the content of the file; an empty ledger if there is no file or it cannot be used.
fn read_or_default(path: &Path) -> PersistedLedger {
    let bytes = match read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return PersistedLedger::default(),
        Err(error) => {
            warn!("the state in {} cannot be read: {error}; starting without it", path.display());
            return PersistedLedger::default();
        }
    };
    PersistedLedger::from_json(&bytes).unwrap_or_else(|fault| {
        set_aside(path, &fault);
        PersistedLedger::default()
    })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // O_NONBLOCK: if the path leads to a pipe, opening it must not block.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn set_aside(path: &Path, fault: &StateError) {
    let bad = beside(path, "bad");
    match fs::rename(path, &bad) {
        Ok(()) => warn!("the state in {} is of no use: {fault}; it is now {}", path.display(), bad.display()),
        Err(error) => {
            warn!("the state in {} is of no use: {fault}; it cannot be set aside: {error}", path.display());
        }
    }
}

/// Returns the path with an extension appended.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use crate::alert::persisted_ledger::tests::sample;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[test]
    fn the_newest_ledger_is_in_the_file_after_finish() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state.json");
        let (persisted, file) = StateFile::open(path.clone()).expect("a thread");
        assert_eq!(persisted, PersistedLedger::default());
        for opened in 0..100 {
            file.save(PersistedLedger { opened, ..sample() });
        }
        file.save(sample());
        assert!(file.finish(TIMEOUT));
        let (persisted, file) = StateFile::open(path.clone()).expect("a thread");
        assert_eq!(persisted, sample());
        assert!(file.finish(TIMEOUT), "it ends without anything to write");
        assert_eq!(
            fs::read_dir(folder.path()).expect("it is there").count(),
            1,
            "only the state file is there"
        );
    }

    #[test]
    fn a_file_that_cannot_be_used_is_renamed() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state.json");
        for bytes in [&b""[..], b"{", b"{\"version\":99}", b"\xff\xfe"] {
            fs::write(&path, bytes).expect("the folder is ours");
            let (persisted, file) = StateFile::open(path.clone()).expect("a thread");
            assert_eq!(persisted, PersistedLedger::default());
            assert_eq!(fs::read(beside(&path, "bad")).expect("it was set aside"), bytes);
            file.save(sample());
            assert!(file.finish(TIMEOUT));
            assert_eq!(fs::read(&path).expect("it was written"), sample().to_json());
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_or_written_does_not_stop_the_program() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for path in [folder.path().to_owned(), folder.path().join("none").join("state.json")] {
            let (persisted, file) = StateFile::open(path).expect("a thread");
            assert_eq!(persisted, PersistedLedger::default());
            file.save(sample());
            assert!(file.finish(TIMEOUT));
        }
    }
}
