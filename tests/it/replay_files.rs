//! Capture files as people have them: compressed, of old and of other versions, with large blocks, or hostile.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use traffic_alerted::capture::{
    Batch, CaptureReport, CaptureWarningKind, FrameSource, Replay, ReplayError, capture_name,
    first_frame_time,
};
use traffic_alerted::time::UnixNanos;

use crate::packets::capture_file::{self, BIG, LITTLE, MICROSECONDS, MODIFIED};

/// Frames that were read: their seconds and their bytes.
type Seen = Vec<(u64, Vec<u8>)>;

fn read(opened: Result<Replay, ReplayError>) -> (Seen, Option<CaptureReport>, Option<String>) {
    let mut seen = Vec::new();
    let mut replay = match opened {
        Ok(replay) => replay,
        Err(error) => return (seen, None, Some(error.to_string())),
    };
    loop {
        match replay.next_batch() {
            Ok(Some(batch)) => {
                seen.extend(
                    batch.frames().map(|frame| (frame.seen_at.0 / 1_000_000_000, frame.bytes.to_vec())),
                );
            }
            Ok(None) => return (seen, Some(replay.report()), None),
            Err(error) => {
                let again = replay.next_batch().map(|batch| batch.is_some());
                assert_eq!(again.expect_err("an error stays").to_string(), error.to_string());
                return (seen, Some(replay.report()), Some(error.to_string()));
            }
        }
    }
}

fn open(file: &[u8]) -> Result<Replay, ReplayError> {
    Replay::from_reader("x", Cursor::new(file.to_vec()))
}

/// The frames of a file, and what went wrong.
fn frames(file: &[u8]) -> (Seen, Option<String>) {
    let (seen, _, error) = read(open(file));
    (seen, error)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

fn capture(frames: u32) -> Vec<u8> {
    let records = (1..=frames).flat_map(|n| LITTLE.pcap_record(n, 0, 60, &n.to_be_bytes().repeat(15)));
    LITTLE.pcap_header(MICROSECONDS, 1).into_iter().chain(records).collect()
}

/// 1 to `count`, as the frames of [`capture`] have them.
fn numbered(count: u32) -> Seen {
    (1..=count).map(|n| (n.into(), n.to_be_bytes().repeat(15))).collect()
}

#[test]
fn compressed_captures_are_read_as_they_are() {
    let file = capture(5000);
    let pcapng =
        [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.enhanced(0, 7_000_000, 4, &[1, 2, 3, 4])];
    let (first, rest) = file.split_at(file.len() / 3);
    let padded = [gzip(&file), vec![0; 1000]].concat();
    let skippable = [&[0x52, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5][..], &zstd(first), &zstd(rest)];
    for (what, compressed) in [
        ("gzip", gzip(&file)),
        ("gzip, two members and an empty one", [gzip(first), gzip(b""), gzip(rest)].concat()),
        ("gzip, padded with zeros", padded),
        ("gzip, stored", capture_file::gzip(&file)),
        ("zstd, stored", capture_file::zstd(&file)),
        ("zstd", zstd(&file)),
        ("zstd, a skippable frame and two others", skippable.concat()),
    ] {
        assert!(frames(&compressed) == (numbered(5000), None), "{what}");
        // The name of the file does not matter, nor whether it can be mapped.
        let path = tempfile::NamedTempFile::with_suffix(".pcap").unwrap();
        std::fs::write(path.path(), &compressed).unwrap();
        assert!(read(Replay::open(path.path())).0 == numbered(5000), "{what}, from a file");
        assert_eq!(first_frame_time(path.path()).unwrap(), Some(UnixNanos(1_000_000_000)), "{what}");
    }
    assert_eq!(frames(&gzip(&pcapng.concat())), (vec![(7, vec![1, 2, 3, 4])], None));
}

#[test]
fn damaged_compressed_captures_count_up_to_the_damage_and_say_where_it_is() {
    let file = capture(5000);
    for (name, compressed) in [("gzip", gzip(&file)), ("zstd", zstd(&file))] {
        let half = compressed.len() / 2;
        let (seen, error) = frames(&compressed[..half]);
        assert!(!seen.is_empty() && seen[..] == numbered(5000)[..seen.len()], "{name}");
        assert_eq!(
            error.unwrap(),
            format!(
                "capture x cannot be decompressed from byte {half} on: it is cut short; what stands before is \
                 counted, `{name} -t x` checks the file, copy it again to have the rest"
            )
        );
        // A byte of the checksum at the end is wrong: everything is there, but it may be wrong.
        let mut damaged = compressed.clone();
        let at = damaged.len() - if name == "gzip" { 7 } else { 2 };
        damaged[at] ^= 1;
        let (seen, error) = frames(&damaged);
        assert_eq!(seen.len(), 5000, "{name}");
        assert!(error.is_some_and(|error| error.contains("cannot be decompressed from byte")), "{name}");
    }
    let (seen, error) = frames(&[gzip(&file), b"more".to_vec()].concat());
    assert_eq!(seen.len(), 5000);
    assert!(error.unwrap().contains("after it are bytes that are not compressed"));
}

#[test]
fn what_is_wrong_within_a_compressed_capture_is_said_of_what_was_decompressed() {
    let file = capture(3);
    let (seen, error) = frames(&gzip(&file[..file.len() - 1]));
    assert_eq!(seen, numbered(2));
    assert!(error.unwrap().starts_with("capture x (decompressed) is cut short at byte 176"));
    let twice = frames(&gzip(&gzip(&file))).1.unwrap();
    assert!(
        twice.contains("compressed twice: `gzip -dc x | gzip -dc - | TrafficAlerted replay -`"),
        "{twice}"
    );
    let text = frames(&zstd(b"a log and no capture")).1.unwrap();
    assert!(text.contains("`zstd -dc x | text2pcap - - | TrafficAlerted replay -`"), "{text}");
    assert!(frames(&gzip(b"")).1.unwrap().contains("is empty"));
}

#[test]
fn a_window_of_zstd_beyond_the_limit_is_refused_before_memory_is_taken() {
    // A frame header with a window of 2 GiB, and a block of one byte that stands for 128 KiB.
    let bomb = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3][..], &[3, 0, 16, 0]].concat();
    let error = frames(&bomb).1.unwrap();
    assert!(error.contains("cannot be decompressed from byte") && error.contains("window"), "{error}");
}

/// 256 MiB of zeros are a few kilobytes compressed. After a header they are records without bytes.
#[test]
fn what_a_bomb_holds_is_read_in_parts() {
    struct Zeros;
    impl Read for Zeros {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(0);
            Ok(buffer.len())
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // A block of another kind that is as long as a block can be, most of which is missing.
    let head = [LITTLE.section(), LITTLE.u32s(&[0x0bad, u32::MAX - 3])].concat();
    encoder.write_all(&head).unwrap();
    io::copy(&mut Zeros.take(64 << 20), &mut encoder).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let before = resident_kib();
    let error = frames(&bomb).1.unwrap();
    assert!(error.contains("is cut short at byte 28: expected a block of 4294967292 bytes"), "{error}");
    assert!(resident_kib().saturating_sub(before) < 24 << 10, "it was not read into memory");
}

/// The largest resident memory of this process so far, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

#[test]
fn standard_input_may_be_compressed() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_TrafficAlerted"))
        .args(["replay", "--json", "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&zstd(&capture(9))).unwrap();
    let output = child.wait_with_output().unwrap();
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["accounting"]["frames"], 9);
}

#[test]
fn versions_of_pcap_are_checked() {
    let version = |major: u16, minor: u16| {
        let mut file = capture(2);
        file[4..8].copy_from_slice(&[LITTLE.u16(major), LITTLE.u16(minor)].concat());
        file
    };
    assert_eq!(frames(&version(2, 4)).0, numbered(2));
    // The lengths are equal in none of the records, so their order matters. In 2.3 the smaller is the captured one.
    let swapped = |minor| {
        let mut file = LITTLE.pcap_header(MICROSECONDS, 1);
        file[6..8].copy_from_slice(&LITTLE.u16(minor));
        file.extend(
            [LITTLE.u32s(&[5, 0, 60, 4]), vec![1, 2, 3, 4], LITTLE.u32s(&[6, 0, 61, 2]), vec![5, 6]].concat(),
        );
        file
    };
    for minor in 0..=3 {
        assert_eq!(
            frames(&swapped(minor)),
            (vec![(5, vec![1, 2, 3, 4]), (6, vec![5, 6])], None),
            "2.{minor}"
        );
    }
    for (major, minor) in [(1, 4), (2, 5), (3, 0), (543, 0)] {
        assert_eq!(
            frames(&version(major, minor)).1.unwrap(),
            format!(
                "capture x is of pcap version {major}.{minor}, versions 2.0 to 2.4 are read: \
                 `editcap -F pcap x - | TrafficAlerted replay -`"
            )
        );
    }
}

#[test]
fn advice_about_standard_input_names_it_as_commands_take_it() {
    let error =
        |file: Vec<u8>| read(Replay::from_reader(capture_name(Path::new("-")), Cursor::new(file))).2.unwrap();
    let mut version = capture(2);
    version[4] = 3;
    assert!(error(version.clone()).contains("`editcap -F pcap - - | TrafficAlerted replay -`"));
    assert!(error(gzip(&version)).contains("`gzip -dc - | editcap -F pcap - - | TrafficAlerted replay -`"));
    let whole = gzip(&capture(9));
    assert!(error(whole[..whole.len() - 9].to_vec()).contains("`gzip -t -` checks"));
}

#[test]
fn the_modified_variant_is_read_in_both_byte_orders() {
    for order in [LITTLE, BIG] {
        let mut record = order.pcap_record(5, 7, 1500, &[0x45, 0]);
        record.splice(16..16, [9; 8]);
        let file = [order.pcap_header(MODIFIED, 1), record.clone(), record].concat();
        assert_eq!(frames(&file), (vec![(5, vec![0x45, 0]); 2], None), "big endian {}", order.big_endian);
    }
}

/// A section with this version and one frame, whose byte is `n`.
fn section(major: u16, minor: u16, n: u8) -> Vec<u8> {
    let mut header = BIG.section();
    header[12..16].copy_from_slice(&[BIG.u16(major), BIG.u16(minor)].concat());
    [header, BIG.interface(1, 0, &[]), BIG.enhanced(0, u64::from(n) * 1_000_000, 1, &[n])].concat()
}

#[test]
fn sections_of_other_versions_are_skipped_and_said() {
    let parts = [section(1, 0, 1), section(2, 0, 2), section(1, 2, 3), section(1, 1, 4), section(3, 9, 5)];
    let (seen, report, error) = read(open(&parts.concat()));
    assert_eq!((seen, error), (vec![(1, vec![1]), (3, vec![3])], None));
    let [warning] = &report.unwrap().warnings[..] else { panic!("one kind was met") };
    assert_eq!(warning.kind, CaptureWarningKind::SectionSkipped { major: 2, minor: 0 });
    assert_eq!((warning.count, warning.offset), (3, parts[0].len() as u64));
    assert!(warning.is_loss());
}

#[test]
fn large_blocks_without_packets_are_skipped_and_others_are_refused() {
    let huge = vec![0; (16 << 20) + 4];
    let start =
        [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.enhanced(0, 1_000_000, 1, &[1])].concat();
    let end = LITTLE.enhanced(0, 2_000_000, 1, &[2]);
    let file = [&start[..], &LITTLE.block(0x0bad, &huge), &end].concat();
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), &file).unwrap();
    for opened in [open(&file), Replay::open(path.path())] {
        let (seen, report, error) = read(opened);
        assert_eq!((seen, error), (vec![(1, vec![1]), (2, vec![2])], None));
        let [warning] = &report.unwrap().warnings[..] else { panic!("one kind was met") };
        let kind = CaptureWarningKind::BlockSkipped { block_type: 0x0bad, len: (16 << 20) + 16 };
        assert_eq!((warning.kind, warning.offset, warning.is_loss()), (kind, start.len() as u64, false));
    }
    let (seen, error) = frames(&file[..start.len() + (1 << 20)]);
    let at = start.len();
    assert_eq!(seen.len(), 1);
    assert!(
        error
            .unwrap()
            .contains(&format!("is cut short at byte {at}: expected a block of 16777232 bytes, 1048576"))
    );

    let mut trailer = file.clone();
    trailer[at + (16 << 20) + 12] ^= 4;
    assert!(
        frames(&trailer)
            .1
            .unwrap()
            .contains(&format!("is corrupt at byte {at}: expected the length of a block again"))
    );

    for block_type in [0x0a0d_0d0a, 1, 2, 3, 6] {
        let mut block = LITTLE.block(block_type, &huge);
        block[8..12].copy_from_slice(&LITTLE.u32(0x1a2b_3c4d));
        let (seen, error) = frames(&[&start[..], &block].concat());
        assert_eq!(seen.len(), 1, "{block_type}");
        let error = error.unwrap();
        assert!(error.contains(&format!("is corrupt at byte {at}")) && error.contains("16 MiB"), "{error}");
    }
}

#[test]
fn hostile_lengths_are_refused_at_their_place() {
    let start =
        [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.enhanced(0, 1_000_000, 1, &[1])].concat();
    let captured = |len: u32| LITTLE.block(6, &LITTLE.u32s(&[0, 0, 0, len, 60, 0, 0, 0]));
    for (what, block) in [
        ("a block of 2^32-1 bytes", LITTLE.u32s(&[6, u32::MAX, 0])),
        ("a packet block of 2^32-4 bytes", LITTLE.u32s(&[6, u32::MAX - 3, 0])),
        ("2^32-1 captured bytes", captured(u32::MAX)),
        ("2^32-8 captured bytes", captured(u32::MAX - 7)),
        ("an interface that is not described", LITTLE.enhanced(u32::MAX, 0, 1, &[1])),
        ("an obsolete packet of such an interface", LITTLE.obsolete(7, 0, 1, &[1])),
    ] {
        let (seen, error) = frames(&[&start[..], &block].concat());
        assert_eq!(seen.len(), 1, "{what}");
        let place = format!("is corrupt at byte {}", start.len());
        assert!(error.is_some_and(|error| error.contains(&place)), "{what}");
    }
    let pcap = [capture(1), LITTLE.u32s(&[1, 0, u32::MAX, u32::MAX])].concat();
    let (seen, error) = frames(&pcap);
    assert_eq!(seen.len(), 1);
    assert!(error.unwrap().contains("is corrupt at byte 100"));
}

#[test]
fn options_past_the_end_of_their_block_are_passed_over() {
    let option = |code: u16| [LITTLE.u16(code), LITTLE.u16(u16::MAX)].concat();
    let flags = LITTLE.block(6, &[LITTLE.u32s(&[0, 0, 5_000_000, 4, 4]), vec![1; 4], option(2)].concat());
    let file = [LITTLE.section(), LITTLE.interface(1, 0, &option(9)), flags];
    assert_eq!(frames(&file.concat()), (vec![(5, vec![1; 4])], None));
}

#[test]
fn link_types_that_are_not_decoded_are_counted_by_number() {
    let undecoded = |file: &[u8]| {
        let (_, report, error) = read(open(file));
        assert_eq!(error, None);
        report.unwrap().undecoded.iter().map(|link| (link.to_string(), link.frames)).collect::<Vec<_>>()
    };
    let pcap = |link_type| {
        let records = (0..600).flat_map(|n| LITTLE.pcap_record(n, 0, 1, &[0]));
        LITTLE.pcap_header(MICROSECONDS, link_type).into_iter().chain(records).collect::<Vec<_>>()
    };
    assert_eq!(undecoded(&pcap(1)), []);
    assert_eq!(undecoded(&pcap(127)), [("link type 127 (IEEE802_11_RADIOTAP)".to_owned(), 600)]);
    let pcapng = [
        [LITTLE.section(), LITTLE.interface(1, 0, &[]), LITTLE.interface(189, 0, &[])].concat(),
        [LITTLE.enhanced(1, 0, 1, &[1]), LITTLE.enhanced(0, 0, 1, &[1]), LITTLE.enhanced(1, 0, 1, &[1])]
            .concat(),
    ];
    assert_eq!(undecoded(&pcapng.concat()), [("link type 189 (USB_LINUX)".to_owned(), 2)]);
}

#[test]
fn times_that_had_to_be_assumed_are_said() {
    let clock = |resolution: u8, offset: i64| {
        [LITTLE.option(9, &[resolution]), LITTLE.option(14, &LITTLE.i64(offset)), vec![0; 4]].concat()
    };
    let file = [
        [LITTLE.section(), LITTLE.interface(1, 0, &clock(12, 0)), LITTLE.interface(1, 0, &clock(6, -9))]
            .concat(),
        [
            LITTLE.enhanced(0, 3_000_000_000_000, 1, &[1]),
            LITTLE.simple(1, &[2]),
            LITTLE.enhanced(1, 1, 1, &[3]),
        ]
        .concat(),
    ];
    let (seen, report, _) = read(open(&file.concat()));
    assert_eq!(seen.iter().map(|(seconds, _)| *seconds).collect::<Vec<_>>(), [3, 3, 0]);
    let kinds: Vec<_> = report.unwrap().warnings.iter().map(|warning| warning.kind).collect();
    assert_eq!(
        kinds,
        [
            CaptureWarningKind::FinerThanNanoseconds,
            CaptureWarningKind::NoTime,
            CaptureWarningKind::TimeOutOfRange
        ]
    );
}
