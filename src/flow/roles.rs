//! Who initiated an exchange, in protocols whose packets do not show it (UDP, and protocols without a handshake).
//!
//! An exchange begins with the first packet of any such protocol between two hosts that have sent each other none for a
//! whole window.
//! The two directions may be counted by two workers, so which packet was first can be decided only when every worker
//! has handed over past that time. Until then the exchange is pending; afterwards its roles last as long as the
//! exchange. This file decides and stores the queue; [`window`](super::window) owns the rows and applies the decisions.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::{Moment, UnixNanos};

use super::pair_delta::FirstPacket;

/// Time after a disturbance during which the order of packets proves nothing, since exchanges may have begun before.
const UNCERTAIN: Duration = Duration::from_secs(10);

/// Items for which an empty queue keeps memory.
const KEPT: usize = 4096;

/// The role of one direction of a pair in its exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// There is no exchange.
    None,
    /// Not yet decided. It contains the number of its [`Pending`]; numbers wrap after 2^32.
    Pending(u32),
    /// The source of this direction initiated the exchange.
    Initiator,
    /// The source of this direction is the responder.
    Responder,
    /// It cannot be decided.
    Undecided,
}

impl Role {
    /// Returns true if further packets do not change the role while the exchange lasts.
    pub(super) fn is_settled(self) -> bool {
        matches!(self, Role::Initiator | Role::Responder | Role::Undecided)
    }

    /// Returns the role of the other direction.
    pub(super) fn opposite(self) -> Role {
        match self {
            Role::Initiator => Role::Responder,
            Role::Responder => Role::Initiator,
            same => same,
        }
    }
}

/// An exchange that is not yet decided. "Here" is the direction that was folded first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    /// The row of the direction that was folded first.
    pub(super) pair: u32,
    /// The row of the other direction; [`NONE`](super::container::slab::NONE) until it is known.
    pub(super) reverse: u32,
    /// The slot of its first packet, and the slot of its latest one.
    pub(super) slot: u64,
    pub(super) active_slot: u64,
    /// The exchange had begun by this time, that of the delta with its first packet. Every worker must have handed over
    /// past it before the decision.
    pub(super) began_by: Moment,
    pub(super) here: FirstPacket,
    pub(super) there: Option<FirstPacket>,
}

impl Pending {
    /// Returns the time of its first packet.
    pub(super) fn began_at(&self) -> UnixNanos {
        self.there.map_or(self.here.at, |there| there.at.min(self.here.at))
    }
}

/// One of the two directions.
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

/// The pending exchanges, in the order in which they were added.
#[derive(Debug)]
pub(super) struct Roles {
    pending: VecDeque<Pending>,
    /// The number of the first of them.
    first: u32,
    /// The exchanges that can be decided: their times and places in the queue, the next one last.
    ordered: Vec<(UnixNanos, u32)>,
    /// How many exchanges leave the queue when all of these are decided.
    due: usize,
    pending_max: usize,
    uncertain_until: Moment,
}

impl Roles {
    /// Makes an empty queue for `pending_max` exchanges.
    pub(super) fn new(pending_max: usize) -> Self {
        let uncertain_until = Moment::default();
        Self { pending: VecDeque::new(), first: 0, ordered: Vec::new(), due: 0, pending_max, uncertain_until }
    }

    /// Marks a disturbance at `now`: for a while, exchanges may have begun before their first packet here.
    pub(super) fn be_uncertain(&mut self, now: Moment) {
        self.uncertain_until = now.plus(UNCERTAIN);
    }

    /// Adds an exchange; `None` if there is no room.
    pub(super) fn add(&mut self, pending: Pending) -> Option<Role> {
        if self.pending.len() >= self.pending_max {
            return None;
        }
        // Fits: there is room for fewer than 2^32.
        #[allow(clippy::cast_possible_truncation, reason = "there is room for fewer than 2^32 exchanges")]
        let number = self.first.wrapping_add(self.pending.len() as u32);
        self.pending.push_back(pending);
        Some(Role::Pending(number))
    }

    /// Returns the exchange with this number while it is pending.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Pending> {
        self.pending.get_mut(number.wrapping_sub(self.first) as usize)
    }

    /// Returns true if the exchange with this number is pending.
    pub(super) fn waits(&self, number: u32) -> bool {
        (number.wrapping_sub(self.first) as usize) < self.pending.len()
    }

    /// Sorts the exchanges that can be decided, which are those with `began_by` at or before `settled`, unless some
    /// sorted ones are left.
    ///
    /// They are sorted by their first packets, so that the result does not depend on which worker was folded first: one
    /// decision makes a service known, and that affects the next.
    pub(super) fn order(&mut self, settled: Moment) {
        if self.due > 0 {
            return;
        }
        let due = self.pending.iter().take_while(|exchange| exchange.began_by <= settled);
        // Fits: there is room for fewer than 2^32.
        let places = 0_u32..;
        self.ordered.extend(places.zip(due).map(|(at, exchange)| (exchange.began_at(), at)));
        self.due = self.ordered.len();
        // The last one is taken first.
        self.ordered.sort_unstable_by(|one, other| other.cmp(one));
    }

    /// Takes the next exchanges in order, with their numbers. The previous ones must have been decided. Call it until
    /// `next` is empty: that call removes the decided exchanges, and until then their numbers stay valid.
    #[allow(clippy::cast_possible_truncation, reason = "there is room for fewer than 2^32 exchanges")]
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
                // The memory that a flood needed is freed.
                (self.pending, self.ordered) = (VecDeque::new(), Vec::new());
            }
        }
    }

    /// Returns true if an exchange is pending.
    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Returns the initiator; `None` if it cannot be decided.
    pub(super) fn who_began(&self, exchange: &Pending) -> Option<Side> {
        let Pending { here, there, began_by, .. } = exchange;
        match there {
            _ if *began_by < self.uncertain_until => by_port(here),
            // The answer to a request that took another path.
            None if here.src_port < SYSTEM_PORTS && here.dst_port >= SYSTEM_PORTS => by_port(here),
            None => Some(Side::Here),
            Some(there) if here.at < there.at => Some(Side::Here),
            Some(there) if here.at > there.at => Some(Side::There),
            Some(_) => by_port(here),
        }
    }
}

/// Ports below this one are those of services (RFC 6335, 6): no client sends from one of them to a port above, and a
/// protocol between two services uses two of them. Protocols without ports have 0 twice.
const SYSTEM_PORTS: u16 = 1024;

/// Clients normally use the higher port (RFC 6335, 6).
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

    fn packet(at: u64, src_port: u16, dst_port: u16) -> FirstPacket {
        FirstPacket { at: UnixNanos(at), protocol: 17, src_port, dst_port }
    }

    #[test]
    fn the_earlier_packet_initiates_and_at_the_start_the_higher_port() {
        let mut roles = Roles::new(2);
        roles.be_uncertain(Moment(0));
        let early = Moment(9_999_999_999);
        let late = Moment(10_000_000_000);
        for (name, began_by, here, there, want) in [
            ("alone", late, packet(5, 4000, 53), None, Some(Side::Here)),
            ("alone, between high ports", late, packet(5, 4000, 50_000), None, Some(Side::Here)),
            ("alone, between low ports", late, packet(5, 53, 123), None, Some(Side::Here)),
            ("alone, without ports", late, packet(5, 0, 0), None, Some(Side::Here)),
            ("alone, an answer", late, packet(5, 53, 4000), None, Some(Side::There)),
            ("earlier here", late, packet(5, 53, 4000), Some(packet(6, 4000, 53)), Some(Side::Here)),
            ("earlier there", late, packet(7, 53, 4000), Some(packet(6, 4000, 53)), Some(Side::There)),
            ("at once, by port", late, packet(7, 53, 4000), Some(packet(7, 4000, 53)), Some(Side::There)),
            ("at once, same port", late, packet(7, 123, 123), Some(packet(7, 123, 123)), None),
            ("at the start", early, packet(5, 53, 4000), Some(packet(6, 4000, 53)), Some(Side::There)),
            ("at the start, alone", early, packet(5, 4000, 53), None, Some(Side::Here)),
            ("at the start, same port", early, packet(5, 0, 0), None, None),
        ] {
            let exchange = Pending { pair: 0, reverse: 1, slot: 0, active_slot: 0, began_by, here, there };
            assert_eq!(roles.who_began(&exchange), want, "{name}");
        }
    }

    #[test]
    fn decisions_come_in_the_order_of_first_packets() {
        let mut roles = Roles::new(2);
        roles.first = u32::MAX;
        let new_exchange = |at| Pending {
            pair: 7,
            reverse: 8,
            slot: 0,
            active_slot: 0,
            began_by: Moment(at),
            here: packet(1, 2, 3),
            there: None,
        };
        // Numbers wrap.
        assert_eq!(roles.add(new_exchange(10)), Some(Role::Pending(u32::MAX)));
        assert_eq!(roles.add(new_exchange(20)), Some(Role::Pending(0)));
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
        let first_at = |at| Pending { here: packet(at, 2, 3), ..new_exchange(30) };
        assert!(roles.add(first_at(7)).is_some() && roles.add(first_at(6)).is_some());
        assert_eq!(decided(&mut roles, 30), [2, 1], "the earlier first packet is decided first");
        assert!(roles.add(new_exchange(30)).is_some() && roles.add(new_exchange(31)).is_some());
        assert_eq!(roles.add(new_exchange(32)), None, "there is room for two");
    }
}
