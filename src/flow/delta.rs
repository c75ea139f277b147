//! What one worker counted since its last hand-over.
//!
//! Everything in a delta is a sum or a minimum, so closed deltas ([`Delta::close`]) can be added in any order. A delta
//! never grows: its tables refuse packets for which they have no room, and the totals count these as well.
//!
//! IPv4 and IPv6 have separate tables, so that a row of IPv4 is a cache line. Packets of a family are counted in
//! batches ([`Delta::count_decoded`]). Packets of known flows are counted in the exact-match cache, whose counts are
//! added to the rows when the delta is closed. For the others all rows are looked up first, and then all packets are
//! added. Each step prefetches memory for the next.

use crate::packet::{Direction, Endpoints, Quoted, Skip, Summary};
use crate::time::{Moment, UnixNanos};

use super::decoded::{CountMode, Decoded, FrameContext, Gathered, Packet};
use super::exact_match::Flow;
use super::family::{FamilyDelta, HashContext};
use super::hash::Seed;
use super::interfaces::{InterfaceCounts, InterfaceCountsTable, InterfaceDirection};
use super::pair_delta::{PairDelta, PortDelta};
use super::pair_key::{PairKey, PortOf, V4Pair, V6Pair};
use super::port_sketch::PortHasher;
use super::snapshot::{Accounting, KernelCounts, WorkerCounts};
use super::table::Row;

/// The counts of one worker in one tick.
#[derive(Debug)]
pub struct Delta {
    pub(super) v4: FamilyDelta<V4Pair>,
    pub(super) v6: FamilyDelta<V6Pair>,
    totals: Totals,
    /// Time of its first frame; `None` if it was not set.
    pub began_at: Option<Moment>,
    /// Time of its hand-over.
    pub handed_over_at: Moment,
    /// True if something hid who sent first: a new interface, or a burst of drops.
    pub is_disturbed: bool,
    pub(super) how: HashContext,
}

/// The limits of one delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeltaLimits {
    /// Directed pairs of IPv4 hosts; of IPv6 hosts, half as many.
    pub pairs_max: usize,
    /// Ports of IPv4 hosts; of IPv6 hosts, half as many. 0 if ports are not analysed.
    pub ports_max: usize,
    /// Interfaces; further ones share a row.
    pub interfaces_max: usize,
}

impl Delta {
    /// Makes an empty delta. All memory is allocated here; the kernel provides pages when they are first used.
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
            how: HashContext { port_hasher: PortHasher::new(&seed), seed, counts_ports: ports_max > 0 },
        }
    }

    /// Returns the directed pairs of IPv4 hosts, in the order in which they were inserted.
    pub fn pairs_v4(&self) -> &[Row<V4Pair, PairDelta>] {
        self.v4.pairs.rows()
    }

    /// Returns the directed pairs of IPv6 hosts.
    pub fn pairs_v6(&self) -> &[Row<V6Pair, PairDelta>] {
        self.v6.pairs.rows()
    }

    /// Returns the ports that IPv4 packets were sent to; empty if ports are not analysed.
    pub fn ports_v4(&self) -> &[Row<PortOf<V4Pair>, PortDelta>] {
        self.v4.ports.rows()
    }

    /// Returns the ports that IPv6 packets were sent to.
    pub fn ports_v6(&self) -> &[Row<PortOf<V6Pair>, PortDelta>] {
        self.v6.ports.rows()
    }

    /// Returns the row of an interface and a direction, for the calls that follow.
    #[inline]
    pub fn interface_direction(&mut self, ifindex: u32, direction: Direction) -> InterfaceDirection {
        self.totals.interfaces.interface_direction(ifindex, direction)
    }

    /// Counts packets, those of a family in the order of arrival, and empties `decoded`. A packet that is only observed
    /// ([`CountMode`]) is evidence of who sent first and of what was answered, and its frame counts
    /// as skipped ([`Skip::Egress`]). It is needed where this host translates addresses: only the packet on its other
    /// interface has the address of the client.
    ///
    /// A batch costs less than the same packets one by one, as long as it fits the first-level cache.
    #[inline]
    pub fn count_decoded(&mut self, decoded: &mut Decoded) {
        let Self { v4, v6, totals, how, .. } = self;
        totals.take(v4, &mut decoded.v4, how);
        totals.take(v6, &mut decoded.v6, how);
    }

    /// Adds the counts of the exact-match cache to the rows and sums. Before that, a row may have too little.
    pub fn close(&mut self) {
        let Self { v4, v6, totals, .. } = self;
        v4.close(|flow| totals.count_crossed(&DirectionRun::of(flow)));
        v6.close(|flow| totals.count_crossed(&DirectionRun::of(flow)));
    }

    /// Returns true if the rows and sums are complete; see [`close`](Self::close).
    pub fn is_closed(&self) -> bool {
        self.v4.flows.is_empty() && self.v6.flows.is_empty()
    }

    /// Counts the packets of one frame. It allocates memory for that, which [`count_decoded`](Self::count_decoded) does
    /// not.
    pub fn count(&mut self, interface_direction: InterfaceDirection, summary: &Summary, seen_at: UnixNanos) {
        self.take_one(interface_direction, summary, seen_at, CountMode::default());
    }

    /// Takes one packet that is counted elsewhere as evidence; its frame counts as skipped. It allocates memory as
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
            CountMode { is_observed_only: true, counts_as_received: false },
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
        // One packet is counted whether or not the batch is full.
        let _ = decoded.push(self, summary, FrameContext { interface_direction, seen_at, count_mode });
        self.count_decoded(&mut decoded);
        self.close();
    }

    /// Counts the bytes that the destination of a packet receives. The frame must be counted or skipped separately.
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

    /// Adds the observation that a packet was not delivered, from an ICMP error.
    pub fn note_undelivered(&mut self, quoted: &Quoted) {
        let (how, sums) = (&self.how, &mut self.totals.rest);
        match quoted.endpoints {
            Endpoints::V4 { src, dst } => self.v4.note_undelivered(V4Pair { src, dst }, quoted, how, sums),
            Endpoints::V6 { src, dst } => self.v6.note_undelivered(V6Pair { src, dst }, quoted, how, sums),
        }
    }

    /// Counts a frame that is not an IP packet, or that must not be counted.
    #[inline]
    pub fn skip(&mut self, interface_direction: InterfaceDirection, skip: Skip) {
        self.totals.skip(interface_direction, skip);
    }

    /// Adds the statistics of the packet socket since the last hand-over.
    pub fn add_kernel(&mut self, counts: KernelCounts) {
        self.totals.rest.kernel.add(&counts);
    }

    /// Adds what the worker did besides counting since the last hand-over.
    pub fn add_worker(&mut self, counts: WorkerCounts) {
        self.totals.rest.worker.add(&counts);
    }

    /// Returns the statistics of the packet socket since the last hand-over.
    pub fn kernel(&self) -> &KernelCounts {
        &self.totals.rest.kernel
    }

    /// Returns the interfaces that frames crossed, with their counts. A frame is in exactly one of them.
    pub fn interfaces(&self) -> impl Iterator<Item = (u32, &InterfaceCounts)> {
        self.totals.interfaces.rows()
    }

    /// Returns the sums over all frames, including those that were spilled.
    pub fn accounting(&self) -> Accounting {
        let mut sums = self.totals.rest.clone();
        self.interfaces().for_each(|(_, counts)| counts.add_to(&mut sums));
        sums
    }

    /// Returns true if nothing was counted since the last [`clear`](Self::clear).
    pub fn is_empty(&self) -> bool {
        self.totals.rest.frames == 0 && self.totals.rest.kernel == KernelCounts::default()
    }

    /// Returns true if the delta should be handed over before the end of its tick.
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

/// The part of a delta besides its rows.
#[derive(Debug)]
struct Totals {
    interfaces: InterfaceCountsTable,
    /// Sums that the rows of the interfaces do not contain.
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
            if packet.is_observed_only() {
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

/// Consecutive counted frames with the same interface and direction.
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
    fn the_first_packet_is_the_earliest_and_evidence_counts_no_bytes() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 4, ports_max: 0, interfaces_max: 2 }, Seed::default());
        let interface_direction = InterfaceDirection::default();
        delta.count(interface_direction, &udp(1, 2, 50), UnixNanos(30));
        for (summary, seen_at) in [(udp(1, 2, 50), 20), (udp(2, 1, 70), 40)] {
            let egress = CountMode { is_observed_only: true, counts_as_received: true };
            delta.take_one(interface_direction, &summary, UnixNanos(seen_at), egress);
        }
        let rows = delta.pairs_v4();
        assert_eq!(rows[0].value.first_packet().map(|packet| packet.at), Some(UnixNanos(20)));
        assert_eq!((rows[0].value.packets(), rows[0].value.ip_bytes), (1, 50));
        assert_eq!((rows[1].value.packets(), rows[1].value.ip_bytes), (0, 0));
        assert_eq!((rows[0].value.received_bytes, rows[1].value.received_bytes), (50, 70));
        let totals = delta.accounting();
        assert_eq!(totals.skipped[Skip::Egress as usize], 2);
        assert_eq!((totals.frames, totals.counted_frames), (3, 1));
    }

    #[test]
    fn pairs_that_share_a_hash_are_kept_apart_and_so_are_their_ports() {
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 9, ports_max: 9, interfaces_max: 2 }, Seed::default());
        for round in 1..4 {
            let mut decoded = Decoded::default();
            for src in [1, 2, 3] {
                // Irregular, so that the exact-match cache does not count it.
                let packet = Summary { length_mismatch: true, ..udp(src, 9, 40 + u32::from(src)) };
                let frame_context = FrameContext { seen_at: UnixNanos(1), ..FrameContext::default() };
                assert!(!decoded.push(&delta, &packet, frame_context), "there is room for three");
            }
            // IPv4 pairs have different hashes, but IPv6 pairs may share one.
            decoded.v4.irregular.iter_mut().for_each(|(_, packet)| packet.pair_hash = 0x0123_4567_89ab_cdef);
            delta.count_decoded(&mut decoded);
            delta.close();
            let sums = delta.pairs_v4().iter().map(|row| (row.key.src.octets()[3], row.value.ip_bytes));
            assert_eq!(sums.collect::<Vec<_>>(), [(1, 41 * round), (2, 42 * round), (3, 43 * round)]);
            let ports = delta.ports_v4().iter().map(|row| (row.key.src_port, row.value.pair_at));
            assert_eq!(ports.collect::<Vec<_>>(), [(1001, 0), (1002, 1), (1003, 2)]);
        }
    }

    #[test]
    fn packets_of_known_flows_are_in_the_rows_once_the_delta_is_closed() {
        let limits = DeltaLimits { pairs_max: 64, ports_max: 64, interfaces_max: 2 };
        let mut delta = Delta::new(limits, Seed::default());
        let mut decoded = Decoded::default();
        let mut there = Vec::new();
        for round in 1..=3 {
            for _ in 0..100 {
                if decoded.push(&delta, &udp(1, 9, 40), FrameContext::default()) {
                    delta.count_decoded(&mut decoded);
                }
            }
            delta.count_decoded(&mut decoded);
            there.push(delta.pairs_v4()[0].value.packets());
            delta.close();
            let packets = delta.pairs_v4()[0].value.packets();
            assert_eq!((packets, delta.accounting().ip_packets), (100 * round, 100 * round));
        }
        // The first 64 came in one batch, before the flow was known; the next 36 were counted in the cache, and so on.
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

    /// A packet of few flows, some of which differ in one property.
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

    /// How far the time of a packet is ahead. A few are, so that the packets after them are late.
    fn mostly_now() -> impl Strategy<Value = u64> {
        prop_oneof![9 => Just(0), 1 => 0u64..40]
    }

    /// The ports of a family, without the rows of their pairs.
    fn ports_of<P: PairKey + std::fmt::Debug>(family: &FamilyDelta<P>) -> String {
        let ports: Vec<_> = family.ports.rows().iter().map(|row| (row.key, row.value.observations)).collect();
        format!("{ports:?}")
    }

    fn rows_of(delta: &Delta) -> String {
        let Delta { v4, v6, .. } = delta;
        let pairs = format!("{:?} {:?}", v4.pairs.rows(), v6.pairs.rows());
        format!("{pairs} {} {}", ports_of(v4), ports_of(v6))
    }

    proptest! {
        /// The table of ports is small: a port without room spills each time, and one with a row does not.
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
                    let frame_context = FrameContext { seen_at: UnixNanos(1), ..FrameContext::default() };
                    prop_assert!(!decoded.push(&delta, &packet, frame_context), "there is room for twenty");
                    let port = (src, packet.protocol, dst_port);
                    if !model.contains(&port) {
                        if model.len() < PORTS_MAX { model.push(port) } else { spilled += 1 }
                    }
                }
                delta.count_decoded(&mut decoded);
            }
            delta.close();
            prop_assert_eq!(delta.accounting().spilled_ports, spilled);
            let rows = delta.ports_v4().iter().map(|row| {
                let pair = row.pair_among(delta.pairs_v4()).expect("the pair has a row");
                assert_eq!(row.value.observations.has(Observations::INITIATED), row.key.protocol == 6);
                (pair.key.src.octets()[3], row.key.protocol, row.key.dst_port)
            });
            prop_assert_eq!(rows.collect::<Vec<_>>(), model);
        }

        /// Packets of few flows, early and late, long and short, where tables are full and where they are not: what the
        /// exact-match cache counts is what had been counted without it.
        #[test]
        fn the_exact_match_cache_changes_no_row(
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
                let count_mode = CountMode { is_observed_only: *count_mode == 0, counts_as_received: *count_mode < 4 };
                let ends_tick = at % tick == 0 || at == last;
                // A delta that was closed just now has no known flows.
                deltas[1].close();
                for (delta, decoded) in deltas.iter_mut().zip(&mut decoded) {
                    let interface_direction = delta.interface_direction(*ifindex, Direction::Ingress);
                    let frame_context = FrameContext { interface_direction, seen_at, count_mode };
                    let is_full = decoded.push(delta, &summary, frame_context);
                    if is_full || ends_tick || at % batch == 0 {
                        delta.count_decoded(decoded);
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
