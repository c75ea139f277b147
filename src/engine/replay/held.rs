//! Frames that are held until it is decided what their times mean.

use std::net::IpAddr;

use crate::capture::{Batch, Verdict};
use crate::packet::{Direction, Frame, LinkKind, Segmentation, decode};
use crate::time::UnixNanos;

/// The place of a frame in the captures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FramePlace {
    /// Index of its capture in the order of reading.
    pub capture: usize,
    /// Its number in that capture, from 1, as Wireshark shows it.
    pub number: u64,
}

/// A copy of a frame, of at most [`COPIED_BYTES_MAX`], and what its batch says about it.
#[derive(Debug)]
pub(super) struct HeldFrame {
    bytes: Box<[u8]>,
    frame_len: u32,
    pub(super) seen_at: UnixNanos,
    ifindex: u32,
    link: LinkKind,
    direction: Direction,
    segmentation: Segmentation,
    verdict: Verdict,
    counts_as_received: bool,
    is_seen_leaving: bool,
    pub(super) place: FramePlace,
}

impl HeldFrame {
    pub(super) fn copy<B: Batch>(batch: &B, frame: &Frame<'_>, place: FramePlace) -> Self {
        let Frame { bytes, frame_len, seen_at, ifindex, link, direction, segmentation } = *frame;
        let verdict = match batch.verdict(ifindex, direction) {
            // The addresses of the machine are known to the batch alone.
            Verdict::CountIfOwn => {
                let is_own = decode(frame).is_ok_and(|packet| batch.is_own(packet.endpoints.src()));
                if is_own { Verdict::Count } else { Verdict::ObserveOnly }
            }
            verdict => verdict,
        };
        let is_seen_leaving = decode(frame)
            .is_ok_and(|packet| batch.is_seen_leaving(ifindex, direction, packet.endpoints.dst()));
        Self {
            bytes: bytes.get(..COPIED_BYTES_MAX).unwrap_or(bytes).into(),
            frame_len,
            seen_at,
            ifindex,
            link,
            direction,
            segmentation,
            verdict,
            counts_as_received: batch.counts_as_received(direction),
            is_seen_leaving,
            place,
        }
    }

    /// Returns the frame with this time instead of its own.
    pub(super) fn frame_at(&self, seen_at: UnixNanos) -> Frame<'_> {
        let &Self { ref bytes, frame_len, ifindex, link, direction, segmentation, .. } = self;
        Frame { bytes, frame_len, seen_at, ifindex, link, direction, segmentation }
    }
}

/// A held frame is a batch of its own.
impl Batch for HeldFrame {
    type Frames<'b> = std::iter::Once<Frame<'b>>;

    fn frames(&self) -> Self::Frames<'_> {
        std::iter::once(self.frame_at(self.seen_at))
    }

    fn verdict(&self, _: u32, _: Direction) -> Verdict {
        self.verdict
    }

    fn counts_as_received(&self, _: Direction) -> bool {
        self.counts_as_received
    }

    fn is_seen_leaving(&self, _: u32, _: Direction, _: IpAddr) -> bool {
        self.is_seen_leaving
    }
}

/// Number of bytes of a frame that are copied at most. The headers are in them, and `frame_len` keeps the length. A
/// frame of pcapng may have 16 MiB.
const COPIED_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_frame_is_copied_in_part_and_counts_in_full() {
        let mut bytes = vec![0; 16 << 20];
        [bytes[0], bytes[8], bytes[9]] = [0x45, 64, 17];
        bytes[2..4].copy_from_slice(&60_000_u16.to_be_bytes());
        bytes[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let frame = Frame {
            bytes: &bytes,
            frame_len: 17 << 20,
            seen_at: UnixNanos(7),
            ifindex: 0,
            link: LinkKind::RawIp,
            direction: Direction::Ingress,
            segmentation: Segmentation::None,
        };
        struct One<'a>(Frame<'a>);
        impl Batch for One<'_> {
            type Frames<'b>
                = std::iter::Once<Frame<'b>>
            where
                Self: 'b;

            fn frames(&self) -> Self::Frames<'_> {
                std::iter::once(self.0)
            }
        }
        let held = HeldFrame::copy(&One(frame), &frame, FramePlace::default());
        assert_eq!(held.bytes.len(), 64 << 10);
        assert_eq!(held.frame_at(UnixNanos(9)).frame_len, 17 << 20);
        assert_eq!(decode(&held.frame_at(frame.seen_at)), decode(&frame));
    }
}
