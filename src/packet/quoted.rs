//! The packet that an ICMP error quotes: what could not be delivered, and so whose contact failed.
//!
//! ```text
//! IP header, to the sender of the quoted packet | type, code, checksum, 4 bytes | IP header | 8 bytes or more
//! ```
//!
//! Errors are rare, so this reads the frame once more instead of making every summary longer. The quoted packet is
//! cut by whoever sends the error (RFC 792: 8 bytes behind its header), which is enough for its ports.

use super::frame::{Frame, LinkKind};
use super::link::{IpVersion, locate_ip};
use super::summary::{Endpoints, Summary, Transport};
use super::{extension, ipv4, ipv6, transport};

/// The head of a packet that could not be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Who sent it, and to whom it should have gone.
    pub endpoints: Endpoints,
    /// Its upper-layer protocol.
    pub protocol: u8,
    /// The port that it was sent to; `None` without ports.
    pub dst_port: Option<u16>,
}

/// Whether a packet says that another one could not be delivered: ICMP destination unreachable (RFC 792), ICMPv6
/// destination unreachable (RFC 4443, 3.1).
///
/// ```
/// use traffic_alerted::packet::{Endpoints, Summary, Transport, is_unreachable};
///
/// let endpoints = Endpoints::V4 { src: [10, 0, 0, 9].into(), dst: [10, 0, 0, 1].into() };
/// let mut summary = Summary::plain(endpoints, 56, 1, Transport::Icmp { kind: 3 });
/// assert!(is_unreachable(&summary));
/// summary.transport = Transport::Icmp { kind: 11 };
/// assert!(!is_unreachable(&summary), "time exceeded tells of the way, not of the target");
/// ```
#[inline]
pub fn is_unreachable(summary: &Summary) -> bool {
    matches!(
        (summary.transport, summary.protocol),
        (Transport::Icmp { kind: ICMP_UNREACHABLE }, ICMP)
            | (Transport::Icmp { kind: ICMPV6_UNREACHABLE }, ICMPV6)
    )
}

/// Reads what an ICMP error quotes, of a frame whose summary [`is_unreachable`]. `None` where the quoted IP header
/// was cut, is none, or is not that of a packet which the receiver of the error has sent: nobody may tell a host
/// that others could not deliver. `None` also for "fragmentation needed", where the target can be reached.
///
/// ```
/// use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, decode_quoted};
/// # use traffic_alerted::time::UnixNanos;
///
/// #[rustfmt::skip]
/// let port_unreachable = [
///     0x45, 0, 0, 56, 0, 1, 0, 0, 64, 1, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1, // from the target to who asked
///     3, 3, 0, 0, 0, 0, 0, 0,                                            // port unreachable
///     0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, // what was asked
///     0x90, 0x01, 0, 161, 0, 8, 0, 0,                                    // at port 161
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
    // Lengths were checked when the packet was counted; here whatever was captured is good enough.
    let in_frame = u32::try_from(packet.len()).ok()?;
    match ip_version {
        IpVersion::V4 => {
            let told = ipv4::summarize(packet, in_frame).ok()?;
            let error = packet.get(ipv4::upper_layer(packet)?.0..)?;
            let &[ICMP_UNREACHABLE, code, _, _, _, _, _, _, ref quoted @ ..] = error else { return None };
            if code == FRAGMENTATION_NEEDED {
                return None;
            }
            let whole = quoted_len(u16::from_be_bytes([*quoted.get(2)?, *quoted.get(3)?]), quoted);
            of_receiver(&told, ipv4::summarize(quoted, whole).ok()?)
        }
        IpVersion::V6 => {
            let told = ipv6::summarize(packet, in_frame).ok()?;
            let upper = extension::walk(*packet.get(6)?, packet.get(ipv6::HEADER_LEN..)?);
            let &[ICMPV6_UNREACHABLE, _, _, _, _, _, _, _, ref quoted @ ..] = upper.payload else {
                return None;
            };
            let len = u16::from_be_bytes([*quoted.get(4)?, *quoted.get(5)?]);
            let whole = quoted_len(len.saturating_add(ipv6::HEADER_LEN as u16), quoted);
            of_receiver(&told, ipv6::summarize(quoted, whole).ok()?)
        }
    }
}

/// How long the quoted packet was before it was cut.
fn quoted_len(declared: u16, quoted: &[u8]) -> u32 {
    // Fits: a frame has 32 bits of length.
    u32::from(declared).max(quoted.len() as u32)
}

fn of_receiver(told: &Summary, quoted: Summary) -> Option<Quoted> {
    if told.endpoints.dst() != quoted.endpoints.src() {
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
    fn the_contact_that_failed_is_in_the_quote() {
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
            ("by a router on the way", of(&udp, 1), port),
            ("fragmentation needed", of(&udp, 4), None),
            ("cut behind the quoted header", of(&udp[..20], 1), Some(Some((10, 2, 17, None)))),
            ("cut in the quoted header", of(&udp[..19], 1), None),
            ("sent by somebody else", of(&ipv4(17, 3, 2, &HEAD), 3), None),
            ("TCP", of(&ipv4(6, 1, 2, &HEAD), 13), Some(Some((10, 2, 6, Some(161))))),
            (
                "an echo request",
                of(&ipv4(1, 1, 2, &[8, 0, 0, 0, 0, 0, 0, 0]), 1),
                Some(Some((10, 2, 1, None))),
            ),
            ("time exceeded", ipv4(1, 9, 1, &error(11, 0, &udp)), None),
            ("nothing at all", vec![], None),
        ] {
            assert_eq!(read(&packet), want, "{name}");
        }
        // The quote of a longer packet that was cut to 8 bytes.
        let mut long = udp;
        long[2] = 4;
        assert_eq!(read(&of(&long, 3)), port);
    }

    #[test]
    fn version_six_quotes_as_well() {
        let udp = ipv6(17, 1, 2, &HEAD);
        let told = ipv6(58, 9, 1, &error(1, 4, &udp));
        let quoted = decode_quoted(&frame(&told)).expect("a quoted packet");
        assert_eq!((quoted.protocol, quoted.dst_port), (17, Some(161)));
        assert!(decode(&frame(&told)).is_ok_and(|summary| is_unreachable(&summary)));
        let other = ipv6(58, 9, 1, &error(1, 4, &ipv6(17, 7, 2, &HEAD)));
        assert_eq!(decode_quoted(&frame(&other)), None, "sent by somebody else");
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
