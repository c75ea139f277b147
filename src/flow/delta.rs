//! What one worker counted since its last hand-over.
//!
//! Everything in here is a sum, or a first time that merges by minimum, so deltas add up in any order. A
//! delta never grows: its tables refuse what they have no room for, and the totals count it all the same.

use crate::packet::{Direction, Endpoints, Quoted, Skip, Summary, Transport};
use crate::time::{Moment, UnixNanos};

use super::contact::{Opening, opening};
use super::contacted::{Contacted, PortMix};
use super::hash::Seed;
use super::interfaces::{Crossing, InterfaceCounts, InterfaceTable};
use super::signs::{Signs, signs};
use super::snapshot::{Accounting, KernelCounts};
use super::table::Table;

/// One worker's counts of one tick.
#[derive(Debug)]
pub struct Delta {
    /// Directed pairs of hosts.
    pub pairs: Table<Endpoints, PairDelta>,
    /// Ports that packets went to; empty where ports are not analysed.
    pub ports: Table<PortKey, PortDelta>,
    interfaces: InterfaceTable,
    /// Sums over everything but what the interfaces' rows add up to.
    rest: Accounting,
    /// When its first frame was taken; `None` where nobody said.
    pub began_at: Option<Moment>,
    /// When it was handed over.
    pub handed_over_at: Moment,
    /// Something began or was lost in it that hides who spoke first: a new interface, a burst of drops.
    pub is_disturbed: bool,
    seed: Seed,
    mix: PortMix,
    counts_ports: bool,
}

/// Sums over one direction of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairDelta {
    /// Packets counted.
    pub packets: u64,
    /// Their bytes.
    pub ip_bytes: u64,
    /// Bytes that arrived at the destination, where received bytes are counted.
    pub received_bytes: u64,
    /// What they showed, and what was shown of them.
    pub signs: Signs,
    /// The ports of those that were an initiation by their own words.
    pub contacted: Contacted,
    /// The earliest packet of a protocol in which whoever spoke first is the one who began.
    pub first_word: Option<FirstWord>,
}

/// The earliest packet that began something if nobody spoke before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstWord {
    /// When it was seen.
    pub at: UnixNanos,
    /// Its protocol.
    pub protocol: u8,
    /// Its source port; 0 without ports.
    pub src_port: u16,
    /// Its destination port; 0 without ports.
    pub dst_port: u16,
}

/// A port that one host sent to at another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortKey {
    /// Who sent, and to whom.
    pub endpoints: Endpoints,
    /// The protocol that the ports belong to.
    pub protocol: u8,
    /// The sender's port; 0 where the packet says by itself that it is a contact, or the answer to one.
    pub src_port: u16,
    /// The port it was sent to.
    pub dst_port: u16,
}

/// What is known of a [`PortKey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortDelta {
    /// Whether packets said by themselves that they are contacts, and how those were answered.
    pub signs: Signs,
}

/// Room in one delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLimits {
    /// Directed pairs.
    pub pairs_max: usize,
    /// Ports; 0 where ports are not analysed.
    pub ports_max: usize,
    /// Interfaces; those beyond are counted together.
    pub interfaces_max: usize,
}

impl Delta {
    /// An empty delta. All its memory is taken here; the system gives it pages as they are first used.
    pub fn new(limits: DeltaLimits, seed: Seed) -> Self {
        Self {
            pairs: Table::new(limits.pairs_max),
            ports: Table::new(limits.ports_max),
            interfaces: InterfaceTable::new(limits.interfaces_max),
            rest: Accounting::default(),
            began_at: None,
            handed_over_at: Moment::default(),
            is_disturbed: false,
            mix: PortMix::new(&seed),
            seed,
            counts_ports: limits.ports_max > 0,
        }
    }

    /// Where a frame belongs that crossed an interface, for the calls that follow.
    #[inline]
    pub fn crossing(&mut self, ifindex: u32, direction: Direction) -> Crossing {
        self.interfaces.crossing(ifindex, direction)
    }

    /// Counts a packet, or as many as its frame stands for.
    #[inline]
    pub fn count(&mut self, crossing: Crossing, summary: &Summary, seen_at: UnixNanos) {
        let (packets, bytes) = (u64::from(summary.segments), u64::from(summary.ip_bytes));
        self.rest.frames += 1;
        self.rest.length_mismatch_packets += u64::from(summary.length_mismatch);
        self.rest.super_frames += u64::from(summary.segments > 1 || summary.segments_unknown);
        self.rest.super_frames_as_one += u64::from(summary.segments_unknown);
        self.interfaces.count(crossing, summary);

        let hash = self.seed.pair(&summary.endpoints);
        let opening = opening(summary);
        let mut signs = signs(summary);
        let Some(pair) = self.pairs.entry(hash, summary.endpoints) else {
            self.rest.spilled_packets += packets;
            self.rest.spilled_bytes += bytes;
            return;
        };
        pair.packets += packets;
        pair.ip_bytes += bytes;
        match opening {
            Opening::Contact { port } => {
                signs |= Signs::OPENED;
                pair.contacted.add(summary.protocol, port.unwrap_or(0), self.mix);
            }
            // If it turns out to be a contact, this is where.
            Opening::None if signs.has(Signs::PROBED) => {
                if let Transport::Tcp { dst_port, .. } = summary.transport {
                    pair.contacted.add(summary.protocol, dst_port, self.mix);
                }
            }
            Opening::Unsaid { src_port, dst_port } => {
                signs |= Signs::SPOKE;
                pair.hear(FirstWord { at: seen_at, protocol: summary.protocol, src_port, dst_port });
            }
            Opening::None => {}
        }
        pair.signs |= signs;
        if self.counts_ports {
            self.note_ports(hash, summary, opening, signs);
        }
    }

    /// Takes a packet that is counted elsewhere as evidence of who spoke first and what was answered; the frame
    /// counts as skipped. Behind NAT it alone names the client.
    #[inline]
    pub fn note_evidence(&mut self, crossing: Crossing, summary: &Summary, seen_at: UnixNanos, skip: Skip) {
        self.skip(crossing, skip);
        let answers = signs(summary).answers();
        let opening = opening(summary);
        let is_unsaid = matches!(opening, Opening::Unsaid { .. });
        if answers.is_empty() && !is_unsaid {
            return;
        }
        let hash = self.seed.pair(&summary.endpoints);
        let Some(pair) = self.pairs.entry(hash, summary.endpoints) else { return };
        pair.signs |= answers;
        if let Opening::Unsaid { src_port, dst_port } = opening {
            pair.hear(FirstWord { at: seen_at, protocol: summary.protocol, src_port, dst_port });
        }
        if self.counts_ports {
            self.note_ports(hash, summary, Opening::None, answers);
        }
    }

    /// Takes from an ICMP error that a packet could not be delivered.
    pub fn note_unreachable(&mut self, quoted: &Quoted) {
        let Quoted { endpoints, protocol, dst_port } = *quoted;
        let hash = self.seed.pair(&endpoints);
        if let Some(pair) = self.pairs.entry(hash, endpoints) {
            pair.signs |= Signs::UNREACHABLE;
        }
        if let (true, Some(dst_port)) = (self.counts_ports, dst_port) {
            self.note_port(hash, PortKey { endpoints, protocol, src_port: 0, dst_port }, Signs::UNREACHABLE);
        }
    }

    /// Counts what the destination of a packet receives by it. The frame itself is counted or skipped besides.
    #[inline]
    pub fn receive(&mut self, summary: &Summary) {
        let hash = self.seed.pair(&summary.endpoints);
        if let Some(pair) = self.pairs.entry(hash, summary.endpoints) {
            pair.received_bytes += u64::from(summary.ip_bytes);
        }
    }

    /// Counts a frame that is no IP packet, or not one to be counted.
    #[inline]
    pub fn skip(&mut self, crossing: Crossing, skip: Skip) {
        self.rest.frames += 1;
        self.interfaces.skip(crossing, skip);
    }

    /// Adds what the packet socket said since the last hand-over.
    pub fn add_kernel(&mut self, counts: KernelCounts) {
        self.rest.kernel.add(&counts);
    }

    /// What the packet socket said since the last hand-over.
    pub fn kernel(&self) -> &KernelCounts {
        &self.rest.kernel
    }

    /// The interfaces that frames crossed, with what was seen there. A frame is in exactly one of them.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, &InterfaceCounts)> {
        self.interfaces.rows()
    }

    /// Sums over everything, the frames included that no table had room for.
    pub fn accounting(&self) -> Accounting {
        let mut sums = self.rest.clone();
        self.interfaces().for_each(|(_, counts)| counts.add_to(&mut sums));
        sums
    }

    /// Whether nothing happened since it was last cleared.
    pub fn is_empty(&self) -> bool {
        self.rest.frames == 0 && self.rest.kernel == KernelCounts::default()
    }

    /// Whether it should be handed over before its tick.
    #[inline]
    pub fn is_half_full(&self) -> bool {
        self.pairs.is_half_full() || (self.counts_ports && self.ports.is_half_full())
    }

    /// Makes it empty and keeps the memory.
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.ports.clear();
        self.interfaces.clear();
        self.rest = Accounting::default();
        self.began_at = None;
        self.handed_over_at = Moment::default();
        self.is_disturbed = false;
    }

    /// `pair_hash` is that of the packet's endpoints.
    fn note_ports(&mut self, pair_hash: u64, summary: &Summary, opening: Opening, signs: Signs) {
        let Summary { endpoints, protocol, .. } = *summary;
        match opening {
            Opening::Contact { port: Some(dst_port) } => {
                self.note_port(
                    pair_hash,
                    PortKey { endpoints, protocol, src_port: 0, dst_port },
                    Signs::OPENED,
                );
            }
            Opening::Unsaid { src_port, dst_port } if dst_port != 0 => {
                self.note_port(
                    pair_hash,
                    PortKey { endpoints, protocol, src_port, dst_port },
                    Signs::default(),
                );
            }
            Opening::Contact { .. } | Opening::Unsaid { .. } | Opening::None => {}
        }
        let answers = signs.answers();
        if answers.is_empty() {
            return;
        }
        // In the row of what it answers.
        if let Transport::Tcp { src_port, .. } | Transport::Sctp { src_port, .. } = summary.transport {
            let endpoints = endpoints.reversed();
            let key = PortKey { endpoints, protocol, src_port: 0, dst_port: src_port };
            self.note_port(self.seed.pair(&endpoints), key, answers);
        }
    }

    fn note_port(&mut self, pair_hash: u64, key: PortKey, signs: Signs) {
        let hash = self.seed.of((pair_hash, key.protocol, key.src_port, key.dst_port));
        match self.ports.entry(hash, key) {
            Some(port) => port.signs |= signs,
            None => self.rest.spilled_ports += 1,
        }
    }
}

impl PairDelta {
    fn hear(&mut self, word: FirstWord) {
        if self.first_word.is_none_or(|first| word.at < first.at) {
            self.first_word = Some(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::packet::Transport;

    use super::*;

    fn udp(src: u8, dst: u8, ip_bytes: u32) -> Summary {
        let endpoints = Endpoints::V4 { src: [10, 0, 0, src].into(), dst: [10, 0, 0, dst].into() };
        let transport = Transport::Ports { src_port: 1000 + u16::from(src), dst_port: 53 };
        Summary::plain(endpoints, ip_bytes, 17, transport)
    }

    #[test]
    fn a_full_delta_still_counts_everything() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 4, ports_max: 2, interfaces_max: 2 }, Seed::default());
        assert!(delta.is_empty());
        for src in 0..6 {
            let crossing = delta.crossing(u32::from(src), Direction::Entering);
            delta.count(crossing, &udp(src, 9, 100), UnixNanos(1));
        }
        delta.skip(Crossing::default(), Skip::NotIp);
        assert!(delta.is_half_full() && !delta.is_empty());
        let totals = delta.accounting();
        assert_eq!((totals.frames, totals.ip_packets, totals.ip_bytes), (7, 6, 600));
        assert_eq!((totals.spilled_packets, totals.spilled_bytes, totals.spilled_ports), (2, 200, 2));
        let in_rows: u64 = delta.pairs.rows().iter().map(|row| row.value.ip_bytes).sum();
        assert_eq!(in_rows + totals.spilled_bytes, totals.ip_bytes);
        delta.clear();
        assert!(delta.is_empty() && delta.pairs.rows().is_empty() && delta.ports.rows().is_empty());
    }

    #[test]
    fn a_super_frame_counts_as_the_packets_of_the_wire_and_is_one_frame() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 4, ports_max: 0, interfaces_max: 2 }, Seed::default());
        let crossing = delta.crossing(7, Direction::Entering);
        delta.count(crossing, &Summary { segments: 45, ..udp(1, 2, 65_000) }, UnixNanos(1));
        delta.count(crossing, &Summary { segments_unknown: true, ..udp(1, 2, 5000) }, UnixNanos(1));
        let totals = delta.accounting();
        assert_eq!((totals.frames, totals.counted_frames), (2, 2));
        assert_eq!((totals.ip_packets, totals.ip_bytes), (46, 70_000));
        assert_eq!((totals.super_frames, totals.super_frames_as_one), (2, 1));
        assert_eq!(delta.pairs.rows()[0].value.packets, 46);
    }

    #[test]
    fn the_first_word_is_the_earliest_and_evidence_counts_no_bytes() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 4, ports_max: 0, interfaces_max: 2 }, Seed::default());
        let crossing = Crossing::default();
        delta.count(crossing, &udp(1, 2, 50), UnixNanos(30));
        delta.note_evidence(crossing, &udp(1, 2, 50), UnixNanos(20), Skip::Leaving);
        delta.note_evidence(crossing, &udp(2, 1, 70), UnixNanos(40), Skip::Leaving);
        let rows = delta.pairs.rows();
        assert_eq!(rows[0].value.first_word.map(|word| word.at), Some(UnixNanos(20)));
        assert_eq!((rows[0].value.packets, rows[0].value.ip_bytes), (1, 50));
        assert_eq!((rows[1].value.packets, rows[1].value.ip_bytes), (0, 0));
        let totals = delta.accounting();
        assert_eq!(totals.skipped[Skip::Leaving as usize], 2);
        assert_eq!((totals.frames, totals.counted_frames), (3, 1));
    }
}
