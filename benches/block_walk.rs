//! The cost of the walk over a ring block per frame, without the kernel and without decoding.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::sys::ring::{VnetHeader, frames_in_block};
use traffic_alerted::sys::synthetic;

/// Makes a block of the size that live capture uses, full of frames of 64 bytes, and returns their number.
fn full_block() -> (Vec<u8>, u64) {
    const BLOCK_BYTES: usize = 1 << 20;
    const FRAME_BYTES: [u8; 64] = [0x5a; 64];
    // The block header has 48 bytes. Each frame takes 152 bytes: its header, alignment and data.
    let frames = (BLOCK_BYTES - 48) / 152;
    let block = synthetic::block(&vec![synthetic::frame(&FRAME_BYTES); frames], BLOCK_BYTES);
    assert_eq!(block.len(), BLOCK_BYTES);
    (block, frames as u64)
}

fn block_walk(criterion: &mut Criterion) {
    let (block, frames) = full_block();
    let mut group = criterion.benchmark_group("block_walk");
    group.throughput(Throughput::Elements(frames));
    group.bench_function("64_byte_frames", |bencher| {
        bencher.iter(|| {
            // One byte of each frame is read, so that its cache line is fetched, as a decoder does.
            let walk = frames_in_block(black_box(&block), VnetHeader::None).map_while(Result::ok);
            walk.fold(0u64, |sum, frame| {
                sum + u64::from(frame.tp_len) + u64::from(frame.bytes[12]) + u64::from(frame.ifindex.get())
            })
        });
    });
    group.finish();
}

criterion_group!(benches, block_walk);
criterion_main!(benches);
