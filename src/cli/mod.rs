//! The commands of the program, one file each.
//!
//! Each file contains the arguments of its command and its code; [`exit`] contains the exit codes and the form of
//! errors. Commands return [`anyhow::Error`], so that any failure is reported as one line with its causes.

mod background;
mod check;
mod check_interfaces;
mod command_helper;
mod confine;
pub(crate) mod exit;
mod monitor;
mod preflight;
mod provided_folder;
mod reach;
mod reading;
mod removal;
mod replay;
mod replay_json;
mod replay_notes;
mod replay_progress;
mod replay_text;
mod sandbox;
mod second_start;
mod state;
mod table;
mod test_alert;
mod token;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use traffic_alerted::config::Config;
use traffic_alerted::engine::Rules;
use traffic_alerted::logging::{self, LinePrefix, LogFormat};
use traffic_alerted::privileges;

/// Watches all traffic that transits this host; alerts on volume and on scanning.
#[derive(Debug, Parser)]
#[command(name = "TrafficAlerted", version = VERSION, arg_required_else_help = true)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Exit status: 0 asked to stop, 1 failure, 2 bad usage or configuration.")]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    /// Monitor with this configuration until asked to stop.
    #[arg(value_name = "CONFIG", required = true)]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration and print what is in force.
    Check(check::CheckArgs),
    /// Send a sample to every place that alerts go to, and say what came of it.
    TestAlert(test_alert::TestAlertArgs),
    /// Run the same engine over capture files (pcap, pcapng).
    Replay(replay::ReplayArgs),
    /// Run the program of AlertCommand; the program starts this itself.
    #[command(name = command_helper::NAME, hide = true)]
    Helper(command_helper::CommandHelperArgs),
    /// Make a token for changes over the API, and for the API on other machines.
    Token(token::TokenArgs),
}

/// What `--version` says. A build for tests must not be mistaken for another one.
const VERSION: &str = if cfg!(feature = "attack-tests") {
    concat!(env!("CARGO_PKG_VERSION"), " with attack-tests: for tests only, never to be installed")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Runs the command that `line` names.
///
/// # Errors
/// The command failed; [`exit::report`] returns the exit code for the error.
pub(crate) fn run(line: CommandLine) -> anyhow::Result<()> {
    match (line.command, line.config) {
        (Some(Command::Check(args)), _) => args.run(),
        (Some(Command::TestAlert(args)), _) => args.run(),
        (Some(Command::Replay(args)), _) => args.run(),
        (Some(Command::Helper(args)), _) => args.run(),
        (Some(Command::Token(args)), _) => args.run(),
        (None, Some(config)) => monitor::run(&config),
        (None, None) => unreachable!("clap requires a subcommand or a configuration"),
    }
}

/// Begins the log in the format that `config` names, and starts its thread, without capabilities. Returns the prefix of
/// its lines.
fn start_log(config: &Config) -> anyhow::Result<LinePrefix> {
    let prefix = begin_log(config.log_format())?;
    // The thread needs no capability. The caller may: a failure is reported where it gives up its own.
    logging::start_thread(|| drop(privileges::drop_all()))?;
    Ok(prefix)
}

/// Begins the log in this format, and returns the prefix of its lines. What is logged waits for its thread.
fn begin_log(format: LogFormat) -> anyhow::Result<LinePrefix> {
    let prefix = LinePrefix::detect(format);
    logging::init(prefix.clone())?;
    Ok(prefix)
}

/// Returns what the engine counts and the limits for alerts. Live capture and replay use the same rules.
fn rules(config: &Config) -> Rules {
    Rules {
        flow: config.flow_options(),
        detect: config.detect_limits(),
        alert: config.alert_options(),
        direction: config.capture_options().direction,
    }
}
