//! Exchanges in the window: born of a first word after silence, decided when every worker has handed over, then
//! a contact of whoever began. [`roles`](crate::flow::roles) has the rule and the queue.

use crate::flow::container::slab::NONE;
use crate::flow::known_services::KnownService;
use crate::flow::observations::Observations;
use crate::flow::pair_delta::FirstPacket;
use crate::flow::pairs::Sought;
use crate::flow::roles::{Pending, Role, Side};
use crate::time::Moment;

use super::Window;

impl Window {
    /// Takes the first word of one direction in a delta: it may give birth to an exchange, or be part of one.
    #[inline]
    pub(super) fn hear(&mut self, here: u32, sought: &Sought, word: FirstPacket, at: Moment) {
        let current = self.items.current();
        let pair = self.pairs.get_mut(here);
        if pair.is_heard(current) && pair.role().is_settled() {
            // Nearly always, and then the other direction need not be looked for.
            return pair.note_heard(current);
        }
        let there = self.pairs.find(&sought.reversed(), &self.hosts);
        let is_heard = |pair: u32| self.pairs.get(pair).is_heard(current);
        if is_heard(here) || there.is_some_and(is_heard) {
            self.hear_further(here, there, word);
        } else {
            let reverse = there.unwrap_or(NONE);
            let (slot, heard_slot) = (current, current);
            let birth =
                Pending { pair: here, reverse, slot, heard_slot, born_by: at, here: word, there: None };
            let role = self.roles.add(birth).unwrap_or_else(|| self.undecided());
            for pair in [Some(here), there].into_iter().flatten() {
                self.pairs.get_mut(pair).set_role(role);
            }
        }
        self.pairs.get_mut(here).note_heard(current);
    }

    /// Takes a further word of an exchange that lives.
    fn hear_further(&mut self, here: u32, there: Option<u32>, word: FirstPacket) {
        if self.pairs.get(here).role() == Role::None {
            let role = there.map_or(Role::Undecided, |there| self.pairs.get(there).role().opposite());
            self.pairs.get_mut(here).set_role(role);
        }
        let Role::Pending(number) = self.pairs.get(here).role() else { return };
        let Some(exchange) = self.roles.get_mut(number) else {
            // Its decision found the row that it waited for gone.
            return self.pairs.get_mut(here).settle(Role::Undecided, None);
        };
        exchange.heard_slot = self.items.current();
        if exchange.pair == here {
            if word.at < exchange.here.at {
                exchange.here = word;
            }
        } else {
            exchange.reverse = here;
            if exchange.there.is_none_or(|first| word.at < first.at) {
                exchange.there = Some(word);
            }
        }
    }

    /// Has everything fetched that decisions read.
    pub(super) fn prefetch_exchanges(&self, exchanges: &[(u32, Pending)]) {
        let rows = || exchanges.iter().map(|(_, exchange)| exchange.pair);
        rows().for_each(|row| self.pairs.prefetch(row));
        for row in rows() {
            let pair = self.pairs.get(row);
            self.hosts.prefetch_active(pair.src);
            self.hosts.prefetch(pair.dst);
            if let Some(item) = pair.latest(&self.items) {
                self.items.prefetch(item);
            }
        }
    }

    /// Gives an exchange its roles, and whoever began it a contact.
    pub(super) fn decide_exchange(&mut self, number: u32, exchange: &Pending) {
        let here = exchange.pair;
        if self.pairs.get(here).role() != Role::Pending(number) {
            // The row left the window, or is another pair's by now.
            self.accounting.undecided_exchanges += 1;
            return;
        }
        let Some(mut side) = self.roles.who_began(exchange) else {
            let role = self.undecided();
            self.settle(number, exchange, role);
            return;
        };
        if self.service_of_first_word(exchange, side).is_some_and(|service| self.services.knows(&service)) {
            side = side.other();
        }
        let role = match side {
            Side::Here => Role::Initiator,
            Side::There => Role::Responder,
        };
        let there = self.settle(number, exchange, role);
        let service = self.contacted_service(exchange, side);
        self.services.contacted(service, exchange.born_by);
        let began = match side {
            Side::Here => Some(here),
            // It may have a row of which no word was heard.
            Side::There => there.or_else(|| self.pairs.reverse(here, &self.hosts)),
        };
        if let Some(began) = began {
            self.pairs.get_mut(began).contacted.add(service.protocol, service.port, self.mix);
            if self.has_begun(began) {
                self.contact(began, exchange.slot, exchange.born_by);
            }
        }
    }

    /// The source that the first word of a side came from, seen as a service.
    fn service_of_first_word(&self, exchange: &Pending, side: Side) -> Option<KnownService> {
        let pair = self.pairs.get(exchange.pair);
        let (speaker, word) = match side {
            Side::Here => (pair.src, exchange.here),
            Side::There => (pair.dst, exchange.there?),
        };
        Some(KnownService {
            host: self.hosts.get(speaker).addr(),
            protocol: word.protocol,
            port: word.src_port,
        })
    }

    /// The service that a side contacted when it began.
    fn contacted_service(&self, exchange: &Pending, side: Side) -> KnownService {
        let pair = self.pairs.get(exchange.pair);
        let (host, port) = match (side, exchange.there) {
            (Side::Here, _) => (pair.dst, exchange.here.dst_port),
            (Side::There, Some(word)) => (pair.src, word.dst_port),
            (Side::There, None) => (pair.src, exchange.here.src_port),
        };
        KnownService { host: self.hosts.get(host).addr(), protocol: exchange.here.protocol, port }
    }

    /// Gives both directions their roles. Gives the row of the other one, if it is part of the exchange.
    fn settle(&mut self, number: u32, exchange: &Pending, role: Role) -> Option<u32> {
        let heard = Some(exchange.heard_slot);
        self.pairs.get_mut(exchange.pair).settle(role, heard);
        let there = exchange.reverse;
        // It may have left the window since.
        if there == NONE || self.pairs.get(there).role() != Role::Pending(number) {
            return None;
        }
        self.pairs.get_mut(there).settle(role.opposite(), heard.filter(|_| exchange.there.is_some()));
        Some(there)
    }

    fn undecided(&mut self) -> Role {
        self.accounting.undecided_exchanges += 1;
        Role::Undecided
    }

    /// Whether a direction began its exchange, and not only in leaving frames: behind NAT those carry this gateway's
    /// address and not the client's.
    pub(super) fn has_begun(&self, pair: u32) -> bool {
        let pair = self.pairs.get(pair);
        pair.role() == Role::Initiator && pair.signs.has(Observations::SPOKE)
    }
}
