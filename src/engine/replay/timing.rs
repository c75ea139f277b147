//! What was found about the times of captures: where clocks were set, and which frames have a wrong time.

use std::time::Duration;

use crate::time::UnixNanos;

use super::held::FramePlace;

/// What was found about the times of captures. All of it is empty if the frames are in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimingReport {
    /// The clock was set back within a capture; elapsed time went on.
    pub set_back: Occurrences<Duration>,
    /// A capture begins before the time that was reached; its frames were counted after it.
    pub overlapping: Occurrences<Duration>,
    /// The time went ahead by 30 days or more: a pause, or a clock that was set.
    pub long_pauses: Occurrences<Duration>,
    /// Frames whose time the frames around them contradict; they were counted at the time that was reached.
    pub wrong_times: Occurrences<UnixNanos>,
    /// Frames in reverse order of time. They are in the sums, but no window has them.
    pub backwards: Occurrences<UnixNanos>,
    /// Frames in no order of time. They are in the sums, but no window has them.
    pub unordered: Occurrences<UnixNanos>,
}

/// Occurrences of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occurrences<T> {
    /// Number of them.
    pub count: u64,
    /// The place of the first.
    pub first: FramePlace,
    /// The size of the first step, or the time that the first frame has.
    pub value: T,
}

impl TimingReport {
    /// Returns the number of frames that no window has.
    pub fn unjudged_frames(&self) -> u64 {
        self.backwards.count + self.unordered.count
    }
}

impl<T> Occurrences<T> {
    /// Returns this unless there are none.
    pub fn met(&self) -> Option<&Self> {
        (self.count > 0).then_some(self)
    }

    /// Adds one.
    pub(super) fn add(&mut self, place: FramePlace, value: T) {
        if self.count == 0 {
            (self.first, self.value) = (place, value);
        }
        self.count += 1;
    }
}

/// A pause that is said, since a clock that was set is more likely.
pub(super) const LONG_PAUSE: Duration = Duration::from_secs(30 * 86_400);
