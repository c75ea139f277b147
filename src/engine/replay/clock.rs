//! Capture time: it never goes back, and it is cut into ticks at the same frames whoever counts them.

use std::time::Duration;

use crate::engine::TICK;
use crate::time::{Moment, UnixNanos};

/// Where capture time stands.
#[derive(Debug)]
pub(super) struct Clock {
    slot_span: Duration,
    frames_max: u32,
    /// The largest capture time so far.
    now: Moment,
    /// When the first frame of this tick came; `None` before the first of all.
    began_at: Option<Moment>,
    /// The end of this tick, as far as time goes.
    cut_at: Moment,
    /// Frames that it may still take.
    frames_left: u32,
}

/// A tick that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) began_at: Moment,
    /// When its last frame came.
    pub(super) ended_at: Moment,
    /// When the frame came that ended it; `None` if it was full, or nothing came after it.
    pub(super) next_at: Option<Moment>,
}

impl Clock {
    /// Ticks of at most `frames_max` frames, none of them across the end of a slot.
    pub(super) fn new(slot_span: Duration, frames_max: u32) -> Self {
        let (now, cut_at) = (Moment::default(), Moment::default());
        Self { slot_span, frames_max, now, began_at: None, cut_at, frames_left: 0 }
    }

    /// Moves on to the time of the next frame; a frame that is stamped earlier than the one before belongs to the moment
    /// of that one. Gives the tick that this ends.
    #[inline(always)]
    pub(super) fn turn(&mut self, seen_at: UnixNanos) -> Option<Tick> {
        let at = Moment(seen_at.0);
        if at >= self.cut_at || self.frames_left == 0 {
            return self.begin(at);
        }
        self.frames_left -= 1;
        self.now = self.now.max(at);
        None
    }

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

    /// Ends the tick at hand, if there is one.
    pub(super) fn end(&mut self, next_at: Option<Moment>) -> Option<Tick> {
        let began_at = self.began_at.take()?;
        Some(Tick { began_at, ended_at: self.now, next_at })
    }
}

/// The end of the slot that `at` is in.
pub(super) fn slot_end(at: Moment, span: Duration) -> Moment {
    // Fits: an interval is at most a month.
    let span = span.as_nanos() as u64;
    Moment((at.0 / span + 1).saturating_mul(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn ticks_end_in_time_with_their_slot_and_when_they_are_full() {
        let mut clock = Clock::new(Duration::from_secs(1), 3);
        let mut ticks = Vec::new();
        for ms in [1000, 1100, 1050, 1060, 1249, 1900, 2000, 2001, 9000] {
            let tick = clock.turn(UnixNanos(ms * MS));
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
        assert_eq!(clock.end(None), None, "nothing is ended twice");
    }
}
