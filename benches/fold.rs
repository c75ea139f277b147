//! The analyst's work: adding a delta to the window, and turning slots out.

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::flow::{Crossing, Delta, Limits, Options, Seed, Window};
use traffic_alerted::time::{Moment, UnixNanos};

mod packets;

const SECOND: u64 = 1_000_000_000;

fn options() -> Options {
    Options {
        traffic_interval: Duration::from_secs(10),
        port_interval: None,
        chart_bytes_min: 5_000_000,
        group_ipv6: None,
        memory_bytes_max: 1 << 30,
    }
}

fn window(seed: &Seed) -> (Window, Delta) {
    let limits = Limits::from_memory(1 << 30, 1, false).expect("a gigabyte is enough");
    (Window::new(&options(), &limits, seed.clone()), Delta::new(limits.delta, seed.clone()))
}

/// A delta of 64k pairs into a window that knows them, one that does not, and out again.
fn fold(criterion: &mut Criterion) {
    const PAIRS: u32 = 65_000;
    let seed = Seed::default();
    let mut group = criterion.benchmark_group("fold");
    group.sample_size(20);
    group.throughput(Throughput::Elements(u64::from(PAIRS)));
    let fill = |delta: &mut Delta, at: u64| {
        delta.clear();
        for n in 0..PAIRS {
            delta.count(Crossing::default(), &packets::udp(n), UnixNanos(at));
        }
        delta.handed_over_at = Moment(at);
    };

    let (mut window_of_known, mut delta) = window(&seed);
    fill(&mut delta, 1000 * SECOND);
    window_of_known.fold(&delta);
    window_of_known.decide(Moment(1000 * SECOND));
    group.bench_function("known pairs", |bencher| bencher.iter(|| window_of_known.fold(&delta)));

    group.bench_function("new pairs", |bencher| {
        bencher.iter_batched_ref(|| window(&seed).0, |window| window.fold(&delta), BatchSize::PerIteration);
    });

    group.bench_function("roll out", |bencher| {
        let filled = || {
            let (mut window, _) = window(&seed);
            window.fold(&delta);
            window
        };
        bencher.iter_batched_ref(
            filled,
            |window| window.roll(Moment(1010 * SECOND)),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, fold);
criterion_main!(benches);
