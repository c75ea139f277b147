//! From settings to a [`Config`]: every value read, every range held, every problem named.

mod interfaces;
mod limits;
mod resources;

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use super::error::Problem;
use super::file::{RawConfig, Setting};
use super::key::SettingKey;
use super::keyword::Keyword;
use super::sink_settings::{SinkSettings, optional_path};
use super::units::{self, Bytes, ListItem, within};
use super::{
    CHART_BYTES, CONTACTED_HOSTS, CONTACTED_PORTS, COOLDOWN_S, Config, INTERVAL_S, LIMIT_BYTES, LOSS_PPM,
    Machine, Workers,
};
use crate::detect::PartsPerMillion;

/// Reads all settings; `None` where one of them is wrong, which `problems` then tells.
pub(super) fn check(raw: &RawConfig<'_>, machine: &Machine, problems: &mut Vec<Problem>) -> Option<Config> {
    let defaults = Config::defaults(machine);
    let mut file = Checker { raw, problems };

    let traffic_interval_s = file.read(SettingKey::TrafficInterval, defaults.traffic_interval_s, interval);
    let ip_bytes_max =
        file.read(SettingKey::ByteLimit, defaults.ip_bytes_max, |value| bytes(value, &LIMIT_BYTES));
    let hide_destinations = file.read(SettingKey::NoDestinations, defaults.hide_destinations, keyword);
    let chart_bytes_min =
        file.read(SettingKey::ChartMinBytes, defaults.chart_bytes_min, |value| bytes(value, &CHART_BYTES));
    let excluded_interfaces =
        file.read(SettingKey::ExcludedInterfaces, defaults.excluded_interfaces, interfaces::names);

    let judge_contacted_hosts =
        file.read(SettingKey::ContactedIPsAnalyze, defaults.judge_contacted_hosts, keyword);
    let contacted_hosts_max =
        file.read(SettingKey::NumberContactedIPs, defaults.contacted_hosts_max, |value| {
            count(value, &CONTACTED_HOSTS, SettingKey::ContactedIPsAnalyze)
        });
    let judge_contacted_ports = file.read(SettingKey::AnalyzePorts, defaults.judge_contacted_ports, keyword);
    let contacted_ports_max =
        file.read(SettingKey::NumContactedPorts, defaults.contacted_ports_max, |value| {
            count(value, &CONTACTED_PORTS, SettingKey::AnalyzePorts)
        });
    let port_interval_s = file.read(SettingKey::PortInterval, defaults.port_interval_s, interval);
    let scan_rule = file.read(SettingKey::ScanEvidence, defaults.scan_rule, keyword);
    let packets_per_s_max = file.read(SettingKey::PacketRateLimit, defaults.packets_per_s_max, limits::rate);
    let contacts_per_s_max =
        file.read(SettingKey::ContactRateLimit, defaults.contacts_per_s_max, limits::rate);
    let received_bytes_max =
        file.read(SettingKey::ReceivedByteLimit, defaults.received_bytes_max, limits::byte_limit);
    let group_ipv6 = file.read(SettingKey::GroupIPv6, defaults.group_ipv6, limits::group_ipv6);
    // Where that is wrong, nothing is held against it.
    let group = group_ipv6.flatten();
    let analyses_ports = judge_contacted_ports != Some(false);
    let limits_for = file.read_each(SettingKey::LimitFor, |value, before| {
        limits::limit_for(value, group, analyses_ports, before)
    });
    let ignored_sources = file
        .read(SettingKey::IgnoredSources, defaults.ignored_sources, |value| limits::sources(value, group));
    let alert_cooldown_s =
        file.read(SettingKey::AlertCooldown, defaults.alert_cooldown_s, |value| seconds(value, &COOLDOWN_S));

    let state_file = file.read(SettingKey::StateFile, defaults.state_file, optional_path);

    let direction = file.read(SettingKey::Direction, defaults.direction, keyword);
    let wire_exact = file.read(SettingKey::WireExact, defaults.wire_exact, keyword);
    let loss_ppm_max = file.read(SettingKey::LossLimit, defaults.loss_ppm_max, loss_limit);
    let promiscuous = file.read(SettingKey::Promiscuous, defaults.promiscuous, |value| {
        interfaces::promiscuous(value, excluded_interfaces.as_deref().unwrap_or_default())
    });
    let local_networks =
        file.read(SettingKey::LocalNetworks, defaults.local_networks, interfaces::local_networks);
    let workers =
        file.read(SettingKey::Workers, defaults.workers, |value| resources::workers(value, machine));
    // Where the number of workers is wrong, nothing is held against it.
    let worker_count = workers.map(Workers::count);
    let pin_cores = file.read(SettingKey::PinCores, defaults.pin_cores, |value| {
        resources::pin_cores(value, worker_count, machine)
    });
    let event_loop = file.read(SettingKey::EventLoop, defaults.event_loop, keyword);
    let ring_memory_bytes = file.read(SettingKey::RingMemory, defaults.ring_memory_bytes, |value| {
        resources::ring_memory(value, worker_count)
    });
    let memory_limit = file.read(SettingKey::MemoryLimit, defaults.memory_limit, |value| {
        resources::memory_limit(value, machine)
    });
    let log_format = file.read(SettingKey::LogFormat, defaults.log_format, keyword);
    let sink_settings = SinkSettings::read(&mut file, defaults.sink_settings);
    let listen = file.read(SettingKey::ListenAddress, defaults.listen, listen_address);

    let hide_destinations = hide_destinations?;
    Some(Config {
        traffic_interval_s: traffic_interval_s?,
        ip_bytes_max: ip_bytes_max?,
        hide_destinations,
        chart_bytes_min: chart_bytes_min?,
        excluded_interfaces: excluded_interfaces?,
        judge_contacted_hosts: judge_contacted_hosts? && !hide_destinations,
        contacted_hosts_max: contacted_hosts_max?,
        judge_contacted_ports: judge_contacted_ports?,
        contacted_ports_max: contacted_ports_max?,
        port_interval_s: port_interval_s?,
        scan_rule: scan_rule?,
        packets_per_s_max: packets_per_s_max?,
        contacts_per_s_max: contacts_per_s_max?,
        received_bytes_max: received_bytes_max?,
        limits_for: limits_for?,
        ignored_sources: ignored_sources?,
        group_ipv6: group_ipv6?,
        alert_cooldown_s: alert_cooldown_s?,
        state_file: state_file?,
        direction: direction?,
        wire_exact: wire_exact?,
        loss_ppm_max: loss_ppm_max?,
        promiscuous: promiscuous?,
        local_networks: local_networks?,
        workers: workers?,
        pin_cores: pin_cores?,
        event_loop: event_loop?,
        ring_memory_bytes: ring_memory_bytes?,
        memory_limit: memory_limit?,
        log_format: log_format?,
        sink_settings: sink_settings?,
        listen: listen?,
    })
}

/// Takes settings out of a file and notes what is wrong with them.
pub(super) struct Checker<'a, 't> {
    raw: &'a RawConfig<'t>,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_, '_> {
    /// The value of a setting, or the default where the file has none; `None` where the value is wrong.
    pub(super) fn read<T>(
        &mut self,
        key: SettingKey,
        default: T,
        convert: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        match self.raw.get(key) {
            Some(setting) => self.convert(setting, convert),
            None => Some(default),
        }
    }

    /// The values of a setting that may be there several times; `convert` is given those before it as well.
    fn read_each<T>(
        &mut self,
        key: SettingKey,
        convert: impl Fn(&str, &[T]) -> Result<T, ValueError>,
    ) -> Option<Vec<T>> {
        let mut values = Vec::new();
        let mut are_right = true;
        for setting in self.raw.all(key).filter(|setting| !setting.value.is_empty()) {
            match self.convert(setting, |value| convert(value, &values)) {
                Some(value) => values.push(value),
                None => are_right = false,
            }
        }
        are_right.then_some(values)
    }

    fn convert<T>(
        &mut self,
        setting: &Setting<'_>,
        convert: impl FnOnce(&str) -> Result<T, ValueError>,
    ) -> Option<T> {
        let key = setting.key;
        let error = match convert(setting.value) {
            Ok(value) => return Some(value),
            Err(_) if setting.value.is_empty() => ValueError::new(
                "no value",
                "write a value behind the colon, or remove the line for the default",
            ),
            Err(error) => error,
        };
        let value_start = setting.value_span.start;
        let span = match error.at {
            Some(at) => value_start + at.start..value_start + at.end,
            None => setting.value_span.clone(),
        };
        // The setting that the value disagrees with is shown if the file has it.
        let context =
            error.against.and_then(|(key, label)| Some((self.raw.get(key)?.value_span.clone(), label)));
        self.problems.push(Problem {
            title: format!("bad value for `{key}`"),
            span,
            label: error.label,
            context,
            help: error.help,
        });
        None
    }
}

/// What is wrong with a value.
pub(super) struct ValueError {
    /// The bytes of the value that are wrong; `None` for all of them.
    at: Option<Range<usize>>,
    /// What they are.
    label: String,
    /// Another setting that makes them wrong, and what it says.
    against: Option<(SettingKey, &'static str)>,
    /// What to write.
    help: String,
}

impl ValueError {
    pub(super) fn new(label: impl Display, help: impl Into<String>) -> Self {
        Self { at: None, label: label.to_string(), against: None, help: help.into() }
    }

    pub(super) fn at(self, at: Range<usize>) -> Self {
        Self { at: Some(at), ..self }
    }

    pub(super) fn against(self, key: SettingKey, label: &'static str) -> Self {
        Self { against: Some((key, label)), ..self }
    }
}

fn interval(value: &str) -> Result<u64, ValueError> {
    seconds(value, &INTERVAL_S)
}

/// Seconds of which a month is the most.
fn seconds(value: &str, range: &RangeInclusive<u64>) -> Result<u64, ValueError> {
    units::whole(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (range.start(), range.end());
        ValueError::new(error, format!("write whole seconds from {min} to {max} (30 days), without a unit"))
    })
}

/// A number of things, of which `off` does without.
fn count(value: &str, range: &RangeInclusive<u32>, off: SettingKey) -> Result<u32, ValueError> {
    units::whole(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (range.start(), range.end());
        let help = format!("write a whole number from {min} to {max}; `{off}: false` turns this check off");
        ValueError::new(error, help)
    })
}

pub(super) fn bytes(value: &str, range: &RangeInclusive<u64>) -> Result<u64, ValueError> {
    units::bytes(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (Bytes(*range.start()), Bytes(*range.end()));
        let help = format!(
            "write bytes from {min} to {max}, such as 500000, 5M or 1.5G; K, M and G are powers of 1000"
        );
        ValueError::new(error, help)
    })
}

fn loss_limit(value: &str) -> Result<Option<u32>, ValueError> {
    if value == "off" {
        return Ok(None);
    }
    units::percent(value).and_then(|ppm| within(ppm, &LOSS_PPM)).map(Some).map_err(|error| {
        let (min, max) = (PartsPerMillion(*LOSS_PPM.start()), PartsPerMillion(*LOSS_PPM.end()));
        ValueError::new(error, format!("write `off`, or a percentage from {min} to {max} such as 0.1%"))
    })
}

pub(super) fn keyword<T: Keyword>(value: &str) -> Result<T, ValueError> {
    T::read(value).ok_or_else(|| ValueError::new("not one of its values", format!("write {}", T::choices())))
}

/// The items of a list; `form` says how one is written.
fn items<'v>(value: &'v str, form: &str) -> Result<Vec<ListItem<'v>>, ValueError> {
    units::list(value).map_err(|error| ValueError::new(error.what, form).at(error.span))
}

fn listen_address(value: &str) -> Result<SocketAddr, ValueError> {
    let form = "write an address and a port: 127.0.0.1:8698 or [::1]:8698";
    let address: SocketAddr = value.parse().map_err(|_| {
        // What is missing can be told from what is there.
        let label = match (value.parse::<IpAddr>(), value.rsplit_once(':')) {
            (Ok(_), _) => "no port",
            (_, Some((ip, _))) if ip.parse::<Ipv6Addr>().is_ok() => "IPv6 needs brackets",
            (_, Some(("localhost", _))) => "a name, not an address",
            _ => "not an address and a port",
        };
        ValueError::new(label, form)
    })?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    let help = "until the API can ask for a token it serves this machine only: write 127.0.0.1 or [::1], and \
                reach it from elsewhere through ssh -L or a proxy that asks who it is";
    Err(ValueError::new("not a loopback address", help))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;
    use crate::config::tests::two_cores;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse_on("it", text.as_bytes(), &two_cores())
    }

    #[test]
    fn good_values_are_taken() {
        let files = [
            "TrafficInterval: 1\nPortInterval: 2592000",
            "ByteLimit: 1",
            "ByteLimit: 1000000000G",
            "ChartMinBytes: 0",
            "NumberContactedIPs: 1000000000\nNumContactedPorts: 65535",
            "ExcludedInterfaces: lo,eth0.100,wg-a_b,ppp0,lo",
            "ExcludedInterfaces: \"\"",
            "LossLimit: off\nWireExact: off",
            "LossLimit: 100%",
            "AlertCooldown: 0",
            "PacketRateLimit: 1.5M\nContactRateLimit: 10\nReceivedByteLimit: 5G",
            "PacketRateLimit: off\nContactRateLimit: off\nReceivedByteLimit: off\nGroupIPv6: off",
            "LimitFor: 10.0.5.0/24 ByteLimit 20G, PacketRateLimit off\nLimitFor: 10.0.5.1 ByteLimit 1G",
            "GroupIPv6: 64\nLimitFor: fd00::/64 NumberContactedIPs 9\nIgnoredSources: fd00:0:0:1::/64,10.0.0.1",
            "IgnoredSources: 10.0.0.5, 10.0.9.0/24, fd00::1",
            "IgnoredSources:",
            "Promiscuous: eth0, \"span0\"",
            "Promiscuous: \"\"",
            "LocalNetworks: auto",
            "LocalNetworks: 10.0.0.0/8,fd00::/8, \"192.0.2.1/32\"",
            "LocalNetworks: \"\"",
            "Workers: 256",
            "Workers: auto\nPinCores: auto",
            "Workers: 1\nPinCores: 3",
            "PinCores: 2, 3",
            "PinCores: \"3\",\"2\"",
            "Workers: 8\nPinCores: none\nRingMemory: 1049K",
            "RingMemory: 4G",
            "MemoryLimit: 32M",
            "MemoryLimit: auto",
            "AlertFile: /a.jsonl\nAlertFileMaxSize: 10K\nAlertFileKeep: 0",
            "AlertFile: \"/with space #1/a.jsonl\"",
            "AlertFile:",
            "AlertCommand:",
            "Syslog: udp://127.0.0.1:514\nSyslogFacility: local7",
            "Syslog: unix:/dev/log",
            "Syslog:",
            "CountryDatabase: /usr/share/GeoIP/GeoLite2-Country.mmdb\nAsnDatabase: \"/a b.mmdb\"",
            "CountryDatabase:\nAsnDatabase:",
            "WebhookURL: https://hooks.example/T0/B0?x=y#z\nWebhookFormat: slack\nWebhookToken: a=",
            "WebhookURL: /run/credentials/TrafficAlerted.service/url\nWebhookTokenFile: /a",
            "WebhookURL:\nWebhookToken:\nWebhookTokenFile:",
            "AlertCommand: \"/a b\" \"\" c # d\nAlertCommandTimeout: 600",
            "ListenAddress: 127.8.9.10:1",
            "ListenAddress: [::1]:8698",
            "ListenAddress: [::ffff:127.0.0.1]:8698",
            "ListenAddress: 127.0.0.1:0",
        ];
        for text in files {
            if let Err(error) = parse(text) {
                panic!("{text:?}: {error}");
            }
        }
        let config = parse("ExcludedInterfaces: lo,wg0,lo").expect("a list");
        assert_eq!(config.excluded_interfaces, ["lo", "wg0"], "a name counts once");
    }

    #[test]
    fn bad_values_are_underlined_with_what_they_are_and_what_to_write() {
        // The text between the arrows is what must be underlined.
        let cases = [
            ("TrafficInterval: »0«", "too small", "whole seconds from 1 to 2592000"),
            ("TrafficInterval: »0.5«", "not a whole number", "whole seconds"),
            ("TrafficInterval: »170s«", "not a number", "without a unit"),
            ("TrafficInterval: »2592001«", "too large", "30 days"),
            ("PortInterval: »-1«", "not a number", "whole seconds"),
            ("PortInterval: »99999999999999999999«", "too large", "2592000"),
            ("PacketRateLimit: »0«", "too small", "from 1 to 1G"),
            ("PacketRateLimit: »1.0001K«", "not a whole number", "or `off`"),
            ("ContactRateLimit: »fast«", "not a number", "or `off`"),
            ("ReceivedByteLimit: »0«", "too small", "1000000000G"),
            ("GroupIPv6: »65«", "too large", "from 32 to 64"),
            ("IgnoredSources: 10.0.0.5,»10.0.0.5/24«", "bits are set", "10.0.0.0/24"),
            ("IgnoredSources: »router«", "neither an address", "10.0.9.0/24"),
            ("GroupIPv6: 64\nIgnoredSources: »fd00::1«", "smaller than a host", "first 64 bits"),
            ("LimitFor: »10.0.0.0/8«", "without a limit", "ByteLimit 20G"),
            ("LimitFor: 10.0.0.0/8 »ByteLimit 0«", "too small", "or `off`"),
            ("LimitFor: 10.0.0.0/8 ByteLimit 1G, »ByteLimit 2G«", "set already", "a network and its limits"),
            (
                "LimitFor: 10.0.0.0/8 ByteLimit 1G\nLimitFor: »10.0.0.0/8« ByteLimit 2G",
                "limits already",
                "commas",
            ),
            ("LimitFor: 10.0.0.0/8 »ByteLimit«", "without a value", "ByteLimit 20G"),
            ("LimitFor: 10.0.0.0/8 ByteLimit 1G, »Workers 2«", "not a limit of hosts", "PacketRateLimit"),
            ("LimitFor: 10.0.0.0/8 »NumContactedPorts 9«", "no ports are counted", "AnalyzePorts: true"),
            ("LimitFor: 10.0.0.0/8 »PacketRateLimit many«", "not a number", "or `off`"),
            ("StateFile: »state.json«", "not an absolute path", "absolute path"),
            ("AlertCooldown: »2592001«", "too large", "from 0 to 2592000 (30 days)"),
            ("ByteLimit: »0«", "too small", "bytes from 1 to 1000000000G"),
            ("ByteLimit: »5T«", "unknown unit", "K, M and G are powers of 1000"),
            ("ByteLimit: »20000000000G«", "too large", "1000000000G"),
            ("ByteLimit: »1000000001G«", "too large", "1000000000G"),
            ("ByteLimit: »1.5«", "not a whole number of bytes", "1.5G"),
            ("ByteLimit:»«", "no value", "remove the line"),
            ("ByteLimit:»«   # nothing", "no value", "remove the line"),
            ("ChartMinBytes: »lots«", "not a number", "bytes from 0"),
            ("NoDestinations: »True«", "not one of its values", "`true` or `false`"),
            ("AnalyzePorts: »yes«", "not one of its values", "`true` or `false`"),
            ("NumberContactedIPs: »0«", "too small", "`ContactedIPsAnalyze: false` turns"),
            ("NumberContactedIPs: »4294967296«", "too large", "1000000000"),
            ("NumContactedPorts: »65536«", "too large", "`AnalyzePorts: false` turns"),
            ("ExcludedInterfaces: lo,»a/b«", "no interface can have this name", "interface names"),
            ("ExcludedInterfaces: lo, »\"a b\"«", "no interface can have this name", "interface names"),
            ("ExcludedInterfaces: »abcdefghijklmnop«,lo", "at most 15 bytes", "interface names"),
            ("ExcludedInterfaces: lo»,«", "nothing on one side of this comma", "interface names"),
            ("ExcludedInterfaces: lo,»\"rx0«", "a quote that does not close", "interface names"),
            ("ScanEvidence: »certain«", "not one of its values", "`contacts` or `suspicious`"),
            ("Direction: »out«", "not one of its values", "`auto`, `in`, `in+own` or `both`"),
            ("WireExact: »on«", "not one of its values", "`auto` or `off`"),
            ("LossLimit: »0.1«", "no percent sign", "`off`, or a percentage from 0.0001% to 100%"),
            ("LossLimit: »0%«", "too small", "0.1%"),
            ("LossLimit: »101%«", "too large", "100%"),
            ("Promiscuous: »a/b«", "no interface can have this name", "interface names"),
            (
                "ExcludedInterfaces: eth1,span0\nPromiscuous: »eth0,span0«",
                "`span0` is not monitored",
                "from `Ex",
            ),
            ("Promiscuous: »lo«", "`lo` is not monitored", "remove `lo` here"),
            ("LocalNetworks: »all«", "not a network", "`auto`"),
            ("LocalNetworks: 10.0.0.0/8, »fd00::1«", "no prefix length", "write fd00::1/128"),
            ("LocalNetworks: »10.0.0.1/8«", "bits are set behind", "write 10.0.0.0/8"),
            ("LocalNetworks: »10.0.0.0/33«", "not a network", "fd00::/8"),
            ("LocalNetworks: »0.0.0.0/0«", "everything is in it", "10.0.0.0/8"),
            ("LocalNetworks: »auto«,10.0.0.0/8", "not a network", "`auto`"),
            ("EventLoop: »select«", "not one of its values", "`auto`, `io_uring` or `epoll`"),
            ("Workers: »0«", "too small", "`auto` or a whole number from 1 to 256"),
            ("Workers: »257«", "too large", "256"),
            ("Workers: »all«", "not a number", "`auto`"),
            ("PinCores: 2,»4«", "this process may not run there", "usable here: 2-3"),
            ("PinCores: 2,»x«", "not a number", "usable here: 2-3"),
            ("PinCores: 2,»99999999999999999999«", "no such CPU", "usable here: 2-3"),
            ("PinCores: 2,»2«", "listed twice", "usable here: 2-3"),
            ("PinCores: »\"\"«", "no CPU", "usable here: 2-3"),
            ("PinCores:»«", "no value", "remove the line"),
            ("PinCores: »2«", "1 CPU", "list 2, or write `Workers: 1`"),
            ("Workers: 3\nPinCores: »2,3«", "2 CPUs", "list 3, or write `Workers: 2`"),
            ("Workers: 3\nPinCores: »auto«", "2 usable CPUs here", "`none`, or `Workers: 2`"),
            ("RingMemory: »999999«", "too small", "bytes from 1M to 4G"),
            ("RingMemory: »5G«", "too large", "4G"),
            ("Workers: 9\nRingMemory: »1M«", "too little for 9 workers", "at least 1179648"),
            ("MemoryLimit: »31M«", "too small", "bytes from 32M to 1000G"),
            ("LogFormat: »JSON«", "not one of its values", "`text` or `json`"),
            ("AlertFile: »alerts.jsonl«", "not an absolute path", "/var/log/TrafficAlerted"),
            ("AlertFile: »\"\"«", "not an absolute path", "/var/log/TrafficAlerted"),
            ("AlertFile: »/var/log/«", "a folder, not a file", "/var/log/TrafficAlerted"),
            ("AlertFile: »/var/\"log«", "a quote within a path", "in quotes if it has spaces"),
            ("AlertFileMaxSize: »1K«", "too small", "bytes from 10K to 100G"),
            ("AlertFileKeep: »1001«", "too large", "from 0 to 1000"),
            ("AlertFileKeep: »all«", "not a number", "a whole number"),
            ("AlertCommand: »notify me«", "not an absolute path", "no shell reads it"),
            ("AlertCommand: »\"\"«", "not an absolute path", "no shell reads it"),
            ("AlertCommand: /bin/a »\"b«", "a quote that does not close", "no shell reads it"),
            ("AlertCommand: »/bin/a b\u{1}«", "a control character", "no shell reads it"),
            ("AlertCommandTimeout: »0«", "too small", "whole seconds from 1 to 600"),
            ("WebhookURL: »hooks.example/a«", "neither http:// nor https://", "the absolute path of a file"),
            ("WebhookURL: »https://a b/«", "not an address", "https://host/path"),
            ("WebhookFormat: »teams«", "not one of its values", "`ntfy` or `alertmanager`"),
            ("WebhookToken: »Bearer abc«", "a character that no token has", "without `Bearer`"),
            ("WebhookTokenFile: »token«", "not an absolute path", "absolute path"),
            ("WebhookToken: a\nWebhookTokenFile: »/a«", "a second token", "keep one of the two"),
            ("Syslog: »127.0.0.1:514«", "neither udp://, tcp:// nor unix:", "unix:/dev/log"),
            ("Syslog: »unix:/dev/a b«", "white space", "unix:/dev/log"),
            ("SyslogFacility: »kern«", "not one of its values", "`local6` or `local7`"),
            ("CountryDatabase: »country.mmdb«", "not an absolute path", "absolute path"),
            ("AsnDatabase: »/usr/share/GeoIP/«", "a folder, not a file", "absolute path"),
            ("ListenAddress: »127.0.0.1«", "no port", "127.0.0.1:8698"),
            ("ListenAddress: »::1«", "no port", "[::1]:8698"),
            ("ListenAddress: »8698«", "not an address and a port", "127.0.0.1:8698"),
            ("ListenAddress: »:8698«", "not an address and a port", "127.0.0.1:8698"),
            ("ListenAddress: »fe80::1:8698«", "no port", "[::1]:8698"),
            ("ListenAddress: »fe80::1:65536«", "IPv6 needs brackets", "[::1]:8698"),
            ("ListenAddress: »localhost:8698«", "a name, not an address", "127.0.0.1:8698"),
            ("ListenAddress: »127.0.0.1:70000«", "not an address and a port", "127.0.0.1:8698"),
            ("ListenAddress: »0.0.0.0:8698«", "not a loopback address", "token"),
            ("ListenAddress: »[::]:8698«", "not a loopback address", "token"),
            ("ListenAddress: »192.0.2.1:8698«", "not a loopback address", "token"),
        ];
        for (marked, label, help) in cases {
            let start = marked.find('»').expect("a mark");
            let text = marked.replace(['»', '«'], "");
            let end = start + (marked.find('«').expect("a mark") - start - '»'.len_utf8());
            let source = super::super::file::Text::decode(text.as_bytes());
            let mut problems = Vec::new();
            let raw = RawConfig::read(&source, &mut problems);
            assert_eq!(check(&raw, &two_cores(), &mut problems), None, "{text:?}");
            let [problem] = problems.as_slice() else { panic!("{text:?}: {problems:?}") };
            assert_eq!(problem.span, start..end, "{text:?}");
            assert!(problem.label.contains(label), "{text:?}: {}", problem.label);
            assert!(problem.help.contains(help), "{text:?}: {}", problem.help);
        }
    }

    #[test]
    fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
        let text = "MemoryLimit: 1K\nByteLimits: 1G\nTrafficInterval: 0\n\nWorkers\nWorkers: 2\nWorkers: 3\n";
        let Err(ConfigError::Wrong(problems)) = parse(text) else { panic!("it is wrong") };
        let expected = [
            (1, "bad value for `MemoryLimit`"),
            (2, "unknown key"),
            (3, "bad value for `TrafficInterval`"),
            (5, "missing colon"),
            (7, "`Workers` is set twice"),
        ];
        assert_eq!(problems.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_wrong_number_of_workers_accuses_nothing_else() {
        let Err(error) = parse("Workers: 0\nPinCores: 2,3\nRingMemory: 1M\n") else { panic!("it is wrong") };
        assert_eq!(error.to_string().matches("error: ").count(), 1, "{error}");
    }
}
