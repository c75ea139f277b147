//! Moments in four bytes, for rows of which there are many.

use std::time::Duration;

use crate::time::Moment;

/// A moment in steps of 17 ms. It begins again after 2.3 years, so only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CoarseInstant(u32);

/// A step is 2^24 ns.
const STEP_BITS: u32 = 24;

impl CoarseInstant {
    pub(super) fn of(moment: Moment) -> Self {
        // Cut on purpose.
        Self((moment.0 >> STEP_BITS) as u32)
    }

    /// Whether it is earlier, by less than half a turn.
    pub(super) fn is_before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// The time since an earlier stamp, which is less than half a turn ago; zero if it is a later one.
    pub(super) fn since(self, earlier: Self) -> Duration {
        let steps = self.0.wrapping_sub(earlier.0).cast_signed().max(0);
        // Not negative.
        Duration::from_nanos((steps as u64) << STEP_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_hold_across_a_turn() {
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
