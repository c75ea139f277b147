//! The hidden command `command-helper`: the process that runs the program of `AlertCommand`.

use anyhow::Context;
use clap::Args;
use traffic_alerted::alert::{CommandHelper, run_helper};
use traffic_alerted::config::Config;
use traffic_alerted::privileges::Identity;
use traffic_alerted::sandbox::SandboxMode;

/// The name of the command.
pub(super) const NAME: &str = "command-helper";

/// Its option.
const CONFINED: &str = "--confined";

/// The arguments of `command-helper`.
#[derive(Debug, Args)]
pub(super) struct CommandHelperArgs {
    /// The user and the group to become, as numbers; without it, the user stays.
    #[arg(value_name = "UID:GID")]
    user: Option<String>,
    /// Refuse system calls that no command needs.
    #[arg(long = "confined")]
    is_confined: bool,
}

impl CommandHelperArgs {
    /// Runs the program that the process at the other end of standard input names at the start, whenever it asks.
    ///
    /// # Errors
    /// Standard input is no socket of this program, or it fails.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        run_helper(self.user.as_deref(), self.is_confined)
            .context("TrafficAlerted starts this command itself")
    }
}

/// Starts the helper as the user of `identity` if the configuration has an `AlertCommand`.
///
/// # Errors
/// The process cannot be started, or cannot become its user.
pub(super) fn start(config: &Config, identity: &Identity) -> anyhow::Result<Option<CommandHelper>> {
    let Some(options) = config.sink_options().command else { return Ok(None) };
    let words: &[&str] = if config.sandbox() == SandboxMode::On { &[NAME, CONFINED] } else { &[NAME] };
    let helper = CommandHelper::start(&options, identity, words);
    let helper = helper
        .context("cannot start the helper of AlertCommand: is /proc mounted, and are there free tasks?")?;
    Ok(Some(helper))
}
