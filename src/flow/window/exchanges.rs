//! Exchanges in the window. An exchange begins with the first packet after a window without one, is decided when every
//! worker has handed over, and is then a contact of its initiator. [`roles`](crate::flow::roles) has the rule and the
//! queue.

use crate::flow::container::slab::NONE;
use crate::flow::known_services::KnownService;
use crate::flow::observations::Observations;
use crate::flow::pair_delta::FirstPacket;
use crate::flow::pairs::Sought;
use crate::flow::roles::{Pending, Role, Side};
use crate::time::Moment;

use super::Window;

impl Window {
    /// Takes the first packet of one direction in a delta: it begins an exchange or belongs to one.
    #[inline]
    pub(super) fn observe(&mut self, here: u32, sought: &Sought, packet: FirstPacket, at: Moment) {
        let current = self.items.current();
        let pair = self.pairs.get_mut(here);
        if pair.is_active(current) && pair.role().is_settled() {
            // This is nearly always so, and saves the lookup of the other direction.
            return pair.note_active(current);
        }
        let there = self.pairs.find(&sought.reversed(), &self.hosts);
        let is_active = |pair: u32| self.pairs.get(pair).is_active(current);
        if is_active(here) || there.is_some_and(is_active) {
            self.observe_further(here, there, packet);
        } else {
            let reverse = there.unwrap_or(NONE);
            let (slot, active_slot) = (current, current);
            let pending =
                Pending { pair: here, reverse, slot, active_slot, began_by: at, here: packet, there: None };
            let role = self.roles.add(pending).unwrap_or_else(|| self.undecided());
            for pair in [Some(here), there].into_iter().flatten() {
                self.pairs.get_mut(pair).set_role(role);
            }
        }
        self.pairs.get_mut(here).note_active(current);
    }

    /// Takes a further packet of an exchange.
    fn observe_further(&mut self, here: u32, there: Option<u32>, packet: FirstPacket) {
        if self.pairs.get(here).role() == Role::None {
            let role = there.map_or(Role::Undecided, |there| self.pairs.get(there).role().opposite());
            self.pairs.get_mut(here).set_role(role);
        }
        let Role::Pending(number) = self.pairs.get(here).role() else { return };
        let Some(exchange) = self.roles.get_mut(number) else {
            // The row that its decision needed had been freed.
            return self.pairs.get_mut(here).settle(Role::Undecided, None);
        };
        exchange.active_slot = self.items.current();
        if exchange.pair == here {
            if packet.at < exchange.here.at {
                exchange.here = packet;
            }
        } else {
            exchange.reverse = here;
            if exchange.there.is_none_or(|first| packet.at < first.at) {
                exchange.there = Some(packet);
            }
        }
    }

    /// Prefetches everything that decisions read.
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

    /// Decides an exchange: sets the roles and counts a contact of the initiator.
    pub(super) fn decide_exchange(&mut self, number: u32, exchange: &Pending) {
        let here = exchange.pair;
        if self.pairs.get(here).role() != Role::Pending(number) {
            // The row has been freed, or belongs to another pair by now.
            self.accounting.undecided_exchanges += 1;
            return;
        }
        let Some(mut side) = self.roles.who_began(exchange) else {
            let role = self.undecided();
            self.settle(number, exchange, role);
            return;
        };
        if self.service_of_first_packet(exchange, side).is_some_and(|service| self.services.knows(&service)) {
            side = side.other();
        }
        let role = match side {
            Side::Here => Role::Initiator,
            Side::There => Role::Responder,
        };
        let there = self.settle(number, exchange, role);
        let service = self.contacted_service(exchange, side);
        self.services.contacted(service, exchange.began_by);
        let began = match side {
            Side::Here => Some(here),
            // It may have a row from packets that belong to no exchange.
            Side::There => there.or_else(|| self.pairs.reverse(here, &self.hosts)),
        };
        if let Some(began) = began {
            self.pairs.get_mut(began).contacted.add(service.protocol, service.port, self.port_hasher);
            if self.has_begun(began) {
                self.contact(began, exchange.slot, exchange.began_by);
            }
        }
    }

    /// Returns the sender of the first packet of a side, as a service.
    fn service_of_first_packet(&self, exchange: &Pending, side: Side) -> Option<KnownService> {
        let pair = self.pairs.get(exchange.pair);
        let (sender, packet) = match side {
            Side::Here => (pair.src, exchange.here),
            Side::There => (pair.dst, exchange.there?),
        };
        Some(KnownService {
            host: self.hosts.get(sender).addr(),
            protocol: packet.protocol,
            port: packet.src_port,
        })
    }

    /// Returns the service that a side contacted if it is the initiator.
    fn contacted_service(&self, exchange: &Pending, side: Side) -> KnownService {
        let pair = self.pairs.get(exchange.pair);
        let (host, port) = match (side, exchange.there) {
            (Side::Here, _) => (pair.dst, exchange.here.dst_port),
            (Side::There, Some(packet)) => (pair.src, packet.dst_port),
            (Side::There, None) => (pair.src, exchange.here.src_port),
        };
        KnownService { host: self.hosts.get(host).addr(), protocol: exchange.here.protocol, port }
    }

    /// Sets the roles of both directions. Returns the row of the other direction, if it belongs to the exchange.
    fn settle(&mut self, number: u32, exchange: &Pending, role: Role) -> Option<u32> {
        let active_slot = Some(exchange.active_slot);
        self.pairs.get_mut(exchange.pair).settle(role, active_slot);
        let there = exchange.reverse;
        // It may have been freed since.
        if there == NONE || self.pairs.get(there).role() != Role::Pending(number) {
            return None;
        }
        self.pairs.get_mut(there).settle(role.opposite(), active_slot.filter(|_| exchange.there.is_some()));
        Some(there)
    }

    fn undecided(&mut self) -> Role {
        self.accounting.undecided_exchanges += 1;
        Role::Undecided
    }

    /// Returns true if a direction is the initiator of its exchange and was not seen in egress frames only: behind NAT
    /// those have the address of this gateway instead of the client's.
    pub(super) fn has_begun(&self, pair: u32) -> bool {
        let pair = self.pairs.get(pair);
        pair.role() == Role::Initiator && pair.observations().has(Observations::SENT)
    }
}
