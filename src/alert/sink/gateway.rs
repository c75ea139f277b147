//! The name of this machine in messages to receivers that serve several machines.

use nix::unistd::gethostname;

/// Returns the host name, reduced to what a header, a label and a line can hold; `gateway` if nothing is left.
pub(super) fn gateway_name() -> String {
    let name = gethostname().unwrap_or_default();
    let name: String = name.to_string_lossy().chars().filter(char::is_ascii_graphic).collect();
    if name.is_empty() { "gateway".to_owned() } else { name }
}
