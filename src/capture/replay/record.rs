//! The types that the two file formats have in common: the record of a frame, a step of reading, a fault.

use crate::packet::{Direction, Frame, LinkKind, Segmentation};
use crate::time::UnixNanos;

/// The fields of a record about its frame. Positions and lengths are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CaptureRecord {
    /// Offset of the captured bytes: from the start of the record, or from that of the buffer after
    /// [`in_buffer`](Self::in_buffer).
    pub(super) start: u32,
    /// Number of captured bytes.
    pub(super) captured: u32,
    /// Length of the frame before it was cut.
    pub(super) frame_len: u32,
    /// Time at which the frame was captured.
    pub(super) seen_at: UnixNanos,
    /// Number of the interface; 0 if it is unknown.
    pub(super) ifindex: u32,
    /// The kind of link header that the captured bytes begin with.
    pub(super) link: LinkKind,
    /// The direction that the file states; ingress if it states none.
    pub(super) direction: Direction,
}

impl CaptureRecord {
    /// Returns the record with `start` relative to a buffer in which the record starts at offset `at`.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "no buffer is longer than twice the longest block")]
    pub(super) fn in_buffer(self, at: usize) -> Self {
        Self { start: self.start + at as u32, ..self }
    }

    /// Returns the offset of the end of the captured bytes. A record of pcap ends there.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.start as usize + self.captured as usize
    }

    /// Returns the frame, whose captured bytes are in `buffer`.
    #[inline(always)]
    pub(super) fn frame_in<'b>(&self, buffer: &'b [u8]) -> Frame<'b> {
        Frame {
            bytes: buffer.get(self.start as usize..self.end()).unwrap_or(&[]),
            frame_len: self.frame_len,
            seen_at: self.seen_at,
            ifindex: self.ifindex,
            link: self.link,
            direction: self.direction,
            segmentation: Segmentation::None,
        }
    }
}

/// The item that the available bytes begin with. Lengths are bytes, from the first of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadStep {
    /// A record with a frame.
    CaptureRecord { record: CaptureRecord, len: usize },
    /// An item without a frame, which is skipped.
    Other { len: usize },
    /// A block that is skipped without being available as a whole. Its last four bytes repeat its length.
    SkipBlock { len: u32, trailer: [u8; 4] },
    /// The beginning of an item (`what`) that has `needed` bytes.
    Incomplete { what: &'static str, needed: usize },
}

/// A violation of the format by the available bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What the format requires.
    pub(super) expected: &'static str,
    /// What the file has.
    pub(super) found: String,
}
