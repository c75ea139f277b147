//! Why a configuration could not be read.

use std::fmt;
use std::io;

use super::file::FILE_BYTES_MAX;
use super::problem::{Problems, ReportStyle};
use crate::logging::LogFormat;

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
    /// The process may not have the memory that the configuration needs.
    TooLittleMemory {
        /// The path of the file, as it was given.
        name: String,
        /// What is allowed and what is needed.
        reason: String,
        /// What to do.
        remedy: String,
        /// The format of the log that the file asks for.
        log_format: LogFormat,
    },
}

impl ConfigError {
    /// Returns the report as one line, for a log whose records are lines.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let error = Config::parse("my.conf", "Workers: 1\nByteLimits: 5").unwrap_err();
    /// let line = error.in_one_line();
    /// assert!(line.starts_with("my.conf:2: unknown key: ") && !line.contains('\n'), "{line}");
    /// ```
    pub fn in_one_line(&self) -> String {
        match self {
            Self::Unreadable { name, source } => {
                format!("cannot read the configuration `{name}`: {source}: {}", remedy(source.kind()))
            }
            Self::TooLarge { name } => {
                format!(
                    "`{name}` is no configuration: it has more than {FILE_BYTES_MAX} bytes: {TOO_LARGE_REMEDY}"
                )
            }
            Self::Wrong(problems) => problems.in_one_line(),
            Self::TooLittleMemory { name, reason, remedy, .. } => format!("{name}: {reason}: {remedy}"),
        }
    }

    /// Returns the format of the log that the file asks for, as far as its lines can be read.
    pub fn log_format(&self) -> LogFormat {
        match self {
            Self::Unreadable { .. } | Self::TooLarge { .. } => LogFormat::default(),
            Self::Wrong(problems) => problems.log_format().unwrap_or_default(),
            Self::TooLittleMemory { log_format, .. } => *log_format,
        }
    }

    /// Returns the report, with the colours and the width of a terminal if `coloured`.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let error = Config::parse("my.conf", "ByteLimit: 5T").unwrap_err();
    /// let report = error.render(false);
    /// assert!(report.starts_with("error: bad value for `ByteLimit`\n --> my.conf:1:12\n"));
    /// ```
    pub fn render(&self, coloured: bool) -> String {
        let style = ReportStyle::new(coloured);
        match self {
            Self::Unreadable { name, source } => {
                let title = format!("cannot read the configuration `{name}`: {source}");
                style.bare(&title, remedy(source.kind()))
            }
            Self::TooLarge { name } => {
                let title = format!("`{name}` is no configuration: it has more than {FILE_BYTES_MAX} bytes");
                style.bare(&title, TOO_LARGE_REMEDY)
            }
            Self::Wrong(problems) => problems.render(&style),
            Self::TooLittleMemory { name, reason, remedy, .. } => {
                style.bare(&format!("{name}: {reason}"), remedy)
            }
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
            Self::TooLarge { .. } | Self::Wrong(_) | Self::TooLittleMemory { .. } => None,
        }
    }
}

const TOO_LARGE_REMEDY: &str = "give the path of a TrafficAlerted.conf";

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "every key has a default: an empty file there is enough",
        io::ErrorKind::PermissionDenied => "make it readable for the user that runs TrafficAlerted",
        _ => "give the path of a readable regular file",
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    #[test]
    fn the_format_of_the_log_is_known_although_the_file_is_wrong() {
        for (text, expected) in [
            ("Workers: none\n", LogFormat::Text),
            ("LogFormat: json\nWorkers: none\n", LogFormat::Json),
            ("Workers: none\n  LogFormat : json # for the collector", LogFormat::Json),
            ("LogFormat: text\nWorkers: none\n", LogFormat::Text),
            ("LogFormat: jsonl\n", LogFormat::Text),
            ("# LogFormat: json\nWorkers: none\n", LogFormat::Text),
        ] {
            let error = Config::parse("my.conf", text).expect_err(text);
            assert_eq!(error.log_format(), expected, "{text}");
        }
    }

    #[test]
    fn a_report_in_one_line_names_each_line_and_its_remedy() {
        let error = Config::parse("my.conf", "Workers: none\n\nByteLimit: 5T\n").expect_err("two");
        let line = error.in_one_line();
        let [first, second] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(first.starts_with("my.conf:1: bad value for `Workers`: "), "{line}");
        assert!(second.starts_with("my.conf:3: bad value for `ByteLimit`: "), "{line}");
        assert!(second.contains("write"), "{line}");
        assert!(!line.contains('\n'), "{line:?}");
        let many = "Wrong: 1\n".repeat(70);
        let line = Config::parse("my.conf", many.as_str()).expect_err("wrong").in_one_line();
        assert!(line.ends_with(" | 20 more like these"), "{line}");
    }
}
