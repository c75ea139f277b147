//! Exchanges in the window: born of a first word after silence, decided when every worker has handed over, then
//! a contact of whoever began. [`roles`](crate::flow::roles) has the rule and the queue.

use crate::flow::delta::{FirstWord, PortKey};
use crate::flow::pairs::NEVER;
use crate::flow::roles::{Pending, Role, Side};
use crate::flow::services::Service;
use crate::flow::slots::SLOTS_LIVE;
use crate::time::Moment;

use super::Window;

impl Window {
    /// Takes the first word of one direction in a delta: it may give birth to an exchange, or be part of one.
    pub(super) fn hear(&mut self, here: u32, word: FirstWord, at: Moment) {
        let current = self.slots.current();
        let there = self.pairs.reverse(here, &self.hosts, &self.seed);
        let is_live = |slot: u64| slot != NEVER && current - slot < SLOTS_LIVE as u64;
        let was_heard =
            [Some(here), there].into_iter().flatten().any(|pair| is_live(self.pairs.get(pair).heard_slot));
        if was_heard {
            self.hear_further(here, there, word);
        } else {
            let birth = Pending { pair: here, slot: current, born_by: at, here: word, there: None };
            let role = self.roles.add(birth).unwrap_or_else(|| self.undecided());
            self.set_roles(here, there, role);
        }
        self.pairs.get_mut(here).heard_slot = current;
    }

    /// Takes a further word of an exchange that lives.
    fn hear_further(&mut self, here: u32, there: Option<u32>, word: FirstWord) {
        if self.pairs.get(here).role == Role::None {
            let role = there.map_or(Role::Undecided, |there| self.pairs.get(there).role.opposite());
            self.pairs.get_mut(here).role = role;
            if role == Role::Began {
                self.count_beginning(here, self.slots.current());
            }
        }
        let Role::Pending(number) = self.pairs.get(here).role else { return };
        match self.roles.get_mut(number) {
            Some(exchange) if exchange.pair == here => {
                if word.at < exchange.here.at {
                    exchange.here = word;
                }
            }
            Some(exchange) => {
                if exchange.there.is_none_or(|first| word.at < first.at) {
                    exchange.there = Some(word);
                }
            }
            // Its decision found the row that it waited for gone.
            None => self.pairs.get_mut(here).role = Role::Undecided,
        }
    }

    /// Gives an exchange its roles, and whoever began it a contact.
    pub(super) fn decide_exchange(&mut self, number: u64, exchange: &Pending) {
        let here = exchange.pair;
        if self.pairs.get(here).role != Role::Pending(number) {
            // The row left the window, or is another pair's by now.
            self.accounting.undecided_exchanges += 1;
            return;
        }
        let there = self.pairs.reverse(here, &self.hosts, &self.seed);
        let Some(mut side) = self.roles.who_began(exchange) else {
            let role = self.undecided();
            return self.set_roles(here, there, role);
        };
        if self.service_of_first_word(exchange, side).is_some_and(|service| self.services.knows(&service)) {
            side = side.other();
        }
        let role = match side {
            Side::Here => Role::Began,
            Side::There => Role::Answered,
        };
        self.set_roles(here, there, role);
        let service = self.contacted_service(exchange, side);
        self.services.contacted(service, exchange.born_by);
        let began = match side {
            Side::Here => Some(here),
            Side::There => there,
        };
        if let Some(began) = began {
            self.count_beginning(began, exchange.slot);
        }
    }

    /// The source that the first word of a side came from, seen as a service.
    fn service_of_first_word(&self, exchange: &Pending, side: Side) -> Option<Service> {
        let pair = self.pairs.get(exchange.pair);
        let (speaker, word) = match side {
            Side::Here => (pair.src, exchange.here),
            Side::There => (pair.dst, exchange.there?),
        };
        Some(Service { host: self.hosts.get(speaker).addr, protocol: word.protocol, port: word.src_port })
    }

    /// The service that a side contacted when it began.
    fn contacted_service(&self, exchange: &Pending, side: Side) -> Service {
        let pair = self.pairs.get(exchange.pair);
        let (host, port) = match (side, exchange.there) {
            (Side::Here, _) => (pair.dst, exchange.here.dst_port),
            (Side::There, Some(word)) => (pair.src, word.dst_port),
            (Side::There, None) => (pair.src, exchange.here.src_port),
        };
        Service { host: self.hosts.get(host).addr, protocol: exchange.here.protocol, port }
    }

    fn set_roles(&mut self, here: u32, there: Option<u32>, role: Role) {
        if let Some(there) = there {
            self.pairs.get_mut(there).role = role.opposite();
        }
        self.pairs.get_mut(here).role = role;
    }

    fn undecided(&mut self) -> Role {
        self.accounting.undecided_exchanges += 1;
        Role::Undecided
    }

    /// Counts the contact of whoever began an exchange, unless only leaving frames speak of it: behind NAT
    /// those carry this gateway's address and not the client's.
    fn count_beginning(&mut self, pair: u32, slot: u64) {
        if self.pairs.get(pair).packets > 0 {
            self.contact(pair, slot);
        }
    }

    /// Counts a contacted port if it is one by its own words, or of the side that began.
    pub(super) fn fold_port(&mut self, pair_hash: u64, key: &PortKey, is_contact: bool, now: Moment) {
        let Some(ports) = &mut self.ports else { return };
        let Some(at) = self.pairs.find(pair_hash, &key.endpoints, &self.hosts) else { return };
        let pair = self.pairs.get(at);
        let is_contact = is_contact
            || match pair.role {
                Role::Began => {
                    let sender =
                        Service { host: key.endpoints.src(), protocol: key.protocol, port: key.src_port };
                    !self.services.knows(&sender)
                }
                Role::Pending(number) if self.roles.waits(number) => {
                    if !self.roles.add_port(*key, pair_hash) {
                        self.accounting.spilled_ports += 1;
                    }
                    false
                }
                // Of an exchange that was settled after the row that it was born of had left, nobody knows.
                Role::None | Role::Pending(_) | Role::Answered | Role::Undecided => false,
            };
        if !is_contact {
            return;
        }
        if key.src_port != 0 {
            let service = Service { host: key.endpoints.dst(), protocol: key.protocol, port: key.dst_port };
            self.services.contacted(service, now);
        }
        if !ports.add(pair.owner, key.protocol, key.dst_port, &mut self.hosts) {
            self.accounting.spilled_ports += 1;
        }
    }
}
