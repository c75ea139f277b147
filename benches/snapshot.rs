//! Makes the largest hosts of a window with their destinations, as readers get them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::flow::{Listing, ListingRoom};
use traffic_alerted::time::UnixNanos;

mod packets;
mod windows;

fn snapshot(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    for pairs in [100_000, 1_000_000] {
        let mut window = windows::window();
        let mut delta = windows::delta(pairs);
        windows::count(&mut delta, 0..pairs, UnixNanos(windows::SECOND));
        window.fold(&delta);
        group.throughput(Throughput::Elements(u64::from(pairs)));
        group.bench_function(BenchmarkId::new("pairs", pairs), |bencher| {
            let mut listing = Listing::new(ListingRoom::from_memory(4_000_000_000), false);
            bencher.iter(|| {
                listing.begin(std::iter::empty());
                // The list is made as the analyst does: in parts, and in the memory of the previous list.
                while !window.list_part(&mut listing) {}
                let (chart, _) = listing.take();
                listing.reuse(chart);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, snapshot);
criterion_main!(benches);
