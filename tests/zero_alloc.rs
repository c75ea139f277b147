//! The packet's path takes no memory: a counting allocator around a million packets says zero.
#![allow(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use traffic_alerted::flow::{Arrival, CountMode, Decoded, Delta, DeltaLimits, Seed, handover};
use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, decode};
use traffic_alerted::time::{Moment, UnixNanos};

struct Counting;

thread_local! {
    /// Of this thread: that of the test harness may take memory meanwhile.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
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

/// An Ethernet frame of one of many senders: UDP and TCP, SYN and answers, IPv4 and every fifth one IPv6.
fn write_frame(bytes: &mut [u8; 80], n: u32) {
    let is_v6 = n.is_multiple_of(5);
    let protocol = if n.is_multiple_of(3) { 6 } else { 17 };
    let (src, dst) = ((n % 977).to_be_bytes(), (n % 7919).to_be_bytes());
    let transport_at = if is_v6 {
        bytes[12..14].copy_from_slice(&[0x86, 0xdd]);
        bytes[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, 26, protocol, 64]);
        bytes[34..38].copy_from_slice(&src);
        bytes[50..54].copy_from_slice(&dst);
        54
    } else {
        bytes[12..14].copy_from_slice(&[0x08, 0x00]);
        bytes[14..24].copy_from_slice(&[0x45, 0, 0, 50, 0, 0, 0, 0, 64, protocol]);
        bytes[26..30].copy_from_slice(&src);
        bytes[30..34].copy_from_slice(&dst);
        34
    };
    bytes[transport_at..transport_at + 2].copy_from_slice(&(n as u16).to_be_bytes());
    bytes[transport_at + 2..transport_at + 4].copy_from_slice(&(n as u16 % 50).to_be_bytes());
    let flags = if n.is_multiple_of(2) { 0x02 } else { 0x12 };
    bytes[transport_at + 12..transport_at + 14].copy_from_slice(&[0x50, flags]);
}

#[test]
fn a_million_packets_take_no_memory() {
    let limits = DeltaLimits { pairs_max: 1 << 15, ports_max: 1 << 15, interfaces_max: 16 };
    let seed = Seed::default();
    let (worker, analyst) = handover(Box::new(Delta::new(limits, seed.clone())));
    let mut delta = Box::new(Delta::new(limits, seed));
    let mut decoded = Decoded::default();
    let (mut packets, mut handovers) = (0, 0);
    let mut bytes = [0_u8; 80];
    let before = ALLOCATIONS.get();
    for n in 0..1_000_000_u32 {
        write_frame(&mut bytes, n);
        let frame = Frame {
            bytes: &bytes,
            frame_len: 80,
            seen_at: UnixNanos(u64::from(n)),
            ifindex: 1 + n % 3,
            link: LinkKind::Ethernet,
            direction: Direction::Ingress,
            segmentation: Segmentation::None,
        };
        let summary = decode(&frame).expect("a packet");
        let interface_direction = delta.interface_direction(frame.ifindex, frame.direction);
        let count_mode = CountMode { is_evidence: n.is_multiple_of(11), is_received: n.is_multiple_of(2) };
        if !decoded.push(
            &delta,
            &summary,
            Arrival { interface_direction, seen_at: frame.seen_at, count_mode },
        ) {
            continue;
        }
        delta.take_all(&mut decoded);
        if delta.is_half_full() {
            let spare = worker.take_spare().expect("it was given back");
            delta.close();
            worker.give(std::mem::replace(&mut delta, spare), Moment(u64::from(n)));
            let full = analyst.take().expect("it was handed over");
            packets += full.accounting().ip_packets;
            handovers += 1;
            analyst.give_back(full);
        }
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    delta.take_all(&mut decoded);
    delta.close();
    packets += delta.accounting().ip_packets;
    assert_eq!(packets, 1_000_000 - 1_000_000_u64.div_ceil(11), "all but the evidence");
    assert!(handovers > 10, "the tables grew to their half and were cleared: {handovers}");
}
