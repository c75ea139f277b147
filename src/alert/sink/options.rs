//! The options of all sinks.

use std::io::Write;
use std::sync::Arc;

use crate::enrich::{GeoIpOptions, ReverseDnsOptions};
use crate::logging::LinePrefix;

use super::command::{AlertCommand, CommandHelper, CommandOptions};
use super::counters::SinkName;
use super::file::{AlertFile, FileOptions};
use super::log::LogSink;
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
        let is_known = |sink: &dyn Sink| self.faults_logged.contains(&sink.name().name());
        let mark = |sink: Box<dyn Sink>| -> Box<dyn Sink> {
            if is_known(&*sink) { Box::new(KnownFault(sink)) } else { sink }
        };
        sinks.into_iter().map(mark).collect()
    }
}

/// A sink whose start fails for a reason that is logged already.
struct KnownFault(Box<dyn Sink>);

impl Sink for KnownFault {
    fn name(&self) -> SinkName {
        self.0.name()
    }

    fn retry(&self) -> Retry {
        self.0.retry()
    }

    fn wants_growth(&self) -> bool {
        self.0.wants_growth()
    }

    fn queue_max(&self) -> usize {
        self.0.queue_max()
    }

    fn batch_max(&self) -> usize {
        self.0.batch_max()
    }

    fn caveat(&self) -> Option<&'static str> {
        self.0.caveat()
    }

    fn begin(&mut self) -> Result<(), Failure> {
        // If the fault lasts, the first delivery fails and logs it with its consequence.
        let _ = self.0.begin();
        Ok(())
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], shutdown: &Shutdown) -> Result<usize, Failure> {
        self.0.deliver(batch, shutdown)
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
