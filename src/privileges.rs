//! Gives up privileges that are no longer needed (capabilities(7), PR_SET_NO_NEW_PRIVS of prctl(2)).
#![forbid(unsafe_code)]

use caps::CapSet;
use thiserror::Error;

/// The kernel refused to clear a set of capabilities.
#[derive(Debug, Error)]
#[error("cannot give up the {set} capabilities: a security module may forbid capset(2)")]
pub struct PrivilegeError {
    set: &'static str,
    source: caps::errors::CapsError,
}

/// Gives up every capability of this thread. Threads that it starts later inherit that they have none.
///
/// Capabilities belong to threads, so a thread that was started earlier must call this as well. Open packet sockets
/// stay usable: the kernel checks capabilities when they are created.
///
/// # Errors
/// The kernel refuses, which only a security module can cause.
pub fn drop_all() -> Result<(), PrivilegeError> {
    for (name, set) in [
        ("ambient", CapSet::Ambient),
        ("inheritable", CapSet::Inheritable),
        ("effective", CapSet::Effective),
        ("permitted", CapSet::Permitted),
    ] {
        caps::clear(None, set).map_err(|source| PrivilegeError { set: name, source })?;
    }
    Ok(())
}

/// Ensures that programs which this thread starts cannot gain privileges that it does not have. Without this, execve(2)
/// would give them those of a setuid bit, and all capabilities if the user id is 0.
///
/// # Errors
/// The kernel refuses, which only a sandbox can cause.
pub(crate) fn gain_none() -> nix::Result<()> {
    nix::sys::prctl::set_no_new_privs()
}
