//! The form of a log line: its prefix, and how a record is formatted.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::Level;

use crate::escape::{self, Escaped};
use crate::time::UnixNanos;

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text for people, and for log watchers of the original program.
    #[default]
    Text,
    /// A JSON object for programs.
    Json,
}

/// The beginning of a log line, and the form of what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinePrefix {
    /// Date and time in this zone, then text: `2006/01/02 15:04:05 `.
    Clock(TimeZone),
    /// The level for the journal (sd-daemon(3)), then text: `<6>`.
    Journal,
    /// A JSON object, after the level if stderr is the journal.
    Json {
        /// True if stderr is the journal.
        for_journal: bool,
    },
}

impl LinePrefix {
    /// Returns the prefix that fits the stderr of this process, with its local time zone.
    pub fn detect(format: LogFormat) -> Self {
        match (format, stderr_is_journal()) {
            (LogFormat::Json, for_journal) => Self::Json { for_journal },
            (LogFormat::Text, true) => Self::Journal,
            (LogFormat::Text, false) => Self::Clock(TimeZone::system()),
        }
    }

    /// Returns true if a JSON object follows the prefix.
    pub fn is_json(&self) -> bool {
        matches!(self, Self::Json { .. })
    }

    /// Formats a record as a whole line. Its hidden characters are escaped.
    pub fn line(&self, at: UnixNanos, level: Level, text: &str) -> String {
        let prefix = self.at(at, level);
        if self.is_json() {
            let record = serde_json::json!({
                "time": timestamp(at).to_string(),
                "level": word(level),
                "message": text,
            });
            return format!("{prefix}{}\n", escape::json(record.to_string()));
        }
        let severity = if level <= Level::WARN { format!("{}: ", word(level)) } else { String::new() };
        format!("{prefix}{severity}{}\n", Escaped::text(text))
    }

    /// Returns the prefix of a line of this time and level.
    ///
    /// ```
    /// use jiff::tz::TimeZone;
    /// use traffic_alerted::logging::LinePrefix;
    /// use traffic_alerted::time::UnixNanos;
    ///
    /// let prefix = LinePrefix::Clock(TimeZone::UTC);
    /// let line = format!("{}EVENT=TRAFFIC", prefix.at(UnixNanos(1_136_214_245_000_000_000), tracing::Level::WARN));
    /// assert_eq!(line, "2006/01/02 15:04:05 EVENT=TRAFFIC");
    /// ```
    pub fn at(&self, at: UnixNanos, level: Level) -> impl fmt::Display + '_ {
        DisplayedPrefix { prefix: self, at, level }
    }
}

struct DisplayedPrefix<'a> {
    prefix: &'a LinePrefix,
    at: UnixNanos,
    level: Level,
}

impl fmt::Display for DisplayedPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            LinePrefix::Json { for_journal: false } => Ok(()),
            LinePrefix::Journal | LinePrefix::Json { for_journal: true } => {
                write!(f, "<{}>", syslog_level(self.level))
            }
            LinePrefix::Clock(zone) => {
                let at = timestamp(self.at);
                let at = zone.to_datetime(at);
                write!(f, "{:04}/{:02}/{:02} ", at.year(), at.month(), at.day())?;
                write!(f, "{:02}:{:02}:{:02} ", at.hour(), at.minute(), at.second())
            }
        }
    }
}

fn timestamp(at: UnixNanos) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at.0))
        .expect("64 bits of nanoseconds end in 2554, and this holds years up to 9999")
}

/// Returns the name of a level in a line.
fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

/// Returns the number of a level: `LOG_ERR` to `LOG_DEBUG` of syslog(3).
fn syslog_level(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Returns true if stderr is the stream that `JOURNAL_STREAM` names by device and inode. That the variable is set is
/// not enough: programs that a service starts inherit it, even if their stderr is redirected (systemd.exec(5)).
fn stderr_is_journal() -> bool {
    let Ok(variable) = std::env::var("JOURNAL_STREAM") else { return false };
    let stderr = io::stderr().as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    stderr.is_ok_and(|stderr| names_stream(&variable, stderr.dev(), stderr.ino()))
}

/// Returns true if the value of `JOURNAL_STREAM` names the stream with this device and inode.
fn names_stream(variable: &str, device: u64, inode: u64) -> bool {
    variable.split_once(':').is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference time of Go's time layouts, in UTC.
    const GO_LAYOUT: UnixNanos = UnixNanos(1_136_214_245_999_999_999);

    #[test]
    fn the_clock_has_the_form_of_go_s_log_in_local_time() {
        let posix = |zone: &str| LinePrefix::Clock(TimeZone::posix(zone).expect("a POSIX time zone"));
        let cases = [
            (LinePrefix::Clock(TimeZone::UTC), GO_LAYOUT, "2006/01/02 15:04:05 "),
            (posix("CET-1CEST,M3.5.0,M10.5.0/3"), GO_LAYOUT, "2006/01/02 16:04:05 "),
            // At and one second before the change to summer time.
            (
                posix("CET-1CEST,M3.5.0,M10.5.0/3"),
                UnixNanos(1_143_334_800_000_000_000),
                "2006/03/26 03:00:00 ",
            ),
            (
                posix("CET-1CEST,M3.5.0,M10.5.0/3"),
                UnixNanos(1_143_334_799_000_000_000),
                "2006/03/26 01:59:59 ",
            ),
            (posix("NST3:30"), UnixNanos(0), "1969/12/31 20:30:00 "),
            (LinePrefix::Clock(TimeZone::UTC), UnixNanos(u64::MAX), "2554/07/21 23:34:33 "),
        ];
        for (prefix, at, expected) in cases {
            assert_eq!(prefix.at(at, Level::ERROR).to_string(), expected, "{prefix:?}");
        }
    }

    #[test]
    fn the_journal_gets_a_level_and_no_time() {
        let cases =
            [(Level::ERROR, "<3>"), (Level::WARN, "<4>"), (Level::INFO, "<6>"), (Level::TRACE, "<7>")];
        for (level, expected) in cases {
            assert_eq!(LinePrefix::Journal.at(GO_LAYOUT, level).to_string(), expected);
        }
    }

    #[test]
    fn a_stream_is_the_journal_only_if_device_and_inode_agree() {
        assert!(names_stream("9:4711", 9, 4711));
        for variable in ["9:4712", "8:4711", "9:", ":4711", "", "9", "9:4711:1", "a:b"] {
            assert!(!names_stream(variable, 9, 4711), "{variable:?}");
        }
    }

    #[test]
    fn hidden_characters_of_a_record_are_escaped_in_every_form() {
        let text = "a\u{202e}b\n\u{1b}[2J\u{200b}";
        for prefix in [LinePrefix::Clock(TimeZone::UTC), LinePrefix::Journal] {
            let line = prefix.line(UnixNanos(0), Level::WARN, text);
            assert!(line.ends_with("a\\u{202e}b\\n\\u{1b}[2J\\u{200b}\n"), "{line}");
            assert!(!line.trim_end_matches('\n').contains(crate::escape::is_hidden), "{line:?}");
        }
        let line = LinePrefix::Json { for_journal: false }.line(UnixNanos(0), Level::WARN, text);
        assert!(line.contains(r#""message":"a\u202eb\n\u001b[2J\u200b""#), "{line}");
        let record: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!(record["message"], text);
    }

    #[test]
    fn a_json_line_follows_the_level_for_the_journal() {
        let line = LinePrefix::Json { for_journal: true }.line(GO_LAYOUT, Level::ERROR, "gone");
        assert_eq!(
            line,
            "<3>{\"level\":\"error\",\"message\":\"gone\",\"time\":\"2006-01-02T15:04:05.999999999Z\"}\n"
        );
    }
}
