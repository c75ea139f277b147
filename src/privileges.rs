//! Giving up privileges that are no longer needed (capabilities(7), PR_SET_NO_NEW_PRIVS of prctl(2)).
#![forbid(unsafe_code)]

use caps::CapSet;
use thiserror::Error;

/// The error that a privilege could not be given up.
#[derive(Debug, Error)]
#[error("cannot give up the {set} capabilities: a security module may forbid capset(2)")]
pub struct PrivilegeError {
    set: &'static str,
    source: caps::errors::CapsError,
}

/// Gives up every capability of this thread and, by inheritance, of the threads that it starts later.
///
/// Capabilities belong to threads, so a thread that was started before must call this as well. Open packet sockets stay
/// usable: the kernel checks capabilities when they are created.
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

/// Makes sure that programs that this thread starts gain no privilege that it lacks itself: neither by a setuid bit,
/// nor by user id 0, which would get all capabilities back on execve(2).
///
/// # Errors
/// The kernel refuses, which only a sandbox can cause.
pub(crate) fn gain_none() -> nix::Result<()> {
    nix::sys::prctl::set_no_new_privs()
}
