//! Captures through the same intake, windows and ledger as live traffic, in capture time.

mod clock;
mod crew;
mod judge;

use std::path::PathBuf;

use crate::alert::Alert;
use crate::capture::{Batch, FrameSource, Replay, ReplayError};
use crate::flow::{Accounting, Delta, DeltaLimits, Seed, Window, slot_span};

use super::pipeline::FramePipeline;
use super::{MemoryError, Rules};

use clock::Clock;
use judge::Judge;

/// What captures hold, and what would have been said of it.
#[derive(Debug)]
pub struct Replayed {
    /// Sums over everything in the captures.
    pub accounting: Accounting,
    /// Everything in the captures, host by host and pair by pair without expiry, where that was asked for.
    pub totals: Option<Window>,
    /// The alerts in the order in which they opened; those that were open at the end have no end.
    pub alerts: Vec<Alert>,
    /// Where a capture broke off. Everything before was counted; the captures after it were not read.
    pub broken: Option<ReplayError>,
}

/// How captures are replayed. The result is the same for any number of workers.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Threads that decode and count. With one, all is done on the thread of the caller.
    pub workers: usize,
    /// Whether the totals are kept, which takes memory for every pair of the captures.
    pub keeps_totals: bool,
    /// What numbers of ports at one host are estimated with, where they are in evidence.
    pub seed: Seed,
}

/// Replays captures with their totals, on this thread; see [`replay_by`].
///
/// # Errors
/// When the rules allow less memory than a window needs. What is wrong with a capture is in the result.
pub fn replay(captures: &[PathBuf], rules: &Rules) -> Result<Replayed, MemoryError> {
    replay_by(captures, rules, ReplayOptions { workers: 1, keeps_totals: true, seed: Seed::default() })
}

/// Replays captures one after the other, as one stream. Time never goes back: a frame that is stamped
/// earlier than the one before it belongs to the moment of that one.
///
/// # Errors
/// When the rules allow less memory than a window needs. What is wrong with a capture is in the result.
pub fn replay_by(
    captures: &[PathBuf],
    rules: &Rules,
    options: ReplayOptions,
) -> Result<Replayed, MemoryError> {
    // The room is that of one worker: what finds none of it must not depend on how many there are.
    let limits = rules.limits(1)?;
    let ReplayOptions { workers, keeps_totals, seed } = options;
    // No tick has more frames than this, so that a delta holds it, whoever counts how much of it: a frame makes a row of
    // its pair and one of what it quotes, and one of a port, and IPv6 has half the room. Rows take memory only as they are
    // used. The longer the ticks, the less often is folded what few hosts do again and again.
    let frames_max = limits.delta.pairs_max * 2;
    let ports_max = if limits.delta.ports_max > 0 { frames_max * 2 } else { 0 };
    let delta_limits = DeltaLimits { pairs_max: frames_max * 4, ports_max, ..limits.delta };
    let new_delta = || Delta::new(delta_limits, seed.clone());
    // It fits: deltas are far smaller than what row numbers could tell apart.
    let clock = Clock::new(slot_span(rules.flow.traffic_interval), frames_max as u32);
    let counts_received = rules.detect.need_received_bytes();
    let mut judge = Judge::new(rules, &limits, seed.clone(), keeps_totals);
    let broken = match workers {
        0 | 1 => alone(captures, clock, new_delta(), counts_received, &mut judge),
        workers => crew::replay(captures, workers, clock, &new_delta, counts_received, &mut judge),
    };
    Ok(judge.finish(broken))
}

/// Replays on this thread: a delta is folded where it is counted, and nothing is copied.
fn alone(
    captures: &[PathBuf],
    mut clock: Clock,
    mut delta: Delta,
    counts_received: bool,
    judge: &mut Judge,
) -> Option<ReplayError> {
    let mut pipeline = FramePipeline::new(counts_received);
    let mut replay = |path: &PathBuf| -> Result<(), ReplayError> {
        let mut source = Replay::open(path)?;
        while let Some(batch) = source.next_batch()? {
            for frame in batch.frames() {
                if let Some(tick) = clock.turn(frame.seen_at) {
                    pipeline.finish(&mut delta);
                    judge.end(&mut delta, &tick);
                }
                pipeline.take(&batch, &frame, &mut delta);
            }
            pipeline.finish(&mut delta);
        }
        Ok(())
    };
    let broken = captures.iter().find_map(|path| replay(path).err());
    if let Some(tick) = clock.end(None) {
        judge.end(&mut delta, &tick);
    }
    broken
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
                hosts: detect::HostLimits { ip_bytes_max: Some(1000), ..Default::default() },
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
            if let Some(tick) = clock.turn(seen_at) {
                judge.end(&mut delta, &tick);
            }
            let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
            let transport = Transport::Other;
            let burst = Summary::plain(endpoints, 1001, 47, transport);
            delta.count(flow::InterfaceDirection::default(), &burst, seen_at);
        }
        judge.end(&mut delta, &clock.end(None).expect("something came"));
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
