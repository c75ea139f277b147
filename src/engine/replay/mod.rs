//! Capture files through the same pipeline, windows and ledger as live traffic, in capture time.
//!
//! ```text
//!   capture::Replay --frames--> Clock (cuts ticks) --> FramePipeline --delta of a tick--> Judge (analyst, totals)
//! ```
//!
//! All of it runs on the thread of the caller, and one delta serves all ticks: it is folded where it was filled, and
//! nothing is copied. `Workers` is a setting of live capture and has no effect here.

mod clock;
mod judge;
mod outcome;

use std::path::{Path, PathBuf};

use crate::capture::{Batch, FrameSource, Replay, ReplayError};
use crate::flow::{Delta, DeltaLimits, Seed, slot_span};

use super::pipeline::FramePipeline;
use super::rules::{MemoryError, Rules};

use clock::Clock;
use judge::Judge;

pub use outcome::Replayed;

/// Replays captures one after the other, as one stream, and keeps their totals, which take memory for every pair.
///
/// Time never goes back: a frame that is stamped earlier than the one before it belongs to the moment of that one.
///
/// # Errors
/// The rules allow less memory than a window needs. What is wrong with a capture is in [`Replayed::broken`].
pub fn replay(captures: &[PathBuf], rules: &Rules) -> Result<Replayed, MemoryError> {
    run(captures, rules, true)
}

/// Replays captures as [`replay`] does, without their totals.
///
/// # Errors
/// The rules allow less memory than a window needs. What is wrong with a capture is in [`Replayed::broken`].
pub fn replay_alerts(captures: &[PathBuf], rules: &Rules) -> Result<Replayed, MemoryError> {
    run(captures, rules, false)
}

fn run(captures: &[PathBuf], rules: &Rules, keeps_totals: bool) -> Result<Replayed, MemoryError> {
    let limits = rules.limits(1)?;
    let seed = Seed::default();
    // A tick has at most this many frames, so that one delta holds it: a frame adds a row for its pair and one for the
    // pair that it quotes, and one for a port, and IPv6 has half the room. Rows take memory only when they are used.
    // The longer the ticks, the fewer rows are folded when few hosts send the same again and again.
    let frames_max = limits.delta.pairs_max * 2;
    let ports_max = if limits.delta.ports_max > 0 { frames_max * 2 } else { 0 };
    let delta_limits = DeltaLimits { pairs_max: frames_max * 4, ports_max, ..limits.delta };
    let mut stream = Stream {
        clock: Clock::new(slot_span(rules.flow.traffic_interval), frames_max.try_into().unwrap_or(u32::MAX)),
        pipeline: FramePipeline::new(rules.detect.need_received_bytes()),
        delta: Delta::new(delta_limits, seed.clone()),
        judge: Judge::new(rules, &limits, seed, keeps_totals),
    };
    let broken = captures.iter().find_map(|path| stream.replay(path).err());
    Ok(stream.finish(broken))
}

/// The captures as one stream of frames.
struct Stream {
    clock: Clock,
    pipeline: FramePipeline,
    delta: Delta,
    judge: Judge,
}

impl Stream {
    /// Counts the frames of one capture, and judges each tick that a frame ends.
    fn replay(&mut self, path: &Path) -> Result<(), ReplayError> {
        let Self { clock, pipeline, delta, judge } = self;
        let mut source = Replay::open(path)?;
        while let Some(batch) = source.next_batch()? {
            for frame in batch.frames() {
                if let Some(tick) = clock.advance(frame.seen_at) {
                    pipeline.finish(delta);
                    judge.end(delta, &tick);
                }
                pipeline.take(&batch, &frame, delta);
            }
            pipeline.finish(delta);
        }
        Ok(())
    }

    /// Judges the last tick.
    fn finish(mut self, broken: Option<ReplayError>) -> Replayed {
        if let Some(tick) = self.clock.end(None) {
            self.judge.end(&mut self.delta, &tick);
        }
        self.judge.finish(broken)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::alert::Alert;
    use crate::packet::{Endpoints, Summary, Transport};
    use crate::time::UnixNanos;
    use crate::{alert, detect, flow};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Seconds between its opening and its end of each alert about a host that bursts at these seconds.
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
        };
        let limits = rules.limits(1).expect("enough memory");
        let seed = Seed::default();
        let mut clock = Clock::new(slot_span(rules.flow.traffic_interval), u32::MAX);
        let mut delta = Delta::new(limits.delta, seed.clone());
        let mut judge = Judge::new(&rules, &limits, seed, false);
        for second in bursts {
            let seen_at = UnixNanos(second * SECOND);
            if let Some(tick) = clock.advance(seen_at) {
                judge.end(&mut delta, &tick);
            }
            let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
            let transport = Transport::Other;
            let burst = Summary::plain(endpoints, 1001, 47, transport);
            delta.count(flow::InterfaceDirection::default(), &burst, seen_at);
        }
        judge.end(&mut delta, &clock.end(None).expect("a frame was counted"));
        let lasted = |alert: &Alert| alert.closed_at.map(|end| (end.0 - alert.opened_at.0) / SECOND);
        judge.alerts().iter().map(lasted).collect()
    }

    /// Bytes are in the window for nine to ten seconds, and the alert closes ten seconds later, whether or not
    /// anything else was captured meanwhile.
    #[test]
    fn a_gap_closes_an_alert_when_it_would_have_closed_live() {
        assert_eq!(alerts(&[1000], 0), [None]);
        assert_eq!(alerts(&[1000, 1015], 0), [None], "five seconds under the limit");
        assert_eq!(alerts(&[1000, 1018, 1036], 0), [None]);
        assert_eq!(alerts(&[1000, 1020], 0), [Some(19), None]);
        assert_eq!(alerts(&[1000, 1_000_000_000], 0), [Some(19), None], "years later");
    }

    #[test]
    fn an_alert_that_opens_again_within_the_cooldown_is_one() {
        assert_eq!(alerts(&[1000, 1023], 5), [None]);
        assert_eq!(alerts(&[1000, 1024], 5), [Some(19), None]);
        assert_eq!(alerts(&[1000, 1022, 1060], 5), [Some(41), None]);
    }
}
