//! What reading a capture met besides frames that count: parts that were skipped, and frames of links that are not
//! decoded.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::discriminant;

use super::link_types;

/// Something that reading a capture met and passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureWarning {
    /// The path of the capture, or `standard input`.
    pub capture: String,
    /// What was met.
    pub kind: CaptureWarningKind,
    /// How often it was met; at least 1.
    pub count: u64,
    /// Offset in the capture of the first one, in bytes. In a compressed capture it is an offset in what was
    /// decompressed.
    pub offset: u64,
}

/// The kinds of [`CaptureWarning`]. Where a kind has values, they are those of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptureWarningKind {
    /// A section of pcapng has another version than 1.0 and 1.2. Its frames are not read.
    SectionSkipped {
        /// The version before the point.
        major: u16,
        /// The version after the point.
        minor: u16,
    },
    /// A block of pcapng is longer than 16 MiB and holds no packet.
    BlockSkipped {
        /// The type of the block.
        block_type: u32,
        /// Its length in bytes.
        len: u32,
    },
    /// A packet has no time (simple packet block). It gets the time of the packet before it.
    NoTime,
    /// A time is before 1970 or after 2554. It becomes the nearest time in between.
    TimeOutOfRange,
    /// An interface has times finer than a nanosecond, which are cut to nanoseconds.
    FinerThanNanoseconds,
}

impl CaptureWarning {
    /// Returns true if frames of the capture were not read.
    pub fn is_loss(&self) -> bool {
        matches!(self.kind, CaptureWarningKind::SectionSkipped { .. })
    }
}

impl fmt::Display for CaptureWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { capture, kind, count, offset } = self;
        let s = if *count == 1 { "" } else { "s" };
        write!(f, "capture {capture}: ")?;
        match kind {
            CaptureWarningKind::SectionSkipped { major, minor } => write!(
                f,
                "{count} section{s} skipped, the first at byte {offset} of pcapng version {major}.{minor}; versions \
                 1.0 and 1.2 are read, the frames of others are not counted"
            ),
            CaptureWarningKind::BlockSkipped { block_type, len } => write!(
                f,
                "{count} block{s} without packets skipped, the first at byte {offset} of type {block_type:#x} with \
                 {len} bytes; no frame is missing"
            ),
            CaptureWarningKind::NoTime => write!(
                f,
                "{count} packet{s} without a time, the first at byte {offset}; each got the time of the packet before \
                 it"
            ),
            CaptureWarningKind::TimeOutOfRange => write!(
                f,
                "{count} packet{s} with a time before 1970 or after 2554, the first at byte {offset}; the nearest \
                 time in between was taken"
            ),
            CaptureWarningKind::FinerThanNanoseconds => write!(
                f,
                "{count} interface{s} with times finer than a nanosecond, the first at byte {offset}; they were cut \
                 to nanoseconds"
            ),
        }
    }
}

/// The frames of one link type that is not decoded. Displayed, it is the number and the name of the link type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UndecodedLink {
    /// The `LINKTYPE_*` number (tcpdump.org/linktypes.html).
    pub link_type: u16,
    /// Number of frames; at least 1.
    pub frames: u64,
}

impl UndecodedLink {
    /// Returns the name of the link type without `LINKTYPE_`; `None` if it is not a usual one.
    pub fn name(&self) -> Option<&'static str> {
        link_types::name(self.link_type)
    }
}

impl fmt::Display for UndecodedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link type {}", self.link_type)?;
        self.name().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// The notes on a capture that is being read.
#[derive(Debug)]
pub(super) struct Notes {
    capture: String,
    warnings: Vec<CaptureWarning>,
    undecoded: BTreeMap<u16, u64>,
    /// Offset of the block that is parsed.
    pub(super) offset: u64,
}

impl Notes {
    pub(super) fn new(capture: String) -> Self {
        Self { capture, warnings: Vec::new(), undecoded: BTreeMap::new(), offset: 0 }
    }

    /// Notes something at the present offset. There is one warning per kind, whatever the values of the kind are.
    #[cold]
    pub(super) fn warn(&mut self, kind: CaptureWarningKind) {
        match self.warnings.iter_mut().find(|known| discriminant(&known.kind) == discriminant(&kind)) {
            Some(known) => known.count += 1,
            None => {
                let (capture, offset) = (self.capture.clone(), self.offset);
                self.warnings.push(CaptureWarning { capture, kind, count: 1, offset });
            }
        }
    }

    /// Notes frames of a link type that is not decoded.
    #[cold]
    pub(super) fn undecoded(&mut self, link_type: u16, frames: usize) {
        if frames > 0 {
            *self.undecoded.entry(link_type).or_default() += frames as u64;
        }
    }

    pub(super) fn warnings(&self) -> &[CaptureWarning] {
        &self.warnings
    }

    pub(super) fn undecoded_links(&self) -> impl Iterator<Item = UndecodedLink> {
        self.undecoded.iter().map(|(&link_type, &frames)| UndecodedLink { link_type, frames })
    }

    pub(super) fn capture(&self) -> &str {
        &self.capture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_noted_once_with_its_first_place_and_a_count() {
        let mut notes = Notes::new("x.pcapng".into());
        for (offset, minor) in [(28, 0), (500, 7)] {
            notes.offset = offset;
            notes.warn(CaptureWarningKind::SectionSkipped { major: 2, minor });
        }
        notes.warn(CaptureWarningKind::NoTime);
        let said: Vec<_> = notes.warnings().iter().map(CaptureWarning::to_string).collect();
        assert_eq!(
            said,
            [
                "capture x.pcapng: 2 sections skipped, the first at byte 28 of pcapng version 2.0; versions 1.0 and \
                 1.2 are read, the frames of others are not counted",
                "capture x.pcapng: 1 packet without a time, the first at byte 500; each got the time of the packet \
                 before it",
            ]
        );
        assert_eq!(notes.warnings().iter().map(CaptureWarning::is_loss).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn link_types_are_said_by_number_and_by_name() {
        let mut notes = Notes::new("x".into());
        notes.undecoded(195, 2);
        notes.undecoded(9999, 1);
        notes.undecoded(195, 3);
        notes.undecoded(127, 0);
        let said: Vec<_> = notes.undecoded_links().map(|link| (link.to_string(), link.frames)).collect();
        let expected = [("link type 195 (IEEE802_15_4_WITHFCS)", 5), ("link type 9999", 1)];
        assert_eq!(said, expected.map(|(text, frames)| (text.to_owned(), frames)));
    }
}
