//! The output of the decoder and the input of accounting: per frame one summary of a fixed size, or the reason why
//! there is none.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Source and destination of the outermost IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoints {
    /// An IPv4 packet (RFC 791).
    V4 {
        /// Source address.
        src: Ipv4Addr,
        /// Destination address.
        dst: Ipv4Addr,
    },
    /// An IPv6 packet (RFC 8200).
    V6 {
        /// Source address.
        src: Ipv6Addr,
        /// Destination address.
        dst: Ipv6Addr,
    },
}

impl Endpoints {
    /// Makes endpoints of two addresses; returns `None` if they are not of the same IP version.
    pub fn new(src: IpAddr, dst: IpAddr) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(Self::V4 { src, dst }),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(Self::V6 { src, dst }),
            _ => None,
        }
    }

    /// Returns the endpoints with source and destination swapped.
    pub fn reversed(&self) -> Self {
        match *self {
            Self::V4 { src, dst } => Self::V4 { src: dst, dst: src },
            Self::V6 { src, dst } => Self::V6 { src: dst, dst: src },
        }
    }

    /// Returns source and destination.
    pub fn hosts(&self) -> [IpAddr; 2] {
        [self.src(), self.dst()]
    }

    /// Returns the source address.
    pub fn src(&self) -> IpAddr {
        match *self {
            Self::V4 { src, .. } => IpAddr::V4(src),
            Self::V6 { src, .. } => IpAddr::V6(src),
        }
    }

    /// Returns the destination address.
    pub fn dst(&self) -> IpAddr {
        match *self {
            Self::V4 { dst, .. } => IpAddr::V4(dst),
            Self::V6 { dst, .. } => IpAddr::V6(dst),
        }
    }
}

/// The properties of one frame with an IP packet that accounting uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Addresses of the outermost IP header.
    pub endpoints: Endpoints,
    /// Number of packets on the wire that the frame holds; at least 1.
    pub segments: u32,
    /// Bytes of these packets by the rule of [the module](super): IP headers and payload, without link headers and
    /// padding.
    pub ip_bytes: u32,
    /// The frame holds more than one packet, but the number is unknown. It counts as one packet.
    pub segments_unknown: bool,
    /// The IP header declares more bytes than the frame has. The bytes of the frame count.
    pub length_mismatch: bool,
    /// IANA number of the upper-layer protocol, after IPv6 extension headers and AH. In a fragment other than the first
    /// it is the protocol that the fragment header names.
    pub protocol: u8,
    /// The fields of the upper-layer header that were captured.
    pub transport: Transport,
}

impl Summary {
    /// Makes the summary of a frame with one packet, whose header declares a length that fits into the frame.
    #[inline(always)]
    pub fn plain(endpoints: Endpoints, ip_bytes: u32, protocol: u8, transport: Transport) -> Self {
        let (length_mismatch, segments_unknown) = (false, false);
        Self { endpoints, segments: 1, ip_bytes, segments_unknown, length_mismatch, protocol, transport }
    }

    /// Returns true if the frame holds several packets, or if its header declares more bytes than the frame has.
    #[inline(always)]
    pub(crate) fn is_irregular(&self) -> bool {
        (self.segments != 1) | self.segments_unknown | self.length_mismatch
    }
}

/// The upper-layer header, as far as it was captured and is inside the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP (RFC 9293). `flags` is `None` if fewer than 14 bytes were captured or if the data offset is below 5.
    Tcp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// Byte 13 of the header, CWR to FIN.
        flags: Option<TcpFlags>,
    },
    /// UDP (RFC 768), UDP-Lite or DCCP, of which only the ports are read.
    Ports {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
    },
    /// SCTP (RFC 9260), with the type of its first chunk if that was captured.
    Sctp {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
        /// First chunk type; INIT is 1.
        chunk: Option<u8>,
    },
    /// ICMP (RFC 792) or ICMPv6 (RFC 4443), depending on [`Summary::protocol`].
    Icmp {
        /// Message type; the echo request is 8 in ICMP and 128 in ICMPv6.
        kind: u8,
    },
    /// A fragment other than the first: its payload does not begin with a header.
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

    /// Returns true if all bits of `mask` are set.
    pub fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

/// The destination of summaries: [`decode_into`](super::decode_into) calls it with the summary of the frame that it has
/// decoded. It is not related to the sinks of alerts.
///
/// The fast path inlines [`take`](Self::take) once for each combination of IP version and protocol, so that the fields
/// of the summary stay in registers. An implementation for the hot path must be marked `inline(always)`.
pub(crate) trait SummarySink {
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
        /// The reason why a frame is not counted as an IP packet. It has one byte and is the index of a counter. It is
        /// never logged per frame.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Skip { $($(#[$doc])* $variant,)* }

        impl Skip {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Skip] = &[$(Skip::$variant,)*];
            /// The number of reasons: the length of an array of counters.
            pub(crate) const COUNT: usize = Self::ALL.len();

            /// Returns the name used in JSON and metrics.
            pub fn name(self) -> &'static str {
                match self { $(Skip::$variant => $name,)* }
            }
        }
    };
}

skips! {
    /// A protocol other than IP: ARP, spanning tree, LLDP, an 802.3 frame.
    NotIp = "not_ip",
    /// A kind of link that is not supported.
    UnsupportedLink = "unsupported_link",
    /// The link header was not captured in full.
    LinkTruncated = "link_truncated",
    /// An MPLS label stack that does not carry an IP packet, such as an Ethernet pseudowire.
    MplsPseudowire = "mpls_pseudowire",
    /// More nested tags and labels than [`LINK_HEADERS_MAX`](super::LINK_HEADERS_MAX).
    LinkTooDeep = "link_too_deep",
    /// The link header announces IP, but the fixed IP header was not captured in full.
    IpTruncated = "ip_truncated",
    /// The link header announces one IP version, but the IP header has another.
    IpVersion = "ip_version",
    /// IPv4 with a header length below 20 bytes.
    IpHeaderLength = "ip_header_length",
    /// The declared total length is shorter than the IP header.
    IpTotalLength = "ip_total_length",
    /// An egress frame that is only observed, to see which contacts are answered. Its packet counted at ingress.
    Egress = "leaving",
    /// Captured on an interface that the configuration excludes.
    ExcludedInterface = "excluded_interface",
    /// Captured on a device on top of a monitored one, where the packet counted.
    UpperDevice = "upper_device",
    /// Captured on a veth pair with both ends in this namespace.
    InternalWire = "internal_wire",
    /// A frame for another station, on an interface that is neither in `Promiscuous` nor below a bridge, while no
    /// device above has the address of the station.
    OtherStation = "other_station",
    /// Part of a PPPoE session that ends at this machine. Its packets count on the PPP interface.
    PppoeTerminatedHere = "pppoe_terminated_here",
    /// Captured on an interface that was removed before its name was known, while the configuration excludes names.
    UnknownInterface = "unknown_interface",
    /// The frame descriptor of the ring points outside its block.
    RingCorrupt = "ring_corrupt",
}

impl Skip {
    /// Returns true if the link header announces IP and the IP header is malformed.
    pub(crate) fn is_malformed_ip(self) -> bool {
        matches!(self, Skip::IpTruncated | Skip::IpVersion | Skip::IpHeaderLength | Skip::IpTotalLength)
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
