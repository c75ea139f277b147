//! Walks a ring block of arbitrary bytes: the walk ends, stays inside the block, and stops at the first damaged frame.
#![no_main]

use libfuzzer_sys::fuzz_target;
use traffic_alerted::sys::abi::FRAME_HEADER_BYTES;
use traffic_alerted::sys::ring::{VnetHeader, frames_in_block};

fuzz_target!(|block: &[u8]| {
    walk(block, VnetHeader::None);
    walk(block, VnetHeader::Present);
});

fn walk(block: &[u8], vnet_header: VnetHeader) {
    let inside = block.as_ptr_range();
    let mut frames = frames_in_block(block, vnet_header);
    let mut count = 0;
    while let Some(frame) = frames.next() {
        count += 1;
        match frame {
            Ok(frame) => {
                let bytes = frame.bytes.as_ptr_range();
                assert!(
                    inside.start <= bytes.start && bytes.end <= inside.end,
                    "a frame is inside the block"
                );
            }
            Err(_) => assert!(frames.next().is_none(), "the walk ends after an error"),
        }
    }
    assert!(count <= block.len() / FRAME_HEADER_BYTES + 1, "each frame has a header of its own");
}
