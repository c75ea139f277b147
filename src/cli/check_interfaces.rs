//! The section of `check` about the interfaces of this machine: which ones would be monitored, and why not the others.
//!
//! Each line is a comment of the configuration file, so that what `check` prints can be used as a configuration.

use std::fmt::Write as _;

use traffic_alerted::capture;
use traffic_alerted::config::Config;

/// Returns the section. Where the system refuses to list the interfaces, it says so.
pub(super) fn section(config: &Config) -> String {
    let mut section = String::from("\n# Interfaces of this machine with this configuration:\n");
    match capture::survey(&config.capture_options()) {
        Ok(survey) => {
            let warnings = survey.warnings.iter().map(|warning| format!("warning: {warning}"));
            let lines = survey.interfaces.iter().cloned().chain([survey.directions]).chain(warnings);
            lines.for_each(|line| {
                // Writing to a string does not fail.
                let _ = writeln!(section, "# {line}");
            });
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            let _ = writeln!(section, "# warning: the interfaces cannot be listed here: {error:#}");
        }
    }
    section
}
