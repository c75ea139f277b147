//! The kinds for the sinks of alerts besides the log: files, a program, a webhook, a collector of logs.

use std::path::PathBuf;

use crate::alert::{self, Secret, SyslogTarget};
use crate::config::context::Context;
use crate::config::kind::Kind;
use crate::config::units;
use crate::config::value_error::ValueError;

/// The absolute path of a file, or nothing. A relative path would depend on the folder in which the program is started.
pub(in crate::config) struct FilePath;

impl Kind<Option<PathBuf>> for FilePath {
    fn form(&self) -> String {
        "an absolute path, in quotes if it has spaces".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Option<PathBuf>, ValueError> {
        match absolute(text, self.form())? {
            Some(path) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
                Err(ValueError::write("a folder, not a file", self.form()))
            }
            path => Ok(path),
        }
    }

    fn quotes_hold_text(&self) -> bool {
        true
    }

    fn print(&self, value: &Option<PathBuf>) -> String {
        value.as_ref().map_or_else(String::new, |path| quoted_if_needed(&path.to_string_lossy()))
    }
}

/// The absolute path of a folder, or nothing.
pub(in crate::config) struct FolderPath;

impl Kind<Option<PathBuf>> for FolderPath {
    fn form(&self) -> String {
        "the absolute path of a folder, in quotes if it has spaces".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Option<PathBuf>, ValueError> {
        absolute(text, self.form())
    }

    fn quotes_hold_text(&self) -> bool {
        true
    }

    fn print(&self, value: &Option<PathBuf>) -> String {
        FilePath.print(value)
    }
}

/// Reads an absolute path with or without quotation marks. Returns `None` for an empty text.
fn absolute(text: &str, form: String) -> Result<Option<PathBuf>, ValueError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let label = match bare {
        _ if bare.contains('"') => "a quote within a path",
        _ if bare.contains(char::is_control) => "a control character within a path",
        _ if !bare.starts_with('/') => "not an absolute path",
        _ => return Ok(Some(PathBuf::from(bare))),
    };
    Err(ValueError::write(label, form))
}

/// The absolute path of a program and its arguments, or nothing.
pub(in crate::config) struct ProgramCall;

impl Kind<Vec<String>> for ProgramCall {
    fn form(&self) -> String {
        "the absolute path of a program and its arguments, with quotes around what has spaces: \
         /usr/local/bin/notify --to \"the operator\"; no shell reads it"
            .to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Vec<String>, ValueError> {
        let words = units::words(text).map_err(|error| error.into_value(self.form()))?;
        if words.iter().any(|word| word.contains(char::is_control)) {
            return Err(ValueError::write("a control character", self.form()));
        }
        match words.first() {
            Some(program) if !program.starts_with('/') => {
                Err(ValueError::write("not an absolute path", self.form()))
            }
            _ => Ok(words),
        }
    }

    fn quotes_hold_text(&self) -> bool {
        true
    }

    fn print(&self, value: &Vec<String>) -> String {
        let words: Vec<String> = value.iter().map(|word| quoted_if_needed(word)).collect();
        words.join(" ")
    }
}

/// The address of a webhook, the path of the file that holds it, or nothing.
pub(in crate::config) struct WebhookAddress;

impl Kind<Option<Secret>> for WebhookAddress {
    fn form(&self) -> String {
        "https://host/path or http://host/path, or the absolute path of a file that holds it".to_owned()
    }

    fn read(&self, text: &str, context: &Context) -> Result<Option<Secret>, ValueError> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.starts_with("\"http") {
            return Err(ValueError::write("an address has no quotes", self.form()));
        }
        if text.starts_with('/') || text.starts_with('"') {
            let path = FilePath.read(text, context).map(|path| path.map(Secret::InFile));
            return path.map_err(|error| ValueError::write(error.label, self.form()));
        }
        match alert::why_no_webhook(text) {
            None => Ok(Some(Secret::Here(text.to_owned()))),
            Some(why) => Err(ValueError::write(why, self.form())),
        }
    }

    fn quotes_hold_text(&self) -> bool {
        true
    }

    fn print(&self, value: &Option<Secret>) -> String {
        value.as_ref().map_or_else(String::new, secret)
    }
}

/// A token, or nothing.
pub(in crate::config) struct Token;

impl Kind<Option<Secret>> for Token {
    fn form(&self) -> String {
        "the token alone, without `Bearer` and without quotes".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Option<Secret>, ValueError> {
        match alert::why_no_token(text) {
            _ if text.is_empty() => Ok(None),
            _ if text.starts_with(['"', '\'']) => Err(ValueError::write("a quotation mark", self.form())),
            None => Ok(Some(Secret::Here(text.to_owned()))),
            Some(why) => Err(ValueError::write(why, self.form())),
        }
    }

    fn print(&self, value: &Option<Secret>) -> String {
        value.as_ref().map_or_else(String::new, secret)
    }
}

/// A collector of logs, or nothing.
pub(in crate::config) struct SyslogCollector;

impl Kind<Option<SyslogTarget>> for SyslogCollector {
    fn form(&self) -> String {
        "udp://host:port, tcp://host:port or unix:/dev/log".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Option<SyslogTarget>, ValueError> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(ValueError::write("white space or a control character", self.form()));
        }
        SyslogTarget::parse(text).map(Some).map_err(|why| ValueError::write(why, self.form()))
    }

    fn print(&self, value: &Option<SyslogTarget>) -> String {
        value.as_ref().map_or_else(String::new, ToString::to_string)
    }
}

/// Returns the secret itself, because the file that `check` prints must read back the same.
fn secret(secret: &Secret) -> String {
    match secret {
        Secret::Here(value) => value.clone(),
        Secret::InFile(path) => quoted_if_needed(&path.to_string_lossy()),
    }
}

/// Returns the text in quotes if it is empty, if a `#` or white space would end it, or if a character of it would be
/// refused outside of quotes.
fn quoted_if_needed(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii() && !c.is_whitespace() && c != '#';
    if text.is_empty()
        || !text.chars().all(is_plain)
        || text.starts_with(['\'', '`', '|', '>', '<', '&', ';'])
    {
        format!("\"{text}\"")
    } else {
        text.to_owned()
    }
}
