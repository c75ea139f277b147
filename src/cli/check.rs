//! The command `check`: validates a configuration and prints the settings in force.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use traffic_alerted::config::{ConfigFile, Viewer};

use super::{check_interfaces, confine, exit};

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

impl CheckArgs {
    /// Prints every key with its value in force and what would be done with the interfaces of this machine; then, on
    /// standard error, what does not work as things are, and advice.
    ///
    /// # Errors
    /// The configuration is wrong, or standard output cannot be written.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let file = ConfigFile::load(&self.config)?;
        file.check_users(confine::keeps_state())?;
        let interfaces = check_interfaces::section(file.config());
        match write!(io::stdout().lock(), "{file}{interfaces}") {
            // The reader closed the pipe, as `head` does, so it needs no more output.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
        let coloured = exit::wants_colour();
        let reports =
            file.warnings(Viewer::Operator).reports(coloured).into_iter().chain(file.advice(coloured));
        for report in reports {
            // If stderr is closed, the exit code alone says that the file is right.
            let _ = writeln!(io::stderr().lock(), "\n{report}");
        }
        Ok(())
    }
}
