//! Decoded packets on their way into a delta.
//!
//! Nearly every packet is plain: its flow and its length are all that there is to say of it, and all that is kept until
//! somebody looks whether the flow is known. What else it says, about who began, is read where that is not so.

use crate::packet::{Endpoints, Summary, Transport};
use crate::time::UnixNanos;

use super::delta::Delta;
use super::exact_match::FlowId;
use super::family::{FamilyDelta, HashContext};
use super::initiation::{Initiation, opening};
use super::interfaces::InterfaceDirection;
use super::observations::{Observations, signs};
use super::pair_key::{PairKey, PortOf, V4Pair, V6Pair};
use super::table::Place;

/// Packets of a kind, of a family, that are decoded before they are counted. They stay in the first-level cache while
/// neither half of the work evicts the other's code, and what they need of the tables has time to arrive.
const TOGETHER: usize = 64;

/// Decoded packets, to be counted together by [`Delta::take_all`].
#[derive(Debug, Default)]
pub struct Decoded {
    pub(super) v4: Gathered<V4Pair>,
    pub(super) v6: Gathered<V6Pair>,
}

/// Those of one family.
#[derive(Debug)]
pub(super) struct Gathered<P> {
    /// Of which the exact-match cache may know all that they say.
    pub(super) plain: Vec<Plain<P>>,
    /// To be counted the long way, each with the number of plain ones before it.
    pub(super) irregular: Vec<(usize, Packet<P>)>,
    /// All that are counted the long way, in the order in which they came. There is none before those are sifted.
    pub(super) packets: Vec<Packet<P>>,
}

/// How a packet came here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrival {
    /// Where, and which way.
    pub interface_direction: InterfaceDirection,
    /// When.
    pub seen_at: UnixNanos,
    /// What for.
    pub count_mode: CountMode,
}

/// What a decoded packet is taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountMode {
    /// It is counted elsewhere, and evidence here; see [`Delta::take_all`].
    pub is_evidence: bool,
    /// Its destination receives it, which is counted besides.
    pub is_received: bool,
}

impl Decoded {
    /// Takes a packet, to be counted by `delta`, which has its memory be fetched. Gives whether it is time to count those
    /// that were taken: for another one memory would have to be taken.
    #[inline(always)]
    #[must_use]
    pub fn push(&mut self, delta: &Delta, summary: &Summary, arrival: Arrival) -> bool {
        let Delta { v4, v6, how, .. } = delta;
        match summary.endpoints {
            Endpoints::V4 { src, dst } => self.v4.push(v4, V4Pair { src, dst }, summary, arrival, how),
            Endpoints::V6 { src, dst } => self.v6.push(v6, V6Pair { src, dst }, summary, arrival, how),
        }
    }
}

impl<P: PairKey> Gathered<P> {
    #[inline(always)]
    fn push(
        &mut self,
        family: &FamilyDelta<P>,
        pair: P,
        summary: &Summary,
        arrival: Arrival,
        how: &HashContext,
    ) -> bool {
        let Arrival { interface_direction, seen_at, count_mode } = arrival;
        match FlowId::new(summary, count_mode) {
            Some(id) => {
                family.flows.prefetch(&pair, id);
                self.plain.push(Plain { pair, id, seen_at, ip_bytes: summary.ip_bytes, interface_direction });
                self.plain.len() >= TOGETHER
            }
            None => {
                let pair_hash = family.expect(&pair, how);
                let packet = Packet::new(pair, pair_hash, None, summary, arrival);
                self.irregular.push((self.plain.len(), packet));
                self.irregular.len() >= TOGETHER
            }
        }
    }
}

impl<P> Default for Gathered<P> {
    fn default() -> Self {
        let (plain, irregular) = (Vec::with_capacity(TOGETHER), Vec::with_capacity(TOGETHER));
        Self { plain, irregular, packets: Vec::with_capacity(2 * TOGETHER) }
    }
}

/// A decoded packet that says nothing but its flow and its length: half of a cache line, of IPv4.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<P> {
    pub(super) pair: P,
    pub(super) id: FlowId,
    pub(super) seen_at: UnixNanos,
    pub(super) ip_bytes: u32,
    pub(super) interface_direction: InterfaceDirection,
}

const _: () = assert!(size_of::<Plain<V4Pair>>() == 32);

impl<P: PairKey> Plain<P> {
    /// The packet as it was decoded.
    #[inline(always)]
    pub(super) fn packet(&self, pair_hash: u64) -> Packet<P> {
        let Self { pair, id, seen_at, ip_bytes, interface_direction } = *self;
        let arrival = Arrival { interface_direction, seen_at, count_mode: id.count_mode() };
        Packet::new(pair, pair_hash, Some(id), &id.summary(pair.endpoints(), ip_bytes), arrival)
    }
}

/// A decoded packet; of IPv4 it fits a cache line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<P> {
    pub(super) pair: P,
    pub(super) pair_hash: u64,
    pub(super) seen_at: UnixNanos,
    pub(super) word: Word,
    /// Where it is plain.
    pub(super) id: Option<FlowId>,
    pub(super) segments: u32,
    pub(super) ip_bytes: u32,
    pub(super) interface_direction: InterfaceDirection,
    /// Where the row of its pair is.
    pub(super) place: Place,
    /// Where that of its own port is, if it has one that is not known.
    pub(super) port_place: Place,
    /// The row of its own port has all that this packet says, unless its pair turns out to be elsewhere.
    pub(super) is_port_known: bool,
    /// All that it shows, [`Observations::OPENED`] and [`Observations::SPOKE`] among it.
    pub(super) signs: Observations,
    flags: Flags,
}

const _: () = assert!(size_of::<Packet<V4Pair>>() <= 64);

/// Protocol and ports of a packet, as one number.
///
/// ```text
/// | 40: it is a word to its destination port | 32: protocol | 16: source port | 0: destination port |
/// ```
///
/// A word to a port contacts it, or may turn out to. Ports are 0 without; the source port of what is a contact by its own
/// words does not matter, and is 0 too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    /// No packet's word to a port.
    pub(super) const NONE: Self = Self(0);

    const TO_PORT: u64 = 1 << 40;

    #[inline(always)]
    fn new(protocol: u8, src_port: u16, dst_port: u16, is_to_port: bool) -> Self {
        let ports = u64::from(src_port) << 16 | u64::from(dst_port);
        Self((if is_to_port { Self::TO_PORT } else { 0 }) | u64::from(protocol) << 32 | ports)
    }

    /// Whether its packet contacts a port, or may turn out to.
    #[inline(always)]
    pub(super) fn is_to_port(self) -> bool {
        self.0 & Self::TO_PORT != 0
    }

    #[inline(always)]
    pub(super) fn protocol(self) -> u8 {
        (self.0 >> 32) as u8
    }

    #[inline(always)]
    pub(super) fn src_port(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline(always)]
    pub(super) fn dst_port(self) -> u16 {
        self.0 as u16
    }
}

impl<P: Copy> Packet<P> {
    #[inline(always)]
    pub(super) fn new(
        pair: P,
        pair_hash: u64,
        id: Option<FlowId>,
        summary: &Summary,
        arrival: Arrival,
    ) -> Self {
        let Arrival { interface_direction, seen_at, count_mode } = arrival;
        let Summary { segments, ip_bytes, protocol, length_mismatch, segments_unknown, .. } = *summary;
        let ports = match summary.transport {
            Transport::Tcp { src_port, dst_port, .. }
            | Transport::Sctp { src_port, dst_port, .. }
            | Transport::Ports { src_port, dst_port } => Some((src_port, dst_port)),
            Transport::Icmp { .. } | Transport::LaterFragment | Transport::Other => None,
        };
        let (mut src_port, dst_port) = ports.unwrap_or((0, 0));
        let mut signs = signs(summary);
        let is_to_port = match opening(summary) {
            Initiation::Contact { port } => {
                signs |= Observations::OPENED;
                src_port = 0;
                port.is_some()
            }
            Initiation::Unsaid { .. } => {
                signs |= Observations::SPOKE;
                dst_port != 0
            }
            Initiation::None => false,
        };
        let flags = Flags::EVIDENCE.when(count_mode.is_evidence)
            | Flags::RECEIVED.when(count_mode.is_received)
            | Flags::PORTS.when(ports.is_some())
            | Flags::ODD.when(summary.is_irregular())
            | Flags::MISMATCH.when(length_mismatch)
            | Flags::UNKNOWN_SEGMENTS.when(segments_unknown);
        Self {
            pair,
            pair_hash,
            seen_at,
            word: Word::new(protocol, src_port, dst_port, is_to_port),
            id,
            segments,
            ip_bytes,
            interface_direction,
            place: Place::NONE,
            port_place: Place::NONE,
            is_port_known: false,
            signs,
            flags: Flags(flags),
        }
    }

    #[inline(always)]
    pub(super) fn is_evidence(&self) -> bool {
        self.flags.has(Flags::EVIDENCE)
    }

    #[inline(always)]
    pub(super) fn is_received(&self) -> bool {
        self.flags.has(Flags::RECEIVED)
    }

    /// As [`Summary::is_irregular`].
    #[inline(always)]
    pub(super) fn is_irregular(&self) -> bool {
        self.flags.has(Flags::ODD)
    }

    pub(super) fn has_length_mismatch(&self) -> bool {
        self.flags.has(Flags::MISMATCH)
    }

    pub(super) fn has_unknown_segments(&self) -> bool {
        self.flags.has(Flags::UNKNOWN_SEGMENTS)
    }

    /// The port that it contacts, or may turn out to.
    #[inline(always)]
    pub(super) fn own_port(&self) -> Option<PortOf<P>> {
        let Self { pair, word, .. } = *self;
        let (src_port, dst_port, protocol) = (word.src_port(), word.dst_port(), word.protocol());
        word.is_to_port().then_some(PortOf { pair, src_port, dst_port, protocol })
    }

    /// Whether its protocol has ports that were captured.
    pub(super) fn has_ports(&self) -> bool {
        self.flags.has(Flags::PORTS)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags(u8);

impl Flags {
    const EVIDENCE: Self = Self(0x01);
    const RECEIVED: Self = Self(0x02);
    const PORTS: Self = Self(0x04);
    const ODD: Self = Self(0x08);
    const MISMATCH: Self = Self(0x10);
    const UNKNOWN_SEGMENTS: Self = Self(0x20);

    #[inline(always)]
    fn when(self, is_so: bool) -> u8 {
        if is_so { self.0 } else { 0 }
    }

    #[inline(always)]
    fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }
}
