//! The pcapng format: blocks for sections, interfaces and packets, and other blocks, which are skipped.
//!
//! ```text
//! block                 type | length | content, padded to 4 bytes | length again
//! section header        byte-order magic | version | section length | options     resets the interfaces
//! interface             link type | reserved | snap length | options              numbered from 0
//! enhanced packet       interface | time, upper and lower half | captured | original | bytes | options
//! simple packet         original | bytes                                          of interface 0
//! packet (obsolete)     interface, drops (2 each) | otherwise as the enhanced one
//! ```
//!
//! Sections of version 1.0 and 1.2 are read, which are the same. A section of another version is skipped.
//!
//! The framing is checked here, and pcap-parser gets a complete block, so that a field with a false length is
//! distinguished from a file that ends. Frames are not decoded here. Source: draft-ietf-opsawg-pcapng.

use pcap_parser::nom::IResult;
use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, PcapError, SimplePacketBlock,
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_simplepacketblock_be, parse_simplepacketblock_le,
};

use super::cooked::{LOOPBACK_IFINDEX, is_cooked, read_cooked, read_loopback};
use super::link_types::link_kind;
use super::notes::{CaptureWarningKind, Notes};
use super::record::{CaptureRecord, Fault, ReadStep};
use crate::packet::{Direction, LinkKind};
use crate::time::UnixNanos;

/// Maximum bytes of a block that is parsed, as in libpcap. The buffer grows to this size only if the file has such a
/// block. A longer block without a packet is skipped.
pub(super) const BLOCK_BYTES_MAX: usize = 16 << 20;

/// The state of reading a pcapng file.
#[derive(Clone, Debug, Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    /// True in a section whose version is not read.
    is_skipping: bool,
    /// Interfaces of this section.
    interfaces: Vec<PcapngInterface>,
    /// Number of interfaces of the previous sections.
    interfaces_before: u32,
    /// Time of the last packet with a timestamp. Simple packets have no timestamp and get this time.
    last_seen_at: UnixNanos,
}

#[derive(Clone, Copy, Debug)]
struct PcapngInterface {
    link: LinkKind,
    /// Snap length in bytes; 0 means that there is no limit.
    snap_len: u32,
    clock: TimestampUnits,
    /// True for the loopback device of Linux.
    is_loopback: bool,
}

/// The units of the timestamps of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TimestampUnits {
    /// `if_tsresol`: a second has 10 to this power units. If the highest bit is set, it has 2 to the power of the other
    /// bits.
    resolution: u8,
    /// `if_tsoffset`: seconds to add.
    offset_seconds: i64,
}

/// Returns true if a file begins with a section header block.
pub(super) fn is_section_header(bytes: &[u8]) -> bool {
    bytes.first_chunk() == Some(&SECTION_HEADER.to_be_bytes())
}

impl Pcapng {
    /// Parses the block that `bytes` begin with.
    pub(super) fn step(&mut self, bytes: &[u8], notes: &mut Notes) -> Result<ReadStep, Fault> {
        // The type of a section header is the same in both byte orders; its magic number has the order.
        let Some((head, _)) = bytes.split_first_chunk::<BLOCK_LEN_MIN>() else {
            return Ok(ReadStep::Incomplete { what: "a block", needed: BLOCK_LEN_MIN });
        };
        let [t0, t1, t2, t3, l0, l1, l2, l3, magic @ ..] = *head;
        let begins_section = is_section_header(bytes);
        let big_endian = match magic {
            _ if !begins_section => self.big_endian,
            BYTE_ORDER_LITTLE => false,
            BYTE_ORDER_BIG => true,
            other => {
                let found = format!("{other:02x?}");
                return Err(Fault { expected: "the byte-order magic of a section", found });
            }
        };
        let (declared, block_type) =
            (u32_of([l0, l1, l2, l3], big_endian), u32_of([t0, t1, t2, t3], big_endian));
        let len = declared as usize;
        if len < BLOCK_LEN_MIN || !len.is_multiple_of(4) {
            let expected = "a block of at least 12 bytes in steps of 4";
            return Err(Fault { expected, found: len.to_string() });
        }
        let is_skipped = self.is_skipping && !begins_section;
        if len > BLOCK_BYTES_MAX {
            let is_needed = matches!(
                block_type,
                SECTION_HEADER | INTERFACE | ENHANCED_PACKET | SIMPLE_PACKET | OBSOLETE_PACKET
            );
            if is_needed && !is_skipped {
                let expected = "a section header, interface or packet of at most 16 MiB";
                return Err(Fault {
                    expected,
                    found: format!("a block of type {block_type} with {len} bytes"),
                });
            }
            if !is_skipped {
                notes.warn(CaptureWarningKind::BlockSkipped { block_type, len: declared });
            }
            return Ok(ReadStep::SkipBlock { len: declared, trailer: [l0, l1, l2, l3] });
        }
        let Some(block) = bytes.get(..len) else {
            return Ok(ReadStep::Incomplete { what: "a block", needed: len });
        };
        self.big_endian = big_endian;
        match block_type {
            SECTION_HEADER => self.begin_section(block, notes)?,
            _ if is_skipped => {}
            INTERFACE => self.add_interface(block, notes)?,
            ENHANCED_PACKET => return self.enhanced_packet(block, notes),
            SIMPLE_PACKET => return self.simple_packet(block, notes),
            OBSOLETE_PACKET => return self.obsolete_packet(block, notes),
            _ => {}
        }
        Ok(ReadStep::Other { len })
    }

    fn begin_section(&mut self, block: &[u8], notes: &mut Notes) -> Result<(), Fault> {
        let Some(&[major0, major1, minor0, minor1]) =
            block.get(12..16).filter(|_| block.len() >= SECTION_HEADER_LEN_MIN)
        else {
            let found = format!("one of {} bytes", block.len());
            return Err(Fault { expected: "a section header of at least 28 bytes", found });
        };
        let (major, minor) =
            (u16_of([major0, major1], self.big_endian), u16_of([minor0, minor1], self.big_endian));
        self.is_skipping = !matches!((major, minor), (1, 0 | 2));
        if self.is_skipping {
            notes.warn(CaptureWarningKind::SectionSkipped { major, minor });
        }
        #[allow(clippy::cast_possible_truncation, reason = "there are at most `INTERFACES_MAX`")]
        let count = self.interfaces.len() as u32;
        self.interfaces_before += count;
        self.interfaces.clear();
        Ok(())
    }

    fn add_interface(&mut self, block: &[u8], notes: &mut Notes) -> Result<(), Fault> {
        let result = if self.big_endian {
            parse_interfacedescriptionblock_be(block)
        } else {
            parse_interfacedescriptionblock_le(block)
        };
        let description = parsed(result, "an interface description")?;
        let total = self.interfaces_before as usize + self.interfaces.len();
        if total >= INTERFACES_MAX {
            return Err(Fault { expected: "at most 65536 interfaces", found: "one more".into() });
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the field has 16 bits")]
        let link_type = description.linktype.0 as u16;
        let clock = clock(&description, self.big_endian);
        if clock.is_finer_than_nanoseconds() {
            notes.warn(CaptureWarningKind::FinerThanNanoseconds);
        }
        let name = description.options.iter().find(|option| option.code == OptionCode::IfName);
        self.interfaces.push(PcapngInterface {
            link: link_kind(link_type),
            snap_len: description.snaplen,
            clock,
            is_loopback: name.and_then(|name| name.as_bytes().ok()) == Some(b"lo"),
        });
        Ok(())
    }

    fn enhanced_packet(&mut self, block: &[u8], notes: &mut Notes) -> Result<ReadStep, Fault> {
        let result = if self.big_endian {
            parse_enhancedpacketblock_be(block)
        } else {
            parse_enhancedpacketblock_le(block)
        };
        let packet: EnhancedPacketBlock<'_> = parsed(result, "a packet that fits into its block")?;
        let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
        self.timed_packet(packet.if_id, units, [packet.caplen, packet.origlen], block, notes)
    }

    fn obsolete_packet(&mut self, block: &[u8], notes: &mut Notes) -> Result<ReadStep, Fault> {
        let Some((head, rest)) = block.split_first_chunk::<{ PACKET_HEADER_LEN as usize }>() else {
            return Err(Fault { expected: "a packet block", found: format!("{} bytes", block.len()) });
        };
        let word = |at: usize| u32_of([head[at], head[at + 1], head[at + 2], head[at + 3]], self.big_endian);
        let interface = if self.big_endian { word(8) >> 16 } else { word(8) & 0xffff };
        let units = u64::from(word(12)) << 32 | u64::from(word(16));
        let (captured, original) = (word(20), word(24));
        if captured as usize > rest.len().saturating_sub(4) {
            let found = format!("{captured} captured bytes in a block of {}", block.len());
            return Err(Fault { expected: "a packet that fits into its block", found });
        }
        self.timed_packet(interface, units, [captured, original], block, notes)
    }

    fn simple_packet(&mut self, block: &[u8], notes: &mut Notes) -> Result<ReadStep, Fault> {
        let result = if self.big_endian {
            parse_simplepacketblock_be(block)
        } else {
            parse_simplepacketblock_le(block)
        };
        let packet: SimplePacketBlock<'_> = parsed(result, "a simple packet")?;
        let interface = self.interface(0)?;
        let snapped = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
        #[allow(clippy::cast_possible_truncation, reason = "a block has at most `BLOCK_BYTES_MAX` bytes")]
        let captured = packet.origlen.min(snapped).min(packet.data.len() as u32);
        let record = CaptureRecord {
            start: SIMPLE_HEADER_LEN,
            captured,
            frame_len: packet.origlen,
            seen_at: self.last_seen_at,
            ifindex: self.ifindex(0, &interface),
            link: interface.link,
            direction: Direction::Ingress,
        };
        notes.warn(CaptureWarningKind::NoTime);
        Ok(in_block(record, block, notes))
    }

    fn timed_packet(
        &mut self,
        interface: u32,
        units: u64,
        [captured, frame_len]: [u32; 2],
        block: &[u8],
        notes: &mut Notes,
    ) -> Result<ReadStep, Fault> {
        let described = self.interface(interface)?;
        let (seen_at, is_in_range) = described.clock.unix_nanos(units);
        if !is_in_range {
            notes.warn(CaptureWarningKind::TimeOutOfRange);
        }
        self.last_seen_at = seen_at;
        let options_at = (PACKET_HEADER_LEN as usize + captured as usize).next_multiple_of(4);
        let options = block.get(options_at..block.len().saturating_sub(4)).unwrap_or(&[]);
        let flags = option(options, PACKET_FLAGS, self.big_endian).and_then(<[u8]>::first_chunk);
        let record = CaptureRecord {
            start: PACKET_HEADER_LEN,
            captured,
            frame_len,
            seen_at,
            ifindex: self.ifindex(interface, &described),
            link: described.link,
            direction: flags.map_or(Direction::Ingress, |&flags| direction(u32_of(flags, self.big_endian))),
        };
        Ok(in_block(record, block, notes))
    }

    fn interface(&self, number: u32) -> Result<PcapngInterface, Fault> {
        self.interfaces.get(number as usize).copied().ok_or_else(|| Fault {
            expected: "a packet of an interface that was described",
            found: format!("interface {number} of {}", self.interfaces.len()),
        })
    }

    /// Returns the number of an interface over all sections, from 1. Both summands are at most [`INTERFACES_MAX`], so
    /// the sum does not overflow.
    fn ifindex(&self, interface: u32, described: &PcapngInterface) -> u32 {
        if described.is_loopback { LOOPBACK_IFINDEX } else { self.interfaces_before + interface + 1 }
    }
}

impl TimestampUnits {
    fn is_finer_than_nanoseconds(self) -> bool {
        let exponent = self.resolution & 0x7f;
        // 2^-29 s is more than a nanosecond, 2^-30 s is less.
        exponent > if self.resolution & 0x80 == 0 { 9 } else { 29 }
    }

    /// Converts a timestamp. A time that is out of range becomes the nearest time in range, and the result is false.
    fn unix_nanos(self, units: u64) -> (UnixNanos, bool) {
        let exponent = self.resolution & 0x7f;
        let units_per_second = if self.resolution & 0x80 == 0 {
            10u128.checked_pow(u32::from(exponent))
        } else {
            2u128.checked_pow(u32::from(exponent))
        };
        // With more units per second than a u128 holds, every timestamp is less than a nanosecond.
        let nanos = units_per_second.map_or(0, |per_second| u128::from(units) * NANOS / per_second);
        // The value is below 2^94, so the conversion to a signed type keeps it.
        let nanos = nanos.cast_signed() + i128::from(self.offset_seconds) * NANOS.cast_signed();
        match u64::try_from(nanos) {
            Ok(nanos) => (UnixNanos(nanos), true),
            Err(_) => (UnixNanos(if nanos < 0 { 0 } else { u64::MAX }), false),
        }
    }
}

/// Completes the record of a packet block with what its frame states, and notes if its link is not decoded.
fn in_block(mut record: CaptureRecord, block: &[u8], notes: &mut Notes) -> ReadStep {
    match record.link {
        LinkKind::Unsupported(link_type) => notes.undecoded(link_type, 1),
        link if is_cooked(link) => read_cooked(&mut record, block),
        _ if record.direction == Direction::Egress => read_loopback(&mut record, block),
        _ => {}
    }
    ReadStep::CaptureRecord { record, len: block.len() }
}

/// Returns the direction that the flags of a packet state (`epb_flags`); ingress if they state none.
fn direction(flags: u32) -> Direction {
    match (flags & 0b11, flags >> 2 & 0b111) {
        (FLAGS_OUTBOUND, _) => Direction::Egress,
        (_, FLAGS_PROMISCUOUS) => Direction::OtherHost,
        _ => Direction::Ingress,
    }
}

/// Returns the value of the first option with this code, with its padding; `None` if there is none before an option
/// whose length is false.
fn option(mut options: &[u8], wanted: u16, big_endian: bool) -> Option<&[u8]> {
    loop {
        let (&[c0, c1, l0, l1], rest) = options.split_first_chunk()?;
        let len = usize::from(u16_of([l0, l1], big_endian)).next_multiple_of(4);
        match u16_of([c0, c1], big_endian) {
            0 => return None,
            code if code == wanted => return rest.get(..len),
            _ => options = rest.get(len..)?,
        }
    }
}

/// Reads the units of an interface. pcap-parser always reads `if_tsoffset` in little-endian order, so it is read from
/// the option here.
fn clock(description: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> TimestampUnits {
    let offset = description
        .options
        .iter()
        .take_while(|option| option.code != OptionCode::EndOfOpt)
        .find(|option| option.code == OptionCode::IfTsoffset);
    let offset_seconds = match offset.and_then(|option| option.value().first_chunk()) {
        Some(&bytes) if big_endian => i64::from_be_bytes(bytes),
        Some(&bytes) => i64::from_le_bytes(bytes),
        None => 0,
    };
    TimestampUnits { resolution: description.if_tsresol, offset_seconds }
}

fn parsed<'b, T>(
    result: IResult<&'b [u8], T, PcapError<&'b [u8]>>,
    expected: &'static str,
) -> Result<T, Fault> {
    match result {
        Ok((_, block)) => Ok(block),
        Err(_) => Err(Fault { expected, found: "fields that contradict the length of the block".into() }),
    }
}

fn u16_of(bytes: [u8; 2], big_endian: bool) -> u16 {
    if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
}

fn u32_of(bytes: [u8; 4], big_endian: bool) -> u32 {
    if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_LITTLE: [u8; 4] = [0x4d, 0x3c, 0x2b, 0x1a];
const BYTE_ORDER_BIG: [u8; 4] = [0x1a, 0x2b, 0x3c, 0x4d];

/// The code of the option `epb_flags`, and its values for outbound packets and for promiscuous reception.
const PACKET_FLAGS: u16 = 2;
const FLAGS_OUTBOUND: u32 = 2;
const FLAGS_PROMISCUOUS: u32 = 4;

/// Bytes of a section header without options.
const SECTION_HEADER_LEN_MIN: usize = 28;
/// Bytes of a block without content: type, length, and the length again.
const BLOCK_LEN_MIN: usize = 12;
/// Bytes before the frame in a packet block: type, length and five words.
const PACKET_HEADER_LEN: u32 = 28;
/// Bytes before the frame in a simple packet block: type, length and one word.
const SIMPLE_HEADER_LEN: u32 = 12;

/// Maximum number of interfaces in one file. Captures of a large router have some hundred.
const INTERFACES_MAX: usize = 65_536;

const NANOS: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_of_every_resolution_are_converted_to_nanoseconds() {
        let at = |resolution, offset_seconds, units| {
            TimestampUnits { resolution, offset_seconds }.unix_nanos(units).0.0
        };
        assert_eq!(at(6, 0, 1_340_954_905_298_858), 1_340_954_905_298_858_000);
        assert_eq!(at(9, 0, 1_340_954_905_298_858_123), 1_340_954_905_298_858_123);
        assert_eq!(at(0, 0, 7), 7_000_000_000);
        assert_eq!(at(12, 0, 1_999), 1, "below a nanosecond is cut off");
        assert_eq!(at(0x80 | 10, 0, 1536), 1_500_000_000);
        assert_eq!(at(0x80 | 127, 0, u64::MAX), 0);
        assert_eq!(at(127, 0, u64::MAX), 0);
        assert_eq!(at(6, 3_600, 1), 3_600_000_001_000);
        assert_eq!(at(6, -1, 2_000_000), 1_000_000_000);
        assert_eq!(at(6, i64::MIN, u64::MAX), 0, "before 1970");
        assert_eq!(at(0, i64::MAX, u64::MAX), u64::MAX, "after 2554");
    }
}
