//! The tables of one address family: how one packet is added to the row of its pair and to the rows of its ports.

use crate::packet::{Quoted, Undelivered};

use super::decoded::{Gathered, PackedPorts, Packet};
use super::exact_match::{ExactMatch, Flow};
use super::hash::Seed;
use super::observations::Observations;
use super::pair_delta::{FirstPacket, PairDelta, PortDelta};
use super::pair_key::{PairKey, PortOf};
use super::port_sketch::PortHasher;
use super::snapshot::Accounting;
use super::table::{Place, Table};

/// The pairs of one address family and their ports.
#[derive(Debug)]
pub(super) struct FamilyDelta<P> {
    pub(super) pairs: Table<P, PairDelta>,
    /// Ports that packets were sent to; empty if ports are not analysed.
    pub(super) ports: Table<PortOf<P>, PortDelta>,
    /// The exact-match cache.
    pub(super) flows: ExactMatch<P>,
    /// For each row of a pair, the protocol and ports of its latest packet to a port. Most packets of a pair repeat
    /// them, and the row of that port has all that such a packet adds.
    latest_ports: Vec<PackedPorts>,
}

/// Bytes per row of a pair for `latest_ports`, if ports are analysed.
pub(super) const LATEST_PORT_BYTES: u64 = size_of::<PackedPorts>() as u64;

/// How packets are hashed and counted, the same for both families.
#[derive(Debug)]
pub(super) struct HashContext {
    pub(super) seed: Seed,
    pub(super) port_hasher: PortHasher,
    pub(super) counts_ports: bool,
}

impl HashContext {
    #[inline(always)]
    fn port_hash<P>(&self, pair_hash: u64, port: &PortOf<P>) -> u64 {
        self.seed.port(pair_hash, port.protocol, port.src_port, port.dst_port)
    }
}

impl<P: PairKey> FamilyDelta<P> {
    /// Makes empty tables for this many rows.
    pub(super) fn new(pairs_max: usize, ports_max: usize, seed: &Seed) -> Self {
        let latest_max = if ports_max > 0 { pairs_max } else { 0 };
        Self {
            pairs: Table::new(pairs_max),
            ports: Table::new(ports_max),
            flows: ExactMatch::new(pairs_max, seed),
            latest_ports: Vec::with_capacity(latest_max),
        }
    }

    /// Returns the hash of a pair and prefetches its index entries.
    #[inline(always)]
    pub(super) fn expect(&self, pair: &P, how: &HashContext) -> u64 {
        let hash = how.seed.pair(&pair.endpoints());
        self.pairs.prefetch(hash);
        hash
    }

    /// Counts the packets of known flows in the exact-match cache. The others are moved to `packets`, in the order of
    /// arrival.
    #[inline(always)]
    pub(super) fn sift(&mut self, gathered: &mut Gathered<P>, how: &HashContext) {
        let Gathered { plain, irregular, packets } = gathered;
        // A peekable iterator would copy a whole packet for each one that it looks at.
        let mut irregular_taken = 0;
        for (at, plain) in plain.drain(..).enumerate() {
            while let Some((before, packet)) = irregular.get(irregular_taken)
                && *before <= at
            {
                packets.push(*packet);
                irregular_taken += 1;
            }
            if !self.flows.count(&plain) {
                packets.push(plain.packet(self.expect(&plain.pair, how)));
            }
        }
        packets.extend(irregular.drain(..).skip(irregular_taken).map(|(_, packet)| packet));
    }

    /// Looks up the rows of packets, so that they are in the cache when they are counted.
    #[inline(always)]
    pub(super) fn place_all(&mut self, packets: &mut [Packet<P>], how: &HashContext) {
        let mut is_port_new = false;
        for packet in packets.iter_mut().filter(|packet| !packet.is_observed_only()) {
            packet.place = self.pairs.place(packet.pair_hash, packet.pair);
            if how.counts_ports {
                packet.is_port_known = self.latest_port(packet.place) == packet.packed_ports;
                if !packet.is_port_known
                    && let Some(port) = packet.own_port()
                {
                    self.ports.prefetch(how.port_hash(packet.pair_hash, &port));
                    is_port_new = true;
                }
            }
        }
        if is_port_new {
            self.place_ports(packets, how);
        }
    }

    #[inline(never)]
    fn place_ports(&mut self, packets: &mut [Packet<P>], how: &HashContext) {
        for packet in packets {
            if packet.place != Place::NONE
                && !packet.is_port_known
                && let Some(port) = packet.own_port()
            {
                packet.port_place = self.ports.place(how.port_hash(packet.pair_hash, &port), port);
            }
        }
    }

    #[inline(always)]
    fn latest_port(&self, place: Place) -> PackedPorts {
        self.latest_ports.get(place.row() as usize).copied().unwrap_or(PackedPorts::NONE)
    }

    /// Counts a packet in its rows, whose places were looked up before.
    #[inline(always)]
    pub(super) fn count(&mut self, packet: &Packet<P>, how: &HashContext, sums: &mut Accounting) {
        let spilled_before = sums.spilled_ports;
        let pair_at = match self.pairs.at_place(packet.place, &packet.pair) {
            Some(pair) => {
                add_to_pair(pair, packet, how);
                if how.counts_ports {
                    if !packet.is_port_known
                        && let Some(port) = packet.own_port()
                    {
                        self.count_port(packet.place.row(), port, packet, how, sums);
                    }
                    if !packet.observations.answers().is_empty() {
                        self.note_answer(packet, how, sums);
                    }
                }
                packet.place.row()
            }
            None => match self.count_elsewhere(packet, how, sums) {
                Some(pair_at) => pair_at,
                None => return,
            },
        };
        if sums.spilled_ports == spilled_before {
            self.flows.note(packet, pair_at);
        }
    }

    /// Counts a packet whose row was not at the expected place, or that has none. Returns the number of its row; `None`
    /// if it was spilled.
    #[cold]
    fn count_elsewhere(
        &mut self,
        packet: &Packet<P>,
        how: &HashContext,
        sums: &mut Accounting,
    ) -> Option<u32> {
        let Some(pair_at) = self.pairs.find_or_insert(packet.pair_hash, packet.pair) else {
            sums.spilled_packets += u64::from(packet.segments);
            sums.spilled_bytes += u64::from(packet.ip_bytes);
            return None;
        };
        add_to_pair(self.pairs.value_mut(pair_at), packet, how);
        if how.counts_ports {
            if let Some(port) = packet.own_port() {
                self.count_port(pair_at, port, packet, how, sums);
            }
            self.note_answer(packet, how, sums);
        }
        Some(pair_at)
    }

    /// Adds the counts of the exact-match cache to the rows and passes each flow to `sums`.
    pub(super) fn close(&mut self, mut sums: impl FnMut(&Flow<P>)) {
        let Self { pairs, flows, .. } = self;
        for flow in flows.drain().filter(|flow| flow.packets > 0) {
            let pair = pairs.value_mut(flow.row);
            pair.count(flow.packets, flow.ip_bytes);
            if flow.counts_as_received() {
                pair.received_bytes += u64::from(flow.ip_bytes);
            }
            sums(&flow);
        }
    }

    /// Takes a packet that is counted elsewhere as evidence of who sent first and of what was answered.
    pub(super) fn note_evidence(&mut self, packet: &Packet<P>, how: &HashContext, sums: &mut Accounting) {
        let answers = packet.observations.answers();
        let has_sent = packet.observations.has(Observations::SENT);
        if answers.is_empty() && !has_sent && !packet.counts_as_received() {
            return;
        }
        let Some(pair) = self.pairs.entry(packet.pair_hash, packet.pair) else { return };
        pair.observations |= answers;
        if has_sent {
            pair.observe(first_packet(packet));
        }
        if packet.counts_as_received() {
            pair.received_bytes += u64::from(packet.ip_bytes);
        }
        if how.counts_ports {
            self.note_answer(packet, how, sums);
        }
    }

    /// Adds the observation that a packet was not delivered, from an ICMP error.
    pub(super) fn note_undelivered(
        &mut self,
        key: P,
        quoted: &Quoted,
        how: &HashContext,
        sums: &mut Accounting,
    ) {
        let &Quoted { protocol, dst_port, cause, .. } = quoted;
        let pair_hash = how.seed.pair(&key.endpoints());
        if let Some(pair) = self.pairs.entry(pair_hash, key) {
            match cause {
                Undelivered::Unreachable => pair.observations |= Observations::UNREACHABLE,
                Undelivered::Expired => pair.observations.expire(),
            }
        }
        if let (true, Some(dst_port)) = (how.counts_ports, dst_port) {
            let observations = match cause {
                Undelivered::Unreachable => Observations::UNREACHABLE,
                Undelivered::Expired => Observations::EXPIRED,
            };
            let port = PortOf { pair: key, protocol, src_port: 0, dst_port, is_evident: true };
            self.note_port(pair_hash, port, observations, how, sums);
        }
    }

    /// Counts a packet in the row of its destination port, and stores that port as the latest of its pair.
    #[inline]
    fn count_port(
        &mut self,
        pair_at: u32,
        port: PortOf<P>,
        packet: &Packet<P>,
        how: &HashContext,
        sums: &mut Accounting,
    ) {
        let row = match self.ports.at_place(packet.port_place, &port) {
            Some(row) => row,
            None => match self.ports.entry(how.port_hash(packet.pair_hash, &port), port) {
                Some(row) => row,
                None => {
                    sums.spilled_ports += 1;
                    return;
                }
            },
        };
        row.observations |= packet.observations & Observations::INITIATED;
        row.pair_at = pair_at;
        let pair_at = pair_at as usize;
        if pair_at >= self.latest_ports.len() {
            self.latest_ports.resize(pair_at + 1, PackedPorts::NONE);
        }
        self.latest_ports[pair_at] = packet.packed_ports;
    }

    /// Adds the answer that a packet is to the row of the port that it answers.
    fn note_answer(&mut self, packet: &Packet<P>, how: &HashContext, sums: &mut Accounting) {
        let answers = packet.observations.answers();
        // ICMP replies are answers too, but have no ports.
        if answers.is_empty() || !packet.has_ports() {
            return;
        }
        let (pair, packed_ports) = (packet.pair.reversed(), packet.packed_ports);
        let port = PortOf {
            pair,
            protocol: packed_ports.protocol(),
            src_port: 0,
            dst_port: packed_ports.src_port(),
            is_evident: true,
        };
        // Both directions of a pair have the same hash.
        self.note_port(packet.pair_hash, port, answers, how, sums);
    }

    #[inline]
    fn note_port(
        &mut self,
        pair_hash: u64,
        key: PortOf<P>,
        observations: Observations,
        how: &HashContext,
        sums: &mut Accounting,
    ) {
        match self.ports.entry(how.port_hash(pair_hash, &key), key) {
            Some(port) => port.observations |= observations,
            None => sums.spilled_ports += 1,
        }
    }

    /// Returns true if the tables should be handed over.
    #[inline]
    pub(super) fn is_half_full(&self, counts_ports: bool) -> bool {
        self.pairs.is_half_full() || (counts_ports && self.ports.is_half_full())
    }

    /// Removes all rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.ports.clear();
        self.latest_ports.clear();
        self.flows.drain().for_each(drop);
    }
}

/// Adds a counted packet to the row of its pair.
#[inline(always)]
fn add_to_pair<P: Copy>(pair: &mut PairDelta, packet: &Packet<P>, how: &HashContext) {
    let observations = packet.observations;
    pair.count(packet.segments, packet.ip_bytes);
    pair.observations |= observations;
    if packet.counts_as_received() {
        pair.received_bytes += u64::from(packet.ip_bytes);
    }
    if observations.has(Observations::SENT) {
        pair.observe(first_packet(packet));
    } else if observations.has_any(Observations::INITIATED | Observations::PROBED) {
        // If the probe turns out to be a contact, this is its port.
        pair.contacted.add(packet.packed_ports.protocol(), packet.packed_ports.dst_port(), how.port_hasher);
    }
}

#[inline(always)]
fn first_packet<P: Copy>(packet: &Packet<P>) -> FirstPacket {
    let Packet { seen_at: at, packed_ports, .. } = *packet;
    FirstPacket {
        at,
        protocol: packed_ports.protocol(),
        src_port: packed_ports.src_port(),
        dst_port: packed_ports.dst_port(),
    }
}
