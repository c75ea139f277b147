//! Which ids of users and groups are in use: by a process, by an entry of the user database, or by systemd.

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

/// The user ids that systemd gives to services without a user of their own (`DynamicUser=` of systemd.exec(5)). Other
/// programs leave them alone.
pub(super) const DYNAMIC_IDS: RangeInclusive<u32> = 61_184..=65_519;

/// Returns true if the id is of the range that is lent to services without a user of their own, 61184 to 65519, so that
/// another service may have it later.
pub fn is_dynamic_id(id: u32) -> bool {
    DYNAMIC_IDS.contains(&id)
}

/// Returns true if the id is of the range of [`is_dynamic_id`] and neither a user nor a service of systemd has it.
pub fn is_nobodys(id: u32) -> bool {
    // systemd keeps a file for each id that a service has now; without nss-systemd(8) the database does not know them.
    let is_a_services = || Path::new(SERVICES).join(id.to_string()).symlink_metadata().is_ok();
    DYNAMIC_IDS.contains(&id) && has_no_name(id) && !is_a_services()
}

/// The folder of systemd with a file for each id that it has given to a service (`src/core/dynamic-user.c`).
const SERVICES: &str = "/run/systemd/dynamic-uid";

/// Returns an id of which `is_usable` returns true and that no user and group has: the first of `owners` in
/// [`DYNAMIC_IDS`], else the lowest that no process has either.
///
/// `owners` own files of earlier runs. A process of such an id is one of an earlier run, which may not have ended yet,
/// or one that can write to these files in any case: another id would only lead to another owner at each restart.
pub(super) fn unused_id(owners: &[u32], is_usable: impl Fn(u32) -> bool) -> Option<u32> {
    let is_free = |id: &u32| is_usable(*id) && is_nobodys(*id);
    owners.iter().copied().find(is_free).or_else(|| {
        let running = running();
        DYNAMIC_IDS.into_iter().find(|id| !running.contains(id) && is_free(id))
    })
}

/// Returns true if the user database has neither a user nor a group of this number.
fn has_no_name(id: u32) -> bool {
    matches!(User::from_uid(Uid::from_raw(id)), Ok(None))
        && matches!(Group::from_gid(Gid::from_raw(id)), Ok(None))
}

/// Returns the ids of users and groups of all processes that /proc shows: real, effective, saved and file system ids.
fn running() -> BTreeSet<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let statuses =
        processes.filter_map(|process| fs::read_to_string(process.ok()?.path().join("status")).ok());
    statuses.flat_map(|status| ids_of(&status)).collect()
}

/// Returns the ids of users and groups in a status of proc(5), the supplementary groups included.
fn ids_of(status: &str) -> Vec<u32> {
    let ids = |line: &'_ str| {
        let name = ["Uid:", "Gid:", "Groups:"].into_iter().find(|name| line.starts_with(name))?;
        Some(line[name.len()..].split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
    };
    status.lines().filter_map(ids).flatten().collect()
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
    fn the_owner_of_earlier_files_is_taken_again_even_while_it_runs() {
        let free = unused_id(&[], |_| true).expect("one of thousands is free");
        let owner = free + 9;
        for _ in 0..2 {
            assert_eq!(
                unused_id(&[0, 1000, owner, free], |_| true),
                Some(owner),
                "root and others are users"
            );
        }
        assert_eq!(unused_id(&[owner], |id| id != owner), Some(free), "a namespace does not map it");
        // Whether a process has it is not asked: see `running`, which has the ids of this process.
        assert_eq!(unused_id(&[*DYNAMIC_IDS.end() + 1], |_| true), Some(free), "it is out of the range");
    }

    #[test]
    fn the_ids_of_a_process_are_read_from_its_status() {
        let status = "Name:\tx\nUid:\t0\t61184\t0\t3\nGid:\t5\t6\t5\t5\nGroups:\t7 61185 \nVmPeak:\t9 kB\n";
        assert_eq!(ids_of(status), [0, 61_184, 0, 3, 5, 6, 5, 5, 7, 61_185]);
        assert!(ids_of("Name:\tx\n").is_empty());
        assert!(running().contains(&nix::unistd::getuid().as_raw()));
    }
}
