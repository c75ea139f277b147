//! Reads arbitrary bytes as a capture file: it does not panic, frames contain only bytes of the file, and short reads
//! give the same frames.
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

/// Reads to the end or to the first error. Returns the frames, and the text of the error, which is empty at the end.
fn replay(reader: impl Read + Send + 'static) -> (Vec<(u32, u64, u32, Vec<u8>)>, String) {
    let mut frames = Vec::new();
    let mut replay = match Replay::from_reader("fuzz", reader) {
        Ok(replay) => replay,
        Err(error) => return (frames, error.to_string()),
    };
    loop {
        match replay.next_batch() {
            Ok(Some(batch)) => frames.extend(batch.frames().map(|frame| {
                let _ = decode(&frame);
                (frame.ifindex, frame.seen_at.0, frame.frame_len, frame.bytes.to_vec())
            })),
            Ok(None) => return (frames, String::new()),
            Err(error) => return (frames, error.to_string()),
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let whole = replay(Cursor::new(input.to_vec()));
    let lent_bytes: usize = whole.0.iter().map(|(.., bytes)| bytes.len()).sum();
    assert!(lent_bytes <= input.len(), "no byte of the file is in two frames");
    assert_eq!(replay(Trickle(Cursor::new(input.to_vec()))), whole);
});
