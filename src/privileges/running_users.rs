//! Which user ids are in use: by a process, or by an entry of the user database.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;

use nix::unistd::{Gid, Group, Uid, User};

/// The user ids that systemd gives to services without a user of their own (`DynamicUser=` of systemd.exec(5)). Other
/// programs leave them alone.
pub(super) const DYNAMIC_IDS: RangeInclusive<u32> = 61_184..=65_519;

/// Returns true if the id is one of [`DYNAMIC_IDS`] and no user has it.
pub(super) fn is_nobodys(id: u32) -> bool {
    DYNAMIC_IDS.contains(&id) && has_no_name(id)
}

/// Returns the first id of which `is_usable` returns true and that no user, group and process has: one of `first`, else
/// the lowest of [`DYNAMIC_IDS`].
pub(super) fn unused_id(first: &[u32], is_usable: impl Fn(u32) -> bool) -> Option<u32> {
    let running = running();
    let is_free = |id: &u32| !running.contains(id) && is_usable(*id) && is_nobodys(*id);
    first.iter().copied().chain(DYNAMIC_IDS).find(is_free)
}

/// Returns true if the user database has neither a user nor a group of this number.
fn has_no_name(id: u32) -> bool {
    matches!(User::from_uid(Uid::from_raw(id)), Ok(None))
        && matches!(Group::from_gid(Gid::from_raw(id)), Ok(None))
}

/// Returns the user ids of all processes that /proc shows: real, effective, saved and file system ids.
fn running() -> BTreeSet<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let statuses =
        processes.filter_map(|process| fs::read_to_string(process.ok()?.path().join("status")).ok());
    statuses.flat_map(|status| ids_of(&status)).collect()
}

/// Returns the user ids in a status of proc(5).
fn ids_of(status: &str) -> Vec<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    line.into_iter().flat_map(str::split_whitespace).filter_map(|id| id.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_id_is_in_no_database_and_runs_nothing() {
        let id = unused_id(&[], |_| true).expect("one of thousands is free");
        assert!(is_nobodys(id) && !running().contains(&id));
        let next = unused_id(&[0, id + 7], |_| true);
        assert!(next.is_some_and(|next| next != 0), "root is a user");
        assert_eq!(unused_id(&[], |_| false), None);
    }

    #[test]
    fn the_ids_of_a_process_are_read_from_its_status() {
        assert_eq!(ids_of("Name:\tx\nUid:\t0\t61184\t0\t3\nGid:\t5\t5\t5\t5\n"), [0, 61_184, 0, 3]);
        assert!(ids_of("Name:\tx\n").is_empty());
        assert!(running().contains(&nix::unistd::getuid().as_raw()));
    }
}
