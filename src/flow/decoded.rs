//! Decoded packets on their way into a delta.
//!
//! Nearly all packets are plain: their flow, length, time and interface describe them completely. Of a plain packet
//! only these are stored until the exact-match cache is searched. Its other properties are computed only if that does
//! not have its flow.

use crate::packet::{Endpoints, Summary, Transport};
use crate::time::UnixNanos;

use super::delta::Delta;
use super::exact_match::FlowId;
use super::family::{FamilyDelta, HashContext};
use super::initiation::{Initiation, initiation};
use super::interfaces::InterfaceDirection;
use super::observations::{Observations, observe};
use super::pair_key::{PairKey, PortOf, V4Pair, V6Pair};
use super::table::Place;

/// Packets of one family and kind that are decoded before they are counted. With 64 they stay in the first-level cache,
/// decoding and counting do not evict each other's code, and prefetched memory has time to arrive.
const TOGETHER: usize = 64;

/// Decoded packets that [`Delta::count_decoded`] counts together.
#[derive(Debug, Default)]
pub struct Decoded {
    pub(super) v4: Gathered<V4Pair>,
    pub(super) v6: Gathered<V6Pair>,
}

/// The packets of one family.
#[derive(Debug)]
pub(super) struct Gathered<P> {
    /// Packets that the exact-match cache may be able to count.
    pub(super) plain: Vec<Plain<P>>,
    /// Packets that it cannot count, each with the number of plain packets before it.
    pub(super) irregular: Vec<(usize, Packet<P>)>,
    /// All packets that are counted in the tables, in the order of arrival; empty until `sift` fills it.
    pub(super) packets: Vec<Packet<P>>,
}

/// What holds for a packet because of its frame: ingress or egress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameContext {
    /// The interface and the direction.
    pub interface_direction: InterfaceDirection,
    /// The time of the frame.
    pub seen_at: UnixNanos,
    /// How the packet is counted.
    pub count_mode: CountMode,
}

/// How a decoded packet is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountMode {
    /// The packet is counted at another interface, and here is only evidence of who sent first and of what was
    /// answered; see [`Delta::count_decoded`].
    pub is_observed_only: bool,
    /// The bytes of the packet also count as received by its destination.
    pub counts_as_received: bool,
}

impl Decoded {
    /// Adds a packet that `delta` is to count, and prefetches memory for that. Returns true if the buffer is full: the
    /// packets must be counted before another one is added, since adding it would allocate.
    #[inline(always)]
    #[must_use]
    pub fn push(&mut self, delta: &Delta, summary: &Summary, frame_context: FrameContext) -> bool {
        let Delta { v4, v6, how, .. } = delta;
        match summary.endpoints {
            Endpoints::V4 { src, dst } => self.v4.push(v4, V4Pair { src, dst }, summary, frame_context, how),
            Endpoints::V6 { src, dst } => self.v6.push(v6, V6Pair { src, dst }, summary, frame_context, how),
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
        frame_context: FrameContext,
        how: &HashContext,
    ) -> bool {
        let FrameContext { interface_direction, seen_at, count_mode } = frame_context;
        match FlowId::new(summary, count_mode) {
            Some(id) => {
                family.flows.prefetch(&pair, id);
                self.plain.push(Plain { pair, id, seen_at, ip_bytes: summary.ip_bytes, interface_direction });
                self.plain.len() >= TOGETHER
            }
            None => {
                let pair_hash = family.expect(&pair, how);
                let packet = Packet::new(pair, pair_hash, None, summary, frame_context);
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

/// A packet that its flow, length, time and interface describe completely: 32 bytes for IPv4.
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
    /// Returns the packet as it was decoded.
    #[inline(always)]
    pub(super) fn packet(&self, pair_hash: u64) -> Packet<P> {
        let Self { pair, id, seen_at, ip_bytes, interface_direction } = *self;
        let frame_context = FrameContext { interface_direction, seen_at, count_mode: id.count_mode() };
        Packet::new(pair, pair_hash, Some(id), &id.summary(pair.endpoints(), ip_bytes), frame_context)
    }
}

/// A decoded packet; at most a cache line for IPv4.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<P> {
    pub(super) pair: P,
    pub(super) pair_hash: u64,
    pub(super) seen_at: UnixNanos,
    pub(super) packed_ports: PackedPorts,
    /// The flow, if the packet is plain.
    pub(super) id: Option<FlowId>,
    pub(super) segments: u32,
    pub(super) ip_bytes: u32,
    pub(super) interface_direction: InterfaceDirection,
    /// The place of the row of its pair.
    pub(super) place: Place,
    /// The place of the row of its destination port, if that must be looked up.
    pub(super) port_place: Place,
    /// The row of its destination port already has all that this packet adds, unless its pair is found at another
    /// place.
    pub(super) is_port_known: bool,
    /// Its observations, including [`Observations::INITIATED`] and [`Observations::SENT`].
    pub(super) observations: Observations,
    flags: Flags,
}

const _: () = assert!(size_of::<Packet<V4Pair>>() <= 64);

/// Protocol and ports of a packet in one number.
///
/// ```text
/// | 41: evident | 40: contacts a port, or may | 32: protocol | 16: source port | 0: destination port |
/// ```
///
/// Bit 40 is set if the packet contacts its destination port, or may turn out to; bit 41 if it shows that by itself.
/// Its source port does not matter then and is 0. Ports are 0 for protocols without ports too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedPorts(u64);

impl PackedPorts {
    /// No packet.
    pub(super) const NONE: Self = Self(0);

    const CONTACTS_PORT: u64 = 1 << 40;
    const EVIDENT: u64 = 1 << 41;

    #[inline(always)]
    fn new(protocol: u8, src_port: u16, dst_port: u16, contact: u64) -> Self {
        let ports = u64::from(src_port) << 16 | u64::from(dst_port);
        Self(contact | u64::from(protocol) << 32 | ports)
    }

    /// Returns true if its packet contacts a port, or may turn out to.
    #[inline(always)]
    pub(super) fn may_contact_port(self) -> bool {
        self.0 & Self::CONTACTS_PORT != 0
    }

    /// Returns true if its packet shows by itself that it contacts a port.
    #[inline(always)]
    fn is_evident(self) -> bool {
        self.0 & Self::EVIDENT != 0
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
    pub(super) fn protocol(self) -> u8 {
        (self.0 >> 32) as u8
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
    pub(super) fn src_port(self) -> u16 {
        (self.0 >> 16) as u16
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "only these bits are wanted")]
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
        frame_context: FrameContext,
    ) -> Self {
        let FrameContext { interface_direction, seen_at, count_mode } = frame_context;
        let Summary { segments, ip_bytes, protocol, length_mismatch, segments_unknown, .. } = *summary;
        let ports = match summary.transport {
            Transport::Tcp { src_port, dst_port, .. }
            | Transport::Sctp { src_port, dst_port, .. }
            | Transport::Ports { src_port, dst_port } => Some((src_port, dst_port)),
            Transport::Icmp { .. } | Transport::LaterFragment | Transport::Other => None,
        };
        let (mut src_port, dst_port) = ports.unwrap_or((0, 0));
        let mut observations = observe(summary);
        let contact = match initiation(summary) {
            Initiation::Contact { port } => {
                observations |= Observations::INITIATED;
                src_port = 0;
                if port.is_some() { PackedPorts::CONTACTS_PORT | PackedPorts::EVIDENT } else { 0 }
            }
            Initiation::IfFirst { .. } => {
                observations |= Observations::SENT;
                if ports.is_some() { PackedPorts::CONTACTS_PORT } else { 0 }
            }
            Initiation::None => 0,
        };
        let flags = Flags::EVIDENCE.when(count_mode.is_observed_only)
            | Flags::RECEIVED.when(count_mode.counts_as_received)
            | Flags::PORTS.when(ports.is_some())
            | Flags::IRREGULAR.when(summary.is_irregular())
            | Flags::MISMATCH.when(length_mismatch)
            | Flags::UNKNOWN_SEGMENTS.when(segments_unknown);
        Self {
            pair,
            pair_hash,
            seen_at,
            packed_ports: PackedPorts::new(protocol, src_port, dst_port, contact),
            id,
            segments,
            ip_bytes,
            interface_direction,
            place: Place::NONE,
            port_place: Place::NONE,
            is_port_known: false,
            observations,
            flags: Flags(flags),
        }
    }

    #[inline(always)]
    pub(super) fn is_observed_only(&self) -> bool {
        self.flags.has(Flags::EVIDENCE)
    }

    #[inline(always)]
    pub(super) fn counts_as_received(&self) -> bool {
        self.flags.has(Flags::RECEIVED)
    }

    /// Returns the same as [`Summary::is_irregular`].
    #[inline(always)]
    pub(super) fn is_irregular(&self) -> bool {
        self.flags.has(Flags::IRREGULAR)
    }

    pub(super) fn has_length_mismatch(&self) -> bool {
        self.flags.has(Flags::MISMATCH)
    }

    pub(super) fn has_unknown_segments(&self) -> bool {
        self.flags.has(Flags::UNKNOWN_SEGMENTS)
    }

    /// Returns the port that the packet contacts, or may turn out to.
    #[inline(always)]
    pub(super) fn own_port(&self) -> Option<PortOf<P>> {
        let Self { pair, packed_ports, .. } = *self;
        let (src_port, dst_port, protocol) =
            (packed_ports.src_port(), packed_ports.dst_port(), packed_ports.protocol());
        let is_evident = packed_ports.is_evident();
        packed_ports.may_contact_port().then_some(PortOf { pair, src_port, dst_port, protocol, is_evident })
    }

    /// Returns true if its ports were captured.
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
    const IRREGULAR: Self = Self(0x08);
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
