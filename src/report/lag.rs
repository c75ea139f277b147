//! The lag of the analyst. It is part of the report, so that readers can recognize late counts.

use std::time::Duration;

/// What the analyst does without looking for new deltas. If deltas wait too long, it puts off reports first and judging
/// last; it never skips a delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnalystStep {
    /// Adds a delta to the windows.
    Fold,
    /// Does a part of advancing the windows and of deciding which host initiated each flow.
    Turn,
    /// Compares hosts with their limits, and queues the notices that result.
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

/// The maximum of many durations, for two spans of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongestTime {
    /// Maximum within the last one to two minutes.
    pub lately: Duration,
    /// Maximum since the start of the program.
    pub max: Duration,
}

/// How long deltas wait for the analyst, and the durations of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnalystLag {
    /// Time from the hand-over of a delta until it was folded.
    pub waited: LongestTime,
    /// Durations of the steps, indexed by [`AnalystStep`]. While a step runs, no delta is folded.
    pub steps: [LongestTime; AnalystStep::ALL.len()],
    /// Number of times that a report was put off because deltas had waited too long.
    pub reports_put_off: u64,
    /// Number of times that judging was put off because deltas had waited too long.
    pub judgements_put_off: u64,
}
