//! Replay: capture files pass the same pipeline, windows and ledger as live traffic, in capture time.
//!
//! ```text
//!   capture::Replay --frames--> Clock (cuts ticks) --> FramePipeline --delta of a tick--> ReplayAnalyst
//! ```
//!
//! All of it runs on the thread of the caller. One delta is used for all ticks: it is folded in place after each tick
//! and then cleared. `Workers` is a setting of live capture and has no effect here.
//!
//! Several sets of rules are replayed together: each has a [`Stream`], and each batch of frames is given to all of
//! them, so that a pipe is read once.

mod analyst;
mod clock;
mod held;
mod interrupt;
mod order;
mod outcome;
mod run;
mod stream;
mod timing;
mod understanding;

use std::path::PathBuf;

use crate::capture::{Batch, DirectionPolicy, FrameSource, Replay, ReplayError, capture_name};

use super::rules::{MemoryError, Rules};

use stream::Stream;

pub use held::FramePlace;
pub use interrupt::Interrupt;
pub use outcome::{CaptureRead, ReplayOutcome, Replayed};
pub use timing::{Occurrences, TimingReport};
pub use understanding::Understanding;

/// Is told how a replay proceeds. All methods do nothing by default.
pub trait ReplayObserver {
    /// The captures are read in this order, which is not the order in which they were given.
    fn reordered(&mut self, captures: &[PathBuf]) {
        let _ = captures;
    }

    /// Returns true if [`read_some`](Self::read_some) is to be called.
    fn wants_progress(&self) -> bool {
        false
    }

    /// This many further frames were read, which take this many bytes in their capture, block headers estimated.
    fn read_some(&mut self, frames: u64, bytes: u64) {
        let _ = (frames, bytes);
    }

    /// A capture was read to its end, to a fault, or to an interruption.
    fn read(&mut self, capture: &CaptureRead) {
        let _ = capture;
    }
}

/// Observes nothing.
impl ReplayObserver for () {}

/// What to replay.
#[derive(Clone, Copy, Debug)]
pub struct ReplayJob<'a> {
    /// The captures. They are read one after the other, as one stream, in the order of their first frames.
    pub captures: &'a [PathBuf],
    /// True if the totals of hosts and pairs are kept, which take memory for every pair.
    pub keeps_totals: bool,
    /// What ends the replay before the end of the captures; `None` if nothing does.
    pub interrupt: Option<&'a Interrupt>,
}

/// Replays captures with one set of rules, and returns their totals too, which take memory for every pair, and how far
/// each capture was read.
///
/// # Errors
/// The rules allow less memory than a window needs. The error of a capture is in [`CaptureRead::error`].
pub fn replay(captures: &[PathBuf], rules: &Rules) -> Result<(Replayed, Vec<CaptureRead>), MemoryError> {
    let job = ReplayJob { captures, keeps_totals: true, interrupt: None };
    let mut outcome = job.run(&[rules], &mut ())?;
    let result = outcome.results.pop().expect("there is one result for each set of rules");
    Ok((result, outcome.captures))
}

impl ReplayJob<'_> {
    /// Reads the captures once, for several sets of rules at the same time. A faulty capture does not end the others.
    ///
    /// # Errors
    /// Some rules allow less memory than a window needs. The errors of captures are in [`ReplayOutcome::captures`].
    pub fn run(
        &self,
        rules: &[&Rules],
        observer: &mut dyn ReplayObserver,
    ) -> Result<ReplayOutcome, MemoryError> {
        let streams = rules.iter().map(|rules| Stream::new(rules, self.keeps_totals));
        let mut streams: Vec<Stream> = streams.collect::<Result<_, _>>()?;
        let in_order = order::by_first_frame(self.captures);
        if in_order != self.captures {
            observer.reordered(&in_order);
        }
        let mut captures = Vec::with_capacity(in_order.len());
        for (index, path) in in_order.into_iter().enumerate() {
            if self.is_interrupted() {
                break;
            }
            let understanding = Understanding::default();
            let mut capture = CaptureRead { path, frames: 0, understanding, report: None, error: None };
            let result = self.read(index, &mut capture, &mut streams, observer);
            // What an interruption cuts off is not a fault of the capture.
            capture.error = result.err().filter(|_| !self.is_interrupted());
            observer.read(&capture);
            captures.push(capture);
        }
        let results = streams.into_iter().map(Stream::finish).collect();
        Ok(ReplayOutcome { results, captures, is_interrupted: self.is_interrupted() })
    }

    /// Counts the frames of one capture.
    fn read(
        &self,
        index: usize,
        capture: &mut CaptureRead,
        streams: &mut [Stream],
        observer: &mut dyn ReplayObserver,
    ) -> Result<(), ReplayError> {
        let pipe = self.interrupt.and_then(|interrupt| interrupt.open_pipe(&capture.path));
        // A pipe ends by itself when a signal comes. What was read from it before still counts.
        let ends_by_itself = pipe.is_some();
        let policy = streams.first().map_or(DirectionPolicy::Auto, Stream::direction);
        let mut source = match pipe {
            Some(reader) => Replay::from_reader(capture_name(&capture.path), reader),
            None => Replay::open(&capture.path),
        }?
        .with_direction(policy);
        for stream in &mut *streams {
            stream.begin(&source);
        }
        let result = self.read_frames(index, capture, &mut source, streams, observer, ends_by_itself);
        capture.report = Some(source.report());
        result
    }

    fn read_frames(
        &self,
        index: usize,
        capture: &mut CaptureRead,
        source: &mut Replay,
        streams: &mut [Stream],
        observer: &mut dyn ReplayObserver,
        ends_by_itself: bool,
    ) -> Result<(), ReplayError> {
        while (ends_by_itself || !self.is_interrupted())
            && let Some(batch) = source.next_batch()?
        {
            let before = FramePlace { capture: index, number: capture.frames };
            for stream in &mut *streams {
                stream.count_replayed(batch, before);
            }
            capture.understanding.look_at(&batch);
            let frames = batch.frames().len() as u64;
            capture.frames += frames;
            if observer.wants_progress() {
                let bytes = batch.frames().map(|frame| frame.bytes.len() as u64 + RECORD_HEADER_BYTES);
                observer.read_some(frames, bytes.sum());
            }
        }
        Ok(())
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_some_and(|interrupt| interrupt.signal().is_some())
    }
}

/// Bytes of a record header of pcap, by which the bytes that were read are estimated.
const RECORD_HEADER_BYTES: u64 = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::alert::Alert;
    use crate::flow::{Delta, Seed, slot_span};
    use crate::packet::{Endpoints, Summary, Transport};
    use crate::time::{Moment, UnixNanos};
    use crate::{alert, capture, detect, flow};

    use super::analyst::ReplayAnalyst;
    use super::clock::Clock;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Returns, for each alert, the seconds from opening to close; `None` for one that is open. A host exceeds the
    /// limit with a burst at each of these seconds.
    fn alerts(bursts: &[u64], cooldown_s: u64) -> Vec<Option<u64>> {
        let rules = Rules {
            flow: flow::Options {
                traffic_interval: Duration::from_secs(10),
                port_interval: None,
                chart_bytes_min: 0,
                group_ipv6: None,
                memory_bytes_max: 64 << 20,
            },
            detect: detect::Limits {
                hosts: detect::HostLimits::default().with(detect::FindingKind::Traffic, Some(1000)),
                ..Default::default()
            },
            alert: alert::Options { cooldown: Duration::from_secs(cooldown_s), ..alert::Options::default() },
            direction: capture::DirectionPolicy::Auto,
        };
        let limits = rules.limits(1).expect("enough memory");
        let seed = Seed::default();
        let mut clock = Clock::new(slot_span(rules.flow.traffic_interval), u32::MAX);
        let mut delta = Delta::new(limits.delta, seed.clone());
        let mut analyst = ReplayAnalyst::new(&rules, &limits, seed, false);
        for second in bursts {
            let seen_at = UnixNanos(second * SECOND);
            if let Some(tick) = clock.advance(Moment(seen_at.0)) {
                analyst.end(&mut delta, &tick);
            }
            let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
            let transport = Transport::Other;
            let burst = Summary::plain(endpoints, 1001, 47, transport);
            delta.count(flow::InterfaceDirection::default(), &burst, seen_at);
        }
        analyst.end(&mut delta, &clock.end(None).expect("a frame was counted"));
        let lasted = |alert: &Alert| alert.closed_at.map(|end| (end.0 - alert.opened_at.0) / SECOND);
        analyst.alerts().iter().map(lasted).collect()
    }

    /// Bytes are in the window for nine to ten seconds, and the alert closes ten seconds later, even if nothing else is
    /// captured in that time.
    #[test]
    fn a_gap_closes_an_alert_when_it_would_have_closed_live() {
        assert_eq!(alerts(&[1000], 0), [None]);
        assert_eq!(alerts(&[1000, 1015], 0), [None], "five seconds under the limit");
        assert_eq!(alerts(&[1000, 1018, 1036], 0), [None]);
        assert_eq!(alerts(&[1000, 1020], 0), [Some(19), None]);
        assert_eq!(alerts(&[1000, 1_000_000_000], 0), [Some(19), None], "years later");
    }

    #[test]
    fn an_alert_that_opens_again_within_the_cooldown_is_the_same_alert() {
        assert_eq!(alerts(&[1000, 1023], 5), [None]);
        assert_eq!(alerts(&[1000, 1024], 5), [Some(19), None]);
        assert_eq!(alerts(&[1000, 1022, 1060], 5), [Some(41), None]);
    }
}
