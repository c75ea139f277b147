//! Replays a capture with the whole engine: reads, decodes, counts, folds and judges.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::engine::{self, Rules};
use traffic_alerted::{alert, capture, detect, flow};

const PACKETS: u32 = 200_000;

fn replay(criterion: &mut Criterion) {
    let rules = Rules {
        flow: flow::Options {
            traffic_interval: Duration::from_secs(170),
            port_interval: Some(Duration::from_secs(600)),
            chart_bytes_min: 5_000_000,
            group_ipv6: None,
            memory_bytes_max: 256 << 20,
        },
        detect: detect::Limits {
            hosts: detect::HostLimits::default()
                .with(detect::FindingKind::Traffic, Some(1_000_000_000))
                .with(detect::FindingKind::Scanning, Some(15))
                .with(detect::FindingKind::ScanningPort, Some(100)),
            ..detect::Limits::default()
        },
        alert: alert::Options::default(),
        direction: capture::DirectionPolicy::Auto,
    };
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(20);
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    for (name, pairs) in [("64-byte packets, 1k pairs", 1000), ("64-byte packets, 100k pairs", 100_000)] {
        let capture = capture(pairs);
        let paths = [PathBuf::from(capture.path())];
        group.bench_function(name, |bencher| {
            bencher.iter(|| engine::replay(&paths, &rules).expect("enough memory"));
        });
    }
    group.finish();
}

/// Writes a pcap of UDP packets, 200,000 per second of capture time.
fn capture(pairs: u32) -> tempfile::NamedTempFile {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for n in 0..PACKETS {
        for word in [1_790_000_000, n * 5, 64, 64] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00]);
        bytes.extend([0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17, 0, 0]);
        let pair = n.wrapping_mul(0x9e37_79b9) % pairs;
        bytes.extend((0x0a00_0000 + pair % 250).to_be_bytes());
        bytes.extend((0xc612_0000 + pair / 250).to_be_bytes());
        bytes.extend([0x9c, 0x40, 0, 53, 0, 30, 0, 0]);
        bytes.extend([0; 22]);
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(&bytes).expect("room for 16 MB");
    file
}

criterion_group!(benches, replay);
criterion_main!(benches);
