//! Giving up what is no longer needed, see capabilities(7).
#![forbid(unsafe_code)]

use caps::CapSet;
use thiserror::Error;

/// A privilege could not be given up.
#[derive(Debug, Error)]
#[error("cannot give up the {set} capabilities: a security module may forbid capset(2)")]
pub struct PrivilegeError {
    set: &'static str,
    source: caps::errors::CapsError,
}

/// Gives up every capability of this thread and, by inheritance, of those that it starts from here on.
/// Capabilities belong to threads, so one that was started before must do the same. Packet sockets that are
/// open stay so: they are checked when they are made.
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

/// Makes sure that nothing that this thread starts has a privilege that it lacks itself: not by a setuid program,
/// nor by being root, to whom a new program would give all capabilities back.
///
/// # Errors
/// The kernel refuses, which only a sandbox can cause.
pub fn gain_none() -> nix::Result<()> {
    nix::sys::prctl::set_no_new_privs()
}
