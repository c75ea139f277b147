//! `check` and the start say the same of a configuration and of the files and folders that it names: the same verdict,
//! the same errors, and the same settings that cannot be used.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::host::Host;
use crate::support::namespaces::{inside_unprivileged, inside_with_users};
use crate::support::program::{BINARY, Ended, Program, Signal};

const TOKEN: &str = "verdict-token-0123456789-abcdefghijk\n";
/// A user that the machine does not have, and that is neither root nor the program's.
const OTHER_USER: u32 = 4321;

/// What is wrong, the configuration with `HERE` for the folder, and words of each error that stops the start, or of the
/// label of each setting that cannot be used.
type Case = (&'static str, &'static str, &'static [&'static str]);

const REFUSED: &[Case] = &[
    ("a token that others can read", "ApiTokenFile: HERE/token-0644", &["mode 0644", "chmod 600 "]),
    ("no file of a token", "ApiTokenFile: HERE/none", &["No such file", "TrafficAlerted token --file"]),
    ("a weak token", "ApiTokenFile: HERE/weak", &["different characters"]),
    ("a link to a token", "ApiTokenFile: HERE/token-link", &["symbolic link"]),
    ("a pipe for a token", "ApiTokenFile: HERE/pipe", &["not a regular file"]),
    ("a folder for a token", "ApiTokenFile: HERE", &["not a regular file"]),
    ("a device for a token", "ApiTokenFile: /dev/zero", &["not a regular file"]),
    ("a file for a socket", "ApiSocket: HERE/text", &["is there already and is no socket"]),
    ("no folder for a socket", "ApiSocket: HERE/none/none/api.sock", &["make the folder above it"]),
    ("a socket for everybody", "ApiSocket: HERE/open/api.sock", &["that others can write to"]),
    (
        "an address of another machine",
        "ListenAddress: 192.0.2.7:8698\nApiTokenFile: HERE/token",
        &["this machine does not have that address"],
    ),
    ("a file for the state", "StateDirectory: HERE/text", &["is not a folder"]),
    ("a state for everybody", "StateDirectory: HERE/open", &["every user may write to"]),
    ("a link in the state", "StateDirectory: HERE/linked", &["is a symbolic link, and none is followed"]),
    ("a pipe in the state", "StateDirectory: HERE/piped", &["is not a regular file"]),
    ("a state of a later version", "StateDirectory: HERE/later", &["by a later version of this program"]),
    (
        "two at once",
        "ApiTokenFile: HERE/none\nStateDirectory: HERE/open",
        &["No such file", "every user may write to"],
    ),
    ("a value", "ByteLimit: many", &["bad value for `ByteLimit`"]),
    ("a user", "User: no-such-user-x", &["no such user", "useradd"]),
];

const WARNED: &[Case] = &[
    ("nothing", "", &[]),
    ("a mapped loopback address", "ListenAddress: [::ffff:127.0.0.1]:8698", &[]),
    ("a good token", "ApiTokenFile: HERE/token", &[]),
    ("a new state", "StateDirectory: HERE/new-state", &[]),
    ("a pipe for alerts", "AlertFile: HERE/pipe", &["AlertFile: not a regular file"]),
    ("a device for alerts", "AlertFile: HERE/full", &["AlertFile: not a regular file"]),
    ("a folder for alerts", "AlertFile: HERE", &["AlertFile: a folder, not a file"]),
    ("a text for alerts", "AlertFile: HERE/text", &["AlertFile: something else than alerts is in it"]),
    ("no folder for alerts", "AlertFile: HERE/none/alerts.jsonl", &["AlertFile: no such folder"]),
    ("an empty token", "WebhookURL: http://h/\nWebhookTokenFile: HERE/empty", &["WebhookTokenFile: empty"]),
    ("no token", "WebhookURL: http://h/\nWebhookTokenFile: HERE/none", &["WebhookTokenFile: no such file"]),
    (
        "a webhook's token for everybody",
        "WebhookURL: http://h/\nWebhookTokenFile: HERE/token-0644",
        &["WebhookTokenFile: others can read this file"],
    ),
    (
        "no address",
        "WebhookURL: HERE/token",
        &["WebhookURL: the address in it is neither http:// nor https://"],
    ),
    ("a text for a collector", "Syslog: unix:HERE/text", &["Syslog: not a socket"]),
    ("no program", "AlertCommand: HERE/none", &["AlertCommand: no such file"]),
];

/// What root alone can make, and what it says about the user that the program becomes.
const REFUSED_FOR_USER: &[Case] = &[(
    "a token of another user",
    "ApiTokenFile: HERE/token-other",
    &["it belongs to uid 4321", "chown root "],
)];

const WARNED_FOR_USER: &[Case] = &[
    ("what the start gives away", "AlertFile: HERE/new-alerts/alerts.jsonl", &[]),
    (
        "a full file that cannot be put aside",
        "AlertFile: HERE/closed/alerts.jsonl",
        &["AlertFile: not writable for this user, so a full file cannot be put aside"],
    ),
    (
        "a lock that cannot be made",
        "AlertFile: HERE/locked/alerts.jsonl",
        &["AlertFile: not writable for this user"],
    ),
    (
        "alerts of another user",
        "AlertFile: HERE/other/alerts.jsonl",
        &["AlertFile: not writable for this user"],
    ),
];

#[test]
fn check_and_start_say_the_same_to_root() {
    inside_with_users(|| {
        let folder = Folder::make();
        let at = |name: &str| folder.0.path().join(name);
        fs::write(at("token-other"), TOKEN).expect("it is ours");
        fs::set_permissions(at("token-other"), Permissions::from_mode(0o600)).expect("it is ours");
        chown(at("token-other"), Some(OTHER_USER), None).expect("there are other users");
        for name in ["new-alerts", "closed", "locked", "other"] {
            fs::create_dir(at(name)).expect("it is ours");
        }
        // A file that is not the program's keeps root's folder from being given away.
        for name in [
            "closed/alerts.jsonl",
            "closed/alerts.jsonl.lock",
            "closed/kept",
            "locked/alerts.jsonl",
            "locked/kept",
        ] {
            fs::write(at(name), "").expect("it is ours");
        }
        fs::write(at("other/alerts.jsonl"), "").expect("it is ours");
        chown(at("other/alerts.jsonl"), Some(OTHER_USER), None).expect("there are other users");
        compare(&folder, &[REFUSED, REFUSED_FOR_USER].concat(), &[WARNED, WARNED_FOR_USER].concat());
    });
}

#[test]
fn check_and_start_say_the_same_to_a_user() {
    inside_unprivileged(|| compare(&Folder::make(), REFUSED, WARNED));
}

/// Once the program has run, its files are its user's, and root without capabilities has no right to them.
#[test]
fn test_alert_of_root_has_the_rights_of_the_program() {
    inside_with_users(|| {
        let folder = Folder::make();
        fs::create_dir(folder.0.path().join("alerts")).expect("it is ours");
        let config = folder
            .whole("AlertFile: HERE/alerts/alerts.jsonl\nAlertCommand: /bin/sh -c \"test $(id -u) -ne 0\"");
        let host = Host::new();
        let ended = Program::start(&host, &config).stop(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{}", ended.text());
        fs::write(folder.0.path().join("lab.conf"), config).expect("it is ours");
        let mut command = Command::new(BINARY);
        command.args(["test-alert", "lab.conf"]).current_dir(folder.0.path());
        let output = host.on(|| command.output().expect("the binary starts"));
        let printed = String::from_utf8_lossy(&output.stdout);
        for sink in ["AlertFile", "AlertCommand"] {
            assert!(printed.contains(&format!("{sink}: delivered in ")), "{printed}");
        }
        assert!(output.status.success(), "{output:?}");
    });
}

fn compare(folder: &Folder, refused: &[Case], warned: &[Case]) {
    let host = Host::new();
    for (what, config, expected) in refused {
        let config = folder.whole(config);
        let (code, check) = folder.check(&host, &config);
        let start = Program::fail(Command::new(BINARY), &host, &config);
        assert_eq!(Some(code), start.code, "{what}:\n{check}\n{}", start.text());
        assert_ne!(code, 0, "{what}");
        let errors = of_errors(&check);
        assert_eq!(errors, of_errors(&start.text()), "{what}");
        for part in *expected {
            assert!(errors.contains(part), "{what}: no {part:?} in\n{check}");
        }
    }
    for (what, config, expected) in warned {
        let config = folder.whole(config);
        let (code, check) = folder.check(&host, &config);
        let start: Ended = Program::start(&host, &config).stop(Signal::SIGTERM);
        assert_eq!((code, start.code), (0, Some(0)), "{what}:\n{check}\n{}", start.text());
        let expected: BTreeSet<String> = expected.iter().map(|&label| label.to_owned()).collect();
        assert_eq!(of_settings(&check), expected, "{what}:\n{check}");
        assert_eq!(of_settings(&start.text()), expected, "{what}:\n{}", start.text());
    }
}

/// Returns the lines from the first error on, without the prefix of a log.
fn of_errors(text: &str) -> String {
    text.find("error: ").map_or_else(String::new, |at| text[at..].trim_end().to_owned())
}

/// Returns the settings that a report underlines, or that a line of the log names with a path, each with its label.
fn of_settings(text: &str) -> BTreeSet<String> {
    let mut settings = BTreeSet::new();
    let mut key = None;
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("warning: `") {
            key = rest.split_once('`').map(|(key, _)| key.to_owned());
        } else if let (Some((_, label)), Some(named)) = (line.split_once("^ "), &key) {
            settings.insert(format!("{named}: {label}"));
            key = None;
        } else if let Some((named, rest)) = of_log(line) {
            let label = rest.split(": ").nth(2).unwrap_or_default();
            settings.insert(format!("{named}: {label}"));
        }
    }
    settings
}

/// Splits a line of the log such as "warning: lab.conf:1: `AlertFile` cannot be used now: /path: label: help".
fn of_log(line: &str) -> Option<(&str, &str)> {
    let (_, place) = line.split_once("warning: lab.conf:")?;
    place.split_once(": `")?.1.split_once('`').filter(|(_, rest)| rest.contains(": /"))
}

/// A folder with what is wrong.
struct Folder(tempfile::TempDir);

impl Folder {
    fn make() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let at = |name: &str| folder.path().join(name);
        let save = |name: &str, text: &[u8], mode| {
            fs::write(at(name), text).expect("it is ours");
            fs::set_permissions(at(name), Permissions::from_mode(mode)).expect("it is ours");
        };
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("it is ours");
        for (name, text, mode) in [
            ("token", TOKEN, 0o600),
            ("token-0644", TOKEN, 0o644),
            ("weak", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 0o600),
            ("empty", "", 0o600),
            ("text", "a text\n", 0o644),
        ] {
            save(name, text.as_bytes(), mode);
        }
        symlink(at("token"), at("token-link")).expect("it is ours");
        symlink("/dev/full", at("full")).expect("it is ours");
        mkfifo(&at("pipe"), Mode::S_IRWXU).expect("it is ours");
        for name in ["open", "linked", "piped", "later"] {
            fs::create_dir(at(name)).expect("it is ours");
        }
        fs::set_permissions(at("open"), Permissions::from_mode(0o777)).expect("it is ours");
        symlink(at("text"), at("linked/state.db")).expect("it is ours");
        mkfifo(&at("piped/state.db-journal"), Mode::S_IRWXU).expect("it is ours");
        save("later/state.db", &later_database(), 0o600);
        Self(folder)
    }

    /// Returns the configuration with the path of this folder, and without a socket unless it names one.
    fn whole(&self, config: &str) -> String {
        let config = config.replace("HERE", &self.0.path().display().to_string());
        if config.contains("ApiSocket:") { config } else { format!("{config}\nApiSocket: off\n") }
    }

    /// Runs `check`. Returns its exit code and what it writes to standard error.
    fn check(&self, host: &Host, config: &str) -> (i32, String) {
        let path: &Path = self.0.path();
        fs::write(path.join("lab.conf"), config).expect("it is ours");
        let mut command = Command::new(BINARY);
        command.args(["check", "lab.conf"]).current_dir(path);
        let output = host.on(|| command.output().expect("the binary starts"));
        let code = output.status.code().unwrap_or_else(|| panic!("{:?}", output.status));
        (code, String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Returns an empty database whose marks say that a later version of this program has made it.
fn later_database() -> Vec<u8> {
    // "The Database File Format" (sqlite.org/fileformat2.html): one page of 4096 bytes, an empty table of the schema.
    let mut page = vec![0; 4096];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[16..18].copy_from_slice(&4096_u16.to_be_bytes());
    page[18..24].copy_from_slice(&[1, 1, 0, 64, 32, 32]);
    page[28..32].copy_from_slice(&1_u32.to_be_bytes());
    page[44..48].copy_from_slice(&4_u32.to_be_bytes());
    page[56..60].copy_from_slice(&1_u32.to_be_bytes());
    page[60..64].copy_from_slice(&99_u32.to_be_bytes());
    page[68..72].copy_from_slice(b"TrAl");
    page[100] = 13;
    page[105..107].copy_from_slice(&4096_u16.to_be_bytes());
    page
}
