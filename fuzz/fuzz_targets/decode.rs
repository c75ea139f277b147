//! Any frame: no panic, both paths agree, and so does etherparse's lax parser where it can speak.
#![no_main]

#[path = "../../tests/packets/mod.rs"]
mod packets;

use libfuzzer_sys::fuzz_target;
use packets::{lax, seed};
use traffic_alerted::packet::{Frame, Segmentation, decode, decode_general};

fuzz_target!(|input: &[u8]| {
    let Some(frame) = seed::frame_of(input) else { return };
    let outcome = decode(&frame);
    assert_eq!(outcome, decode_general(&frame));
    // Whatever the kernel says of segments, the packet is the one that is in the frame.
    let one = decode(&Frame { segmentation: Segmentation::None, ..frame });
    assert_eq!(outcome.map(|summary| summary.endpoints), one.map(|summary| summary.endpoints));
    if let (Ok(summary), Ok(one)) = (outcome, one) {
        assert!(one.ip_bytes <= frame.frame_len && one.segments == 1);
        assert!(summary.segments >= 1 && (summary.segments == 1 || summary.ip_bytes >= one.ip_bytes));
    }
    lax::check(&frame, one);
});
