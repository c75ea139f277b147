//! Sessions: who has shown the token on the page, and is known by a cookie from then on.
//!
//! A cookie holds 256 random bits. The program keeps their hash only, so a copy of its memory or of a report opens no
//! session. A session is for the user or the address that opened it, because a browser sends a cookie to every port of
//! a host, so also to the server of another user.

use std::io;
use std::time::{Duration, Instant};

use super::client::Holder;
use super::token::{HashedSecret, random_hex};

/// All sessions that are open.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: Vec<OpenSession>,
    last_number: u64,
}

#[derive(Debug)]
struct OpenSession {
    number: u64,
    id: HashedSecret,
    /// Who opened it.
    holder: Holder,
    last_used: Instant,
}

impl Sessions {
    /// Opens a session for `holder` and returns its id, for the cookie, and its number, for the log. The session
    /// that was not used for the longest time ends if there are too many.
    pub(super) fn open(&mut self, holder: Holder, now: Instant) -> io::Result<(String, u64)> {
        self.expire(now);
        let id = random_hex()?;
        let hashed = HashedSecret::new(&id)?;
        if self.open.len() >= SESSIONS_MAX {
            let oldest = self.open.iter().enumerate().min_by_key(|(_, session)| session.last_used);
            oldest.map(|(at, _)| at).map(|at| self.open.swap_remove(at));
        }
        self.last_number += 1;
        self.open.push(OpenSession { number: self.last_number, id: hashed, holder, last_used: now });
        Ok((id, self.last_number))
    }

    /// Returns the number of the session of `holder` with this id, which counts as used now; `None` if there is none.
    pub(super) fn find(&mut self, id: &[u8], holder: Holder, now: Instant) -> Option<u64> {
        self.expire(now);
        let session =
            self.open.iter_mut().find(|session| session.holder == holder && session.id.matches(id))?;
        session.last_used = now;
        Some(session.number)
    }

    /// Ends the session with this id, if there is one.
    pub(super) fn end(&mut self, id: &[u8]) {
        self.open.retain(|session| !session.id.matches(id));
    }

    /// Ends all sessions, since the token that opened them is no longer the token.
    pub(super) fn end_all(&mut self) {
        self.open.clear();
    }

    fn expire(&mut self, now: Instant) {
        self.open.retain(|session| now < session.last_used + IDLE_MAX);
    }
}

/// Maximum number of open sessions.
const SESSIONS_MAX: usize = 64;
/// Time without a request after which a session ends.
const IDLE_MAX: Duration = Duration::from_secs(12 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Holder = Holder::User(1);

    #[test]
    fn a_session_lasts_while_it_is_used() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        let (id, number) = sessions.open(ONE, now).expect("random bytes");
        assert_eq!((id.len(), number), (64, 1));
        let almost = now + IDLE_MAX - Duration::from_secs(1);
        assert_eq!(sessions.find(b"other", ONE, almost), None);
        assert_eq!(sessions.find(id.as_bytes(), ONE, almost), Some(1));
        assert_eq!(sessions.find(id.as_bytes(), ONE, now + IDLE_MAX), Some(1), "it was used since");
        assert_eq!(sessions.find(id.as_bytes(), ONE, now + IDLE_MAX * 2), None);
    }

    #[test]
    fn sessions_are_bounded_and_end_one_by_one_or_all_at_once() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let ids: Vec<String> =
            (0..=64).map(|second| sessions.open(ONE, later(second)).expect("random bytes").0).collect();
        assert_eq!(sessions.find(ids[0].as_bytes(), ONE, later(65)), None, "the oldest has ended");
        assert_eq!(sessions.find(ids[1].as_bytes(), ONE, later(65)), Some(2));
        sessions.end(ids[1].as_bytes());
        assert_eq!(sessions.find(ids[1].as_bytes(), ONE, later(65)), None);
        sessions.end_all();
        assert_eq!(sessions.find(ids[64].as_bytes(), ONE, later(65)), None);
    }

    #[test]
    fn a_session_is_for_whoever_opened_it() {
        let mut sessions = Sessions::default();
        let now = Instant::now();
        let almost = now + IDLE_MAX - Duration::from_secs(1);
        let (id, _) = sessions.open(ONE, now).expect("random bytes");
        let remote = Holder::Remote("10.0.0.1".parse::<std::net::IpAddr>().expect("an address").into());
        for other in [Holder::User(2), Holder::UnknownUsers, remote] {
            assert_eq!(sessions.find(id.as_bytes(), other, almost), None, "{other:?}");
        }
        let later = now + IDLE_MAX;
        assert_eq!(sessions.find(id.as_bytes(), ONE, later), None, "somebody else does not keep it open");
    }
}
