//! The documents: what `README.md` and the pages in `docs/` name exists, and what they must describe is described.
//!
//! An example of a configuration is a block of code marked `conf`. Other blocks are commands, log lines and answers.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test, in helpers as well")]

mod markdown;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use traffic_alerted::alert::AlertKind;
use traffic_alerted::api::{self, RunningServer, Server};
use traffic_alerted::config::Config;
use traffic_alerted::flow::Published;
use traffic_alerted::packet::Skip;
use traffic_alerted::report::Report;

use markdown::{Code, Document};

/// The README leads through the first five minutes; what is longer is a page in `docs/`.
const README_LINES_MAX: usize = 150;

/// Made from the table of settings, and compared with it by a test of its own.
const REFERENCE: &str = "docs/configuration.md";

/// Words in code that begin with a capital letter and are no settings.
const OTHER_NAMES: &[&str] =
    &["Bearer", "DestinationIP", "ETag", "EventType", "Forwarded", "Host", "TrafficAlerted", "Via"];

/// What log lines of alerts begin with.
const LINE_WORDS: &[&str] = &["EVENT", "GROWN", "CLOSED", "POSSIBLE", "TEST", "WHY"];

#[test]
fn the_readme_is_short() {
    let lines = fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(
        lines <= README_LINES_MAX,
        "README.md has {lines} lines, and {README_LINES_MAX} at most are allowed"
    );
}

#[test]
fn links_and_pictures_lead_somewhere() {
    let documents = documents();
    let mut wrong = Vec::new();
    for (name, document) in &documents {
        for link in document.links.iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        {
            let (path, fragment) =
                link.split_once('#').map_or((&link[..], None), |(path, f)| (path, Some(f)));
            let target = if path.is_empty() { name.clone() } else { resolve(name, path) };
            if !root().join(&target).exists() {
                wrong.push(format!("{name}: {link}: there is no {target}"));
            } else if name.starts_with("docs/") && !target.starts_with("docs/") {
                wrong.push(format!(
                    "{name}: {link}: the book has no file outside of docs/, so name it without a link"
                ));
            } else if let Some(fragment) = fragment
                && documents.get(&target).is_none_or(|document| !document.anchors.contains(fragment))
            {
                wrong.push(format!("{name}: {link}: {target} has no such heading"));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_summary_has_each_page_once() {
    let documents = documents();
    let mut listed: Vec<String> =
        documents["docs/SUMMARY.md"].links.iter().map(|link| format!("docs/{link}")).collect();
    listed.sort();
    let pages: Vec<&String> =
        documents.keys().filter(|name| name.starts_with("docs/") && *name != "docs/SUMMARY.md").collect();
    assert_eq!(listed.iter().collect::<Vec<_>>(), pages);
}

#[test]
fn examples_of_configurations_are_read_by_the_program() {
    let settings = settings();
    let mut wrong = Vec::new();
    let mut examples = 0;
    for (name, code) in user_documents().iter().filter(|(name, _)| *name != REFERENCE).flat_map(codes) {
        let is_setting = code.is_inline() && setting_name(&code.text).is_some();
        if code.language.as_deref() == Some("conf") || is_setting {
            examples += 1;
            if let Err(error) = Config::parse(name, &code.text) {
                wrong.push(format!("{name}: {}", error.render(false)));
            }
        } else if let Some(key) =
            code.lines().find(|line| settings.contains(setting_name(line).unwrap_or_default()))
        {
            wrong.push(format!("{name}: mark the block with `{key}` as conf"));
        }
    }
    assert_none(&wrong);
    assert!(examples > 10, "only {examples} examples were found");
}

#[test]
fn the_recipes_limit_the_bytes_of_local_hosts_and_not_those_of_servers_in_the_internet() {
    let readme = &documents()["README.md"];
    let recipes: Vec<&Code> =
        readme.codes.iter().filter(|code| code.language.as_deref() == Some("conf")).collect();
    assert!(recipes.len() > 2, "README.md has {} recipes", recipes.len());
    for recipe in recipes {
        let limits = Config::parse("README.md", &recipe.text).unwrap().detect_limits();
        for server in ["203.0.113.9", "3fff::9"] {
            let of_server = limits.by_network.of(&server.parse().unwrap()).unwrap_or(&limits.hosts);
            for kind in [AlertKind::Traffic, AlertKind::Received] {
                assert_eq!(of_server.of(kind), None, "{} of {server} in\n{}", kind.name(), recipe.text);
            }
        }
        let is_limited = limits.by_network.values().any(|hosts| hosts.of(AlertKind::Traffic).is_some());
        assert!(is_limited, "no host has a limit of bytes in\n{}", recipe.text);
    }
}

#[test]
fn settings_that_are_named_exist_and_each_has_a_section() {
    let settings = settings();
    let documents = user_documents();
    let codes = documents.iter().flat_map(codes).filter(|(_, code)| code.is_inline());
    let unknown: Vec<String> = codes
        .filter(|(_, code)| is_name(&code.text))
        .filter(|(_, code)| !settings.contains(&code.text) && !OTHER_NAMES.contains(&&code.text[..]))
        .map(|(name, code)| format!("{name}: there is no setting `{}`", code.text))
        .collect();
    assert_none(&unknown);
    let sections = &documents[REFERENCE].headings;
    let missing: Vec<_> = settings.iter().filter(|key| !sections.contains(key)).cloned().collect();
    assert_none(&missing);
}

#[test]
fn commands_that_are_named_exist_with_their_options() {
    let commands = subcommands();
    let mut wrong = Vec::new();
    let mut named = BTreeSet::new();
    let documents = documents();
    for (name, code) in documents.iter().flat_map(codes) {
        for words in code.lines().flat_map(|line| line.split(['|', ';'])).map(command_words) {
            let [program, arguments @ ..] = &words[..] else { continue };
            if *program != "TrafficAlerted" && !program.ends_with("/TrafficAlerted") {
                continue;
            }
            let command = arguments.iter().find(|word| !word.starts_with("--")).copied();
            let subcommand = command.filter(|word| commands.contains(*word));
            named.extend(subcommand);
            if let Some(word) = command.filter(|word| subcommand.is_none() && !is_file(word)) {
                wrong.push(format!("{name}: {words:?}: there is no command {word}"));
            }
            let help = help(subcommand);
            let options = arguments.iter().filter(|word| word.starts_with("--"));
            let unknown = options.filter(|option| !help.split([' ', ',', '\n']).any(|word| word == **option));
            wrong.extend(unknown.map(|option| format!("{name}: {words:?}: there is no option {option}")));
        }
    }
    assert_none(&wrong);
    let named: Vec<&str> = named.into_iter().collect();
    assert_eq!(named, commands.iter().map(String::as_str).collect::<Vec<_>>(), "each command is documented");
}

#[test]
fn scripts_that_are_named_can_be_run() {
    let mut wrong = Vec::new();
    for (name, document) in documents() {
        for word in document.text.split(|c: char| c.is_whitespace() || "`\"'(),;:".contains(c)) {
            let word = word.trim_end_matches('.');
            if word == ".ci/run" || word.starts_with("scripts/") && Path::new(word).extension().is_none() {
                let mode = fs::metadata(root().join(word)).map(|file| file.permissions().mode());
                if mode.is_ok_and(|mode| mode & 0o111 != 0o111) || !root().join(word).exists() {
                    wrong.push(format!("{name}: {word} is not there or cannot be run"));
                }
            }
        }
    }
    assert_none(&wrong);
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["    scripts/run ", "    scripts/test "] {
        assert!(readme.contains(command), "README.md shows the two commands that do everything: {command}");
    }
}

#[test]
fn paths_of_the_api_are_answered_and_each_is_documented() {
    let report = Arc::new(Published::new(Report::default()));
    let options = Config::parse("", "").unwrap().api_options();
    let (listen, socket) = ((Ipv4Addr::LOCALHOST, 0).into(), api::SocketOption::Off);
    let server = Server::bind(&api::Options { listen, socket, ..options }).unwrap();
    let addr = server.local_addr();
    let _running: RunningServer = server.start(report).unwrap();

    let listing = get(addr, "/nothing");
    let paths: Vec<&str> =
        listing.split([' ', ',', '"']).filter(|word| word.starts_with('/') && *word != "/nothing").collect();
    assert!(paths.contains(&"/api/v1/alerts"), "{listing}");

    let is_known = |path: &str| {
        let below = |known: &str| path.strip_prefix(known).is_some_and(|rest| rest.starts_with('/'));
        paths.iter().any(|known| *known == path || below(known))
    };
    let mut wrong = Vec::new();
    for (name, code) in documents().iter().flat_map(codes) {
        for named in code.text.match_indices("/api/v1/").map(|(at, _)| until_space(&code.text[at..])) {
            let (path, query) = named.split_once('?').unwrap_or((named, ""));
            if path != "/api/v1/" && !is_known(path) {
                wrong.push(format!("{name}: {named}: the program lists no such path"));
            } else if !query.is_empty() && !get(addr, named).starts_with("HTTP/1.1 200 ") {
                wrong.push(format!("{name}: {named}: {}", get(addr, named)));
            }
        }
    }
    assert_none(&wrong);
    let page = fs::read_to_string(root().join("docs/api.md")).unwrap();
    let missing = paths.iter().filter(|path| !page.contains(&format!("`{path}`")));
    assert_none(&missing.map(|path| format!("docs/api.md: {path}")).collect::<Vec<_>>());
}

#[test]
fn log_lines_and_reasons_are_those_of_the_program() {
    let kinds: BTreeSet<&str> = AlertKind::ALL.iter().map(|kind| kind.name()).collect();
    // The lines of a storm and of a summary have the kinds of their alerts after other words.
    let is_known = |value: &str| ["STORM", "SUMMARY"].contains(&value) || kinds.contains(value);
    let documents = documents();
    let mut wrong = Vec::new();
    for (name, code) in documents.iter().flat_map(codes) {
        for (word, value) in code.text.split([' ', '\n']).filter_map(|word| word.split_once('=')) {
            if LINE_WORDS.contains(&word) && !value.is_empty() && !is_known(value) {
                wrong.push(format!("{name}: {word}={value}: there is no such kind"));
            }
        }
    }
    let (alerts, accounting) = (&documents["docs/alerts.md"], &documents["docs/accounting.md"]);
    wrong.extend(
        kinds.iter().filter(|kind| !alerts.has_code(kind)).map(|kind| format!("docs/alerts.md: {kind}")),
    );
    let reasons = Skip::ALL.iter().map(|reason| reason.name()).filter(|reason| !accounting.has_code(reason));
    wrong.extend(reasons.map(|reason| format!("docs/accounting.md: {reason}")));
    assert_none(&wrong);
}

#[test]
fn the_versions_that_a_build_needs_are_those_of_the_project() {
    let setup = fs::read_to_string(root().join("scripts/setup.sh")).unwrap();
    let node = setup.lines().find_map(|line| line.strip_prefix("NODE_MIN=")).unwrap();
    let install = fs::read_to_string(root().join("docs/install.md")).unwrap();
    for needed in [format!("Rust {}", env!("CARGO_PKG_RUST_VERSION")), format!("Node.js {node}")] {
        assert!(install.contains(&needed), "docs/install.md: {needed}");
    }
}

/// The documents by their path in the project: those in its root, the pages, and that of the benches.
fn documents() -> BTreeMap<String, Document> {
    let in_folder = |folder: &str| {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().file_name());
        let names: Vec<String> =
            files.map(|name| format!("{folder}{}", name.into_string().unwrap())).collect();
        names.into_iter().filter(|name| name.ends_with(".md"))
    };
    let names = in_folder("").chain(in_folder("docs/")).chain(in_folder("benches/"));
    names
        .map(|name| (name.clone(), Document::parse(fs::read_to_string(root().join(name)).unwrap())))
        .collect()
}

/// Those that are for users of the program: the README and the pages.
fn user_documents() -> BTreeMap<String, Document> {
    documents().into_iter().filter(|(name, _)| name == "README.md" || name.starts_with("docs/")).collect()
}

fn codes<'d>((name, document): (&'d String, &'d Document)) -> impl Iterator<Item = (&'d str, &'d Code)> {
    document.codes.iter().map(move |code| (&name[..], code))
}

/// The keys of all settings, as `check` prints them.
fn settings() -> BTreeSet<String> {
    let all = Config::parse("", "").unwrap().to_string();
    all.lines().filter_map(setting_name).map(str::to_owned).collect()
}

/// Returns the key of a line that has the form of a setting.
fn setting_name(line: &str) -> Option<&str> {
    line.split_once(':').map(|(key, _)| key).filter(|key| is_name(key))
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.contains(|c: char| c.is_ascii_lowercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric())
}

/// The words of a command without what starts it: a prompt, sudo.
fn command_words(command: &str) -> Vec<&str> {
    command.split_whitespace().skip_while(|word| matches!(*word, "$" | "sudo")).collect()
}

/// True for what stands for a file: a path, a name with an ending, or a word in capitals.
fn is_file(word: &str) -> bool {
    word.contains(['/', '.']) || word.chars().all(|c| c.is_ascii_uppercase())
}

fn subcommands() -> BTreeSet<String> {
    let help = help(None);
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    commands
        .map(|line| line.split_whitespace().next().unwrap())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

fn help(subcommand: Option<&str>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"));
    let output = command.args(subcommand).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn get(addr: SocketAddr, path: &str) -> String {
    let mut client = TcpStream::connect(addr).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

fn until_space(text: &str) -> &str {
    &text[..text.find(|c: char| c.is_whitespace() || "'\"".contains(c)).unwrap_or(text.len())]
}

/// Returns the path in the project of what a document links to.
fn resolve(document: &str, link: &str) -> String {
    let mut path: Vec<&str> = document.split('/').collect();
    path.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    path.join("/")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
