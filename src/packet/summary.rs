//! The seam between decoding and accounting: one fixed-size value per packet, or a reason for having none.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source and destination of the outermost IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoints {
    /// An IPv4 packet (RFC 791).
    V4 {
        /// Who sent it.
        src: Ipv4Addr,
        /// Who is to get it.
        dst: Ipv4Addr,
    },
    /// An IPv6 packet (RFC 8200).
    V6 {
        /// Who sent it.
        src: Ipv6Addr,
        /// Who is to get it.
        dst: Ipv6Addr,
    },
}

impl Endpoints {
    /// A pair of addresses; `None` when they are of two families.
    pub fn new(src: IpAddr, dst: IpAddr) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(Self::V4 { src, dst }),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(Self::V6 { src, dst }),
            _ => None,
        }
    }

    /// The same packet's answer: source and destination swapped.
    pub fn reversed(&self) -> Self {
        match *self {
            Self::V4 { src, dst } => Self::V4 { src: dst, dst: src },
            Self::V6 { src, dst } => Self::V6 { src: dst, dst: src },
        }
    }

    /// Source and destination.
    pub fn hosts(&self) -> [IpAddr; 2] {
        [self.src(), self.dst()]
    }

    /// The source address.
    pub fn src(&self) -> IpAddr {
        match *self {
            Self::V4 { src, .. } => IpAddr::V4(src),
            Self::V6 { src, .. } => IpAddr::V6(src),
        }
    }

    /// The destination address.
    pub fn dst(&self) -> IpAddr {
        match *self {
            Self::V4 { dst, .. } => IpAddr::V4(dst),
            Self::V6 { dst, .. } => IpAddr::V6(dst),
        }
    }
}

/// What accounting needs to know of one frame that carried an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Addresses of the outermost IP header.
    pub endpoints: Endpoints,
    /// Packets of the wire that the frame stands for; at least 1.
    pub segments: u32,
    /// Their bytes by the rule of [this module](super): IP header and payload, no link header, no padding.
    pub ip_bytes: u32,
    /// The frame stands for more packets than one, and how many cannot be said: it counts as one.
    pub segments_unknown: bool,
    /// The frame said less than the IP header declared, so the frame was believed.
    pub length_mismatch: bool,
    /// IANA number of the upper-layer protocol, IPv6 extension headers and AH looked through; of a fragment
    /// that is not the first, whatever its header names.
    pub protocol: u8,
    /// What the captured part of the upper-layer header tells.
    pub transport: Transport,
}

impl Summary {
    /// One packet whose frame says the same of its length as its header.
    #[inline(always)]
    pub fn plain(endpoints: Endpoints, ip_bytes: u32, protocol: u8, transport: Transport) -> Self {
        let (length_mismatch, segments_unknown) = (false, false);
        Self { endpoints, segments: 1, ip_bytes, segments_unknown, length_mismatch, protocol, transport }
    }

    /// Whether its frame stands for several packets, or for none that could be believed as it was.
    #[inline(always)]
    pub(crate) fn is_irregular(&self) -> bool {
        (self.segments != 1) | self.segments_unknown | self.length_mismatch
    }
}

/// The upper-layer header, as far as it was captured and belongs to the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP (RFC 9293). `flags` is `None` where fewer than 14 bytes were captured or the data offset is below 5.
    Tcp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// Byte 13 of the header, CWR to FIN.
        flags: Option<TcpFlags>,
    },
    /// UDP (RFC 768), UDP-Lite or DCCP: ports alone.
    Ports {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
    },
    /// SCTP (RFC 9260) with the type of its first chunk where that was captured.
    Sctp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// First chunk type; INIT is 1.
        chunk: Option<u8>,
    },
    /// ICMP (RFC 792) or ICMPv6 (RFC 4443), told apart by [`Summary::protocol`].
    Icmp {
        /// Message type; the echo request is 8 in ICMP and 128 in ICMPv6.
        kind: u8,
    },
    /// A fragment that is not the first: its payload is no header.
    LaterFragment,
    /// Another protocol, or the header was not captured.
    Other,
}

/// The control bits of a TCP header: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from the highest to the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// FIN: no more data from the sender.
    pub const FIN: u8 = 0x01;
    /// SYN: synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// RST: reset the connection.
    pub const RST: u8 = 0x04;
    /// PSH: push.
    pub const PSH: u8 = 0x08;
    /// ACK: the acknowledgment field is significant.
    pub const ACK: u8 = 0x10;
    /// URG: the urgent pointer is significant.
    pub const URG: u8 = 0x20;

    /// Whether all bits of `mask` are set.
    pub fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

/// Receives the summary of each decoded frame.
///
/// The fast path inlines [`take`](Self::take) once for each shape of packet, so that the fields of the summary stay in
/// registers. An implementation that takes a summary per packet is to be marked `inline(always)`.
pub trait SummarySink {
    /// Takes the summary of the frame that was decoded.
    fn take(&mut self, summary: Summary);
}

impl SummarySink for Option<Summary> {
    #[inline(always)]
    fn take(&mut self, summary: Summary) {
        *self = Some(summary);
    }
}

macro_rules! skips {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a frame was not counted as an IP packet. One byte, an index of a counter; never a log line.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Skip { $($(#[$doc])* $variant,)* }

        impl Skip {
            /// Every reason, in the order of its counter.
            pub const ALL: &'static [Skip] = &[$(Skip::$variant,)*];
            /// Number of reasons: the length of an array of counters.
            pub const COUNT: usize = Self::ALL.len();

            /// The name used in JSON and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Skip::$variant => $name,)* }
            }
        }
    };
}

skips! {
    /// Another protocol than IP: ARP, spanning tree, LLDP, an 802.3 frame.
    NotIp = "not_ip",
    /// A link type that carries IP in a way unknown here, or none.
    UnsupportedLink = "unsupported_link",
    /// The link header itself was cut off.
    LinkTruncated = "link_truncated",
    /// An MPLS label stack without an IP packet below it, such as an Ethernet pseudowire.
    MplsPseudowire = "mpls_pseudowire",
    /// More nested tags or labels than any network uses.
    LinkTooDeep = "link_too_deep",
    /// Announced as IP, and the fixed IP header was not captured in full.
    IpTruncated = "ip_truncated",
    /// Announced as one IP version, and the header says another.
    IpVersion = "ip_version",
    /// IPv4 with a header length below 20 bytes.
    IpHeaderLength = "ip_header_length",
    /// The declared total length is shorter than the header.
    IpTotalLength = "ip_total_length",
    /// Left through an interface: evidence of who answered, counted where it entered.
    Egress = "leaving",
    /// Seen on an interface that the configuration excludes.
    ExcludedInterface = "excluded_interface",
    /// Seen on a device whose lower device is monitored and has counted it.
    UpperDevice = "upper_device",
    /// Seen on a veth pair with both ends in this namespace.
    InternalWire = "internal_wire",
    /// In a PPPoE session that ends at this host, whose packets are counted on the PPP interface.
    PppoeTerminatedHere = "pppoe_terminated_here",
    /// Seen on an interface that was gone before its name could be known, while names are excluded.
    UnknownInterface = "unknown_interface",
    /// The ring's own description of the frame points outside its block.
    RingCorrupt = "ring_corrupt",
}

impl Skip {
    /// Whether the frame was announced as IP and its header is not one.
    pub fn is_malformed_ip(self) -> bool {
        matches!(self, Skip::IpTruncated | Skip::IpVersion | Skip::IpHeaderLength | Skip::IpTotalLength)
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
