//! The clock of a replay: turns the times of a capture into elapsed time, which never goes back, and cuts it in ticks.
//!
//! Capture files are written by clocks that are set, that start in 1970, or that belong to several recorders. The clock
//! follows these rules:
//!
//! 1. A frame **fits** if its time is at most [`REORDERED_MAX`] before or after the latest time. Frames of several
//!    queues are reordered by that much. An earlier frame belongs to the current slot and does not change the time.
//! 2. A frame that does not fit is **held** together with the frames after it, up to [`HELD_MAX`]. They are counted
//!    when it is decided what they mean ([`run`](super::run)), so the sums have every frame.
//! 3. If the next frame fits again, the held frames have a wrong time. They are counted at the latest time. The same
//!    holds for a held frame that the frames after it contradict. So a single frame of 1970 or 2038 moves no window,
//!    and of two recorders whose frames alternate, one gives the time.
//! 4. If the frames after it confirm a time that is **ahead**, it is taken as it is: a pause and a clock that was set
//!    ahead look the same, and the window is empty after either. A time that nothing contradicts until the end of the
//!    captures is taken too, unless as many frames in a row had a wrong time before, or the last frame alone is ahead
//!    by more than [`LONG_PAUSE`](super::timing::LONG_PAUSE). Captures in order of time are therefore replayed with
//!    exactly their own times, except for a last frame more than 30 days later.
//! 5. If the frames after it confirm a time that is **back**, the clock was set. Elapsed time goes on from where it
//!    was, plus the differences between the times that follow: later times are shifted by a constant. The shifts of
//!    earlier clocks are kept ([`SHIFTS_MAX`] at most): a time that fits one of them is from that clock again.
//! 6. If the held frames run backwards, or have no order at all, or if the clock is set back again and again by more
//!    than the time that elapses in between (a capture that runs backwards, whose frames are reordered besides), their
//!    time is unknown. They are in the sums, but no window has them, so they accuse nobody.
//!
//! Alerts have the elapsed time. Before a clock is set back it is the time of the capture.

use std::time::Duration;

use crate::engine::tick::TICK;
use crate::time::{Moment, UnixNanos};

/// The elapsed time and its current tick.
#[derive(Debug)]
pub(super) struct Clock {
    slot_span: Duration,
    frames_max: u32,
    /// What is added to the time of a frame to get the elapsed time. It wraps, so it may stand for a subtraction.
    shift: u64,
    /// The shifts of earlier clocks, the latest last.
    earlier_shifts: Vec<u64>,
    /// The elapsed time; `None` before the first frame.
    now: Option<Moment>,
    /// The elapsed time when the clock of the capture was last found set back.
    set_back_at: Option<Moment>,
    /// The tick that frames are counted in.
    tick: OpenTick,
}

/// The current tick.
#[derive(Debug)]
struct OpenTick {
    /// The time of its first frame; `None` if no tick is open.
    began_at: Option<Moment>,
    /// The latest time in it.
    latest: u64,
    /// The time at which it ends, unless it is full before.
    cut_at: Moment,
    /// Number of frames that it still has room for.
    frames_left: u32,
    /// The time up to which [`Clock::within_tick`] decides alone: the end of the tick, or 0 while frames are held or no
    /// tick is open.
    decides_until: u64,
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
        let tick = OpenTick {
            began_at: None,
            latest: 0,
            cut_at: Moment::default(),
            frames_left: 0,
            decides_until: 0,
        };
        Self {
            slot_span,
            frames_max,
            shift: 0,
            earlier_shifts: Vec::new(),
            now: None,
            set_back_at: None,
            tick,
        }
    }

    /// Counts a frame in the current tick and returns its elapsed time, if its time is within that tick, is not before
    /// the latest, and there is room. This is nearly always so. Otherwise it changes nothing and returns `None`; then
    /// [`fit`](Self::fit) and [`advance`](Self::advance) decide.
    #[inline(always)]
    pub(super) fn within_tick(&mut self, seen_at: UnixNanos) -> Option<UnixNanos> {
        let at = seen_at.0.wrapping_add(self.shift);
        let OpenTick { latest, decides_until, frames_left, .. } = self.tick;
        if at < latest || at >= decides_until || frames_left == 0 {
            return None;
        }
        self.tick.frames_left = frames_left - 1;
        self.tick.latest = at;
        Some(UnixNanos(at))
    }

    /// Returns the elapsed time of a frame that fits, by this clock or by an earlier one, which becomes the current
    /// one; `None` if the frame does not fit.
    pub(super) fn fit(&mut self, seen_at: UnixNanos) -> Option<Moment> {
        let now = self.now()?;
        let fits = |shift: u64| {
            let at = seen_at.0.wrapping_add(shift);
            (at.abs_diff(now.0) <= nanos(REORDERED_MAX)).then_some(Moment(at))
        };
        if let Some(at) = fits(self.shift) {
            return Some(at);
        }
        let (known, at) = self
            .earlier_shifts
            .iter()
            .enumerate()
            .rev()
            .find_map(|(known, &shift)| Some((known, fits(shift)?)))?;
        std::mem::swap(&mut self.shift, &mut self.earlier_shifts[known]);
        Some(at)
    }

    /// Advances to the elapsed time of the next frame. Returns the tick that this frame ends; `None` if it does not end
    /// one. An earlier time than the latest does not change the time.
    pub(super) fn advance(&mut self, at: Moment) -> Option<Tick> {
        let is_over = at >= self.tick.cut_at;
        if !is_over && self.tick.frames_left > 0 && self.tick.began_at.is_some() {
            self.tick.frames_left -= 1;
            self.tick.latest = self.tick.latest.max(at.0);
            self.resume();
            return None;
        }
        let now = self.now();
        let ended = self.end(is_over.then_some(at));
        if is_over {
            self.tick.cut_at = at.plus(TICK).min(slot_end(at, self.slot_span));
        }
        let now = now.map_or(at, |now| now.max(at));
        (self.now, self.tick.began_at, self.tick.latest) = (Some(now), Some(now), now.0);
        self.tick.frames_left = self.frames_max.saturating_sub(1);
        self.resume();
        ended
    }

    /// Ends the current tick and returns it; `None` if there is none.
    pub(super) fn end(&mut self, next_at: Option<Moment>) -> Option<Tick> {
        let ended_at = self.now()?;
        self.now = Some(ended_at);
        self.tick.decides_until = 0;
        let began_at = self.tick.began_at.take()?;
        Some(Tick { began_at, ended_at, next_at })
    }

    /// Returns the elapsed time: that of the latest frame; `None` before the first frame.
    pub(super) fn now(&self) -> Option<Moment> {
        if self.tick.began_at.is_some() { Some(Moment(self.tick.latest)) } else { self.now }
    }

    /// Returns the latest time as the clock of the capture shows it, which is `now` without the shift.
    pub(super) fn latest_seen(&self) -> Option<i128> {
        // A shift that wraps stands for a negative number.
        self.now().map(|now| i128::from(now.0) - i128::from(self.shift.cast_signed()))
    }

    /// Makes [`within_tick`](Self::within_tick) return `None` until the next [`advance`](Self::advance), because frames
    /// are held.
    pub(super) fn pause(&mut self) {
        self.tick.decides_until = 0;
    }

    /// Accepts the time of a frame that does not fit, and returns its elapsed time. If the time is back, the clock was
    /// set, and elapsed time goes on.
    pub(super) fn accept(&mut self, seen_at: UnixNanos) -> Moment {
        let ahead = Moment(seen_at.0.saturating_add_signed(self.shift.cast_signed()));
        let Some(now) = self.now().filter(|now| ahead < *now) else { return ahead };
        if self.earlier_shifts.len() == SHIFTS_MAX {
            self.earlier_shifts.remove(0);
        }
        self.earlier_shifts.push(self.shift);
        self.shift = now.0.wrapping_sub(seen_at.0);
        self.set_back_at = Some(now);
        now
    }

    /// Returns true if no time has elapsed since the clock of the capture was last found set back.
    pub(super) fn stands_since_set_back(&self) -> bool {
        self.set_back_at.is_some() && self.set_back_at == self.now()
    }

    /// Returns the time that has elapsed since the clock of the capture was last found set back; `None` if it never
    /// was.
    pub(super) fn since_set_back(&self) -> Option<Duration> {
        Some(self.now()?.since(self.set_back_at?))
    }

    fn resume(&mut self) {
        self.tick.decides_until = self.tick.cut_at.0;
    }
}

/// Returns the end of the slot that `at` is in.
pub(super) fn slot_end(at: Moment, span: Duration) -> Moment {
    let span = nanos(span);
    Moment((at.0 / span + 1).saturating_mul(span))
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Maximum time by which frames are reordered.
pub(super) const REORDERED_MAX: Duration = Duration::from_secs(5);

/// Number of frames after one that does not fit which decide what its time means. A run of wrong times must be longer
/// than this to be believed. It also limits the memory of a stream: one more than this are held, and as many wait for
/// the first right time, each with at most 64 KiB, so about 2 MiB for each set of rules.
pub(super) const HELD_MAX: usize = 16;

/// Number of earlier clocks that are recognized again.
const SHIFTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Places a frame whose time fits or is accepted.
    fn place(clock: &mut Clock, ms: u64) -> Option<Tick> {
        let seen_at = UnixNanos(ms * MS);
        if clock.within_tick(seen_at).is_some() {
            return None;
        }
        let at = clock.fit(seen_at).unwrap_or_else(|| clock.accept(seen_at));
        clock.advance(at)
    }

    #[test]
    fn a_tick_ends_after_its_time_at_the_end_of_its_slot_or_when_full() {
        let mut clock = Clock::new(Duration::from_secs(1), 3);
        let mut ticks = Vec::new();
        for ms in [1000, 1100, 1050, 1060, 1249, 1900, 2000, 2001, 9000] {
            ticks.extend(
                place(&mut clock, ms).map(|tick| {
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

    #[test]
    fn after_a_step_back_the_differences_count_and_the_earlier_clock_is_known_again() {
        let mut clock = Clock::new(Duration::from_secs(1), 9);
        let mut elapsed = |ms: u64| {
            place(&mut clock, ms);
            clock.now().map(|now| now.0 / MS)
        };
        assert_eq!(elapsed(10_000_000), Some(10_000_000));
        assert_eq!(elapsed(6_400_000), Some(10_000_000), "back by an hour");
        assert_eq!(elapsed(6_400_300), Some(10_000_300));
        assert_eq!(elapsed(6_395_400), Some(10_000_300), "reordered by less than five seconds");
        assert_eq!(elapsed(10_000_900), Some(10_000_900), "the first clock");
        assert_eq!(elapsed(6_401_000), Some(10_001_000), "the second clock");
        assert_eq!(elapsed(13_601_000), Some(17_201_000), "a pause of two hours");
        assert_eq!(elapsed(1), Some(17_201_000), "1970");
        assert_eq!(elapsed(11), Some(17_201_010));
    }
}
