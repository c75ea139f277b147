//! Capture files as a source of frames: pcap and pcapng, from a path, a pipe or standard input.
//!
//! # What it owns
//! The framing of the two formats, the buffer through which they are read, and what a record states of its frame: link
//! type, original length, time, interface. It lends batches of up to 256 frames in the buffer, without copying them. If
//! a file can be mapped, a mapped part of it takes the place of the buffer.
//!
//! # What it does not contain
//! The decoding of frames, and seeking: it only reads forward, so that a pipe works as well as a file.
//!
//! # Units
//! Times are nanoseconds since 1970-01-01 UTC, for every resolution of the file; a time out of range becomes the
//! nearest in range. Lengths are bytes. Interfaces of pcapng are numbered from 1 over the whole file; pcap has no
//! interfaces, so its frames have interface 0, which means unknown.
//!
//! # Failure
//! All frames before a fault are lent. After that every call returns a [`ReplayError`] with the file, the offset, the
//! expected content and the remedy. No file causes a panic, or an allocation of more than
//! [`BLOCK_BYTES_MAX`](pcapng::BLOCK_BYTES_MAX) (twice that while the buffer grows). A file may grow or be truncated
//! during replay; the bytes that it has when they are read count. If the part that is mapped at that moment is
//! truncated, the process ends, see [`MappedFile`](crate::sys::mapped_file::MappedFile).
//!
//! # Sources
//! draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; the limits are those of libpcap. pcap-parser parses file headers
//! and blocks, except for three things that it gets wrong or lacks: the obsolete packet block, binary time resolutions,
//! and time offsets in big-endian sections. Records of pcap are parsed here.

mod error;
mod first_frame;
mod input;
mod pcap;
mod pcapng;
mod record;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use error::ReplayError;
pub use first_frame::first_frame_time;

use self::input::Input;
use self::pcap::Pcap;
use self::pcapng::Pcapng;
use self::record::{CaptureRecord, Fault, ReadStep};
use super::source::{Batch, FrameSource};
use crate::packet::{Direction, Frame, Segmentation};
use crate::sys::prefetch::prefetch;

/// A capture file that lends its frames in order.
///
/// ```
/// use traffic_alerted::capture::{Batch, FrameSource, Replay};
///
/// // A pcap header in little-endian order, Ethernet; then one frame of 60 bytes, cut to 2.
/// let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
/// file.extend([1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 60, 0, 0, 0, 0xff, 0xff]);
///
/// let mut replay = Replay::from_reader("example", std::io::Cursor::new(file))?;
/// let mut lengths = Vec::new();
/// while let Some(batch) = replay.next_batch()? {
///     lengths.extend(batch.frames().map(|frame| (frame.bytes.len(), frame.frame_len)));
/// }
/// assert_eq!(lengths, [(2, 60)]);
/// # Ok::<(), traffic_alerted::capture::ReplayError>(())
/// ```
#[derive(Debug)]
pub struct Replay {
    input: Input,
    format: FileFormat,
    records: Vec<CaptureRecord>,
}

impl Replay {
    /// Opens a capture file; `-` is standard input.
    ///
    /// # Errors
    /// The file cannot be opened or read, is empty, or is not a capture.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        if path == Path::new("-") {
            return Self::from_reader("standard input", io::stdin());
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_input(Input::of_file(name, file)),
            Err(source) => Err(ReplayError::Open { name, source }),
        }
    }

    /// Reads a capture from any reader. `name` is its name in errors. Reads are large, so the reader needs no buffer of
    /// its own.
    ///
    /// # Errors
    /// The reader fails, is empty, or does not yield a capture.
    pub fn from_reader(
        name: impl Into<String>,
        reader: impl Read + Send + 'static,
    ) -> Result<Self, ReplayError> {
        Self::from_input(Input::new(name.into(), Box::new(reader)))
    }

    fn from_input(mut input: Input) -> Result<Self, ReplayError> {
        let format = FileFormat::recognize(&mut input)?;
        Ok(Self { input, format, records: Vec::with_capacity(BATCH_FRAMES_MAX) })
    }

    /// Collects records until the batch is full or the buffer has no complete record. It reads more bytes only while
    /// the batch is empty, since reading moves the bytes of collected records.
    fn collect(&mut self) -> Result<(), ReplayError> {
        self.records.clear();
        while self.records.len() < BATCH_FRAMES_MAX {
            if let FileFormat::Pcap(pcap) = &self.format {
                let (buffer, start) = (self.input.filled(), self.input.position());
                let end = pcap.collect(buffer, start, BATCH_FRAMES_MAX, &mut self.records);
                self.input.consume(end - start);
                if self.records.len() == BATCH_FRAMES_MAX {
                    break;
                }
            }
            match self.format.step(self.input.available()) {
                Ok(ReadStep::CaptureRecord { record, len }) => {
                    self.records.push(record.in_buffer(self.input.position()));
                    self.input.consume(len);
                }
                Ok(ReadStep::Other { len }) => self.input.consume(len),
                Ok(ReadStep::Incomplete { .. }) | Err(_) if !self.records.is_empty() => break,
                Ok(ReadStep::Incomplete { what, needed }) => {
                    if self.input.is_at_end()? {
                        break;
                    }
                    self.input.require(what, needed)?;
                }
                Err(fault) => return Err(self.input.corrupt(fault)),
            }
        }
        Ok(())
    }
}

impl FrameSource for Replay {
    type Batch<'s> = ReplayBatch<'s>;
    type Error = ReplayError;

    /// Returns the next frames; `None` at the end of the file. It blocks until the file or pipe is read.
    fn next_batch(&mut self) -> Result<Option<ReplayBatch<'_>>, ReplayError> {
        self.collect()?;
        if self.records.is_empty() {
            return Ok(None);
        }
        Ok(Some(ReplayBatch { buffer: self.input.buffer(), records: &self.records }))
    }
}

/// Frames in the buffer of a [`Replay`].
#[derive(Clone, Copy, Debug)]
pub struct ReplayBatch<'s> {
    buffer: &'s [u8],
    records: &'s [CaptureRecord],
}

impl Batch for ReplayBatch<'_> {
    type Frames<'b>
        = ReplayFrames<'b>
    where
        Self: 'b;

    fn frames(&self) -> ReplayFrames<'_> {
        ReplayFrames { buffer: self.buffer, records: self.records.iter() }
    }
}

/// Iterator over the frames of a [`ReplayBatch`].
#[derive(Clone, Debug)]
pub struct ReplayFrames<'b> {
    buffer: &'b [u8],
    records: std::slice::Iter<'b, CaptureRecord>,
}

impl<'b> Iterator for ReplayFrames<'b> {
    type Item = Frame<'b>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'b>> {
        if let Some(ahead) = self.records.as_slice().get(FRAMES_AHEAD)
            && let Some(byte) = self.buffer.get(ahead.start as usize + IP_ADDRESSES_AT)
        {
            prefetch(byte);
        }
        let record = self.records.next()?;
        Some(Frame {
            bytes: self.buffer.get(record.start as usize..record.end()).unwrap_or(&[]),
            frame_len: record.frame_len,
            seen_at: record.seen_at,
            ifindex: record.ifindex,
            link: record.link,
            direction: Direction::Ingress,
            segmentation: Segmentation::None,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for ReplayFrames<'_> {}

#[derive(Debug)]
enum FileFormat {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

impl FileFormat {
    fn recognize(input: &mut Input) -> Result<Self, ReplayError> {
        if input.is_at_end()? {
            return Err(input.empty());
        }
        input.require("the magic number of a capture", 4)?;
        if pcapng::is_section_header(input.available()) {
            return Ok(Self::Pcapng(Pcapng::default()));
        }
        if !pcap::is_magic(input.available()) {
            return Err(input.not_a_capture());
        }
        input.require("a pcap header", pcap::FILE_HEADER_LEN)?;
        let pcap = Pcap::parse(input.available()).map_err(|fault| input.corrupt(fault))?;
        input.consume(pcap::FILE_HEADER_LEN);
        Ok(Self::Pcap(pcap))
    }

    fn step(&mut self, bytes: &[u8]) -> Result<ReadStep, Fault> {
        match self {
            Self::Pcap(pcap) => pcap.step(bytes),
            Self::Pcapng(pcapng) => pcapng.step(bytes),
        }
    }
}

/// Maximum number of frames in one batch.
const BATCH_FRAMES_MAX: usize = 256;

/// Number of frames from the one that is returned to the one whose addresses are prefetched into the first-level cache.
const FRAMES_AHEAD: usize = 8;
/// Offset of the IPv4 addresses in an Ethernet frame.
const IP_ADDRESSES_AT: usize = 26;
