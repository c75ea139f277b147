//! Appends to a file and waits until the disk has it: write and `fdatasync`, linked, in one `io_uring_enter`.
//!
//! io_uring has one merit here: both requests are one system call, and the sync starts when the write has
//! ended and not before. Where it is refused (seccomp in containers, `kernel.io_uring_disabled`) the same is
//! done with `write(2)` and `fdatasync(2)`, and [`FileWriter::refusal`] says why.
//!
//! Nothing here decides what is written, or what becomes of a file of which a part was written.
//!
//! Build a [`FileWriter`] on the thread that writes: the leanest mode of io_uring binds itself to its first user.
//!
//! Sources: io_uring_enter(2), `IOSQE_IO_LINK` in io_uring_sqe(7), fdatasync(2).

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsRawFd;

use io_uring::{IoUring, opcode, squeue, types};

use super::poller::{explain, setup_leanest};

/// Appends and syncs.
pub struct FileWriter {
    /// `None`: with plain system calls.
    ring: Option<Box<IoUring>>,
    refusal: Option<String>,
}

impl FileWriter {
    /// Sets it up, on the thread that is going to write. It works in any case.
    pub fn new() -> Self {
        match setup_leanest().and_then(|ring| entered(&ring).map(|()| ring)) {
            Ok(ring) => Self { ring: Some(Box::new(ring)), refusal: None },
            Err(error) => Self { ring: None, refusal: Some(explain(&error)) },
        }
    }

    /// One that does without io_uring.
    pub fn plain() -> Self {
        Self { ring: None, refusal: None }
    }

    /// Why io_uring is not used, in words; `None` where it is, or was not tried.
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// Appends all bytes to a file that was opened for appending, and waits until they are on the disk.
    ///
    /// # Errors
    /// What the write or the sync said; a part of the bytes may be in the file then. A short write is
    /// [`WriteZero`](io::ErrorKind::WriteZero): a full disk says so only to the next one.
    pub fn append(&mut self, file: &File, bytes: Vec<u8>) -> io::Result<()> {
        let Some(ring) = &mut self.ring else { return append_plainly(file, &bytes) };
        let mut results = CompletionResults::default();
        match submit(ring, file, &bytes, &mut results) {
            Ok(()) => results.judge(bytes.len()),
            Err(error) => {
                // The kernel may still read the bytes, so they are never given back: once in the life of a
                // process, since the ring goes too.
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
        let Self { ring, refusal } = self;
        f.debug_struct("FileWriter")
            .field("uses_io_uring", &ring.is_some())
            .field("refusal", refusal)
            .finish()
    }
}

/// What the two requests said, as the kernel says it: a count or a negative errno.
#[derive(Debug, Default)]
struct CompletionResults([Option<i32>; 2]);

impl CompletionResults {
    fn is_complete(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    fn judge(&self, expected: usize) -> io::Result<()> {
        let [write, sync] = self.0.map(|result| result.unwrap_or(-libc::EIO));
        let written = of_kernel(write)?;
        if written != expected {
            return Err(short(written, expected));
        }
        of_kernel(sync).map(drop)
    }
}

fn of_kernel(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

fn short(written: usize, expected: usize) -> io::Error {
    io::Error::new(io::ErrorKind::WriteZero, format!("{written} of {expected} bytes were taken"))
}

/// Marks the completion of the write and of the sync: their places in [`CompletionResults`].
const WRITE: u64 = 0;
const SYNC: u64 = 1;

/// Gives both requests to the kernel and waits for both, whatever interrupts. After an error a request may
/// still be under way.
fn submit(ring: &mut IoUring, file: &File, bytes: &[u8], results: &mut CompletionResults) -> io::Result<()> {
    let fd = types::Fd(file.as_raw_fd());
    let length = u32::try_from(bytes.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more than 4 GiB at once"))?;
    let write = opcode::Write::new(fd, bytes.as_ptr(), length)
        // The file's own position, which appending ignores.
        .offset(u64::MAX)
        .build()
        .flags(squeue::Flags::IO_LINK)
        .user_data(WRITE);
    let sync = opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build().user_data(SYNC);
    // SAFETY: `push_multiple` wants everything that the entries point to to stay valid until they complete. That
    // is `bytes`, which the caller keeps until this function has returned `Ok`, and then both have completed;
    // after `Err` the caller never frees it. The descriptor is resolved when it is submitted.
    let pushed = unsafe { ring.submission().push_multiple(&[write, sync]) };
    pushed.map_err(|_| io::Error::other("the submission queue is full with no request in it"))?;
    while !results.is_complete() {
        match ring.submit_and_wait(1) {
            Ok(_) => {}
            Err(error) => match error.raw_os_error() {
                // A signal came, or completions must be taken before more is submitted.
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

/// Whether the ring may be entered: a sandbox may allow the set-up and refuse that.
fn entered(ring: &IoUring) -> io::Result<()> {
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
    fn results_of_the_kernel_are_judged_together() {
        let cases = [
            ([Some(4), Some(0)], None),
            ([Some(3), Some(-libc::ECANCELED)], Some(io::ErrorKind::WriteZero)),
            ([Some(-libc::ENOSPC), Some(-libc::ECANCELED)], Some(io::ErrorKind::StorageFull)),
            ([Some(4), Some(-libc::EDQUOT)], Some(io::ErrorKind::QuotaExceeded)),
        ];
        for (results, want) in cases {
            let judged = CompletionResults(results).judge(4).map_err(|error| error.kind());
            assert_eq!(judged.err(), want, "{results:?}");
        }
    }
}
