//! Computes the packets and bytes on the wire of a frame that GRO has joined or that TSO has not cut yet.
//!
//! ```text
//! frame     |<- IP header | inner headers | TCP header ->|<------------- payload ------------->|
//! wire      |<----------------- headers --------------->|<- payload_bytes ->|
//!           |<----------------- headers --------------->|<- payload_bytes ->|
//!           |<----------------- headers --------------->|<- the rest ->|
//! ```
//!
//! Each packet carries the headers again, those of a tunnel included, so that the wire has
//! `ip_bytes + (segments - 1) * headers` bytes of IP (without the jumbo header of BIG TCP). The end of the headers is
//! read from the packet. Inside a tunnel it is found with [`Segments::transport_at`] (`csum_start`), the offset of the
//! innermost transport header: nothing else distinguishes a tunnel
//! over UDP from plain UDP.
//!
//! Sources: `tcp_gso_segment` and `__udp_gso_segment` (net/ipv4), `virtio_net_hdr_from_skb`
//! (include/linux/virtio_net.h), RFC 2675 and `ipv6_hopopt_jumbo_remove` (include/net/ipv6.h) for BIG TCP.

use etherparse::IpNumber;

use super::frame::{Segments, Transported};
use super::ipv6::{self, jumbo_payload_len};
use super::link::IpVersion;
use super::summary::Summary;
use super::{extension, ipv4};

/// Converts the summary of a frame to that of its packets on the wire. `from_header` has the captured bytes from the IP
/// header on; the IP header is at offset `ip_at` of the frame. If the headers cannot be read to their end, the frame
/// counts as one packet and the summary has `segments_unknown` set.
pub(super) fn on_the_wire(
    summary: Summary,
    cut: &Segments,
    ip_version: IpVersion,
    from_header: &[u8],
    ip_at: usize,
) -> Summary {
    let uncut = Summary { segments_unknown: true, ..summary };
    let Some(headers) = headers_len(cut, ip_version, from_header, ip_at) else { return uncut };
    let Some(payload) = u64::from(summary.ip_bytes).checked_sub(headers) else { return uncut };
    let count = payload.div_ceil(u64::from(cut.payload_bytes.get())).max(1);
    let not_on_the_wire = jumbo_header_len(ip_version, from_header);
    // This does not underflow, since the jumbo header is one of the headers. The packets on the wire do not have it.
    let ip_bytes = count * (headers - not_on_the_wire) + payload;
    match (u32::try_from(count), u32::try_from(ip_bytes)) {
        (Ok(segments), Ok(ip_bytes)) => Summary { segments, ip_bytes, ..summary },
        _ => uncut,
    }
}

/// Returns the number of bytes from the IP header to the end of the innermost transport header; `None` if the transport
/// header is not of the stated protocol, was not captured or is invalid.
fn headers_len(segments: &Segments, ip_version: IpVersion, from_header: &[u8], ip_at: usize) -> Option<u64> {
    let outer = upper_layer(ip_version, from_header);
    let stated = segments.transport_at.and_then(|at| usize::from(at).checked_sub(ip_at));
    let at = match (outer, stated) {
        // The stated header is the one after the outermost IP header, or one inside a tunnel.
        (Some((outer_at, _)), Some(stated)) if stated >= outer_at => stated,
        (Some((outer_at, protocol)), _) if protocol == segments.transported.protocol() => outer_at,
        _ => return None,
    };
    let header = from_header.get(at..)?;
    let len = match segments.transported {
        Transported::Tcp => usize::from(header.get(TCP_DATA_OFFSET_AT)? >> 4) * 4,
        Transported::Udp => UDP_HEADER_LEN,
    };
    (len >= UDP_HEADER_LEN).then_some((at + len) as u64)
}

/// Returns the offset and the protocol of the header after the outermost IP header and its extension headers; `None`
/// for a fragment other than the first, or if the header was not captured.
fn upper_layer(ip_version: IpVersion, from_header: &[u8]) -> Option<(usize, u8)> {
    match ip_version {
        IpVersion::V4 => ipv4::upper_layer(from_header),
        IpVersion::V6 => {
            let header = from_header.first_chunk::<{ ipv6::HEADER_LEN }>()?;
            let upper = extension::walk(header[6], from_header.get(ipv6::HEADER_LEN..)?);
            let is_there = !upper.later_fragment && !upper.payload.is_empty();
            is_there.then_some((from_header.len() - upper.payload.len(), upper.protocol))
        }
    }
}

/// Returns the length of the hop-by-hop header that BIG TCP adds to a joined frame and removes from each packet; 0 if
/// the frame has none. Call it after [`headers_len`], which checks that the IP header was captured.
fn jumbo_header_len(ip_version: IpVersion, from_header: &[u8]) -> u64 {
    let is_jumbo = ip_version == IpVersion::V6
        && from_header.get(4..7).is_some_and(|fixed| {
            fixed[..2] == [0, 0] && jumbo_payload_len(fixed[2], &from_header[ipv6::HEADER_LEN..]).is_some()
        });
    if is_jumbo { JUMBO_HEADER_LEN } else { 0 }
}

impl Transported {
    fn protocol(self) -> u8 {
        match self {
            Transported::Tcp => IpNumber::TCP.0,
            Transported::Udp => IpNumber::UDP.0,
        }
    }
}

/// Offset of the byte whose upper half is the length of a TCP header in words.
const TCP_DATA_OFFSET_AT: usize = 12;
/// Bytes of a UDP header, and the minimum that is accepted for both protocols. A TCP data offset of 2 to 4 words is
/// invalid, and not rejected here.
const UDP_HEADER_LEN: usize = 8;
/// `sizeof(struct hop_jumbo_hdr)`.
const JUMBO_HEADER_LEN: u64 = 8;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::super::{Direction, Frame, LinkKind, Segmentation, decode, decode_general};
    use super::*;
    use crate::time::UnixNanos;

    fn cut(transported: Transported, payload_bytes: u16, transport_at: Option<u16>) -> Segmentation {
        let payload_bytes = NonZeroU16::new(payload_bytes).unwrap();
        Segmentation::Into(Segments { transported, payload_bytes, transport_at })
    }

    /// Returns `segments`, `ip_bytes` and `segments_unknown` of a frame of `frame_len` bytes.
    fn wire(link: LinkKind, bytes: &[u8], frame_len: u32, segmentation: Segmentation) -> (u32, u32, bool) {
        let frame = Frame {
            bytes,
            frame_len,
            seen_at: UnixNanos(0),
            ifindex: 1,
            link,
            direction: Direction::Ingress,
            segmentation,
        };
        let summary = decode(&frame).unwrap();
        assert_eq!(decode_general(&frame), Ok(summary));
        (summary.segments, summary.ip_bytes, summary.segments_unknown)
    }

    fn ipv4(protocol: u8, ip_bytes: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0];
        packet.extend(ip_bytes.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    fn ipv6(next_header: u8, payload_len: u16, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(payload_len.to_be_bytes());
        packet.extend([next_header, 64]);
        packet.extend([0xfd; 32]);
        packet.extend(payload);
        packet
    }

    /// A TCP header of `words` words, ACK.
    fn tcp(words: u8) -> Vec<u8> {
        let mut header = vec![0; usize::from(words) * 4];
        header[..4].copy_from_slice(&[0xc0, 0, 1, 187]);
        (header[12], header[13]) = (words << 4, 0x10);
        header
    }

    #[test]
    fn segments_and_their_headers_are_those_of_the_wire() {
        use Transported::{Tcp, Udp};
        let udp = [0xc0, 0, 1, 187, 0, 0, 0, 0];
        let tcp4 = |payload: u16| ipv4(6, 20 + 32 + payload, &tcp(8));
        let options = {
            let mut packet = tcp4(3000);
            packet[0] = 0x46;
            packet[2..4].copy_from_slice(&(24u16 + 32 + 3000).to_be_bytes());
            packet.splice(20..20, [1, 1, 1, 0]);
            packet
        };
        let destination_options = [&[6, 0, 1, 4, 0, 0, 0, 0][..], &tcp(5)].concat();
        /// Name, packet, its IP bytes, cut; segments and bytes on the wire.
        type Case = (&'static str, Vec<u8>, u32, Segmentation, (u32, u32));
        let cases: Vec<Case> = vec![
            ("two and a rest", tcp4(3000), 3052, cut(Tcp, 1448, None), (3, 3000 + 3 * 52)),
            ("two to the byte", tcp4(2896), 2948, cut(Tcp, 1448, None), (2, 2896 + 2 * 52)),
            ("less than one", tcp4(100), 152, cut(Tcp, 1448, None), (1, 152)),
            ("nothing", tcp4(0), 52, cut(Tcp, 1448, None), (1, 52)),
            ("as the kernel states", tcp4(3000), 3052, cut(Tcp, 1448, Some(20)), (3, 3000 + 3 * 52)),
            ("an offset before the packet", tcp4(3000), 3052, cut(Tcp, 1448, Some(8)), (3, 3000 + 3 * 52)),
            ("IPv4 options", options, 3056, cut(Tcp, 1500, None), (2, 3000 + 2 * 56)),
            ("UDP", ipv4(17, 2828, &udp), 2828, cut(Udp, 1400, None), (2, 2800 + 2 * 28)),
            ("BIG TCP over IPv4", tcp4(0), 200_052, cut(Tcp, 1448, None), (139, 200_000 + 139 * 52)),
            ("IPv6", ipv6(6, 3020, &tcp(5)), 3060, cut(Tcp, 1440, None), (3, 3000 + 3 * 60)),
            (
                "IPv6 with an extension header",
                ipv6(60, 3028, &destination_options),
                3068,
                cut(Tcp, 1440, None),
                (3, 3000 + 3 * 68),
            ),
        ];
        for (name, mut packet, ip_bytes, segmentation, (segments, wire_bytes)) in cases {
            if ip_bytes > 0xffff {
                packet[2..4].fill(0);
            }
            let counted = wire(LinkKind::RawIp, &packet, ip_bytes, segmentation);
            assert_eq!(counted, (segments, wire_bytes, false), "{name}");
        }
    }

    #[test]
    fn the_jumbo_header_of_big_tcp_is_not_on_the_wire() {
        let jumbo_len = 8 + 20 + 200_000u32;
        let mut hop_by_hop = vec![6, 0, 0xc2, 4];
        hop_by_hop.extend(jumbo_len.to_be_bytes());
        hop_by_hop.extend(tcp(5));
        let counted = wire(
            LinkKind::RawIp,
            &ipv6(0, 0, &hop_by_hop),
            40 + jumbo_len,
            cut(Transported::Tcp, 1440, None),
        );
        assert_eq!(counted, (139, 200_000 + 139 * 60, false));
    }

    #[test]
    fn each_packet_repeats_all_headers_of_a_tunnel() {
        // Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4, TCP of 20: 14 + 20 + 8 + 8 + 14 + 20 to the TCP header.
        let inner = [&[0; 12][..], &[8, 0], &ipv4(6, 20 + 20 + 3000, &tcp(5))].concat();
        let outer = [&[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0][..], &[8, 0, 0, 0, 0, 0, 7, 0], &inner].concat();
        let ip_bytes = 20 + 8 + 8 + 14 + 20 + 20 + 3000;
        let frame = [&[0; 12][..], &[8, 0], &ipv4(17, ip_bytes, &outer)].concat();
        let counted = |transport_at| {
            wire(
                LinkKind::Ethernet,
                &frame,
                14 + u32::from(ip_bytes),
                cut(Transported::Tcp, 1400, transport_at),
            )
        };
        assert_eq!(counted(Some(84)), (3, 3000 + 3 * 90, false));
        // Without the offset the tunnel cannot be recognized, so the frame counts as one packet.
        assert_eq!(counted(None), (1, u32::from(ip_bytes), true));
        assert_eq!(counted(Some(14)), (1, u32::from(ip_bytes), true));
    }

    #[test]
    fn unreadable_headers_make_the_segments_unknown() {
        let whole = ipv4(6, 3052, &tcp(8));
        let with = |at: usize, value: u8| {
            let mut packet = whole.clone();
            packet[at] = value;
            packet
        };
        let tcp_cut = |transport_at| cut(Transported::Tcp, 1448, transport_at);
        for (name, packet, segmentation) in [
            ("the source does not report the size", whole.clone(), Segmentation::Unknown),
            ("cut before the data offset", whole[..32].to_vec(), tcp_cut(None)),
            ("no data offset", with(32, 0), tcp_cut(None)),
            ("another protocol", with(9, 17), tcp_cut(None)),
            ("a later fragment", with(7, 1), tcp_cut(None)),
            ("an offset past the captured bytes", whole.clone(), tcp_cut(Some(60_000))),
        ] {
            assert_eq!(wire(LinkKind::RawIp, &packet, 3052, segmentation), (1, 3052, true), "{name}");
        }
        let short = ipv4(6, 30, &tcp(8));
        assert_eq!(
            wire(LinkKind::RawIp, &short, 30, tcp_cut(None)),
            (1, 30, true),
            "shorter than its headers"
        );
    }
}
