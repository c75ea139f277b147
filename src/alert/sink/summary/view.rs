//! A summary for programs: the JSON object, and the variables of `AlertCommand`.

use std::net::IpAddr;

use serde::Serialize;

use crate::alert::json::rfc3339;

use super::notice_summary::{NamedAlert, NoticeSummary, READ_AT, SUMMARY_KIND, SUMMARY_STATE, StepCounts};
use super::text::SummarySentence;

/// Field names are fixed, since other programs read them; fields may be added. `id`, `kind`, `state` and `sentence`
/// mean what they mean in the object of an alert.
#[derive(Serialize)]
struct SummaryView<'a> {
    id: &'a str,
    kind: &'static str,
    state: &'static str,
    from: String,
    to: String,
    /// Number of notices that it stands for.
    notices: u64,
    #[serde(flatten)]
    steps: SummaryStepsView,
    sentence: String,
    kinds: Vec<KindView>,
    /// The weightiest of the alerts, at most ten.
    largest: Vec<NamedView<'a>>,
    /// The path of the API at which the open alerts are.
    read_at: &'static str,
}

#[derive(Serialize)]
struct SummaryStepsView {
    opened: u64,
    confirmed: u64,
    grown: u64,
    closed: u64,
}

#[derive(Serialize)]
struct KindView {
    kind: &'static str,
    #[serde(flatten)]
    steps: SummaryStepsView,
}

#[derive(Serialize)]
struct NamedView<'a> {
    id: &'a str,
    kind: &'static str,
    state: &'static str,
    source: Option<IpAddr>,
    measured: u64,
    limit: u64,
    storm: bool,
}

impl SummaryStepsView {
    fn of(counts: StepCounts) -> Self {
        let StepCounts { opened, confirmed, grown, closed } = counts;
        Self { opened, confirmed, grown, closed }
    }
}

impl<'a> NamedView<'a> {
    fn of(named: &'a NamedAlert) -> Self {
        let NamedAlert { notice: _, id, kind, source, state, measured, limit, is_storm, is_new: _ } = named;
        Self {
            id,
            kind: kind.name(),
            state: state.word(),
            source: *source,
            measured: *measured,
            limit: *limit,
            storm: *is_storm,
        }
    }
}

/// Returns the JSON object of a summary as one line without a line end.
pub(in crate::alert::sink) fn json(id: &str, summary: &NoticeSummary) -> String {
    let view = SummaryView {
        id,
        kind: SUMMARY_KIND,
        state: SUMMARY_STATE,
        from: rfc3339(summary.from),
        to: rfc3339(summary.to),
        notices: summary.notices(),
        steps: SummaryStepsView::of(summary.steps()),
        sentence: SummarySentence(summary).to_string(),
        kinds: summary
            .kinds
            .iter()
            .map(|(kind, counts)| KindView { kind: kind.name(), steps: SummaryStepsView::of(*counts) })
            .collect(),
        largest: summary.named.iter().map(NamedView::of).collect(),
        read_at: READ_AT,
    };
    serde_json::to_string(&view).expect("the view is numbers and text, with text as keys")
}

/// Returns the variables that a program finds in its environment. There is no `TA_SOURCE`, so that a program that
/// blocks each source blocks none here.
pub(in crate::alert::sink) fn variables(id: &str, summary: &NoticeSummary) -> Vec<(&'static str, String)> {
    let StepCounts { opened, confirmed, grown, closed } = summary.steps();
    let ids: Vec<&str> = summary.named.iter().map(|named| named.id.as_str()).collect();
    vec![
        ("TA_ID", id.to_owned()),
        ("TA_KIND", SUMMARY_KIND.to_owned()),
        ("TA_STATE", SUMMARY_STATE.to_owned()),
        ("TA_FROM", rfc3339(summary.from)),
        ("TA_TO", rfc3339(summary.to)),
        ("TA_NOTICES", summary.notices().to_string()),
        ("TA_OPENED", opened.to_string()),
        ("TA_CONFIRMED", confirmed.to_string()),
        ("TA_GROWN", grown.to_string()),
        ("TA_CLOSED", closed.to_string()),
        ("TA_LARGEST", ids.join(" ")),
        ("TA_TEXT", SummarySentence(summary).to_string()),
    ]
}
