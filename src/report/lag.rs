//! How far behind the analyst is. It is part of the report, so that readers can recognize late counts.

use std::time::Duration;

/// A step of the analyst between two checks for deltas. If deltas wait too long, it postpones reports first and judging
/// last; it never skips a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnalystStep {
    /// Adds a delta to the windows.
    Fold,
    /// Does a part of moving the windows on and of deciding who initiated flows.
    Turn,
    /// Judges hosts and queues the notices that follow.
    Judge,
    /// Makes a part of a report.
    Report,
}

impl AnalystStep {
    /// All steps, in the order of their discriminants.
    pub const ALL: [AnalystStep; 4] =
        [AnalystStep::Fold, AnalystStep::Turn, AnalystStep::Judge, AnalystStep::Report];

    /// Returns the name of the step in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fold => "fold",
            Self::Turn => "turn",
            Self::Judge => "judge",
            Self::Report => "report",
        }
    }
}

/// The longest of many durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongestTime {
    /// Within the last one to two minutes.
    pub lately: Duration,
    /// Since the start of the program.
    pub max: Duration,
}

/// How far behind the analyst is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnalystLag {
    /// From the hand-over of a delta until it was folded.
    pub waited: LongestTime,
    /// Durations of the steps, indexed by [`AnalystStep`]. While a step runs, no delta is folded.
    pub steps: [LongestTime; AnalystStep::ALL.len()],
    /// How often a report was postponed because deltas had waited too long.
    pub reports_put_off: u64,
    /// How often judging was postponed for the same reason.
    pub judgements_put_off: u64,
}
