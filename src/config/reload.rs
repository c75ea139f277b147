//! Applies a changed configuration to a running program, except for the settings that take a restart.

use super::checked::Config;
use super::key::{Reload, RestartReason, SettingKey};
use crate::sandbox::Grants;

impl Config {
    /// Returns the configuration that is in force after a program that runs with this one has read `new`, and the names
    /// of the keys whose new values take a restart.
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
            .filter(|&&key| self.settings.lines(key) != new.settings.lines(key))
            .filter_map(|&key| match key.reload() {
                Reload::Live if beyond.contains(&key) => Some((RestartReason::FileOrSocket, key)),
                Reload::Live => None,
                Reload::Restart(reason) => Some((reason, key)),
            })
            .collect();
        later.sort_by_key(|&(reason, _)| reason);
        let later = later.into_iter().map(|(_, key)| key.name()).collect();
        // The machine of the start is kept, so what `auto` gives changes only at a restart as well.
        let in_force = Config {
            settings: new.settings.without_restart(&self.settings, &beyond),
            machine: self.machine.clone(),
        };
        (in_force, later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::machine::tests::two_cores;

    /// Every setting that takes a restart, in the order in which the log names them.
    const RESTART: [SettingKey; 16] = [
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
        SettingKey::StateFile,
        SettingKey::ListenAddress,
        SettingKey::User,
        SettingKey::Sandbox,
        SettingKey::AlertCommandUser,
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
}
