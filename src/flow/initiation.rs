//! Who initiated a flow, as far as one packet shows it.
//!
//! A contact is a flow that its host initiated. TCP, SCTP and ICMP packets show that by themselves. For UDP and other
//! protocols the host that sent first is the initiator, which only the analyst can decide (see
//! [`roles`](super::roles)).

use crate::packet::{Endpoints, Summary, TcpFlags, Transport};

use super::addressee::concern_no_host;

// IANA protocol numbers (https://www.iana.org/assignments/protocol-numbers).
pub(super) const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
pub(super) const ICMPV6: u8 = 58;
/// IPv6 without an upper layer (RFC 8200, 4.7).
const IPV6_NO_NEXT: u8 = 59;
/// SCTP; its chunk types show who initiated.
const SCTP: u8 = 132;

// ICMP requests (RFC 792, RFC 950, RFC 4443 4.1). The type of the reply to an ICMP timestamp, information or mask
// request is the next number.
const ICMP_ECHO_REQUEST: u8 = 8;
pub(super) const ICMP_TIMESTAMP_REQUEST: u8 = 13;
pub(super) const ICMP_INFORMATION_REQUEST: u8 = 15;
pub(super) const ICMP_MASK_REQUEST: u8 = 17;
const ICMPV6_ECHO_REQUEST: u8 = 128;
/// RFC 9260, 3.3.2.
pub(super) const SCTP_INIT: u8 = 1;

/// What one packet shows about the initiation of its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiation {
    /// The packet does not initiate a flow, or does not show whether it does.
    None,
    /// The sender of the packet contacts its destination, at `port` if the protocol has ports.
    Contact {
        /// Destination port.
        port: Option<u16>,
    },
    /// The packet initiates its exchange only if it is the first packet of it (see `roles`). Ports are 0 for protocols
    /// without ports.
    IfFirst {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
    },
}

/// Returns what a packet shows about the initiation of its flow.
///
/// * TCP: a SYN without ACK initiates. So does a segment with neither ACK nor RST (NULL, only FIN, XMAS; nmap -sN,
///   -sF, -sX), since every segment of a connection but the first has an ACK (RFC 9293, 3.1), and a fragment too small
///   to contain the flags (nmap -f).
/// * SCTP: INIT.
/// * ICMP: a request (echo, timestamp, information, mask; nmap -PE, -PP, -PM).
///
/// Packets to or from an address of [no host](super::is_no_host), replies, errors, neighbour discovery and later
/// fragments initiate nothing.
///
/// ```
/// use traffic_alerted::flow::{Initiation, initiation};
/// use traffic_alerted::packet::{Endpoints, Summary, TcpFlags, Transport};
/// let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
/// let flags = Some(TcpFlags(TcpFlags::SYN));
/// let syn = Summary::plain(endpoints, 60, 6, Transport::Tcp { src_port: 40000, dst_port: 22, flags });
/// assert_eq!(initiation(&syn), Initiation::Contact { port: Some(22) });
/// ```
#[inline(always)]
pub fn initiation(summary: &Summary) -> Initiation {
    if concern_no_host(&summary.endpoints) {
        return Initiation::None;
    }
    match summary.transport {
        Transport::Tcp { dst_port, flags: Some(flags), .. } if initiates(flags) => {
            Initiation::Contact { port: Some(dst_port) }
        }
        Transport::Tcp { dst_port, flags: None, .. } if hides_flags(summary) => {
            Initiation::Contact { port: Some(dst_port) }
        }
        Transport::Sctp { dst_port, chunk: Some(SCTP_INIT), .. } => {
            Initiation::Contact { port: Some(dst_port) }
        }
        Transport::Icmp { kind } => match (summary.protocol, kind) {
            (
                ICMP,
                ICMP_ECHO_REQUEST | ICMP_TIMESTAMP_REQUEST | ICMP_INFORMATION_REQUEST | ICMP_MASK_REQUEST,
            )
            | (ICMPV6, ICMPV6_ECHO_REQUEST) => Initiation::Contact { port: None },
            _ => Initiation::None,
        },
        Transport::Ports { src_port, dst_port } => Initiation::IfFirst { src_port, dst_port },
        // TCP, SCTP and ICMP show an initiation in their headers, so who sent first does not matter if these were cut.
        // IGMP and packets without an upper layer initiate nothing. Any other protocol, UDP cut before its ports
        // included, is decided by its first packet.
        Transport::Other if !matches!(summary.protocol, ICMP | IGMP | TCP | ICMPV6 | IPV6_NO_NEXT | SCTP) => {
            Initiation::IfFirst { src_port: 0, dst_port: 0 }
        }
        Transport::Tcp { .. } | Transport::Sctp { .. } | Transport::LaterFragment | Transport::Other => {
            Initiation::None
        }
    }
}

/// Returns true if the IP packet is too short for the flags, which are then in a later fragment. It is false if the
/// capture cut them off. No network stack makes fragments this small (RFC 1858, 3.1; nmap -f).
#[inline]
fn hides_flags(summary: &Summary) -> bool {
    const TO_FLAGS: u32 = 14;
    let headers = match summary.endpoints {
        Endpoints::V4 { .. } => 20,
        // The IPv6 header and the fragment header.
        Endpoints::V6 { .. } => 40 + 8,
    };
    !summary.length_mismatch && summary.ip_bytes < headers + TO_FLAGS
}

/// Returns true if the flags of a segment begin a flow: it has neither ACK nor RST.
#[inline]
pub(super) fn initiates(flags: TcpFlags) -> bool {
    !flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::RST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(protocol: u8, transport: Transport) -> Summary {
        let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
        Summary::plain(endpoints, 60, protocol, transport)
    }

    fn tcp(flags: Option<u8>) -> Summary {
        let flags = flags.map(TcpFlags);
        summary(TCP, Transport::Tcp { src_port: 50_000, dst_port: 443, flags })
    }

    #[test]
    fn tcp_flags_show_an_initiation() {
        let contact = Initiation::Contact { port: Some(443) };
        for (name, flags, want) in [
            ("SYN", Some(0x02), contact),
            ("SYN ECE CWR", Some(0xc2), contact),
            ("SYN PSH, as some scanners send it", Some(0x0a), contact),
            ("SYN ACK", Some(0x12), Initiation::None),
            ("SYN RST", Some(0x06), Initiation::None),
            ("NULL", Some(0x00), contact),
            ("FIN", Some(0x01), contact),
            ("XMAS", Some(0x29), contact),
            ("PSH alone", Some(0x08), contact),
            ("ACK", Some(0x10), Initiation::None),
            ("FIN ACK", Some(0x11), Initiation::None),
            ("RST", Some(0x04), Initiation::None),
            ("flags not captured", None, Initiation::None),
        ] {
            assert_eq!(initiation(&tcp(flags)), want, "{name}");
        }
    }

    #[test]
    fn a_fragment_too_small_for_its_flags_hides_them() {
        let contact = Initiation::Contact { port: Some(443) };
        for (name, ip_bytes, length_mismatch, want) in [
            ("eight bytes of TCP", 28, false, contact),
            ("without the byte of the flags", 33, false, contact),
            ("cut by the capture", 34, false, Initiation::None),
            ("the header declares another length", 28, true, Initiation::None),
        ] {
            let summary = Summary { ip_bytes, length_mismatch, ..tcp(None) };
            assert_eq!(initiation(&summary), want, "{name}");
        }
    }

    #[test]
    fn other_protocols_show_it_or_depend_on_the_first_packet() {
        let ports = Transport::Ports { src_port: 5353, dst_port: 53 };
        let if_first = Initiation::IfFirst { src_port: 5353, dst_port: 53 };
        let if_first_without_ports = Initiation::IfFirst { src_port: 0, dst_port: 0 };
        let sctp = |chunk| Transport::Sctp { src_port: 1, dst_port: 2, chunk };
        for (name, protocol, transport, want) in [
            ("UDP", 17, ports, if_first),
            ("GRE", 47, Transport::Other, if_first_without_ports),
            ("ESP", 50, Transport::Other, if_first_without_ports),
            ("TCP cut before its ports", TCP, Transport::Other, Initiation::None),
            ("IGMP", IGMP, Transport::Other, Initiation::None),
            ("SCTP INIT", SCTP, sctp(Some(1)), Initiation::Contact { port: Some(2) }),
            ("SCTP INIT ACK", SCTP, sctp(Some(2)), Initiation::None),
            ("SCTP cut", SCTP, sctp(None), Initiation::None),
            ("echo request", ICMP, Transport::Icmp { kind: 8 }, Initiation::Contact { port: None }),
            ("timestamp request", ICMP, Transport::Icmp { kind: 13 }, Initiation::Contact { port: None }),
            ("echo reply", ICMP, Transport::Icmp { kind: 0 }, Initiation::None),
            ("unreachable", ICMP, Transport::Icmp { kind: 3 }, Initiation::None),
            (
                "ICMPv6 echo request",
                ICMPV6,
                Transport::Icmp { kind: 128 },
                Initiation::Contact { port: None },
            ),
            ("ICMPv6 type 8 is none", ICMPV6, Transport::Icmp { kind: 8 }, Initiation::None),
            ("neighbour solicitation", ICMPV6, Transport::Icmp { kind: 135 }, Initiation::None),
            ("later fragment", 17, Transport::LaterFragment, Initiation::None),
        ] {
            assert_eq!(initiation(&summary(protocol, transport)), want, "{name}");
        }
    }

    #[test]
    fn who_sends_to_no_host_contacts_nobody() {
        let src = "fe80::1".parse().expect("an address");
        let dst = "ff02::fb".parse().expect("an address");
        let mdns = Summary {
            endpoints: Endpoints::V6 { src, dst },
            ..summary(17, Transport::Ports { src_port: 5353, dst_port: 5353 })
        };
        assert_eq!(initiation(&mdns), Initiation::None);
        for no_host in [[224, 0, 0, 251], [255, 255, 255, 255], [0, 0, 0, 0]] {
            let (host, no_host) = ([10, 0, 0, 1].into(), no_host.into());
            // A source is such an address in a request for an address (DHCP), or because it is forged.
            for (src, dst) in [(host, no_host), (no_host, host)] {
                let endpoints = Endpoints::V4 { src, dst };
                assert_eq!(initiation(&Summary { endpoints, ..tcp(Some(2)) }), Initiation::None);
            }
        }
    }
}
