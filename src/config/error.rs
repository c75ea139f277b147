//! Why a configuration could not be read.

use std::fmt;
use std::io;

use annotate_snippets::Renderer;

use super::file::FILE_BYTES_MAX;
use super::problem::{Problems, bare};

/// Why a configuration could not be read. Its `Display` is the whole report, which has several lines and no line end
/// after the last.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// Its path, as it was given.
        name: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The file has more than 65536 bytes.
    TooLarge {
        /// Its path, as it was given.
        name: String,
    },
    /// The file was read and has problems.
    Wrong(Problems),
}

impl ConfigError {
    /// Returns the report, with the colours of a terminal if `coloured`.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let error = Config::parse("my.conf", "ByteLimit: 5T").unwrap_err();
    /// let report = error.render(false);
    /// assert!(report.starts_with("error: bad value for `ByteLimit`\n --> my.conf:1:12\n"));
    /// ```
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        match self {
            Self::Unreadable { name, source } => {
                let title = format!("cannot read the configuration `{name}`: {source}");
                bare(&renderer, &title, remedy(source.kind()))
            }
            Self::TooLarge { name } => {
                let title = format!("`{name}` is no configuration: it has more than {FILE_BYTES_MAX} bytes");
                bare(&renderer, &title, "give the path of a TrafficAlerted.conf")
            }
            Self::Wrong(problems) => problems.render(&renderer),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::TooLarge { .. } | Self::Wrong(_) => None,
        }
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "every key has a default: an empty file there is enough",
        io::ErrorKind::PermissionDenied => "make it readable for the user that runs TrafficAlerted",
        _ => "give the path of a readable file",
    }
}
