//! The Unix socket of the API: how its file is made, replaced and removed.
//!
//! Everybody on this host may connect, as on loopback, and read. Who connects is known by the kernel
//! ([`Client::Unix`](super::client::Client)), so changes need no token here.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

/// Where the Unix socket is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SocketOption {
    /// `api.sock` in the folder that the service manager provides, or else in `/run/TrafficAlerted`. If it cannot be
    /// made there, the program goes on without it.
    #[default]
    Auto,
    /// At this path.
    Path(PathBuf),
    /// There is none.
    Off,
}

impl SocketOption {
    /// Returns the path; `None` if there is to be no socket.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Off => None,
            Self::Path(path) => Some(path.clone()),
            Self::Auto => {
                // There are colons between several folders (systemd.exec(5)); the first one is used.
                let provided = std::env::var("RUNTIME_DIRECTORY").unwrap_or_default();
                let folder = provided.split(':').find(|folder| folder.starts_with('/')).unwrap_or(FOLDER);
                Some(Path::new(folder).join("api.sock"))
            }
        }
    }
}

/// Why the Unix socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The system refuses it.
    #[error("{what} {path}: {source}; {remedy}", path = .path.display(), remedy = remedy(.source))]
    System {
        /// What was tried.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A process listens there.
    #[error("{path} belongs to {owner}: stop it, or choose another path with ApiSocket", path = .path.display())]
    InUse {
        /// The path.
        path: PathBuf,
        /// The process and its user.
        owner: String,
    },
    /// What is there is refused.
    #[error("{path} {why}; choose another path with ApiSocket", path = .path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// Why it is refused.
        why: &'static str,
    },
}

/// A bound socket, whose file is removed when it is dropped.
#[derive(Debug)]
pub(super) struct BoundSocket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// The file of a socket. It is removed when this is dropped, unless another file has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: FileIdentity,
}

impl SocketFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|metadata| identity(&metadata) == self.identity);
        if is_ours {
            // The user of the program may have no right to the folder. The next start replaces the file then.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Binds the socket. Makes its folder, but no folder above it. Replaces the file of a process that has ended.
pub(super) fn bind(path: &Path) -> Result<BoundSocket, SocketError> {
    let system = |what| move |source| SocketError::System { what, path: path.to_owned(), source };
    make_folder(path)?;
    clear(path)?;
    let listener = UnixListener::bind(path).map_err(system("cannot bind the API socket"))?;
    // The folder may be the program's user's, who could put something else in the place of the socket while root
    // starts the program. So it is opened once, without following a link, and what was opened is looked at and changed.
    let opened = File::options().read(true).custom_flags(libc::O_PATH | libc::O_NOFOLLOW).open(path);
    let opened = opened.map_err(system("cannot look at"))?;
    let metadata = opened.metadata().map_err(system("cannot look at"))?;
    if !metadata.file_type().is_socket() || metadata.nlink() != 1 {
        return Err(SocketError::Refused { path: path.to_owned(), why: "was replaced by another file" });
    }
    let file = SocketFile { path: path.to_owned(), identity: identity(&metadata) };
    // Whoever may connect may read, as on loopback; `Access` decides about changes. A descriptor of `O_PATH` cannot be
    // changed itself (open(2)), but its link in proc(5) leads to the same file.
    fs::set_permissions(format!("/proc/self/fd/{}", opened.as_raw_fd()), Permissions::from_mode(0o666))
        .map_err(system("cannot open to all users"))?;
    listener.set_nonblocking(true).map_err(system("cannot bind the API socket"))?;
    Ok(BoundSocket { listener, file })
}

/// Makes the folder of the socket, and checks that no other user can replace the socket in it.
fn make_folder(path: &Path) -> Result<(), SocketError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let system = |what| move |source| SocketError::System { what, path: folder.to_owned(), source };
    match DirBuilder::new().mode(0o755).create(folder) {
        Ok(()) => {
            // The umask may have taken rights away, and others could not get to the socket.
            fs::set_permissions(folder, Permissions::from_mode(0o755))
                .map_err(system("cannot open the folder"))?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(system(MAKE_FOLDER)(error)),
    }
    let metadata = fs::symlink_metadata(folder).map_err(system("cannot look at"))?;
    check_folder(folder, &metadata)
}

/// Checks that what is at the path of the folder is a folder in which no other user can replace the socket.
fn check_folder(folder: &Path, metadata: &Metadata) -> Result<(), SocketError> {
    let mode = metadata.permissions().mode();
    let refused = |why| Err(SocketError::Refused { path: folder.to_owned(), why });
    match metadata.file_type() {
        kind if kind.is_symlink() => refused("is a symbolic link, which is not followed"),
        kind if !kind.is_dir() => refused("is not a folder"),
        // In a sticky folder, such as /tmp, others cannot remove the socket.
        _ if mode & 0o022 != 0 && mode & 0o1000 == 0 => refused("is a folder that others can write to"),
        _ => Ok(()),
    }
}

/// Checks what [`bind`] would find, and changes nothing. Whether a process listens there is not looked at: it may be
/// the one that is to be replaced.
///
/// # Errors
/// The folder or what is at the path is refused, or they cannot be looked at.
pub(super) fn look(path: &Path) -> Result<(), SocketError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    let system = |what| move |source| SocketError::System { what, path: folder.to_owned(), source };
    match fs::symlink_metadata(folder) {
        Ok(metadata) => {
            check_folder(folder, &metadata)?;
            has_old_socket(path).map(drop)
        }
        // It is made if the folder above it is there.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            folder.parent().map_or(Ok(()), |above| fs::metadata(above).map(drop)).map_err(system(MAKE_FOLDER))
        }
        Err(error) => Err(system("cannot look at")(error)),
    }
}

/// Returns true if a socket is at the path.
///
/// # Errors
/// Something else is there, or it cannot be looked at.
fn has_old_socket(path: &Path) -> Result<bool, SocketError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => Ok(true),
        Ok(_) => {
            Err(SocketError::Refused { path: path.to_owned(), why: "is there already and is no socket" })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SocketError::System { what: "cannot look at", path: path.to_owned(), source }),
    }
}

/// Removes the socket of a process that has ended.
fn clear(path: &Path) -> Result<(), SocketError> {
    if !has_old_socket(path)? {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Ok(stream) => Err(SocketError::InUse { path: path.to_owned(), owner: owner(&stream) }),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| SocketError::System {
                what: "cannot remove the old socket",
                path: path.to_owned(),
                source,
            })
        }
        Err(source) => Err(SocketError::System { what: "cannot connect to", path: path.to_owned(), source }),
    }
}

/// Returns the effective user id in a status of proc(5).
fn effective_uid(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

/// Returns the process that listens, and its user, in words.
fn owner(stream: &UnixStream) -> String {
    match getsockopt(stream, PeerCredentials) {
        Ok(peer) => {
            let name = fs::read_to_string(format!("/proc/{}/comm", peer.pid())).unwrap_or_default();
            let name = if name.is_empty() { "a process" } else { name.trim_end() };
            // The socket names the user that made it, which the program may have ceased to be.
            let uid = fs::read_to_string(format!("/proc/{}/status", peer.pid()))
                .ok()
                .and_then(|status| effective_uid(&status))
                .unwrap_or_else(|| peer.uid());
            format!("{name} (process {}, uid {uid})", peer.pid())
        }
        Err(_) => "another process".to_owned(),
    }
}

/// Device, inode, and when it was made: numbers of inodes are used again.
type FileIdentity = (u64, u64, i64, i64);

fn identity(metadata: &Metadata) -> FileIdentity {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec())
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "make the folder above it, or choose another path with ApiSocket",
        ErrorKind::PermissionDenied => {
            "let the user that starts TrafficAlerted write there, or choose another path with ApiSocket"
        }
        _ => "choose another path with ApiSocket",
    }
}

/// What fails if the folder cannot be made.
const MAKE_FOLDER: &str = "cannot make the folder";

/// The folder of the socket without a service manager.
const FOLDER: &str = "/run/TrafficAlerted";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_user_of_a_process_is_the_effective_one() {
        assert_eq!(effective_uid("Name:\tx\nUid:\t0\t61184\t0\t3\nGid:\t5\t6\t5\t5\n"), Some(61_184));
        assert_eq!(effective_uid("Name:\tx\n"), None);
    }

    #[test]
    fn the_socket_of_a_dead_process_is_replaced_and_that_of_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("run/api.sock");
        let first = bind(&path).expect("it is free");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&folder.path().join("run"))), (0o666, 0o755));
        let error = bind(&path).expect_err("it is in use").to_string();
        assert!(error.contains(&format!("(process {}, uid ", std::process::id())), "{error}");
        // The listener ends without the file, as at a SIGKILL.
        let BoundSocket { listener, file } = first;
        drop(listener);
        let second = bind(&path).expect("the old one is dead");
        drop(file);
        assert!(path.exists(), "the file of the second one stays");
        UnixStream::connect(&path).expect("it listens");
        drop(second);
        assert!(!path.exists(), "it is removed at the end");
    }

    #[test]
    fn nothing_but_a_dead_socket_is_replaced_and_no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text").expect("it is ours");
        symlink(path("nowhere"), path("link")).expect("it is ours");
        fs::create_dir(path("real")).expect("it is ours");
        symlink(path("real"), path("linked")).expect("it is ours");
        fs::create_dir(path("open")).expect("it is ours");
        fs::set_permissions(path("open"), Permissions::from_mode(0o777)).expect("it is ours");
        for (name, why) in [
            ("file", "is no socket"),
            ("link", "is no socket"),
            ("real", "is no socket"),
            ("linked/a", "symbolic link"),
            ("open/a", "others can write"),
            ("file/a", "is not a folder"),
            ("none/none/a", "cannot make the folder"),
        ] {
            let error = bind(&path(name)).expect_err(name).to_string();
            assert!(error.contains(why), "{name}: {error}");
        }
        assert_eq!(fs::read_to_string(path("file")).expect("it is there"), "text");
        assert!(!path("nowhere").exists() && !path("real/a").exists());
    }
}
