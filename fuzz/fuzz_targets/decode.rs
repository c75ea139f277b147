//! Any frame: no panic, both paths agree, and so does etherparse's lax parser where it can speak.
#![no_main]

#[path = "../../tests/packets/mod.rs"]
mod packets;

use libfuzzer_sys::fuzz_target;
use packets::{lax, seed};
use traffic_alerted::packet::{decode, decode_general};

fuzz_target!(|input: &[u8]| {
    let Some(frame) = seed::frame_of(input) else { return };
    let outcome = decode(&frame);
    assert_eq!(outcome, decode_general(&frame));
    if let Ok(summary) = outcome {
        assert!(summary.ip_bytes <= frame.frame_len);
    }
    lax::check(&frame, outcome);
});
