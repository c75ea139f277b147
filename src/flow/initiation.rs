//! What one packet says about who began: the part that a worker can tell from the packet alone.
//!
//! A contact is an initiation, not an answer. TCP, SCTP and ICMP say it themselves; for UDP and the rest it
//! is whoever spoke first, which only the analyst can see (see [`roles`](super::roles)).

use crate::packet::{Endpoints, Summary, TcpFlags, Transport};

/// ICMP, IGMP, TCP and ICMPv6 by their IANA numbers.
pub(super) const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
pub(super) const ICMPV6: u8 = 58;
/// IPv6 with no upper layer at all (RFC 8200, 4.7).
const IPV6_NO_NEXT: u8 = 59;
/// SCTP, whose chunks say who began.
const SCTP: u8 = 132;

/// RFC 792, RFC 950, RFC 4443 4.1: what asks for a reply, which is the next number of ICMP each time.
const ICMP_ECHO_REQUEST: u8 = 8;
pub(super) const ICMP_TIMESTAMP_REQUEST: u8 = 13;
pub(super) const ICMP_INFORMATION_REQUEST: u8 = 15;
pub(super) const ICMP_MASK_REQUEST: u8 = 17;
const ICMPV6_ECHO_REQUEST: u8 = 128;
/// RFC 9260 3.3.2.
pub(super) const SCTP_INIT: u8 = 1;

/// What one packet says about who began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiation {
    /// It begins nothing, or cannot say.
    None,
    /// Its sender contacts its destination, at `port` where the protocol has ports.
    Contact {
        /// Destination port.
        port: Option<u16>,
    },
    /// It begins something only if nobody spoke before. Protocols without ports show 0.
    Unsaid {
        /// Source port.
        src_port: u16,
        /// Destination port.
        dst_port: u16,
    },
}

/// Reads what a packet says about who began.
///
/// TCP: a SYN without ACK, and the shapes that no stack sends: those with neither ACK nor RST (NULL, FIN alone, XMAS;
/// nmap's -sN, -sF, -sX), since a connection has an ACK in each segment but the first (RFC 9293, 3.1), and those that
/// hide their flags in a further fragment (-f). SCTP: INIT. ICMP: a request (echo, timestamp, information, mask;
/// -PE, -PP, -PM). Nothing that goes to many at once, no answer, no error, no neighbour discovery, no later fragment.
///
/// ```
/// use traffic_alerted::flow::{Initiation, opening};
/// use traffic_alerted::packet::{Endpoints, Summary, TcpFlags, Transport};
/// let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
/// let flags = Some(TcpFlags(TcpFlags::SYN));
/// let syn = Summary::plain(endpoints, 60, 6, Transport::Tcp { src_port: 40000, dst_port: 22, flags });
/// assert_eq!(opening(&syn), Initiation::Contact { port: Some(22) });
/// ```
#[inline(always)]
pub fn opening(summary: &Summary) -> Initiation {
    if is_to_many(&summary.endpoints) {
        return Initiation::None;
    }
    match summary.transport {
        Transport::Tcp { dst_port, flags: Some(flags), .. } if begins(flags) => {
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
        Transport::Ports { src_port, dst_port } => Initiation::Unsaid { src_port, dst_port },
        // A cut header says nothing; a protocol that is known to have answers of its own is not guessed at.
        Transport::Other if !matches!(summary.protocol, ICMP | IGMP | TCP | ICMPV6 | IPV6_NO_NEXT | SCTP) => {
            Initiation::Unsaid { src_port: 0, dst_port: 0 }
        }
        Transport::Tcp { .. } | Transport::Sctp { .. } | Transport::LaterFragment | Transport::Other => {
            Initiation::None
        }
    }
}

/// Whether the flags are not cut off by the capture, but put into a further fragment, to hide them: no stack makes
/// fragments so small (RFC 1858, 3.1; nmap's -f).
#[inline]
fn hides_flags(summary: &Summary) -> bool {
    const TO_FLAGS: u32 = 14;
    let headers = match summary.endpoints {
        Endpoints::V4 { .. } => 20,
        // With the one that says that it is a fragment.
        Endpoints::V6 { .. } => 40 + 8,
    };
    !summary.length_mismatch && summary.ip_bytes < headers + TO_FLAGS
}

/// Whether a segment belongs to no connection that is under way.
#[inline]
pub(super) fn begins(flags: TcpFlags) -> bool {
    !flags.has(TcpFlags::ACK) && !flags.has(TcpFlags::RST)
}

#[inline]
fn is_to_many(endpoints: &Endpoints) -> bool {
    match endpoints {
        Endpoints::V4 { dst, .. } => dst.is_multicast() || dst.is_broadcast(),
        Endpoints::V6 { dst, .. } => dst.is_multicast(),
    }
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
    fn tcp_says_it_by_its_flags() {
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
            assert_eq!(opening(&tcp(flags)), want, "{name}");
        }
    }

    #[test]
    fn a_fragment_too_small_for_its_flags_hides_them() {
        let contact = Initiation::Contact { port: Some(443) };
        for (name, ip_bytes, length_mismatch, want) in [
            ("eight bytes of TCP", 28, false, contact),
            ("without the byte of the flags", 33, false, contact),
            ("cut by the capture", 34, false, Initiation::None),
            ("of a frame that lies", 28, true, Initiation::None),
        ] {
            let summary = Summary { ip_bytes, length_mismatch, ..tcp(None) };
            assert_eq!(opening(&summary), want, "{name}");
        }
    }

    #[test]
    fn others_say_it_or_leave_it_open() {
        let ports = Transport::Ports { src_port: 5353, dst_port: 53 };
        let unsaid = Initiation::Unsaid { src_port: 5353, dst_port: 53 };
        let silent = Initiation::Unsaid { src_port: 0, dst_port: 0 };
        let sctp = |chunk| Transport::Sctp { src_port: 1, dst_port: 2, chunk };
        for (name, protocol, transport, want) in [
            ("UDP", 17, ports, unsaid),
            ("GRE", 47, Transport::Other, silent),
            ("ESP", 50, Transport::Other, silent),
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
            assert_eq!(opening(&summary(protocol, transport)), want, "{name}");
        }
    }

    #[test]
    fn nothing_to_many_is_a_contact() {
        let src = "fe80::1".parse().expect("an address");
        let dst = "ff02::fb".parse().expect("an address");
        let mdns = Summary {
            endpoints: Endpoints::V6 { src, dst },
            ..summary(17, Transport::Ports { src_port: 5353, dst_port: 5353 })
        };
        assert_eq!(opening(&mdns), Initiation::None);
        for dst in [[224, 0, 0, 251], [255, 255, 255, 255]] {
            let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: dst.into() };
            assert_eq!(opening(&Summary { endpoints, ..tcp(Some(2)) }), Initiation::None);
        }
    }
}
