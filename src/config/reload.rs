//! What a running program takes over from a configuration that has changed.

use super::Config;
use super::key::SettingKey;

/// Settings of which memory, threads, sockets or windows were made when the program started.
const AT_START: [SettingKey; 13] = [
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
];

impl Config {
    /// What is in force once a program that runs by this configuration has read `new`, and the keys whose new
    /// values take a restart.
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
        let differs = |key: &&SettingKey| self.value(**key) != new.value(**key);
        let later = AT_START.iter().filter(differs).map(|key| key.name()).collect();
        let in_force = Config {
            traffic_interval_s: self.traffic_interval_s,
            judge_contacted_ports: self.judge_contacted_ports,
            port_interval_s: self.port_interval_s,
            group_ipv6: self.group_ipv6,
            wire_exact: self.wire_exact,
            workers: self.workers,
            pin_cores: self.pin_cores.clone(),
            event_loop: self.event_loop,
            ring_memory_bytes: self.ring_memory_bytes,
            memory_limit: self.memory_limit,
            log_format: self.log_format,
            state_file: self.state_file.clone(),
            listen: self.listen,
            ..new
        };
        (in_force, later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::two_cores;

    #[test]
    fn each_key_is_either_taken_over_or_named() {
        let parse = |text: &str| {
            Config::parse_on("it", text.as_bytes(), &two_cores()).unwrap_or_else(|error| panic!("{error}"))
        };
        let running = parse("");
        let new = parse(crate::config::options::ALL_SET);
        let (in_force, later) = running.reload(new.clone());
        for &key in SettingKey::ALL {
            let (before, after) = (running.value(key), new.value(key));
            let is_later = later.contains(&key.name());
            assert_eq!(is_later, AT_START.contains(&key) && before != after, "{key}");
            assert_eq!(in_force.value(key), if is_later { before } else { after }, "{key}");
        }
        assert_eq!(later.len(), AT_START.len(), "each is set in that file: {later:?}");
        let (same, later) = in_force.reload(in_force.clone());
        assert_eq!((same, later), (in_force, vec![]));
    }
}
