//! Properties of every frame: decoding never panics, the fast path and the general one agree, a reference that shares
//! no code with either agrees with them ([`packets::reference`]), and a packet decodes to what it was built from.

use std::collections::BTreeSet;
use std::num::NonZeroU16;

use crate::forged;
use crate::packets::build::{self, *};
use crate::packets::catalogue::catalogue;
use crate::packets::{reference, seed};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use traffic_alerted::packet::{
    Frame, LinkKind, Segmentation, Segments, Skip, Summary, TcpFlags, Transport, Transported, decode,
    decode_general, decode_quoted, is_pppoe_session, reports_undelivered,
};

/// Decodes on both paths and compares with the reference all that is known of a frame, the packets that it may stand
/// for on the wire included.
fn decode_thrice(frame: &Frame<'_>) -> Result<Summary, Skip> {
    let outcome = decode(frame);
    assert_eq!(outcome, decode_general(frame), "fast and general path on {frame:02x?}");
    assert_eq!(outcome, reference::read(frame), "decoder and reference on {frame:02x?}");
    let is_session = is_pppoe_session(frame);
    assert_eq!(is_session, reference::is_pppoe_session(frame), "PPPoE session, {frame:02x?}");
    match outcome {
        Err(_) => {
            for segmentation in [Segmentation::Unknown, segments(Transported::Tcp, 1448, None)] {
                assert_eq!(decode(&Frame { segmentation, ..*frame }), outcome, "{frame:02x?}");
            }
        }
        Ok(summary) => {
            assert!(
                summary.ip_bytes <= frame.frame_len,
                "a packet is no longer than its frame: {frame:02x?}"
            );
            for segmentation in segmentations(frame.bytes.len()) {
                let frame = Frame { segmentation, ..*frame };
                let outcome = decode(&frame);
                assert_eq!(outcome, decode_general(&frame), "fast and general path on {frame:02x?}");
                assert_eq!(outcome, reference::read(&frame), "decoder and reference on {frame:02x?}");
            }
            if reports_undelivered(&summary) {
                assert_eq!(decode_quoted(frame), reference::quoted(frame), "quoted in {frame:02x?}");
            }
        }
    }
    outcome
}

fn segments(transported: Transported, payload_bytes: u16, transport_at: Option<u16>) -> Segmentation {
    let payload_bytes = NonZeroU16::new(payload_bytes).expect("not 0");
    Segmentation::Into(Segments { transported, payload_bytes, transport_at })
}

/// Returns segmentations that the kernel may report for a frame of so many captured bytes, right and wrong ones.
fn segmentations(captured: usize) -> impl Iterator<Item = Segmentation> {
    let captured = captured as u16;
    // In front of every header, behind those of IPv4 and IPv6 with Ethernet, further on, at the end.
    let places = [None, Some(8), Some(34), Some(54), Some(captured / 2), Some(captured)];
    let measures = [(Transported::Tcp, 1448), (Transported::Udp, 1)];
    let into = measures.into_iter().flat_map(move |(transported, payload_bytes)| {
        places.into_iter().map(move |place| segments(transported, payload_bytes, place))
    });
    into.chain([Segmentation::Unknown])
}

#[test]
fn the_catalogue_decodes_as_it_was_built() {
    for sample in catalogue() {
        let outcome = decode_thrice(&sample.frame())
            .map(|summary| (summary.ip_bytes, summary.protocol, summary.transport));
        assert_eq!(outcome, sample.expected, "{}", sample.name);
        assert_eq!(
            decode(&sample.frame()).is_ok_and(|summary| summary.length_mismatch),
            sample.name == "ipv4_length_lies",
            "{}",
            sample.name
        );
    }
}

#[test]
fn the_catalogue_survives_every_cut_and_every_flipped_byte() {
    let mut reasons = BTreeSet::new();
    let mut judge = |frame: &Frame<'_>| reasons.extend(decode_thrice(frame).err().map(Skip::name));
    for sample in catalogue() {
        for len in 0..sample.bytes.len() {
            judge(&seed::frame(sample.link, sample.frame_len, &sample.bytes[..len]));
            judge(&seed::frame(sample.link, len as u32, &sample.bytes));
        }
        for at in 0..sample.bytes.len() {
            for flip in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff] {
                let mut bytes = sample.bytes.clone();
                bytes[at] ^= flip;
                judge(&seed::frame(sample.link, sample.frame_len, &bytes));
            }
        }
    }
    let every_reason: BTreeSet<_> = DECODING_SKIPS.map(Skip::name).into();
    assert_eq!(reasons, every_reason, "each reason of the decoder's occurs");
}

/// The reasons that decoding has; the others are of the interface that a frame crossed, or of the ring.
const DECODING_SKIPS: [Skip; 9] = [
    Skip::NotIp,
    Skip::UnsupportedLink,
    Skip::LinkTruncated,
    Skip::MplsPseudowire,
    Skip::LinkTooDeep,
    Skip::IpTruncated,
    Skip::IpVersion,
    Skip::IpHeaderLength,
    Skip::IpTotalLength,
];

/// A packet and all that is between it and the wire, as a recipe.
#[derive(Clone, Debug)]
struct Recipe {
    link: Link,
    ip: Ip,
    upper: Upper,
    padding: usize,
}

#[derive(Clone, Debug)]
enum Link {
    Ethernet(Vec<Shim>),
    RawIp,
    Sll,
    Sll2,
    PppHdlc,
    CiscoHdlc,
}

/// What may stand between Ethernet and IP.
#[derive(Clone, Debug)]
enum Shim {
    Vlan(u16),
    Mpls(u8),
    Pppoe,
    Snap,
}

#[derive(Clone, Debug)]
enum Ip {
    V4 { option_words: usize, fragment: u16, authentication: bool },
    V6 { extensions: Vec<Extension> },
}

#[derive(Clone, Debug)]
enum Extension {
    /// Routing, destination options, mobility, HIP, shim6.
    Plain {
        protocol: u8,
        units: usize,
    },
    Fragment {
        offset_units: u16,
        more: bool,
    },
    Authentication {
        words: usize,
    },
}

#[derive(Clone, Debug)]
enum Upper {
    Tcp { flags: u8 },
    Ports { protocol: u8 },
    Sctp { chunk: u8 },
    Icmp { protocol: u8, kind: u8 },
    Unknown { protocol: u8, len: usize },
}

/// A recipe carried out: the frame, and what it must decode to while its IP header is there.
#[derive(Debug)]
struct Built {
    link: LinkKind,
    bytes: Vec<u8>,
    ip_offset: usize,
    ip_bytes: u32,
    protocol: u8,
    transport: Transport,
    /// Captured bytes from which on the transport header is complete.
    transport_end: usize,
}

const SRC_PORT: u16 = 40_000;
const DST_PORT: u16 = 443;

impl Upper {
    fn build(&self) -> (u8, Vec<u8>, Transport, usize) {
        let (src_port, dst_port) = (SRC_PORT, DST_PORT);
        match *self {
            Upper::Tcp { flags } => {
                let transport = Transport::Tcp { src_port, dst_port, flags: Some(TcpFlags(flags)) };
                (TCP, build::tcp(src_port, dst_port, flags, 9), transport, 14)
            }
            Upper::Ports { protocol } => {
                (protocol, build::udp(src_port, dst_port, 9), Transport::Ports { src_port, dst_port }, 4)
            }
            Upper::Sctp { chunk } => {
                let mut bytes = build::udp(src_port, dst_port, 12);
                bytes[12] = chunk;
                (132, bytes, Transport::Sctp { src_port, dst_port, chunk: Some(chunk) }, 13)
            }
            Upper::Icmp { protocol, kind } => {
                (protocol, vec![kind, 0, 0, 0, 0, 1, 0, 1], Transport::Icmp { kind }, 1)
            }
            Upper::Unknown { protocol, len } => (protocol, vec![0xa5; len], Transport::Other, 0),
        }
    }
}

impl Recipe {
    fn build(&self) -> Built {
        let (mut protocol, mut bytes, mut transport, needed) = self.upper.build();
        // Counted from the end, for headers are put in front.
        let mut beyond_transport = bytes.len() - needed;
        let mut upper_protocol = protocol;
        let ether_type = match &self.ip {
            Ip::V4 { option_words, fragment, authentication } => {
                let later = fragment & 0x1fff != 0;
                if *authentication {
                    (bytes, protocol) = (build::authentication(protocol, 24, &bytes), 51);
                }
                if later {
                    (transport, upper_protocol, beyond_transport) =
                        (Transport::LaterFragment, protocol, bytes.len());
                }
                let options = vec![1; option_words * 4];
                let header = Ipv4 { protocol, options, fragment: *fragment, total_len: None };
                bytes = build::ipv4_with(header, &bytes);
                IPV4
            }
            Ip::V6 { extensions } => {
                for extension in extensions.iter().rev() {
                    (bytes, protocol) = match *extension {
                        Extension::Plain { protocol: own, units } => {
                            (build::extension(protocol, units * 8, &bytes), own)
                        }
                        Extension::Fragment { offset_units, more } => {
                            if offset_units != 0 {
                                (transport, upper_protocol) = (Transport::LaterFragment, protocol);
                                beyond_transport = bytes.len() + 4;
                            }
                            (build::fragment(protocol, offset_units, more, &bytes), 44)
                        }
                        Extension::Authentication { words } => {
                            (build::authentication(protocol, 12 + words * 4, &bytes), 51)
                        }
                    };
                }
                bytes = build::ipv6(protocol, &bytes);
                IPV6
            }
        };
        let ip_bytes = bytes.len() as u32;
        let (link, mut bytes) = self.link.wrap(ether_type, bytes);
        let (ip_offset, transport_end) = (bytes.len() - ip_bytes as usize, bytes.len() - beyond_transport);
        bytes.resize(bytes.len() + self.padding, 0x5a);
        Built { link, bytes, ip_offset, ip_bytes, protocol: upper_protocol, transport, transport_end }
    }
}

impl Link {
    fn wrap(&self, mut ether_type: u16, mut bytes: Vec<u8>) -> (LinkKind, Vec<u8>) {
        let typed = |ether_type: u16| ether_type.to_be_bytes();
        match self {
            Link::Ethernet(shims) => {
                for shim in shims.iter().rev() {
                    // Only IP stands directly in MPLS or PPPoE.
                    let ppp: Option<[u8; 2]> = match ether_type {
                        IPV4 => Some([0, 0x21]),
                        IPV6 => Some([0, 0x57]),
                        0x8847 => Some([0x02, 0x81]),
                        _ => None,
                    };
                    (ether_type, bytes) = match (shim, ppp) {
                        (Shim::Vlan(tag), _) => (*tag, build::vlan(7, ether_type, &bytes)),
                        (Shim::Mpls(labels), Some([0, _])) => {
                            let mut stack = build::mpls(16, true, &bytes);
                            for _ in 0..*labels {
                                stack = build::mpls(17, false, &stack);
                            }
                            (0x8847, stack)
                        }
                        (Shim::Pppoe, Some(protocol)) => (0x8864, build::pppoe(&join(&[&protocol, &bytes]))),
                        (Shim::Snap, _) if ether_type > 1500 => {
                            (100, join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &typed(ether_type), &bytes]))
                        }
                        _ => (ether_type, bytes),
                    };
                }
                (LinkKind::Ethernet, build::ethernet(ether_type, &bytes))
            }
            Link::RawIp => (LinkKind::RawIp, bytes),
            Link::Sll => {
                let header = [0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0];
                (LinkKind::LinuxSll, join(&[&header, &typed(ether_type), &bytes]))
            }
            Link::Sll2 => (LinkKind::LinuxSll2, join(&[&typed(ether_type), &[0; 18], &bytes])),
            Link::PppHdlc => {
                let protocol = if ether_type == IPV4 { 0x21 } else { 0x57 };
                (LinkKind::Ppp, join(&[&[0xff, 3, 0, protocol], &bytes]))
            }
            Link::CiscoHdlc => (LinkKind::CiscoHdlc, join(&[&[0x0f, 0], &typed(ether_type), &bytes])),
        }
    }
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let shim = prop_oneof![
        4 => prop::sample::select(vec![0x8100, 0x8100, 0x88a8, 0x9100, 0x9200]).prop_map(Shim::Vlan),
        1 => (0u8..4).prop_map(Shim::Mpls),
        1 => Just(Shim::Pppoe),
        1 => Just(Shim::Snap),
    ];
    let link = prop_oneof![
        6 => prop::collection::vec(shim, 0..5).prop_map(Link::Ethernet),
        2 => Just(Link::RawIp),
        1 => Just(Link::Sll),
        1 => Just(Link::Sll2),
        1 => Just(Link::PppHdlc),
        1 => Just(Link::CiscoHdlc),
    ];
    let fragment = prop_oneof![
        4 => Just(0u16),
        2 => Just(0x4000),
        1 => Just(0x2000),
        1 => any::<u16>(),
    ];
    let v4 = (prop_oneof![3 => Just(0usize), 1 => 1usize..11], fragment, prop::bool::weighted(0.1)).prop_map(
        |(option_words, fragment, authentication)| Ip::V4 { option_words, fragment, authentication },
    );
    let extension = prop_oneof![
        4 => (prop::sample::select(vec![43u8, 60, 135, 139, 140]), 1usize..5)
            .prop_map(|(protocol, units)| Extension::Plain { protocol, units }),
        1 => (prop_oneof![Just(0u16), 1u16..0x2000], any::<bool>())
            .prop_map(|(offset_units, more)| Extension::Fragment { offset_units, more }),
        1 => (0usize..10).prop_map(|words| Extension::Authentication { words }),
    ];
    let hop_by_hop = (1usize..4).prop_map(|units| Extension::Plain { protocol: 0, units });
    let v6 = (prop::option::weighted(0.3, hop_by_hop), prop::collection::vec(extension, 0..6))
        .prop_map(|(first, rest)| Ip::V6 { extensions: first.into_iter().chain(rest).collect() });
    let upper = prop_oneof![
        3 => any::<u8>().prop_map(|flags| Upper::Tcp { flags }),
        3 => prop::sample::select(vec![UDP, UDP, 33, 136]).prop_map(|protocol| Upper::Ports { protocol }),
        1 => any::<u8>().prop_map(|chunk| Upper::Sctp { chunk }),
        1 => (prop::sample::select(vec![ICMP, ICMPV6]), any::<u8>())
            .prop_map(|(protocol, kind)| Upper::Icmp { protocol, kind }),
        1 => (prop::sample::select(vec![2u8, 4, 41, 47, 50, 59, 89, 103, 255]), 0usize..40)
            .prop_map(|(protocol, len)| Upper::Unknown { protocol, len }),
    ];
    let padding = prop_oneof![2 => Just(0usize), 1 => 0usize..40];
    (link, prop_oneof![v4, v6], upper, padding).prop_map(|(link, ip, upper, padding)| Recipe {
        link,
        ip,
        upper,
        padding,
    })
}

proptest! {
    // The same cases in every run; the fuzzer finds new ones.
    #![proptest_config(ProptestConfig {
        cases: 8192,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_bytes(
        link in prop::sample::select(seed::LINKS.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        beyond in prop_oneof![Just(0i64), -200i64..2000],
    ) {
        let frame_len = (bytes.len() as i64 + beyond).max(0) as u32;
        let _ = decode_thrice(&seed::frame(link, frame_len, &bytes));
    }

    #[test]
    fn a_packet_decodes_to_what_it_was_built_from(recipe in recipes(), cut in any::<Index>()) {
        let built = recipe.build();
        let frame_len = built.bytes.len() as u32;
        let outcome = decode_thrice(&seed::frame(built.link, frame_len, &built.bytes));
        let whole = outcome.expect("a well-formed packet");
        prop_assert_eq!(whole.ip_bytes, built.ip_bytes);
        prop_assert!(!whole.length_mismatch);
        prop_assert_eq!(whole.protocol, built.protocol);
        prop_assert_eq!(whole.transport, built.transport);

        // Cut anywhere, it counts the same as long as its fixed header was captured.
        let captured = cut.index(built.bytes.len() + 1);
        let outcome = decode_thrice(&seed::frame(built.link, frame_len, &built.bytes[..captured]));
        let fixed = match recipe.ip { Ip::V4 { .. } => 20, Ip::V6 { .. } => 40 };
        if captured < built.ip_offset + fixed {
            prop_assert!(matches!(outcome, Err(Skip::LinkTruncated | Skip::IpTruncated)), "{:?}", outcome);
        } else {
            let cut = outcome.expect("the fixed header was captured");
            prop_assert_eq!((cut.endpoints, cut.ip_bytes), (whole.endpoints, whole.ip_bytes));
            prop_assert!(!cut.length_mismatch);
            if captured >= built.transport_end {
                prop_assert_eq!(cut, whole);
            }
        }
    }

    #[test]
    fn lies_and_damage(
        recipe in recipes(),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 0..6),
        beyond in prop_oneof![3 => Just(0i64), 1 => -60i64..3000],
        cut in any::<Index>(),
    ) {
        let Built { link, mut bytes, ip_offset, .. } = recipe.build();
        for (at, value) in damage {
            // Half of the damage is in the IP header, where the lengths are.
            let at = at.index(2 * bytes.len());
            let at = if at < bytes.len() { at } else { (ip_offset + at % 40).min(bytes.len() - 1) };
            bytes[at] = value;
        }
        let frame_len = (bytes.len() as i64 + beyond).max(0) as u32;
        let _ = decode_thrice(&seed::frame(link, frame_len, &bytes));
        let _ = decode_thrice(&seed::frame(link, frame_len, &bytes[..cut.index(bytes.len() + 1)]));
    }

    #[test]
    fn forged_frames(
        (link, bytes) in forged::frames(),
        beyond in prop_oneof![2 => Just(0i64), 1 => -60i64..300, 1 => 0i64..200_000],
        cut in any::<Index>(),
    ) {
        let frame_len = (bytes.len() as i64 + beyond).max(0) as u32;
        let _ = decode_thrice(&seed::frame(link, frame_len, &bytes));
        let _ = decode_thrice(&seed::frame(link, frame_len, &bytes[..cut.index(bytes.len() + 1)]));
    }
}

/// Recipes for which decoder and reference differed once, cut at each length and damaged as they were then.
#[test]
fn recipes_that_failed_once_agree() {
    let address_field = Recipe {
        link: Link::PppHdlc,
        ip: Ip::V4 { option_words: 3, fragment: 0, authentication: false },
        upper: Upper::Tcp { flags: 0 },
        padding: 0,
    };
    let routing = |units| Extension::Plain { protocol: 43, units };
    let three_routing_headers = Recipe {
        link: Link::Ethernet(vec![Shim::Vlan(0x8100), Shim::Vlan(0x8100), Shim::Vlan(0x8100)]),
        ip: Ip::V6 { extensions: vec![routing(4), routing(4), routing(1)] },
        upper: Upper::Tcp { flags: 0 },
        padding: 0,
    };
    for recipe in [address_field, three_routing_headers] {
        let Built { link, bytes, .. } = recipe.build();
        let frame_len = bytes.len() as u32;
        for at in 0..bytes.len() {
            let _ = decode_thrice(&seed::frame(link, frame_len, &bytes[..at]));
            let mut damaged = bytes.clone();
            damaged[at] = 69;
            let _ = decode_thrice(&seed::frame(link, frame_len, &damaged));
        }
    }
}
