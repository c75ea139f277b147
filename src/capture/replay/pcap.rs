//! The pcap format: a file header, then records.
//!
//! ```text
//! file header    magic | major, minor | time zone | accuracy | snap length | link type      24 bytes
//! record         seconds | fraction | captured length | original length | captured bytes    16 + n
//! ```
//!
//! The magic number gives the byte order and the unit of the fraction. The "modified" variant of some old
//! Linux distributions and of routers has 8 more bytes in each record header.
//!
//! Versions 2.0 to 2.4 are read. Before 2.3 the two lengths of a record are in the other order, and in 2.3 they may be,
//! which shows if the captured length is the greater one (libpcap, `sf-pcap.c`).
//!
//! Frames are not decoded here, except for the direction in a cooked header. Source: draft-ietf-opsawg-pcap.

use std::mem;

use super::cooked::{is_cooked, read_cooked};
use super::input::prefetch_ahead;
use super::link_types::link_kind;
use super::record::{CaptureRecord, Fault, ReadStep};
use crate::packet::{Direction, LinkKind};
use crate::time::UnixNanos;

/// The properties of all records, from the file header.
#[derive(Clone, Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    record_header_len: usize,
    /// Nanoseconds in one unit of the fraction.
    fraction_nanos: u64,
    link: LinkKind,
    lengths: LengthOrder,
}

/// The order of the two lengths in a record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LengthOrder {
    /// The captured length comes first.
    CapturedFirst,
    /// The original length comes first.
    OriginalFirst,
    /// The smaller one is the captured length.
    Unsure,
}

/// What the first four bytes of a file state.
struct Magic {
    big_endian: bool,
    is_modified: bool,
    fraction_nanos: u64,
}

impl Magic {
    /// Returns `None` if the file is not of a variant of pcap.
    fn of(bytes: &[u8]) -> Option<Self> {
        let &first = bytes.first_chunk()?;
        [false, true].into_iter().find_map(|big_endian| {
            let magic = if big_endian { u32::from_be_bytes(first) } else { u32::from_le_bytes(first) };
            let (is_modified, fraction_nanos) = match magic {
                0xa1b2_c3d4 => (false, 1000),
                0xa1b2_3c4d => (false, 1),
                0xa1b2_cd34 => (true, 1000),
                _ => return None,
            };
            Some(Self { big_endian, is_modified, fraction_nanos })
        })
    }
}

/// Returns true if a file begins with the magic number of a variant of pcap.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    Magic::of(bytes).is_some()
}

/// The reason why a file header is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// The file has this version (major, minor), which is not read.
    Version(u16, u16),
    /// The bytes are no file header.
    NoHeader,
}

impl Pcap {
    /// Parses the file header. All of its bytes must be available.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let header = bytes.first_chunk::<FILE_HEADER_LEN>().ok_or(HeaderError::NoHeader)?;
        let Magic { big_endian, is_modified, fraction_nanos } =
            Magic::of(header).ok_or(HeaderError::NoHeader)?;
        let half = |at: usize| {
            let half = [header[at], header[at + 1]];
            if big_endian { u16::from_be_bytes(half) } else { u16::from_le_bytes(half) }
        };
        let lengths = match (half(4), half(6)) {
            (2, 0..=2) => LengthOrder::OriginalFirst,
            (2, 3) => LengthOrder::Unsure,
            (2, 4) => LengthOrder::CapturedFirst,
            (major, minor) => return Err(HeaderError::Version(major, minor)),
        };
        // The other half of the word may state the length of the frame check sequence, which is not used.
        let link_type = half(if big_endian { 22 } else { 20 });
        Ok(Self {
            big_endian,
            record_header_len: RECORD_HEADER_LEN + if is_modified { 8 } else { 0 },
            fraction_nanos,
            link: link_kind(link_type),
            lengths,
        })
    }

    /// Returns the kind of link header of all frames.
    pub(super) fn link(&self) -> LinkKind {
        self.link
    }

    /// Adds the complete records of `buffer` from offset `start` on, until `records` has `records_max`. Returns the
    /// offset after the last one, where [`step`](Self::step) continues.
    pub(super) fn collect(
        &self,
        buffer: &[u8],
        start: usize,
        records_max: usize,
        records: &mut Vec<CaptureRecord>,
    ) -> usize {
        let mut at = start;
        if self.lengths != LengthOrder::CapturedFirst {
            return at;
        }
        let first_new = records.len();
        while records.len() < records_max
            && let Some(bytes) = buffer.get(at..)
            && let Some(record) = self.whole(bytes)
        {
            prefetch_ahead(bytes);
            records.push(record.in_buffer(at));
            at += record.end();
        }
        if is_cooked(self.link) {
            for record in records.iter_mut().skip(first_new) {
                read_cooked(record, buffer);
            }
        }
        at
    }

    /// Removes the first record whose frame leaves, and those after it. Returns the offset at which it begins, or `end`
    /// if none leaves.
    pub(super) fn cut_at_egress(&self, records: &mut Vec<CaptureRecord>, end: usize) -> usize {
        let first = records.iter().position(|record| record.direction == Direction::Egress);
        let Some(first) = first else { return end };
        let start = records[first].start as usize;
        records.truncate(first);
        start - self.record_header_len
    }

    /// Parses the record that `bytes` begin with.
    pub(super) fn step(&self, bytes: &[u8]) -> Result<ReadStep, Fault> {
        let needed = self.record_header_len;
        match self.header(bytes).map(|header| self.in_order(header)) {
            None => Ok(ReadStep::Incomplete { what: "the header of a record", needed }),
            Some(header) if header.captured > CAPTURED_LEN_MAX => Err(too_long(header.captured)),
            Some(header) => match self.record(&header, bytes) {
                Some(mut record) => {
                    read_cooked(&mut record, bytes);
                    Ok(ReadStep::CaptureRecord { record, len: record.end() })
                }
                None => {
                    Ok(ReadStep::Incomplete { what: "a record", needed: needed + header.captured as usize })
                }
            },
        }
    }

    /// Returns the header with its lengths in the usual order.
    fn in_order(&self, mut header: Header) -> Header {
        let is_swapped = match self.lengths {
            LengthOrder::CapturedFirst => false,
            LengthOrder::OriginalFirst => true,
            LengthOrder::Unsure => header.captured > header.original,
        };
        if is_swapped {
            mem::swap(&mut header.captured, &mut header.original);
        }
        header
    }

    /// Parses the record that `bytes` begin with; returns `None` unless it is valid and complete.
    #[inline(always)]
    fn whole(&self, bytes: &[u8]) -> Option<CaptureRecord> {
        self.record(&self.header(bytes)?, bytes)
    }

    #[inline(always)]
    fn record(&self, header: &Header, bytes: &[u8]) -> Option<CaptureRecord> {
        let &Header { seconds, fraction, captured, original } = header;
        if captured > CAPTURED_LEN_MAX || bytes.len() < self.record_header_len + captured as usize {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "it is 16 or 24")]
        let start = self.record_header_len as u32;
        // The sum fits into 64 bits: in both products the factors are below 2^32 and 2^30.
        let seen_at = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_nanos;
        let seen_at = UnixNanos(seen_at);
        let (link, direction) = (self.link, Direction::Ingress);
        Some(CaptureRecord { start, captured, frame_len: original, seen_at, ifindex: 0, link, direction })
    }

    /// Parses a record header; returns `None` unless it is complete.
    #[inline(always)]
    fn header(&self, bytes: &[u8]) -> Option<Header> {
        let header = bytes.first_chunk().filter(|_| bytes.len() >= self.record_header_len)?;
        let &[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3] = header;
        Some(Header {
            seconds: self.word([s0, s1, s2, s3]),
            fraction: self.word([f0, f1, f2, f3]),
            captured: self.word([c0, c1, c2, c3]),
            original: self.word([o0, o1, o2, o3]),
        })
    }

    #[inline(always)]
    fn word(&self, bytes: [u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

/// The words of a record header.
struct Header {
    seconds: u32,
    fraction: u32,
    captured: u32,
    original: u32,
}

#[cold]
fn too_long(captured: u32) -> Fault {
    let expected = "a record of at most 262144 captured bytes";
    Fault { expected, found: format!("one of {captured}") }
}

/// Bytes of the file header.
pub(super) const FILE_HEADER_LEN: usize = 24;

/// Bytes of a record header, without the additional bytes of the modified variant.
const RECORD_HEADER_LEN: usize = 16;

/// Maximum captured length in bytes, as in libpcap (`MAXIMUM_SNAPLEN`). A record with a greater length is corrupt.
const CAPTURED_LEN_MAX: u32 = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

    /// If a record were checked earlier, the error for a file that ends within a header would depend on the sizes of
    /// the reads.
    #[test]
    fn a_record_is_checked_when_its_header_is_complete() {
        let mut file = vec![0x34, 0xcd, 0xb2, 0xa1, 2, 0, 4, 0];
        file.extend([0; 12]);
        file.extend([1, 0, 0, 0]);
        let modified = Pcap::parse(&file).expect("a header of the modified variant");
        let record = [0xff; 24];
        for len in 0..24 {
            let step = modified.step(&record[..len]);
            assert_eq!(
                step,
                Ok(ReadStep::Incomplete { what: "the header of a record", needed: 24 }),
                "{len}"
            );
        }
        assert!(modified.step(&record).is_err(), "it claims four gigabytes");
    }
}
