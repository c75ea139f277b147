//! Other programs that do a part of the same, as Debian packages them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::pinned;

/// Returns the path of a program, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    const ROOTS_PLACES: [&str; 2] = ["/usr/sbin", "/sbin"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(ROOTS_PLACES.map(Into::into));
    places.find_map(|place| Some(place.join(name)).filter(|file| file.is_file()))
}

/// softflowd over a capture: at most two million flows, exported to no collector.
pub(crate) fn softflowd(cpu: &str, capture: &Path) -> Option<Command> {
    let mut command = pinned(cpu, find("softflowd")?);
    command.arg("-r").arg(capture).args(["-m", "2000000", "-d", "-c", "none"]);
    Some(command)
}

/// nfpcapd over a capture, which writes flows into files.
pub(crate) fn nfpcapd(cpu: &str, capture: &Path, folder: &Path) -> Option<Command> {
    let mut command = pinned(cpu, find("nfpcapd")?);
    command.arg("-r").arg(capture).arg("-w").arg(folder);
    Some(command)
}

/// nfpcapd on an interface.
pub(crate) fn nfpcapd_on(cpu: &str, interface: &str, folder: &Path) -> Option<Command> {
    let mut command = pinned(cpu, find("nfpcapd")?);
    command.args(["-i", interface, "-B", "2000000"]).arg("-w").arg(folder);
    Some(command)
}
