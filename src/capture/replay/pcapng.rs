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
//! The framing is checked here, and pcap-parser gets a complete block, so that a field with a false length is
//! distinguished from a file that ends. Frames are not decoded here. Source: draft-ietf-opsawg-pcapng.

use pcap_parser::nom::IResult;
use pcap_parser::{
    EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, PcapError, SimplePacketBlock,
    parse_enhancedpacketblock_be, parse_enhancedpacketblock_le, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_simplepacketblock_be, parse_simplepacketblock_le,
};

use super::record::{CaptureRecord, Fault, ReadStep, link_kind};
use crate::packet::LinkKind;
use crate::time::UnixNanos;

/// Maximum bytes of a block, as in libpcap. The buffer grows to this size only if the file has such a block.
pub(super) const BLOCK_BYTES_MAX: usize = 16 << 20;

/// The state of reading a pcapng file.
#[derive(Debug, Default)]
pub(super) struct Pcapng {
    big_endian: bool,
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
    pub(super) fn step(&mut self, bytes: &[u8]) -> Result<ReadStep, Fault> {
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
        let len = u32_of([l0, l1, l2, l3], big_endian) as usize;
        if len < BLOCK_LEN_MIN || !len.is_multiple_of(4) || len > BLOCK_BYTES_MAX {
            return Err(Fault {
                expected: "a block of 12 bytes to 16 MiB in steps of 4",
                found: len.to_string(),
            });
        }
        let Some(block) = bytes.get(..len) else {
            return Ok(ReadStep::Incomplete { what: "a block", needed: len });
        };
        self.big_endian = big_endian;
        match u32_of([t0, t1, t2, t3], big_endian) {
            SECTION_HEADER => {
                #[allow(clippy::cast_possible_truncation, reason = "there are at most `INTERFACES_MAX`")]
                let count = self.interfaces.len() as u32;
                self.interfaces_before += count;
                self.interfaces.clear();
            }
            INTERFACE => self.add_interface(block)?,
            ENHANCED_PACKET => return self.enhanced_packet(block),
            SIMPLE_PACKET => return self.simple_packet(block),
            OBSOLETE_PACKET => return self.obsolete_packet(block),
            _ => {}
        }
        Ok(ReadStep::Other { len })
    }

    fn add_interface(&mut self, block: &[u8]) -> Result<(), Fault> {
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
        self.interfaces.push(PcapngInterface {
            link: link_kind(link_type),
            snap_len: description.snaplen,
            clock: clock(&description, self.big_endian),
        });
        Ok(())
    }

    fn enhanced_packet(&mut self, block: &[u8]) -> Result<ReadStep, Fault> {
        let result = if self.big_endian {
            parse_enhancedpacketblock_be(block)
        } else {
            parse_enhancedpacketblock_le(block)
        };
        let packet: EnhancedPacketBlock<'_> = parsed(result, "a packet that fits into its block")?;
        let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
        self.timed_packet(packet.if_id, units, [packet.caplen, packet.origlen], block.len())
    }

    fn obsolete_packet(&mut self, block: &[u8]) -> Result<ReadStep, Fault> {
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
        self.timed_packet(interface, units, [captured, original], block.len())
    }

    fn simple_packet(&mut self, block: &[u8]) -> Result<ReadStep, Fault> {
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
            ifindex: self.ifindex(0),
            link: interface.link,
        };
        Ok(ReadStep::CaptureRecord { record, len: block.len() })
    }

    fn timed_packet(
        &mut self,
        interface: u32,
        units: u64,
        [captured, frame_len]: [u32; 2],
        len: usize,
    ) -> Result<ReadStep, Fault> {
        let PcapngInterface { link, clock, .. } = self.interface(interface)?;
        self.last_seen_at = clock.unix_nanos(units);
        let (seen_at, ifindex) = (self.last_seen_at, self.ifindex(interface));
        let record = CaptureRecord { start: PACKET_HEADER_LEN, captured, frame_len, seen_at, ifindex, link };
        Ok(ReadStep::CaptureRecord { record, len })
    }

    fn interface(&self, number: u32) -> Result<PcapngInterface, Fault> {
        self.interfaces.get(number as usize).copied().ok_or_else(|| Fault {
            expected: "a packet of an interface that was described",
            found: format!("interface {number} of {}", self.interfaces.len()),
        })
    }

    /// Returns the number of an interface over all sections, from 1. Both summands are at most [`INTERFACES_MAX`], so
    /// the sum does not overflow.
    fn ifindex(&self, interface: u32) -> u32 {
        self.interfaces_before + interface + 1
    }
}

impl TimestampUnits {
    /// Converts a timestamp. A time that is out of range becomes the nearest time in range.
    fn unix_nanos(self, units: u64) -> UnixNanos {
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
        UnixNanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX))
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
            TimestampUnits { resolution, offset_seconds }.unix_nanos(units).0
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
