//! Wrong tokens: who sent them, how long he pauses, and what the log says about it.
//!
//! Each user of this host and each remote address has a pause of its own, which doubles with each wrong token. During a
//! pause no token of theirs is looked at. Others are not slowed down, whatever somebody else sends.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::client::Holder;

/// Those who have sent wrong tokens.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    wrong: HashMap<Holder, Pause>,
    last_line: Option<Instant>,
    /// Number of wrong tokens since the last line in the log.
    unlogged: u64,
}

#[derive(Debug)]
struct Pause {
    failures: u32,
    until: Instant,
}

impl Attempts {
    /// Checks that `holder` does not pause.
    ///
    /// # Errors
    /// The time until the end of the pause.
    pub(super) fn check(&self, holder: Holder, now: Instant) -> Result<(), Duration> {
        match self.wrong.get(&holder) {
            Some(pause) if now < pause.until => Err(pause.until - now),
            _ => Ok(()),
        }
    }

    /// Counts a wrong token. Returns the number of wrong tokens that the log has not named yet, if it is time for a
    /// line in the log.
    pub(super) fn failed(&mut self, holder: Holder, now: Instant) -> Option<u64> {
        self.wrong.retain(|_, pause| now < pause.until + FORGET_AFTER);
        if self.wrong.len() >= HOLDERS_MAX && !self.wrong.contains_key(&holder) {
            // The one that pauses the shortest is closest to being forgotten.
            let first = self.wrong.iter().min_by_key(|(_, pause)| pause.until).map(|(&holder, _)| holder);
            first.map(|first| self.wrong.remove(&first));
        }
        let pause = self.wrong.entry(holder).or_insert(Pause { failures: 0, until: now });
        pause.failures = pause.failures.saturating_add(1);
        pause.until = now + pause_after(pause.failures);
        self.unlogged += 1;
        if self.last_line.is_some_and(|last| now < last + LINE_EVERY) {
            return None;
        }
        self.last_line = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }

    /// Forgets the wrong tokens of somebody who has sent the right one.
    pub(super) fn succeeded(&mut self, holder: Holder) {
        self.wrong.remove(&holder);
    }
}

/// Returns the pause after that many wrong tokens: none after the first two, then 1 s, 2 s, 4 s and so on.
fn pause_after(failures: u32) -> Duration {
    match failures.checked_sub(FREE_FAILURES + 1) {
        None => Duration::ZERO,
        Some(doublings) => Duration::from_secs(1_u64 << doublings.min(16)).min(PAUSE_MAX),
    }
}

/// Number of wrong tokens without a pause, for whoever mistypes.
const FREE_FAILURES: u32 = 2;
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// Time after the end of a pause until the wrong tokens are forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(900);
/// Maximum number of users and addresses that are remembered.
const HOLDERS_MAX: usize = 1024;
const LINE_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_and_ends_with_the_right_token() {
        let mut attempts = Attempts::default();
        let mut now = Instant::now();
        let (one, other) = (Holder::User(1), Holder::User(2));
        for expected in [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            attempts.failed(one, now);
            let pause = attempts.check(one, now).err().unwrap_or_default();
            assert_eq!(pause, Duration::from_secs(expected));
            assert_eq!(attempts.check(other, now), Ok(()), "nobody else pauses");
            now += pause;
            assert_eq!(attempts.check(one, now), Ok(()));
        }
        attempts.succeeded(one);
        attempts.failed(one, now);
        assert_eq!(attempts.check(one, now), Ok(()), "it counts from the beginning");
    }

    #[test]
    fn the_log_has_a_line_a_minute_and_the_table_a_bound() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        let lines = (0..5000).filter_map(|uid| attempts.failed(Holder::User(uid), now));
        assert_eq!(lines.collect::<Vec<_>>(), [1]);
        assert_eq!(attempts.wrong.len(), HOLDERS_MAX);
        assert_eq!(attempts.failed(Holder::User(1), now + LINE_EVERY), Some(5000));
        attempts.failed(Holder::User(2), now + LINE_EVERY + FORGET_AFTER);
        assert_eq!(attempts.wrong.len(), 1, "the others are forgotten");
    }
}
