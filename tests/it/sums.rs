//! The counts of random traffic equal those of a model that shares no code with the program: the model adds up the
//! fields that each frame is built from, and never reads a frame.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use crate::packets::build::{self, IPV4, IPV6, TCP, UDP, join};
use crate::packets::capture_file::{LITTLE, NANOSECONDS};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use traffic_alerted::engine::{self, Rules};
use traffic_alerted::flow::{Delta, DeltaLimits, Seed};
use traffic_alerted::packet::{
    Direction, Frame, LinkKind, Segmentation, Segments, Skip, Transported, decode,
};
use traffic_alerted::time::UnixNanos;
use traffic_alerted::{alert, capture, detect, flow};

/// A frame of Ethernet, as a recipe.
#[derive(Clone, Debug)]
struct Recipe {
    shims: Vec<Shim>,
    what: What,
    /// Bytes behind the packet: padding to the minimum of Ethernet, or a frame check sequence.
    padding: usize,
    /// Bytes that the capture has.
    snap_len: usize,
}

#[derive(Clone, Copy, Debug)]
enum Shim {
    Vlan(u16),
    Mpls,
    Pppoe,
}

#[derive(Clone, Debug)]
enum What {
    /// From one host to another of its family, both by number.
    Packet {
        v6: bool,
        src: u8,
        dst: u8,
        option_words: usize,
        protocol: u8,
        payload_len: usize,
        lie: Lie,
    },
    Arp,
}

/// The length field of the IP header.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Truth,
    /// 0: the frame decides, as with TSO.
    Nothing,
    More(u16),
    Less(u16),
}

/// The model's count of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Counted { src: IpAddr, dst: IpAddr, ip_bytes: u64, mismatch: bool },
    Skipped(Skip),
}

fn host(v6: bool, number: u8) -> IpAddr {
    if v6 {
        [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, number].into()
    } else {
        [10, 1, 2, number].into()
    }
}

fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(addr) => addr.octets().to_vec(),
        IpAddr::V6(addr) => addr.octets().to_vec(),
    }
}

impl Recipe {
    /// The whole frame, and where its IP header begins.
    fn frame(&self) -> (Vec<u8>, usize) {
        let (mut ether_type, mut bytes) = match self.what {
            What::Arp => (0x0806, vec![1; 28]),
            What::Packet { v6, src, dst, option_words, protocol, payload_len, lie } => {
                let (src, dst) = (octets(host(v6, src)), octets(host(v6, dst)));
                let payload = vec![0x41; payload_len];
                let lying = |truth: usize| match lie {
                    Lie::Truth => truth as u16,
                    Lie::Nothing => 0,
                    Lie::More(by) => truth as u16 + by,
                    Lie::Less(by) => (truth as u16).saturating_sub(by),
                };
                let mut packet = if v6 {
                    build::ipv6_with(protocol, lying(payload_len), &payload)
                } else {
                    let total_len = Some(lying(20 + option_words * 4 + payload_len));
                    let options = vec![1; option_words * 4];
                    build::ipv4_with(build::Ipv4 { protocol, options, fragment: 0, total_len }, &payload)
                };
                let addresses_at = if v6 { 8 } else { 12 };
                packet[addresses_at..][..src.len() * 2].copy_from_slice(&[src, dst].concat());
                (if v6 { IPV6 } else { IPV4 }, packet)
            }
        };
        let len = bytes.len();
        for shim in self.shims.iter().rev() {
            (ether_type, bytes) = match (shim, ether_type) {
                (Shim::Vlan(tag), _) => (*tag, build::vlan(7, ether_type, &bytes)),
                (Shim::Mpls, IPV4 | IPV6) => (0x8847, build::mpls(16, true, &bytes)),
                (Shim::Pppoe, IPV4) => (0x8864, build::pppoe(&join(&[&[0, 0x21], &bytes]))),
                (Shim::Pppoe, IPV6) => (0x8864, build::pppoe(&join(&[&[0, 0x57], &bytes]))),
                _ => (ether_type, bytes),
            };
        }
        let mut frame = build::ethernet(ether_type, &bytes);
        let ip_at = frame.len() - len;
        frame.resize(frame.len() + self.padding, 0x5a);
        (frame, ip_at)
    }

    /// Applies the rule for bytes in `docs/accounting.md`: the length that the header declares, or that of the frame
    /// where the header declares 0 or more than the frame has.
    fn expected(&self, ip_at: usize) -> Expected {
        let What::Packet { v6, src, dst, option_words, payload_len, lie, .. } = self.what else {
            return Expected::Skipped(if self.snap_len < ip_at { Skip::LinkTruncated } else { Skip::NotIp });
        };
        if self.snap_len < ip_at {
            return Expected::Skipped(Skip::LinkTruncated);
        }
        let (fixed, header) = if v6 { (40, 40) } else { (20, 20 + option_words as u64 * 4) };
        if self.snap_len < ip_at + fixed {
            // Behind MPLS labels only the first byte of the packet shows the IP version.
            let is_lost_link = self.snap_len == ip_at && self.is_behind_labels();
            return Expected::Skipped(if is_lost_link { Skip::LinkTruncated } else { Skip::IpTruncated });
        }
        let truth = header + payload_len as u64;
        let in_frame = truth + self.padding as u64;
        // The length field: of IPv4 for all, of IPv6 for the payload.
        let counted_part = if v6 { payload_len as u64 } else { truth };
        let field = match lie {
            Lie::Truth => counted_part,
            Lie::Nothing => 0,
            Lie::More(by) => counted_part + u64::from(by),
            Lie::Less(by) => counted_part.saturating_sub(u64::from(by)),
        };
        let declared = if v6 && field > 0 { field + 40 } else { field };
        let (ip_bytes, mismatch) = match declared {
            0 => (in_frame, false),
            declared if declared < header => return Expected::Skipped(Skip::IpTotalLength),
            declared => (declared.min(in_frame), declared > in_frame),
        };
        Expected::Counted { src: host(v6, src), dst: host(v6, dst), ip_bytes, mismatch }
    }

    /// Returns true if the header right before the packet is an MPLS label.
    fn is_behind_labels(&self) -> bool {
        matches!(self.shims.last(), Some(Shim::Mpls))
    }
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let shim = prop_oneof![
        3 => prop::sample::select(vec![0x8100, 0x88a8, 0x9100]).prop_map(Shim::Vlan),
        1 => Just(Shim::Mpls),
        1 => Just(Shim::Pppoe),
    ];
    let lie = prop_oneof![
        6 => Just(Lie::Truth),
        1 => Just(Lie::Nothing),
        1 => (1u16..3000).prop_map(Lie::More),
        1 => (1u16..100).prop_map(Lie::Less),
    ];
    let packet = (
        any::<bool>(),
        0u8..4,
        0u8..4,
        0usize..3,
        prop::sample::select(vec![TCP, UDP, 47, 50]),
        0usize..200,
        lie,
    )
        .prop_map(|(v6, src, dst, option_words, protocol, payload_len, lie)| What::Packet {
            v6,
            src,
            dst,
            option_words,
            protocol,
            payload_len,
            lie,
        });
    let what = prop_oneof![12 => packet, 1 => Just(What::Arp)];
    let snap_len = prop_oneof![3 => Just(usize::MAX), 1 => 0usize..120];
    (prop::collection::vec(shim, 0..4), what, prop_oneof![Just(0), Just(4), 0usize..46], snap_len)
        .prop_map(|(shims, what, padding, snap_len)| Recipe { shims, what, padding, snap_len })
}

/// Sums by the model.
#[derive(Debug, Default, PartialEq, Eq)]
struct Model {
    hosts: BTreeMap<IpAddr, (u64, u64)>,
    pairs: BTreeMap<(IpAddr, IpAddr), (u64, u64)>,
    skipped: BTreeMap<&'static str, u64>,
    mismatches: u64,
}

impl Model {
    fn add(&mut self, expected: Expected) {
        match expected {
            Expected::Skipped(reason) => *self.skipped.entry(reason.name()).or_default() += 1,
            Expected::Counted { src, dst, ip_bytes, mismatch } => {
                self.mismatches += u64::from(mismatch);
                for (packets, bytes) in
                    [self.hosts.entry(src).or_default(), self.pairs.entry((src, dst)).or_default()]
                {
                    *packets += 1;
                    *bytes += ip_bytes;
                }
            }
        }
    }

    /// The same sums as the program has them.
    fn of(totals: &flow::Window) -> Self {
        let sent = |host: flow::HostCounts| {
            let ip_bytes = host.counts[flow::Metric::IpBytes];
            (host.packets > 0).then_some((host.addr, (host.packets, ip_bytes)))
        };
        let pairs = totals.pairs().filter(|&(_, _, packets, _)| packets > 0);
        let skipped = Skip::ALL.iter().zip(totals.accounting().skipped).filter(|(_, frames)| *frames > 0);
        Self {
            hosts: totals.hosts().filter_map(sent).collect(),
            pairs: pairs.map(|(src, dst, packets, bytes)| ((src, dst), (packets, bytes))).collect(),
            skipped: skipped.map(|(reason, frames)| (reason.name(), frames)).collect(),
            mismatches: totals.accounting().length_mismatch_packets,
        }
    }
}

pub(crate) fn rules() -> Rules {
    let detect = detect::Limits::default();
    let flow = flow::Options {
        traffic_interval: Duration::from_secs(10),
        port_interval: None,
        chart_bytes_min: 0,
        group_ipv6: None,
        memory_bytes_max: 64 << 20,
    };
    Rules { flow, detect, alert: alert::Options::default(), direction: capture::DirectionPolicy::Auto }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Traffic that passes a capture file, the frame pipeline, deltas and the window.
    #[test]
    fn random_traffic_adds_up_as_it_was_made(traffic in prop::collection::vec((recipes(), 0u64..3), 0..150)) {
        let mut model = Model::default();
        let mut file = LITTLE.pcap_header(NANOSECONDS, 1);
        let mut second = 1_000;
        for (recipe, seconds) in &traffic {
            let (frame, ip_at) = recipe.frame();
            second += seconds;
            let kept = &frame[..recipe.snap_len.min(frame.len())];
            file.extend(LITTLE.pcap_record(second as u32, 7, frame.len() as u32, kept));
            let link_ends = Recipe { snap_len: kept.len(), ..recipe.clone() };
            model.add(link_ends.expected(ip_at));
        }
        let mut capture = tempfile::NamedTempFile::new().expect("a file for the test");
        capture.write_all(&file).expect("it is ours");
        let (replayed, captures) = engine::replay(&[PathBuf::from(capture.path())], &rules()).expect("enough memory");
        prop_assert!(captures[0].error.is_none());
        let totals = replayed.totals.as_ref().expect("totals are kept");
        prop_assert_eq!(Model::of(totals), model);

        // Every frame is counted or skipped once, in the sums and in the rows of the interfaces.
        let sums = totals.accounting();
        prop_assert_eq!(sums.frames, traffic.len() as u64);
        prop_assert_eq!(sums.frames, sums.counted_frames + sums.skipped_frames());
        let rows: u64 = totals.interfaces().values().map(|row| row.ingress.frames() + row.egress.frames()).sum();
        prop_assert_eq!(rows, sums.frames);
    }

    /// A joined frame is what the wire has, packet by packet: the model makes those packets and adds up their lengths.
    #[test]
    fn a_joined_frame_counts_as_the_packets_that_the_wire_has(
        v6: bool,
        option_words in 0usize..11,
        tcp_words in 5u8..16,
        is_udp: bool,
        payload_len in 0usize..60_000,
        gso_size in 1u16..9000,
        tunnel: bool,
        interface in 1u32..4,
    ) {
        let upper = if is_udp {
            build::udp(40_000, 443, payload_len)
        } else {
            let mut tcp = build::tcp(40_000, 443, 0x10, usize::from(tcp_words - 5) * 4 + payload_len);
            tcp[12] = tcp_words << 4;
            tcp
        };
        let protocol = if is_udp { UDP } else { TCP };
        let mut packet = if v6 {
            build::ipv6_with(protocol, upper.len() as u16, &upper)
        } else {
            build::ipv4_with(build::Ipv4 { protocol, options: vec![1; option_words * 4], ..Default::default() }, &upper)
        };
        let upper_len = upper.len();
        if tunnel {
            // Outside: IPv4, UDP, VXLAN, Ethernet.
            let ether_type = if v6 { IPV6 } else { IPV4 };
            let inner = build::ethernet(ether_type, &packet);
            let vxlan = join(&[&[8, 0, 0, 0, 0, 0, 7, 0], &inner]);
            let udp = join(&[&[0xc0, 0, 0x12, 0xb5, 0, 0, 0, 0], &vxlan]);
            packet = build::ipv4(UDP, &udp);
        }
        prop_assume!(packet.len() <= 0xffff);
        let headers = packet.len() - payload_len;
        let transport_at = (14 + packet.len() - upper_len) as u16;
        let frame = build::ethernet(if v6 && !tunnel { IPV6 } else { IPV4 }, &packet);

        let mut wire: Vec<usize> = vec![];
        let mut rest = payload_len;
        while rest > 0 || wire.is_empty() {
            let part = rest.min(usize::from(gso_size));
            wire.push(headers + part);
            rest -= part;
        }

        let transported = if is_udp { Transported::Udp } else { Transported::Tcp };
        let payload_bytes = NonZeroU16::new(gso_size).expect("the range begins at 1");
        let snap_len = frame.len().min(192);
        let frame = Frame {
            bytes: &frame[..snap_len],
            frame_len: frame.len() as u32,
            seen_at: UnixNanos(0),
            ifindex: interface,
            link: LinkKind::Ethernet,
            direction: Direction::Ingress,
            segmentation: Segmentation::Into(Segments { transported, payload_bytes, transport_at: Some(transport_at) }),
        };
        let summary = decode(&frame).expect("a packet");
        let mut delta = Delta::new(DeltaLimits { pairs_max: 8, ports_max: 0, interfaces_max: 8 }, Seed::default());
        let interface_direction = delta.interface_direction(frame.ifindex, frame.direction);
        delta.count(interface_direction, &summary, frame.seen_at);
        let sums = delta.accounting();
        prop_assert_eq!(sums.ip_packets, wire.len() as u64);
        prop_assert_eq!(sums.ip_bytes, wire.iter().sum::<usize>() as u64);
        prop_assert_eq!(sums.super_frames, u64::from(wire.len() > 1));
        prop_assert_eq!(sums.super_frames_as_one, 0);
    }
}
