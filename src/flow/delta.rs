//! What one worker counted since its last hand-over.
//!
//! Everything in here is a sum, or a first time that merges by minimum, so deltas add up in any order once they are
//! closed ([`Delta::close`]). A delta never grows: its tables refuse what they have no room for, and the totals count it
//! all the same.
//!
//! IPv4 and IPv6 have tables of their own, so that a row of the one is a cache line. Packets of a family are counted many
//! at a time ([`Delta::take_all`]): those that say nothing new in the exact-match cache, until the delta is closed; of the
//! others, first all find their places, then all are added. Memory is fetched ahead of each step.

use crate::packet::{Direction, Endpoints, Quoted, Skip, Summary};
use crate::time::{Moment, UnixNanos};

use super::decoded::{Arrival, CountMode, Decoded, Gathered, Packet};
use super::exact_match::Flow;
use super::family::{FamilyDelta, HashContext};
use super::hash::Seed;
use super::interfaces::{InterfaceCounts, InterfaceCountsTable, InterfaceDirection};
use super::pair_delta::{PairDelta, PortDelta};
use super::pair_key::{PairKey, PortOf, V4Pair, V6Pair};
use super::port_sketch::PortHasher;
use super::snapshot::{Accounting, KernelCounts, WorkerCounts};
use super::table::Row;

/// One worker's counts of one tick.
#[derive(Debug)]
pub struct Delta {
    pub(super) v4: FamilyDelta<V4Pair>,
    pub(super) v6: FamilyDelta<V6Pair>,
    totals: Totals,
    /// When its first frame was taken; `None` where nobody said.
    pub began_at: Option<Moment>,
    /// When it was handed over.
    pub handed_over_at: Moment,
    /// Something began or was lost in it that hides who spoke first: a new interface, a burst of drops.
    pub is_disturbed: bool,
    pub(super) how: HashContext,
}

/// Room in one delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLimits {
    /// Directed pairs of IPv4 hosts; of IPv6 hosts, half as many.
    pub pairs_max: usize,
    /// Ports of IPv4 hosts; of IPv6 hosts, half as many. 0 where ports are not analysed.
    pub ports_max: usize,
    /// Interfaces; those beyond are counted together.
    pub interfaces_max: usize,
}

impl Delta {
    /// An empty delta. All its memory is taken here; the system gives it pages as they are first used.
    pub fn new(limits: DeltaLimits, seed: Seed) -> Self {
        let DeltaLimits { pairs_max, ports_max, interfaces_max } = limits;
        Self {
            v4: FamilyDelta::new(pairs_max, ports_max, &seed),
            v6: FamilyDelta::new(pairs_max.div_ceil(2), ports_max.div_ceil(2), &seed),
            totals: Totals {
                interfaces: InterfaceCountsTable::new(interfaces_max),
                rest: Accounting::default(),
            },
            began_at: None,
            handed_over_at: Moment::default(),
            is_disturbed: false,
            how: HashContext { mix: PortHasher::new(&seed), seed, counts_ports: ports_max > 0 },
        }
    }

    /// Directed pairs of IPv4 hosts, in the order in which they first came.
    pub fn pairs_v4(&self) -> &[Row<V4Pair, PairDelta>] {
        self.v4.pairs.rows()
    }

    /// Directed pairs of IPv6 hosts.
    pub fn pairs_v6(&self) -> &[Row<V6Pair, PairDelta>] {
        self.v6.pairs.rows()
    }

    /// Ports that IPv4 packets went to; empty where ports are not analysed.
    pub fn ports_v4(&self) -> &[Row<PortOf<V4Pair>, PortDelta>] {
        self.v4.ports.rows()
    }

    /// Ports that IPv6 packets went to.
    pub fn ports_v6(&self) -> &[Row<PortOf<V6Pair>, PortDelta>] {
        self.v6.ports.rows()
    }

    /// Where a frame belongs that crossed an interface, for the calls that follow.
    #[inline]
    pub fn interface_direction(&mut self, ifindex: u32, direction: Direction) -> InterfaceDirection {
        self.totals.interfaces.interface_direction(ifindex, direction)
    }

    /// Takes packets, those of a family in the order in which they came, and leaves none behind. What is counted elsewhere
    /// is evidence of who spoke first and what was answered, and its frame counts as skipped, as [`Skip::Egress`]:
    /// behind NAT it alone names the client.
    ///
    /// Together they cost less than one by one, as long as they stay in the first-level cache.
    #[inline]
    pub fn take_all(&mut self, decoded: &mut Decoded) {
        let Self { v4, v6, totals, how, .. } = self;
        totals.take(v4, &mut decoded.v4, how);
        totals.take(v6, &mut decoded.v6, how);
    }

    /// Adds to the rows and sums what packets counted that were known through and through. Before it, a row may have too
    /// little; after it, all that was taken is there.
    pub fn close(&mut self) {
        let Self { v4, v6, totals, .. } = self;
        v4.close(|flow| totals.count_crossed(&DirectionRun::of(flow)));
        v6.close(|flow| totals.count_crossed(&DirectionRun::of(flow)));
    }

    /// Whether nothing is missing in the rows and sums; see [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.v4.flows.is_empty() && self.v6.flows.is_empty()
    }

    /// Counts one packet, or as many as its frame stands for. It takes memory for that, which
    /// [`take_all`](Self::take_all) does not.
    pub fn count(&mut self, interface_direction: InterfaceDirection, summary: &Summary, seen_at: UnixNanos) {
        self.take_one(interface_direction, summary, seen_at, CountMode::default());
    }

    /// Takes one packet that is counted elsewhere as evidence; its frame counts as skipped. It takes memory as
    /// [`count`](Self::count) does.
    pub fn note_evidence(
        &mut self,
        interface_direction: InterfaceDirection,
        summary: &Summary,
        seen_at: UnixNanos,
    ) {
        self.take_one(
            interface_direction,
            summary,
            seen_at,
            CountMode { is_evidence: true, is_received: false },
        );
    }

    fn take_one(
        &mut self,
        interface_direction: InterfaceDirection,
        summary: &Summary,
        seen_at: UnixNanos,
        count_mode: CountMode,
    ) {
        let mut decoded = Decoded::default();
        // Whether it is enough or not.
        let _ = decoded.push(self, summary, Arrival { interface_direction, seen_at, count_mode });
        self.take_all(&mut decoded);
        self.close();
    }

    /// Counts what the destination of a packet receives by it. The frame itself is counted or skipped besides.
    pub fn receive(&mut self, summary: &Summary) {
        let hash = self.how.seed.pair(&summary.endpoints);
        let pair = match summary.endpoints {
            Endpoints::V4 { src, dst } => self.v4.pairs.entry(hash, V4Pair { src, dst }),
            Endpoints::V6 { src, dst } => self.v6.pairs.entry(hash, V6Pair { src, dst }),
        };
        if let Some(pair) = pair {
            pair.received_bytes += u64::from(summary.ip_bytes);
        }
    }

    /// Takes from an ICMP error that a packet could not be delivered.
    pub fn note_unreachable(&mut self, quoted: &Quoted) {
        let Quoted { endpoints, protocol, dst_port } = *quoted;
        let (how, sums) = (&self.how, &mut self.totals.rest);
        match endpoints {
            Endpoints::V4 { src, dst } => {
                self.v4.note_unreachable(V4Pair { src, dst }, protocol, dst_port, how, sums);
            }
            Endpoints::V6 { src, dst } => {
                self.v6.note_unreachable(V6Pair { src, dst }, protocol, dst_port, how, sums);
            }
        }
    }

    /// Counts a frame that is no IP packet, or not one to be counted.
    #[inline]
    pub fn skip(&mut self, interface_direction: InterfaceDirection, skip: Skip) {
        self.totals.skip(interface_direction, skip);
    }

    /// Adds what the packet socket said since the last hand-over.
    pub fn add_kernel(&mut self, counts: KernelCounts) {
        self.totals.rest.kernel.add(&counts);
    }

    /// Adds what the worker itself did since the last hand-over.
    pub fn add_worker(&mut self, counts: WorkerCounts) {
        self.totals.rest.worker.add(&counts);
    }

    /// What the packet socket said since the last hand-over.
    pub fn kernel(&self) -> &KernelCounts {
        &self.totals.rest.kernel
    }

    /// The interfaces that frames crossed, with what was seen there. A frame is in exactly one of them.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, &InterfaceCounts)> {
        self.totals.interfaces.rows()
    }

    /// Sums over everything, the frames included that no table had room for.
    pub fn accounting(&self) -> Accounting {
        let mut sums = self.totals.rest.clone();
        self.interfaces().for_each(|(_, counts)| counts.add_to(&mut sums));
        sums
    }

    /// Whether nothing happened since it was last cleared.
    pub fn is_empty(&self) -> bool {
        self.totals.rest.frames == 0 && self.totals.rest.kernel == KernelCounts::default()
    }

    /// Whether it should be handed over before its tick.
    #[inline]
    pub fn is_half_full(&self) -> bool {
        let counts_ports = self.how.counts_ports;
        self.v4.is_half_full(counts_ports) || self.v6.is_half_full(counts_ports)
    }

    /// Makes it empty and keeps the memory.
    pub fn clear(&mut self) {
        self.v4.clear();
        self.v6.clear();
        self.totals.interfaces.clear();
        self.totals.rest = Accounting::default();
        self.began_at = None;
        self.handed_over_at = Moment::default();
        self.is_disturbed = false;
    }
}

/// What a delta has beside its rows.
#[derive(Debug)]
struct Totals {
    interfaces: InterfaceCountsTable,
    /// Sums over everything but what the interfaces' rows add up to.
    rest: Accounting,
}

impl Totals {
    /// Counts packets of a family in its rows and here.
    #[inline(always)]
    fn take<P: PairKey>(
        &mut self,
        family: &mut FamilyDelta<P>,
        gathered: &mut Gathered<P>,
        how: &HashContext,
    ) {
        family.sift(gathered, how);
        family.place_all(&mut gathered.packets, how);
        let mut crossed = DirectionRun::default();
        for packet in &gathered.packets {
            if packet.is_evidence() {
                self.skip(packet.interface_direction, Skip::Egress);
                family.note_evidence(packet, how, &mut self.rest);
                continue;
            }
            if packet.interface_direction != crossed.interface_direction {
                self.count_crossed(&crossed);
                crossed = DirectionRun {
                    interface_direction: packet.interface_direction,
                    ..DirectionRun::default()
                };
            }
            crossed.frames += 1;
            crossed.packets += u64::from(packet.segments);
            crossed.ip_bytes += u64::from(packet.ip_bytes);
            if packet.is_irregular() {
                self.count_irregular(packet);
            }
            family.count(packet, how, &mut self.rest);
        }
        self.count_crossed(&crossed);
        gathered.packets.clear();
    }

    #[inline]
    fn skip(&mut self, interface_direction: InterfaceDirection, skip: Skip) {
        self.rest.frames += 1;
        self.interfaces.skip(interface_direction, skip);
    }

    #[inline]
    fn count_crossed(&mut self, crossed: &DirectionRun) {
        let DirectionRun { interface_direction, frames, packets, ip_bytes } = *crossed;
        self.rest.frames += frames;
        self.interfaces.count(interface_direction, frames, packets, ip_bytes);
    }

    #[cold]
    fn count_irregular<P: Copy>(&mut self, packet: &Packet<P>) {
        let is_unknown = packet.has_unknown_segments();
        self.rest.length_mismatch_packets += u64::from(packet.has_length_mismatch());
        self.rest.super_frames += u64::from(packet.segments > 1 || is_unknown);
        self.rest.super_frames_as_one += u64::from(is_unknown);
    }
}

/// Counted frames in a row that crossed the same interface the same way.
#[derive(Clone, Copy, Debug, Default)]
struct DirectionRun {
    interface_direction: InterfaceDirection,
    frames: u64,
    packets: u64,
    ip_bytes: u64,
}

impl DirectionRun {
    fn of<P>(flow: &Flow<P>) -> Self {
        let packets = u64::from(flow.packets);
        Self {
            interface_direction: flow.interface_direction,
            frames: packets,
            packets,
            ip_bytes: flow.ip_bytes.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::flow::Observations;
    use crate::packet::{TcpFlags, Transport};

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
            let interface_direction = delta.interface_direction(u32::from(src), Direction::Ingress);
            delta.count(interface_direction, &udp(src, 9, 100), UnixNanos(1));
        }
        delta.skip(InterfaceDirection::default(), Skip::NotIp);
        assert!(delta.is_half_full() && !delta.is_empty());
        let totals = delta.accounting();
        assert_eq!((totals.frames, totals.ip_packets, totals.ip_bytes), (7, 6, 600));
        assert_eq!((totals.spilled_packets, totals.spilled_bytes, totals.spilled_ports), (2, 200, 2));
        let in_rows: u64 = delta.pairs_v4().iter().map(|row| row.value.ip_bytes).sum();
        assert_eq!(in_rows + totals.spilled_bytes, totals.ip_bytes);
        delta.clear();
        assert!(delta.is_empty() && delta.pairs_v4().is_empty() && delta.ports_v4().is_empty());
    }

    #[test]
    fn a_super_frame_counts_as_the_packets_of_the_wire_and_is_one_frame() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 4, ports_max: 0, interfaces_max: 2 }, Seed::default());
        let interface_direction = delta.interface_direction(7, Direction::Ingress);
        delta.count(interface_direction, &Summary { segments: 45, ..udp(1, 2, 65_000) }, UnixNanos(1));
        delta.count(
            interface_direction,
            &Summary { segments_unknown: true, ..udp(1, 2, 5000) },
            UnixNanos(1),
        );
        let totals = delta.accounting();
        assert_eq!((totals.frames, totals.counted_frames), (2, 2));
        assert_eq!((totals.ip_packets, totals.ip_bytes), (46, 70_000));
        assert_eq!((totals.super_frames, totals.super_frames_as_one), (2, 1));
        assert_eq!(delta.pairs_v4()[0].value.packets(), 46);
    }

    #[test]
    fn the_first_word_is_the_earliest_and_evidence_counts_no_bytes() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 4, ports_max: 0, interfaces_max: 2 }, Seed::default());
        let interface_direction = InterfaceDirection::default();
        delta.count(interface_direction, &udp(1, 2, 50), UnixNanos(30));
        for (summary, seen_at) in [(udp(1, 2, 50), 20), (udp(2, 1, 70), 40)] {
            let egress = CountMode { is_evidence: true, is_received: true };
            delta.take_one(interface_direction, &summary, UnixNanos(seen_at), egress);
        }
        let rows = delta.pairs_v4();
        assert_eq!(rows[0].value.first_word().map(|word| word.at), Some(UnixNanos(20)));
        assert_eq!((rows[0].value.packets(), rows[0].value.ip_bytes), (1, 50));
        assert_eq!((rows[1].value.packets(), rows[1].value.ip_bytes), (0, 0));
        assert_eq!((rows[0].value.received_bytes, rows[1].value.received_bytes), (50, 70));
        let totals = delta.accounting();
        assert_eq!(totals.skipped[Skip::Egress as usize], 2);
        assert_eq!((totals.frames, totals.counted_frames), (3, 1));
    }

    #[test]
    fn pairs_that_share_a_hash_are_told_apart_and_so_are_their_ports() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 9, ports_max: 9, interfaces_max: 2 }, Seed::default());
        for round in 1..4 {
            let mut decoded = Decoded::default();
            for src in [1, 2, 3] {
                // Odd, so that it is counted the long way.
                let packet = Summary { length_mismatch: true, ..udp(src, 9, 40 + u32::from(src)) };
                let arrival = Arrival { seen_at: UnixNanos(1), ..Arrival::default() };
                assert!(!decoded.push(&delta, &packet, arrival), "it has room for three");
            }
            // No two pairs of IPv4 hosts do, but those of IPv6 hosts may.
            decoded.v4.irregular.iter_mut().for_each(|(_, packet)| packet.pair_hash = 0x0123_4567_89ab_cdef);
            delta.take_all(&mut decoded);
            delta.close();
            let sums = delta.pairs_v4().iter().map(|row| (row.key.src.octets()[3], row.value.ip_bytes));
            assert_eq!(sums.collect::<Vec<_>>(), [(1, 41 * round), (2, 42 * round), (3, 43 * round)]);
            let ports = delta.ports_v4().iter().map(|row| (row.key.src_port, row.value.pair_at));
            assert_eq!(ports.collect::<Vec<_>>(), [(1001, 0), (1002, 1), (1003, 2)]);
        }
    }

    #[test]
    fn packets_that_say_nothing_new_are_in_the_rows_once_it_is_closed() {
        let limits = DeltaLimits { pairs_max: 64, ports_max: 64, interfaces_max: 2 };
        let mut delta = Delta::new(limits, Seed::default());
        let mut decoded = Decoded::default();
        let mut there = Vec::new();
        for round in 1..=3 {
            for _ in 0..100 {
                if decoded.push(&delta, &udp(1, 9, 40), Arrival::default()) {
                    delta.take_all(&mut decoded);
                }
            }
            delta.take_all(&mut decoded);
            there.push(delta.pairs_v4()[0].value.packets());
            delta.close();
            let packets = delta.pairs_v4()[0].value.packets();
            assert_eq!((packets, delta.accounting().ip_packets), (100 * round, 100 * round));
        }
        // The first 64 came together, when nobody knew of them; then 36 did not need the row, and so on.
        assert_eq!(there, [64, 164, 264]);
    }

    #[test]
    fn a_port_knows_the_row_of_its_pair() {
        let limits = DeltaLimits { pairs_max: 9, ports_max: 9, interfaces_max: 2 };
        let mut delta = Delta::new(limits, Seed::default());
        for src in [2, 3, 1] {
            delta.count(InterfaceDirection::default(), &udp(src, 9, 40), UnixNanos(2));
        }
        let pair_at = |src_port: u16| {
            let port = delta.ports_v4().iter().find(|row| row.key.src_port == src_port).expect("it is there");
            let pair = port.pair_among(delta.pairs_v4()).map(|pair| pair.key);
            assert_eq!(pair, Some(port.key.pair));
            port.value.pair_at
        };
        assert_eq!([2, 3, 1].map(|src| pair_at(1000 + src)), [0, 1, 2]);
    }

    /// A packet of few flows, some of which differ in one thing alone.
    fn packet_of_few() -> impl Strategy<Value = Summary> {
        let flags = [TcpFlags::SYN, TcpFlags::ACK, TcpFlags::SYN | TcpFlags::ACK, TcpFlags::RST];
        let tcp = prop::sample::select(flags.map(|flags| Some(TcpFlags(flags))).to_vec());
        let ports = prop::sample::select(vec![(7, 53), (53, 7), (7, 0)]);
        let hosts = prop::sample::select(vec![(1u32, 2u32), (2, 1), (3, 1)]);
        (0u8..6, hosts, ports, tcp, 0u8..9).prop_map(
            |(kind, (src, dst), (src_port, dst_port), flags, oddity)| {
                let v4 = Endpoints::V4 { src: src.into(), dst: dst.into() };
                let v6 = Endpoints::V6 { src: u128::from(src).into(), dst: u128::from(dst).into() };
                let endpoints = if kind.is_multiple_of(2) { v4 } else { v6 };
                let (protocol, transport) = match kind {
                    0 | 1 => (6, Transport::Tcp { src_port, dst_port, flags }),
                    2 | 3 => (17, Transport::Ports { src_port, dst_port }),
                    _ => (1, Transport::Icmp { kind: 8 }),
                };
                let ip_bytes = if oddity < 6 { 40 } else { 60 };
                let length_mismatch = oddity == 0;
                Summary { length_mismatch, ..Summary::plain(endpoints, ip_bytes, protocol, transport) }
            },
        )
    }

    /// How far the time of a packet is ahead: a few are, so that those which follow come too late.
    fn mostly_now() -> impl Strategy<Value = u64> {
        prop_oneof![9 => Just(0), 1 => 0u64..40]
    }

    /// The ports of a family, without the rows of their pairs.
    fn ports_of<P: PairKey + std::fmt::Debug>(family: &FamilyDelta<P>) -> String {
        let ports: Vec<_> = family.ports.rows().iter().map(|row| (row.key, row.value.signs)).collect();
        format!("{ports:?}")
    }

    fn rows_of(delta: &Delta) -> String {
        let Delta { v4, v6, .. } = delta;
        let pairs = format!("{:?} {:?}", v4.pairs.rows(), v6.pairs.rows());
        format!("{pairs} {} {}", ports_of(v4), ports_of(v6))
    }

    proptest! {
        /// The table of ports is small: what has no room for its row spills each time, and what has one is known.
        #[test]
        fn ports_are_a_map_with_an_end(
            batches in prop::collection::vec(prop::collection::vec((0u8..3, 0u16..4, any::<bool>()), 0..20), 0..20),
        ) {
            const PORTS_MAX: usize = 4;
            let limits = DeltaLimits { pairs_max: 9, ports_max: PORTS_MAX, interfaces_max: 2 };
            let mut delta = Delta::new(limits, Seed::default());
            let mut model: Vec<(u8, u8, u16)> = Vec::new();
            let mut spilled = 0;
            for batch in batches {
                let mut decoded = Decoded::default();
                for (src, dst_port, is_syn) in batch {
                    let flags = Some(TcpFlags(TcpFlags::SYN));
                    let packet = if is_syn {
                        let transport = Transport::Tcp { src_port: 7, dst_port, flags };
                        Summary { protocol: 6, transport, ..udp(src, 9, 40) }
                    } else {
                        Summary { transport: Transport::Ports { src_port: 7, dst_port }, ..udp(src, 9, 40) }
                    };
                    let arrival = Arrival { seen_at: UnixNanos(1), ..Arrival::default() };
                    prop_assert!(!decoded.push(&delta, &packet, arrival), "it has room for twenty");
                    let port = (src, packet.protocol, dst_port);
                    // Nobody speaks to port 0; a SYN says that it does.
                    if (is_syn || dst_port != 0) && !model.contains(&port) {
                        if model.len() < PORTS_MAX { model.push(port) } else { spilled += 1 }
                    }
                }
                delta.take_all(&mut decoded);
            }
            delta.close();
            prop_assert_eq!(delta.accounting().spilled_ports, spilled);
            let rows = delta.ports_v4().iter().map(|row| {
                let pair = row.pair_among(delta.pairs_v4()).expect("it knows its pair");
                assert_eq!(row.value.signs.has(Observations::OPENED), row.key.protocol == 6);
                (pair.key.src.octets()[3], row.key.protocol, row.key.dst_port)
            });
            prop_assert_eq!(rows.collect::<Vec<_>>(), model);
        }

        /// Packets of few flows, early and late, long and short, where tables are full and where they are not: what the
        /// exact-match cache counts is what had been counted without it.
        #[test]
        fn what_is_known_of_a_flow_is_what_its_packets_say(
            palette in prop::collection::vec(packet_of_few(), 6),
            stream in prop::collection::vec((0usize..6, any::<bool>(), mostly_now(), 0u32..3, 0u8..9), 0..400),
            (pairs_max, ports_max) in prop_oneof![(1usize..20, 0usize..20), Just((1024, 1024))],
            (batch, tick) in (1usize..64, 1usize..200),
        ) {
            let limits = DeltaLimits { pairs_max, ports_max, interfaces_max: 2 };
            let seed = Seed::default();
            let mut deltas = [(); 2].map(|()| Delta::new(limits, seed.clone()));
            let mut decoded = [(); 2].map(|()| Decoded::default());
            let last = stream.len().saturating_sub(1);
            for (at, (which, is_bare, ahead, ifindex, count_mode)) in stream.iter().enumerate() {
                let summary = Summary { ip_bytes: if *is_bare { 40 } else { 60 }, ..palette[*which] };
                let seen_at = UnixNanos(at as u64 + ahead);
                let count_mode = CountMode { is_evidence: *count_mode == 0, is_received: *count_mode < 4 };
                let ends_tick = at % tick == 0 || at == last;
                // Nothing is known to a delta that was closed just now.
                deltas[1].close();
                for (delta, decoded) in deltas.iter_mut().zip(&mut decoded) {
                    let interface_direction = delta.interface_direction(*ifindex, Direction::Ingress);
                    let is_full = decoded.push(delta, &summary, Arrival { interface_direction, seen_at, count_mode });
                    if is_full || ends_tick || at % batch == 0 {
                        delta.take_all(decoded);
                    }
                }
                if ends_tick {
                    deltas.iter_mut().for_each(Delta::close);
                    let [cached, plain] = &deltas;
                    prop_assert_eq!(cached.accounting(), plain.accounting());
                    prop_assert!(cached.interfaces().eq(plain.interfaces()));
                    prop_assert_eq!(rows_of(cached), rows_of(plain));
                    deltas.iter_mut().for_each(Delta::clear);
                }
            }
        }
    }
}
