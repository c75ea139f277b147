//! Capture files of every variant, whole, cut and corrupt, read through the public source.

use std::io::{self, Cursor, Read};
use std::path::Path;

use crate::packets::capture_file::{BIG, LITTLE, MICROSECONDS, MODIFIED, NANOSECONDS};
use traffic_alerted::capture::{Batch, FrameSource, Replay, ReplayError};
use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation};

/// What a test compares of a frame: interface, link, time, original length, captured bytes.
type Seen = (u32, LinkKind, u64, u32, Vec<u8>);

fn read_all(mut replay: Replay) -> (Vec<Seen>, Result<(), ReplayError>) {
    let mut seen = Vec::new();
    loop {
        match replay.next_batch() {
            Ok(Some(batch)) => {
                assert!((1..=256).contains(&batch.frames().count()));
                seen.extend(batch.frames().map(|frame| {
                    let Frame { bytes, frame_len, seen_at, ifindex, link, direction, segmentation } = frame;
                    assert_eq!(segmentation, Segmentation::None);
                    assert_eq!(direction, Direction::Ingress);
                    (ifindex, link, seen_at.0, frame_len, bytes.to_vec())
                }));
            }
            Ok(None) => return (seen, Ok(())),
            Err(error) => {
                let again = replay.next_batch().map(|batch| batch.is_some());
                assert_eq!(again.expect_err("an error stays").to_string(), error.to_string());
                return (seen, Err(error));
            }
        }
    }
}

fn open(file: &[u8]) -> Result<Replay, ReplayError> {
    Replay::from_reader("test.pcap", Cursor::new(file.to_vec()))
}

fn frames_of(file: &[u8]) -> Vec<Seen> {
    let (seen, result) = read_all(open(file).expect("the file begins like a capture"));
    result.expect("the file is whole");
    seen
}

fn error_of(file: &[u8]) -> String {
    match open(file) {
        Ok(replay) => read_all(replay).1.expect_err("the file is broken").to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn pcap_in_every_variant() {
    for (order, magic, nanos) in [
        (LITTLE, MICROSECONDS, 7_000),
        (BIG, MICROSECONDS, 7_000),
        (LITTLE, NANOSECONDS, 7),
        (BIG, NANOSECONDS, 7),
    ] {
        // A frame check sequence of 4 bytes is announced in the upper half of the link type.
        let file = [
            order.pcap_header(magic, 0x4400_0065),
            order.pcap_record(5, 7, 1500, &[0x45, 0]),
            order.pcap_record(u32::MAX, 0, 0, &[]),
        ];
        let expected = [
            (0, LinkKind::RawIp, 5_000_000_000 + nanos, 1500, vec![0x45, 0]),
            (0, LinkKind::RawIp, 4_294_967_295_000_000_000, 0, vec![]),
        ];
        assert_eq!(frames_of(&file.concat()), expected, "{magic:x}");
    }
}

#[test]
fn pcap_with_the_longer_record_header() {
    let mut record = LITTLE.pcap_record(5, 7, 1500, &[0x45, 0]);
    record.splice(16..16, [9; 8]);
    let file = [LITTLE.pcap_header(MODIFIED, 1), record.clone(), record].concat();
    let frame = (0, LinkKind::Ethernet, 5_000_007_000, 1500, vec![0x45, 0]);
    assert_eq!(frames_of(&file), [frame.clone(), frame]);
}

#[test]
fn pcapng_in_both_orders_with_all_packet_blocks() {
    for order in [LITTLE, BIG] {
        let clock = [order.option(9, &[9]), order.option(14, &order.i64(1)), order.option(0, &[])].concat();
        let file = [
            order.section(),
            order.interface(1, 4, &[]),
            order.interface(101, 0, &clock),
            order.enhanced(0, 2_000_000, 60, &[1, 2, 3, 4, 5]),
            order.block(0x0bad, b"a block of some other kind"),
            order.simple(60, &[6, 7, 8, 9, 10, 11, 12, 13]),
            order.obsolete(1, 8_000_000, 90, &[1, 2, 3]),
        ];
        let expected = [
            (1, LinkKind::Ethernet, 2_000_000_000, 60, vec![1, 2, 3, 4, 5]),
            // Cut to the snap length of interface 0; without a time of its own.
            (1, LinkKind::Ethernet, 2_000_000_000, 60, vec![6, 7, 8, 9]),
            (2, LinkKind::RawIp, 1_008_000_000, 90, vec![1, 2, 3]),
        ];
        assert_eq!(frames_of(&file.concat()), expected, "big endian {}", order.big_endian);
    }
}

#[test]
fn a_section_may_change_the_order_and_forgets_the_interfaces() {
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[]),
        LITTLE.interface(1, 0, &[]),
        BIG.section(),
        BIG.interface(228, 0, &[]),
        BIG.enhanced(0, 0, 1, &[1]),
        LITTLE.section(),
        LITTLE.enhanced(0, 0, 1, &[1]),
    ]
    .concat();
    let (seen, result) = read_all(open(&file).unwrap());
    assert_eq!(seen, [(3, LinkKind::Ipv4, 0, 1, vec![1])]);
    assert_eq!(
        result.unwrap_err().to_string(),
        format!(
            "capture test.pcap is corrupt at byte {}: expected a packet of an interface that was described, \
             found interface 0 of 0; what stands before is counted, copy the file again or repair it to have the rest",
            file.len() - 36
        )
    );
}

#[test]
fn link_types_that_differ_only_in_name() {
    for (link_types, link) in [
        (&[1][..], LinkKind::Ethernet),
        (&[0, 108], LinkKind::BsdLoopback),
        (&[9, 50], LinkKind::Ppp),
        (&[12, 14, 101], LinkKind::RawIp),
        (&[51], LinkKind::PppoeSession),
        (&[104], LinkKind::CiscoHdlc),
        (&[113], LinkKind::LinuxSll),
        (&[239], LinkKind::Nflog),
        (&[276], LinkKind::LinuxSll2),
        (&[228], LinkKind::Ipv4),
        (&[229], LinkKind::Ipv6),
        (&[195], LinkKind::Unsupported(195)),
    ] {
        for &link_type in link_types {
            let file =
                [LITTLE.pcap_header(MICROSECONDS, link_type), LITTLE.pcap_record(1, 0, 1, &[1])].concat();
            assert_eq!(frames_of(&file), [(0, link, 1_000_000_000, 1, vec![1])], "{link_type}");
        }
    }
}

#[test]
fn a_cut_anywhere_lends_the_whole_frames_and_reports_its_place() {
    let pcap = [
        LITTLE.pcap_header(MICROSECONDS, 1),
        LITTLE.pcap_record(1, 0, 60, &[1; 9]),
        LITTLE.pcap_record(2, 0, 60, &[2; 5]),
    ];
    let pcapng = [
        [BIG.section(), BIG.interface(1, 0, &[])].concat(),
        BIG.enhanced(0, 1, 60, &[1; 9]),
        BIG.enhanced(0, 2, 60, &[2; 5]),
    ];
    for parts in [pcap, pcapng] {
        let whole = parts.concat();
        let first = parts[0].len();
        let second = first + parts[1].len();
        for len in first..=whole.len() {
            let (seen, result) = read_all(open(&whole[..len]).unwrap());
            let expected = usize::from(len >= second) + usize::from(len == whole.len());
            assert_eq!(seen.len(), expected, "cut to {len}");
            if [first, second, whole.len()].contains(&len) {
                assert!(result.is_ok(), "cut to {len}");
                continue;
            }
            let broken_at = if len < second { first } else { second };
            match result {
                Err(ReplayError::CutShort { offset, left, .. }) => {
                    assert_eq!((offset, left), (broken_at as u64, len - broken_at), "cut to {len}");
                }
                other => panic!("cut to {len}: {other:?}"),
            }
        }
        // Within the file header, or the section header of 28 bytes.
        for len in 1..24 {
            let error = error_of(&whole[..len]);
            assert!(error.contains("is cut short at byte"), "cut to {len}: {error}");
        }
    }
}

#[test]
fn corruption_in_the_middle_lends_the_frames_before_it() {
    let good = LITTLE.pcap_record(1, 0, 60, &[1; 9]);
    let oversized = LITTLE.u32s(&[2, 0, 262_145, 60]);
    let file = [LITTLE.pcap_header(MICROSECONDS, 1), good.clone(), oversized, vec![0; 300_000]].concat();
    let (seen, result) = read_all(open(&file).unwrap());
    assert_eq!(seen.len(), 1);
    assert_eq!(
        result.unwrap_err().to_string(),
        "capture test.pcap is corrupt at byte 49: expected a record of at most 262144 captured bytes, \
         found one of 262145; what stands before is counted, copy the file again or repair it to have the rest"
    );

    let start = [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.enhanced(0, 1, 60, &[1; 9])].concat();
    let mut beyond = LITTLE.enhanced(0, 1, 60, &[1; 9]);
    beyond[20] = 200;
    let mut obsolete = LITTLE.block(2, &[0; 24]);
    obsolete[20] = 200;
    let mut trailer = LITTLE.enhanced(0, 1, 60, &[1; 9]);
    let last = trailer.len() - 4;
    trailer[last] ^= 4;
    let mut magic = LITTLE.section();
    magic[8] = 0;
    for (what, broken) in [
        ("captured bytes beyond the block", beyond),
        ("the same in the obsolete block", obsolete),
        ("an obsolete block without its header", LITTLE.block(2, &[0; 4])),
        ("a trailer that differs", trailer),
        ("an odd length", LITTLE.u32s(&[6, 33, 0, 0, 0, 0, 0, 0, 0, 0])),
        ("a length below the minimum", LITTLE.u32s(&[6, 8, 0])),
        ("a length beyond the maximum", LITTLE.u32s(&[6, (16 << 20) + 4, 0])),
        ("a magic that is none", magic),
    ] {
        let (seen, result) = read_all(open(&[&start[..], &broken].concat()).unwrap());
        assert_eq!(seen.len(), 1, "{what}");
        match result {
            Err(ReplayError::Corrupt { offset, .. }) => assert_eq!(offset, start.len() as u64, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn a_record_longer_than_its_original_length_is_lent_unchanged() {
    let file = [LITTLE.pcap_header(MICROSECONDS, 1), LITTLE.pcap_record(1, 0, 3, &[7; 9])].concat();
    assert_eq!(frames_of(&file), [(0, LinkKind::Ethernet, 1_000_000_000, 3, vec![7; 9])]);
}

#[test]
fn files_of_other_formats_are_refused_with_the_reason() {
    for (file, expected) in [
        (
            &b""[..],
            "capture test.pcap is empty; expected a pcap or pcapng file, which has a header even without packets",
        ),
        (
            b"BZh91AY&SY",
            "test.pcap is no capture: expected the magic number of pcap or pcapng, found 425a6839; \
             it is compressed with bzip2: `bzip2 -dc test.pcap | TrafficAlerted replay -`",
        ),
        (
            b"TrafficInterval: 170",
            "test.pcap is no capture: expected the magic number of pcap or pcapng, found 54726166; \
             it is text; if it is a hex dump of packets: `text2pcap test.pcap - | TrafficAlerted replay -`",
        ),
        (
            b"\xd4\xc3",
            "capture test.pcap is cut short at byte 0: expected the magic number of a capture of 4 bytes, \
             2 are left; what stands before is counted, capture or copy the file again to have the rest",
        ),
    ] {
        assert_eq!(error_of(file), expected);
    }
}

#[test]
fn a_path_that_cannot_be_opened_is_named() {
    let error = Replay::open(Path::new("/nonexistent/x.pcap")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open capture /nonexistent/x.pcap; check the path and that this user may read it"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), LITTLE.pcap_header(MICROSECONDS, 1)).unwrap();
    assert!(
        Replay::open(file.path()).unwrap().next_batch().unwrap().is_none(),
        "a header alone is a capture"
    );
}

/// A reader that returns a few bytes at a time, then an interruption, then fails or ends.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    interrupted: bool,
    failure: Option<io::ErrorKind>,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(7);
        match (self.bytes.read(&mut buffer[..len])?, self.failure) {
            (0, Some(kind)) => Err(kind.into()),
            (len, _) => Ok(len),
        }
    }
}

fn trickle(file: &[u8], failure: Option<io::ErrorKind>) -> Replay {
    let reader = Trickle { bytes: Cursor::new(file.to_vec()), interrupted: false, failure };
    Replay::from_reader("pipe", reader).expect("the file begins like a capture")
}

#[test]
fn how_the_reader_hands_out_bytes_makes_no_difference() {
    let records = (0..600).flat_map(|second| LITTLE.pcap_record(second, 0, 60, &[second as u8; 33]));
    let file = [LITTLE.pcap_header(MICROSECONDS, 1), records.collect()].concat();
    let (seen, result) = read_all(trickle(&file, None));
    result.unwrap();
    assert_eq!(seen, frames_of(&file));
    assert_eq!(seen.len(), 600);
}

#[test]
fn a_reader_that_fails_is_distinguished_from_a_file_that_ends() {
    let file = [LITTLE.pcap_header(MICROSECONDS, 1), LITTLE.pcap_record(1, 0, 60, &[1; 9])].concat();
    let (seen, result) = read_all(trickle(&file, Some(io::ErrorKind::TimedOut)));
    assert_eq!(seen.len(), 1);
    assert_eq!(
        result.unwrap_err().to_string(),
        "cannot read capture pipe at byte 49; check that it is a file and its disk is sound"
    );
}

#[test]
fn the_buffer_moves_and_grows_without_losing_a_frame() {
    // 8 MB of records, more than the buffer holds, then a block of 3 MB that it must grow for.
    let record = |index: u32| LITTLE.enhanced(0, u64::from(index), 60_000, &[index as u8; 40_000]);
    let file = [
        [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat(),
        (0..200).flat_map(record).collect(),
        LITTLE.block(0x0bad, &vec![0; 3_000_000]),
        record(200),
    ]
    .concat();
    let seen = frames_of(&file);
    assert_eq!(seen.len(), 201);
    for (index, (_, _, seen_at, _, bytes)) in seen.iter().enumerate() {
        assert_eq!((*seen_at, bytes), (index as u64 * 1000, &vec![index as u8; 40_000]));
    }
    // A file is mapped in parts instead of read, with the same result, and so is a named pipe.
    let folder = tempfile::tempdir().unwrap();
    let [path, fifo] = ["capture.pcapng", "pipe"].map(|name| folder.path().join(name));
    std::fs::write(&path, &file).unwrap();
    assert!(read_all(Replay::open(&path).unwrap()).0 == seen);
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::fs::write(&fifo, &file).unwrap());
        assert!(read_all(Replay::open(&fifo).unwrap()).0 == seen);
    });
}
