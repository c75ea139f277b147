//! Writes the configuration in force as a configuration file.

use std::fmt;

use super::checked::Config;
use super::key::SettingKey;
use super::machine::{MemoryLimit, Workers};
use super::units::Bytes;
use super::values::Settings;
use crate::alert::Secret;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, |_| None)
    }
}

impl Settings {
    /// Returns the lines of a setting with the token, which [`Settings::lines`] leaves out.
    pub(super) fn lines_with_token(&self, key: SettingKey) -> Vec<String> {
        match (key, &self.api_token) {
            (SettingKey::ApiToken, Some(Secret::Here(token))) => vec![token.clone()],
            _ => self.lines(key),
        }
    }
}

impl Config {
    /// Returns every setting as in a file, with the token: what [`Config::parse`] reads as the same. The text must not
    /// be shown.
    pub(super) fn text_with_token(&self) -> String {
        let lines = |key: SettingKey| {
            let values = self.settings.lines_with_token(key);
            values.into_iter().map(move |value| format!("{key}: {value}\n")).collect::<String>()
        };
        SettingKey::ALL.iter().copied().map(lines).collect()
    }

    /// Writes every setting but the token. `comment` returns a further comment for the line of a key.
    pub(super) fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        comment: impl Fn(SettingKey) -> Option<String>,
    ) -> fmt::Result {
        for &key in SettingKey::ALL {
            for comment in comment(key).into_iter().chain(self.comment(key)) {
                writeln!(f, "# {comment}")?;
            }
            for value in self.settings.lines(key) {
                match value.as_str() {
                    "" => writeln!(f, "{key}:")?,
                    value => writeln!(f, "{key}: {value}")?,
                }
            }
        }
        Ok(())
    }

    /// Returns the keys and values of the limits that the original does not have, as they are written in the file.
    /// Limits that are off are left out, and several lines of a key are joined with `; `.
    pub(super) fn further_limits(&self) -> Vec<(&'static str, String)> {
        // The API serves them in this order, whatever group of the documents they are in.
        let keys = [
            SettingKey::PacketRateLimit,
            SettingKey::ContactRateLimit,
            SettingKey::ReceivedByteLimit,
            SettingKey::LimitFor,
            SettingKey::IgnoredSources,
            SettingKey::GroupIPv6,
        ];
        let values = keys.into_iter().map(|key| (key.name(), self.settings.lines(key).join("; ")));
        values.filter(|(_, value)| !matches!(value.as_str(), "" | "off")).collect()
    }

    /// Returns a comment for the line of `key`, or `None` if its value explains itself.
    fn comment(&self, key: SettingKey) -> Option<String> {
        let settings = &self.settings;
        match key {
            SettingKey::ContactedIPsAnalyze if settings.hide_destinations => {
                Some("off, because destinations are hidden".to_owned())
            }
            SettingKey::ExcludedInterfaces if settings.excluded_interfaces.is_empty() => {
                Some("none: every interface is monitored".to_owned())
            }
            SettingKey::Promiscuous if settings.promiscuous.is_empty() => {
                Some("none: every interface receives what is for this host".to_owned())
            }
            SettingKey::ApiToken if settings.api_token.is_some() => {
                Some("it is set, and not shown".to_owned())
            }
            SettingKey::MemoryLimit if settings.memory_limit == MemoryLimit::Auto => {
                let here = Bytes(settings.memory_limit.bytes(&self.machine, settings.ring_memory_bytes));
                Some(match self.machine.allowance(settings.ring_memory_bytes) {
                    None => format!("a quarter of the memory from 64M to 4G, here {here}"),
                    Some(allowance) => format!("{here}: {allowance}"),
                })
            }
            SettingKey::Workers if settings.workers == Workers::Auto => {
                let here = settings.workers.count(&self.machine);
                Some(match self.machine.cgroup.cpu_milli {
                    Some(milli) if here < self.machine.cores.len() => {
                        format!("{here}: the cgroup allows {} CPUs", Milli(milli))
                    }
                    _ => format!("one for each usable CPU, here {here}"),
                })
            }
            _ => None,
        }
    }
}

/// A number in thousandths; displayed as `1.5`.
struct Milli(u64);

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::machine::Machine;
    use crate::config::machine::tests::{in_cgroup, two_cores};

    #[test]
    fn what_auto_gives_in_a_cgroup_is_printed_with_its_reason() {
        let printed = |machine: &Machine| Config::defaults(machine.clone()).to_string();
        let text = printed(&in_cgroup());
        assert!(text.contains("\n# 64M: the cgroup allows 209M\nMemoryLimit: auto\n"), "{text}");
        assert!(text.contains("\n# 1: the cgroup allows 1.5 CPUs\nWorkers: auto\n"), "{text}");
        let text = printed(&Machine { address_space: Some(384_000_000), ..two_cores() });
        assert!(text.contains("\n# 64M: RLIMIT_AS allows 384M\nMemoryLimit: auto\n"), "{text}");
        assert_eq!(
            [Milli(1000), Milli(1500), Milli(50)].map(|milli| milli.to_string()),
            ["1", "1.5", "0.05"]
        );
    }

    #[test]
    fn every_key_is_printed_in_the_original_s_syntax() {
        let config =
            Config::parse_on("test.conf", b"", &two_cores()).unwrap_or_else(|error| panic!("{error}"));
        let expected = "\
TrafficInterval: 170
ByteLimit: 1G
NoDestinations: false
ChartMinBytes: 5M
ExcludedInterfaces: \"lo\"
ContactedIPsAnalyze: true
NumberContactedIPs: 15
AnalyzePorts: true
NumContactedPorts: 100
PortInterval: 600
ScanEvidence: suspicious
PacketRateLimit: off
ContactRateLimit: off
ReceivedByteLimit: off
LimitFor:
IgnoredSources:
GroupIPv6: off
AlertCooldown: 170
AlertBurst: 20
AlertRate: 60
StateDirectory:
StateFile:
Direction: auto
WireExact: auto
LossLimit: 0.1%
# none: every interface receives what is for this host
Promiscuous:
LocalNetworks: auto
# one for each usable CPU, here 2
Workers: auto
PinCores: none
EventLoop: auto
RingMemory: 64M
# a quarter of the memory from 64M to 4G, here 128M
MemoryLimit: auto
LogFormat: text
AlertFile:
AlertFileMaxSize: 10M
AlertFileKeep: 5
AlertCommand:
AlertCommandTimeout: 10
WebhookURL:
WebhookFormat: json
WebhookToken:
WebhookTokenFile:
Syslog:
SyslogFacility: daemon
ReverseDNS: false
CountryDatabase:
AsnDatabase:
ListenAddress: 127.0.0.1:8698
ApiToken:
ApiTokenFile:
ApiSocket: auto
ApiUsers:
";
        // Keys that are not in this list are not compared here; the reference names them.
        let key = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
        let keys: Vec<String> = expected.lines().map(key).collect();
        let printed = config.to_string();
        let printed: Vec<&str> = printed.lines().filter(|line| keys.contains(&key(line))).collect();
        assert_eq!(printed, expected.lines().collect::<Vec<_>>());
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        let files = [
            "",
            "NoDestinations: true\n",
            "PacketRateLimit: 1500\nContactRateLimit: 2K\nReceivedByteLimit: 1.5G\nGroupIPv6: 48\n",
            "LimitFor: 10.0.0.0/8 ByteLimit 20G, PacketRateLimit 1K,NumberContactedIPs off\nLimitFor: fd00::/8 \
             ReceivedByteLimit off\n",
            "IgnoredSources: 10.0.0.1, fd00::/8\n",
            "ExcludedInterfaces:\n",
            "ExcludedInterfaces: \"a#b\",\"c,d\"\n",
            "ByteLimit: 1.5G\nChartMinBytes: 0\nRingMemory: 1234567\n",
            "Workers: 2\nPinCores: 3,2\n",
            "Workers: auto\nPinCores: auto\n",
            "Direction: both\nEventLoop: io_uring\nListenAddress: [::1]:0\n",
            "WireExact: off\nLossLimit: off\n",
            "LossLimit: 12.3456%\n",
            "AlertFile: \"/a b #/c\"\nAlertFileMaxSize: 20K\nAlertFileKeep: 9\n",
            "AlertCommand: \"/a b\" \"\" --c=\"d #e\" f\nAlertCommandTimeout: 1\n",
            "AlertCommand: /a \"the operator’s\" \"’\" \"'b'\" \">\" \"&\" 'c\nAlertFile: \"/Anna’s/a\"\n",
            "ApiTokenFile: /a\nListenAddress: 0.0.0.0:1\nApiSocket: \"/a b\"\nApiUsers: 7,@adm\n",
            "ApiSocket: off\n",
            "WebhookURL: https://a/b#c\nWebhookFormat: ntfy\nWebhookToken: a\n",
            "WebhookURL: \"/a #b\"\nWebhookTokenFile: /c\n",
            "Syslog: tcp://[::1]:514\nSyslogFacility: user\n",
            "Syslog: unix:/dev/log\nReverseDNS: true\n",
            "CountryDatabase: \"/a b/c.mmdb\"\nAsnDatabase: /a.mmdb\n",
            "LogFormat: json\n",
            "Promiscuous: \"span0\", span1\nLocalNetworks: 10.0.0.0/8, fd00::/8\n",
            "LocalNetworks:\n",
            "Direction: in\nEventLoop: epoll\nAnalyzePorts: false\n",
            "ScanEvidence: suspicious\n",
            "NumberContactedIPs: 15\n",
            "NumContactedPorts: 15\nScanEvidence: contacts\n",
        ];
        for text in files {
            let read = |text: &str| {
                Config::parse_on("test.conf", text.as_bytes(), &two_cores())
                    .unwrap_or_else(|error| panic!("{error}"))
            };
            let config = read(text);
            assert_eq!(read(&config.to_string()), config, "{text:?}");
        }
    }
}
