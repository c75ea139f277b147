//! The classic format: a header, then records.
//!
//! ```text
//! file header    magic | major, minor | time zone | accuracy | snap length | link type      24 bytes
//! record         seconds | fraction | captured length | original length | captured bytes    16 + n
//! ```
//!
//! The magic number gives the byte order and the unit of the fraction. The "modified" variant of some old
//! Linux distributions has 8 more bytes in each record header; it is read in little-endian order.

use pcap_parser::nom::{self, Needed};
use pcap_parser::{
    LegacyPcapBlock, PcapError, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified,
    parse_pcap_header,
};

use super::{Fault, Record, Step, link_kind};
use crate::packet::LinkKind;
use crate::time::UnixNanos;

/// What the file header tells about the records.
#[derive(Debug)]
pub(super) struct Pcap {
    parse: ParseRecord,
    record_header_len: usize,
    /// Nanoseconds in one unit of the fraction.
    fraction_nanos: u64,
    link: LinkKind,
}

type ParseRecord = fn(&[u8]) -> nom::IResult<&[u8], LegacyPcapBlock<'_>, PcapError<&[u8]>>;

/// Whether a file begins like one of the variants.
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
    /// Reads the file header, of which all bytes must be there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let Ok((_, header)) = parse_pcap_header(bytes) else {
            return Err(Fault { expected: "a pcap header", found: "something else".into() });
        };
        let (parse, record_header_len): (ParseRecord, usize) =
            match (header.is_modified_format(), header.is_bigendian()) {
                (true, _) => (parse_pcap_frame_modified, 24),
                (false, true) => (parse_pcap_frame_be, 16),
                (false, false) => (parse_pcap_frame, 16),
            };
        // The upper half may tell the length of the frame check sequence, which is no traffic.
        let link_type = (header.network.0 & 0xffff) as u16;
        Ok(Self {
            parse,
            record_header_len,
            fraction_nanos: if header.is_nanosecond_precision() { 1 } else { 1000 },
            link: link_kind(link_type),
        })
    }

    /// Reads what `bytes` begin with.
    pub(super) fn step(&self, bytes: &[u8]) -> Result<Step, Fault> {
        let needed = match (self.parse)(bytes) {
            Ok((rest, block)) if block.data.len() <= CAPTURED_LEN_MAX => {
                let len = bytes.len() - rest.len();
                return Ok(Step::Record { record: self.record(&block, len), len });
            }
            Ok((rest, _)) => bytes.len() - rest.len(),
            Err(nom::Err::Incomplete(Needed::Size(more))) => bytes.len().saturating_add(more.get()),
            Err(_) => return Err(Fault { expected: "a record", found: "something else".into() }),
        };
        if needed > self.record_header_len + CAPTURED_LEN_MAX {
            let found = format!("one of {}", needed - self.record_header_len);
            return Err(Fault { expected: "a record of at most 262144 captured bytes", found });
        }
        let what = if bytes.len() < self.record_header_len { "the header of a record" } else { "a record" };
        Ok(Step::Incomplete { what, needed })
    }

    fn record(&self, block: &LegacyPcapBlock<'_>, len: usize) -> Record {
        let fraction = u64::from(block.ts_usec) * self.fraction_nanos;
        Record {
            bytes: self.record_header_len..len,
            frame_len: block.origlen,
            // It fits: both factors are below 2^32 and 2^30.
            seen_at: UnixNanos(u64::from(block.ts_sec) * 1_000_000_000 + fraction),
            ifindex: 0,
            link: self.link,
        }
    }
}

/// Bytes before the first record.
pub(super) const FILE_HEADER_LEN: usize = 24;

/// The longest that libpcap reads (`MAXIMUM_SNAPLEN`): what claims more is no record.
const CAPTURED_LEN_MAX: usize = 262_144;
