//! Observations: what the packets of one direction of a pair showed, as bits.
//!
//! Observations are merged by OR, so neither their order nor the worker that made them matters. They are stored as long
//! as their row.
//! Whether a contact was answered is read from the bits of the other direction.

use std::ops::{BitAnd, BitOr, BitOrAssign};

use crate::packet::{Endpoints, Summary, TcpFlags, Transport};

use super::initiation::{
    ICMP, ICMP_INFORMATION_REQUEST, ICMP_MASK_REQUEST, ICMP_TIMESTAMP_REQUEST, ICMPV6, SCTP_INIT, initiates,
};

/// A set of observations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observations(pub(super) u16);

impl Observations {
    /// The source contacted its peer with a packet that shows an initiation by itself
    /// ([`Initiation::Contact`](super::Initiation::Contact)).
    pub const INITIATED: Self = Self(0x01);
    /// The source sent a bare TCP ACK to a lower port. That is a probe if only a reset answers it (nmap -sA, hping3
    /// -A).
    pub const PROBED: Self = Self(0x02);
    /// The source sent a TCP segment of an established connection.
    pub const ESTABLISHED: Self = Self(0x04);
    /// The source answered a contact of its peer: SYN ACK, SCTP INIT ACK, ICMP reply.
    pub const ACCEPTED: Self = Self(0x08);
    /// The source refused or aborted: TCP RST, SCTP ABORT.
    pub const RESET: Self = Self(0x10);
    /// The source sent a reset without ACK, which answers only a segment with ACK (RFC 9293, 3.10.7.1).
    pub const BARE_RESET: Self = Self(0x20);
    /// An ICMP error reported that a packet to its peer could not be delivered, because the peer or the port of the
    /// peer cannot be reached.
    pub const UNREACHABLE: Self = Self(0x40);
    /// The source sent a counted packet of a protocol in which the host that sends first is the initiator.
    pub const SENT: Self = Self(0x80);
    /// An ICMP time exceeded reported that a packet to its peer expired on the way. It is the lowest bit of a number
    /// for a pair: [`expiries`](Self::expiries).
    pub const EXPIRED: Self = Self(0x100);
    /// The bits of the number of packets that expired within one delta. They are added, not merged.
    const EXPIRIES: u16 = 0x7f00;
    const EXPIRIES_AT: u32 = 8;
    /// The source sent an ICMP error.
    pub const REPORTED: Self = Self(0x8000);

    /// Returns true if all of these bits are set.
    pub fn has(self, observations: Self) -> bool {
        self.0 & observations.0 == observations.0
    }

    /// Returns true if at least one of these bits is set.
    pub fn has_any(self, observations: Self) -> bool {
        self.0 & observations.0 != 0
    }

    /// Returns the bits that show the outcome of a contact of the peer.
    pub fn answers(self) -> Self {
        Self(self.0 & (Self::ACCEPTED | Self::RESET | Self::BARE_RESET).0)
    }

    /// Returns true if these packets only answer: SYN ACK, RST, SCTP INIT ACK or ABORT, ICMP replies and errors.
    #[inline(always)]
    pub(super) fn only_answer(self) -> bool {
        const ANSWERS: u16 = Observations::ACCEPTED.0 | Observations::RESET.0 | Observations::REPORTED.0;
        const OTHERS: u16 = Observations::INITIATED.0
            | Observations::PROBED.0
            | Observations::ESTABLISHED.0
            | Observations::SENT.0;
        self.0 & ANSWERS != 0 && self.0 & OTHERS == 0
    }

    /// Returns how many packets of a pair expired on the way, at most 127.
    #[allow(clippy::cast_possible_truncation, reason = "the number has seven bits")]
    pub fn expiries(self) -> u8 {
        ((self.0 & Self::EXPIRIES) >> Self::EXPIRIES_AT) as u8
    }

    /// Adds a packet of a pair that expired on the way.
    pub(super) fn expire(&mut self) {
        if self.0 & Self::EXPIRIES != Self::EXPIRIES {
            self.0 += Self::EXPIRED.0;
        }
    }

    /// Returns true if no bit is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Observations {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Observations {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOrAssign for Observations {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Returns the observations of one packet, without [`Observations::INITIATED`] and [`Observations::SENT`], which depend
/// on [`initiation()`](super::initiation()).
///
/// ```
/// use traffic_alerted::flow::{Observations, observe};
/// use traffic_alerted::packet::{Endpoints, Summary, TcpFlags, Transport};
/// let endpoints = Endpoints::V4 { src: [10, 0, 0, 2].into(), dst: [10, 0, 0, 1].into() };
/// let reset = Transport::Tcp { src_port: 22, dst_port: 40000, flags: Some(TcpFlags(0x14)) };
/// let refused = Summary::plain(endpoints, 40, 6, reset);
/// assert_eq!(observe(&refused), Observations::RESET);
/// ```
#[inline(always)]
pub fn observe(summary: &Summary) -> Observations {
    // Errors are those that RFC 1122, 3.2.2 lists and those of RFC 4443, 3.
    match summary.transport {
        Transport::Tcp { src_port, dst_port, flags: Some(flags) } => {
            tcp(flags, src_port > dst_port && is_bare(summary))
        }
        Transport::Icmp { kind } => match (summary.protocol, kind) {
            (ICMP, 0 | ICMP_TIMESTAMP_REPLY | ICMP_INFORMATION_REPLY | ICMP_MASK_REPLY)
            | (ICMPV6, ICMPV6_ECHO_REPLY) => Observations::ACCEPTED,
            (ICMP, 3..=5 | 11 | 12) | (ICMPV6, 1..=4) => Observations::REPORTED,
            _ => Observations::default(),
        },
        Transport::Sctp { chunk: Some(SCTP_INIT_ACK), .. } => Observations::ACCEPTED,
        Transport::Sctp { chunk: Some(SCTP_ABORT), .. } => Observations::RESET,
        _ => Observations::default(),
    }
}

/// Returns true if a TCP segment has neither data nor options. Stacks that negotiated timestamps put them into every
/// segment (RFC 7323, 3.2).
#[inline(always)]
pub(super) fn is_bare(summary: &Summary) -> bool {
    let bare_bytes = match summary.endpoints {
        Endpoints::V4 { .. } => 40,
        Endpoints::V6 { .. } => 60,
    };
    summary.ip_bytes == bare_bytes
}

#[inline(always)]
fn tcp(flags: TcpFlags, may_be_probe: bool) -> Observations {
    if flags.has(TcpFlags::RST) {
        return if flags.has(TcpFlags::ACK) {
            Observations::RESET
        } else {
            Observations::RESET | Observations::BARE_RESET
        };
    }
    if initiates(flags) {
        return Observations::default();
    }
    if flags.has(TcpFlags::SYN) {
        return Observations::ACCEPTED;
    }
    if may_be_probe && flags.0 & 0x3f == TcpFlags::ACK {
        Observations::PROBED
    } else {
        Observations::ESTABLISHED
    }
}

const ICMP_TIMESTAMP_REPLY: u8 = ICMP_TIMESTAMP_REQUEST + 1;
const ICMP_INFORMATION_REPLY: u8 = ICMP_INFORMATION_REQUEST + 1;
const ICMP_MASK_REPLY: u8 = ICMP_MASK_REQUEST + 1;
const ICMPV6_ECHO_REPLY: u8 = 129;
/// RFC 9260, 3.3.3 and 3.3.7.
const SCTP_INIT_ACK: u8 = SCTP_INIT + 1;
const SCTP_ABORT: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(protocol: u8, ip_bytes: u32, transport: Transport) -> Summary {
        let endpoints = Endpoints::V4 { src: [10, 0, 0, 1].into(), dst: [10, 0, 0, 2].into() };
        Summary::plain(endpoints, ip_bytes, protocol, transport)
    }

    #[test]
    fn tcp_flags_show_the_outcome_of_a_contact() {
        let reset = Observations::RESET | Observations::BARE_RESET;
        for (name, flags, ip_bytes, ports, want) in [
            ("SYN", 0x02, 60, (40_000, 22), Observations::default()),
            ("NULL", 0x00, 40, (40_000, 22), Observations::default()),
            ("SYN ACK", 0x12, 60, (22, 40_000), Observations::ACCEPTED),
            ("SYN ACK with ECE", 0x52, 60, (22, 40_000), Observations::ACCEPTED),
            ("RST", 0x04, 40, (22, 40_000), reset),
            ("RST ACK", 0x14, 40, (22, 40_000), Observations::RESET),
            ("bare ACK", 0x10, 40, (40_000, 22), Observations::PROBED),
            ("bare ACK of the server", 0x10, 40, (22, 40_000), Observations::ESTABLISHED),
            ("ACK with timestamps", 0x10, 52, (40_000, 22), Observations::ESTABLISHED),
            ("data", 0x18, 500, (40_000, 22), Observations::ESTABLISHED),
            ("FIN ACK", 0x11, 40, (40_000, 22), Observations::ESTABLISHED),
        ] {
            let (src_port, dst_port) = ports;
            let transport = Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) };
            assert_eq!(observe(&summary(6, ip_bytes, transport)), want, "{name}");
        }
    }

    #[test]
    fn replies_answer_and_aborts_refuse() {
        let sctp = |chunk| Transport::Sctp { src_port: 1, dst_port: 2, chunk };
        for (name, protocol, transport, want) in [
            ("echo reply", 1, Transport::Icmp { kind: 0 }, Observations::ACCEPTED),
            ("timestamp reply", 1, Transport::Icmp { kind: 14 }, Observations::ACCEPTED),
            ("echo request", 1, Transport::Icmp { kind: 8 }, Observations::default()),
            ("ICMPv6 echo reply", 58, Transport::Icmp { kind: 129 }, Observations::ACCEPTED),
            ("port unreachable", 1, Transport::Icmp { kind: 3 }, Observations::REPORTED),
            ("time exceeded", 1, Transport::Icmp { kind: 11 }, Observations::REPORTED),
            ("ICMPv6 unreachable", 58, Transport::Icmp { kind: 1 }, Observations::REPORTED),
            ("ICMPv6 type 11 is none", 58, Transport::Icmp { kind: 11 }, Observations::default()),
            ("ICMPv6 type 0 is none", 58, Transport::Icmp { kind: 0 }, Observations::default()),
            ("INIT ACK", 132, sctp(Some(2)), Observations::ACCEPTED),
            ("ABORT", 132, sctp(Some(6)), Observations::RESET),
            ("UDP", 17, Transport::Ports { src_port: 53, dst_port: 1 }, Observations::default()),
            (
                "flags not captured",
                6,
                Transport::Tcp { src_port: 1, dst_port: 2, flags: None },
                Observations::default(),
            ),
        ] {
            assert_eq!(observe(&summary(protocol, 40, transport)), want, "{name}");
        }
    }

    #[test]
    fn packets_that_expire_are_counted_up_to_127() {
        let mut observations = Observations::SENT;
        for want in (1..=127).chain([127]) {
            observations.expire();
            assert_eq!(observations.expiries(), want);
        }
        assert!(observations.has(Observations::SENT) && !observations.has(Observations::REPORTED));
    }
}
