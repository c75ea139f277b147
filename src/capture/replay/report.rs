//! The report on a capture that was read. This file does not contain the reading.

use super::direction::CountedDirection;
use super::notes::{CaptureWarning, Notes, UndecodedLink};

/// What is known of a capture once it was read, besides its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureReport {
    /// The path of the capture, or `standard input`.
    pub capture: String,
    /// Which frames count by their direction; `None` if the file does not state directions.
    pub direction: Option<CountedDirection>,
    /// What was met, once per kind.
    pub warnings: Vec<CaptureWarning>,
    /// Frames of links that are not decoded, by link type.
    pub undecoded: Vec<UndecodedLink>,
}

impl CaptureReport {
    pub(super) fn new(notes: &Notes, direction: Option<CountedDirection>) -> Self {
        let (capture, warnings) = (notes.capture().to_owned(), notes.warnings().to_vec());
        Self { capture, direction, warnings, undecoded: notes.undecoded_links().collect() }
    }
}
