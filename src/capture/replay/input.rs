//! The buffer that a capture is read through. It knows offsets, not formats.

use std::fmt;
use std::io::{self, Read};

use super::{Fault, ReplayError};
use crate::sys::prefetch::prefetch;

/// A reader with a window on it: the bytes that are read and not yet consumed.
///
/// ```text
/// buffer   | consumed | available |   space   |
///          0        start        end        len
/// ```
pub(super) struct Input {
    name: String,
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Where `start` is in the file.
    offset: u64,
}

impl Input {
    /// Reads nothing yet.
    pub(super) fn new(name: String, reader: Box<dyn Read + Send>) -> Self {
        Self { name, reader, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, offset: 0 }
    }

    /// All of the buffer: what positions count from.
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// All of the buffer that was read into: what is available is its end.
    pub(super) fn filled(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// Where [`available`](Self::available) begins in the buffer.
    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// What is read and not consumed.
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Gives up the first `len` available bytes. They stay in the buffer until the next read.
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Leaves the buffer with all that was consumed of it, and goes on in another one.
    pub(super) fn change_buffer(&mut self, other: &mut Vec<u8>) {
        let left = self.end - self.start;
        if other.len() < left.max(CHUNK_BYTES) {
            other.resize(left.max(CHUNK_BYTES), 0);
        }
        other[..left].copy_from_slice(&self.buffer[self.start..self.end]);
        std::mem::swap(&mut self.buffer, other);
        (self.start, self.end) = (0, left);
    }

    /// Whether nothing is left, which it reads to find out.
    pub(super) fn is_at_end(&mut self) -> Result<bool, ReplayError> {
        Ok(self.start == self.end && !self.read_some()?)
    }

    /// Reads until `needed` bytes are available; `what` they are is for the error.
    ///
    /// The buffer grows only by what has been read, so that a length that lies costs nothing.
    pub(super) fn require(&mut self, what: &'static str, needed: usize) -> Result<(), ReplayError> {
        while self.end - self.start < needed {
            if !self.read_some()? {
                let (name, offset, left) = (self.name.clone(), self.offset, self.end - self.start);
                return Err(ReplayError::CutShort { name, offset, expected: what, needed, left });
            }
        }
        Ok(())
    }

    /// Reads once, and says whether there was anything.
    fn read_some(&mut self) -> Result<bool, ReplayError> {
        self.make_space();
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(len) => {
                    self.end = (self.end + len).min(self.buffer.len());
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    let offset = self.offset + (self.end - self.start) as u64;
                    return Err(ReplayError::Read { name: self.name.clone(), offset, source });
                }
            }
        }
    }

    fn make_space(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
    }

    pub(super) fn empty(&self) -> ReplayError {
        ReplayError::Empty { name: self.name.clone() }
    }

    pub(super) fn not_a_capture(&self) -> ReplayError {
        let first = &self.available()[..self.available().len().min(4)];
        let remedy = match *first {
            [0x1f, 0x8b, ..] => "it is compressed: pipe it through gunzip",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is compressed: pipe it through unzstd",
            [0xfd, b'7', b'z', b'X', ..] => "it is compressed: pipe it through unxz",
            _ => "convert it with `editcap -F pcapng` where it is a capture of another format",
        };
        let found = first.iter().map(|byte| format!("{byte:02x}")).collect();
        ReplayError::NotACapture { name: self.name.clone(), found, remedy }
    }

    pub(super) fn corrupt(&self, fault: Fault) -> ReplayError {
        let Fault { expected, found } = fault;
        ReplayError::Corrupt { name: self.name.clone(), offset: self.offset, expected, found }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// Room for a batch of ordinary frames, and small enough to stay in the cache. It grows for blocks that
/// need more.
const BUFFER_BYTES: usize = 1 << 16;

/// The same where another thread takes it: so much that to hand it on costs little, and it stays in the second-level
/// cache.
const CHUNK_BYTES: usize = 1 << 19;

/// Has what lies some records ahead in `bytes` be fetched into the first-level cache.
#[inline(always)]
pub(super) fn prefetch_ahead(bytes: &[u8]) {
    for ahead in [AHEAD_BYTES, AHEAD_BYTES + CACHE_LINE_BYTES] {
        if let Some(byte) = bytes.get(ahead) {
            prefetch(byte);
        }
    }
}

/// The first bytes of a record ahead, and those of the packet in it.
const AHEAD_BYTES: usize = 512;
const CACHE_LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn input(bytes: &[u8]) -> Input {
        Input::new("test".into(), Box::new(Cursor::new(bytes.to_vec())))
    }

    #[test]
    fn consumed_bytes_make_room_and_offsets_go_on() {
        let mut input = input(&[7; 3 * BUFFER_BYTES]);
        for index in 0..3 {
            input.require("a buffer", BUFFER_BYTES).unwrap();
            assert_eq!(input.offset, (index * BUFFER_BYTES) as u64);
            input.consume(BUFFER_BYTES);
        }
        assert_eq!(input.buffer().len(), BUFFER_BYTES, "it never had to grow");
        assert!(input.is_at_end().unwrap());
    }

    #[test]
    fn a_length_that_lies_does_not_make_the_buffer_grow() {
        let mut input = input(&[7; 100]);
        let error = input.require("a block", 16 << 20).unwrap_err();
        assert!(matches!(error, ReplayError::CutShort { needed: 16_777_216, left: 100, offset: 0, .. }));
        assert_eq!(input.buffer().len(), BUFFER_BYTES);
    }

    #[test]
    fn a_need_beyond_the_buffer_makes_it_grow() {
        let mut input = input(&[7; 3 * BUFFER_BYTES]);
        input.require("a block", 2 * BUFFER_BYTES + 1).unwrap();
        assert_eq!(input.buffer().len(), 4 * BUFFER_BYTES);
    }
}
