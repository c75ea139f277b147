//! What the two file formats have in common: the record of a frame, a step of reading, a fault.

use crate::packet::LinkKind;
use crate::time::UnixNanos;

/// What a record states of its frame. Positions and lengths are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CaptureRecord {
    /// Where the captured bytes start: relative to the record, and once collected, to the buffer.
    pub(super) start: u32,
    /// Number of captured bytes.
    pub(super) captured: u32,
    /// Length of the frame before it was cut.
    pub(super) frame_len: u32,
    /// When the frame was captured.
    pub(super) seen_at: UnixNanos,
    /// Number of the interface; 0 is unknown.
    pub(super) ifindex: u32,
    /// How the captured bytes begin.
    pub(super) link: LinkKind,
}

impl CaptureRecord {
    /// The same record, relative to a buffer in which it starts at `at`.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "no buffer is longer than twice the longest block")]
    pub(super) fn behind(self, at: usize) -> Self {
        Self { start: self.start + at as u32, ..self }
    }

    /// Where its captured bytes end, and where the record itself ends if it is one of pcap.
    #[inline(always)]
    pub(super) fn end(&self) -> usize {
        self.start as usize + self.captured as usize
    }
}

/// What the available bytes begin with. Lengths count from the first of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadStep {
    /// A frame.
    CaptureRecord { record: CaptureRecord, len: usize },
    /// Something without a frame, to be skipped.
    Other { len: usize },
    /// The beginning of something that is `needed` bytes long.
    Incomplete { what: &'static str, needed: usize },
}

/// Why the available bytes violate the format: what was expected, and what was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What the format requires.
    pub(super) expected: &'static str,
    /// What the file has.
    pub(super) found: String,
}

/// The kind of link of a capture file, by its `LINKTYPE_*` number (tcpdump.org/linktypes.html).
pub(super) fn link_kind(link_type: u16) -> LinkKind {
    match link_type {
        0 | 108 => LinkKind::BsdLoopback,
        1 => LinkKind::Ethernet,
        9 | 50 => LinkKind::Ppp,
        // 101, and 12 and 14, which some systems write by mistake: their own DLT numbers of raw IP.
        12 | 14 | 101 => LinkKind::RawIp,
        51 => LinkKind::PppoeSession,
        104 => LinkKind::CiscoHdlc,
        113 => LinkKind::LinuxSll,
        228 => LinkKind::Ipv4,
        229 => LinkKind::Ipv6,
        276 => LinkKind::LinuxSll2,
        other => LinkKind::Unsupported(other),
    }
}
