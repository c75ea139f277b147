//! The log as a sink: on stderr, a line of text for each notice and a second one for each opening, or a JSON object.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use crate::alert::line::Line;
use crate::alert::record::OPEN_ALERTS_MAX;
use crate::alert::why_line::WhyLine;
use crate::enrich::HostDetails;
use crate::logging::LinePrefix;

use super::counters::SinkName;
use super::queued_notice::QueuedContent;
use super::retry::Retry;
use super::shutdown::Shutdown;
use super::summary::SummaryLine;
use super::worker::{Failure, QueuedNotice, Sink};

/// Maximum number of notices that wait for a sink on this machine: the number of alerts that one tick can open, since
/// the analyst may queue all of them before the first is written.
pub(super) const LOCAL_QUEUE_MAX: usize = OPEN_ALERTS_MAX;

/// Writes notices as lines.
pub(super) struct LogSink<W> {
    out: W,
    prefix: LinePrefix,
}

impl<W: Write + Send> LogSink<W> {
    pub(super) fn new(out: W, prefix: LinePrefix) -> Self {
        Self { out, prefix }
    }
}

impl<W: Write + Send> Sink for LogSink<W> {
    fn name(&self) -> SinkName {
        SinkName::Log
    }

    fn retry(&self) -> Retry {
        // A line that was written in part must not be repeated.
        Retry { give_up_after: Some(Duration::ZERO), ..Retry::default() }
    }

    fn wants_growth(&self) -> bool {
        true
    }

    fn queue_max(&self) -> usize {
        LOCAL_QUEUE_MAX
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        let queued = &*batch[0];
        let prefix = self.prefix.at(queued.at, Level::WARN);
        let lines = match &queued.content {
            _ if self.prefix.is_json() => format!("{prefix}{}\n", queued.json(HostDetails::default())),
            QueuedContent::Notice(notice) => {
                let why = WhyLine::of(notice).map(|why| format!("{prefix}{why}\n")).unwrap_or_default();
                format!("{prefix}{}\n{why}", Line(notice))
            }
            // The log has each notice, so only a database that another program wrote has a summary for it.
            QueuedContent::Summary(summary) => format!("{prefix}{}\n", SummaryLine(summary)),
        };
        // The lines of a notice are one write, so that those of several writers to one log do not mix.
        match self.out.write_all(lines.as_bytes()) {
            Ok(()) => Ok(1),
            Err(error) => Err(Failure::lasting(format!("a line cannot be written to stderr: {error}"))),
        }
    }
}
