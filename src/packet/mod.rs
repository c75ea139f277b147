//! Decodes frames to [`Summary`] values. No other floor reads the bytes of packets.
//!
//! # What it owns
//! The headers from the start of a [`Frame`] to the IP header ([`LinkKind`], tags, labels), the IP header itself, and
//! what detectors need of the header above it: addresses, bytes, protocol, ports, TCP flags, the ICMP type, the first
//! SCTP chunk. [`decode()`] decodes one frame; [`decode_quoted`] reads the packet that an ICMP error quotes.
//!
//! # What it does not contain
//! Sources of frames, accounting, clocks and tables. It does no I/O, keeps no state and never allocates. It does not
//! verify checksums: in egress frames they are incomplete if the network card computes them.
//!
//! # Words and units
//! A **frame** is what was captured, link header included. The **packet** is the IP datagram in it. All lengths are
//! bytes. The **ip_bytes** of a packet are header and payload, without link header, padding, trailer or frame check
//! sequence:
//!
//! ```text
//! frame   |<- link headers ->|<- IP header ->|<- payload ->|<- padding, FCS ->|
//! packet                     |<--------- D, declared ----->|
//!                            |<--------- W, left in the frame --------------->|
//! ```
//!
//! D is the IPv4 total length, or the IPv6 payload length + 40, or the jumbo option + 40. D is 0 in a packet that the
//! network card will segment, and in an IPv6 packet with payload length 0 and without a jumbo option; W counts then. If
//! D is more than W, W counts and the summary has [`length_mismatch`](Summary::length_mismatch) set. Otherwise D
//! counts.
//!
//! # Segments
//! A frame may hold several packets of the wire: GRO joins received packets, and the network card cuts large packets
//! that are sent. If the source of frames reports the size of the segments ([`Segmentation`]), packets and bytes are
//! those of the wire, with the headers that each packet has there. If it does not, the frame counts as one packet and
//! the summary has [`segments_unknown`](Summary::segments_unknown) set.
//!
//! # Truncation
//! A frame may be cut anywhere (the filter of the ring cuts it to a snap length), but its packet counts in full:
//! lengths come from the frame length and the headers, never from the captured length. A packet counts only if its
//! fixed IP header of 20 or 40 bytes was captured. Later headers are read as far as they were captured and are inside
//! the packet, so that padding is not read as ports. A missing header is [`Transport::Other`], a missing field is
//! `None`; neither is an error.
//!
//! etherparse reads headers of a fixed length. It refuses headers that are cut, so IP options, extension headers and
//! transport headers are read here.
//!
//! # Failure
//! No function panics, whichever bytes a frame has. A frame without a packet that can be counted yields a [`Skip`], the
//! reason and the index of a counter. Every loop over headers has a named bound: [`LINK_HEADERS_MAX`],
//! [`IPV6_EXTENSIONS_MAX`].
//!
//! # Sources
//! RFC 791 (IPv4), RFC 8200 (IPv6), RFC 2675 (jumbograms), RFC 4302 (AH), RFC 3032 (MPLS), RFC 4928 (the
//! first nibble below a label stack), RFC 2516 (PPPoE), RFC 1661 and 1662 (PPP), RFC 1042 (SNAP), IEEE
//! 802.1Q, and tcpdump.org/linktypes.html for the link types of capture files.
#![forbid(unsafe_code)]

mod decode;
mod extension;
mod fast;
mod frame;
mod ipv4;
mod ipv6;
mod length;
mod link;
mod quoted;
mod segments;
mod summary;
mod transport;

pub(crate) use decode::decode_into;
pub use decode::{decode, decode_general};
pub use extension::IPV6_EXTENSIONS_MAX;
pub use frame::{Direction, Frame, LinkKind, Segmentation, Segments, Transported};
pub(crate) use link::outermost_packet;
pub use link::{LINK_HEADERS_MAX, is_pppoe_session};
pub use quoted::{Quoted, Undelivered, decode_quoted, reports_undelivered};
pub(crate) use summary::SummarySink;
pub use summary::{Endpoints, Skip, Summary, TcpFlags, Transport};
