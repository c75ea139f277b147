//! From settings to a [`Config`]: every value read, every range held, every problem named.

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use super::error::Problem;
use super::file::RawConfig;
use super::key::Key;
use super::units::{self, Bytes, Item, NumberError, within};
use super::word::Word;
use super::{
    CHART_BYTES, CONTACTED_HOSTS, CONTACTED_PORTS, COOLDOWN_S, Config, INTERFACE_NAME_BYTES_MAX, INTERVAL_S,
    LIMIT_BYTES, LOSS_PPM, MEMORY_BYTES, Machine, RING_MEMORY_BYTES, WORKERS, Workers,
};
use crate::capture::RING_BYTES_MIN;
use crate::detect::Share;
use crate::engine::PinCores;

/// Reads all settings; `None` where one of them is wrong, which `problems` then tells.
pub(super) fn check(raw: &RawConfig<'_>, machine: &Machine, problems: &mut Vec<Problem>) -> Option<Config> {
    let defaults = Config::defaults(machine);
    let mut file = Checker { raw, problems };

    let traffic_interval_s = file.read(Key::TrafficInterval, defaults.traffic_interval_s, interval);
    let ip_bytes_max = file.read(Key::ByteLimit, defaults.ip_bytes_max, |value| bytes(value, &LIMIT_BYTES));
    let hide_destinations = file.read(Key::NoDestinations, defaults.hide_destinations, word);
    let chart_bytes_min =
        file.read(Key::ChartMinBytes, defaults.chart_bytes_min, |value| bytes(value, &CHART_BYTES));
    let excluded_interfaces = file.read(Key::ExcludedInterfaces, defaults.excluded_interfaces, interfaces);

    let judge_contacted_hosts = file.read(Key::ContactedIPsAnalyze, defaults.judge_contacted_hosts, word);
    let contacted_hosts_max = file.read(Key::NumberContactedIPs, defaults.contacted_hosts_max, |value| {
        count(value, &CONTACTED_HOSTS, Key::ContactedIPsAnalyze)
    });
    let judge_contacted_ports = file.read(Key::AnalyzePorts, defaults.judge_contacted_ports, word);
    let contacted_ports_max = file.read(Key::NumContactedPorts, defaults.contacted_ports_max, |value| {
        count(value, &CONTACTED_PORTS, Key::AnalyzePorts)
    });
    let port_interval_s = file.read(Key::PortInterval, defaults.port_interval_s, interval);
    let scan_evidence = file.read(Key::ScanEvidence, defaults.scan_evidence, word);
    let alert_cooldown_s =
        file.read(Key::AlertCooldown, defaults.alert_cooldown_s, |value| seconds(value, &COOLDOWN_S));

    let direction = file.read(Key::Direction, defaults.direction, word);
    let wire_exact = file.read(Key::WireExact, defaults.wire_exact, word);
    let loss_ppm_max = file.read(Key::LossLimit, defaults.loss_ppm_max, loss_limit);
    let workers = file.read(Key::Workers, defaults.workers, |value| self::workers(value, machine));
    // Where the number of workers is wrong, nothing is held against it.
    let worker_count = workers.map(Workers::count);
    let pin_cores =
        file.read(Key::PinCores, defaults.pin_cores, |value| self::pin_cores(value, worker_count, machine));
    let event_loop = file.read(Key::EventLoop, defaults.event_loop, word);
    let ring_memory_bytes =
        file.read(Key::RingMemory, defaults.ring_memory_bytes, |value| ring_memory(value, worker_count));
    let memory_bytes_max =
        file.read(Key::MemoryLimit, defaults.memory_bytes_max, |value| bytes(value, &MEMORY_BYTES));
    let listen = file.read(Key::ListenAddress, defaults.listen, listen_address);

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
        scan_evidence: scan_evidence?,
        alert_cooldown_s: alert_cooldown_s?,
        direction: direction?,
        wire_exact: wire_exact?,
        loss_ppm_max: loss_ppm_max?,
        workers: workers?,
        pin_cores: pin_cores?,
        event_loop: event_loop?,
        ring_memory_bytes: ring_memory_bytes?,
        memory_bytes_max: memory_bytes_max?,
        listen: listen?,
    })
}

/// Takes settings out of a file and notes what is wrong with them.
struct Checker<'a, 't> {
    raw: &'a RawConfig<'t>,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_, '_> {
    /// The value of a setting, or the default where the file has none; `None` where the value is wrong.
    fn read<T>(
        &mut self,
        key: Key,
        default: T,
        convert: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let Some(setting) = self.raw.get(key) else { return Some(default) };
        let complaint = match convert(setting.value) {
            Ok(value) => return Some(value),
            Err(_) if setting.value.is_empty() => Complaint::new(
                "no value",
                "write a value behind the colon, or remove the line for the default",
            ),
            Err(complaint) => complaint,
        };
        let value_start = setting.value_span.start;
        let span = match complaint.at {
            Some(at) => value_start + at.start..value_start + at.end,
            None => setting.value_span.clone(),
        };
        // The setting that the value disagrees with is shown if the file has it.
        let context =
            complaint.against.and_then(|(key, label)| Some((self.raw.get(key)?.value_span.clone(), label)));
        self.problems.push(Problem {
            title: format!("bad value for `{key}`"),
            span,
            label: complaint.label,
            context,
            help: complaint.help,
        });
        None
    }
}

/// What is wrong with a value.
struct Complaint {
    /// The bytes of the value that are wrong; `None` for all of them.
    at: Option<Range<usize>>,
    /// What they are.
    label: String,
    /// Another setting that makes them wrong, and what it says.
    against: Option<(Key, &'static str)>,
    /// What to write.
    help: String,
}

impl Complaint {
    fn new(label: impl Display, help: impl Into<String>) -> Self {
        Self { at: None, label: label.to_string(), against: None, help: help.into() }
    }

    fn at(self, at: Range<usize>) -> Self {
        Self { at: Some(at), ..self }
    }

    fn against(self, key: Key, label: &'static str) -> Self {
        Self { against: Some((key, label)), ..self }
    }
}

fn interval(value: &str) -> Result<u64, Complaint> {
    seconds(value, &INTERVAL_S)
}

fn seconds(value: &str, range: &RangeInclusive<u64>) -> Result<u64, Complaint> {
    units::whole(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (range.start(), range.end());
        Complaint::new(error, format!("write whole seconds from {min} to {max} (30 days), without a unit"))
    })
}

/// A number of things, of which `off` does without.
fn count(value: &str, range: &RangeInclusive<u32>, off: Key) -> Result<u32, Complaint> {
    units::whole(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (range.start(), range.end());
        let help = format!("write a whole number from {min} to {max}; `{off}: false` turns this check off");
        Complaint::new(error, help)
    })
}

fn bytes(value: &str, range: &RangeInclusive<u64>) -> Result<u64, Complaint> {
    units::bytes(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (Bytes(*range.start()), Bytes(*range.end()));
        let help = format!(
            "write bytes from {min} to {max}, such as 500000, 5M or 1.5G; K, M and G are powers of 1000"
        );
        Complaint::new(error, help)
    })
}

fn loss_limit(value: &str) -> Result<Option<u32>, Complaint> {
    if value == "off" {
        return Ok(None);
    }
    units::percent(value).and_then(|ppm| within(ppm, &LOSS_PPM)).map(Some).map_err(|error| {
        let (min, max) = (Share(*LOSS_PPM.start()), Share(*LOSS_PPM.end()));
        Complaint::new(error, format!("write `off`, or a percentage from {min} to {max} such as 0.1%"))
    })
}

fn word<T: Word>(value: &str) -> Result<T, Complaint> {
    T::read(value).ok_or_else(|| Complaint::new("not one of its values", format!("write {}", T::choices())))
}

/// The items of a list; `form` says how one is written.
fn items<'v>(value: &'v str, form: &str) -> Result<Vec<Item<'v>>, Complaint> {
    units::list(value).map_err(|error| Complaint::new(error.what, form).at(error.span))
}

fn interfaces(value: &str) -> Result<Vec<String>, Complaint> {
    let form = "write interface names with commas between them, such as \"lo\",\"dummy0\", or nothing";
    let mut names: Vec<String> = Vec::new();
    for Item { text, span } in items(value, form)? {
        if let Some(label) = why_no_interface(text) {
            return Err(Complaint::new(label, form).at(span));
        }
        if !names.iter().any(|name| name == text) {
            names.push(text.to_owned());
        }
    }
    Ok(names)
}

/// Why the kernel would refuse this name (`dev_valid_name` of net/core/dev.c). Its rules are about bytes and
/// ours about characters, so a name with exotic white space cannot be excluded.
fn why_no_interface(name: &str) -> Option<String> {
    if name.len() > INTERFACE_NAME_BYTES_MAX {
        return Some(format!("an interface name has at most {INTERFACE_NAME_BYTES_MAX} bytes"));
    }
    if matches!(name, "." | "..")
        || name.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control())
    {
        return Some("no interface can have this name".to_owned());
    }
    None
}

fn workers(value: &str, machine: &Machine) -> Result<Workers, Complaint> {
    if value == "auto" {
        return Ok(Workers::Auto { here: machine.workers() });
    }
    units::whole(value).and_then(|number| within(number, &WORKERS)).map(Workers::Count).map_err(|error| {
        let (min, max) = WORKERS.into_inner();
        Complaint::new(error, format!("write `auto` or a whole number from {min} to {max}"))
    })
}

fn pin_cores(value: &str, worker_count: Option<usize>, machine: &Machine) -> Result<PinCores, Complaint> {
    let here = machine.cores.len();
    match (value, worker_count) {
        ("none", _) => Ok(PinCores::None),
        ("auto", Some(workers)) if workers > here => {
            let label = format!("{} here", counted(here, "usable CPU"));
            let help = format!("{workers} workers need a CPU each: write `none`, or `Workers: {here}`");
            Err(Complaint::new(label, help).against(Key::Workers, "more workers than that"))
        }
        ("auto", _) => Ok(PinCores::Auto),
        _ => {
            let cores = core_list(value, machine)?;
            let listed = cores.len();
            match worker_count {
                Some(workers) if workers != listed => {
                    let help =
                        format!("each worker needs one CPU: list {workers}, or write `Workers: {listed}`");
                    let complaint = Complaint::new(counted(listed, "CPU"), help);
                    Err(complaint.against(Key::Workers, "another number of workers"))
                }
                _ => Ok(PinCores::List(cores)),
            }
        }
    }
}

/// At least one CPU, each once, all of them usable here.
fn core_list(value: &str, machine: &Machine) -> Result<Vec<usize>, Complaint> {
    let usable = ranges(&machine.cores);
    let form = format!("write `none`, `auto` or CPU numbers with commas between them; usable here: {usable}");
    let mut cores = Vec::new();
    for Item { text, span } in items(value, &form)? {
        let complain = |label: &dyn Display| Complaint::new(label, &*form).at(span.clone());
        let core = match units::whole(text) {
            Ok(number) => usize::try_from(number).map_err(|_| complain(&"no such CPU"))?,
            Err(NumberError::TooLarge) => return Err(complain(&"no such CPU")),
            Err(error) => return Err(complain(&error)),
        };
        if !machine.cores.contains(&core) {
            return Err(complain(&"this process may not run there"));
        }
        if cores.contains(&core) {
            return Err(complain(&"listed twice"));
        }
        cores.push(core);
    }
    if cores.is_empty() { Err(Complaint::new("no CPU", form)) } else { Ok(cores) }
}

fn ring_memory(value: &str, worker_count: Option<usize>) -> Result<u64, Complaint> {
    let bytes = bytes(value, &RING_MEMORY_BYTES)?;
    let Some(workers) = worker_count else { return Ok(bytes) };
    // There are at most 256 workers.
    let needed = RING_BYTES_MIN.saturating_mul(workers as u64);
    if bytes >= needed {
        return Ok(bytes);
    }
    let label = format!("too little for {}", counted(workers, "worker"));
    let help = format!(
        "each ring needs {}: write at least {}, or fewer `Workers`",
        Bytes(RING_BYTES_MIN),
        Bytes(needed)
    );
    Err(Complaint::new(label, help).against(Key::Workers, "one ring for each of them"))
}

fn listen_address(value: &str) -> Result<SocketAddr, Complaint> {
    let form = "write an address and a port: 127.0.0.1:8698 or [::1]:8698";
    let address: SocketAddr = value.parse().map_err(|_| {
        // What is missing can be told from what is there.
        let label = match (value.parse::<IpAddr>(), value.rsplit_once(':')) {
            (Ok(_), _) => "no port",
            (_, Some((ip, _))) if ip.parse::<Ipv6Addr>().is_ok() => "IPv6 needs brackets",
            (_, Some(("localhost", _))) => "a name, not an address",
            _ => "not an address and a port",
        };
        Complaint::new(label, form)
    })?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    let help = "until the API can ask for a token it serves this machine only: write 127.0.0.1 or [::1], and \
                reach it from elsewhere through ssh -L or a proxy that asks who it is";
    Err(Complaint::new("not a loopback address", help))
}

fn counted(number: usize, what: impl Display) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Ascending numbers the way the kernel writes CPU lists: `0-3,8`.
fn ranges(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|left, right| left + 1 == *right);
    let written = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [only] => only.to_string(),
        [] => String::new(),
    });
    written.collect::<Vec<_>>().join(",")
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
            "Workers: 256",
            "Workers: auto\nPinCores: auto",
            "Workers: 1\nPinCores: 3",
            "PinCores: 2, 3",
            "PinCores: \"3\",\"2\"",
            "Workers: 8\nPinCores: none\nRingMemory: 1049K",
            "RingMemory: 4G",
            "MemoryLimit: 32M",
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
            ("ScanEvidence: »suspicious«", "not one of its values", "`contacts`, the only value so far"),
            ("Direction: »out«", "not one of its values", "`auto`, `in`, `in+own` or `both`"),
            ("WireExact: »on«", "not one of its values", "`auto` or `off`"),
            ("LossLimit: »0.1«", "no percent sign", "`off`, or a percentage from 0.0001% to 100%"),
            ("LossLimit: »0%«", "too small", "0.1%"),
            ("LossLimit: »101%«", "too large", "100%"),
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

    #[test]
    fn cores_are_written_as_the_kernel_writes_them() {
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(ranges(&[1, 3, 4]), "1,3-4");
    }
}
