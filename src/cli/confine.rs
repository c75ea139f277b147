//! The change from root to the user of the configuration, and what the operator is told about it.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use tracing::{info, warn};
use traffic_alerted::config::Config;
use traffic_alerted::privileges::{
    Confinement, Identity, IdentityError, OwnFiles, PrivilegeError, drop_to, take_over, take_over_secrets,
    would_take_over as would_take_over_for,
};

use super::provided_folder::provided_folder;
use super::state;

/// Returns the user that the program continues as. If it has no user of its own, it takes the one that owns its files.
///
/// # Errors
/// The user does not exist.
pub(super) fn identity(config: &Config) -> Result<Identity, IdentityError> {
    Identity::resolve(config.user(), &OwnFiles::owners(&own_files(config)))
}

/// Returns the user that runs `AlertCommand`, where `own` is that of the program.
///
/// # Errors
/// The user does not exist.
pub(super) fn command_identity(config: &Config, own: &Identity) -> Result<Identity, IdentityError> {
    if config.command_user() == config.user() {
        return Ok(own.clone());
    }
    let identity = Identity::resolve(config.command_user(), &[])?;
    identity.notes.iter().for_each(|note| warn!("AlertCommandUser: {note}"));
    Ok(identity)
}

/// Returns the files and folders that [`confine`] would give to the user. Changes nothing.
pub(super) fn would_take_over(config: &Config, identity: &Identity) -> Vec<PathBuf> {
    let Some(account) = &identity.account else { return Vec::new() };
    would_take_over_for(&own_files(config), config.secret_files(), account)
}

/// Gives the user the files of earlier runs, the files of secrets and the socket of the API, becomes the user, and
/// gives up every capability. `path` is the configuration, which a reload reads as that user.
///
/// # Errors
/// The user cannot be changed although that is allowed here, or capabilities cannot be given up.
pub(super) fn confine(
    config: &Config,
    identity: &Identity,
    path: &Path,
    socket: Option<&Path>,
) -> Result<Confinement, PrivilegeError> {
    identity.notes.iter().for_each(|note| warn!("{note}"));
    if let Some(folder) = state::directory(config) {
        // The folder above it belongs to root, and no folder is made later. Opening the state says what is wrong.
        let _ = DirBuilder::new().mode(0o700).create(folder);
    }
    if let Some(account) = &identity.account {
        let mut files = own_files(config);
        files.extend(socket.and_then(|path| OwnFiles::of(path, is_provided(path))));
        let (files, secrets) =
            (take_over(&files, account), take_over_secrets(config.secret_files(), account));
        let changed = [files.changed, secrets.changed].concat();
        if !changed.is_empty() {
            let changed: Vec<String> = changed.iter().map(|path| path.display().to_string()).collect();
            info!("{account} owns what root has left: {}", changed.join(", "));
        }
        [files.refused, secrets.refused]
            .iter()
            .flatten()
            .for_each(|why| warn!("{why}; look at what it is, then move it away or change its owner"));
    }
    let confinement = drop_to(identity)?;
    if let Some(account) = &identity.account {
        info!("the program is {account} from now on");
    }
    confinement.refused.iter().for_each(|refused| warn!("{refused}; the program continues without it"));
    if let Some(warning) = unreadable_configuration(identity, path) {
        warn!("{warning}");
    }
    Ok(confinement)
}

/// Returns the warning that the user of the program, whom this process has become, cannot read the configuration at
/// `path`; `None` if it can, or if the user stays as it is.
pub(super) fn unreadable_configuration(identity: &Identity, path: &Path) -> Option<String> {
    let account = identity.account.as_ref()?;
    access(path, AccessFlags::R_OK).err()?;
    let gid = account.gid;
    let folder = path.parent().filter(|folder| access(*folder, AccessFlags::X_OK).is_err());
    let folder = folder.map(|folder| format!("let it into {}, then ", folder.display())).unwrap_or_default();
    let path = path.display();
    Some(format!(
        "{account} cannot read {path}, so a reload will fail: {folder}chgrp {gid} {path} && chmod g+r {path}"
    ))
}

/// Returns true if systemd provides a folder for the state.
pub(super) fn keeps_state() -> bool {
    provided_folder("STATE_DIRECTORY").is_some()
}

/// Returns the files that the program writes: its state, which comes first, and `AlertFile` with its rotations.
fn own_files(config: &Config) -> Vec<OwnFiles> {
    let alert_file = config.sink_options().file.map(|file| file.path);
    let named = [config.state_file().map(Path::to_owned), alert_file].into_iter().flatten();
    let named = named.filter_map(|path| OwnFiles::of(&path, is_provided(&path)));
    let names = || STATE_NAMES.iter().map(OsString::from).collect();
    let is_own_folder = config.state_directory().is_some() || keeps_state();
    let state = state::directory(config).map(|folder| OwnFiles { folder, names: names(), is_own_folder });
    state.into_iter().chain(named).collect()
}

/// Returns true if systemd provides the folder of this file.
fn is_provided(path: &Path) -> bool {
    let folders = ["STATE_DIRECTORY", "LOGS_DIRECTORY", "RUNTIME_DIRECTORY"];
    folders.into_iter().filter_map(provided_folder).any(|folder| Some(folder.as_path()) == path.parent())
}

/// The names of files in the folder of the state.
const STATE_NAMES: [&str; 4] = ["state.json", "state.db", "state.lock", "history.db"];
