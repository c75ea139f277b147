//! Whom alerts are told, side by side: log, file, program, webhook, syslog.
//!
//! ```text
//!                      /--> [queue] --> thread --> stderr
//!   analyst --Notice--+---> [queue] --> thread --> AlertFile
//!                      \--> [queue] --> thread --> WebhookURL ...
//! ```
//!
//! A sink has a bounded queue, a thread and deadlines of its own, so one that hangs or fails delays neither
//! the analyst nor another sink. All queues hold the same notice, not copies of it: what waits takes no more
//! memory than the longest queue with the largest alert. What a sink could not deliver is tried again after a
//! pause that doubles; what it had no room for, or gave up, is counted ([`SinkCounters`]) and said.
//!
//! [`Sinks::start`] after capabilities are dropped and signals are blocked: the threads inherit both.

mod body;
mod command;
mod counters;
mod delivery_test;
mod file;
mod log;
mod retry;
mod secret;
mod shutdown;
mod syslog;
mod webhook;
mod worker;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use body::WebhookFormat;
pub use command::CommandOptions;
pub use counters::{Counts, SinkCounters, SinkName};
pub use delivery_test::DeliveryTest;
pub use file::FileOptions;
pub use retry::Retry;
pub use secret::Secret;
pub use syslog::{Facility, SyslogOptions, SyslogTarget};
pub use webhook::{WebhookOptions, why_no_token, why_no_webhook};

use nix::unistd::gethostname;

use crate::enrich::{GeoIp, GeoIpOptions, ReverseDns, ReverseDnsOptions};
use crate::logging::LinePrefix;
use crate::time::UnixNanos;

use super::notice::Notice;
use command::AlertCommand;
use file::AlertFile;
use log::LogSink;
use syslog::Syslog;
use webhook::Webhook;
use worker::{QueuedNotice, Sink, SinkWorker};

/// The sinks besides the log, each if it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SinkOptions {
    /// Pauses between attempts.
    pub retry: Retry,
    /// Whether, and where, names are asked for.
    pub names: Option<ReverseDnsOptions>,
    /// Which files tell where a host comes from.
    pub geoip: GeoIpOptions,
    /// Where alerts are kept.
    pub file: Option<FileOptions>,
    /// What is run.
    pub command: Option<CommandOptions>,
    /// Where alerts are posted.
    pub webhook: Option<WebhookOptions>,
    /// Who collects logs.
    pub syslog: Option<SyslogOptions>,
}

impl SinkOptions {
    /// Every sink, the log first.
    fn sinks(&self, out: impl Write + Send + 'static, prefix: LinePrefix) -> Vec<Box<dyn Sink>> {
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

/// All sinks at work. Dropping it without [`finish`](Self::finish) loses what waits.
#[derive(Debug)]
pub struct Sinks {
    workers: Vec<SinkWorker>,
    counters: SinkCounters,
    geoip: GeoIp,
    said: u64,
    filed: Option<Arc<AtomicU64>>,
}

/// What a sink had done when the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkResult {
    /// Which one.
    pub sink: SinkName,
    /// What it had done.
    pub counts: Counts,
    /// Whether it had settled everything that it was given; if not, what waited is lost.
    pub in_time: bool,
}

/// What became of a notice at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueReceipt {
    /// The number of the notice, from 1 in the order in which they are said.
    pub number: u64,
    /// Whether the queue of `AlertFile` took it. Once [`Sinks::filed`] gives its number or a larger one, it
    /// is in the file, whole.
    pub is_for_file: bool,
}

impl Sinks {
    /// Starts a thread for each sink; the log's writes to `out`, each line behind the prefix of the log.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor. What was started ends by itself.
    pub fn start(
        out: impl Write + Send + 'static,
        prefix: LinePrefix,
        options: &SinkOptions,
    ) -> io::Result<Self> {
        Self::start_sinks(
            options.sinks(out, prefix),
            options.names.clone(),
            GeoIp::read(options.geoip.clone()),
        )
    }

    fn start_sinks(
        sinks: Vec<Box<dyn Sink>>,
        names: Option<ReverseDnsOptions>,
        geoip: GeoIp,
    ) -> io::Result<Self> {
        let names = names.map(|options| Arc::new(ReverseDns::new(options)));
        let counters = SinkCounters::new(sinks.iter().map(|sink| sink.name()));
        let mut filed = None;
        let mut workers = Vec::new();
        for (place, sink) in sinks.into_iter().enumerate() {
            let acknowledged = Arc::new(AtomicU64::new(0));
            if sink.name() == SinkName::File {
                filed = Some(Arc::clone(&acknowledged));
            }
            workers.push(SinkWorker::start(
                sink,
                counters.of(place),
                acknowledged,
                names.clone(),
                geoip.clone(),
            )?);
        }
        Ok(Self { workers, counters, geoip, said: 0, filed })
    }

    /// Queues a notice for every sink. Never waits: where there is no room it is counted as dropped.
    pub fn say(&mut self, at: UnixNanos, notice: Notice) -> QueueReceipt {
        self.said += 1;
        let said = Arc::new(QueuedNotice::new(self.said, at, notice));
        let mut is_for_file = false;
        for worker in &self.workers {
            let is_taken = worker.say(Arc::clone(&said));
            is_for_file |= is_taken && worker.name == SinkName::File;
        }
        QueueReceipt { number: self.said, is_for_file }
    }

    /// Of the notices that the queue of `AlertFile` took, the number of the last that is on the disk; those
    /// before it are too. 0 before the first, and without an `AlertFile`.
    pub fn filed(&self) -> u64 {
        self.filed.as_ref().map_or(0, |filed| filed.load(Ordering::Acquire))
    }

    /// The counters of all sinks, for whoever shows them.
    pub fn counters(&self) -> SinkCounters {
        self.counters.clone()
    }

    /// The files that tell where hosts come from, for whoever has them read again.
    pub fn geoip(&self) -> GeoIp {
        self.geoip.clone()
    }

    /// Gives each notice that waits one attempt, all sinks at the same time, and waits for them with bounded
    /// patience.
    pub fn finish(self, patience: ShutdownTimeouts) -> Vec<SinkResult> {
        let began = Instant::now();
        let closing: Vec<_> = self.workers.into_iter().map(SinkWorker::close).collect();
        let finished = closing.into_iter().map(|closing| {
            let sink = closing.name;
            let longest = if sink == SinkName::Log { patience.log } else { patience.others };
            let (counts, in_time) = closing.wait(began + longest);
            SinkResult { sink, counts, in_time }
        });
        finished.collect()
    }
}

/// How long the end waits for the sinks, from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutdownTimeouts {
    /// For the log, which takes its lines at once or not at all.
    pub log: Duration,
    /// For sinks that wait for a disk, a program or a network.
    pub others: Duration,
}

/// How this machine calls itself, to receivers that hear of several.
fn gateway_name() -> String {
    let name = gethostname().unwrap_or_default();
    // What a header, a label and a line can hold.
    let name: String = name.to_string_lossy().chars().filter(char::is_ascii_graphic).collect();
    if name.is_empty() { "gateway".to_owned() } else { name }
}

#[cfg(test)]
mod tests;
