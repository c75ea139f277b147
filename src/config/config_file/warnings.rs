//! What a configuration names and what cannot be used, and the values that are unwise on this machine.

use std::path::{Path, PathBuf};

use super::ConfigFile;
use crate::alert::Secret;
use crate::config::checked::Config;
use crate::config::exposed_secrets::{ReadingUser, everybody_reads, hide_file, hide_token};
use crate::config::key::SettingKey;
use crate::config::machine::MemoryLimit;
use crate::config::missing_files::{Missing, Viewer, missing};
use crate::config::problem::{Problem, Problems, Severity};
use crate::config::units::Bytes;
use crate::config::values::Settings;

/// What a configuration names and what cannot be used.
#[derive(Debug)]
pub struct Warnings {
    problems: Problems,
    keys: Vec<&'static str>,
}

impl Warnings {
    /// Returns the keys of the settings that do not work.
    pub fn keys(&self) -> &[&'static str] {
        &self.keys
    }

    /// Returns a report of several lines for each of them, with the colours of a terminal if `coloured`.
    pub fn reports(&self, coloured: bool) -> Vec<String> {
        self.problems.reports(coloured)
    }

    /// Returns each of them in one line, for a log whose records are lines.
    pub fn one_line_each(&self) -> impl Iterator<Item = String> {
        self.problems.one_line_each()
    }
}

impl ConfigFile {
    /// Looks for what the file names: programs, files and folders. Returns a warning for each that cannot be used, and
    /// for a `MemoryLimit` that this process may not have.
    pub fn warnings(&self, viewer: Viewer<'_>) -> Warnings {
        self.warnings_of(missing(&self.config.settings, viewer), viewer)
    }

    /// Does the same before a start that gives the files and folders in `given` to the user of the program. If
    /// `become_user` returns true, this process is that user from then on, and looks again with the rights of that
    /// user.
    pub fn warnings_before_start(&self, given: &[PathBuf], become_user: impl FnOnce() -> bool) -> Warnings {
        let mut found = missing(&self.config.settings, Viewer::Operator);
        if become_user() {
            // The start looks as that user too, and says the same.
            let of_user = missing(&self.config.settings, Viewer::BeforeStart(given));
            found.retain(|known| of_user.iter().all(|more| more.key != known.key));
            found.extend(of_user);
            found.sort_by_key(|missing| self.line(missing.key).map(|line| line.key_span.start));
        }
        self.warnings_of(found, Viewer::Operator)
    }

    fn warnings_of(&self, missing: Vec<Missing>, viewer: Viewer<'_>) -> Warnings {
        let keys = missing.iter().map(|missing| missing.key.name()).collect();
        let problems = missing.into_iter().filter_map(|missing| {
            let value = self.line(missing.key)?.value_span.clone();
            // The path may be a part of the value, or be in quotes.
            let start = self.text[value.clone()].find(&missing.path);
            let span =
                start.map_or(value.clone(), |at| value.start + at..value.start + at + missing.path.len());
            Some(Problem {
                title: missing.title(),
                span,
                label: missing.label,
                context: None,
                help: missing.help,
            })
        });
        let reader = ReadingUser::of(&self.config.settings.user, viewer);
        let exposed = self.secrets_for_everybody(reader);
        let problems = exposed.into_iter().chain(problems).chain(self.too_much_memory()).collect();
        let problems = Problems::new(Severity::Warning, &self.name, self.text.clone(), problems);
        Warnings { problems, keys }
    }

    /// Returns a warning if the tables may grow until the kernel ends the program, or until it gets no more memory.
    fn too_much_memory(&self) -> Option<Problem> {
        let settings = &self.config.settings;
        let MemoryLimit::Bytes(bytes) = settings.memory_limit else { return None };
        let Some(allowance) = self.config.machine.allowance(settings.ring_memory_bytes) else {
            return self.more_than_the_machine(bytes);
        };
        if bytes <= allowance.sensible_bytes_max() {
            return None;
        }
        let auto = self.automatic_limit();
        self.of_memory_limit(
            "this process may have",
            allowance.to_string(),
            format!(
                "leave a quarter for the rest of the program: write {auto}, or allow more (in the unit: {})",
                allowance.unit_key()
            ),
        )
    }

    /// Returns a warning if the tables may need more memory than the machine has.
    fn more_than_the_machine(&self, bytes: u64) -> Option<Problem> {
        let memory_bytes = self.config.machine.memory_bytes;
        // 0 stands for a machine that does not say.
        if bytes <= memory_bytes || memory_bytes == 0 {
            return None;
        }
        let auto = self.automatic_limit();
        self.of_memory_limit(
            "this machine has",
            format!("the machine has {}", Bytes(memory_bytes / 1_000_000 * 1_000_000)),
            format!("the kernel may end the program before this limit does anything: write {auto}"),
        )
    }

    /// Returns the line that leaves the limit to the program, with what that is here.
    fn automatic_limit(&self) -> String {
        let Config { machine, settings, .. } = &self.config;
        let auto = MemoryLimit::Auto.bytes(machine, settings.ring_memory_bytes);
        format!("`{}: auto`, which is {} here", SettingKey::MemoryLimit, Bytes(auto))
    }

    /// Returns a warning that `MemoryLimit` is more than `what`.
    fn of_memory_limit(&self, what: &str, label: String, help: String) -> Option<Problem> {
        let key = SettingKey::MemoryLimit;
        Some(Problem {
            title: format!("`{key}` is more than {what}"),
            span: self.line(key)?.value_span.clone(),
            label,
            context: None,
            help,
        })
    }

    /// Returns a warning for each secret that is in a file that everybody can read.
    fn secrets_for_everybody(&self, reader: Option<ReadingUser>) -> Vec<Problem> {
        let Settings { webhook_url, webhook_token_file, .. } = &self.config.settings;
        let address_file = match webhook_url {
            Some(Secret::InFile(path)) => Some(path),
            _ => None,
        };
        let of_file = |key, path: Option<&PathBuf>| {
            let path = path.filter(|path| everybody_reads(path))?;
            Some(Problem {
                title: format!("`{key}` is known to everybody on this host"),
                span: self.line(key)?.value_span.clone(),
                label: "others can read this file".to_owned(),
                context: None,
                help: hide_file(path, reader),
            })
        };
        let files = [
            of_file(SettingKey::WebhookURL, address_file),
            of_file(SettingKey::WebhookTokenFile, webhook_token_file.as_ref()),
        ];
        [self.token_for_everybody(reader)].into_iter().chain(files).flatten().collect()
    }

    /// Returns a warning if the file holds the token of the API and everybody can read the file.
    fn token_for_everybody(&self, reader: Option<ReadingUser>) -> Option<Problem> {
        self.config.settings.api_token.as_ref()?;
        everybody_reads(Path::new(&self.name)).then_some(())?;
        Some(Problem {
            title: "`ApiToken` is known to everybody on this host".to_owned(),
            span: self.line(SettingKey::ApiToken)?.key_span.clone(),
            label: "others can read this file".to_owned(),
            context: None,
            help: hide_token(Path::new(&self.name), reader),
        })
    }
}
