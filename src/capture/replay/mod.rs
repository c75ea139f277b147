//! Capture files as a source of frames: pcap and pcapng, compressed with gzip or zstd or not, from a path, a pipe or
//! standard input.
//!
//! # What it owns
//! The framing of the two formats, the buffer through which they are read, and what a record states of its frame: link
//! type, original length, time, interface, direction. It lends batches of up to 256 frames in the buffer, without
//! copying them. If a file can be mapped, a mapped part of it takes the place of the buffer.
//!
//! # What it does not contain
//! The decoding of frames, except for the direction and for whether the host forwards ([`CountedDirection`]), and
//! seeking: it only reads forward, so that a pipe works as well as a file.
//!
//! # Units
//! Times are nanoseconds since 1970-01-01 UTC, for every resolution of the file; a time out of range becomes the
//! nearest in range. Lengths are bytes. Interfaces of pcapng are numbered from 1 over the whole file; pcap has no
//! interfaces, so its frames have interface 0, which means unknown. A frame with the second cooked header (SLL2) has
//! the number in it, and those of the loopback device have one of their own.
//!
//! # Failure
//! All frames before a fault are lent. After that every call returns a [`ReplayError`] with the file, the offset, the
//! expected content and the remedy. No file causes a panic, or an allocation of more than
//! [`BLOCK_BYTES_MAX`](pcapng::BLOCK_BYTES_MAX) (twice that while the buffer grows), besides the window of zstd. Parts
//! that are passed over without a fault are in [`Replay::warnings`]. A file may grow or be truncated during replay; the
//! bytes that it has when they are read count. If the part that is mapped at that moment is truncated, the process
//! ends, see [`MappedFile`](crate::sys::mapped_file::MappedFile).
//!
//! # Sources
//! draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng; the limits are those of libpcap. pcap-parser parses blocks of
//! pcapng, except for what it gets wrong or lacks: the obsolete packet block, binary time resolutions, time offsets in
//! big-endian sections, and flags of packets. pcap is parsed here.

mod compression;
mod cooked;
mod direction;
mod error;
mod first_frame;
mod foreign;
mod format;
mod input;
mod link_types;
mod name;
mod notes;
mod pcap;
mod pcapng;
mod record;
mod report;

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::net::IpAddr;
use std::path::Path;

pub use direction::{CountedDirection, DirectionReason, DirectionVerdicts};
pub use error::ReplayError;
pub use first_frame::first_frame_time;
pub use name::capture_name;
pub use notes::{CaptureWarning, CaptureWarningKind, UndecodedLink};
pub use report::CaptureReport;

use self::compression::Compression;
use self::direction::{BEGINNING_BYTES, Beginning};
use self::format::FileFormat;
use self::input::Input;
use self::notes::Notes;
use self::pcap::{HeaderError, Pcap};
use self::pcapng::Pcapng;
use self::record::{CaptureRecord, Fault, ReadStep};
use super::options::DirectionPolicy;
use super::source::{Batch, FrameSource, Verdict};
use crate::packet::{Direction, Frame, LinkKind};
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
    notes: Notes,
    beginning: Beginning,
    verdicts: DirectionVerdicts,
    direction: Option<CountedDirection>,
    policy: DirectionPolicy,
    /// True if no frame has left so far in a file that may state directions.
    awaits_egress: bool,
    /// True until the batch is lent that begins with the first frame that leaves.
    is_decided_late: bool,
}

impl Replay {
    /// Opens a capture file; `-` is standard input.
    ///
    /// # Errors
    /// The file cannot be opened or read, is empty, or is not a capture.
    pub fn open(path: &Path) -> Result<Self, ReplayError> {
        let name = capture_name(path);
        if path == Path::new("-") {
            return Self::from_reader(name, io::stdin());
        }
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

    fn from_input(input: Input) -> Result<Self, ReplayError> {
        let (input, format) = recognize(input)?;
        let (records, notes) = (Vec::with_capacity(BATCH_FRAMES_MAX), Notes::new(input.name().to_owned()));
        let (beginning, verdicts) = (Beginning::default(), DirectionVerdicts::COUNT_ALL);
        Ok(Self {
            input,
            format,
            records,
            notes,
            beginning,
            verdicts,
            direction: None,
            policy: DirectionPolicy::Auto,
            awaits_egress: false,
            is_decided_late: false,
        })
    }

    /// Decides which frames count by their direction; without it, every frame counts. It must be called before the
    /// first frame is read.
    ///
    /// If the file may state directions, this reads ahead by at most 8 MiB, and waits for them if it is a pipe. If no
    /// frame leaves in them, the same is done at the first that leaves. An error in these bytes is returned by
    /// [`next_batch`](FrameSource::next_batch), after the frames before it.
    #[must_use]
    pub fn with_direction(mut self, policy: DirectionPolicy) -> Self {
        self.policy = policy;
        if self.format.may_state_directions() {
            self.decide_direction();
            self.awaits_egress = self.direction.is_none();
        }
        self
    }

    /// Decides which frames count by what is ahead.
    fn decide_direction(&mut self) {
        self.beginning = Beginning::read(&self.format, self.input.look_ahead(BEGINNING_BYTES));
        (self.verdicts, self.direction) = DirectionVerdicts::decide(self.policy, &self.beginning);
    }

    /// Decides again at the first frame that leaves.
    #[cold]
    fn decide_late(&mut self) {
        self.decide_direction();
        self.awaits_egress = false;
        self.is_decided_late = true;
    }

    /// Returns the verdicts for another policy, by which [`ReplayBatch::with_verdicts`] judges the frames, and which
    /// frames count; `None` if the file does not state directions. Call [`with_direction`](Self::with_direction)
    /// before.
    pub fn verdicts(&self, policy: DirectionPolicy) -> (DirectionVerdicts, Option<CountedDirection>) {
        DirectionVerdicts::decide(policy, &self.beginning)
    }

    /// Returns which frames count by their direction; `None` if the file does not state directions, or if
    /// [`with_direction`](Self::with_direction) was not called.
    pub fn direction(&self) -> Option<CountedDirection> {
        self.direction
    }

    /// Returns what was met so far, once per kind.
    pub fn warnings(&self) -> &[CaptureWarning] {
        self.notes.warnings()
    }

    /// Returns what is known of the capture so far besides its frames.
    pub fn report(&self) -> CaptureReport {
        CaptureReport::new(&self.notes, self.direction)
    }

    /// Collects records until the batch is full or the buffer has no complete record. It reads more bytes only while
    /// the batch is empty, since reading moves the bytes of collected records.
    fn collect(&mut self) -> Result<(), ReplayError> {
        self.records.clear();
        self.input.finish_skip()?;
        while self.records.len() < BATCH_FRAMES_MAX {
            if let FileFormat::Pcap(pcap) = &self.format {
                let (buffer, start) = (self.input.filled(), self.input.position());
                let mut end = pcap.collect(buffer, start, BATCH_FRAMES_MAX, &mut self.records);
                if self.awaits_egress {
                    end = pcap.cut_at_egress(&mut self.records, end);
                }
                self.input.consume(end - start);
                if self.records.len() == BATCH_FRAMES_MAX {
                    break;
                }
            }
            self.notes.offset = self.input.offset();
            match self.format.step(self.input.available(), &mut self.notes) {
                Ok(ReadStep::CaptureRecord { record, len }) => {
                    if self.awaits_egress && record.direction == Direction::Egress {
                        // The frame begins a batch, since the bytes of the records before it move when more are read.
                        if !self.records.is_empty() {
                            break;
                        }
                        self.decide_late();
                    }
                    self.records.push(record.in_buffer(self.input.position()));
                    self.input.consume(len);
                }
                Ok(ReadStep::Other { len }) => self.input.consume(len),
                Ok(ReadStep::SkipBlock { len, trailer }) => {
                    self.input.begin_skip(len, trailer);
                    if !self.records.is_empty() {
                        break;
                    }
                    self.input.finish_skip()?;
                }
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
        if let FileFormat::Pcap(pcap) = &self.format
            && let LinkKind::Unsupported(link_type) = pcap.link()
        {
            self.notes.undecoded(link_type, self.records.len());
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
        let states_directions = self.format.may_state_directions();
        let late = mem::take(&mut self.is_decided_late).then_some(&self.beginning);
        let (buffer, records, verdicts) = (self.input.buffer(), &self.records, &self.verdicts);
        Ok(Some(ReplayBatch { buffer, records, verdicts, states_directions, late }))
    }
}

/// Frames in the buffer of a [`Replay`].
#[derive(Clone, Copy, Debug)]
pub struct ReplayBatch<'s> {
    buffer: &'s [u8],
    records: &'s [CaptureRecord],
    verdicts: &'s DirectionVerdicts,
    /// False if the format has no field for the direction, so that every frame enters and counts.
    states_directions: bool,
    /// What was seen ahead, if these frames begin with the first that leaves and that is not at the beginning.
    late: Option<&'s Beginning>,
}

/// Frames of a [`ReplayBatch`] whose format has no field for the direction. It needs no verdict on a frame, and the
/// compiler leaves out what depends on one.
#[derive(Clone, Copy, Debug)]
pub struct UndirectedBatch<'s>(ReplayBatch<'s>);

impl<'s> ReplayBatch<'s> {
    /// Returns the same frames without verdicts if their format has no field for the direction; otherwise `None`.
    pub fn undirected(self) -> Option<UndirectedBatch<'s>> {
        (!self.states_directions).then_some(UndirectedBatch(self))
    }

    /// Returns what [`Replay::verdicts`] returns from this batch on; `None` if that has not changed.
    pub fn late_verdicts(
        &self,
        policy: DirectionPolicy,
    ) -> Option<(DirectionVerdicts, Option<CountedDirection>)> {
        self.late.map(|beginning| DirectionVerdicts::decide(policy, beginning))
    }

    /// Returns the same frames with other verdicts.
    #[must_use]
    pub fn with_verdicts(self, verdicts: &'s DirectionVerdicts) -> Self {
        Self { verdicts, ..self }
    }
}

impl Batch for ReplayBatch<'_> {
    type Frames<'b>
        = ReplayFrames<'b>
    where
        Self: 'b;

    fn frames(&self) -> ReplayFrames<'_> {
        ReplayFrames { buffer: self.buffer, records: self.records.iter() }
    }

    fn verdict(&self, ifindex: u32, direction: Direction) -> Verdict {
        self.verdicts.verdict(ifindex, direction)
    }

    fn counts_as_received(&self, direction: Direction) -> bool {
        self.verdicts.counts_as_received(direction)
    }

    fn is_seen_leaving(&self, _: u32, direction: Direction, dst: IpAddr) -> bool {
        self.verdicts.is_seen_leaving(direction, dst)
    }

    fn is_own(&self, addr: IpAddr) -> bool {
        self.verdicts.is_own(addr)
    }
}

impl Batch for UndirectedBatch<'_> {
    const COUNTS_ALL: bool = true;

    type Frames<'b>
        = UndirectedFrames<'b>
    where
        Self: 'b;

    fn frames(&self) -> UndirectedFrames<'_> {
        UndirectedFrames(self.0.frames())
    }
}

/// Iterator over the frames of an [`UndirectedBatch`].
#[derive(Clone, Debug)]
pub struct UndirectedFrames<'b>(ReplayFrames<'b>);

impl<'b> Iterator for UndirectedFrames<'b> {
    type Item = Frame<'b>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'b>> {
        self.0.next().map(entering)
    }

    fn nth(&mut self, n: usize) -> Option<Frame<'b>> {
        self.0.nth(n).map(entering)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for UndirectedFrames<'_> {}

/// Returns the frame as one that enters.
#[inline(always)]
fn entering(frame: Frame<'_>) -> Frame<'_> {
    Frame { direction: Direction::Ingress, ..frame }
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
        self.records.next().map(|record| record.frame_in(self.buffer))
    }

    fn nth(&mut self, n: usize) -> Option<Frame<'b>> {
        self.records.nth(n).map(|record| record.frame_in(self.buffer))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}

impl ExactSizeIterator for ReplayFrames<'_> {}

/// Recognizes the format by the first bytes, and decompresses the input if it is compressed.
fn recognize(mut input: Input) -> Result<(Input, FileFormat), ReplayError> {
    if input.is_at_end()? {
        return Err(input.empty());
    }
    input.require("the magic number of a capture", 4)?;
    if let Some(compression) = Compression::of(input.available())
        && !input.is_decompressed()
    {
        return recognize(input.decompressed(compression));
    }
    if pcapng::is_section_header(input.available()) {
        return Ok((input, FileFormat::Pcapng(Pcapng::default())));
    }
    if !pcap::is_magic(input.available()) {
        return Err(input.not_a_capture());
    }
    input.require("a pcap header", pcap::FILE_HEADER_LEN)?;
    let pcap = match Pcap::parse(input.available()) {
        Ok(pcap) => pcap,
        Err(HeaderError::Version(major, minor)) => return Err(input.other_version(major, minor)),
        Err(HeaderError::NoHeader) => {
            let fault = Fault { expected: "a pcap header", found: "something else".into() };
            return Err(input.corrupt(fault));
        }
    };
    input.consume(pcap::FILE_HEADER_LEN);
    Ok((input, FileFormat::Pcap(pcap)))
}

/// Maximum number of frames in one batch.
const BATCH_FRAMES_MAX: usize = 256;

/// Number of frames from the one that is returned to the one whose addresses are prefetched into the first-level cache.
const FRAMES_AHEAD: usize = 8;
/// Offset of the IPv4 addresses in an Ethernet frame.
const IP_ADDRESSES_AT: usize = 26;
