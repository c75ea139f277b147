//! The folders that systemd provides for the service.

use std::path::PathBuf;

/// Returns the first folder that systemd provides in this variable, or `None` if it provides none.
pub(super) fn provided_folder(variable: &str) -> Option<PathBuf> {
    // The variable has colons between several folders (systemd.exec(5)).
    let provided = std::env::var(variable).ok()?;
    provided.split(':').find(|folder| !folder.is_empty()).map(PathBuf::from)
}
