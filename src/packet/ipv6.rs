//! The IPv6 header (RFC 8200, 3) and the jumbo payload option (RFC 2675, 2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! |Version| Traffic Class |           Flow Label                  |
//! |         Payload Length        |  Next Header  |   Hop Limit   |
//! |                    Source Address, 16 bytes                   |
//! |                 Destination Address, 16 bytes                 |
//! ```

use etherparse::{IpNumber, Ipv6Header, Ipv6HeaderSlice, err::ipv6::HeaderSliceError};

use super::length::packet_length;
use super::summary::{Endpoints, Skip, Summary, Transport};
use super::{extension, transport};

/// Decodes a packet that the link header announces as IPv6. `from_header` has the captured bytes from the IP header on;
/// `in_frame` is the number of these bytes before the frame was cut.
///
/// # Errors
/// The reason why the bytes are not an IPv6 packet that can be counted.
pub(super) fn summarize(from_header: &[u8], in_frame: u32) -> Result<Summary, Skip> {
    if from_header.first().is_some_and(|first| first >> 4 != 6) {
        return Err(Skip::IpVersion);
    }
    let header = Ipv6HeaderSlice::from_slice(from_header).map_err(|refusal| match refusal {
        HeaderSliceError::Len(_) => Skip::IpTruncated,
        HeaderSliceError::Content(_) => Skip::IpVersion,
    })?;
    let IpNumber(next_header) = header.next_header();
    let after_header = from_header.get(Ipv6Header::LEN..).unwrap_or(&[]);

    let declared = match header.payload_length() {
        0 => jumbo_payload_len(next_header, after_header).map_or(0, |len| u64::from(len) + 40),
        len => u64::from(len) + 40,
    };
    let length = packet_length(declared, 40, in_frame)?;

    let payload = length.clip(from_header).get(Ipv6Header::LEN..).unwrap_or(&[]);
    let upper = extension::walk(next_header, payload);
    let transport = if upper.later_fragment {
        Transport::LaterFragment
    } else {
        transport::read(upper.protocol, upper.payload)
    };

    let endpoints = Endpoints::V6 { src: header.source_addr(), dst: header.destination_addr() };
    let plain = Summary::plain(endpoints, length.ip_bytes, upper.protocol, transport);
    Ok(Summary { length_mismatch: length.mismatch, ..plain })
}

/// Returns the payload length that a jumbo payload option declares; `None` if there is no such option, if it was cut or
/// if it declares 0. The option is in the hop-by-hop header, which must come first. The caller must have checked that
/// the payload length of the IPv6 header is 0.
///
/// ```text
/// hop-by-hop header   next | length / 8 - 1 | options
/// option              0 (one byte of padding), or kind | length | value
/// ```
pub(super) fn jumbo_payload_len(next_header: u8, after_header: &[u8]) -> Option<u32> {
    if IpNumber(next_header) != IpNumber::IPV6_HEADER_HOP_BY_HOP {
        return None;
    }
    let &[_, len, ref options @ ..] = after_header else { return None };
    let options_len = (usize::from(len) + 1) * 8 - 2;
    // Each step consumes at least one of at most 2046 bytes, so the loop ends.
    let mut rest = options.get(..options_len).unwrap_or(options);
    loop {
        rest = match *rest {
            [OPTION_PAD1, ref next @ ..] => next,
            [OPTION_JUMBO, _, l3, l2, l1, l0, ..] => {
                let len = u32::from_be_bytes([l3, l2, l1, l0]);
                return (len > 0).then_some(len);
            }
            [_, len, ref value @ ..] => value.get(usize::from(len)..)?,
            _ => return None,
        };
    }
}

/// Bytes of the fixed IPv6 header.
pub(super) const HEADER_LEN: usize = Ipv6Header::LEN;

const OPTION_PAD1: u8 = 0;
const OPTION_JUMBO: u8 = 0xc2;

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    const ICMPV6: u8 = 58;
    const TCP: u8 = 6;
    const UDP: u8 = 17;

    /// Returns a packet from fd00::1 to fd00::2.
    fn packet(payload_len: u16, next_header: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0];
        packet.extend(payload_len.to_be_bytes());
        packet.extend([next_header, 64]);
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        packet.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn a_plain_packet_is_read() {
        let echo = packet(8, ICMPV6, &[128, 0, 0, 0, 0, 1, 0, 1]);
        let endpoints = Endpoints::V6 {
            src: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1),
            dst: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
        };
        let summary = Summary::plain(endpoints, 48, ICMPV6, Transport::Icmp { kind: 128 });
        assert_eq!(summarize(&echo, 48), Ok(summary));
        assert_eq!(summarize(&echo, 52), Ok(summary), "the frame check sequence does not count");
    }

    #[test]
    fn an_invalid_header_is_skipped_with_the_reason() {
        let whole = packet(0, 59, &[]);
        assert_eq!(summarize(&[], 40), Err(Skip::IpTruncated));
        assert_eq!(summarize(&whole[..39], 40), Err(Skip::IpTruncated));
        assert_eq!(summarize(&[0x45], 40), Err(Skip::IpVersion));
        assert_eq!(summarize(&whole, 40).map(|summary| summary.ip_bytes), Ok(40));
    }

    #[test]
    fn the_jumbo_option_declares_the_length() {
        let jumbo = |option: [u8; 6]| {
            let [kind, len, l3, l2, l1, l0] = option;
            packet(0, 0, &[TCP, 0, kind, len, l3, l2, l1, l0, 0, 80, 1, 187])
        };
        for (option, in_frame, expected) in [
            ([0xc2, 4, 0, 1, 0, 0], 70_000, (65_576, false)),
            ([0xc2, 4, 0, 1, 0, 0], 60_000, (60_000, true)),
            ([0xc2, 4, 0xff, 0xff, 0xff, 0xff], 60_000, (60_000, true)),
            // Without the option, or with a length of 0, the length of the frame counts.
            ([0xc2, 4, 0, 0, 0, 0], 70_000, (70_000, false)),
            ([1, 4, 0, 1, 0, 0], 70_000, (70_000, false)),
        ] {
            let summary = summarize(&jumbo(option), in_frame).unwrap();
            assert_eq!((summary.ip_bytes, summary.length_mismatch), expected, "{option:?}");
            assert_eq!(summary.transport, Transport::Tcp { src_port: 80, dst_port: 443, flags: None });
        }
    }

    #[test]
    fn the_jumbo_option_is_found_after_padding_and_only_inside_its_header() {
        let padded = [TCP, 1, 0, 1, 3, 0, 0, 0, 0, 0, 0xc2, 4, 0, 1, 0, 0];
        assert_eq!(jumbo_payload_len(0, &padded), Some(65_536));
        let outside = [TCP, 0, 1, 4, 0, 0, 0, 0, 0xc2, 4, 0, 1, 0, 0];
        assert_eq!(jumbo_payload_len(0, &outside), None);
        assert_eq!(jumbo_payload_len(60, &padded), None, "not in destination options");
        assert_eq!(jumbo_payload_len(0, &padded[..13]), None, "cut inside the option");
        assert_eq!(jumbo_payload_len(0, &[TCP, 0, 1, 200, 0]), None, "an option longer than its header");
    }

    #[test]
    fn headers_outside_the_packet_are_not_followed() {
        // The payload length covers the destination options; the UDP header is padding.
        let padded = packet(8, 60, &[UDP, 0, 1, 4, 0, 0, 0, 0, 0, 53, 0, 53]);
        let summary = summarize(&padded, 60).unwrap();
        assert_eq!((summary.ip_bytes, summary.protocol, summary.transport), (48, UDP, Transport::Other));
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let later = packet(12, 44, &[UDP, 0, 0, 8, 0, 0, 0, 1, 0, 53, 0, 53]);
        let summary = summarize(&later, 52).unwrap();
        assert_eq!((summary.protocol, summary.transport), (UDP, Transport::LaterFragment));
    }
}
