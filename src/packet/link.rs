//! Finds the IP header after the link header, VLAN tags, MPLS labels and PPPoE sessions. Tunnels are not followed.
//!
//! Each header but the last MPLS label names the next one, so [`locate_ip`] is a loop over [`Layer`], and each step
//! consumes some bytes. It finds only the first IP header; [`ipv4`](super::ipv4) and [`ipv6`](super::ipv6) decode it.
//!
//! ```text
//! Ethernet      destination, source (6 each) | EtherType, or the length of an 802.3 frame up to 1500
//! VLAN          priority and VID (2) | EtherType (2)                0x8100 0x88a8 0x9100 0x9200
//! MPLS          label (20 bits) | class (3) | bottom of stack (1) | time to live (8)
//! PPPoE         version and type (1) | code (1) | session (2) | length (2) | PPP
//! PPP           address and control ff 03, optional | protocol (2, or 1 where its lowest bit is set)
//! 802.2         aa aa 03 | organization (3) | EtherType (2)  = SNAP;   06 06 03  = IPv4
//! SLL           type (2) | ARPHRD (2) | address length (2) | address (8) | EtherType (2)
//! SLL2          EtherType (2) | reserved (2) | interface (4) | ARPHRD (2) | type (1) | length (1) | address (8)
//! BSD loopback  address family (4, in the byte order of the machine that captured)
//! Cisco HDLC    address (1) | control (1) | EtherType (2)
//! NFLOG         family (1) | version (1) | resource (2) | attributes, each length (2) | type (2) | value, padded to 4
//! ```

use etherparse::{EtherType, Ethernet2Header, Ethernet2HeaderSlice, SingleVlanHeader, SingleVlanHeaderSlice};

use super::frame::{Frame, LinkKind};
use super::summary::Skip;

/// Maximum number of steps of `locate_ip`, more than any network nests: one for each tag or label, one for the type
/// after the last, and one for the packet. A frame with more is skipped as [`Skip::LinkTooDeep`].
pub const LINK_HEADERS_MAX: usize = 64;

/// The IP version that the link header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Finds the outermost IP header. Returns the announced version and the captured bytes from the header on. The caller
/// must check that the bytes are an IP header and that there are enough of them.
///
/// # Errors
/// The reason why no IP header was found.
pub(super) fn locate_ip(link: LinkKind, frame: &[u8]) -> Result<(IpVersion, &[u8]), Skip> {
    let (mut layer, mut rest) = first_header(link, frame)?;
    for _ in 0..LINK_HEADERS_MAX {
        (layer, rest) = match layer {
            Layer::Ip(ip_version) => return Ok((ip_version, rest)),
            Layer::Typed(ether_type) => after_ether_type(ether_type, rest)?,
            Layer::Mpls => after_label(rest)?,
            Layer::Ppp => after_ppp_protocol(rest)?,
            Layer::Llc => after_llc(rest)?,
        };
    }
    Err(Skip::LinkTooDeep)
}

/// Returns the captured bytes of a frame from its outermost IP header on, with what follows the packet in the frame;
/// `None` if no IP header was found.
pub(crate) fn outermost_packet<'a>(frame: &Frame<'a>) -> Option<&'a [u8]> {
    locate_ip(frame.link, frame.captured()).ok().map(|(_, packet)| packet)
}

/// Returns true if an EtherType 8864, after VLAN tags or not, announces a PPPoE session (RFC 2516), which may carry an
/// IP packet or a control protocol of PPP. It is false for [`LinkKind::PppoeSession`], whose frames have no EtherType.
///
/// ```
/// use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, is_pppoe_session};
/// # use traffic_alerted::time::UnixNanos;
/// let mut bytes = [0; 18];
/// bytes[12..].copy_from_slice(&[0x81, 0x00, 0, 7, 0x88, 0x64]);
/// let frame = Frame {
///     bytes: &bytes,
///     frame_len: 60,
///     seen_at: UnixNanos(0),
///     ifindex: 1,
///     link: LinkKind::Ethernet,
///     direction: Direction::Ingress,
///     segmentation: Segmentation::None,
/// };
/// assert!(is_pppoe_session(&frame));
/// assert!(!is_pppoe_session(&Frame { bytes: &bytes[..16], ..frame }));
/// ```
#[inline]
pub fn is_pppoe_session(frame: &Frame<'_>) -> bool {
    leads_to_pppoe_session(frame.link, frame.captured())
}

#[inline(never)]
fn leads_to_pppoe_session(link: LinkKind, frame: &[u8]) -> bool {
    let mut step = first_header(link, frame);
    for _ in 0..LINK_HEADERS_MAX {
        let Ok((Layer::Typed(ether_type), rest)) = step else { return false };
        if ether_type == PPPOE_SESSION {
            return true;
        }
        step = after_ether_type(ether_type, rest);
    }
    false
}

/// The kind of header that the remaining bytes begin with.
#[derive(Clone, Copy)]
enum Layer {
    /// An IP header.
    Ip(IpVersion),
    /// The header that this EtherType names.
    Typed(EtherType),
    /// An MPLS label.
    Mpls,
    /// The protocol field of PPP.
    Ppp,
    /// An 802.2 header.
    Llc,
}

type LayerStep<'a> = Result<(Layer, &'a [u8]), Skip>;

/// Reads the header that every frame of this kind of link begins with.
fn first_header(link: LinkKind, frame: &[u8]) -> LayerStep<'_> {
    match link {
        LinkKind::Ethernet => {
            let header = Ethernet2HeaderSlice::from_slice(frame).map_err(|_| Skip::LinkTruncated)?;
            Ok((Layer::Typed(header.ether_type()), tail(frame, Ethernet2Header::LEN)))
        }
        LinkKind::RawIp => Ok((Layer::Ip(ip_version_of(frame)?.ok_or(Skip::NotIp)?), frame)),
        LinkKind::Ipv4 => Ok((Layer::Ip(IpVersion::V4), frame)),
        LinkKind::Ipv6 => Ok((Layer::Ip(IpVersion::V6), frame)),
        LinkKind::LinuxSll => {
            let (&[_, _, h1, h0, .., t1, t0], rest) = take::<16>(frame)?;
            after_cooked(u16::from_be_bytes([h1, h0]), u16::from_be_bytes([t1, t0]), rest)
        }
        LinkKind::LinuxSll2 => {
            let (&[t1, t0, _, _, _, _, _, _, h1, h0, ..], rest) = take::<20>(frame)?;
            after_cooked(u16::from_be_bytes([h1, h0]), u16::from_be_bytes([t1, t0]), rest)
        }
        LinkKind::Ppp => match *frame {
            [0xff, 0x03, ref rest @ ..] => Ok((Layer::Ppp, rest)),
            [CISCO_UNICAST | CISCO_MULTICAST, 0, ..] => cisco_hdlc(frame),
            [0xff | CISCO_UNICAST | CISCO_MULTICAST] => Err(Skip::LinkTruncated),
            _ => Ok((Layer::Ppp, frame)),
        },
        LinkKind::PppoeSession => pppoe(frame),
        LinkKind::BsdLoopback => {
            let (&family, rest) = take::<4>(frame)?;
            Ok((Layer::Ip(bsd_family(family).ok_or(Skip::NotIp)?), rest))
        }
        LinkKind::CiscoHdlc => cisco_hdlc(frame),
        LinkKind::Nflog => nflog(frame),
        LinkKind::Unsupported(_) => Err(Skip::UnsupportedLink),
    }
}

fn after_ether_type(ether_type: EtherType, rest: &[u8]) -> LayerStep<'_> {
    match ether_type {
        EtherType::IPV4 => Ok((Layer::Ip(IpVersion::V4), rest)),
        EtherType::IPV6 => Ok((Layer::Ip(IpVersion::V6), rest)),
        EtherType::VLAN_TAGGED_FRAME
        | EtherType::PROVIDER_BRIDGING
        | EtherType::VLAN_DOUBLE_TAGGED_FRAME
        | QINQ_0X9200 => {
            let tag = SingleVlanHeaderSlice::from_slice(rest).map_err(|_| Skip::LinkTruncated)?;
            Ok((Layer::Typed(tag.ether_type()), tail(rest, SingleVlanHeader::LEN)))
        }
        MPLS_UNICAST | MPLS_MULTICAST => Ok((Layer::Mpls, rest)),
        PPPOE_SESSION => pppoe(rest),
        EtherType(length) if length <= LENGTH_MAX => Ok((Layer::Llc, rest)),
        _ => Err(Skip::NotIp),
    }
}

fn after_label(rest: &[u8]) -> LayerStep<'_> {
    let (&[_, _, low, _], rest) = take::<4>(rest)?;
    if low & MPLS_BOTTOM_OF_STACK == 0 {
        return Ok((Layer::Mpls, rest));
    }
    // A label stack does not name its payload. Pseudowires avoid the first nibbles of IP packets (RFC 4928).
    Ok((Layer::Ip(ip_version_of(rest)?.ok_or(Skip::MplsPseudowire)?), rest))
}

fn after_ppp_protocol(rest: &[u8]) -> LayerStep<'_> {
    let (protocol, rest) = match *rest {
        [low, ref rest @ ..] if low & 1 == 1 => (u16::from(low), rest),
        [high, low, ref rest @ ..] => (u16::from_be_bytes([high, low]), rest),
        _ => return Err(Skip::LinkTruncated),
    };
    match protocol {
        0x0021 => Ok((Layer::Ip(IpVersion::V4), rest)),
        0x0057 => Ok((Layer::Ip(IpVersion::V6), rest)),
        0x0281 | 0x0283 => Ok((Layer::Mpls, rest)),
        _ => Err(Skip::NotIp),
    }
}

fn after_llc(rest: &[u8]) -> LayerStep<'_> {
    match *rest {
        // The organization code of Ethernet (RFC 1042), or that of bridged Ethernet (802.1H).
        [0xaa, 0xaa, 0x03, 0, 0, 0x00 | 0xf8, t1, t0, ref rest @ ..] => {
            typed_or_not_ip(u16::from_be_bytes([t1, t0]), rest)
        }
        [0x06, 0x06, 0x03, ref rest @ ..] => Ok((Layer::Ip(IpVersion::V4), rest)),
        [] | [0xaa | 0x06] | [0xaa, 0xaa] | [0x06, 0x06] | [0xaa, 0xaa, 0x03] => Err(Skip::LinkTruncated),
        [0xaa, 0xaa, 0x03, ..] if rest.len() < SNAP_LEN => Err(Skip::LinkTruncated),
        _ => Err(Skip::NotIp),
    }
}

/// Reads the protocol of a cooked header. It is an EtherType, with two exceptions: netlink messages use the field for
/// something else, and small values are specific to Linux (`ETH_P_802_2` announces an 802.2 header).
fn after_cooked(hardware_type: u16, protocol: u16, rest: &[u8]) -> LayerStep<'_> {
    match (hardware_type, protocol) {
        (ARPHRD_NETLINK, _) => Err(Skip::NotIp),
        (_, ETH_P_802_2) => Ok((Layer::Llc, rest)),
        (_, protocol) => typed_or_not_ip(protocol, rest),
    }
}

fn cisco_hdlc(frame: &[u8]) -> LayerStep<'_> {
    let (&[_, _, t1, t0], rest) = take::<4>(frame)?;
    typed_or_not_ip(u16::from_be_bytes([t1, t0]), rest)
}

/// Finds the packet among the attributes of a netfilter log message. The family of the message states its IP version,
/// and if the family is that of a bridge or a device, the EtherType in the attribute `NFULA_PACKET_HDR` does.
///
/// Lengths and types are in the byte order of the machine that captured. It is recognized by the type, which is below
/// 256 without its two flags.
fn nflog(frame: &[u8]) -> LayerStep<'_> {
    let (&[family, ..], mut rest) = take::<4>(frame)?;
    let mut ether_type = match family {
        NFPROTO_IPV4 => Some(EtherType::IPV4.0),
        NFPROTO_IPV6 => Some(EtherType::IPV6.0),
        _ => None,
    };
    for _ in 0..NFLOG_ATTRIBUTES_MAX {
        if rest.is_empty() {
            return Err(Skip::NotIp);
        }
        let (&[l0, l1, t0, t1], value) = take::<4>(rest)?;
        let is_little = t1 & NLA_TYPE_HIGH_MASK == 0;
        let (len, kind) = if is_little { ([l1, l0], t0) } else { ([l0, l1], t1) };
        let len = usize::from(u16::from_be_bytes(len));
        // The length includes the four bytes of the attribute's own header.
        let Some(value_len) = len.checked_sub(NFLOG_ATTRIBUTE_HEADER_LEN) else { return Err(Skip::NotIp) };
        match kind {
            NFULA_PAYLOAD => return typed_or_not_ip(ether_type.ok_or(Skip::NotIp)?, value),
            NFULA_PACKET_HDR if ether_type.is_none() && value_len >= 2 => {
                let (&[e1, e0], _) = take::<2>(value)?;
                ether_type = Some(u16::from_be_bytes([e1, e0]));
            }
            _ => {}
        }
        // The last attribute may end without padding.
        let padded = value_len.next_multiple_of(4).min(value_len.max(value.len()));
        rest = value.get(padded..).ok_or(Skip::LinkTruncated)?;
    }
    Err(Skip::LinkTooDeep)
}

/// Reads a type field that is never a length.
fn typed_or_not_ip(ether_type: u16, rest: &[u8]) -> LayerStep<'_> {
    if ether_type <= LENGTH_MAX {
        return Err(Skip::NotIp);
    }
    Ok((Layer::Typed(EtherType(ether_type)), rest))
}

fn pppoe(rest: &[u8]) -> LayerStep<'_> {
    let (_, rest) = take::<6>(rest)?;
    Ok((Layer::Ppp, rest))
}

/// Reads the IP version from the first byte of a packet that no header announces; `None` if it is neither 4 nor 6.
fn ip_version_of(packet: &[u8]) -> Result<Option<IpVersion>, Skip> {
    match packet.first().ok_or(Skip::LinkTruncated)? >> 4 {
        4 => Ok(Some(IpVersion::V4)),
        6 => Ok(Some(IpVersion::V6)),
        _ => Ok(None),
    }
}

/// Reads the address family of BSD loopback. IPv4 is 2 on every system, IPv6 differs; some systems write an EtherType.
fn bsd_family(field: [u8; 4]) -> Option<IpVersion> {
    [u32::from_be_bytes(field), u32::from_le_bytes(field)].into_iter().find_map(|family| match family {
        2 | 0x0800 => Some(IpVersion::V4),
        // Linux; Windows; NetBSD and OpenBSD; FreeBSD; macOS.
        10 | 23 | 24 | 28 | 30 | 0x86dd => Some(IpVersion::V6),
        _ => None,
    })
}

fn take<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), Skip> {
    bytes.split_first_chunk().ok_or(Skip::LinkTruncated)
}

fn tail(bytes: &[u8], from: usize) -> &[u8] {
    bytes.get(from..).unwrap_or(&[])
}

const QINQ_0X9200: EtherType = EtherType(0x9200);
const MPLS_UNICAST: EtherType = EtherType(0x8847);
const MPLS_MULTICAST: EtherType = EtherType(0x8848);
const PPPOE_SESSION: EtherType = EtherType(0x8864);

/// Maximum of a type field that is the length of an 802.3 frame. EtherTypes begin at 0x600.
const LENGTH_MAX: u16 = 1500;

const MPLS_BOTTOM_OF_STACK: u8 = 1;
const SNAP_LEN: usize = 8;

/// `ETH_P_802_2` of linux/if_ether.h.
const ETH_P_802_2: u16 = 4;
/// `ARPHRD_NETLINK` of linux/if_arp.h.
const ARPHRD_NETLINK: u16 = 824;

/// Families of a netfilter log message that state the IP version (`NFPROTO_*` of linux/netfilter.h).
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
/// Attributes of a netfilter log message (linux/netfilter/nfnetlink_log.h).
const NFULA_PACKET_HDR: u8 = 1;
const NFULA_PAYLOAD: u8 = 9;
/// The bits of the upper half of an attribute's type that are no flags (`NLA_TYPE_MASK` of linux/netlink.h).
const NLA_TYPE_HIGH_MASK: u8 = 0x3f;
const NFLOG_ATTRIBUTE_HEADER_LEN: usize = 4;
/// Maximum number of attributes before the packet. Linux has about twenty kinds and writes each at most once.
const NFLOG_ATTRIBUTES_MAX: usize = 64;

/// First byte of Cisco HDLC framing on a PPP link (RFC 1547, 4.3.1).
const CISCO_UNICAST: u8 = 0x0f;
const CISCO_MULTICAST: u8 = 0x8f;

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, reason = "the frames of these tests are short")]

    use super::*;
    use crate::packet::{Direction, Segmentation};
    use crate::time::UnixNanos;

    const ETHERNET: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    const IP4: [u8; 4] = [0x45, 0, 0, 20];
    const IP6: [u8; 4] = [0x60, 0, 0, 0];

    fn ethernet(after_addresses: &[&[u8]]) -> Vec<u8> {
        [&ETHERNET[..], &after_addresses.concat()].concat()
    }

    #[test]
    fn ip_in_ethernet_is_found_after_tags_and_labels() {
        for (what, after_addresses, expected) in [
            ("IPv4", vec![&[0x08, 0x00][..], &IP4], (IpVersion::V4, &IP4)),
            ("IPv6", vec![&[0x86, 0xdd], &IP6], (IpVersion::V6, &IP6)),
            ("VLAN", vec![&[0x81, 0x00, 0, 7, 0x08, 0x00], &IP4], (IpVersion::V4, &IP4)),
            (
                "four tags of four kinds",
                vec![
                    &[0x88, 0xa8, 0, 7, 0x91, 0x00, 0, 8, 0x92, 0x00, 0, 9, 0x81, 0x00, 0, 1, 0x86, 0xdd],
                    &IP6,
                ],
                (IpVersion::V6, &IP6),
            ),
            ("two labels", vec![&[0x88, 0x47, 0, 1, 0, 64, 0, 2, 1, 64], &IP4], (IpVersion::V4, &IP4)),
            (
                "multicast label below a tag",
                vec![&[0x81, 0x00, 0, 7, 0x88, 0x48, 0, 2, 1, 64], &IP6],
                (IpVersion::V6, &IP6),
            ),
            ("PPPoE", vec![&[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0x00, 0x21], &IP4], (IpVersion::V4, &IP4)),
            (
                "PPPoE, protocol field of one byte",
                vec![&[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0x57], &IP6],
                (IpVersion::V6, &IP6),
            ),
            (
                "MPLS in PPP in PPPoE",
                vec![&[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0x02, 0x81, 0, 2, 1, 64], &IP4],
                (IpVersion::V4, &IP4),
            ),
            ("SNAP", vec![&[0, 40, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00], &IP4], (IpVersion::V4, &IP4)),
            (
                "VLAN in SNAP for bridges",
                vec![&[0, 40, 0xaa, 0xaa, 3, 0, 0, 0xf8, 0x81, 0x00, 0, 1, 0x86, 0xdd], &IP6],
                (IpVersion::V6, &IP6),
            ),
            ("802.2", vec![&[0, 40, 6, 6, 3], &IP4], (IpVersion::V4, &IP4)),
        ] {
            let frame = ethernet(&after_addresses);
            let (ip_version, rest) = expected;
            assert_eq!(locate_ip(LinkKind::Ethernet, &frame), Ok((ip_version, &rest[..])), "{what}");
        }
    }

    #[test]
    fn ethernet_frames_without_ip_are_skipped_with_the_reason() {
        for (what, after_addresses, expected) in [
            ("ARP", &[0x08, 0x06, 0, 1][..], Skip::NotIp),
            ("spanning tree", &[0, 38, 0x42, 0x42, 3], Skip::NotIp),
            ("SNAP of another organization", &[0, 38, 0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], Skip::NotIp),
            ("SNAP with a length", &[0, 38, 0xaa, 0xaa, 3, 0, 0, 0, 0, 40], Skip::NotIp),
            ("between length and type", &[0x05, 0xdd, 0x45], Skip::NotIp),
            ("PPPoE discovery", &[0x88, 0x63, 0x11, 9, 0, 0, 0, 4], Skip::NotIp),
            ("LCP in PPPoE", &[0x88, 0x64, 0x11, 0, 0, 1, 0, 10, 0xc0, 0x21, 9], Skip::NotIp),
            ("pseudowire", &[0x88, 0x47, 0, 2, 1, 64, 0, 0, 0, 0], Skip::MplsPseudowire),
            ("no type", &[], Skip::LinkTruncated),
            ("cut tag", &[0x81, 0x00, 0, 7, 0x08], Skip::LinkTruncated),
            ("cut label", &[0x88, 0x47, 0, 2, 1], Skip::LinkTruncated),
            ("nothing below the labels", &[0x88, 0x47, 0, 2, 1, 64], Skip::LinkTruncated),
            ("cut session", &[0x88, 0x64, 0x11, 0, 0], Skip::LinkTruncated),
            ("cut PPP protocol", &[0x88, 0x64, 0x11, 0, 0, 1, 0, 22, 0], Skip::LinkTruncated),
            ("no 802.2 header", &[0, 40], Skip::LinkTruncated),
            ("cut SNAP", &[0, 40, 0xaa, 0xaa, 3, 0, 0, 0, 8], Skip::LinkTruncated),
        ] {
            let frame = ethernet(&[after_addresses]);
            assert_eq!(locate_ip(LinkKind::Ethernet, &frame), Err(expected), "{what}");
        }
    }

    #[test]
    fn ip_is_found_on_every_other_kind_of_link() {
        let sll = |hardware: u8, protocol: [u8; 2]| {
            let mut header = [0u8; 16];
            header[2..4].copy_from_slice(&[3, hardware]);
            header[14..].copy_from_slice(&protocol);
            header
        };
        let sll2 = |hardware: u8, protocol: [u8; 2]| {
            let mut header = [0u8; 20];
            header[..2].copy_from_slice(&protocol);
            header[8..10].copy_from_slice(&[3, hardware]);
            header
        };
        let (v4, v6) = (Ok(IpVersion::V4), Ok(IpVersion::V6));
        for (link, header, ip, expected) in [
            (LinkKind::RawIp, &[][..], IP4, v4),
            (LinkKind::RawIp, &[], IP6, v6),
            (LinkKind::RawIp, &[], [0, 0, 0, 0], Err(Skip::NotIp)),
            (LinkKind::Ipv4, &[], IP6, v4),
            (LinkKind::Ipv6, &[], IP4, v6),
            (LinkKind::LinuxSll, &sll(1, [0x08, 0x00]), IP4, v4),
            (LinkKind::LinuxSll, &sll(1, [0x00, 0x01]), IP4, Err(Skip::NotIp)),
            (LinkKind::LinuxSll, &sll(0x38, [0x08, 0x00]), IP4, Err(Skip::NotIp)),
            (LinkKind::LinuxSll, &[&sll(1, [0, 4])[..], &[6, 6, 3]].concat(), IP4, v4),
            (LinkKind::LinuxSll2, &sll2(1, [0x86, 0xdd]), IP6, v6),
            (LinkKind::LinuxSll2, &sll2(0x38, [0x86, 0xdd]), IP6, Err(Skip::NotIp)),
            (LinkKind::Ppp, &[0xff, 0x03, 0x00, 0x21], IP4, v4),
            (LinkKind::Ppp, &[0x00, 0x57], IP6, v6),
            (LinkKind::Ppp, &[0x21], IP4, v4),
            (LinkKind::Ppp, &[0x0f, 0x00, 0x08, 0x00], IP4, v4),
            (LinkKind::PppoeSession, &[0x11, 0, 0, 1, 0, 22, 0, 0x21], IP4, v4),
            (LinkKind::BsdLoopback, &[2, 0, 0, 0], IP4, v4),
            (LinkKind::BsdLoopback, &[0, 0, 0, 2], IP4, v4),
            (LinkKind::BsdLoopback, &[30, 0, 0, 0], IP6, v6),
            (LinkKind::BsdLoopback, &[0, 0, 0, 24], IP6, v6),
            (LinkKind::BsdLoopback, &[7, 0, 0, 0], IP4, Err(Skip::NotIp)),
            (LinkKind::CiscoHdlc, &[0x8f, 0, 0x86, 0xdd], IP6, v6),
            (LinkKind::CiscoHdlc, &[0x8f, 0, 0, 40], IP4, Err(Skip::NotIp)),
            (LinkKind::Unsupported(10), &[], IP4, Err(Skip::UnsupportedLink)),
        ] {
            let frame = [header, &ip].concat();
            let expected = expected.map(|ip_version| (ip_version, &ip[..]));
            assert_eq!(locate_ip(link, &frame), expected, "{link:?} {header:02x?}");
        }
    }

    #[test]
    fn a_cut_link_header_is_reported() {
        for (link, header_len) in [
            (LinkKind::Ethernet, 14),
            (LinkKind::RawIp, 1),
            (LinkKind::LinuxSll, 16),
            (LinkKind::LinuxSll2, 20),
            (LinkKind::Ppp, 2),
            (LinkKind::PppoeSession, 8),
            (LinkKind::BsdLoopback, 4),
            (LinkKind::CiscoHdlc, 4),
        ] {
            assert_eq!(locate_ip(link, &vec![0; header_len - 1]), Err(Skip::LinkTruncated), "{link:?}");
        }
    }

    #[test]
    fn a_pppoe_session_is_distinguished_from_other_frames() {
        let cases: [(&str, LinkKind, Vec<u8>, bool); 7] = [
            (
                "with a packet",
                LinkKind::Ethernet,
                ethernet(&[&[0x88, 0x64], &[0x11, 0, 0, 1, 0, 6, 0, 0x21], &IP4]),
                true,
            ),
            (
                "with LCP",
                LinkKind::Ethernet,
                ethernet(&[&[0x88, 0x64], &[0x11, 0, 0, 1, 0, 6, 0xc0, 0x21]]),
                true,
            ),
            (
                "in two VLANs",
                LinkKind::Ethernet,
                ethernet(&[&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x88, 0x64]]),
                true,
            ),
            ("cut after its type", LinkKind::Ethernet, ethernet(&[&[0x88, 0x64]]), true),
            ("discovery", LinkKind::Ethernet, ethernet(&[&[0x88, 0x63], &[0x11, 9, 0, 0, 0, 0]]), false),
            (
                "a packet with those bytes in it",
                LinkKind::Ethernet,
                ethernet(&[&[0x08, 0x00], &[0x88, 0x64]]),
                false,
            ),
            ("not Ethernet", LinkKind::RawIp, vec![0x45, 0, 0x88, 0x64], false),
        ];
        for (name, link, bytes, expected) in cases {
            let frame = Frame {
                bytes: &bytes,
                frame_len: bytes.len() as u32,
                seen_at: UnixNanos(0),
                ifindex: 1,
                link,
                direction: Direction::Ingress,
                segmentation: Segmentation::None,
            };
            assert_eq!(is_pppoe_session(&frame), expected, "{name}");
        }
    }

    #[test]
    fn the_number_of_link_headers_is_bounded() {
        let tagged = |tags| ethernet(&[&[0x81, 0x00, 0, 7].repeat(tags), &[0x08, 0x00], &IP4]);
        // Each tag, the EtherType after the tags and the packet take one step each.
        assert!(locate_ip(LinkKind::Ethernet, &tagged(LINK_HEADERS_MAX - 2)).is_ok());
        assert_eq!(locate_ip(LinkKind::Ethernet, &tagged(LINK_HEADERS_MAX - 1)), Err(Skip::LinkTooDeep));
        let labels = ethernet(&[&[0x88, 0x47], &[0, 1, 0, 64].repeat(LINK_HEADERS_MAX)]);
        assert_eq!(locate_ip(LinkKind::Ethernet, &labels), Err(Skip::LinkTooDeep));
    }
}
