//! Counts decoded packets into a delta, in the batches of a worker.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::flow::{CountMode, Decoded, Delta, DeltaLimits, FrameContext, InterfaceDirection, Seed};
use traffic_alerted::time::UnixNanos;

mod packets;

/// Counts as many packets as a full block has, of few and of many pairs, without and with ports.
fn account(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("account");
    const PACKETS: u32 = 16_384;
    const FRAME_CONTEXT: FrameContext = FrameContext {
        interface_direction: InterfaceDirection::OVERFLOW_ROW,
        seen_at: UnixNanos(1),
        count_mode: CountMode { is_observed_only: false, counts_as_received: false },
    };
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    for (name, pairs, ports_max) in [
        ("udp, 16 pairs", 16, 0),
        ("udp, 1k pairs", 1024, 0),
        ("udp, 16k pairs", 16_384, 0),
        ("udp, 1k pairs, ports", 1024, 1 << 17),
    ] {
        let summaries: Vec<_> = (0..PACKETS).map(|n| packets::udp(n % pairs)).collect();
        let mut delta =
            Delta::new(DeltaLimits { pairs_max: 1 << 17, ports_max, interfaces_max: 16 }, Seed::default());
        let mut decoded = Decoded::default();
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || (),
                |()| {
                    for summary in &summaries {
                        if decoded.push(&delta, black_box(summary), FRAME_CONTEXT) {
                            delta.count_decoded(&mut decoded);
                        }
                    }
                    delta.count_decoded(&mut decoded);
                    delta.close();
                    delta.clear();
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, account);
criterion_main!(benches);
