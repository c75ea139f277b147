//! Whether alerts arrive: one sample to each sink, one attempt each, and what came of it.

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

use super::SinkOptions;
use super::counters::SinkName;
use super::shutdown::Shutdown;
use super::worker::{QueuedNotice, Sink};

/// What came of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryTest {
    /// Where it was sent.
    pub sink: SinkName,
    /// How long that took, or why it did not arrive and what helps.
    pub outcome: Result<Duration, String>,
    /// What success does not say there.
    pub caveat: Option<&'static str>,
}

impl SinkOptions {
    /// Sends a sample to every sink, at the same time and with the deadlines that are in force, and waits for
    /// all of them.
    ///
    /// # Errors
    /// When the system gives no thread or descriptor.
    pub fn try_out(
        &self,
        out: impl Write + Send + 'static,
        prefix: LinePrefix,
    ) -> io::Result<Vec<DeliveryTest>> {
        let at = unix_now();
        let notice = Notice::Test(sample::alert(at));
        let said = Arc::new(QueuedNotice::new(1, at, notice));
        if let Some(names) = &self.names {
            said.ask_for_name(&ReverseDns::new(names.clone()));
        }
        said.look_up_origin(&GeoIp::read(self.geoip.clone()));
        let shutdown = Shutdown::new()?;
        let begun: Vec<_> = self
            .sinks(out, prefix)
            .into_iter()
            .map(|sink| Ok((sink.name(), sink.caveat(), begin(sink, &said, &shutdown)?)))
            .collect::<io::Result<_>>()?;
        let patience = self.patience();
        let deadline = Instant::now() + patience;
        let trials = begun.into_iter().map(|(sink, caveat, outcome)| {
            let left = deadline.saturating_duration_since(Instant::now());
            let outcome = outcome
                .recv_timeout(left)
                .unwrap_or_else(|_| Err(format!("nothing came of it in {} seconds", patience.as_secs())));
            DeliveryTest { sink, outcome, caveat }
        });
        let trials = trials.collect();
        shutdown.now();
        Ok(trials)
    }

    /// Longer than each deadline, for a disk that hangs.
    fn patience(&self) -> Duration {
        let command = self.command.as_ref().map_or(Duration::ZERO, |command| command.time_limit);
        PATIENCE + command
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

type DeliveryOutcome = Result<Duration, String>;

fn begin(
    mut sink: Box<dyn Sink>,
    said: &Arc<QueuedNotice>,
    shutdown: &Shutdown,
) -> io::Result<Receiver<DeliveryOutcome>> {
    let (done, outcome) = channel();
    let (said, shutdown) = (Arc::clone(said), shutdown.clone());
    thread::Builder::new().name(sink.name().name().to_owned()).spawn(move || {
        let began = Instant::now();
        let delivered = sink.begin().and_then(|()| sink.deliver(&[said], &shutdown));
        // Nobody waits for it any more when patience has ended.
        let _ = done.send(delivered.map(|_| began.elapsed()).map_err(|failure| failure.why));
    })?;
    Ok(outcome)
}
