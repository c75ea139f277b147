//! The token of the API: how strong it must be, from which file it may be read, and how it is compared.
//!
//! The program keeps no copy of the token here, only an HMAC-SHA256 of it under a key that is made for this purpose.
//! A candidate is compared by the same function, whose comparison takes the same time for every wrong value.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use ring::hmac;
use ring::rand::SystemRandom;

use crate::alert::Secret;
use crate::privileges::is_nobodys;

/// Minimum number of characters of a token.
const TOKEN_CHARS_MIN: usize = 32;

/// Maximum number of characters of a token.
const TOKEN_CHARS_MAX: usize = 512;

/// Minimum number of different characters of a token, so that no word repeated is one.
const TOKEN_DIFFERENT_CHARS_MIN: usize = 8;

/// Returns why a text is no token that protects the API; `None` if it is one.
pub fn why_no_api_token(text: &str) -> Option<&'static str> {
    let is_token_char = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let mut seen = [false; 256];
    text.bytes().for_each(|b| seen[usize::from(b)] = true);
    let different = seen.iter().filter(|&&seen| seen).count();
    match text.len() {
        _ if !text.bytes().all(is_token_char) => Some("a character that no token has"),
        ..TOKEN_CHARS_MIN => Some("shorter than 32 characters"),
        _ if different < TOKEN_DIFFERENT_CHARS_MIN => Some("fewer than 8 different characters"),
        TOKEN_CHARS_MIN..=TOKEN_CHARS_MAX => None,
        _ => Some("longer than 512 characters"),
    }
}

/// Makes a token of 256 random bits: 64 hexadecimal digits.
///
/// # Errors
/// The kernel refuses random bytes.
pub fn new_api_token() -> io::Result<String> {
    random_hex()
}

/// Returns 256 random bits as 64 hexadecimal digits.
pub(super) fn random_hex() -> io::Result<String> {
    let no_random = |_| io::Error::other("the kernel gives no random bytes (getrandom)");
    let bytes = ring::rand::generate::<[u8; 32]>(&SystemRandom::new()).map_err(no_random)?.expose();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A secret in the form in which candidates are compared with it.
#[derive(Clone, Debug)]
pub(super) struct HashedSecret {
    key: hmac::Key,
    tag: hmac::Tag,
}

impl HashedSecret {
    /// Hashes a secret under a new key.
    pub(super) fn new(secret: &str) -> io::Result<Self> {
        let no_random = |_| io::Error::other("the kernel gives no random bytes (getrandom)");
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map_err(no_random)?;
        let tag = hmac::sign(&key, secret.as_bytes());
        Ok(Self { key, tag })
    }

    /// Returns true if the candidate is the secret.
    pub(super) fn matches(&self, candidate: &[u8]) -> bool {
        hmac::verify(&self.key, candidate, self.tag.as_ref()).is_ok()
    }
}

/// A token, and the file it comes from with the owner of the file.
pub(super) struct GivenToken {
    token: String,
    file: Option<(PathBuf, u32)>,
}

impl GivenToken {
    /// Reads the token that the options name.
    ///
    /// # Errors
    /// The file cannot be used.
    pub(super) fn read(secret: Option<&Secret>) -> Result<Option<Self>, TokenError> {
        Ok(match secret {
            None => None,
            Some(Secret::Here(token)) => Some(Self { token: token.clone(), file: None }),
            Some(Secret::InFile(path)) => {
                let read = read_token_file(path)?;
                Some(Self { token: read.token, file: Some((path.clone(), read.owner)) })
            }
        })
    }

    /// Returns the token, if its file belongs to the user of this process or to root.
    ///
    /// # Errors
    /// The file belongs to somebody else.
    pub(super) fn checked(self) -> Result<String, TokenError> {
        self.checked_for(&[geteuid().as_raw()])
    }

    /// Returns the token, if its file belongs to one of these users, to root, or to an id that an earlier run took
    /// since there was no user: the start gives that file to the user of the program.
    ///
    /// # Errors
    /// The file belongs to somebody else.
    pub(super) fn checked_for(self, owners: &[u32]) -> Result<String, TokenError> {
        match self.file {
            Some((path, owner)) if owner != 0 && !owners.contains(&owner) && !is_nobodys(owner) => {
                let why = format!(
                    "it belongs to uid {owner}, who could read and replace it: run `chown root {}`",
                    path.display()
                );
                Err(TokenError::Unsafe { path, why })
            }
            _ => Ok(self.token),
        }
    }
}

impl std::fmt::Debug for GivenToken {
    /// Leaves the token out, since debug output may be logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenToken").field("file", &self.file).finish_non_exhaustive()
    }
}

/// A token that was read from a file, and the user who owns the file.
struct TokenFile {
    token: String,
    owner: u32,
}

/// Why a file gives no token. No text contains what is in the file.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The system refuses the file.
    #[error("cannot read the token in {path}: {source}; {remedy}", path = .path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// What to do about it.
        remedy: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is of a kind, of a user or of a size that is refused.
    #[error("the token in {path} is not used: {why}", path = .path.display())]
    Unsafe {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        why: String,
    },
    /// The text is no token.
    #[error(
        "the token in {path} is not used: {why}; `TrafficAlerted token --file {path} --force` makes a new one",
        path = .path.display()
    )]
    Weak {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with the text.
        why: &'static str,
    },
    /// The system has no random bytes for the key under which the token is hashed.
    #[error("cannot hash the API token")]
    Random {
        /// The error of the system.
        source: io::Error,
    },
}

/// Reads the token in a file that nobody but its user can read. It never waits: links, FIFOs and devices are refused
/// before they are opened.
///
/// # Errors
/// The file cannot be read, others can read it, or it holds no token.
fn read_token_file(path: &Path) -> Result<TokenFile, TokenError> {
    let read_error =
        |source: io::Error| TokenError::Read { path: path.to_owned(), remedy: remedy(&source), source };
    let refused = |why: String| TokenError::Unsafe { path: path.to_owned(), why };
    let is_credential = is_credential(path);
    let why = |metadata: &Metadata| why_unsafe(path, metadata, is_credential);
    let listed = fs::symlink_metadata(path).map_err(read_error)?;
    why(&listed).map_or(Ok(()), |why| Err(refused(why)))?;
    // The file may have been replaced since, so the open one is checked again.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(read_error)?;
    let metadata = file.metadata().map_err(read_error)?;
    why(&metadata).map_or(Ok(()), |why| Err(refused(why)))?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
    let token = text.trim_end_matches(['\n', '\r']);
    match why_no_api_token(token) {
        None => Ok(TokenFile { token: token.to_owned(), owner: metadata.uid() }),
        Some(why) => Err(TokenError::Weak { path: path.to_owned(), why }),
    }
}

/// Returns why a file must not be read as a token; `None` if it may.
fn why_unsafe(path: &Path, metadata: &Metadata, is_credential: bool) -> Option<String> {
    let path = path.display();
    let kind = metadata.file_type();
    let mode = metadata.permissions().mode() & 0o777;
    if kind.is_symlink() {
        return Some("it is a symbolic link: write the path of the file itself".to_owned());
    }
    if !kind.is_file() {
        return Some("it is not a regular file: `TrafficAlerted token --file PATH` makes one".to_owned());
    }
    // The service manager gives a file of root to the user of the service by an access list, whose mask is shown as the
    // rights of the group (acl(5)).
    let is_given_by_acl = is_credential && mode == 0o440 && metadata.gid() == 0;
    if mode & 0o077 != 0 && !is_given_by_acl {
        return Some(format!("others can read or write it (mode {mode:04o}): run `chmod 600 {path}`"));
    }
    (metadata.len() > FILE_BYTES_MAX)
        .then(|| format!("it is larger than {FILE_BYTES_MAX} bytes: is it the right file?"))
}

/// Returns true if the service manager has put the file there (LoadCredential= of systemd.exec(5)).
fn is_credential(path: &Path) -> bool {
    std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|folder| path.parent() == Some(Path::new(&folder)))
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "`TrafficAlerted token --file PATH` makes such a file",
        io::ErrorKind::PermissionDenied => {
            "give the file to the user that runs TrafficAlerted (chown, or LoadCredential= in the unit), or restart: a \
             start as root gives it"
        }
        io::ErrorKind::InvalidData => "it must be text",
        _ => "write the path of a file with a token",
    }
}

/// Maximum number of bytes of a file with a token.
const FILE_BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_token_has_enough_characters_and_no_strange_ones() {
        let made = new_api_token().expect("random bytes");
        assert_eq!((made.len(), why_no_api_token(&made)), (64, None));
        assert_ne!(new_api_token().expect("random bytes"), made);
        for (text, why) in [
            ("", Some("shorter")),
            ("abcdefghijklmnopqrstuvwxyz01234", Some("shorter")),
            ("abcdefghijklmnopqrstuvwxyz-_2345", None),
            ("abcdefghijklmnopqrstuvwxyz 12345", Some("a character")),
            ("abababababababababababababababababab", Some("different")),
            (&"abcdefgh".repeat(65), Some("longer")),
        ] {
            let found = why_no_api_token(text);
            assert!(
                found.is_some() == why.is_some() && found.unwrap_or("").contains(why.unwrap_or("")),
                "{text}"
            );
        }
    }

    #[test]
    fn only_the_secret_itself_matches() {
        let secret = HashedSecret::new("abcdefgh").expect("random bytes");
        assert!(secret.matches(b"abcdefgh"));
        for other in [&b""[..], b"abcdefg", b"abcdefghi", b"Abcdefgh", b"\xff"] {
            assert!(!secret.matches(other));
        }
        assert!(!format!("{secret:?}").contains("abcdefgh"));
    }

    /// A run without the user `trafficalerted` gives the file to an id that nobody has; the user may be made later.
    #[test]
    fn a_token_of_an_earlier_run_without_a_user_is_used() {
        let of = |owner| GivenToken { token: "t".to_owned(), file: Some((PathBuf::from("/x"), owner)) };
        let nobodys = (61_184..=65_519).find(|&id| is_nobodys(id)).expect("one of thousands is free");
        for (owner, is_used) in [(0, true), (998, true), (nobodys, true), (1, false), (3_999_999_999, false)]
        {
            assert_eq!(of(owner).checked_for(&[998]).is_ok(), is_used, "{owner}");
        }
    }

    #[test]
    fn a_file_of_one_user_alone_is_read_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("token");
        let token = new_api_token().expect("random bytes");
        let save = |text: &str, mode: u32| {
            fs::write(&path, text).expect("it is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
        };
        let why = |path: &Path| match read_token_file(path) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        for text in [token.clone(), format!("{token}\n"), format!("{token}\r\n")] {
            save(&text, 0o600);
            let read = read_token_file(&path).expect("it is good");
            assert_eq!((read.token, read.owner), (token.clone(), nix::unistd::geteuid().as_raw()));
        }
        for mode in [0o640, 0o604, 0o620, 0o440] {
            save(&token, mode);
            assert!(why(&path).contains("chmod 600"), "{mode:o}");
        }
        save("short\n", 0o600);
        assert!(why(&path).contains("shorter than 32") && !why(&path).contains("short\n"));
        save(&"x".repeat(5000), 0o600);
        assert!(why(&path).contains("larger than 4096"));
        let link = folder.path().join("link");
        save(&token, 0o600);
        symlink(&path, &link).expect("it is ours");
        assert!(why(&link).contains("symbolic link"));
        let fifo = folder.path().join("fifo");
        mkfifo(&fifo, Mode::S_IRWXU).expect("it is ours");
        for other in [fifo.as_path(), folder.path(), Path::new("/dev/zero")] {
            assert!(why(other).contains("not a regular file"), "{}", other.display());
        }
        assert!(why(&folder.path().join("none")).contains("TrafficAlerted token --file"));
    }
}
