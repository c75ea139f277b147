//! A secret, which must not be shown. It is in the configuration or in a file of its own.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ureq::http::Uri;

use crate::bounded_file::{self, ReadFileError};

/// A secret, or the path of the file that contains it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Here(String),
    /// The path of a file whose first line is the secret. It is read for each use, so that a new value does not require
    /// a restart.
    InFile(PathBuf),
}

impl Secret {
    /// Returns the secret.
    ///
    /// # Errors
    /// The file cannot be read or is empty; the error names the cause and the remedy.
    pub(super) fn read(&self) -> Result<String, String> {
        let path = match self {
            Self::Here(value) => return Ok(value.clone()),
            Self::InFile(path) => path,
        };
        let unreadable = |error: ReadFileError| {
            let remedy = match &error {
                ReadFileError::Io(error) => remedy(error),
                ReadFileError::NotRegular(_) | ReadFileError::TooLarge(_) => NO_SECRET_REMEDY,
            };
            format!("cannot read {}: {error}: {remedy}", path.display())
        };
        let bytes = bounded_file::read(path, BYTES_MAX).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|_| {
            let error = io::Error::from(io::ErrorKind::InvalidData);
            format!("cannot read {}: {error}: {}", path.display(), remedy(&error))
        })?;
        let line = first_line(&text);
        if line.is_empty() {
            return Err(format!("{} is empty: write the secret into its first line", path.display()));
        }
        Ok(line.to_owned())
    }
}

/// Returns why a file holds no secret, and what to do; `None` if it does, or if it cannot be opened.
pub(crate) fn why_no_secret(path: &Path) -> Option<(String, &'static str)> {
    match bounded_file::read(path, BYTES_MAX) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) if first_line(&text).is_empty() => Some(("empty".to_owned(), NO_SECRET_REMEDY)),
            Ok(_) => None,
            Err(_) => Some(("not text".to_owned(), NO_SECRET_REMEDY)),
        },
        Err(ReadFileError::Io(_)) => None,
        Err(error) => Some((error.to_string(), NO_SECRET_REMEDY)),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim()
}

impl Secret {
    /// Returns the TCP port of the address that is the secret; `None` if it cannot be read or is no address.
    pub(crate) fn port(&self) -> Option<u16> {
        Some(self.host_and_port()?.1)
    }

    /// Returns the host, with brackets around an IPv6 address, and the TCP port of the address that is the secret;
    /// `None` if it cannot be read or is no address.
    pub(crate) fn host_and_port(&self) -> Option<(String, u16)> {
        let uri: Uri = self.read().ok()?.parse().ok()?;
        let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        Some((uri.host()?.to_owned(), uri.port_u16().unwrap_or(default)))
    }
}

impl fmt::Debug for Secret {
    /// Leaves the secret out, since debug output may be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(_) => f.write_str("Here(...)"),
            Self::InFile(path) => f.debug_tuple("InFile").field(path).finish(),
        }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "let the user that runs TrafficAlerted read it (in the unit: LoadCredential=)"
        }
        io::ErrorKind::InvalidData => "it must be text",
        _ => "give the path of a readable file",
    }
}

const NO_SECRET_REMEDY: &str = "give the path of a small file whose first line is the secret";

/// Maximum number of bytes of a file.
const BYTES_MAX: u64 = 16_384;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_line_of_a_file_is_the_value() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("token");
        for (text, want) in [
            ("abc", Ok("abc")),
            (" abc \r\nsecond\n", Ok("abc")),
            ("", Err("is empty")),
            ("\nabc", Err("is empty")),
        ] {
            fs::write(&path, text).expect("it is ours");
            match (Secret::InFile(path.clone()).read(), want) {
                (Ok(value), Ok(want)) => assert_eq!(value, want, "{text:?}"),
                (Err(why), Err(want)) => assert!(why.contains(want), "{why}"),
                (read, _) => panic!("{text:?}: {read:?}"),
            }
        }
        let why = Secret::InFile(folder.path().join("none")).read().expect_err("it is not there");
        assert!(why.contains("give the path of a readable file"), "{why}");
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("it is ours");
        let why = Secret::InFile(pipe).read().expect_err("reading it would wait");
        assert!(why.contains("a named pipe, not a regular file: give the path of a small file"), "{why}");
        assert_eq!(format!("{:?}", Secret::Here("abc".to_owned())), "Here(...)");
    }
}
