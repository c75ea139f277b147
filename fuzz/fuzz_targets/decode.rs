//! Decodes arbitrary frames: no decoder panics, and both decoders agree with the reference.
#![no_main]

#[path = "../../tests/packets/mod.rs"]
mod packets;

use libfuzzer_sys::fuzz_target;
use packets::{reference, seed};
use traffic_alerted::packet::{
    Frame, Segmentation, decode, decode_general, decode_quoted, is_pppoe_session, reports_undelivered,
};

fuzz_target!(|input: &[u8]| {
    let Some(frame) = seed::frame_of(input) else { return };
    let outcome = decode(&frame);
    assert_eq!(outcome, decode_general(&frame));
    assert_eq!(outcome, reference::read(&frame));
    assert_eq!(is_pppoe_session(&frame), reference::is_pppoe_session(&frame));
    if outcome.is_ok_and(|summary| reports_undelivered(&summary)) {
        assert_eq!(decode_quoted(&frame), reference::quoted(&frame));
    }
    // The endpoints do not depend on what the kernel reports about segments.
    let one = decode(&Frame { segmentation: Segmentation::None, ..frame });
    assert_eq!(outcome.map(|summary| summary.endpoints), one.map(|summary| summary.endpoints));
    if let (Ok(summary), Ok(one)) = (outcome, one) {
        assert!(one.ip_bytes <= frame.frame_len && one.segments == 1);
        assert!(summary.segments >= 1 && (summary.segments == 1 || summary.ip_bytes >= one.ip_bytes));
    }
    assert_eq!(one, reference::read(&Frame { segmentation: Segmentation::None, ..frame }));
});
