//! The pcap format: a file header, then records.
//!
//! ```text
//! file header    magic | major, minor | time zone | accuracy | snap length | link type      24 bytes
//! record         seconds | fraction | captured length | original length | captured bytes    16 + n
//! ```
//!
//! The magic number gives the byte order and the unit of the fraction. The "modified" variant of some old
//! Linux distributions has 8 more bytes in each record header; it is read in little-endian order.
//!
//! pcap-parser parses the file header; a record header is four words, which are parsed here. Frames are not decoded
//! here. Source: draft-ietf-opsawg-pcap.

use pcap_parser::parse_pcap_header;

use super::input::prefetch_ahead;
use super::record::{CaptureRecord, Fault, ReadStep, link_kind};
use crate::packet::LinkKind;
use crate::time::UnixNanos;

/// The properties of all records, from the file header.
#[derive(Debug)]
pub(super) struct Pcap {
    big_endian: bool,
    record_header_len: usize,
    /// Nanoseconds in one unit of the fraction.
    fraction_nanos: u64,
    link: LinkKind,
}

/// Returns true if a file begins with the magic number of a variant of pcap.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0xc3, 0xd4, ..]
            | [0x4d, 0x3c, 0xb2, 0xa1, ..]
            | [0xa1, 0xb2, 0x3c, 0x4d, ..]
            | [0x34, 0xcd, 0xb2, 0xa1, ..]
    )
}

impl Pcap {
    /// Parses the file header. All of its bytes must be available.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let Ok((_, header)) = parse_pcap_header(bytes) else {
            return Err(Fault { expected: "a pcap header", found: "something else".into() });
        };
        let is_modified = header.is_modified_format();
        // The upper half may state the length of the frame check sequence, which is not used.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the mask leaves 16 bits")]
        let link_type = (header.network.0 & 0xffff) as u16;
        Ok(Self {
            big_endian: header.is_bigendian() && !is_modified,
            record_header_len: RECORD_HEADER_LEN + if is_modified { 8 } else { 0 },
            fraction_nanos: if header.is_nanosecond_precision() { 1 } else { 1000 },
            link: link_kind(link_type),
        })
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
        while records.len() < records_max
            && let Some(bytes) = buffer.get(at..)
            && let Some(record) = self.whole(bytes)
        {
            prefetch_ahead(bytes);
            records.push(record.in_buffer(at));
            at += record.end();
        }
        at
    }

    /// Parses the record that `bytes` begin with.
    pub(super) fn step(&self, bytes: &[u8]) -> Result<ReadStep, Fault> {
        if let Some(record) = self.whole(bytes) {
            return Ok(ReadStep::CaptureRecord { record, len: record.end() });
        }
        let needed = self.record_header_len;
        match self.header(bytes) {
            None => Ok(ReadStep::Incomplete { what: "the header of a record", needed }),
            Some(header) if header.captured > CAPTURED_LEN_MAX => Err(too_long(header.captured)),
            Some(header) => {
                Ok(ReadStep::Incomplete { what: "a record", needed: needed + header.captured as usize })
            }
        }
    }

    /// Parses the record that `bytes` begin with; returns `None` unless it is valid and complete.
    #[inline(always)]
    fn whole(&self, bytes: &[u8]) -> Option<CaptureRecord> {
        let Header { seconds, fraction, captured, original } = self.header(bytes)?;
        if captured > CAPTURED_LEN_MAX || bytes.len() < self.record_header_len + captured as usize {
            return None;
        }
        #[allow(clippy::cast_possible_truncation, reason = "it is 16 or 24")]
        let start = self.record_header_len as u32;
        // The sum fits into 64 bits: in both products the factors are below 2^32 and 2^30.
        let seen_at = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.fraction_nanos;
        let seen_at = UnixNanos(seen_at);
        Some(CaptureRecord { start, captured, frame_len: original, seen_at, ifindex: 0, link: self.link })
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
