//! Answers: ports in the port window that were answered, and bare ACKs that were reset.
//!
//! An answer may be folded before its contact, since two workers may have seen them. So an answer without a contact is
//! kept until every worker has handed over.

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

/// A port row of a delta that cannot be folded yet, since its exchange is undecided or its contact was not folded.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingPort {
    key: PortKey,
    /// Hash of the key's pair.
    pair_hash: u64,
    observations: Observations,
    at: Moment,
}

impl WaitingPort {
    /// Makes it from a port row of a delta; `pair_hash` is the hash of its pair.
    pub(super) fn new(key: PortKey, pair_hash: u64, observations: Observations, at: Moment) -> Self {
        Self { key, pair_hash, observations, at }
    }

    fn pair(&self) -> Sought {
        Sought::new(self.pair_hash, &self.key.endpoints)
    }

    /// Returns the host that contacted the port, and the port: if the sender is the responder, the receiver contacted
    /// its source port. Groups are not considered.
    fn contact(&self, pair: &Pair) -> (HostId, u16) {
        if !self.key.is_evident && pair.role() == Role::Responder {
            (pair.dst, self.key.src_port)
        } else {
            (pair.src, self.key.dst_port)
        }
    }
}

/// A pair with bare ACKs that were reset.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingProbe {
    pair: u32,
    slot: u64,
    at: Moment,
}

/// What a port row of a delta is.
enum PortRole {
    Contact,
    /// An answer to the contact of the same key.
    Responder,
    /// An answer to a contact of the other direction, from the port that was contacted.
    Answer,
    /// Part of an undecided exchange.
    Undecided,
    /// It cannot be decided, since the first row of its exchange had been freed.
    Unknown,
}

/// The result of folding a port row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    Done,
    /// Its exchange is not yet decided.
    Undecided,
    /// It answers a contact that was not folded yet.
    Unmatched,
}

impl Window {
    /// Counts a contacted port, or adds an answer to one.
    pub(super) fn fold_port(&mut self, port: &WaitingPort, candidate: Option<u32>) {
        // A bare reset may answer a probe, and then only the reset shows the port of that probe.
        if port.observations.has(Observations::BARE_RESET) && !port.observations.has(Observations::INITIATED)
        {
            return self.wait_for_contact(*port);
        }
        match self.take_port(port, candidate) {
            Take::Done => {}
            Take::Undecided => {
                let has_room = self.waiting_ports.add(port.at, *port);
                self.accounting.spilled_ports += u64::from(!has_room);
            }
            Take::Unmatched => self.wait_for_contact(*port),
        }
    }

    /// Prefetches everything that ports are folded into, in steps, since each step leads to the next. Fills in
    /// candidates for pairs that have none.
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

    /// Folds at most `items_max` of the waiting ports, contacts first, since answers depend on them. Returns true if
    /// those were all.
    pub(super) fn decide_ports(&mut self, settled: Moment, items_max: usize) -> bool {
        let left =
            self.take_settled(settled, items_max, |window| &mut window.waiting_ports, Self::wait_for_contact);
        // The reset of a probe makes a contact, which other rows may answer.
        let left = self.take_settled(
            settled,
            left,
            |window| &mut window.waiting_answers,
            |window, answer| window.unmatched.push(answer),
        );
        if left == 0 {
            return false;
        }
        for port in std::mem::take(&mut self.unmatched) {
            // What still has no contact answers none that was seen.
            self.take_port(&port, None);
        }
        for (service, at) in self.new_services.drain(..) {
            self.services.contacted(service, at);
        }
        true
    }

    /// Folds settled items of a queue, at most `items_max`, and passes answers without a contact to `unmatched`.
    /// Returns how many of `items_max` are left.
    fn take_settled(
        &mut self,
        settled: Moment,
        items_max: usize,
        queue: impl Fn(&mut Self) -> &mut DelayQueue<WaitingPort>,
        unmatched: impl Fn(&mut Self, WaitingPort),
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
                if self.take_port(port, candidate) == Take::Unmatched {
                    unmatched(self, *port);
                }
            }
        }
        self.taking_ports = ports;
        left
    }

    fn wait_for_contact(&mut self, answer: WaitingPort) {
        // Without room the answer is dropped, and its contact stays unanswered.
        let _ = self.waiting_answers.add(answer.at, answer);
    }

    fn take_port(&mut self, port: &WaitingPort, candidate: Option<u32>) -> Take {
        let WaitingPort { key, observations, at, .. } = port;
        let sought = port.pair();
        let found = match candidate {
            Some(candidate) => self.pairs.find_from(candidate, &sought, &self.hosts),
            None => self.pairs.find(&sought, &self.hosts),
        };
        let Some(row) = found else {
            // An answer may be folded before its contact. If this is a contact, there was no room for its pair.
            let is_answer = key.is_evident && !observations.has(Observations::INITIATED);
            return if is_answer { Take::Unmatched } else { Take::Done };
        };
        let pair = self.pairs.get(row);
        let (owner, dst) = (self.hosts.get(pair.src).owner, pair.dst);
        match self.port_role(pair, key, *observations) {
            PortRole::Contact => self.contact_port(row, port),
            PortRole::Undecided => return Take::Undecided,
            PortRole::Unknown => {}
            PortRole::Responder => {
                return self.answer_port(owner, key.protocol, key.dst_port, *observations, *at);
            }
            PortRole::Answer => {
                // The contacts of a member are those of its group.
                let group = self.groups.owner(self.hosts.get(dst).addr());
                let receiver = self.hosts.find(&group).unwrap_or(dst);
                return self.answer_port(receiver, key.protocol, key.src_port, Observations::ACCEPTED, *at);
            }
        }
        Take::Done
    }

    fn port_role(&self, pair: &Pair, key: &PortKey, observations: Observations) -> PortRole {
        if observations.has(Observations::INITIATED) {
            return PortRole::Contact;
        }
        if key.is_evident {
            let is_probe = pair.probe() == Probe::Is && observations.has(Observations::BARE_RESET);
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
        let WaitingPort { key, observations, at, .. } = port;
        let pair = self.pairs.get_mut(row);
        let at = CoarseInstant::of(*at);
        // The first port of an exchange became known when it was decided.
        let is_known =
            pair.contacted_at == at && pair.contacted.lowest() == Some((key.protocol, key.dst_port));
        if !key.is_evident && !is_known {
            let service =
                KnownService { host: key.endpoints.dst(), protocol: key.protocol, port: key.dst_port };
            self.new_services.push((service, port.at));
        }
        if !observations.has(Observations::INITIATED) {
            // Ports of packets that show an initiation by themselves are in the delta of the pair.
            pair.contacted.add(key.protocol, key.dst_port, self.port_hasher);
        }
        let host = self.hosts.get(pair.src).owner;
        let contact =
            PortContact { host, protocol: key.protocol, port: key.dst_port, observations: *observations, at };
        if !ports.add(&contact, &mut self.hosts) {
            self.accounting.spilled_ports += 1;
        }
    }

    /// Adds how a contact was answered, if it was folded.
    fn answer_port(
        &mut self,
        host: HostId,
        protocol: u8,
        port: u16,
        observations: Observations,
        at: Moment,
    ) -> Take {
        let contact = PortContact { host, protocol, port, observations, at: CoarseInstant::of(at) };
        let is_known = self.ports.as_mut().is_none_or(|ports| ports.answer(&contact));
        if is_known { Take::Done } else { Take::Unmatched }
    }

    /// Takes a bare ACK of a pair or a bare reset of the other direction. Both together are a contact, unless there is
    /// a connection.
    pub(super) fn note_probe(&mut self, row: u32, sought: &Sought, observations: Observations, at: Moment) {
        let Some(reverse) = self.pairs.find(&sought.reversed(), &self.hosts) else { return };
        let directions = [(Observations::PROBED, row, reverse), (Observations::BARE_RESET, reverse, row)];
        for (sign, prober, target) in directions {
            let (probed, reset) = (self.pairs.get(prober), self.pairs.get(target));
            let may_be = observations.has(sign)
                && probed.observations().has(Observations::PROBED)
                && reset.observations().has(Observations::BARE_RESET)
                && probed.probe() != Probe::Waits;
            if may_be {
                let probe = WaitingProbe { pair: prober, slot: self.items.current(), at };
                if self.waiting_probes.add(at, probe) {
                    self.pairs.get_mut(prober).set_probe(Probe::Waits);
                }
            }
        }
    }

    /// Decides whether bare ACKs were probes: they were if neither side sent anything that belongs to a connection.
    pub(super) fn decide_probe(&mut self, probe: &WaitingProbe) {
        const CONNECTED: Observations =
            Observations(Observations::INITIATED.0 | Observations::ESTABLISHED.0 | Observations::ACCEPTED.0);
        // The row has been freed, or belongs to another pair by now.
        if self.pairs.get(probe.pair).probe() != Probe::Waits {
            return;
        }
        let reverse = self.pairs.reverse(probe.pair, &self.hosts);
        let is_connected = [Some(probe.pair), reverse]
            .into_iter()
            .flatten()
            .any(|row| self.pairs.get(row).observations().has_any(CONNECTED));
        self.pairs.get_mut(probe.pair).set_probe(if is_connected { Probe::Unknown } else { Probe::Is });
        if !is_connected {
            self.contact(probe.pair, probe.slot, probe.at);
        }
    }
}
