//! The options of all sinks.

use std::io::Write;
use std::sync::Arc;

use crate::enrich::{GeoIpOptions, ReverseDnsOptions};
use crate::logging::LinePrefix;

use super::command::{AlertCommand, CommandHelper, CommandOptions};
use super::counters::SinkName;
use super::file::{AlertFile, FileOptions};
use super::log::LogSink;
use super::rate::AlertRate;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::syslog::{Syslog, SyslogOptions};
use super::webhook::{Webhook, WebhookOptions};
use super::worker::{Failure, QueuedNotice, Sink};

/// The options of all sinks, and of the lookups about sources. A sink except the log exists if its field is set.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SinkOptions {
    /// Pauses between attempts.
    pub retry: Retry,
    /// How many notices program, webhook and syslog get one by one; `None` if all.
    pub rate: Option<AlertRate>,
    /// The name servers for names of hosts, and the timeout of a lookup; `None` turns reverse DNS off.
    pub names: Option<ReverseDnsOptions>,
    /// The GeoIP databases.
    pub geoip: GeoIpOptions,
    /// `AlertFile`.
    pub file: Option<FileOptions>,
    /// `AlertCommand`.
    pub command: Option<CommandOptions>,
    /// What runs the program of `AlertCommand`, and was started with that program. Without it, notices for the program
    /// wait for a restart.
    pub helper: Option<CommandHelper>,
    /// `WebhookURL`.
    pub webhook: Option<WebhookOptions>,
    /// `Syslog`.
    pub syslog: Option<SyslogOptions>,
    /// Configuration keys whose fault the caller has logged. The start of such a sink, and the reading of such a
    /// database, logs no failure.
    pub faults_logged: Vec<&'static str>,
}

impl SinkOptions {
    /// Creates every configured sink, the log first. The log writes to `out`, with `prefix` before each line.
    pub(super) fn sinks(&self, out: impl Write + Send + 'static, prefix: LinePrefix) -> Vec<Box<dyn Sink>> {
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(LogSink::new(out, prefix))];
        sinks.extend(self.configurable());
        sinks
    }

    /// Creates every configured sink but the log, which has no option.
    pub(super) fn configurable(&self) -> Vec<Box<dyn Sink>> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        if let Some(file) = &self.file {
            sinks.push(Box::new(AlertFile::new(file.clone(), self.retry)));
        }
        if let Some(command) = &self.command {
            sinks.push(Box::new(AlertCommand::new(command.clone(), self.retry, self.helper.clone())));
        }
        if let Some(webhook) = &self.webhook {
            sinks.push(Box::new(Webhook::new(webhook.clone(), self.retry)));
        }
        if let Some(syslog) = &self.syslog {
            sinks.push(Box::new(Syslog::new(syslog.clone(), self.retry)));
        }
        let configured = |sink: Box<dyn Sink>| -> Box<dyn Sink> {
            let name = sink.name();
            let is_limited = matches!(name, SinkName::Command | SinkName::Webhook | SinkName::Syslog);
            let rate = self.rate.filter(|_| is_limited);
            let has_known_fault = self.faults_logged.contains(&name.name());
            Box::new(ConfiguredSink { sink, rate, has_known_fault })
        };
        sinks.into_iter().map(configured).collect()
    }
}

/// A sink with the options that are not of its kind.
struct ConfiguredSink {
    sink: Box<dyn Sink>,
    rate: Option<AlertRate>,
    /// True if its start fails for a reason that is logged already.
    has_known_fault: bool,
}

impl Sink for ConfiguredSink {
    fn name(&self) -> SinkName {
        self.sink.name()
    }

    fn retry(&self) -> Retry {
        self.sink.retry()
    }

    fn wants_growth(&self) -> bool {
        self.sink.wants_growth()
    }

    fn rate(&self) -> Option<AlertRate> {
        self.rate
    }

    fn queue_max(&self) -> usize {
        self.sink.queue_max()
    }

    fn batch_max(&self) -> usize {
        self.sink.batch_max()
    }

    fn caveat(&self) -> Option<&'static str> {
        self.sink.caveat()
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let begun = self.sink.begin();
        // If a known fault lasts, the first delivery fails and logs it with its consequence.
        if self.has_known_fault { Ok(()) } else { begun }
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], shutdown: &Shutdown) -> Result<usize, Failure> {
        self.sink.deliver(batch, shutdown)
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use crate::alert::sink::body::WebhookFormat;
    use crate::alert::sink::secret::Secret;

    use super::*;

    #[test]
    fn a_sink_whose_fault_is_logged_takes_the_same_notices_as_before() {
        let webhook = WebhookOptions::new(Secret::InFile("/none".into()), WebhookFormat::Ntfy, None);
        for (format, notify_growth) in
            [(WebhookFormat::Ntfy, false), (WebhookFormat::Ntfy, true), (WebhookFormat::Json, false)]
        {
            let webhook = Some(WebhookOptions { format, notify_growth, ..webhook.clone() });
            let known = SinkOptions { webhook, faults_logged: vec!["WebhookURL"], ..SinkOptions::default() };
            let unknown = SinkOptions { faults_logged: Vec::new(), ..known.clone() };
            let [known, unknown] = [known, unknown].map(|options| {
                let sinks = options.sinks(Vec::new(), LinePrefix::Clock(TimeZone::UTC));
                let taken =
                    |sink: &dyn Sink| (sink.name(), sink.wants_growth(), sink.queue_max(), sink.batch_max());
                sinks.iter().map(|sink| taken(&**sink)).collect::<Vec<_>>()
            });
            assert_eq!(known, unknown);
            assert_eq!(
                known[1].1,
                notify_growth || format == WebhookFormat::Json,
                "{format:?} {notify_growth}"
            );
        }
    }
}
