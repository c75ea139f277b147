//! Which sinks are configured.

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

/// The sinks besides the log, each if it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SinkOptions {
    /// Pauses between attempts.
    pub retry: Retry,
    /// Which name servers to ask for names of hosts; `None` for no reverse DNS.
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
    /// Builds every sink, the log first.
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
