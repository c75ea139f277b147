//! Capture files that state which way frames went: a packet counts once, as it does live.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::Write;
use std::path::PathBuf;

use serde_json::Value;
use traffic_alerted::capture::{CaptureReport, DirectionPolicy, DirectionReason};
use traffic_alerted::engine::{self, Replayed};
use traffic_alerted::packet::Skip;

use crate::packets::build::{IPV4, Ipv4, TCP, UDP, ethernet, ipv4_with, join, tcp, udp};
use crate::packets::capture_file::{BIG, LITTLE, MICROSECONDS, Order};
use crate::replay_cli::replay;

/// How a frame passed the host, as the file states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Group,
    Other,
    Out,
}
use Way::{Group, In, Other, Out};

const CLIENT: [u8; 4] = [10, 0, 0, 9];
const SERVER: [u8; 4] = [198, 51, 100, 7];
const PUBLIC: [u8; 4] = [203, 0, 113, 1];
const OWN: [u8; 4] = [10, 0, 0, 1];
const LOCALHOST: [u8; 4] = [127, 0, 0, 1];

/// A frame of a capture: direction, interface, its ARPHRD number, packet.
type Passed = (Way, u32, u16, Vec<u8>);

const ETHER: u16 = 1;
const LOOPBACK: u16 = 772;

/// A packet of 100 bytes with its own number, which routers do not change.
fn packet(src: [u8; 4], dst: [u8; 4], number: u16) -> Vec<u8> {
    let protocol = if number.is_multiple_of(2) { UDP } else { TCP };
    let payload = if protocol == UDP { udp(4000, 53, 72) } else { tcp(4000, 443, 0x10, 60) };
    let mut packet = ipv4_with(Ipv4 { protocol, ..Ipv4::default() }, &payload);
    packet[4..6].copy_from_slice(&number.to_be_bytes());
    packet[12..16].copy_from_slice(&src);
    packet[16..20].copy_from_slice(&dst);
    packet
}

/// Both copies of forwarded packets: of a client's requests and a server's answers. With `translates`, the client has
/// the public address behind the router.
fn forwarded(count: u16, translates: bool) -> Vec<Passed> {
    let outside = if translates { PUBLIC } else { CLIENT };
    let round = |n: u16| {
        [
            (In, 2, ETHER, packet(CLIENT, SERVER, 2 * n)),
            (Out, 3, ETHER, packet(outside, SERVER, 2 * n)),
            (In, 3, ETHER, packet(SERVER, outside, 2 * n + 1)),
            (Out, 2, ETHER, packet(SERVER, CLIENT, 2 * n + 1)),
        ]
    };
    (0..count).flat_map(round).collect()
}

/// A conversation of the host itself.
fn own(count: u16) -> Vec<Passed> {
    let round =
        |n| [(Out, 2, ETHER, packet(OWN, SERVER, 2 * n)), (In, 2, ETHER, packet(SERVER, OWN, 2 * n + 1))];
    (1000..1000 + count).flat_map(round).collect()
}

fn sll(passed: &[Passed]) -> Vec<u8> {
    let records = passed.iter().zip(0..).flat_map(|((way, _, hardware, packet), n)| {
        let kind = match way {
            In => 0u16,
            Group => 1,
            Other => 3,
            Out => 4,
        };
        let head = [kind.to_be_bytes(), hardware.to_be_bytes(), [0, 6]].concat();
        let frame = join(&[&head, &[0; 8], &IPV4.to_be_bytes(), packet]);
        LITTLE.pcap_record(1_790_000_000, n, frame.len() as u32, &frame)
    });
    LITTLE.pcap_header(MICROSECONDS, 113).into_iter().chain(records).collect()
}

fn sll2(passed: &[Passed]) -> Vec<u8> {
    let records = passed.iter().zip(0..).flat_map(|((way, ifindex, hardware, packet), n)| {
        let kind = match way {
            In => 0u8,
            Group => 2,
            Other => 3,
            Out => 4,
        };
        let head =
            [&IPV4.to_be_bytes()[..], &[0, 0], &ifindex.to_be_bytes(), &hardware.to_be_bytes()].concat();
        let frame = join(&[&head, &[kind, 6], &[0; 8], packet]);
        BIG.pcap_record(1_790_000_000, n, frame.len() as u32, &frame)
    });
    BIG.pcap_header(MICROSECONDS, 276).into_iter().chain(records).collect()
}

/// With the flags of enhanced or obsolete packet blocks, after a comment.
fn pcapng(order: Order, passed: &[Passed], is_obsolete: bool) -> Vec<u8> {
    let name = [order.option(2, b"lo"), vec![0; 4]].concat();
    let start = [
        order.section(),
        order.interface(1, 0, &[]),
        order.interface(1, 0, &[]),
        order.interface(1, 0, &name),
    ];
    let blocks = passed.iter().zip(0..).flat_map(|((way, ifindex, hardware, packet), n)| {
        let flags: u32 = match way {
            In => 0b001 << 2 | 1,
            Group => 0b011 << 2 | 1,
            Other => 0b100 << 2 | 1,
            Out => 2,
        };
        let mut frame = ethernet(IPV4, packet);
        let (len, at) = (frame.len() as u32, 1_790_000_000_000_000u64 + n);
        frame.resize(frame.len().next_multiple_of(4), 0);
        let interface = if *hardware == LOOPBACK { 2 } else { ifindex % 2 };
        let interface =
            if is_obsolete { order.u16(interface as u16).to_vec() } else { order.u32(interface).to_vec() };
        let drops: &[u8] = if is_obsolete { &[0, 0] } else { &[] };
        let words = order.u32s(&[(at >> 32) as u32, at as u32, len, len]);
        let options = [order.option(1, b"seen"), order.option(2, &order.u32(flags)), vec![0; 4]].concat();
        order.block(if is_obsolete { 2 } else { 6 }, &join(&[&interface, drops, &words, &frame, &options]))
    });
    start.concat().into_iter().chain(blocks).collect()
}

fn every_format(passed: &[Passed]) -> [(&'static str, Vec<u8>); 5] {
    [
        ("SLL", sll(passed)),
        ("SLL2", sll2(passed)),
        ("enhanced packets", pcapng(LITTLE, passed, false)),
        ("enhanced packets, big-endian", pcapng(BIG, passed, false)),
        ("obsolete packets", pcapng(LITTLE, passed, true)),
    ]
}

fn replayed(file: &[u8], policy: DirectionPolicy) -> (Replayed, CaptureReport) {
    let mut path = tempfile::NamedTempFile::new().unwrap();
    path.write_all(file).unwrap();
    let rules = engine::Rules { direction: policy, ..crate::sums::rules() };
    let (replayed, mut captures) = engine::replay(&[PathBuf::from(path.path())], &rules).unwrap();
    assert!(captures[0].error.is_none(), "{captures:?}");
    (replayed, captures[0].report.take().unwrap())
}

/// Packets and bytes that count, and frames that are skipped because they leave.
fn sums(replayed: &Replayed) -> (u64, u64, u64) {
    let counted = &replayed.accounting;
    assert_eq!(counted.frames, counted.ip_packets + counted.skipped.iter().sum::<u64>());
    (counted.ip_packets, counted.ip_bytes, counted.skipped[Skip::Egress as usize])
}

fn counts(file: &[u8], policy: DirectionPolicy) -> (u64, u64, u64) {
    sums(&replayed(file, policy).0)
}

#[test]
fn a_forwarded_packet_counts_once_where_it_enters() {
    for translates in [false, true] {
        for (what, file) in every_format(&forwarded(50, translates)) {
            let (replayed, report) = replayed(&file, DirectionPolicy::Auto);
            assert_eq!(sums(&replayed), (100, 10_000, 100), "{what}");
            let direction = report.direction.expect("the file states directions");
            assert_eq!(direction.counts, DirectionPolicy::In, "{what}");
            assert_eq!(
                direction.reason,
                DirectionReason::Forwards { leaving: 100, forwarded: 100 },
                "{what}"
            );
            assert!(direction.to_string().starts_with("packets count entering, since this host forwards"));
            // As live, who received the packet is seen where it leaves.
            let totals = replayed.totals.unwrap();
            let pairs: Vec<_> = totals.pairs().filter(|&(_, _, packets, _)| packets > 0).collect();
            assert_eq!(pairs.len(), 2, "{what}: {pairs:?}");
        }
    }
}

#[test]
fn a_host_that_does_not_forward_counts_both_directions_once_each() {
    for (what, file) in every_format(&own(50)) {
        let (replayed, report) = replayed(&file, DirectionPolicy::Auto);
        assert_eq!(sums(&replayed), (100, 10_000, 0), "{what}");
        let direction = report.direction.expect("the file states directions");
        let reason = DirectionReason::DoesNotForward { leaving: 50, forwarded: 0 };
        assert_eq!((direction.counts, direction.reason), (DirectionPolicy::Both, reason), "{what}");
    }
}

#[test]
fn frames_for_other_stations_and_groups_count_as_entering() {
    let mut passed = own(10);
    passed.extend((0..7).map(|n| (Other, 2, ETHER, packet(CLIENT, SERVER, n))));
    passed.extend((0..5).map(|n| (Group, 2, ETHER, packet(CLIENT, [239, 1, 1, 1], n))));
    for (what, file) in every_format(&passed) {
        assert_eq!(counts(&file, DirectionPolicy::Auto), (32, 3200, 0), "{what}");
        assert_eq!(counts(&file, DirectionPolicy::In), (22, 2200, 10), "{what}");
    }
}

#[test]
fn packets_of_the_loopback_device_count_once_whatever_the_direction() {
    // Known by the type of the device, or by an address.
    for (hardware, addr) in [(LOOPBACK, OWN), (ETHER, LOCALHOST)] {
        let both = |n| {
            let packet = packet(addr, addr, n);
            [(Out, 1, hardware, packet.clone()), (In, 1, hardware, packet)]
        };
        let mut passed = own(10);
        passed.extend((0..30).flat_map(both));
        for (what, file) in every_format(&passed) {
            for policy in [DirectionPolicy::Auto, DirectionPolicy::Both] {
                assert_eq!(counts(&file, policy), (50, 5000, 30), "{what}, {hardware}");
            }
        }
    }
}

/// What neighbours and groups do looks like forwarding, and is not.
#[test]
fn little_is_no_proof_that_a_host_forwards() {
    let [nobody, link_local, all] = [[0, 0, 0, 0], [169, 254, 1, 1], [255, 255, 255, 255]];
    // DHCP and multicast DNS of the host, which a second interface on the same network hears.
    let mut passed = own(200);
    for (src, dst) in [(nobody, all), (link_local, SERVER), (OWN, [224, 0, 0, 251]), (OWN, all)] {
        passed.extend([(In, 3, ETHER, packet(src, dst, 7)), (Out, 2, ETHER, packet(src, dst, 7))]);
    }
    // A stranger sends packets from an address of the host, one of which equals a later one of the host's.
    passed.extend((300..350).map(|n| (In, 3, ETHER, packet(OWN, CLIENT, n))));
    passed.push((Out, 3, ETHER, packet(OWN, CLIENT, 300)));
    for (what, file) in every_format(&passed) {
        let direction = replayed(&file, DirectionPolicy::Auto).1.direction.unwrap();
        assert_eq!(direction.counts, DirectionPolicy::Both, "{what}: {direction}");
    }
}

/// A bridge or a VLAN shows what passes the device below it again: entering after it, leaving before it.
#[test]
fn a_device_on_top_of_another_one_is_skipped() {
    let with_upper = |passed: Vec<Passed>| -> Vec<Passed> {
        let copies = |(way, ifindex, hardware, packet): Passed| match (way, ifindex) {
            (In, 2) => vec![(In, 2, hardware, packet.clone()), (In, 7, hardware, packet)],
            (Out, 2) => vec![(Out, 7, hardware, packet.clone()), (Out, 2, hardware, packet)],
            _ => vec![(way, ifindex, hardware, packet)],
        };
        passed.into_iter().flat_map(copies).collect()
    };
    for (passed, packets, upper) in [(own(50), 100, 100), (forwarded(50, true), 100, 100)] {
        let (replayed, _) = replayed(&sll2(&with_upper(passed)), DirectionPolicy::Auto);
        assert_eq!(sums(&replayed).0, packets);
        assert_eq!(replayed.accounting.skipped[Skip::UpperDevice as usize], upper);
    }
    // Two interfaces by which other packets enter are none on top of each other.
    let (replayed, _) = replayed(&sll2(&forwarded(50, false)), DirectionPolicy::Auto);
    assert_eq!(replayed.accounting.skipped[Skip::UpperDevice as usize], 0);
}

/// Where two interfaces are on one network, what leaves by one enters again by the other.
#[test]
fn copies_that_enter_again_are_not_told_apart_by_their_direction() {
    let with_ttl = |way, ttl: u8, n| {
        let mut packet = packet(CLIENT, SERVER, n);
        packet[8] = ttl;
        (way, 2, ETHER, packet)
    };
    let copies = |n| [with_ttl(In, 64, n), with_ttl(Out, 63, n), with_ttl(Other, 63, n)];
    let passed: Vec<Passed> = (0..40).flat_map(copies).collect();
    for (what, file) in every_format(&passed) {
        let (replayed, report) = replayed(&file, DirectionPolicy::Auto);
        assert_eq!(sums(&replayed), (120, 12_000, 0), "{what}");
        let reason = DirectionReason::EntersAgain { forwarded: 40, again: 40 };
        assert_eq!(report.direction.unwrap().reason, reason, "{what}");
    }
    // A packet that is sent over and over is no such copy, whether routers counted its hops or not.
    for ttl in [63, 64] {
        let passed: Vec<Passed> =
            (0..40).flat_map(|_| [with_ttl(In, 64, 8), with_ttl(Out, ttl, 8)]).collect();
        assert_eq!(counts(&sll(&passed), DirectionPolicy::Auto), (40, 4000, 40), "{ttl}");
    }
}

#[test]
fn a_host_whose_own_packets_are_more_than_those_it_forwards_counts_both_directions() {
    let mixed = |own_rounds| [forwarded(20, false), own(own_rounds)].concat();
    assert_eq!(
        counts(&sll(&mixed(40)), DirectionPolicy::Auto),
        (80, 8000, 80),
        "40 of 80 that leave had entered"
    );
    assert_eq!(counts(&sll(&mixed(41)), DirectionPolicy::Auto), (162, 16_200, 0), "40 of 81");
}

#[test]
fn the_setting_is_followed() {
    let passed = [forwarded(20, false), own(10)].concat();
    let file = sll2(&passed);
    assert_eq!(counts(&file, DirectionPolicy::Auto), (50, 5000, 50));
    assert_eq!(counts(&file, DirectionPolicy::In), (50, 5000, 50));
    assert_eq!(counts(&file, DirectionPolicy::Both), (100, 10_000, 0));
    // Besides what enters, the ten packets from the host's own address.
    assert_eq!(counts(&file, DirectionPolicy::InAndOwn), (60, 6000, 40));
    let direction = replayed(&file, DirectionPolicy::InAndOwn).1.direction.unwrap();
    assert_eq!(direction.reason, DirectionReason::Configured);
    // Without directions each frame counts, whatever the setting is.
    let records =
        (0..9).flat_map(|n| LITTLE.pcap_record(n, 0, 114, &ethernet(IPV4, &packet(CLIENT, SERVER, 1))));
    let plain: Vec<u8> = LITTLE.pcap_header(MICROSECONDS, 1).into_iter().chain(records).collect();
    let (replayed, report) = replayed(&plain, DirectionPolicy::In);
    assert_eq!((sums(&replayed), report.direction), ((9, 900, 0), None));
}

/// The beginning is kept while it is searched, so that it also works where nothing can be read twice.
#[test]
fn a_pipe_is_searched_too_and_none_of_its_frames_is_lost() {
    let file = sll(&forwarded(16_000, true));
    assert!(file.len() > 8 << 20, "the search ends before the file does");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"))
        .args(["replay", "--json", "-", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&file).unwrap();
    let output = child.wait_with_output().unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counted = &result["accounting"];
    assert_eq!((&counted["frames"], &counted["ip_packets"]), (&64_000.into(), &32_000.into()));
    assert_eq!(counted["directions"][0]["counts"], "in");
    assert!(counted["directions"][0]["why"].as_str().unwrap().contains("this host forwards"), "{counted}");
}

#[test]
fn a_fault_at_the_beginning_is_reported_after_the_frames_before_it() {
    let whole = sll(&forwarded(50, false));
    let mut path = tempfile::NamedTempFile::new().unwrap();
    path.write_all(&whole[..whole.len() - 1]).unwrap();
    let (replayed, captures) = engine::replay(&[PathBuf::from(path.path())], &crate::sums::rules()).unwrap();
    assert_eq!(sums(&replayed), (100, 10_000, 99));
    assert!(
        captures[0].error.as_ref().is_some_and(|error| error.to_string().contains("is cut short at byte"))
    );
}

/// More than twice the bytes that are examined at the beginning enter before the first frame leaves.
#[test]
fn a_capture_that_forwards_after_a_long_flood_counts_each_packet_once() {
    let mut long = packet(SERVER, CLIENT, 0);
    long.resize(60_000, 0);
    let flood = vec![(In, 3, ETHER, long); 300];
    let passed = [flood, forwarded(50, false)].concat();
    for (what, file) in every_format(&passed) {
        let (replayed, report) = replayed(&file, DirectionPolicy::Auto);
        assert_eq!(sums(&replayed), (400, 40_000, 100), "{what}");
        let direction = report.direction.expect("frames leave");
        // The copy that entered before the first frame that left is not ahead of it.
        assert_eq!(direction.reason, DirectionReason::Forwards { leaving: 100, forwarded: 99 }, "{what}");
        assert_eq!(replayed.directions, [Some(direction)], "{what}");
        assert_eq!(counts(&file, DirectionPolicy::Both), (500, 50_000, 0), "{what}");
    }
}

#[test]
fn configurations_with_different_directions_are_compared_with_their_sums() {
    let folder = tempfile::tempdir().unwrap();
    let save = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let capture = save("any.pcap", &sll(&forwarded(50, false)));
    let (auto, both) = (save("auto.conf", b""), save("both.conf", b"Direction: both\n"));
    let text = |second: &str| {
        let output = replay(&["--config", &auto, "--config", second, &capture]);
        String::from_utf8(output.stdout).unwrap()
    };
    let compared = text(&both);
    for expected in [
        format!("\nSums with {auto}:\n200 frames: 100 IP packets, 10000 bytes\n"),
        format!("\nSums with {both}:\n200 frames: 200 IP packets, 20000 bytes\n"),
        "packets count entering and leaving, since `Direction` is set".to_owned(),
    ] {
        let as_one_line = compared.split_whitespace().collect::<Vec<_>>().join(" ");
        let expected_line = expected.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(as_one_line.contains(&expected_line), "{compared}");
    }
    assert_eq!(text(&auto).matches(" IP packets, ").count(), 1, "equal sums are printed once");
}
