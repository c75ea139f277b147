//! The file that a [`PersistedLedger`] is kept in: read once at the start, written by a thread of its own.
//!
//! A new file is written beside the old one, forced to the disk and put in its place, so that whatever happens
//! there is a whole one. What cannot be read as a memory is set aside (`.bad`) and said; the program starts without.

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

use super::disk::sync_folder;
use super::persisted_ledger::{PersistedLedger, StateError};

/// Bytes of a file; the largest memory has less.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// Keeps the newest memory that it is given.
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
        // Looking inside would take the memory out.
        f.debug_struct("Cells").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl StateFile {
    /// Reads what is kept in the file, and starts the thread that writes it. What is wrong with the file is said in
    /// the log and keeps nobody from starting.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open(path: PathBuf) -> io::Result<(PersistedLedger, Self)> {
        let memory = recall(&path);
        let cells = Arc::new(SaverCells { newest: AtomicCell::new(None), is_over: AtomicBool::new(false) });
        let (done, finished) = channel();
        let given = Arc::clone(&cells);
        let thread = thread::Builder::new().name("state".to_owned()).spawn(move || {
            write_newest(&path, &given);
            // Nobody waits for this any more when the deadline has passed.
            let _ = done.send(());
        })?;
        Ok((memory, Self { cells, writer: thread.thread().clone(), finished }))
    }

    /// Has a memory written, in the place of one that waits. Never waits.
    pub fn keep(&self, memory: PersistedLedger) {
        self.cells.newest.store(Some(Box::new(memory)));
        self.writer.unpark();
    }

    /// Writes what waits, for at most `patience`. Whether that was enough.
    pub fn finish(self, patience: Duration) -> bool {
        // Release: pairs with the load of the writer, which then finds what was kept before.
        self.cells.is_over.store(true, Ordering::Release);
        self.writer.unpark();
        self.finished.recv_timeout(patience).is_ok()
    }
}

fn write_newest(path: &Path, cells: &SaverCells) {
    let mut fails = false;
    loop {
        // Read first: what was kept before the end is there by then.
        let is_over = cells.is_over.load(Ordering::Acquire);
        if let Some(memory) = cells.newest.take() {
            let written = write(path, &memory.to_json());
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

/// What the file holds; nothing where there is none or it is wrong.
fn recall(path: &Path) -> PersistedLedger {
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
    // A pipe in its place must not hold the start.
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

/// The path with another ending behind it.
fn beside(path: &Path, shutdown: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(shutdown);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use crate::alert::persisted_ledger::tests::sample;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn the_newest_memory_is_there_after_the_end() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state.json");
        let (memory, file) = StateFile::open(path.clone()).expect("a thread");
        assert_eq!(memory, PersistedLedger::default());
        for opened in 0..100 {
            file.keep(PersistedLedger { opened, ..sample() });
        }
        file.keep(sample());
        assert!(file.finish(PATIENCE));
        let (memory, file) = StateFile::open(path.clone()).expect("a thread");
        assert_eq!(memory, sample());
        assert!(file.finish(PATIENCE), "without anything to write");
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_of_no_use_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("state.json");
        for bytes in [&b""[..], b"{", b"{\"version\":99}", b"\xff\xfe"] {
            fs::write(&path, bytes).expect("the folder is ours");
            let (memory, file) = StateFile::open(path.clone()).expect("a thread");
            assert_eq!(memory, PersistedLedger::default());
            assert_eq!(fs::read(beside(&path, "bad")).expect("it was set aside"), bytes);
            file.keep(sample());
            assert!(file.finish(PATIENCE));
            assert_eq!(fs::read(&path).expect("it was written"), sample().to_json());
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_stops_nobody() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        for path in [folder.path().to_owned(), folder.path().join("none").join("state.json")] {
            let (memory, file) = StateFile::open(path).expect("a thread");
            assert_eq!(memory, PersistedLedger::default());
            file.keep(sample());
            assert!(file.finish(PATIENCE));
        }
    }
}
