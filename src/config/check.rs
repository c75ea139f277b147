//! Parses all settings and checks them against each other.

use super::context::Context;
use super::file::{RawConfig, Setting};
use super::key::SettingKey;
use super::machine::Machine;
use super::problem::Problem;
use super::reader::Reader;
use super::values::{ParsedSettings, Settings};
use crate::detect::ScanRule;

/// Returns all settings, or `None` if one of them is invalid. Adds an entry to `problems` for each invalid value.
pub(super) fn check(raw: &RawConfig<'_>, machine: &Machine, problems: &mut Vec<Problem>) -> Option<Settings> {
    // Settings are parsed twice. The first pass finds the values that others are checked against. Its problems are
    // dropped: the second pass, which has these values, finds them again together with those of the checks.
    let context = Context::of(machine);
    let first = ParsedSettings::read(&mut Reader { raw, context: &context, problems: Vec::new() });
    let context = Context {
        machine: machine.clone(),
        worker_count: first.workers.map(|workers| workers.count(machine)),
        group_ipv6: first.group_ipv6.flatten(),
        port_analysis_is_off: first.judge_contacted_ports == Some(false),
        excluded_interfaces: first.excluded_interfaces.unwrap_or_default(),
        has_webhook_token: matches!(first.webhook_token, Some(Some(_))),
        has_api_token: matches!(first.api_token, Some(Some(_))),
        may_have_api_token: !matches!((&first.api_token, &first.api_token_file), (Some(None), Some(None))),
    };
    let mut reader = Reader { raw, context: &context, problems: Vec::new() };
    let parsed = ParsedSettings::read(&mut reader);
    problems.append(&mut reader.problems);
    let mut settings = parsed.complete()?;
    // A file of the original sets limits of contacts and has no `ScanEvidence`: it keeps its meaning.
    if raw.get(SettingKey::ScanEvidence).is_none() && contact_limit(raw).is_some() {
        settings.scan_rule = ScanRule::Contacts;
    }
    if raw.get(SettingKey::RingMemory).is_none() {
        let workers = settings.workers.count(machine);
        settings.ring_memory_bytes = machine.ring_memory_default(settings.ring_memory_bytes, workers);
    }
    // If destinations are hidden, no host is reported for contacting many of them.
    settings.judge_contacted_hosts &= !settings.hide_destinations;
    Some(settings)
}

/// Returns the first line of the file that sets a limit of contacts for all hosts, or `None` if there is none.
pub(super) fn contact_limit<'r, 't>(raw: &'r RawConfig<'t>) -> Option<&'r Setting<'t>> {
    raw.get(SettingKey::NumberContactedIPs).or_else(|| raw.get(SettingKey::NumContactedPorts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::Config;
    use crate::config::error::ConfigError;
    use crate::config::file::Text;
    use crate::config::machine::tests::two_cores;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse_on("test.conf", text.as_bytes(), &two_cores())
    }

    #[test]
    fn valid_values_are_accepted() {
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
            "ExcludedInterfaces: \"veth*\", br-*,eth?,*abcdefghijklmno",
            "ExcludedInterfaces: lo,span0\nPromiscuous: span*",
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
            "RingMemory: 128M",
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
            "AlertCommand: /a \"the operator’s „phone“ – now\" it's --a='b",
            "AlertFile: \"/Anna’s files/a.jsonl\"",
            "ByteLimit:\u{a0}1G\u{a0}",
            "LimitFor: 192.0.2.0/24 ByteLimit 1G\nLocalNetworks: 10.0.0.0/8",
            "ListenAddress: 127.8.9.10:1",
            "ListenAddress: [::1]:8698",
            "ListenAddress: [::ffff:127.0.0.1]:8698",
            "ListenAddress: 127.0.0.1:0",
            "ListenAddress: 0.0.0.0:8698\nApiTokenFile: /a",
            "ApiToken: 0123456789abcdef0123456789abcdef\nListenAddress: [fd00::1]:80",
            "ApiSocket: auto\nApiUsers:",
            "ApiSocket: off",
            "ApiSocket: /run/x/api.sock\nApiUsers: alice, 1000,@adm,alice",
        ];
        for text in files {
            if let Err(error) = parse(text) {
                panic!("{text:?}: {error}");
            }
        }
        let config = parse("ExcludedInterfaces: lo,wg0,lo").expect("the list is valid");
        assert_eq!(
            config.settings.excluded_interfaces,
            ["lo", "wg0"],
            "a name that is listed twice is kept once"
        );
    }

    #[test]
    fn a_bad_value_is_underlined_with_its_fault_and_a_remedy() {
        // The text between » and « must be underlined.
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
            ("IgnoredSources: »router«", "a name, not an address", "10.0.9.0/24"),
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
            (
                "AnalyzePorts: false\nLimitFor: 10.0.0.0/8 »NumContactedPorts 9«",
                "no ports are counted",
                "AnalyzePorts: true",
            ),
            ("LimitFor: 10.0.0.0/8 »PacketRateLimit many«", "not a number", "or `off`"),
            ("StateDirectory: »state«", "not an absolute path", "absolute path of a folder"),
            ("StateFile: »state.json«", "not an absolute path", "absolute path"),
            ("AlertCooldown: »2592001«", "too large", "from 0 to 2592000 (30 days)"),
            ("ByteLimit: »0«", "too small", "bytes from 1 to 1000000000G"),
            ("ByteLimit: »5T«", "unknown unit", "K, M and G are powers of 1000"),
            ("ByteLimit: »20000000000G«", "too large", "1000000000G"),
            ("ByteLimit: »1000000001G«", "too large", "1000000000G"),
            ("ByteLimit: »1.5«", "not a whole number of bytes", "K, M and G are powers of 1000"),
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
            ("ExcludedInterfaces: »eth0@if5«", "`@if5` is not part", "write `eth0`"),
            ("ExcludedInterfaces: lo,»eth[0-9]«", "brackets", "only `*` and `?`"),
            ("ExcludedInterfaces: »[lo, eth0]«", "brackets", "remove the brackets"),
            ("ExcludedInterfaces: »lo wan0«", "no interface can have this name", "write `lo,wan0`"),
            ("ExcludedInterfaces: »veth*abcdefghijkl«", "at most 15 bytes", "interface names"),
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
            ("ExcludedInterfaces: span*\nPromiscuous: »span0«", "`span0` is not monitored", "from `Ex"),
            ("Promiscuous: »lo«", "`lo` is not monitored", "remove `lo` here"),
            ("LocalNetworks: »all«", "a name, not an address", "`auto`"),
            ("LocalNetworks: 10.0.0.0/8, »fd00::1«", "no prefix length", "write fd00::1/128"),
            ("LocalNetworks: »10.0.0.1/8«", "bits are set behind", "write 10.0.0.0/8"),
            ("LocalNetworks: »10.0.0.0/33«", "at most 32 bits", "fd00::/8"),
            ("LocalNetworks: »0.0.0.0/0«", "everything is in it", "10.0.0.0/8"),
            ("LocalNetworks: »auto«,10.0.0.0/8", "it stands alone", "`auto`"),
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
            ("AlertFile: »alerts.jsonl«", "not an absolute path", "an absolute path"),
            ("AlertFile: »\"\"«", "not an absolute path", "an absolute path"),
            ("AlertFile: »/var/log/«", "a folder, not a file", "an absolute path"),
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
            (
                "ListenAddress: »192.0.2.1:8698«\nApiToken:\nApiTokenFile:",
                "not a loopback address",
                "token --file",
            ),
            ("ApiToken: »0123456789abcdef«", "shorter than 32", "TrafficAlerted token"),
            ("ApiToken: »\"0123456789abcdef0123456789abcdef\"«", "a character", "without quotes"),
            (
                "ApiToken: »00000000000000000000000000000000000«",
                "different characters",
                "TrafficAlerted token",
            ),
            (
                "ApiToken: 0123456789abcdef0123456789abcdef\nApiTokenFile: »/a«",
                "a second token",
                "keep one of the two",
            ),
            ("ApiTokenFile: »token«", "not an absolute path", "absolute path"),
            ("ApiSocket: »api.sock«", "not an absolute path", "`auto`, `off`"),
            ("ApiSocket: »/a/«", "a folder, not a file", "`auto`, `off`"),
            ("ApiUsers: alice,»b:c«", "neither a user nor a group", "@names of groups"),
            ("ListenAddress: »[127.0.0.1]:8698«", "IPv4 has no brackets", "127.0.0.1:8698"),
            ("ListenAddress: »[::1%1]:8698«", "with an interface", "[::1]:8698"),
            ("ListenAddress: »[::1%lo]:8698«", "with an interface", "[::1]:8698"),
            ("ListenAddress: »http://127.0.0.1:8698«", "a URL", "127.0.0.1:8698"),
            ("IgnoredSources: »::ffff:10.0.0.1«", "in the form of IPv6", "write 10.0.0.1: "),
            ("IgnoredSources: 10.0.0.5,»::ffff:10.0.9.0/120«", "in the form of IPv6", "write 10.0.9.0/24: "),
            ("LimitFor: »::ffff:10.0.0.2« ByteLimit 5G", "in the form of IPv6", "write 10.0.0.2: "),
            ("LocalNetworks: »::ffff:10.0.0.0/104«", "in the form of IPv6", "write 10.0.0.0/8: "),
            ("IgnoredSources: »fe80::1%eth0«", "with an interface", "write fe80::1, "),
            ("IgnoredSources: »224.0.0.0/4«", "multicast", "remove it"),
            ("LimitFor: »ff00::/8« ByteLimit 5G", "multicast", "remove it"),
            ("LocalNetworks: »239.0.0.0/8«", "multicast", "remove it"),
            ("IgnoredSources: 10.0.0.5»;« 10.0.0.6", "a semicolon", "a comma"),
            ("ExcludedInterfaces: lo»;«wan0", "a semicolon", "a comma"),
            ("Promiscuous: span0»;«span1", "a semicolon", "a comma"),
            ("LocalNetworks: 10.0.0.0/8»;«fd00::/8", "a semicolon", "a comma"),
            ("PinCores: 2»;«3", "a semicolon", "a comma"),
            ("LimitFor: 10.0.0.0/8 ByteLimit 1G»;« PacketRateLimit 1K", "a semicolon", "a comma"),
            ("ExcludedInterfaces: »[\"lo\", \"eth0\"]«", "a list has no brackets", "remove the brackets"),
            ("PinCores: »[2,3]«", "a list has no brackets", "remove the brackets"),
            ("IgnoredSources: »[fd00::1]«", "brackets do not belong here", "write fd00::1"),
            ("IgnoredSources: »[fd00::1]«, [fd00::2]", "brackets do not belong here", "write fd00::1"),
            ("ExcludedInterfaces: »'lo'«,eth0", "not a quotation mark", "straight double"),
            ("IgnoredSources: »`10.0.0.5`«", "not a quotation mark", "straight double"),
            ("ExcludedInterfaces: »“«lo”", "a typographic quotation mark", "straight"),
            ("ExcludedInterfaces: lo,»„«eth0“", "a typographic quotation mark", "straight"),
            ("AlertFile: »“«/var/log/a.jsonl”", "a typographic quotation mark", "straight"),
            ("AlertCommand: /bin/notify »>« /tmp/alerts", "a character of a shell", "write a script"),
            ("AlertCommand: /bin/notify »|« /usr/bin/mail root", "a character of a shell", "write a script"),
            ("AlertCommand: /bin/notify »&«", "a character of a shell", "write a script"),
            ("AlertCommand: /bin/notify »”«the operator”", "a typographic quotation mark", "straight"),
            ("AlertCommand: /bin/notify »'«the operator'", "not a quotation mark", "straight double"),
            ("AlertCommand: /bin/notify »—«to operator", "a typographic dash", "hyphen"),
            ("ByteLimit: 1»\u{a0}«G", "U+00A0, a no-break space", "anew"),
            ("ExcludedInterfaces: lo»\u{200b}«,wan0", "U+200B, a zero-width space", "anew"),
            ("IgnoredSources: »\u{feff}«10.0.0.5", "U+FEFF, a byte order mark", "anew"),
            ("LimitFor: 10.0.0.0/8»,« ByteLimit 1G", "nothing stands between", "10.0.5.0/24 ByteLimit 20G"),
            ("LimitFor: 10.0.0.0/8»,10.1.0.0/16« ByteLimit 1G", "a line of its own", "10.0.5.0/24"),
            ("LimitFor: 10.0.0.0/8 »ByteLimit: 1G«", "a space is enough", "10.0.5.0/24 ByteLimit 20G"),
            ("LimitFor: 10.0.0.0/8 »ByteLimit=1G«", "a space is enough", "10.0.5.0/24 ByteLimit 20G"),
            ("WebhookURL: »\"https://host/path\"«", "no quotes", "https://host/path"),
            ("WebhookToken: »\"abc\"«", "a quotation mark", "without quotes"),
        ];
        for (marked, label, help) in cases {
            let start = marked.find('»').expect("a mark");
            let text = marked.replace(['»', '«'], "");
            let end = start + (marked.find('«').expect("a mark") - start - '»'.len_utf8());
            let source = Text::decode(text.as_bytes());
            let mut problems = Vec::new();
            let raw = RawConfig::read(&source, Settings::may_repeat, &mut problems);
            assert_eq!(check(&raw, &two_cores(), &mut problems), None, "{text:?}");
            let [problem] = problems.as_slice() else { panic!("{text:?}: {problems:?}") };
            assert_eq!(problem.span, start..end, "{text:?}");
            assert!(problem.label.contains(label), "{text:?}: {}", problem.label);
            assert!(problem.help.contains(help), "{text:?}: {}", problem.help);
        }
    }

    #[test]
    fn a_file_with_limits_of_the_original_keeps_their_meaning() {
        let cases = [
            ("", ScanRule::Suspicious, true),
            ("ByteLimit: 5G", ScanRule::Suspicious, true),
            ("ContactedIPsAnalyze: true\nPortInterval: 60", ScanRule::Suspicious, true),
            ("LimitFor: 10.0.0.0/8 NumberContactedIPs 5", ScanRule::Suspicious, true),
            ("NumberContactedIPs: 15", ScanRule::Contacts, true),
            ("NumContactedPorts: 100", ScanRule::Contacts, true),
            ("NumContactedPorts: 100\nAnalyzePorts: false", ScanRule::Contacts, false),
            ("AnalyzePorts: false", ScanRule::Suspicious, false),
            ("NumberContactedIPs: 15\nScanEvidence: suspicious", ScanRule::Suspicious, true),
            ("ScanEvidence: contacts", ScanRule::Contacts, true),
        ];
        for (text, rule, judges_ports) in cases {
            let settings = parse(text).unwrap_or_else(|error| panic!("{error}")).settings;
            assert_eq!(
                (settings.scan_rule, settings.judge_contacted_ports),
                (rule, judges_ports),
                "{text:?}"
            );
        }
        assert_eq!(parse("").expect("an empty file"), Config::defaults(two_cores()));
    }

    #[test]
    fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
        let text = "MemoryLimit: 1K\nByteLimits: 1G\nTrafficInterval: 0\n\nWorkers\nWorkers: 2\nWorkers: 3\n";
        let Err(ConfigError::Wrong(problems)) = parse(text) else { panic!("the text has problems") };
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
    fn settings_that_depend_on_an_invalid_worker_count_are_not_errors_too() {
        let Err(error) = parse("Workers: 0\nPinCores: 2,3\nRingMemory: 1M\n") else {
            panic!("the text has problems")
        };
        assert_eq!(error.to_string().matches("error: ").count(), 1, "{error}");
    }
}
