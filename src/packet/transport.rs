//! Reads the captured part of the upper-layer header: ports, TCP flags, ICMP type, first SCTP chunk.
//!
//! Sources: RFC 9293 (TCP), RFC 768 (UDP), RFC 9260 (SCTP), RFC 792 and 4443 (ICMP).

use etherparse::IpNumber;

use super::summary::{TcpFlags, Transport};

/// Reads the captured part of the upper-layer header. `payload` starts at that header and ends with the packet or the
/// captured bytes, whichever end first.
pub(super) fn read(protocol: u8, payload: &[u8]) -> Transport {
    match IpNumber(protocol) {
        IpNumber::TCP => tcp(payload),
        IpNumber::UDP | IpNumber::UDP_LITE | IpNumber::DCCP => match ports(payload) {
            Some((src_port, dst_port)) => Transport::Ports { src_port, dst_port },
            None => Transport::Other,
        },
        IpNumber::SCTP => sctp(payload),
        IpNumber::ICMP | IpNumber::IPV6_ICMP => match *payload {
            [kind, ..] => Transport::Icmp { kind },
            [] => Transport::Other,
        },
        _ => Transport::Other,
    }
}

/// Returns the destination port; `None` if the protocol has no ports or the ports were not captured.
pub(super) fn dst_port(transport: &Transport) -> Option<u16> {
    match *transport {
        Transport::Tcp { dst_port, .. }
        | Transport::Ports { dst_port, .. }
        | Transport::Sctp { dst_port, .. } => Some(dst_port),
        Transport::Icmp { .. } | Transport::LaterFragment | Transport::Other => None,
    }
}

fn tcp(header: &[u8]) -> Transport {
    let Some((src_port, dst_port)) = ports(header) else { return Transport::Other };
    let flags = match *header {
        [_, _, _, _, _, _, _, _, _, _, _, _, offset, flags, ..] if offset >> 4 >= TCP_DATA_OFFSET_MIN => {
            Some(TcpFlags(flags))
        }
        _ => None,
    };
    Transport::Tcp { src_port, dst_port, flags }
}

fn sctp(header: &[u8]) -> Transport {
    let Some((src_port, dst_port)) = ports(header) else { return Transport::Other };
    Transport::Sctp { src_port, dst_port, chunk: header.get(SCTP_COMMON_HEADER_LEN).copied() }
}

fn ports(header: &[u8]) -> Option<(u16, u16)> {
    match *header {
        [s1, s0, d1, d0, ..] => Some((u16::from_be_bytes([s1, s0]), u16::from_be_bytes([d1, d0]))),
        _ => None,
    }
}

/// Minimum data offset of a TCP header, in words of 4 bytes (RFC 9293, 3.1). A header with a lower data offset is
/// invalid, so its flags are not read.
pub(super) const TCP_DATA_OFFSET_MIN: u8 = 5;

/// Bytes of the common header of SCTP (RFC 9260, 3.1); the first chunk follows.
const SCTP_COMMON_HEADER_LEN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    const TCP_SYN: [u8; 20] = [
        0x9c, 0x40, // source port 40000
        0x01, 0xbb, // destination port 443
        0, 0, 0, 1, // sequence number
        0, 0, 0, 0, // acknowledgment number
        0x50, 0x02, // data offset 5, SYN
        0xff, 0xff, 0, 0, 0, 0, // window, checksum, urgent pointer
    ];

    #[test]
    fn tcp_is_read_as_far_as_it_was_captured() {
        let with = |flags| Transport::Tcp { src_port: 40_000, dst_port: 443, flags };
        for (captured, expected) in [
            (20, with(Some(TcpFlags(TcpFlags::SYN)))),
            (14, with(Some(TcpFlags(TcpFlags::SYN)))),
            (13, with(None)),
            (4, with(None)),
            (3, Transport::Other),
            (0, Transport::Other),
        ] {
            assert_eq!(read(6, &TCP_SYN[..captured]), expected, "{captured} bytes");
        }
        let mut invalid = TCP_SYN;
        invalid[12] = 0x40;
        assert_eq!(read(6, &invalid), with(None), "data offset 4");
    }

    #[test]
    fn only_the_ports_of_udp_dccp_and_udp_lite_are_read() {
        for protocol in [17, 33, 136] {
            let ports = Transport::Ports { src_port: 53, dst_port: 1024 };
            assert_eq!(read(protocol, &[0, 53, 4, 0]), ports, "protocol {protocol}");
            assert_eq!(read(protocol, &[0, 53, 4]), Transport::Other, "protocol {protocol}");
        }
    }

    #[test]
    fn sctp_is_read_with_the_type_of_its_first_chunk() {
        let mut init = [0u8; 13];
        init[..4].copy_from_slice(&[0x0b, 0x59, 0x0b, 0x5a]);
        init[12] = 1;
        let with = |chunk| Transport::Sctp { src_port: 2905, dst_port: 2906, chunk };
        assert_eq!(read(132, &init), with(Some(1)));
        assert_eq!(read(132, &init[..12]), with(None));
        assert_eq!(read(132, &init[..3]), Transport::Other);
    }

    #[test]
    fn icmp_needs_one_byte_and_other_protocols_have_no_fields() {
        assert_eq!(read(1, &[8]), Transport::Icmp { kind: 8 });
        assert_eq!(read(58, &[128, 0]), Transport::Icmp { kind: 128 });
        assert_eq!(read(1, &[]), Transport::Other);
        assert_eq!(read(47, &[0, 53, 4, 0]), Transport::Other);
    }
}
