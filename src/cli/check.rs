//! The command `check`: validates a configuration and prints the settings in force.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use traffic_alerted::config::Config;

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

impl CheckArgs {
    /// Prints every key with its value in force.
    ///
    /// # Errors
    /// The configuration is wrong, or standard output cannot be written.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        match write!(io::stdout().lock(), "{config}") {
            // The reader closed the pipe, as `head` does, so it needs no more output.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => Ok(result?),
        }
    }
}
