//! Applies a changed configuration to a running program, except for the settings that take a restart.

use super::checked::Config;
use super::config_file::ConfigFile;
use super::error::ConfigError;
use super::key::{Reload, RestartReason, SettingKey};
use crate::sandbox::Grants;

impl Config {
    /// Returns the configuration that is in force after a program that runs with this one has read `new`, and the names
    /// of the keys whose new values take a restart: those of settings that always do, and those of settings whose new
    /// value contradicts a value that stays until then.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    /// use traffic_alerted::detect::FindingKind;
    ///
    /// let running = Config::parse("my.conf", "Workers: 1\nByteLimit: 1G")?;
    /// let (in_force, later) = running.reload(Config::parse("my.conf", "Workers: 2\nByteLimit: 2G")?);
    /// assert_eq!(in_force.detect_limits().hosts.of(FindingKind::Traffic), Some(2_000_000_000));
    /// assert_eq!(in_force.capture_options().workers, 1);
    /// assert_eq!(later, ["Workers"]);
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn reload(&self, new: Config) -> (Config, Vec<&'static str>) {
        self.reload_within(new, None)
    }

    /// Does the same for a program that is confined to `grants`: values that need another folder or port take a restart
    /// as well.
    #[must_use]
    pub fn reload_within(&self, new: Config, grants: Option<&Grants>) -> (Config, Vec<&'static str>) {
        let beyond = grants.map_or_else(Vec::new, |grants| new.settings_beyond(grants));
        let mut later: Vec<(RestartReason, SettingKey)> = SettingKey::ALL
            .iter()
            .filter(|&&key| self.settings.lines_with_token(key) != new.settings.lines_with_token(key))
            .filter_map(|&key| match key.reload() {
                Reload::Live if beyond.contains(&key) => Some((RestartReason::FileOrSocket, key)),
                Reload::Live => None,
                Reload::Restart(reason) => Some((reason, key)),
            })
            .collect();
        later.sort_by_key(|&(reason, _)| reason);
        let mut later: Vec<SettingKey> = later.into_iter().map(|(_, key)| key).collect();
        // What takes a restart stays as it is, so a new value may contradict it, such as a network of `IgnoredSources`
        // that is smaller than what the running `GroupIPv6` counts as one host. Then that value waits as well. Each
        // turn keeps one more key at least, and with all of them kept nothing has changed, so the loop ends.
        let mut waiting: Vec<SettingKey> = Vec::new();
        loop {
            let is_kept = |key: SettingKey| {
                waiting.contains(&key) || beyond.contains(&key) || matches!(key.reload(), Reload::Restart(_))
            };
            let settings = new.settings.keeping(&self.settings, is_kept);
            // The machine of the start is kept, so what `auto` gives changes only at a restart as well.
            let in_force = Config { settings, machine: self.machine.clone() };
            let is_changed = |key: &SettingKey| {
                in_force.settings.lines_with_token(*key) != self.settings.lines_with_token(*key)
                    && !waiting.contains(key)
            };
            let Some(conflicts) = in_force.conflicts() else {
                later.extend(waiting);
                return (in_force, later.into_iter().map(SettingKey::name).collect());
            };
            let mut more: Vec<SettingKey> = conflicts.into_iter().filter(is_changed).collect();
            if more.is_empty() {
                more = SettingKey::ALL.iter().copied().filter(is_changed).collect();
            }
            if more.is_empty() {
                return (self.clone(), later.into_iter().map(SettingKey::name).collect());
            }
            waiting.extend(more);
        }
    }

    /// Returns the keys of settings that contradict others; `None` if there are none.
    fn conflicts(&self) -> Option<Vec<SettingKey>> {
        match ConfigFile::parse_any_length("", self.text_with_token().as_bytes(), &self.machine) {
            Ok(_) => None,
            Err(ConfigError::Wrong(problems)) => {
                let mut keys = problems.keys();
                // The address needs one of the two, and the problem cannot point at lines that are not there.
                if keys.contains(&SettingKey::ListenAddress) {
                    keys.extend([SettingKey::ApiToken, SettingKey::ApiTokenFile]);
                }
                Some(keys)
            }
            Err(_) => Some(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::machine::tests::two_cores;

    /// Every setting that takes a restart, in the order in which the log names them.
    const RESTART: [SettingKey; 20] = [
        SettingKey::TrafficInterval,
        SettingKey::AnalyzePorts,
        SettingKey::PortInterval,
        SettingKey::GroupIPv6,
        SettingKey::WireExact,
        SettingKey::Workers,
        SettingKey::PinCores,
        SettingKey::EventLoop,
        SettingKey::RingMemory,
        SettingKey::MemoryLimit,
        SettingKey::LogFormat,
        SettingKey::StateDirectory,
        SettingKey::StateFile,
        SettingKey::ListenAddress,
        SettingKey::ApiSocket,
        SettingKey::User,
        SettingKey::Sandbox,
        SettingKey::AlertCommandUser,
        SettingKey::AlertCommand,
        SettingKey::AlertCommandTimeout,
    ];

    #[test]
    fn each_changed_key_takes_effect_or_is_named_as_needing_a_restart() {
        let parse = |text: &str| {
            Config::parse_on("test.conf", text.as_bytes(), &two_cores())
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let running = parse("");
        let new = parse(crate::config::options::ALL_SET);
        let (in_force, later) = running.reload(new.clone());
        for &key in SettingKey::ALL {
            let (before, after) = (running.settings.lines(key), new.settings.lines(key));
            let is_later = later.contains(&key.name());
            assert_eq!(is_later, RESTART.contains(&key) && before != after, "{key}");
            assert_eq!(in_force.settings.lines(key), if is_later { before } else { after }, "{key}");
        }
        assert_eq!(
            later,
            RESTART.map(SettingKey::name),
            "all keys that take a restart are changed in that file"
        );
        let (same, later) = in_force.reload(in_force.clone());
        assert_eq!((same, later), (in_force, vec![]));
    }

    #[test]
    fn a_value_that_contradicts_one_that_stays_waits_for_the_restart_too() {
        let parse = |text: &str| {
            Config::parse_on("test.conf", text.as_bytes(), &two_cores())
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let cases = [
            (
                "GroupIPv6: 48\nIgnoredSources: fd00::/48\n",
                "GroupIPv6: 64\nIgnoredSources: fd00::/64\nByteLimit: 2G\n",
                vec!["GroupIPv6", "IgnoredSources"],
            ),
            (
                "AnalyzePorts: false\n",
                "LimitFor: 10.0.0.0/8 NumContactedPorts 9\nByteLimit: 2G\n",
                vec!["AnalyzePorts", "LimitFor"],
            ),
            (
                "ListenAddress: 0.0.0.0:8698\nApiToken: 0123456789abcdef0123456789abcdef\n",
                "ByteLimit: 2G\n",
                vec!["ListenAddress", "ApiToken"],
            ),
            (
                "ListenAddress: 0.0.0.0:8698\nApiTokenFile: /etc/token\n",
                "ByteLimit: 2G\n",
                vec!["ListenAddress", "ApiTokenFile"],
            ),
        ];
        for (running, new, expected) in cases {
            let (running, new) = (parse(running), parse(new));
            let (in_force, later) = running.reload(new.clone());
            assert_eq!(later, expected);
            assert_eq!(parse(&in_force.text_with_token()), in_force, "what is in force is valid");
            for key in SettingKey::ALL.iter().filter(|key| expected.contains(&key.name())) {
                assert_eq!(in_force.settings.lines(*key), running.settings.lines(*key), "{key}");
            }
            assert_ne!(
                in_force.settings.lines(SettingKey::ByteLimit),
                running.settings.lines(SettingKey::ByteLimit)
            );
        }
    }

    #[test]
    fn a_token_in_the_file_leaves_every_other_setting_to_reload_and_changes_itself() {
        let parse = |text: &str| {
            Config::parse_on("test.conf", text.as_bytes(), &two_cores())
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let (first, second) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
        let wide = "ListenAddress: 0.0.0.0:8698\n";
        let running = parse(&format!("{wide}ApiToken: {first}\n"));
        for new in [
            format!("{wide}ApiToken: {first}\nByteLimit: 2G\n"),
            format!("{wide}ApiToken: {second}\n"),
            format!("{wide}ApiTokenFile: /etc/token\nByteLimit: 2G\n"),
        ] {
            let new = parse(&new);
            assert_eq!(running.reload(new.clone()), (new, vec![]));
        }
        assert!(!running.to_string().contains(first));
    }
}
