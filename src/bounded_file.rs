//! Reads the small files of an operator: the configuration, tokens, `/etc/resolv.conf`.
//!
//! Reading never waits for another program: what is not a regular file is refused, and a file that another program has
//! leased (fcntl(2), F_SETLEASE) fails at once. It may still wait for a disk or a network file system that hangs, so
//! the thread that takes signals must not call this. A symbolic link is followed, since programs that manage
//! configurations (stow, Kubernetes) put links there; what it leads to must be a regular file.
#![forbid(unsafe_code)]

use std::fs::{FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFileError {
    /// The system refuses to open or read it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not a regular file.
    #[error("it is {0}, not a regular file")]
    NotRegular(&'static str),
    /// It has more bytes than are read.
    #[error("it has more than {0} bytes")]
    TooLarge(u64),
}

/// Returns the content of a regular file of at most `bytes_max` bytes.
///
/// ```
/// use std::path::Path;
/// use traffic_alerted::bounded_file::{ReadFileError, read};
///
/// assert!(matches!(read(Path::new("/dev/zero"), 100), Err(ReadFileError::NotRegular("a device"))));
/// ```
///
/// # Errors
/// It cannot be opened or read, it is not a regular file, or it has more bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ReadFileError> {
    // Without O_NONBLOCK, opening a pipe waits for its writer (fifo(7)). O_NOCTTY: a terminal must not become that of
    // this process.
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = match opened {
        // A socket, and a device without a driver.
        Err(error) if error.raw_os_error() == Some(nix::libc::ENXIO) => {
            let kind = path.metadata().map_or("a socket", |found| kind(found.file_type()));
            return Err(ReadFileError::NotRegular(kind));
        }
        opened => opened?,
    };
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(ReadFileError::NotRegular(kind(found.file_type())));
    }
    let mut bytes = Vec::new();
    // The size may be a lie, as in /proc. One byte more than is allowed shows that a file is too large.
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max { Err(ReadFileError::TooLarge(bytes_max)) } else { Ok(bytes) }
}

/// Returns what a file is that is not regular.
fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        "a folder"
    } else if found.is_fifo() {
        "a named pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_regular_file_of_the_size_is_read_and_nothing_waits() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "12345").expect("it is ours");
        symlink(at("file"), at("link")).expect("it is ours");
        symlink(at("pipe"), at("to-pipe")).expect("it is ours");
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("it is ours");
        let _socket = UnixListener::bind(at("socket")).expect("it is ours");
        assert_eq!(read(&at("file"), 5).expect("it is a file"), b"12345");
        assert_eq!(read(&at("link"), 5).expect("it leads to a file"), b"12345");
        assert!(read(Path::new("/proc/self/comm"), 50).is_ok_and(|text| !text.is_empty()));
        for (path, bytes_max, want) in [
            (at("file"), 4, "it has more than 4 bytes"),
            (at("pipe"), 5, "it is a named pipe, not a regular file"),
            (at("to-pipe"), 5, "it is a named pipe, not a regular file"),
            (at("socket"), 5, "it is a socket, not a regular file"),
            (at("."), 5, "it is a folder, not a regular file"),
            ("/dev/null".into(), 5, "it is a device, not a regular file"),
            (at("none"), 5, "No such file or directory (os error 2)"),
        ] {
            assert_eq!(read(&path, bytes_max).expect_err("it is refused").to_string(), want);
        }
    }
}
