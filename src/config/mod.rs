//! The configuration file, checked once into a type that cannot be wrong.
//!
//! Owns the format (the original's: `SettingKey: value`, `#` comments, K/M/G, quoted lists), the defaults and the
//! ranges. Refuses to know what a setting does: it hands each floor the options of that floor and no more.
//! Nothing below imports this module, so floors stay usable without a file.
//!
//! ```text
//! bytes --file--> RawConfig (keys, values, places) --check, units--> Config --options--> capture, flow, ...
//!                     \-------------- Problems -------/    \--print--> a file that reads back the same
//! ```
//!
//! Intervals are whole seconds, sizes are bytes, K, M and G are powers of 1000. Every key may be left out.
//! A file fails as a whole and with all of its problems ([`ConfigError`]): unknown or doubled keys, values
//! that do not read or are out of range, text that is no UTF-8, more than [`FILE_BYTES_MAX`] bytes. Two
//! values are held against the machine that reads the file: `PinCores` against the affinity mask, and
//! `RingMemory` against the number of workers that `auto` gives there.
#![forbid(unsafe_code)]

mod check;
mod error;
mod file;
mod key;
mod keyword;
mod limit_for;
mod options;
mod print;
mod reload;
mod sink_settings;
mod units;

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::alert::{Facility, WebhookFormat};
use ipnet::IpNet;
use nix::sys::sysinfo::sysinfo;

use self::limit_for::LimitFor;
use crate::capture::{DirectionPolicy, EventLoop, LocalNetworks, WireExact};
use crate::detect::ScanRule;
use crate::engine::PinCores;
use crate::logging::LogFormat;

pub use error::{ConfigError, Problems};
use sink_settings::SinkSettings;

/// A configuration that passed every check. Its `Display` is a file that reads back as the same
/// configuration and names every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    traffic_interval_s: u64,
    ip_bytes_max: u64,
    hide_destinations: bool,
    chart_bytes_min: u64,
    excluded_interfaces: Vec<String>,
    /// Never set together with `hide_destinations`.
    judge_contacted_hosts: bool,
    contacted_hosts_max: u32,
    judge_contacted_ports: bool,
    contacted_ports_max: u32,
    port_interval_s: u64,
    scan_rule: ScanRule,
    /// `None`: no limit.
    packets_per_s_max: Option<u32>,
    contacts_per_s_max: Option<u32>,
    received_bytes_max: Option<u64>,
    /// Each network once.
    limits_for: Vec<LimitFor>,
    ignored_sources: Vec<IpNet>,
    /// `None`: each IPv6 host is for itself. No network of the two above is smaller than a group.
    group_ipv6: Option<u8>,
    alert_cooldown_s: u64,
    state_file: Option<PathBuf>,
    direction: DirectionPolicy,
    wire_exact: WireExact,
    /// `None`: losses raise no alert.
    loss_ppm_max: Option<u32>,
    /// None of them is excluded.
    promiscuous: Vec<String>,
    local_networks: LocalNetworks,
    workers: Workers,
    /// Of a list: as many as there are workers, each once, all of them in the affinity mask.
    pin_cores: PinCores,
    event_loop: EventLoop,
    ring_memory_bytes: u64,
    memory_limit: MemoryLimit,
    log_format: LogFormat,
    sink_settings: SinkSettings,
    listen: SocketAddr,
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Workers {
    /// One for each CPU of the affinity mask, of which there are this many here.
    Auto { here: usize },
    /// This many.
    Count(usize),
}

/// How much memory the tables may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MemoryLimit {
    /// A quarter of the machine's, within [`MEMORY_BYTES_AUTO`]; so many bytes here.
    Auto { here: u64 },
    /// These bytes.
    Bytes(u64),
}

impl Config {
    /// Reads a configuration from text. `name` stands for the file in error messages.
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
    /// What [`Config::parse`] says, and [`ConfigError::Unreadable`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let name = path.as_ref().display().to_string();
        let mut text = Vec::new();
        // One byte more than is allowed tells a file that is too large, even one without an end.
        let read =
            File::open(path).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut text));
        match read {
            Ok(_) => Self::parse(&name, text),
            Err(source) => Err(ConfigError::Unreadable { name, source }),
        }
    }

    /// What is in force where the file says nothing. The only place where a default is written.
    fn defaults(machine: &Machine) -> Self {
        Self {
            traffic_interval_s: 170,
            ip_bytes_max: 1_000_000_000,
            hide_destinations: false,
            chart_bytes_min: 5_000_000,
            excluded_interfaces: vec!["lo".to_owned()],
            judge_contacted_hosts: true,
            contacted_hosts_max: 15,
            judge_contacted_ports: false,
            contacted_ports_max: 100,
            port_interval_s: 600,
            scan_rule: ScanRule::Contacts,
            packets_per_s_max: None,
            contacts_per_s_max: None,
            received_bytes_max: None,
            limits_for: Vec::new(),
            ignored_sources: Vec::new(),
            group_ipv6: None,
            alert_cooldown_s: 170,
            state_file: None,
            direction: DirectionPolicy::Auto,
            wire_exact: WireExact::Auto,
            loss_ppm_max: Some(1_000),
            promiscuous: Vec::new(),
            local_networks: LocalNetworks::Auto,
            workers: Workers::Auto { here: machine.workers() },
            pin_cores: PinCores::None,
            event_loop: EventLoop::Auto,
            ring_memory_bytes: 64_000_000,
            memory_limit: MemoryLimit::Auto { here: machine.memory_limit() },
            log_format: LogFormat::Text,
            sink_settings: SinkSettings {
                file: None,
                file_bytes_max: 10_000_000,
                file_keep: 5,
                command: Vec::new(),
                command_timeout_s: 10,
                webhook_url: None,
                webhook_format: WebhookFormat::Json,
                webhook_token: None,
                syslog: None,
                syslog_facility: Facility::DAEMON,
                reverse_dns: false,
                country_database: None,
                asn_database: None,
            },
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8698),
        }
    }

    fn parse_on(name: &str, bytes: &[u8], machine: &Machine) -> Result<Self, ConfigError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { name: name.to_owned() });
        }
        let text = file::Text::decode(bytes);
        let mut problems = Vec::new();
        let raw = file::RawConfig::read(&text, &mut problems);
        match check::check(&raw, machine, &mut problems) {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError::Wrong(Problems::new(name, text.text, problems))),
        }
    }
}

impl Default for Config {
    /// The configuration of an empty file.
    fn default() -> Self {
        Self::defaults(&Machine::here())
    }
}

impl Workers {
    fn count(self) -> usize {
        match self {
            Workers::Auto { here } => here,
            Workers::Count(count) => count,
        }
    }
}

impl MemoryLimit {
    fn bytes(self) -> u64 {
        match self {
            MemoryLimit::Auto { here } => here,
            MemoryLimit::Bytes(bytes) => bytes,
        }
    }
}

/// What a configuration is held against: the CPUs that this process may run on, ascending and at least one; and the
/// memory of the machine.
#[derive(Clone, Debug)]
struct Machine {
    cores: Vec<usize>,
    memory_bytes: u64,
}

impl Machine {
    fn here() -> Self {
        let mask = core_affinity::get_core_ids().unwrap_or_default();
        let mut cores: Vec<usize> = mask.into_iter().map(|core| core.id).collect();
        if cores.is_empty() {
            // The mask does not read where there are more CPUs than a `cpu_set_t` holds.
            let count = std::thread::available_parallelism().map_or(1, usize::from);
            cores = (0..count).collect();
        }
        // What cannot be read is taken for little.
        Self { cores, memory_bytes: sysinfo().map_or(0, |machine| machine.ram_total()) }
    }

    /// The bytes that `MemoryLimit: auto` gives, in whole megabytes.
    fn memory_limit(&self) -> u64 {
        let bytes = (self.memory_bytes / 4).clamp(*MEMORY_BYTES_AUTO.start(), *MEMORY_BYTES_AUTO.end());
        bytes / 1_000_000 * 1_000_000
    }

    /// The number of workers that `auto` gives.
    fn workers(&self) -> usize {
        self.cores.len().min(*WORKERS.end())
    }
}

/// Bytes that a configuration file may have: three hundred times the example.
pub const FILE_BYTES_MAX: usize = 1 << 16;

/// Seconds that an interval may last: slots are a tenth of it and at least 100 ms; a month is the longest
/// span that anybody bills.
const INTERVAL_S: RangeInclusive<u64> = 1..=30 * 24 * 3600;

/// Seconds within which an alert that is exceeded again is the same; 0 is a new one each time.
const COOLDOWN_S: RangeInclusive<u64> = 0..=*INTERVAL_S.end();

/// Bytes that a limit may have: an exabyte, which leaves room for sums of such sums in 64 bits.
const LIMIT_BYTES: RangeInclusive<u64> = 1..=1_000_000_000_000_000_000;

/// As [`LIMIT_BYTES`], and 0 shows every host.
const CHART_BYTES: RangeInclusive<u64> = 0..=*LIMIT_BYTES.end();

/// Contacts that a host may make before it is reported.
const CONTACTED_HOSTS: RangeInclusive<u32> = 1..=1_000_000_000;

/// There are 65536 ports, and one more than the limit must be possible.
const CONTACTED_PORTS: RangeInclusive<u32> = 1..=65_535;

/// Packets or contacts that a host may make in a second.
const RATES: RangeInclusive<u32> = 1..=1_000_000_000;

/// Prefix lengths by which IPv6 hosts are taken for one: from what a provider gets to what a network has.
const GROUP_IPV6: RangeInclusive<u8> = 32..=64;

/// Lost frames of a million from which on an alert is raised: from a ten-thousandth of a percent to all.
const LOSS_PPM: RangeInclusive<u32> = 1..=1_000_000;

/// A fanout group has at most 256 sockets unless it was made for more (`fanout_add` of
/// net/packet/af_packet.c).
const WORKERS: RangeInclusive<usize> = 1..=256;

/// Bytes of all rings: block number times block size must stay below 2^32 for one ring
/// (`packet_set_ring` of net/packet/af_packet.c), and there may be one only.
const RING_MEMORY_BYTES: RangeInclusive<u64> = 1_000_000..=4_000_000_000;

/// Bytes of all but the rings. At 480 bytes for a pair of hosts that is active all the time, and the host that comes with
/// it, the minimum holds ten thousand of them, and then it forgets the smallest.
const MEMORY_BYTES: RangeInclusive<u64> = 32_000_000..=1_000_000_000_000;

/// What `auto` gives at least and at most: a router of 512 MB keeps three quarters for others, and the upper end holds
/// five million pairs of hosts.
const MEMORY_BYTES_AUTO: RangeInclusive<u64> = 64_000_000..=4_000_000_000;

/// Bytes of an interface name (`IFNAMSIZ` of linux/if.h without the final zero).
const INTERFACE_NAME_BYTES_MAX: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    /// The two CPUs of a machine that is not this one.
    pub(super) fn two_cores() -> Machine {
        Machine { cores: vec![2, 3], memory_bytes: 512_000_000 }
    }

    #[test]
    fn an_empty_file_and_the_shipped_file_are_the_defaults() {
        let shipped = include_str!("../../TrafficAlerted.conf");
        for text in ["", "\n", "# nothing\r\n", "\u{feff}", shipped] {
            assert_eq!(
                Config::parse("it", text).expect("this is a configuration"),
                Config::default(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_shipped_file_names_every_key() {
        let shipped = include_str!("../../TrafficAlerted.conf");
        for key in key::SettingKey::ALL {
            let line = format!("\n{key}:");
            assert!(shipped.contains(&line), "{key} is missing");
        }
    }

    #[test]
    fn defaults_pass_every_check_on_any_machine() {
        for count in [1, 2, 64, 256, 1024] {
            let machine = Machine { cores: (0..count).collect(), memory_bytes: 0 };
            let defaults = Config::defaults(&machine);
            let written = defaults.to_string();
            let read = Config::parse_on("it", written.as_bytes(), &machine)
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read, defaults);
            assert_eq!(read.workers.count(), count.min(256));
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_not_looked_at() {
        let comment = |bytes: usize| "#".repeat(bytes);
        assert!(Config::parse("it", comment(FILE_BYTES_MAX)).is_ok());
        let error = Config::parse("it", comment(FILE_BYTES_MAX + 1)).expect_err("one byte too many");
        assert_eq!(
            error.to_string(),
            "error: `it` is no configuration: it has more than 65536 bytes\n |\n = help: give the path of a TrafficAlerted.conf"
        );
        let endless = Config::load("/dev/zero").expect_err("it has no end");
        assert!(matches!(endless, ConfigError::TooLarge { .. }), "{endless}");
    }

    #[test]
    fn a_file_that_cannot_be_read_says_why() {
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
