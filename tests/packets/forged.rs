//! Random frames of which most parts are valid and any may be invalid: link headers made of values that occur in them,
//! IP headers whose lengths may be wrong, chains of extension headers up to and beyond the maximum that is followed,
//! jumbo options, ICMP errors with quotes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use traffic_alerted::packet::LinkKind;

use crate::packets::build::{self, ICMP, ICMPV6, TCP, UDP, join};

/// Link kind and bytes.
pub(crate) fn frames() -> impl Strategy<Value = (LinkKind, Vec<u8>)> {
    (links(), packets()).prop_map(|((link, head), packet)| (link, join(&[&head, &packet])))
}

/// What comes before the IP header, or before something else.
fn links() -> impl Strategy<Value = (LinkKind, Vec<u8>)> {
    let start = select(vec![
        (LinkKind::Ethernet, vec![2; 12]),
        (LinkKind::Ethernet, vec![2; 12]),
        (LinkKind::LinuxSll, vec![0; 14]),
        // A netlink device.
        (LinkKind::LinuxSll, vec![3, 0x38, 3, 0x38, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (LinkKind::CiscoHdlc, vec![0x0f, 0]),
        (LinkKind::Ppp, vec![]),
        (LinkKind::Ppp, vec![0xff, 3]),
        (LinkKind::Ppp, vec![0x8f, 0]),
        (LinkKind::PppoeSession, vec![0x11, 0, 0, 1, 0, 40]),
        (LinkKind::BsdLoopback, vec![]),
        (LinkKind::RawIp, vec![]),
        (LinkKind::Ipv4, vec![]),
        (LinkKind::Ipv6, vec![]),
        (LinkKind::Nflog, vec![2, 0, 0, 5, 8, 0, 1, 0, 8, 0, 3, 0, 36, 0, 9, 0]),
        (LinkKind::Nflog, vec![7, 0, 0, 5, 8, 0, 1, 0]),
        (LinkKind::Nflog, vec![10, 0, 0, 5, 0, 5, 0, 10, 1, 0, 0, 0, 0, 80, 0, 9]),
    ]);
    let words = prop_oneof![
        8 => vec(select(WORDS), 0..5).prop_map(|words| words.concat()),
        // Repeated headers, up to about as many as are followed.
        1 => (select(REPEATED), 58usize..66).prop_map(|(word, times)| word.repeat(times)),
    ];
    let types: &[&[u8]] =
        &[&[8, 0], &[0x86, 0xdd], &[0, 0x21], &[0x57], &[8, 6], &[0x88, 0x47, 0, 0x11, 1, 64], &[]];
    let families = vec![2u32, 10, 23, 24, 28, 30, 0x0800, 0x86dd, 7];
    let header = (start, words, select(types))
        .prop_map(|((link, start), words, last)| (link, join(&[&start, &words, last])));
    let sll2 = (select(types), select(vec![1u8, 0x38])).prop_map(|(protocol, hardware)| {
        let header = [0, 0, 0, 0, 0, 2, 3, hardware, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0];
        (LinkKind::LinuxSll2, join(&[protocol, &header]))
    });
    let loopback = (select(families), any::<bool>()).prop_map(|(family, is_big)| {
        let family = if is_big { family.to_be_bytes() } else { family.to_le_bytes() };
        (LinkKind::BsdLoopback, family.to_vec())
    });
    prop_oneof![12 => header, 1 => sll2, 1 => loopback]
}

/// Tags, labels, sessions, 802.2 and SNAP, each with the type of the next where it has one.
const WORDS: &[&[u8]] = &[
    &[0x81, 0x00, 0, 7],
    &[0x88, 0xa8, 0, 8],
    &[0x91, 0x00, 0, 9],
    &[0x92, 0x00, 0, 9],
    &[0x88, 0x47, 0, 0x10, 0, 64],
    &[0x88, 0x48],
    &[0, 0x10, 0, 64],
    &[0, 0x11, 1, 64],
    &[0x88, 0x64, 0x11, 0, 0, 1, 0, 40],
    &[2, 0x81],
    &[2, 0x83],
    &[0, 4],
    &[0, 40],
    &[0x05, 0xdc],
    &[0x05, 0xdd],
    &[0xaa, 0xaa, 3, 0, 0, 0],
    &[0xaa, 0xaa, 3, 0, 0, 0xf8],
    &[0xaa, 0xaa, 3, 0, 0, 0x0c],
    &[6, 6, 3],
    &[0x42, 0x42, 3],
];

const REPEATED: &[&[u8]] = &[&[0x81, 0x00, 0, 7], &[0x88, 0xa8, 0, 8], &[0, 0x10, 0, 64]];

fn packets() -> impl Strategy<Value = Vec<u8>> {
    let error = (quotable(), select(vec![(ICMP, 3u8), (ICMP, 3), (ICMP, 11), (ICMPV6, 1)]), 0u8..6).prop_map(
        |(quoted, (protocol, kind), code)| (protocol, join(&[&[kind, code, 0, 0, 0, 0, 0, 0], &quoted])),
    );
    prop_oneof![4 => packet(uppers()), 1 => packet(error)]
}

/// A packet that goes the other way between the hosts of every packet here, or the same way.
fn quotable() -> impl Strategy<Value = Vec<u8>> {
    (packet(uppers()), any::<bool>(), 0usize..80).prop_map(|(mut packet, turns, cut)| {
        // The first two hosts of `build`, of whom the last byte of the address is 1 or 2.
        let ends = if packet[0] >> 4 == 4 { [15, 19] } else { [23, 39] };
        if turns && ends[1] < packet.len() {
            packet.swap(ends[0], ends[1]);
        }
        packet.truncate(packet.len().saturating_sub(cut).max(1));
        packet
    })
}

/// Protocol and bytes of the header above IP.
fn uppers() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let tcp = (any::<u8>(), any::<u8>(), 0usize..40).prop_map(|(offset, flags, data)| {
        let mut bytes = build::tcp(40_000, 443, flags, data);
        bytes[12] = offset;
        (TCP, bytes)
    });
    let others = (select(vec![ICMP, UDP, 33, 136, 132, 50, 59, ICMPV6]), vec(any::<u8>(), 0..30));
    prop_oneof![2 => tcp, 2 => others]
}

fn packet(upper: impl Strategy<Value = (u8, Vec<u8>)>) -> impl Strategy<Value = Vec<u8>> {
    let lie = prop_oneof![
        6 => Just(None),
        1 => Just(Some(0)),
        1 => (0u16..80).prop_map(Some),
        1 => any::<u16>().prop_map(Some),
    ];
    let fragment = prop_oneof![
        6 => Just(0u16),
        1 => Just(0x2000),
        1 => 1u16..3,
        1 => (0u32..16).prop_map(|bit| 1 << bit),
    ];
    let v4 = (0usize..11, fragment, any::<bool>(), prop::option::weighted(0.1, 0u8..0x60));
    let v6 = prop_oneof![6 => vec(extensions(), 0..4), 1 => vec(extensions(), 61..67)];
    (upper, any::<bool>(), v4, v6, lie).prop_map(|((protocol, upper), is_v4, v4, v6, lie)| {
        if is_v4 {
            let (words, fragment, is_authenticated, first) = v4;
            let (protocol, rest) = match is_authenticated {
                true => (51, build::authentication(protocol, 12 + 4 * (words % 4), &upper)),
                false => (protocol, upper),
            };
            let words = words.saturating_sub(5);
            let header = build::Ipv4 { protocol, options: vec![1; words * 4], fragment, total_len: lie };
            let mut packet = build::ipv4_with(header, &rest);
            packet[0] = first.unwrap_or(packet[0]);
            return packet;
        }
        let (next, rest) = v6.into_iter().fold((protocol, upper), |(next, rest), (own, mut header)| {
            header[0] = next;
            (own, join(&[&header, &rest]))
        });
        build::ipv6_with(next, lie.unwrap_or(rest.len() as u16), &rest)
    })
}

/// Number and bytes of an extension header, of which the first byte is for the number of the next.
fn extensions() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let plain = (select(vec![43u8, 60, 135, 139, 140]), 0usize..3)
        .prop_map(|(own, units)| (own, build::extension(0, units * 8 + 8, &[])));
    let fragment = prop_oneof![2 => Just(0u16), 1 => (0u32..13).prop_map(|bit| 1 << bit)];
    let fragment =
        (fragment, any::<bool>()).prop_map(|(offset, more)| (44, build::fragment(0, offset, more, &[])));
    let authentication = (0usize..4).prop_map(|words| (51, build::authentication(0, 12 + words * 4, &[])));
    let option = prop_oneof![
        2 => Just(vec![0]),
        1 => (0usize..5).prop_map(|len| join(&[&[1, len as u8], &vec![0; len]])),
        1 => any::<[u8; 2]>().prop_map(|unknown| unknown.to_vec()),
        3 => prop_oneof![0u32..300, any::<u32>()].prop_map(|len| join(&[&[0xc2, 4], &len.to_be_bytes()])),
    ];
    let hop_by_hop = (vec(option, 0..4), any::<bool>()).prop_map(|(options, is_short)| {
        let mut header = join(&[&[0, 0], &options.concat()]);
        let len = header.len().next_multiple_of(8);
        header.resize(len, 0);
        // A header that ends before its last options.
        header[1] = (len / 8 - 1).saturating_sub(usize::from(is_short)) as u8;
        (0, header)
    });
    prop_oneof![3 => plain, 1 => fragment, 1 => authentication, 3 => hop_by_hop]
}
