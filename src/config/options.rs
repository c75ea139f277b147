//! Makes the options of each floor from the settings.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::checked::Config;
use crate::alert::Secret;
use crate::api::view::{Capabilities, LimitsInForce};
use crate::capture::LocalNetworks;
use crate::detect::{FindingKind, HostLimits, LimitException, PrefixMap};
use crate::flow::Metric;
use crate::logging::LogFormat;
use crate::privileges::UserName;
use crate::sandbox::SandboxMode;
use crate::{alert, api, capture, detect, engine, enrich, flow};

impl Config {
    /// Returns the options of live capture.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let config = Config::parse("my.conf", "Workers: 2\nExcludedInterfaces: lo,wg0")?;
    /// assert_eq!(config.capture_options().workers, 2);
    /// assert_eq!(config.capture_options().excluded_interfaces, ["lo", "wg0"]);
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn capture_options(&self) -> capture::Options {
        capture::Options {
            workers: self.settings.workers.count(&self.machine),
            ring_memory_bytes: self.settings.ring_memory_bytes,
            excluded_interfaces: self.settings.excluded_interfaces.clone(),
            promiscuous: self.settings.promiscuous.clone(),
            local_networks: self.settings.local_networks.clone(),
            direction: self.settings.direction,
            counts_received: self.detect_limits().need_received_bytes(),
            event_loop: self.settings.event_loop,
            wire_exact: self.settings.wire_exact,
        }
    }

    /// Returns what is counted, over which intervals, and in how much memory.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// // Ports are not analyzed, so there is no port window.
    /// let config = Config::parse("my.conf", "AnalyzePorts: false")?;
    /// assert_eq!(config.flow_options().port_interval, None);
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn flow_options(&self) -> flow::Options {
        flow::Options {
            traffic_interval: Duration::from_secs(self.settings.traffic_interval_s),
            port_interval: self
                .settings
                .judge_contacted_ports
                .then(|| Duration::from_secs(self.settings.port_interval_s)),
            chart_bytes_min: self.settings.chart_bytes_min,
            group_ipv6: self.settings.group_ipv6,
            memory_bytes_max: self
                .settings
                .memory_limit
                .bytes(&self.machine, self.settings.ring_memory_bytes),
        }
    }

    /// Returns the limits above which a host is reported.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// use traffic_alerted::detect::FindingKind;
    ///
    /// let config = Config::parse("my.conf", "NoDestinations: true\nAnalyzePorts: true")?;
    /// assert_eq!(config.detect_limits().hosts.of(FindingKind::Scanning), None);
    /// assert_eq!(config.detect_limits().hosts.of(FindingKind::ScanningPort), Some(100));
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn detect_limits(&self) -> detect::Limits {
        let settings = &self.settings;
        let contacted_hosts_max = settings.judge_contacted_hosts.then_some(settings.contacted_hosts_max);
        let contacted_ports_max = settings.judge_contacted_ports.then_some(settings.contacted_ports_max);
        let hosts = HostLimits::default()
            .with(FindingKind::Traffic, Some(settings.ip_bytes_max))
            .with(FindingKind::Scanning, contacted_hosts_max.map(u64::from))
            .with(FindingKind::ScanningPort, contacted_ports_max.map(u64::from))
            .with(FindingKind::PacketRate, settings.packets_per_s_max.map(u64::from))
            .with(FindingKind::ContactRate, settings.contacts_per_s_max.map(u64::from))
            .with(FindingKind::Received, settings.received_bytes_max);
        let ignored = PrefixMap::new(settings.ignored_sources.iter().map(|network| (*network, ())));
        // The link monitor finds the networks of `auto`, and the analyst takes them from its readings.
        let protected = match &self.settings.local_networks {
            LocalNetworks::Auto => Vec::new(),
            LocalNetworks::List(networks) => networks.clone(),
        };
        let mut limits = detect::Limits {
            hosts,
            ignored,
            protected,
            loss_ppm_max: self.settings.loss_ppm_max,
            scan_rule: self.settings.scan_rule,
            ..detect::Limits::default()
        };
        limits.know_broadcasts(&[]);
        limits.with_exceptions(self.limit_exceptions())
    }

    /// Returns whether alerts name destinations, how long after its end an alert can open again, and how many
    /// of them make a storm.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// assert!(!Config::default().alert_options().hide_destinations);
    /// ```
    pub fn alert_options(&self) -> alert::Options {
        alert::Options {
            hide_destinations: self.settings.hide_destinations,
            cooldown: Duration::from_secs(self.settings.alert_cooldown_s),
            burst: self.settings.alert_burst,
        }
    }

    /// Returns the folder of the database that keeps alerts and mutes over a restart. `None` means that the
    /// configuration names none; the caller may then use the folder that the service manager provides, or that of
    /// [`state_file`](Self::state_file).
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let config = Config::parse("my.conf", "StateDirectory: /var/lib/TrafficAlerted")?;
    /// assert!(config.state_directory().is_some());
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn state_directory(&self) -> Option<&Path> {
        self.settings.state_directory.as_deref()
    }

    /// Returns the path of the file in which earlier versions kept alerts and mutes; `None` if the configuration names
    /// none.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let config = Config::parse("my.conf", "StateFile: /var/lib/TrafficAlerted/state.json")?;
    /// assert!(config.state_file().is_some());
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn state_file(&self) -> Option<&Path> {
        self.settings.state_file.as_deref()
    }

    /// Returns the user that the program becomes after a start as root.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// assert_eq!(Config::default().user().to_string(), "trafficalerted");
    /// ```
    pub fn user(&self) -> &UserName {
        &self.settings.user
    }

    /// Returns whether the program confines itself.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    /// use traffic_alerted::sandbox::SandboxMode;
    ///
    /// assert_eq!(Config::parse("my.conf", "Sandbox: off")?.sandbox(), SandboxMode::Off);
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn sandbox(&self) -> SandboxMode {
        self.settings.sandbox
    }

    /// Returns the user that runs `AlertCommand`: `AlertCommandUser`, or else [`user`](Self::user).
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let config = Config::parse("my.conf", "AlertCommandUser: notify")?;
    /// assert_eq!(config.command_user().to_string(), "notify");
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn command_user(&self) -> &UserName {
        self.settings.alert_command_user.as_ref().unwrap_or(&self.settings.user)
    }

    /// Returns the format of the lines of the log.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    /// use traffic_alerted::logging::LogFormat;
    ///
    /// assert_eq!(Config::parse("my.conf", "LogFormat: json")?.log_format(), LogFormat::Json);
    /// # Ok::<(), traffic_alerted::config::ConfigError>(())
    /// ```
    pub fn log_format(&self) -> LogFormat {
        self.settings.log_format
    }

    /// Returns the sinks of alerts besides the log, and what is looked up for them.
    ///
    /// ```
    /// use traffic_alerted::alert::{AlertRate, SinkOptions};
    /// use traffic_alerted::config::Config;
    ///
    /// let rate = Some(AlertRate::per_minute(60));
    /// assert_eq!(Config::default().sink_options(), SinkOptions { rate, ..SinkOptions::default() });
    /// ```
    pub fn sink_options(&self) -> alert::SinkOptions {
        let settings = &self.settings;
        let token_file = settings.webhook_token_file.clone().map(Secret::InFile);
        let token = token_file.or_else(|| settings.webhook_token.clone());
        alert::SinkOptions {
            retry: alert::Retry::default(),
            rate: settings.alert_rate.map(alert::AlertRate::per_minute),
            names: settings.reverse_dns.then(enrich::ReverseDnsOptions::default),
            geoip: enrich::GeoIpOptions {
                country_database: settings.country_database.clone(),
                asn_database: settings.asn_database.clone(),
            },
            file: settings.alert_file.clone().map(|path| alert::FileOptions {
                path,
                bytes_max: settings.alert_file_bytes_max,
                keep: settings.alert_file_keep,
            }),
            command: settings.alert_command.split_first().map(|(program, arguments)| alert::CommandOptions {
                program: program.into(),
                arguments: arguments.to_vec(),
                time_limit: Duration::from_secs(settings.alert_command_timeout_s),
            }),
            helper: None,
            webhook: settings.webhook_url.clone().map(|url| alert::WebhookOptions {
                notify_growth: settings.notify_growth,
                ..alert::WebhookOptions::new(url, settings.webhook_format, token)
            }),
            syslog: settings
                .syslog
                .clone()
                .map(|target| alert::SyslogOptions::new(target, settings.syslog_facility)),
            faults_logged: Vec::new(),
        }
    }

    /// Returns the CPUs to which the workers are pinned.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    /// use traffic_alerted::engine::PinCores;
    ///
    /// assert_eq!(Config::default().engine_options().pin_cores, PinCores::None);
    /// ```
    pub fn engine_options(&self) -> engine::Options {
        engine::Options { pin_cores: self.settings.pin_cores.clone() }
    }

    /// Returns the limits as `/api/v1/limits` shows them.
    fn limits_in_force(&self) -> LimitsInForce {
        let detect::Limits { hosts, loss_ppm_max, scan_rule, .. } = self.detect_limits();
        LimitsInForce {
            hosts,
            networks: self.limit_exceptions(),
            ignored: self.settings.ignored_sources.clone(),
            loss_ppm_max,
            scan_rule,
            group_ipv6: self.settings.group_ipv6,
        }
    }

    /// Returns the networks of `LimitFor` and the limits that apply to their hosts.
    fn limit_exceptions(&self) -> Vec<(IpNet, Vec<LimitException>)> {
        // If destinations are hidden, no host is reported for contacting many of them.
        let applies = |exception: &LimitException| {
            !(self.settings.hide_destinations && exception.kind.metric() == Some(Metric::ContactedHosts))
        };
        let lines = self.settings.limits_for.iter();
        lines
            .map(|limit| (limit.network, limit.exceptions.iter().copied().filter(applies).collect()))
            .collect()
    }

    /// Returns where HTTP listens, who may ask what, and the limits in force, which `/capabilities` shows.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let options = Config::default().api_options();
    /// assert_eq!(options.listen.to_string(), "127.0.0.1:8698");
    /// assert_eq!(options.capabilities.byte_limit, 1_000_000_000);
    /// ```
    pub fn api_options(&self) -> api::Options {
        let token_file = self.settings.api_token_file.clone().map(Secret::InFile);
        api::Options {
            listen: self.settings.listen,
            token: token_file.or_else(|| self.settings.api_token.clone()),
            socket: self.settings.api_socket.clone(),
            users: self.settings.api_users.clone(),
            capabilities: Capabilities {
                traffic_interval: self.settings.traffic_interval_s,
                byte_limit: self.settings.ip_bytes_max,
                no_destinations: self.settings.hide_destinations,
                contacted_ips_analyze: self.settings.judge_contacted_hosts,
                number_contacted_ips: self.settings.contacted_hosts_max,
                analyze_ports: self.settings.judge_contacted_ports,
                num_contacted_ports: self.settings.contacted_ports_max,
                port_interval: self.settings.port_interval_s,
                chart_min_bytes: self.settings.chart_bytes_min,
                excluded_interfaces: self.settings.excluded_interfaces.clone(),
                further: self.further_limits(),
                limits: self.limits_in_force(),
            },
        }
    }
}

/// A value for each key but `WebhookToken` and `ApiToken`, which the keys of their files exclude. Most are not the
/// default. `every_setting_reaches_the_options_of_its_floor` parses it.
#[cfg(test)]
pub(super) const ALL_SET: &str = "\
TrafficInterval: 60
ByteLimit: 1.5G
NoDestinations: true
ChartMinBytes: 0
ExcludedInterfaces:
ContactedIPsAnalyze: true
NumberContactedIPs: 20
AnalyzePorts: false
NumContactedPorts: 50
PortInterval: 300
ScanEvidence: contacts
PacketRateLimit: 10K
ContactRateLimit: 20
ReceivedByteLimit: 3G
LimitFor: 10.0.5.0/24 ByteLimit 20G, PacketRateLimit off, NumberContactedIPs 5
IgnoredSources: 10.0.0.9, fd00::/32
GroupIPv6: 56
AlertCooldown: 90
AlertBurst: 20
AlertRate: 7
StateDirectory: /var/lib/TrafficAlerted
StateFile: /var/lib/TrafficAlerted/state.json
Direction: in+own
WireExact: off
LossLimit: 5%
Promiscuous: mirror0
LocalNetworks: 10.0.0.0/8
Workers: 2
PinCores: 3,2
EventLoop: epoll
RingMemory: 8M
MemoryLimit: 1G
User: 0
Sandbox: off
LogFormat: json
AlertFile: /var/log/alerts.jsonl
AlertFileMaxSize: 1M
AlertFileKeep: 2
AlertCommand: /bin/notify \"the operator\"
AlertCommandTimeout: 5
AlertCommandUser: root
WebhookURL: https://host/path
WebhookFormat: slack
NotifyGrowth: true
WebhookTokenFile: /etc/token
Syslog: udp://host:514
SyslogFacility: daemon
ReverseDNS: true
CountryDatabase: /usr/share/GeoIP/country.mmdb
AsnDatabase: /usr/share/GeoIP/asn.mmdb
ListenAddress: [::1]:80
ApiTokenFile: /etc/api-token
ApiSocket: /run/a.sock
ApiUsers: alice,@adm
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{DirectionPolicy, EventLoop, LocalNetworks, WireExact};
    use crate::config::key::SettingKey;
    use crate::config::machine::tests::two_cores;
    use crate::detect::ScanRule;
    use crate::engine::PinCores;

    /// A new row of the table needs a line above, and its value an assertion below.
    #[test]
    fn all_set_has_every_key() {
        let excluded = [SettingKey::WebhookToken, SettingKey::ApiToken];
        let keys = SettingKey::ALL.iter().filter(|key| !excluded.contains(key));
        let missing: Vec<_> = keys.filter(|key| !ALL_SET.contains(&format!("{key}:"))).collect();
        assert_eq!(missing, [&SettingKey::ExcludedInterfaces; 0]);
    }

    #[test]
    fn every_setting_reaches_the_options_of_its_floor() {
        let config = Config::parse_on("test.conf", ALL_SET.as_bytes(), &two_cores())
            .unwrap_or_else(|error| panic!("{error}"));
        let capture = capture::Options {
            workers: 2,
            ring_memory_bytes: 8_000_000,
            excluded_interfaces: vec![],
            promiscuous: vec!["mirror0".to_owned()],
            local_networks: LocalNetworks::List(vec!["10.0.0.0/8".parse().expect("a network")]),
            direction: DirectionPolicy::InAndOwn,
            event_loop: EventLoop::Epoll,
            wire_exact: WireExact::Off,
            counts_received: true,
        };
        assert_eq!(config.capture_options(), capture);
        let flow = flow::Options {
            traffic_interval: Duration::from_secs(60),
            port_interval: None,
            chart_bytes_min: 0,
            group_ipv6: Some(56),
            memory_bytes_max: 1_000_000_000,
        };
        assert_eq!(config.flow_options(), flow);
        let hosts = HostLimits::default()
            .with(FindingKind::Traffic, Some(1_500_000_000))
            // Destinations are hidden, so no host is reported for contacting many of them.
            .with(FindingKind::Scanning, None)
            .with(FindingKind::ScanningPort, None)
            .with(FindingKind::PacketRate, Some(10_000))
            .with(FindingKind::ContactRate, Some(20))
            .with(FindingKind::Received, Some(3_000_000_000));
        let network = |text: &str| text.parse().expect("a network");
        let ignored = PrefixMap::new([(network("10.0.0.9/32"), ()), (network("fd00::/32"), ())]);
        let limits = detect::Limits {
            hosts,
            ignored,
            protected: vec![network("10.0.0.0/8")],
            broadcasts: [[10, 255, 255, 255].into()].into(),
            loss_ppm_max: Some(50_000),
            scan_rule: ScanRule::Contacts,
            ..Default::default()
        }
        .with_exceptions(vec![(
            network("10.0.5.0/24"),
            vec![
                LimitException { kind: FindingKind::Traffic, max: Some(20_000_000_000) },
                LimitException { kind: FindingKind::PacketRate, max: None },
            ],
        )]);
        assert_eq!(config.detect_limits(), limits);
        let with_ports = ALL_SET.replace("AnalyzePorts: false", "AnalyzePorts: true");
        let with_ports = Config::parse_on("test.conf", with_ports.as_bytes(), &two_cores())
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(with_ports.flow_options().port_interval, Some(Duration::from_secs(300)));
        assert_eq!(with_ports.detect_limits().hosts.of(FindingKind::ScanningPort), Some(50));
        let alert =
            alert::Options { hide_destinations: true, cooldown: Duration::from_secs(90), burst: Some(20) };
        assert_eq!(config.alert_options(), alert);
        let in_force = config.api_options().capabilities.limits;
        assert_eq!((in_force.hosts, in_force.scan_rule), (hosts, ScanRule::Contacts));
        assert_eq!(in_force.networks[0].0, network("10.0.5.0/24"));
        assert_eq!(
            in_force.networks[0].1.len(),
            2,
            "destinations are hidden, so there is no limit of contacts"
        );
        assert_eq!(in_force.ignored, [network("10.0.0.9/32"), network("fd00::/32")]);
        assert_eq!((in_force.loss_ppm_max, in_force.group_ipv6), (Some(50_000), Some(56)));
        assert_eq!(config.log_format(), LogFormat::Json);
        let sinks = alert::SinkOptions {
            retry: alert::Retry::default(),
            rate: Some(alert::AlertRate::per_minute(7)),
            names: Some(enrich::ReverseDnsOptions::default()),
            geoip: enrich::GeoIpOptions {
                country_database: Some("/usr/share/GeoIP/country.mmdb".into()),
                asn_database: Some("/usr/share/GeoIP/asn.mmdb".into()),
            },
            file: Some(alert::FileOptions {
                path: "/var/log/alerts.jsonl".into(),
                bytes_max: 1_000_000,
                keep: 2,
            }),
            command: Some(alert::CommandOptions {
                program: "/bin/notify".into(),
                arguments: vec!["the operator".to_owned()],
                time_limit: Duration::from_secs(5),
            }),
            helper: None,
            webhook: Some(alert::WebhookOptions {
                notify_growth: true,
                ..alert::WebhookOptions::new(
                    alert::Secret::Here("https://host/path".to_owned()),
                    alert::WebhookFormat::Slack,
                    Some(alert::Secret::InFile("/etc/token".into())),
                )
            }),
            syslog: Some(alert::SyslogOptions::new(
                alert::SyslogTarget::Udp("host:514".to_owned()),
                alert::Facility::DAEMON,
            )),
            faults_logged: Vec::new(),
        };
        assert_eq!(config.sink_options(), sinks);
        assert_eq!(
            (config.user(), config.command_user()),
            (&UserName::Id(0), &UserName::Name("root".to_owned()))
        );
        assert_eq!(config.engine_options(), engine::Options { pin_cores: PinCores::List(vec![3, 2]) });
        let api = config.api_options();
        assert_eq!(api.listen.to_string(), "[::1]:80");
        assert_eq!(api.token, Some(alert::Secret::InFile("/etc/api-token".into())));
        assert_eq!(api.socket, api::SocketOption::Path("/run/a.sock".into()));
        assert_eq!(api.users.iter().map(ToString::to_string).collect::<Vec<_>>(), ["alice", "@adm"]);
    }

    #[test]
    fn capabilities_have_the_form_of_the_original_s_json() {
        let text = "ByteLimit: 20000\nChartMinBytes: 1\n";
        let config = Config::parse("test.conf", text).unwrap_or_else(|error| panic!("{error}"));
        let json = serde_json::to_string(&config.api_options().capabilities).expect("a view becomes JSON");
        assert_eq!(
            json,
            concat!(
                r#"{"TrafficInterval":170,"ByteLimit":20000,"NoDestinations":false,"ContactedIPsAnalyze":true,"#,
                r#""NumberContactedIPs":15,"AnalyzePorts":true,"NumContactedPorts":100,"PortInterval":600,"#,
                r#""ChartMinBytes":1,"ExcludedInterfaces":["lo"]}"#
            )
        );
        let text =
            "PacketRateLimit: 10K\nLimitFor: 10.0.0.0/8 ByteLimit 2G\nLimitFor: fd00::/8 ByteLimit off\n";
        let config = Config::parse("test.conf", text).unwrap_or_else(|error| panic!("{error}"));
        let json = serde_json::to_string(&config.api_options().capabilities).expect("a view becomes JSON");
        let further =
            r#","PacketRateLimit":"10K","LimitFor":"10.0.0.0/8 ByteLimit 2G; fd00::/8 ByteLimit off"}"#;
        assert!(json.ends_with(further), "{json}");
    }
}
