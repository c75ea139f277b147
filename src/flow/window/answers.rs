//! What was answered: ports in the port window, and bare ACKs that were reset.
//!
//! An answer may be folded before the contact that it answers, since two workers may have seen them. So what finds
//! no contact yet waits until every worker has handed over.

use crate::flow::coarse_instant::CoarseInstant;
use crate::flow::container::delay_queue::DelayQueue;
use crate::flow::container::slab::TOGETHER;
use crate::flow::hosts::HostId;
use crate::flow::known_services::KnownService;
use crate::flow::observations::Observations;
use crate::flow::pair_key::PortKey;
use crate::flow::pairs::{Pair, Probe, Sought};
use crate::flow::ports::PortContact;
use crate::flow::roles::Role;
use crate::time::Moment;

use super::Window;

/// A port of which it is not yet decided whether it was contacted, or of what it answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingPort {
    key: PortKey,
    /// Hash of the key's pair.
    pair_hash: u64,
    signs: Observations,
    at: Moment,
}

impl WaitingPort {
    /// A port row of a delta; `pair_hash` is that of its pair.
    pub(super) fn new(key: PortKey, pair_hash: u64, signs: Observations, at: Moment) -> Self {
        Self { key, pair_hash, signs, at }
    }

    fn pair(&self) -> Sought {
        Sought::new(self.pair_hash, &self.key.endpoints)
    }

    /// Whose port it is, and which one, unless he is one of a group: that of the receiver where the sender answers.
    fn contact(&self, pair: &Pair) -> (HostId, u16) {
        if self.key.src_port != 0 && pair.role() == Role::Responder {
            (pair.dst, self.key.src_port)
        } else {
            (pair.src, self.key.dst_port)
        }
    }
}

/// A pair whose bare ACKs were reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingProbe {
    pair: u32,
    slot: u64,
    at: Moment,
}

/// What a port row of a delta is.
enum PortRole {
    Contact,
    /// How a contact was answered that this or another row is of.
    Responder,
    /// The answer to a contact of the other direction, from the port that was contacted.
    Answer,
    /// Part of an exchange that is not yet decided.
    Undecided,
    /// Of an exchange that was settled after the row that it was born of had left, nobody knows.
    Unknown,
}

/// What came of taking a port row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    Done,
    /// Its exchange is not yet decided.
    Undecided,
    /// It answers something that was not yet folded.
    Unasked,
}

impl Window {
    /// Counts a contacted port if it is one by its own words, or of the side that began; and what it answered.
    pub(super) fn fold_port(&mut self, port: &WaitingPort, candidate: Option<u32>) {
        // A bare reset may answer a probe, and then it alone names the port that was contacted.
        if port.signs.has(Observations::BARE_RESET) && !port.signs.has(Observations::OPENED) {
            return self.wait_for_question(*port);
        }
        match self.take_port(port, candidate) {
            Take::Done => {}
            Take::Undecided => {
                let has_room = self.waiting_ports.add(port.at, *port);
                self.accounting.spilled_ports += u64::from(!has_room);
            }
            Take::Unasked => self.wait_for_question(*port),
        }
    }

    /// Has everything fetched that ports are taken into, step by step, since each step leads to the next. Of those without
    /// a candidate, gives the rows that their pairs may have.
    pub(super) fn fetch_ports(&self, ports: &[WaitingPort], candidates: &mut [Option<u32>; TOGETHER]) {
        let Some(window) = &self.ports else { return };
        for (port, _) in ports.iter().zip(&*candidates).filter(|(_, candidate)| candidate.is_none()) {
            self.pairs.prefetch_place(&port.pair());
        }
        for (port, candidate) in ports.iter().zip(&mut *candidates) {
            *candidate = candidate.or_else(|| self.pairs.candidate(&port.pair()));
            if let Some(row) = *candidate {
                self.pairs.prefetch(row);
            }
        }
        let rows = || ports.iter().zip(&*candidates).filter_map(|(port, row)| Some((port, (*row)?)));
        let contacts = || rows().map(|(port, row)| (port, port.contact(self.pairs.get(row))));
        for (port, (host, number)) in contacts() {
            self.hosts.prefetch(host);
            window.prefetch(host, port.key.protocol, number);
        }
        for (port, (host, number)) in contacts() {
            window.prefetch_candidate(host, port.key.protocol, number);
        }
    }

    /// Takes at most `items_max` of the ports that waited, contacts first, since answers ask for them. Whether those were
    /// all.
    pub(super) fn decide_ports(&mut self, settled: Moment, items_max: usize) -> bool {
        let left = self.take_settled(
            settled,
            items_max,
            |window| &mut window.waiting_ports,
            Self::wait_for_question,
        );
        // The reset of a probe is a contact, which others may answer.
        let left = self.take_settled(
            settled,
            left,
            |window| &mut window.waiting_answers,
            |window, answer| window.unasked.push(answer),
        );
        if left == 0 {
            return false;
        }
        for port in std::mem::take(&mut self.unasked) {
            // What still finds no contact answers none that was seen.
            self.take_port(&port, None);
        }
        for (service, at) in self.new_services.drain(..) {
            self.services.contacted(service, at);
        }
        true
    }

    /// Takes what is settled of a queue, at most `items_max` of it, and does `unasked` with what answers nothing that was
    /// folded. Gives how many more it could be.
    fn take_settled(
        &mut self,
        settled: Moment,
        items_max: usize,
        queue: impl Fn(&mut Self) -> &mut DelayQueue<WaitingPort>,
        unasked: impl Fn(&mut Self, WaitingPort),
    ) -> usize {
        let mut left = items_max;
        let mut ports = std::mem::take(&mut self.taking_ports);
        while left > 0 {
            queue(self).take_settled(settled, TOGETHER.min(left), &mut ports);
            if ports.is_empty() {
                break;
            }
            left -= ports.len();
            let mut candidates = [None; TOGETHER];
            self.fetch_ports(&ports, &mut candidates);
            for (port, candidate) in ports.iter().zip(candidates) {
                if self.take_port(port, candidate) == Take::Unasked {
                    unasked(self, *port);
                }
            }
        }
        self.taking_ports = ports;
        left
    }

    fn wait_for_question(&mut self, answer: WaitingPort) {
        // Without room its contact is silent, as if the answer had been lost on the way.
        let _ = self.waiting_answers.add(answer.at, answer);
    }

    fn take_port(&mut self, port: &WaitingPort, candidate: Option<u32>) -> Take {
        let WaitingPort { key, signs, at, .. } = port;
        let sought = port.pair();
        let found = match candidate {
            Some(candidate) => self.pairs.find_from(candidate, &sought, &self.hosts),
            None => self.pairs.find(&sought, &self.hosts),
        };
        let Some(row) = found else {
            // An answer may be folded before what it answers; of a contact, the pair found no room.
            let is_answer = key.src_port == 0 && !signs.has(Observations::OPENED);
            return if is_answer { Take::Unasked } else { Take::Done };
        };
        let pair = self.pairs.get(row);
        let (owner, dst) = (self.hosts.get(pair.src).owner, pair.dst);
        match self.port_role(pair, key, *signs) {
            PortRole::Contact => self.contact_port(row, port),
            PortRole::Undecided => return Take::Undecided,
            PortRole::Unknown => {}
            PortRole::Responder => return self.answer_port(owner, key.protocol, key.dst_port, *signs, *at),
            PortRole::Answer => {
                // Its contacts are those of its group, if it is in one.
                let group = self.groups.owner(self.hosts.get(dst).addr());
                let asker = self.hosts.find(&group).unwrap_or(dst);
                return self.answer_port(asker, key.protocol, key.src_port, Observations::ACCEPTED, *at);
            }
        }
        Take::Done
    }

    fn port_role(&self, pair: &Pair, key: &PortKey, signs: Observations) -> PortRole {
        if signs.has(Observations::OPENED) {
            return PortRole::Contact;
        }
        if key.src_port == 0 {
            let is_probe = pair.probe() == Probe::Is && signs.has(Observations::BARE_RESET);
            return if is_probe { PortRole::Contact } else { PortRole::Responder };
        }
        match pair.role() {
            Role::Initiator => {
                let sender =
                    KnownService { host: key.endpoints.src(), protocol: key.protocol, port: key.src_port };
                if self.services.knows(&sender) { PortRole::Answer } else { PortRole::Contact }
            }
            Role::Responder => PortRole::Answer,
            Role::Pending(number) if self.roles.waits(number) => PortRole::Undecided,
            Role::None | Role::Pending(_) | Role::Undecided => PortRole::Unknown,
        }
    }

    fn contact_port(&mut self, row: u32, port: &WaitingPort) {
        let Some(ports) = &mut self.ports else { return };
        let WaitingPort { key, signs, at, .. } = port;
        let pair = self.pairs.get_mut(row);
        let at = CoarseInstant::of(*at);
        // The first port of an exchange is known since it was decided.
        let is_known =
            pair.contacted_at == at && pair.contacted.lowest() == Some((key.protocol, key.dst_port));
        if key.src_port != 0 && !is_known {
            let service =
                KnownService { host: key.endpoints.dst(), protocol: key.protocol, port: key.dst_port };
            self.new_services.push((service, port.at));
        }
        if !signs.has(Observations::OPENED) {
            // Those that say it themselves are in the pair's delta.
            pair.contacted.add(key.protocol, key.dst_port, self.mix);
        }
        let host = self.hosts.get(pair.src).owner;
        let contact = PortContact { host, protocol: key.protocol, port: key.dst_port, signs: *signs, at };
        if !ports.add(&contact, &mut self.hosts) {
            self.accounting.spilled_ports += 1;
        }
    }

    /// Notes how a contact was answered, if it was folded.
    fn answer_port(
        &mut self,
        host: HostId,
        protocol: u8,
        port: u16,
        signs: Observations,
        at: Moment,
    ) -> Take {
        let contact = PortContact { host, protocol, port, signs, at: CoarseInstant::of(at) };
        let is_known = self.ports.as_mut().is_none_or(|ports| ports.answer(&contact));
        if is_known { Take::Done } else { Take::Unasked }
    }

    /// Takes a bare ACK of a pair, or a bare reset for one: together, and of no connection, they are a contact.
    pub(super) fn note_probe(&mut self, row: u32, sought: &Sought, signs: Observations, at: Moment) {
        let Some(reverse) = self.pairs.find(&sought.reversed(), &self.hosts) else { return };
        let directions = [(Observations::PROBED, row, reverse), (Observations::BARE_RESET, reverse, row)];
        for (sign, prober, target) in directions {
            let (probed, reset) = (self.pairs.get(prober), self.pairs.get(target));
            let may_be = signs.has(sign)
                && probed.signs.has(Observations::PROBED)
                && reset.signs.has(Observations::BARE_RESET)
                && probed.probe() != Probe::Waits;
            if may_be {
                let probe = WaitingProbe { pair: prober, slot: self.items.current(), at };
                if self.waiting_probes.add(at, probe) {
                    self.pairs.get_mut(prober).set_probe(Probe::Waits);
                }
            }
        }
    }

    /// Decides whether bare ACKs were probes: neither side said anything that belongs to a connection.
    pub(super) fn decide_probe(&mut self, probe: &WaitingProbe) {
        const CONNECTED: Observations =
            Observations(Observations::OPENED.0 | Observations::TALKED.0 | Observations::ACCEPTED.0);
        // The row may have left the window, or be another pair's by now.
        if self.pairs.get(probe.pair).probe() != Probe::Waits {
            return;
        }
        let reverse = self.pairs.reverse(probe.pair, &self.hosts);
        let is_connected = [Some(probe.pair), reverse]
            .into_iter()
            .flatten()
            .any(|row| self.pairs.get(row).signs.has_any(CONNECTED));
        self.pairs.get_mut(probe.pair).set_probe(if is_connected { Probe::Unknown } else { Probe::Is });
        if !is_connected {
            self.contact(probe.pair, probe.slot, probe.at);
        }
    }
}
