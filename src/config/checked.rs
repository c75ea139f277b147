//! A configuration that passed every check.

use super::machine::Machine;
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
    /// Returns the configuration of an empty file on `machine`.
    pub(super) fn defaults(machine: Machine) -> Self {
        let mut settings = Settings::defaults();
        let workers = settings.workers.count(&machine);
        settings.ring_memory_bytes = machine.ring_memory_default(settings.ring_memory_bytes, workers);
        Self { settings, machine }
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
    use crate::config::file::FILE_BYTES_MAX;

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
            for memory_bytes in [0, 16_000_000, 200_000_000, 24_000_000_000] {
                let machine = Machine { memory_bytes, ..Machine::with_cores((0..count).collect()) };
                let defaults = Config::defaults(machine.clone());
                let written = defaults.to_string();
                let read = Config::parse_on("test.conf", written.as_bytes(), &machine)
                    .unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(read, defaults);
                assert_eq!(Config::parse_on("test.conf", b"", &machine).expect("it is empty"), defaults);
                assert_eq!(read.settings.workers.count(&machine), count.min(256));
            }
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
        let endless = Config::load("/dev/zero").expect_err("it has no end").to_string();
        assert!(endless.contains("it is a device, not a regular file"), "{endless}");
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
        assert!(error.to_string().contains("it is a folder, not a regular file"), "{error}");
    }
}
