//! The log as a sink: one line on stderr for each notice, as text or as a JSON object.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use crate::alert::json;
use crate::alert::line::Line;
use crate::alert::record::OPEN_ALERTS_MAX;
use crate::enrich::HostDetails;
use crate::logging::LinePrefix;

use super::counters::SinkName;
use super::retry::Retry;
use super::shutdown::Shutdown;
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

    fn queue_max(&self) -> usize {
        LOCAL_QUEUE_MAX
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        let QueuedNotice { at, notice, .. } = &*batch[0];
        // Each line is one write, so that the lines of several writers to one log do not mix.
        let prefix = self.prefix.at(*at, Level::WARN);
        let line = match self.prefix.is_json() {
            true => format!("{prefix}{}\n", json::text(notice, HostDetails::default())),
            false => format!("{prefix}{}\n", Line(notice)),
        };
        match self.out.write_all(line.as_bytes()) {
            Ok(()) => Ok(1),
            Err(error) => Err(Failure::lasting(format!("a line cannot be written to stderr: {error}"))),
        }
    }
}
