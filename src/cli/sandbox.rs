//! The folders and ports that the running program is confined to.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use tracing::{info, warn};
use traffic_alerted::config::Config;
use traffic_alerted::sandbox::{self, SandboxMode};

use super::provided_folder::provided_folder;

/// Confines this thread, and those that it starts, to what the configuration at `path` needs, and to the removal of
/// the API's socket at the end, if nothing else can be removed with the right to do so. Call it after privileges were
/// given up and before threads are started.
pub(super) fn begin(config: &Config, path: &Path, socket: Option<&Path>) {
    if config.sandbox() == SandboxMode::Off {
        warn!("Sandbox is off: whoever takes over the program can do all that its user can");
        return;
    }
    let mut grants = config.grants();
    grants.read_file(path);
    match socket {
        Some(socket) if has_own_folder(socket) => grants.remove_file(socket),
        Some(socket) => info!(
            "the API socket {} stays when the program ends, since its folder is not the program's own: the next start \
             replaces it",
            socket.display()
        ),
        None => {}
    }
    for variable in ["STATE_DIRECTORY", "LOGS_DIRECTORY", "RUNTIME_DIRECTORY"] {
        if let Some(folder) = provided_folder(variable) {
            grants.write_folder(&folder);
        }
    }
    if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        grants.read_folder(&PathBuf::from(folder));
    }
    sandbox::begin(grants);
}

/// Returns true if the folder of a file belongs to this user and holds nothing else. The right to remove files is one
/// to a folder.
fn has_own_folder(file: &Path) -> bool {
    let Some(folder) = file.parent() else { return false };
    let is_ours = fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.uid() == geteuid().as_raw());
    let is_alone = |entries: fs::ReadDir| {
        entries
            .into_iter()
            .all(|entry| entry.is_ok_and(|entry| Some(entry.file_name().as_os_str()) == file.file_name()))
    };
    is_ours && fs::read_dir(folder).is_ok_and(is_alone)
}
