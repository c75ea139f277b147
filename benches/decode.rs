//! Time to decode one frame, by kind; the frames are those of the tests' catalogue.
//!
//! `decode` takes the fast path if there is one for the frame. `general` never does, so the difference is what the fast
//! path saves. `batch` decodes mixed frames into a reused buffer, as a worker does with a block.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use packets::catalogue::{Sample, sample};
use traffic_alerted::packet::{Frame, decode, decode_general};

#[path = "../tests/packets/mod.rs"]
mod packets;

/// Number of frames in a block; the captured bytes fit into the second-level cache.
const BLOCK_FRAMES: usize = 1024;
/// Number of frames that are decoded before they are counted, as in the workers.
const TOGETHER: usize = 64;

const PLAIN: [&str; 6] = ["ipv4_tcp", "ipv4_udp", "ipv6_tcp", "ipv6_udp", "vlan_ipv4_tcp", "vlan_ipv6_udp"];
const UNUSUAL: [&str; 8] = [
    "qinq",
    "mpls",
    "pppoe_ipv4",
    "ipv4_options",
    "ipv4_later_fragment",
    "ipv6_extensions",
    "icmp_echo",
    "arp",
];

fn decode_by_kind(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    for name in PLAIN.into_iter().chain(UNUSUAL) {
        let sample = sample(name);
        let frame = sample.frame();
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| decode(black_box(&frame)));
        });
        if PLAIN.contains(&name) {
            group.bench_function(BenchmarkId::new("general", name), |bencher| {
                bencher.iter(|| decode_general(black_box(&frame)));
            });
        }
    }
    group.finish();
}

fn decode_blocks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(BLOCK_FRAMES as u64));
    for (name, kinds) in [("plain", &PLAIN[..]), ("mixed", &[&PLAIN[..], &UNUSUAL].concat())] {
        let samples: Vec<Sample> = kinds.iter().map(|name| sample(name)).collect();
        let frames: Vec<Frame<'_>> = samples.iter().map(Sample::frame).cycle().take(BLOCK_FRAMES).collect();
        let mut decoded = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for frames in black_box(&frames).chunks(TOGETHER) {
                    decoded.clear();
                    decoded.extend(frames.iter().map(decode));
                    black_box(&decoded);
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode_by_kind, decode_blocks);
criterion_main!(benches);
