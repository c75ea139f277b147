//! Who spoke first, where packets do not say it themselves (UDP and protocols without handshake).
//!
//! An exchange is born when a pair of hosts that was silent for a whole window speaks. Whose word was the
//! earlier one can be told only when every worker has handed over past that time, since the two directions
//! may be counted by two workers. Until then the exchange is pending; afterwards its roles stay as long as
//! it lives. This file decides and remembers; [`window`](super::window) owns the rows and acts on it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Moment, UnixNanos};

use super::pair_delta::FirstPacket;

/// How long after a disturbance the order of words proves nothing: exchanges that were going on before are
/// met in the middle.
const UNCERTAIN: Duration = Duration::from_secs(10);

/// Room that an empty queue keeps.
const KEPT: usize = 4096;

/// What one direction of a pair is in its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// No exchange.
    None,
    /// Born, and not yet decided; the number of its [`Pending`], which begins again after 2^32 of them.
    Pending(u32),
    /// This direction's source began.
    Initiator,
    /// This direction's source answered.
    Responder,
    /// Nobody can say.
    Undecided,
}

impl Role {
    /// Whether nothing that is heard further changes it while its exchange lives.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Role::Initiator | Role::Responder | Role::Undecided)
    }

    /// What the other direction is.
    pub(super) fn opposite(self) -> Role {
        match self {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
            same => same,
        }
    }
}

/// An exchange that waits for its decision. "Here" is the direction that was heard of first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// The row of the direction that was heard of first.
    pub(super) pair: u32,
    /// That of the other direction, or [`NONE`](super::container::slab::NONE) as long as it is not known.
    pub(super) reverse: u32,
    /// The slot of its birth, and that of its last word.
    pub(super) slot: u64,
    pub(super) heard_slot: u64,
    /// Everything seen up to here must be handed over first.
    pub(super) born_by: Moment,
    pub(super) here: FirstPacket,
    pub(super) there: Option<FirstPacket>,
}

impl Pending {
    /// When its first word was seen.
    pub(super) fn began_at(&self) -> UnixNanos {
        self.there.map_or(self.here.at, |there| there.at.min(self.here.at))
    }
}

/// Which direction began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Here,
    There,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Here => Side::There,
            Side::There => Side::Here,
        }
    }
}

/// The exchanges that wait, in order of birth.
#[derive(Debug)]
pub(super) struct Roles {
    pending: VecDeque<Pending>,
    /// The number of the first of them.
    first: u32,
    /// When those began that can be decided, and their places in the queue; the last one is the next.
    ordered: Vec<(UnixNanos, u32)>,
    /// How many are to leave the queue when all of these are decided.
    due: usize,
    pending_max: usize,
    uncertain_until: Moment,
}

impl Roles {
    /// Nothing waits, and `pending_max` exchanges may.
    pub(super) fn new(pending_max: usize) -> Self {
        let uncertain_until = Moment::default();
        Self { pending: VecDeque::new(), first: 0, ordered: Vec::new(), due: 0, pending_max, uncertain_until }
    }

    /// From `now` on, and for a while, exchanges may be met in the middle.
    pub(super) fn be_uncertain(&mut self, now: Moment) {
        self.uncertain_until = now.plus(UNCERTAIN);
    }

    /// Adds an exchange; `None` without room.
    pub(super) fn add(&mut self, pending: Pending) -> Option<Role> {
        if self.pending.len() >= self.pending_max {
            return None;
        }
        // Fits: there is room for fewer than 2^32.
        let number = self.first.wrapping_add(self.pending.len() as u32);
        self.pending.push_back(pending);
        Some(Role::Pending(number))
    }

    /// The exchange of a number, while it waits.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Pending> {
        self.pending.get_mut(number.wrapping_sub(self.first) as usize)
    }

    /// Whether the exchange of a number waits.
    pub(super) fn waits(&self, number: u32) -> bool {
        (number.wrapping_sub(self.first) as usize) < self.pending.len()
    }

    /// Puts the exchanges in order that can be decided when everything seen before `settled` is handed over, unless some
    /// are in order still.
    ///
    /// It is the order of their first words, whichever worker was folded first: one exchange makes a service known, and
    /// that decides the next one.
    pub(super) fn order(&mut self, settled: Moment) {
        if self.due > 0 {
            return;
        }
        let due = self.pending.iter().take_while(|exchange| exchange.born_by <= settled);
        // Fits: there is room for fewer than 2^32.
        let places = 0_u32..;
        self.ordered.extend(places.zip(due).map(|(at, exchange)| (exchange.began_at(), at)));
        self.due = self.ordered.len();
        // The last one is taken first.
        self.ordered.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// The next exchanges in order, with their numbers. Those before must have been decided: they wait no more.
    pub(super) fn next_in_order(&mut self, exchanges_max: usize, next: &mut Vec<(u32, Pending)>) {
        next.clear();
        for (_, at) in self.ordered.drain(self.ordered.len().saturating_sub(exchanges_max)..).rev() {
            next.push((self.first.wrapping_add(at), self.pending[at as usize]));
        }
        if next.is_empty() {
            // Fits: there is room for fewer than 2^32.
            self.first = self.first.wrapping_add(self.due as u32);
            self.pending.drain(..std::mem::take(&mut self.due));
            if self.pending.is_empty() && self.pending.capacity() > KEPT {
                // The memory of a flood is not kept.
                (self.pending, self.ordered) = (VecDeque::new(), Vec::new());
            }
        }
    }

    /// Whether an exchange waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Who began; `None` when nobody can say.
    pub(super) fn who_began(&self, exchange: &Pending) -> Option<Side> {
        let Pending { here, there, born_by, .. } = exchange;
        match there {
            _ if *born_by < self.uncertain_until => by_port(here),
            // The answer to a question that went another way.
            None if here.src_port < SYSTEM_PORTS && here.dst_port >= SYSTEM_PORTS => by_port(here),
            None => Some(Side::Here),
            Some(there) if here.at < there.at => Some(Side::Here),
            Some(there) if here.at > there.at => Some(Side::There),
            Some(_) => by_port(here),
        }
    }
}

/// The ports below are those of services (RFC 6335, 6): nothing asks from one of them at a port above, and a protocol
/// between two services uses two of them. Without ports both are 0.
const SYSTEM_PORTS: u16 = 1024;

/// Clients use the higher port, as a rule (RFC 6335, 6).
fn by_port(here: &FirstPacket) -> Option<Side> {
    match here.src_port.cmp(&here.dst_port) {
        std::cmp::Ordering::Greater => Some(Side::Here),
        std::cmp::Ordering::Less => Some(Side::There),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(at: u64, src_port: u16, dst_port: u16) -> FirstPacket {
        FirstPacket { at: UnixNanos(at), protocol: 17, src_port, dst_port }
    }

    #[test]
    fn the_earlier_word_began_and_at_the_start_the_higher_port() {
        let mut roles = Roles::new(2);
        roles.be_uncertain(Moment(0));
        let early = Moment(9_999_999_999);
        let late = Moment(10_000_000_000);
        for (name, born_by, here, there, want) in [
            ("alone", late, word(5, 4000, 53), None, Some(Side::Here)),
            ("alone, between high ports", late, word(5, 4000, 50_000), None, Some(Side::Here)),
            ("alone, between low ports", late, word(5, 53, 123), None, Some(Side::Here)),
            ("alone, without ports", late, word(5, 0, 0), None, Some(Side::Here)),
            ("alone, an answer", late, word(5, 53, 4000), None, Some(Side::There)),
            ("earlier here", late, word(5, 53, 4000), Some(word(6, 4000, 53)), Some(Side::Here)),
            ("earlier there", late, word(7, 53, 4000), Some(word(6, 4000, 53)), Some(Side::There)),
            ("at once, by port", late, word(7, 53, 4000), Some(word(7, 4000, 53)), Some(Side::There)),
            ("at once, same port", late, word(7, 123, 123), Some(word(7, 123, 123)), None),
            ("at the start", early, word(5, 53, 4000), Some(word(6, 4000, 53)), Some(Side::There)),
            ("at the start, alone", early, word(5, 4000, 53), None, Some(Side::Here)),
            ("at the start, same port", early, word(5, 0, 0), None, None),
        ] {
            let exchange = Pending { pair: 0, reverse: 1, slot: 0, heard_slot: 0, born_by, here, there };
            assert_eq!(roles.who_began(&exchange), want, "{name}");
        }
    }

    #[test]
    fn decisions_come_in_order_of_birth() {
        let mut roles = Roles::new(2);
        roles.first = u32::MAX;
        let birth = |at| Pending {
            pair: 7,
            reverse: 8,
            slot: 0,
            heard_slot: 0,
            born_by: Moment(at),
            here: word(1, 2, 3),
            there: None,
        };
        // Numbers go round.
        assert_eq!(roles.add(birth(10)), Some(Role::Pending(u32::MAX)));
        assert_eq!(roles.add(birth(20)), Some(Role::Pending(0)));
        let decided = |roles: &mut Roles, settled| -> Vec<u32> {
            let (mut next, mut numbers) = (Vec::new(), Vec::new());
            roles.order(Moment(settled));
            loop {
                roles.next_in_order(1, &mut next);
                match next[..] {
                    [(number, _)] => numbers.push(number),
                    _ => return numbers,
                }
            }
        };
        assert!(decided(&mut roles, 9).is_empty());
        assert_eq!(decided(&mut roles, 10), [u32::MAX]);
        assert!(roles.is_waiting() && roles.waits(0) && !roles.waits(1) && !roles.waits(u32::MAX));
        assert!(roles.get_mut(u32::MAX).is_none() && roles.get_mut(0).is_some());
        assert_eq!(decided(&mut roles, 20), [0]);
        assert!(!roles.is_waiting());
        let spoke = |at| Pending { here: word(at, 2, 3), ..birth(30) };
        assert!(roles.add(spoke(7)).is_some() && roles.add(spoke(6)).is_some());
        assert_eq!(decided(&mut roles, 30), [2, 1], "whoever spoke first");
        assert!(roles.add(birth(30)).is_some() && roles.add(birth(31)).is_some());
        assert_eq!(roles.add(birth(32)), None, "there is room for two");
    }
}
