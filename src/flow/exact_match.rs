//! Exact-match cache: flows whose rows have all that a further packet of theirs could say, but that there is one more of
//! it and how long it is.
//!
//! Most packets are such packets. They are counted here, in half a cache line that is seldom far, and neither looked up
//! nor noted any further; what they add up to goes into the rows when the delta is closed. A flow comes in here once a
//! packet of it was counted in full and every table had room for what it says.

use crate::packet::{Summary, TcpFlags, Transport};
use crate::time::UnixNanos;

use super::decoded::{Arrival, Packet, Purpose};
use super::hash::Seed;
use super::interfaces::Crossing;
use super::pair_key::{PairKey, V4Pair, V6Pair};
use super::signs::is_bare;

/// The flows of one delta, of one address family.
#[derive(Debug)]
pub(super) struct ExactMatch<P> {
    buckets: Vec<Bucket<P>>,
    /// Which of them have a flow, once for each.
    used: Vec<u32>,
    shift: u32,
    /// An odd secret, so that flows which share a bucket are hard to choose. Whoever manages has them counted the long way.
    factor: u64,
    /// The latest of the packets that were looked for.
    latest_at: UnixNanos,
    /// Packets to be noted until it shows whether this is of use here.
    notes_left: usize,
}

/// Two flows that share a hash; a third one has to do without while both of them are more than a single packet.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket<P>([Flow<P>; 2]);

/// Packets that say the same, as far as they were counted here and nowhere else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow<P> {
    pair: P,
    pub(super) id: FlowId,
    pub(super) crossing: Crossing,
    /// The row of its pair.
    pub(super) row: u32,
    pub(super) packets: u32,
    pub(super) ip_bytes: u32,
}

impl<P: PairKey> ExactMatch<P> {
    /// An empty cache for the flows of so many pairs, of which it has room for a few.
    pub(super) fn new(pairs_max: usize, seed: &Seed) -> Self {
        let bits = (pairs_max / PAIRS_PER_BUCKET).clamp(BUCKETS_MIN, BUCKETS_MAX).ilog2();
        let none = Flow {
            pair: P::UNSPECIFIED,
            id: FlowId::NONE,
            crossing: Crossing::ELSEWHERE,
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

    /// Counts a packet, if it says nothing but what is known; otherwise it remains to be counted.
    ///
    /// What is known goes for packets that are no earlier than those it is known from: who spoke first is a matter of
    /// time.
    #[inline(always)]
    pub(super) fn count(&mut self, pair: &P, id: FlowId, ip_bytes: u32, arrival: Arrival) -> bool {
        let Arrival { crossing, seen_at, .. } = arrival;
        if seen_at < self.latest_at || !id.is_some() {
            return false;
        }
        self.latest_at = seen_at;
        let at = self.bucket_of(pair, id);
        let Some(Bucket(flows)) = self.buckets.get_mut(at) else { return false };
        for flow in flows {
            if flow.id == id && flow.pair == *pair && flow.crossing == crossing {
                // What is more than 32 bits hold is counted the long way: 4 GiB in a tick.
                let (Some(packets), Some(ip_bytes)) =
                    (flow.packets.checked_add(1), flow.ip_bytes.checked_add(ip_bytes))
                else {
                    return false;
                };
                (flow.packets, flow.ip_bytes) = (packets, ip_bytes);
                return true;
            }
        }
        false
    }

    /// Takes a packet in that was counted in full, all of what it says being known in or by way of that row of its pair.
    #[inline(always)]
    pub(super) fn note(&mut self, packet: &Packet<P>, row: u32) {
        let Packet { pair, id, crossing, .. } = *packet;
        if !id.is_some() || self.notes_left == 0 {
            return;
        }
        let at = self.bucket_of(&pair, id);
        let Some(Bucket(flows)) = self.buckets.get_mut(at) else { return };
        if let Some(flow) = flows.iter_mut().find(|flow| flow.packets == 0) {
            if flow.id == FlowId::NONE {
                // It fits: there are far fewer buckets. Nor does it grow: each place in a bucket comes to it once.
                self.used.push(at as u32);
            }
            *flow = Flow { pair, id, crossing, row, packets: 0, ip_bytes: 0 };
        }
        self.notes_left -= 1;
        if self.notes_left == 0 {
            self.judge();
        }
    }

    /// Looks whether so many notes were of use. A million flows in turn would only cost time here: there are no notes any
    /// more then, and nobody looks for them, before the next tick.
    #[cold]
    fn judge(&mut self) {
        let counted = self.buckets.iter().flat_map(|Bucket(flows)| flows).map(|flow| u64::from(flow.packets));
        if counted.sum::<u64>() < (self.places() / PLACES_PER_USE) as u64 {
            // No packet is later than that.
            self.latest_at = UnixNanos(u64::MAX);
        } else {
            self.notes_left = usize::MAX;
        }
    }

    fn places(&self) -> usize {
        self.buckets.len() * 2
    }

    /// Takes all flows out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Flow<P>> {
        (self.latest_at, self.notes_left) = (UnixNanos(0), self.places());
        let Self { buckets, used, .. } = self;
        used.drain(..).filter_map(|at| {
            let Bucket(flows) = buckets.get_mut(at as usize)?;
            let flow = flows.iter_mut().find(|flow| flow.id != FlowId::NONE)?;
            let taken = *flow;
            flow.id = FlowId::NONE;
            flow.packets = 0;
            Some(taken)
        })
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.used.is_empty()
    }

    #[inline(always)]
    fn bucket_of(&self, pair: &P, id: FlowId) -> usize {
        let mixed = (pair.fold().wrapping_mul(self.factor) ^ id.0).wrapping_mul(self.factor);
        (mixed >> self.shift) as usize
    }
}

/// All that a packet says beside its hosts and its length, as one number, where there is nothing unusual to it.
///
/// ```text
/// | 63: it is one | 49: it is received | 48: it is bare | 40: TCP flags | 32: protocol | 16: source port | 0: destination port |
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowId(u64);

impl FlowId {
    /// The packet is to be counted the long way.
    const NONE: Self = Self(0);

    const SOME: u64 = 1 << 63;
    const RECEIVED: u32 = 49;
    const BARE: u32 = 48;
    const TCP_FLAGS: u32 = 40;

    /// What [`signs`](super::signs()) and [`opening`](super::opening()) go by, and how it is counted. Beside TCP and UDP there
    /// are too few packets to make them fast.
    #[inline(always)]
    pub(super) fn new(summary: &Summary, purpose: Purpose) -> Self {
        let (src_port, dst_port, of_tcp) = match summary.transport {
            Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) } => {
                let is_bare = u64::from(is_bare(summary)) << Self::BARE;
                (src_port, dst_port, u64::from(flags) << Self::TCP_FLAGS | is_bare)
            }
            Transport::Ports { src_port, dst_port } => (src_port, dst_port, 0),
            _ => return Self::NONE,
        };
        if purpose.is_evidence || summary.is_odd() {
            return Self::NONE;
        }
        let ports = u64::from(src_port) << 16 | u64::from(dst_port);
        let protocol = u64::from(summary.protocol) << 32;
        Self(Self::SOME | u64::from(purpose.is_received) << Self::RECEIVED | of_tcp | protocol | ports)
    }

    #[inline(always)]
    fn is_some(self) -> bool {
        self != Self::NONE
    }

    #[inline(always)]
    pub(super) fn is_received(self) -> bool {
        self.0 >> Self::RECEIVED & 1 == 1
    }
}

/// Pairs of a delta for each bucket, and most buckets: of IPv4 they are as many bytes as a second-level cache spares.
const PAIRS_PER_BUCKET: usize = 32;
/// So few packets are counted here for as many notes as there are places, that it is not worth it.
const PLACES_PER_USE: usize = 4;
/// A bucket is chosen by a bit at least.
const BUCKETS_MIN: usize = 2;
const BUCKETS_MAX: usize = 1 << 11;

/// Bytes that a pair of a delta takes here, and half a pair of IPv6 hosts: a bucket of either, and what notes its use.
pub(super) const FLOW_BYTES_PER_PAIR: u64 = {
    let (v4, v6) = (size_of::<Bucket<V4Pair>>(), size_of::<Bucket<V6Pair>>());
    ((v4 + 8) + (v6 + 8) / 2).div_ceil(PAIRS_PER_BUCKET) as u64
};

const _: () = assert!(size_of::<Bucket<V4Pair>>() == 64);
