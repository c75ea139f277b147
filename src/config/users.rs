//! Checks the users that a configuration names against the users of this host. This is no part of the parser, since a
//! configuration may be read on another host, such as for a replay.

use super::key::SettingKey;
use super::values::Settings;
use crate::privileges::{Account, UserName};

/// A user that the program cannot become.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WrongUser {
    /// The setting.
    pub(super) key: SettingKey,
    /// The fault, in a few words.
    pub(super) label: String,
    /// What to do.
    pub(super) help: String,
}

/// Returns the users that do not exist, and `nobody` if it would own a state. `keeps_state` says whether the service
/// manager provides a folder for the state.
pub(super) fn wrong_users(settings: &Settings, keeps_state: bool) -> Vec<WrongUser> {
    let keeps_state = keeps_state || settings.state_file.is_some() || settings.state_directory.is_some();
    let mut wrong = Vec::new();
    for (key, user) in [
        (SettingKey::User, Some(&settings.user)),
        (SettingKey::AlertCommandUser, settings.alert_command_user.as_ref()),
    ] {
        let Some(user) = user else { continue };
        let fault = match user.find() {
            // Another id takes its place.
            Ok(None) if user.is_default() && key == SettingKey::User => None,
            Ok(None) => Some(missing(user)),
            Ok(Some(account)) if account.uid == Account::NOBODY && keeps_state && key == SettingKey::User => {
                Some((
                    "nobody must own no files".to_owned(),
                    format!(
                        "other programs run as this user too: run `{}` and remove this line",
                        UserName::USERADD
                    ),
                ))
            }
            Ok(Some(_)) => None,
            Err(error) => Some((
                "the user database cannot be read".to_owned(),
                format!("{}: write a number", error.desc()),
            )),
        };
        wrong.extend(fault.map(|(label, help)| WrongUser { key, label, help }));
    }
    wrong
}

fn missing(user: &UserName) -> (String, String) {
    let help = format!(
        "run `useradd --system --no-create-home --shell /usr/sbin/nologin {user}`, or write the name of a user"
    );
    ("no such user".to_owned(), help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigFile;

    fn labels(text: &str, keeps_state: bool) -> Vec<(SettingKey, String)> {
        let file = ConfigFile::parse("test.conf", text).unwrap_or_else(|error| panic!("{error}"));
        let wrong = wrong_users(&file.config().settings, keeps_state);
        wrong.into_iter().map(|wrong| (wrong.key, wrong.label)).collect()
    }

    #[test]
    fn a_user_that_does_not_exist_is_an_error_unless_it_is_the_default() {
        assert_eq!(labels("", true), []);
        assert_eq!(labels("User: trafficalerted", true), []);
        assert_eq!(labels("User: 3999999999\nAlertCommandUser: root", true), []);
        let missing = "no such user".to_owned();
        assert_eq!(labels("User: no-such-user", false), [(SettingKey::User, missing.clone())]);
        assert_eq!(
            labels("AlertCommandUser: no-such-user", false),
            [(SettingKey::AlertCommandUser, missing)]
        );
    }

    #[test]
    fn nobody_owns_no_state() {
        let fault = [(SettingKey::User, "nobody must own no files".to_owned())];
        assert_eq!(labels("User: 65534", false), []);
        assert_eq!(labels("User: 65534", true), fault);
        assert_eq!(labels("User: 65534\nStateFile: /var/lib/x/state.json", false), fault);
        assert_eq!(labels("AlertCommandUser: 65534", true), []);
    }

    #[test]
    fn the_report_names_the_line_and_the_remedy() {
        let file = ConfigFile::parse("test.conf", "ByteLimit: 1G\nUser: no-such-user\n");
        let error =
            file.unwrap_or_else(|error| panic!("{error}")).check_users(false).expect_err("there is none");
        let report = error.render(false);
        for part in ["error: bad value for `User`", "test.conf:2:7", "no such user", "useradd --system"] {
            assert!(report.contains(part), "{part} in {report}");
        }
    }
}
