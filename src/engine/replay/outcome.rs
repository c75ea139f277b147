//! The result of a replay.

use std::path::PathBuf;

use crate::alert::Alert;
use crate::capture::{CaptureReport, CaptureWarning, CountedDirection, ReplayError};
use crate::flow::{Accounting, Window};
use crate::time::UnixNanos;

use super::timing::TimingReport;
use super::understanding::Understanding;

/// The result of reading captures: what each set of rules makes of them, and how far they were read.
#[derive(Debug)]
pub struct ReplayOutcome {
    /// The results, one for each set of rules.
    pub results: Vec<Replayed>,
    /// The captures in the order in which they were read. Those that were not opened after an interruption are missing.
    pub captures: Vec<CaptureRead>,
    /// True if an [`Interrupt`](super::Interrupt) ended the replay.
    pub is_interrupted: bool,
}

/// How far a capture was read.
#[derive(Debug)]
pub struct CaptureRead {
    /// Its path; `-` for standard input.
    pub path: PathBuf,
    /// Number of frames that were counted.
    pub frames: u64,
    /// Whether a packet was found in it, and why not.
    pub understanding: Understanding,
    /// What is known of it besides its frames; `None` if it could not be opened.
    pub report: Option<CaptureReport>,
    /// The error at which reading ended; `None` if the capture was read to its end. The frames before it were counted.
    pub error: Option<ReplayError>,
}

impl CaptureRead {
    /// Returns true if it has frames without a packet that was understood, and not all of them are of other protocols
    /// than IP.
    pub fn is_not_understood(&self) -> bool {
        self.understanding.faults().next().is_some()
    }

    /// Returns true if it has frames, and all of them are of other protocols than IP.
    pub fn is_without_ip(&self) -> bool {
        self.frames > 0 && !self.understanding.has_packet() && !self.is_not_understood()
    }

    /// Returns the number of frames that were not decoded because of the link type.
    pub fn undecoded_frames(&self) -> u64 {
        self.report.iter().flat_map(|report| &report.undecoded).map(|link| link.frames).sum()
    }

    /// Returns true if frames of the file are missing from the counted ones: it could not be read to its end or was not
    /// understood, or a part of it was skipped.
    pub fn is_incomplete(&self) -> bool {
        let has_lost = self.report.iter().flat_map(|report| &report.warnings).any(CaptureWarning::is_loss);
        self.error.is_some() || self.is_not_understood() || has_lost
    }
}

/// The totals of captures, and the alerts that the same traffic would have raised live.
#[derive(Debug)]
pub struct Replayed {
    /// Sums over everything in the captures.
    pub accounting: Accounting,
    /// Everything in the captures, host by host and pair by pair without expiry; `None` if they were not kept.
    pub totals: Option<Window>,
    /// The alerts in the order in which they opened. Those that were open at the end do not have a `closed_at`.
    pub alerts: Vec<Alert>,
    /// The elapsed times of the first and the last frame; `None` if there are none whose time is known.
    pub time: Option<(UnixNanos, UnixNanos)>,
    /// What was found about the times of the frames.
    pub timing: TimingReport,
    /// Which frames count by their direction, for each capture that was opened, in the order of reading; `None` if it
    /// does not state directions.
    pub directions: Vec<Option<CountedDirection>>,
}
