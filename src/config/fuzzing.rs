//! The fuzz targets of this room: any text as a configuration, and a reload of any configuration into any other.

use super::checked::Config;
use super::config_file::ConfigFile;
use super::error::ConfigError;
use super::key::{Reload, SettingKey};
use super::machine::Machine;

/// Parses bytes as a configuration file: the result is a configuration that reads back the same from what is printed,
/// or a report. What is printed has each setting but the token.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn config(file: &[u8]) {
    match parse(file) {
        Ok(config) => check_text(&config),
        Err(error) => {
            assert!(error.render(false).starts_with("error: "), "a report begins with `error: `");
            assert!(!error.in_one_line().contains('\n'));
        }
    }
}

fn parse(text: &[u8]) -> Result<Config, ConfigError> {
    let machine = Machine { memory_bytes: 8 << 30, ..Machine::with_cores(vec![0, 1]) };
    ConfigFile::parse_any_length("fuzz.conf", text, &machine).map(ConfigFile::into_config)
}

fn check_text(config: &Config) {
    let text = config.text_with_token();
    let again =
        parse(text.as_bytes()).unwrap_or_else(|error| panic!("what is in force is refused:\n{error}"));
    assert_eq!(again, *config);
    let printed: String =
        config.to_string().lines().filter(|line| !line.starts_with('#')).map(trimmed).collect();
    let without =
        |line: &str| if line.starts_with("ApiToken:") { trimmed("ApiToken:") } else { trimmed(line) };
    assert_eq!(printed, text.lines().map(without).collect::<String>(), "all but the token is printed");
}

fn trimmed(line: &str) -> String {
    format!("{}\n", line.trim_end())
}

/// Splits the input at the first NUL into a running configuration and a new one, and reloads: the result is a valid
/// configuration that reads back the same; what takes a restart is unchanged, and named if its new value differs; what
/// is not named has its new value; a second reload of the same file changes nothing.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn reload(input: &[u8]) {
    let (running, new) = match input.iter().position(|&byte| byte == 0) {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (input, &input[..0]),
    };
    let (Ok(running), Ok(new)) = (parse(running), parse(new)) else { return };
    for config in [&running, &new] {
        assert_eq!(config.reload(config.clone()), (config.clone(), vec![]));
    }
    let (in_force, later) = running.reload(new.clone());
    check(&running, &new, &in_force, &later);
    check_text(&in_force);
    assert_eq!(in_force.reload(new), (in_force, later), "a second reload changes nothing");
}

fn check(running: &Config, new: &Config, in_force: &Config, later: &[&str]) {
    for &key in SettingKey::ALL {
        let lines = [running, new, in_force].map(|config| config.settings.lines_with_token(key));
        let [before, after, now] = lines;
        let is_named = later.contains(&key.name());
        assert_eq!(now, if is_named { &before[..] } else { &after[..] }, "{key}");
        assert!(!is_named || before != after, "{key} has not changed");
        let takes_restart = matches!(key.reload(), Reload::Restart(_));
        assert!(!takes_restart || is_named == (before != after), "{key} takes a restart");
    }
    let mut names = later.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), later.len(), "each key is named once");
}
