//! Decodes the packet that an ICMP error quotes. That packet could not be delivered. If it began a contact, the contact
//! counts as refused, or as expired on the way if its hop limit was too low.
//!
//! ```text
//! IP header, to the sender of the quoted packet | type, code, checksum, 4 bytes | IP header | 8 bytes or more
//! ```
//!
//! ICMP errors are rare, so the frame is decoded a second time here instead of making every summary longer. The sender
//! of the error may cut the quoted packet, but it quotes at least 8 bytes after the IP header (RFC 792). The ports are
//! in these bytes.
//!
//! Sources: RFC 792, RFC 4443.

use super::frame::{Frame, LinkKind};
use super::link::{IpVersion, locate_ip};
use super::summary::{Endpoints, Summary, Transport};
use super::{extension, ipv4, ipv6, transport};

/// Why a packet was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// Its destination, or the port there, cannot be reached.
    Unreachable,
    /// Its hop limit reached zero on the way, as that of each probe of a traceroute but the last ones does.
    Expired,
}

/// Addresses, protocol and destination port of a quoted packet, which was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// The source and destination of the quoted packet.
    pub endpoints: Endpoints,
    /// IANA number of its upper-layer protocol.
    pub protocol: u8,
    /// Its destination port; `None` if the protocol has no ports or the port was not quoted or not captured.
    pub dst_port: Option<u16>,
    /// Why it was not delivered.
    pub cause: Undelivered,
}

/// Returns true if a packet reports that another one was not delivered: ICMP destination unreachable or time exceeded
/// (RFC 792), or the same of ICMPv6 (RFC 4443, 3.1 and 3.3).
///
/// ```
/// use traffic_alerted::packet::{Endpoints, Summary, Transport, reports_undelivered};
///
/// let endpoints = Endpoints::V4 { src: [10, 0, 0, 9].into(), dst: [10, 0, 0, 1].into() };
/// let mut summary = Summary::plain(endpoints, 56, 1, Transport::Icmp { kind: 3 });
/// assert!(reports_undelivered(&summary));
/// summary.transport = Transport::Icmp { kind: 8 };
/// assert!(!reports_undelivered(&summary), "an echo request is no error");
/// ```
#[inline]
pub fn reports_undelivered(summary: &Summary) -> bool {
    matches!(
        (summary.transport, summary.protocol),
        (Transport::Icmp { kind: ICMP_UNREACHABLE | ICMP_TIME_EXCEEDED }, ICMP)
            | (Transport::Icmp { kind: ICMPV6_UNREACHABLE | ICMPV6_TIME_EXCEEDED }, ICMPV6)
    )
}

/// Decodes the packet that an ICMP error quotes, in a frame whose summary [`reports_undelivered`].
///
/// Returns `None` if the quoted IP header is cut or invalid, or if the source of the quoted packet is not the receiver
/// of the error: such an error is forged. It also returns `None` for "fragmentation needed" and for "reassembly time
/// exceeded", since the target is reachable then.
///
/// ```
/// use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, decode_quoted};
/// # use traffic_alerted::time::UnixNanos;
///
/// #[rustfmt::skip]
/// let port_unreachable = [
///     0x45, 0, 0, 56, 0, 1, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, // from the target to the initiator
///     3, 3, 0, 0, 0, 0, 0, 0,                                            // port unreachable
///     0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // the quoted packet
///     0x90, 0x01, 0, 161, 0, 8, 0, 0,                                    // to port 161
/// ];
/// let frame = Frame {
///     bytes: &port_unreachable,
///     frame_len: 56,
/// #   seen_at: UnixNanos(0),
/// #   ifindex: 1,
///     link: LinkKind::RawIp,
///     direction: Direction::Ingress,
///     segmentation: Segmentation::None,
/// };
/// let quoted = decode_quoted(&frame).expect("a quoted packet");
/// assert_eq!(quoted.endpoints.src(), std::net::IpAddr::from([10, 0, 0, 1]));
/// assert_eq!((quoted.protocol, quoted.dst_port), (17, Some(161)));
/// ```
#[inline]
pub fn decode_quoted(frame: &Frame<'_>) -> Option<Quoted> {
    decode_quoted_in(frame.link, frame.captured())
}

#[inline(never)]
fn decode_quoted_in(link: LinkKind, frame: &[u8]) -> Option<Quoted> {
    let (ip_version, packet) = locate_ip(link, frame).ok()?;
    // The captured length stands in for the length in the frame. That may set `length_mismatch` and make the byte count
    // too low, but only the endpoints and the payload of the error are used here.
    let in_frame = u32::try_from(packet.len()).ok()?;
    match ip_version {
        IpVersion::V4 => {
            let error_packet = ipv4::summarize(packet, in_frame).ok()?;
            let error = packet.get(ipv4::upper_layer(packet)?.0..)?;
            let &[kind, code, _, _, _, _, _, _, ref quoted @ ..] = error else { return None };
            let cause = match (kind, code) {
                (ICMP_UNREACHABLE, FRAGMENTATION_NEEDED) => return None,
                (ICMP_UNREACHABLE, _) => Undelivered::Unreachable,
                (ICMP_TIME_EXCEEDED, IN_TRANSIT) => Undelivered::Expired,
                _ => return None,
            };
            let whole = quoted_len(u16::from_be_bytes([*quoted.get(2)?, *quoted.get(3)?]), quoted);
            sent_by_receiver(&error_packet, ipv4::summarize(quoted, whole).ok()?, cause)
        }
        IpVersion::V6 => {
            let error_packet = ipv6::summarize(packet, in_frame).ok()?;
            let upper = extension::walk(*packet.get(6)?, packet.get(ipv6::HEADER_LEN..)?);
            let &[kind, code, _, _, _, _, _, _, ref quoted @ ..] = upper.payload else { return None };
            let cause = match (kind, code) {
                (ICMPV6_UNREACHABLE, _) => Undelivered::Unreachable,
                (ICMPV6_TIME_EXCEEDED, IN_TRANSIT) => Undelivered::Expired,
                _ => return None,
            };
            let len = u16::from_be_bytes([*quoted.get(4)?, *quoted.get(5)?]);
            #[allow(clippy::cast_possible_truncation, reason = "the header has 40 bytes")]
            let whole = quoted_len(len.saturating_add(ipv6::HEADER_LEN as u16), quoted);
            sent_by_receiver(&error_packet, ipv6::summarize(quoted, whole).ok()?, cause)
        }
    }
}

/// Returns the length of the quoted packet before the sender of the error cut it, as its IP header declares it. If more
/// bytes are quoted, returns their number: extensions may follow the packet (RFC 4884).
#[allow(clippy::cast_possible_truncation, reason = "the quote is a part of a frame, whose length is a u32")]
fn quoted_len(declared: u16, quoted: &[u8]) -> u32 {
    u32::from(declared).max(quoted.len() as u32)
}

/// Returns the quoted packet; `None` if its source is not the receiver of the error.
fn sent_by_receiver(error_packet: &Summary, quoted: Summary, cause: Undelivered) -> Option<Quoted> {
    if error_packet.endpoints.dst() != quoted.endpoints.src() {
        return None;
    }
    let Summary { endpoints, protocol, transport, .. } = quoted;
    Some(Quoted { endpoints, protocol, dst_port: transport::dst_port(&transport), cause })
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const ICMP_UNREACHABLE: u8 = 3;
const ICMPV6_UNREACHABLE: u8 = 1;
const ICMP_TIME_EXCEEDED: u8 = 11;
const ICMPV6_TIME_EXCEEDED: u8 = 3;
/// RFC 792, destination unreachable.
const FRAGMENTATION_NEEDED: u8 = 4;
/// RFC 792 and RFC 4443, time exceeded. The other code is sent by the destination, which waited for a fragment.
const IN_TRANSIT: u8 = 0;

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, reason = "the packets of these tests are short")]

    use super::*;
    use crate::packet::{Direction, Segmentation, decode};
    use crate::time::UnixNanos;

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame {
            bytes,
            frame_len: bytes.len() as u32,
            seen_at: UnixNanos(0),
            ifindex: 1,
            link: LinkKind::RawIp,
            direction: Direction::Ingress,
            segmentation: Segmentation::None,
        }
    }

    fn ipv4(protocol: u8, src: u8, dst: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0];
        packet.extend([10, 0, 0, src, 10, 0, 0, dst]);
        packet.extend(payload);
        packet[3] = packet.len() as u8;
        packet
    }

    fn ipv6(next: u8, src: u8, dst: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, payload.len() as u8, next, 64];
        for host in [src, dst] {
            packet.extend([0xfd; 15]);
            packet.push(host);
        }
        packet.extend(payload);
        packet
    }

    fn error(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
        [&[kind, code, 0, 0, 0, 0, 0, 0], quoted].concat()
    }

    /// The first 8 bytes of a header with ports. The destination port is 161.
    const HEAD: [u8; 8] = [0x90, 1, 0, 161, 0, 0, 0, 0];

    #[test]
    fn the_undeliverable_packet_is_decoded_from_the_quote() {
        let with_quote = |quoted: &[u8], code| ipv4(1, 9, 1, &error(3, code, quoted));
        let quote_of = |protocol, dst_port| {
            let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
            Some(Quoted { endpoints, protocol, dst_port, cause: Undelivered::Unreachable })
        };
        let udp_to_161 = quote_of(17, Some(161));
        let udp = ipv4(17, 1, 2, &HEAD);
        for (name, packet, want) in [
            ("port unreachable", with_quote(&udp, 3), udp_to_161),
            ("by a router on the path", with_quote(&udp, 1), udp_to_161),
            ("fragmentation needed", with_quote(&udp, 4), None),
            ("cut after the quoted header", with_quote(&udp[..20], 1), quote_of(17, None)),
            ("cut in the quoted header", with_quote(&udp[..19], 1), None),
            ("sent by another host", with_quote(&ipv4(17, 3, 2, &HEAD), 3), None),
            ("TCP", with_quote(&ipv4(6, 1, 2, &HEAD), 13), quote_of(6, Some(161))),
            ("an echo request", with_quote(&ipv4(1, 1, 2, &[8, 0, 0, 0, 0, 0, 0, 0]), 1), quote_of(1, None)),
            (
                "expired on the way",
                ipv4(1, 9, 1, &error(11, 0, &udp)),
                udp_to_161.map(|quoted| Quoted { cause: Undelivered::Expired, ..quoted }),
            ),
            ("a fragment is missing at the destination", ipv4(1, 9, 1, &error(11, 1, &udp)), None),
            ("a redirect", ipv4(1, 9, 1, &error(5, 1, &udp)), None),
            ("no packet", vec![], None),
        ] {
            assert_eq!(decode_quoted(&frame(&packet)), want, "{name}");
        }
        // A longer packet, of which 8 bytes after the IP header are quoted.
        let mut long = udp;
        long[2] = 4;
        assert_eq!(decode_quoted(&frame(&with_quote(&long, 3))), udp_to_161);
    }

    #[test]
    fn the_quote_of_an_icmpv6_error_is_decoded() {
        let udp = ipv6(17, 1, 2, &HEAD);
        let packet = ipv6(58, 9, 1, &error(1, 4, &udp));
        let quoted = decode_quoted(&frame(&packet)).expect("a quoted packet");
        assert_eq!((quoted.protocol, quoted.dst_port), (17, Some(161)));
        assert!(decode(&frame(&packet)).is_ok_and(|summary| reports_undelivered(&summary)));
        let expired = |code| decode_quoted(&frame(&ipv6(58, 9, 1, &error(3, code, &udp))));
        assert_eq!(expired(0), Some(Quoted { cause: Undelivered::Expired, ..quoted }));
        assert_eq!(expired(1), None, "the destination waited for a fragment");
        let other = ipv6(58, 9, 1, &error(1, 4, &ipv6(17, 7, 2, &HEAD)));
        assert_eq!(decode_quoted(&frame(&other)), None, "sent by another host");
    }

    #[test]
    fn an_error_that_is_cut_anywhere_does_not_panic() {
        for whole in [
            ipv4(1, 9, 1, &error(3, 3, &ipv4(17, 1, 2, &HEAD))),
            ipv6(58, 9, 1, &error(1, 4, &ipv6(17, 1, 2, &HEAD))),
        ] {
            for captured in 0..=whole.len() {
                let _ = decode_quoted(&frame(&whole[..captured]));
            }
        }
    }
}
