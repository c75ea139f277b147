//! Which user the program continues as, and the change to it.

use std::fs;

use caps::Capability;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Gid, Uid, getegid, geteuid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid,
};
use thiserror::Error;

use super::account::{Account, UserName};
use super::capabilities::{
    PrivilegeError, bounding_set_is_empty, drop_all, empty_bounding_set, holds, lock_securebits,
    securebits_are_locked,
};
use super::running_users::unused_id;

/// The user that the program continues as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user to change to; `None` if the user stays as it is.
    pub account: Option<Account>,
    /// Sentences about it that the operator is told once.
    pub notes: Vec<String>,
}

/// The configured user cannot be used.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// There is no user of this name.
    #[error("there is no user {0}: make it with useradd, or correct User in the configuration")]
    Unknown(UserName),
    /// The user database cannot be read.
    #[error("cannot look up the user {name}")]
    Lookup {
        /// The user.
        name: UserName,
        /// The error of the system.
        source: Errno,
    },
}

impl Identity {
    /// Returns the identity of a program that changes no user.
    pub fn unchanged() -> Self {
        Self { account: None, notes: Vec::new() }
    }

    /// Finds the user for `name`. Only a process of root changes its user. If the default user does not exist, an id
    /// that nobody uses is taken: one of `owners`, which own files of earlier runs, or else the lowest.
    ///
    /// # Errors
    /// The user does not exist and is not the default one, or the user database cannot be read.
    pub fn resolve(name: &UserName, owners: &[u32]) -> Result<Self, IdentityError> {
        let own = geteuid();
        if !own.is_root() {
            let wanted = if name.is_default() { None } else { name.find().ok().flatten() };
            let notes = wanted.filter(|account| account.uid != own.as_raw()).map(|account| {
                format!(
                    "only a start as root can change the user: the program stays user id {own}, not {account}"
                )
            });
            return Ok(Self { account: None, notes: notes.into_iter().collect() });
        }
        let rights = ChangeRights::of_this_process();
        let found = name.find().map_err(|source| IdentityError::Lookup { name: name.clone(), source })?;
        match found {
            Some(account) if account.uid == 0 => Ok(Self {
                account: None,
                notes: vec![
                    "User is root: the program gives up its capabilities, but owns what root owns; a user of its own is \
                     safer"
                        .to_owned(),
                ],
            }),
            Some(account) => Ok(match rights.why_not(account.uid, account.gid) {
                None => Self { notes: in_roots_group(&account).into_iter().collect(), account: Some(account) },
                Some(why) => Self::stays_root(&format!("cannot become {account}"), &why),
            }),
            None if name.is_default() => Ok(Self::nameless(owners, &rights)),
            None => Err(IdentityError::Unknown(name.clone())),
        }
    }

    /// Returns the identity of a user id that nobody uses.
    fn nameless(owners: &[u32], rights: &ChangeRights) -> Self {
        let missing = format!("there is no user {}", UserName::DEFAULT);
        let Some(id) = unused_id(owners, |id| rights.why_not(id, id).is_none()) else {
            let why = rights
                .why_not(Account::NOBODY, Account::NOBODY)
                .unwrap_or_else(|| "no id is free".to_owned());
            return Self::stays_root(&missing, &why);
        };
        let note = format!(
            "{missing}, so the program runs as user id {id}, which nobody else uses; make one: {}",
            UserName::USERADD
        );
        Self { account: Some(Account::nameless(id)), notes: vec![note] }
    }

    fn stays_root(what: &str, why: &str) -> Self {
        let note = format!("{what}, and {why}: the program stays user id 0, without capabilities");
        Self { account: None, notes: vec![note] }
    }
}

/// Returns a sentence about a user whose primary group is that of root.
fn in_roots_group(account: &Account) -> Option<String> {
    let Account { name, gid, .. } = account;
    (*gid == 0).then(|| {
        format!(
            "the primary group of {account} is root, so the program may do what that group may: \
             usermod --gid GROUP {name}"
        )
    })
}

/// Whether this process may change its user, and to which ids.
struct ChangeRights {
    has_capabilities: bool,
    /// The ids of users and of groups that the user namespace maps; `None` if they cannot be read.
    users: Option<Vec<MappedIds>>,
    groups: Option<Vec<MappedIds>>,
}

/// A line of `/proc/self/uid_map`: ids of this namespace.
struct MappedIds {
    first: u64,
    count: u64,
}

impl ChangeRights {
    fn of_this_process() -> Self {
        let read = |path| fs::read_to_string(path).ok().map(|text| mapped_ids(&text));
        Self {
            has_capabilities: holds(Capability::CAP_SETUID) && holds(Capability::CAP_SETGID),
            users: read("/proc/self/uid_map"),
            groups: read("/proc/self/gid_map"),
        }
    }

    /// Returns why the process cannot become this user; `None` if it can.
    fn why_not(&self, uid: u32, gid: u32) -> Option<String> {
        let is_mapped = |map: &Option<Vec<MappedIds>>, id: u32| {
            let contains = |ids: &MappedIds| (ids.first..ids.first + ids.count).contains(&u64::from(id));
            map.as_ref().is_none_or(|lines| lines.iter().any(contains))
        };
        if !is_mapped(&self.users, uid) || !is_mapped(&self.groups, gid) {
            return Some("this user namespace has no other user".to_owned());
        }
        (!self.has_capabilities).then(|| "CAP_SETUID and CAP_SETGID are missing".to_owned())
    }
}

/// Reads a map of user_namespaces(7): first id inside, first id outside, count.
fn mapped_ids(text: &str) -> Vec<MappedIds> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, count) = (numbers.next()?.ok()?, numbers.next()?, numbers.next()?.ok()?);
        Some(MappedIds { first, count })
    };
    text.lines().filter_map(line).collect()
}

/// What this process is confined to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Confinement {
    /// Its user id.
    pub uid: u32,
    /// Its group id.
    pub gid: u32,
    /// True if no capability can be gained from the bounding set.
    pub bounding_set_is_empty: bool,
    /// True if the securebits are set and locked.
    pub securebits_are_locked: bool,
    /// True if programs that it starts gain no privileges.
    pub no_new_privileges: bool,
    /// True if other processes of the same user can neither read its memory nor its descriptors.
    pub is_not_dumpable: bool,
    /// Sentences about what the kernel refused.
    pub refused: Vec<String>,
}

/// Changes to the user of `identity` and gives up every capability, in this order: bounding set and securebits (where
/// CAP_SETPCAP is held), supplementary groups, group, user, capabilities, no-new-privileges, core dumps and access by
/// other processes. Files that are made later can be written by their owner alone.
///
/// No other thread may run: what belongs to threads would stay as it is there.
///
/// # Errors
/// The user cannot be changed although that is allowed here, or capabilities cannot be given up.
pub fn drop_to(identity: &Identity) -> Result<Confinement, PrivilegeError> {
    let mut refused = Vec::new();
    if holds(Capability::CAP_SETPCAP) {
        // The securebits come last, since a change of them needs the capability as well.
        refused.extend(empty_bounding_set().err());
        refused.extend(lock_securebits().err());
    }
    let mut keeps_groups = false;
    if let Some(account) = &identity.account {
        let kept = become_user(account)?;
        keeps_groups = kept.is_some();
        refused.extend(kept);
    }
    drop_all()?;
    if let Some(account) = &identity.account {
        ensure_final(account, keeps_groups)?;
    }
    let refusal = |what: &str, error: Errno| format!("{what}: {error}");
    refused.extend(
        prctl::set_no_new_privs().err().map(|error| refusal("no-new-privileges cannot be set", error)),
    );
    refused.extend(
        prctl::set_dumpable(false).err().map(|error| refusal("core dumps cannot be forbidden", error)),
    );
    let before = umask(Mode::S_IWGRP | Mode::S_IWOTH);
    umask(before | Mode::S_IWGRP | Mode::S_IWOTH);
    Ok(Confinement {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
        bounding_set_is_empty: bounding_set_is_empty(),
        securebits_are_locked: securebits_are_locked(),
        no_new_privileges: prctl::get_no_new_privs().unwrap_or(false),
        is_not_dumpable: prctl::get_dumpable().is_ok_and(|is_dumpable| !is_dumpable),
        refused,
    })
}

/// Changes real, effective and saved ids. Returns a sentence if the supplementary groups have to stay.
fn become_user(account: &Account) -> Result<Option<String>, PrivilegeError> {
    let failed = |call| move |source| PrivilegeError::User { account: account.to_string(), call, source };
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let groups = match setgroups(&[]) {
        // A user namespace of an unprivileged user denies it (/proc/self/setgroups of user_namespaces(7)).
        Err(error @ Errno::EPERM) => {
            Some(format!("the supplementary groups of root cannot be given up: {error}"))
        }
        result => {
            result.map_err(failed("setgroups"))?;
            None
        }
    };
    setresgid(gid, gid, gid).map_err(failed("setresgid"))?;
    setresuid(uid, uid, uid).map_err(failed("setresuid"))?;
    Ok(groups)
}

/// Checks that the user and the groups are changed for good. `keeps_groups` says that supplementary groups had to stay.
fn ensure_final(account: &Account, keeps_groups: bool) -> Result<(), PrivilegeError> {
    let users = getresuid().map(|ids| [ids.real, ids.effective, ids.saved].map(Uid::as_raw));
    let groups = getresgid().map(|ids| [ids.real, ids.effective, ids.saved].map(Gid::as_raw));
    let further = getgroups().unwrap_or_default();
    let is_changed = users == Ok([account.uid; 3])
        && groups == Ok([account.gid; 3])
        && (keeps_groups || further.iter().all(|group| group.as_raw() == account.gid));
    let (root, root_group) = (Uid::from_raw(0), Gid::from_raw(0));
    // Without CAP_SETUID and CAP_SETGID it fails, unless one of the three ids is still 0.
    let is_reversible = || {
        setresuid(root, root, root).is_ok()
            || (account.gid != 0 && setresgid(root_group, root_group, root_group).is_ok())
    };
    if !is_changed || is_reversible() {
        return Err(PrivilegeError::Reversible { account: account.to_string() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(map: &str, has_capabilities: bool) -> ChangeRights {
        ChangeRights { has_capabilities, users: Some(mapped_ids(map)), groups: Some(mapped_ids(map)) }
    }

    #[test]
    fn a_user_is_changed_where_it_is_mapped_and_allowed() {
        let everything = "         0          0 4294967295\n";
        assert_eq!(rights(everything, true).why_not(61_184, 61_184), None);
        let why = rights(everything, false).why_not(61_184, 61_184).expect("a capability is missing");
        assert!(why.contains("CAP_SETUID"), "{why}");
        let root_only = rights("         0       1000          1\n", true);
        assert!(root_only.why_not(1, 0).is_some_and(|why| why.contains("user namespace")));
        assert!(root_only.why_not(0, 1).is_some_and(|why| why.contains("user namespace")));
        assert_eq!(root_only.why_not(0, 0), None);
        let subordinate = rights("0 1000 1\n1 100000 65536\n", true);
        assert_eq!(subordinate.why_not(65_536, 65_536), None);
        assert!(subordinate.why_not(65_537, 1).is_some());
    }

    #[test]
    fn without_another_user_it_stays_root_and_says_so() {
        let identity = Identity::nameless(&[], &rights("0 1000 1\n", true));
        assert_eq!(identity.account, None);
        assert!(identity.notes[0].contains("this user namespace has no other user"), "{:?}", identity.notes);
        let identity = Identity::nameless(&[], &rights("0 0 4294967295\n", true));
        let account = identity.account.expect("one of thousands is free");
        assert!(identity.notes[0].contains(UserName::USERADD), "{:?}", identity.notes);
        assert_eq!(account.uid, account.gid);
    }

    #[test]
    fn the_group_of_root_is_said() {
        let account = |gid| Account { gid, ..Account::nameless(61_700) };
        assert_eq!(in_roots_group(&account(61_700)), None);
        let note = in_roots_group(&account(0)).expect("it is the group of root");
        assert!(note.contains("primary group") && note.contains("usermod --gid"), "{note}");
    }

    #[test]
    fn a_user_that_was_not_changed_wholly_is_found() {
        let own = |uid, gid| Account { uid, gid, ..Account::nameless(uid) };
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        for account in [own(uid, gid.wrapping_add(1)), own(uid.wrapping_add(1), gid)] {
            let result = ensure_final(&account, true);
            assert!(matches!(result, Err(PrivilegeError::Reversible { .. })), "{account:?}");
        }
    }
}
