//! The kinds for users of this host.

use crate::config::context::Context;
use crate::config::kind::Kind;
use crate::config::value_error::ValueError;
use crate::privileges::UserName;

/// The name or the number of a user; as an `Option` also nothing. Whether the user exists is checked where the program
/// starts, since a configuration may be read on another host.
pub(in crate::config) struct SystemUser;

impl Kind<UserName> for SystemUser {
    fn form(&self) -> String {
        "the name or the number of a user".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<UserName, ValueError> {
        let form = Kind::<UserName>::form(self);
        UserName::parse(text).map_err(|label| ValueError::write(label, form))
    }

    fn print(&self, value: &UserName) -> String {
        value.to_string()
    }
}

impl Kind<Option<UserName>> for SystemUser {
    fn form(&self) -> String {
        Kind::<UserName>::form(self)
    }

    fn read(&self, text: &str, context: &Context) -> Result<Option<UserName>, ValueError> {
        if text.is_empty() { Ok(None) } else { self.read(text, context).map(Some) }
    }

    fn print(&self, value: &Option<UserName>) -> String {
        value.as_ref().map_or_else(String::new, ToString::to_string)
    }
}
