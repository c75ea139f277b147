//! Who holds connections, and which one is closed when another client needs its place.
//!
//! A user of this host, or a remote address, has at most a share of all places. When all are taken, a client of
//! somebody with fewer gets the place of whoever has most: of his connections the one that has waited the longest for
//! its client. On loopback all clients have one address, so their users are told apart
//! ([`SocketOwners`](super::socket_owner::SocketOwners)).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::client::Holder;

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
        now: Instant,
    ) -> Option<(ConnectionPermit, oneshot::Receiver<()>)> {
        let mut table = self.lock();
        if table.open.len() >= self.max || table.count(holder) >= self.per_holder_max {
            let displaced = self.displaced_by(&table, holder)?;
            table.open.remove(&displaced);
        }
        let (close, closed) = oneshot::channel();
        table.last_id += 1;
        let id = table.last_id;
        table.open.insert(id, OpenConnection { holder, is_busy: false, since: now, _close: close });
        Some((ConnectionPermit { id, connections: Arc::clone(self) }, closed))
    }

    /// Returns the connection whose place a new one of `holder` gets.
    fn displaced_by(&self, table: &ConnectionTable, holder: Holder) -> Option<u64> {
        let own = table.count(holder);
        if !self.displaces_always && own >= self.per_holder_max {
            return None;
        }
        let mut counts: HashMap<Holder, usize> = HashMap::new();
        table.open.values().for_each(|open| *counts.entry(open.holder).or_default() += 1);
        // Whoever is on this host comes before whoever is not.
        let precedes = |other: Holder| holder.is_local() && !other.is_local();
        let may_lose = |&(&other, &count): &(&Holder, &usize)| {
            self.displaces_always || precedes(other) || count > own + 1
        };
        let (&largest, _) =
            counts.iter().filter(may_lose).max_by_key(|&(&other, &count)| (precedes(other), count))?;
        let of_largest = table.open.iter().filter(|(_, open)| open.holder == largest);
        of_largest.min_by_key(|(id, open)| (open.is_busy, open.since, **id)).map(|(&id, _)| id)
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
        let mut first: Vec<_> =
            (0..4).map(|second| places.admit(Holder::User(1), at(second)).expect("room")).collect();
        assert!(places.admit(Holder::User(1), at(4)).is_none(), "his share is used up");
        let second: Vec<_> = (0..2).map(|_| places.admit(Holder::User(2), at(5)).expect("room")).collect();
        // The oldest answers a request, so the next one loses its place.
        first[0].0.set_busy(true, at(6));
        let third = places.admit(Holder::User(3), at(7)).expect("the largest holder makes room");
        assert_eq!(first.iter_mut().map(is_closed).collect::<Vec<_>>(), [false, true, false, false]);
        // The holders have 3, 2 and 1, then 2 each.
        let fourth = places.admit(Holder::User(3), at(8)).expect("he still has more");
        assert!(places.admit(Holder::User(3), at(9)).is_none(), "nobody has more than he would have");
        drop((third, fourth, second));
        assert!(places.admit(Holder::User(3), at(9)).is_some());
    }

    #[test]
    fn users_of_this_host_come_before_others() {
        let places = Connections::new(3, 3);
        let now = Instant::now();
        let mut others: Vec<_> = (0..3).map(|last| places.admit(remote(last), now).expect("room")).collect();
        assert!(places.admit(remote(9), now).is_none());
        let _local = places.admit(Holder::User(1), now).expect("an address makes room");
        assert_eq!(others.iter_mut().filter_map(|other| is_closed(other).then_some(())).count(), 1);
    }

    #[test]
    fn fleeting_places_are_held_by_nobody() {
        let places = Connections::fleeting(2);
        let now = Instant::now();
        let mut all: Vec<_> = (0..5).map(|_| places.admit(Holder::User(1), now).expect("always")).collect();
        assert_eq!(all.iter_mut().map(is_closed).collect::<Vec<_>>(), [true, true, true, false, false]);
    }
}
