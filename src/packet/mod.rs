//! Bytes to [`Summary`]: the only floor that reads packets.
//!
//! # What it owns
//! The way from a [`Frame`] to the IP header ([`LinkKind`], tags, labels), the IP header itself, and
//! what a detector needs of the header above it: addresses, bytes, protocol, ports, TCP flags, the ICMP
//! type, the first SCTP chunk. [`decode()`] answers for one frame; [`decode_quoted`] reads what an ICMP error
//! quotes.
//!
//! # What it refuses to know
//! Where frames come from, what is counted where, clocks, tables. It does no I/O, keeps no state and
//! never allocates. Checksums are not verified: a network card that computes them shows them unfinished.
//!
//! # Words
//! A **frame** is what was captured, link header included. The **packet** is the IP datagram in it. Its
//! **ip_bytes** are header and payload, without link header, padding, trailer or frame check sequence:
//!
//! ```text
//! frame   |<- link headers ->|<- IP header ->|<- payload ->|<- padding, FCS ->|
//! packet                     |<--------- D, declared ----->|
//!                            |<--------- W, left in the frame --------------->|
//! ```
//!
//! D is the IPv4 total length, or the IPv6 payload length + 40, or the jumbo option + 40. Where D is 0
//! (a packet for the network card to segment), W counts. Where D is more than W, W counts and the summary
//! says so ([`Summary::length_mismatch`]). Else D counts.
//!
//! # Segments
//! A frame may stand for several packets of the wire: GRO joins what is received, and the network card cuts what is
//! sent. Where the source says how ([`Segmentation`]), packets and bytes are those of the wire, with the headers that
//! each packet has there; where it does not, the frame is one packet and the summary says so
//! ([`Summary::segments_unknown`]).
//!
//! # Truncation
//! A frame may be cut anywhere (the ring's filter cuts it on purpose), and a packet still counts in full: lengths
//! come from the frame length and the headers, never from the captured length. A packet needs its fixed
//! IP header, 20 or 40 bytes. What lies above counts as far as it was captured *and* lies inside the
//! packet: padding is not read as ports. What is missing is [`Transport::Other`] or `None`, not an error.
//! etherparse's slices read the headers that are all or nothing; they refuse a cut one, so that options,
//! extension headers and transport headers are read here.
//!
//! # Failure
//! No function panics, on any input. A frame without a packet that can be counted is a [`Skip`], the
//! index of a counter. Every walk has a named bound: [`LINK_HEADERS_MAX`], [`IPV6_EXTENSIONS_MAX`].
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

pub use decode::{decode, decode_general, decode_into};
pub use extension::IPV6_EXTENSIONS_MAX;
pub use frame::{Direction, Frame, LinkKind, Segmentation, Segments, Transported};
pub use link::{LINK_HEADERS_MAX, is_pppoe_session};
pub use quoted::{Quoted, decode_quoted, is_unreachable};
pub use summary::{Endpoints, Skip, Summary, SummarySink, TcpFlags, Transport};
