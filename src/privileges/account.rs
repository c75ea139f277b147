//! Users as a configuration names them, and as the user database of this host knows them.

use std::fmt;
use std::path::PathBuf;

use nix::unistd::{Uid, User};

/// A user as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserName {
    /// A name of the user database.
    Name(String),
    /// A user id, which the user database need not contain.
    Id(u32),
}

impl UserName {
    /// The name of the user that the service has by default.
    pub const DEFAULT: &str = "trafficalerted";
    /// The command that makes the default user.
    pub const USERADD: &str = "useradd --system --no-create-home --shell /usr/sbin/nologin trafficalerted";

    /// Reads a name or a number.
    ///
    /// ```
    /// use traffic_alerted::privileges::UserName;
    ///
    /// assert_eq!(UserName::parse("alice"), Ok(UserName::Name("alice".to_owned())));
    /// assert_eq!(UserName::parse("999"), Ok(UserName::Id(999)));
    /// assert!(UserName::parse("a b").is_err());
    /// ```
    ///
    /// # Errors
    /// The fault of the text, in a few words.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // The largest number means "no change" in setresuid(2).
            let id = text.parse().ok().filter(|&id| id != u32::MAX);
            return id.map(Self::Id).ok_or("too large for a user id");
        }
        // useradd(8) permits less and name services permit more; a colon would end the field in passwd(5).
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_-.@\\$".contains(c);
        match text {
            "" => Err("no name"),
            _ if text.len() > NAME_BYTES_MAX => Err("too long for a user name"),
            _ if text.starts_with('-') || !text.chars().all(is_allowed) => Err("not the name of a user"),
            _ => Ok(Self::Name(text.to_owned())),
        }
    }

    /// Returns true for the default user, for which another id is taken if it does not exist.
    pub fn is_default(&self) -> bool {
        matches!(self, Self::Name(name) if name == Self::DEFAULT)
    }

    /// Looks the user up. Returns `None` if there is no user of this name. A number is a user in any case.
    ///
    /// # Errors
    /// The user database cannot be read.
    pub fn find(&self) -> nix::Result<Option<Account>> {
        match self {
            Self::Name(name) => Ok(User::from_name(name)?.map(Account::from)),
            Self::Id(id) => Ok(Some(
                User::from_uid(Uid::from_raw(*id))?.map_or_else(|| Account::nameless(*id), Account::from),
            )),
        }
    }
}

impl Default for UserName {
    fn default() -> Self {
        Self::Name(Self::DEFAULT.to_owned())
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Id(id) => id.fmt(f),
        }
    }
}

/// Longest name that is looked up, as `LOGIN_NAME_MAX` of limits.h.
const NAME_BYTES_MAX: usize = 255;

/// A user, its primary group and its home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name; the number if it has none.
    pub name: String,
    /// Its user id.
    pub uid: u32,
    /// The id of its primary group; the number of the user if the user database does not contain it.
    pub gid: u32,
    /// Its home directory.
    pub home: PathBuf,
}

impl Account {
    /// The user id of `nobody`, which the kernel also shows for ids that a namespace does not map.
    pub const NOBODY: u32 = 65_534;

    /// Returns the user of a number that has no name and a group of the same number.
    pub(super) fn nameless(id: u32) -> Self {
        Self { name: id.to_string(), uid: id, gid: id, home: "/".into() }
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), home: user.dir }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, uid, .. } = self;
        if *name == uid.to_string() {
            write!(f, "user id {uid}")
        } else {
            write!(f, "{name} (user id {uid})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_name_or_a_number() {
        let name = |text: &str| Ok(UserName::Name(text.to_owned()));
        let cases = [
            ("root", name("root")),
            ("_ta-1.x@example", name("_ta-1.x@example")),
            ("0", Ok(UserName::Id(0))),
            ("4294967294", Ok(UserName::Id(u32::MAX - 1))),
            ("4294967295", Err("too large for a user id")),
            ("99999999999", Err("too large for a user id")),
            ("", Err("no name")),
            ("a:b", Err("not the name of a user")),
            ("-a", Err("not the name of a user")),
            ("a b", Err("not the name of a user")),
        ];
        for (text, want) in cases {
            assert_eq!(UserName::parse(text), want, "{text}");
        }
        assert_eq!(UserName::parse(&"a".repeat(256)), Err("too long for a user name"));
        assert!(UserName::default().is_default() && !UserName::Id(0).is_default());
    }

    #[test]
    fn a_number_need_not_be_in_the_user_database() {
        let root = UserName::Id(0).find().expect("the database is readable").expect("a number is a user");
        assert_eq!((root.name.as_str(), root.uid, root.gid), ("root", 0, 0));
        let nameless = UserName::Id(3_999_999_999).find().expect("the database is readable");
        assert_eq!(nameless, Some(Account::nameless(3_999_999_999)));
        let missing = UserName::Name("no.such-user".to_owned()).find().expect("the database is readable");
        assert_eq!(missing, None);
    }
}
