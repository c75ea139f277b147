//! Headers between the IP header and the upper layer: IPv6 extension headers and AH.
//!
//! A header that was cut still names the next protocol in its first byte, so each header is read as far as it was
//! captured. Sources: RFC 8200, 4; RFC 4302.

use etherparse::IpNumber;

/// Maximum number of extension headers that are walked in one packet. Usual packets have fewer than five. A packet with
/// more than the maximum counts, with the protocol number of the header where the walk ended.
pub const IPV6_EXTENSIONS_MAX: usize = 64;

/// The upper layer of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UpperLayer<'a> {
    /// IANA number of the protocol.
    pub(super) protocol: u8,
    /// True for a fragment other than the first. Its `payload` is empty.
    pub(super) later_fragment: bool,
    /// The captured bytes from the upper-layer header on; empty if the header was not captured.
    pub(super) payload: &'a [u8],
}

/// Walks the IPv6 extension headers (RFC 8200, 4). `protocol` is the number of the first header after the IPv6 header;
/// `payload` begins with that header and ends with the packet or the captured bytes.
///
/// ```text
/// options, routing, mobility, HIP, shim6   next | length / 8 - 1 | ...
/// fragment                                 next | 0 | offset / 8, 2 bits, more | identification
/// authentication                           next | length / 4 - 2 | ...
/// ```
pub(super) fn walk(mut protocol: u8, mut payload: &[u8]) -> UpperLayer<'_> {
    for _ in 0..IPV6_EXTENSIONS_MAX {
        let (next, header_len) = match (IpNumber(protocol), payload) {
            (
                IpNumber::IPV6_HEADER_HOP_BY_HOP
                | IpNumber::IPV6_ROUTE_HEADER
                | IpNumber::IPV6_DESTINATION_OPTIONS
                | IpNumber::MOBILITY_HEADER
                | IpNumber::HIP
                | IpNumber::SHIM6,
                &[next, len, ..],
            ) => (next, (usize::from(len) + 1) * 8),
            (IpNumber::IPV6_FRAGMENTATION_HEADER, &[next, _, offset1, offset0, ..]) => {
                if u16::from_be_bytes([offset1, offset0]) & FRAGMENT_OFFSET_MASK != 0 {
                    return UpperLayer { protocol: next, later_fragment: true, payload: &[] };
                }
                (next, FRAGMENT_HEADER_LEN)
            }
            (IpNumber::AUTHENTICATION_HEADER, &[next, len, ..]) => (next, authentication_len(len)),
            _ => break,
        };
        protocol = next;
        payload = payload.get(header_len..).unwrap_or(&[]);
    }
    UpperLayer { protocol, later_fragment: false, payload }
}

/// Returns the upper layer of an IPv4 packet, after the authentication header if there is one (RFC 4302).
pub(super) fn authenticated(protocol: u8, payload: &[u8]) -> UpperLayer<'_> {
    let (protocol, payload) = match (IpNumber(protocol), payload) {
        (IpNumber::AUTHENTICATION_HEADER, &[next, len, ..]) => {
            (next, payload.get(authentication_len(len)..).unwrap_or(&[]))
        }
        _ => (protocol, payload),
    };
    UpperLayer { protocol, later_fragment: false, payload }
}

fn authentication_len(len: u8) -> usize {
    (usize::from(len) + 2) * 4
}

const FRAGMENT_HEADER_LEN: usize = 8;

/// The upper 13 bits, which are the fragment offset. The lowest bit is the flag "more fragments".
const FRAGMENT_OFFSET_MASK: u16 = 0xfff8;

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: u8 = 6;

    fn upper(protocol: u8, payload: &[u8]) -> UpperLayer<'_> {
        UpperLayer { protocol, later_fragment: false, payload }
    }

    #[test]
    fn every_kind_of_extension_header_is_walked() {
        // Hop-by-hop, destination options, routing, a first fragment, AH of 24 bytes.
        let mut bytes = Vec::new();
        bytes.extend([60, 0, 1, 4, 0, 0, 0, 0]);
        bytes.extend([43, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([44, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([51, 0, 0, 1, 0, 0, 0, 7]);
        bytes.extend([TCP, 4]);
        bytes.extend([0; 22]);
        bytes.extend([1, 2, 3]);
        assert_eq!(walk(0, &bytes), upper(TCP, &[1, 2, 3]));
    }

    #[test]
    fn a_cut_header_still_names_the_next() {
        assert_eq!(walk(60, &[TCP, 9, 0, 0]), upper(TCP, &[]));
        assert_eq!(walk(60, &[TCP]), upper(60, &[TCP]), "its length is unknown, so it is the end");
        assert_eq!(walk(44, &[TCP, 0, 0]), upper(44, &[TCP, 0, 0]), "the offset was not captured");
        assert_eq!(walk(51, &[]), upper(51, &[]));
    }

    #[test]
    fn a_later_fragment_has_no_header() {
        let later = UpperLayer { protocol: TCP, later_fragment: true, payload: &[] };
        assert_eq!(walk(44, &[TCP, 0, 0x05, 0xa8, 0, 0, 0, 7, 1, 2, 3, 4]), later);
        assert_eq!(walk(44, &[TCP, 0, 0x05, 0xa8]), later, "known from its first four bytes");
    }

    #[test]
    fn the_walk_is_bounded() {
        let endless = [60, 0, 1, 4, 0, 0, 0, 0].repeat(IPV6_EXTENSIONS_MAX + 2);
        assert_eq!(walk(60, &endless), upper(60, &endless[..16]));
    }

    #[test]
    fn one_authentication_header_of_ipv4_is_walked() {
        let mut bytes = vec![17, 1];
        bytes.extend([0; 10]);
        bytes.extend([0, 53]);
        assert_eq!(authenticated(51, &bytes), upper(17, &[0, 53]));
        assert_eq!(authenticated(51, &bytes[..6]), upper(17, &[]));
        assert_eq!(authenticated(51, &[17]), upper(51, &[17]));
        assert_eq!(authenticated(60, &bytes), upper(60, &bytes), "IPv4 has no such extension header");
    }
}
