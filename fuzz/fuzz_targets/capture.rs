//! Reads arbitrary bytes as a capture file, compressed or not: it does not panic, frames contain only bytes of the
//! file, and short reads give the same frames, warnings and direction.
#![no_main]

use std::io::{self, Cursor, Read};

use libfuzzer_sys::fuzz_target;
use traffic_alerted::capture::{Batch, CaptureReport, DirectionPolicy, FrameSource, Replay, ReplayError};
use traffic_alerted::packet::decode;

/// A reader that returns a few bytes at a time, as a pipe may.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(37);
        self.0.read(&mut buffer[..len])
    }
}

/// How reading ended.
#[derive(Debug, PartialEq)]
enum End {
    /// At the end of the file, with the report.
    Whole(Box<CaptureReport>),
    /// With an error of this text.
    Error(String),
    /// With compressed bytes that are damaged. How much stands before them depends on the reads.
    Damaged,
    /// After so many bytes that the rest of a small compressed file is left out.
    Enough,
}

/// A frame: interface, time, length, bytes.
type Seen = (u32, u64, u32, Vec<u8>);

/// Maximum bytes that are kept: those of the frames, and 16 for the record of each. A small compressed file may have
/// far more, so that reading all of it would take too long.
const KEPT_BYTES_MAX: usize = 4 << 20;

fn ended(error: &ReplayError) -> End {
    match error {
        ReplayError::Decompress { .. } => End::Damaged,
        error => End::Error(error.to_string()),
    }
}

fn replay(reader: impl Read + Send + 'static) -> (Vec<Seen>, End) {
    let (mut frames, mut kept_bytes) = (Vec::new(), 0);
    let mut replay = match Replay::from_reader("fuzz", reader) {
        Ok(replay) => replay.with_direction(DirectionPolicy::Auto),
        Err(error) => return (frames, ended(&error)),
    };
    loop {
        let batch = match replay.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => return (frames, End::Whole(Box::new(replay.report()))),
            Err(error) => return (frames, ended(&error)),
        };
        for frame in batch.frames() {
            let _ = decode(&frame);
            let _ = batch.verdict(frame.ifindex, frame.direction);
            kept_bytes += frame.bytes.len() + 16;
            if kept_bytes > KEPT_BYTES_MAX {
                return (frames, End::Enough);
            }
            frames.push((frame.ifindex, frame.seen_at.0, frame.frame_len, frame.bytes.to_vec()));
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let (frames, end) = replay(Cursor::new(input.to_vec()));
    if !matches!(input, [0x1f, 0x8b, ..] | [0x28, 0xb5, ..] | [0x50..=0x5f, 0x2a, ..]) {
        let lent_bytes: usize = frames.iter().map(|(.., bytes)| bytes.len()).sum();
        assert!(lent_bytes <= input.len(), "no byte of the file is in two frames");
    }
    let (trickled, trickled_end) = replay(Trickle(Cursor::new(input.to_vec())));
    if end == End::Damaged || trickled_end == End::Damaged {
        let common = frames.len().min(trickled.len());
        assert_eq!(frames[..common], trickled[..common]);
    } else {
        assert_eq!((trickled, trickled_end), (frames, end));
    }
});
