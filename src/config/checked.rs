//! A configuration that passed every check.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::check::check;
use super::error::ConfigError;
use super::file::{FILE_BYTES_MAX, RawConfig, Text};
use super::machine::Machine;
use super::problem::Problems;
use super::values::Settings;

/// A configuration that passed every check. Its `Display` writes a file that has every key and parses to the same
/// configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The values. Each is within its range and passed the checks against the others
    /// ([`Context`](super::context::Context)).
    pub(super) settings: Settings,
    /// The machine for which they were checked, and on which `auto` is resolved.
    pub(super) machine: Machine,
}

impl Config {
    /// Parses a configuration from text. `name` is the file name in error messages.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    /// use traffic_alerted::detect::FindingKind;
    ///
    /// let config = Config::parse("my.conf", "TrafficInterval: 60\nByteLimit: 1.5G\n")?;
    /// assert_eq!(config.detect_limits().hosts.of(FindingKind::Traffic), Some(1_500_000_000));
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with every problem of the text, or [`ConfigError::TooLarge`].
    pub fn parse(name: &str, text: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::parse_on(name, text.as_ref(), &Machine::here())
    }

    /// Reads a configuration from a file.
    ///
    /// ```no_run
    /// let config = traffic_alerted::config::Config::load("/etc/TrafficAlerted/TrafficAlerted.conf")?;
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Config::parse`], and [`ConfigError::Unreadable`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let name = path.as_ref().display().to_string();
        let mut text = Vec::new();
        // Reading one byte more than is allowed detects a file that is too large, even one without an end.
        let read =
            File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text));
        match read {
            Ok(_) => Self::parse(&name, text),
            Err(source) => Err(ConfigError::Unreadable { name, source }),
        }
    }

    /// Parses a configuration for `machine`, which may be another one than this.
    pub(super) fn parse_on(name: &str, bytes: &[u8], machine: &Machine) -> Result<Self, ConfigError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { name: name.to_owned() });
        }
        let text = Text::decode(bytes);
        let mut problems = Vec::new();
        let raw = RawConfig::read(&text, Settings::may_repeat, &mut problems);
        match check(&raw, machine, &mut problems) {
            Some(settings) if problems.is_empty() => Ok(Self { settings, machine: machine.clone() }),
            _ => Err(ConfigError::Wrong(Problems::new(name, text.text, problems))),
        }
    }

    /// Returns the configuration of an empty file on `machine`.
    pub(super) fn defaults(machine: Machine) -> Self {
        Self { settings: Settings::defaults(), machine }
    }
}

impl Default for Config {
    /// The configuration of an empty file.
    fn default() -> Self {
        Self::defaults(Machine::here())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTER: &str = include_str!("../../TrafficAlerted.conf");

    #[test]
    fn an_empty_file_and_the_starter_are_the_defaults() {
        for text in ["", "\n", "# nothing\r\n", "\u{feff}", STARTER] {
            assert_eq!(
                Config::parse("test.conf", text).expect("this is a configuration"),
                Config::default(),
                "{text:?}"
            );
        }
    }

    /// A commented example begins with `#` and a key, without a space.
    #[test]
    fn the_starter_is_short_and_each_of_its_examples_can_be_used() {
        assert!(STARTER.lines().count() <= 25);
        let is_example =
            |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(char::is_alphabetic));
        let examples: Vec<&str> = STARTER.lines().filter(|line| is_example(line)).collect();
        assert!(examples.len() >= 5, "{examples:?}");
        for example in examples {
            let text = STARTER.replace(example, &example[1..]);
            let config = Config::parse("test.conf", text).unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(config, Config::default(), "{example}");
        }
        let all = STARTER.replace("\n#", "\n").replace("\n ", "\n# ");
        Config::parse("test.conf", all).unwrap_or_else(|error| panic!("{error}"));
    }

    #[test]
    fn defaults_pass_every_check_on_any_machine() {
        for count in [1, 2, 64, 256, 1024] {
            let machine = Machine { cores: (0..count).collect(), memory_bytes: 0 };
            let defaults = Config::defaults(machine.clone());
            let written = defaults.to_string();
            let read = Config::parse_on("test.conf", written.as_bytes(), &machine)
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read, defaults);
            assert_eq!(read.settings.workers.count(&machine), count.min(256));
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let comment = |bytes: usize| "#".repeat(bytes);
        assert!(Config::parse("it", comment(FILE_BYTES_MAX)).is_ok());
        let error = Config::parse("it", comment(FILE_BYTES_MAX + 1)).expect_err("one byte too many");
        assert_eq!(
            error.to_string(),
            "error: `it` is no configuration: it has more than 65536 bytes\n |\n \
             = help: give the path of a TrafficAlerted.conf"
        );
        let endless = Config::load("/dev/zero").expect_err("it has no end");
        assert!(matches!(endless, ConfigError::TooLarge { .. }), "{endless}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_error_with_its_reason() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let missing = folder.path().join("none.conf");
        let error = Config::load(&missing).expect_err("there is no such file").to_string();
        assert!(
            error.starts_with(&format!(
                "error: cannot read the configuration `{}`: No such file",
                missing.display()
            )),
            "{error}"
        );
        assert!(error.ends_with("= help: every key has a default: an empty file there is enough"), "{error}");
        let error = Config::load(folder.path()).expect_err("it is a folder");
        assert!(error.to_string().contains("Is a directory"), "{error}");
    }
}
