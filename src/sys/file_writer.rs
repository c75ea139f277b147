//! Appends to a file and waits until the bytes are on disk: a write linked to an `fdatasync` in one `io_uring_enter`.
//!
//! With io_uring both requests are one system call, and the kernel starts the sync when the write has completed. If the
//! system refuses io_uring (seccomp in containers, `kernel.io_uring_disabled`), the same is done with `write(2)`
//! and `fdatasync(2)`, and [`FileWriter::refusal`] returns the reason.
//!
//! The caller decides what the bytes are, and what to do with a file that has a partial write.
//!
//! Create a [`FileWriter`] on the thread that writes: a ring with `IORING_SETUP_SINGLE_ISSUER` is bound to the first
//! thread that enters it.
//!
//! Sources: io_uring_enter(2), `IOSQE_IO_LINK` in io_uring_sqe(7), fdatasync(2).

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue, types};

use super::poller::{Requests, RestrictedRing, explain, set_up_preferred};

/// Appends bytes to files and syncs them to disk.
pub(crate) struct FileWriter {
    /// `None` if plain system calls are used.
    ring: Option<Box<IoUring>>,
    refusal: Option<String>,
    unrestricted: Option<String>,
}

/// The requests of a writer: a write, and an `fdatasync` that is linked to it.
const APPENDS: Requests =
    Requests { opcodes: &[opcode::Write::CODE, opcode::Fsync::CODE], flags: squeue::Flags::IO_LINK };

impl FileWriter {
    /// Creates a writer with io_uring, or with plain system calls if the system refuses io_uring.
    pub(crate) fn new() -> Self {
        match set_up_preferred(&APPENDS).and_then(|made| try_enter(&made.ring).map(|()| made)) {
            Ok(RestrictedRing { ring, unrestricted }) => {
                Self { ring: Some(Box::new(ring)), refusal: None, unrestricted }
            }
            Err(error) => Self { ring: None, refusal: Some(explain(&error)), unrestricted: None },
        }
    }

    /// Creates a writer that uses plain system calls, as [`new`](Self::new) does if the system refuses io_uring.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { ring: None, refusal: None, unrestricted: None }
    }

    /// Returns the reason why io_uring is not used, as text; `None` if it is used or was not tried.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Returns the reason why the io_uring takes requests of every kind, as text; `None` if it takes writes and syncs
    /// only, or if io_uring is not used.
    pub(crate) fn unrestricted(&self) -> Option<&str> {
        self.unrestricted.as_deref()
    }

    /// Appends all bytes to a file that was opened for appending, and waits until they are on disk.
    ///
    /// # Errors
    /// The write or the sync failed; the file may hold a part of the bytes then. If fewer bytes were written, the error
    /// is [`WriteZero`](io::ErrorKind::WriteZero): when a disk becomes full, only the next write fails with `ENOSPC`.
    pub(crate) fn append(&mut self, file: &File, bytes: Vec<u8>) -> io::Result<()> {
        let Some(ring) = &mut self.ring else { return append_plainly(file, &bytes) };
        let mut results = CompletionResults::default();
        match submit(ring, file, &bytes, &mut results) {
            Ok(()) => results.check(bytes.len()),
            Err(error) => {
                // The kernel may still read the bytes, so they must not be freed. This leaks once per process, since
                // the ring is not used again.
                mem::forget(bytes);
                self.refusal = Some(explain(&error));
                self.ring = None;
                Err(error)
            }
        }
    }
}

impl Default for FileWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ring, refusal, unrestricted } = self;
        f.debug_struct("FileWriter")
            .field("uses_io_uring", &ring.is_some())
            .field("refusal", refusal)
            .field("unrestricted", unrestricted)
            .finish()
    }
}

/// The results of the two requests, as in `cqe->res`: a count or a negative errno. `None` is a request that has not
/// completed yet.
#[derive(Debug, Default)]
struct CompletionResults([Option<i32>; 2]);

impl CompletionResults {
    fn is_complete(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    /// Returns an error unless `expected` bytes were written and synced.
    fn check(&self, expected: usize) -> io::Result<()> {
        let [write, sync] = self.0.map(|result| result.unwrap_or(-libc::EIO));
        let written = kernel_result(write)?;
        if written != expected {
            return Err(short_write(written, expected));
        }
        kernel_result(sync).map(drop)
    }
}

/// Converts `cqe->res` to a count of bytes or an error.
fn kernel_result(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

fn short_write(written: usize, expected: usize) -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, format!("{written} of {expected} bytes were taken"))
}

/// The `user_data` of the write and of the sync: their positions in [`CompletionResults`].
const WRITE: u64 = 0;
const SYNC: u64 = 1;

/// Submits both requests and waits until both have completed, also if signals interrupt the wait. After an error a
/// request may still be in progress.
fn submit(ring: &mut IoUring, file: &File, bytes: &[u8], results: &mut CompletionResults) -> io::Result<()> {
    let fd = types::Fd(file.as_raw_fd());
    let length = u32::try_from(bytes.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more than 4 GiB at once"))?;
    let write = opcode::Write::new(fd, bytes.as_ptr(), length)
        // -1 is the position of the file, which `O_APPEND` ignores.
        .offset(u64::MAX)
        .build()
        .flags(squeue::Flags::IO_LINK)
        .user_data(WRITE);
    let sync = opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build().user_data(SYNC);
    // SAFETY: `push_multiple` requires everything that the entries point to to stay valid until they complete. That
    // is `bytes`, which the caller keeps until this function has returned `Ok`, when both have completed; after `Err`
    // the caller never frees it. The kernel resolves the descriptor when the entry is submitted.
    let pushed = unsafe { ring.submission().push_multiple(&[write, sync]) };
    pushed.map_err(|_| io::Error::other("the submission queue is full with no request in it"))?;
    while !results.is_complete() {
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // A signal arrived, or the completion queue must be drained before more is submitted.
                Some(libc::EINTR | libc::EAGAIN | libc::EBUSY) => {}
                _ => return Err(error),
            },
        }
        for completion in ring.completion() {
            if let Some(result) = results.0.get_mut(usize::from(completion.user_data() == SYNC)) {
                *result = Some(completion.result());
            }
        }
    }
    Ok(())
}

/// Returns an error if the ring cannot be entered: a sandbox may allow io_uring_setup and refuse io_uring_enter.
fn try_enter(ring: &IoUring) -> io::Result<()> {
    ring.submitter().submit_and_wait(0).map(drop)
}

fn append_plainly(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    fn append_twice(mut writer: FileWriter) {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("file");
        let file = OpenOptions::new().create(true).append(true).open(&path).expect("it is ours");
        writer.append(&file, b"one\n".to_vec()).expect("there is room");
        writer.append(&file, vec![b'x'; 100_000]).expect("there is room");
        let written = fs::read(&path).expect("it is ours");
        assert!(written.starts_with(b"one\nxxx"), "{:?}", &written[..10]);
        assert_eq!(written.len(), 100_004);
        let readable = File::open(&path).expect("it is ours");
        let error = writer.append(&readable, b"two\n".to_vec()).expect_err("it is open for reading");
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        writer.append(&file, b"two\n".to_vec()).expect("an error is over with its file");
        let full = OpenOptions::new().append(true).open("/dev/full").expect("every Linux has it");
        let error = writer.append(&full, b"three\n".to_vec()).expect_err("it is full");
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(fs::read(&path).expect("it is ours").len(), 100_008);
    }

    #[test]
    fn bytes_are_appended_through_io_uring() {
        let writer = FileWriter::new();
        assert_eq!(writer.refusal(), None, "this machine must allow io_uring for the tests");
        append_twice(writer);
    }

    #[test]
    fn bytes_are_appended_without_io_uring() {
        append_twice(FileWriter::plain());
    }

    #[test]
    fn both_results_of_the_kernel_are_checked() {
        let cases = [
            ([Some(4), Some(0)], None),
            ([Some(3), Some(-libc::ECANCELED)], Some(io::ErrorKind::WriteZero)),
            ([Some(-libc::ENOSPC), Some(-libc::ECANCELED)], Some(io::ErrorKind::StorageFull)),
            ([Some(4), Some(-libc::EDQUOT)], Some(io::ErrorKind::QuotaExceeded)),
        ];
        for (results, want) in cases {
            let checked = CompletionResults(results).check(4).map_err(|error| error.kind());
            assert_eq!(checked.err(), want, "{results:?}");
        }
    }
}
