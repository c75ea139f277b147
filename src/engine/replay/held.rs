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

/// A copy of a frame, and what its batch says about it.
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
            bytes: bytes.into(),
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
