//! The options of all sinks.

use std::io::Write;

use crate::enrich::{GeoIpOptions, ReverseDnsOptions};
use crate::logging::LinePrefix;

use super::command::{AlertCommand, CommandOptions};
use super::file::{AlertFile, FileOptions};
use super::log::LogSink;
use super::retry::Retry;
use super::syslog::{Syslog, SyslogOptions};
use super::webhook::{Webhook, WebhookOptions};
use super::worker::Sink;

/// The options of all sinks, and of the lookups about sources. A sink except the log exists if its field is set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SinkOptions {
    /// Pauses between attempts.
    pub retry: Retry,
    /// The name servers for names of hosts, and the timeout of a lookup; `None` turns reverse DNS off.
    pub names: Option<ReverseDnsOptions>,
    /// The GeoIP databases.
    pub geoip: GeoIpOptions,
    /// `AlertFile`.
    pub file: Option<FileOptions>,
    /// `AlertCommand`.
    pub command: Option<CommandOptions>,
    /// `WebhookURL`.
    pub webhook: Option<WebhookOptions>,
    /// `Syslog`.
    pub syslog: Option<SyslogOptions>,
}

impl SinkOptions {
    /// Creates every configured sink, the log first. The log writes to `out`, with `prefix` before each line.
    pub(super) fn sinks(&self, out: impl Write + Send + 'static, prefix: LinePrefix) -> Vec<Box<dyn Sink>> {
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(LogSink::new(out, prefix))];
        if let Some(file) = &self.file {
            sinks.push(Box::new(AlertFile::new(file.clone(), self.retry)));
        }
        if let Some(command) = &self.command {
            sinks.push(Box::new(AlertCommand::new(command.clone(), self.retry)));
        }
        if let Some(webhook) = &self.webhook {
            sinks.push(Box::new(Webhook::new(webhook.clone(), self.retry)));
        }
        if let Some(syslog) = &self.syslog {
            sinks.push(Box::new(Syslog::new(syslog.clone(), self.retry)));
        }
        sinks
    }
}
