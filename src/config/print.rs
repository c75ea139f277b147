//! What is in force, written as a configuration file.

use std::fmt;
use std::path::Path;

use super::key::SettingKey;
use super::keyword::Keyword;
use super::units::{Amount, Bytes};
use super::{Config, MemoryLimit, Workers};
use crate::alert::Secret;
use crate::capture::LocalNetworks;
use crate::detect::PartsPerMillion;
use crate::engine::PinCores;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &key in SettingKey::ALL {
            if let Some(comment) = self.comment(key) {
                writeln!(f, "# {comment}")?;
            }
            let values = match key {
                SettingKey::LimitFor if !self.limits_for.is_empty() => {
                    self.limits_for.iter().map(ToString::to_string).collect()
                }
                _ => vec![self.value(key)],
            };
            for value in values {
                match value.as_str() {
                    "" => writeln!(f, "{key}:")?,
                    value => writeln!(f, "{key}: {value}")?,
                }
            }
        }
        Ok(())
    }
}

impl Config {
    pub(super) fn value(&self, key: SettingKey) -> String {
        match key {
            SettingKey::TrafficInterval => self.traffic_interval_s.to_string(),
            SettingKey::ByteLimit => Bytes(self.ip_bytes_max).to_string(),
            SettingKey::NoDestinations => self.hide_destinations.keyword().to_owned(),
            SettingKey::ChartMinBytes => Bytes(self.chart_bytes_min).to_string(),
            SettingKey::ExcludedInterfaces => quoted(&self.excluded_interfaces),
            SettingKey::ContactedIPsAnalyze => self.judge_contacted_hosts.keyword().to_owned(),
            SettingKey::NumberContactedIPs => self.contacted_hosts_max.to_string(),
            SettingKey::AnalyzePorts => self.judge_contacted_ports.keyword().to_owned(),
            SettingKey::NumContactedPorts => self.contacted_ports_max.to_string(),
            SettingKey::PortInterval => self.port_interval_s.to_string(),
            SettingKey::ScanEvidence => self.scan_rule.keyword().to_owned(),
            SettingKey::PacketRateLimit => or_off(self.packets_per_s_max.map(|max| Amount(u64::from(max)))),
            SettingKey::ContactRateLimit => or_off(self.contacts_per_s_max.map(|max| Amount(u64::from(max)))),
            SettingKey::ReceivedByteLimit => or_off(self.received_bytes_max.map(Bytes)),
            // One line each, and this one where there is none.
            SettingKey::LimitFor => String::new(),
            SettingKey::IgnoredSources => joined(&self.ignored_sources),
            SettingKey::GroupIPv6 => or_off(self.group_ipv6),
            SettingKey::AlertCooldown => self.alert_cooldown_s.to_string(),
            SettingKey::StateFile => file(self.state_file.as_deref()),
            SettingKey::Direction => self.direction.keyword().to_owned(),
            SettingKey::WireExact => self.wire_exact.keyword().to_owned(),
            SettingKey::LossLimit => {
                self.loss_ppm_max.map_or_else(|| "off".to_owned(), |ppm| PartsPerMillion(ppm).to_string())
            }
            SettingKey::Promiscuous => quoted(&self.promiscuous),
            SettingKey::LocalNetworks => match &self.local_networks {
                LocalNetworks::Auto => "auto".to_owned(),
                LocalNetworks::List(networks) => joined(networks),
            },
            SettingKey::Workers => match self.workers {
                Workers::Auto { .. } => "auto".to_owned(),
                Workers::Count(count) => count.to_string(),
            },
            SettingKey::PinCores => match &self.pin_cores {
                PinCores::None => "none".to_owned(),
                PinCores::Auto => "auto".to_owned(),
                PinCores::List(cores) => joined(cores),
            },
            SettingKey::EventLoop => self.event_loop.keyword().to_owned(),
            SettingKey::RingMemory => Bytes(self.ring_memory_bytes).to_string(),
            SettingKey::MemoryLimit => match self.memory_limit {
                MemoryLimit::Auto { .. } => "auto".to_owned(),
                MemoryLimit::Bytes(bytes) => Bytes(bytes).to_string(),
            },
            SettingKey::LogFormat => self.log_format.keyword().to_owned(),
            SettingKey::AlertFile => file(self.sink_settings.file.as_deref()),
            SettingKey::AlertFileMaxSize => Bytes(self.sink_settings.file_bytes_max).to_string(),
            SettingKey::AlertFileKeep => self.sink_settings.file_keep.to_string(),
            SettingKey::AlertCommand => {
                let words: Vec<String> =
                    self.sink_settings.command.iter().map(|each| keyword(each)).collect();
                words.join(" ")
            }
            SettingKey::AlertCommandTimeout => self.sink_settings.command_timeout_s.to_string(),
            SettingKey::WebhookURL => optional(self.sink_settings.webhook_url.as_ref().map(secret)),
            SettingKey::WebhookFormat => self.sink_settings.webhook_format.keyword().to_owned(),
            SettingKey::WebhookToken => match &self.sink_settings.webhook_token {
                Some(token @ Secret::Here(_)) => secret(token),
                _ => String::new(),
            },
            SettingKey::WebhookTokenFile => match &self.sink_settings.webhook_token {
                Some(token @ Secret::InFile(_)) => secret(token),
                _ => String::new(),
            },
            SettingKey::Syslog => optional(self.sink_settings.syslog.as_ref().map(ToString::to_string)),
            SettingKey::SyslogFacility => self.sink_settings.syslog_facility.keyword().to_owned(),
            SettingKey::ReverseDNS => self.sink_settings.reverse_dns.keyword().to_owned(),
            SettingKey::CountryDatabase => file(self.sink_settings.country_database.as_deref()),
            SettingKey::AsnDatabase => file(self.sink_settings.asn_database.as_deref()),
            SettingKey::ListenAddress => self.listen.to_string(),
        }
    }

    /// The limits that the original does not have and that are not off, as the file has them.
    pub(super) fn further_limits(&self) -> Vec<(&'static str, String)> {
        let keys = [
            SettingKey::PacketRateLimit,
            SettingKey::ContactRateLimit,
            SettingKey::ReceivedByteLimit,
            SettingKey::LimitFor,
            SettingKey::IgnoredSources,
            SettingKey::GroupIPv6,
        ];
        let values = keys.into_iter().map(|key| match key {
            // Several lines, and one name.
            SettingKey::LimitFor => {
                let lines: Vec<String> = self.limits_for.iter().map(ToString::to_string).collect();
                (key.name(), lines.join("; "))
            }
            _ => (key.name(), self.value(key)),
        });
        values.filter(|(_, value)| !matches!(value.as_str(), "" | "off")).collect()
    }

    /// What the value alone does not say.
    fn comment(&self, key: SettingKey) -> Option<String> {
        match (key, self.workers) {
            (SettingKey::ContactedIPsAnalyze, _) if self.hide_destinations => {
                Some("off, because destinations are hidden".to_owned())
            }
            (SettingKey::ExcludedInterfaces, _) if self.excluded_interfaces.is_empty() => {
                Some("none: every interface is monitored".to_owned())
            }
            (SettingKey::Promiscuous, _) if self.promiscuous.is_empty() => {
                Some("none: every interface receives what is for this host".to_owned())
            }
            (SettingKey::MemoryLimit, _) => match self.memory_limit {
                MemoryLimit::Auto { here } => {
                    Some(format!("a quarter of the memory from 64M to 4G, here {}", Bytes(here)))
                }
                MemoryLimit::Bytes(_) => None,
            },
            (SettingKey::Workers, Workers::Auto { here }) => {
                Some(format!("one for each usable CPU, here {here}"))
            }
            _ => None,
        }
    }
}

/// A path, or nothing.
fn file(path: Option<&Path>) -> String {
    optional(path.map(|path| keyword(&path.to_string_lossy())))
}

fn optional(value: Option<String>) -> String {
    value.unwrap_or_default()
}

/// As it stands in the file, since what is printed reads back the same.
fn secret(secret: &Secret) -> String {
    match secret {
        Secret::Here(value) => value.clone(),
        Secret::InFile(path) => keyword(&path.to_string_lossy()),
    }
}

/// In quotes where a `#` or white space would end it, or nothing would be seen of it.
fn keyword(text: &str) -> String {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '#') {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}

fn or_off(limit: Option<impl fmt::Display>) -> String {
    limit.map_or_else(|| "off".to_owned(), |limit| limit.to_string())
}

fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    quoted.join(",")
}

fn joined(items: &[impl fmt::Display]) -> String {
    let written: Vec<String> = items.iter().map(ToString::to_string).collect();
    written.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::two_cores;

    #[test]
    fn every_key_is_printed_in_the_original_s_syntax() {
        let config = Config::parse_on("it", b"", &two_cores()).unwrap_or_else(|error| panic!("{error}"));
        let expected = "\
TrafficInterval: 170
ByteLimit: 1G
NoDestinations: false
ChartMinBytes: 5M
ExcludedInterfaces: \"lo\"
ContactedIPsAnalyze: true
NumberContactedIPs: 15
AnalyzePorts: false
NumContactedPorts: 100
PortInterval: 600
ScanEvidence: contacts
PacketRateLimit: off
ContactRateLimit: off
ReceivedByteLimit: off
LimitFor:
IgnoredSources:
GroupIPv6: off
AlertCooldown: 170
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
";
        assert_eq!(config.to_string(), expected);
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
            "WebhookURL: https://a/b#c\nWebhookFormat: ntfy\nWebhookToken: a\n",
            "WebhookURL: \"/a #b\"\nWebhookTokenFile: /c\n",
            "Syslog: tcp://[::1]:514\nSyslogFacility: user\n",
            "Syslog: unix:/dev/log\nReverseDNS: true\n",
            "CountryDatabase: \"/a b/c.mmdb\"\nAsnDatabase: /a.mmdb\n",
            "LogFormat: json\n",
            "Promiscuous: \"span0\", span1\nLocalNetworks: 10.0.0.0/8, fd00::/8\n",
            "LocalNetworks:\n",
            "Direction: in\nEventLoop: epoll\nAnalyzePorts: true\n",
            "ScanEvidence: suspicious\n",
        ];
        for text in files {
            let read = |text: &str| {
                Config::parse_on("it", text.as_bytes(), &two_cores())
                    .unwrap_or_else(|error| panic!("{error}"))
            };
            let config = read(text);
            assert_eq!(read(&config.to_string()), config, "{text:?}");
        }
    }
}
