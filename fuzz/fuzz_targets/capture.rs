//! Any file as a capture: no panic, no frame from nowhere, and the same frames in reads of any size.
#![no_main]

use std::io::{self, Cursor, Read};

use libfuzzer_sys::fuzz_target;
use traffic_alerted::capture::{Batch, FrameSource, Replay};
use traffic_alerted::packet::decode;

/// A reader that returns a few bytes at a time, as a pipe may.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(37);
        self.0.read(&mut buffer[..len])
    }
}

/// Reads to the end or to the first error; returns what was read, and the error.
fn replay(reader: impl Read + Send + 'static) -> (Vec<(u32, u64, u32, Vec<u8>)>, String) {
    let mut lent = Vec::new();
    let mut replay = match Replay::from_reader("fuzz", reader) {
        Ok(replay) => replay,
        Err(error) => return (lent, error.to_string()),
    };
    loop {
        match replay.next_batch() {
            Ok(Some(batch)) => lent.extend(batch.frames().map(|frame| {
                let _ = decode(&frame);
                (frame.ifindex, frame.seen_at.0, frame.frame_len, frame.bytes.to_vec())
            })),
            Ok(None) => return (lent, String::new()),
            Err(error) => return (lent, error.to_string()),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = replay(Cursor::new(input.to_vec()));
    let lent: usize = whole.0.iter().map(|(.., bytes)| bytes.len()).sum();
    assert!(lent <= input.len(), "bytes are lent once");
    assert_eq!(replay(Trickle(Cursor::new(input.to_vec()))), whole);
});
