//! Starts the program again without capabilities, where capset(2) is refused.
//!
//! A filter of system calls may forbid capset(2), as that of the unit does. A process of an ordinary user can still
//! lose its capabilities for good: with an empty ambient set and with no-new-privileges, execve(2) leaves it none,
//! unless the program file has capabilities that the process had before. The second process has the number of the
//! first, and the descriptors that it kept open. A variable of the environment names these. The inheritable set stays,
//! since capset(2) alone could clear it. Nothing can come of it: a program file adds nothing under no-new-privileges,
//! and the ambient set takes only what is permitted.
//!
//! Whoever starts the program with this variable gains nothing. The second process does less than the first, not more:
//! it opens no packet socket, and it ends if it has a capability. Descriptors that are named in the variable were open
//! before, so they are what the starter had already, and they are checked by what they are.
//!
//! Sources: `cap_bprm_creds_from_file` in `security/commoncap.c`, capabilities(7), execve(2).

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;

use caps::{CapSet, Capability};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{execve, geteuid};
use thiserror::Error;

/// The variable: the number of the process, `:`, and numbers of descriptors with `,` between them. Its name begins like
/// those that no `AlertCommand` is given.
const VARIABLE: &str = "TA_PACKET_SOCKETS";

/// Maximum number of descriptors that are passed on.
const DESCRIPTORS_MAX: usize = 256;

/// The program cannot be started again without capabilities, or was not.
#[derive(Debug, Error)]
pub enum SecondStartError {
    /// A call of the first process fails.
    #[error(
        "capset(2) is refused, and the program cannot be started again without capabilities: {call} fails. Add capset \
         to SystemCallFilter= of the unit"
    )]
    Call {
        /// The system call.
        call: &'static str,
        /// The error of the system.
        source: Errno,
    },
    /// The variable is not as the first process writes it.
    #[error(
        "the environment variable TA_PACKET_SOCKETS {0}: the program sets it for itself alone, so remove it and start \
         again"
    )]
    Variable(String),
    /// The second process has capabilities, or can gain some.
    #[error(
        "the program was started again to be without capabilities, and {0}. If its file has capabilities, remove them: \
         setcap -r {file}. Else add capset to SystemCallFilter= of the unit",
        file = std::env::current_exe().unwrap_or_else(|_| "FILE".into()).display()
    )]
    Privileged(String),
}

/// Returns true if this thread has capabilities that it cannot give up, and would not have after a second start: the
/// kernel refuses even a capset(2) that changes nothing. Root would have them again.
pub fn needs_second_start() -> bool {
    let Ok(permitted) = caps::read(None, CapSet::Permitted) else { return false };
    !permitted.is_empty()
        && !geteuid().is_root()
        && caps::set(None, CapSet::Permitted, &permitted).is_err()
        && env::var_os(VARIABLE).is_none()
}

/// Replaces this process by the same program with the same arguments, without capabilities. It has the descriptors, as
/// far as they are not closed by execve(2). The signals that are blocked or wait stay so. No other thread may run.
///
/// # Errors
/// The kernel refuses a call; if there is no error, this does not return.
pub fn start_again(descriptors: &[RawFd]) -> Result<Infallible, SecondStartError> {
    let failed = |call| move |source| SecondStartError::Call { call, source };
    caps::clear(None, CapSet::Ambient)
        .map_err(|_| failed("prctl(PR_CAP_AMBIENT_CLEAR_ALL)")(Errno::last()))?;
    prctl::set_no_new_privs().map_err(failed("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    let numbers: Vec<String> = descriptors.iter().map(RawFd::to_string).collect();
    let own = format!("{VARIABLE}={}:{}", std::process::id(), numbers.join(","));
    let variables = env::vars_os().filter(|(name, _)| name != VARIABLE).map(|(mut name, value)| {
        name.push("=");
        name.push(value);
        name
    });
    let strings = |strings: &mut dyn Iterator<Item = OsString>| -> Result<Vec<CString>, SecondStartError> {
        let string = |text: OsString| CString::new(text.into_vec());
        strings.map(string).collect::<Result<_, _>>().map_err(|_| failed("execve")(Errno::EINVAL))
    };
    let arguments = strings(&mut env::args_os())?;
    let environment = strings(&mut variables.chain([own.into()]))?;
    // The file of this process, also if another one has its name now.
    execve(c"/proc/self/exe", &arguments, &environment).map_err(failed("execve(/proc/self/exe)"))
}

/// Returns the descriptors that the first process has passed on; `None` if this is not a second start. Checks that this
/// process has no capability and cannot gain one.
///
/// # Errors
/// The variable is malformed or that of another process, or there are capabilities.
pub fn passed_on() -> Result<Option<Vec<RawFd>>, SecondStartError> {
    let Some(value) = env::var_os(VARIABLE) else { return Ok(None) };
    let numbers = value.to_str().and_then(|text| parse(text, std::process::id()));
    let numbers =
        numbers.ok_or_else(|| SecondStartError::Variable("was not written by this process".to_owned()))?;
    ensure_powerless()?;
    // execve(2) names the thread after the file that it was given, so it is called `exe` here.
    let _ = prctl::set_name(c"TrafficAlerted");
    Ok(Some(numbers))
}

/// Returns the error for a descriptor that the variable names wrongly; `why` is the rest of a sentence.
pub fn wrong_descriptor(why: &impl std::fmt::Display) -> SecondStartError {
    SecondStartError::Variable(format!("is wrong, since {why}"))
}

/// Parses the variable of a process.
fn parse(text: &str, process: u32) -> Option<Vec<RawFd>> {
    // A sign or a space would be accepted by `parse`.
    let number = |text: &str| -> Option<u32> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let (own, numbers) = text.split_once(':')?;
    if number(own)? != process {
        return None;
    }
    let numbers: Option<Vec<RawFd>> = numbers
        .split(',')
        .take(DESCRIPTORS_MAX + 1)
        .map(|text| number(text).and_then(|number| RawFd::try_from(number).ok()))
        .collect();
    numbers.filter(|numbers| numbers.len() <= DESCRIPTORS_MAX)
}

/// Checks that this thread has no capability, and that no program which it starts has one.
fn ensure_powerless() -> Result<(), SecondStartError> {
    for (name, set) in
        [("permitted", CapSet::Permitted), ("effective", CapSet::Effective), ("ambient", CapSet::Ambient)]
    {
        let privileged = |why: String| SecondStartError::Privileged(why);
        let held = caps::read(None, set)
            .map_err(|error| privileged(format!("its {name} set cannot be read: {error}")))?;
        if !held.is_empty() {
            let mut names: Vec<String> = held.iter().map(Capability::to_string).collect();
            names.sort_unstable();
            return Err(privileged(format!("its {name} set has {}", names.join(", "))));
        }
    }
    match prctl::get_no_new_privs() {
        Ok(true) => Ok(()),
        _ => Err(SecondStartError::Privileged("no-new-privileges is not set".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_parsed_strictly() {
        assert_eq!(parse("7:3", 7), Some(vec![3]));
        assert_eq!(parse("7:3,12,4", 7), Some(vec![3, 12, 4]));
        for text in [
            "",
            "7",
            "7:",
            ":3",
            "8:3",
            "7:3,",
            "7:,3",
            "7:+3",
            "7: 3",
            "7:-3",
            "7:3;4",
            "7:x",
            "7:4294967295",
            "07x:3",
        ] {
            assert_eq!(parse(text, 7), None, "{text}");
        }
        let many = |count: usize| format!("7:{}", vec!["3"; count].join(","));
        assert!(parse(&many(DESCRIPTORS_MAX), 7).is_some());
        assert_eq!(parse(&many(DESCRIPTORS_MAX + 1), 7), None);
    }
}
