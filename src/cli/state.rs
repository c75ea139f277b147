//! The state directory of the running program: which one it is, and the state file of earlier versions, which is taken
//! over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};
use traffic_alerted::alert::{PersistedLedger, SinkState};
use traffic_alerted::config::Config;
use traffic_alerted::human::HumanDuration;
use traffic_alerted::store::{
    DATABASE, Restored, StateDatabase, StateWriter, beside, last_written, read_regular,
};
use traffic_alerted::time::unix_now;

use super::provided_folder::provided_folder;

/// Maximum number of bytes that are read from a state file of earlier versions; the largest has fewer.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// How long the start waits until what was taken over is in the database.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(5);

/// What an earlier process left, and where changes are written.
#[derive(Debug)]
pub(super) struct OpenedState {
    pub(super) ledger: PersistedLedger,
    /// What waits for the sinks; `None` without a state directory.
    pub(super) sinks: Option<SinkState>,
    /// `None` without a state directory.
    pub(super) writer: Option<StateWriter>,
    /// The state file whose content is in `ledger`, for [`finish_takeover`].
    pub(super) taken_over: Option<TakenOverFile>,
}

/// A state file of an earlier version, whose content is in the ledger.
#[derive(Debug)]
pub(super) struct TakenOverFile {
    path: PathBuf,
    /// What was in it, in words.
    summary: String,
}

/// Opens the state directory: `StateDirectory`, else the first that systemd provides, else the folder of `StateFile`.
/// Without any, alerts and mutes are kept in memory alone, which is logged.
///
/// # Errors
/// The directory or the database cannot be used, or the system refuses a thread.
pub(super) fn open(config: &Config) -> anyhow::Result<OpenedState> {
    let Some(folder) = directory(config) else {
        info!(
            "there is no state directory, so a restart forgets alerts, mutes and notices that wait: name one with \
             StateDirectory"
        );
        return Ok(OpenedState {
            ledger: PersistedLedger::new(),
            sinks: None,
            writer: None,
            taken_over: None,
        });
    };
    let written_at = last_written(&folder);
    let (mut restored, writer) = StateDatabase::open(&folder)?;
    let mut ledger = PersistedLedger::from_rows(&restored);
    let path = config.state_file().map_or_else(|| folder.join("state.json"), Path::to_owned);
    let taken_over = match read(&path) {
        Some(earlier) => {
            let summary = earlier.summary(unix_now());
            ledger.take_over(earlier);
            Some(TakenOverFile { path, summary })
        }
        None => None,
    };
    ledger.begin_numbers();
    // What is taken over, or cannot be opened, has a line of its own, which says where the state is.
    if restored.numbers.is_some() || (taken_over.is_none() && writer.status().error.is_none()) {
        log_restored(&folder.join(DATABASE), written_at, &restored, &ledger);
    }
    let sinks = SinkState::take(&mut restored, writer.clone());
    let sinks = Some(sinks.hiding_destinations(config.alert_options().hide_destinations));
    Ok(OpenedState { ledger, sinks, writer: Some(writer), taken_over })
}

/// Logs in one line what was found in the database, or that nothing was.
fn log_restored(path: &Path, written_at: Option<SystemTime>, restored: &Restored, ledger: &PersistedLedger) {
    let path = path.display();
    if restored.numbers.is_none() {
        info!("the state is kept in {path}; nothing was restored from it");
        return;
    }
    let age = written_at.and_then(|at| SystemTime::now().duration_since(at).ok());
    let age = age.map(|age| format!(", last written {} ago", HumanDuration(age))).unwrap_or_default();
    info!(
        "restored from {path}{age}: {}, {} notices that wait",
        ledger.summary(unix_now()),
        restored.notices.len()
    );
}

/// Renames the state file that was taken over, once its content is in the database. Call it after the ledger has been
/// restored. If the database does not take it in time, the file stays, and the next start reads it again.
pub(super) fn finish_takeover(writer: &StateWriter, file: &TakenOverFile) {
    let TakenOverFile { path, summary } = file;
    let database = writer.status().directory.join(DATABASE);
    let restored = format!("restored from the state file {}: {summary}", path.display());
    if !writer.flush(TAKEOVER_TIMEOUT) {
        warn!("{restored}; the file stays as it is until its content is in {}", database.display());
        return;
    }
    let renamed = beside(path, ".taken-over");
    match fs::rename(path, &renamed) {
        Ok(()) => info!(
            "{restored}; the state is now in {}, and the file is taken over: it is now {}",
            database.display(),
            renamed.display()
        ),
        Err(error) => warn!(
            "{restored}; the state is now in {}, and the file cannot be renamed: {error}; remove it, or the next start \
             reads it again",
            database.display()
        ),
    }
}

/// Returns the state directory; `None` if there is none.
pub(super) fn directory(config: &Config) -> Option<PathBuf> {
    let of_file = || config.state_file().and_then(Path::parent).map(Path::to_owned);
    config
        .state_directory()
        .map(Path::to_owned)
        .or_else(|| provided_folder("STATE_DIRECTORY"))
        .or_else(of_file)
}

/// Reads the state file of earlier versions; `None` if there is none or it is of no use.
fn read(path: &Path) -> Option<PersistedLedger> {
    let bytes = match read_regular(path, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            warn!(
                "the state file {} is a symbolic link, and none is followed; starting without it",
                path.display()
            );
            return None;
        }
        Err(error) => {
            warn!("the state in {} cannot be read: {error}; starting without it", path.display());
            return None;
        }
    };
    match PersistedLedger::from_json(&bytes) {
        Ok(earlier) => Some(earlier),
        Err(fault) => {
            let bad = beside(path, ".bad");
            match fs::rename(path, &bad) {
                Ok(()) => {
                    warn!(
                        "the state in {} is of no use: {fault}; it is now {}",
                        path.display(),
                        bad.display()
                    );
                }
                Err(error) => warn!(
                    "the state in {} is of no use: {fault}; it cannot be set aside: {error}",
                    path.display()
                ),
            }
            None
        }
    }
}
