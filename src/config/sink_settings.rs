//! Where alerts go besides the log: the keys that name the places, and what each sink is told of them.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::check::{Checker, ValueError, bytes, keyword};
use super::key::SettingKey;
use super::units::{self, within};
use crate::alert::{self, Facility, Secret, SyslogTarget, WebhookFormat};
use crate::enrich::{GeoIpOptions, ReverseDnsOptions};

/// The places, each if it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SinkSettings {
    pub(super) file: Option<PathBuf>,
    pub(super) file_bytes_max: u64,
    pub(super) file_keep: u32,
    /// The program by its absolute path, then its arguments; empty: none.
    pub(super) command: Vec<String>,
    pub(super) command_timeout_s: u64,
    pub(super) webhook_url: Option<Secret>,
    pub(super) webhook_format: WebhookFormat,
    pub(super) webhook_token: Option<Secret>,
    pub(super) syslog: Option<SyslogTarget>,
    pub(super) syslog_facility: Facility,
    pub(super) reverse_dns: bool,
    pub(super) country_database: Option<PathBuf>,
    pub(super) asn_database: Option<PathBuf>,
}

impl SinkSettings {
    /// Reads their settings; `None` where one of them is wrong.
    pub(super) fn read(from: &mut Checker<'_, '_>, defaults: Self) -> Option<Self> {
        let file = from.read(SettingKey::AlertFile, defaults.file, optional_path);
        let file_bytes_max = from.read(SettingKey::AlertFileMaxSize, defaults.file_bytes_max, |value| {
            bytes(value, &ALERT_FILE_BYTES)
        });
        let file_keep =
            from.read(SettingKey::AlertFileKeep, defaults.file_keep, |value| whole(value, &ALERT_FILE_KEEP));
        let command = from.read(SettingKey::AlertCommand, defaults.command, command_words);
        let command_timeout_s =
            from.read(SettingKey::AlertCommandTimeout, defaults.command_timeout_s, |value| {
                seconds_within(value, &ALERT_COMMAND_TIMEOUT_S)
            });
        let webhook_url = from.read(SettingKey::WebhookURL, defaults.webhook_url, webhook_url);
        let webhook_format = from.read(SettingKey::WebhookFormat, defaults.webhook_format, keyword);
        let webhook_token = from.read(SettingKey::WebhookToken, defaults.webhook_token, webhook_token);
        // Where the token is wrong, nothing is held against it.
        let has_token = matches!(webhook_token, Some(Some(_)));
        let webhook_token_file =
            from.read(SettingKey::WebhookTokenFile, None, |value| webhook_token_file(value, has_token));
        let syslog = from.read(SettingKey::Syslog, defaults.syslog, syslog_target);
        let syslog_facility = from.read(SettingKey::SyslogFacility, defaults.syslog_facility, keyword);
        let reverse_dns = from.read(SettingKey::ReverseDNS, defaults.reverse_dns, keyword);
        let country_database =
            from.read(SettingKey::CountryDatabase, defaults.country_database, optional_path);
        let asn_database = from.read(SettingKey::AsnDatabase, defaults.asn_database, optional_path);
        Some(Self {
            file: file?,
            file_bytes_max: file_bytes_max?,
            file_keep: file_keep?,
            command: command?,
            command_timeout_s: command_timeout_s?,
            webhook_url: webhook_url?,
            webhook_format: webhook_format?,
            webhook_token: webhook_token_file?.or(webhook_token?),
            syslog: syslog?,
            syslog_facility: syslog_facility?,
            reverse_dns: reverse_dns?,
            country_database: country_database?,
            asn_database: asn_database?,
        })
    }

    /// What the sinks are told.
    pub(super) fn options(&self) -> alert::SinkOptions {
        alert::SinkOptions {
            retry: alert::Retry::default(),
            names: self.reverse_dns.then(ReverseDnsOptions::default),
            geoip: GeoIpOptions {
                country_database: self.country_database.clone(),
                asn_database: self.asn_database.clone(),
            },
            file: self.file.clone().map(|path| alert::FileOptions {
                path,
                bytes_max: self.file_bytes_max,
                keep: self.file_keep,
            }),
            command: self.command.split_first().map(|(program, arguments)| alert::CommandOptions {
                program: program.into(),
                arguments: arguments.to_vec(),
                time_limit: Duration::from_secs(self.command_timeout_s),
            }),
            webhook: self
                .webhook_url
                .clone()
                .map(|url| alert::WebhookOptions::new(url, self.webhook_format, self.webhook_token.clone())),
            syslog: self.syslog.clone().map(|target| alert::SyslogOptions::new(target, self.syslog_facility)),
        }
    }
}

/// Seconds, for which there is a range.
fn seconds_within(value: &str, range: &RangeInclusive<u64>) -> Result<u64, ValueError> {
    units::whole(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (range.start(), range.end());
        ValueError::new(error, format!("write whole seconds from {min} to {max}, without a unit"))
    })
}

/// A number that needs no explanation.
pub(super) fn whole(value: &str, range: &RangeInclusive<u32>) -> Result<u32, ValueError> {
    units::whole(value).and_then(|number| within(number, range)).map_err(|error| {
        let (min, max) = (range.start(), range.end());
        ValueError::new(error, format!("write a whole number from {min} to {max}"))
    })
}

/// The path of a file, or nothing.
pub(super) fn optional_path(value: &str) -> Result<Option<PathBuf>, ValueError> {
    if value.is_empty() { Ok(None) } else { path(value).map(Some) }
}

/// An absolute path: the program's folder is not its operator's.
fn path(value: &str) -> Result<PathBuf, ValueError> {
    let form =
        "write an absolute path such as /var/log/TrafficAlerted/alerts.jsonl, in quotes if it has spaces";
    let bare = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let label = match bare {
        _ if bare.contains('"') => "a quote within a path",
        _ if bare.contains(char::is_control) => "a control character within a path",
        _ if !bare.starts_with('/') => "not an absolute path",
        _ if bare.ends_with('/') => "a folder, not a file",
        _ => return Ok(PathBuf::from(bare)),
    };
    Err(ValueError::new(label, form))
}

/// A program and its arguments, or nothing.
fn command_words(value: &str) -> Result<Vec<String>, ValueError> {
    let form = "write the absolute path of a program and its arguments, with quotes around what has spaces: \
                /usr/local/bin/notify --to \"the operator\"; no shell reads it";
    let words = units::words(value).map_err(|error| ValueError::new(error.what, form).at(error.span))?;
    if words.iter().any(|keyword| keyword.contains(char::is_control)) {
        return Err(ValueError::new("a control character", form));
    }
    match words.first() {
        Some(program) if !program.starts_with('/') => Err(ValueError::new("not an absolute path", form)),
        _ => Ok(words),
    }
}

/// An address, the file that it stands in, or nothing.
fn webhook_url(value: &str) -> Result<Option<Secret>, ValueError> {
    if value.is_empty() {
        return Ok(None);
    }
    if value.starts_with('/') || value.starts_with('"') {
        return path(value).map(|path| Some(Secret::InFile(path)));
    }
    match alert::why_no_webhook(value) {
        None => Ok(Some(Secret::Here(value.to_owned()))),
        Some(why) => {
            let form =
                "write https://host/path or http://host/path, or the absolute path of a file that holds it";
            Err(ValueError::new(why, form))
        }
    }
}

/// A token, or nothing.
fn webhook_token(value: &str) -> Result<Option<Secret>, ValueError> {
    match alert::why_no_token(value) {
        _ if value.is_empty() => Ok(None),
        None => Ok(Some(Secret::Here(value.to_owned()))),
        Some(why) => Err(ValueError::new(why, "write the token alone, without `Bearer` and without quotes")),
    }
}

/// The file that a token stands in, or nothing.
fn webhook_token_file(value: &str, has_token: bool) -> Result<Option<Secret>, ValueError> {
    match optional_path(value)? {
        Some(_) if has_token => {
            let help = "keep one of the two; a file need not be readable for everybody";
            let error = ValueError::new("a second token", help);
            Err(error.against(SettingKey::WebhookToken, "the first"))
        }
        path => Ok(path.map(Secret::InFile)),
    }
}

/// A collector of logs, or nothing.
fn syslog_target(value: &str) -> Result<Option<SyslogTarget>, ValueError> {
    if value.is_empty() {
        return Ok(None);
    }
    let form = "write udp://host:port, tcp://host:port or unix:/dev/log";
    if value.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(ValueError::new("white space or a control character", form));
    }
    SyslogTarget::parse(value).map(Some).map_err(|why| ValueError::new(why, form))
}

/// Bytes of a file of alerts: from a handful of alerts to what nobody wants to read any more.
const ALERT_FILE_BYTES: RangeInclusive<u64> = 10_000..=100_000_000_000;

/// Files of alerts that were put aside.
const ALERT_FILE_KEEP: RangeInclusive<u32> = 0..=1000;

/// Seconds that a program may take for an alert, while the next ones wait.
const ALERT_COMMAND_TIMEOUT_S: RangeInclusive<u64> = 1..=600;
