//! Exact-match cache: per-flow byte and packet counters for packets that would change nothing else.
//!
//! Most packets are such packets. They are counted here, in half a cache line, without a lookup in the tables. The
//! counters are added to the rows when the delta is closed. A flow is inserted after one of its packets was counted in
//! the tables and every table had room for it.

use std::num::NonZeroU64;

use crate::packet::{Endpoints, Summary, TcpFlags, Transport};
use crate::sys::prefetch::prefetch;
use crate::time::UnixNanos;

use super::decoded::{CountMode, Packet, Plain};
use super::hash::Seed;
use super::interfaces::InterfaceDirection;
use super::observations::is_bare;
use super::pair_key::{PairKey, V4Pair, V6Pair};

/// The flows of one delta and one address family.
#[derive(Debug)]
pub(super) struct ExactMatch<P> {
    buckets: Vec<Bucket<P>>,
    /// The buckets that have a flow; a bucket with two flows is listed twice.
    used: Vec<u32>,
    shift: u32,
    /// A secret odd factor, so that a sender can hardly choose flows that share a bucket. Flows that do are counted in
    /// the tables.
    factor: u64,
    /// The latest time of the inserted packets; [`NEVER`] after the cache was given up for this tick.
    latest_at: UnixNanos,
    /// Insertions until the cache is judged by its hits.
    notes_left: usize,
}

/// Two flows with the same hash. A third one is not inserted while both have counted a packet.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket<P>([Flow<P>; 2]);

/// The packets of one flow that were counted only here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow<P> {
    pair: P,
    id: Option<FlowId>,
    pub(super) interface_direction: InterfaceDirection,
    /// The number of the row of its pair.
    pub(super) row: u32,
    pub(super) packets: u32,
    pub(super) ip_bytes: u32,
}

impl<P: PairKey> Flow<P> {
    #[inline(always)]
    fn is(&self, pair: &P, id: FlowId, interface_direction: InterfaceDirection) -> bool {
        self.id == Some(id) && self.pair == *pair && self.interface_direction == interface_direction
    }

    /// Returns true if its bytes also count as received by the destination.
    pub(super) fn counts_as_received(&self) -> bool {
        self.id.is_some_and(|id| id.count_mode().counts_as_received)
    }
}

impl<P: PairKey> ExactMatch<P> {
    /// Makes an empty cache that is sized for this many pairs.
    pub(super) fn new(pairs_max: usize, seed: &Seed) -> Self {
        let bits = (pairs_max / PAIRS_PER_BUCKET).clamp(BUCKETS_MIN, BUCKETS_MAX).ilog2();
        let none = Flow {
            pair: P::UNSPECIFIED,
            id: None,
            interface_direction: InterfaceDirection::OVERFLOW_ROW,
            row: 0,
            packets: 0,
            ip_bytes: 0,
        };
        Self {
            buckets: vec![Bucket([none; 2]); 1 << bits],
            used: Vec::with_capacity(2 << bits),
            shift: u64::BITS - bits,
            factor: seed.of("flows") | 1,
            latest_at: UnixNanos(0),
            notes_left: 2 << bits,
        }
    }

    /// Prefetches the bucket of a flow.
    #[inline(always)]
    pub(super) fn prefetch(&self, pair: &P, id: FlowId) {
        if let Some(bucket) = self.buckets.get(self.bucket_of(pair, id)) {
            prefetch(bucket);
        }
    }

    /// Counts a packet if its flow is in the cache. Returns false if the packet must be counted in the tables.
    ///
    /// A packet that is earlier than those that the cache was filled from must be counted in the tables, since the time
    /// decides who sent first.
    #[inline(always)]
    pub(super) fn count(&mut self, packet: &Plain<P>) -> bool {
        let Plain { pair, id, seen_at, ip_bytes, interface_direction } = *packet;
        if seen_at < self.latest_at {
            return false;
        }
        let at = self.bucket_of(&pair, id);
        let Some(Bucket(flows)) = self.buckets.get_mut(at) else { return false };
        let Some(flow) = flows.iter_mut().find(|flow| flow.is(&pair, id, interface_direction)) else {
            return false;
        };
        // A sum above 32 bits, 4 GiB in a tick, is counted in the tables.
        let (Some(packets), Some(ip_bytes)) =
            (flow.packets.checked_add(1), flow.ip_bytes.checked_add(ip_bytes))
        else {
            return false;
        };
        (flow.packets, flow.ip_bytes) = (packets, ip_bytes);
        true
    }

    /// Inserts the flow of a packet that was counted in the tables, with the number of the row of its pair.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "there are far fewer buckets than 2^32")]
    pub(super) fn note(&mut self, packet: &Packet<P>, row: u32) {
        let Packet { pair, interface_direction, .. } = *packet;
        let Some(id) = packet.id.filter(|_| self.notes_left > 0) else { return };
        let at = self.bucket_of(&pair, id);
        let Some(Bucket(flows)) = self.buckets.get_mut(at) else { return };
        if flows.iter().any(|flow| flow.is(&pair, id, interface_direction)) {
            return;
        }
        self.latest_at = self.latest_at.max(packet.seen_at);
        // Takes the empty place, or one that has counted nothing.
        let [first, second] = flows;
        let prefers_second = first.packets > 0 || (first.id.is_some() && second.id.is_none());
        let flow = if prefers_second { second } else { first };
        if flow.packets == 0 {
            if flow.id.is_none() {
                // Fits: there are far fewer buckets. The list does not grow beyond its capacity, since each place in a
                // bucket is listed once.
                self.used.push(at as u32);
            }
            *flow = Flow { pair, id: Some(id), interface_direction, row, packets: 0, ip_bytes: 0 };
        }
        self.notes_left -= 1;
        if self.notes_left == 0 {
            self.judge();
        }
    }

    /// Decides, after as many insertions as there are places, whether the cache had enough hits. With a million flows
    /// in turn it would only cost time; then it is neither filled nor searched until the next tick.
    #[cold]
    fn judge(&mut self) {
        let counted = self.buckets.iter().flat_map(|Bucket(flows)| flows).map(|flow| u64::from(flow.packets));
        if counted.sum::<u64>() < (self.places() / PLACES_PER_USE) as u64 {
            self.latest_at = NEVER;
        } else {
            self.notes_left = usize::MAX;
        }
    }

    fn places(&self) -> usize {
        self.buckets.len() * 2
    }

    /// Removes and returns all flows.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Flow<P>> {
        (self.latest_at, self.notes_left) = (UnixNanos(0), self.places());
        let Self { buckets, used, .. } = self;
        used.drain(..).filter_map(|at| {
            let Bucket(flows) = buckets.get_mut(at as usize)?;
            let flow = flows.iter_mut().find(|flow| flow.id.is_some())?;
            let taken = *flow;
            flow.id = None;
            flow.packets = 0;
            Some(taken)
        })
    }

    /// Returns true if there are no flows.
    pub(super) fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the shift leaves the bits of a bucket number")]
    fn bucket_of(&self, pair: &P, id: FlowId) -> usize {
        let mixed = (pair.fold().wrapping_mul(self.factor) ^ id.0.get()).wrapping_mul(self.factor);
        (mixed >> self.shift) as usize
    }
}

/// Everything about a packet but its hosts and its length in one number, if nothing about it is unusual.
///
/// ```text
/// | 63: 1 | 50: TCP | 49: received | 48: bare | 40: TCP flags | 32: protocol | 16: source port | 0: destination port |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowId(NonZeroU64);

impl FlowId {
    const ONE: NonZeroU64 = NonZeroU64::new(1 << 63).expect("2^63 is not 0");
    const OF_TCP: u64 = 1 << 50;
    const RECEIVED: u64 = 1 << 49;
    const BARE: u64 = 1 << 48;

    /// Makes the identifier from all that [`observe`](super::observe()) and [`initiation()`](super::initiation())
    /// depend on, and from how the packet is counted. Returns `None` for other protocols than TCP and UDP, which have
    /// too few packets to need a cache.
    #[inline(always)]
    pub(super) fn new(summary: &Summary, count_mode: CountMode) -> Option<Self> {
        let (src_port, dst_port, of_tcp) = match summary.transport {
            Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) } => {
                let is_bare = if is_bare(summary) { Self::BARE } else { 0 };
                (src_port, dst_port, Self::OF_TCP | is_bare | u64::from(flags) << 40)
            }
            Transport::Ports { src_port, dst_port } => (src_port, dst_port, 0),
            _ => return None,
        };
        if count_mode.is_observed_only || summary.is_irregular() {
            return None;
        }
        let ports = u64::from(src_port) << 16 | u64::from(dst_port);
        let protocol = u64::from(summary.protocol) << 32;
        let received = if count_mode.counts_as_received { Self::RECEIVED } else { 0 };
        Some(Self(Self::ONE | (received | of_tcp | protocol | ports)))
    }

    /// Returns the packet that it was made from. Whether the packet was bare follows from its length.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
    pub(super) fn summary(self, endpoints: Endpoints, ip_bytes: u32) -> Summary {
        let bits = self.0.get();
        #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
        let (src_port, dst_port) = ((bits >> 16) as u16, bits as u16);
        let transport = if bits & Self::OF_TCP != 0 {
            Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags((bits >> 40) as u8)) }
        } else {
            Transport::Ports { src_port, dst_port }
        };
        Summary::plain(endpoints, ip_bytes, (bits >> 32) as u8, transport)
    }

    /// Returns how the packet is counted.
    #[inline(always)]
    pub(super) fn count_mode(self) -> CountMode {
        CountMode { is_observed_only: false, counts_as_received: self.0.get() & Self::RECEIVED != 0 }
    }
}

/// Pairs of a delta for each bucket. [`BUCKETS_MAX`] limits the buckets of IPv4 to a share of the second-level cache.
const PAIRS_PER_BUCKET: usize = 32;
/// The cache is kept if there was at least one hit for this many insertions.
const PLACES_PER_USE: usize = 4;
/// Later than any packet.
const NEVER: UnixNanos = UnixNanos(u64::MAX);
/// A bucket is chosen by at least one bit.
const BUCKETS_MIN: usize = 2;
const BUCKETS_MAX: usize = 1 << 11;

/// Bytes per pair of a delta, with half a pair of IPv6 hosts: a bucket of each, and its entries in `used`.
pub(super) const FLOW_BYTES_PER_PAIR: u64 = {
    let (v4, v6) = (size_of::<Bucket<V4Pair>>(), size_of::<Bucket<V6Pair>>());
    ((v4 + 8) + (v6 + 8) / 2).div_ceil(PAIRS_PER_BUCKET) as u64
};

const _: () = assert!(size_of::<Bucket<V4Pair>>() == 64);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const COUNTED: CountMode = CountMode { is_observed_only: false, counts_as_received: false };

    fn endpoints(n: u32) -> Endpoints {
        Endpoints::V4 { src: n.into(), dst: Ipv4Addr::LOCALHOST }
    }

    fn plain(n: u32, ip_bytes: u32) -> Plain<V4Pair> {
        let transport = Transport::Ports { src_port: 7, dst_port: 53 };
        let summary = Summary::plain(endpoints(n), ip_bytes, 17, transport);
        let id = FlowId::new(&summary, COUNTED).expect("it is plain");
        let pair = V4Pair { src: n.into(), dst: Ipv4Addr::LOCALHOST };
        Plain {
            pair,
            id,
            seen_at: UnixNanos(9),
            ip_bytes,
            interface_direction: InterfaceDirection::OVERFLOW_ROW,
        }
    }

    #[test]
    fn an_id_contains_all_that_it_was_made_from() {
        let v6 = Endpoints::V6 { src: 1u128.into(), dst: 2u128.into() };
        let (src_port, dst_port) = (0xfedc, 0x0123);
        let tcp = (0..=u8::MAX)
            .map(|flags| (6, Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) }));
        let others = [17, 33, 136, 255].map(|protocol| (protocol, Transport::Ports { src_port, dst_port }));
        for (protocol, transport) in tcp.chain(others) {
            for (endpoints, ip_bytes) in [(endpoints(1), 40), (endpoints(1), 1500), (v6, 60), (v6, u32::MAX)]
            {
                for counts_as_received in [false, true] {
                    let summary = Summary::plain(endpoints, ip_bytes, protocol, transport);
                    let count_mode = CountMode { is_observed_only: false, counts_as_received };
                    let id = FlowId::new(&summary, count_mode).expect("it is plain");
                    assert_eq!((id.summary(endpoints, ip_bytes), id.count_mode()), (summary, count_mode));
                }
            }
        }
    }

    #[test]
    fn a_bare_segment_belongs_to_another_flow() {
        let flags = Some(TcpFlags(TcpFlags::ACK));
        let transport = Transport::Tcp { src_port: 53, dst_port: 7, flags };
        let id = |ip_bytes| FlowId::new(&Summary::plain(endpoints(1), ip_bytes, 6, transport), COUNTED);
        assert_eq!(id(41), id(1500));
        assert_ne!(id(40), id(41));
    }

    #[test]
    fn unusual_packets_have_no_id() {
        let transport = Transport::Ports { src_port: 7, dst_port: 53 };
        let plain = Summary::plain(endpoints(1), 40, 17, transport);
        let cut = Transport::Tcp { src_port: 7, dst_port: 53, flags: None };
        for summary in [
            Summary { segments: 2, ..plain },
            Summary { segments_unknown: true, ..plain },
            Summary { length_mismatch: true, ..plain },
            Summary { protocol: 6, transport: cut, ..plain },
            Summary { protocol: 1, transport: Transport::Icmp { kind: 8 }, ..plain },
            Summary { transport: Transport::LaterFragment, ..plain },
            Summary { protocol: 47, transport: Transport::Other, ..plain },
        ] {
            assert_eq!(FlowId::new(&summary, COUNTED), None, "{summary:?}");
        }
        assert_eq!(FlowId::new(&plain, CountMode { is_observed_only: true, ..COUNTED }), None);
    }

    #[test]
    fn a_sum_above_32_bits_is_counted_in_the_tables() {
        let mut flows = ExactMatch::new(64, &Seed::default());
        flows.note(&plain(1, 40).packet(0), 3);
        assert!(flows.count(&plain(1, u32::MAX - 40)));
        assert!(!flows.count(&plain(1, 41)), "it would overflow");
        assert!(flows.count(&plain(1, 40)), "up to the last byte");
        let counted: Vec<_> = flows.drain().map(|flow| (flow.row, flow.packets, flow.ip_bytes)).collect();
        assert_eq!(counted, [(3, 2, u32::MAX)]);
        assert!(flows.is_empty() && !flows.count(&plain(1, 40)));
    }

    #[test]
    fn two_flows_share_a_bucket_and_a_third_one_waits() {
        let mut flows = ExactMatch::new(1, &Seed::default());
        let at = |n: u32| flows.bucket_of(&plain(n, 40).pair, plain(n, 40).id);
        let mut same = (0..).filter(|&n| at(n) == at(0));
        let [a, b, c] = [(); 3].map(|()| same.next().expect("there are two buckets"));
        drop(same);
        for n in [a, b, a, b] {
            flows.note(&plain(n, 40).packet(0), n);
        }
        assert!(flows.count(&plain(a, 40)) && flows.count(&plain(b, 40)), "both are in the bucket");
        flows.note(&plain(c, 40).packet(0), c);
        assert!(!flows.count(&plain(c, 40)), "both have counted packets");
        let mut rows: Vec<_> = flows.drain().map(|flow| flow.row).collect();
        rows.sort();
        assert_eq!(rows, [a, b]);
        for n in [a, b, c] {
            flows.note(&plain(n, 40).packet(0), n);
        }
        assert!(flows.count(&plain(c, 40)), "none has counted packets");
        assert_eq!(flows.drain().count(), 2);
    }

    #[test]
    fn a_packet_older_than_its_flow_is_counted_in_the_tables() {
        let mut flows = ExactMatch::new(64, &Seed::default());
        flows.note(&plain(1, 40).packet(0), 3);
        let early = Plain { seen_at: UnixNanos(8), ..plain(1, 40) };
        assert!(!flows.count(&early));
        flows.note(&early.packet(0), 3);
        assert!(flows.count(&plain(1, 40)));
        assert_eq!(flows.drain().count(), 1, "it is noted once");
    }

    #[test]
    fn it_is_given_up_for_a_tick_without_hits() {
        let mut flows = ExactMatch::new(1 << 10, &Seed::default());
        let places = flows.places() as u32;
        for hits in [0, places / 4] {
            // One flow has this many hits, and there are as many insertions as places.
            for n in 0..places {
                flows.note(&plain(n, 40).packet(0), n);
                if n == 0 {
                    (0..hits).for_each(|_| assert!(flows.count(&plain(0, 40))));
                }
            }
            assert_eq!(flows.count(&plain(0, 40)), hits > 0);
            let packets: u32 = flows.drain().map(|flow| flow.packets).sum();
            assert_eq!(packets, if hits > 0 { hits + 1 } else { 0 });
        }
    }
}
