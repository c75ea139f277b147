//! The buffer through which a capture is read, or the mapped part of its file. Offsets are bytes. This file does not
//! contain the formats of captures.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Deref;

use super::compression::{Compression, DecompressionFault, Decompressor};
use super::error::ReplayError;
use super::foreign;
use super::name::{CONVERT, in_shell, piped};
use super::record::Fault;
use crate::sys::mapped_file::MappedFile;
use crate::sys::prefetch::prefetch;

/// The bytes of a capture that are available and not consumed yet.
///
/// ```text
/// buffer   | consumed | available |   space   |
///          0        start        end        len
/// ```
pub(super) struct Input {
    name: String,
    /// The file, while it is mapped part by part. At the end of the file, or if it cannot be mapped, it becomes the
    /// reader.
    file: Option<File>,
    reader: Box<dyn Read + Send>,
    buffer: Buffer,
    start: usize,
    end: usize,
    /// Offset of `start` in the file, or in what was decompressed.
    offset: u64,
    /// The compression that `reader` decompresses.
    compression: Option<Compression>,
    /// A block of which the rest is to be skipped.
    skipped: Option<SkippedBlock>,
    /// An error while reading ahead. It is returned when the bytes before it are consumed.
    deferred: Option<ReplayError>,
}

/// A block that is skipped.
#[derive(Clone, Copy, Debug)]
struct SkippedBlock {
    offset: u64,
    len: u32,
    /// Bytes that are not consumed yet.
    left: u32,
    /// The last four bytes of the block, as they must be.
    trailer: [u8; TRAILER_LEN as usize],
}

const TRAILER_LEN: u32 = 4;

/// The bytes that were read, or instead of them a mapped part of the file.
#[derive(Debug)]
struct Buffer {
    read: Vec<u8>,
    mapped: Option<MappedFile>,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.mapped.as_deref().unwrap_or(&self.read)
    }
}

impl Input {
    /// Makes an input of a reader. It reads nothing yet.
    pub(super) fn new(name: String, reader: Box<dyn Read + Send>) -> Self {
        let buffer = Buffer { read: vec![0; BUFFER_BYTES], mapped: None };
        Self {
            name,
            file: None,
            reader,
            buffer,
            start: 0,
            end: 0,
            offset: 0,
            compression: None,
            skipped: None,
            deferred: None,
        }
    }

    /// Makes an input of a file, from its beginning. The bytes are not copied if the file can be mapped.
    pub(super) fn of_file(name: String, file: File) -> Self {
        Self { file: Some(file), ..Self::new(name, Box::new(io::empty())) }
    }

    /// Makes an input of the decompressed bytes. Nothing must have been consumed.
    pub(super) fn decompressed(self, compression: Compression) -> Self {
        // A mapped file is still at its beginning, whatever is available.
        let reader = match self.file {
            Some(file) => Box::new(file),
            None => {
                let read = self.buffer.get(self.start..self.end).unwrap_or(&[]).to_vec();
                Box::new(io::Cursor::new(read).chain(self.reader)) as Box<dyn Read + Send>
            }
        };
        let reader = Box::new(Decompressor::new(compression, reader));
        Self { compression: Some(compression), ..Self::new(self.name, reader) }
    }

    /// Returns true if the bytes are those of a compressed file.
    pub(super) fn is_decompressed(&self) -> bool {
        self.compression.is_some()
    }

    /// Returns the name of the capture.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the offset of the [`available`](Self::available) bytes in the capture.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the whole buffer, in which [`position`](Self::position) is an offset.
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Returns the buffer up to the end of the available bytes.
    pub(super) fn filled(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// Returns the offset of the [`available`](Self::available) bytes in the buffer.
    pub(super) fn position(&self) -> usize {
        self.start
    }

    /// Returns the bytes that are not consumed yet.
    pub(super) fn available(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Consumes the first `len` available bytes. They stay in the buffer until the next read.
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Returns true if no bytes are left in the capture. It reads if none are available.
    pub(super) fn is_at_end(&mut self) -> Result<bool, ReplayError> {
        Ok(self.start == self.end && !self.read_some()?)
    }

    /// Reads until `needed` bytes are available. If the capture ends before, the error names the bytes with `what`.
    ///
    /// The buffer grows only for bytes that were read, so a false length does not make it grow.
    pub(super) fn require(&mut self, what: &'static str, needed: usize) -> Result<(), ReplayError> {
        while self.end - self.start < needed {
            if !self.read_some()? {
                let (name, offset, left) = (self.shown_name(), self.offset, self.end - self.start);
                return Err(ReplayError::CutShort { name, offset, expected: what, needed, left });
            }
        }
        Ok(())
    }

    /// Reads until `len` bytes are available or there are no more, and returns the available bytes. An error is
    /// returned later, when these are consumed.
    pub(super) fn look_ahead(&mut self, len: usize) -> &[u8] {
        while self.end - self.start < len && self.deferred.is_none() {
            match self.read_some() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.deferred = Some(error),
            }
        }
        self.available()
    }

    /// Makes the next `len` bytes a block that is skipped by [`finish_skip`](Self::finish_skip). Its last four bytes
    /// must be `trailer`.
    pub(super) fn begin_skip(&mut self, len: u32, trailer: [u8; 4]) {
        self.skipped = Some(SkippedBlock { offset: self.offset, len, left: len, trailer });
    }

    /// Skips the rest of a block for which [`begin_skip`](Self::begin_skip) was called, without keeping its bytes.
    pub(super) fn finish_skip(&mut self) -> Result<(), ReplayError> {
        while let Some(block) = self.skipped {
            let before_trailer = block.left.saturating_sub(TRAILER_LEN);
            let available = u32::try_from(self.end - self.start).unwrap_or(u32::MAX);
            if before_trailer > 0 && available > 0 {
                let len = before_trailer.min(available);
                self.consume(len as usize);
                self.skipped = Some(SkippedBlock { left: block.left - len, ..block });
            } else if before_trailer == 0
                && let Some(trailer) = self.available().first_chunk()
            {
                if *trailer != block.trailer {
                    let (expected, found) =
                        ("the length of a block again at its end", format!("{trailer:02x?}"));
                    return Err(self.corrupt_at(block.offset, Fault { expected, found }));
                }
                self.consume(TRAILER_LEN as usize);
                self.skipped = None;
            } else if !self.read_some()? {
                let (needed, left) = (block.len as usize, (block.len - block.left + available) as usize);
                let (name, offset) = (self.shown_name(), block.offset);
                return Err(ReplayError::CutShort { name, offset, expected: "a block", needed, left });
            }
        }
        Ok(())
    }

    /// Reads or maps once. Returns true if there were more bytes.
    fn read_some(&mut self) -> Result<bool, ReplayError> {
        if let Some(error) = self.deferred.take() {
            return Err(error);
        }
        if self.map_some() {
            return Ok(true);
        }
        self.read_from_here().map_err(|source| self.unreadable(source))?;
        self.make_space();
        loop {
            match self.reader.read(&mut self.buffer.read[self.end..]) {
                Ok(len) => {
                    self.end = (self.end + len).min(self.buffer.len());
                    return Ok(len > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.unreadable(source)),
            }
        }
    }

    /// Maps the part of the file that starts with the available bytes, in place of the buffer. Returns false if the
    /// file has no more bytes or cannot be mapped.
    fn map_some(&mut self) -> bool {
        let left = self.end - self.start;
        let Some(file) = &self.file else { return false };
        // If mapping fails, the file is read instead, and reading returns the error if there is one.
        let part = MappedFile::new(file, self.offset, MAPPED_BYTES.max(left * 2)).ok().flatten();
        let Some(part) = part.filter(|part| part.len() > left) else { return false };
        (self.start, self.end) = (0, part.len());
        self.buffer.mapped = Some(part);
        true
    }

    /// Switches from mapping the file to reading it, after the available bytes.
    fn read_from_here(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let left = self.end - self.start;
        let read_from = self.offset + left as u64;
        // A pipe that was opened by its path cannot seek. It cannot be mapped either, so it is still at offset 0.
        if read_from > 0 {
            file.seek(SeekFrom::Start(read_from))?;
        }
        if let Some(mapped) = self.buffer.mapped.take() {
            self.buffer.read.clear();
            self.buffer.read.extend_from_slice(&mapped[self.start..self.end]);
        }
        self.buffer.read.resize(left.max(BUFFER_BYTES), 0);
        (self.start, self.end) = (0, left);
        if let Some(file) = self.file.take() {
            self.reader = Box::new(file);
        }
        Ok(())
    }

    fn make_space(&mut self) {
        let buffer = &mut self.buffer.read;
        if self.start > 0 {
            buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        // What was read ahead is consumed: the rest is read in parts that fit the cache.
        if buffer.len() > BUFFER_BYTES && self.end <= BUFFER_BYTES / 2 {
            buffer.truncate(BUFFER_BYTES);
            buffer.shrink_to_fit();
        }
        if self.end == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
    }

    fn unreadable(&self, source: io::Error) -> ReplayError {
        let fault = source.get_ref().and_then(|error| error.downcast_ref::<DecompressionFault>());
        if let Some(DecompressionFault { compression, offset, reason }) = fault {
            let command = format!("{} -t {}", compression.name(), in_shell(&self.name));
            let (name, reason) = (self.name.clone(), reason.clone());
            return ReplayError::Decompress { name, offset: *offset, reason, command };
        }
        let offset = self.offset + (self.end - self.start) as u64;
        ReplayError::Read { name: self.name.clone(), offset, source }
    }

    pub(super) fn empty(&self) -> ReplayError {
        ReplayError::Empty { name: self.name.clone() }
    }

    pub(super) fn not_a_capture(&mut self) -> ReplayError {
        let bytes = self.look_ahead(foreign::FIRST_BYTES);
        let bytes = bytes[..bytes.len().min(foreign::FIRST_BYTES)].to_vec();
        let found = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let remedy = foreign::remedy(&self.name, &bytes, self.compression);
        ReplayError::NotACapture { name: self.shown_name(), found, remedy }
    }

    pub(super) fn other_version(&self, major: u16, minor: u16) -> ReplayError {
        let remedy = piped(&self.name, self.compression, CONVERT);
        ReplayError::Version { name: self.shown_name(), remedy, major, minor }
    }

    pub(super) fn corrupt(&self, fault: Fault) -> ReplayError {
        self.corrupt_at(self.offset, fault)
    }

    fn corrupt_at(&self, offset: u64, fault: Fault) -> ReplayError {
        let Fault { expected, found } = fault;
        ReplayError::Corrupt { name: self.shown_name(), offset, expected, found }
    }

    /// Returns the name for errors whose offset is one in the decompressed bytes.
    fn shown_name(&self) -> String {
        let name = &self.name;
        if self.is_decompressed() { format!("{name} (decompressed)") } else { name.clone() }
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

/// Bytes of the buffer: enough for a batch of frames of usual length, and small enough for the cache. The buffer grows
/// for longer blocks.
const BUFFER_BYTES: usize = 1 << 16;

/// Number of bytes of a file that are mapped at once, unless a record is longer. It is large enough to make the cost of
/// the system call small, and small enough that truncating the file seldom affects a mapped page.
const MAPPED_BYTES: usize = 1 << 20;

/// Prefetches the bytes at [`AHEAD_BYTES`], which belong to a later record, into the first-level cache.
#[inline(always)]
pub(super) fn prefetch_ahead(bytes: &[u8]) {
    for ahead in [AHEAD_BYTES, AHEAD_BYTES + CACHE_LINE_BYTES] {
        if let Some(byte) = bytes.get(ahead) {
            prefetch(byte);
        }
    }
}

/// Number of bytes from the record that is parsed to the bytes that are prefetched.
const AHEAD_BYTES: usize = 2048;
const CACHE_LINE_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation, reason = "a remainder of 251 fits into a byte")]

    use std::io::{Cursor, Write};
    use std::os::unix::fs::FileExt;

    use super::*;

    fn input(bytes: &[u8]) -> Input {
        Input::new("test".into(), Box::new(Cursor::new(bytes.to_vec())))
    }

    #[test]
    fn the_space_of_consumed_bytes_is_used_again_and_offsets_continue() {
        let mut input = input(&[7; 3 * BUFFER_BYTES]);
        for index in 0..3 {
            input.require("a buffer", BUFFER_BYTES).unwrap();
            assert_eq!(input.offset, (index * BUFFER_BYTES) as u64);
            input.consume(BUFFER_BYTES);
        }
        assert_eq!(input.buffer().len(), BUFFER_BYTES, "the buffer did not grow");
        assert!(input.is_at_end().unwrap());
    }

    #[test]
    fn a_false_length_does_not_make_the_buffer_grow() {
        let mut input = input(&[7; 100]);
        let error = input.require("a block", 16 << 20).unwrap_err();
        assert!(matches!(error, ReplayError::CutShort { needed: 16_777_216, left: 100, offset: 0, .. }));
        assert_eq!(input.buffer().len(), BUFFER_BYTES);
    }

    #[test]
    fn the_buffer_grows_for_more_bytes_than_it_holds() {
        let mut input = input(&[7; 3 * BUFFER_BYTES]);
        input.require("a block", 2 * BUFFER_BYTES + 1).unwrap();
        assert_eq!(input.buffer().len(), 4 * BUFFER_BYTES);
    }

    fn file(bytes: &[u8]) -> (Input, File) {
        let mut file = tempfile::tempfile().expect("room for a file");
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        (Input::of_file("test".into(), file.try_clone().unwrap()), file)
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn a_file_is_mapped_part_by_part() {
        let bytes = bytes(3 * MAPPED_BYTES + 5);
        let (mut input, _) = file(&bytes);
        for piece in bytes.chunks(MAPPED_BYTES / 3 + 7) {
            input.require("a piece", piece.len()).unwrap();
            assert!(input.buffer.mapped.is_some(), "nothing is copied");
            assert_eq!(&input.available()[..piece.len()], piece);
            input.consume(piece.len());
        }
        assert!(input.is_at_end().unwrap());
        assert_eq!(input.offset, bytes.len() as u64);
    }

    #[test]
    fn a_block_longer_than_a_part_is_mapped_whole() {
        let bytes = bytes(3 * MAPPED_BYTES);
        let (mut input, _) = file(&bytes);
        input.require("a block", 2 * MAPPED_BYTES + 1).unwrap();
        assert!(input.buffer.mapped.is_some());
        let error = input.require("a block", 4 * MAPPED_BYTES).unwrap_err();
        let left = input.available().len();
        assert!(
            matches!(error, ReplayError::CutShort { left: l, .. } if l == left && l == bytes.len()),
            "{error}"
        );
    }

    /// The bytes of a mapped part count. If the file is truncated after it, the error reports that.
    #[test]
    fn a_file_that_is_truncated_meanwhile_is_cut_short() {
        let (mut input, file) = file(&bytes(3 * MAPPED_BYTES));
        input.require("a piece", 9).unwrap();
        input.consume(MAPPED_BYTES - 4);
        file.set_len(MAPPED_BYTES as u64 + 1).unwrap();
        let error = input.require("a piece", 9).unwrap_err();
        let at = MAPPED_BYTES as u64 - 4;
        assert!(
            matches!(error, ReplayError::CutShort { offset, needed: 9, left: 5, .. } if offset == at),
            "{error}"
        );
    }

    #[test]
    fn bytes_that_are_appended_meanwhile_are_read() {
        let (mut input, file) = file(&bytes(100));
        input.require("all of it", 100).unwrap();
        input.consume(98);
        file.write_all_at(&bytes(3), 100).unwrap();
        input.require("what was added", 5).unwrap();
        input.consume(5);
        assert!(input.is_at_end().unwrap());
        // From now on the file is read.
        file.write_all_at(&bytes(7), 103).unwrap();
        assert!(!input.is_at_end().unwrap());
        assert_eq!(input.available(), bytes(7));
    }
}
