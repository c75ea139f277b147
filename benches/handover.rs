//! The time of a hand-over for a worker: by itself, and while the analyst folds the previous delta into a large window.
//!
//! The second case is printed as percentiles; the limit of the swap is 5 microseconds at the 99.9th. The worker waits
//! only for the swap. Waking the analyst is a system call that starts the analyst, on the worker's CPU if fewer than
//! two are free.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use traffic_alerted::flow::{AnalystEnd, Delta, WorkerEnd, handover};
use traffic_alerted::time::{Moment, UnixNanos};

mod packets;
mod windows;

use windows::{SECOND, count, count_open, delta, window};

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handover");
    let (worker, analyst) = handover(Box::new(delta(1024)));
    let mut full = Box::new(delta(1024));
    // Both ends are on one thread; an iteration swaps each cell twice.
    group.bench_function("there and back", |bencher| {
        bencher.iter(|| {
            let spare = worker.take_spare().expect("the analyst returned it");
            worker.give(std::mem::replace(&mut full, spare), Moment(1));
            analyst.give_back(black_box(analyst.take().expect("the worker handed it over")));
        });
    });
    group.finish();
}

/// Number of rows of each delta; folding one takes some milliseconds.
const ROWS: u32 = 16_384;
/// Number of pairs of the window into which they are folded.
const PAIRS: u32 = 1_000_000;

/// Number of flows in the exact-match cache when a delta is closed.
const FLOWS: u32 = 512;

/// Times every hand-over of a worker that counts without pause: closing the delta before the hand-over, the swap, and
/// the swap with the wake-up of the analyst.
fn while_folding(handovers: usize, pairs: u32) {
    let (worker, analyst) = handover(Box::new(delta(ROWS)));
    let over = Arc::new(AtomicBool::new(false));
    let folding = thread::spawn({
        let over = Arc::clone(&over);
        move || fold_all(&analyst, pairs, &over)
    });
    let took = hand_over(&worker, folding.thread(), handovers, pairs);
    over.store(true, Ordering::Release);
    folding.thread().unpark();
    folding.join().expect("the folding thread does not panic");

    let mut times = [(); 3].map(|()| Vec::with_capacity(handovers));
    for parts in took {
        times.iter_mut().zip(parts).for_each(|(times, part)| times.push(part));
    }
    let [closed, swapped, woken] = times;
    print("closing the delta", closed, None);
    print("the swap", swapped, Some(SWAP_MAX));
    print("and waking the analyst", woken, None);
}

/// Limit of the 99.9th percentile of a swap.
const SWAP_MAX: Duration = Duration::from_micros(5);

fn print(of: &str, mut took: Vec<Duration>, must_be_under: Option<Duration>) {
    took.sort();
    let at = |per_mille: usize| took[(took.len() * per_mille / 1000).min(took.len() - 1)];
    let verdict = must_be_under.map_or(String::new(), |limit| {
        let verdict = if at(999) < limit { "held" } else { "MISSED" };
        format!(" (must be under {limit:?}: {verdict})")
    });
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "handover/while folding, {of}: median {:?}, 99 % {:?}, 99.9 % {:?}{verdict}, {} times",
        at(500),
        at(990),
        at(999),
        took.len()
    )
    .expect("standard output takes it");
}

/// Returns the three times of each hand-over.
fn hand_over(
    worker: &WorkerEnd,
    analyst: &thread::Thread,
    handovers: usize,
    pairs: u32,
) -> Vec<[Duration; 3]> {
    let mut took = Vec::with_capacity(handovers);
    let mut held = Box::new(delta(ROWS));
    let mut next = 0;
    while took.len() < handovers {
        count(&mut held, (next..next + ROWS / 2).map(|n| n % pairs), UnixNanos(SECOND));
        (0..2)
            .for_each(|_| count_open(&mut held, (next..next + FLOWS).map(|n| n % pairs), UnixNanos(SECOND)));
        next = (next + ROWS / 2) % pairs;
        let began = Instant::now();
        held.close();
        let closed = began.elapsed();
        let began = Instant::now();
        let Some(spare) = worker.take_spare() else {
            // The analyst is late, so the tick gets longer. The delta must not overflow.
            if held.is_half_full() {
                held.clear();
            }
            continue;
        };
        worker.give(std::mem::replace(&mut held, spare), Moment(SECOND));
        let swapped = began.elapsed();
        analyst.unpark();
        took.push([closed, swapped, began.elapsed()]);
    }
    took
}

/// Folds deltas into a window with this many pairs until `over` is set.
fn fold_all(analyst: &AnalystEnd, pairs: u32, over: &AtomicBool) {
    let mut window = window();
    let mut known: Delta = delta(pairs);
    count(&mut known, 0..pairs, UnixNanos(SECOND));
    window.fold(&known);
    drop(known);
    while !over.load(Ordering::Acquire) {
        match analyst.take() {
            Some(delta) => {
                window.fold(&delta);
                analyst.give_back(delta);
            }
            None => thread::park(),
        }
    }
}

criterion_group!(benches, alone);

fn main() {
    benches();
    // `cargo bench` passes this argument. `cargo test` does not, and then the bench only shows that it works.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let (handovers, pairs) = if is_measured { (5000, PAIRS) } else { (20, 10_000) };
    while_folding(handovers, pairs);
    Criterion::default().configure_from_args().final_summary();
}
