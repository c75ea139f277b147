//! A slow, plain reading of a frame, by which the tests judge the decoder. It shares types with the decoder and no
//! code: it uses no parser library and no function of the package.
//!
//! Every field is fetched by its offset from the start of the frame and is `None` where it was not captured. Each
//! function follows one document, which its comment names. Where no document decides (how deep headers may nest, what a
//! header cut in the middle counts for), the rule is that of the documentation of `traffic_alerted::packet`.

use std::net::{Ipv4Addr, Ipv6Addr};

use traffic_alerted::packet::{
    Endpoints, Frame, LinkKind, Quoted, Segmentation, Segments, Skip, Summary, TcpFlags, Transport,
    Transported, Undelivered,
};

/// Reads one frame.
///
/// # Errors
/// The reason why the frame holds no IP packet that counts.
pub(crate) fn read(frame: &Frame<'_>) -> Result<Summary, Skip> {
    let bytes = Bytes::of(frame);
    let (version, at) = find_ip(frame.link, bytes)?;
    let packet = Packet::read(bytes, version, at, frame.frame_len as usize)?;
    let one = packet.summary;
    Ok(match frame.segmentation {
        Segmentation::None => one,
        Segmentation::Unknown => Summary { segments_unknown: true, ..one },
        Segmentation::Into(segments) => match on_the_wire(bytes, &packet, &segments) {
            Some((segments, ip_bytes)) => Summary { segments, ip_bytes, ..one },
            None => Summary { segments_unknown: true, ..one },
        },
    })
}

/// Returns true if the frame is one of a PPPoE session: EtherType 8864 (RFC 2516, 4), behind VLAN tags or none.
pub(crate) fn is_pppoe_session(frame: &Frame<'_>) -> bool {
    let bytes = Bytes::of(frame);
    let Ok(Some((mut ether_type, mut at))) = first_ether_type(frame.link, bytes) else { return false };
    for _ in 0..HEADERS_MAX {
        if ether_type == PPPOE_SESSION {
            return true;
        }
        let Some(next) = bytes.u16(at + 2) else { return false };
        if !VLAN_TAGS.contains(&ether_type) {
            return false;
        }
        (ether_type, at) = (next, at + 4);
    }
    false
}

/// What an ICMP error "destination unreachable" quotes, of a frame that holds one (RFC 792, RFC 4443, 3.1): the packet
/// that the receiver of the error had sent. "Fragmentation needed" (RFC 792, code 4) does not count as unreachable.
///
/// The quote counts as far as it was captured, behind the end of the packet too. An error behind an authentication
/// header of IPv4 is not looked for.
pub(crate) fn quoted(frame: &Frame<'_>) -> Option<Quoted> {
    let bytes = Bytes::of(frame);
    let (version, at) = find_ip(frame.link, bytes).ok()?;
    let error = Packet::read(bytes, version, at, frame.frame_len as usize).ok()?;
    let (icmp_at, _) = error.upper_layer(bytes)?;
    let cause = match (version, bytes.u8(icmp_at)?, bytes.u8(icmp_at + 1)?) {
        (4, 3, code) if code != 4 => Undelivered::Unreachable,
        (6, 1, _) => Undelivered::Unreachable,
        (4, 11, 0) | (6, 3, 0) => Undelivered::Expired,
        _ => return None,
    };
    // Type, code, checksum and four bytes that do not matter here.
    let quote_at = icmp_at + 8;
    // The sender of the error cut the quoted packet, so the length in its header counts.
    let len = match version {
        4 => usize::from(bytes.u16(quote_at + 2)?),
        _ => usize::from(bytes.u16(quote_at + 4)?) + 40,
    };
    let quote_end = bytes.len().max(quote_at + len);
    let quote = Packet::read(bytes, version, quote_at, quote_end).ok()?.summary;
    match (quote.endpoints, error.summary.endpoints) {
        (Endpoints::V4 { src, .. }, Endpoints::V4 { dst, .. }) if src == dst => {}
        (Endpoints::V6 { src, .. }, Endpoints::V6 { dst, .. }) if src == dst => {}
        _ => return None,
    }
    let dst_port = match quote.transport {
        Transport::Tcp { dst_port, .. }
        | Transport::Ports { dst_port, .. }
        | Transport::Sctp { dst_port, .. } => Some(dst_port),
        Transport::Icmp { .. } | Transport::LaterFragment | Transport::Other => None,
    };
    Some(Quoted { endpoints: quote.endpoints, protocol: quote.protocol, dst_port, cause })
}

/// The captured bytes of a frame, addressed from its start.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Bytes behind the end of the frame are ignored.
    fn of(frame: &Frame<'a>) -> Self {
        Self(frame.bytes).before(frame.frame_len as usize)
    }

    /// Without the bytes from `end` on.
    fn before(self, end: usize) -> Self {
        Self(&self.0[..self.0.len().min(end)])
    }

    fn len(self) -> usize {
        self.0.len()
    }

    fn u8(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    /// In network byte order, as all numbers of the headers here.
    fn u16(self, at: usize) -> Option<u16> {
        Some(u16::from(self.u8(at)?) << 8 | u16::from(self.u8(at + 1)?))
    }

    fn u32(self, at: usize) -> Option<u32> {
        Some(u32::from(self.u16(at)?) << 16 | u32::from(self.u16(at + 2)?))
    }

    /// An IPv6 address: 16 bytes.
    fn u128(self, at: usize) -> Option<u128> {
        (0..16).try_fold(0, |value, n| Some(value << 8 | u128::from(self.u8(at + n)?)))
    }
}

/// Ends the reading where a link header was cut.
fn whole<T>(field: Option<T>) -> Result<T, Skip> {
    field.ok_or(Skip::LinkTruncated)
}

/// Version and place of the IP header that a link announces, or why there is none.
type Found = Result<(u8, usize), Skip>;

/// Finds the outermost IP header.
fn find_ip(link: LinkKind, bytes: Bytes<'_>) -> Found {
    if let Some((ether_type, at)) = first_ether_type(link, bytes)? {
        return match (link, ether_type) {
            // Linux's own number for a frame that begins with an 802.2 header (ETH_P_802_2, linux/if_ether.h).
            (LinkKind::LinuxSll | LinkKind::LinuxSll2, 4) => after_802_2(bytes, at, 1),
            // Only in Ethernet may the field be a length.
            (LinkKind::Ethernet, _) => after_ether_type(ether_type, bytes, at, 1),
            _ if is_length(ether_type) => Err(Skip::NotIp),
            _ => after_ether_type(ether_type, bytes, at, 1),
        };
    }
    match link {
        LinkKind::RawIp => match whole(bytes.u8(0))? >> 4 {
            version @ (4 | 6) => Ok((version, 0)),
            _ => Err(Skip::NotIp),
        },
        LinkKind::Ipv4 => Ok((4, 0)),
        LinkKind::Ipv6 => Ok((6, 0)),
        // RFC 1662, 3.1: address ff and control 03, which may be left out (RFC 1661, 6.6).
        LinkKind::Ppp => match (whole(bytes.u8(0))?, bytes.u8(1)) {
            (0xff, Some(3)) => after_ppp(bytes, 2, 1),
            (0xff | 0x0f | 0x8f, None) => Err(Skip::LinkTruncated),
            _ => after_ppp(bytes, 0, 1),
        },
        LinkKind::PppoeSession => after_pppoe(bytes, 0, 1),
        // tcpdump.org/linktypes.html, LINKTYPE_NULL: the address family of the machine that captured, in its byte
        // order.
        LinkKind::BsdLoopback => {
            let family = whole(bytes.u32(0))?;
            match [family, family.swap_bytes()].map(bsd_version) {
                [Some(version), _] | [None, Some(version)] => Ok((version, 4)),
                [None, None] => Err(Skip::NotIp),
            }
        }
        _ => Err(Skip::UnsupportedLink),
    }
}

/// tcpdump.org/linktypes/LINKTYPE_NFLOG.html: family, version, resource ID of 2 bytes, then attributes of length, type
/// and value, each padded to a multiple of four. Attribute 9 is the packet. Attribute 1 begins with an EtherType, which
/// counts for families other than IPv4 (2) and IPv6 (10). The types are small numbers, so that their byte order shows;
/// the two highest bits are flags of netlink.
fn nflog(bytes: Bytes<'_>) -> Result<(u16, usize), Skip> {
    whole(bytes.u8(3))?;
    let mut ether_type = match bytes.u8(0) {
        Some(2) => Some(0x0800),
        Some(10) => Some(0x86dd),
        _ => None,
    };
    let mut at = 4;
    for _ in 0..64 {
        if at == bytes.len() {
            return Err(Skip::NotIp);
        }
        let (mut len, mut kind) = (whole(bytes.u16(at))?, whole(bytes.u16(at + 2))?);
        if kind & 0x3f == 0 {
            (len, kind) = (len.swap_bytes(), kind.swap_bytes());
        }
        if len < 4 {
            return Err(Skip::NotIp);
        }
        match (kind & 0xff, ether_type) {
            (9, Some(ether_type)) => return Ok((ether_type, at + 4)),
            (9, None) => return Err(Skip::NotIp),
            (1, None) if len >= 6 => ether_type = Some(whole(bytes.u16(at + 4))?),
            _ => {}
        }
        let (end, padded_end) = (at + usize::from(len), at + usize::from(len).next_multiple_of(4));
        if end > bytes.len() {
            return Err(Skip::LinkTruncated);
        }
        at = padded_end.min(bytes.len());
    }
    Err(Skip::LinkTooDeep)
}

/// The first field that is an EtherType, and where what it names begins; `None` on links whose header has no such
/// field.
fn first_ether_type(link: LinkKind, bytes: Bytes<'_>) -> Result<Option<(u16, usize)>, Skip> {
    match link {
        // IEEE 802.3, 3.1.1: destination, source, type or length.
        LinkKind::Ethernet => Ok(Some((whole(bytes.u16(12))?, 14))),
        // LINKTYPE_LINUX_SLL: packet type, ARPHRD, address length, address of 8 bytes, protocol.
        LinkKind::LinuxSll => cooked(bytes, 2, 14, 16),
        // LINKTYPE_LINUX_SLL2: protocol, 2 bytes reserved, interface, ARPHRD, packet type, address length, address.
        LinkKind::LinuxSll2 => cooked(bytes, 8, 0, 20),
        // RFC 1547, 4.3.1: address, control 00, EtherType.
        LinkKind::CiscoHdlc => Ok(Some((whole(bytes.u16(2))?, 4))),
        LinkKind::Nflog => nflog(bytes).map(Some),
        // Cisco's framing on a PPP link, recognized by its addresses.
        LinkKind::Ppp if matches!((bytes.u8(0), bytes.u8(1)), (Some(0x0f | 0x8f), Some(0))) => {
            Ok(Some((whole(bytes.u16(2))?, 4)))
        }
        _ => Ok(None),
    }
}

/// A cooked header. On netlink devices (ARPHRD 824) its protocol field is the netlink family.
fn cooked(
    bytes: Bytes<'_>,
    hardware_at: usize,
    protocol_at: usize,
    len: usize,
) -> Result<Option<(u16, usize)>, Skip> {
    whole(bytes.u8(len - 1))?;
    match whole(bytes.u16(hardware_at))? {
        824 => Err(Skip::NotIp),
        _ => Ok(Some((whole(bytes.u16(protocol_at))?, len))),
    }
}

/// The version that an address family stands for. All systems have 2 for IPv4; IPv6 is 10 on Linux, 23 on Windows,
/// 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS. Some write an EtherType.
fn bsd_version(family: u32) -> Option<u8> {
    match family {
        2 | 0x0800 => Some(4),
        10 | 23 | 24 | 28 | 30 | 0x86dd => Some(6),
        _ => None,
    }
}

/// Most headers that are followed behind the first, the IP header among them.
const HEADERS_MAX: usize = 64;

/// Refuses header number `nth` behind the first if it is one too many.
fn within_depth(nth: usize) -> Result<(), Skip> {
    if nth > HEADERS_MAX { Err(Skip::LinkTooDeep) } else { Ok(()) }
}

/// IEEE 802.1Q (8100), 802.1ad (88a8), and the numbers in use before it.
const VLAN_TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
const PPPOE_SESSION: u16 = 0x8864;

/// IEEE 802.3, 3.2.6: up to 1500 the field is a length and an 802.2 header follows.
fn is_length(ether_type: u16) -> bool {
    ether_type <= 1500
}

/// What an EtherType names begins at `at`.
fn after_ether_type(ether_type: u16, bytes: Bytes<'_>, at: usize, nth: usize) -> Found {
    within_depth(nth)?;
    match ether_type {
        0x0800 => ip(4, at, nth + 1),
        0x86dd => ip(6, at, nth + 1),
        // Priority and VID, then the next EtherType.
        tag if VLAN_TAGS.contains(&tag) => {
            after_ether_type(whole(bytes.u16(at + 2))?, bytes, at + 4, nth + 1)
        }
        // RFC 5332: unicast and multicast.
        0x8847 | 0x8848 => after_mpls(bytes, at, nth + 1),
        PPPOE_SESSION => after_pppoe(bytes, at, nth + 1),
        length if is_length(length) => after_802_2(bytes, at, nth + 1),
        _ => Err(Skip::NotIp),
    }
}

/// The IP header is one of the headers that may not be too many.
fn ip(version: u8, at: usize, nth: usize) -> Found {
    within_depth(nth)?;
    Ok((version, at))
}

/// RFC 3032, 2.1: label, class, bottom of stack (the lowest bit of the third byte), time to live. Below the bottom the
/// first four bits distinguish IP from a pseudowire (RFC 4928, 3).
fn after_mpls(bytes: Bytes<'_>, at: usize, nth: usize) -> Found {
    within_depth(nth)?;
    let entry = whole(bytes.u32(at))?;
    if entry & 0x0000_0100 == 0 {
        return after_mpls(bytes, at + 4, nth + 1);
    }
    match whole(bytes.u8(at + 4))? >> 4 {
        version @ (4 | 6) => ip(version, at + 4, nth + 1),
        _ => Err(Skip::MplsPseudowire),
    }
}

/// RFC 2516, 4: version and type, code, session, length, then PPP without address and control.
fn after_pppoe(bytes: Bytes<'_>, at: usize, nth: usize) -> Found {
    whole(bytes.u8(at + 5))?;
    after_ppp(bytes, at + 6, nth)
}

/// RFC 1661, 2: a protocol number of two bytes, of which the first is even and the second odd. It may be compressed to
/// the second (6.5).
fn after_ppp(bytes: Bytes<'_>, at: usize, nth: usize) -> Found {
    within_depth(nth)?;
    let first = whole(bytes.u8(at))?;
    let (protocol, at) =
        if first % 2 == 1 { (u16::from(first), at + 1) } else { (whole(bytes.u16(at))?, at + 2) };
    match protocol {
        // RFC 1332, RFC 5072, RFC 3032, 4.3.
        0x0021 => ip(4, at, nth + 1),
        0x0057 => ip(6, at, nth + 1),
        0x0281 | 0x0283 => after_mpls(bytes, at, nth + 1),
        _ => Err(Skip::NotIp),
    }
}

/// IEEE 802.2: DSAP, SSAP, control. IP has an address of its own there (06) and comes in SNAP (aa): RFC 1042 with the
/// organization 000000, IEEE 802.1H with 0000f8, both followed by an EtherType.
fn after_802_2(bytes: Bytes<'_>, at: usize, nth: usize) -> Found {
    within_depth(nth)?;
    let header = [bytes.u8(at), bytes.u8(at + 1), bytes.u8(at + 2)];
    // The captured part decides whether it can be one of the two.
    let can_be = |form: [u8; 3]| header.iter().zip(form).all(|(byte, form)| byte.is_none_or(|b| b == form));
    if can_be([6, 6, 3]) {
        whole(bytes.u8(at + 2))?;
        return ip(4, at + 3, nth + 1);
    }
    if !can_be([0xaa, 0xaa, 3]) {
        return Err(Skip::NotIp);
    }
    let ether_type = whole(bytes.u16(at + 6))?;
    match (bytes.u8(at + 3), bytes.u8(at + 4), bytes.u8(at + 5)) {
        (Some(0), Some(0), Some(0 | 0xf8)) if !is_length(ether_type) => {
            after_ether_type(ether_type, bytes, at + 8, nth + 1)
        }
        _ => Err(Skip::NotIp),
    }
}

/// An IP packet, and where it lies.
struct Packet {
    version: u8,
    /// From the start of the frame.
    at: usize,
    summary: Summary,
}

impl Packet {
    /// Reads the packet whose header is at `at`, in a frame that ends at `frame_end`, captured or not.
    fn read(bytes: Bytes<'_>, version: u8, at: usize, frame_end: usize) -> Result<Self, Skip> {
        let first = bytes.u8(at).ok_or(Skip::IpTruncated)?;
        if first >> 4 != version {
            return Err(Skip::IpVersion);
        }
        let in_frame = (frame_end - at) as u64;
        let read = if version == 4 { Self::ipv4 } else { Self::ipv6 };
        read(bytes, at, in_frame).map(|summary| Self { version, at, summary })
    }

    /// RFC 791, 3.1.
    fn ipv4(bytes: Bytes<'_>, at: usize, in_frame: u64) -> Result<Summary, Skip> {
        let cut = Skip::IpTruncated;
        // The last field of the fixed header was captured, so all of them were.
        let dst = bytes.u32(at + 16).ok_or(cut)?;
        let src = bytes.u32(at + 12).ok_or(cut)?;
        let mut protocol = bytes.u8(at + 9).ok_or(cut)?;
        let header_len = 4 * usize::from(bytes.u8(at).ok_or(cut)? % 16);
        if header_len < 20 {
            return Err(Skip::IpHeaderLength);
        }
        let declared = u64::from(bytes.u16(at + 2).ok_or(cut)?);
        let (ip_bytes, length_mismatch) = length(declared, header_len, in_frame)?;

        // Three flags, then the offset in units of 8 bytes.
        let offset = bytes.u16(at + 6).ok_or(cut)? % 0x2000;
        let transport = if offset > 0 {
            Transport::LaterFragment
        } else {
            let packet = bytes.before(at + ip_bytes as usize);
            let mut upper_at = at + header_len;
            // RFC 4302, 2: next header, length in words of 4 bytes less 2.
            if protocol == AUTHENTICATION
                && let (Some(next), Some(len)) = (packet.u8(upper_at), packet.u8(upper_at + 1))
            {
                protocol = next;
                upper_at += 4 * (usize::from(len) + 2);
            }
            transport(protocol, packet, upper_at)
        };
        let endpoints = Endpoints::V4 { src: Ipv4Addr::from_bits(src), dst: Ipv4Addr::from_bits(dst) };
        Ok(one_packet(endpoints, ip_bytes, length_mismatch, protocol, transport))
    }

    /// RFC 8200, 3.
    fn ipv6(bytes: Bytes<'_>, at: usize, in_frame: u64) -> Result<Summary, Skip> {
        let cut = Skip::IpTruncated;
        let dst = bytes.u128(at + 24).ok_or(cut)?;
        let src = bytes.u128(at + 8).ok_or(cut)?;
        let next_header = bytes.u8(at + 6).ok_or(cut)?;
        let declared = match bytes.u16(at + 4).ok_or(cut)? {
            0 => jumbo_payload(bytes, at).map_or(0, |payload| u64::from(payload) + 40),
            payload => u64::from(payload) + 40,
        };
        let (ip_bytes, length_mismatch) = length(declared, 40, in_frame)?;

        let packet = bytes.before(at + ip_bytes as usize);
        let upper = behind_extension_headers(next_header, packet, at + 40);
        let transport = if upper.is_later_fragment {
            Transport::LaterFragment
        } else {
            transport(upper.protocol, packet, upper.at)
        };
        let endpoints = Endpoints::V6 { src: Ipv6Addr::from_bits(src), dst: Ipv6Addr::from_bits(dst) };
        Ok(one_packet(endpoints, ip_bytes, length_mismatch, upper.protocol, transport))
    }

    /// Place and protocol of the header above IP, if there is one and the captured bytes lead to it. The packet's
    /// length does not matter, and for IPv4 it is what follows the IP header, also an authentication header.
    fn upper_layer(&self, bytes: Bytes<'_>) -> Option<(usize, u8)> {
        if self.summary.transport == Transport::LaterFragment {
            return None;
        }
        if self.version == 4 {
            let header_len = 4 * usize::from(bytes.u8(self.at)? % 16);
            return Some((self.at + header_len, bytes.u8(self.at + 9)?));
        }
        let upper = behind_extension_headers(bytes.u8(self.at + 6)?, bytes, self.at + 40);
        let is_there = !upper.is_later_fragment && upper.at < bytes.len();
        is_there.then_some((upper.at, upper.protocol))
    }
}

const AUTHENTICATION: u8 = 51;

fn one_packet(
    endpoints: Endpoints,
    ip_bytes: u32,
    length_mismatch: bool,
    protocol: u8,
    transport: Transport,
) -> Summary {
    Summary {
        endpoints,
        segments: 1,
        ip_bytes,
        segments_unknown: false,
        length_mismatch,
        protocol,
        transport,
    }
}

/// The byte rule: bytes of the packet, and whether its header declares more than the frame holds. A length of 0 leaves
/// it to the frame (TSO, BIG TCP). No packet is shorter than its header.
fn length(declared: u64, header_len: usize, in_frame: u64) -> Result<(u32, bool), Skip> {
    let packet_len = if declared == 0 { in_frame } else { declared };
    if packet_len < header_len as u64 {
        return Err(Skip::IpTotalLength);
    }
    Ok((packet_len.min(in_frame) as u32, packet_len > in_frame))
}

/// RFC 2675, 2: the payload length in a jumbo option (type c2, length 4) of the hop-by-hop header, which comes first
/// (RFC 8200, 4.1). Options are type, length, value; type 0 is one byte of padding (RFC 8200, 4.2). A payload length
/// of 0 is none.
///
/// The length byte of the option is not read, since the type determines it.
fn jumbo_payload(bytes: Bytes<'_>, at: usize) -> Option<u32> {
    if bytes.u8(at + 6)? != 0 {
        return None;
    }
    let header_at = at + 40;
    let header_end = header_at + 8 * (usize::from(bytes.u8(header_at + 1)?) + 1);
    let options = bytes.before(header_end);
    let mut option_at = header_at + 2;
    loop {
        match options.u8(option_at)? {
            0 => option_at += 1,
            0xc2 => return options.u32(option_at + 2).filter(|&len| len > 0),
            _ => option_at += 2 + usize::from(options.u8(option_at + 1)?),
        }
    }
}

/// Where extension headers end.
struct Upper {
    protocol: u8,
    at: usize,
    is_later_fragment: bool,
}

/// RFC 8200, 4: each header begins with the number of the next. A header of which the length was not captured is the
/// end, and so is what follows 64 of them.
fn behind_extension_headers(first: u8, packet: Bytes<'_>, first_at: usize) -> Upper {
    let (mut protocol, mut at) = (first, first_at);
    for _ in 0..64 {
        let (Some(next), Some(second)) = (packet.u8(at), packet.u8(at + 1)) else { break };
        at += match protocol {
            // Hop-by-hop, routing, destination options (RFC 8200, 4.3, 4.4, 4.6), mobility (RFC 6275, 6.1.1),
            // HIP (RFC 7401, 5.1), shim6 (RFC 5533, 5.1): units of 8 bytes, the first not counted.
            0 | 43 | 60 | 135 | 139 | 140 => 8 + 8 * usize::from(second),
            // Fragment (RFC 8200, 4.5): 13 bits of offset, 2 reserved, more follow.
            44 => match packet.u16(at + 2) {
                None => break,
                Some(field) if field >> 3 > 0 => {
                    return Upper { protocol: next, at, is_later_fragment: true };
                }
                Some(_) => 8,
            },
            // RFC 4302, 2.2: words of 4 bytes, two of them not counted.
            AUTHENTICATION => 8 + 4 * usize::from(second),
            _ => break,
        };
        protocol = next;
    }
    Upper { protocol, at, is_later_fragment: false }
}

/// The header above IP at `at`, as far as `packet` has it.
fn transport(protocol: u8, packet: Bytes<'_>, at: usize) -> Transport {
    let ports = || Some((packet.u16(at)?, packet.u16(at + 2)?));
    match (protocol, ports()) {
        // ICMP (RFC 792) and ICMPv6 (RFC 4443): type first.
        (1 | 58, _) => packet.u8(at).map_or(Transport::Other, |kind| Transport::Icmp { kind }),
        // TCP (RFC 9293, 3.1): data offset in the upper half of byte 12, at least 5 words; flags in byte 13.
        (6, Some((src_port, dst_port))) => {
            let is_header = packet.u8(at + 12).is_some_and(|byte| byte >> 4 >= 5);
            let flags = packet.u8(at + 13).filter(|_| is_header).map(TcpFlags);
            Transport::Tcp { src_port, dst_port, flags }
        }
        // UDP (RFC 768), DCCP (RFC 4340, 5.1), UDP-Lite (RFC 3828, 3).
        (17 | 33 | 136, Some((src_port, dst_port))) => Transport::Ports { src_port, dst_port },
        // SCTP (RFC 9260, 3): ports, tag, checksum; then the first chunk, type first.
        (132, Some((src_port, dst_port))) => {
            Transport::Sctp { src_port, dst_port, chunk: packet.u8(at + 12) }
        }
        _ => Transport::Other,
    }
}

/// Packets and their bytes on the wire, of a frame that stands for several: the headers, the innermost transport header
/// included, are on each of them, and `payload_bytes` of the rest on all but the last (`tcp_gso_segment` and
/// `__udp_gso_segment`, net/ipv4). `None` where the headers cannot be followed to their end.
fn on_the_wire(bytes: Bytes<'_>, packet: &Packet, segments: &Segments) -> Option<(u32, u32)> {
    let (upper_at, upper_protocol) = packet.upper_layer(bytes)?;
    let expected = if segments.transported == Transported::Tcp { 6 } else { 17 };
    // The offset that the source reported for the innermost header: that of the header above IP, or deeper.
    let reported = segments.transport_at.map(usize::from).filter(|&at| at >= upper_at);
    let transport_at = reported.or((upper_protocol == expected).then_some(upper_at))?;
    if transport_at > bytes.len() {
        return None;
    }
    let transport_len = match segments.transported {
        // The kernel segments no TCP header below 20 bytes; the decoder needs only 8.
        Transported::Tcp => {
            Some(usize::from(bytes.u8(transport_at + 12)? >> 4) * 4).filter(|&len| len >= 8)?
        }
        Transported::Udp => 8,
    };
    let headers = (transport_at + transport_len - packet.at) as u64;
    let payload = u64::from(packet.summary.ip_bytes).checked_sub(headers)?;
    let per_packet = u64::from(segments.payload_bytes.get());
    // One packet at least, though it has no payload.
    let count = payload.div_ceil(per_packet).max(1);
    // BIG TCP (`struct hop_jumbo_hdr`, include/net/ipv6.h): the jumbo header of the joined frame is on no packet.
    let is_jumbo = packet.version == 6
        && bytes.u16(packet.at + 4) == Some(0)
        && jumbo_payload(bytes, packet.at).is_some();
    let repeated = if is_jumbo { headers - 8 } else { headers };
    let ip_bytes = count * repeated + payload;
    Some((u32::try_from(count).ok()?, u32::try_from(ip_bytes).ok()?))
}
