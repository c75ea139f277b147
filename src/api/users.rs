//! The users and groups of `ApiUsers`, who may make changes over the Unix socket.

use std::collections::BTreeSet;
use std::fmt;

use nix::unistd::{Group, User, geteuid};

/// A user or a group, as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ApiUser {
    /// A user by its number.
    Id(u32),
    /// A user by its name.
    Name(String),
    /// A group by its name.
    Group(String),
}

impl ApiUser {
    /// Reads a name, a number, or `@` and the name of a group; `None` if the text is none of these.
    pub fn read(text: &str) -> Option<Self> {
        let is_name = |name: &str| {
            let is_name_char =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '$' | '\\');
            !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_name_char)
        };
        match text.strip_prefix('@') {
            Some(group) => is_name(group).then(|| Self::Group(group.to_owned())),
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().map(Self::Id),
            None => (is_name(text) && !text.starts_with('-')).then(|| Self::Name(text.to_owned())),
        }
    }

    /// Returns true if this machine has such a user or group. A number needs no entry.
    pub fn exists(&self) -> bool {
        match self {
            Self::Id(_) => true,
            Self::Name(name) => matches!(User::from_name(name), Ok(Some(_))),
            Self::Group(name) => matches!(Group::from_name(name), Ok(Some(_))),
        }
    }
}

impl fmt::Display for ApiUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => f.write_str(name),
            Self::Group(name) => write!(f, "@{name}"),
        }
    }
}

/// The numbers of those who may make changes, looked up once.
#[derive(Debug, Default)]
pub(super) struct AllowedUsers {
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl AllowedUsers {
    /// Looks the names up. Names that do not exist allow nobody. The members of a group are those that the group
    /// lists, and those whose primary group it is.
    pub(super) fn look_up(users: &[ApiUser]) -> Self {
        let mut allowed = Self::default();
        for user in users {
            match user {
                ApiUser::Id(id) => {
                    allowed.uids.insert(*id);
                }
                ApiUser::Name(name) => {
                    allowed.uids.extend(User::from_name(name).ok().flatten().map(|user| user.uid.as_raw()));
                }
                ApiUser::Group(name) => {
                    let Ok(Some(group)) = Group::from_name(name) else { continue };
                    allowed.gids.insert(group.gid.as_raw());
                    let members = group.mem.iter().filter_map(|name| User::from_name(name).ok().flatten());
                    allowed.uids.extend(members.map(|member| member.uid.as_raw()));
                }
            }
        }
        allowed
    }

    /// Returns true if the user may make changes: root, the program's own user, and those of `ApiUsers`.
    pub(super) fn allow(&self, uid: u32, gid: u32) -> bool {
        // The own user is asked for each time, since the program changes it after the socket is bound.
        uid == 0 || uid == geteuid().as_raw() || self.uids.contains(&uid) || self.gids.contains(&gid)
    }
}

/// Maximum number of bytes of a name.
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_names_numbers_and_groups() {
        for text in ["alice", "0", "65534", "@adm", "a.b-c_d", "host$"] {
            assert_eq!(ApiUser::read(text).map(|user| user.to_string()).as_deref(), Some(text));
        }
        for text in ["", "@", "-1", "4294967296", "a b", "a:b", "@@a", "ä"] {
            assert_eq!(ApiUser::read(text), None, "{text}");
        }
    }

    #[test]
    fn root_and_the_own_user_and_those_that_are_named_are_allowed() {
        let nobody = AllowedUsers::look_up(&[]);
        assert!(nobody.allow(0, 4_000_000) && nobody.allow(geteuid().as_raw(), 4_000_000));
        assert!(!nobody.allow(3_999_999, 0), "the group of root is not root");
        let users =
            ["3999999", "@root", "no-such-user-here"].map(|text| ApiUser::read(text).expect("a user"));
        let some = AllowedUsers::look_up(&users);
        assert!(some.allow(3_999_999, 4_000_000) && some.allow(3_999_998, 0));
        assert!(!some.allow(3_999_998, 4_000_000));
        assert_eq!(users.map(|user| user.exists()), [true, true, false]);
    }
}
