//! The packet's path takes no memory: a counting allocator around a million packets says zero.
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use traffic_alerted::flow::{Delta, DeltaLimits, Seed, handover};
use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, decode};
use traffic_alerted::time::{Moment, UnixNanos};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System.alloc` with this layout, above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_million_packets_take_no_memory() {
    let limits = DeltaLimits { pairs_max: 1 << 12, ports_max: 1 << 12, interfaces_max: 16 };
    let seed = Seed::default();
    let (worker, analyst) = handover(Box::new(Delta::new(limits, seed.clone())));
    let mut delta = Box::new(Delta::new(limits, seed));
    let mut bytes = [0_u8; 64];
    bytes[12..14].copy_from_slice(&[0x08, 0x00]);
    bytes[14..18].copy_from_slice(&[0x45, 0, 0, 50]);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for n in 0..1_000_000_u32 {
        bytes[23] = if n % 3 == 0 { 6 } else { 17 };
        bytes[26..30].copy_from_slice(&(n % 977).to_be_bytes());
        bytes[30..34].copy_from_slice(&(n % 7919).to_be_bytes());
        bytes[36..38].copy_from_slice(&(n as u16).to_be_bytes());
        bytes[46..48].copy_from_slice(&[0x50, 0x02]);
        let frame = Frame {
            bytes: &bytes,
            frame_len: 64,
            seen_at: UnixNanos(u64::from(n)),
            ifindex: 1 + n % 3,
            link: LinkKind::Ethernet,
            direction: Direction::Entering,
            segmentation: Segmentation::None,
        };
        let summary = decode(&frame).expect("a packet");
        let crossing = delta.crossing(frame.ifindex, frame.direction);
        delta.count(crossing, &summary, frame.seen_at);
        if delta.is_half_full() {
            let spare = worker.take_spare().expect("it was given back");
            worker.give(std::mem::replace(&mut delta, spare), Moment(u64::from(n)));
            let full = analyst.take().expect("it was handed over");
            assert!(full.accounting().ip_packets > 0);
            analyst.give_back(full);
        }
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0);
}
