//! How far behind the analyst is: part of the report, so that a number that is late does not look like one that is not.

use std::time::Duration;

/// What the analyst does between two looks at what the workers hand over. A late one leaves reports out first and
/// judgements last, and never leaves a delta unfolded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnalystStep {
    /// A delta is added to the windows.
    Fold,
    /// A part of what turning the windows and deciding who began takes.
    Turn,
    /// Hosts are judged, and what follows is said.
    Judge,
    /// A part of a report.
    Report,
}

impl AnalystStep {
    /// All of them, in the order of their numbers.
    pub const ALL: [AnalystStep; 4] =
        [AnalystStep::Fold, AnalystStep::Turn, AnalystStep::Judge, AnalystStep::Report];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fold => "fold",
            Self::Turn => "turn",
            Self::Judge => "judge",
            Self::Report => "report",
        }
    }
}

/// The longest of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongestTime {
    /// Of the last minute or two.
    pub lately: Duration,
    /// Since the start.
    pub max: Duration,
}

/// How far behind the analyst is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnalystLag {
    /// From a hand-over until the delta was folded.
    pub waited: LongestTime,
    /// Steps, by [`AnalystStep`]. While one lasts, nothing is folded.
    pub steps: [LongestTime; AnalystStep::ALL.len()],
    /// Times that a report was put off, because deltas had waited for it.
    pub reports_put_off: u64,
    /// Times that judging was put off.
    pub judgements_put_off: u64,
}
