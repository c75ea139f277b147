//! Points in time in four bytes, for rows that exist in large numbers.

use std::time::Duration;

use crate::time::Moment;

/// A moment in steps of 2^24 ns (17 ms). It wraps after 2.3 years, so only differences are meaningful.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CoarseInstant(u32);

/// Binary logarithm of the nanoseconds of a step.
const STEP_BITS: u32 = 24;

impl CoarseInstant {
    /// Rounds a moment down to a step.
    #[allow(clippy::cast_possible_truncation, reason = "the upper bits wrap")]
    pub(super) fn of(moment: Moment) -> Self {
        Self((moment.0 >> STEP_BITS) as u32)
    }

    /// Returns true if it is earlier than `other` by less than half the range.
    pub(super) fn is_before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// Returns the time since `earlier`; zero if `earlier` is later. The two must be less than half the range apart.
    #[allow(clippy::cast_sign_loss, reason = "`max(0)` made it non-negative")]
    pub(super) fn since(self, earlier: Self) -> Duration {
        let steps = self.0.wrapping_sub(earlier.0).cast_signed().max(0);
        Duration::from_nanos((steps as u64) << STEP_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_right_when_the_counter_wraps() {
        let turn = 1_u64 << (32 + STEP_BITS);
        for base in [0, 5 << STEP_BITS, turn - 1, 1_790_000_000_000_000_000] {
            let later = CoarseInstant::of(Moment(base + 1_000_000_000));
            let earlier = CoarseInstant::of(Moment(base));
            let apart = later.since(earlier).as_millis();
            assert!((980..=1020).contains(&apart), "{apart} from {base}");
            assert_eq!(earlier.since(later), Duration::ZERO);
            assert!(earlier.is_before(later) && !later.is_before(earlier) && !later.is_before(later));
        }
    }
}
