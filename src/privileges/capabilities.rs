//! Capabilities of the calling thread, and what could give them back: the bounding set, securebits, setuid programs.

use caps::{CapSet, Capability};
use rustix::thread::{CapabilitiesSecureBits as SecureBits, set_capabilities_secure_bits};
use thiserror::Error;

/// The kernel refused to give up a privilege.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// A set of capabilities cannot be cleared.
    #[error(
        "cannot give up the {set} capabilities: a security module or SystemCallFilter= of the unit may forbid capset(2)"
    )]
    Capabilities {
        /// The name of the set.
        set: &'static str,
        /// The error of the library.
        source: caps::errors::CapsError,
    },
    /// The user cannot be changed, although this process is allowed to.
    #[error(
        "cannot become {account}: {call} fails; see whether it has too many processes (ulimit -u) or a sandbox forbids it"
    )]
    User {
        /// The user, as a sentence names it.
        account: String,
        /// The system call.
        call: &'static str,
        /// The error of the system.
        source: nix::Error,
    },
    /// The user or a group was not changed wholly, or this process can change it back.
    #[error(
        "the program should be {account} with its group alone, and is not or can become root again: a sandbox \
         interferes with setresuid(2), setresgid(2) or setgroups(2)"
    )]
    Reversible {
        /// The user, as a sentence names it.
        account: String,
    },
}

/// Gives up every capability of this thread. Threads that it starts later inherit that they have none.
///
/// Capabilities belong to threads, so a thread that was started earlier must call this as well. Where capset(2) is
/// refused, a thread that has none already succeeds.
///
/// # Errors
/// The kernel refuses, which a security module or a filter of system calls can cause.
pub fn drop_all() -> Result<(), PrivilegeError> {
    for (name, set) in [
        ("ambient", CapSet::Ambient),
        ("inheritable", CapSet::Inheritable),
        ("effective", CapSet::Effective),
        ("permitted", CapSet::Permitted),
    ] {
        match caps::clear(None, set) {
            Err(source) if !is_powerless(set) => {
                return Err(PrivilegeError::Capabilities { set: name, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Returns true if this thread gains nothing from this set. An empty set gives nothing. Neither does an inheritable set
/// with members if no-new-privileges is set and the permitted and the ambient set are empty, since execve(2) adds none
/// of its members then; a second start leaves such a set (`second_start.rs`).
fn is_powerless(set: CapSet) -> bool {
    let is_empty = |set| caps::read(None, set).is_ok_and(|held| held.is_empty());
    let gives_nothing = || {
        nix::sys::prctl::get_no_new_privs().unwrap_or(false)
            && is_empty(CapSet::Permitted)
            && is_empty(CapSet::Ambient)
    };
    is_empty(set) || (matches!(set, CapSet::Inheritable) && gives_nothing())
}

/// Returns true if this thread can use the capability.
pub(super) fn holds(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

/// Empties the bounding set, from which programs with file capabilities and programs of root take theirs. Needs
/// CAP_SETPCAP. Returns a sentence if the kernel refuses.
pub(super) fn empty_bounding_set() -> Result<(), String> {
    caps::clear(None, CapSet::Bounding)
        .map_err(|error| format!("the bounding set cannot be emptied: {error}"))
}

/// Returns true if the bounding set of this thread is empty.
pub(super) fn bounding_set_is_empty() -> bool {
    caps::read(None, CapSet::Bounding).is_ok_and(|set| set.is_empty())
}

/// Sets and locks the securebits: user id 0 has no capabilities by itself, a change of the user gives none, and none is
/// kept or raised. Needs CAP_SETPCAP. Returns a sentence if the kernel refuses.
pub(super) fn lock_securebits() -> Result<(), String> {
    set_capabilities_secure_bits(LOCKED).map_err(|error| format!("the securebits cannot be locked: {error}"))
}

/// Returns true if the securebits of this thread are locked as [`lock_securebits`] does it.
pub(super) fn securebits_are_locked() -> bool {
    rustix::thread::capabilities_secure_bits().is_ok_and(|bits| bits == LOCKED)
}

/// All securebits of capabilities(7) but `KEEP_CAPS`, and all of their locks.
const LOCKED: SecureBits = SecureBits::NO_ROOT
    .union(SecureBits::NO_ROOT_LOCKED)
    .union(SecureBits::NO_SETUID_FIXUP)
    .union(SecureBits::NO_SETUID_FIXUP_LOCKED)
    .union(SecureBits::KEEP_CAPS_LOCKED)
    .union(SecureBits::NO_CAP_AMBIENT_RAISE)
    .union(SecureBits::NO_CAP_AMBIENT_RAISE_LOCKED);
