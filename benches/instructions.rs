//! Instructions of three steps: decoding, accounting and folding. Valgrind counts them, so they are the same on a busy
//! machine and on an idle one.
//!
//! The name of each case ends with its number of elements. The count divided by it is that of one element.
#![allow(missing_docs, unreachable_pub, reason = "gungraun's macros make public items without docs")]

use std::hint::black_box;

use frames::catalogue::{Sample, sample};
use gungraun::{library_benchmark, library_benchmark_group, main};
use traffic_alerted::flow::{Delta, Window};
use traffic_alerted::packet::decode;
use traffic_alerted::time::UnixNanos;

#[path = "../tests/packets/mod.rs"]
mod frames;
mod packets;
mod windows;

/// Number of elements of each case. It is small, since valgrind is about fifty times slower.
const ELEMENTS: u32 = 4096;

/// Makes a delta, with a packet of each pair if `is_known`.
fn delta(is_known: bool) -> Delta {
    let mut delta = windows::delta(2 * ELEMENTS);
    if is_known {
        windows::count(&mut delta, 0..ELEMENTS, UnixNanos(1));
    }
    delta
}

/// Makes a window, with the pairs of the delta or without them.
fn window(is_known: bool) -> (Window, Delta) {
    // The table is small, since valgrind also makes it slowly.
    let mut window = windows::window_within(64 << 20);
    let delta = delta(true);
    if is_known {
        window.fold(&delta);
    }
    (window, delta)
}

#[library_benchmark]
#[bench::ipv4_udp_4096(sample("ipv4_udp"))]
#[bench::ipv6_tcp_4096(sample("ipv6_tcp"))]
#[bench::vlan_ipv4_tcp_4096(sample("vlan_ipv4_tcp"))]
#[bench::ipv6_extensions_4096(sample("ipv6_extensions"))]
fn decoding(sample: Sample) -> Sample {
    let frame = sample.frame();
    for _ in 0..ELEMENTS {
        let _ = black_box(decode(black_box(&frame)));
    }
    sample
}

#[library_benchmark]
#[bench::new_pairs_4096(delta(false))]
#[bench::known_pairs_4096(delta(true))]
fn accounting(mut delta: Delta) -> Delta {
    windows::count(&mut delta, 0..ELEMENTS, UnixNanos(1));
    delta
}

#[library_benchmark]
#[bench::new_pairs_4096(window(false))]
#[bench::known_pairs_4096(window(true))]
fn folding((mut window, delta): (Window, Delta)) -> (Window, Delta) {
    window.fold(&delta);
    (window, delta)
}

library_benchmark_group!(name = instructions, benchmarks = [decoding, accounting, folding]);

main!(library_benchmark_groups = instructions);
