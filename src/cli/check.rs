//! The command `check`: validates a configuration and prints the settings in force.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use nix::unistd::geteuid;
use traffic_alerted::api;
use traffic_alerted::config::ConfigFile;
use traffic_alerted::privileges::{Identity, drop_to};

use super::{check_interfaces, confine, exit, preflight};

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The configuration file.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
}

impl CheckArgs {
    /// Prints every key with its value in force and what would be done with the interfaces of this machine; then, on
    /// standard error, what does not work as things are, advice, and what stops the start. Root looks for files as the
    /// user that the program would become.
    ///
    /// # Errors
    /// The configuration is wrong, the program would not start with it, or standard output cannot be written.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let file = ConfigFile::load(&self.config)?;
        file.check_users(confine::keeps_state())?;
        let interfaces = check_interfaces::section(file.config());
        let config = file.config();
        let identity = confine::identity(config)?;
        let user = user_section(&identity);
        match write!(io::stdout().lock(), "{file}{interfaces}{user}") {
            // The reader closed the pipe, as `head` does, so it needs no more output.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
        let refusals = preflight::refusals(config, &identity);
        let no_socket = api::socket_warning(&config.api_options());
        let given = confine::would_take_over(config, &identity);
        // Whoever is not root checks on behalf of another user, whose rights are not known.
        let mut is_user = false;
        let become_user = || {
            is_user = geteuid().is_root() && drop_to(&identity).is_ok();
            is_user
        };
        let coloured = exit::wants_colour();
        let warnings = file.warnings_before_start(&given, become_user).reports(coloured);
        let unreadable = confine::unreadable_configuration(&identity, &self.config).filter(|_| is_user);
        let notes = no_socket.into_iter().chain(unreadable);
        let notes = notes.map(|warning| format!("warning: {warning}\n"));
        for report in warnings.into_iter().chain(notes).chain(file.advice(coloured)) {
            // If stderr is closed, the exit code alone says whether the file is right.
            let _ = writeln!(io::stderr().lock(), "\n{report}");
        }
        preflight::stop_for(refusals)
    }
}

/// Returns a comment for each thing that a start as root would log about the user of the program, such as that the
/// user is missing. It is no warning, since the service unit brings a user of its own.
fn user_section(identity: &Identity) -> String {
    let notes = identity.notes.iter().filter(|_| geteuid().is_root());
    notes.map(|note| format!("# A start as root, without the unit: {note}.\n")).collect()
}
