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
    page.push_str("\n| key | default | a change takes |\n| --- | --- | --- |\n");
    for &key in SettingKey::ALL {
        let takes = match key.reload() {
            Reload::Live => "a reload",
            Reload::Restart(_) => "a restart",
        };
        row(&mut page, &format!("| [`{key}`](#{}) | {} | {takes} |", anchor(key.name()), default_cell(key)));
    }
    let mut group = None;
    for &key in SettingKey::ALL {
        if group.replace(key.group()) != Some(key.group()) {
            let (title, introduction) = heading(key.group());
            row(&mut page, &format!("\n## {title}"));
            if !introduction.is_empty() {
                row(&mut page, &format!("\n{introduction}"));
            }
        }
        row(&mut page, &format!("\n### {key}\n"));
        wrap(&mut page, "", &key.meaning());
        page.push('\n');
        wrap(&mut page, "* ", &format!("Value: {}", Settings::form(key)));
        wrap(&mut page, "* ", &format!("Default: {}", default_cell(key)));
        let change = match key.reload() {
            Reload::Live => "is in force after a reload",
            Reload::Restart(RestartReason::Windows) => "takes a restart, since windows are made at the start",
            Reload::Restart(RestartReason::Capturing) => {
                "takes a restart, since threads, rings and tables are made at the start"
            }
            Reload::Restart(RestartReason::Logging) => {
                "takes a restart, since the log is opened at the start"
            }
            Reload::Restart(RestartReason::FileOrSocket) => {
                "takes a restart, since it is opened at the start"
            }
        };
        wrap(&mut page, "* ", &format!("A change {change}."));
        row(&mut page, &format!("* Example: `{key}: {}`", key.example()));
        if let Some(more) = key.more() {
            row(&mut page, &format!("* More: [{more}]({}#{})", page_of(more), anchor(more)));
        }
    }
    page
}

/// Returns the heading of a group, and a text about all of its settings, which may be empty.
fn heading(group: Group) -> (&'static str, &'static str) {
    match group {
        Group::General => ("General configuration", ""),
        Group::Scanning => ("Network and port scanning detection", ""),
        Group::FurtherLimits => ("Further limits, and the hosts that they apply to", ""),
        Group::Alerts => ("Alerts", ""),
        Group::Capture => ("Capture", ""),
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
    heading.to_lowercase().replace(' ', "-")
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

A setting is `Key: value` on a line of its own; `#` begins a comment. Every key may be left out. Bytes and rates take
K, M or G, powers of 1000, and fractions such as `1.5G`. Lists have commas; quotes around an item may be left out. An
unknown key, a key that is there twice or a bad value is an error that shows the line and what to write.

`TrafficAlerted check FILE` prints the settings in force. `systemctl reload TrafficAlerted`, or SIGHUP, reads the file
again; the log names the settings that have changed and take a restart.
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
    for &key in SettingKey::ALL {
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
