//! What the times of held frames mean: whether the time of the first of them is right. The rules are in
//! [`clock`](super::clock).

use super::clock::{HELD_MAX, REORDERED_MAX, nanos};
use super::timing::LONG_PAUSE;

/// What the times of held frames say about the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeVerdict {
    /// Further frames must be seen.
    Wait,
    /// Its time is right.
    Right,
    /// Its time is wrong; the others are undecided.
    Wrong,
    /// The frames are in reverse order, so the times of all of them are unknown.
    Backwards,
    /// The frames have no order, so the times of all of them are unknown.
    Unordered,
}

/// Decides about the first of the held frames.
///
/// `times` are their times in nanoseconds. `latest` is the latest right time by the same clock, or `None` before the
/// first one. `stands` is true if no time has elapsed since the clock was last found set back. `is_last` is true if no
/// further frame comes.
pub(super) fn judge(times: &[u64], latest: Option<i128>, stands: bool, is_last: bool) -> TimeVerdict {
    let &[first, ref rest @ ..] = times else { return TimeVerdict::Wait };
    if rest.len() < HELD_MAX && !is_last {
        return TimeVerdict::Wait;
    }
    let tolerance = nanos(REORDERED_MAX);
    let run = longest_run(times, |latest, next| next.saturating_add(tolerance) >= latest);
    if !is_most(run.len(), times.len()) {
        return judge_mixed(times, is_last);
    }
    let [0, ..] = run[..] else { return TimeVerdict::Wrong };
    let is_back = latest.is_some_and(|latest| i128::from(first) < latest);
    if is_back && runs_backwards(times, stands) {
        return TimeVerdict::Backwards;
    }
    let run: Vec<u64> = run.iter().map(|&at| times[at]).collect();
    let Gap { size, is_early, span } = Gap::largest(&run);
    let is_wrong = if is_back {
        times.len() < BACK_FRAMES_MIN || is_early && size > span.saturating_add(tolerance)
    } else if is_last {
        latest.is_some_and(|latest| is_far_and_alone(&run, latest))
    } else {
        // A capture may begin with the time of a clock that was not set yet. No capture pauses for a year.
        latest.is_none() && is_early && size > YEAR_NANOS
    };
    if is_wrong { TimeVerdict::Wrong } else { TimeVerdict::Right }
}

/// Decides about the first of held frames that do not run forwards: they run backwards, are those of several clocks, or
/// have no order.
fn judge_mixed(times: &[u64], is_last: bool) -> TimeVerdict {
    let reversed: Vec<u64> = times.iter().rev().copied().collect();
    let backwards = longest_run(&reversed, |latest, next| next >= latest);
    if is_most(backwards.len(), times.len()) && times.len() > BACK_FRAMES_MIN {
        return TimeVerdict::Backwards;
    }
    if is_last {
        return TimeVerdict::Wrong;
    }
    // The frames of one clock follow each other closely, whatever comes between them.
    let of_one_clock = longest_run(times, |latest, next| next.abs_diff(latest) <= nanos(REORDERED_MAX));
    match of_one_clock[..] {
        _ if of_one_clock.len() * CLOCKS_MAX < times.len() => TimeVerdict::Unordered,
        [0, ..] => TimeVerdict::Right,
        _ => TimeVerdict::Wrong,
    }
}

/// The largest step ahead in a run of times.
struct Gap {
    size: u64,
    /// True if fewer frames are before it than after it.
    is_early: bool,
    /// The time that the frames after it take.
    span: u64,
}

impl Gap {
    fn largest(run: &[u64]) -> Self {
        let steps = run.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let (at, size) = steps.enumerate().max_by_key(|&(_, step)| step).unwrap_or_default();
        let after = run.get(at + 1..).unwrap_or_default();
        let span = after.iter().max().zip(after.iter().min()).map_or(0, |(max, min)| max - min);
        Self { size, is_early: at + 1 < after.len(), span }
    }
}

/// Returns true if the first time of a run is ahead of `latest` by more than [`LONG_PAUSE`], and no second frame
/// confirms it. Frames of a slow capture may be hours apart, and one that is nearer than that needs no second one.
fn is_far_and_alone(run: &[u64], latest: i128) -> bool {
    let is_far = |from: i128, to: u64| i128::from(to) - from > i128::from(nanos(LONG_PAUSE));
    match *run {
        [first, second, ..] => is_far(latest, first) && is_far(first.into(), second),
        [first] => is_far(latest, first),
        [] => false,
    }
}

/// Returns true if frames whose times are back are in reverse order: each is earlier than the one before, or the clock
/// has not advanced since the last time it went back and they do not advance either.
fn runs_backwards(times: &[u64], stands: bool) -> bool {
    let pairs = times.len() - 1;
    let later = times.windows(2).filter(|pair| pair[0] < pair[1]).count();
    let earlier = times.windows(2).filter(|pair| pair[0] > pair[1]).count();
    (earlier == pairs && pairs >= BACK_FRAMES_MIN) || (stands && later <= earlier)
}

/// Returns the indices of the longest run of times, ascending. `follows` tells whether a time may follow in a run whose
/// latest time it is given first. Of several longest runs, the one that ends earliest is returned.
fn longest_run(times: &[u64], follows: impl Fn(u64, u64) -> bool) -> Vec<usize> {
    // For each frame, the best run that ends with it: its length, its latest time, and the frame before.
    let mut best: Vec<(usize, u64, Option<usize>)> = Vec::with_capacity(times.len());
    for &time in times {
        let mut run = (1, time, None);
        for (at, &(len, latest, _)) in best.iter().enumerate() {
            let longer = (len + 1, latest.max(time), Some(at));
            if follows(latest, time) && (longer.0 > run.0 || (longer.0 == run.0 && longer.1 < run.1)) {
                run = longer;
            }
        }
        best.push(run);
    }
    let last = (0..best.len()).max_by_key(|&at| (best[at].0, std::cmp::Reverse(best[at].1)));
    let mut run: Vec<usize> = std::iter::successors(last, |&at| best[at].2).collect();
    run.reverse();
    run
}

/// Returns true if `part` is at least three quarters of `whole`.
fn is_most(part: usize, whole: usize) -> bool {
    part * 4 >= whole * 3
}

/// Minimum number of frames that show that a clock was set back or that frames run backwards. It matters at the end of
/// a capture, where there are fewer frames than otherwise decide.
const BACK_FRAMES_MIN: usize = 3;

/// Maximum number of clocks whose frames are mixed.
const CLOCKS_MAX: usize = 3;

const YEAR_NANOS: u64 = 365 * 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use TimeVerdict::{Backwards, Right, Unordered, Wait, Wrong};

    const S: u64 = 1_000_000_000;
    /// 2026-09-21T14:13:20Z, the latest time in most cases.
    const NOW: u64 = 1_790_000_000 * S;
    const HOUR: u64 = 3600 * S;
    const IN_2038: u64 = 2_147_483_647 * S;

    fn of(times: &[u64]) -> TimeVerdict {
        judge(times, Some(NOW.into()), false, false)
    }

    /// Returns as many times as decide, with these at the beginning and steps of `step` after `from`.
    fn run(first: &[u64], from: u64, step: i64) -> Vec<u64> {
        let further = (0..).map(|n: i64| from.wrapping_add_signed(n * step));
        first.iter().copied().chain(further).take(HELD_MAX + 1).collect()
    }

    #[test]
    fn it_waits_for_as_many_frames_as_decide() {
        let times = run(&[], NOW + HOUR, 1);
        assert_eq!(of(&times[1..]), Wait);
        assert_eq!(of(&times), Right);
        assert_eq!(judge(&[], None, false, true), Wait);
    }

    #[test]
    fn a_time_ahead_is_right_if_the_next_frames_go_on_from_it() {
        for step in [0, 1, 10 * S as i64, HOUR as i64] {
            assert_eq!(of(&run(&[], NOW + HOUR, step)), Right, "steps of {step}");
        }
        assert_eq!(of(&run(&[IN_2038], NOW + HOUR, 10)), Wrong);
        assert_eq!(of(&run(&[NOW + HOUR, IN_2038, 0], NOW + HOUR, 10)), Right, "later ones may be wrong");
        assert_eq!(of(&run(&[NOW + HOUR + 4 * S], NOW + HOUR, 10)), Right, "reordered");
    }

    #[test]
    fn a_time_back_is_right_if_the_next_frames_go_on_from_it_and_not_far_away() {
        for step in [0, 1, 10 * S as i64] {
            assert_eq!(of(&run(&[], NOW - HOUR, step)), Right, "steps of {step}");
        }
        assert_eq!(of(&run(&[0], NOW - HOUR, 10)), Wrong);
        assert_eq!(of(&run(&[NOW - HOUR], NOW + HOUR, 10)), Wrong, "the time goes ahead");
        assert_eq!(of(&run(&[IN_2038], NOW - HOUR, 10)), Wrong);
    }

    #[test]
    fn the_first_frame_of_a_capture_is_checked_too() {
        let of = |times: &[u64]| judge(times, None, false, false);
        assert_eq!(of(&run(&[], NOW, 10)), Right);
        assert_eq!(of(&run(&[], NOW, HOUR as i64)), Right);
        assert_eq!(of(&run(&[0], NOW, 10)), Wrong);
        assert_eq!(of(&run(&[IN_2038], NOW, 10)), Wrong);
        assert_eq!(of(&run(&[0, 1, 2], NOW, 10)), Wrong);
    }

    #[test]
    fn of_mixed_clocks_the_first_is_taken() {
        let mixed = |clocks: u64| -> Vec<u64> {
            (0..=HELD_MAX as u64).map(|n| NOW + HOUR + n % clocks * HOUR + n).collect()
        };
        assert_eq!(
            [2, 3, 4].map(|clocks| judge(&mixed(clocks), None, false, false)),
            [Right, Right, Unordered]
        );
        assert_eq!(of(&run(&[NOW + 5 * HOUR], NOW + HOUR, 10)), Wrong);
    }

    #[test]
    fn frames_in_reverse_or_no_order_have_no_time() {
        assert_eq!(of(&run(&[], NOW - HOUR, -1)), Backwards);
        assert_eq!(of(&run(&[], NOW - HOUR, -10 * S as i64)), Backwards);
        assert_eq!(judge(&run(&[], NOW, -10 * S as i64), None, false, false), Backwards);
        let still = run(&[], NOW - HOUR, 0);
        assert_eq!(judge(&still, Some(NOW.into()), true, false), Backwards, "it goes back step by step");
        assert_eq!(judge(&run(&[], NOW - HOUR, 1), Some(NOW.into()), true, false), Right);
        let mixed: Vec<u64> = (0..=HELD_MAX as u64).map(|n| NOW - (n * 7919 % 3600 + 10) * S).collect();
        assert_eq!(of(&mixed), Unordered);
    }

    #[test]
    fn at_the_end_nothing_contradicts_a_time_ahead() {
        let last = |times: &[u64]| judge(times, Some(NOW.into()), false, true);
        assert_eq!(last(&[NOW + HOUR]), Right);
        assert_eq!(last(&[NOW + 30 * 24 * HOUR]), Right);
        assert_eq!(last(&[IN_2038, NOW + HOUR]), Wrong);
        assert_eq!(last(&[0]), Wrong);
        assert_eq!(last(&[NOW - HOUR, NOW - HOUR + 1, NOW - HOUR + 2]), Right);
        assert_eq!(judge(&[1, IN_2038], None, false, true), Right);
    }

    #[test]
    fn at_the_end_a_second_frame_must_confirm_a_time_far_ahead() {
        let last = |times: &[u64]| judge(times, Some(NOW.into()), false, true);
        assert_eq!(last(&[IN_2038]), Wrong);
        assert_eq!(last(&[NOW + 30 * 24 * HOUR + 1]), Wrong);
        assert_eq!(last(&[IN_2038, IN_2038 + HOUR]), Right);
        assert_eq!(last(&[IN_2038, 2 * IN_2038]), Wrong);
        assert_eq!(judge(&[IN_2038], None, false, true), Right, "there is no other time");
    }
}
