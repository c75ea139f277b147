//! A second opinion: what etherparse's lax parser says about a frame, where it can speak.
//!
//! It knows neither MPLS nor PPPoE nor 802.3, no cooked header, no ports of fragments, no mobility, HIP or
//! shim6 header, no jumbo option; it looks into MACsec, wants whole headers, and forgives a total length below the header's.

use etherparse::{
    IpNumber, LaxIpPayloadSlice, LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice,
};
use traffic_alerted::packet::{Endpoints, Frame, LinkKind, Skip, Summary, Transport};

/// Compares, and says whether there was anything to compare.
///
/// # Panics
/// The opinions differ.
pub(crate) fn check(frame: &Frame<'_>, ours: Result<Summary, Skip>) -> bool {
    let captured = frame.captured();
    let theirs = match frame.link {
        LinkKind::Ethernet => LaxSlicedPacket::from_ethernet(captured).ok(),
        LinkKind::RawIp => LaxSlicedPacket::from_ip(captured).ok(),
        _ => None,
    };
    let Some(LaxSlicedPacket { net: Some(net), transport, link_exts, .. }) = theirs else { return false };
    let in_frame = |header: &[u8]| {
        let offset = header.as_ptr() as usize - captured.as_ptr() as usize;
        frame.frame_len - offset as u32
    };
    let ours = match (ours, &net) {
        (ours, LaxNetSlice::Arp(_)) => {
            assert_eq!(ours, Err(Skip::NotIp));
            return true;
        }
        (Err(Skip::NotIp), _)
            if link_exts.iter().any(|header| matches!(header, LaxLinkExtSlice::Macsec(_))) =>
        {
            return false;
        }
        // They believe the version field whatever the link announced.
        (Err(Skip::IpVersion), _) if frame.link == LinkKind::Ethernet => return false,
        (Err(skip), LaxNetSlice::Ipv4(ip)) => {
            assert_eq!(skip, Skip::IpTotalLength);
            let header = ip.header();
            assert!(usize::from(header.total_len()) < header.slice().len());
            return true;
        }
        (Err(skip), LaxNetSlice::Ipv6(_)) => panic!("{skip} for what they read as IPv6"),
        (Ok(ours), _) => ours,
    };
    match &net {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            let (src, dst) = (header.source_addr(), header.destination_addr());
            assert_eq!(ours.endpoints, Endpoints::V4 { src, dst });
            check_length(ours, u32::from(header.total_len()), in_frame(header.slice()));
            let later = header.fragments_offset().value() != 0;
            assert_eq!(ours.transport == Transport::LaterFragment, later);
            check_upper(ours, ip.payload(), transport);
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            let (src, dst) = (header.source_addr(), header.destination_addr());
            assert_eq!(ours.endpoints, Endpoints::V6 { src, dst });
            // A jumbo option may stand behind a length of 0.
            if header.payload_length() != 0 {
                check_length(ours, 40 + u32::from(header.payload_length()), in_frame(header.slice()));
                if ip.extensions().slice().len() < EXTENSION_BYTES_MAX {
                    check_upper(ours, ip.payload(), transport);
                }
            }
        }
        LaxNetSlice::Arp(_) => {}
    }
    true
}

fn check_length(ours: Summary, declared: u32, in_frame: u32) {
    let (ip_bytes, mismatch) = match declared {
        0 => (in_frame, false),
        declared => (declared.min(in_frame), declared > in_frame),
    };
    assert_eq!((ours.ip_bytes, ours.length_mismatch), (ip_bytes, mismatch));
}

fn check_upper(ours: Summary, payload: &LaxIpPayloadSlice<'_>, transport: Option<TransportSlice<'_>>) {
    if ours.transport == Transport::LaterFragment {
        assert!(payload.fragmented || EXTENSIONS.contains(&payload.ip_number));
        return;
    }
    // Where they stop at an extension header, it was cut, or is one that they do not know.
    if EXTENSIONS.contains(&payload.ip_number) {
        return;
    }
    assert_eq!(ours.protocol, payload.ip_number.0);
    assert!(payload.payload.len() as u64 <= u64::from(ours.ip_bytes));
    match (transport, ours.transport) {
        (Some(TransportSlice::Tcp(header)), Transport::Tcp { src_port, dst_port, flags }) => {
            assert_eq!((src_port, dst_port), (header.source_port(), header.destination_port()));
            assert_eq!(flags.map(|flags| flags.0), Some(header.slice()[13]));
        }
        (Some(TransportSlice::Udp(header)), Transport::Ports { src_port, dst_port }) => {
            assert_eq!((src_port, dst_port), (header.source_port(), header.destination_port()));
        }
        (Some(TransportSlice::Icmpv4(header)), Transport::Icmp { kind }) => {
            assert_eq!(kind, header.slice()[0]);
        }
        (Some(TransportSlice::Icmpv6(header)), Transport::Icmp { kind }) => {
            assert_eq!(kind, header.slice()[0]);
        }
        (None | Some(TransportSlice::Igmp(_)), _) => {}
        (Some(theirs), ours) => panic!("{ours:?} for what they read as {theirs:?}"),
    }
}

const EXTENSIONS: [IpNumber; 8] = [
    IpNumber::IPV6_HEADER_HOP_BY_HOP,
    IpNumber::IPV6_ROUTE_HEADER,
    IpNumber::IPV6_FRAGMENTATION_HEADER,
    IpNumber::AUTHENTICATION_HEADER,
    IpNumber::IPV6_DESTINATION_OPTIONS,
    IpNumber::MOBILITY_HEADER,
    IpNumber::HIP,
    IpNumber::SHIM6,
];

/// Fewer bytes of extension headers than this cannot be too many headers for our walk.
const EXTENSION_BYTES_MAX: usize = 8 * traffic_alerted::packet::IPV6_EXTENSIONS_MAX;
