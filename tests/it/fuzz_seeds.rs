//! The seeds of the fuzzers are built by code and committed. These tests compare the two; with `UPDATE_SEEDS=1` in the
//! environment they write the seeds.

mod answers;
mod kernel;
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::packets::capture_file::{BIG, LITTLE, MICROSECONDS, MODIFIED, NANOSECONDS, Order, gzip, zstd};
use crate::packets::catalogue::{Sample, catalogue, sample};
use crate::packets::seed;

type Seeds = BTreeMap<String, Vec<u8>>;

#[test]
fn decode_seeds_are_the_catalogue() {
    let seeds = catalogue().iter().map(|s| (s.name.to_owned(), seed::input_of(&s.frame()))).collect();
    compare_or_update("decode", &seeds);
    for (name, input) in &seeds {
        let (frame, expected) = (seed::frame_of(input).unwrap(), sample(name));
        assert_eq!((frame.link, frame.frame_len, frame.bytes), {
            let frame = expected.frame();
            (frame.link, frame.frame_len, frame.bytes)
        });
    }
}

#[test]
fn capture_seeds_have_every_variant() {
    let ethernet = [sample("ipv4_tcp"), sample("vlan_ipv6_udp"), sample("ipv4_tcp_snapped")];
    let raw = [sample("raw_ipv4"), sample("raw_ipv6")];
    let mut seeds = Seeds::new();
    let mut add = |name: &str, file: Vec<u8>| seeds.insert(name.to_owned(), file);

    add("pcap_empty", LITTLE.pcap_header(MICROSECONDS, 1));
    add("pcap_little", pcap(LITTLE, MICROSECONDS, 1, &ethernet));
    add("pcap_big", pcap(BIG, MICROSECONDS, 1, &ethernet));
    add("pcap_little_nanos", pcap(LITTLE, NANOSECONDS, 101, &raw));
    add("pcap_big_nanos", pcap(BIG, NANOSECONDS, 101, &raw));
    add("pcap_modified", {
        let mut record = record(LITTLE, &raw[0]);
        record.splice(16..16, [0; 8]);
        [LITTLE.pcap_header(MODIFIED, 101), record.clone(), record].concat()
    });
    add("pcap_cut", {
        let mut file = pcap(LITTLE, MICROSECONDS, 1, &ethernet);
        file.truncate(file.len() - 9);
        file
    });
    add("pcap_oversized_record", {
        let oversized = LITTLE.u32s(&[1, 0, 262_145, 262_145]);
        [pcap(LITTLE, MICROSECONDS, 101, &raw), oversized].concat()
    });
    for (name, order) in [("pcapng_little", LITTLE), ("pcapng_big", BIG)] {
        add(name, pcapng(order, &ethernet));
    }
    add("pcapng_sections", [pcapng(LITTLE, &ethernet), pcapng(BIG, &ethernet)].concat());
    add("pcapng_clocks", {
        let clock =
            [LITTLE.option(9, &[0x80 | 20]), LITTLE.option(14, &LITTLE.i64(-3600)), vec![0; 4]].concat();
        let start = [LITTLE.section(), LITTLE.interface(101, 0, &clock)].concat();
        [start, LITTLE.enhanced(0, 1 << 40, raw[0].frame_len, &raw[0].bytes)].concat()
    });
    add("pcapng_unknown_interface", {
        [LITTLE.section(), LITTLE.enhanced(3, 0, raw[0].frame_len, &raw[0].bytes)].concat()
    });
    add("pcap_modified_big", {
        let mut record = record(BIG, &raw[0]);
        record.splice(16..16, [0; 8]);
        [BIG.pcap_header(MODIFIED, 101), record.clone(), record].concat()
    });
    add("pcap_lengths_swapped", {
        let mut file = LITTLE.pcap_header(MICROSECONDS, 101);
        file[6..8].copy_from_slice(&LITTLE.u16(2));
        [file, LITTLE.u32s(&[1, 0, 100, 40]), raw[0].bytes.iter().copied().cycle().take(40).collect()]
            .concat()
    });
    add("pcap_nflog", pcap(BIG, MICROSECONDS, 239, &[sample("nflog_little"), sample("nflog_big")]));
    for (name, link_type, cooked) in [("pcap_sll", 113, "sll"), ("pcap_sll2", 276, "sll2")] {
        add(name, {
            let (entering, mut leaving) = (sample(cooked), sample(cooked));
            leaving.bytes[if cooked == "sll" { 1 } else { 10 }] = 4;
            pcap(LITTLE, MICROSECONDS, link_type, &[entering, leaving])
        });
    }
    add("pcapng_flags", flags(LITTLE, &ethernet));
    add("pcapng_other_version", {
        let mut other = pcapng(BIG, &ethernet);
        other[13] = 2;
        [pcapng(LITTLE, &ethernet), other, pcapng(BIG, &ethernet)].concat()
    });
    add("pcapng_large_block", [pcapng(LITTLE, &ethernet), LITTLE.u32s(&[0x0bad, u32::MAX - 3, 0])].concat());
    add("gzip_pcap", gzip(&pcap(LITTLE, MICROSECONDS, 1, &ethernet)));
    add("gzip_members", {
        let file = pcapng(LITTLE, &ethernet);
        let (first, rest) = file.split_at(100);
        [gzip(first), gzip(rest), vec![0; 9]].concat()
    });
    add("zstd_pcap", zstd(&pcap(LITTLE, MICROSECONDS, 1, &ethernet)));
    add("zstd_frames", {
        let file = flags(LITTLE, &ethernet);
        let (first, rest) = file.split_at(100);
        [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(first), &zstd(rest)].concat()
    });
    // A block of one byte that stands for 128 KiB.
    add("zstd_bomb", {
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 10 << 3];
        bomb.extend([&zstd(&LITTLE.pcap_header(MICROSECONDS, 1))[6..9], &[0; 24]].concat());
        bomb[6] &= !1;
        bomb.extend([[2, 0, 16, 0]; 60].concat());
        bomb
    });
    compare_or_update("capture", &seeds);
}

fn pcap(order: Order, magic: u32, link_type: u32, samples: &[Sample]) -> Vec<u8> {
    let records = samples.iter().flat_map(|sample| record(order, sample));
    order.pcap_header(magic, link_type).into_iter().chain(records).collect()
}

fn record(order: Order, sample: &Sample) -> Vec<u8> {
    order.pcap_record(1_000_000_000, 999_999, sample.frame_len, &sample.bytes)
}

/// Returns a section with all kinds of packet blocks and a block of another kind.
fn pcapng(order: Order, samples: &[Sample; 3]) -> Vec<u8> {
    let [first, second, third] = samples;
    let options = [order.option(2, b"eth0"), order.option(9, &[9]), vec![0; 4]].concat();
    [
        order.section(),
        order.interface(1, 96, &[]),
        order.interface(1, 0, &options),
        order.enhanced(1, 1_000_000_000_000_000_000, first.frame_len, &first.bytes),
        order.simple(second.frame_len, &second.bytes),
        order.block(5, &[0; 12]),
        order.obsolete(0, 1_000_000_000_000_000, third.frame_len, &third.bytes),
    ]
    .concat()
}

/// Returns a section whose packets state that they entered and left.
fn flags(order: Order, samples: &[Sample; 3]) -> Vec<u8> {
    let start = [order.section(), order.interface(1, 0, &[])];
    let packets = samples.iter().flat_map(|sample| [(1, sample), (2, sample)]).map(|(flags, sample)| {
        let len = sample.bytes.len().next_multiple_of(4);
        let mut bytes = sample.bytes.clone();
        bytes.resize(len, 0);
        let words = order.u32s(&[0, 0, 9, sample.bytes.len() as u32, sample.frame_len]);
        let options = [order.option(1, b"seen"), order.option(2, &order.u32(flags))].concat();
        order.block(6, &[words, bytes, options].concat())
    });
    start.into_iter().chain(packets).flatten().collect()
}

fn compare_or_update(target: &str, seeds: &Seeds) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    if std::env::var_os("UPDATE_SEEDS").is_some() {
        write(&folder, seeds);
    }
    for (name, seed) in seeds {
        let path = folder.join(name);
        let committed = fs::read(&path).unwrap_or_default();
        assert!(
            committed == *seed,
            "{} is not what the code builds; run `UPDATE_SEEDS=1 cargo test --test it fuzz_seeds`",
            path.display()
        );
    }
    for path in named_seeds(&folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        assert!(seeds.contains_key(&*name), "{} is built by no code; remove it", path.display());
    }
}

fn write(folder: &Path, seeds: &Seeds) {
    fs::create_dir_all(folder).expect("the folder of the seeds can be made");
    for path in named_seeds(folder) {
        fs::remove_file(path).expect("a seed can be removed");
    }
    for (name, seed) in seeds {
        fs::write(folder.join(name), seed).expect("a seed can be written");
    }
}

/// The files that are committed: the fuzzer names what it finds by 40 hexadecimal digits.
fn named_seeds(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder of the seeds is there");
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    paths.filter(|path| path.file_name().is_some_and(|name| name.len() != 40)).collect()
}
