//! The name of this machine, for receivers that serve several machines.

use nix::unistd::gethostname;

/// Returns the host name without characters that a header, a label or a log line cannot contain; `gateway` if none is
/// left.
pub(super) fn gateway_name() -> String {
    let name = gethostname().unwrap_or_default();
    let name: String = name.to_string_lossy().chars().filter(char::is_ascii_graphic).collect();
    if name.is_empty() { "gateway".to_owned() } else { name }
}
