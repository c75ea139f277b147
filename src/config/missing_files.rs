//! Looks for the programs, files and folders that a configuration names. What is missing is no error of the file: it
//! may come later, or be there only while the service runs.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::key::SettingKey;
use super::values::Settings;
use crate::alert::{
    Secret, SyslogTarget, is_foreign, lock_path, why_no_secret, why_no_token_in, why_no_webhook_in,
};
use crate::enrich::GeoIp;
use crate::sandbox;
use crate::store;

/// On whose behalf files are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer<'a> {
    /// The user of this process, who is going to use the files: what this user has no right to cannot be used.
    Program,
    /// The same user, before a start that gives these files and folders to it.
    BeforeStart(&'a [PathBuf]),
    /// Somebody who checks a configuration that another user is going to use: rights of this process say nothing.
    Operator,
}

impl Viewer<'_> {
    /// Returns true if the start gives the file or folder to the user of the program.
    fn will_own(self, path: &Path) -> bool {
        matches!(self, Self::BeforeStart(given) if given.iter().any(|given| given == path))
    }
}

/// Something that a setting names and that cannot be used.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    /// The setting.
    pub(super) key: SettingKey,
    /// The path of the file or of its folder, as the setting has it.
    pub(super) path: String,
    /// The cause, in a few words.
    pub(super) label: String,
    /// What to do, and what happens until then.
    pub(super) help: String,
}

impl Missing {
    /// Returns the title of the warning. The running program has read the token of the API, maybe as root, before it
    /// looks for the file, so that token is in force.
    pub(super) fn title(&self) -> String {
        if self.label == GROUP_MAY_WRITE {
            return format!("`{}` is not safe to use", self.key);
        }
        let what =
            if self.key == SettingKey::ApiTokenFile { "cannot be read again" } else { "cannot be used now" };
        format!("`{}` {what}", self.key)
    }
}

/// Returns what is missing of all that the settings name, in the order of the table.
pub(super) fn missing(settings: &Settings, viewer: Viewer<'_>) -> Vec<Missing> {
    let mut found = Vec::new();
    let mut look = |key, path: Option<&Path>, look_for: LookFor, until: &str| {
        // Another user runs the program, so the rights of this process say nothing.
        let is_other_users = key == SettingKey::AlertCommand && settings.alert_command_user.is_some();
        let viewer = if is_other_users { Viewer::Operator } else { viewer };
        if let Some(Cause { path, label, remedy, until: own }) = path.and_then(|path| look_for(path, viewer))
        {
            found.push(Missing { key, path, label, help: format!("{remedy}; {}", own.unwrap_or(until)) });
        }
    };
    let forgets = "until then a restart forgets alerts and mutes";
    look(SettingKey::StateDirectory, settings.state_directory.as_deref(), state_folder, forgets);
    // With a state directory the file is only taken over, and the state is kept without it.
    let keeps_state_elsewhere =
        settings.state_directory.is_some() || std::env::var_os("STATE_DIRECTORY").is_some();
    if !keeps_state_elsewhere {
        look(SettingKey::StateFile, settings.state_file.as_deref(), replaced_file, forgets);
    }
    let wait = "until then alerts wait";
    look(SettingKey::AlertFile, settings.alert_file.as_deref(), growing_file, wait);
    let program = settings.alert_command.first().map(Path::new);
    look(SettingKey::AlertCommand, program, executable, "until then no alert is passed to it");
    look(SettingKey::WebhookURL, settings.webhook_url.as_ref().and_then(file_of), address_file, wait);
    look(SettingKey::WebhookTokenFile, settings.webhook_token_file.as_deref(), token_file, wait);
    if viewer == Viewer::Program {
        // Before the start, everything about this file is a reason not to start (`api::refusals`).
        let no_token = "until then a reload keeps the token that is in force";
        look(SettingKey::ApiTokenFile, settings.api_token_file.as_deref(), secret_file, no_token);
    }
    let socket_path = match &settings.syslog {
        Some(SyslogTarget::Unix(path)) => Some(path.as_path()),
        _ => None,
    };
    look(SettingKey::Syslog, socket_path, socket, wait);
    let without = "until then alerts go without it";
    look(SettingKey::CountryDatabase, settings.country_database.as_deref(), database, without);
    look(SettingKey::AsnDatabase, settings.asn_database.as_deref(), database, without);
    found.extend(settings.api_users.iter().filter(|user| !user.exists()).map(|user| Missing {
        key: SettingKey::ApiUsers,
        path: user.to_string(),
        label: format!("no `{user}` on this machine"),
        help: "create it, or correct the name; until then it allows nobody".to_owned(),
    }));
    found
}

/// Returns why a path cannot be used, or `None` if it can, or if the viewer cannot know.
type LookFor = fn(&Path, Viewer<'_>) -> Option<Cause>;

/// Why something cannot be used, and what to do.
struct Cause {
    path: String,
    label: String,
    remedy: String,
    /// What happens until then, if it is something else than for the other causes of the setting.
    until: Option<&'static str>,
}

/// Looks for a program.
fn executable(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    let metadata = match look_at(path, viewer, "install the program, or correct the path") {
        Ok(metadata) => metadata,
        Err(cause) => return cause,
    };
    if metadata.is_dir() {
        return cause(path, "a folder, not a program", "write the path of a program");
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return cause(path, "not executable", format!("run `chmod +x {}`", path.display()));
    }
    refused(path, viewer, AccessFlags::X_OK, "not executable for this user", "execute it")
}

/// Looks for a file that holds a secret.
fn secret_file(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    // The service manager makes these files when it starts the service, and nobody else may see them.
    if viewer != Viewer::Program && path.starts_with("/run/credentials") {
        return None;
    }
    readable(path, viewer, "put the file there, or correct the path").or_else(|| {
        let (label, remedy) = why_no_secret(path)?;
        cause(path, label, remedy)
    })
}

/// Looks for the file that holds the address of a webhook.
fn address_file(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    secret_file(path, viewer).or_else(|| {
        let (label, remedy) = why_no_webhook_in(path)?;
        cause(path, label, remedy)
    })
}

/// Looks for the file that holds the token of a webhook.
fn token_file(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    secret_file(path, viewer).or_else(|| {
        let (label, remedy) = why_no_token_in(path)?;
        cause(path, label, remedy)
    })
}

/// Looks for a database, which is read at the start and at a reload.
fn database(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    readable(path, viewer, "put the file there and reload, or correct the path").or_else(|| {
        // The program reads it anyway, and logs its fault then.
        let fault = if viewer == Viewer::Program { None } else { GeoIp::fault(path) };
        cause(path, "not a usable database", fault?)
    })
}

fn readable(path: &Path, viewer: Viewer<'_>, remedy: &str) -> Option<Cause> {
    match look_at(path, viewer, remedy) {
        Err(cause) => cause,
        Ok(metadata) if metadata.is_dir() => cause(path, "a folder, not a file", "write the path of a file"),
        Ok(metadata) if !metadata.is_file() => {
            cause(path, "not a regular file", "write the path of a regular file")
        }
        Ok(_) => refused(path, viewer, AccessFlags::R_OK, "not readable for this user", "read it"),
    }
}

/// Looks for a socket of this host.
fn socket(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    match look_at(path, viewer, "start the collector, or correct the path") {
        Err(cause) => cause,
        Ok(metadata) if metadata.file_type().is_socket() => None,
        Ok(_) => cause(path, "not a socket", "write the path of the collector's socket, such as /dev/log"),
    }
}

/// Looks for a file that lines are appended to, or for its folder.
fn growing_file(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(metadata) if !metadata.is_dir() => {
            return cause(path, "not a regular file", "write the path of a file in a folder of its own");
        }
        Err(error) if !is_absent(&error) => return unseen(path, &error, viewer),
        _ => return replaced_file(path, viewer),
    }
    if is_foreign(path) {
        return cause(path, "something else than alerts is in it", "it is left as it is: write another path");
    }
    refused(path, viewer, AccessFlags::W_OK, NOT_WRITABLE, "write to it")
        .or_else(|| not_rotatable(path, viewer))
        .or_else(|| made_later(path.parent()?, viewer))
}

/// Looks whether the running program needs a restart for a folder that is there.
fn made_later(folder: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    (viewer == Viewer::Program && sandbox::needs_restart_for(folder)).then_some(())?;
    cause(folder, "not there when the program started", format!("restart: {}", sandbox::MADE_LATER))
}

/// Looks at the folder of an `AlertFile` that is there and can be written. A full file is renamed in its folder, and
/// the file of the lock is made there.
fn not_rotatable(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    let rights = AccessFlags::W_OK | AccessFlags::X_OK;
    let folder = refused(path.parent()?, viewer, rights, NOT_WRITABLE, FOLDER_RIGHT)?;
    let lock = lock_path(path);
    if lock.is_file() && refused(&lock, viewer, AccessFlags::W_OK, NOT_WRITABLE, "").is_none() {
        return Some(Cause {
            label: "not writable for this user, so a full file cannot be put aside".to_owned(),
            until: Some("until then alerts wait once the file has AlertFileMaxSize"),
            ..folder
        });
    }
    Some(folder)
}

const NOT_WRITABLE: &str = "not writable for this user";

/// What the user of the program must be let do with the folder of an `AlertFile`.
const FOLDER_RIGHT: &str = "write to this folder (in the unit: LogsDirectory=)";

/// Looks for the folder of a file that is written anew each time.
fn replaced_file(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    if path.is_dir() {
        return cause(path, "a folder, not a file", "write the path of a file");
    }
    let folder = path.parent()?;
    match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {
            let rights = AccessFlags::W_OK | AccessFlags::X_OK;
            refused(folder, viewer, rights, "not writable for this user", "write to it")
                .or_else(|| made_later(folder, viewer))
        }
        Ok(_) => cause(folder, "not a folder", "correct the path"),
        Err(error) if is_absent(&error) => {
            let remedy = match folder.to_str() {
                _ if viewer == Viewer::Program && sandbox::needs_restart_for(folder) => {
                    "create it and restart, since the sandbox allows no folder that is made after the start"
                }
                Some("/var/log/TrafficAlerted" | "/var/lib/TrafficAlerted") => {
                    "create it, or start the service, whose unit makes it"
                }
                _ => "create it, or correct the path",
            };
            cause(folder, "no such folder", remedy)
        }
        Err(error) => unseen(folder, &error, viewer),
    }
}

/// Looks for the folder of the database, or for the folder that it is made in.
fn state_folder(path: &Path, viewer: Viewer<'_>) -> Option<Cause> {
    if !path.exists() {
        // The start makes it before it gives up its rights.
        let maker = if matches!(viewer, Viewer::BeforeStart(_)) { Viewer::Operator } else { viewer };
        return replaced_file(path, maker);
    }
    let problem = match store::folder_problem(path) {
        _ if !path.is_dir() => cause(path, "not a folder", "write the path of a folder"),
        Some(problem) => cause(path, "not safe to use", problem.text),
        None => None,
    };
    if let Some(problem) = problem {
        // Before the start these are reasons not to start (`store::refusal`).
        let refuses = Cause { until: Some("until then the program does not start"), ..problem };
        return (viewer == Viewer::Program).then_some(refuses);
    }
    let rights = AccessFlags::W_OK | AccessFlags::X_OK;
    let cannot = refused(path, viewer, rights, "not writable for this user", "write to it");
    cannot.or_else(|| made_later(path, viewer)).or_else(|| {
        let until = Some("until then its members can change and replace the state");
        let problem = cause(path, GROUP_MAY_WRITE, format!("run `chmod g-w {}`", path.display()))?;
        store::group_may_write(path).then_some(Cause { until, ..problem })
    })
}

/// The label of a state directory whose group can change the state.
const GROUP_MAY_WRITE: &str = "its group may write to it";

/// Returns the metadata of a file, or why there are none; that is `None` if the viewer cannot know.
fn look_at(path: &Path, viewer: Viewer<'_>, remedy: &str) -> Result<Metadata, Option<Cause>> {
    fs::metadata(path).map_err(|error| match is_absent(&error) {
        true => cause(path, "no such file", remedy),
        false => unseen(path, &error, viewer),
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Returns the cause of an error other than that the file is absent.
fn unseen(path: &Path, error: &io::Error, viewer: Viewer<'_>) -> Option<Cause> {
    match (error.kind(), viewer) {
        (ErrorKind::PermissionDenied, Viewer::Operator) => None,
        (ErrorKind::PermissionDenied, _) if path.ancestors().any(|above| viewer.will_own(above)) => None,
        (ErrorKind::PermissionDenied, _) => {
            let remedy = "let the user that runs TrafficAlerted into its folders";
            cause(path, "this user may not look there", remedy)
        }
        _ => cause(path, error, "correct the path"),
    }
}

/// Returns a cause if the program's user lacks a right that the program needs.
fn refused(path: &Path, viewer: Viewer<'_>, right: AccessFlags, label: &str, what: &str) -> Option<Cause> {
    if viewer == Viewer::Operator || access(path, right).is_ok() || viewer.will_own(path) {
        return None;
    }
    cause(path, label, format!("let the user that runs TrafficAlerted {what}"))
}

#[allow(clippy::unnecessary_wraps, reason = "each caller returns it as it is")]
fn cause(path: &Path, label: impl ToString, remedy: impl Into<String>) -> Option<Cause> {
    let path = path.to_string_lossy().into_owned();
    Some(Cause { path, label: label.to_string(), remedy: remedy.into(), until: None })
}

/// Returns the path of the file that holds a secret, or `None` if the configuration holds it.
fn file_of(secret: &Secret) -> Option<&Path> {
    match secret {
        Secret::InFile(path) => Some(path),
        Secret::Here(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::net::UnixListener;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::config::ConfigFile;

    /// Returns the label and the help of the only cause, or `None` if nothing is missing.
    fn only(line: &str, viewer: Viewer<'_>) -> Option<(String, String)> {
        let file = ConfigFile::parse("test.conf", line).unwrap_or_else(|error| panic!("{error}"));
        let mut found = missing(&file.config().settings, viewer);
        assert!(found.len() <= 1, "{line}: {found:?}");
        found.pop().map(|missing| (missing.label, missing.help))
    }

    #[test]
    fn each_thing_that_is_missing_is_said_to_everybody() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let here = folder.path().display();
        for (name, text) in [("file", "x\n"), ("empty", "\n"), ("spaces", "a b\n")] {
            fs::write(folder.path().join(name), text).expect("the folder is writable");
        }
        mkfifo(&folder.path().join("fifo"), Mode::S_IRWXU).expect("the folder is writable");
        let cases = [
            (format!("AlertCommand: {here}/none a b"), "no such file", "install the program"),
            (format!("AlertCommand: {here}/file/none"), "no such file", "install the program"),
            (format!("AlertCommand: {here}"), "a folder, not a program", "the path of a program"),
            (format!("AlertCommand: {here}/file"), "not executable", "run `chmod +x /"),
            (format!("AlertFile: {here}/none/a.jsonl"), "no such folder", "create it"),
            (format!("AlertFile: {here}/file/a.jsonl"), "not a folder", "correct the path"),
            (format!("AlertFile: {here}"), "a folder, not a file", "the path of a file"),
            (format!("StateDirectory: {here}/none/state"), "no such folder", "forgets alerts and mutes"),
            (format!("AlertFile: {here}/fifo"), "not a regular file", "a folder of its own"),
            (format!("AlertFile: {here}/file"), "something else than alerts is in it", "write another path"),
            (format!("StateFile: {here}/none/state.json"), "no such folder", "forgets alerts and mutes"),
            (format!("WebhookURL: {here}/none"), "no such file", "put the file there"),
            (
                format!("WebhookURL: {here}/file"),
                "the address in it is neither http:// nor https://",
                "write http://host/path",
            ),
            (format!("WebhookURL: {here}/empty"), "empty", "whose first line is the secret"),
            (format!("WebhookTokenFile: {here}/none"), "no such file", "put the file there"),
            (format!("WebhookTokenFile: {here}"), "a folder, not a file", "the path of a file"),
            (
                format!("WebhookTokenFile: {here}/spaces"),
                "the token in it has a character that no token has",
                "write the token alone",
            ),
            ("ApiUsers: root,no-such-user-x".to_owned(), "no `no-such-user-x` on this machine", "create it"),
            (format!("Syslog: unix:{here}/none"), "no such file", "start the collector"),
            (format!("Syslog: unix:{here}/file"), "not a socket", "the collector's socket"),
            (format!("CountryDatabase: {here}/none.mmdb"), "no such file", "reload"),
            (format!("AsnDatabase: {here}"), "a folder, not a file", "the path of a file"),
        ];
        for viewer in [Viewer::Program, Viewer::BeforeStart(&[]), Viewer::Operator] {
            for (line, label, help) in &cases {
                let (found, remedy) = only(line, viewer).unwrap_or_else(|| panic!("{line}"));
                assert_eq!(&found, label, "{line}");
                assert!(remedy.contains(help), "{line}: {remedy}");
            }
        }
    }

    /// Before the start it is an error (`api::refusals`, `store::refusal`), so it is said to whoever reloads.
    #[test]
    fn what_stops_the_start_is_a_warning_for_a_program_that_runs() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let here = folder.path().display();
        fs::write(folder.path().join("file"), "x\n").expect("the folder is writable");
        let open = folder.path().join("open");
        fs::create_dir(&open).expect("the folder is writable");
        fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("it is ours");
        let cases = [
            (format!("StateDirectory: {here}/file"), "not a folder", "the program does not start"),
            (format!("StateDirectory: {here}/open"), "not safe to use", "every user may write to"),
            (format!("ApiTokenFile: {here}/none"), "no such file", "keeps the token that is in force"),
        ];
        for (line, label, help) in &cases {
            let (found, remedy) = only(line, Viewer::Program).unwrap_or_else(|| panic!("{line}"));
            assert!(found == *label && remedy.contains(help), "{line}: {found}: {remedy}");
            for viewer in [Viewer::BeforeStart(&[]), Viewer::Operator] {
                assert_eq!(only(line, viewer), None, "{line}");
            }
        }
    }

    #[test]
    fn a_state_directory_that_its_group_may_write_to_is_said_to_everybody() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let line = format!("StateDirectory: {}", folder.path().display());
        let viewers = [Viewer::Program, Viewer::BeforeStart(&[]), Viewer::Operator];
        for (mode, is_safe) in [(0o770, false), (0o775, false), (0o755, true), (0o750, true)] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("it is ours");
            for viewer in viewers {
                match only(&line, viewer) {
                    None => assert!(is_safe, "{mode:o}"),
                    Some((label, help)) => {
                        assert!(
                            !is_safe && label == GROUP_MAY_WRITE && help.contains("chmod g-w"),
                            "{mode:o}: {help}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_there_causes_no_warning() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let here = folder.path().display();
        let file = folder.path().join("file");
        fs::write(&file, "x\n").expect("the folder is writable");
        fs::set_permissions(&file, Permissions::from_mode(0o700)).expect("it is ours");
        fs::write(folder.path().join("url"), "https://host/path\n").expect("the folder is writable");
        fs::write(folder.path().join("alerts"), "{\"id\":\"1\"}\n").expect("the folder is writable");
        let _socket = UnixListener::bind(folder.path().join("socket")).expect("the folder is writable");
        let lines = [
            String::new(),
            format!("AlertCommand: {here}/file a"),
            format!("AlertFile: {here}/alerts"),
            format!("AlertFile: {here}/new.jsonl"),
            format!("StateDirectory: {here}"),
            format!("StateDirectory: {here}/new"),
            format!("StateFile: {here}/new.json"),
            format!("StateDirectory: {here}\nStateFile: {here}/none/old.json"),
            format!("WebhookURL: {here}/url"),
            "WebhookURL: https://host/path".to_owned(),
            format!("WebhookTokenFile: {here}/file"),
            format!("Syslog: unix:{here}/socket"),
            "Syslog: udp://host:514".to_owned(),
        ];
        for line in &lines {
            for viewer in [Viewer::Program, Viewer::Operator] {
                assert_eq!(only(line, viewer), None, "{line}");
            }
        }
    }

    #[test]
    fn a_credential_of_a_service_that_does_not_run_is_missing_for_the_program_only() {
        let line = "WebhookTokenFile: /run/credentials/TrafficAlerted-test.service/none";
        assert_eq!(only(line, Viewer::Operator), None);
        assert!(only(line, Viewer::Program).is_some());
    }
}
