//! The tables of one address family: what one packet adds to the row of its pair and to those of its ports.

use crate::packet::{Summary, Transport};

use super::contact::{Opening, opening};
use super::contacted::PortMix;
use super::decoded::Decoded;
use super::hash::Seed;
use super::pair_delta::{FirstWord, PairDelta, PortDelta};
use super::pair_key::{PairKey, PortOf};
use super::signs::{Signs, signs};
use super::snapshot::Accounting;
use super::table::{Place, Table};

/// Pairs of hosts and their ports.
#[derive(Debug)]
pub(super) struct Family<P> {
    pub(super) pairs: Table<P, PairDelta>,
    /// Ports that packets went to; empty where ports are not analysed.
    pub(super) ports: Table<PortOf<P>, PortDelta>,
    /// By the row of a pair, which port its latest packet was a word to: most of its packets are one to the same.
    latest_ports: Vec<LatestPort>,
}

/// A port of a pair, and where its row is.
#[derive(Clone, Copy, Debug)]
struct LatestPort {
    place: Place,
    src_port: u16,
    dst_port: u16,
    protocol: u8,
}

impl LatestPort {
    const NONE: Self = Self { place: Place::NONE, src_port: 0, dst_port: 0, protocol: 0 };

    #[inline(always)]
    fn is<P>(&self, port: &PortOf<P>) -> bool {
        (self.src_port, self.dst_port, self.protocol) == (port.src_port, port.dst_port, port.protocol)
            && self.place != Place::NONE
    }
}

/// Bytes that a row of a pair takes besides, where ports are analysed.
pub(super) const LATEST_PORT_BYTES: u64 = size_of::<LatestPort>() as u64;

/// How packets are counted, the same for both families.
#[derive(Debug)]
pub(super) struct How {
    pub(super) seed: Seed,
    pub(super) mix: PortMix,
    pub(super) counts_ports: bool,
}

impl How {
    #[inline(always)]
    fn port_hash<P>(&self, pair_hash: u64, port: &PortOf<P>) -> u64 {
        self.seed.port(pair_hash, port.protocol, port.src_port, port.dst_port)
    }
}

/// The port that a packet is a word to, and whether it is a contact by its own words.
#[inline(always)]
fn own_port<P>(pair: P, packet: &Decoded) -> Option<(PortOf<P>, Signs)> {
    let protocol = packet.summary.protocol;
    match packet.opening {
        Opening::Contact { port: Some(dst_port) } => {
            Some((PortOf { pair, protocol, src_port: 0, dst_port }, Signs::OPENED))
        }
        Opening::Unsaid { src_port, dst_port } if dst_port != 0 => {
            Some((PortOf { pair, protocol, src_port, dst_port }, Signs::default()))
        }
        Opening::Contact { .. } | Opening::Unsaid { .. } | Opening::None => None,
    }
}

/// Rows that a family had when it was asked: pairs, ports.
pub(super) type Rows = [u32; 2];

impl<P: PairKey> Family<P> {
    /// Empty tables for so many rows.
    pub(super) fn new(pairs_max: usize, ports_max: usize) -> Self {
        let latest_max = if ports_max > 0 { pairs_max } else { 0 };
        Self {
            pairs: Table::new(pairs_max),
            ports: Table::new(ports_max),
            latest_ports: Vec::with_capacity(latest_max),
        }
    }

    /// Finds the row of a packet's pair, and that of its port if it is the latest one; of another port it has the place be
    /// fetched.
    #[inline(always)]
    pub(super) fn place(&mut self, key: P, packet: &mut Decoded, how: &How) {
        packet.place = self.pairs.place(packet.pair_hash, key);
        if how.counts_ports {
            packet.opening = opening(&packet.summary);
            if let Some((port, _)) = own_port(key, packet) {
                let latest = self.latest_ports.get(packet.place.row() as usize).unwrap_or(&LatestPort::NONE);
                if latest.is(&port) {
                    packet.port_place = latest.place;
                    self.ports.prefetch_at(latest.place);
                } else {
                    packet.port_hash = how.port_hash(packet.pair_hash, &port);
                    self.ports.prefetch(packet.port_hash);
                }
            }
        }
    }

    /// Finds the row of its port, where it has one and its pair has a row.
    #[inline]
    pub(super) fn place_port(&mut self, key: P, packet: &mut Decoded) {
        if packet.place != Place::NONE
            && packet.port_place == Place::NONE
            && let Some((port, _)) = own_port(key, packet)
        {
            let place = self.ports.place(packet.port_hash, port);
            packet.port_place = place;
            let pair_at = packet.place.row() as usize;
            if pair_at >= self.latest_ports.len() {
                self.latest_ports.resize(pair_at + 1, LatestPort::NONE);
            }
            let PortOf { src_port, dst_port, protocol, .. } = port;
            self.latest_ports[pair_at] = LatestPort { place, src_port, dst_port, protocol };
        }
    }

    /// Counts a packet in its rows, whose places were found.
    #[inline(always)]
    pub(super) fn count(&mut self, key: P, packet: &Decoded, how: &How, sums: &mut Accounting) {
        let Decoded { pair_hash, place, ref summary, seen_at, .. } = *packet;
        let Some(pair) = self.pairs.at(place, pair_hash, key) else {
            sums.spilled_packets += u64::from(summary.segments);
            sums.spilled_bytes += u64::from(summary.ip_bytes);
            return;
        };
        pair.count(summary.segments, summary.ip_bytes);
        let opening = if how.counts_ports { packet.opening } else { opening(summary) };
        let mut signs = signs(summary);
        match opening {
            Opening::Contact { port } => {
                signs |= Signs::OPENED;
                pair.contacted.add(summary.protocol, port.unwrap_or(0), how.mix);
            }
            // If it turns out to be a contact, this is where.
            Opening::None if signs.has(Signs::PROBED) => {
                if let Transport::Tcp { dst_port, .. } = summary.transport {
                    pair.contacted.add(summary.protocol, dst_port, how.mix);
                }
            }
            Opening::Unsaid { src_port, dst_port } => {
                signs |= Signs::SPOKE;
                pair.hear(FirstWord { at: seen_at, protocol: summary.protocol, src_port, dst_port });
            }
            Opening::None => {}
        }
        pair.signs |= signs;
        if packet.is_received {
            pair.received_bytes += u64::from(summary.ip_bytes);
        }
        if how.counts_ports {
            if let Some((port, signs)) = own_port(key, packet) {
                match self.ports.at_place(packet.port_place, &port) {
                    Some(port) => {
                        port.signs |= signs;
                        port.pair_at = place.row();
                    }
                    None => self.note_port(pair_hash, port, signs, how, sums),
                }
            }
            self.note_answer(key, packet, signs.answers(), how, sums);
        }
    }

    /// Takes a packet that is counted elsewhere as evidence of who spoke first and what was answered.
    pub(super) fn note_evidence(&mut self, key: P, packet: &Decoded, how: &How, sums: &mut Accounting) {
        let Decoded { pair_hash, ref summary, seen_at, .. } = *packet;
        let answers = signs(summary).answers();
        let opening = opening(summary);
        let is_unsaid = matches!(opening, Opening::Unsaid { .. });
        if !answers.is_empty() || is_unsaid {
            let Some(pair) = self.pairs.entry(pair_hash, key) else { return };
            pair.signs |= answers;
            if let Opening::Unsaid { src_port, dst_port } = opening {
                pair.hear(FirstWord { at: seen_at, protocol: summary.protocol, src_port, dst_port });
            }
            if how.counts_ports {
                self.note_answer(key, packet, answers, how, sums);
            }
        }
        if packet.is_received
            && let Some(pair) = self.pairs.entry(pair_hash, key)
        {
            pair.received_bytes += u64::from(summary.ip_bytes);
        }
    }

    /// Notes that a packet could not be delivered, by an ICMP error.
    pub(super) fn note_unreachable(
        &mut self,
        key: P,
        protocol: u8,
        dst_port: Option<u16>,
        how: &How,
        sums: &mut Accounting,
    ) {
        let pair_hash = how.seed.pair(&key.endpoints());
        if let Some(pair) = self.pairs.entry(pair_hash, key) {
            pair.signs |= Signs::UNREACHABLE;
        }
        if let (true, Some(dst_port)) = (how.counts_ports, dst_port) {
            let port = PortOf { pair: key, protocol, src_port: 0, dst_port };
            self.note_port(pair_hash, port, Signs::UNREACHABLE, how, sums);
        }
    }

    /// Notes what a packet answers, in the row of that.
    #[inline]
    fn note_answer(&mut self, pair: P, packet: &Decoded, answers: Signs, how: &How, sums: &mut Accounting) {
        if answers.is_empty() {
            return;
        }
        let Summary { transport, protocol, .. } = packet.summary;
        if let Transport::Tcp { src_port, .. } | Transport::Sctp { src_port, .. } = transport {
            let port = PortOf { pair: pair.reversed(), protocol, src_port: 0, dst_port: src_port };
            // The hash of a pair is that of the other direction too.
            self.note_port(packet.pair_hash, port, answers, how, sums);
        }
    }

    #[inline]
    fn note_port(&mut self, pair_hash: u64, key: PortOf<P>, signs: Signs, how: &How, sums: &mut Accounting) {
        match self.ports.entry(how.port_hash(pair_hash, &key), key) {
            Some(port) => port.signs |= signs,
            None => sums.spilled_ports += 1,
        }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> Rows {
        // Fits: a table has no more.
        [self.pairs.rows().len() as u32, self.ports.rows().len() as u32]
    }

    /// Adds the rows of another delta from the `from`th to before the `to`th.
    pub(super) fn add_rows(&mut self, other: &Self, from: Rows, to: Rows, sums: &mut Accounting) {
        for row in &other.pairs.rows()[from[0] as usize..to[0] as usize] {
            match self.pairs.entry(row.hash, row.key) {
                Some(pair) => pair.add(&row.value),
                None => {
                    sums.spilled_packets += row.value.packets();
                    sums.spilled_bytes += row.value.ip_bytes;
                }
            }
        }
        for row in &other.ports.rows()[from[1] as usize..to[1] as usize] {
            match self.ports.entry(row.hash, row.key) {
                Some(port) => {
                    port.signs |= row.value.signs;
                    if let Some(pair) = row.pair_among(other.pairs.rows())
                        && let Some(pair_at) = self.pairs.find(pair.hash, pair.key)
                    {
                        port.pair_at = pair_at;
                    }
                }
                None => sums.spilled_ports += 1,
            }
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
        self.latest_ports.clear();
    }
}
