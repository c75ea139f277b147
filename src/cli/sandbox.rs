//! The folders and ports that the running program is confined to.

use std::path::{Path, PathBuf};

use tracing::warn;
use traffic_alerted::config::Config;
use traffic_alerted::sandbox::{self, SandboxMode};

use super::provided_folder::provided_folder;

/// Confines this thread, and those that it starts, to what the configuration at `path` needs, and to the removal of
/// the API's socket at the end. Call it after privileges were given up and before threads are started.
pub(super) fn begin(config: &Config, path: &Path, socket: Option<&Path>) {
    if config.sandbox() == SandboxMode::Off {
        warn!("Sandbox is off: whoever takes over the program can do all that its user can");
        return;
    }
    let mut grants = config.grants();
    grants.read_file(path);
    if let Some(socket) = socket {
        grants.remove_file(socket);
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
