//! The captures as one stream of frames for one set of rules: places each frame in time and counts it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::capture::{Batch, CountedDirection, DirectionPolicy, DirectionVerdicts, Replay, ReplayBatch};
use crate::engine::pipeline::FramePipeline;
use crate::engine::rules::{MemoryError, Rules};
use crate::flow::{Delta, DeltaLimits, Seed, slot_span};
use crate::packet::Frame;
use crate::time::{Moment, UnixNanos};

use super::analyst::ReplayAnalyst;
use super::clock::{Clock, HELD_MAX};
use super::held::{FramePlace, HeldFrame};
use super::outcome::Replayed;
use super::run::{TimeVerdict, judge};
use super::timing::{LONG_PAUSE, TimingReport};

/// The frames of all captures, and what is counted of them.
pub(super) struct Stream {
    clock: Clock,
    pipeline: FramePipeline,
    delta: Delta,
    analyst: ReplayAnalyst,
    direction: DirectionPolicy,
    /// The verdicts on the frames of the capture that is read.
    verdicts: Option<DirectionVerdicts>,
    /// Which frames count by their direction, for each capture that was begun.
    directions: Vec<Option<CountedDirection>>,
    /// Frames whose time does not fit; at most [`HELD_MAX`] after each call.
    held: VecDeque<HeldFrame>,
    /// Frames with a wrong time before the first frame with a right one.
    before_first: Vec<HeldFrame>,
    /// The largest number of frames that had a wrong time between two that fit.
    longest_wrong: usize,
    /// How often in a row the clock was set back by more than the time that had elapsed since the last time.
    quick_set_backs: u32,
    timing: TimingReport,
}

impl Stream {
    /// Makes a stream. With `keeps_totals` it counts every pair, which takes memory for every pair.
    ///
    /// # Errors
    /// The rules allow less memory than a window needs.
    pub(super) fn new(rules: &Rules, keeps_totals: bool) -> Result<Self, MemoryError> {
        let limits = rules.limits(1)?;
        let seed = Seed::default();
        // A tick has at most this many frames, so that its counts fit one delta. A frame adds at most two rows of
        // pairs, its own and the one that it quotes, and one row of a port; there are half as many rows for IPv6. Rows
        // take memory only when they are used. With longer ticks, fewer rows are folded if few hosts send many packets.
        let frames_max = limits.delta.pairs_max * 2;
        let ports_max = if limits.delta.ports_max > 0 { frames_max * 2 } else { 0 };
        let delta_limits = DeltaLimits { pairs_max: frames_max * 4, ports_max, ..limits.delta };
        Ok(Self {
            clock: Clock::new(
                slot_span(rules.flow.traffic_interval),
                frames_max.try_into().unwrap_or(u32::MAX),
            ),
            pipeline: FramePipeline::new(rules.detect.need_received_bytes()),
            delta: Delta::new(delta_limits, seed.clone()),
            analyst: ReplayAnalyst::new(rules, &limits, seed, keeps_totals),
            direction: rules.direction,
            verdicts: None,
            directions: Vec::new(),
            held: VecDeque::new(),
            before_first: Vec::new(),
            longest_wrong: 0,
            quick_set_backs: 0,
            timing: TimingReport::default(),
        })
    }

    /// Returns which packets of a capture count by their direction.
    pub(super) fn direction(&self) -> DirectionPolicy {
        self.direction
    }

    /// Prepares for the frames of a capture, whose beginning was examined. What the times of the last frames of the
    /// capture before mean is decided by that capture: another one does not contradict them.
    pub(super) fn begin(&mut self, capture: &Replay) {
        self.decide(true);
        let (verdicts, direction) = capture.verdicts(self.direction);
        self.verdicts = Some(verdicts);
        self.directions.push(direction);
    }

    /// Counts the frames of a batch as [`count_batch`](Self::count_batch) does, by the verdicts of these rules.
    pub(super) fn count_replayed(&mut self, batch: ReplayBatch<'_>, before: FramePlace) {
        if let Some(undirected) = batch.undirected() {
            return self.count_batch(&undirected, before);
        }
        if let Some((verdicts, direction)) = batch.late_verdicts(self.direction) {
            self.verdicts = Some(verdicts);
            if let Some(known) = self.directions.last_mut() {
                *known = direction;
            }
        }
        let verdicts = self.verdicts.take();
        match &verdicts {
            Some(verdicts) => self.count_batch(&batch.with_verdicts(verdicts), before),
            None => self.count_batch(&batch, before),
        }
        self.verdicts = verdicts;
    }

    /// Counts the frames of a batch, and judges after each tick. `before` is the place of the frame before the batch.
    pub(super) fn count_batch<B: Batch>(&mut self, batch: &B, before: FramePlace) {
        for (index, frame) in batch.frames().enumerate() {
            match self.clock.within_tick(frame.seen_at) {
                Some(seen_at) => {
                    self.pipeline.decode_frame(batch, &Frame { seen_at, ..frame }, &mut self.delta);
                }
                None => self.place(batch, index, before),
            }
        }
        self.pipeline.finish(&mut self.delta);
    }

    /// Judges after the last tick, and returns the result.
    pub(super) fn finish(mut self) -> Replayed {
        self.decide(true);
        self.give_up_before_first();
        if let Some(tick) = self.clock.end(None) {
            self.analyst.end(&mut self.delta, &tick);
        }
        Replayed { directions: self.directions, ..self.analyst.finish(self.timing) }
    }

    /// Counts a frame that begins a tick or is reordered, or holds it if its time does not fit. It gets the index of
    /// the frame in the batch, and not the frame, which the caller therefore can keep in registers.
    #[inline(never)]
    fn place<B: Batch>(&mut self, batch: &B, index: usize, before: FramePlace) {
        let Some(frame) = batch.frames().nth(index) else { return };
        let (frame, place) = (&frame, FramePlace { number: before.number + 1 + index as u64, ..before });
        let Some(at) = self.clock.fit(frame.seen_at) else {
            self.held.push_back(HeldFrame::copy(batch, frame, place));
            self.clock.pause();
            if self.held.len() > HELD_MAX {
                self.pipeline.finish(&mut self.delta);
                self.decide(false);
            }
            return;
        };
        self.count(batch, frame, at);
        if !self.held.is_empty() {
            self.pipeline.finish(&mut self.delta);
            self.release_held();
        }
    }

    /// Counts a frame of this elapsed time.
    fn count<B: Batch>(&mut self, batch: &B, frame: &Frame<'_>, at: Moment) {
        if let Some(tick) = self.clock.advance(at) {
            self.pipeline.finish(&mut self.delta);
            self.analyst.end(&mut self.delta, &tick);
        }
        let frame = Frame { seen_at: UnixNanos(at.0), ..*frame };
        self.pipeline.decode_frame(batch, &frame, &mut self.delta);
    }

    /// Counts a held frame of this elapsed time. No frame of another batch may be in the pipeline.
    fn count_held(&mut self, held: &HeldFrame, at: Moment) {
        self.count(held, &held.frame_at(held.seen_at), at);
        self.pipeline.finish(&mut self.delta);
    }

    /// Counts all held frames after one that fits: those that fit now by their times, the others as wrong.
    fn release_held(&mut self) {
        let mut wrong = 0;
        while let Some(held) = self.held.pop_front() {
            match self.clock.fit(held.seen_at) {
                Some(at) => self.count_held(&held, at),
                None => {
                    wrong += 1;
                    self.count_wrong(held);
                }
            }
        }
        self.longest_wrong = self.longest_wrong.max(wrong);
    }

    /// Decides what the times of the held frames mean, and counts those that are decided. `is_last` is true if no
    /// further frame comes. No frame of a batch may be in the pipeline.
    fn decide(&mut self, is_last: bool) {
        loop {
            let times: Vec<u64> = self.held.iter().map(|held| held.seen_at.0).collect();
            let latest = self.clock.latest_seen();
            let verdict = judge(&times, latest, self.clock.stands_since_set_back(), is_last);
            match self.doubted(verdict, &times, latest) {
                TimeVerdict::Wait => break,
                TimeVerdict::Right => {
                    let Some(held) = self.held.pop_front() else { break };
                    self.count_right(&held, latest);
                }
                TimeVerdict::Wrong => {
                    let Some(held) = self.held.pop_front() else { break };
                    self.count_wrong(held);
                }
                verdict => {
                    let unjudged: Vec<HeldFrame> = self.held.drain(..).collect();
                    let kind = if verdict == TimeVerdict::Backwards {
                        &mut self.timing.backwards
                    } else {
                        &mut self.timing.unordered
                    };
                    unjudged.iter().for_each(|held| kind.add(held.place, held.seen_at));
                    self.count_unjudged(&unjudged);
                }
            }
        }
        if !self.held.is_empty() {
            self.clock.pause();
        }
    }

    /// Returns the verdict on frames with these times, or another one: if no more frames confirm a right time than were
    /// wrong before, which concerns the end of the captures, or if the clock goes back faster than time elapses.
    fn doubted(&self, verdict: TimeVerdict, times: &[u64], latest: Option<i128>) -> TimeVerdict {
        const BACKWARDS_MAX: usize = 2;
        let goes_back = || {
            let step = times.first().map(|&first| Step::of(first, latest));
            self.quick_set_backs >= QUICK_SET_BACKS_MAX && step.is_some_and(|step| self.is_quick(step))
        };
        match verdict {
            TimeVerdict::Right if times.len() <= self.longest_wrong => TimeVerdict::Wrong,
            TimeVerdict::Right if times.len() <= BACKWARDS_MAX && self.timing.backwards.met().is_some() => {
                TimeVerdict::Backwards
            }
            TimeVerdict::Right if goes_back() => TimeVerdict::Backwards,
            verdict => verdict,
        }
    }

    /// Returns true if the step is back by more than the time that has elapsed since the last such step.
    fn is_quick(&self, step: Step) -> bool {
        step.is_back && self.clock.since_set_back().is_some_and(|elapsed| elapsed < step.size)
    }

    /// Accepts the time of a held frame and counts it; those after it are placed again. `latest` is the latest time
    /// before it.
    fn count_right(&mut self, held: &HeldFrame, latest: Option<i128>) {
        let step = Step::of(held.seen_at.0, latest);
        match held.place.number {
            _ if !step.is_back && step.size < LONG_PAUSE => {}
            _ if !step.is_back => self.timing.long_pauses.add(held.place, step.size),
            1 => self.timing.overlapping.add(held.place, step.size),
            _ => {
                self.quick_set_backs = if self.is_quick(step) { self.quick_set_backs + 1 } else { 0 };
                self.timing.set_back.add(held.place, step.size);
            }
        }
        let at = self.clock.accept(held.seen_at);
        self.count_held(held, at);
        for early in std::mem::take(&mut self.before_first) {
            self.count_wrong(early);
        }
        for held in std::mem::take(&mut self.held) {
            match self.clock.fit(held.seen_at) {
                Some(at) => {
                    self.count_held(&held, at);
                    self.release_held();
                }
                None => self.held.push_back(held),
            }
        }
    }

    /// Counts a frame with a wrong time at the latest time, or when there is one.
    fn count_wrong(&mut self, held: HeldFrame) {
        if let Some(now) = self.clock.now() {
            self.timing.wrong_times.add(held.place, held.seen_at);
            return self.count_held(&held, now);
        }
        self.before_first.push(held);
        if self.before_first.len() > HELD_MAX {
            self.give_up_before_first();
        }
    }

    /// Counts the frames before the first one with a right time in the sums alone, and notes them.
    fn give_up_before_first(&mut self) {
        let unjudged = std::mem::take(&mut self.before_first);
        if !unjudged.is_empty() {
            unjudged.iter().for_each(|held| self.timing.unordered.add(held.place, held.seen_at));
            self.count_unjudged(&unjudged);
        }
    }

    /// Counts frames in the sums alone.
    fn count_unjudged(&mut self, frames: &[HeldFrame]) {
        if let Some(tick) = self.clock.end(None) {
            self.analyst.end(&mut self.delta, &tick);
        }
        for held in frames {
            self.pipeline.decode_frame(held, &held.frame_at(held.seen_at), &mut self.delta);
            self.pipeline.finish(&mut self.delta);
        }
        let at = self.clock.now().or_else(|| frames.first().map(|held| Moment(held.seen_at.0)));
        self.analyst.add_unjudged(&mut self.delta, at.unwrap_or_default());
    }
}

/// The difference between the time of a frame and the latest time before it.
#[derive(Clone, Copy, Debug)]
struct Step {
    is_back: bool,
    size: Duration,
}

impl Step {
    /// Returns the step from `latest` to `next`; one of no size if there is no latest time.
    fn of(next: u64, latest: Option<i128>) -> Self {
        let step = latest.map_or(0, |latest| i128::from(next) - latest);
        let size = Duration::from_nanos(u64::try_from(step.unsigned_abs()).unwrap_or(u64::MAX));
        Self { is_back: step < 0, size }
    }
}

/// Number of quick set-backs in a row that are believed. Each may put five seconds of traffic into one slot.
const QUICK_SET_BACKS_MAX: u32 = 2;

#[cfg(test)]
mod tests;
