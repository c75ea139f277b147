//! The table of settings. Each setting is one row here; only the code that uses its value is elsewhere.
//!
//! ```text
//! /// Its description, for the reference.
//! Key {
//!     field: Type = default,
//!     kind: how its value is read and printed, and its range,
//!     reload: Live, or Restart(what the program creates from it at its start),
//!     example: "a value that is not the default",
//!     more: "heading of a page in docs/ that explains it" (may be left out)
//! }
//! ```
//!
//! The key is written in the file exactly as here. The rows have the order in which `check` prints them; the ten keys
//! of the original come first, in the order of its example file. `key.rs` makes [`SettingKey`](super::key::SettingKey)
//! from the rows, and `values.rs` makes [`Settings`](super::values::Settings), which has a field for each row. The
//! names of types and kinds in a row are resolved in `values.rs`; ranges that several rows share are in `ranges.rs`.
//!
//! After a change here, `UPDATE_DOCS=1 cargo test --lib config::reference` writes `docs/configuration.md`.

/// Passes all rows to the macro of the given name.
macro_rules! for_each_setting {
    ($receiver:ident) => {
        $receiver! {
General {
    /// Seconds for which `ByteLimit`, `ReceivedByteLimit` and `NumberContactedIPs` apply.
    TrafficInterval {
        traffic_interval_s: u64 = 170,
        kind: Seconds(INTERVAL_S), reload: Restart(Windows), example: "60", more: "Windows and contacts"
    }
    /// Bytes that a host may send within `TrafficInterval`.
    ByteLimit {
        ip_bytes_max: u64 = 1_000_000_000,
        kind: ByteCount(LIMIT_BYTES), reload: Live, example: "20G", more: "Bytes"
    }
    /// If `true`, destinations are neither logged nor served, and `ContactedIPsAnalyze` is off.
    NoDestinations { hide_destinations: bool = false, kind: OneOf, reload: Live, example: "true" }
    /// Bytes that a host must have sent within `TrafficInterval` to be in `/all` and on the network chart; 0 shows
    /// every host.
    ChartMinBytes {
        chart_bytes_min: u64 = 5_000_000,
        kind: ByteCount(CHART_BYTES), reload: Live, example: "100K"
    }
    /// Interfaces that are not monitored. `*` in a name stands for any number of characters and `?` for one, as in a
    /// shell. If the list is empty, every interface is monitored.
    ExcludedInterfaces {
        excluded_interfaces: Vec<String> = vec!["lo".to_owned()],
        kind: InterfaceNames, reload: Live, example: "\"lo\",\"veth*\"", more: "Which packets count"
    }
}
Scanning {
    /// Whether a host that contacts more hosts than `NumberContactedIPs` is reported.
    ContactedIPsAnalyze { judge_contacted_hosts: bool = true, kind: OneOf, reload: Live, example: "false" }
    /// Number of hosts that a host may contact within `TrafficInterval`; a host that contacts more is scanning.
    NumberContactedIPs {
        contacted_hosts_max: u32 = 15,
        kind: Count { range: CONTACTED_HOSTS, switch: SettingKey::ContactedIPsAnalyze },
        reload: Live, example: "100", more: "Windows and contacts"
    }
    /// Whether a host that contacts more ports than `NumContactedPorts` is reported, which takes more memory.
    AnalyzePorts { judge_contacted_ports: bool = true, kind: OneOf, reload: Restart(Windows), example: "false" }
    /// Number of ports that a host may contact within `PortInterval`, at all hosts together; a host that contacts more
    /// is scanning.
    NumContactedPorts {
        contacted_ports_max: u32 = 100,
        kind: Count { range: CONTACTED_PORTS, switch: SettingKey::AnalyzePorts }, reload: Live, example: "50"
    }
    /// Seconds for which `NumContactedPorts` applies.
    PortInterval {
        port_interval_s: u64 = 600,
        kind: Seconds(INTERVAL_S), reload: Restart(Windows), example: "300"
    }
    /// When a host over one of these limits is a scanner: always (`contacts`), or only if its contacts also look like a
    /// scan (`suspicious`): failures, one port at many hosts, many ports at one host. In a file that sets
    /// `NumberContactedIPs` or `NumContactedPorts`, the default is `contacts`, as in the original.
    ScanEvidence {
        scan_rule: ScanRule = ScanRule::Suspicious,
        kind: OneOf, reload: Live, example: "contacts", more: "Scanners and others"
    }
}
FurtherLimits {
    /// Packets that a host may send within a second.
    PacketRateLimit {
        packets_per_s_max: Option<u32> = None,
        kind: OrOff(PerSecond(RATES)), reload: Live, example: "10K", more: "Further limits"
    }
    /// Number of hosts that a host may contact within a second for the first time in `TrafficInterval`.
    ContactRateLimit {
        contacts_per_s_max: Option<u32> = None,
        kind: OrOff(PerSecond(RATES)), reload: Live, example: "20", more: "Further limits"
    }
    /// Bytes that a host may receive within `TrafficInterval`. With this limit, a host that forwards reads every packet
    /// twice: when it enters and when it leaves.
    ReceivedByteLimit {
        received_bytes_max: Option<u64> = None,
        kind: OrOff(ByteCount(LIMIT_BYTES)), reload: Live, example: "20G", more: "Further limits"
    }
    /// Other limits for the hosts of a network. There may be many such lines, one for each network. If a host is in
    /// several of the networks, each of its limits is that of the smallest network whose line sets this limit.
    LimitFor {
        limits_for: Vec<LimitFor> = Vec::new(),
        kind: LimitLines, reload: Live,
        example: "10.0.5.0/24 ByteLimit 20G, PacketRateLimit off", more: "Further limits"
    }
    /// Addresses and networks whose hosts are counted but never reported.
    IgnoredSources {
        ignored_sources: Vec<IpNet> = Vec::new(),
        kind: Sources, reload: Live, example: "10.0.0.5,10.0.9.0/24", more: "Silence a host"
    }
    /// Prefix length by which IPv6 addresses are grouped: all addresses that share a prefix of this length are counted
    /// as one host.
    GroupIPv6 {
        group_ipv6: Option<u8> = None,
        kind: OrOff(PrefixLength(GROUP_IPV6)), reload: Restart(Windows), example: "64", more: "Further limits"
    }
}
Alerts {
    /// Seconds after the end of an alert within which that alert is opened again instead of a new one; 0 always opens a
    /// new one.
    AlertCooldown {
        alert_cooldown_s: u64 = 170,
        kind: Seconds(COOLDOWN_S), reload: Live, example: "600", more: "Growth and end"
    }
    /// Number of alerts of a kind that may open within a minute and are notified one by one. More of them, from one
    /// network, against one target or in all, are notified as one alert, a storm; `off` notifies each alert by itself.
    AlertBurst {
        alert_burst: Option<u32> = Some(20),
        kind: OrOff(Whole(ALERT_BURST)), reload: Live, example: "50", more: "Storms"
    }
    /// Number of notices that `AlertCommand`, `WebhookURL` and `Syslog` each get one by one within a minute. When the
    /// minute is over, the others follow as one summary; `off` delivers each notice by itself. The log and `AlertFile`
    /// have each notice in any case.
    AlertRate {
        alert_rate: Option<u32> = Some(60),
        kind: OrOff(Whole(ALERT_RATE)), reload: Live, example: "10", more: "At most so many a minute"
    }
    /// Folder of the [database](state.md) that keeps alerts, mutes and the notices that wait for a sink over a restart.
    /// If it is not set, it is the folder that the service unit provides (`StateDirectory=`), else the folder of
    /// `StateFile`; without any of them, nothing is kept. One process at a time uses it, and no other user may write to
    /// it.
    StateDirectory {
        state_directory: Option<PathBuf> = None,
        kind: FolderPath, reload: Restart(FileOrSocket), example: "/var/lib/TrafficAlerted", more: "Restart"
    }
    /// File in which earlier versions kept alerts and mutes. It is read once, taken over into the database of
    /// `StateDirectory`, and renamed `.taken-over`.
    StateFile {
        state_file: Option<PathBuf> = None,
        kind: FilePath, reload: Restart(FileOrSocket), example: "/var/lib/TrafficAlerted/state.json", more: "Restart"
    }
}
Capture {
    /// Which packets count: those that enter (`in`), also those that this host itself sends (`in+own`; with
    /// masquerading it would count packets twice), or all that enter or leave (`both`). `auto` is `in` on a host that
    /// forwards, and `both` on any other.
    Direction {
        direction: DirectionPolicy = DirectionPolicy::Auto,
        kind: OneOf, reload: Live, example: "in+own", more: "Which packets count"
    }
    /// Whether packets that the kernel has joined (GRO) are counted as the packets on the wire. `auto` does so from
    /// Linux 6.2 on.
    WireExact {
        wire_exact: WireExact = WireExact::Auto,
        kind: OneOf, reload: Restart(Capturing), example: "off", more: "Packets of the wire"
    }
    /// Share of frames that may be lost within `TrafficInterval` because rings are full; a larger share raises an
    /// alert.
    LossLimit {
        loss_ppm_max: Option<u32> = Some(1_000),
        kind: PercentageOrOff(LOSS_PPM), reload: Live, example: "5%", more: "Frames are dropped"
    }
    /// Interfaces that also receive frames for other stations, such as one at the mirror port of a switch. `*` and `?`
    /// in a name stand for characters, as in a shell. On any other interface except the ports of a bridge, frames for
    /// other stations are skipped.
    Promiscuous {
        promiscuous: Vec<String> = Vec::new(),
        kind: InterfaceNames.and(Context::check_promiscuous), reload: Live, example: "\"span0\"",
        more: "Which packets count"
    }
    /// Networks that are attached to this host or reached through it. `auto` finds them by addresses and routes.
    LocalNetworks {
        local_networks: LocalNetworks = LocalNetworks::Auto,
        kind: NetworkList, reload: Live, example: "10.0.0.0/8,fd00::/8", more: "Local networks"
    }
    /// Number of threads that read packets: `auto` is one for each usable CPU, but no more than the whole CPUs that the
    /// control group allows (`CPUQuota=` of systemd).
    Workers {
        workers: Workers = Workers::Auto,
        kind: WorkerCount(WORKERS), reload: Restart(Capturing), example: "2"
    }
    /// CPUs to pin the workers to: `none`, `auto` (one each, in order), or a list with one for each worker.
    PinCores {
        pin_cores: PinCores = PinCores::None,
        kind: CoreList.and(Context::check_pin_cores), reload: Restart(Capturing), example: "2,3"
    }
    /// What workers wait on: `io_uring`, `epoll`, or `auto`, which is `io_uring` if the system allows it, else `epoll`.
    EventLoop {
        event_loop: EventLoop = EventLoop::Auto,
        kind: OneOf, reload: Restart(Capturing), example: "epoll"
    }
    /// Bytes of kernel memory for packets that wait to be read, for all workers together: at most a quarter of the
    /// memory of the machine, or of what the control group allows. The default is less where this is less.
    RingMemory {
        ring_memory_bytes: u64 = 64_000_000,
        kind: ByteCount(RING_MEMORY_BYTES).and(Context::check_ring_memory), reload: Restart(Capturing),
        example: "128M", more: "Frames are dropped"
    }
    /// Bytes of memory for everything but the rings. `auto` is a quarter of the machine's, from 64M to 4G. Where a
    /// control group (`MemoryMax=` of systemd), RLIMIT_AS or RLIMIT_DATA allows less than the machine has, it is a
    /// quarter of that, at least 64M, but at most a half.
    MemoryLimit {
        memory_limit: MemoryLimit = MemoryLimit::Auto,
        kind: MemoryShare(MEMORY_BYTES), reload: Restart(Capturing), example: "500M", more: "Full tables"
    }
}
Process {
    /// User that the program becomes after a start as root, by name or number, with its primary group and no other.
    /// Without the default user it takes a number that nobody uses. Started as another user, it stays that user.
    User {
        user: UserName = UserName::default(),
        kind: SystemUser, reload: Restart(Privileges), example: "999", more: "Privileges"
    }
    /// Whether the program confines itself to its folders, ports and system calls (Landlock, seccomp) after the start:
    /// `on`, or `off` for a debugger.
    Sandbox {
        sandbox: SandboxMode = SandboxMode::On,
        kind: OneOf, reload: Restart(Privileges), example: "off", more: "Privileges"
    }
}
Log {
    /// Form of the lines on standard error: `text`, or `json`, one object on each line.
    LogFormat {
        log_format: LogFormat = LogFormat::Text,
        kind: OneOf, reload: Restart(Logging), example: "json", more: "The log lines"
    }
}
Sinks {
    /// File to which each alert is appended as a line of JSON when it opens, grows and closes.
    AlertFile {
        alert_file: Option<PathBuf> = None,
        kind: FilePath, reload: Live, example: "/var/log/TrafficAlerted/alerts.jsonl", more: "File"
    }
    /// Size in bytes at which `AlertFile` is renamed to `alerts.jsonl.1`, the one before it to `alerts.jsonl.2` and so
    /// on, and a new file is begun.
    AlertFileMaxSize {
        alert_file_bytes_max: u64 = 10_000_000,
        kind: ByteCount(10_000..=100_000_000_000), reload: Live, example: "100M", more: "File"
    }
    /// Number of renamed files that are kept.
    AlertFileKeep {
        alert_file_keep: u32 = 5,
        kind: Whole(0..=1000), reload: Live, example: "9", more: "File"
    }
    /// Program that is run for each alert, by its absolute path, and its arguments. No shell is used.
    AlertCommand {
        alert_command: Vec<String> = Vec::new(),
        kind: ProgramCall, reload: Restart(Helper), example: "/usr/local/bin/notify --to \"the operator\"",
        more: "Command"
    }
    /// Seconds after which the program of `AlertCommand` is ended.
    AlertCommandTimeout {
        alert_command_timeout_s: u64 = 10,
        kind: Seconds(1..=600), reload: Restart(Helper), example: "30", more: "Command"
    }
    /// User that runs the program of `AlertCommand`, by name or number. If it is empty, that is `User`. Only a start as
    /// root can give it another one.
    AlertCommandUser {
        alert_command_user: Option<UserName> = None,
        kind: SystemUser, reload: Restart(Privileges), example: "nobody", more: "Command"
    }
    /// Address to which each alert is posted, or the path of a file that holds the address.
    WebhookURL {
        webhook_url: Option<Secret> = None,
        kind: WebhookAddress, reload: Live, example: "https://hooks.example/path", more: "Webhook"
    }
    /// Format of what is posted: `json` for programs, or the format of the service of this name.
    WebhookFormat {
        webhook_format: WebhookFormat = WebhookFormat::Json,
        kind: OneOf, reload: Live, example: "slack", more: "Webhook"
    }
    /// Whether a chat format (`slack`, `discord`, `mattermost`, `ntfy`) is also told when an alert grows to 2, 5 and 10
    /// times its limit. The other formats and places are told in any case.
    NotifyGrowth { notify_growth: bool = false, kind: OneOf, reload: Live, example: "true", more: "Where alerts go" }
    /// Token that is sent as `Authorization: Bearer ...`. `WebhookTokenFile` is safer if others may read the
    /// configuration.
    WebhookToken {
        webhook_token: Option<Secret> = None,
        kind: Token, reload: Live, example: "secret", more: "Webhook"
    }
    /// File that holds the token, instead of `WebhookToken`.
    WebhookTokenFile {
        webhook_token_file: Option<PathBuf> = None,
        kind: FilePath.and(Context::check_webhook_token_file), reload: Live,
        example: "/run/credentials/TrafficAlerted.service/webhook-token", more: "Webhook"
    }
    /// Collector of logs, over UDP or TCP (RFC 5424) or at a local socket.
    Syslog {
        syslog: Option<SyslogTarget> = None,
        kind: SyslogCollector, reload: Live, example: "udp://192.0.2.1:514", more: "Syslog"
    }
    /// Facility of the messages to the collector.
    SyslogFacility {
        syslog_facility: Facility = Facility::DAEMON,
        kind: OneOf, reload: Live, example: "local0", more: "Syslog"
    }
    /// Whether the name of the host is looked up and sent with each alert, except to the log. Name servers see the
    /// address.
    ReverseDNS { reverse_dns: bool = false, kind: OneOf, reload: Live, example: "true", more: "Names and origins" }
    /// Database in MaxMind's format (GeoLite2, DB-IP) with countries. The country of the host is sent with each alert,
    /// except to the log. A replaced file is read at a reload.
    CountryDatabase {
        country_database: Option<PathBuf> = None,
        kind: FilePath, reload: Live, example: "/usr/share/GeoIP/GeoLite2-Country.mmdb", more: "Names and origins"
    }
    /// Database of the same kind with autonomous systems (AS). That of the host is sent in the same way.
    AsnDatabase {
        asn_database: Option<PathBuf> = None,
        kind: FilePath, reload: Live, example: "/usr/share/GeoIP/GeoLite2-ASN.mmdb", more: "Names and origins"
    }
}
Http {
    /// Address and port of the dashboard and the API. An address that other machines can reach needs `ApiTokenFile` or
    /// `ApiToken`.
    ListenAddress {
        listen: SocketAddr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 8698),
        kind: ListenAt.and(Context::check_listen_address),
        reload: Restart(FileOrSocket), example: "[::1]:8698", more: "Who may ask"
    }
    /// Token that changes need, and that everything needs from other machines; `TrafficAlerted token` makes one.
    /// Whoever can read the configuration has it, so `ApiTokenFile` is safer. `check` does not print it.
    ApiToken {
        api_token: Option<Secret> = None,
        kind: StrongToken, reload: Live, example: "make-one-with-TrafficAlerted-token", more: "Who may ask"
    }
    /// File that holds the token, instead of `ApiToken`. It must belong to the program's user or to root, and nobody
    /// else may read it. It is read again at a reload.
    ApiTokenFile {
        api_token_file: Option<PathBuf> = None,
        kind: FilePath.and(Context::check_api_token_file), reload: Live,
        example: "/etc/TrafficAlerted/api-token", more: "Who may ask"
    }
    /// Path of a Unix socket with the same API. `auto` is `api.sock` in the folder that the service unit provides
    /// (`RuntimeDirectory=`), else `/run/TrafficAlerted/api.sock`, and if it cannot be made there, the program goes on
    /// without it. `off` makes none.
    ApiSocket {
        api_socket: SocketOption = SocketOption::Auto,
        kind: SocketPath, reload: Restart(FileOrSocket), example: "/run/monitor/api.sock", more: "Who may ask"
    }
    /// Users, by name or number, and groups, as `@name`, who may make changes over the Unix socket. Root and the
    /// program's own user always may.
    ApiUsers {
        api_users: Vec<ApiUser> = Vec::new(),
        kind: UserList, reload: Live, example: "alice,@netadmin", more: "Who may ask"
    }
}
        }
    };
}

pub(super) use for_each_setting;
