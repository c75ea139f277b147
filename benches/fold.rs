//! The analyst's work: adding a delta to the window, and turning slots out.
//!
//! Rows are as many as a busy worker hands over at once, and a million, which is what a late analyst finds.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::flow::{Delta, Window};
use traffic_alerted::time::{Moment, UnixNanos};

mod packets;
mod windows;

use windows::{SECOND, window};

/// Every pair of these once, in a delta that was handed over `at`.
fn filled(pairs: u32, at: u64) -> Delta {
    let mut delta = windows::delta(pairs);
    windows::count(&mut delta, 0..pairs, UnixNanos(at));
    delta.handed_over_at = Moment(at);
    delta
}

/// Into a window that knows the pairs, one that does not, and out again.
fn fold(criterion: &mut Criterion) {
    const BEGAN: u64 = 1000 * SECOND;
    let mut group = criterion.benchmark_group("fold");
    for pairs in [65_000, 1_000_000] {
        group.sample_size(10);
        group.throughput(Throughput::Elements(u64::from(pairs)));
        let delta = filled(pairs, BEGAN);
        let folded = || {
            let mut window = window();
            window.fold(&delta);
            window
        };

        let mut known = folded();
        known.decide(Moment(BEGAN));
        group.bench_function(BenchmarkId::new("known pairs", pairs), |bencher| {
            bencher.iter(|| known.fold(&delta));
        });
        drop(known);

        group.bench_function(BenchmarkId::new("new pairs", pairs), |bencher| {
            bencher.iter_batched_ref(window, |window| window.fold(&delta), BatchSize::PerIteration);
        });

        group.bench_function(BenchmarkId::new("roll out", pairs), |bencher| {
            let roll = |window: &mut Window| window.roll(Moment(BEGAN + 11 * SECOND));
            bencher.iter_batched_ref(folded, roll, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, fold);
criterion_main!(benches);
