//! Secrets in files that everybody on this host can read, and how to hide them so that the program can still read them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::unistd::{getegid, geteuid};

use super::missing_files::Viewer;
use crate::privileges::{UserName, is_dynamic_id};

/// The user and the group that read the files while the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReadingUser {
    uid: u32,
    gid: u32,
}

impl ReadingUser {
    /// Returns who reads the files of a program that is configured to run as `user`. Returns `None` if that is not
    /// known, or if the ids are lent, as those of a unit with `DynamicUser=` are: a file cannot be given to these.
    pub(super) fn of(user: &UserName, viewer: Viewer<'_>) -> Option<Self> {
        let reader = if viewer == Viewer::Program && !geteuid().is_root() {
            Self { uid: geteuid().as_raw(), gid: getegid().as_raw() }
        } else {
            let account = user.find().ok().flatten()?;
            Self { uid: account.uid, gid: account.gid }
        };
        (!is_dynamic_id(reader.uid) && !is_dynamic_id(reader.gid)).then_some(reader)
    }
}

/// Returns what to do about a configuration that holds the token of the API.
pub(super) fn hide_token(file: &Path, reader: Option<ReadingUser>) -> String {
    let own_file = "put a new token into a file of its own (`TrafficAlerted token --file PATH`) and write \
                    `ApiTokenFile: PATH` instead, with the unit by LoadCredential=";
    let file = file.display();
    match reader {
        Some(ReadingUser { gid, .. }) => format!(
            "{own_file}; or change the token and run `chgrp {gid} {file} && chmod g+r,o= {file}`: the program must \
             still read this file"
        ),
        None => format!(
            "{own_file}; leave this file readable, since the program reads it at a start and a reload"
        ),
    }
}

/// Returns what to do about a file that holds a secret and nothing else.
pub(super) fn hide_file(file: &Path, reader: Option<ReadingUser>) -> String {
    let file = file.display();
    match reader {
        Some(ReadingUser { uid, .. }) => {
            format!("run `chown {uid} {file} && chmod 600 {file}`, change the secret and restart")
        }
        None => format!(
            "run `chmod 600 {file}`, change the secret and restart: a start as root gives the file to the program; \
             with the unit use LoadCredential="
        ),
    }
}

/// Returns true if every user of this host may read the file.
pub(super) fn everybody_reads(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_advice_takes_a_file_away_from_the_program() {
        let file = Path::new("/etc/x.conf");
        let reader = Some(ReadingUser { uid: 998, gid: 997 });
        let with_group = hide_token(file, reader);
        let (token_file, group) =
            (with_group.find("`ApiTokenFile: PATH`"), with_group.find("`chgrp 997 /etc/x.conf "));
        assert!(token_file.is_some() && token_file < group, "the file of its own comes first: {with_group}");
        assert!(with_group.contains("&& chmod g+r,o= /etc/x.conf`"), "{with_group}");
        let without = hide_token(file, None);
        assert!(without.contains("`ApiTokenFile: PATH`") && !without.contains("chmod"), "{without}");
        assert!(hide_file(file, reader).contains("`chown 998 /etc/x.conf && chmod 600 /etc/x.conf`"));
        assert!(hide_file(file, None).contains("LoadCredential="));
    }

    #[test]
    fn lent_ids_are_given_no_file() {
        let reader = |id| ReadingUser::of(&UserName::Id(id), Viewer::Operator);
        assert!(reader(1).is_some());
        assert_eq!((reader(61_185), reader(65_519)), (None, None));
        assert_eq!(ReadingUser::of(&UserName::Name("no.such-user".to_owned()), Viewer::Operator), None);
    }
}
