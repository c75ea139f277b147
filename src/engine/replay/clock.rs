//! The clock of a replay: capture time, which never goes back, divided into ticks by the frames.

use std::time::Duration;

use crate::engine::tick::TICK;
use crate::time::{Moment, UnixNanos};

/// The capture time and its current tick.
#[derive(Debug)]
pub(super) struct Clock {
    slot_span: Duration,
    frames_max: u32,
    /// The largest capture time so far.
    now: Moment,
    /// The time of the first frame of this tick; `None` before the first frame.
    began_at: Option<Moment>,
    /// The time at which this tick ends, unless it is full before.
    cut_at: Moment,
    /// Number of frames that this tick still has room for.
    frames_left: u32,
}

/// A tick that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    /// The time of its first frame.
    pub(super) began_at: Moment,
    /// The time of its last frame.
    pub(super) ended_at: Moment,
    /// The time of the frame that ended it; `None` if the tick was full or was the last.
    pub(super) next_at: Option<Moment>,
}

impl Clock {
    /// Makes a clock whose ticks have at most `frames_max` frames and do not cross the end of a slot.
    pub(super) fn new(slot_span: Duration, frames_max: u32) -> Self {
        let (now, cut_at) = (Moment::default(), Moment::default());
        Self { slot_span, frames_max, now, began_at: None, cut_at, frames_left: 0 }
    }

    /// Advances to the time of the next frame. Returns the tick that this frame ends; `None` if it does not end one. A
    /// frame with an earlier timestamp than the one before does not change the time.
    #[inline(always)]
    pub(super) fn advance(&mut self, seen_at: UnixNanos) -> Option<Tick> {
        let at = Moment(seen_at.0);
        if at >= self.cut_at || self.frames_left == 0 {
            return self.begin(at);
        }
        self.frames_left -= 1;
        self.now = self.now.max(at);
        None
    }

    /// Ends the tick and begins the next one with a frame at this time.
    #[cold]
    fn begin(&mut self, at: Moment) -> Option<Tick> {
        let is_over = at >= self.cut_at;
        let ended = self.end(is_over.then_some(at));
        if is_over {
            self.cut_at = at.plus(TICK).min(slot_end(at, self.slot_span));
        }
        self.now = self.now.max(at);
        self.began_at = Some(self.now);
        self.frames_left = self.frames_max.saturating_sub(1);
        ended
    }

    /// Ends the current tick and returns it; `None` if there is none.
    pub(super) fn end(&mut self, next_at: Option<Moment>) -> Option<Tick> {
        let began_at = self.began_at.take()?;
        Some(Tick { began_at, ended_at: self.now, next_at })
    }
}

/// Returns the end of the slot that `at` is in.
pub(super) fn slot_end(at: Moment, span: Duration) -> Moment {
    let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    Moment((at.0 / span + 1).saturating_mul(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_tick_ends_after_its_time_at_the_end_of_its_slot_or_when_full() {
        let mut clock = Clock::new(Duration::from_secs(1), 3);
        let mut ticks = Vec::new();
        for ms in [1000, 1100, 1050, 1060, 1249, 1900, 2000, 2001, 9000] {
            let tick = clock.advance(UnixNanos(ms * MS));
            ticks.extend(
                tick.map(|tick| {
                    (tick.began_at.0 / MS, tick.ended_at.0 / MS, tick.next_at.map(|at| at.0 / MS))
                }),
            );
        }
        ticks.extend(clock.end(None).map(|tick| (tick.began_at.0 / MS, tick.ended_at.0 / MS, None)));
        assert_eq!(
            ticks,
            [
                (1000, 1100, None),
                (1100, 1249, Some(1900)),
                (1900, 1900, Some(2000)),
                (2000, 2001, Some(9000)),
                (9000, 9000, None),
            ]
        );
        assert_eq!(clock.end(None), None, "the last tick has ended already");
    }
}
