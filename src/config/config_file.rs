//! A configuration together with the file that it was read from: which settings the file has, and in which lines.

pub(super) mod warnings;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

use super::check::{check, contact_limit};
use super::checked::Config;
use super::error::ConfigError;
use super::file::{FILE_BYTES_MAX, RawConfig, Setting, Text};
use super::key::SettingKey;
use super::machine::Machine;
use super::problem::{Problem, Problems, Severity};
use super::ranges::MEMORY_BYTES;
use super::units::Bytes;
use super::users::{WrongUser, wrong_users};
use super::values::Settings;
use crate::bounded_file::{self, ReadFileError};
use crate::detect::ScanRule;
use crate::escape::Escaped;

/// A configuration and the lines that it was read from. Its `Display` writes what is in force as a file that parses to
/// the same configuration; comments mark the defaults that depend on other settings.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    name: String,
    text: String,
    config: Config,
    lines: Vec<Place>,
    /// The key that makes the default of `ScanEvidence` what it is in the original, if the file has one.
    contact_limit: Option<Place>,
}

/// The place of a setting in the text.
#[derive(Clone, Debug)]
struct Place {
    key: SettingKey,
    key_span: Range<usize>,
    value_span: Range<usize>,
}

impl Place {
    fn of(setting: &Setting<'_>) -> Self {
        Self { key: setting.key, key_span: setting.key_span.clone(), value_span: setting.value_span.clone() }
    }
}

impl ConfigFile {
    /// Parses a configuration from text. `name` is the file name in messages.
    ///
    /// ```
    /// use traffic_alerted::config::ConfigFile;
    ///
    /// let file = ConfigFile::parse("my.conf", "NumberContactedIPs: 15\n")?;
    /// assert!(file.to_string().contains("\nScanEvidence: contacts\n"));
    /// assert!(file.advice(false)[0].starts_with("note: `ScanEvidence` is `contacts`"));
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with every problem of the text, [`ConfigError::TooLarge`], or
    /// [`ConfigError::TooLittleMemory`].
    pub fn parse(name: &str, text: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        Self::parse_on(name, text.as_ref(), &Machine::here())
    }

    /// Reads a configuration from a file.
    ///
    /// ```no_run
    /// use traffic_alerted::config::ConfigFile;
    ///
    /// let file = ConfigFile::load("/etc/TrafficAlerted/TrafficAlerted.conf")?;
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`ConfigFile::parse`], and [`ConfigError::Unreadable`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let name = Escaped::path(path.as_ref()).to_string();
        match bounded_file::read(path.as_ref(), FILE_BYTES_MAX as u64) {
            Ok(text) => Self::parse(&name, text),
            Err(ReadFileError::TooLarge(_)) => Err(ConfigError::TooLarge { name }),
            Err(ReadFileError::Io(source)) => Err(ConfigError::Unreadable { name, source }),
            Err(error @ ReadFileError::NotRegular(_)) => {
                Err(ConfigError::Unreadable { name, source: io::Error::other(error) })
            }
        }
    }

    /// Parses a configuration for `machine`, which may be another one than this.
    pub(super) fn parse_on(name: &str, bytes: &[u8], machine: &Machine) -> Result<Self, ConfigError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { name: name.to_owned() });
        }
        Self::parse_any_length(name, bytes, machine)
    }

    /// Parses a configuration that may be longer than a file, as one that was printed with every key may be.
    pub(super) fn parse_any_length(name: &str, bytes: &[u8], machine: &Machine) -> Result<Self, ConfigError> {
        let text = Text::decode(bytes);
        let mut problems = Vec::new();
        let raw = RawConfig::read(&text, Settings::may_repeat, &mut problems);
        let settings = check(&raw, machine, &mut problems);
        let contact_limit = contact_limit(&raw).map(Place::of);
        let lines = raw.into_settings().iter().map(Place::of).collect();
        let name = name.to_owned();
        match settings {
            Some(settings) if problems.is_empty() => {
                let config = Config { settings, machine: machine.clone() };
                config.check_memory(&name)?;
                Ok(Self { name, text: text.text, config, lines, contact_limit })
            }
            _ => Err(ConfigError::Wrong(Problems::new(Severity::Error, &name, text.text, problems))),
        }
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the configuration alone.
    pub fn into_config(self) -> Config {
        self.config
    }

    /// Checks that the users that the file names exist on this host, and that `nobody` owns no state. `keeps_state`
    /// says whether the service manager provides a folder for the state.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`] with each user that the program cannot become.
    pub fn check_users(&self, keeps_state: bool) -> Result<(), ConfigError> {
        let problems: Vec<Problem> = wrong_users(&self.config.settings, keeps_state)
            .into_iter()
            .filter_map(|WrongUser { key, label, help }| {
                let span = self.line(key)?.value_span.clone();
                Some(Problem { title: format!("bad value for `{key}`"), span, label, context: None, help })
            })
            .collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(ConfigError::Wrong(Problems::new(Severity::Error, &self.name, self.text.clone(), problems)))
    }

    /// Returns what the author of the file may want to know, each as a report of several lines, with the colours of a
    /// terminal if `coloured`.
    pub fn advice(&self, coloured: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if let Some(limit) = self.limit_of_the_original() {
            notes.push(Problem {
                title: "`ScanEvidence` is `contacts`, as in the original".to_owned(),
                span: limit.key_span.clone(),
                label: "since the file sets this limit".to_owned(),
                context: None,
                help: "busy hosts exceed it too: write `ScanEvidence: suspicious` to report only hosts whose contacts \
                       look like a scan, or `ScanEvidence: contacts` to keep this"
                    .to_owned(),
            });
        }
        notes.extend(SettingKey::ALL.iter().filter_map(|&key| self.without_effect(key)));
        Problems::new(Severity::Note, &self.name, self.text.clone(), notes).reports(coloured)
    }

    /// Returns a note about a setting that only changes what another one does, if that one is not set or does not use
    /// it.
    fn without_effect(&self, key: SettingKey) -> Option<Problem> {
        let settings = &self.config.settings;
        let is_missing = |key| settings.lines(key).concat().is_empty();
        let needed: &[SettingKey] = match key {
            SettingKey::WebhookFormat | SettingKey::WebhookToken | SettingKey::WebhookTokenFile => {
                &[SettingKey::WebhookURL]
            }
            SettingKey::AlertFileMaxSize | SettingKey::AlertFileKeep => &[SettingKey::AlertFile],
            SettingKey::AlertCommandTimeout => &[SettingKey::AlertCommand],
            SettingKey::SyslogFacility => &[SettingKey::Syslog],
            SettingKey::ReverseDNS | SettingKey::CountryDatabase | SettingKey::AsnDatabase => {
                &[SettingKey::AlertFile, SettingKey::AlertCommand, SettingKey::WebhookURL, SettingKey::Syslog]
            }
            // Programs are told of growth in any case.
            SettingKey::NotifyGrowth
                if settings.webhook_url.is_some() && settings.webhook_format.is_chat() =>
            {
                return None;
            }
            SettingKey::NotifyGrowth => &[],
            _ => return None,
        };
        let is_default = settings.lines(key) == Settings::defaults().lines(key);
        if is_default || !needed.iter().all(|&needed| is_missing(needed)) {
            return None;
        }
        let needed: Vec<String> = needed.iter().map(|key| format!("`{key}`")).collect();
        let (label, remedy) = match needed.is_empty() {
            true => ("only chats need it", "set `WebhookURL` and a chat's `WebhookFormat`".to_owned()),
            false => ("alone it does nothing", format!("set {} as well", needed.join(" or "))),
        };
        Some(Problem {
            title: format!("`{key}` has no effect"),
            span: self.line(key)?.key_span.clone(),
            label: label.to_owned(),
            context: None,
            help: format!("{remedy}, or remove this line"),
        })
    }

    /// Returns a comment about the default of `key`, if the file does not set it and it depends on the file.
    pub(super) fn comment(&self, key: SettingKey) -> Option<String> {
        if self.line(key).is_some() {
            return None;
        }
        match key {
            SettingKey::ScanEvidence => match &self.contact_limit {
                Some(limit) => Some(format!("the default, since the file sets {}", limit.key)),
                None => Some(format!(
                    "the default, since the file sets neither {} nor {}",
                    SettingKey::NumberContactedIPs,
                    SettingKey::NumContactedPorts
                )),
            },
            SettingKey::AnalyzePorts => Some("the default; `false` takes less memory".to_owned()),
            _ => None,
        }
    }

    /// Returns the line that gives `ScanEvidence` the meaning of the original, or `None` if it has another.
    fn limit_of_the_original(&self) -> Option<&Place> {
        let is_default = self.line(SettingKey::ScanEvidence).is_none();
        let is_contacts = self.config.settings.scan_rule == ScanRule::Contacts;
        self.contact_limit.as_ref().filter(|_| is_default && is_contacts)
    }

    /// Returns the first line of a setting, or `None` if the file does not set it.
    fn line(&self, key: SettingKey) -> Option<&Place> {
        self.lines.iter().find(|line| line.key == key)
    }
}

impl fmt::Display for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.write(f, |key| self.comment(key))
    }
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
    /// [`ConfigError::Wrong`] with every problem of the text, [`ConfigError::TooLarge`], or
    /// [`ConfigError::TooLittleMemory`].
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
        ConfigFile::load(path).map(ConfigFile::into_config)
    }

    /// Parses a configuration for `machine`, which may be another one than this.
    pub(super) fn parse_on(name: &str, bytes: &[u8], machine: &Machine) -> Result<Self, ConfigError> {
        ConfigFile::parse_on(name, bytes, machine).map(ConfigFile::into_config)
    }

    /// Checks that the limits of the process leave room for the tables. `name` is that of the file.
    fn check_memory(&self, name: &str) -> Result<(), ConfigError> {
        let Settings { memory_limit, ring_memory_bytes, log_format, .. } = self.settings;
        let table_bytes = memory_limit.bytes(&self.machine, ring_memory_bytes);
        let Some(refusal) = self.machine.refusal(table_bytes, ring_memory_bytes) else { return Ok(()) };
        let needed = Bytes(refusal.needed_bytes(table_bytes).div_ceil(1_000_000) * 1_000_000);
        let (memory, rings) = (SettingKey::MemoryLimit, SettingKey::RingMemory);
        Err(ConfigError::TooLittleMemory {
            name: name.to_owned(),
            reason: format!(
                "the program may not have the memory that it needs: {refusal}, and `{memory}: {}` with `{rings}: {}` \
                 needs {needed}",
                Bytes(table_bytes),
                Bytes(ring_memory_bytes)
            ),
            remedy: format!(
                "allow {needed} ({} in the unit), or lower `{memory}` (down to {}) or `{rings}`",
                refusal.unit_key(),
                Bytes(*MEMORY_BYTES.start())
            ),
            log_format,
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::config::missing_files::Viewer;

    use super::*;
    use crate::config::machine::tests::{in_cgroup, two_cores};

    #[test]
    fn a_memory_limit_beyond_what_the_cgroup_allows_is_a_warning() {
        let warnings = |text: &str, machine: &Machine| {
            let file = ConfigFile::parse_on("my.conf", text.as_bytes(), machine).expect("it is right");
            file.warnings(Viewer::Program).one_line_each().collect::<Vec<_>>()
        };
        for (text, machine) in [
            ("MemoryLimit: 200M", two_cores()),
            ("MemoryLimit: 157M", in_cgroup()),
            ("MemoryLimit: auto", in_cgroup()),
        ] {
            assert_eq!(warnings(text, &machine), [""; 0], "{text}");
        }
        assert_eq!(
            warnings("Workers: 1\nMemoryLimit: 200M", &in_cgroup()),
            [
                "my.conf:2: `MemoryLimit` is more than this process may have: the cgroup allows 209M: leave a quarter for \
              the rest of the program: write `MemoryLimit: auto`, which is 64M here, or allow more (in the unit: \
              MemoryMax=)"
            ]
        );
    }

    #[test]
    fn a_memory_limit_beyond_what_the_machine_has_is_a_warning() {
        let file = ConfigFile::parse_on("my.conf", b"MemoryLimit: 500G", &two_cores()).expect("it is right");
        assert_eq!(
            file.warnings(Viewer::Program).one_line_each().collect::<Vec<_>>(),
            [
                "my.conf:1: `MemoryLimit` is more than this machine has: the machine has 512M: the kernel may end the \
              program before this limit does anything: write `MemoryLimit: auto`, which is 128M here"
            ]
        );
    }

    #[test]
    fn memory_that_the_process_may_not_have_is_refused_with_the_numbers() {
        let refused = |text: &str, machine: &Machine| {
            ConfigFile::parse_on("my.conf", text.as_bytes(), machine).err().map(|error| error.in_one_line())
        };
        let limited = |address_space| Machine { address_space: Some(address_space), ..two_cores() };
        assert_eq!(refused("", &limited(400_000_000)), None);
        assert_eq!(refused("MemoryLimit: 64M", &limited(400_000_000)), None);
        assert_eq!(
            refused("LogFormat: json\nMemoryLimit: 200M", &limited(300_000_000)).as_deref(),
            Some(
                "my.conf: the program may not have the memory that it needs: RLIMIT_AS allows 300M, and `MemoryLimit: \
                 200M` with `RingMemory: 64M` needs 395M: allow 395M (LimitAS= in the unit), or lower `MemoryLimit` \
                 (down to 32M) or `RingMemory`"
            )
        );
        let error = refused("", &limited(100_000_000)).expect("it is too little");
        assert!(
            error.contains("RLIMIT_AS allows 100M, and `MemoryLimit: 32M` with `RingMemory: 25M` needs 132M"),
            "{error}"
        );
        let error =
            refused("", &Machine { data: Some(64_000_000), ..two_cores() }).expect("it is too little");
        assert!(error.contains("allow 75M (LimitDATA= in the unit)"), "{error}");
    }

    #[test]
    fn rings_beyond_a_quarter_of_the_memory_are_refused_with_the_number() {
        let refused = |text: &str, machine: &Machine| {
            ConfigFile::parse_on("my.conf", text.as_bytes(), machine).err().map(|error| error.in_one_line())
        };
        assert_eq!(refused("RingMemory: 128M", &two_cores()), None);
        assert_eq!(refused("RingMemory: 52M", &in_cgroup()), None);
        assert_eq!(
            refused("RingMemory: 129M", &two_cores()).as_deref(),
            Some(
                "my.conf:1: bad value for `RingMemory`: more than a quarter of the memory: this machine has 512M: write \
                 at most 128M: rings are memory of the kernel"
            )
        );
        let error = refused("Workers: 1\nRingMemory: 64M", &in_cgroup()).expect("it is too much");
        assert!(error.starts_with("my.conf:2: ") && error.contains("the cgroup allows 209M"), "{error}");
    }
}
