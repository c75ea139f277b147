//! The command line and the configuration file, on the real binary: exit codes, messages, and their streams.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, RngAlgorithm, TestRng, TestRunner};
use tempfile::TempDir;
use traffic_alerted::config::Config;

/// The example of the original's README: its keys, values, order and indentation, with comments of the same
/// shapes.
const ORIGINAL: &str = r#"      # Configuration file for TrafficAlerted
      
      # General configuration
      # --------------------------------------------------
      
      # Seconds that "ByteLimit" is about
      TrafficInterval: 170
      # Bytes; suffixes "K","M" or "G"
      ByteLimit: 1G
      # (true/false)
      NoDestinations: false
      # The chart: begins here
      ChartMinBytes: 5M
      # Names, or nothing
      ExcludedInterfaces: "lo","dummy0"
      
      
      # Network and Port scanning detection
      # --------------------------------------------------
      # Contacted IPs
      ContactedIPsAnalyze: true
      # More than this within "TrafficInterval" is a scan.
      NumberContactedIPs: 15
      
      # Contacted ports (true/false)
      AnalyzePorts: false
      # Only with AnalyzePorts.
      # More than this within "PortInterval" is a scan.
      NumContactedPorts: 100
      # Only with "AnalyzePorts".
      PortInterval: 600"#;

/// A folder in which the binary runs, so that its messages name files and no paths.
struct Place(TempDir);

impl Place {
    fn with(name: &str, text: impl AsRef<[u8]>) -> Self {
        let place = Self(tempfile::tempdir().expect("a folder for the test"));
        fs::write(place.0.path().join(name), text).expect("the folder is writable");
        place
    }

    fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).env_remove("JOURNAL_STREAM");
        command
    }

    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Answer {
        Answer::of(self.command(args).output().expect("the binary starts"))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("messages are UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

#[test]
fn the_original_s_file_works_unmodified() {
    let answer = Place::with("original.conf", ORIGINAL).run(["check", "original.conf"]);
    assert_eq!(answer.code, Some(0));
    let advice = "
note: `ScanEvidence` is `contacts`, as in the original
  --> original.conf:23:7
   |
23 |       NumberContactedIPs: 15
   |       ^^^^^^^^^^^^^^^^^^ since the file sets this limit
   |
   = help: busy hosts exceed it too: write `ScanEvidence: suspicious` to report only hosts whose contacts look like a scan, or `ScanEvidence: contacts` to keep this
";
    assert_eq!(answer.stderr, advice);
    let expected = "\
TrafficInterval: 170
ByteLimit: 1G
NoDestinations: false
ChartMinBytes: 5M
ExcludedInterfaces: \"lo\",\"dummy0\"
ContactedIPsAnalyze: true
NumberContactedIPs: 15
AnalyzePorts: false
NumContactedPorts: 100
PortInterval: 600
# the default, since the file sets NumberContactedIPs
ScanEvidence: contacts
";
    assert!(answer.stdout.starts_with(expected), "{}", answer.stdout);
    // A file that says what it wants gets no advice.
    for rule in ["contacts", "suspicious"] {
        let text = format!("{ORIGINAL}\nScanEvidence: {rule}\n");
        let answer = Place::with("my.conf", text).run(["check", "my.conf"]);
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
        assert!(answer.stdout.contains(&format!("\nPortInterval: 600\nScanEvidence: {rule}\n")));
    }
}

#[test]
fn a_file_without_limits_of_contacts_looks_for_scans() {
    let answer = Place::with("my.conf", "ByteLimit: 5G\n").run(["check", "my.conf"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let expected = "
# the default; `false` takes less memory
AnalyzePorts: true
NumContactedPorts: 100
PortInterval: 600
# the default, since the file sets neither NumberContactedIPs nor NumContactedPorts
ScanEvidence: suspicious
";
    assert!(answer.stdout.contains(expected), "{}", answer.stdout);
}

#[test]
fn what_the_file_names_and_is_not_there_is_a_warning() {
    let text = "\
ByteLimit: 5G
AlertCommand: /no-such-folder/notify --to \"the operator\"
AlertFile: \"/no such folder/alerts.jsonl\" # for the SIEM
AsnDatabase: /no/asn.mmdb
";
    let answer = Place::with("my.conf", text).run(["check", "my.conf"]);
    let expected = "
warning: `AlertCommand` cannot be used now
 --> my.conf:2:15
  |
2 | AlertCommand: /no-such-folder/notify --to \"the operator\"
  |               ^^^^^^^^^^^^^^^^^^^^^^ no such file
  |
  = help: install the program, or correct the path; until then no alert is passed to it

warning: `AlertFile` cannot be used now
 --> my.conf:3:13
  |
3 | AlertFile: \"/no such folder/alerts.jsonl\" # for the SIEM
  |             ^^^^^^^^^^^^^^^ no such folder
  |
  = help: create it, or correct the path; until then alerts wait

warning: `AsnDatabase` cannot be used now
 --> my.conf:4:14
  |
4 | AsnDatabase: /no/asn.mmdb
  |              ^^^^^^^^^^^^ no such file
  |
  = help: put the file there and reload, or correct the path; until then alerts go without it
";
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), expected));
    assert!(answer.stdout.starts_with("TrafficInterval: 170\n"), "{}", answer.stdout);
}

#[test]
fn a_setting_that_has_no_effect_alone_is_a_note() {
    let text = "WebhookFormat: slack\nAlertFileKeep: 9\nReverseDNS: true\nSyslogFacility: daemon\n";
    let answer = Place::with("my.conf", text).run(["check", "my.conf"]);
    let expected = "
note: `WebhookFormat` has no effect
 --> my.conf:1:1
  |
1 | WebhookFormat: slack
  | ^^^^^^^^^^^^^ alone it does nothing
  |
  = help: set `WebhookURL` as well, or remove this line

note: `AlertFileKeep` has no effect
 --> my.conf:2:1
  |
2 | AlertFileKeep: 9
  | ^^^^^^^^^^^^^ alone it does nothing
  |
  = help: set `AlertFile` as well, or remove this line

note: `ReverseDNS` has no effect
 --> my.conf:3:1
  |
3 | ReverseDNS: true
  | ^^^^^^^^^^ alone it does nothing
  |
  = help: set `AlertFile` or `AlertCommand` or `WebhookURL` or `Syslog` as well, or remove this line
";
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), expected));
    let text = "WebhookURL: https://host/\nWebhookFormat: slack\nReverseDNS: true\nNotifyGrowth: true\n";
    let answer = Place::with("my.conf", text).run(["check", "my.conf"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    // Only chats are told of growth on request.
    for text in
        ["", "WebhookURL: https://host/\n", "WebhookURL: https://host/\nWebhookFormat: alertmanager\n"]
    {
        let answer = Place::with("my.conf", format!("{text}NotifyGrowth: true\n")).run(["check", "my.conf"]);
        let line = 1 + text.lines().count();
        let expected = format!(
            "
note: `NotifyGrowth` has no effect
 --> my.conf:{line}:1
  |
{line} | NotifyGrowth: true
  | ^^^^^^^^^^^^ only chats need it
  |
  = help: set `WebhookURL` and a chat's `WebhookFormat`, or remove this line
"
        );
        assert_eq!((answer.code, answer.stderr), (Some(0), expected), "{text}");
    }
}

#[test]
fn what_would_match_nothing_is_refused_with_what_to_write() {
    let text = "\
IgnoredSources: 10.0.0.5, ::ffff:10.0.0.1
LimitFor: [fd00::1] ByteLimit 5G
LocalNetworks: 10.0.0.0/8; fd00::/8
AlertFile: “/var/log/alerts.jsonl”
ByteLimit: 1\u{a0}G
ListenAddress = 127.0.0.1:8698
";
    let expected = "\
error: bad value for `IgnoredSources`
 --> my.conf:1:27
  |
1 | IgnoredSources: 10.0.0.5, ::ffff:10.0.0.1
  |                           ^^^^^^^^^^^^^^^ an IPv4 address in the form of IPv6
  |
  = help: write 10.0.0.1: packets have the IPv4 address

error: bad value for `LimitFor`
 --> my.conf:2:11
  |
2 | LimitFor: [fd00::1] ByteLimit 5G
  |           ^^^^^^^^^ brackets do not belong here
  |
  = help: write fd00::1

error: bad value for `LocalNetworks`
 --> my.conf:3:26
  |
3 | LocalNetworks: 10.0.0.0/8; fd00::/8
  |                          ^ a semicolon
  |
  = help: write a comma between the items of a list

error: bad value for `AlertFile`
 --> my.conf:4:12
  |
4 | AlertFile: “/var/log/alerts.jsonl”
  |            ^ a typographic quotation mark
  |
  = help: write straight quotation marks (\"), or none

error: bad value for `ByteLimit`
 --> my.conf:5:13
  |
5 | ByteLimit: 1\u{a0}G
  |             ^ an invisible character (U+00A0, a no-break space)
  |
  = help: delete this line and type it anew: a web page or a word processor left the character there

error: missing colon
 --> my.conf:6:1
  |
6 | ListenAddress = 127.0.0.1:8698
  | ^^^^^^^^^^^^^^^^^^^^^^^^^ neither a setting nor a comment
  |
  = help: a setting is written `Key: value`; did you mean `ListenAddress: ...`?
";
    let answer = Place::with("my.conf", text).run(["check", "my.conf"]);
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(2), "", expected));
}

#[test]
fn check_lists_the_interfaces_of_this_machine_and_names_that_none_has() {
    let config = b"ExcludedInterfaces: lo, none-such*\nPromiscuous: none-too\n";
    let answer = Place::with("my.conf", config).run(["check", "my.conf"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let (_, section) =
        answer.stdout.split_once("\n# Interfaces of this machine").expect("it has the section");
    assert!(section.contains("\n# lo: not monitored: excluded by `lo`\n"), "{section}");
    for unmatched in ["`none-such*`, which is in ExcludedInterfaces", "`none-too`, which is in Promiscuous"] {
        assert!(
            section.contains(&format!("\n# warning: no interface here is named {unmatched};")),
            "{section}"
        );
    }
    assert!(section.lines().skip(1).all(|line| line.starts_with("# ")), "{section}");
}

#[test]
fn what_check_prints_is_a_configuration_that_checks_the_same() {
    let text =
        "ByteLimit: 1.5g # per interval\r\nNoDestinations: true\r\nExcludedInterfaces:\r\nWorkers: 3\r\n";
    let first = Place::with("first.conf", text).run(["check", "first.conf"]);
    assert_eq!((first.code, first.stderr.as_str()), (Some(0), ""));
    for line in ["ByteLimit: 1500M", "ContactedIPsAnalyze: false", "ExcludedInterfaces:", "Workers: 3"] {
        assert!(first.stdout.lines().any(|printed| printed == line), "{line:?} in {}", first.stdout);
    }
    let second = Place::with("second.conf", &first.stdout).run(["check", "second.conf"]);
    // What was a default of the first file is written in the second.
    let settings = |answer: &Answer| {
        let lines = answer.stdout.lines().filter(|line| !line.starts_with("# the default"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((second.code, second.stderr.as_str()), (Some(0), ""));
    assert_eq!(settings(&second), settings(&first));
}

#[test]
fn all_problems_of_a_file_are_shown_with_line_place_and_remedy() {
    let text = "      TrafficInterval: 0
      ByteLimt: 5T
Workers: 2
Workers: 3
ListenAddress: 0.0.0.0:8698
";
    let expected = "\
error: bad value for `TrafficInterval`
 --> my.conf:1:24
  |
1 |       TrafficInterval: 0
  |                        ^ too small
  |
  = help: write whole seconds from 1 to 2592000 (30 days), without a unit

error: unknown key
 --> my.conf:2:7
  |
2 |       ByteLimt: 5T
  |       ^^^^^^^^ no setting has this name
  |
  = help: did you mean `ByteLimit`?

error: `Workers` is set twice
 --> my.conf:4:1
  |
3 | Workers: 2
  | ------- first set here
4 | Workers: 3
  | ^^^^^^^ set again here
  |
  = help: keep one of the two lines

error: bad value for `ListenAddress`
 --> my.conf:5:16
  |
5 | ListenAddress: 0.0.0.0:8698
  |                ^^^^^^^^^^^^ not a loopback address
  |
  = help: without a token the API serves this machine only: write 127.0.0.1 or [::1] and reach it from elsewhere through ssh -L, or set `ApiTokenFile` (`TrafficAlerted token --file PATH` makes the file)
";
    let place = Place::with("my.conf", text);
    for args in [&["check", "my.conf"][..], &["my.conf"], &["replay", "--config", "my.conf", "none.pcap"]] {
        let answer = place.run(args);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert_eq!(answer.stderr, expected, "{args:?}");
    }
}

#[test]
fn a_hostile_file_is_quoted_without_its_control_characters() {
    let answer = Place::with("my.conf", b"Byte\x1b[31mLimit: 1\nByteLimit: \xff\n").run(["check", "my.conf"]);
    assert_eq!(answer.code, Some(2));
    assert!(answer.stderr.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", answer.stderr);
    for line in ["error: unknown key", " --> my.conf:1:1", "error: not UTF-8", " --> my.conf:2:12"] {
        assert!(answer.stderr.lines().any(|printed| printed == line), "{line:?} in {}", answer.stderr);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_bad_configuration() {
    let place = Place::with("my.conf", "");
    let answer = place.run(["check", "none.conf"]);
    let expected = "\
error: cannot read the configuration `none.conf`: No such file or directory (os error 2)
 |
 = help: every key has a default: an empty file there is enough
";
    assert_eq!(answer, Answer { code: Some(2), stdout: String::new(), stderr: expected.to_owned() });
    assert_eq!(place.run(["none.conf"]), answer);
}

#[test]
fn bad_usage_is_exit_code_2_and_says_how() {
    let place = Place::with("my.conf", "");
    let cases: [&[&str]; 7] = [
        &[],
        &["check"],
        &["replay"],
        &["replay", "--json", "-"],
        &["my.conf", "my.conf"],
        &["--jsno", "my.conf"],
        &["check", "my.conf", "my.conf"],
    ];
    for args in cases {
        let answer = place.run(args);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{args:?}");
        assert!(answer.stderr.contains("Usage: TrafficAlerted"), "{args:?}: {}", answer.stderr);
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let place = Place::with("my.conf", "");
    let version = place.run(["--version"]);
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    assert_eq!(version.stdout, concat!("TrafficAlerted ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = place.run(["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for word in ["<CONFIG>", "check", "replay", "Exit status: 0"] {
        assert!(help.stdout.contains(word), "{word:?} in {}", help.stdout);
    }
}

#[test]
fn check_ends_well_when_its_reader_is_gone_and_fails_when_the_disk_is_full() {
    let place = Place::with("my.conf", "");
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let gone = place.command(["check", "my.conf"]).stdout(writer).output().expect("the binary starts");
    assert_eq!((gone.status.code(), gone.stderr.as_slice()), (Some(0), &b""[..]));

    let full = File::options().write(true).open("/dev/full").expect("every Linux has it");
    let full = place.command(["check", "my.conf"]).stdout(full).output().expect("the binary starts");
    let stderr = String::from_utf8_lossy(&full.stderr);
    assert_eq!(
        (full.status.code(), stderr.as_ref()),
        (Some(1), "error: No space left on device (os error 28)\n")
    );
}

#[test]
fn the_journal_gets_levels_only_where_stderr_is_the_journal() {
    let place = Place::with("my.conf", "ByteLimit: 0\n");
    let mut stderr = File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(place.0.path().join("stderr"))
        .expect("the folder is writable");
    let stream = stderr.metadata().expect("an open file has metadata");
    let here = format!("{}:{}", stream.dev(), stream.ino());
    let elsewhere = format!("{}:{}", stream.dev(), stream.ino() + 1);
    for (variable, prefix) in [(here, "<3>"), (elsewhere, "")] {
        stderr.set_len(0).and_then(|()| stderr.rewind()).expect("an empty file");
        let mut command = place.command(["check", "my.conf"]);
        let clone = stderr.try_clone().expect("another descriptor");
        let status =
            command.env("JOURNAL_STREAM", &variable).stderr(clone).status().expect("the binary starts");
        assert_eq!(status.code(), Some(2));
        let mut written = String::new();
        stderr.rewind().and_then(|()| stderr.read_to_string(&mut written)).expect("it was written");
        let first_lines = format!("{prefix}error: bad value for `ByteLimit`\n{prefix} --> my.conf:1:12\n");
        assert!(written.starts_with(&first_lines), "JOURNAL_STREAM={variable}: {written}");
    }
}

#[test]
fn any_file_reads_back_the_same_or_is_reported() {
    let key = prop::sample::select(vec![
        "TrafficInterval",
        "ByteLimit",
        "NoDestinations",
        "ExcludedInterfaces",
        "NumContactedPorts",
        "Direction",
        "Workers",
        "PinCores",
        "RingMemory",
        "ListenAddress",
        "bytelimit",
        "Bytes",
        "#",
        "",
    ]);
    let colon = prop::sample::select(vec![": ", ":", " : ", " ", "=", ":\t", ""]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "1",
            "0",
            "170",
            "1G",
            "1.5G",
            "64M",
            "true",
            "false",
            "auto",
            "none",
            "in+own",
            "",
            "\"\"",
            "lo",
            "0,1",
            "\"lo\",rx0",
            "lo,",
            "\"",
            "[::1]:1",
            "127.0.0.1:1",
            "0.0.0.0:1",
            "\u{2028}",
            "é",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        "[0-9]{1,22}\\.?[0-9]{0,12}[KMGkmgT]?".prop_map(String::into_bytes),
        "(\"?[a-z0-9#,:/ ]{0,17}\"?,?){0,4}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let line_end = prop::sample::select(vec!["\n", "\r\n", " # comment\n", "\n\n", ""]);
    let line = (key, colon, value, line_end).prop_map(|(key, colon, value, line_end)| {
        [key.as_bytes(), colon.as_bytes(), &value, line_end.as_bytes()].concat()
    });
    let file = prop::collection::vec(line, 0..12).prop_map(|lines| lines.concat());

    let config = RunnerConfig { cases: 2_000, failure_persistence: None, ..RunnerConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut good = 0;
    let counted = std::cell::RefCell::new(&mut good);
    let result = runner.run(&file, |file| {
        **counted.borrow_mut() += u32::from(holds(&file));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(good >= 50, "only {good} of the files were configurations: the test has lost its point");
}

/// Returns true if the file is a configuration, and checks that what is in force reads back as the same. Otherwise
/// checks that there is a report.
fn holds(file: &[u8]) -> bool {
    match Config::parse("it", file) {
        Ok(config) => {
            let again = Config::parse("again", config.to_string());
            assert_eq!(again.unwrap_or_else(|error| panic!("{error}")), config);
            true
        }
        Err(error) => {
            assert!(error.to_string().starts_with("error: "), "{error}");
            false
        }
    }
}
