//! Exit codes, and the report of an error on standard error.
//!
//! Exit codes: 0 asked to stop, 1 failure, 2 bad usage or configuration.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use tracing::Level;
use traffic_alerted::config::ConfigError;
use traffic_alerted::escape;
use traffic_alerted::logging::{self, LinePrefix, LogFormat};
use traffic_alerted::time::unix_now;

/// The exit code of bad usage and of a wrong configuration.
const USAGE: u8 = 2;

/// The error of a command that has reported what went wrong already. [`report`] writes nothing about it.
#[derive(Debug, thiserror::Error)]
#[error("the failure was reported")]
pub(super) struct Reported;

/// Writes a message to standard error in the format of the log, at once. Unlike a record of the log it does not pass
/// the queue, so that a progress line can be taken off the terminal before.
pub(super) fn say(level: Level, text: &str) {
    let prefix = logging::prefix().unwrap_or_else(|| LinePrefix::detect(LogFormat::Text));
    let shown = escape::lines(text);
    let line = match prefix {
        // The clock format is for people, so the message gets no prefix.
        LinePrefix::Clock(_) => match level {
            Level::ERROR => format!("error: {shown}\n"),
            Level::WARN => format!("warning: {shown}\n"),
            _ => format!("{shown}\n"),
        },
        _ => prefix.line(unix_now(), level, text),
    };
    // If stderr is closed, there is no other place for it.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Writes `error` to standard error in the format of the log, and returns the exit code for it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.is::<Reported>() {
        return ExitCode::FAILURE;
    }
    let (report, code) = match error.downcast_ref::<ConfigError>() {
        Some(error) => (error.render(wants_colour()), ExitCode::from(USAGE)),
        None if error.is::<clap::Error>() => (error.to_string(), ExitCode::from(USAGE)),
        None => (escape::lines(&format!("error: {error:#}")).into_owned(), ExitCode::FAILURE),
    };
    // Without a log, because the command has none or failed before it began one, a wrong file still says which format
    // its reader expects.
    let format = error.downcast_ref::<ConfigError>().map_or(LogFormat::Text, ConfigError::log_format);
    let prefix = logging::prefix().unwrap_or_else(|| LinePrefix::detect(format));
    let lines: String = match prefix {
        LinePrefix::Json { .. } => {
            let config = error.downcast_ref::<ConfigError>();
            let text = config.map_or_else(|| format!("{error:#}"), ConfigError::in_one_line);
            prefix.line(unix_now(), Level::ERROR, &text)
        }
        // The clock format is for people, so the report gets no prefix.
        LinePrefix::Clock(_) => format!("{report}\n"),
        // The journal expects a level at the beginning of each line.
        LinePrefix::Journal => {
            let level = prefix.at(unix_now(), Level::ERROR).to_string();
            report.lines().map(|line| format!("{level}{line}\n")).collect()
        }
    };
    // If stderr is closed, the exit code alone reports the error.
    let _ = logging::stderr().write_all(lines.as_bytes());
    code
}

/// Returns the text of an error and of its causes.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Returns true if stderr is a terminal and neither `NO_COLOR` (no-color.org) nor `TERM=dumb` is set.
pub(super) fn wants_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    io::stderr().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}
