//! Folds a delta into the window, and subtracts expired slots, as the analyst does.
//!
//! The deltas have as many rows as a busy worker hands over at once, and a million, as many as a late analyst folds.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::flow::{Delta, Window};
use traffic_alerted::time::{Moment, UnixNanos};

mod packets;
mod windows;

use windows::{SECOND, window};

/// Returns a delta with one packet of each of these pairs, handed over at [`BEGAN`].
fn filled(pairs: impl ExactSizeIterator<Item = u32>) -> Delta {
    let mut delta = windows::delta(pairs.len() as u32);
    windows::count(&mut delta, pairs, UnixNanos(BEGAN));
    delta.handed_over_at = Moment(BEGAN);
    delta
}

const BEGAN: u64 = 1000 * SECOND;

/// A prime. Its multiples modulo another number visit all numbers below that, with large steps.
const STRIDE: u64 = 2_654_435_761;

/// Folds pairs into a window that has them, folds them into one that does not, and subtracts them when they expire.
fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fold");
    for pairs in [65_000, 1_000_000] {
        group.sample_size(10);
        group.throughput(Throughput::Elements(u64::from(pairs)));
        let delta = filled(0..pairs);
        let folded = || {
            let mut window = window();
            window.fold(&delta);
            window
        };

        // Known pairs come in a shuffled order.
        let shuffled = filled((0..pairs).map(|n| (u64::from(n) * STRIDE % u64::from(pairs)) as u32));
        let mut known = folded();
        known.decide(Moment(BEGAN));
        group.bench_function(BenchmarkId::new("known pairs", pairs), |bencher| {
            bencher.iter(|| known.fold(&shuffled));
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
