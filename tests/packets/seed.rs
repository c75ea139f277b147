//! How a frame is written down as input of the `decode` fuzzer, and read from it.
//!
//! ```text
//! link kind (1) | bytes the frame had beyond the captured ones (4, signed, little-endian) | captured bytes
//! ```
//!
//! With the highest bit of the link kind set, between the two: TCP or UDP (1) | bytes of a segment (2) | where the
//! transport header is (2), 0 for unknown.

use std::num::NonZeroU16;

use traffic_alerted::packet::{Direction, Frame, LinkKind, Segmentation, Segments, Transported};
use traffic_alerted::time::UnixNanos;

/// Link kinds by the number that stands for them; every number stands for one.
pub(crate) const LINKS: [LinkKind; 12] = [
    LinkKind::Ethernet,
    LinkKind::RawIp,
    LinkKind::Ipv4,
    LinkKind::Ipv6,
    LinkKind::LinuxSll,
    LinkKind::LinuxSll2,
    LinkKind::Ppp,
    LinkKind::PppoeSession,
    LinkKind::BsdLoopback,
    LinkKind::CiscoHdlc,
    LinkKind::Unsupported(10),
    LinkKind::Nflog,
];

const IS_JOINED: u8 = 0x80;

/// The frame in `input`; `None` where it is too short to be one.
pub(crate) fn frame_of(input: &[u8]) -> Option<Frame<'_>> {
    let (&[link, b0, b1, b2, b3], mut bytes) = input.split_first_chunk()?;
    let mut segmentation = Segmentation::None;
    if link & IS_JOINED != 0 {
        let &[is_udp, s0, s1, t0, t1] = bytes.split_off(..5)?.first_chunk()?;
        segmentation = match NonZeroU16::new(u16::from_le_bytes([s0, s1])) {
            None => Segmentation::Unknown,
            Some(payload_bytes) => {
                let transported = if is_udp & 1 == 1 { Transported::Udp } else { Transported::Tcp };
                let transport_at = NonZeroU16::new(u16::from_le_bytes([t0, t1])).map(NonZeroU16::get);
                Segmentation::Into(Segments { transported, payload_bytes, transport_at })
            }
        };
    }
    let beyond = i64::from(i32::from_le_bytes([b0, b1, b2, b3]));
    let frame_len = (bytes.len() as i64 + beyond).clamp(0, i64::from(u32::MAX)) as u32;
    let link = LINKS[usize::from(link & !IS_JOINED) % LINKS.len()];
    Some(Frame { segmentation, ..frame(link, frame_len, bytes) })
}

/// The input that stands for a frame of one packet.
pub(crate) fn input_of(frame: &Frame<'_>) -> Vec<u8> {
    let link = LINKS.iter().position(|&link| link == frame.link).expect("every link kind has a number");
    let beyond = (i64::from(frame.frame_len) - frame.bytes.len() as i64) as i32;
    [&[link as u8], &beyond.to_le_bytes()[..], frame.bytes].concat()
}

/// A frame of which nothing matters but its bytes.
pub(crate) fn frame(link: LinkKind, frame_len: u32, bytes: &[u8]) -> Frame<'_> {
    Frame {
        bytes,
        frame_len,
        seen_at: UnixNanos(0),
        ifindex: 1,
        link,
        direction: Direction::Ingress,
        segmentation: Segmentation::None,
    }
}
