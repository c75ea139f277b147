//! Generates the reference of all settings, `docs/configuration.md`, from the table of settings.
//!
//! A test here compares the generated text with the file, and writes the file if `UPDATE_DOCS` is set.

use std::path::Path;
use std::{env, fs};

use super::checked::Config;
use super::key::{Group, Reload, RestartReason, SettingKey};
use super::machine::tests::two_cores;
use super::values::Settings;

/// Returns the text of `docs/configuration.md`.
fn reference() -> String {
    let mut page = String::from(REFERENCE_HEAD);
    let groups: Vec<&[SettingKey]> =
        SettingKey::ALL.chunk_by(|left, right| left.group() == right.group()).collect();
    row(&mut page, "\n| key | default | a change takes |\n| --- | --- | --- |");
    for keys in &groups {
        contents(&mut page, keys);
    }
    for keys in groups {
        let (title, introduction) = heading(keys[0].group());
        row(&mut page, &format!("\n## {title}"));
        if !introduction.is_empty() {
            page.push('\n');
            wrap(&mut page, "", introduction);
        }
        keys.iter().for_each(|&key| entry(&mut page, key));
    }
    page
}

/// Adds the rows of a group to the table of contents: its heading and its keys.
fn contents(page: &mut String, keys: &[SettingKey]) {
    let (title, _) = heading(keys[0].group());
    row(page, &format!("| **[{title}](#{})** | | |", anchor(title)));
    for &key in keys {
        let takes = match key.reload() {
            Reload::Live if beyond_the_start(key).is_some() => "a reload; see there",
            Reload::Live => "a reload",
            Reload::Restart(_) => "a restart",
        };
        row(page, &format!("| [`{key}`](#{}) | {} | {takes} |", anchor(key.name()), default_cell(key)));
    }
}

/// Adds the description of a key.
fn entry(page: &mut String, key: SettingKey) {
    row(page, &format!("\n### {key}\n"));
    wrap(page, "", &key.meaning());
    row(page, &format!("\n    {key}: {}\n", key.example()));
    wrap(page, "* ", &format!("Write {}.", Settings::form(key).trim_end_matches('.')));
    wrap(page, "* ", &format!("Default: {}.", default_cell(key)));
    let change = match key.reload() {
        Reload::Live => "is in force after a reload",
        Reload::Restart(RestartReason::Windows) => "takes a restart, since windows are made at the start",
        Reload::Restart(RestartReason::Capturing) => {
            "takes a restart, since threads, rings and tables are made at the start"
        }
        Reload::Restart(RestartReason::Logging) => "takes a restart, since the log is opened at the start",
        Reload::Restart(RestartReason::FileOrSocket) => "takes a restart, since it is opened at the start",
        Reload::Restart(RestartReason::Privileges) => "takes a restart, since root is given up at the start",
        Reload::Restart(RestartReason::Helper) => {
            "takes a restart, since a helper process that runs it is told so at the start only"
        }
    };
    let limit = beyond_the_start(key).map(|what| {
        format!(
            ", except that {what} than at the start takes a restart: the sandbox allows no other until then"
        )
    });
    wrap(page, "* ", &format!("A change {change}{}.", limit.unwrap_or_default()));
    if let Some(more) = key.more() {
        row(page, &format!("* More: [{more}]({}#{})", page_of(more), anchor(more)));
    }
}

/// Returns what a running program may not reach, if a new value of the setting may need it (`Config::beyond`).
fn beyond_the_start(key: SettingKey) -> Option<&'static str> {
    match key {
        SettingKey::WebhookURL => Some("another port, or a file in another folder"),
        SettingKey::Syslog => Some("another TCP port"),
        SettingKey::AlertFile => Some("another folder"),
        SettingKey::CountryDatabase
        | SettingKey::AsnDatabase
        | SettingKey::WebhookTokenFile
        | SettingKey::ApiTokenFile => Some("another file"),
        _ => None,
    }
}

/// Returns the heading of a group, and a text about all of its settings, which may be empty.
fn heading(group: Group) -> (&'static str, &'static str) {
    match group {
        Group::General => ("General configuration", ""),
        Group::Scanning => ("Network and port scanning detection", ""),
        Group::FurtherLimits => ("Further limits, and the hosts that they apply to", ""),
        Group::Alerts => ("Alerts", ""),
        Group::Capture => ("Capture", ""),
        Group::Process => ("Process", ""),
        Group::Log => ("Log", ""),
        Group::Sinks => (
            "Where alerts go besides the log",
            "Each of these is used if it is set. `TrafficAlerted test-alert FILE` sends a sample to all of them.",
        ),
        Group::Http => ("Dashboard and API", ""),
    }
}

/// Returns the default of a setting as a cell of a table.
fn default_cell(key: SettingKey) -> String {
    match Settings::defaults().lines(key).concat().as_str() {
        "" => "nothing".to_owned(),
        value => format!("`{value}`"),
    }
}

/// Returns the file name of the page in `docs/` that has the heading; this page is not searched.
fn page_of(heading: &str) -> String {
    let is_heading = |line: &str| line.starts_with('#') && line.trim_start_matches('#').trim() == heading;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let pages: Vec<String> = fs::read_dir(folder)
        .and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()
        })
        .unwrap_or_else(|error| panic!("docs: {error}"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .filter(|path| fs::read_to_string(path).is_ok_and(|text| text.lines().any(is_heading)))
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| name != "configuration.md")
        .collect();
    match &pages[..] {
        [page] => page.clone(),
        _ => panic!(
            "{heading:?}, which a row of the table names, is a heading of {pages:?} and not of one page"
        ),
    }
}

/// Returns the URL fragment that GitHub and mdBook generate for a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

/// Adds a line.
fn row(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

/// Adds a text in lines of at most [`COLUMNS_MAX`]. Each line begins with `start`; if that is the mark of a list item,
/// the further lines begin with spaces instead.
fn wrap(page: &mut String, start: &str, text: &str) {
    let further = if start == "* " { "  " } else { start };
    let mut line = start.to_owned();
    for word in text.split(' ') {
        let is_first = line.trim_end() == start.trim_end() || line == further;
        if !is_first && line.chars().count() + 1 + word.chars().count() > COLUMNS_MAX {
            row(page, &line);
            line = further.to_owned();
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(word);
    }
    row(page, &line);
}

/// Maximum number of columns of a line.
const COLUMNS_MAX: usize = 120;

const REFERENCE_HEAD: &str = "\
<!-- Made of src/config/settings.rs by `UPDATE_DOCS=1 cargo test --lib config::reference`: edit that file instead. -->

# Configuration

Every setting has a default, so an empty file is enough. `TrafficAlerted.conf` is a start of some twenty lines; this
page has all settings.

    # A comment.
    ByteLimit: 1.5G                      # bytes and rates take K, M or G, powers of 1000
    ExcludedInterfaces: lo, \"wg0\"        # a list has commas; quotation marks may be left out
    LimitFor: 10.0.5.0/24 ByteLimit 20G
    LimitFor: 10.0.6.0/24 ByteLimit 9G   # the only key that may be there more than once

After a change, these tell what it does:

    TrafficAlerted check /etc/TrafficAlerted/TrafficAlerted.conf        # what is in force; what looks wrong
    TrafficAlerted test-alert /etc/TrafficAlerted/TrafficAlerted.conf   # sends a sample to where alerts go
    systemctl reload TrafficAlerted                                     # or SIGHUP: reads the file again

The log names the settings that have changed and take a restart. A new value that contradicts one of them, such as a
network in `IgnoredSources` that is smaller than a host of `GroupIPv6`, waits for the restart too and is named as well.

## What is refused

A file with an error is refused as a whole: `check` and the start end with exit code 2, and a reload changes nothing.
Each error shows the line and what to write. These are errors:

* unknown keys, a key that is there twice, and values out of range;
* lists with semicolons, and brackets around addresses and lists;
* IPv4 addresses in the form of IPv6 (`::ffff:10.0.0.1`), addresses with an interface (`fe80::1%eth0`), and names where
  addresses belong;
* multicast, broadcast and unspecified addresses where hosts are meant, since no host has them;
* typographic quotation marks and dashes, and invisible characters such as the no-break space.

A byte order mark at the beginning of the file, and the line ends of Windows, are accepted.

A program, a file or a folder that is not there, or that its user has no right to, is a warning, in `check` and in the
log at the start and at each reload: it may come later. Root's `check` looks as the user that the program would become.
Some things stop the start, and `check` refuses them with the same words and exit code 1: the token in `ApiTokenFile`, a
folder of the state that is not safe, an `ApiSocket` that cannot be made, and a `ListenAddress` of another machine.

## Defaults that depend on the file

A file that sets neither `NumberContactedIPs` nor `NumContactedPorts` gets `ScanEvidence: suspicious`: only hosts whose
contacts look like a scan are reported. A file that sets one of them, as those of the original program do, gets
`ScanEvidence: contacts`: every host above the limit is reported. `LimitFor` does not change this. `check` says which it
is, and why.

`AnalyzePorts` is `true` unless the file says `false`. It takes some 30 bytes for each port that a host contacted within
`PortInterval`: 14 MB for 5,000 hosts that contact 100 ports each. `MemoryLimit` includes it.

## All settings
";

/// Compares a generated text with the file; writes the file first if `UPDATE_DOCS` is set.
fn compare(path: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "{path} is not what src/config/settings.rs gives: run `UPDATE_DOCS=1 cargo test --lib config::reference`"
    );
}

#[test]
fn the_reference_is_what_the_table_gives() {
    compare("docs/configuration.md", &reference());
}

#[test]
fn the_settings_at_the_head_of_the_reference_can_be_used() {
    let blocks: Vec<&str> = REFERENCE_HEAD.split("\n\n").filter(|block| block.starts_with("    #")).collect();
    let [block] = blocks.as_slice() else { panic!("{blocks:?}") };
    let config =
        Config::parse_on("head.md", block.as_bytes(), &two_cores()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.settings.limits_for.len(), 2);
}

/// Two equal headings would get different anchors.
#[test]
fn each_link_of_the_contents_leads_to_one_heading() {
    let page = reference();
    let headings: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with("##"))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let links: Vec<&str> = page
        .lines()
        .filter_map(|line| line.split_once("](#")?.1.split_once(')'))
        .map(|(link, _)| link)
        .collect();
    assert!(links.len() >= SettingKey::ALL.len(), "{links:?}");
    for link in links {
        assert_eq!(headings.iter().filter(|heading| *heading == link).count(), 1, "{link}");
    }
}

#[test]
fn no_line_of_the_reference_is_too_long() {
    for line in reference().lines() {
        assert!(line.chars().count() <= COLUMNS_MAX, "{line}");
    }
}

#[test]
fn each_example_differs_from_the_default_and_reads_back_the_same() {
    let parse = |text: &str| {
        Config::parse_on("test.conf", text.as_bytes(), &two_cores()).unwrap_or_else(|error| panic!("{error}"))
    };
    let default = parse("");
    // A token is not printed, so it does not read back.
    for &key in SettingKey::ALL.iter().filter(|&&key| key != SettingKey::ApiToken) {
        let config = parse(&format!("{key}: {}", key.example()));
        assert_ne!(config.settings.lines(key), default.settings.lines(key), "{key}");
        assert_eq!(parse(&config.to_string()), config, "{key}");
    }
}

#[test]
fn each_example_takes_effect_at_a_reload_or_is_named_as_needing_a_restart() {
    let parse = |text: &str| {
        Config::parse_on("test.conf", text.as_bytes(), &two_cores()).unwrap_or_else(|error| panic!("{error}"))
    };
    for &key in SettingKey::ALL {
        let (running, new) = (parse(""), parse(&format!("{key}: {}", key.example())));
        let (in_force, later) = running.reload(new.clone());
        match key.reload() {
            Reload::Live => assert_eq!((in_force, later), (new, vec![]), "{key}"),
            Reload::Restart(_) => assert_eq!((in_force, later), (running, vec![key.name()]), "{key}"),
        }
    }
}
