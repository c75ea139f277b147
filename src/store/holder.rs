//! Who holds a lock of a state directory, as the kernel lists it (/proc/locks, proc_locks(5)). A process that only
//! reads a file can lock it as well (flock(2)), so the holder need not be a TrafficAlerted.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LockHolder {
    /// The kernel lists nobody whom this process may see.
    Unknown,
    /// A TrafficAlerted with this pid, as its lock file or its name says.
    Own(u32),
    /// Another process, in words.
    Stranger(String),
}

/// Returns who holds the lock of a file or folder. `written` is the pid in the lock file, if it has one.
pub(super) fn holder(locked: &Metadata, written: Option<u32>) -> LockHolder {
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    let processes: Vec<Process> = pids(&locks, locked).into_iter().filter_map(Process::read).collect();
    // A process of a container knows itself by another pid. One that has just started may not have written its pid.
    let is_own = |process: &&Process| {
        written.is_some_and(|pid| process.pids.contains(&pid)) || process.name == OWN_NAME
    };
    match (processes.iter().find(is_own), processes.first()) {
        (Some(own), _) => LockHolder::Own(own.pid),
        (None, Some(Process { pid, name, uid, .. })) => {
            LockHolder::Stranger(format!("the process {pid} ({name}) of the user {uid}"))
        }
        (None, None) => LockHolder::Unknown,
    }
}

/// Returns the pids of those that hold a lock of flock(2) on this file. Processes that wait for it have an arrow.
fn pids(locks: &str, locked: &Metadata) -> Vec<u32> {
    let (device, inode) = (locked.dev(), locked.ino());
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let id = format!("{major:02x}:{minor:02x}:{inode}");
    let pid = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, _, pid, file, ..] if file == id => pid.parse().ok(),
        _ => None,
    };
    locks.lines().filter_map(pid).collect()
}

/// A process that runs.
#[derive(Debug)]
struct Process {
    pid: u32,
    /// The name of its program, at most 15 bytes.
    name: String,
    uid: u32,
    /// Its pids in each of the nested namespaces that it is in.
    pids: Vec<u32>,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let uid = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
        let inner = field("NSpid:").unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok());
        let name = field("Name:")?.to_owned();
        Some(Self { pid, name, uid, pids: inner.chain([pid]).collect() })
    }
}

/// The name of this program's processes.
const OWN_NAME: &str = "TrafficAlerted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_those_that_the_kernel_lists_for_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        let metadata = file.as_file().metadata().expect("it is open");
        assert_eq!(holder(&metadata, Some(std::process::id())), LockHolder::Unknown, "nobody has locked it");
        file.as_file().lock_shared().expect("it is ours");
        let own = std::process::id();
        assert_eq!(holder(&metadata, Some(own)), LockHolder::Own(own));
        let stranger = |written| match holder(&metadata, written) {
            LockHolder::Stranger(text) => text,
            other => panic!("{other:?}"),
        };
        for written in [None, Some(own + 1)] {
            assert!(stranger(written).starts_with(&format!("the process {own} (")), "{}", stranger(written));
        }
    }

    #[test]
    fn those_that_wait_and_other_kinds_of_locks_are_no_holders() {
        let file = tempfile::NamedTempFile::new().expect("a file for the test");
        let metadata = file.as_file().metadata().expect("it is open");
        let device = metadata.dev();
        let id = format!(
            "{:02x}:{:02x}:{}",
            nix::sys::stat::major(device),
            nix::sys::stat::minor(device),
            metadata.ino()
        );
        let locks = format!(
            "1: FLOCK  ADVISORY  WRITE 11 {id} 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 12 {id} 0 EOF\n\
             2: POSIX  ADVISORY  READ 13 {id} 0 EOF\n3: FLOCK  ADVISORY  READ 14 {id}0 0 EOF\n"
        );
        assert_eq!(pids(&locks, &metadata), [11]);
    }
}
