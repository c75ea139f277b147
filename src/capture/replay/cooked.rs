//! What the cooked header of a frame states besides the link type: direction and interface.
//!
//! ```text
//! SLL    packet type (2) | ARPHRD (2) | ...
//! SLL2   EtherType (2) | reserved (2) | interface (4) | ARPHRD (2) | packet type (1) | ...
//! ```
//!
//! Sources: tcpdump.org/linktypes (LINUX_SLL, LINUX_SLL2), linux/if_packet.h.

use super::record::CaptureRecord;
use crate::packet::{Direction, LinkKind, decode};

/// The number of the loopback device in frames of a capture, whatever number the file gives it.
pub(super) const LOOPBACK_IFINDEX: u32 = u32::MAX - 1;

/// Returns true if frames of this kind have a cooked header, which states the direction.
#[inline(always)]
pub(super) fn is_cooked(link: LinkKind) -> bool {
    matches!(link, LinkKind::LinuxSll | LinkKind::LinuxSll2)
}

/// Takes direction and interface from the cooked header of a frame in `buffer`. A record of another link, or one cut
/// within that header, remains as it is.
pub(super) fn read_cooked(record: &mut CaptureRecord, buffer: &[u8]) {
    let frame = buffer.get(record.start as usize..record.end()).unwrap_or(&[]);
    let (packet_type, hardware_type, ifindex) = match (record.link, frame) {
        (LinkKind::LinuxSll, &[t1, t0, h1, h0, ..]) => {
            (u16::from_be_bytes([t1, t0]), u16::from_be_bytes([h1, h0]), None)
        }
        (LinkKind::LinuxSll2, &[_, _, _, _, i3, i2, i1, i0, h1, h0, packet_type, ..]) => {
            let ifindex = u32::from_be_bytes([i3, i2, i1, i0]);
            (u16::from(packet_type), u16::from_be_bytes([h1, h0]), Some(ifindex))
        }
        _ => return,
    };
    match packet_type {
        PACKET_OTHERHOST => record.direction = Direction::OtherHost,
        PACKET_OUTGOING => record.direction = Direction::Egress,
        _ => {}
    }
    record.ifindex = ifindex.unwrap_or(record.ifindex);
    if hardware_type == libc::ARPHRD_LOOPBACK {
        record.ifindex = LOOPBACK_IFINDEX;
    } else if record.direction == Direction::Egress {
        read_loopback(record, buffer);
    }
}

/// Gives a leaving frame in `buffer` the number of the loopback device if its packet cannot leave by another one: its
/// source is a loopback address, or it is sent to its own source.
pub(super) fn read_loopback(record: &mut CaptureRecord, buffer: &[u8]) {
    let Ok(summary) = decode(&record.frame_in(buffer)) else { return };
    let (src, dst) = (summary.endpoints.src(), summary.endpoints.dst());
    if src.is_loopback() || src == dst {
        record.ifindex = LOOPBACK_IFINDEX;
    }
}

/// `PACKET_OTHERHOST` and `PACKET_OUTGOING` of linux/if_packet.h. The other types are those of frames that enter.
const PACKET_OTHERHOST: u16 = 3;
const PACKET_OUTGOING: u16 = 4;
