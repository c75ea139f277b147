//! Peers: other programs that count flows, as Debian packages them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::pinned;

/// Returns the path of a program; `None` if it is not installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    const ROOT_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(ROOT_FOLDERS.map(Into::into));
    folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()))
}

/// Returns the command that runs softflowd on a capture, with at most two million flows and without a collector; `None`
/// if it is not installed.
pub(crate) fn softflowd(cpu: &str, capture: &Path) -> Option<Command> {
    let mut command = pinned(cpu, find("softflowd")?);
    command.arg("-r").arg(capture).args(["-m", "2000000", "-d", "-c", "none"]);
    Some(command)
}

/// Returns the command that runs nfpcapd on a capture; it writes flows into files. `None` if it is not installed.
pub(crate) fn nfpcapd(cpu: &str, capture: &Path, folder: &Path) -> Option<Command> {
    let mut command = pinned(cpu, find("nfpcapd")?);
    command.arg("-r").arg(capture).arg("-w").arg(folder);
    Some(command)
}

/// Returns the command that runs nfpcapd on an interface; `None` if it is not installed.
pub(crate) fn nfpcapd_on(cpu: &str, interface: &str, folder: &Path) -> Option<Command> {
    let mut command = pinned(cpu, find("nfpcapd")?);
    command.args(["-i", interface, "-B", "2000000"]).arg("-w").arg(folder);
    Some(command)
}
