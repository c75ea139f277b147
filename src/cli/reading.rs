//! Reads the configuration at the start and at a reload, beside the thread that takes signals.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use tracing::Level;
use traffic_alerted::config::{ConfigError, ConfigFile};
use traffic_alerted::engine::{Signals, WaitFor, WakeReason};
use traffic_alerted::escape::Escaped;
use traffic_alerted::human::HumanDuration;

use super::background::Background;
use super::exit::say;
use super::{confine, preflight};

/// Reads the configuration and checks that its users exist.
pub(super) fn load(path: &Path) -> Result<ConfigFile, ConfigError> {
    let file = ConfigFile::load(path)?;
    file.check_users(confine::keeps_state())?;
    Ok(file)
}

/// Reads the configuration, and looks for what stops the start with it.
fn load_for_start(path: &Path) -> Result<(ConfigFile, Vec<anyhow::Error>), ConfigError> {
    let file = load(path)?;
    // Without an identity the start says why.
    let identity = confine::identity(file.config()).ok();
    let refusals = identity.map_or_else(Vec::new, |identity| preflight::refusals(file.config(), &identity));
    Ok((file, refusals))
}

/// What [`load_for_start`] returns, or `None` after a signal to stop.
pub(super) type LoadedForStart = Option<Result<(ConfigFile, Vec<anyhow::Error>), ConfigError>>;

/// Reads the configuration on a thread of its own, so that a signal to stop ends the program also if the file system
/// hangs. Returns `None` after such a signal.
///
/// # Errors
/// The system refuses a thread.
pub(super) fn read_beside(path: &Path, signals: &Signals) -> anyhow::Result<LoadedForStart> {
    let name = path.to_owned();
    let mut reading = Background::start("config", READ_USUALLY, move || load_for_start(&name))
        .context("cannot start the thread that reads the configuration: raise the limit on tasks")?;
    loop {
        let task = Some(reading.as_fd());
        let other = WaitFor { task, deadline: reading.deadline(), ..WaitFor::default() };
        match signals.wait(other).context("cannot wait for a signal")? {
            WakeReason::TaskEnded => return Ok(Some(reading.finish())),
            WakeReason::Stop(_) => return Ok(None),
            WakeReason::DeadlineOver => {
                say(Level::WARN, &format!("{} is not read after {}", Escaped::path(path), late()));
                reading.go_on();
            }
            // The newest file is being read already.
            WakeReason::Reload | WakeReason::ThreadFailed | WakeReason::HelperEnded => {}
        }
    }
}

/// Time that reading the configuration and what it names takes at most, unless a disk or a network hangs.
pub(super) const READ_USUALLY: Duration = Duration::from_secs(10);

/// Returns the time after which reading is late, and a question about the cause.
pub(super) fn late() -> String {
    format!("{}: does its disk or its network file system hang?", HumanDuration(READ_USUALLY))
}
