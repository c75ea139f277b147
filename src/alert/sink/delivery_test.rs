//! `test-alert`: one attempt to deliver a sample to each sink, and the outcomes.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::alert::notice::Notice;
use crate::alert::sample;
use crate::enrich::{GeoIp, ReverseDns};
use crate::logging::LinePrefix;
use crate::time::unix_now;

use super::counters::SinkName;
use super::options::SinkOptions;
use super::shutdown::Shutdown;
use super::worker::{QueuedNotice, Sink};

/// The outcome of a sample at one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryTest {
    /// The sink.
    pub sink: SinkName,
    /// How long the delivery took, or the sentence about its failure and the remedy.
    pub outcome: Result<Duration, String>,
    /// The sentence about what a success does not prove at this sink; `None` if it proves that the sample arrived.
    pub caveat: Option<&'static str>,
}

impl SinkOptions {
    /// Sends a sample to every sink at the same time, with the timeouts of the options. Waits for all outcomes and
    /// returns them.
    ///
    /// # Errors
    /// The system cannot create a thread or descriptor.
    pub fn try_out(
        &self,
        out: impl Write + Send + 'static,
        prefix: LinePrefix,
    ) -> io::Result<Vec<DeliveryTest>> {
        let at = unix_now();
        let notice = Notice::Test(sample::alert(at));
        let queued = Arc::new(QueuedNotice::new(1, at, notice));
        if let Some(names) = &self.names {
            queued.look_up_name(&ReverseDns::new(names.clone()));
        }
        queued.look_up_origin(&GeoIp::read(self.geoip.clone()));
        let shutdown = Shutdown::new()?;
        let begun: Vec<_> = self
            .sinks(out, prefix)
            .into_iter()
            .map(|sink| Ok((sink.name(), sink.caveat(), begin(sink, &queued, &shutdown)?)))
            .collect::<io::Result<_>>()?;
        let timeout = self.longest_delivery();
        let deadline = Instant::now() + timeout;
        let outcomes = begun.into_iter().map(|(sink, caveat, outcome)| {
            let left = deadline.saturating_duration_since(Instant::now());
            let outcome = outcome
                .recv_timeout(left)
                .unwrap_or_else(|_| Err(format!("nothing came of it in {} seconds", timeout.as_secs())));
            DeliveryTest { sink, outcome, caveat }
        });
        let outcomes = outcomes.collect();
        shutdown.now();
        Ok(outcomes)
    }

    /// Returns a time that is longer than the timeouts of all sinks. It ends the wait for a disk that hangs.
    fn longest_delivery(&self) -> Duration {
        let command = self.command.as_ref().map_or(Duration::ZERO, |command| command.time_limit);
        DELIVERY_MAX + command
    }
}

/// A time that is longer than the timeouts of all sinks except `AlertCommand`.
const DELIVERY_MAX: Duration = Duration::from_secs(30);

type DeliveryOutcome = Result<Duration, String>;

fn begin(
    mut sink: Box<dyn Sink>,
    queued: &Arc<QueuedNotice>,
    shutdown: &Shutdown,
) -> io::Result<Receiver<DeliveryOutcome>> {
    let (done, outcome) = channel();
    let (queued, shutdown) = (Arc::clone(queued), shutdown.clone());
    thread::Builder::new().name(sink.name().name().to_owned()).spawn(move || {
        let began = Instant::now();
        let delivered = sink.begin().and_then(|()| sink.deliver(&[queued], &shutdown));
        // After the deadline the receiver no longer exists.
        let _ = done.send(delivered.map(|_| began.elapsed()).map_err(|failure| failure.why));
    })?;
    Ok(outcome)
}
