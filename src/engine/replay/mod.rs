//! Replay: capture files pass the same pipeline, windows and ledger as live traffic, in capture time.
//!
//! ```text
//!   capture::Replay --frames--> Clock (cuts ticks) --> FramePipeline --delta of a tick--> ReplayAnalyst
//! ```
//!
//! All of it runs on the thread of the caller. One delta is used for all ticks: it is folded in place after each tick
//! and then cleared. `Workers` is a setting of live capture and has no effect here.

mod analyst;
mod clock;
mod outcome;

use std::path::{Path, PathBuf};

use crate::capture::{Batch, CaptureReport, DirectionPolicy, FrameSource, Replay, ReplayError};
use crate::flow::{Delta, DeltaLimits, Seed, slot_span};

use super::pipeline::FramePipeline;
use super::rules::{MemoryError, Rules};

use analyst::ReplayAnalyst;
use clock::Clock;

pub use outcome::Replayed;

/// Replays captures one after the other, as one stream, and returns their totals too, which take memory for every pair.
///
/// Time never goes back: a frame with an earlier timestamp than the one before gets the time of that one.
///
/// # Errors
/// The rules allow less memory than a window needs. The error of a capture is in [`Replayed::broken`].
pub fn replay(captures: &[PathBuf], rules: &Rules) -> Result<Replayed, MemoryError> {
    run(captures, rules, true)
}

/// Replays captures as [`replay`] does, without their totals.
///
/// # Errors
/// The rules allow less memory than a window needs. The error of a capture is in [`Replayed::broken`].
pub fn replay_alerts(captures: &[PathBuf], rules: &Rules) -> Result<Replayed, MemoryError> {
    run(captures, rules, false)
}

fn run(captures: &[PathBuf], rules: &Rules, keeps_totals: bool) -> Result<Replayed, MemoryError> {
    let limits = rules.limits(1)?;
    let seed = Seed::default();
    // A tick has at most this many frames, so that its counts fit one delta. A frame adds at most two rows of pairs,
    // its own and the one that it quotes, and one row of a port; there are half as many rows for IPv6. Rows take memory
    // only when they are used. With longer ticks, fewer rows are folded if few hosts send many packets.
    let frames_max = limits.delta.pairs_max * 2;
    let ports_max = if limits.delta.ports_max > 0 { frames_max * 2 } else { 0 };
    let delta_limits = DeltaLimits { pairs_max: frames_max * 4, ports_max, ..limits.delta };
    let mut stream = Stream {
        clock: Clock::new(slot_span(rules.flow.traffic_interval), frames_max.try_into().unwrap_or(u32::MAX)),
        pipeline: FramePipeline::new(rules.detect.need_received_bytes()),
        delta: Delta::new(delta_limits, seed.clone()),
        analyst: ReplayAnalyst::new(rules, &limits, seed, keeps_totals),
        direction: rules.direction,
        captures: Vec::new(),
    };
    let broken = captures.iter().find_map(|path| stream.replay(path).err());
    Ok(stream.finish(broken))
}

/// The captures as one stream of frames.
struct Stream {
    clock: Clock,
    pipeline: FramePipeline,
    delta: Delta,
    analyst: ReplayAnalyst,
    direction: DirectionPolicy,
    captures: Vec<CaptureReport>,
}

impl Stream {
    /// Counts the frames of one capture, and judges after each tick.
    fn replay(&mut self, path: &Path) -> Result<(), ReplayError> {
        let mut source = Replay::open(path)?.with_direction(self.direction);
        let result = self.count(&mut source);
        self.captures.push(source.report());
        result
    }

    fn count(&mut self, source: &mut Replay) -> Result<(), ReplayError> {
        let Self { clock, pipeline, delta, analyst, .. } = self;
        while let Some(batch) = source.next_batch()? {
            for frame in batch.frames() {
                if let Some(tick) = clock.advance(frame.seen_at) {
                    pipeline.finish(delta);
                    analyst.end(delta, &tick);
                }
                pipeline.decode_frame(&batch, &frame, delta);
            }
            pipeline.finish(delta);
        }
        Ok(())
    }

    /// Judges after the last tick, and returns the result. `broken` is the error that ended the replay.
    fn finish(mut self, broken: Option<ReplayError>) -> Replayed {
        if let Some(tick) = self.clock.end(None) {
            self.analyst.end(&mut self.delta, &tick);
        }
        self.analyst.finish(self.captures, broken)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::alert::Alert;
    use crate::packet::{Endpoints, Summary, Transport};
    use crate::time::UnixNanos;
    use crate::{alert, capture, detect, flow};

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
            if let Some(tick) = clock.advance(seen_at) {
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
