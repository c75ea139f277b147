//! Who holds connections, and which one is closed when another client needs its place.
//!
//! A user of this host, or a remote address, has at most a share of all places. When all are taken, a client of
//! somebody with fewer gets the place of whoever has most: of his connections the one that has waited the longest for
//! its client. Many users with one connection each do not keep out others either: one that has waited for longer than
//! [`SLOW_AFTER`] gives way to whoever has fewer. Those who may make changes at the Unix socket come before everybody
//! else, and other users of this host before remote addresses.
//!
//! On loopback all clients have one address, so their users are told apart
//! ([`SocketOwners`](super::socket_owner::SocketOwners)).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::client::{Holder, Rank};

/// The places for connections, and who has them.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    per_holder_max: usize,
    /// True if a new connection takes the place of another one in any case.
    displaces_always: bool,
    table: Mutex<ConnectionTable>,
}

#[derive(Debug, Default)]
struct ConnectionTable {
    last_id: u64,
    open: HashMap<u64, OpenConnection>,
}

#[derive(Debug)]
struct OpenConnection {
    holder: Holder,
    rank: Rank,
    /// True while a request is being answered; else the connection waits for its client.
    is_busy: bool,
    since: Instant,
    /// Its end is the sign to close the connection.
    _close: oneshot::Sender<()>,
}

/// A place, which is free again when this is dropped.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    id: u64,
    connections: Arc<Connections>,
}

impl Connections {
    /// Creates places for `max` connections, at most `per_holder_max` of them for one holder.
    pub(super) fn new(max: usize, per_holder_max: usize) -> Arc<Self> {
        Arc::new(Self { max, per_holder_max, displaces_always: false, table: Mutex::default() })
    }

    /// Creates places that nobody can hold: when all are taken, each new connection takes that of another one.
    pub(super) fn fleeting(max: usize) -> Arc<Self> {
        Arc::new(Self { max, per_holder_max: max, displaces_always: true, table: Mutex::default() })
    }

    /// Returns true if all places are taken.
    pub(super) fn is_full(&self) -> bool {
        self.lock().open.len() >= self.max
    }

    /// Gives a place to a connection of `holder`; `None` if there is none for it. The receiver ends when the connection
    /// must close.
    pub(super) fn admit(
        self: &Arc<Self>,
        holder: Holder,
        rank: Rank,
        now: Instant,
    ) -> Option<(ConnectionPermit, oneshot::Receiver<()>)> {
        let mut table = self.lock();
        if table.open.len() >= self.max || table.count(holder) >= self.per_holder_max {
            let displaced = self.displaced_by(&table, holder, rank, now)?;
            table.open.remove(&displaced);
        }
        let (close, closed) = oneshot::channel();
        table.last_id += 1;
        let id = table.last_id;
        table.open.insert(id, OpenConnection { holder, rank, is_busy: false, since: now, _close: close });
        Some((ConnectionPermit { id, connections: Arc::clone(self) }, closed))
    }

    /// Returns the connection whose place a new one of `holder` gets.
    fn displaced_by(&self, table: &ConnectionTable, holder: Holder, rank: Rank, now: Instant) -> Option<u64> {
        let own = table.count(holder);
        if !self.displaces_always && own >= self.per_holder_max {
            return None;
        }
        let mut counts: HashMap<(Rank, Holder), usize> = HashMap::new();
        table.open.values().for_each(|open| *counts.entry((open.rank, open.holder)).or_default() += 1);
        // A trusted user loses no place to others.
        let is_safe = |other: Rank| other == Rank::Trusted && rank != Rank::Trusted;
        let may_lose = |&(&(other, _), &count): &(&(Rank, Holder), &usize)| {
            self.displaces_always || other < rank || (!is_safe(other) && count > own + 1)
        };
        let order =
            |(other, _): &(Rank, Holder), count: usize| ((*other < rank).then_some(Reverse(*other)), count);
        let first = counts.iter().filter(may_lose).map(|(other, &count)| order(other, count)).max();
        if let Some(first) = first {
            let is_first = |open: &OpenConnection| {
                let other = (open.rank, open.holder);
                let count = counts.get(&other).copied().unwrap_or_default();
                may_lose(&(&other, &count)) && order(&other, count) == first
            };
            return table.longest_waiting(is_first);
        }
        table.longest_waiting(|open| {
            let is_slow = now.saturating_duration_since(open.since) > SLOW_AFTER;
            is_slow && open.rank <= rank && table.count(open.holder) > own
        })
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        // Each change of the table is a single call, so it is whole even if a thread panicked.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionTable {
    fn count(&self, holder: Holder) -> usize {
        self.open.values().filter(|open| open.holder == holder).count()
    }

    /// Returns the connection that has waited the longest for its client, of those that `may_lose` is true for.
    fn longest_waiting(&self, may_lose: impl Fn(&OpenConnection) -> bool) -> Option<u64> {
        let candidates = self.open.iter().filter(|(_, open)| may_lose(open));
        candidates.min_by_key(|(id, open)| (open.is_busy, open.since, **id)).map(|(&id, _)| id)
    }
}

impl ConnectionPermit {
    /// Notes that a request is being answered, or that the connection waits for its client again.
    pub(super) fn set_busy(&self, is_busy: bool, now: Instant) {
        if let Some(open) = self.connections.lock().open.get_mut(&self.id) {
            (open.is_busy, open.since) = (is_busy, now);
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
    }
}

/// How long a connection may wait for its client, or for an answer, before it gives way to one of a holder with fewer,
/// if all places are taken. A request of a client that means it, and its answer, take far less.
const SLOW_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    type Admitted = (ConnectionPermit, oneshot::Receiver<()>);

    fn is_closed(admitted: &mut Admitted) -> bool {
        admitted.1.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    fn remote(last: u8) -> Holder {
        Holder::Remote(std::net::IpAddr::from([10, 0, 0, last]).into())
    }

    #[test]
    fn one_user_has_a_share_and_loses_his_oldest_connection_to_others() {
        let places = Connections::new(6, 4);
        let now = Instant::now();
        let at = |second| now + Duration::from_secs(second);
        let mut first: Vec<_> = (0..4)
            .map(|second| places.admit(Holder::User(1), Rank::Local, at(second)).expect("room"))
            .collect();
        assert!(places.admit(Holder::User(1), Rank::Local, at(4)).is_none(), "his share is used up");
        let second: Vec<_> =
            (0..2).map(|_| places.admit(Holder::User(2), Rank::Local, at(5)).expect("room")).collect();
        // The oldest answers a request, so the next one loses its place.
        first[0].0.set_busy(true, at(6));
        let third = places.admit(Holder::User(3), Rank::Local, at(7)).expect("the largest holder makes room");
        assert_eq!(first.iter_mut().map(is_closed).collect::<Vec<_>>(), [false, true, false, false]);
        // The holders have 3, 2 and 1, then 2 each.
        let fourth = places.admit(Holder::User(3), Rank::Local, at(8)).expect("he still has more");
        assert!(
            places.admit(Holder::User(3), Rank::Local, at(9)).is_none(),
            "nobody has more than he would have"
        );
        drop((third, fourth, second));
        assert!(places.admit(Holder::User(3), Rank::Local, at(9)).is_some());
    }

    #[test]
    fn users_of_this_host_come_before_others() {
        let places = Connections::new(3, 3);
        let now = Instant::now();
        let mut others: Vec<_> =
            (0..3).map(|last| places.admit(remote(last), Rank::Remote, now).expect("room")).collect();
        assert!(places.admit(remote(9), Rank::Remote, now).is_none());
        let _local = places.admit(Holder::User(1), Rank::Local, now).expect("an address makes room");
        assert_eq!(others.iter_mut().filter_map(|other| is_closed(other).then_some(())).count(), 1);
    }

    /// One user can have many user ids (subuid(5)).
    #[test]
    fn many_users_with_one_connection_each_keep_out_nobody() {
        let places = Connections::new(4, 2);
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let strangers = 100_000..100_004;
        let mut strangers: Vec<_> =
            strangers.map(|uid| places.admit(Holder::User(uid), Rank::Local, now).expect("room")).collect();
        strangers[0].0.set_busy(true, at(1));
        assert!(
            places.admit(Holder::User(1), Rank::Local, at(1000)).is_none(),
            "they may still send their requests"
        );
        let mut other =
            places.admit(Holder::User(1), Rank::Local, at(1001)).expect("a slow client gives way");
        assert!(
            places.admit(remote(1), Rank::Remote, at(1500)).is_none(),
            "an address has no place of users"
        );
        let mut root: Vec<_> = (0..2)
            .map(|_| places.admit(Holder::User(0), Rank::Trusted, at(1001)).expect("at once"))
            .collect();
        assert_eq!(strangers.iter_mut().map(is_closed).collect::<Vec<_>>(), [false, true, true, true]);
        assert!(places.admit(Holder::User(0), Rank::Trusted, at(1001)).is_none(), "his share is used up");
        let _next = places.admit(Holder::User(2), Rank::Local, at(5000)).expect("he waits no longer");
        let _last = places.admit(Holder::User(3), Rank::Local, at(5000)).expect("an answer that takes long");
        assert!(is_closed(&mut strangers[0]) && is_closed(&mut other));
        assert!(places.admit(Holder::User(4), Rank::Local, at(5001)).is_none());
        let mut own =
            places.admit(Holder::User(999), Rank::Trusted, at(5001)).expect("the program's own user");
        assert!(!root.iter_mut().any(is_closed) && !is_closed(&mut own));
    }

    #[test]
    fn fleeting_places_are_held_by_nobody() {
        let places = Connections::fleeting(2);
        let now = Instant::now();
        let mut all: Vec<_> =
            (0..5).map(|_| places.admit(Holder::User(1), Rank::Local, now).expect("always")).collect();
        assert_eq!(all.iter_mut().map(is_closed).collect::<Vec<_>>(), [true, true, true, false, false]);
    }
}
