//! The IPv4 header (RFC 791, 3.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |Version|  IHL  |Type of Service|          Total Length         |
//! |         Identification        |Flags|      Fragment Offset    |
//! |  Time to Live |    Protocol   |         Header Checksum       |
//! |                         Source Address                        |
//! |                       Destination Address                     |
//! |                    Options, up to 40 bytes                    |
//! ```

use std::net::Ipv4Addr;

use super::length::packet_length;
use super::summary::{Endpoints, Skip, Summary, Transport};
use super::{extension, transport};

/// Decodes a packet that the link header announces as IPv4. `from_header` has the captured bytes from the IP header on;
/// `in_frame` is the number of these bytes before the frame was cut.
///
/// # Errors
/// The reason why the bytes are not an IPv4 packet that can be counted.
pub(super) fn summarize(from_header: &[u8], in_frame: u32) -> Result<Summary, Skip> {
    let [version_ihl, ..] = *from_header else { return Err(Skip::IpTruncated) };
    if version_ihl >> 4 != 4 {
        return Err(Skip::IpVersion);
    }
    let Some(&[_, _, len1, len0, _, _, frag1, frag0, _, protocol, _, _, ref addresses @ ..]) =
        from_header.first_chunk::<IPV4_HEADER_LEN_MIN>()
    else {
        return Err(Skip::IpTruncated);
    };
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    if header_len < IPV4_HEADER_LEN_MIN {
        return Err(Skip::IpHeaderLength);
    }

    let declared = u16::from_be_bytes([len1, len0]);
    let length = packet_length(u64::from(declared), u32::from(version_ihl & 0x0f) * 4, in_frame)?;

    let later_fragment = u16::from_be_bytes([frag1, frag0]) & FRAGMENT_OFFSET_MASK != 0;
    let (protocol, transport) = if later_fragment {
        (protocol, Transport::LaterFragment)
    } else {
        let payload = length.clip(from_header).get(header_len..).unwrap_or(&[]);
        let upper = extension::authenticated(protocol, payload);
        (upper.protocol, transport::read(upper.protocol, upper.payload))
    };

    let [s3, s2, s1, s0, d3, d2, d1, d0] = *addresses;
    let endpoints = Endpoints::V4 { src: Ipv4Addr::new(s3, s2, s1, s0), dst: Ipv4Addr::new(d3, d2, d1, d0) };
    let plain = Summary::plain(endpoints, length.ip_bytes, protocol, transport);
    Ok(Summary { length_mismatch: length.mismatch, ..plain })
}

/// Returns the offset and the protocol of the header after the IPv4 header, in a packet that [`summarize`] accepts;
/// `None` for a fragment other than the first.
pub(super) fn upper_layer(from_header: &[u8]) -> Option<(usize, u8)> {
    let &[version_ihl, _, _, _, _, _, frag1, frag0, _, protocol, ..] = from_header else { return None };
    let later_fragment = u16::from_be_bytes([frag1, frag0]) & FRAGMENT_OFFSET_MASK != 0;
    (!later_fragment).then_some((usize::from(version_ihl & 0x0f) * 4, protocol))
}

/// Bytes of an IPv4 header without options.
pub(super) const IPV4_HEADER_LEN_MIN: usize = 20;

/// The lower 13 bits, which are the fragment offset in units of 8 bytes. The upper three bits are flags.
const FRAGMENT_OFFSET_MASK: u16 = 0x1fff;

#[cfg(test)]
mod tests {
    use super::*;

    /// A UDP datagram of 28 bytes from 10.0.0.1:1024 to 10.0.0.2:53.
    const UDP: [u8; 28] = [
        0x45, 0, // version 4, IHL 5, type of service
        0, 28, // total length
        0, 1, 0x40, 0, // identification, don't fragment, offset 0
        64, 17, 0, 0, // time to live, UDP, checksum
        10, 0, 0, 1, // source
        10, 0, 0, 2, // destination
        4, 0, 0, 53, 0, 8, 0, 0, // ports, length, checksum
    ];

    fn changed(changes: &[(usize, u8)]) -> [u8; 28] {
        let mut packet = UDP;
        for &(at, value) in changes {
            packet[at] = value;
        }
        packet
    }

    #[test]
    fn a_plain_packet_is_read() {
        let endpoints = Endpoints::V4 { src: Ipv4Addr::new(10, 0, 0, 1), dst: Ipv4Addr::new(10, 0, 0, 2) };
        let summary = Summary::plain(endpoints, 28, 17, Transport::Ports { src_port: 1024, dst_port: 53 });
        assert_eq!(summarize(&UDP, 28), Ok(summary));
        assert_eq!(summarize(&UDP, 46), Ok(summary), "padding does not count");
        assert_eq!(summarize(&UDP[..24], 28), Ok(summary), "the bytes up to the ports are enough");
    }

    #[test]
    fn an_invalid_header_is_skipped_with_the_reason() {
        for (packet, expected) in [
            (&[][..], Skip::IpTruncated),
            (&UDP[..19], Skip::IpTruncated),
            (&changed(&[(0, 0x65)]), Skip::IpVersion),
            (&[0x65], Skip::IpVersion),
            (&changed(&[(0, 0x44)]), Skip::IpHeaderLength),
            (&changed(&[(3, 19)]), Skip::IpTotalLength),
            (&changed(&[(0, 0x48)]), Skip::IpTotalLength),
        ] {
            assert_eq!(summarize(packet, 28), Err(expected), "{packet:02x?}");
        }
    }

    #[test]
    fn a_declared_length_of_0_or_above_that_of_the_frame_is_replaced() {
        let too_long = summarize(&changed(&[(2, 5)]), 28).unwrap();
        assert_eq!((too_long.ip_bytes, too_long.length_mismatch), (28, true));
        let segmented_later = summarize(&changed(&[(3, 0)]), 65_000).unwrap();
        assert_eq!((segmented_later.ip_bytes, segmented_later.length_mismatch), (65_000, false));
    }

    #[test]
    fn padding_is_not_read_as_ports() {
        let summary = summarize(&changed(&[(3, 23)]), 46).unwrap();
        assert_eq!((summary.ip_bytes, summary.transport), (23, Transport::Other));
    }

    #[test]
    fn options_are_skipped() {
        let mut packet = changed(&[(0, 0x46), (3, 32)]).to_vec();
        packet.splice(20..20, [1, 1, 1, 0]);
        let ports = Transport::Ports { src_port: 1024, dst_port: 53 };
        assert_eq!(summarize(&packet, 32).map(|summary| summary.transport), Ok(ports));
        let cut = summarize(&packet[..22], 32).unwrap();
        assert_eq!((cut.ip_bytes, cut.transport), (32, Transport::Other), "cut inside the options");
    }

    #[test]
    fn only_the_first_fragment_has_ports() {
        let first = summarize(&changed(&[(6, 0x20)]), 28).unwrap();
        assert_eq!(first.transport, Transport::Ports { src_port: 1024, dst_port: 53 });
        let later = summarize(&changed(&[(6, 0x20), (7, 0xb9)]), 28).unwrap();
        assert_eq!((later.protocol, later.transport), (17, Transport::LaterFragment));
    }
}
