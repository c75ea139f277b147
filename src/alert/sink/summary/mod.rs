//! The summary of the notices that a sink does not get one by one, because they are more than `AlertRate`: what it
//! contains, its text, its JSON, and its form in the state database.

mod notice_summary;
mod stored;
mod text;
mod view;

pub(super) use notice_summary::{NoticeSummary, SUMMARY_KIND, SUMMARY_STATE, StepCounts, summary_id};
pub(super) use stored::{summary_from_json, summary_to_json};
pub(super) use text::{SummaryLine, SummarySentence};
pub(super) use view::{json, variables};

#[cfg(test)]
mod tests;
