//! The packet that an ICMP error quotes: the one that could not be delivered, so that its contact is refused.
//!
//! ```text
//! IP header, to the sender of the quoted packet | type, code, checksum, 4 bytes | IP header | 8 bytes or more
//! ```
//!
//! ICMP errors are rare, so the frame is decoded a second time here instead of making every summary longer. The sender
//! of the error cuts the quoted packet (RFC 792: 8 bytes after its header), which leaves its ports.
//!
//! Sources: RFC 792, RFC 4443.

use super::frame::{Frame, LinkKind};
use super::link::{IpVersion, locate_ip};
use super::summary::{Endpoints, Summary, Transport};
use super::{extension, ipv4, ipv6, transport};

/// Addresses, protocol and port of a packet that could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Its source and destination.
    pub endpoints: Endpoints,
    /// Its upper-layer protocol.
    pub protocol: u8,
    /// Its destination port; `None` for protocols without ports and where the port is cut.
    pub dst_port: Option<u16>,
}

/// Returns true if a packet reports that another one could not be delivered: ICMP destination unreachable (RFC 792) or
/// ICMPv6 destination unreachable (RFC 4443, 3.1).
///
/// ```
/// use traffic_alerted::packet::{Endpoints, Summary, Transport, is_unreachable};
///
/// let endpoints = Endpoints::V4 { src: [10, 0, 0, 9].into(), dst: [10, 0, 0, 1].into() };
/// let mut summary = Summary::plain(endpoints, 56, 1, Transport::Icmp { kind: 3 });
/// assert!(is_unreachable(&summary));
/// summary.transport = Transport::Icmp { kind: 11 };
/// assert!(!is_unreachable(&summary), "time exceeded concerns the path, not the target");
/// ```
#[inline]
pub fn is_unreachable(summary: &Summary) -> bool {
    matches!(
        (summary.transport, summary.protocol),
        (Transport::Icmp { kind: ICMP_UNREACHABLE }, ICMP)
            | (Transport::Icmp { kind: ICMPV6_UNREACHABLE }, ICMPV6)
    )
}

/// Decodes the packet that an ICMP error quotes, in a frame whose summary [`is_unreachable`].
///
/// Returns `None` if the quoted IP header is cut or invalid, or if the receiver of the error did not send the quoted
/// packet: such an error is forged. Returns `None` also for "fragmentation needed", since the target is reachable then.
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
    // Lengths were checked when the packet was counted; here the captured bytes are enough.
    let in_frame = u32::try_from(packet.len()).ok()?;
    match ip_version {
        IpVersion::V4 => {
            let error_packet = ipv4::summarize(packet, in_frame).ok()?;
            let error = packet.get(ipv4::upper_layer(packet)?.0..)?;
            let &[ICMP_UNREACHABLE, code, _, _, _, _, _, _, ref quoted @ ..] = error else { return None };
            if code == FRAGMENTATION_NEEDED {
                return None;
            }
            let whole = quoted_len(u16::from_be_bytes([*quoted.get(2)?, *quoted.get(3)?]), quoted);
            sent_by_receiver(&error_packet, ipv4::summarize(quoted, whole).ok()?)
        }
        IpVersion::V6 => {
            let error_packet = ipv6::summarize(packet, in_frame).ok()?;
            let upper = extension::walk(*packet.get(6)?, packet.get(ipv6::HEADER_LEN..)?);
            let &[ICMPV6_UNREACHABLE, _, _, _, _, _, _, _, ref quoted @ ..] = upper.payload else {
                return None;
            };
            let len = u16::from_be_bytes([*quoted.get(4)?, *quoted.get(5)?]);
            #[allow(clippy::cast_possible_truncation, reason = "the header has 40 bytes")]
            let whole = quoted_len(len.saturating_add(ipv6::HEADER_LEN as u16), quoted);
            sent_by_receiver(&error_packet, ipv6::summarize(quoted, whole).ok()?)
        }
    }
}

/// Returns the length of the quoted packet before it was cut.
#[allow(clippy::cast_possible_truncation, reason = "the quote is a part of a frame, whose length is a u32")]
fn quoted_len(declared: u16, quoted: &[u8]) -> u32 {
    u32::from(declared).max(quoted.len() as u32)
}

/// Returns the quoted packet if the receiver of the error has sent it.
fn sent_by_receiver(error_packet: &Summary, quoted: Summary) -> Option<Quoted> {
    if error_packet.endpoints.dst() != quoted.endpoints.src() {
        return None;
    }
    let Summary { endpoints, protocol, transport, .. } = quoted;
    Some(Quoted { endpoints, protocol, dst_port: transport::dst_port(&transport) })
}

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const ICMP_UNREACHABLE: u8 = 3;
const ICMPV6_UNREACHABLE: u8 = 1;
/// RFC 792, destination unreachable.
const FRAGMENTATION_NEEDED: u8 = 4;

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

    /// The first 8 bytes of a header with ports, to port 161.
    const HEAD: [u8; 8] = [0x90, 1, 0, 161, 0, 0, 0, 0];

    #[test]
    fn the_refused_contact_is_in_the_quote() {
        let of = |quoted: &[u8], code| ipv4(1, 9, 1, &error(3, code, quoted));
        let port = Some(Some((10, 2, 17, Some(161))));
        let read = |packet: &[u8]| {
            let quoted = decode_quoted(&frame(packet));
            quoted.map(|quoted| match quoted.endpoints {
                Endpoints::V4 { src, dst } => {
                    Some((src.octets()[0], dst.octets()[3], quoted.protocol, quoted.dst_port))
                }
                Endpoints::V6 { .. } => None,
            })
        };
        let udp = ipv4(17, 1, 2, &HEAD);
        for (name, packet, want) in [
            ("port unreachable", of(&udp, 3), port),
            ("by a router on the path", of(&udp, 1), port),
            ("fragmentation needed", of(&udp, 4), None),
            ("cut behind the quoted header", of(&udp[..20], 1), Some(Some((10, 2, 17, None)))),
            ("cut in the quoted header", of(&udp[..19], 1), None),
            ("sent by another host", of(&ipv4(17, 3, 2, &HEAD), 3), None),
            ("TCP", of(&ipv4(6, 1, 2, &HEAD), 13), Some(Some((10, 2, 6, Some(161))))),
            (
                "an echo request",
                of(&ipv4(1, 1, 2, &[8, 0, 0, 0, 0, 0, 0, 0]), 1),
                Some(Some((10, 2, 1, None))),
            ),
            ("time exceeded", ipv4(1, 9, 1, &error(11, 0, &udp)), None),
            ("no packet", vec![], None),
        ] {
            assert_eq!(read(&packet), want, "{name}");
        }
        // The quote of a longer packet that was cut to 8 bytes.
        let mut long = udp;
        long[2] = 4;
        assert_eq!(read(&of(&long, 3)), port);
    }

    #[test]
    fn errors_of_icmpv6_quote_packets_too() {
        let udp = ipv6(17, 1, 2, &HEAD);
        let packet = ipv6(58, 9, 1, &error(1, 4, &udp));
        let quoted = decode_quoted(&frame(&packet)).expect("a quoted packet");
        assert_eq!((quoted.protocol, quoted.dst_port), (17, Some(161)));
        assert!(decode(&frame(&packet)).is_ok_and(|summary| is_unreachable(&summary)));
        let other = ipv6(58, 9, 1, &error(1, 4, &ipv6(17, 7, 2, &HEAD)));
        assert_eq!(decode_quoted(&frame(&other)), None, "sent by another host");
    }

    #[test]
    fn no_cut_makes_it_panic() {
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
