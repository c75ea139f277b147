//! The hidden command `command-helper`: the process that runs the program of `AlertCommand`.

use anyhow::Context;
use clap::Args;
use traffic_alerted::alert::{CommandHelper, run_helper};
use traffic_alerted::config::Config;
use traffic_alerted::privileges::Identity;

/// The name of the command.
pub(super) const NAME: &str = "command-helper";

/// The arguments of `command-helper`.
#[derive(Debug, Args)]
pub(super) struct CommandHelperArgs {
    /// The user and the group to become, as numbers; without it, the user stays.
    #[arg(value_name = "UID:GID")]
    user: Option<String>,
}

impl CommandHelperArgs {
    /// Runs the program that the process at the other end of standard input names at the start, whenever it asks.
    ///
    /// # Errors
    /// Standard input is no socket of this program, or it fails.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        run_helper(self.user.as_deref()).context("TrafficAlerted starts this command itself")
    }
}

/// Starts the helper as the user of `identity` if the configuration has an `AlertCommand`.
///
/// # Errors
/// The process cannot be started, or cannot become its user.
pub(super) fn start(config: &Config, identity: &Identity) -> anyhow::Result<Option<CommandHelper>> {
    let Some(options) = config.sink_options().command else { return Ok(None) };
    let helper = CommandHelper::start(&options, identity, &[NAME]);
    let helper = helper
        .context("cannot start the helper of AlertCommand: is /proc mounted, and are there free tasks?")?;
    Ok(Some(helper))
}
