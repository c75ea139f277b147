//! Counts decoded packets into a delta, in the batches of a worker: one table update and the totals.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::flow::{Arrival, CountMode, Decoded, Delta, DeltaLimits, InterfaceDirection, Seed};
use traffic_alerted::time::UnixNanos;

mod packets;

/// As many packets as a full block has: over few pairs, over as many as fit a delta, and as TCP SYNs with ports.
fn account(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("account");
    const PACKETS: u32 = 16_384;
    const ARRIVAL: Arrival = Arrival {
        interface_direction: InterfaceDirection::ELSEWHERE,
        seen_at: UnixNanos(1),
        count_mode: CountMode { is_evidence: false, is_received: false },
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
                        if decoded.push(&delta, black_box(summary), ARRIVAL) {
                            delta.take_all(&mut decoded);
                        }
                    }
                    delta.take_all(&mut decoded);
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
