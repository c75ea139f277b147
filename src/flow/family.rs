//! The tables of one address family: what one packet adds to the row of its pair and to those of its ports.

use super::decoded::{Gathered, Packet, Word};
use super::exact_match::{ExactMatch, Flow};
use super::hash::Seed;
use super::observations::Observations;
use super::pair_delta::{FirstPacket, PairDelta, PortDelta};
use super::pair_key::{PairKey, PortOf};
use super::port_sketch::PortHasher;
use super::snapshot::Accounting;
use super::table::{Place, Table};

/// Pairs of hosts and their ports.
#[derive(Debug)]
pub(super) struct FamilyDelta<P> {
    pub(super) pairs: Table<P, PairDelta>,
    /// Ports that packets went to; empty where ports are not analysed.
    pub(super) ports: Table<PortOf<P>, PortDelta>,
    /// Flows whose next packet says nothing new.
    pub(super) flows: ExactMatch<P>,
    /// By the row of a pair, its latest word to a port, whose row has all that such a packet says: most packets of a pair
    /// are words to the same.
    latest_words: Vec<Word>,
}

/// Bytes that a row of a pair takes besides, where ports are analysed.
pub(super) const LATEST_WORD_BYTES: u64 = size_of::<Word>() as u64;

/// How packets are counted, the same for both families.
#[derive(Debug)]
pub(super) struct HashContext {
    pub(super) seed: Seed,
    pub(super) mix: PortHasher,
    pub(super) counts_ports: bool,
}

impl HashContext {
    #[inline(always)]
    fn port_hash<P>(&self, pair_hash: u64, port: &PortOf<P>) -> u64 {
        self.seed.port(pair_hash, port.protocol, port.src_port, port.dst_port)
    }
}

impl<P: PairKey> FamilyDelta<P> {
    /// Empty tables for so many rows.
    pub(super) fn new(pairs_max: usize, ports_max: usize, seed: &Seed) -> Self {
        let latest_max = if ports_max > 0 { pairs_max } else { 0 };
        Self {
            pairs: Table::new(pairs_max),
            ports: Table::new(ports_max),
            flows: ExactMatch::new(pairs_max, seed),
            latest_words: Vec::with_capacity(latest_max),
        }
    }

    /// The hash of a pair, whose place it has fetched.
    #[inline(always)]
    pub(super) fn expect(&self, pair: &P, how: &HashContext) -> u64 {
        let hash = how.seed.pair(&pair.endpoints());
        self.pairs.prefetch(hash);
        hash
    }

    /// Counts the packets of which all is known; the others are to be counted the long way, in the order in which they came.
    #[inline(always)]
    pub(super) fn sift(&mut self, gathered: &mut Gathered<P>, how: &HashContext) {
        let Gathered { plain, irregular, packets } = gathered;
        // Not by way of an iterator that peeks: it would carry a whole packet along for each one that is looked at.
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

    /// Finds the rows of packets that are to be counted, so that they have arrived by then.
    #[inline(always)]
    pub(super) fn place_all(&mut self, packets: &mut [Packet<P>], how: &HashContext) {
        let mut is_port_new = false;
        for packet in packets.iter_mut().filter(|packet| !packet.is_evidence()) {
            packet.place = self.pairs.place(packet.pair_hash, packet.pair);
            if how.counts_ports {
                packet.is_port_known = self.latest_word(packet.place) == packet.word;
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
    fn latest_word(&self, place: Place) -> Word {
        self.latest_words.get(place.row() as usize).copied().unwrap_or(Word::NONE)
    }

    /// Counts a packet in its rows, whose places were found.
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
                    if !packet.signs.answers().is_empty() {
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

    /// Counts a packet whose row is not where it was thought to be, or that has none; gives the number of the one it has
    /// then.
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

    /// Adds to the rows what was counted without them, and tells `sums` of it.
    pub(super) fn close(&mut self, mut sums: impl FnMut(&Flow<P>)) {
        let Self { pairs, flows, .. } = self;
        for flow in flows.drain().filter(|flow| flow.packets > 0) {
            let pair = pairs.value_mut(flow.row);
            pair.count(flow.packets, flow.ip_bytes);
            if flow.is_received() {
                pair.received_bytes += u64::from(flow.ip_bytes);
            }
            sums(&flow);
        }
    }

    /// Takes a packet that is counted elsewhere as evidence of who spoke first and what was answered.
    pub(super) fn note_evidence(&mut self, packet: &Packet<P>, how: &HashContext, sums: &mut Accounting) {
        let answers = packet.signs.answers();
        let has_spoken = packet.signs.has(Observations::SPOKE);
        if answers.is_empty() && !has_spoken && !packet.is_received() {
            return;
        }
        let Some(pair) = self.pairs.entry(packet.pair_hash, packet.pair) else { return };
        pair.signs |= answers;
        if has_spoken {
            pair.hear(first_word(packet));
        }
        if packet.is_received() {
            pair.received_bytes += u64::from(packet.ip_bytes);
        }
        if how.counts_ports {
            self.note_answer(packet, how, sums);
        }
    }

    /// Notes that a packet could not be delivered, by an ICMP error.
    pub(super) fn note_unreachable(
        &mut self,
        key: P,
        protocol: u8,
        dst_port: Option<u16>,
        how: &HashContext,
        sums: &mut Accounting,
    ) {
        let pair_hash = how.seed.pair(&key.endpoints());
        if let Some(pair) = self.pairs.entry(pair_hash, key) {
            pair.signs |= Observations::UNREACHABLE;
        }
        if let (true, Some(dst_port)) = (how.counts_ports, dst_port) {
            let port = PortOf { pair: key, protocol, src_port: 0, dst_port };
            self.note_port(pair_hash, port, Observations::UNREACHABLE, how, sums);
        }
    }

    /// Counts a packet in the row of its own port; from then on that port of the pair is known.
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
        row.signs |= packet.signs & Observations::OPENED;
        row.pair_at = pair_at;
        let pair_at = pair_at as usize;
        if pair_at >= self.latest_words.len() {
            self.latest_words.resize(pair_at + 1, Word::NONE);
        }
        self.latest_words[pair_at] = packet.word;
    }

    /// Notes what a packet answers, in the row of that.
    fn note_answer(&mut self, packet: &Packet<P>, how: &HashContext, sums: &mut Accounting) {
        let answers = packet.signs.answers();
        // ICMP answers too, and has none.
        if answers.is_empty() || !packet.has_ports() {
            return;
        }
        let (pair, word) = (packet.pair.reversed(), packet.word);
        let port = PortOf { pair, protocol: word.protocol(), src_port: 0, dst_port: word.src_port() };
        // The hash of a pair is that of the other direction too.
        self.note_port(packet.pair_hash, port, answers, how, sums);
    }

    #[inline]
    fn note_port(
        &mut self,
        pair_hash: u64,
        key: PortOf<P>,
        signs: Observations,
        how: &HashContext,
        sums: &mut Accounting,
    ) {
        match self.ports.entry(how.port_hash(pair_hash, &key), key) {
            Some(port) => port.signs |= signs,
            None => sums.spilled_ports += 1,
        }
    }

    /// Whether it is time to hand the tables over.
    #[inline]
    pub(super) fn is_half_full(&self, counts_ports: bool) -> bool {
        self.pairs.is_half_full() || (counts_ports && self.ports.is_half_full())
    }

    /// Forgets all rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.pairs.clear();
        self.ports.clear();
        self.latest_words.clear();
        self.flows.drain().for_each(drop);
    }
}

/// Adds a counted packet to the row of its pair.
#[inline(always)]
fn add_to_pair<P: Copy>(pair: &mut PairDelta, packet: &Packet<P>, how: &HashContext) {
    let signs = packet.signs;
    pair.count(packet.segments, packet.ip_bytes);
    pair.signs |= signs;
    if packet.is_received() {
        pair.received_bytes += u64::from(packet.ip_bytes);
    }
    if signs.has(Observations::SPOKE) {
        pair.hear(first_word(packet));
    } else if signs.has_any(Observations::OPENED | Observations::PROBED) {
        // If a probe turns out to be a contact, this is where.
        pair.contacted.add(packet.word.protocol(), packet.word.dst_port(), how.mix);
    }
}

#[inline(always)]
fn first_word<P: Copy>(packet: &Packet<P>) -> FirstPacket {
    let Packet { seen_at: at, word, .. } = *packet;
    FirstPacket { at, protocol: word.protocol(), src_port: word.src_port(), dst_port: word.dst_port() }
}
